//! What is known of a log that several daemons share, up to one record of the journal: what a snapshot keeps, a fold and a recovery
//! move on record by record, and the sequencer as it counts. Knows no file, and not how messages come.
//!
//! INVARIANT: it moves only by records, which are the messages of the log in order, so it is of the same place as the counters.

pub(crate) mod digest;
pub(super) mod staging;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::cluster::chain::Chain;
use crate::cluster::digest::{Digest, Landmarks};
use crate::cluster::follow::Replica;
use crate::cluster::marks::{LogClock, Marks};
use crate::cluster::position::{
    ChainValue, LogId, LogSequence, LogStamp, MessageNumber, Origin, Position, WriterId,
};
use crate::limits::{CHAIN_VALUES_KEPT, WRITERS_MAX};
use crate::store::journal::LogEntry;

/// The place of a state in its log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogState {
    /// Position, chain, marks and clock.
    replica: Replica,
    log: LogId,
    digest: Digest,
    landmarks: Landmarks,
}

/// The same as a list of values, as a manifest has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeptLog {
    pub(crate) log: LogId,
    pub(crate) time: LogStamp,
    pub(crate) digest: Digest,
    /// By writer.
    pub(crate) marks: Vec<(WriterId, MessageNumber)>,
    /// Where the first of the values is; they are never none.
    pub(crate) chain_first: LogSequence,
    pub(crate) chain: Vec<ChainValue>,
    pub(crate) landmarks: Vec<(LogSequence, Digest)>,
}

impl LogState {
    /// What is known before a record: what was known, or nothing where that log begins.
    pub(crate) fn before(known: Option<&Self>, entry: &LogEntry) -> Self {
        known.cloned().unwrap_or_else(|| Self {
            replica: Replica::new(Digest::EMPTY),
            log: entry.log,
            digest: Digest::EMPTY,
            landmarks: Landmarks::default(),
        })
    }

    /// Moves on by a record, where that is the next one of the log; whether it is.
    #[must_use]
    pub(crate) fn take(&mut self, entry: &LogEntry) -> bool {
        let LogEntry { log, position, stamp, digest, noted } = *entry;
        if !self.replica.note(log, (position, stamp), noted) {
            return false;
        }
        self.digest = digest;
        self.landmarks.note(position.sequence, digest);
        true
    }

    /// Position, chain, marks and clock.
    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The log.
    pub(crate) fn log(&self) -> LogId {
        self.log
    }

    /// Of all that is counted.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    fn log_position(&self) -> LogPosition {
        LogPosition { log: self.log, sequence: self.replica.position().sequence }
    }

    pub(super) fn figures(&self) -> LogFigures {
        LogFigures {
            log: self.log,
            position: self.replica.position(),
            time: self.replica.now(),
            digest: self.digest,
            landmarks: self.landmarks.clone(),
            marks: self.replica.marks().sorted(),
        }
    }

    /// As a list of values.
    pub(crate) fn to_kept(&self) -> KeptLog {
        let (chain_first, chain) = self.replica.chain().values();
        KeptLog {
            log: self.log,
            time: self.replica.now(),
            digest: self.digest,
            marks: self.replica.marks().sorted(),
            chain_first,
            chain: chain.collect(),
            landmarks: self.landmarks.iter().collect(),
        }
    }

    /// From a list of values; `None` where the chain has none.
    pub(crate) fn from_kept(kept: KeptLog) -> Option<Self> {
        let KeptLog { log, time, digest, marks, chain_first, chain, landmarks } = kept;
        let chain = Chain::from_values(chain_first, chain, CHAIN_VALUES_KEPT)?;
        let marks = Marks::from_kept(marks, WRITERS_MAX);
        let replica = Replica::from_kept(log, chain, marks, LogClock::new(time));
        Some(Self { replica, log, digest, landmarks: Landmarks::from_kept(landmarks) })
    }
}

/// What a log begins with: nothing, or what one data directory has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogBeginning {
    /// Of all that is counted.
    pub digest: Digest,
    /// The directory.
    pub origin: Origin,
}

/// A place in a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LogPosition {
    /// The log.
    pub log: LogId,
    /// The last message that was read.
    pub sequence: LogSequence,
}

/// What is known of a log at one place of it, to be shown and compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFigures {
    /// The log.
    pub log: LogId,
    /// How far was read, and what.
    pub position: Position,
    /// The time of the log.
    pub time: LogStamp,
    /// Of all that is counted.
    pub digest: Digest,
    /// The digests at the places that all daemons keep.
    pub landmarks: Landmarks,
    /// The number of the last message of each writer that was applied, by writer.
    pub marks: Vec<(WriterId, MessageNumber)>,
}

/// The state of the sequencer, for everybody to read.
#[derive(Debug)]
pub(super) struct SharedLog {
    state: Mutex<Option<LogState>>,
    position: watch::Sender<Option<LogPosition>>,
}

impl SharedLog {
    pub(super) fn new(state: Option<LogState>) -> Self {
        let position = watch::Sender::new(state.as_ref().map(LogState::log_position));
        Self { state: Mutex::new(state), position }
    }

    /// Moves on by a record, whose message is counted; whether it was the next one.
    #[must_use]
    pub(super) fn take(&self, entry: &LogEntry) -> bool {
        let mut state = self.state();
        let log = state.get_or_insert_with(|| LogState::before(None, entry));
        let is_next = log.take(entry);
        let position = log.log_position();
        drop(state);
        self.position.send_replace(Some(position));
        is_next
    }

    /// The state as it is now.
    pub(super) fn state(&self) -> MutexGuard<'_, Option<LogState>> {
        // No call leaves it half changed, whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position, and whoever waits for another one.
    pub(super) fn watch(&self) -> watch::Receiver<Option<LogPosition>> {
        self.position.subscribe()
    }
}
