//! What must hold for any bytes that come as events: lines, blocks of them, JSON, and the fast path beside the complete
//! grammar. Run by `cargo test` and by the targets of `fuzz/`; see [`crate::testing`].
#![expect(clippy::missing_panics_doc, clippy::panic, reason = "a check says by panic what does not hold")]

use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Parsed, Parser, Rejection, Stop, Tally};
use crate::cli::export::line::{Format, write};
use crate::intake::wire::block::{LineRule, first_line};
use crate::intake::wire::json::{self, BodyKind};
use crate::intake::wire::line::{self as grammar, Lexer};
use crate::intake::wire::{Arrival, LineError, Precision, Reading, TimeRules};
use crate::limits::{EXCERPT_BYTES_MAX, LINE_BYTES_MAX, LINE_ERRORS_SHOWN_MAX, NAME_BYTES_MAX, wide};
use crate::model::batch::{Batch, Change};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::event::{Event, EventDetails, ObjectId, StoryId};
use crate::model::story_set::StorySet;

const ARRIVAL: Arrival = Arrival {
    unix_nanos: 1_552_824_000_000_000_000,
    max_future: Duration::from_hours(1),
    dropped_before: None,
};
/// A message is a few sentences with at most three excerpts, each character of which may be spelled out.
const MESSAGE_BYTES: usize = 400 + 3 * EXCERPT_BYTES_MAX;
/// A line that is good wherever it stands, and the count that no other line is likely to have.
const GOOD: &[u8] =
    b"message,storyId=5b07ffafc2376e30306d9b16,source=slack count=3141592653i 1552813200000000000\n";
const STORY: &[u8] = b"5b07ffafc2376e30306d9b16";
const GOOD_COUNT: u32 = 3_141_592_653;

/// One line is nothing, an event that reads the same when it is written out again in either form, or an error that names
/// a place within it.
pub fn line(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    match grammar::event(text, &TimeRules::new(ARRIVAL, precision(*choice))) {
        Ok(None) => {
            let first = text.iter().find(|byte| **byte != b' ');
            assert!(matches!(first, None | Some(b'#')), "neither blank nor a comment");
        }
        Ok(Some(reading)) => {
            let is_json = text.trim_ascii_start().starts_with(b"{");
            assert!(is_json || is_good_by_the_grammar(text), "an event of a bad line");
            read_again(&reading);
        }
        Err(error) => assert_clear(&error, text),
    }
}

/// A block of lines gives the same however it is cut into reads, costs a good line behind it nothing, and gives as a body what
/// its lines give one by one.
pub fn block(bytes: &[u8]) {
    let Some(([choice, step], text)) = bytes.split_first_chunk() else { return };
    let catalogue = catalogue();
    let whole = Stream::read(&catalogue, *choice, text, text.len().max(1));
    let step = usize::from(*step).saturating_add(1);
    assert_eq!(Stream::read(&catalogue, *choice, text, step), whole, "reads of {step} bytes");
    whole.assert_in_bounds(text);

    let ended = [text, b"\n"].concat();
    let before = Stream::read(&catalogue, *choice, &ended, ended.len());
    let followed = [&ended, GOOD].concat();
    let after = Stream::read(&catalogue, 0, &followed, followed.len());
    assert_eq!(after.batch.increments.last().map(|last| last.count), Some(GOOD_COUNT), "a neighbour is lost");
    assert_eq!(after.lines, before.lines.saturating_add(1));

    body(&catalogue, *choice, text);
    if json::body_kind(without_mark(&followed)) == BodyKind::Lines {
        let parsed = Parser::new(Arc::clone(&catalogue)).parse_body(&followed, ARRIVAL, None);
        let last = parsed.batch.increments.last().map(|last| last.count);
        assert_eq!(last, Some(GOOD_COUNT), "a neighbour is lost in a body");
    }
}

