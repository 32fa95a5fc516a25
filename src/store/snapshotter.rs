//! Makes a snapshot every interval: has the journal sealed, then folds what is sealed. For a copy it only has it sealed. Runs beside everything and
//! stops nothing; a snapshot that fails is tried again at the next interval.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use tokio::sync::mpsc::WeakSender;

use super::control::{Control, Pinned};
use super::damage::FileError;
use super::error::BackupError;
use super::fold::{FoldDone, Folder};
use super::layout::segment_name;
use super::reserve::Reserve;
use super::status::Status;
use super::syncer::SyncGate;
use super::write_handle::{Message, Sealed};
use crate::limits::{BACKUP_TIME, SNAPSHOT_NICENESS};
use crate::platform::clock::Clock;
use crate::store::journal::Sequence;

/// Makes snapshots.
pub(super) struct Snapshotter {
    pub(super) folder: Folder,
    pub(super) control: Receiver<Control>,
    /// Weak, lest the sequencer waits for messages from here when every write handle is gone.
    pub(super) queue: WeakSender<Message>,
    pub(super) interval: Duration,
    pub(super) gate: Arc<SyncGate>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) status: Arc<Status>,
    pub(super) clock: Clock,
    /// When the next snapshot is to be begun.
    pub(super) due: Duration,
    /// The reply to a seal that was asked for in a step, and who asked where it is for a copy.
    pub(super) sealing: Option<(Receiver<Sealed>, Option<CopyReply>)>,
    /// Asked for in a step: the next seal is for a copy.
    pub(super) copying: Option<CopyReply>,
}

/// Where what is pinned for a copy goes.
pub(super) type CopyReply = Sender<Result<Pinned, BackupError>>;

