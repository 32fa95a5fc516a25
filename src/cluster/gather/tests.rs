//! A message of gathered batches against the batches one by one.
#![expect(clippy::as_conversions, reason = "noise in tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cluster::message::{Body, Message};
use crate::cluster::position::{LogId, MessageNumber, Position, WriterId};
use crate::model::batch::{BatchIdentity, BatchKey, Definition, Increment, KeyId, KeyRule, KeyedAnswer};
use crate::model::event::{InteractionId, Node, Source, StoryId};

/// What is counted, known and named, plainly.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct State {
    cells: BTreeMap<(SeriesKey, Hour), u64>,
    known: BTreeMap<(StoryId, Option<Node>), Option<Box<str>>>,
}

impl State {
    fn apply(&mut self, part: &Part) {
        for change in part.changes() {
            match change {
                Change::Story { story, name } => self.know((*story, None), name.clone()),
                Change::Node { story, node, name } => {
                    self.know((*story, None), None);
                    self.know((*story, Some(*node)), name.clone());
                }
                Change::DeleteStory { story } => {
                    self.cells.retain(|(key, _), _| key.story != *story);
                    self.known.retain(|(of, _), _| of != story);
                }
            }
        }
        for key in part.series() {
            self.know((key.story, None), None);
            if let Metric::Interaction(node) = key.metric {
                self.know((key.story, Some(node)), None);
            }
        }
        for (key, hour, count) in part.increments() {
            *self.cells.entry((*key, hour)).or_default() += u64::from(count);
        }
    }

    fn know(&mut self, what: (StoryId, Option<Node>), name: Option<Box<str>>) {
        let known = self.known.entry(what).or_default();
        *known = name.or(known.take());
    }
}

fn id(letter: u8) -> ObjectId {
    ObjectId::parse(&[letter; 24]).unwrap()
}

/// The name of a number: few stories, some of which can be packed.
fn series(number: u32) -> SeriesKey {
    let story = StoryId(id([b'a', b'b', b'Z'][number as usize % 3]));
    let metric = match number / 3 {
        0 => Metric::Messages,
        1 => Metric::Interaction(Node::Welcome),
        _ => Metric::Interaction(Node::Interaction(InteractionId(id(b'n')))),
    };
    SeriesKey { story, source: Source::Slack, metric }
}

fn batch(key: Option<u8>, changes: &[u8], increments: &[(u32, u32, u32)]) -> Batch {
    let change = |number: &u8| {
        let story = StoryId(id([b'a', b'b', b'Z'][usize::from(*number) % 3]));
        let name = Some(format!("name {number}").into());
        match number / 3 % 4 {
            0 => Change::DeleteStory { story },
            1 => Change::Story { story, name: None },
            2 => Change::Node { story, node: Node::Welcome, name },
            _ => Change::Story { story, name },
        }
    };
    let key = key.map(|key| {
        let identity = BatchIdentity { rule: KeyRule::Key, id: KeyId([key; 16]), content: 1 };
        Box::new(BatchKey { identity, taken: 0, answer: KeyedAnswer::default() })
    });
    let increment = |(series, hour, count): &(u32, u32, u32)| Increment {
        series: SeriesId::new(*series),
        hour: Hour::new(*hour),
        count: *count,
    };
    Batch {
        key,
        changes: changes.iter().map(change).collect(),
        increments: increments.iter().map(increment).collect(),
        ..Batch::default()
    }
}

fn named(batch: &Batch) -> NamedBatch {
    NamedBatch::new(batch.clone(), |id| Some(series(id.get()))).unwrap()
}

fn gathered(batches: &[Batch]) -> (Gathered, Vec<usize>) {
    let mut gathered = Gathered::default();
    let places = batches.iter().map(|batch| gathered.join(&named(batch)).0).collect();
    (gathered, places)
}

