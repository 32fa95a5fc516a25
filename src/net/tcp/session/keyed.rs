//! A batch with a key on the line port: the lines between `!batch KEY` and `!end` are held until the batch is whole, so that
//! one that was counted before is recognised without being parsed.

use super::{BatchLines, Session, Then, Turn};
use crate::intake::batching::{Parsed, Stop, Tally};
use crate::intake::wire::{Arrival, Precision};
use crate::limits::{
    BODY_BYTES_PER_TURN, LINE_BYTES_MAX, LINE_ERRORS_SHOWN_MAX, TCP_KEYED_BATCH_BYTES_MAX, wide,
};
use crate::model::batch::{KeyedAnswer, RejectedLine};
use crate::net::byte_budget::ReservedBytes;
use crate::net::commit::NotCounted;
use crate::net::idempotency;

const NOT_AN_END: &str = "within a batch with a key there is no command but `!end`";

/// Why a batch cannot be held.
enum NoRoom {
    InBatch,
    InMemory,
}

/// The lines of a batch with a key, as they came.
#[derive(Debug)]
pub(in super::super) struct KeyedLines {
    pub(in super::super) key: String,
    /// The line of `!batch`.
    first_line: u64,
    bytes: Vec<u8>,
    reserved: ReservedBytes,
    /// The last line has not ended.
    is_mid_line: bool,
    /// How much of it is parsed.
    parsed_to: usize,
    /// The first bad lines of that.
    bad_lines: Vec<RejectedLine>,
}

impl KeyedLines {
    pub(super) fn begin(key: &str, first_line: u64, reserved: ReservedBytes) -> Self {
        let (key, bytes, bad_lines) = (key.to_owned(), Vec::new(), Vec::new());
        Self { key, first_line, bytes, reserved, is_mid_line: false, parsed_to: 0, bad_lines }
    }

    /// What the batch is answered, once it is parsed.
    pub(in super::super) fn answer(&mut self, tally: &Tally) -> KeyedAnswer {
        idempotency::answer(tally, std::mem::take(&mut self.bad_lines))
    }

    /// All lines, without the commands around them.
    pub(in super::super) fn content(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes whole lines from the front of `bytes` up to a command; says how many bytes, and whether a command is next.
    fn collect(&mut self, bytes: &[u8]) -> Result<(usize, bool), NoRoom> {
        let mut taken = 0;
        let mut at_command = false;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            if !self.is_mid_line && rest.starts_with(b"!") {
                at_command = true;
                break;
            }
            if let Some(length) = memchr::memchr(b'\n', rest) {
                taken = taken.saturating_add(length).saturating_add(1);
                self.is_mid_line = false;
            } else {
                // A line that is too long is refused by the parser, and only needs to be held.
                if rest.len() > LINE_BYTES_MAX || (self.is_mid_line && !rest.is_empty()) {
                    taken = bytes.len();
                    self.is_mid_line = true;
                }
                break;
            }
        }
        if self.bytes.len().saturating_add(taken) > TCP_KEYED_BATCH_BYTES_MAX {
            return Err(NoRoom::InBatch);
        }
        let lines = bytes.get(..taken).unwrap_or_default();
        let needed = self.bytes.len().saturating_add(taken).saturating_sub(self.bytes.capacity());
        if needed > 0 {
            let more = needed.max(self.bytes.capacity());
            self.reserved.reserve(more).map_err(|_spent| NoRoom::InMemory)?;
            self.bytes.reserve_exact(more);
        }
        self.bytes.extend_from_slice(lines);
        Ok((taken, at_command))
    }
}

impl Session {
    /// Takes lines of the batch with a key that has begun, up to `!end`.
    pub(super) fn collect(&mut self, bytes: &[u8]) -> Turn {
        let Some(batch) = &mut self.keyed else { return Turn { consumed: 0, then: Then::Again } };
        let line = batch.first_line;
        let (taken, at_command) = match batch.collect(bytes) {
            Ok(collected) => collected,
            Err(NoRoom::InBatch) => {
                return self.give_up(line, bytes.len(), "a batch with a key takes at most 32 MiB");
            }
            Err(NoRoom::InMemory) => return Turn { consumed: bytes.len(), then: Then::Overloaded },
        };
        let command = bytes.get(taken..).unwrap_or_default();
        let Some(length) = memchr::memchr(b'\n', command).filter(|_| at_command) else {
            if at_command && command.len() > LINE_BYTES_MAX {
                return self.give_up(line, bytes.len(), NOT_AN_END);
            }
            return Turn { consumed: taken, then: Then::Read };
        };
        let consumed = taken.saturating_add(length).saturating_add(1);
        if command.get(..length).is_some_and(|command| command.trim_ascii_end() == b"!end") {
            Turn { consumed, then: Then::Batch }
        } else {
            self.give_up(line, bytes.len(), NOT_AN_END)
        }
    }

