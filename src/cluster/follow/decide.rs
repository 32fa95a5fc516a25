//! The table of cases itself: what is known and what is found make a step, and nothing changes here.

use super::{Found, LogState, Overlap, Replica, Server, Skipped, Step, StopCause, Stored};
use crate::cluster::chain::Reading;
use crate::cluster::marks::Copy;
use crate::cluster::message::{Body, Message, MessageError};
use crate::cluster::position::{LogId, LogSequence};
use crate::limits::DAMAGED_READS_MAX;

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Of the log.
    pub replica: &'a Replica,
    /// Of the consumer.
    pub overlap: Overlap,
    /// How often the message behind the position was found damaged.
    pub damaged_reads: u32,
    /// Whether nothing has come for a while.
    pub is_silent: bool,
}

/// What is to be done.
pub fn decide(view: View<'_>, found: Found<'_>) -> Step {
    match found {
        Found::Connected => Step::Challenge(view.start()),
        Found::Delivered(sequence, stored) => delivered(view, sequence, stored),
        Found::Fetched(sequence, stored, log) => fetched(view, sequence, (stored, log)),
        Found::State(log) => state(view, log),
        Found::Acked { left, stored } if stored <= left => Step::Stop(StopCause::WentBack(stored)),
        Found::Acked { .. } => Step::Nothing,
    }
}

impl View<'_> {
    fn sequence(self) -> LogSequence {
        self.replica.position().sequence
    }

    /// Where a consumer begins: at what was read last, so that it shows that first.
    fn start(self) -> LogSequence {
        self.sequence().max(LogSequence::FIRST)
    }

    /// Whether the consumer has yet to show what was read last.
    fn is_overlap_due(self) -> bool {
        self.overlap == Overlap::Due && self.sequence() > LogSequence::START
    }
}

fn delivered(view: View<'_>, sequence: LogSequence, stored: Stored<'_>) -> Step {
    let position = view.sequence();
    if sequence <= position {
        let is_first = sequence == position && view.is_overlap_due();
        return if is_first { meet(view, stored).unwrap_or(Step::Met) } else { Step::Drop };
    }
    if view.is_overlap_due() {
        return Step::Fetch(position);
    }
    if sequence > position.next() {
        return Step::Fetch(position.next());
    }
    next(view, sequence, stored)
}

/// What the log says of the position's own message; `None` where it is what was read.
fn meet(view: View<'_>, stored: Stored<'_>) -> Option<Step> {
    let position = view.sequence();
    match view.replica.chain().is_read_at(position, (stored.stamp, stored.bytes)) {
        Some(true) | None => None,
        // What rotted on the way or on one server says nothing of what was written.
        Some(false) if Message::decode(stored.bytes) == Err(MessageError::Damaged) => {
            Some(damaged(view, position))
        }
        Some(false) => Some(Step::Stop(another_log(view, stored).unwrap_or(StopCause::Forked(position)))),
    }
}

/// Whether this is where another log begins.
fn another_log(view: View<'_>, stored: Stored<'_>) -> Option<StopCause> {
    let message = Message::decode(stored.bytes).ok()?;
    let is_another = matches!(message.body, Body::Genesis(_)) && Some(message.log) != view.replica.log();
    is_another.then_some(StopCause::AnotherLog { at: view.sequence(), log: message.log })
}

/// A damaged message is read from another server, some times.
fn damaged(view: View<'_>, at: LogSequence) -> Step {
    if view.damaged_reads.saturating_add(1) >= DAMAGED_READS_MAX {
        return Step::Stop(StopCause::Unreadable { at, error: MessageError::Damaged });
    }
    Step::Begin(view.start(), Server::Another)
}

/// The message behind the position.
fn next(view: View<'_>, at: LogSequence, stored: Stored<'_>) -> Step {
    let message = match Message::decode(stored.bytes) {
        Ok(message) => message,
        Err(MessageError::Damaged) => return damaged(view, at),
        Err(error) => return Step::Stop(StopCause::Unreadable { at, error }),
    };
    let Some(log) = view.replica.log() else { return enter(view, &message) };
    if message.log != log {
        return match message.body {
            Body::Genesis(_) => Step::Stop(StopCause::AnotherLog { at, log: message.log }),
            Body::Batches(_) | Body::Witness | Body::Alarm(_) => Step::Skip(Skipped::OtherLog),
        };
    }
    match message.body {
        Body::Genesis(_) => return Step::Skip(Skipped::Genesis),
        Body::Alarm(cause) => return Step::Stop(StopCause::Alarm(cause)),
        Body::Batches(_) | Body::Witness => {}
    }
    match view.replica.chain().read(message.base) {
        // Ahead of what was read, so at or behind its own place: its sender has read more of another log.
        Reading::Other | Reading::Ahead => return Step::Stop(StopCause::Forked(message.base.sequence)),
        Reading::Same | Reading::TooOld => {}
    }
    let copy = view.replica.marks().judge(message.writer, message.number);
    let message = Box::new(message);
    match copy {
        Copy::New => Step::Apply(message, stored.stamp),
        Copy::Further => Step::Skip(Skipped::Further(message)),
        Copy::Early => Step::Skip(Skipped::Early(message)),
        Copy::Beside => Step::Skip(Skipped::Witness(message)),
        Copy::Unwelcome => Step::Skip(Skipped::Unwelcome(message)),
    }
}

/// The first message of all.
fn enter(view: View<'_>, message: &Message) -> Step {
    let log: LogId = message.log;
    match message.body {
        Body::Genesis(genesis) if genesis.digest == view.replica.start => Step::Enter(log),
        Body::Genesis(_) => Step::Stop(StopCause::AnotherStart(log)),
        Body::Batches(_) | Body::Witness | Body::Alarm(_) => Step::Stop(StopCause::NoGenesis),
    }
}

fn fetched(view: View<'_>, sequence: LogSequence, (stored, log): (Option<Stored<'_>>, LogState)) -> Step {
    let position = view.sequence();
    // A server that does not reach so far does not say that it is gone.
    let is_gone = stored.is_none() && (log.last >= sequence || log.first > sequence);
    if sequence == position && view.is_overlap_due() {
        return match stored {
            Some(stored) => meet(view, stored).unwrap_or(Step::Begin(position.next(), Server::Any)),
            None if is_gone => Step::Begin(position.next(), Server::Any),
            None => Step::Challenge(view.start()),
        };
    }
    if sequence != position.next() {
        return Step::Nothing;
    }
    match stored {
        Some(_) => Step::Begin(view.start(), Server::Any),
        None if is_gone => Step::Stop(StopCause::Gap(sequence)),
        None => Step::Challenge(view.start()),
    }
}

fn state(view: View<'_>, log: LogState) -> Step {
    let position = view.sequence();
    if log.first > position.next() {
        return Step::Fetch(position.next());
    }
    if log.last < position {
        return Step::Challenge(view.start());
    }
    if !view.is_silent {
        return Step::Nothing;
    }
    if log.last > position {
        // Where nothing comes after a message that was deleted, no consumer shows that it is gone.
        return Step::Fetch(if view.is_overlap_due() { position } else { position.next() });
    }
    let is_stalled = view.is_overlap_due() && log.first <= position;
    if is_stalled { Step::Begin(view.start(), Server::Any) } else { Step::Nothing }
}
