//! The checklist of the line-protocol cases that parsers disagree on, row by row: by the grammar alone where a row is
//! about any line, and through the event rules where it is about what tallyd makes of a line.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails where it cannot go on")]

use std::fmt::Write as _;
use std::time::Duration;

use tallyd::intake::wire::block::{LineRule, first_line};
use tallyd::intake::wire::line::{self, Lexer, LinePart};
use tallyd::intake::wire::{Arrival, Precision, TimeRules};

/// The lines of a body, each as `measurement[tags]{fields}@time`, `-` where there is none, or `!what is wrong`.
fn decode(body: &[u8]) -> Vec<String> {
    let mut rule = LineRule::body(body.len());
    let mut rest = body;
    let mut lines = Vec::new();
    while let Some(extent) = first_line(rest, &mut rule) {
        rest = &rest[extent.consumed..];
        match show(extent.line) {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => {}
            Err(error) => lines.push(format!("!{error}")),
        }
    }
    lines
}

fn show(line: &[u8]) -> Result<Option<String>, tallyd::intake::wire::LineError> {
    let Some(mut parts) = Lexer::new(line)? else { return Ok(None) };
    let mut shown = String::new();
    while let Some(part) = parts.next_part()? {
        match part {
            LinePart::Measurement { name, .. } => write!(shown, "{name}"),
            LinePart::Tag { key, value, .. } => write!(shown, "[{key}={value}]"),
            LinePart::Field { key, value, .. } => write!(shown, "{{{key}={value:?}}}"),
            LinePart::Timestamp { units, .. } => write!(shown, "@{units}"),
        }
        .expect("a string can be written to");
    }
    Ok(Some(shown))
}

/// The body gives exactly these lines.
fn check(body: &str, wanted: &[&str]) {
    assert_eq!(decode(body.as_bytes()), wanted, "{body:?}");
}

/// The line is refused with words that contain `wanted`, and a good line after it still counts.
fn refuse(line: &str, wanted: &str) {
    let got = decode(format!("a a=1i\n{line}\nb b=\"2\"\n").as_bytes());
    assert_eq!(got.len(), 3, "{line:?} gave {got:?}");
    assert_eq!(
        (got[0].as_str(), got[2].as_str()),
        ("a{a=Int(1)}", "b{b=Text(\"2\")}"),
        "{line:?} cost a neighbour"
    );
    assert!(got[1].starts_with('!') && got[1].contains(wanted), "{line:?} gave {:?}", got[1]);
}

#[test]
fn rows_1_to_8_spaces_blank_lines_and_comments() {
    check("m v=1i 1", &["m{v=Int(1)}@1"]);
    check("m,s=a v=1i 1", &["m[s=a]{v=Int(1)}@1"]);
    check("m v=1i", &["m{v=Int(1)}"]);
    check("m v=1i ", &["m{v=Int(1)}"]);
    check("m v=1i\r\n", &["m{v=Int(1)}"]);
    check("\r\n\r\n", &[]);
    check("\n\nm v=1\n\n", &["m{v=Float(1.0)}"]);
    check("# c", &[]);
    check("#c v=1", &[]);
    check("  # c \" v=\"", &[]);
    refuse("# \u{1}", "control character");
    check("", &[]);
    refuse("m v=1 # c", "timestamp must be a whole number; got `#`");
    check("  m v=1", &["m{v=Float(1.0)}"]);
    check("m   v=1   5", &["m{v=Float(1.0)}@5"]);
}

#[test]
fn rows_9_to_16_tabs_and_floats() {
    refuse("\tm v=1", "control character U+0009 is not allowed");
    refuse("m\tv=1", "control character");
    check("m v=1\nm v=1e3\nm v=1E-3", &["m{v=Float(1.0)}", "m{v=Float(1000.0)}", "m{v=Float(0.001)}"]);
    check("m v=1.\nm v=.5\nm v=-.5", &["m{v=Float(1.0)}", "m{v=Float(0.5)}", "m{v=Float(-0.5)}"]);
    for wrong in ["-", "1e", "+1", "0x10", "NaN", "inf", "1e+", "1.1.1", "."] {
        refuse(&format!("m v={wrong}"), &format!("got `{wrong}` (column 5)"));
    }
    refuse("m v=1e400", "field `v` is a number out of range");
}

