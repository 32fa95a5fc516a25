//! Golden bytes of a record, and what must hold for any.
#![expect(clippy::as_conversions, reason = "noise in tests")]

use proptest::prelude::*;

use super::*;
use crate::cluster::digest::Digest;
use crate::cluster::follow::Noted;
use crate::cluster::position::{ChainValue, LogId, LogSequence, LogStamp, MessageNumber, Position, WriterId};
use crate::limits::HOURS_MAX;
use crate::model::batch::erasure::MetricName;
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
    testing::encoded(record, record.sequence.previous().get())
}

fn decoded(bytes: &[u8]) -> Option<Record> {
    let header = Header::parse(bytes)?;
    let record = bytes.get(..HEADER_BYTES + header.length)?;
    if !header.matches(STORE_ID, record) {
        return None;
    }
    let mut out = Record { sequence: header.sequence, ..Record::default() };
    decode(&record[HEADER_BYTES..], header.flags, &mut out).ok()?;
    Some(out)
}

fn example() -> Record {
    let story = StoryId(object(b's'));
    let node = Node::ContextFallback(InteractionId(object(b'i')));
    let batch = Batch {
        key: None,
        deletions: 0,
        erasure: None,
        dropped_before: None,
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
    Record { sequence: Sequence::new(7), batch, log: None }
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

fn example_key() -> BatchKey {
    let identity = BatchIdentity { rule: KeyRule::Key, id: KeyId([0x6b; 16]), content: 5 };
    let bad_lines = Box::new([RejectedLine { line: 3, message: "no".into() }]);
    BatchKey { identity, taken: 300, answer: KeyedAnswer { accepted: 2, rejected: 1, bad_lines } }
}

#[test]
fn erasure_has_the_bytes_that_were_released() {
    let story = StoryId(object(b's'));
    let hours = HourRange { start: Hour::new(431_335), end: Hour::new(431_337) };
    let (sources, metrics) = (Sources::of(&[Source::Slack]), Metrics::of(&[MetricName::Messages]));
    let erasure = Erasure { story, hours, sources, metrics, share: Share::new(1, 300).unwrap() };
    let batch = Batch { erasure: Some(Box::new(erasure)), ..Batch::default() };
    let record = Record { sequence: Sequence::new(9), batch, log: None };
    let expected = [
        "73".repeat(24),     // story
        "08".to_owned(),     // the bit of slack
        "04".to_owned(),     // the bit of messages
        "e7a91a".to_owned(), // the hour 431335
        "e9a91a".to_owned(), // up to 431337
        "01ac02".to_owned(), // share 1 of 300
        "000000".to_owned(), // no definitions, changes, increments
    ]
    .concat();
    let bytes = encoded(&record);
    assert_eq!(Header::parse(&bytes).unwrap().flags, 8);
    let hex = bytes[HEADER_BYTES..].iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(hex, expected);
    assert_eq!(decoded(&bytes), Some(record));
}

#[test]
fn what_is_dropped_has_the_bytes_that_were_released() {
    // 2021-12 is 623 months after 1970-01.
    let batch = Batch { dropped_before: Some(Month::new(623)), ..Batch::default() };
    let record = Record { sequence: Sequence::new(9), batch, log: None };
    let bytes = encoded(&record);
    assert_eq!(Header::parse(&bytes).unwrap().flags, 16);
    assert_eq!(bytes[HEADER_BYTES..], [0xef, 0x04, 0, 0, 0]);
    assert_eq!(decoded(&bytes), Some(record));
    // A month in which no event can be.
    let mut read = Record::default();
    let past_the_last = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    assert_eq!(decode(&past_the_last, FLAG_DROPPED, &mut read), Err("what is dropped cannot be read"));
}

/// A message of a log: a part with a key that counts, one that was counted before.
fn example_of_log() -> Record {
    let entry = LogEntry {
        log: LogId::new(0x1111_1111_1111_1111),
        position: Position { sequence: LogSequence::new(300), chain: ChainValue::new(0x2222_2222_2222_2222) },
        stamp: LogStamp::new(0x3333_3333_3333_3333),
        digest: Digest::new(0x4444_4444_4444_4444_4444_4444_4444_4444),
        noted: Noted::Applied(WriterId::new(0x5555_5555_5555_5555), MessageNumber::new(2)),
    };
    let key = || Some(Box::new(example_key()));
    let counted = Batch { key: key(), ..example().batch };
    let repeated = Batch { key: key(), ..Batch::default() };
    let parts = vec![
        LoggedPart { fate: PartFate::Counted, batch: counted },
        LoggedPart { fate: PartFate::Repeated, batch: repeated },
    ];
    let log = Some(Box::new(LogSection { entry, parts }));
    Record { sequence: Sequence::new(8), batch: Batch::default(), log }
}

#[test]
fn record_of_a_log_has_the_bytes_that_were_released() {
    let story = "73".repeat(24);
    let key = ["6b".repeat(16), "0500000000000000".into(), "00".into(), "ac02".into(), "0201".into()]
        .concat()
        + "0103026e6f"; // one bad line, 3: no
    let expected = [
        "01".to_owned(),                    // version
        "11".repeat(8),                     // log
        "ac02".to_owned(),                  // sequence
        "22".repeat(8),                     // chain
        "33".repeat(8),                     // stamp
        "44".repeat(16),                    // digest
        "02".to_owned(),                    // applied
        format!("{}02", "55".repeat(8)),    // writer and number
        "02".to_owned(),                    // two parts
        format!("0100{key}"),               // with a key, counted
        "03".to_owned(),                    // three changes
        format!("00{story}03c3a9"),         // story, named
        format!("01{story}0600"),           // welcome node, not named
        format!("02{story}"),               // story deleted
        format!("01ac02{story}"),           // one definition, series 300, its story
        format!("0304{}", "69".repeat(24)), // slack, context fallback
        "02".to_owned(),                    // two increments
        "ac02ced33401".to_owned(),          // series 300, 431335 hours on, 1
        "1801f0a204".to_owned(),            // series 24, an hour back, 70000
        format!("0101{key}"),               // with a key, repeated
    ]
    .concat();
    let bytes = encoded(&example_of_log());
    assert_eq!(Header::parse(&bytes).unwrap().flags, 4);
    let hex = bytes[HEADER_BYTES..].iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(hex, expected);
    assert_eq!(decoded(&bytes), Some(example_of_log()));
}

#[test]
fn section_of_a_newer_version_or_under_another_flag_is_one_that_is_not_known() {
    assert!(!has_unknown_section(FLAG_LOG, &[1]));
    assert!(has_unknown_section(FLAG_LOG, &[2]));
    for flags in
        [0, FLAG_KEY, FLAG_ERASURE, FLAG_KEY | FLAG_ERASURE, FLAG_DROPPED, FLAG_ERASURE | FLAG_DROPPED]
    {
        assert!(!has_unknown_section(flags, &[1]), "{flags}");
    }
    for flags in
        [FLAG_SEALED, FLAG_KEY | FLAG_LOG, FLAG_LOG | FLAG_ERASURE, FLAG_LOG | FLAG_DROPPED, 32, 1 << 31]
    {
        assert!(has_unknown_section(flags, &[1]), "{flags}");
    }
}

#[test]
fn decode_refuses_a_skipped_message_with_parts_and_a_part_without_a_key_that_does_not_count() {
    let damaged = |change: fn(&mut LogSection)| {
        let mut record = example_of_log();
        change(record.log.as_mut().unwrap());
        decoded(&encoded(&record))
    };
    assert_eq!(damaged(|section| section.entry.noted = Noted::Skipped), None);
    assert_eq!(damaged(|section| section.parts[1].batch.key = None), None);
    assert!(damaged(|section| section.parts[0].batch.key = None).is_some());
}

#[test]
fn decode_refuses_any_flipped_bit_and_any_cut() {
    refuses_any_flipped_bit_and_any_cut(&encoded(&example()));
    refuses_any_flipped_bit_and_any_cut(&encoded(&example_of_log()));
}

fn refuses_any_flipped_bit_and_any_cut(bytes: &[u8]) {
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
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
            assert!(decode(&payload, 0, &mut Record::default()).is_err(), "{count} at {place}");
        }
    }
}

