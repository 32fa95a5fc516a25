//! The rules of events, in line protocol and in JSON: what is taken and what is refused, one line per case.

use std::time::Duration;

use super::*;
use crate::model::event::{EventDetails, Node};

const ARRIVAL: Arrival = Arrival {
    unix_nanos: 1_552_824_000_000_000_000,
    max_future: Duration::from_hours(1),
    dropped_before: None,
};
const STORY: &str = "5b07ffafc2376e30306d9b16";

/// The event in short, or what is wrong.
fn show(line: &str, precision: Option<Precision>) -> String {
    let reading = match line::event(line.as_bytes(), &TimeRules::new(ARRIVAL, precision)) {
        Ok(Some(reading)) => reading,
        Ok(None) => return "nothing".to_owned(),
        Err(error) => return error.to_string(),
    };
    let event = &reading.event;
    let what = match &event.what {
        EventDetails::Conversation { paid: true } => "paid".to_owned(),
        EventDetails::Conversation { paid: false } => "conversation".to_owned(),
        EventDetails::Message => "message".to_owned(),
        EventDetails::Interaction { node, name } => {
            let node = match node {
                Node::Interaction(_) => "interaction",
                Node::ContextFallback(_) => "contextFallback",
                Node::Fallback => "fallback",
                Node::Welcome => "welcome",
            };
            name.as_ref().map_or_else(|| node.to_owned(), |name| format!("{node} {name:?}"))
        }
    };
    let story = event.story_name.as_ref().map_or_else(String::new, |name| format!(" of {name:?}"));
    format!("{} {what}{story} at {}", event.count, event.hour.get())
}

/// `text` with `@` for the story's tags gives `wanted`, which a refusal only needs to contain.
fn check(text: &str, wanted: &str) {
    let line = text.replace('@', &format!(",storyId={STORY},source=messenger"));
    let got = show(&line, None);
    assert!(got.contains(wanted), "{line}\n want {wanted}\n got  {got}");
}

fn check_json(text: &str, wanted: &str) {
    let json = text.replace('@', &format!("\"storyId\":\"{STORY}\",\"source\":\"messenger\""));
    let got = show(&json, None);
    assert!(got.contains(wanted), "{json}\n want {wanted}\n got  {got}");
}

#[test]
fn line_events_follow_the_contract() {
    check("conversation@ count=1i,paid=true 1552813200000000000", "1 paid at 431337");
    check("conversation@ x=1", "1 conversation at 431340");
    check("message@,host=a count=3.0,paid=7", "3 message at 431340");
    check("message@,id=x,type=y count=4294967295u", "4294967295 message");
    check("message@ count=0i,storyName=\"a b\"", "0 message of \"a b\"");
    check(&format!("interaction@,id={STORY} name=\"bar\""), "1 interaction \"bar\"");
    check(&format!("interaction@,id={STORY},name=tag name=\"field\""), "1 interaction \"field\"");
    check(&format!("interaction@,id={STORY},name=tag name=\"\""), "1 interaction at");
    check(&format!("interaction@,type=contextFallback,parentId={STORY} x=1"), "1 contextFallback at");
    check("interaction@,type=fallback name=\"n\"", "1 fallback at");
    check("interaction@,type=welcome x=1", "1 welcome at");
    check("conversation@ x=1 126230400000000000", "at 35064");
    check("conversation@ x=1 1552827600000000000", "at 431341");
}

/// 2149-06-07T00:00Z, whatever the clock of the daemon shows.
#[test]
fn no_hour_past_the_last_that_can_be_counted_is_taken() {
    let end = i64::from(crate::limits::HOURS_MAX) * 3_600_000_000_000;
    for unix_nanos in [end - 1, end + 1_000_000_000_000_000] {
        let arrival =
            Arrival { unix_nanos, max_future: Duration::from_hours(366 * 24), dropped_before: None };
        let rules = TimeRules::new(arrival, None);
        for (nanos, is_taken) in [(end - 1, true), (end, false), (end + 1_000_000_000_000, false)] {
            assert_eq!(
                rules.check(nanos, Precision::Nanoseconds).is_ok(),
                is_taken,
                "{nanos} at {unix_nanos}"
            );
            assert_eq!(
                rules.accept_line(nanos.unsigned_abs()).is_some(),
                is_taken,
                "{nanos} at {unix_nanos}"
            );
        }
        assert_eq!(rules.check_absent().is_ok(), unix_nanos < end);
    }
}

