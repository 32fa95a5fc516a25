//! What the store says of itself: live figures, and why it refuses if it does. Written by the store's threads,
//! read by anybody. Knows nothing of who reads it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::poison::{Poison, PoisonCause};
use crate::limits::wide;
use crate::platform::clock::Clock;
use crate::store::journal::Sequence;

/// Journal and snapshot figures: totals since the start, unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreFigures {
    /// Batches journalled.
    pub batches: u64,
    /// Increments journalled.
    pub increments: u64,
    /// Bytes of records written to the journal.
    pub journal_bytes: u64,
    /// Segments begun.
    pub journal_segments: u64,
    /// Syncs of the journal that succeeded, those for sealing left out.
    pub journal_syncs: u64,
    /// Syncs of the journal that failed: 0 or 1, since no sync is tried after a failed one.
    pub journal_sync_failures: u64,
    /// Writes to the journal that failed.
    pub append_failures: u64,
    /// Snapshots made.
    pub snapshots: u64,
    /// Snapshots that failed.
    pub snapshot_failures: u64,
    /// When the last snapshot was made, in seconds since the epoch; 0 before the first since the start.
    pub last_snapshot_unix_seconds: i64,
    /// How long the last snapshot took, in milliseconds.
    pub last_snapshot_ms: u64,
    /// Copies that were read to their end.
    pub backups: u64,
    /// Copies that were not.
    pub backups_broken_off: u64,
    /// When the last copy was read to its end, in seconds since the epoch; 0 before the first since the start.
    pub last_backup_unix_seconds: i64,
    /// The last record that is counted in it.
    pub last_backup_position: u64,
    /// Bytes of it that were sent.
    pub last_backup_bytes: u64,
    /// The newest record of the journal, of this start or an earlier one.
    pub last_sequence: u64,
}

/// Live figures and reasons. Every call is quick and none waits for the disk.
#[derive(Debug, Default)]
pub struct Status {
    /// Records up to this one are written.
    written: AtomicU64,
    /// Records up to this one are synced.
    synced: AtomicU64,
    state: Mutex<State>,
    poison: Poison,
}

#[derive(Debug, Default)]
struct State {
    figures: StoreFigures,
    append_refused: Option<String>,
    snapshot_failing: Option<String>,
}

impl Status {
    /// Why batches are being refused, in words for health and clients; `None` while they are taken. NOTE: not a
    /// reason to keep a batch back: it is the next batch that finds out whether there is room again.
    pub fn ingest_refused(&self) -> Option<String> {
        self.poison
            .cause()
            .map_or_else(|| self.state().append_refused.clone(), |cause| Some(cause.to_string()))
    }

    /// Why the last snapshot failed; `None` once one has succeeded since.
    pub fn snapshot_failing(&self) -> Option<String> {
        self.state().snapshot_failing.clone()
    }

    /// The figures as they are now.
    pub fn figures(&self) -> StoreFigures {
        StoreFigures { last_sequence: self.last_sequence(), ..self.state().figures }
    }

    /// The newest record whose batch is counted. Asking costs nothing.
    pub fn last_sequence(&self) -> u64 {
        self.written().get()
    }

    pub(super) fn poison(&self) -> &Poison {
        &self.poison
    }

    /// A sync of the journal failed, which poisons the store.
    pub(super) fn fail_sync(&self) {
        add(&mut self.state().figures.journal_sync_failures, 1);
        self.poison.set(PoisonCause::SyncFailed);
    }

    /// A write to the journal failed and could not be undone, which poisons the store.
    pub(super) fn fail_append(&self) {
        add(&mut self.state().figures.append_failures, 1);
        self.poison.set(PoisonCause::WriteFailed);
    }

    pub(super) fn refuse_appends(&self, reason: &str) {
        let mut state = self.state();
        add(&mut state.figures.append_failures, 1);
        state.append_refused = Some(reason.to_owned());
    }

    pub(super) fn snapshot_made(&self, unix_seconds: i64, took: Duration) {
        let mut state = self.state();
        add(&mut state.figures.snapshots, 1);
        state.figures.last_snapshot_unix_seconds = unix_seconds;
        state.figures.last_snapshot_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        state.snapshot_failing = None;
    }

    pub(super) fn snapshot_failed(&self, reason: &str) {
        let mut state = self.state();
        add(&mut state.figures.snapshot_failures, 1);
        state.snapshot_failing = Some(reason.to_owned());
    }

    /// A copy was read to its end.
    pub(super) fn backup_read(&self, (position, bytes): (u64, u64), unix_seconds: i64) {
        let mut state = self.state();
        let figures = &mut state.figures;
        add(&mut figures.backups, 1);
        figures.last_backup_unix_seconds = unix_seconds;
        figures.last_backup_position = position;
        figures.last_backup_bytes = bytes;
    }

    /// A copy was not read to its end.
    pub(super) fn backup_broke_off(&self) {
        add(&mut self.state().figures.backups_broken_off, 1);
    }

    /// A group of records was written.
    pub(super) fn note_append(&self, bytes: usize) {
        let mut state = self.state();
        add(&mut state.figures.journal_bytes, bytes);
        state.append_refused = None;
    }

    /// A batch of that many increments is journalled and counted.
    pub(super) fn note_batch(&self, sequence: Sequence, increments: usize) {
        let mut state = self.state();
        add(&mut state.figures.batches, 1);
        add(&mut state.figures.increments, increments);
        drop(state);
        self.note_written(sequence);
    }

    pub(super) fn note_segment(&self) {
        add(&mut self.state().figures.journal_segments, 1);
    }

    pub(super) fn note_sync(&self) {
        add(&mut self.state().figures.journal_syncs, 1);
    }

    /// Records up to this one are written.
    pub(super) fn written(&self) -> Sequence {
        Sequence::new(self.written.load(Ordering::Acquire))
    }

    pub(super) fn note_written(&self, through: Sequence) {
        self.written.fetch_max(through.get(), Ordering::Release);
    }

    /// Records up to this one are synced.
    pub(super) fn synced(&self) -> Sequence {
        Sequence::new(self.synced.load(Ordering::Acquire))
    }

    pub(super) fn note_synced(&self, through: Sequence) {
        self.synced.fetch_max(through.get(), Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half written: nothing in it belongs together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(figure: &mut u64, more: usize) {
    *figure = figure.saturating_add(wide(more));
}

/// Says a repeated thing once a minute, with how often it happened.
#[derive(Debug)]
pub(super) struct OncePerMinute {
    clock: Clock,
    last: Option<Duration>,
    held_back: u64,
}

impl OncePerMinute {
    const PAUSE: Duration = Duration::from_mins(1);

    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, last: None, held_back: 0 }
    }

    /// `Some` with how often it was held back since it was last said, where it is time to say it.
    pub(super) fn due(&mut self) -> Option<u64> {
        let now = self.clock.monotonic();
        if self.last.is_some_and(|last| now.saturating_sub(last) < Self::PAUSE) {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}
