//! Why a daemon follows the log no longer, in words that help. It goes on answering reports with what it has.

use crate::cluster::message::{AlarmCause, MessageError};
use crate::cluster::position::{LogId, LogSequence};

/// Why nothing more is applied or published.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StopCause {
    /// Two have read different messages at the same place.
    #[error(
        "the log has forked: what another node or the log itself has read up to message {0} is not what this node has read; \
         messages that were acknowledged may be lost from the log, and all nodes have to stop; move the counters of the one that has \
         read the most to another log, by tallyd export and import"
    )]
    Forked(LogSequence),
    /// The log has stored a message at a place that was read before.
    #[error(
        "the log went back: it has stored a message at place {0}, where this node has read another one; messages that were \
         acknowledged are lost from the log, and all nodes have to stop; move the counters of the one that has read the most to \
         another log, by tallyd export and import"
    )]
    WentBack(LogSequence),
    /// Another node has found so.
    #[error("another node has found that the log {}", match .0 {
        AlarmCause::Forked => "has forked; all nodes have to stop",
        AlarmCause::WentBack => "went back; all nodes have to stop",
    })]
    Alarm(AlarmCause),
    /// A message is gone that was not read yet.
    #[error(
        "message {0} is gone from the log before this node has read it: it was purged, deleted, or kept too short; empty this \
         node's data directory and start it with another node as its --cluster-seed"
    )]
    Gap(LogSequence),
    /// The log begins again, as another one.
    #[error(
        "message {at} begins another log, {log}; to follow that one, empty this node's data directory and \
         start it again"
    )]
    AnotherLog {
        /// Where.
        at: LogSequence,
        /// Its id.
        log: LogId,
    },
    /// The log begins with a state that this node does not have.
    #[error(
        "log {0} begins with other counters than this node has; empty this node's data directory and start it with another node \
         as its --cluster-seed, or make a log with tallyd cluster init --from"
    )]
    AnotherStart(LogId),
    /// The log does not begin as it must.
    #[error("the first message does not begin a log; make it with tallyd cluster init")]
    NoGenesis,
    /// A message that cannot be read, wherever it is read from.
    #[error("message {at} of the log: {error}")]
    Unreadable {
        /// Which.
        at: LogSequence,
        /// What is wrong with it.
        error: MessageError,
    },
}

impl StopCause {
    /// A word for each, in the order of the causes.
    pub const ALL: [&str; 8] =
        ["forked", "went back", "alarm", "gap", "another log", "another start", "no genesis", "unreadable"];

    /// A word for it.
    pub fn as_str(&self) -> &'static str {
        let [forked, went_back, alarm, gap, another_log, another_start, no_genesis, unreadable] = Self::ALL;
        match self {
            Self::Forked(_) => forked,
            Self::WentBack(_) => went_back,
            Self::Alarm(_) => alarm,
            Self::Gap(_) => gap,
            Self::AnotherLog { .. } => another_log,
            Self::AnotherStart(_) => another_start,
            Self::NoGenesis => no_genesis,
            Self::Unreadable { .. } => unreadable,
        }
    }

    /// What the others have to be told, where they have to stop, too. Who was told so tells it as well: a log that goes back
    /// once more can lose the alarm, and who raised it may be gone.
    pub fn alarm(&self) -> Option<AlarmCause> {
        match self {
            Self::Forked(_) => Some(AlarmCause::Forked),
            Self::WentBack(_) => Some(AlarmCause::WentBack),
            Self::Alarm(cause) => Some(*cause),
            Self::Gap(_)
            | Self::AnotherLog { .. }
            | Self::AnotherStart(_)
            | Self::NoGenesis
            | Self::Unreadable { .. } => None,
        }
    }
}
