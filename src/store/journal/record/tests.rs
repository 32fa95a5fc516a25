//! Golden bytes of a record, and what must hold for any.
#![expect(clippy::as_conversions, reason = "noise in tests")]

use proptest::prelude::*;

use super::*;
use crate::limits::HOURS_MAX;
use crate::model::batch::{BatchIdentity, KeyId, KeyRule, KeyedAnswer, RejectedLine};
use crate::test_seeds::samples;

const STORE_ID: StoreId = StoreId::new(0x0123_4567_89ab_cdef);

fn object(character: u8) -> ObjectId {
    ObjectId::parse(&[character; ObjectId::LEN]).unwrap()
}

fn increment(series: u32, hour: u32, count: u32) -> Increment {
    Increment { series: SeriesId::new(series), hour: Hour::new(hour), count }
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut increments = Vec::new();
    encode_increments(&record.batch.increments, &mut increments);
    let parts = Staged {
        key: record.batch.key.as_deref(),
        definitions: &record.batch.definitions,
        changes: &record.batch.changes,
        increments: &increments,
    };
    let mut out = Vec::new();
    encode(
        Place { store_id: STORE_ID, sequence: record.sequence, synced: record.sequence.previous() },
        parts,
        &mut out,
    )
    .unwrap();
    out
}

fn decoded(bytes: &[u8]) -> Option<Record> {
    let header = Header::parse(bytes)?;
    let record = bytes.get(..HEADER_BYTES + header.length)?;
    if !header.matches(STORE_ID, record) {
        return None;
    }
    let mut out = Record { sequence: header.sequence, ..Record::default() };
    decode(&record[HEADER_BYTES..], header.flags == FLAG_KEY, &mut out).ok()?;
    Some(out)
}

fn example() -> Record {
    let story = StoryId(object(b's'));
    let node = Node::ContextFallback(InteractionId(object(b'i')));
    let batch = Batch {
        key: None,
        deletions: 0,
        definitions: vec![Definition {
            id: SeriesId::new(300),
            key: SeriesKey { story, source: Source::Slack, metric: Metric::Interaction(node) },
        }],
        changes: vec![
            Change::Story { story, name: Some("é".into()) },
            Change::Node { story, node: Node::Welcome, name: None },
            Change::DeleteStory { story },
        ],
        increments: vec![increment(300, 431_335, 1), increment(24, 431_334, 70_000)],
    };
    Record { sequence: Sequence::new(7), batch }
}

#[test]
fn record_bytes_are_as_they_were_released() {
    let story = "73".repeat(24);
    let expected = [
        "6a726563".to_owned(),              // magic
        "ff35a4d5".to_owned(),              // checksum
        "92000000".to_owned(),              // length
        "00000000".to_owned(),              // flags
        "0700000000000000".to_owned(),      // sequence
        "0600000000000000".to_owned(),      // synced
        "01".to_owned(),                    // one definition
        "ac02".to_owned(),                  // series 300
        story.clone(),                      // its story
        format!("0304{}", "69".repeat(24)), // slack, context fallback
        "03".to_owned(),                    // three changes
        format!("00{story}03c3a9"),         // story, named
        format!("01{story}0600"),           // welcome node, not named
        format!("02{story}"),               // story deleted
        "02".to_owned(),                    // two increments
        "ac02ced33401".to_owned(),          // series 300, 431335 hours on, 1
        "1801f0a204".to_owned(),            // series 24, an hour back, 70000
    ]
    .concat();
    let hex = encoded(&example()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(hex, expected);
    assert_eq!(decoded(&encoded(&example())), Some(example()));
}

#[test]
fn decode_refuses_any_flipped_bit_and_any_cut() {
    let bytes = encoded(&example());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decoded(&flipped), None, "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert_eq!(decoded(&bytes[..length]), None, "{length} bytes");
    }
}

#[test]
fn decode_refuses_another_store_id() {
    let bytes = encoded(&example());
    let header = Header::parse(&bytes).unwrap();
    assert!(header.matches(STORE_ID, &bytes));
    assert!(!header.matches(StoreId::new(1), &bytes));
}

#[test]
fn decode_refuses_counts_that_cannot_follow_before_making_room() {
    for count in [1_u64, 1 << 20, u64::MAX] {
        for place in 0..3 {
            let mut payload = vec![0; place];
            varint::write(count, &mut payload);
            assert!(decode(&payload, false, &mut Record::default()).is_err(), "{count} at {place}");
        }
    }
}

#[test]
fn decode_refuses_left_over_bytes() {
    assert!(decode(&[0, 0, 0], false, &mut Record::default()).is_ok());
    assert!(decode(&[0, 0, 0, 0], false, &mut Record::default()).is_err());
}

#[test]
fn decode_refuses_an_hour_that_no_event_can_have() {
    for (hour, is_taken) in [(HOURS_MAX - 1, true), (HOURS_MAX, false), (u32::MAX, false)] {
        let batch = Batch { increments: vec![increment(300, hour, 1)], ..Batch::default() };
        let record = Record { sequence: Sequence::new(7), batch };
        assert_eq!(decoded(&encoded(&record)).is_some(), is_taken, "hour {hour}");
    }
}

