//! One call of a parser: adds lines to a batch, block by block, in steps over each block so that the look-ups of its lines
//! overlap. Decides which path a line takes; knows neither syntax nor series.

use super::builder::BatchBuilder;
use crate::intake::wire::block::{Extent, LineRule, first_line};
use crate::intake::wire::fast::{self, FastEvent};
use crate::intake::wire::{LineError, LineErrorKind, TimeRules, line};
use crate::limits::{LINE_BYTES_MAX, PREFETCH_LINES};
use crate::model::catalogue::index::{Candidates, IdHashes, Index};

/// Adds the lines of one call of a parser.
#[derive(Debug)]
pub(super) struct LineBatcher<'p> {
    pub(super) index: &'p Index,
    pub(super) builder: BatchBuilder<'p>,
    pub(super) times: TimeRules,
    /// Lines taken so far.
    pub(super) lines: u64,
}

#[derive(Clone, Copy)]
enum BlockLine<'a, 'r> {
    /// The fast path has read it.
    Fast { event: FastEvent<'a>, hashes: IdHashes, rows: Candidates<'r> },
    /// Only the complete grammar can read it.
    Other(Extent<'a>),
}

impl Default for BlockLine<'_, '_> {
    fn default() -> Self {
        Self::Other(Extent::default())
    }
}

type Block<'a, 'r> = [BlockLine<'a, 'r>; PREFETCH_LINES];

impl<'p> LineBatcher<'p> {
    /// Adds the lines of `bytes` until no whole one is left or, on a stream, one begins with `!` or the bad ones have
    /// to be taken out; returns how many bytes that was.
    pub(super) fn add_lines(&mut self, bytes: &[u8], rule: &mut LineRule) -> usize {
        let mut block: Block<'_, 'p> = [BlockLine::default(); PREFETCH_LINES];
        let mut rest = bytes;
        loop {
            // A large body can have new stories by the thousand.
            self.builder.refresh();
            let (count, after) = self.split_block(rest, rule, &mut block);
            rest = after;
            let lines = block.get_mut(..count).unwrap_or_default();
            self.find_rows(lines);
            for line in &*lines {
                self.add_line(line);
            }
            let is_full = matches!(rule, LineRule::Stream) && self.builder.parsed().is_full_of_rejections();
            if count < PREFETCH_LINES || is_full {
                return bytes.len() - rest.len();
            }
        }
    }

    /// Fills the block with the next lines of `bytes`; returns how many there are, and what follows them.
    #[inline]
    fn split_block<'a>(
        &self,
        bytes: &'a [u8],
        rule: &mut LineRule,
        block: &mut Block<'a, 'p>,
    ) -> (usize, &'a [u8]) {
        let stops_at_commands = matches!(rule, LineRule::Stream);
        let view = self.builder.view();
        let mut rest = bytes;
        for (count, line) in block.iter_mut().enumerate() {
            if stops_at_commands && rest.first() == Some(&b'!') {
                return (count, rest);
            }
            if let Some((event, after)) = fast::first_event(rest, &self.times) {
                let hashes = self.index.hash_ids(event.head.story, event.head.node);
                view.prefetch(hashes);
                *line = BlockLine::Fast { event, hashes, rows: Candidates::default() };
                rest = after;
            } else {
                let Some(extent) = first_line(rest, rule) else { return (count, rest) };
                *line = BlockLine::Other(extent);
                rest = rest.get(extent.consumed..).unwrap_or_default();
            }
        }
        (PREFETCH_LINES, rest)
    }

    /// Finds the rows of the lines of a block, before any of them is read, so that no line waits for another's loads.
    #[inline]
    fn find_rows(&self, lines: &mut [BlockLine<'_, 'p>]) {
        let view = self.builder.view();
        for line in lines {
            if let BlockLine::Fast { hashes, rows, .. } = line {
                *rows = self.index.candidates(view, *hashes);
            }
        }
    }

    #[inline]
    fn add_line(&mut self, line: &BlockLine<'_, '_>) {
        match line {
            BlockLine::Fast { event, rows, .. } => {
                if self.builder.add_known(&event.head, *rows, event.tail) {
                    self.lines += 1;
                } else {
                    self.add_new(event);
                }
            }
            BlockLine::Other(extent) => {
                self.add_by_grammar(extent.line);
                self.lines += u64::from(extent.inner_line_feeds);
            }
        }
    }

    /// Adds one line that the fast path has read and whose series is new.
    #[cold]
    #[inline(never)]
    fn add_new(&mut self, event: &FastEvent<'_>) {
        // One of the ids is malformed: the grammar says so.
        let Some(key) = event.head.series() else { return self.add_by_grammar(event.line) };
        self.lines += 1;
        if let Err(error) = self.builder.add_new(&key, event.head.kind, event.tail) {
            self.builder.parsed().reject(self.lines, error);
        }
    }

    /// Adds one line by the complete grammar.
    #[cold]
    #[inline(never)]
    pub(super) fn add_by_grammar(&mut self, text: &[u8]) {
        self.lines += 1;
        let event = if LINE_BYTES_MAX < text.len() {
            Err(LineError::whole(LineErrorKind::TooLong))
        } else {
            line::event(text, &self.times)
        };
        let added =
            event.and_then(|reading| reading.map_or(Ok(()), |reading| self.builder.add_event(reading)));
        if let Err(error) = added {
            self.builder.parsed().reject(self.lines, error);
        }
    }

    /// Ends the call; the number of lines taken so far.
    pub(super) fn finish(self) -> u64 {
        self.builder.finish();
        self.lines
    }
}
