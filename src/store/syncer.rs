//! Makes the journal last: after each group of batches, every interval, or never, as the policy says.
//! Knows nothing of what is in the journal.
//!
//! INVARIANT: after a sync has failed, no other one is believed: the kernel tells of lost pages only once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};
use tokio::sync::oneshot;

use super::Fsync;
use super::door::{Outcome, Receipt};
use super::error::Refusal;
use super::sequencer::answer;
use super::status::Status;
use crate::platform::disk::DiskFile;
use crate::store::journal::Sequence;

/// An answer that waits for a sync.
pub(super) struct Ack {
    pub(super) reply: oneshot::Sender<Outcome>,
    pub(super) receipt: Receipt,
}

/// A group of written batches: when `file` is synced, all records up to `through` are.
pub(super) struct SyncJob {
    pub(super) file: Arc<DiskFile>,
    pub(super) through: Sequence,
    pub(super) acks: Vec<Ack>,
}

/// Lets one sync happen at a time, together with what its outcome means for all others.
#[derive(Debug)]
pub(super) struct SyncGate {
    status: Arc<Status>,
    /// The open segment's file.
    open: Mutex<Arc<DiskFile>>,
}

/// The right to sync.
pub(super) struct Turn<'a>(MutexGuard<'a, Arc<DiskFile>>);

impl SyncGate {
    pub(super) fn new(status: Arc<Status>, open: Arc<DiskFile>) -> Self {
        Self { status, open: Mutex::new(open) }
    }

    /// Waits until no sync is under way, and lets none begin until the turn is over.
    pub(super) fn enter(&self) -> Turn<'_> {
        // A panic under the lock has been noted as a failure of the store, which everybody asks for.
        Turn(self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Syncs the open segment, if anything was written since the last sync. A failure is in the status, where
    /// everybody who writes asks for it.
    pub(super) fn sync_written(&self) {
        let through = self.status.written();
        if self.status.synced() < through {
            let turn = self.enter();
            let file = Arc::clone(&turn.0);
            // What was written to an earlier segment was synced when that was sealed.
            drop(self.sync(&turn, through, &[file]));
        }
    }

    /// Syncs the files, after which all records up to `through` are synced, unless they are already.
    fn sync(&self, _turn: &Turn<'_>, through: Sequence, files: &[Arc<DiskFile>]) -> Result<(), Refusal> {
        if let Some(reason) = self.status.sync_failed() {
            return Err(Refusal::SyncFailed(reason));
        }
        if self.status.synced() >= through {
            return Ok(());
        }
        if let Err(error) = files.iter().try_for_each(|file| file.sync()) {
            let reason = "the disk failed in a sync";
            self.status.fail_sync(reason);
            tracing::error!(%error, "the journal could not be synced; nothing is taken until a restart");
            return Err(Refusal::SyncFailed(reason.to_owned()));
        }
        self.status.note_synced(through);
        self.status.note_sync();
        Ok(())
    }
}

impl Turn<'_> {
    /// From now on this is the open segment's file.
    pub(super) fn watch_file(mut self, file: Arc<DiskFile>) {
        *self.0 = file;
    }
}

/// The thread that syncs.
pub(super) struct Syncer {
    pub(super) jobs: Receiver<SyncJob>,
    pub(super) gate: Arc<SyncGate>,
    pub(super) fsync: Fsync,
    pub(super) interval: Duration,
}

impl Syncer {
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
        for ack in acks {
            answer(ack.reply, outcome.clone().map(|()| ack.receipt));
        }
    }
}
