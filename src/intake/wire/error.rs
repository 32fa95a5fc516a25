//! Why a line is not an event, in words that let a person fix it. Owns the wording of the whole room.
//! INVARIANT: a client's own text is in an [`Excerpt`], so that a message is one printable line.

use std::fmt;

use crate::limits::{LINE_BYTES_MAX, NAME_BYTES_MAX};
use crate::model::event::StoryId;
pub use crate::model::excerpt::Excerpt;

/// Why one line or JSON value is not an event: the kind, and where it is where that is known.
/// `Display` is one line, lower case: it says what is wrong and what is expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineError {
    kind: LineErrorKind,
    column: Option<usize>,
    element: Option<u64>,
}

impl LineError {
    /// An error at a 0-based offset in bytes from the start of the line.
    pub(crate) fn at(offset: usize, kind: LineErrorKind) -> Self {
        Self { kind, column: Some(offset.saturating_add(1)), element: None }
    }

    /// An error of the line as a whole, or of a place that is not known.
    pub(crate) fn whole(kind: LineErrorKind) -> Self {
        Self { kind, column: None, element: None }
    }

    /// An error at a place that may be known, as a 0-based offset in bytes.
    pub(crate) fn maybe_at(offset: Option<usize>, kind: LineErrorKind) -> Self {
        Self { kind, column: offset.map(|offset| offset.saturating_add(1)), element: None }
    }

    /// The same error, located in the `element`-th element (from 1) of a JSON array.
    #[must_use]
    pub(crate) fn in_element(self, element: u64) -> Self {
        Self { element: Some(element), ..self }
    }

    /// The same error with its kind said in other words, where `words` has some.
    #[must_use]
    pub(crate) fn reworded(self, words: impl FnOnce(&LineErrorKind) -> Option<LineErrorKind>) -> Self {
        let kind = words(&self.kind).unwrap_or(self.kind);
        Self { kind, ..self }
    }

    /// What is wrong.
    pub fn kind(&self) -> &LineErrorKind {
        &self.kind
    }

    /// Where, from 1, in bytes from the start of the line; `None` where no single place is to blame.
    pub fn column(&self) -> Option<usize> {
        self.column
    }

    /// Whether an HTTP request was sent where lines are expected: the connection should be closed.
    pub fn is_http(&self) -> bool {
        matches!(self.kind, LineErrorKind::Http)
    }

    /// Whether a TLS handshake was sent where plain lines are expected: the connection should be closed.
    pub fn is_tls(&self) -> bool {
        matches!(self.kind, LineErrorKind::Tls)
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(element) = self.element {
            write!(f, "element {element}: ")?;
        }
        write!(f, "{}", self.kind)?;
        match self.column {
            Some(column) => write!(f, " (column {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LineError {}

/// The kinds of [`LineError`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message of each variant says what it and its fields are")]
pub enum LineErrorKind {
    // ---- bytes
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the line is not valid UTF-8")]
    NotUtf8,
    #[error("control character U+{code:04X} is not allowed; separate with spaces and line feeds only")]
    ControlCharacter { code: u32 },
    #[error(
        "this looks like an HTTP request, not an event (over TCP: this is the line port, HTTP is on the other one)"
    )]
    Http,
    #[error("this looks like a TLS handshake, but plain lines are expected here")]
    Tls,

    // ---- the grammar of line protocol
    #[error("the measurement is missing: a line is `measurement,tag=value field=value timestamp`")]
    NoMeasurement,
    #[error("the fields are missing: expected a space and `key=value` after the measurement and tags")]
    NoFields,
    #[error("the fields are missing after the space: expected `key=value`")]
    NoFieldsAfterSpace,
    #[error("the fields are missing before the timestamp `{got}`: expected `key=value`")]
    TimestampWithoutFields { got: Excerpt },
    #[error("tag key is empty: expected `key=value` after the comma")]
    TagKeyEmpty,
    #[error("tag `{key}` has no value: expected `=` after the key")]
    TagWithoutValue { key: Excerpt },
    #[error("tag `{key}` has an empty value: leave the tag out, or give it a value")]
    TagValueEmpty { key: Excerpt },
    #[error("tag `{key}` has an unescaped `=` in its value: write `\\=`")]
    TagEquals { key: Excerpt },
    #[error("tag `{key}` is given twice")]
    TagTwice { key: Excerpt },
    #[error("field key is empty: expected `key=value`")]
    FieldKeyEmpty,
    #[error("a field is expected after the comma: expected `key=value` without a space before it")]
    FieldAfterComma,
    #[error("field `{key}` has no value: expected `=` after the key")]
    FieldWithoutValue { key: Excerpt },
    #[error("field `{key}` has an empty value: expected a number, boolean or quoted string after `=`")]
    FieldValueEmpty { key: Excerpt },
    #[error("field `{key}` is not a number, boolean or string in double quotes; got `{got}`")]
    FieldValue { key: Excerpt, got: Excerpt },
    #[error(
        "field `{key}` is an integer out of range: 64 bits, signed with `i`, unsigned with `u`; got `{got}`"
    )]
    IntegerRange { key: Excerpt, got: Excerpt },
    #[error("field `{key}` is a number out of range; got `{got}`")]
    FloatRange { key: Excerpt, got: Excerpt },
    #[error("the string of field `{key}` has no closing double quote on its line")]
    StringOpen { key: Excerpt },
    #[error("after the closing quote of field `{key}` a comma, a space or the end of the line is expected")]
    AfterString { key: Excerpt },
    #[error("the timestamp must be a whole number; got `{got}`")]
    Timestamp { got: Excerpt },
    #[error("the timestamp {got} is out of range: it does not fit 64 bits; is the precision right?")]
    TimestampDigits { got: Excerpt },
    #[error("nothing may follow the timestamp; got `{got}`")]
    AfterTimestamp { got: Excerpt },

