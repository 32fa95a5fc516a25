//! One call of a parser: takes lines in blocks, in steps over each block so that the look-ups of its lines overlap. Decides
//! which path a line takes; knows neither syntax nor series.

use std::sync::Arc;

use super::heads::{self, Heads};
use super::quick::{self, Front, Tail};
use super::shape::Shape;
use super::sink::{Entry, EventKind, Sink};
use crate::intake::wire::block::{LineRule, first_line};
use crate::intake::wire::{LineError, LineErrorKind, TimeRules, line};
use crate::limits::{LINE_BYTES_MAX, LINES_ABREAST};
use crate::model::catalogue::index::{self, Link, Rows};

/// Takes the lines of one call of a parser.
#[derive(Debug)]
pub(super) struct Run<'p> {
    pub(super) rows: &'p mut Arc<Rows>,
    pub(super) heads: &'p mut Heads,
    pub(super) sink: Sink<'p>,
    pub(super) times: TimeRules,
    /// Lines taken so far.
    pub(super) lines: u64,
}

/// A line of a block.
#[derive(Clone, Copy)]
enum Abreast<'a> {
    /// Its head has the usual shape.
    Shaped { line: &'a [u8], shape: Shape<'a>, tail: Tail, probe: index::Probe },
    /// Its head is another one, which may be known by its bytes.
    Headed { line: &'a [u8], head: &'a [u8], tail: Tail, probe: heads::Probe },
    /// Only the complete grammar can tell.
    Other { line: &'a [u8], inner_line_feeds: u32 },
}

impl Default for Abreast<'_> {
    fn default() -> Self {
        Self::Other { line: &[], inner_line_feeds: 0 }
    }
}

impl Run<'_> {
    /// Takes the lines of `bytes` until no whole one is left or, on a stream, one begins with `!` or the bad ones have
    /// to be taken out; returns how many bytes were taken.
    pub(super) fn take_lines(&mut self, bytes: &[u8], rule: &mut LineRule) -> usize {
        let mut block = [Abreast::default(); LINES_ABREAST];
        let mut rest = bytes;
        loop {
            // A large body can have new stories by the thousand.
            self.sink.refresh(self.rows);
            let (count, after) = self.gather(rest, rule, &mut block);
            rest = after;
            let block = block.get_mut(..count).unwrap_or_default();
            self.bring_near(block);
            for abreast in &*block {
                self.count(abreast);
            }
            let is_full = matches!(rule, LineRule::Stream) && self.sink.parsed().is_full_of_rejections();
            if count < LINES_ABREAST || is_full {
                return bytes.len() - rest.len();
            }
        }
    }

    /// Fills the block with the next lines of `bytes`; returns how many there are, and what follows them.
    #[inline]
    fn gather<'a>(
        &self,
        bytes: &'a [u8],
        rule: &mut LineRule,
        block: &mut [Abreast<'a>; LINES_ABREAST],
    ) -> (usize, &'a [u8]) {
        let stops_at_commands = matches!(rule, LineRule::Stream);
        let mut rest = bytes;
        for (count, abreast) in block.iter_mut().enumerate() {
            if stops_at_commands && rest.first() == Some(&b'!') {
                return (count, rest);
            }
            if let Some(Front { head, shape, line, tail, after }) = quick::front(rest, &self.times) {
                *abreast = match shape {
                    Some(shape) => {
                        let probe = self.rows.probe(shape.story, shape.node);
                        Abreast::Shaped { line, shape, tail, probe }
                    }
                    None => Abreast::Headed { line, head, tail, probe: self.heads.probe(head) },
                };
                rest = after;
            } else {
                let Some(extent) = first_line(rest, rule) else { return (count, rest) };
                *abreast = Abreast::Other { line: extent.line, inner_line_feeds: extent.inner_line_feeds };
                rest = rest.get(extent.consumed..).unwrap_or_default();
            }
        }
        (LINES_ABREAST, rest)
    }

    /// Reads of the tables what the look-ups of the block will read first, so that no line waits for another's.
    #[inline]
    fn bring_near(&self, block: &mut [Abreast<'_>]) {
        let mut touched = 0;
        for abreast in &mut *block {
            match abreast {
                Abreast::Shaped { probe, .. } => touched ^= self.rows.touch(*probe),
                Abreast::Headed { probe, .. } => self.heads.fetch(probe),
                Abreast::Other { .. } => {}
            }
        }
        std::hint::black_box(touched);
        for abreast in block {
            if let Abreast::Headed { probe, head, .. } = abreast {
                self.heads.peek(probe, head);
            }
        }
    }

    /// Counts one line.
    #[inline]
    fn count(&mut self, abreast: &Abreast<'_>) {
        match abreast {
            Abreast::Shaped { line, shape, tail, probe } => {
                if self.count_indexed(*probe, shape, *tail) {
                    self.lines += 1;
                } else {
                    self.new_shape(line, shape, *tail);
                }
            }
            Abreast::Headed { line, head, tail, probe } => {
                if let Some(entry) = self.heads.find(probe, head)
                    && self.sink.quick(entry, *tail)
                {
                    self.lines += 1;
                } else {
                    self.slow(line, Some(head));
                }
            }
            Abreast::Other { line, inner_line_feeds } => {
                self.slow(line, None);
                self.lines += u64::from(*inner_line_feeds);
            }
        }
    }

    /// Counts a line whose series the index knows. `false`, with nothing done, where it does not.
    #[inline]
    fn count_indexed(&mut self, probe: index::Probe, shape: &Shape<'_>, tail: Tail) -> bool {
        let source = shape.source;
        let Some(story) = self.rows.story(probe, shape.story) else { return false };
        let (link, paid): (Option<&Link>, _) = match (shape.kind, shape.node) {
            (EventKind::Message, _) => (story.messages(source), None),
            (EventKind::Conversation, _) => (story.conversations(source), story.paid(source)),
            (EventKind::Interaction, node) => {
                let row = node.and_then(|node| self.rows.node(probe, story, node));
                (row.and_then(|row| row.link(source)), None)
            }
        };
        link.is_some_and(|link| self.sink.quick_in(shape.kind, link, paid, tail))
    }

    /// Counts one line whose head has the usual shape and is not in the index.
    #[cold]
    #[inline(never)]
    fn new_shape(&mut self, line: &[u8], shape: &Shape<'_>, tail: Tail) {
        let Some(outcome) = self.sink.take_shape(self.rows, shape, tail) else {
            self.slow(line, None);
            return;
        };
        self.lines += 1;
        if let Err(error) = outcome {
            self.sink.parsed().reject(self.lines, error);
        }
    }

    /// Counts one line by the complete grammar. `head` is what the cache is to know the line by next time.
    #[cold]
    #[inline(never)]
    pub(super) fn slow(&mut self, line: &[u8], head: Option<&[u8]>) {
        self.lines += 1;
        match self.slow_outcome(line) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                if let Some(head) = head {
                    self.heads.insert(head, entry);
                }
            }
            Err(error) => self.sink.parsed().reject(self.lines, error),
        }
    }

    /// What the cache may know of the line's head from now on; `None` where it must not know it.
    fn slow_outcome(&mut self, text: &[u8]) -> Result<Option<Entry>, LineError> {
        if LINE_BYTES_MAX < text.len() {
            return Err(LineError::whole(LineErrorKind::TooLong));
        }
        match line::event(text, &self.times)? {
            None => Ok(None),
            Some(reading) => self.sink.take(reading),
        }
    }

    /// Ends the run; the number of lines taken so far.
    pub(super) fn finish(self) -> u64 {
        self.sink.finish();
        self.lines
    }
}
