//! What to do with a message, a state of the log or a silence: a table of cases. Pure: what is found is handed in, what is to
//! be done comes out, and nothing is done here.
//!
//! | found | then |
//! | --- | --- |
//! | the log can be reached | a consumer is made that begins *at* the position, the log's state is asked for, a witness is sent |
//! | the position's own message, delivered first | it must be what was read there, else **forked** |
//! | any other message up to the position | it is dropped |
//! | the message behind the position, sound | its base is at or behind its own place, or has another chain: **forked**. Else its number decides (see [`marks`]): applied or skipped, and the position moves either way |
//! | a message behind that, or the log begins behind it | the log is asked for the one that is missing: there, and a consumer is made anew; gone, and there is a **gap** |
//! | the log ends before the position | that is not believed, since answers may be old: as where the log can be reached again |
//! | silence, and the log ends behind the position | the log is asked for the message behind it, as above, since that may be gone and nothing come after it |
//! | silence, and the consumer has not shown the position | the consumer is made anew |
//! | an ack for a place that had been read when the message left | the log **went back** |
//! | an alarm | stopped, with its cause, which is said again |
//! | a message of another log | it is skipped; a genesis: **another log** |
//! | a message whose checksum is wrong | it is read again from another server, and in the end stopped |
//!
//! INVARIANT: nothing is applied whose sender had read another log, as far as the chain that is kept reaches.
//! INVARIANT: position, chain, marks and clock move together, and once stopped never again.

mod decide;
mod stop;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::chain::Chain;
use super::digest::Digest;
use super::marks::{self, LogClock, Marks};
use super::message::Message;
use super::position::{LogId, LogSequence, LogStamp, MessageNumber, Position, WriterId};
use crate::limits::{CHAIN_VALUES_KEPT, LOG_SILENCE_MAX, WRITERS_MAX};

pub use decide::{View, decide};
pub use stop::StopCause;

/// What a daemon knows of the log, to be kept with the counters that it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    log: Option<LogId>,
    start: Digest,
    chain: Chain,
    marks: Marks,
    clock: LogClock,
}

impl Replica {
    /// Of a daemon that has read nothing, and holds a state of that digest.
    pub fn new(start: Digest) -> Self {
        let (chain, marks) = (Chain::new(CHAIN_VALUES_KEPT), Marks::new(WRITERS_MAX));
        Self { log: None, start, chain, marks, clock: LogClock::default() }
    }

    /// Of a daemon that has read the log up to where the chain ends.
    pub fn from_kept(log: LogId, chain: Chain, marks: Marks, clock: LogClock) -> Self {
        Self { log: Some(log), start: Digest::EMPTY, chain, marks, clock }
    }

    /// The log; `None` before its first message was read.
    pub fn log(&self) -> Option<LogId> {
        self.log
    }

    /// How far was read, and what.
    pub fn position(&self) -> Position {
        self.chain.position()
    }

    /// The values of the chain that are kept.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The marks of all writers.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The time of the log.
    pub fn now(&self) -> LogStamp {
        self.clock.now()
    }

    /// Whether that message of that log can be the next one.
    pub fn is_next(&self, log: LogId, sequence: LogSequence, noted: Noted) -> bool {
        let is_of_log = match noted {
            Noted::Entered => self.log.is_none(),
            Noted::Skipped => self.log == Some(log),
            Noted::Applied(writer, number) => {
                self.log == Some(log) && self.marks.judge(writer, number) == marks::Copy::New
            }
        };
        is_of_log && sequence == self.position().sequence.next()
    }

    /// Takes a message as it was recorded when it was read, where it can be the next one; whether it can.
    #[must_use]
    pub fn note(&mut self, log: LogId, (position, stamp): (Position, LogStamp), noted: Noted) -> bool {
        if !self.is_next(log, position.sequence, noted) {
            return false;
        }
        self.log = Some(log);
        if let Noted::Applied(writer, number) = noted {
            self.marks.advance(writer, number);
        }
        self.chain.push_value(position.chain);
        self.clock.advance(stamp);
        true
    }

    /// Takes the next message, whatever is made of it.
    fn read(&mut self, stored: Stored<'_>) {
        self.chain.push(stored.stamp, stored.bytes);
        self.clock.advance(stored.stamp);
    }
}

/// What was made of a message that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// The log begins.
    Entered,
    /// It changes nothing but the position.
    Skipped,
    /// It counts, and moves its writer's mark to its number.
    Applied(WriterId, MessageNumber),
}

