//! Answers that wait for their client to read them. Bounded: an `ERR` that does not fit is dropped and counted,
//! an `OK` always fits since its sender waits until it is written.
//!
//! INVARIANT: an answer is queued whole or not at all, in the order in which the answers were given.

use std::fmt::Display;
use std::io::Write as _;

use crate::limits::{TCP_ANSWERS_BYTES_FREE, TCP_ANSWERS_BYTES_MAX};
use crate::net::byte_budget::{ByteBudget, ReservedBytes};

/// The answers of one connection that are not written yet.
#[derive(Debug)]
pub(super) struct Answers {
    bytes: Vec<u8>,
    /// For what is longer than [`TCP_ANSWERS_BYTES_FREE`].
    reserved: ReservedBytes,
    /// How many of the bytes are written.
    written: usize,
    dropped: u64,
}

impl Answers {
    /// None yet; the budget is for many of them.
    pub(super) fn new(budget: &ByteBudget) -> Self {
        Self { bytes: Vec::new(), reserved: budget.holder(), written: 0, dropped: 0 }
    }

    /// Says what is wrong with a line, if there is room to. `line` is 1-based; 0 stands for no line.
    pub(super) fn err(&mut self, line: u64, what: impl Display) {
        let start = self.bytes.len();
        self.append(format_args!("ERR {line} {what}"));
        if self.bytes.len() > TCP_ANSWERS_BYTES_MAX || !self.has_budget() {
            self.bytes.truncate(start);
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Whether the budget has room for what waits.
    fn has_budget(&mut self) -> bool {
        let needed = self.bytes.len().saturating_sub(TCP_ANSWERS_BYTES_FREE);
        let more = needed.saturating_sub(self.reserved.bytes());
        more == 0 || self.reserved.reserve(more.max(TCP_ANSWERS_BYTES_FREE)).is_ok()
    }

    /// Says how many lines of the connection were counted and how many were not.
    pub(super) fn ok(&mut self, accepted: u64, rejected: u64) {
        self.append(format_args!("OK {accepted} {rejected}"));
    }

    /// Says the same of a batch that was counted before.
    pub(super) fn dup(&mut self, accepted: u64, rejected: u64) {
        self.append(format_args!("DUP {accepted} {rejected}"));
    }

    /// What is to be written next; empty when everything is.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// The first `bytes` of what was waiting are written.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
        if self.written >= self.bytes.len() {
            self.bytes = Vec::new();
            self.reserved.shrink_to(0);
            self.written = 0;
        } else if self.written > TCP_ANSWERS_BYTES_MAX / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// How many answers were dropped since this was asked last.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn append(&mut self, answer: std::fmt::Arguments<'_>) {
        let start = self.bytes.len();
        if self.bytes.write_fmt(answer).is_err() {
            // Writing to memory cannot fail. If it did, the client would still learn that there was an answer.
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(b"ERR 0 an answer could not be written");
        }
        // An echoed piece of the client's line must not look like another answer.
        for byte in self.bytes.iter_mut().skip(start).filter(|byte| byte.is_ascii_control()) {
            *byte = b'?';
        }
        self.bytes.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_out_in_order_and_in_parts() {
        let mut answers = Answers::new(&ByteBudget::new(TCP_ANSWERS_BYTES_MAX));
        answers.err(3, "no such source");
        answers.ok(2, 1);
        assert_eq!(answers.waiting(), b"ERR 3 no such source\nOK 2 1\n");
        answers.advance(4);
        assert_eq!(answers.waiting(), b"3 no such source\nOK 2 1\n");
        answers.advance(answers.waiting().len());
        assert!(answers.waiting().is_empty());
    }

    #[test]
    fn errors_past_the_bound_are_dropped_whole_and_counted_but_ok_is_not() {
        let mut answers = Answers::new(&ByteBudget::new(TCP_ANSWERS_BYTES_MAX));
        let what = "x".repeat(1_000);
        for line in 1..=100 {
            answers.err(line, &what);
        }
        answers.ok(0, 100);
        assert!(answers.waiting().len() <= TCP_ANSWERS_BYTES_MAX + "OK 0 100\n".len());
        assert!(answers.waiting().ends_with(b"x\nOK 0 100\n"));
        let kept = answers.waiting().split_inclusive(|byte| *byte == b'\n').count() - 1;
        assert_eq!(answers.take_dropped(), 100 - u64::try_from(kept).expect("few"));
        assert_eq!(answers.take_dropped(), 0);
    }

    #[test]
    fn errors_past_the_shared_budget_are_dropped_until_there_is_room() {
        let budget = ByteBudget::new(TCP_ANSWERS_BYTES_FREE);
        let mut answers = Answers::new(&budget);
        for line in 1..=10 {
            answers.err(line, "x".repeat(1_000));
        }
        assert!(answers.waiting().len() <= 2 * TCP_ANSWERS_BYTES_FREE && answers.take_dropped() > 0);
        answers.advance(answers.waiting().len());
        assert_eq!(budget.left(), TCP_ANSWERS_BYTES_FREE);
        answers.err(11, "x");
        assert_eq!(answers.waiting(), b"ERR 11 x\n");
        assert_eq!(answers.take_dropped(), 0);
    }

    #[test]
    fn an_answer_stays_one_line_whatever_it_echoes() {
        let mut answers = Answers::new(&ByteBudget::new(TCP_ANSWERS_BYTES_MAX));
        answers.err(1, "got `a\nOK 9 0\r\u{1b}[2J`");
        assert_eq!(answers.waiting(), b"ERR 1 got `a?OK 9 0??[2J`\n");
    }
}
