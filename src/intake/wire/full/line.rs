//! The grammar of line protocol, complete: measurement, tags, fields, timestamp; escapes, quoted strings, comments.
//! [`Lexer`] lexes any line, whatever it is about; [`event`] makes an event of tallyd's own kinds out of one.
//! Leaves to [`rules`] which tags and fields mean something.
//!
//! INVARIANT: a line without escapes gives slices of itself, nothing is allocated.
//! INVARIANT: control characters are refused wherever they are, but for a line feed within a quoted string, which the
//! body rule of [`block`](crate::intake::wire::block) lets in.

use std::borrow::Cow;
use std::collections::HashSet;

use super::rules::{self, RawEvent, RawValue, Reading};
use super::value::{self, FieldValue};
use crate::intake::wire::error::{Excerpt, LineError, LineErrorKind};
use crate::intake::wire::time::TimeRules;
use crate::limits::TAGS_COMPARED_MAX;
use crate::model::event::EventKind;

/// One part of a lexed line, in the order of the line: the measurement, the tags, the fields, the timestamp.
/// `offset` is where its text begins, in bytes from the start of the line.
#[derive(Clone, PartialEq, Debug)]
pub enum LinePart<'a> {
    /// The measurement, unescaped.
    Measurement {
        /// Its name.
        name: Cow<'a, str>,
        /// Where it begins.
        offset: usize,
    },
    /// A tag, unescaped.
    Tag {
        /// The key, never empty.
        key: Cow<'a, str>,
        /// The value, never empty.
        value: Cow<'a, str>,
        /// Where the value begins.
        offset: usize,
    },
    /// A field, unescaped.
    Field {
        /// The key, never empty.
        key: Cow<'a, str>,
        /// The value.
        value: FieldValue<'a>,
        /// Where the value begins.
        offset: usize,
    },
    /// The timestamp, in whatever unit the client meant.
    Timestamp {
        /// The number.
        units: i64,
        /// Where it begins.
        offset: usize,
    },
}

/// Lexes one line part by part. The line is good if [`Lexer::next_part`] ends with `Ok(None)`.
/// A tag that is given twice is not its concern.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    position: usize,
    expect: Expect,
}

/// What the lexer expects at its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    Measurement,
    TagOrFields,
    Field,
    FieldsEnd,
    Nothing,
}

/// A stretch of a line up to (not including) the byte that ends it.
#[derive(Clone, Copy)]
struct Lexeme {
    start: usize,
    end: usize,
    escaped: bool,
}

impl<'a> Lexer<'a> {
    /// The parts of `line` (without its line ending); `None` for a blank line or a comment.
    ///
    /// # Errors
    /// `NotUtf8`, and `ControlCharacter` within a comment.
    pub fn new(line: &'a [u8]) -> Result<Option<Self>, LineError> {
        let start = line.iter().position(|byte| *byte != b' ');
        let Some((start, first)) = start.and_then(|start| Some((start, line.get(start)?))) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(line)
            .map_err(|error| LineError::at(error.valid_up_to(), LineErrorKind::NotUtf8))?;
        let mut parts = Self { text, position: start, expect: Expect::Measurement };
        if *first != b'#' {
            return Ok(Some(parts));
        }
        while parts.peek().is_some() {
            parts.step_text()?;
        }
        Ok(None)
    }