/// JSON is an event only where it is one object; an array gives what its elements give, one a line.
pub fn json(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    match json::event(text, &TimeRules::new(ARRIVAL, precision(*choice))) {
        Ok(reading) => {
            assert!(serde_json::from_slice::<IgnoredAny>(text).is_ok(), "an event of what is no JSON");
            assert!(text.trim_ascii_start().starts_with(b"{"), "an event of what is no object");
            read_again(&reading);
        }
        Err(error) => assert_clear(&error, text),
    }
    let catalogue = catalogue();
    let parsed = body(&catalogue, *choice, text);
    match json::body_kind(text) {
        BodyKind::Lines => {}
        BodyKind::Object => {
            assert_eq!(parsed.tally.accepted().saturating_add(parsed.tally.rejected), 1, "one object");
        }
        BodyKind::Array => array(&catalogue, *choice, text, &parsed),
    }
}

/// Blocks, bodies and known series change nothing: a line counts as the complete grammar alone would count it.
pub fn fast_path(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for first in lines.iter_mut().filter_map(|line| line.first_mut()) {
        if *first == b'!' {
            *first = b'?';
        }
    }
    let catalogue = catalogue();
    let wanted =
        by_grammar(&catalogue, *choice, lines.iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)));
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    // The first time the series are new; the second time they are known, also those that only others may write to.
    for _ in 0..2 {
        let got = Stream::read(&catalogue, *choice, &text, text.len());
        assert_eq!(got.batch, wanted.batch);
        assert_eq!(got.tally, wanted.tally);
        assert_eq!(got.rejections.get(..wanted.rejections.len()), Some(wanted.rejections.as_slice()));
        assert_eq!(got.all_finer_than_millisecond, wanted.all_finer_than_millisecond);
        drop(Stream::read(&catalogue, *choice % 7, &text, text.len()));
    }
}

fn precision(choice: u8) -> Option<Precision> {
    [
        None,
        Some(Precision::Nanoseconds),
        Some(Precision::Microseconds),
        Some(Precision::Milliseconds),
        Some(Precision::Seconds),
        Some(Precision::Minutes),
        Some(Precision::Hours),
    ]
    .get(usize::from(choice % 7))
    .copied()
    .flatten()
}

/// The stories that the sender's token is limited to: in every other run of seven choices, the one of [`GOOD`].
fn stories(choice: u8) -> StorySet {
    if (choice / 7).is_multiple_of(2) {
        StorySet::ALL
    } else {
        StorySet::only(ObjectId::parse(STORY).map(StoryId).into_iter().collect())
    }
}

fn parser(catalogue: &Arc<Catalogue>, choice: u8) -> Parser {
    let mut parser = Parser::new(Arc::clone(catalogue));
    parser.set_stories(stories(choice));
    parser
}

/// Nothing of a batch is about a story that its sender may not write to.
fn assert_allowed(batch: &Batch, choice: u8) {
    let stories = stories(choice);
    let defined = batch.definitions.iter().map(|definition| definition.key.story);
    for story in defined.chain(batch.changes.iter().map(Change::story)) {
        assert!(stories.contains(story), "a token without it writes to story {story}");
    }
}

/// Small, so that a check costs little, and so that its bounds are met.
fn catalogue() -> Arc<Catalogue> {
    Arc::new(Catalogue::new(CatalogueLimits { stories: 32, series: 512, nodes_per_story: 16 }))
}

