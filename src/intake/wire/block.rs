//! Whole lines out of a block of bytes. Two rules for where a line ends: on a stream at every line feed; in a body not
//! at a line feed within a quoted string of a field. Knows the grammar only as far as that needs.
//!
//! INVARIANT: a quoted string spans lines only if the line it makes is good as a whole; else the line ends at its first
//! line feed. So an unclosed quote costs its own line and no other.
//! INVARIANT: the work is linear in the block: what is read in vain over line feeds is bounded by a budget.

use super::line;
use crate::limits::LINE_BYTES_MAX;

/// Where lines end.
#[derive(Clone, Debug)]
pub enum LineRule {
    /// Every line feed ends a line; what has none is not a whole line yet.
    Stream,
    /// A line feed within a quoted string does not end its line; the end of the body does.
    Body {
        /// Bytes that may still be read in vain past a line feed; then every line feed ends a line.
        rescan_bytes_left: usize,
    },
}

impl LineRule {
    /// The rule for a body of that many bytes.
    pub fn body(body_bytes: usize) -> Self {
        Self::Body { rescan_bytes_left: body_bytes.saturating_mul(4).saturating_add(LINE_BYTES_MAX) }
    }
}

/// A line at the front of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent<'a> {
    /// The line without its line feed, and without a carriage return before that.
    pub line: &'a [u8],
    /// Bytes up to the start of the next line.
    pub consumed: usize,
    /// Line feeds within the line.
    pub inner_line_feeds: u32,
}

impl Extent<'_> {
    /// Whether the line is over `LINE_BYTES_MAX`.
    pub fn is_too_long(&self) -> bool {
        LINE_BYTES_MAX < self.line.len()
    }
}

/// The first line of `bytes`; `None` where there is no whole one.
pub fn first_line<'a>(bytes: &'a [u8], rule: &mut LineRule) -> Option<Extent<'a>> {
    let line_feed = memchr::memchr(b'\n', bytes);
    let budget = match rule {
        LineRule::Stream => return line_feed.map(|end| extent(bytes, end)),
        LineRule::Body { rescan_bytes_left } => rescan_bytes_left,
    };
    if bytes.is_empty() {
        return None;
    }
    let end = line_feed.unwrap_or(bytes.len());
    let within = bytes.get(..end).unwrap_or_default();
    if line_feed.is_none() || memchr::memchr(b'"', within).is_none() || is_other(within) {
        return Some(extent(bytes, end));
    }
    // One byte more than a line may have, so that an over-long string is seen not to end in time.
    let reach = bytes.get(..LINE_BYTES_MAX.saturating_add(2)).unwrap_or(bytes);
    let (quoted_end, read) = quoted_line_end(reach);
    if let Some(quoted_end) = quoted_end {
        let whole = extent(bytes, quoted_end);
        if quoted_end == end || (*budget != 0 && line::is_well_formed(whole.line)) {
            return Some(whole);
        }
    }
    *budget = budget.saturating_sub(read.saturating_sub(end));
    Some(extent(bytes, end))
}

/// Whether the line is a comment or JSON, in which quotes do not hide a line feed.
fn is_other(line: &[u8]) -> bool {
    matches!(line.iter().find(|byte| **byte != b' '), Some(b'#' | b'{'))
}

/// The line of `bytes` that ends at the offset `end`, a line feed or the end of the block.
fn extent(bytes: &[u8], end: usize) -> Extent<'_> {
    let line = bytes.get(..end).unwrap_or_default();
    let inner = u32::try_from(memchr::memchr_iter(b'\n', line).count()).unwrap_or(u32::MAX);
    let consumed = end.saturating_add(1).min(bytes.len());
    Extent { line: line.strip_suffix(b"\r").unwrap_or(line), consumed, inner_line_feeds: inner }
}

/// The end of the first line, line feeds within quoted field values left aside, or `None` where a string is not closed;
/// and how many bytes were read to know it.
fn quoted_line_end(bytes: &[u8]) -> (Option<usize>, usize) {
    #[derive(Clone, Copy, PartialEq)]
    enum In {
        Margin,
        Head,
        Fields,
        String,
    }
    let mut place = In::Margin;
    let mut after_equals = false;
    let mut escaped = false;
    for (offset, byte) in bytes.iter().copied().enumerate() {
        let plain = !escaped;
        escaped = byte == b'\\' && (plain || place != In::String);
        place = match (place, byte) {
            (In::String, b'"') | (In::Head, b' ') if plain => In::Fields,
            (In::String, _) => In::String,
            (_, b'\n') => return (Some(offset), offset),
            (In::Margin, b' ') => In::Margin,
            (In::Margin, _) => In::Head,
            (In::Fields, b'"') if after_equals => In::String,
            (other, _) => other,
        };
        after_equals = place == In::Fields && byte == b'=' && plain;
    }
    let end = (place != In::String).then_some(bytes.len());
    (end, bytes.len())
}