    /// The next part, or `None` at the end of a good line.
    ///
    /// # Errors
    /// Any of the kinds of the grammar; the lexer must not be asked again after one.
    pub fn next_part(&mut self) -> Result<Option<LinePart<'a>>, LineError> {
        match self.expect {
            Expect::Measurement => self.measurement().map(Some),
            Expect::TagOrFields => match self.peek() {
                Some(b',') => self.tag().map(Some),
                Some(_space) => {
                    self.skip_spaces();
                    if self.peek().is_none() {
                        return Err(self.error(LineErrorKind::NoFieldsAfterSpace));
                    }
                    self.field(Spot::First).map(Some)
                }
                None => Err(self.error(LineErrorKind::NoFields)),
            },
            Expect::Field => self.field(Spot::AfterComma).map(Some),
            Expect::FieldsEnd => {
                self.skip_spaces();
                if self.peek().is_none() { Ok(None) } else { self.timestamp().map(Some) }
            }
            Expect::Nothing => Ok(None),
        }
    }

    fn measurement(&mut self) -> Result<LinePart<'a>, LineError> {
        let token = self.token(Escapable::Measurement, |byte| matches!(byte, b',' | b' '))?;
        if token.start == token.end {
            return Err(self.error(LineErrorKind::NoMeasurement));
        }
        self.expect = Expect::TagOrFields;
        Ok(LinePart::Measurement { name: self.unescaped(token, Escapable::Measurement), offset: token.start })
    }

    fn tag(&mut self) -> Result<LinePart<'a>, LineError> {
        self.step();
        let token = self.token(Escapable::Key, |byte| matches!(byte, b',' | b' ' | b'='))?;
        let key = self.unescaped(token, Escapable::Key);
        if token.start == token.end {
            return Err(self.error(LineErrorKind::TagKeyEmpty));
        }
        if self.peek() != Some(b'=') {
            return Err(LineError::at(
                token.start,
                LineErrorKind::TagWithoutValue { key: Excerpt::new(&key) },
            ));
        }
        self.step();
        let token = self.token(Escapable::Key, |byte| matches!(byte, b',' | b' ' | b'='))?;
        if self.peek() == Some(b'=') {
            return Err(self.error(LineErrorKind::TagEquals { key: Excerpt::new(&key) }));
        }
        if token.start == token.end {
            return Err(self.error(LineErrorKind::TagValueEmpty { key: Excerpt::new(&key) }));
        }
        Ok(LinePart::Tag { key, value: self.unescaped(token, Escapable::Key), offset: token.start })
    }

    fn field(&mut self, spot: Spot) -> Result<LinePart<'a>, LineError> {
        let token = self.token(Escapable::Key, |byte| matches!(byte, b',' | b' ' | b'='))?;
        let key = self.unescaped(token, Escapable::Key);
        let has_value = self.peek() == Some(b'=');
        if token.start == token.end {
            let kind = match spot {
                Spot::AfterComma if !has_value => LineErrorKind::FieldAfterComma,
                Spot::AfterComma | Spot::First => LineErrorKind::FieldKeyEmpty,
            };
            return Err(self.error(kind));
        }
        if !has_value {
            let got = Excerpt::new(&key);
            let only_number = spot == Spot::First && value::is_digits(key.strip_prefix('-').unwrap_or(&key));
            return Err(LineError::at(
                token.start,
                if only_number {
                    LineErrorKind::TimestampWithoutFields { got }
                } else {
                    LineErrorKind::FieldWithoutValue { key: got }
                },
            ));
        }
        self.step();
        let offset = self.position;
        let value = if self.peek() == Some(b'"') { self.string(&key)? } else { self.bare(&key)? };
        self.expect = match self.peek() {
            Some(b',') => {
                self.step();
                Expect::Field
            }
            _ => Expect::FieldsEnd,
        };
        Ok(LinePart::Field { key, value, offset })
    }

    /// A number or boolean.
    fn bare(&mut self, key: &str) -> Result<FieldValue<'a>, LineError> {
        let start = self.position;
        let rest = self.rest().as_bytes();
        let length = rest.iter().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(rest.len());
        self.position = start.saturating_add(length);
        let token = self.text.get(start..self.position).unwrap_or_default();
        value::parse_bare(key, token).map_err(|kind| LineError::at(start, kind))
    }

    /// A string in double quotes; the position is on the opening one.
    fn string(&mut self, key: &str) -> Result<FieldValue<'a>, LineError> {
        let opening = self.position;
        self.step();
        let start = self.position;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => {
                    return Err(LineError::at(opening, LineErrorKind::StringOpen { key: Excerpt::new(key) }));
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    self.step();
                    if matches!(self.peek(), Some(b'"' | b'\\')) {
                        escaped = true;
                        self.step();
                    }
                }
                Some(b'\n') => self.step(),
                Some(_) => self.step_text()?,
            }
        }
        let token = Lexeme { start, end: self.position, escaped };
        self.step();
        match self.peek() {
            None | Some(b',' | b' ') => Ok(FieldValue::Text(self.unescaped(token, Escapable::String))),
            Some(_) => Err(self.error(LineErrorKind::AfterString { key: Excerpt::new(key) })),
        }
    }

    fn timestamp(&mut self) -> Result<LinePart<'a>, LineError> {
        let offset = self.position;
        let rest = self.rest();
        let token = rest.split(' ').next().unwrap_or_default();
        let wrong = |kind: fn(Excerpt) -> LineErrorKind| LineError::at(offset, kind(Excerpt::new(token)));
        if !value::is_digits(token.strip_prefix('-').unwrap_or(token)) {
            return Err(wrong(|got| LineErrorKind::Timestamp { got }));
        }
        let units = token.parse().map_err(|_overflow| wrong(|got| LineErrorKind::TimestampDigits { got }))?;
        self.position = offset.saturating_add(token.len());
        self.skip_spaces();
        if self.peek().is_some() {
            return Err(self.error(LineErrorKind::AfterTimestamp { got: Excerpt::new(self.rest()) }));
        }
        self.expect = Expect::Nothing;
        Ok(LinePart::Timestamp { units, offset })
    }

    /// The text up to the first unescaped byte of `stops`, or to the end of the line.
    fn token(&mut self, escapable: Escapable, stops: fn(u8) -> bool) -> Result<Lexeme, LineError> {
        let start = self.position;
        let mut escaped = false;
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                self.step();
                if self.peek().is_some_and(|next| escapable.has(next)) {
                    escaped = true;
                    self.step();
                }
            } else if stops(byte) {
                break;
            } else {
                self.step_text()?;
            }
        }
        Ok(Lexeme { start, end: self.position, escaped })
    }

    /// The text of a token, its escapes undone.
    fn unescaped(&self, token: Lexeme, escapes: Escapable) -> Cow<'a, str> {
        let raw = self.text.get(token.start..token.end).unwrap_or_default();
        if !token.escaped {
            return Cow::Borrowed(raw);
        }
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('\\') {
            text.push_str(before);
            let next = after.chars().next().filter(char::is_ascii);
            if let Some(next) = next.filter(|next| u8::try_from(*next).is_ok_and(|byte| escapes.has(byte))) {
                text.push(next);
                rest = after.get(1..).unwrap_or_default();
            } else {
                text.push('\\');
                rest = after;
            }
        }
        text.push_str(rest);
        Cow::Owned(text)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// Past one ASCII byte.
    fn step(&mut self) {
        self.position = self.position.saturating_add(1);
    }

    /// Past one byte of a name or string, unless it is (or begins) a control character.
    fn step_text(&mut self) -> Result<(), LineError> {
        let bytes = self.text.as_bytes();
        let code = match bytes.get(self.position).copied() {
            Some(byte) if byte.is_ascii_control() => Some(u32::from(byte)),
            // U+0080 … U+009F, which terminals take for control sequences as well.
            Some(0xC2) => {
                bytes.get(self.position.saturating_add(1)).copied().filter(|next| *next < 0xA0).map(u32::from)
            }
            _ => None,
        };
        if let Some(code) = code {
            return Err(self.error(LineErrorKind::ControlCharacter { code }));
        }
        self.step();
        Ok(())
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.step();
        }
    }

    fn error(&self, kind: LineErrorKind) -> LineError {
        LineError::at(self.position, kind)
    }
}

