//! A file that only takes room, so that a full disk still takes one more snapshot (which frees journal segments), and a
//! start its copy of the journal's unsynced end: it is removed when either finds no room, and made again after it has
//! succeeded.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::layout::RESERVE_FILE;
use crate::limits::RESERVE_BYTES;
use crate::platform::disk::{Disk, DiskError};

/// The room that is kept aside.
#[derive(Debug)]
pub(super) struct Reserve {
    disk: Disk,
    path: PathBuf,
    /// The room has been given up to a snapshot. Batches must not take it meanwhile.
    in_use: AtomicBool,
}

impl Reserve {
    pub(super) fn new(disk: &Disk, data_dir: &Path) -> Self {
        Self { disk: disk.clone(), path: data_dir.join(RESERVE_FILE), in_use: AtomicBool::new(false) }
    }

    /// Whether batches must be refused, for the room is for a snapshot.
    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Acquire)
    }

    /// Takes the room, if it is not taken yet; from then on batches are welcome again. A disk without so much
    /// room goes without a reserve, and says so in the log.
    pub(super) fn keep(&self) {
        if let Err(error) = self.try_keep() {
            tracing::warn!(%error, bytes = RESERVE_BYTES, "no room is kept aside for a full disk");
        }
        self.in_use.store(false, Ordering::Release);
    }

    /// Lets batches have what is left of the room.
    pub(super) fn release(&self) {
        self.in_use.store(false, Ordering::Release);
    }

    /// Gives the room up; `false` where there was none, so that trying again would not help.
    pub(super) fn give_up(&self) -> Result<bool, DiskError> {
        // Before the room is there, lest a batch takes it first.
        self.in_use.store(true, Ordering::Release);
        match self.disk.remove(&self.path) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.in_use.store(false, Ordering::Release);
                if error.is_not_found() { Ok(false) } else { Err(error) }
            }
        }
    }

    fn try_keep(&self) -> Result<(), DiskError> {
        match self.disk.length(&self.path)? {
            Some(bytes) if bytes == RESERVE_BYTES => return Ok(()),
            Some(_) => self.disk.remove(&self.path)?,
            None => {}
        }
        self.disk.set_aside(&self.path, RESERVE_BYTES)
    }
}
