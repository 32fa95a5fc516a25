//! What the store says of itself: live figures, and why it refuses if it does. Written by the store's threads,
//! read by anybody. Knows nothing of who reads it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::poison::{Poison, PoisonCause};
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
    /// The newest record of the journal, of this start or an earlier one.
    pub last_sequence: u64,
}

/// Live figures and reasons. Every call is quick and none waits for the disk.
#[derive(Debug, Default)]
pub struct Status {
    batches: AtomicU64,
    increments: AtomicU64,
    journal_bytes: AtomicU64,
    journal_segments: AtomicU64,
    journal_syncs: AtomicU64,
    journal_sync_failures: AtomicU64,
    append_failures: AtomicU64,
    snapshots: AtomicU64,
    snapshot_failures: AtomicU64,
    last_snapshot_unix_seconds: AtomicI64,
    last_snapshot_ms: AtomicU64,
    /// Records up to this one are written.
    written: AtomicU64,
    /// Records up to this one are synced.
    synced: AtomicU64,
    reasons: Mutex<Reasons>,
    poison: Poison,
}

#[derive(Debug, Default)]
struct Reasons {
    append_refused: Option<String>,
    snapshot_failing: Option<String>,
}

impl Status {
    /// Why batches are being refused, in words for health and clients; `None` while they are taken. NOTE: not a
    /// reason to keep a batch back: it is the next batch that finds out whether there is room again.
    pub fn ingest_refused(&self) -> Option<String> {
        self.poison
            .cause()
            .map_or_else(|| self.reasons().append_refused.clone(), |cause| Some(cause.to_string()))
    }

    /// Why the last snapshot failed; `None` once one has succeeded since.
    pub fn snapshot_failing(&self) -> Option<String> {
        self.reasons().snapshot_failing.clone()
    }

    /// The figures as they are now; each by itself, not all of one instant.
    pub fn figures(&self) -> StoreFigures {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        StoreFigures {
            batches: load(&self.batches),
            increments: load(&self.increments),
            journal_bytes: load(&self.journal_bytes),
            journal_segments: load(&self.journal_segments),
            journal_syncs: load(&self.journal_syncs),
            journal_sync_failures: load(&self.journal_sync_failures),
            append_failures: load(&self.append_failures),
            snapshots: load(&self.snapshots),
            snapshot_failures: load(&self.snapshot_failures),
            last_snapshot_unix_seconds: self.last_snapshot_unix_seconds.load(Ordering::Relaxed),
            last_snapshot_ms: load(&self.last_snapshot_ms),
            last_sequence: load(&self.written),
        }
    }

    /// Whether the store is poisoned.
    pub(super) fn poison(&self) -> &Poison {
        &self.poison
    }

    /// A sync of the journal failed, which poisons the store.
    pub(super) fn fail_sync(&self) {
        self.journal_sync_failures.fetch_add(1, Ordering::Relaxed);
        self.poison.set(PoisonCause::SyncFailed);
    }

    /// A write to the journal failed and could not be undone, which poisons the store.
    pub(super) fn fail_append(&self) {
        self.append_failures.fetch_add(1, Ordering::Relaxed);
        self.poison.set(PoisonCause::WriteFailed);
    }

    pub(super) fn refuse_appends(&self, reason: &str) {
        self.append_failures.fetch_add(1, Ordering::Relaxed);
        self.reasons().append_refused = Some(reason.to_owned());
    }

    pub(super) fn take_appends(&self) {
        self.reasons().append_refused = None;
    }

    pub(super) fn snapshot_made(&self, unix_seconds: i64, took: Duration) {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.last_snapshot_unix_seconds.store(unix_seconds, Ordering::Relaxed);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.last_snapshot_ms.store(took_ms, Ordering::Relaxed);
        self.reasons().snapshot_failing = None;
    }

    pub(super) fn snapshot_failed(&self, reason: &str) {
        self.snapshot_failures.fetch_add(1, Ordering::Relaxed);
        self.reasons().snapshot_failing = Some(reason.to_owned());
    }

    /// A batch of that many increments is journalled and counted.
    pub(super) fn note_batch(&self, sequence: Sequence, increments: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.increments.fetch_add(u64::try_from(increments).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.note_written(sequence);
    }

    pub(super) fn add_journal_bytes(&self, bytes: usize) {
        self.journal_bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn note_segment(&self) {
        self.journal_segments.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_sync(&self) {
        self.journal_syncs.fetch_add(1, Ordering::Relaxed);
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

    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        // A panic cannot leave the reasons half written: each is set by one assignment.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