/// Where among the fields one stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spot {
    First,
    AfterComma,
}

/// Which characters a backslash escapes; before any other it stands for itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapable {
    Measurement,
    Key,
    String,
}

impl Escapable {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Measurement => matches!(byte, b',' | b' '),
            Self::Key => matches!(byte, b',' | b' ' | b'='),
            Self::String => matches!(byte, b'"' | b'\\'),
        }
    }
}

/// Whether the line (without its line ending) is blank, a comment, or good by the grammar.
pub(in crate::intake::wire) fn is_well_formed(line: &[u8]) -> bool {
    let Ok(parts) = Lexer::new(line) else { return false };
    let Some(mut parts) = parts else { return true };
    loop {
        match parts.next_part() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// The event of a line (without its line ending): line protocol, or JSON where it begins with `{`.
/// `None` for a blank line or a comment.
///
/// # Errors
/// Every kind of [`LineErrorKind`] but `TooLong` and `CatalogueFull`, which are the caller's to find.
pub fn event<'a>(line: &'a [u8], times: &TimeRules) -> Result<Option<Reading<'a>>, LineError> {
    if line.iter().find(|byte| **byte != b' ') == Some(&b'{') {
        return super::json::event(line, times).map(Some);
    }
    let outcome = match Lexer::new(line) {
        Ok(Some(parts)) => line_event(parts, times).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| mistaken_protocol(line).map_or(error, LineError::whole))
}

