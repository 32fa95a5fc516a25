//! Events as JSON objects: one per line, or a whole body in any layout, one object or one array.
//! Strict about the types of our keys and about keys of ours that are repeated; other keys are ignored.
//!
//! INVARIANT: an array is looked at element by element only if the whole of it is valid JSON, so a body that was cut
//! short counts nothing.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::rules::{self, RawEvent, RawValue, Reading};
use super::value::FieldValue;
use crate::intake::wire::error::{Excerpt, LineError, LineErrorKind};
use crate::intake::wire::time::TimeRules;
use crate::limits::wide;

/// The event of one JSON object.
///
/// # Errors
/// `NotUtf8`, `Json`, `JsonNotObject`, `Twice`, and those of the event's rules. Columns are given for the syntax only.
pub fn event<'a>(object: &'a [u8], times: &TimeRules) -> Result<Reading<'a>, LineError> {
    let text = std::str::from_utf8(object)
        .map_err(|error| LineError::at(error.valid_up_to(), LineErrorKind::NotUtf8))?;
    let got = match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
        None | Some(b'{') => {
            let ObjectMembers { raw, twice } =
                serde_json::from_str(text).map_err(|error| syntax_error(&error))?;
            return match twice {
                None => rules::event(*raw, times, times.json_precision, "event"),
                Some(key) => Err(LineError::whole(LineErrorKind::Twice { key })),
            };
        }
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
    };
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| syntax_error(&error))?;
    Err(LineError::whole(LineErrorKind::JsonNotObject { got }))
}

/// The layout of a body, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyKind {
    /// Lines, each line protocol or a JSON object.
    Lines,
    /// One JSON object over several lines.
    Object,
    /// One JSON array.
    Array,
}

/// The layout of a body. One that begins with `[` is an array. One that begins with `{` is lines if its first
/// line is JSON by itself, else one object if the whole of it is JSON, else lines. Linear in the length of the body.
pub fn body_kind(body: &[u8]) -> BodyKind {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => BodyKind::Array,
        Some(b'{') => {
            let trimmed = body.trim_ascii_start();
            let first_line = trimmed.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if first_line.len() == trimmed.len() || is_json(first_line) || !is_json(trimmed) {
                BodyKind::Lines
            } else {
                BodyKind::Object
            }
        }
        _ => BodyKind::Lines,
    }
}

/// One element of a JSON array of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element<'a> {
    /// Its text.
    pub text: &'a [u8],
    /// Its place in the array, from 1.
    pub number: u64,
    /// The line that it begins on, from 1.
    pub line: u64,
}

/// The elements of a body that is one JSON array.
///
/// # Errors
/// `NotUtf8` or `Json` with the line (from 1) of the fault, where the body as a whole is not valid JSON.
pub fn elements(body: &[u8]) -> Result<Elements<'_>, (u64, LineError)> {
    let fault = |error: &serde_json::Error| (wide(error.line()), syntax_error(error));
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = body.get(..error.valid_up_to()).unwrap_or_default();
        (line_feeds(before).saturating_add(1), LineError::whole(LineErrorKind::NotUtf8))
    })?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| fault(&error))?;
    let trimmed = body.trim_ascii();
    let before = body.len().saturating_sub(body.trim_ascii_start().len());
    let line = line_feeds(body.get(..before).unwrap_or_default()).saturating_add(1);
    let inner = trimmed.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or_default();
    Ok(Elements { rest: inner, number: 0, line })
}

/// Walks the elements of an array that is known to be valid JSON.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    number: u64,
    line: u64,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let trimmed = self.rest.trim_ascii_start();
        let skipped = self.rest.len().saturating_sub(trimmed.len());
        self.line = self.line.saturating_add(line_feeds(self.rest.get(..skipped).unwrap_or_default()));
        if trimmed.is_empty() {
            return None;
        }
        let end = element_end(trimmed);
        let (text, after) = trimmed.split_at_checked(end)?;
        let line = self.line;
        self.line = self.line.saturating_add(line_feeds(text));
        self.number = self.number.saturating_add(1);
        self.rest = after.strip_prefix(b",").unwrap_or(after);
        Some(Element { text: text.trim_ascii_end(), number: self.number, line })
    }
}

