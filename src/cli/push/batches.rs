//! Cuts text into batches of whole lines, the same text always in the same way. Knows nothing of sending.
//!
//! INVARIANT: the batches, one after the other, are the input, except that a line over 64 KiB, which every daemon
//! refuses, is cut there. No batch ends within a quoted string or within a JSON document.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use crate::limits::{BODY_BYTES_MAX, LINE_BYTES_MAX, PUSH_BATCH_BYTES_MAX, PUSH_BATCH_LINES_MAX, wide};

/// What some programs write in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines that travel together.
#[derive(Debug)]
pub(crate) struct LineBatch {
    /// The lines with their line feeds.
    pub(crate) text: Vec<u8>,
    /// Number of the first line in its file, from 1.
    pub(crate) first_line: u64,
    /// Line feeds in the text, and one for a last line without.
    pub(crate) lines: u64,
}

/// First and last line of a batch, as messages have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LineRange {
    first: u64,
    last: u64,
}

impl fmt::Display for LineRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "line {}", self.first)
        } else {
            write!(f, "lines {} to {}", self.first, self.last)
        }
    }
}

impl LineBatch {
    /// Its place in the file.
    pub(crate) fn line_range(&self) -> LineRange {
        let last = self.first_line.saturating_add(self.lines).saturating_sub(1);
        LineRange { first: self.first_line, last }
    }
}

/// The batches of one input, in order.
pub(crate) struct Batches<R> {
    input: R,
    pub(super) lines_read: u64,
    quote: Quote,
}

impl<R: BufRead> Batches<R> {
    /// The batches of an input that nothing was read of yet.
    pub(crate) fn new(input: R) -> Self {
        Self { input, lines_read: 0, quote: Quote::default() }
    }

    /// The next batch; `None` at the end of the input. Blocks. An error also where it is one JSON document that no
    /// request can hold.
    pub(crate) fn next_batch(&mut self) -> io::Result<Option<LineBatch>> {
        let first_line = self.lines_read.saturating_add(1);
        let mut text = Vec::new();
        if first_line == 1 && self.begins_with_array(&mut text)? {
            self.read_document(&mut text)?;
        }
        while let Some(start) = self.read_line(&mut text)? {
            let line = text.get(start..).unwrap_or_default();
            if first_line == 1 && is_open_object(line) && text.get(..start).is_some_and(is_blank_but_mark) {
                self.read_document(&mut text)?;
                break;
            }
            self.quote.follow(line);
            let is_full = self.lines_read.saturating_sub(first_line).saturating_add(1)
                >= PUSH_BATCH_LINES_MAX
                || text.len().saturating_add(LINE_BYTES_MAX) > PUSH_BATCH_BYTES_MAX;
            if is_full && !self.quote.is_open() {
                break;
            }
        }
        if text.is_empty() {
            return Ok(None);
        }
        let lines = self.lines_read.saturating_sub(first_line).saturating_add(1);
        Ok(Some(LineBatch { text, first_line, lines }))
    }

    /// Appends the next line; `None` at the end. Returns where it starts. A line that is too long for any daemon
    /// keeps just enough to be refused as such.
    fn read_line(&mut self, text: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let start = text.len();
        let most = wide(LINE_BYTES_MAX).saturating_add(2);
        let read = (&mut self.input).take(most).read_until(b'\n', text)?;
        if read == 0 {
            return Ok(None);
        }
        self.lines_read = self.lines_read.saturating_add(1);
        if !text.ends_with(b"\n") && !self.input.fill_buf()?.is_empty() {
            self.skip_line()?;
            text.push(b'\n');
        }
        Ok(Some(start))
    }

