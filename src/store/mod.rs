//! The store: everything that is counted, durably. Opens a data directory, takes batches through one
//! [`WriteHandle`], keeps catalogue and counters for reports to read, makes snapshots, closes in order.
//! Must not know HTTP, TCP or the syntax of lines.
//!
//! Threads: the sequencer (order, journal, counters, acks), the syncer (syncs, acks that wait for one), the snapshotter
//! (folds). All queues between them are bounded.

pub mod backup;
mod control;
mod core;
mod damage;
pub mod error;
pub mod fold;
pub mod journal;
mod keys;
mod layout;
mod listing;
pub(crate) mod load;
mod log;
mod pins;
mod poison;
mod position;
pub mod recover;
mod reserve;
mod sequencer;
pub mod snapshot;
mod snapshotter;
mod status;
mod stepped;
mod syncer;
pub mod verify;
mod worker;
mod write_handle;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;

pub use damage::{Damage, DamageKind, FileError};
pub use error::{CloseError, OpenError, Refusal, Uncertainty, WriteError};
pub use keys::{Claim, KeyFigures, KeyLimits};
pub use log::staging::LogRead;
pub use log::{LogBeginning, LogFigures, LogPosition};
pub use poison::PoisonCause;
pub use status::{Status, StoreFigures};
pub use stepped::{Part, Stepped};
pub use write_handle::{
    Claimed, CommitAck, LogHandle, LogView, PendingCommit, PendingRead, RecordError, Recorded, WriteHandle,
};

use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::counters::Counters;
use crate::model::named::named_enum;
use crate::platform::clock::Clock;
use crate::platform::disk::Disk;
use backup::Backups;
use control::Control;
use core::Core;
use journal::StoreId;
use worker::Worker;

named_enum! {
    /// When the journal is synced, and so what an acknowledged batch survives. A write is handed to the system before
    /// its ack at every level, so the death of the process loses nothing.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub enum Fsync {
        /// Before the ack. A power cut loses nothing that was acknowledged.
        Always = "always",
        /// An interval after the last sync ended. A power cut loses at most the acks of that interval and of the sync
        /// that was under way.
        #[default]
        Interval = "interval",
        /// When a segment is sealed. A power cut loses at most what the system had not written of the open segment.
        Never = "never",
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directory; made if it is not there.
    pub data_dir: PathBuf,
    /// What an acknowledged batch survives.
    pub fsync: Fsync,
    /// Time between two syncs under [`Fsync::Interval`].
    pub fsync_interval: Duration,
    /// Time between two snapshots; one without anything new is left out.
    pub snapshot_interval: Duration,
    /// How many stories, interactions and series there may be.
    pub limits: CatalogueLimits,
    /// How many keys of batches are remembered, and for how long.
    pub keys: KeyLimits,
    /// Where the time comes from, for figures and the log.
    pub clock: Clock,
}

/// What recovery found, for the log and `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// The generation of the snapshot loaded; 0 without one.
    pub snapshot_generation: u64,
    /// Parts of it.
    pub parts: u64,
    /// Segments read after the snapshot.
    pub journal_segments: u64,
    /// Records in them.
    pub journal_records: u64,
    /// Bytes of a torn tail that were cut.
    pub torn_bytes: u64,
    /// Series defined.
    pub series: u64,
    /// Stories known.
    pub stories: u64,
    /// What an operator should know, each a sentence.
    pub warnings: Vec<String>,
}

/// The open store. Call [`Store::close`]; dropping it leaves the threads to end by themselves once every write
/// handle is gone, and what was acknowledged in the journal.
#[derive(Debug)]
pub struct Store {
    write_handle: WriteHandle,
    log_view: LogView,
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
    clock: Clock,
    sequencer: Worker<Result<journal::Sequence, String>>,
    syncer: Worker<()>,
    snapshotter: Worker<Result<(), String>>,
    backups: Backups,
    context: worker::Context,
}

