//! The grammar against a third-party corpus of decode cases (see the README of that data). The data is not part of
//! this repository: where it is absent the test says so and passes, unless `TALLYD_CORPUS_REQUIRED` is set.
#![expect(
    clippy::print_stderr,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails where it cannot go on"
)]

use std::path::Path;

use base64::Engine as _;
use serde_json::{Value as Json, json};
use tallyd::intake::wire::block::{LineRule, first_line};
use tallyd::intake::wire::line::{Lexer, LinePart};
use tallyd::intake::wire::{FieldValue, Precision};

/// Cases on which tallyd differs on purpose: how the key begins, and why.
const DIFFERING: [(&str, &str); 3] = [
    ("0d72bd69", "backslash and r in a string are kept as two characters"),
    ("ea7ad628", "backslash and n in a string are kept as two characters"),
    ("d48b040e", "a control character in a string refuses the line"),
];

#[test]
fn every_case_decodes_as_the_corpus_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/line-protocol-cases.jsonl");
    let Ok(cases) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("TALLYD_CORPUS_REQUIRED").is_none(), "{} is absent", path.display());
        eprintln!("skipped: {} is absent", path.display());
        return;
    };
    let mut failures = Vec::new();
    let mut differed = Vec::new();
    let mut count = 0;
    for case in cases.lines() {
        let case: Json = serde_json::from_str(case).expect("each line of the corpus is JSON");
        let key = case["key"].as_str().expect("each case has a key");
        let (wanted, got) = (wanted(&case), decode(&case));
        count += 1;
        if wanted == got {
            continue;
        }
        match DIFFERING.iter().find(|(known, _why)| key.starts_with(known)) {
            Some((known, _why)) => differed.push(*known),
            None => failures.push(format!("{key}: {}\n  want {wanted:?}\n  got  {got:?}", case["text"])),
        }
    }
    assert!(3_000 < count, "only {count} cases");
    assert!(failures.is_empty(), "{} of {count} cases:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(differed.len(), DIFFERING.len(), "of the differing cases only {differed:?} still differ");
}

/// What the corpus wants: the points, or `None` for an error.
fn wanted(case: &Json) -> Option<Vec<Json>> {
    if case["error"] == true {
        return None;
    }
    let mut points = case["points"].as_array().cloned()?;
    for field in points.iter_mut().flat_map(|point| point["fields"].as_array_mut().into_iter().flatten()) {
        if let Some(number) = field["value"]["float"].as_f64() {
            field["value"] = json!({"float": rounded(number)});
        }
    }
    Some(points)
}

/// A float to 15 digits, without the sign of a zero: the JSON library may read the last digit of a long number
/// differently.
fn rounded(number: f64) -> String {
    format!("{:.14e}", number + 0.0)
}

fn decode(case: &Json) -> Option<Vec<Json>> {
    let bytes = match case["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64::engine::general_purpose::STANDARD
            .decode(case["base64"].as_str().expect("a case has text or base64"))
            .expect("base64"),
    };
    let precision = match case["precision"].as_str() {
        Some("1ns") => Precision::Nanoseconds,
        Some("1us") => Precision::Microseconds,
        Some("1ms") => Precision::Milliseconds,
        Some("1s") => Precision::Seconds,
        other => unreachable!("precision {other:?}"),
    };
    let default_time = case["default_time"].as_i64().expect("a time");
    let mut points = Vec::new();
    let mut rest = bytes.as_slice();
    let mut rule = LineRule::body(rest.len());
    while let Some(extent) = first_line(rest, &mut rule) {
        rest = &rest[extent.consumed..];
        if let Some(parts) = Lexer::new(extent.line).ok()? {
            points.push(point(parts, precision, default_time)?);
        }
    }
    Some(points)
}

fn point(mut parts: Lexer<'_>, precision: Precision, default_time: i64) -> Option<Json> {
    let nanos = i64::try_from(precision.nanos()).expect("an hour in nanoseconds fits");
    let mut time = default_time / nanos * nanos;
    let mut measurement = String::new();
    let mut tags = Vec::new();
    let mut fields = Vec::new();
    while let Some(part) = parts.next_part().ok()? {
        match part {
            LinePart::Measurement { name, .. } => measurement = name.into_owned(),
            LinePart::Tag { key, value, .. } => tags.push((key.into_owned(), value.into_owned())),
            LinePart::Field { key, value, .. } => fields.push(json!({"key": key, "value": tagged(&value)})),
            LinePart::Timestamp { units, .. } => time = units.checked_mul(nanos)?,
        }
    }
    tags.sort();
    if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let tags: Vec<Json> = tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    Some(json!({"time": time, "name": measurement, "tags": tags, "fields": fields}))
}

fn tagged(value: &FieldValue<'_>) -> Json {
    match value {
        FieldValue::Int(number) => json!({"int": number}),
        FieldValue::Uint(number) => json!({"uint": number}),
        FieldValue::Float(number) => json!({"float": rounded(*number)}),
        FieldValue::Bool(truth) => json!({"bool": truth}),
        FieldValue::Text(text) => json!({"string": text}),
        FieldValue::Other(name) => unreachable!("{name} is of JSON only"),
    }
}
