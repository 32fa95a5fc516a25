//! Random lines: the fast path says what the slow path says, a bad line costs no neighbour, and reads may be cut anywhere.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::intake::batching::testing::fast_path;
use crate::intake::wire::line as grammar;
use crate::test_seeds::samples;

/// Of the random lines; a failure names its smallest case.
const SEED: u64 = 20_190_317;

/// A line as clients might send it, or nearly.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(vec![
        format!("conversation,storyId={STORY},source=slack"),
        format!("conversation,source=slack,storyId={STORY}"),
        format!("message,storyId={STORY},source=app,host=a\\ b"),
        format!("message,storyId={NODE},source=widget"),
        format!("interaction,storyId={STORY},source=app,id={NODE}"),
        format!("interaction,id={STORY},source=livechat3,storyId={NODE}"),
        format!("interaction,storyId={STORY},source=app,id=,id={NODE}"),
        format!("message,storyId={STORY},source=livechat,storyId={STORY}"),
        format!("message,storyId={STORY},source=livechat2"),
        format!("interaction,storyId={STORY},source=app,type=fallback"),
        format!("interaction,storyId={STORY},source=app,id={NODE},name=n"),
        format!("message,storyId={STORY},source=nowhere"),
        format!("  message,storyId={STORY},source=app"),
        "# comment".to_owned(),
        "message\\".to_owned(),
        String::new(),
    ]);
    let tail = prop::sample::select(vec![
        " count=1i",
        " count=17i,paid=true",
        " count=0i,paid=T",
        " count=2,paid=f",
        " count=3.0",
        " count=1.5",
        " count=-1i",
        " count=4294967295i",
        " count=4294967296i",
        " count=1u",
        " paid=t",
        " count=1i,name=\"a b\"",
        " count=",
        " count=1i,paid=maybe",
        " count=1i,count=1i",
        "  count=1i",
        " count=1i,paid=true,paid=true",
        " x=\"",
        "",
    ]);
    let mutation = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    let line = prop_oneof![
        3 => (head, tail, any_time()).prop_map(|(head, tail, time)| format!("{head}{tail}{time}")),
        1 => any_object(),
    ];
    (line, mutation).prop_map(|(line, mutation)| {
        let mut line = line.into_bytes();
        if let Some((place, byte)) = mutation
            && !line.is_empty()
            && byte != b'\n'
        {
            let place = place.index(line.len());
            line[place] = byte;
        }
        if line.first() == Some(&b'!') {
            line[0] = b'?';
        }
        line
    })
}

/// The end of a line: a timestamp, or nearly.
fn any_time() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        " 1552813200000000000",
        " 1552813200000000001",
        " 1552813200000",
        " 126230400000000000",
        " 126230399999999999",
        " 1552827600000000000",
        " 1552827600000000001",
        " 9223372036854775807",
        " 9223372036854775808",
        " 99999999999999999999",
        " -1",
        "  1552813200000000000 ",
        " 0001552813200000000000",
        " 1552813200000000000x",
        " ",
        "\r",
        " 1552813200000000000\r",
    ])
}