impl Store {
    /// Locks the directory, recovers, starts the threads. Blocks. `progress` is called now and then meanwhile.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(options: StoreOptions, progress: &mut dyn FnMut()) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(&Disk::new(), options, progress)
    }

    /// As [`Store::open`], on a disk that may be made to fail.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_on(
        disk: &Disk,
        options: StoreOptions,
        progress: &mut dyn FnMut(),
    ) -> Result<(Self, Recovery), OpenError> {
        let (core, recovery) = Core::open(disk, &options, StoreId::random(), progress)?;
        let log_view = core.log_view();
        let context = worker::Context { status: core.status, lock: core.lock };
        let Core { sequencer, syncer, snapshotter, .. } = core;
        let store = Self {
            write_handle: core.write_handle,
            log_view,
            catalogue: core.catalogue,
            counters: core.counters,
            clock: options.clock,
            sequencer: Worker::start("sequencer", &context, || sequencer.run())?,
            syncer: Worker::start("syncer", &context, || syncer.run())?,
            snapshotter: Worker::start("snapshotter", &context, || snapshotter.run())?,
            backups: core.backups,
            context,
        };
        Ok((store, recovery))
    }

    /// The way in for writes.
    pub fn write_handle(&self) -> WriteHandle {
        self.write_handle.clone()
    }

    /// The way in for what is read of a log that several daemons share. To be asked for once.
    pub fn log_handle(&self) -> LogHandle {
        LogHandle::new(self.write_handle.clone(), Arc::clone(&self.catalogue))
    }

    /// What is known of that log.
    pub fn log_view(&self) -> LogView {
        self.log_view.clone()
    }

    /// What is known, for parsers and reports.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// What is counted, for reports.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Live figures and reasons.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.context.status)
    }

    /// Done when a thread of the store has panicked: nothing is taken any more, and the daemon must end for a
    /// restart. Never done otherwise.
    pub fn failed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut failure = self.context.status.poison().watch_panic();
        async move {
            if failure.wait_for(|failed| *failed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The way to copies.
    pub fn backups(&self) -> Backups {
        self.backups.clone()
    }

    /// Has a snapshot made soon, whatever the interval. Does not wait for it; one that is due already is enough.
    pub fn request_snapshot(&self) {
        match self.backups.control.try_send(Control::Now) {
            // Full: one is asked for already. Disconnected: the thread panicked, which `failed` reports.
            Ok(()) | Err(_) => {}
        }
    }

    /// Commits what is in the queue, seals and syncs, makes a last snapshot, ends the threads. Write handles then refuse.
    /// Blocks, at most about `deadline`.
    ///
    /// # Errors
    /// [`CloseError`], the first thing that went wrong. After `NotSealed` and `Late`, what was answered under
    /// [`Fsync::Always`] is on the disk, and what was answered otherwise has been handed to the system.
    pub fn close(self, deadline: Duration) -> Result<(), CloseError> {
        let began = self.clock.monotonic();
        let left = || deadline.saturating_sub(self.clock.monotonic().saturating_sub(began));
        self.write_handle.close();
        // A full queue needs no message: the sequencer checks after each group whether it shall close.
        if let Err(TrySendError::Closed(_)) = self.write_handle.queue().try_send(write_handle::Message::Close)
        {
            tracing::debug!("the sequencer has ended already");
        }
        let sealed = self.sequencer.wait(left())?;
        self.syncer.wait(left())?;
        // Where the journal is not sealed, the snapshotter ends without another snapshot.
        let through = sealed.as_ref().copied().unwrap_or_default();
        if let Err(error) = self.backups.control.send_timeout(Control::Finish(through), left()) {
            tracing::debug!(%error, "the snapshotter is at work, or has ended");
        }
        let snapshot = self.snapshotter.wait(left())?;
        drop(self.context);
        sealed.map_err(CloseError::NotSealed)?;
        snapshot.map_err(CloseError::SnapshotFailed)
    }
}
