//! The core of an open store: recovery's outcome put together into sequencer, syncer and snapshotter, none of which
//! has a thread yet. [`Store`](super::Store) runs each on a thread of its own, [`Stepped`](super::Stepped) one step at
//! a time.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam::channel;

use super::backup::Backups;
use super::damage::FileError;
use super::error::OpenError;
use super::journal::{self, StoreId};
use super::log::SharedLog;
use super::reserve::Reserve;
use super::sequencer::Sequencer;
use super::snapshot::SnapshotFolder;
use super::snapshotter::Snapshotter;
use super::status::{OncePerMinute, Status};
use super::syncer::{SyncGate, Syncer};
use super::write_handle::{LogHandle, LogView, WriteHandle};
use super::{Recovery, StoreOptions, layout, listing, recover};
use crate::limits::{CONTROLS_QUEUED_MAX, GROUPS_UNSYNCED_MAX};
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::platform::disk::{Disk, Lock};

/// The parts of an open store.
pub(super) struct Core {
    pub(super) write_handle: WriteHandle,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) counters: Arc<Counters>,
    pub(super) status: Arc<Status>,
    pub(super) log: Arc<SharedLog>,
    pub(super) sequencer: Sequencer,
    pub(super) syncer: Syncer,
    pub(super) snapshotter: Snapshotter,
    pub(super) backups: Backups,
    pub(super) lock: Arc<Lock>,
}

impl Core {
    /// Locks the directory and recovers it. A new directory gets `store_id`. Blocks; `progress` is called now and then.
    pub(super) fn open(
        disk: &Disk,
        options: &StoreOptions,
        store_id: StoreId,
        progress: &mut dyn FnMut(),
    ) -> Result<(Self, Recovery), OpenError> {
        let data_dir = &options.data_dir;
        disk.create_directory(data_dir)?;
        let lock = disk
            .try_lock(&data_dir.join(layout::LOCK_FILE))?
            .ok_or_else(|| OpenError::Locked { directory: data_dir.clone() })?;
        let mode = recover::Mode::Repair { new_store_id: store_id };
        let recovered = recover::open(disk, data_dir, (mode, options.limits, options.keys), progress)?;
        let reserve = Arc::new(Reserve::new(disk, data_dir));
        reserve.keep();
        let next = recovered.next_sequence;
        let directory = data_dir.join(layout::JOURNAL_FOLDER);
        let begin = || journal::JournalWriter::create(disk, &directory, recovered.store_id, next);
        let journal = begin_journal(begin, &reserve)?;
        listing::end_copy(disk, data_dir)?;

        let (status, keys) = (begun_at(next), recovered.keys);
        let log = Arc::new(SharedLog::new(recovered.log));
        let (write_handle, queue) =
            WriteHandle::new(Arc::clone(&status), Arc::clone(&keys), (options.fsync, options.clock.clone()));
        let gate = Arc::new(SyncGate::new(Arc::clone(&status), journal.file()));
        let (syncs, jobs) = channel::bounded(GROUPS_UNSYNCED_MAX);
        let (control, orders) = channel::bounded(CONTROLS_QUEUED_MAX);

        let clock = &options.clock;
        let syncer =
            Syncer::new(jobs, Arc::clone(&gate), (options.fsync, options.fsync_interval), clock.clone());
        let folder = SnapshotFolder::new(disk, data_dir, recovered.store_id);
        let backups = Backups::new(control, (folder, recovered.folder.pins()), &status, clock);
        let snapshotter = Snapshotter {
            folder: recovered.folder,
            control: orders,
            queue: write_handle.queue().downgrade(),
            interval: options.snapshot_interval,
            gate: Arc::clone(&gate),
            reserve: Arc::clone(&reserve),
            status: Arc::clone(&status),
            clock: clock.clone(),
            due: clock.monotonic().saturating_add(options.snapshot_interval),
            sealing: None,
            copying: None,
        };
        let sequencer = Sequencer {
            queue,
            catalogue: Arc::clone(&recovered.catalogue),
            counters: recovered.writer,
            keys,
            log: Arc::clone(&log),
            is_following: log.state().is_some(),
            journal,
            status: Arc::clone(&status),
            gate,
            fsync: options.fsync,
            syncs,
            reserve,
            closing: write_handle.closing(),
            refusals_logged: OncePerMinute::new(clock.clone()),
            sweep: None,
            defining: HashSet::default(),
        };
        let core = Self {
            write_handle,
            catalogue: recovered.catalogue,
            counters: recovered.counters,
            status,
            log,
            sequencer,
            syncer,
            snapshotter,
            backups,
            lock: Arc::new(lock),
        };
        Ok((core, recovered.report))
    }
}

/// The status of a store that goes on with that record.
fn begun_at(next: journal::Sequence) -> Arc<Status> {
    let status = Status::default();
    status.note_written(next.previous());
    status.note_synced(next.previous());
    status.note_segment();
    Arc::new(status)
}

impl Core {
    /// The way in for what is read of a log.
    pub(super) fn log_handle(&self) -> LogHandle {
        LogHandle::new(self.write_handle.clone(), Arc::clone(&self.catalogue))
    }

    /// What is known of the log.
    pub(super) fn log_view(&self) -> LogView {
        let counted = (Arc::clone(&self.catalogue), Arc::clone(&self.counters));
        LogView::new(Arc::clone(&self.log), Arc::clone(self.write_handle.keys()), counted)
    }
}

/// Begins the journal; where the disk is so full that even an empty segment finds no room, in the reserve's. A full
/// disk must not keep reports from going on.
fn begin_journal(
    begin: impl Fn() -> Result<journal::JournalWriter, FileError>,
    reserve: &Reserve,
) -> Result<journal::JournalWriter, OpenError> {
    match begin() {
        Err(FileError::Disk(error)) if error.is_no_space() && reserve.give_up()? => {
            tracing::warn!(%error, "the disk is full: the journal takes the reserve");
            reserve.release();
            Ok(begin()?)
        }
        outcome => Ok(outcome?),
    }
}