    /// Reads up to and with the next line feed and keeps nothing.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = memchr::memchr(b'\n', buffer);
            let used = end.map_or(buffer.len(), |at| at.saturating_add(1));
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// Appends the blank bytes at the start of the input; whether what follows begins a JSON array.
    fn begins_with_array(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        // The daemon leaves a byte order mark out as well.
        if self.input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            text.extend_from_slice(BYTE_ORDER_MARK);
            self.input.consume(BYTE_ORDER_MARK.len());
        }
        loop {
            let buffer = self.input.fill_buf()?;
            let count = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let (blank, rest) = buffer.split_at(count);
            let next = rest.first().copied();
            let is_end = buffer.is_empty() || text.len() > LINE_BYTES_MAX;
            text.extend_from_slice(blank);
            self.lines_read = self.lines_read.saturating_add(line_feeds(blank));
            self.input.consume(count);
            if is_end || next.is_some() {
                return Ok(next == Some(b'['));
            }
        }
    }

    /// Appends the rest of the input, which is one JSON document.
    fn read_document(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let start = text.len();
        let room = wide(BODY_BYTES_MAX.saturating_sub(start));
        (&mut self.input).take(room).read_to_end(text)?;
        if !self.input.fill_buf()?.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!(
                    "one JSON document of more than {BODY_BYTES_MAX} bytes; write one object a line instead"
                ),
            ));
        }
        let added = text.get(start..).unwrap_or_default();
        let unfinished = u64::from(!added.is_empty() && !added.ends_with(b"\n"));
        self.lines_read = self.lines_read.saturating_add(line_feeds(added)).saturating_add(unfinished);
        Ok(())
    }
}

/// Whether a line begins a JSON object that goes on in the next line.
fn is_open_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.starts_with(b"{")
        && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

fn is_blank_but_mark(text: &[u8]) -> bool {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii().is_empty()
}

fn line_feeds(text: &[u8]) -> u64 {
    wide(memchr::memchr_iter(b'\n', text).count())
}

/// Follows the quotes of line protocol over line feeds, as far as cutting needs it: a string that stays open
/// longer than the longest line is a bad line, and no reason not to cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Quote {
    /// Bytes since the quote that is open.
    open_bytes: Option<usize>,
}

impl Quote {
    fn is_open(self) -> bool {
        self.open_bytes.is_some()
    }

    /// Goes on over one line, with its line feed.
    fn follow(&mut self, line: &[u8]) {
        let mut rest = line;
        if self.open_bytes.is_none() {
            if memchr::memchr(b'"', line).is_none() || line.trim_ascii_start().starts_with(b"{") {
                return;
            }
            // Quotes mean something in the fields only, after the first space that is not escaped.
            let Some(fields) = fields_of(line) else { return };
            rest = fields;
        }
        let mut bytes = self.open_bytes.unwrap_or(0).saturating_add(rest.len());
        let mut is_open = self.open_bytes.is_some();
        let mut is_escaped = false;
        for byte in rest {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    is_open = !is_open;
                    bytes = 0;
                }
                _ => {}
            }
        }
        self.open_bytes = (is_open && bytes <= LINE_BYTES_MAX).then_some(bytes);
    }
}

