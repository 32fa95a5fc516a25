//! One call of a parser: adds lines to a batch, block by block, in steps over each block so that the look-ups of its lines
//! overlap. Decides which path a line takes; knows neither syntax nor series.

use super::builder::BatchBuilder;
use crate::intake::wire::block::{Extent, LineRule, first_line};
use crate::intake::wire::fast::{self, FastEvent};
use crate::intake::wire::{LineError, LineErrorKind, TimeRules, line};
use crate::limits::{LINE_BYTES_MAX, PREFETCH_LINES};
use crate::model::catalogue::index::IdHashes;

/// Adds the lines of one call of a parser.
#[derive(Debug)]
pub(super) struct LineBatcher<'p> {
    pub(super) builder: BatchBuilder<'p>,
    pub(super) times: TimeRules,
    /// Lines taken so far.
    pub(super) lines: u64,
}

/// A line of a block.
enum BlockLine<'a> {
    /// The fast path has read it.
    Fast(FastEvent<'a>, IdHashes),
    /// Only the complete grammar can read it.
    Other(Extent<'a>),
}

/// The lines of a block.
type Block<'a> = [Option<BlockLine<'a>>; PREFETCH_LINES];

impl LineBatcher<'_> {
    /// Adds the lines of `bytes` until no whole one is left or, on a stream, one begins with `!` or the bad ones have
    /// to be taken out; returns how many bytes that was.
    pub(super) fn add_lines(&mut self, bytes: &[u8], rule: &mut LineRule) -> usize {
        let mut block: Block<'_> = [const { None }; PREFETCH_LINES];
        let mut rest = bytes;
        loop {
            // A large body can have new stories by the thousand.
            self.builder.refresh();
            let (count, after) = self.split_block(rest, rule, &mut block);
            rest = after;
            let lines = block.get(..count).unwrap_or_default();
            self.prefetch(lines);
            for line in lines.iter().flatten() {
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
        block: &mut Block<'a>,
    ) -> (usize, &'a [u8]) {
        let stops_at_commands = matches!(rule, LineRule::Stream);
        let mut rest = bytes;
        for (count, line) in block.iter_mut().enumerate() {
            if stops_at_commands && rest.first() == Some(&b'!') {
                return (count, rest);
            }
            if let Some(event) = fast::first_event(rest, &self.times) {
                rest = event.rest;
                let hashes = self.builder.hash_ids(&event.head);
                *line = Some(BlockLine::Fast(event, hashes));
            } else {
                let Some(extent) = first_line(rest, rule) else { return (count, rest) };
                rest = rest.get(extent.consumed..).unwrap_or_default();
                *line = Some(BlockLine::Other(extent));
            }
        }
        (PREFETCH_LINES, rest)
    }

    /// Loads the slots and rows that the look-ups of the block will read, so that no line waits for another's loads.
    #[inline]
    fn prefetch(&self, lines: &[Option<BlockLine<'_>>]) {
        let all_hashes = || {
            lines.iter().filter_map(|line| match line {
                Some(BlockLine::Fast(_, hashes)) => Some(*hashes),
                _ => None,
            })
        };
        let view = self.builder.view();
        let slots = all_hashes().fold(0, |loaded, hashes| loaded ^ view.prefetch_slots(hashes));
        let rows = all_hashes().fold(0, |loaded, hashes| loaded ^ view.prefetch_rows(hashes));
        std::hint::black_box(slots ^ rows);
    }

    /// Adds one line.
    #[inline]
    fn add_line(&mut self, line: &BlockLine<'_>) {
        match line {
            BlockLine::Fast(event, hashes) => {
                if self.builder.add_known(&event.head, *hashes, event.tail) {
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
