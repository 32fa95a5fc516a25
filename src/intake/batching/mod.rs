//! From lines to batches: one [`Parser`] per connection or request. Lines and their grammars are `wire`'s; this room knows
//! which series an event adds to. Knows nothing of sockets, files, or what becomes of a batch.
//!
//! A line that `wire::fast` can read and whose series the catalogue's index knows is added without more ado. Every other one
//! goes through the complete grammar, or interns its series, or both. A parser itself remembers nothing of what it was
//! sent, so that idle connections cost nothing.
//!
//! INVARIANT: the fast path counts a line exactly as the complete grammar would.
//! INVARIANT (of [`Batch`]): every series of a batch is durable as of the count of deletions that the batch names, or is
//! defined in the batch, once. When that count moves between two calls that fill the same batch, the batch keeps the older
//! one, and from then on every series that is added is defined in it, durable or not.

mod body;
mod builder;
mod lines;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use crate::intake::wire::block::{LineRule, first_line};
use crate::intake::wire::line::TLS_HANDSHAKE;
use crate::intake::wire::{Arrival, LineError, LineErrorKind, Precision, TimeRules};
use crate::limits::{LINE_BYTES_MAX, LINE_ERRORS_SHOWN_MAX, PREFETCH_LINES};
use crate::model::batch::{Batch, SeriesId};
use crate::model::catalogue::Catalogue;
use crate::model::catalogue::index::View;
use crate::model::event::EventKind;
use crate::model::memory::MemoryCeiling;
use crate::model::story_set::StorySet;

use builder::BatchBuilder;
use lines::LineBatcher;

/// Turns the bytes of one connection or request into batches. One per connection; not shared.
#[derive(Debug)]
pub struct Parser {
    catalogue: Arc<Catalogue>,
    ceiling: Option<Arc<MemoryCeiling>>,
    /// The stories that events may be about.
    stories: StorySet,
    /// The hash tables of the catalogue's index as they were at the last call.
    view: View,
    precision: Option<Precision>,
    /// Lines of the stream that were taken so far.
    lines: u64,
    /// The stream is within a line that is too long; its rejection has been noted.
    skipping: bool,
}

/// A line that was not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The line's number, from 1, since the start of the connection or body; of an element of a JSON array, the line
    /// that it begins on.
    pub line: u64,
    /// The reason.
    pub error: LineError,
}

/// Lines by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Accepted `conversation` events.
    pub conversations: u64,
    /// Accepted `message` events.
    pub messages: u64,
    /// Accepted `interaction` events.
    pub interactions: u64,
    /// Lines that were not counted. Blank lines and comments are in none of the four.
    pub rejected: u64,
}

impl Tally {
    /// Accepted events of every kind.
    pub fn accepted(&self) -> u64 {
        self.conversations.saturating_add(self.messages).saturating_add(self.interactions)
    }

    fn add(&mut self, kind: EventKind) {
        let count = match kind {
            EventKind::Conversation => &mut self.conversations,
            EventKind::Message => &mut self.messages,
            EventKind::Interaction => &mut self.interactions,
        };
        *count = count.saturating_add(1);
    }
}

/// What one or several calls of a parser found.
#[derive(Debug, Default)]
pub struct Parsed {
    /// What the accepted lines add.
    pub batch: Batch,
    /// How many lines were accepted and rejected.
    pub tally: Tally,
    /// The first `LINE_ERRORS_SHOWN_MAX` bad lines; `tally.rejected` has the number of all. A stream stops before there
    /// are more, so that a caller who takes them out each time gets all.
    pub rejections: Vec<Rejection>,
    /// There are accepted lines, and each carried its own timestamp, which was not a whole millisecond (for the retry
    /// window).
    pub all_finer_than_millisecond: bool,
    /// The series that `batch.definitions` has.
    pub(crate) defined: HashSet<SeriesId, foldhash::fast::RandomState>,
}

impl Parsed {
    fn reject(&mut self, line: u64, error: LineError) {
        self.tally.rejected = self.tally.rejected.saturating_add(1);
        if self.rejections.len() < LINE_ERRORS_SHOWN_MAX {
            self.rejections.push(Rejection { line, error });
        }
    }

    /// Whether the bad lines of another block might be more than can be described.
    fn is_full_of_rejections(&self) -> bool {
        LINE_ERRORS_SHOWN_MAX < self.rejections.len() + PREFETCH_LINES
    }
}

/// What stopped `parse_stream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Everything up to the last whole line was taken; `consumed` bytes may be dropped from the front of the buffer.
    NeedMore,
    /// A line that begins with `!` was taken: its text without the `!`, line feed and carriage return; bytes that are
    /// not UTF-8 are replaced. It is counted in the line numbers.
    Command(String),
    /// There are as many bad lines as can be described. Take them out before the rest is given again.
    BadLines,
}

const _: () =
    assert!(PREFETCH_LINES <= LINE_ERRORS_SHOWN_MAX, "the bad lines of a block must be describable");

/// The precision of a request: `None` = not given (line protocol in nanoseconds, JSON in milliseconds).
pub type BodyPrecision = Option<Precision>;