#[test]
fn decode_refuses_left_over_bytes() {
    assert!(decode(&[0, 0, 0], 0, &mut Record::default()).is_ok());
    assert!(decode(&[0, 0, 0, 0], 0, &mut Record::default()).is_err());
}

#[test]
fn decode_refuses_an_hour_that_no_event_can_have() {
    for (hour, is_taken) in [(HOURS_MAX - 1, true), (HOURS_MAX, false), (u32::MAX, false)] {
        let batch = Batch { increments: vec![increment(300, hour, 1)], ..Batch::default() };
        let record = Record { sequence: Sequence::new(7), batch, log: None };
        assert_eq!(decoded(&encoded(&record)).is_some(), is_taken, "hour {hour}");
    }
}

#[test]
fn encode_refuses_what_is_over_the_cap_and_appends_nothing() {
    let increments = vec![0; RECORD_BYTES_MAX];
    let parts = Staged { increments: &increments, ..Staged::default() };
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

fn any_erasure() -> impl Strategy<Value = Erasure> {
    let share = (any::<u32>(), 1..=u32::MAX).prop_map(|(number, of)| Share::new(number % of, of).unwrap());
    (any_object(), any::<[u32; 2]>(), 0_u8..1 << 7, 0_u8..1 << 4, share).prop_map(
        |(story, [start, end], sources, metrics, share)| Erasure {
            story: StoryId(story),
            hours: HourRange { start: Hour::new(start), end: Hour::new(end) },
            sources: Sources::of_bits(sources).unwrap(),
            metrics: Metrics::of_bits(metrics).unwrap(),
            share,
        },
    )
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let batch = (
        prop::option::of(any_key()),
        prop::collection::vec(any_definition(), 0..4),
        prop::collection::vec(any_change(), 0..4),
        prop::collection::vec(any_increment(), 0..40),
    );
    batch.prop_map(|(key, definitions, changes, increments)| {
        let key = key.map(Box::new);
        Batch { key, definitions, changes, increments, ..Batch::default() }
    })
}

fn any_part() -> impl Strategy<Value = LoggedPart> {
    let not_counted = (any_key(), prop::sample::select(&[PartFate::Repeated, PartFate::Conflict][..]));
    prop_oneof![
        any_batch().prop_map(|batch| LoggedPart { fate: PartFate::Counted, batch }),
        not_counted.prop_map(|(key, fate)| {
            LoggedPart { fate, batch: Batch { key: Some(Box::new(key)), ..Batch::default() } }
        }),
    ]
}

fn any_section() -> impl Strategy<Value = LogSection> {
    let place = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u128>());
    let noted = prop_oneof![
        Just(Noted::Entered),
        Just(Noted::Skipped),
        (any::<u64>(), any::<u64>())
            .prop_map(|(writer, number)| Noted::Applied(WriterId::new(writer), MessageNumber::new(number))),
    ];
    let parts = prop::collection::vec(any_part(), 0..4);
    (place, noted, parts).prop_map(|((log, sequence, chain, stamp, digest), noted, parts)| {
        let position = Position { sequence: LogSequence::new(sequence), chain: ChainValue::new(chain) };
        let (log, stamp, digest) = (LogId::new(log), LogStamp::new(stamp), Digest::new(digest));
        let entry = LogEntry { log, position, stamp, digest, noted };
        let parts = if matches!(noted, Noted::Applied(..)) { parts } else { Vec::new() };
        LogSection { entry, parts }
    })
}