#[test]
fn rows_17_to_24_integers_and_booleans() {
    check("m v=007i\nm v=-0i", &["m{v=Int(7)}", "m{v=Int(0)}"]);
    check("m v=9223372036854775807i", &["m{v=Int(9223372036854775807)}"]);
    check("m v=-9223372036854775808i", &["m{v=Int(-9223372036854775808)}"]);
    refuse("m v=9223372036854775808i", "integer out of range");
    refuse("m v=1.5i", "got `1.5i`");
    refuse("m v=1i2", "got `1i2`");
    check("m v=5u\nm v=18446744073709551615u", &["m{v=Uint(5)}", "m{v=Uint(18446744073709551615)}"]);
    refuse("m v=-5u", "integer out of range");
    refuse("m v=18446744073709551616u", "integer out of range");
    for (truth, spellings) in
        [(true, ["t", "T", "true", "True", "TRUE"]), (false, ["f", "F", "false", "False", "FALSE"])]
    {
        for spelling in spellings {
            check(&format!("m v={spelling}"), &[&format!("m{{v=Bool({truth})}}")]);
        }
    }
    refuse("m v=tRUE", "got `tRUE`");
    refuse("m v=yes", "got `yes`");
}

#[test]
fn rows_25_to_31_strings() {
    check("m v=\"\"", &["m{v=Text(\"\")}"]);
    check("m v=\"a b,c=d\"", &["m{v=Text(\"a b,c=d\")}"]);
    check("m v=\"a\nb\" 7\nn n=1i", &["m{v=Text(\"a\\nb\")}@7", "n{n=Int(1)}"]);
    check(r#"m v="a\"b""#, &["m{v=Text(\"a\\\"b\")}"]);
    check(r#"m v="a\\b""#, &["m{v=Text(\"a\\\\b\")}"]);
    check(r#"m v="a\nb""#, &["m{v=Text(\"a\\\\nb\")}"]);
    refuse("m v=\"a", "no closing double quote");
    refuse("m v=\"a\"b", "after the closing quote of field `v`");
    refuse("m v='a'", "got `'a'`");
    // On a stream the line feed ends the line.
    let mut rule = LineRule::Stream;
    let extent = first_line(b"m v=\"a\nb\"\n", &mut rule).expect("a line");
    assert_eq!((extent.line, extent.consumed), (b"m v=\"a".as_slice(), 7));
    assert!(first_line(b"m v=1", &mut rule).is_none());
}

#[test]
fn rows_32_to_39_missing_parts() {
    refuse("m", "the fields are missing: expected a space");
    refuse("m ", "the fields are missing after the space");
    refuse("m v", "field `v` has no value");
    refuse("m v=", "field `v` has an empty value");
    refuse("m 1", "the fields are missing before the timestamp `1`");
    refuse("m =1", "field key is empty");
    check("m v=1,w=2", &["m{v=Float(1.0)}{w=Float(2.0)}"]);
    refuse("m v=1,", "a field is expected after the comma");
    refuse("m v=1, w=2", "a field is expected after the comma");
    check("m v=1i,v=2i", &["m{v=Int(1)}{v=Int(2)}"]);
    refuse("m, v=1", "tag key is empty");
    refuse("m,a v=1", "tag `a` has no value");
    refuse("m,a= v=1", "tag `a` has an empty value");
    refuse("m,=b v=1", "tag key is empty");
}

#[test]
fn rows_40_to_49_tags_and_escapes() {
    check("m,b=1,a=2 v=1", &["m[b=1][a=2]{v=Float(1.0)}"]);
    refuse("m,a=b=c v=1", "unescaped `=`");
    check(r"m,a=b\=c v=1", &["m[a=b=c]{v=Float(1.0)}"]);
    check(r"m,a\,b=c v=1", &["m[a,b=c]{v=Float(1.0)}"]);
    check(r"m,a=b\ c v=1", &["m[a=b c]{v=Float(1.0)}"]);
    check(r"m,a=b\,c v=1", &["m[a=b,c]{v=Float(1.0)}"]);
    check(r"m\,x v=1", &["m,x{v=Float(1.0)}"]);
    check(r"m\ x v=1", &["m x{v=Float(1.0)}"]);
    check(r"m\=x v=1", &["m\\=x{v=Float(1.0)}"]);
    check("m=x v=1", &["m=x{v=Float(1.0)}"]);
    check("\"m\" v=1", &["\"m\"{v=Float(1.0)}"]);
    check(r"m,a=\t v=1", &["m[a=\\t]{v=Float(1.0)}"]);
    refuse(r"m,a=b\ v=1", "unescaped `=`");
    check(r"m,a=b\\ c v=1", &["m[a=b\\ c]{v=Float(1.0)}"]);
    check("m,a=\"x\" v=1", &["m[a=\"x\"]{v=Float(1.0)}"]);
    refuse("m a b=1", "field `a` has no value");
}

#[test]
fn rows_50_to_56_timestamps_and_characters() {
    check("m v=1 -5", &["m{v=Float(1.0)}@-5"]);
    for wrong in ["1.5", "1e3", "abc", "-"] {
        refuse(&format!("m v=1 {wrong}"), &format!("timestamp must be a whole number; got `{wrong}`"));
    }
    refuse("m v=1 12 13", "nothing may follow the timestamp; got `13`");
    refuse("m v=1 9223372036854775808", "out of range");
    refuse(",a=b v=1", "measurement is missing");
    refuse(" v=1", "the fields are missing");
    check("m,a=é世 v=1\n日本 v=1i", &["m[a=é世]{v=Float(1.0)}", "日本{v=Int(1)}"]);
    refuse("m,a=\0 v=1", "U+0000");
    refuse("m,a=\u{1} v=1", "U+0001");
    refuse("m v\u{1}=1", "U+0001");
    refuse("m v=\"\u{7f}\"", "U+007F");
    refuse("m v=\"\u{9b}\"", "U+009B");
    let got = decode(b"a a=1i\nm,a=\xff v=1\nb b=1i\n");
    assert_eq!(got, ["a{a=Int(1)}", "!the line is not valid UTF-8 (column 5)", "b{b=Int(1)}"]);
}

const NOON: Arrival = Arrival {
    unix_nanos: 1_552_824_000_000_000_000,
    max_future: Duration::from_hours(1),
    dropped_before: None,
};
const HEAD: &str = "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger";

/// The event of `line`, as its count and hour, or what is wrong.
fn event(line: &str, precision: Option<Precision>) -> String {
    match line::event(line.as_bytes(), &TimeRules::new(NOON, precision)) {
        Ok(Some(reading)) => format!("{} in {}", reading.event.count, reading.event.hour.get()),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn rows_37_38_50_52_and_57_as_events() {
    assert_eq!(event(&format!("{HEAD} count=2i,x=1,x=2"), None), "2 in 431340");
    assert_eq!(event(&format!("{HEAD} count=1i,count=1i"), None), "`count` is given twice (column 79)");
    assert_eq!(event(&format!("{HEAD},a=1,a=2 count=1i"), None), "tag `a` is given twice (column 70)");
    let early = event(&format!("{HEAD} count=1i -5"), None);
    assert!(early.contains("before 1974-01-01; is the precision right?"), "{early}");
    let overflow = event(&format!("{HEAD} count=1i 200000000000000000"), Some(Precision::Seconds));
    assert!(overflow.contains("out of range when taken as seconds"), "{overflow}");
    let http = line::event(b"GET / HTTP/1.1", &TimeRules::new(NOON, None)).expect_err("HTTP is no event");
    assert!(http.is_http());
    assert_eq!(
        http.to_string(),
        "this looks like an HTTP request, not an event (over TCP: this is the line port, HTTP is on the other one)"
    );
    let tls =
        line::event(&[0x16, 0x03, 0x01, 0x02], &TimeRules::new(NOON, None)).expect_err("TLS is no event");
    assert!(tls.is_tls());
}

#[test]
fn row_58_precisions_by_name() {
    for (name, v1, v2) in [
        ("n", Some(Precision::Nanoseconds), None),
        ("ns", Some(Precision::Nanoseconds), Some(Precision::Nanoseconds)),
        ("u", Some(Precision::Microseconds), None),
        ("µ", Some(Precision::Microseconds), None),
        ("us", Some(Precision::Microseconds), Some(Precision::Microseconds)),
        ("ms", Some(Precision::Milliseconds), Some(Precision::Milliseconds)),
        ("s", Some(Precision::Seconds), Some(Precision::Seconds)),
        ("m", Some(Precision::Minutes), None),
        ("h", Some(Precision::Hours), None),
        ("bogus", None, None),
    ] {
        assert_eq!((Precision::parse_v1(name), Precision::parse_v2(name)), (v1, v2), "{name}");
    }
}