impl Parser {
    /// A parser that interns into `catalogue`, with the default precisions.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let view = catalogue.index().view();
        let (ceiling, stories) = (None, StorySet::ALL);
        Self { catalogue, ceiling, stories, view, precision: None, lines: 0, skipping: false }
    }

    /// The same, which refuses what needs new memory while the ceiling is reached.
    #[must_use]
    pub fn below(self, ceiling: Arc<MemoryCeiling>) -> Self {
        Self { ceiling: Some(ceiling), ..self }
    }

    /// Refuses from now on every event that is about another story, in words that do not tell whether it is known.
    pub fn set_stories(&mut self, stories: StorySet) {
        self.stories = stories;
    }

    /// Sets the unit of the integer timestamps that follow on the stream, line protocol's and JSON's.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = Some(precision);
    }

    /// That unit; `None` where none was set.
    pub fn precision(&self) -> Option<Precision> {
        self.precision
    }

    /// Goes past lines of the stream that are not given.
    pub fn skip_lines(&mut self, lines: u64) {
        self.lines = self.lines.saturating_add(lines);
    }

    /// Lines of the stream that were taken so far: of every kind, and one that is too long as soon as that shows.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// A TCP stream: takes whole lines from the front of `bytes` (a line feed always ends a line, even within quotes)
    /// until there is no whole line left or a command line comes. Appends to `parsed`, so several calls can make one
    /// batch. Returns how many bytes were consumed and why it stopped.
    ///
    /// A line over `LINE_BYTES_MAX` gives one rejection and is skipped up to its line feed, however far: the parser
    /// remembers that across calls, and all bytes given are then consumed. Does not block.
    pub fn parse_stream(&mut self, bytes: &[u8], arrival: Arrival, parsed: &mut Parsed) -> (usize, Stop) {
        let mut consumed = 0;
        if self.skipping {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return (bytes.len(), Stop::NeedMore) };
            self.skipping = false;
            consumed = end + 1;
        }
        let times = TimeRules::new(arrival, self.precision);
        let mut rule = LineRule::Stream;
        loop {
            let mut batcher = self.batcher(times, parsed);
            consumed += batcher.add_lines(bytes.get(consumed..).unwrap_or_default(), &mut rule);
            self.lines = batcher.finish();
            if parsed.is_full_of_rejections() {
                return (consumed, Stop::BadLines);
            }
            let rest = bytes.get(consumed..).unwrap_or_default();
            // The rest begins with a command, or is not a whole line.
            let Some(extent) = first_line(rest, &mut rule) else {
                let Some(kind) = never_a_line(rest) else { return (consumed, Stop::NeedMore) };
                self.lines += 1;
                parsed.reject(self.lines, LineError::whole(kind));
                self.skipping = true;
                return (bytes.len(), Stop::NeedMore);
            };
            self.lines += 1;
            consumed += extent.consumed;
            if !extent.is_too_long() {
                let text = String::from_utf8_lossy(extent.line.get(1..).unwrap_or_default()).into_owned();
                return (consumed, Stop::Command(text));
            }
            parsed.reject(self.lines, LineError::whole(LineErrorKind::TooLong));
        }
    }

    /// The peer closed: the last bytes are a line although they have no line feed. Bytes that begin with `!` are a command that
    /// did not arrive whole, and are refused.
    pub fn finish_stream(&mut self, bytes: &[u8], arrival: Arrival, parsed: &mut Parsed) {
        if bytes.is_empty() || std::mem::take(&mut self.skipping) {
            return;
        }
        let times = TimeRules::new(arrival, self.precision);
        let mut batcher = self.batcher(times, parsed);
        batcher.add_by_grammar(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        self.lines = batcher.finish();
    }

    /// A whole HTTP body: line protocol and NDJSON mixed, or one JSON object or array in any
    /// layout. A line feed within a quoted string does not end its line here. `precision` comes from the request.
    /// Stands outside the stream: line numbers begin at 1, and the stream's own precision is left aside. Does not block.
    pub fn parse_body(&mut self, body: &[u8], arrival: Arrival, precision: BodyPrecision) -> Parsed {
        let mut parsed = Parsed::default();
        body::parse(self, body, &TimeRules::new(arrival, precision), &mut parsed);
        parsed
    }

    /// Begins to fill `parsed`.
    fn batcher<'p>(&'p mut self, times: TimeRules, parsed: &'p mut Parsed) -> LineBatcher<'p> {
        let builder = BatchBuilder::begin(
            &self.catalogue,
            (self.ceiling.as_deref(), &self.stories),
            &mut self.view,
            parsed,
        );
        LineBatcher { index: self.catalogue.index(), builder, times, lines: self.lines }
    }
}

/// Why the beginning of a line can be refused before its line feed has come.
fn never_a_line(beginning: &[u8]) -> Option<LineErrorKind> {
    // A carriage return at the end may yet turn out to be part of the line's ending.
    if LINE_BYTES_MAX < beginning.strip_suffix(b"\r").unwrap_or(beginning).len() {
        return Some(LineErrorKind::TooLong);
    }
    // A TLS client waits for an answer and may never send a line feed.
    beginning.starts_with(TLS_HANDSHAKE).then_some(LineErrorKind::Tls)
}