fn is_good_by_the_grammar(line: &[u8]) -> bool {
    let Ok(parts) = Lexer::new(line) else { return false };
    parts.is_none_or(|mut parts| {
        loop {
            match parts.next_part() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    })
}

/// The event, written out, is the same event; one that counts nothing carries no time.
fn read_again(reading: &Reading<'_>) {
    let event = &reading.event;
    let name = match &event.what {
        EventDetails::Interaction { name, .. } => name.as_deref(),
        _ => None,
    };
    for name in [name, event.story_name.as_deref()].into_iter().flatten() {
        assert!((1..=NAME_BYTES_MAX).contains(&name.len()), "a name of {} bytes", name.len());
    }
    for format in [Format::Line, Format::Json] {
        let mut text = Vec::new();
        write(format, event, &mut text);
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        let again = grammar::event(line, &TimeRules::new(ARRIVAL, None));
        let Ok(Some(again)) = again else {
            panic!("{event:?} as {:?}: {again:?}", text.escape_ascii().to_string())
        };
        let is_timed = event.count > 0 || event.what == EventDetails::Conversation { paid: true };
        let hour = if is_timed { event.hour } else { again.event.hour };
        assert_eq!(again.event, Event { hour, ..event.clone() });
    }
}

/// A message is one printable line of bounded length, and its place is within the text.
fn assert_clear(error: &LineError, text: &[u8]) {
    let message = error.to_string();
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(!message.is_empty() && message.len() <= MESSAGE_BYTES, "{message:?}");
    if let Some(column) = error.column() {
        assert!((1..=text.len().saturating_add(1)).contains(&column), "column {column} of {}", text.len());
    }
}

/// All that a stream of bytes gives, as a connection reads it.
#[derive(PartialEq, Debug)]
struct Stream {
    batch: Batch,
    tally: Tally,
    rejections: Vec<Rejection>,
    all_finer_than_millisecond: bool,
    /// Commands, each with the number of its line.
    commands: Vec<(u64, String)>,
    lines: u64,
}

impl Stream {
    fn read(catalogue: &Arc<Catalogue>, choice: u8, text: &[u8], step_bytes: usize) -> Self {
        let mut parser = parser(catalogue, choice);
        if let Some(precision) = precision(choice) {
            parser.set_precision(precision);
        }
        let (mut parsed, mut rejections, mut commands) = (Parsed::default(), Vec::new(), Vec::new());
        let (mut taken, mut read) = (0_usize, 0_usize);
        while read < text.len() {
            read = read.saturating_add(step_bytes).min(text.len());
            loop {
                let held = text.get(taken..read).unwrap_or_default();
                let (consumed, stop) = parser.parse_stream(held, ARRIVAL, &mut parsed);
                assert!(consumed <= held.len(), "more bytes consumed than given");
                taken = taken.saturating_add(consumed);
                assert!(
                    parsed.rejections.len() <= LINE_ERRORS_SHOWN_MAX,
                    "more bad lines than are described"
                );
                rejections.append(&mut parsed.rejections);
                match stop {
                    Stop::NeedMore => break,
                    Stop::BadLines => {}
                    Stop::Command(command) => commands.push((parser.lines(), command)),
                }
            }
        }
        parser.finish_stream(text.get(taken..).unwrap_or_default(), ARRIVAL, &mut parsed);
        rejections.append(&mut parsed.rejections);
        let Parsed { batch, tally, all_finer_than_millisecond, .. } = parsed;
        assert_allowed(&batch, choice);
        Self { batch, tally, rejections, all_finer_than_millisecond, commands, lines: parser.lines() }
    }

    fn assert_in_bounds(&self, text: &[u8]) {
        let line_feeds = memchr::memchr_iter(b'\n', text).count();
        let is_cut = text.last().is_some_and(|last| *last != b'\n');
        assert_eq!(self.lines, wide(line_feeds.saturating_add(usize::from(is_cut))), "number of lines");
        let told = self.tally.accepted().saturating_add(self.tally.rejected);
        assert!(told.saturating_add(wide(self.commands.len())) <= self.lines, "lines that are not there");
        assert_eq!(wide(self.rejections.len()), self.tally.rejected, "each bad line is described");
        assert!(self.rejections.is_sorted_by(|one, next| one.line < next.line), "bad lines out of order");
        let last = self.rejections.last().map_or(0, |last| last.line);
        assert!(last <= self.lines, "bad line {last} of {}", self.lines);
        let most = self.tally.accepted().saturating_mul(2);
        assert!(wide(self.batch.increments.len()) <= most, "more increments than events make");
        for Rejection { error, .. } in &self.rejections {
            assert_clear(error, text);
        }
    }
}

/// The body as a request sends it. Where it is lines, each byte is of one line, and it gives what they give one by one.
fn body(catalogue: &Arc<Catalogue>, choice: u8, text: &[u8]) -> Parsed {
    let parsed = parser(catalogue, choice).parse_body(text, ARRIVAL, precision(choice));
    assert_allowed(&parsed.batch, choice);
    assert!(parsed.rejections.len() <= LINE_ERRORS_SHOWN_MAX, "more bad lines than are described");
    let shown = wide(parsed.rejections.len());
    assert!(shown == parsed.tally.rejected.min(wide(LINE_ERRORS_SHOWN_MAX)), "bad lines are left out");
    for Rejection { error, .. } in &parsed.rejections {
        assert_clear(error, text);
    }
    let text = without_mark(text);
    if json::body_kind(text) != BodyKind::Lines {
        return parsed;
    }
    let mut rule = LineRule::body(text.len());
    let (mut rest, mut lines) = (text, Vec::new());
    while let Some(extent) = first_line(rest, &mut rule) {
        assert!((1..=rest.len()).contains(&extent.consumed), "{} of {} bytes", extent.consumed, rest.len());
        assert!(extent.line.len() <= extent.consumed, "a line longer than its bytes");
        lines.push(extent);
        rest = rest.get(extent.consumed..).unwrap_or_default();
    }
    assert!(rest.is_empty(), "{} bytes of no line", rest.len());
    let singly = by_grammar(catalogue, choice, lines.iter().map(|extent| extent.line));
    assert_eq!(parsed.batch, singly.batch);
    assert_eq!(parsed.tally, singly.tally);
    let kinds = |parsed: &Parsed| -> Vec<String> {
        parsed.rejections.iter().map(|rejection| rejection.error.to_string()).collect()
    };
    assert_eq!(kinds(&parsed), kinds(&singly));
    parsed
}

/// The body behind its byte order mark.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

/// What the complete grammar alone says of each line; line endings are not among them.
fn by_grammar<'a>(catalogue: &Arc<Catalogue>, choice: u8, lines: impl Iterator<Item = &'a [u8]>) -> Parsed {
    let mut parsed = Parsed::default();
    let mut parser = parser(catalogue, choice);
    let mut batcher = parser.batcher(TimeRules::new(ARRIVAL, precision(choice)), &mut parsed);
    for line in lines {
        batcher.add_by_grammar(line);
    }
    batcher.finish();
    parsed
}