#[test]
fn encode_refuses_what_is_over_the_cap_and_appends_nothing() {
    let increments = vec![0; RECORD_BYTES_MAX];
    let parts = Staged { key: None, definitions: &[], changes: &[], increments: &increments };
    let place = Place { store_id: STORE_ID, sequence: Sequence::FIRST, synced: Sequence::START };
    let mut out = vec![1];
    assert_eq!(encode(place, parts, &mut out), Err(RECORD_BYTES_MAX + 2));
    assert_eq!(out, [1]);
}

fn any_object() -> impl Strategy<Value = ObjectId> {
    prop::array::uniform24(prop::sample::select(&b"0123456789abcdefXYZ"[..]))
        .prop_map(|bytes| ObjectId::parse(&bytes).unwrap())
}

fn any_node() -> impl Strategy<Value = Node> {
    prop_oneof![
        any_object().prop_map(|id| Node::Interaction(InteractionId(id))),
        any_object().prop_map(|id| Node::ContextFallback(InteractionId(id))),
        Just(Node::Fallback),
        Just(Node::Welcome),
    ]
}

fn any_definition() -> impl Strategy<Value = Definition> {
    let metric = prop_oneof![
        Just(Metric::Conversations),
        Just(Metric::PaidConversations),
        Just(Metric::Messages),
        any_node().prop_map(Metric::Interaction),
    ];
    (any::<u32>(), any_object(), prop::sample::select(&Source::ALL[..]), metric).prop_map(
        |(id, story, source, metric)| Definition {
            id: SeriesId::new(id),
            key: SeriesKey { story: StoryId(story), source, metric },
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    let name = || prop::option::of(".{0,20}".prop_map(String::into_boxed_str));
    prop_oneof![
        (any_object(), name()).prop_map(|(story, name)| Change::Story { story: StoryId(story), name }),
        (any_object(), any_node(), name()).prop_map(|(story, node, name)| Change::Node {
            story: StoryId(story),
            node,
            name
        }),
        any_object().prop_map(|story| Change::DeleteStory { story: StoryId(story) }),
    ]
}

/// Numbers of every length, and neighbours of each other.
fn any_increment() -> impl Strategy<Value = Increment> {
    let number = || (any::<u32>(), 0_u32..32).prop_map(|(number, bits)| number >> bits);
    let hour = number().prop_map(|number| number % HOURS_MAX);
    (number(), prop_oneof![hour, 431_000_u32..431_100], number())
        .prop_map(|(series, hour, count)| increment(series, hour, count))
}

fn any_key() -> impl Strategy<Value = BatchKey> {
    let bad_line = (any::<u64>(), "[a-zé ]{0,20}")
        .prop_map(|(line, message)| RejectedLine { line, message: message.into_boxed_str() });
    let answer = (any::<u32>(), any::<u32>(), prop::collection::vec(bad_line, 0..4)).prop_map(
        |(accepted, rejected, bad_lines)| KeyedAnswer { accepted, rejected, bad_lines: bad_lines.into() },
    );
    let identity = (any::<[u8; 16]>(), any::<u64>(), any::<bool>()).prop_map(|(id, content, is_window)| {
        let rule = if is_window { KeyRule::Window } else { KeyRule::Key };
        BatchIdentity { rule, id: KeyId(id), content }
    });
    (identity, any::<u32>(), answer).prop_map(|(identity, taken, answer)| BatchKey {
        identity,
        taken,
        answer,
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    let batch = (
        prop::option::of(any_key()),
        prop::collection::vec(any_definition(), 0..4),
        prop::collection::vec(any_change(), 0..4),
        prop::collection::vec(any_increment(), 0..40),
    );
    (any::<u64>(), batch).prop_map(|(sequence, (key, definitions, changes, increments))| {
        let batch = Batch { key: key.map(Box::new), deletions: 0, definitions, changes, increments };
        Record { sequence: Sequence::new(sequence), batch }
    })
}

/// Payloads for the fuzz targets, and whether each begins with a key.
pub(crate) fn payloads() -> Vec<(bool, Vec<u8>)> {
    let records = std::iter::once(example()).chain(samples(any_record(), 30));
    records.map(|record| (record.batch.key.is_some(), encoded(&record).split_off(HEADER_BYTES))).collect()
}

/// Keys for the fuzz targets.
pub(crate) fn keys() -> Vec<BatchKey> {
    samples(any_key(), 20)
}

proptest! {
    #[test]
    fn records_come_back(record in any_record()) {
        prop_assert_eq!(decoded(&encoded(&record)), Some(record));
    }

    #[test]
    fn decode_takes_any_bytes_without_panic(
        has_key: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut record = Record::default();
        let outcome = decode(&bytes, has_key, &mut record);
        prop_assert!(outcome.is_err() || record.batch.increments.len() <= bytes.len());
        prop_assert!(record.batch.increments.capacity() as u64 <= 1 + bytes.len() as u64);
    }

    #[test]
    fn usual_increments_take_few_bytes(
        steps in prop::collection::vec((0_u32..16_000, 0_u32..3, 1_u32..100), 1..100),
    ) {
        let mut hour = 431_000;
        let increments: Vec<Increment> = steps
            .iter()
            .map(|(series, step, count)| {
                hour += step;
                increment(*series, hour, *count)
            })
            .collect();
        let mut out = Vec::new();
        encode_increments(&increments, &mut out);
        prop_assert!(out.len() <= 4 + 4 * increments.len(), "{} bytes", out.len());
    }
}
