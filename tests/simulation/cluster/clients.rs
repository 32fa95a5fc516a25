//! Clients, simulated: what they send, what they are answered, and what both mean for the counters.

use tallyd::cluster::gather::NamedBatch;
use tallyd::cluster::publish::{Answer, PartOutcome};
use tallyd::model::batch::{
    Batch, BatchIdentity, BatchKey, Change, Definition, Increment, KeyId, KeyRule, KeyedAnswer, SeriesId,
};
use tallyd::model::calendar::Hour;
use tallyd::model::event::{Metric, Node, ObjectId, SeriesKey, Source, StoryId};

use crate::model::{Write, ledger};
use crate::random::Random;

const FIRST_HOUR: u32 = 431_000;

/// What is known of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It has no answer yet.
    Pending,
    Counted,
    Repeated,
    Conflict,
    Unknown,
    Refused,
    /// Its node died before it was answered.
    Dead,
}

/// A batch that a client sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) write: Write,
    pub(crate) key: Option<BatchIdentity>,
    pub(crate) accepted: u32,
    /// A connection is of one life of a node.
    pub(crate) connection: u64,
    pub(crate) node: usize,
    pub(crate) fate: Fate,
}

/// The counter that a batch alone adds to.
pub(crate) fn mark(batch: usize) -> (SeriesKey, Hour) {
    (ledger(), Hour::new(FIRST_HOUR + u32::try_from(batch).unwrap()))
}

/// The batches whose marks are among these.
pub(crate) fn marked<'a>(increments: impl Iterator<Item = (&'a SeriesKey, Hour, u32)>) -> Vec<usize> {
    let own = ledger();
    let of = |hour: Hour| usize::try_from(hour.get() - FIRST_HOUR).unwrap();
    let mut batches: Vec<usize> =
        increments.filter(|(key, _, _)| **key == own).map(|(_, hour, _)| of(hour)).collect();
    batches.sort_unstable();
    batches
}

fn story(number: u64) -> StoryId {
    let mut text = *b"5b07ffafc2376e30306d9b10";
    text[23] = b'0' + u8::try_from(number).unwrap();
    StoryId(ObjectId::parse(&text).unwrap())
}

/// What the next batch says.
pub(crate) fn write(random: &mut Random, batch: usize) -> Write {
    let mut write = Write::default();
    let (key, hour) = mark(batch);
    let of = story(random.below(3));
    match random.below(10) {
        0 => write.changes.push(Change::DeleteStory { story: of }),
        1 => write.changes.push(Change::Story { story: of, name: Some(format!("name {batch}").into()) }),
        2 => write.changes.push(Change::Node { story: of, node: Node::Welcome, name: Some("a node".into()) }),
        _ => {}
    }
    if random.one_in(2) {
        let metric = random.pick(&[Metric::Messages, Metric::Interaction(Node::Fallback)]);
        let counted = SeriesKey { story: of, source: Source::Slack, metric };
        let count = if random.one_in(8) { u32::MAX } else { 1 + u32::try_from(random.below(300)).unwrap() };
        write.adds.push((counted, Hour::new(FIRST_HOUR - 1), count));
    }
    write.adds.push((key, hour, 1));
    write
}

/// What the next batch is recognised by, if by anything: a new key, or one that was sent, now and then with other content.
pub(crate) fn key(random: &mut Random, sent: &[Sent]) -> Option<BatchIdentity> {
    if !random.one_in(3) {
        return None;
    }
    let recent = &sent[sent.len().saturating_sub(12)..];
    let known: Vec<BatchIdentity> = recent.iter().filter_map(|sent| sent.key).collect();
    if known.is_empty() || random.one_in(3) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&random.next().to_le_bytes());
        return Some(BatchIdentity { rule: KeyRule::Key, id: KeyId(id), content: 1 });
    }
    let again = random.pick(&known);
    Some(BatchIdentity { content: again.content + u64::from(random.one_in(6)), ..again })
}

/// The batch as a node takes it: half of its series it defines itself, the others the node knows.
pub(crate) fn named(sent: &Sent) -> NamedBatch {
    let answer = KeyedAnswer { accepted: sent.accepted, ..KeyedAnswer::default() };
    let key = sent.key.map(|identity| Box::new(BatchKey { identity, taken: 0, answer }));
    let mut batch = Batch { key, changes: sent.write.changes.clone(), ..Batch::default() };
    let series: Vec<SeriesKey> = sent.write.adds.iter().map(|(key, _, _)| *key).collect();
    for (number, (key, hour, count)) in (0..).zip(&sent.write.adds) {
        let id = SeriesId::new(number);
        if number % 2 == 0 {
            batch.definitions.push(Definition { id, key: *key });
        }
        batch.increments.push(Increment { series: id, hour: *hour, count: *count });
    }
    NamedBatch::new(batch, |id| series.get(id.index()).copied()).unwrap()
}

/// What an answer makes of a batch.
pub(crate) fn fate_of(answer: &Answer) -> Fate {
    match answer {
        Answer::Applied(_, PartOutcome::Counted) => Fate::Counted,
        Answer::Applied(_, PartOutcome::Repeated(_)) => Fate::Repeated,
        Answer::Applied(_, PartOutcome::Conflict) => Fate::Conflict,
        Answer::Unknown => Fate::Unknown,
        Answer::Refused(_) => Fate::Refused,
    }
}
