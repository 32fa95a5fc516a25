//! Why the store cannot be opened, closed or written to.

use std::io;
use std::path::PathBuf;

use super::poison::PoisonCause;
use crate::platform::disk::DiskError;
use crate::store::journal::JournalError;

/// Why a data directory cannot be opened. Nothing in it was changed, but for a torn tail that was cut before.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another tallyd; stop that one, or give this one its own --data-dir", directory.display())]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// A file holds what was never written to it.
    #[error("{} is damaged at byte {offset}: {what}; `tallyd verify` says what else is readable", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Something that must be there is not.
    #[error("{} lacks {what}; put back the missing files, `tallyd verify` says what is there", place.display())]
    Missing {
        /// The file or directory in which it should be.
        place: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A file was written by a newer tallyd.
    #[error(
        "{} has format {found}, this tallyd reads up to {supported}; start the newer tallyd that wrote it",
        file.display()
    )]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format that this program reads.
        supported: u32,
    },
    /// A file has a section that a newer tallyd wrote.
    #[error("{} has a section that this tallyd cannot read; start the newer tallyd that wrote it", file.display())]
    UnknownSection {
        /// The file.
        file: PathBuf,
    },
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

impl From<JournalError> for OpenError {
    fn from(error: JournalError) -> Self {
        let what = error.to_string();
        match error {
            JournalError::Disk(error) => Self::Disk(error),
            JournalError::Damaged { segment, offset, what } => Self::Damaged { file: segment, offset, what },
            JournalError::Gap { missing, found, segment } => Self::Missing {
                place: segment,
                what: format!("record {missing} of the journal: it goes on with record {found}"),
            },
            JournalError::Ends { missing, directory } => Self::Missing {
                place: directory,
                what: format!("record {missing} of the journal and all after it"),
            },
            JournalError::NewerVersion { segment, found, supported } => {
                Self::NewerVersion { file: segment, found, supported }
            }
            JournalError::UnknownSection { segment } => Self::UnknownSection { file: segment },
            JournalError::Foreign { segment, .. } | JournalError::SegmentExists { segment } => {
                Self::Damaged { file: segment, offset: 0, what }
            }
            // Only writing a batch gives this one, and opening writes none.
            JournalError::RecordTooLarge { .. } => Self::Damaged { file: PathBuf::new(), offset: 0, what },
        }
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
