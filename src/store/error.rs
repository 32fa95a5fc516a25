//! Why the store cannot be opened, closed, written to or copied.

use std::io;
use std::path::PathBuf;

use super::damage::{Damage, DamageKind, FileError};
use super::poison::PoisonCause;
use crate::limits::{BACKUP_SEAL_WAIT, BACKUP_TIME};
use crate::platform::disk::DiskError;

/// Why a data directory cannot be opened. Nothing in it was changed, but for a torn tail that was cut before.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another tallyd; stop that one, or give this one its own --data-dir", directory.display())]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// A file is not what was written, is missing, or a newer tallyd wrote it.
    #[error("{0}; {remedy}", remedy = remedy(.0.kind))]
    Damaged(Damage),
    /// The machine refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A thread could not be started.
    #[error("cannot start the {name} thread: {source}")]
    Thread {
        /// Which one.
        name: &'static str,
        /// The machine's reason.
        #[source]
        source: io::Error,
    },
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Disk(error) => Self::Disk(error),
            FileError::Damage(damage) => Self::Damaged(damage),
        }
    }
}

fn remedy(kind: DamageKind) -> &'static str {
    match kind {
        DamageKind::Damaged => "`tallyd verify` says what else is readable",
        DamageKind::Missing => "put back the missing files, `tallyd verify` says what is there",
        DamageKind::Incomplete => "repeat `tallyd backup` to this directory, which completes it",
        DamageKind::Newer => "start the newer tallyd that wrote it",
        DamageKind::Unreadable => "see what the machine says about the disk",
    }
}

/// Why a batch was not acknowledged. The words are for clients and name no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Nothing of the batch was counted, and nothing of it ever will be: it may be sent again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not known whether the batch was counted: a restart may find it, whole. Sent again, it may count twice.
    #[error(transparent)]
    Unknown(#[from] Uncertainty),
}

/// Why it is not known whether a batch was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncertainty {
    /// The batch was written, or partly, when the store was poisoned.
    #[error("{0}")]
    Poisoned(PoisonCause),
    /// The batch was handed over and no outcome came in time.
    #[error("the disk did not finish in time")]
    Late,
    /// The batch was handed over and its reply was lost.
    #[error("an internal error lost the outcome")]
    Lost,
}

/// Why nothing of a batch was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The disk refuses to take more for now (or, for what no limit on input lets through, the batch is one that
    /// cannot be written).
    #[error("{0}; try again later")]
    AppendRefused(String),
    /// The store was poisoned before the batch was staged.
    #[error("{0}; nothing is taken until tallyd is restarted")]
    Poisoned(PoisonCause),
    /// The queue had no room for the batch in time.
    #[error("the disk is too slow for what comes in; try again later")]
    Busy,
    /// The daemon is stopping.
    #[error("tallyd is stopping; try again later")]
    Closing,
    /// The data directory follows a log, and counts what is read of that alone.
    #[error("this data directory is one of several that share a log; tallyd must be started with that log")]
    FollowsLog,
    /// The batch adds to hours that were dropped after its lines were read.
    #[error(
        "hours of these events were dropped just now, and are not kept any more; send them again to hear which lines that are"
    )]
    Dropped,
}

/// What did not end as it should when the store was closed. What was acknowledged is in the journal all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A thread did not end in time; it is left to run until the process ends.
    #[error("the {name} thread did not end in time")]
    Late {
        /// Which one.
        name: &'static str,
    },
    /// A thread panicked.
    #[error("the {name} thread panicked")]
    Panicked {
        /// Which one.
        name: &'static str,
    },
    /// The journal could not be synced or sealed.
    #[error("the journal was not sealed: {0}")]
    NotSealed(String),
    /// The last snapshot failed; a restart reads the journal instead.
    #[error("the last snapshot failed: {0}")]
    SnapshotFailed(String),
}

/// Why there is no copy, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One copy at a time.
    #[error("another backup is being read")]
    UnderWay,
    /// The store is being closed.
    #[error("the daemon is stopping")]
    Closing,
    /// The journal could not be sealed.
    #[error("the journal cannot be sealed: {0}")]
    NotSealed(String),
    /// The journal was not sealed in time.
    #[error("the journal is not sealed within {} s", BACKUP_SEAL_WAIT.as_secs())]
    Late,
    /// A file cannot be read, or is not what was written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The files may be gone.
    #[error("the backup was not read within {} s", BACKUP_TIME.as_secs())]
    TooSlow,
}