#[test]
fn batches_without_keys_share_a_part_but_for_deletions() {
    let (add, name, delete) = (&[(0, 1, 5)][..], &[9_u8][..], &[0_u8][..]);
    let cases: [(&str, Vec<Batch>, &[usize]); 8] = [
        ("equal cells", vec![batch(None, &[], add), batch(None, &[], add)], &[0, 0]),
        ("names", vec![batch(None, &[], add), batch(None, name, &[]), batch(None, name, add)], &[0, 0, 0]),
        (
            "a deletion behind counts",
            vec![batch(None, &[], add), batch(None, delete, &[]), batch(None, &[], add)],
            &[0, 1, 1],
        ),
        ("deletions in a row", vec![batch(None, delete, &[]), batch(None, delete, &[])], &[0, 0]),
        (
            "around a key",
            vec![batch(None, &[], add), batch(Some(1), &[], add), batch(None, &[], add)],
            &[0, 1, 0],
        ),
        (
            "a name behind a key's name",
            vec![batch(None, name, &[]), batch(Some(1), name, &[]), batch(None, name, &[])],
            &[0, 1, 2],
        ),
        (
            "behind a key's deletion",
            vec![batch(None, &[], add), batch(Some(1), delete, &[]), batch(None, &[], add)],
            &[0, 1, 2],
        ),
        (
            "keys",
            vec![batch(Some(1), &[], add), batch(Some(1), &[], add), batch(None, delete, &[])],
            &[0, 1, 2],
        ),
    ];
    for (what, batches, expected) in cases {
        assert_eq!(gathered(&batches).1, expected, "{what}");
    }
    let (twice, _) = gathered(&[batch(None, &[], add), batch(None, &[], add)]);
    let parts = twice.into_parts();
    let counts: Vec<u32> = parts[0].cells().iter().map(|cell| cell.count).collect();
    assert_eq!(counts, [10], "equal cells are added up");
}

#[test]
fn names_come_from_the_batch_then_from_the_catalogue() {
    let mut batch = batch(None, &[], &[(7, 1, 2), (8, 1, 3)]);
    batch.definitions = vec![
        Definition { id: SeriesId::new(8), key: series(2) },
        Definition { id: SeriesId::new(9), key: series(4) },
    ];
    let named = NamedBatch::new(batch.clone(), |id| (id.get() == 7).then(|| series(1))).unwrap();
    let (mut gathered, mut found) = (Gathered::default(), Vec::new());
    gathered.join(&named);
    for part in gathered.into_parts() {
        found.extend(part.increments().map(|(key, _, count)| (*key, count)));
        assert!(part.series().contains(&series(4)), "what is only defined is made known");
    }
    found.sort_unstable();
    let mut expected = [(series(1), 2), (series(2), 3)];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let error = NamedBatch::new(batch, |_| None).unwrap_err();
    assert_eq!(error, UnknownSeries(SeriesId::new(7)));
}

#[test]
fn empty_batch_is_one_that_changes_nothing() {
    assert!(named(&Batch::default()).is_empty());
    for other in [batch(Some(1), &[], &[]), batch(None, &[9], &[]), batch(None, &[], &[(0, 1, 1)])] {
        assert!(!named(&other).is_empty());
    }
}

proptest! {
    #[test]
    fn message_is_the_batches_one_by_one_and_no_longer_than_its_bound(
        batches in prop::collection::vec(
            (
                prop::option::weighted(0.3, 0_u8..3),
                prop::collection::vec(0_u8..24, 0..3),
                prop::collection::vec((0_u32..9, prop_oneof![0_u32..3, 430_000..440_000_u32], prop_oneof![0_u32..300, any::<u32>()]), 0..5),
            ),
            1..12,
        ),
    ) {
        let batches: Vec<Batch> = batches.iter().map(|(key, changes, increments)| batch(*key, changes, increments)).collect();
        let mut expected = State::default();
        for batch in &batches {
            let mut alone = Gathered::default();
            let named = named(batch);
            alone.join(&named);
            let bound = alone.bytes_max();
            let parts = alone.into_parts();
            for part in &parts {
                expected.apply(part);
            }
            let mut bytes = Vec::new();
            parts[0].encode(&mut bytes);
            prop_assert_eq!(named.message_bytes(), bytes.len() + LONGEST_HEAD_BYTES);
            prop_assert!(named.message_bytes() <= bound);
            prop_assert!(bound <= named.bytes_max() + LONGEST_HEAD_BYTES);
        }
        let (mut gathered, mut places) = (Gathered::default(), Vec::new());
        for batch in &batches {
            let (batch, before) = (named(batch), gathered.bytes_max());
            places.push(gathered.join(&batch).0);
            prop_assert!(gathered.bytes_max() <= before + batch.bytes_max());
        }
        let bound = gathered.bytes_max();
        let message = Message {
            log: LogId::new(1),
            writer: WriterId::new(2),
            number: MessageNumber::new(3),
            base: Position::default(),
            body: Body::Batches(gathered.into_parts()),
        };
        let bytes = message.encode();
        prop_assert!(bytes.len() <= bound, "{} bytes, at most {}", bytes.len(), bound);
        let Ok(Message { body: Body::Batches(parts), .. }) = Message::decode(&bytes) else { panic!("it is one") };
        let mut found = State::default();
        for part in &parts {
            found.apply(part);
        }
        prop_assert_eq!(found, expected);
        for (batch, place) in batches.iter().zip(places) {
            let key = batch.key.as_ref().map(|key| key.identity);
            prop_assert_eq!(parts[place].key().map(|key| key.identity), key, "the outcome is looked for elsewhere");
        }
    }
}