impl Snapshotter {
    /// Works until `Finish` comes, or the store is gone. Returns the failure of the last snapshot, if it failed.
    pub(super) fn run(mut self) -> Result<(), String> {
        give_way();
        self.due = self.clock.monotonic().saturating_add(self.interval);
        loop {
            match self.control.recv_timeout(self.due.saturating_sub(self.clock.monotonic())) {
                Err(RecvTimeoutError::Timeout) | Ok(Control::Now) => {
                    // From seal to seal, so that what a snapshot takes makes the next one no later.
                    self.due = self.clock.monotonic().saturating_add(self.interval);
                    if let Some(sealed) = self.seal() {
                        self.snapshot_if_sealed(sealed).unwrap_or_default();
                    }
                }
                Ok(Control::Backup(reply)) => {
                    let outcome = match self.seal() {
                        Some(sealed) => self.pin(sealed),
                        None => Err(BackupError::Closing),
                    };
                    answer(&reply, outcome);
                }
                Ok(Control::Finish(through)) => return self.finish(through),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Has the next step ask for a seal.
    pub(super) fn request(&mut self) {
        self.due = self.clock.monotonic();
    }

    /// Asks for a seal when a copy was asked for or a snapshot is due by the clock, and makes the snapshot, or pins what is to be
    /// copied, when there is one; `false` where nothing is due.
    pub(super) fn step(&mut self) -> bool {
        if let Some((sealing, _)) = &self.sealing {
            let Ok(sealed) = sealing.try_recv() else { return false };
            match self.sealing.take().and_then(|(_, copying)| copying) {
                Some(reply) => answer(&reply, self.pin(sealed)),
                None => self.snapshot_if_sealed(sealed).unwrap_or_default(),
            }
            return true;
        }
        if self.copying.is_none() && self.clock.monotonic() < self.due {
            return false;
        }
        self.gate.sync_written();
        let (reply, sealed) = channel::bounded(1);
        let asked = self.queue.upgrade().is_some_and(|queue| queue.try_send(Message::Seal(reply)).is_ok());
        if asked {
            let copying = self.copying.take();
            if copying.is_none() {
                self.due = self.clock.monotonic().saturating_add(self.interval);
            }
            self.sealing = Some((sealed, copying));
        }
        asked
    }

    /// Has the sequencer seal the journal; `None` where it is gone.
    fn seal(&self) -> Option<Sealed> {
        // So that the sequencer's own sync, for which every batch waits, finds little left to do.
        self.gate.sync_written();
        let (reply, sealed) = channel::bounded(1);
        self.queue.upgrade()?.blocking_send(Message::Seal(reply)).ok()?;
        sealed.recv().ok()
    }

    /// Pins what is to be copied: the newest snapshot and the journal after it, up to the seal. Folds nothing.
    fn pin(&mut self, sealed: Sealed) -> Result<Pinned, BackupError> {
        let through = sealed.map_err(BackupError::NotSealed)?;
        let segments = if let Some(segments) = self.folder.segments_through(through)? {
            segments
        } else {
            // On a full disk, where the room kept aside still takes a snapshot.
            self.snapshot_through(through).map_err(BackupError::NotSealed)?;
            Vec::new()
        };
        let (pins, manifest, now) = (self.folder.pins(), self.folder.current(), self.clock.monotonic());
        pins.end_late(now);
        // Not the manifest itself: where it stays alone, verify and a start would look for a journal after it.
        let files = manifest.files().map(|file| file.name.to_string());
        let names = files.chain(segments.iter().map(|segment| segment_name(segment.first_sequence)));
        let names = names.collect();
        let content = self.folder.read_manifest()?;
        let position = through.max(manifest.position);
        let pin = pins.take(names, now.saturating_add(BACKUP_TIME)).ok_or(BackupError::UnderWay)?;
        Ok(Pinned { manifest: manifest.clone(), content, segments, position, pin })
    }

    /// A failure is in the status, and the next interval tries again.
    fn snapshot_if_sealed(&mut self, sealed: Sealed) -> Result<(), String> {
        match sealed {
            Ok(through) => self.snapshot_through(through),
            Err(reason) => {
                self.status.snapshot_failed(&reason);
                tracing::error!(%reason, "no snapshot: the journal could not be sealed");
                Err(reason)
            }
        }
    }

    /// Makes the last snapshot, of the records up to `through`; once it has all there is, the journal before it goes.
    pub(super) fn finish(&mut self, through: Sequence) -> Result<(), String> {
        self.snapshot_through(through)?;
        if through == self.folder.position()
            && let Err(error) = self.folder.keep_newest()
        {
            tracing::warn!(%error, "files that the last snapshot does not need could not be removed");
        }
        Ok(())
    }

    /// Makes a snapshot of the records up to `through`, unless there is one.
    fn snapshot_through(&mut self, through: Sequence) -> Result<(), String> {
        if through <= self.folder.position() {
            return Ok(());
        }
        let began = self.clock.monotonic();
        self.folder.pins().end_late(began);
        match self.fold(through) {
            Ok(done) => {
                let took = self.clock.monotonic().saturating_sub(began);
                self.status.snapshot_made(self.clock.unix_seconds(), took);
                if let Some(error) = &done.leftovers {
                    tracing::warn!(%error, "files that no snapshot needs could not be removed");
                }
                self.reserve.keep();
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                self.status.snapshot_failed(&reason);
                tracing::error!(%reason, "the snapshot failed; the one before stays");
                Err(reason)
            }
        }
    }

    /// Folds; where there is no room, once more with the room that is kept aside.
    fn fold(&mut self, through: Sequence) -> Result<FoldDone, FileError> {
        let error = match self.folder.fold(through) {
            Err(FileError::Disk(error)) if error.is_no_space() => error,
            outcome => return outcome,
        };
        match self.reserve.give_up() {
            Ok(true) => {
                tracing::warn!(%error, "the disk is full: the room kept aside goes to this snapshot");
                let outcome = self.folder.fold(through);
                if outcome.is_err() {
                    // Batches may try their luck; there is nothing left to keep from them.
                    self.reserve.release();
                }
                outcome
            }
            Ok(false) => Err(error.into()),
            Err(undo) => {
                tracing::warn!(error = %undo, "the room kept aside cannot be given up");
                Err(error.into())
            }
        }
    }
}

/// Answers who asked for a copy; where nobody waits any more, its files are free again.
fn answer(reply: &CopyReply, outcome: Result<Pinned, BackupError>) {
    drop(reply.try_send(outcome));
}

/// Lets the threads that somebody waits for go first.
fn give_way() {
    // Without a process it is about the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, SNAPSHOT_NICENESS) {
        tracing::info!(%error, "the snapshot thread keeps its nice value and competes with the others");
    }
}