/// The first bytes of a TLS client: the type and major version of a handshake record. No line can begin with it.
pub const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];

/// The protocol that a bad line belongs to, if it is another one.
fn mistaken_protocol(line: &[u8]) -> Option<LineErrorKind> {
    if line.starts_with(TLS_HANDSHAKE) {
        return Some(LineErrorKind::Tls);
    }
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().is_some_and(|word| !word.is_empty() && word.iter().all(u8::is_ascii_uppercase));
    let version = words.next_back().is_some_and(|word| word.starts_with(b"HTTP/"));
    (method && version).then_some(LineErrorKind::Http)
}

fn line_event<'a>(mut parts: Lexer<'a>, times: &TimeRules) -> Result<Reading<'a>, LineError> {
    let mut raw = RawEvent::default();
    let mut kind = None;
    let mut tags = TagKeys::default();
    while let Some(part) = parts.next_part().map_err(|error| rules::in_our_words(error, kind))? {
        match part {
            LinePart::Measurement { name, offset } => {
                // The rest of the line is lexed first, so that a malformed line is called that.
                kind = EventKind::parse(&name);
                raw.kind = Some(RawValue { value: FieldValue::Text(name), offset: Some(offset) });
            }
            LinePart::Tag { key, value, offset } => {
                if !tags.add(&key) {
                    return Err(LineError::at(offset, LineErrorKind::TagTwice { key: Excerpt::new(&key) }));
                }
                raw.put_tag(&key, RawValue { value: FieldValue::Text(value), offset: Some(offset) });
                tags.keep(key);
            }
            LinePart::Field { key, value, offset } => {
                raw.put_field(&key, kind, RawValue { value, offset: Some(offset) })?;
            }
            LinePart::Timestamp { units, offset } => {
                raw.timestamp = Some(RawValue { value: FieldValue::Int(units), offset: Some(offset) });
            }
        }
    }
    rules::event(raw, times, times.line_precision, "measurement")
}

/// The tag keys of one line, to find one that is given twice. The first few, which is all of an honest line, are
/// compared one by one; past those a set keeps the work linear.
#[derive(Default)]
struct TagKeys<'a> {
    few: [Option<Cow<'a, str>>; TAGS_COMPARED_MAX],
    count: usize,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> TagKeys<'a> {
    /// Whether the key is new.
    fn add(&self, key: &str) -> bool {
        !self.few.iter().take(self.count).flatten().any(|known| known == key) && !self.many.contains(key)
    }

    /// Remembers a new key.
    fn keep(&mut self, key: Cow<'a, str>) {
        if let Some(free) = self.few.get_mut(self.count) {
            *free = Some(key);
            self.count = self.count.saturating_add(1);
        } else {
            self.many.insert(key);
        }
    }
}