/// The array counts what its elements count as lines, and each element is what `serde_json` finds at its place.
fn array(catalogue: &Arc<Catalogue>, choice: u8, text: &[u8], parsed: &Parsed) {
    // Of bytes, serde_json looks into no string that nobody wants.
    let whole =
        std::str::from_utf8(text).ok().and_then(|text| serde_json::from_str::<Vec<IgnoredAny>>(text).ok());
    let elements = match json::elements(text) {
        Ok(elements) => elements.collect::<Vec<_>>(),
        Err((line, error)) => {
            assert!(whole.is_none(), "JSON is refused: {error}");
            assert!((1..=wide(text.len()).saturating_add(1)).contains(&line), "line {line}");
            assert_eq!(
                (parsed.tally.accepted(), parsed.tally.rejected),
                (0, 1),
                "part of a bad array counts"
            );
            return;
        }
    };
    assert_eq!(whole.map(|whole| whole.len()), Some(elements.len()), "number of elements");
    if let Ok(values) = serde_json::from_slice::<Vec<Value>>(text) {
        let found: Vec<Option<Value>> =
            elements.iter().map(|element| serde_json::from_slice(element.text).ok()).collect();
        assert_eq!(found, values.into_iter().map(Some).collect::<Vec<_>>());
    }
    for element in &elements {
        let at = element.text.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let line_feeds = memchr::memchr_iter(b'\n', text.get(..at).unwrap_or_default()).count();
        assert_eq!(element.line, wide(line_feeds).saturating_add(1), "element {}", element.number);
    }
    // White space is all that a line feed can be between elements or within one.
    let one_line = |text: &[u8]| -> Vec<u8> {
        text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
    };
    let lines: Vec<Vec<u8>> = elements.iter().map(|element| one_line(element.text)).collect();
    let singly = by_grammar(catalogue, choice, lines.iter().map(Vec::as_slice));
    assert_eq!((&parsed.batch, parsed.tally), (&singly.batch, singly.tally));
    assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX || parsed.tally.rejected > 0));
}