fn any_record() -> impl Strategy<Value = Record> {
    let dropped = prop::option::of((0..2_000_u32).prop_map(Month::new));
    let of_batch = (any_batch(), prop::option::of(any_erasure()), dropped).prop_map(
        |(batch, erasure, dropped_before)| {
            (Batch { erasure: erasure.map(Box::new), dropped_before, ..batch }, None)
        },
    );
    let of_log = any_section().prop_map(|section| (Batch::default(), Some(Box::new(section))));
    (any::<u64>(), prop_oneof![of_batch, of_log]).prop_map(|(sequence, (batch, log))| Record {
        sequence: Sequence::new(sequence),
        batch,
        log,
    })
}

/// Payloads for the fuzz targets, and which kind each is: 0 a batch, 1 with a key, 2 a message of a log, 3 with an erasure,
/// 4 with a key and an erasure, 5 with what is dropped, 6 with all three.
pub(crate) fn payloads() -> Vec<(u8, Vec<u8>)> {
    let records = [example(), example_of_log()].into_iter().chain(samples(any_record(), 40));
    let payload = |record: Record| {
        let Batch { key, erasure, dropped_before, .. } = &record.batch;
        let kind = match (&record.log, key, erasure, dropped_before) {
            (Some(_), ..) => 2,
            (None, key, None, None) => u8::from(key.is_some()),
            (None, None, Some(_), None) => 3,
            (None, Some(_), Some(_), None) => 4,
            (None, None, None, Some(_)) => 5,
            (None, Some(_), Some(_), Some(_)) => 6,
            // No fuzz target reads these two.
            (None, ..) => return None,
        };
        Some((kind, encoded(&record).split_off(HEADER_BYTES)))
    };
    records.filter_map(payload).collect()
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
        flags in prop::sample::select(&[0, FLAG_KEY, FLAG_LOG, FLAG_ERASURE, FLAG_KEY | FLAG_ERASURE][..]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut record = Record::default();
        let outcome = decode(&bytes, flags, &mut record);
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