#[test]
fn line_events_are_refused_in_words() {
    check("talk@ count=1i", "the measurement must be one of conversation, message, interaction; got `talk`");
    check(&format!("message,source=app,storyid={STORY} count=1i"), "`storyId` is missing");
    check(&format!("message,storyId={STORY} count=1i"), "`source` is missing; it is one of messenger");
    check(
        &format!("message,storyId={STORY},source=App count=1i"),
        "`source` must be one of messenger, livechat",
    );
    check(
        "message,storyId=5b,source=app count=1i",
        "`storyId` must be 24 letters and digits; got `5b` (column 17)",
    );
    check("message@ count=1.5", "`count` must be a whole number from 0 to 4294967295; got 1.5");
    check("message@ count=-1i", "got -1");
    check("message@ count=4294967296i", "got 4294967296");
    check("message@ count=true", "got true");
    check("message@ count=\"1\"", "got the text `1`");
    check("conversation@ paid=1i", "`paid` must be true or false, without quotes; got 1");
    check("conversation@ paid=t,paid=t", "`paid` is given twice");
    check("interaction@ count=1i", "`id` is missing; an interaction is named by its id");
    check("interaction@,id=x count=1i", "`id` must be 24 letters");
    check("interaction@,type=contextFallback count=1i", "`parentId` is missing");
    check(
        &format!("interaction@,type=contextFallback,id={STORY} x=1"),
        "`id` is not allowed for type=contextFallback",
    );
    check(
        &format!("interaction@,id={STORY},parentId={STORY} x=1"),
        "`parentId` is not allowed for type=interaction",
    );
    check(&format!("interaction@,type=fallback,id={STORY} x=1"), "`id` is not allowed for type=fallback");
    check("interaction@,type=other x=1", "`type` must be one of interaction, contextFallback");
    check(&format!("interaction@,id={STORY} name=7i"), "`name` must be a string in double quotes; got 7");
    check(&format!("message@ storyName=\"{}\"", "x".repeat(1025)), "`storyName` is longer than 1024 bytes");
    // What the grammar finds wrong with a field of ours is said in terms of that field.
    for wrong in ["NaN", "-", "1.5i", "-5u", "9223372036854775808i", "1e400"] {
        let wanted =
            format!("`count` must be a whole number from 0 to 4294967295; got `{wrong}` (column 65)");
        check(&format!("message@ count={wrong}"), &wanted);
    }
    check("conversation@ paid=yes", "`paid` must be true or false, without quotes; got `yes` (column");
    check("message@ paid=yes", "field `paid` is not a number, boolean or string in double quotes; got `yes`");
    check(
        &format!("interaction@,id={STORY} name=bar"),
        "`name` must be a string in double quotes; got `bar`",
    );
    check("message@ storyName=bar", "`storyName` must be a string in double quotes; got `bar`");
    check("message@ x=1 9223372036854775808", "the timestamp 9223372036854775808 is out of range");
    // A tag that was written as a field is told from one that is not there.
    check(
        &format!("message,source=app storyId=\"{STORY}\""),
        "`storyId` is a field here, but must be a tag: write `,storyId=` and its value before the first space",
    );
    check(&format!("message,storyId={STORY} source=\"app\""), "`source` is a field here");
    check(&format!("interaction@ id=\"{STORY}\""), "`id` is a field here");
    check("interaction@ type=\"fallback\"", "`type` is a field here");
    check(&format!("interaction@,type=contextFallback parentId=\"{STORY}\""), "`parentId` is a field here");
    check(&format!("message@ id=7i,type=\"x\",parentId=\"{STORY}\""), "1 message");
    check("message@ x=1 126230399999999999", "1973-12-31T23:59:59.999999999Z, before 1974");
    check(
        "message@ x=1 1552813200000",
        "1970-01-01T00:25:52.813200Z, before 1974-01-01; is the precision right?",
    );
    check("message@ x=1 1552827600000000001", "more than 3600 s ahead of the daemon's clock");
    let seconds = format!("message,storyId={STORY},source=app x=1 1552813200");
    assert_eq!(show(&seconds, Some(Precision::Seconds)), "1 message at 431337");
    assert_eq!(
        show(&seconds.replace(" 1552813200", " 431337"), Some(Precision::Hours)),
        "1 message at 431337"
    );
}

#[test]
fn timestamps_at_their_edges_are_taken_or_refused_in_words_in_every_unit() {
    use Precision::{Hours, Microseconds, Milliseconds, Minutes, Nanoseconds, Seconds};
    // The first moment that counts, and the last at this arrival, which is a whole hour.
    let (first, last) = (126_230_400_i64, 1_552_827_600_i64);
    let units = [
        (Nanoseconds, (1_000_000_000, 1)),
        (Microseconds, (1_000_000, 1)),
        (Milliseconds, (1_000, 1)),
        (Seconds, (1, 1)),
        (Minutes, (1, 60)),
        (Hours, (1, 3_600)),
    ];
    for (precision, (times, per)) in units {
        let at = |stamp: i64| {
            let line = format!("message,storyId={STORY},source=app x=1 {stamp}");
            let json = format!(
                "{{\"event\":\"message\",\"storyId\":\"{STORY}\",\"source\":\"app\",\"timestamp\":{stamp}}}"
            );
            let [line, json] = [line, json].map(|text| show(&text, Some(precision)));
            // Only lines have columns.
            assert_eq!(line.split(" (column").next(), Some(json.as_str()), "{stamp} in {precision:?}");
            json
        };
        let (first, last) = (first * times / per, last * times / per);
        assert_eq!(at(first), "1 message at 35064", "{precision:?}");
        assert_eq!(at(last), "1 message at 431341", "{precision:?}");
        for (stamp, words) in
            [(first - 1, "before 1974"), (-1, "before 1974"), (last + 1, "more than 3600 s ahead")]
        {
            assert!(at(stamp).contains(words), "{stamp} in {precision:?}: {}", at(stamp));
        }
        for stamp in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
            let told = at(stamp);
            let is_told =
                ["before 1974", "s ahead of", "out of range"].iter().any(|words| told.contains(words));
            assert!(is_told, "{stamp} in {precision:?}: {told}");
        }
    }
}

