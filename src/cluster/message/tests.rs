//! The bytes of messages as they were released, and what must hold for any message.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::unnecessary_box_returns,
    reason = "noise in tests"
)]

use proptest::prelude::*;

use super::part::{Cell, PartKey, Sum};
use super::testing::seal;
use super::*;
use crate::model::batch::{BatchIdentity, Change, KeyId, KeyRule, KeyedAnswer, RejectedLine};
use crate::model::calendar::Hour;
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::test_seeds::samples;

const FIXTURE: &str = include_str!("../../../tests/fixtures/log-message-1.hex");

fn object(text: &str) -> ObjectId {
    ObjectId::parse(text.as_bytes()).unwrap()
}

fn hex_story() -> StoryId {
    StoryId(object("5b07ffafc2376e30306d9b16"))
}

fn text_story() -> StoryId {
    StoryId(object("ZZZZZZZZZZZZZZZZZZZZZZZZ"))
}

fn message(number: u64, body: Body) -> Message {
    Message {
        log: LogId::new(0x0123_4567_89ab_cdef),
        writer: WriterId::new(0xfedc_ba98_7654_3210),
        number: MessageNumber::new(number),
        base: Position { sequence: LogSequence::new(70_000), chain: ChainValue::new(0x1122_3344_5566_7788) },
        body,
    }
}

fn keyed() -> Box<PartKey> {
    let identity = BatchIdentity { rule: KeyRule::Window, id: KeyId([7; 16]), content: 9 };
    let bad_lines = vec![RejectedLine { line: 3, message: "no".into() }].into();
    Box::new(PartKey { identity, answer: KeyedAnswer { accepted: 300, rejected: 1, bad_lines } })
}

/// All kinds of everything that version 1 can say.
fn examples() -> Vec<Message> {
    let node = Node::ContextFallback(InteractionId(object("5b07ff77c2376e30306d9b12")));
    let series = [
        SeriesKey { story: text_story(), source: Source::Slack, metric: Metric::Messages },
        SeriesKey { story: hex_story(), source: Source::Custom, metric: Metric::Interaction(node) },
        SeriesKey { story: hex_story(), source: Source::App, metric: Metric::Interaction(Node::Welcome) },
    ];
    let sum = |series, hour, count| Sum { series, hour: Hour::new(hour), count };
    let sums = vec![
        sum(0, 431_002, 2),
        sum(1, 431_000, u64::from(u32::MAX)),
        sum(1, 431_000, 6),
        sum(1, 431_001, 300),
        sum(0, 431_002, 1),
    ];
    let unkeyed = Part::new(None, Vec::new(), &series, sums);
    let changes = vec![
        Change::DeleteStory { story: text_story() },
        Change::Story { story: hex_story(), name: Some("é".into()) },
        Change::Story { story: text_story(), name: None },
        Change::Node { story: hex_story(), node, name: Some("".into()) },
        Change::Node { story: hex_story(), node: Node::Fallback, name: None },
    ];
    let keyed = Part::new(Some(keyed()), changes, &series[..1], vec![sum(0, 431_000, 1)]);
    vec![
        message(1, Body::Batches(vec![unkeyed, keyed])),
        message(300, Body::Batches(Vec::new())),
        message(0, Body::Witness),
        message(0, Body::Alarm(AlarmCause::Forked)),
        message(0, Body::Alarm(AlarmCause::WentBack)),
        message(0, Body::Genesis(Genesis { digest: Digest::new(5), marks: 6, origin: Origin::new(7) })),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Inputs for the check that is also a fuzz target: what follows the checksum.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let random = samples(any_message(), 30);
    let bytes = examples().into_iter().chain(random).map(|message| message.encode());
    bytes.map(|bytes| [&[0, 77], &bytes[UNCHECKED_BYTES..]].concat()).collect()
}

#[test]
fn bytes_of_version_1_are_as_they_were_released() {
    let fixture: Vec<&str> = FIXTURE.lines().filter(|line| !line.starts_with('#')).collect();
    let written: Vec<String> = examples().iter().map(|message| hex(&message.encode())).collect();
    assert_eq!(written, fixture, "\n{}", written.join("\n"));
    for (line, example) in fixture.iter().zip(examples()) {
        let digits: Vec<u8> =
            line.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        assert_eq!(Message::decode(&bytes), Ok(example));
    }
}

#[test]
fn equal_cells_are_added_up_and_a_sum_over_32_bits_is_two() {
    let Body::Batches(parts) = &examples()[0].body else { panic!("batches") };
    let part = &parts[0];
    // Stories that can be packed come first.
    let order: Vec<_> = part.series().iter().map(|key| (key.story, key.source)).collect();
    assert_eq!(
        order,
        [(hex_story(), Source::Custom), (hex_story(), Source::App), (text_story(), Source::Slack)]
    );
    let cell = |series, hour, count| Cell { series, hour: Hour::new(hour), count };
    let cells = [cell(0, 431_000, u32::MAX), cell(0, 431_000, 6), cell(0, 431_001, 300), cell(2, 431_002, 3)];
    assert_eq!(part.cells(), cells);
}

#[test]
fn any_flipped_bit_and_any_cut_is_damage() {
    for example in examples() {
        let bytes = example.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Message::decode(&flipped), Err(MessageError::Damaged), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(Message::decode(&bytes[..length]), Err(MessageError::Damaged), "{length} bytes");
        }
    }
}

