//! Syncs the journal as the fsync level says: before the acks of a group, every interval, or only when it is sealed.
//! Knows nothing of what is in the journal.
//!
//! INVARIANT: after a sync has failed, no other one is believed: the kernel reports lost pages only once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};
use tokio::sync::oneshot;

use super::Fsync;
use super::error::Uncertainty;
use super::poison::PoisonCause;
use super::status::Status;
use super::write_handle::{CommitAck, Outcome, send_outcome};
use crate::platform::clock::Clock;
use crate::platform::disk::DiskFile;
use crate::store::journal::Sequence;

/// An ack that waits for a sync.
pub(super) struct PendingAck {
    pub(super) reply: oneshot::Sender<Outcome>,
    pub(super) ack: CommitAck,
}

/// A group of written batches: when `file` is synced, all records up to `through` are.
pub(super) struct SyncJob {
    pub(super) file: Arc<DiskFile>,
    pub(super) through: Sequence,
    pub(super) acks: Vec<PendingAck>,
}

/// Lets one sync happen at a time, together with what its outcome means for all others.
#[derive(Debug)]
pub(super) struct SyncGate {
    status: Arc<Status>,
    /// The open segment's file.
    open: Mutex<Arc<DiskFile>>,
}

/// The right to sync.
pub(super) struct SyncPermit<'a>(MutexGuard<'a, Arc<DiskFile>>);

impl SyncGate {
    pub(super) fn new(status: Arc<Status>, open: Arc<DiskFile>) -> Self {
        Self { status, open: Mutex::new(open) }
    }

    /// Waits until no sync is under way, and lets none begin while the permit lives.
    pub(super) fn enter(&self) -> SyncPermit<'_> {
        // A panic under the lock poisons the store, which everybody asks for.
        SyncPermit(self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Syncs the open segment, if anything was written since the last sync. A failure is in the status, where
    /// everybody who writes asks for it.
    pub(super) fn sync_written(&self) {
        let through = self.status.written();
        if self.status.synced() < through {
            let permit = self.enter();
            let file = Arc::clone(&permit.0);
            // What was written to an earlier segment was synced when that was sealed.
            self.sync(&permit, through, &[file]).unwrap_or_default();
        }
    }

    /// Syncs the files, after which all records up to `through` are synced, unless they are already.
    fn sync(
        &self,
        _permit: &SyncPermit<'_>,
        through: Sequence,
        files: &[Arc<DiskFile>],
    ) -> Result<(), PoisonCause> {
        if let Some(cause) = self.status.poison().cause() {
            return Err(cause);
        }
        if self.status.synced() >= through {
            return Ok(());
        }
        self.sync_files(through, files)
    }

    /// Syncs the open segment after a write that was undone: else a power cut could bring back what was refused.
    pub(super) fn sync_undo(&self) -> Result<(), PoisonCause> {
        let permit = self.enter();
        if let Some(cause) = self.status.poison().cause() {
            return Err(cause);
        }
        self.sync_files(self.status.written(), &[Arc::clone(&permit.0)])
    }

    fn sync_files(&self, through: Sequence, files: &[Arc<DiskFile>]) -> Result<(), PoisonCause> {
        if let Err(error) = files.iter().try_for_each(|file| file.sync()) {
            self.status.fail_sync();
            tracing::error!(%error, "the journal could not be synced; nothing is taken until a restart");
            return Err(PoisonCause::SyncFailed);
        }
        self.status.note_synced(through);
        self.status.note_sync();
        Ok(())
    }
}

impl SyncPermit<'_> {
    /// From now on this is the open segment's file.
    pub(super) fn watch_file(mut self, file: Arc<DiskFile>) {
        *self.0 = file;
    }
}

/// Syncs what is written, when the fsync level asks for it.
pub(super) struct Syncer {
    jobs: Receiver<SyncJob>,
    gate: Arc<SyncGate>,
    fsync: Fsync,
    interval: Duration,
    clock: Clock,
    /// The next sync by the clock, where the syncer is stepped.
    due: Duration,
}

impl Syncer {
    pub(super) fn new(
        jobs: Receiver<SyncJob>,
        gate: Arc<SyncGate>,
        (fsync, interval): (Fsync, Duration),
        clock: Clock,
    ) -> Self {
        let due = clock.monotonic().saturating_add(interval);
        Self { jobs, gate, fsync, interval, clock, due }
    }

    /// Does what waits or is due by the clock; `false` where nothing is.
    pub(super) fn step(&mut self) -> bool {
        if let Ok(job) = self.jobs.try_recv() {
            self.sync_group(job);
            return true;
        }
        let now = self.clock.monotonic();
        let due = self.fsync == Fsync::Interval && self.due <= now;
        if due {
            self.due = now.saturating_add(self.interval);
            self.gate.sync_written();
        }
        due
    }

    /// Works until the sequencer is gone.
    pub(super) fn run(self) {
        match self.fsync {
            Fsync::Always | Fsync::Never => {
                while let Ok(job) = self.jobs.recv() {
                    self.sync_group(job);
                }
            }
            Fsync::Interval => loop {
                match self.jobs.recv_timeout(self.interval) {
                    Ok(job) => self.sync_group(job),
                    Err(RecvTimeoutError::Timeout) => self.gate.sync_written(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            },
        }
    }

    /// One sync for every group that waits, then their answers in order.
    fn sync_group(&self, first: SyncJob) {
        let mut files = vec![first.file];
        let mut through = first.through;
        let mut acks = first.acks;
        for job in self.jobs.try_iter() {
            if files.last().is_none_or(|last| !Arc::ptr_eq(last, &job.file)) {
                files.push(job.file);
            }
            through = through.max(job.through);
            acks.extend(job.acks);
        }
        let outcome = self.gate.sync(&self.gate.enter(), through, &files);
        for PendingAck { reply, ack } in acks {
            // All of them are written: after a failed sync nobody knows which of them the disk has.
            send_outcome(reply, outcome.map(|()| ack).map_err(|cause| Uncertainty::Poisoned(cause).into()));
        }
    }
}