#[test]
fn json_events_follow_the_same_rules() {
    check_json(
        "{\"event\":\"conversation\",@,\"paid\":true,\"count\":1,\"timestamp\":\"2019-03-17T09:00:00Z\"}",
        "1 paid at 431337",
    );
    check_json(" {\"x\":[1,{\"count\":2}],\"event\":\"message\",@} ", "1 message at 431340");
    check_json("{\"event\":\"message\",@,\"count\":3.0,\"timestamp\":1552813200000}", "3 message at 431337");
    check_json(
        "{\"event\":\"message\",@,\"timestamp\":\"2019-03-17T10:00:00.5+01:00\",\"storyName\":\"\\u00e9\"}",
        "of \"é\" at 431337",
    );
    check_json(
        &format!("{{\"event\":\"interaction\",@,\"id\":\"{STORY}\",\"name\":\"a\\\"b\"}}"),
        "interaction \"a\\\"b\"",
    );
    check_json("{\"event\":\"message\",@,\"count\":1.5}", "`count` must be a whole number");
    check_json("{\"event\":\"message\",@,\"count\":\"1\"}", "got the text `1`");
    check_json("{\"event\":\"message\",@,\"count\":null}", "got null");
    check_json("{\"event\":\"message\",@,\"source\":\"app\"}", "`source` is given twice");
    check_json("{\"event\":\"conversation\",@,\"paid\":\"true\"}", "`paid` must be true or false");
    check_json("{\"event\":7,@}", "`event` must be a string");
    check_json("{@}", "`event` is missing");
    check_json("{\"event\":\"message\",@,\"timestamp\":\"yesterday\"}", "or RFC 3339 such as");
    check_json("{\"event\":\"message\",@,\"timestamp\":1.5}", "or RFC 3339 such as");
    // JSON does not tell whole numbers from floats without a fraction.
    check_json("{\"event\":\"message\",@,\"timestamp\":1552813200000.0}", "1 message at 431337");
    check_json("{\"event\":\"message\",@,\"timestamp\":1.5528132e12}", "1 message at 431337");
    check_json("{\"event\":\"message\",@,\"timestamp\":1e300}", "or RFC 3339 such as");
    check_json("{\"event\":\"message\",@,\"timestamp\":9223372036854775808}", "does not fit 64 bits");
    check_json("{\"event\":\"message\",@,\"timestamp\":\"1552813200000\"}", "got the text `1552813200000`");
    check_json("{\"event\":\"message\",@,\"timestamp\":\"9999-12-31T23:59:59Z\"}", "more than 3600 s ahead");
    check_json("{\"event\":\"message\",@,\"timestamp\":\"1600-01-01T00:00:00Z\"}", "before 1974-01-01");
    check_json("{\"event\":\"message\",@,\"timestamp\":1552813200}", "is the precision right?");
    check_json("{\"event\":\"message\",@,\"storyName\":\"\\u0007\"}", "control character U+0007");
    check_json("{\"event\":\"message\",@", "not valid JSON: EOF while parsing an object");
    check_json("{\"event\":\"message\",@} x", "not valid JSON: trailing characters");
    let seconds = format!(
        "{{\"event\":\"message\",\"storyId\":\"{STORY}\",\"source\":\"app\",\"timestamp\":1552813200}}"
    );
    assert_eq!(show(&seconds, Some(Precision::Seconds)), "1 message at 431337");
}

#[test]
fn echoes_are_bounded_and_printable() {
    let got = show(&format!("{}\u{301}@ x=1", "é".repeat(500)), None);
    assert!(got.len() < 200 && got.contains('…'), "{got}");
    let got = show("{\"event\":\"\\n\\u001b[31m\"}", None);
    assert!(got.contains("got `\\n\\u{1b}[31m`"), "{got}");
}

#[test]
fn borrowed_lines_stay_borrowed() {
    let line = format!("interaction,storyId={STORY},source=app,id={STORY} name=\"plain\"");
    let reading =
        line::event(line.as_bytes(), &TimeRules::new(ARRIVAL, None)).expect("good").expect("an event");
    let EventDetails::Interaction { name: Some(name), .. } = reading.event.what else {
        panic!("an interaction with a name")
    };
    assert!(matches!(name, std::borrow::Cow::Borrowed("plain")));
}

#[test]
fn unclosed_quotes_in_every_line_take_linear_time() {
    let body = "a v=\"x\n".repeat(200_000);
    let mut rule = block::LineRule::body(body.len());
    let mut rest = body.as_bytes();
    let mut lines = 0;
    while let Some(extent) = block::first_line(rest, &mut rule) {
        rest = rest.get(extent.consumed..).expect("within the body");
        lines += 1;
    }
    assert_eq!(lines, 200_000);
}