#[test]
fn other_version_is_refused_in_words() {
    let mut bytes = examples()[2].encode();
    bytes[0] = 2;
    seal(&mut bytes);
    let error = Message::decode(&bytes).unwrap_err();
    assert_eq!(error, MessageError::Version(2));
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_though_its_sum_is_right() {
    let head = |kind: u8, number: u8| {
        let mut bytes = vec![VERSION, 0, 0, 0, 0, kind];
        bytes.extend([0; 16]);
        bytes.extend([number, 0]);
        bytes.extend([0; 8]);
        bytes
    };
    let id = [0x5b; 12];
    let table = [&[1][..], &id, &[0]].concat();
    // Flags, stories, nodes, changes: up to the series of a part.
    let part = |rest: &[u8]| [&[1, 0][..], &table, &[0, 0, 0], rest].concat();
    let cases: [(u8, u8, Vec<u8>, &str); 20] = [
        (9, 0, vec![], "its kind is not known"),
        (KIND_WITNESS, 1, vec![], "its kind does not go with its number"),
        (KIND_BATCHES, 0, vec![0], "its kind does not go with its number"),
        (KIND_WITNESS, 0, vec![0], "bytes are left over"),
        (KIND_ALARM, 0, vec![2], "the cause of the alarm is not known"),
        (KIND_GENESIS, 0, vec![0; 31], "it ends within a genesis"),
        (KIND_BATCHES, 1, vec![2, 0, 0, 0, 0, 0, 0, 0], "the number of parts is wrong"),
        (KIND_BATCHES, 1, vec![1, 2, 0, 0, 0, 0, 0, 0], "the flags of a part are not known"),
        (KIND_BATCHES, 1, vec![1, 1, 0, 0, 0, 0, 0, 0], "a key cannot be read"),
        (KIND_BATCHES, 1, vec![1, 0, 0xff, 0xff, 3, 0, 0, 0], "a table of stories cannot be read"),
        (
            KIND_BATCHES,
            1,
            [&[1, 0][..], &[2], &id, &id, &[0, 0, 0, 0, 0]].concat(),
            "a table of stories cannot be read",
        ),
        (
            KIND_BATCHES,
            1,
            [&[1, 0, 0, 1][..], &[b'a'; 24], &[0, 0, 0, 0]].concat(),
            "a table of stories cannot be read",
        ),
        (KIND_BATCHES, 1, vec![1, 0, 0, 0, 0, 9, 0, 0, 0], "a table of nodes cannot be read"),
        (KIND_BATCHES, 1, vec![1, 0, 0, 0, 0, 0, 0xff, 0, 0], "the number of changes is wrong"),
        (KIND_BATCHES, 1, vec![1, 0, 0, 0, 0, 0, 1, 3, 0, 0], "a change cannot be read"),
        (KIND_BATCHES, 1, part(&[1, 1, 0, 0]), "a series cannot be read"),
        (KIND_BATCHES, 1, part(&[2, 0, 0, 0, 0, 0, 0]), "a series cannot be read"),
        (KIND_BATCHES, 1, part(&[1, 0, 0, 1, 7, 1, 1]), "the cells cannot be read"),
        (KIND_BATCHES, 1, part(&[1, 0, 0, 1, 7, 0, 0]), "the cells cannot be read"),
        (KIND_BATCHES, 1, part(&[1, 0, 0, 2, 7, 0, 1, 0, 1]), "the cells cannot be read"),
    ];
    for (kind, number, rest, expected) in cases {
        let mut bytes = [head(kind, number), rest].concat();
        seal(&mut bytes);
        assert_eq!(Message::decode(&bytes), Err(MessageError::Unreadable(expected)), "{}", hex(&bytes));
    }
    let mut good = [head(KIND_BATCHES, 1), part(&[1, 0, 0, 2, 7, 0, 1, 1, 1])].concat();
    seal(&mut good);
    assert!(Message::decode(&good).is_ok(), "the table above differs from what is good");
    let mut short = head(KIND_WITNESS, 0);
    short.pop();
    seal(&mut short);
    assert_eq!(Message::decode(&short), Err(MessageError::Unreadable("it ends within its head")));
}

fn any_id() -> impl Strategy<Value = ObjectId> {
    prop_oneof!["[0-9a-f]{24}", "[0-9A-Za-z]{24}", "[ab]{23}[0-3A-C]"].prop_map(|text| object(&text))
}

fn any_node() -> impl Strategy<Value = Node> {
    prop_oneof![
        any_id().prop_map(|id| Node::Interaction(InteractionId(id))),
        any_id().prop_map(|id| Node::ContextFallback(InteractionId(id))),
        Just(Node::Fallback),
        Just(Node::Welcome),
    ]
}

fn any_series() -> impl Strategy<Value = SeriesKey> {
    let metric = prop_oneof![
        Just(Metric::Conversations),
        Just(Metric::PaidConversations),
        Just(Metric::Messages),
        any_node().prop_map(Metric::Interaction),
    ];
    (any_id(), prop::sample::select(&Source::ALL[..]), metric).prop_map(|(story, source, metric)| SeriesKey {
        story: StoryId(story),
        source,
        metric,
    })
}

fn any_change() -> impl Strategy<Value = Change> {
    let name = || prop::option::of(".{0,9}".prop_map(String::into_boxed_str));
    prop_oneof![
        (any_id(), name()).prop_map(|(id, name)| Change::Story { story: StoryId(id), name }),
        (any_id(), any_node(), name()).prop_map(|(id, node, name)| Change::Node {
            story: StoryId(id),
            node,
            name
        }),
        any_id().prop_map(|id| Change::DeleteStory { story: StoryId(id) }),
    ]
}

fn any_part() -> impl Strategy<Value = Part> {
    let bad_line =
        (any::<u64>(), ".{0,9}").prop_map(|(line, message)| RejectedLine { line, message: message.into() });
    let key = (
        any::<[u8; 16]>(),
        any::<u64>(),
        prop::sample::select(&KeyRule::ALL[..]),
        any::<(u32, u32)>(),
        prop::collection::vec(bad_line, 0..3),
    );
    let key = key.prop_map(|(id, content, rule, (accepted, rejected), bad_lines)| {
        let answer = KeyedAnswer { accepted, rejected, bad_lines: bad_lines.into() };
        Box::new(PartKey { identity: BatchIdentity { rule, id: KeyId(id), content }, answer })
    });
    let count = prop_oneof![0_u64..4, any::<u32>().prop_map(u64::from), Just(3 << 32)];
    let sum = (0_u32..9, prop_oneof![430_000..430_004_u32, 0..crate::limits::HOURS_MAX], count);
    (
        prop::option::weighted(0.3, key),
        prop::collection::vec(any_change(), 0..4),
        prop::collection::vec(any_series(), 0..9),
        prop::collection::vec(sum, 0..20),
    )
        .prop_map(|(key, changes, series, sums)| {
            let sums =
                sums.into_iter().map(|(series, hour, count)| Sum { series, hour: Hour::new(hour), count });
            Part::new(key, changes, &series, sums.collect())
        })
}

fn any_message() -> impl Strategy<Value = Message> {
    (any::<[u64; 4]>(), 1_u64.., prop::collection::vec(any_part(), 0..4)).prop_map(
        |([log, writer, sequence, chain], number, parts)| Message {
            log: LogId::new(log),
            writer: WriterId::new(writer),
            number: MessageNumber::new(number),
            base: Position { sequence: LogSequence::new(sequence), chain: ChainValue::new(chain) },
            body: Body::Batches(parts),
        },
    )
}

proptest! {
    #[test]
    fn messages_come_back(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn part_holds_the_sums_that_it_was_given(
        series in prop::collection::vec(any_series(), 1..6),
        sums in prop::collection::vec((0_u32..6, 0_u32..3, 0_u64..1 << 34), 0..30),
    ) {
        let mut expected = std::collections::BTreeMap::new();
        let mut given = Vec::new();
        for (place, hour, count) in sums {
            let Some(key) = series.get(place as usize) else { continue };
            given.push(Sum { series: place, hour: Hour::new(hour), count });
            if count > 0 {
                *expected.entry((*key, Hour::new(hour))).or_insert(0_u64) += count;
            }
        }
        let part = Part::new(None, Vec::new(), &series, given);
        let mut found = std::collections::BTreeMap::new();
        for (key, hour, count) in part.increments() {
            *found.entry((*key, hour)).or_insert(0_u64) += u64::from(count);
        }
        prop_assert_eq!(found, expected);
        prop_assert!(series.iter().all(|key| part.series().contains(key)), "a series is made known without a sum");
    }
}