/// What follows the first space that no backslash escapes; comments have no fields.
fn fields_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_start();
    if line.starts_with(b"#") {
        return None;
    }
    let mut is_escaped = false;
    let space = line.iter().position(|byte| {
        let is_end = *byte == b' ' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    line.get(space..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn cut(text: &[u8]) -> Vec<LineBatch> {
        let mut batches = Batches::new(Cursor::new(text));
        let mut all = Vec::new();
        while let Some(batch) = batches.next_batch().expect("readable") {
            all.push(batch);
        }
        all
    }

    fn places(text: &[u8]) -> Vec<(u64, u64)> {
        cut(text).iter().map(|batch| (batch.first_line, batch.lines)).collect()
    }

    #[test]
    fn batches_are_the_input_in_order() {
        let lines: Vec<String> =
            (0..12_345).map(|number| format!("message,storyId=a n={number}i\n")).collect();
        let text = lines.concat();
        let whole: Vec<u8> = cut(text.as_bytes()).into_iter().flat_map(|batch| batch.text).collect();
        assert_eq!(whole, text.as_bytes());
        assert_eq!(places(text.as_bytes()), [(1, 5_000), (5_001, 5_000), (10_001, 2_345)]);
    }

    #[test]
    fn long_lines_fill_a_batch_by_their_bytes() {
        let text = format!("{}\n", "x".repeat(60_000)).repeat(200);
        let batches = cut(text.as_bytes());
        assert!(batches.len() > 2);
        assert!(batches.iter().all(|batch| batch.text.len() <= PUSH_BATCH_BYTES_MAX));
    }

    #[test]
    fn last_line_needs_no_line_feed_and_empty_input_no_batch() {
        assert_eq!(places(b"a\nb"), [(1, 2)]);
        assert_eq!(places(b""), []);
        assert_eq!(places(b"\n"), [(1, 1)]);
    }

    #[test]
    fn endless_line_is_shortened_and_keeps_the_numbers_of_the_others() {
        let mut text = vec![b'x'; LINE_BYTES_MAX * 3];
        text.extend_from_slice(b"\nmessage\n");
        let batches = cut(&text);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].lines, 2);
        assert!(batches[0].text.len() < LINE_BYTES_MAX + 20);
        assert!(batches[0].text.ends_with(b"\nmessage\n"));
    }

    #[test]
    fn line_of_exactly_the_limit_stays_whole() {
        let mut text = vec![b'x'; LINE_BYTES_MAX];
        text.extend_from_slice(b"\r\ny\n");
        assert_eq!(cut(&text)[0].text, text);
    }

    #[test]
    fn cut_waits_for_the_end_of_a_quoted_string() {
        let mut text = "m a=1\n".repeat(4_999);
        text.push_str("m name=\"x\ny\nz\"\nm a=1\n");
        assert_eq!(places(text.as_bytes()), [(1, 5_002), (5_003, 1)]);
        // An escaped quote, a quote in a tag, in a comment or in JSON opens nothing.
        for line in ["m name=\"x\\\"y\"", "m,a=\"b v=1", "# \"", "{\"name\":\"x\\\"\"}"] {
            let text = format!("{line}\n").repeat(5_001);
            assert_eq!(places(text.as_bytes()), [(1, 5_000), (5_001, 1)], "{line}");
        }
    }

    #[test]
    fn string_that_never_ends_does_not_keep_the_batch_open() {
        let text = format!("{}m name=\"x\n{}", "m a=1\n".repeat(4_999), "m a=1\n".repeat(30_000));
        assert!(cut(text.as_bytes()).len() >= 3);
    }

    #[test]
    fn json_documents_stay_whole_and_ndjson_is_cut() {
        let array = format!("\n[\n{}{{}}]\n", "{},\n".repeat(6_000));
        assert_eq!(places(array.as_bytes()).len(), 1);
        let marked = format!("\u{feff}{array}");
        assert_eq!(places(marked.as_bytes()).len(), 1);
        assert_eq!(cut(marked.as_bytes())[0].text, marked.as_bytes());
        assert_eq!(places("\u{feff}{\n\"event\":\n\"message\"}".as_bytes()), [(1, 3)]);
        assert_eq!(places(b"{\n\"event\":\n\"message\"}"), [(1, 3)]);
        assert_eq!(places(b"\n {\n\"event\":\n\"message\"}\n"), [(1, 4)]);
        assert_eq!(places(b" \n\nmessage\n{\n"), [(1, 4)]);
        assert_eq!(places("{\"a\":1}\n".repeat(5_001).as_bytes()), [(1, 5_000), (5_001, 1)]);
    }

    #[test]
    fn document_that_fits_no_request_is_refused() {
        let mut text = b"[".to_vec();
        text.resize(BODY_BYTES_MAX + 1, b' ');
        let error = Batches::new(Cursor::new(text)).next_batch().expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
