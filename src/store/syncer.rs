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
use super::write_handle::{CommitAck, Outcome, ReadOutcome, RecordError, Recorded, send_outcome};
use crate::limits::{ALLOCATED_AHEAD_FROM, ALLOCATED_AHEAD_MAX};
use crate::platform::clock::Clock;
use crate::platform::disk::{DiskError, DiskFile};
use crate::store::journal::Sequence;

/// An ack that waits for a sync.
pub(super) enum PendingAck {
    /// Of a batch.
    Batch(oneshot::Sender<Outcome>, CommitAck),
    /// Of a message of a log.
    Read(oneshot::Sender<ReadOutcome>, Recorded),
}

impl PendingAck {
    /// Sends the ack, or why it is not known what became of the batch or message.
    pub(super) fn send(self, outcome: Result<(), Uncertainty>) {
        match self {
            Self::Batch(reply, ack) => send_outcome(reply, outcome.map(|()| ack).map_err(Into::into)),
            Self::Read(reply, recorded) => {
                let unknown = |why| {
                    let tickets = recorded.outcomes.iter().map(|(ticket, _)| *ticket).collect();
                    RecordError::Unknown(tickets, why)
                };
                // Its caller may have gone away, which changes nothing about the message.
                drop(reply.send(outcome.map_err(unknown).map(|()| recorded)));
            }
        }
    }
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
    open: Mutex<OpenFile>,
}

/// The open segment's file, and the room that is allocated for what it will grow by: a write that has to ask the file system
/// for a block waits for a sync that is getting blocks for what was written before.
#[derive(Debug)]
struct OpenFile {
    file: Arc<DiskFile>,
    /// Its length before the last sync.
    length: u64,
    /// The end of what is allocated.
    allocated: u64,
    /// Bytes to allocate ahead.
    ahead: u64,
}

/// The right to sync.
pub(super) struct SyncPermit<'a>(MutexGuard<'a, OpenFile>);

impl SyncGate {
    pub(super) fn new(status: Arc<Status>, open: Arc<DiskFile>) -> Self {
        Self { status, open: Mutex::new(OpenFile::new(open, 0)) }
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
            let mut permit = self.enter();
            permit.0.allocate_as_it_grows();
            let file = Arc::clone(&permit.0.file);
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
        self.sync_files(self.status.written(), &[Arc::clone(&permit.0.file)])
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
        *self.0 = OpenFile::new(file, self.0.ahead);
    }
}

impl OpenFile {
    /// A file that has just been begun, and is thought to grow as the one before.
    fn new(file: Arc<DiskFile>, ahead: u64) -> Self {
        let mut open = Self { file, length: 0, allocated: 0, ahead };
        open.allocate();
        open
    }

    /// Allocates room for as much as was written since the last sync, and as much again. A file that hardly grows gets none.
    fn allocate_as_it_grows(&mut self) {
        let length = match self.file.length() {
            Ok(length) => length,
            Err(error) => return Self::note(&error),
        };
        let grown = length.saturating_sub(self.length);
        self.length = length;
        self.ahead = match grown {
            0..ALLOCATED_AHEAD_FROM => 0,
            _ => grown.saturating_mul(2).min(ALLOCATED_AHEAD_MAX),
        };
        if self.allocated < length.saturating_add(self.ahead / 2) {
            self.allocate();
        }
    }

    fn allocate(&mut self) {
        if self.ahead == 0 {
            return;
        }
        // Where it fails it is not tried again before the file has grown so far.
        self.allocated = self.length.saturating_add(self.ahead);
        if let Err(error) = self.file.allocate_ahead(self.length, self.ahead) {
            Self::note(&error);
        }
    }

    /// Not every file system allocates ahead, and a full disk does not: writes are then as quick as they can be.
    fn note(error: &DiskError) {
        tracing::debug!(%error, "no room is allocated ahead for the journal");
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
        for ack in acks {
            // All of them are written: after a failed sync nobody knows which of them the disk has.
            ack.send(outcome.map_err(Uncertainty::Poisoned));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::*;
    use crate::platform::disk::Disk;

    const GROWN: usize = 3 * 1024 * 1024;

    fn allocated(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().blocks() * 512
    }

    /// Appends so many bytes and syncs as the syncer does by the clock.
    fn write_and_sync(gate: &SyncGate, file: &DiskFile, bytes: usize) {
        file.append(&vec![1; bytes]).unwrap();
        let written = gate.status.written().next();
        gate.status.note_written(written);
        gate.sync_written();
        assert_eq!(gate.status.synced(), written);
    }

    #[test]
    fn segment_that_grows_has_room_for_as_much_again_and_the_next_begins_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let [slow, fast, next] = ["slow", "fast", "next"].map(|name| directory.path().join(name));
        let create = |path: &Path| Arc::new(Disk::new().create_new(path).unwrap());
        let file = create(&slow);
        let gate = SyncGate::new(Arc::new(Status::default()), Arc::clone(&file));
        write_and_sync(&gate, &file, 1);
        assert!(allocated(&slow) < ALLOCATED_AHEAD_FROM, "a slow segment takes no room ahead");

        let file = create(&fast);
        gate.enter().watch_file(Arc::clone(&file));
        write_and_sync(&gate, &file, GROWN);
        let room = u64::try_from(2 * GROWN).unwrap();
        assert!(allocated(&fast) >= room, "{} bytes are allocated", allocated(&fast));

        gate.enter().watch_file(create(&next));
        assert!(allocated(&next) >= room, "{} bytes are allocated", allocated(&next));
    }
}