/// A JSON object as clients might send it, or nearly.
fn any_object() -> impl Strategy<Value = String> {
    let members = prop::sample::subsequence(
        vec![
            "\"event\":\"conversation\"".to_owned(),
            "\"event\":\"interaction\"".to_owned(),
            "\"event\":\"message\"".to_owned(),
            format!("\"storyId\":\"{STORY}\""),
            format!("\"storyId\":\"{NODE}\""),
            "\"source\":\"livechat\"".to_owned(),
            "\"source\":\"livechat3\"".to_owned(),
            format!("\"id\":\"{NODE}\""),
            "\"count\":7".to_owned(),
            "\"count\":0".to_owned(),
            "\"count\":1e3".to_owned(),
            "\"paid\":true".to_owned(),
            "\"paid\":false".to_owned(),
            "\"timestamp\":1552813200000".to_owned(),
            "\"timestamp\":1552813200000000001".to_owned(),
            "\"timestamp\":01552813200000".to_owned(),
            "\"name\":\"n\"".to_owned(),
            " \"host\":1".to_owned(),
        ],
        3..8,
    );
    let usual = prop::sample::subsequence(
        vec![
            format!("\"id\":\"{NODE}\""),
            "\"count\":4294967295".to_owned(),
            "\"paid\":true".to_owned(),
            "\"timestamp\":1552813200000".to_owned(),
        ],
        0..=4,
    );
    let kind = prop::sample::select(vec!["conversation", "interaction", "message"]);
    let usual = (kind, usual).prop_map(|(kind, more)| {
        let needed = [
            format!("\"event\":\"{kind}\""),
            format!("\"storyId\":\"{STORY}\""),
            "\"source\":\"slack\"".to_owned(),
        ];
        [needed.to_vec(), more].concat()
    });
    prop_oneof![members, usual].prop_shuffle().prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// Lines for the fuzz targets.
pub(crate) fn lines() -> Vec<Vec<u8>> {
    samples(any_line(), 200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: RngSeed::Fixed(SEED), ..ProptestConfig::default() })]

    /// Known series, blocks and bodies change nothing: neither what is counted nor what is refused.
    #[test]
    fn fast_path_says_what_the_slow_path_says(lines in prop::collection::vec(any_line(), 1..120)) {
        fast_path(&[b"\0", lines.join(&b'\n').as_slice()].concat());
    }

    /// `parse(a + bad + b) == [a, error, b]`, on a stream and in a body.
    #[test]
    fn bad_line_costs_no_neighbour(bad in bad_line(), quote in any::<bool>()) {
        let name = if quote { ",storyName=\"a b\"" } else { "" };
        let before = line("message", &format!(" count=5i{name}"));
        let after = line("conversation", &format!(" count=7i{name}"));
        let text = [before.as_bytes(), &bad, b"\n", after.as_bytes()].concat();
        let catalogue = catalogue();
        let mut parser = Parser::new(catalogue.clone());
        let mut streamed = Parsed::default();
        parser.parse_stream(&text, ARRIVAL, &mut streamed);
        let whole = parser.parse_body(&text, ARRIVAL, None);
        for parsed in [streamed, whole] {
            let counts: Vec<u32> = parsed.batch.increments.iter().map(|increment| increment.count).collect();
            prop_assert_eq!(counts, vec![5, 7]);
            prop_assert_eq!(parsed.rejections.iter().map(|rejection| rejection.line).collect::<Vec<_>>(), vec![2]);
        }
    }

    /// Any cutting of a stream into reads gives the same, and no bytes at all can panic.
    #[test]
    fn stream_does_not_depend_on_the_reads(
        lines in prop::collection::vec(any_line(), 0..20),
        junk in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = lines.join(&b'\n');
        text.extend(junk.iter().filter(|byte| **byte != b'!'));
        let catalogue = catalogue();
        let cut = cut.index(text.len() + 1);
        let mut whole = Parsed::default();
        let mut parser = Parser::new(catalogue.clone());
        let (taken, _) = take_all(&mut parser, &text, &mut whole);
        parser.finish_stream(&text[taken..], ARRIVAL, &mut whole);
        let mut pieces = Parsed::default();
        let mut parser = Parser::new(catalogue.clone());
        let (taken, _) = take_all(&mut parser, &text[..cut], &mut pieces);
        let (more, _) = take_all(&mut parser, &text[taken..], &mut pieces);
        parser.finish_stream(&text[taken + more..], ARRIVAL, &mut pieces);
        prop_assert_eq!(&whole.batch, &pieces.batch);
        prop_assert_eq!(whole.tally, pieces.tally);
        drop(parser.parse_body(&text, ARRIVAL, None));
    }
}

/// A line that is wrong in one way or another, quotes and all.
fn bad_line() -> impl Strategy<Value = Vec<u8>> {
    let mutated = any_line().prop_filter("only bad lines", |line| {
        let times = TimeRules::new(ARRIVAL, None);
        !line.contains(&b'\n') && grammar::event(line.strip_suffix(b"\r").unwrap_or(line), &times).is_err()
    });
    let chosen = prop::sample::select(vec![
        "m v=\"a",
        "m v=\"a\"b",
        "m v=\"",
        "message v=\"a,b=\"c",
        "{",
        "{\"event\":\"message",
        "[",
        "m",
        "m,a=\"b",
        "\u{1}",
        "\"",
        "m v=1,w=\"\\",
        "m v=a\"",
        "!",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>().prop_filter("one line", |byte| *byte != b'\n'), 1..80)
        .prop_map(|mut bytes| {
            // No comment, no blank line, nothing that could be good.
            bytes.insert(0, b'x');
            bytes
        });
    // On a stream `!` begins a command.
    prop_oneof![mutated, chosen, noise].prop_map(|mut bytes| {
        if bytes.first() == Some(&b'!') {
            bytes.insert(0, b'x');
        }
        bytes
    })
}