    fn give_up(&mut self, line: u64, consumed: usize, what: &str) -> Turn {
        self.answers.err(line, format_args!("{what}; nothing of it, and nothing after it, is counted"));
        Turn { consumed, then: Then::Close }
    }

    /// The batch that has its `!end`.
    pub(in super::super) fn take_keyed(&mut self) -> Option<KeyedLines> {
        self.keyed.take()
    }

    /// The unit of the timestamps, where the connection has given one.
    pub(in super::super) fn precision(&self) -> Option<Precision> {
        self.parser.precision()
    }

    /// Parses some more of the batch into `parsed`, and answers bad lines; `false` once all is parsed, `!end` included.
    pub(in super::super) fn parse_keyed(
        &mut self,
        batch: &mut KeyedLines,
        arrival: Arrival,
        parsed: &mut Parsed,
    ) -> bool {
        let mut length = BODY_BYTES_PER_TURN;
        let is_done = loop {
            let rest = batch.bytes.get(batch.parsed_to..).unwrap_or_default();
            let slice = rest.get(..length).unwrap_or(rest);
            let (consumed, stop) = self.parser.parse_stream(slice, arrival, parsed);
            batch.parsed_to = batch.parsed_to.saturating_add(consumed);
            if stop == Stop::BadLines || (consumed > 0 && slice.len() < rest.len()) {
                break false;
            }
            if slice.len() == rest.len() {
                break true;
            }
            length = length.saturating_mul(2);
        };
        if is_done {
            self.parser.skip_lines(1);
        }
        self.lines = self.lines_before_parser.saturating_add(self.parser.lines());
        let before_batch = batch.first_line.saturating_sub(self.lines_before_parser);
        for rejection in parsed.rejections.drain(..) {
            if batch.bad_lines.len() < LINE_ERRORS_SHOWN_MAX {
                batch.bad_lines.push(idempotency::bad_line(&rejection, before_batch));
            }
            self.answers.err(rejection.line.saturating_add(self.lines_before_parser), &rejection.error);
        }
        !is_done
    }

    /// Goes past the lines of a batch that is not parsed.
    pub(in super::super) fn skip_keyed(&mut self, batch: &KeyedLines) {
        let lines = memchr::memchr_iter(b'\n', &batch.bytes).count().saturating_add(1);
        self.parser.skip_lines(wide(lines));
        self.lines = self.lines_before_parser.saturating_add(self.parser.lines());
        self.batch_first_line = self.lines.saturating_add(1);
    }

    /// The batch is counted.
    pub(in super::super) fn keyed_counted(&mut self, answer: &KeyedAnswer) {
        self.note_rejected(answer);
        self.accepted = self.accepted.saturating_add(u64::from(answer.accepted));
        self.answers.ok(u64::from(answer.accepted), u64::from(answer.rejected));
    }

    /// The batch was counted before: it is answered as it was then.
    pub(in super::super) fn keyed_replayed(&mut self, batch: &KeyedLines, answer: &KeyedAnswer) {
        for bad in &answer.bad_lines {
            self.answers.err(batch.first_line.saturating_add(bad.line), &bad.message);
        }
        self.answers.dup(u64::from(answer.accepted), u64::from(answer.rejected));
    }

    /// The batch was counted before, as the log has said after it was parsed: bad lines have their answers.
    pub(in super::super) fn keyed_repeated(&mut self, answer: &KeyedAnswer) {
        self.batch_first_line = self.lines.saturating_add(1);
        self.answers.dup(u64::from(answer.accepted), u64::from(answer.rejected));
    }

    /// Another batch was counted under the key.
    pub(in super::super) fn keyed_conflict(&mut self, batch: &KeyedLines) {
        let what = "this key was used for another batch; give each batch a key of its own";
        self.answers.err(batch.first_line, format_args!("{what}; nothing of it is counted"));
    }

    /// The batch is not acknowledged.
    pub(in super::super) fn keyed_failed(
        &mut self,
        batch: &KeyedLines,
        (accepted, error): (u64, &NotCounted),
    ) {
        let lines = batch.first_line..=self.lines;
        self.not_acknowledged(&BatchLines { lines, accepted }, error);
    }

    /// Counts the bad lines of a batch that was parsed.
    pub(in super::super) fn note_rejected(&mut self, answer: &KeyedAnswer) {
        self.rejected = self.rejected.saturating_add(u64::from(answer.rejected));
        self.batch_first_line = self.lines.saturating_add(1);
    }

    /// The peer closed within a batch with a key.
    pub(super) fn unfinished_keyed(&mut self) -> Then {
        if let Some(batch) = self.keyed.take() {
            let what = "the batch has no `!end`";
            self.answers.err(batch.first_line, format_args!("{what}; nothing of it is counted"));
        }
        Then::Close
    }
}
