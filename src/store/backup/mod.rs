//! Copies of a data directory while its daemon counts.
//!
//! A copy is the newest snapshot and the journal after it: the journal is sealed, nothing is folded, and the files are read out
//! while batches go on. It stands for one position of the journal, that of the seal: all records up to there, none after. Files of a
//! snapshot and sealed segments never change, so nothing has to wait for the reader; they are only pinned against the removal by
//! later folds, for a bounded time, which keeps no more room than the copy has. Only where the open segment cannot be ended, as on a
//! full disk, is it folded; where that fails as well there is no copy.
//!
//! | in the archive, a `tar` stream | |
//! | --- | --- |
//! | `BACKUP` | what the copy holds: the position, each file with length and CRC-32, the manifest ([`Listing`], as JSON) |
//! | `journal/`, `snapshot/` | the folders |
//! | `snapshot/…` | dictionary, keys and parts, but those that the reader has already, by name, length and CRC-32 |
//! | `journal/….journal` | the segments with the records after the snapshot, in the same way, each up to the end of its last record |
//! | `snapshot/manifest.…` | last, since it is what makes a first copy complete |
//!
//! [`Target`] makes a directory of it, or what `tar x` unpacks is one. Until the manifest is there, durably, after all that it
//! lists, `BACKUP` alone says that the directory is an incomplete copy, and a start refuses it. Into a directory with an older
//! copy only new files come; that copy stays complete, as `BACKUP` says as well, until `BACKUP` is replaced. A reader takes what
//! `BACKUP` says is complete, and no record after its position, so that what is on its way is nobody's.
//!
//! A copy has the id of its data directory, and its keys of batches, so that what is pushed again to a restored daemon counts
//! once. Two daemons may run with one id: it only keeps files of different directories apart. A directory that a daemon has
//! counted in since is not a copy any more: a start takes `BACKUP` away, durably, before anything is counted. Not in a copy: records
//! after its position, configuration, tokens, certificates.
//!
//! Must not know: sockets, the command line, live counters.
//! INVARIANT: one copy is read at a time, and pins its files for [`BACKUP_TIME`] at the most.

mod archive;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender, TrySendError};

pub use archive::Backup;
pub use target::{Copied, Target, TargetError};

use super::control::{Control, Pinned};
pub use super::error::BackupError;
pub use super::listing::{ListedFile, Listing};
use super::pins::Pins;
use super::snapshot::SnapshotFolder;
use super::status::Status;
use crate::limits::BACKUP_SEAL_WAIT;
#[cfg(doc)]
use crate::limits::BACKUP_TIME;
use crate::platform::clock::Clock;

/// The way to copies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Backups {
    pub(super) control: Sender<Control>,
    pins: Pins,
    folder: SnapshotFolder,
    status: Arc<Status>,
    clock: Clock,
}

/// A copy that waits for its seal.
#[derive(Debug)]
pub struct PendingBackup {
    reply: Receiver<Result<Pinned, BackupError>>,
    backups: Backups,
}

impl Backups {
    pub(super) fn new(
        control: Sender<Control>,
        (folder, pins): (SnapshotFolder, &Pins),
        status: &Arc<Status>,
        clock: &Clock,
    ) -> Self {
        Self { control, pins: pins.clone(), folder, status: Arc::clone(status), clock: clock.clone() }
    }

    /// Has the journal sealed and gives what is to be read; `stands` is what the reader has already. Blocks.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn begin(&self, stands: &[ListedFile]) -> Result<Backup, BackupError> {
        let (reply, pending) = self.pending();
        self.control.try_send(Control::Backup(reply)).map_err(|error| match error {
            TrySendError::Full(_) => BackupError::UnderWay,
            TrySendError::Disconnected(_) => BackupError::Closing,
        })?;
        match pending.reply.recv_timeout(BACKUP_SEAL_WAIT) {
            Ok(pinned) => Backup::new(self, pinned?, stands),
            Err(RecvTimeoutError::Timeout) => Err(BackupError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(BackupError::Closing),
        }
    }

    pub(super) fn pending(&self) -> (Sender<Result<Pinned, BackupError>>, PendingBackup) {
        let (reply, answer) = channel::bounded(1);
        (reply, PendingBackup { reply: answer, backups: self.clone() })
    }
}

impl PendingBackup {
    /// The copy, where the journal is sealed by now.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn try_begin(&self, stands: &[ListedFile]) -> Result<Option<Backup>, BackupError> {
        match self.reply.try_recv() {
            Ok(pinned) => Backup::new(&self.backups, pinned?, stands).map(Some),
            Err(channel::TryRecvError::Empty) => Ok(None),
            Err(channel::TryRecvError::Disconnected) => Err(BackupError::Closing),
        }
    }
}