/// The offset of the comma after the first element, or the end.
fn element_end(elements: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut within_string = false;
    let mut escaped = false;
    for (offset, byte) in elements.iter().enumerate() {
        if within_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => within_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => within_string = true,
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return offset,
            _ => {}
        }
    }
    elements.len()
}

fn line_feeds(bytes: &[u8]) -> u64 {
    wide(memchr::memchr_iter(b'\n', bytes).count())
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

fn syntax_error(error: &serde_json::Error) -> LineError {
    // The library's text ends with " at line 1 column 7"; the place is given in our own way.
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _place)| what);
    let offset = (error.column() != 0).then(|| error.column().saturating_sub(1));
    LineError::maybe_at(offset, LineErrorKind::Json { what: Excerpt::new(what) })
}

/// What an object has for our keys, and the first of them that it has twice.
#[derive(Default)]
struct ObjectMembers<'a> {
    raw: Box<RawEvent<'a>>,
    twice: Option<&'static str>,
}

impl<'de> Deserialize<'de> for ObjectMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = ObjectMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ObjectMembers<'de>, A::Error> {
        let mut members = ObjectMembers::default();
        while let Some(Text(key)) = map.next_key()? {
            let Some((place, key)) = place(&mut members.raw, &key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let Anything(value) = map.next_value()?;
            if place.replace(RawValue { value, offset: None }).is_some() {
                members.twice = members.twice.or(Some(key));
            }
        }
        Ok(members)
    }
}

/// Where the value of one of our keys goes, and the key's own name.
fn place<'r, 'a>(
    raw: &'r mut RawEvent<'a>,
    key: &str,
) -> Option<(&'r mut Option<RawValue<'a>>, &'static str)> {
    Some(match key {
        "event" => (&mut raw.kind, "event"),
        "storyId" => (&mut raw.story_id, "storyId"),
        "source" => (&mut raw.source, "source"),
        "type" => (&mut raw.node_type, "type"),
        "id" => (&mut raw.id, "id"),
        "parentId" => (&mut raw.parent_id, "parentId"),
        "count" => (&mut raw.count, "count"),
        "paid" => (&mut raw.paid, "paid"),
        "name" => (&mut raw.name, "name"),
        "storyName" => (&mut raw.story_name, "storyName"),
        "timestamp" => (&mut raw.timestamp, "timestamp"),
        _ => return None,
    })
}

/// A string that borrows from the input where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Anything(value) = deserializer.deserialize_str(AnythingVisitor).map(Anything)?;
        match value {
            FieldValue::Text(text) => Ok(Self(text)),
            // Keys of JSON are strings; nothing else comes here.
            _ => Ok(Self(Cow::Borrowed(""))),
        }
    }
}

/// Any value; what is within arrays and objects is skipped.
struct Anything<'a>(FieldValue<'a>);

impl<'de> Deserialize<'de> for Anything<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnythingVisitor).map(Self)
    }
}

struct AnythingVisitor;

impl<'de> Visitor<'de> for AnythingVisitor {
    type Value = FieldValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<FieldValue<'de>, E> {
        Ok(FieldValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldValue<'de>, E> {
        Ok(FieldValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<FieldValue<'de>, E> {
        Ok(FieldValue::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<FieldValue<'de>, E> {
        Ok(FieldValue::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<FieldValue<'de>, E> {
        Ok(i64::try_from(number).map_or(FieldValue::Uint(number), FieldValue::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<FieldValue<'de>, E> {
        Ok(FieldValue::Float(number))
    }

    fn visit_unit<E>(self) -> Result<FieldValue<'de>, E> {
        Ok(FieldValue::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FieldValue<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(FieldValue::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(FieldValue::Other("an object"))
    }
}