    // ---- JSON
    #[error("not valid JSON: {what}")]
    Json { what: Excerpt },
    #[error("an event must be a JSON object; got {got}")]
    JsonNotObject { got: &'static str },

    // ---- what tallyd makes of it
    #[error("the {what} must be one of conversation, message, interaction; got `{got}`")]
    Kind { what: &'static str, got: Excerpt },
    #[error("`{key}` is missing{why}")]
    Missing { key: &'static str, why: &'static str },
    #[error(
        "`{key}` is a field here, but must be a tag: write `,{key}=` and its value before the first space"
    )]
    FieldForTag { key: &'static str },
    #[error("`{key}` is given twice")]
    Twice { key: &'static str },
    #[error("`{key}` must be 24 letters and digits; got `{got}`")]
    Id { key: &'static str, got: Excerpt },
    #[error(
        "`source` must be one of messenger, livechat, livechat3, slack, widget, app, custom; got `{got}`"
    )]
    Source { got: Excerpt },
    #[error("`type` must be one of interaction, contextFallback, fallback, welcome; got `{got}`")]
    NodeType { got: Excerpt },
    #[error("`{key}` is not allowed for type={node_type}")]
    NotAllowed { key: &'static str, node_type: &'static str },
    #[error("`{key}` must be {want}; got {got}")]
    WrongType { key: &'static str, want: &'static str, got: Excerpt },
    #[error("`count` must be a whole number from 0 to 4294967295; got {got}")]
    Count { got: Excerpt },
    #[error("`{key}` is longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong { key: &'static str },
    #[error("the timestamp must be a whole number or RFC 3339 such as 2019-03-17T09:00:00Z; got {got}")]
    JsonTimestamp { got: Excerpt },
    #[error("the timestamp {given} is out of range when taken as {unit}; is the precision right?")]
    TimestampRange { given: i64, unit: &'static str },
    #[error("the timestamp is {instant}, before 1974-01-01; is the precision right? it was taken as {unit}")]
    TooEarly { instant: Excerpt, unit: &'static str },
    #[error(
        "the timestamp is {instant}, more than {max_future_seconds} s ahead of the daemon's clock; \
         is the precision right? it was taken as {unit}"
    )]
    TooLate { instant: Excerpt, max_future_seconds: u64, unit: &'static str },
    #[error(
        "the timestamp is {instant}, and all hours before {first_kept} were dropped (`retention`) and are not counted any more; \
         is the precision right? it was taken as {unit}"
    )]
    Dropped { instant: Excerpt, first_kept: Excerpt, unit: &'static str },
    #[error("there is no timestamp, and the daemon's clock stands outside the range that events may have")]
    NoUsableClock,

    // ---- access
    #[error("this token may not write to story {story}")]
    StoryNotAllowed { story: StoryId },

    // ---- bounds of the catalogue
    #[error("{what}")]
    CatalogueFull { what: Box<str> },
    #[error(
        "this needs memory for {what}, and all of `memory-limit` is in use; what is counted already goes on"
    )]
    MemoryFull { what: &'static str },
}