/// A message as the log has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored<'a> {
    /// The time that the log gave it.
    pub stamp: LogStamp,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// How far the log reaches, as one of its servers says, which may be behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// The first message that it has, or will have where it has none.
    pub first: LogSequence,
    /// The last message that it has had.
    pub last: LogSequence,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found<'a> {
    /// The log can be reached, for the first time or again. Its state is asked for, too.
    Connected,
    /// The consumer has delivered a message.
    Delivered(LogSequence, Stored<'a>),
    /// The log was asked for one message; `None` where it has none there. The state is of the server that answered.
    Fetched(LogSequence, Option<Stored<'a>>, LogState),
    /// The log's state, which was asked for.
    State(LogState),
    /// The log has acknowledged, as no duplicate, that it stored an own message. `left` is the position when that was sent.
    Acked {
        /// What had been read when it was sent.
        left: LogSequence,
        /// Where it is stored.
        stored: LogSequence,
    },
}

/// From which server a consumer is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// Whichever it is.
    Any,
    /// Not the last one.
    Another,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// A consumer is made that begins at that place, and a witness is sent.
    Challenge(LogSequence),
    /// A consumer is made that begins at that place.
    Begin(LogSequence, Server),
    /// What comes first is what was read there.
    Met,
    /// The log is asked for that message.
    Fetch(LogSequence),
    /// The message is applied, and takes effect at that time of the log.
    Apply(Box<Message>, LogStamp),
    /// The message changes nothing.
    Skip(Skipped),
    /// The log begins: this is its id.
    Enter(LogId),
    /// It was read before.
    Drop,
    /// Nothing more is applied or published.
    Stop(StopCause),
}

/// A message that changes nothing, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// A further copy of one that has counted.
    Further(Box<Message>),
    /// One before it is yet to come.
    Early(Box<Message>),
    /// A witness.
    Witness(Box<Message>),
    /// Its writer is one too many.
    Unwelcome(Box<Message>),
    /// It was written for another log.
    OtherLog,
    /// It says again that this log begins.
    Genesis,
}

impl Skipped {
    /// A word for each, in their order.
    pub const ALL: [&str; 6] = ["further", "early", "witness", "unwelcome", "other log", "genesis"];

    /// The message, where it is one of this log's rows or a witness.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Further(message)
            | Self::Early(message)
            | Self::Witness(message)
            | Self::Unwelcome(message) => Some(message),
            Self::OtherLog | Self::Genesis => None,
        }
    }

    /// A word for it.
    pub fn as_str(&self) -> &'static str {
        let [further, early, witness, unwelcome, other_log, genesis] = Self::ALL;
        match self {
            Self::Further(_) => further,
            Self::Early(_) => early,
            Self::Witness(_) => witness,
            Self::Unwelcome(_) => unwelcome,
            Self::OtherLog => other_log,
            Self::Genesis => genesis,
        }
    }
}

/// Whether a consumer has shown first what was read at the position, where it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overlap {
    /// It has yet to.
    Due,
    /// It has, or there is nothing to show.
    Met,
}

/// Follows a log.
#[derive(Debug)]
pub struct Follower {
    replica: Replica,
    overlap: Overlap,
    damaged_reads: u32,
    /// When something came last, a consumer was made, or the state was asked for.
    heard: Duration,
    asked: Duration,
    stopped: Option<StopCause>,
}

impl Follower {
    /// Goes on from what is kept.
    pub fn new(replica: Replica, now: Duration) -> Self {
        Self { replica, overlap: Overlap::Due, damaged_reads: 0, heard: now, asked: now, stopped: None }
    }

    /// What is known of the log.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Why it has stopped, where it has.
    pub fn stopped(&self) -> Option<&StopCause> {
        self.stopped.as_ref()
    }

    /// Whether the log's state is to be asked for, since nothing comes. Says so once for each silence.
    pub fn is_silent(&mut self, now: Duration) -> bool {
        let is_due = now.saturating_sub(self.heard.max(self.asked)) >= LOG_SILENCE_MAX;
        if is_due {
            self.asked = now;
        }
        is_due && self.stopped.is_none()
    }

    /// Decides, and moves on where a message was read. What a step says must be done before the next is taken.
    pub fn take(&mut self, found: Found<'_>, now: Duration) -> Step {
        if self.stopped.is_some() {
            return Step::Nothing;
        }
        let is_silent = now.saturating_sub(self.heard) >= LOG_SILENCE_MAX;
        let view = View {
            replica: &self.replica,
            overlap: self.overlap,
            damaged_reads: self.damaged_reads,
            is_silent,
        };
        let mut step = decide(view, found);
        if let Found::Delivered(..) = found {
            self.heard = now;
        }
        match &mut step {
            Step::Challenge(_) => self.begin(Overlap::Due, now),
            // What was shown by the log itself need not be shown again.
            Step::Begin(start, server) => {
                let is_behind = *start > self.replica.position().sequence;
                self.begin(if is_behind { Overlap::Met } else { Overlap::Due }, now);
                if *server == Server::Another {
                    self.damaged_reads = self.damaged_reads.saturating_add(1);
                }
            }
            Step::Met => self.overlap = Overlap::Met,
            Step::Apply(message, time) => {
                self.replica.marks.advance(message.writer, message.number);
                self.read(found);
                *time = self.replica.now();
            }
            Step::Skip(_) => self.read(found),
            Step::Enter(log) => {
                self.replica.log = Some(*log);
                self.read(found);
            }
            Step::Stop(cause) => self.stopped = Some(cause.clone()),
            Step::Nothing | Step::Fetch(_) | Step::Drop => {}
        }
        step
    }

    fn begin(&mut self, overlap: Overlap, now: Duration) {
        self.overlap = overlap;
        self.heard = now;
    }

    fn read(&mut self, found: Found<'_>) {
        if let Found::Delivered(_, stored) = found {
            self.replica.read(stored);
        }
        (self.overlap, self.damaged_reads) = (Overlap::Met, 0);
    }
}
