//! The store without threads, for a simulator: the same core, of which the caller steps one part at a time. Nothing
//! happens between two steps, the time is the clock's alone, and a new directory's id is the caller's, so a run on a
//! disk in memory is the same each time. Several stores can be open at once.
//!
//! ```
//! use tallyd::platform::{clock::Clock, disk::Disk};
//! use tallyd::store::{Fsync, Part, Stepped, StoreOptions, journal::StoreId};
//! # let folder = tempfile::tempdir()?;
//! let options = StoreOptions {
//!     limits: tallyd::model::catalogue::CatalogueLimits::default(),
//!     keys: tallyd::store::KeyLimits::default(),
//!     data_dir: folder.path().to_owned(),
//!     fsync: Fsync::Always,
//!     fsync_interval: std::time::Duration::from_secs(1),
//!     snapshot_interval: std::time::Duration::from_secs(60),
//!     clock: Clock::manual(1_552_813_200_000_000_000),
//! };
//! let (mut store, _recovery) = Stepped::open(&Disk::new(), &options, StoreId::new(7), &mut || ())?;
//! let mut pending = store.submit(tallyd::model::batch::Batch::default())?;
//! assert!(store.step(Part::Sequencer));
//! assert_eq!(pending.try_outcome(), None, "the sync is yet to come");
//! assert!(store.step(Part::Syncer));
//! assert!(pending.try_outcome().is_some());
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use super::backup::PendingBackup;
use super::core::Core;
use super::error::{CloseError, OpenError, Refusal};
use super::journal::StoreId;
use super::keys::Claim;
use super::status::Status;
use super::write_handle::{LogHandle, LogView, PendingCommit, WriteHandle};
use super::{Recovery, StoreOptions};
use crate::model::batch::Batch;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::platform::disk::Disk;

/// A part of the store that is stepped by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Commits one group, or seals the journal. Waits while the syncer's queue is full.
    Sequencer,
    /// Syncs what waits for it, or what is due by the clock, and acknowledges.
    Syncer,
    /// Asks for a seal when a snapshot is due by the clock, or one or a copy was requested; makes the snapshot, or pins what is copied,
    /// once there is one.
    Snapshotter,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sequencer, Self::Syncer, Self::Snapshotter];
}

/// A store that does nothing unless it is stepped. Dropping it is the death of the process: nothing more is written.
pub struct Stepped(Core);

impl Stepped {
    /// Locks the directory and recovers it; a new one gets `store_id`. `progress` is called now and then.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        disk: &Disk,
        options: &StoreOptions,
        store_id: StoreId,
        progress: &mut dyn FnMut(),
    ) -> Result<(Self, Recovery), OpenError> {
        Core::open(disk, options, store_id, progress).map(|(core, recovery)| (Self(core), recovery))
    }

    /// Hands a batch over, without waiting.
    ///
    /// # Errors
    /// As [`WriteHandle::submit`](super::WriteHandle::submit); `Busy` where the queue is full now.
    pub fn submit(&self, batch: Batch) -> Result<PendingCommit, Refusal> {
        self.0.write_handle.try_submit(batch, None)
    }

    /// As [`Stepped::submit`], for a batch that was claimed.
    ///
    /// # Errors
    /// As [`Stepped::submit`].
    pub fn submit_claimed(&self, batch: Batch, claim: Claim) -> Result<PendingCommit, Refusal> {
        self.0.write_handle.try_submit(batch, Some(claim))
    }

    /// The way in for writes, whose calls wait: to be polled between steps.
    pub fn write_handle(&self) -> WriteHandle {
        self.0.write_handle.clone()
    }

    /// The way in for what is read of a log.
    pub fn log_handle(&self) -> LogHandle {
        self.0.log_handle()
    }

    /// What is known of the log.
    pub fn log_view(&self) -> LogView {
        self.0.log_view()
    }

    /// Lets a part do one thing; `false` where it had nothing to do.
    pub fn step(&mut self, part: Part) -> bool {
        match part {
            Part::Sequencer => self.0.sequencer.step(),
            Part::Syncer => self.0.syncer.step(),
            Part::Snapshotter => self.0.snapshotter.step(),
        }
    }

    /// Has the snapshotter make a snapshot at its next steps.
    pub fn request_snapshot(&mut self) {
        self.0.snapshotter.request();
    }

    /// Has the snapshotter have the journal sealed at its next steps, for a copy. One that is asked for already is forgotten.
    pub fn request_backup(&mut self) -> PendingBackup {
        let (reply, pending) = self.0.backups.pending();
        self.0.snapshotter.copying = Some(reply);
        pending
    }

    /// What is known.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.0.catalogue
    }

    /// What is counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Live figures and reasons.
    pub fn status(&self) -> &Arc<Status> {
        &self.0.status
    }

    /// Commits what is in the queue, seals, syncs, makes a last snapshot.
    ///
    /// # Errors
    /// As [`Store::close`](super::Store::close).
    pub fn close(self) -> Result<(), CloseError> {
        let Core { write_handle, mut sequencer, mut syncer, mut snapshotter, .. } = self.0;
        write_handle.close();
        while sequencer.step() || syncer.step() {}
        let sealed = sequencer.seal();
        while syncer.step() {}
        let snapshot = snapshotter.finish(sealed.as_ref().copied().unwrap_or_default());
        sealed.map_err(CloseError::NotSealed)?;
        snapshot.map_err(CloseError::SnapshotFailed)
    }
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepped").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
