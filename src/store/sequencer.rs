//! The one thread that decides the order of batches: it writes them to the journal, adds them to the counters
//! and acknowledges them. Nothing else writes either. Knows nothing of sockets, requests or text.
//!
//! A commit group is all batches that wait, up to a bound. One write and one sync serve all of them. Where every ack
//! must wait for a sync, the acks go to the syncer and the next group begins meanwhile.
//!
//! INVARIANT: what is in the counters is in the journal, in the same order.
//! INVARIANT: where a log is followed, what is counted is what was read of it, and nothing else.
//! INVARIANT: a series is marked as durable in the catalogue only once its definition is in the journal.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::Sender;
use tokio::sync::{mpsc, oneshot};

use super::Fsync;
use super::error::{Refusal, Uncertainty, WriteError};
use super::keys::{Claim, KeyTable};
use super::load::{self, Sweep};
use super::log::SharedLog;
use super::log::staging::{self, Basis, LogRead, NotStaged, NumberedPart};
use super::poison::PoisonCause;
use super::reserve::Reserve;
use super::status::{OncePerMinute, Status};
use super::syncer::{PendingAck, SyncGate, SyncJob};
use super::write_handle::{
    CommitAck, Message, Outcome, ReadSubmission, RecordError, Recorded, Sealed, Submission, send_outcome,
};
use crate::cluster::follow::Noted;
use crate::limits::{BATCHES_QUEUED_MAX, GROUP_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::model::batch::{Batch, Change, Definition, SeriesId};
use crate::model::catalogue::Catalogue;
use crate::model::counters;
use crate::store::journal::{self, AppendError, SealError, Sequence, Staged};

/// What the sequencer owns and talks to.
pub(super) struct Sequencer {
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) counters: counters::Writer,
    pub(super) keys: Arc<KeyTable>,
    /// The log that is followed, if one is.
    pub(super) log: Arc<SharedLog>,
    /// Whether one is, so that batches need not ask.
    pub(super) is_following: bool,
    pub(super) journal: journal::JournalWriter,
    pub(super) status: Arc<Status>,
    pub(super) gate: Arc<SyncGate>,
    pub(super) fsync: Fsync,
    pub(super) syncs: Sender<SyncJob>,
    pub(super) reserve: Arc<Reserve>,
    /// The store is being closed: what is in the queue is the last.
    pub(super) closing: Arc<AtomicBool>,
    pub(super) refusals_logged: OncePerMinute,
    /// What is yet to be done about hours that were dropped.
    pub(super) sweep: Option<Sweep>,
    /// Series whose definition is staged in this group.
    pub(super) defining: HashSet<SeriesId, foldhash::fast::RandomState>,
}

/// A submission whose record is staged.
struct StagedBatch {
    batch: Batch,
    /// The definitions that its record has: not all of the batch's, or more.
    definitions: Vec<Definition>,
    /// `None` for a barrier, which is not in the journal.
    sequence: Option<Sequence>,
    claim: Option<Claim>,
    reply: oneshot::Sender<Outcome>,
}

impl Sequencer {
    /// Works until the store is being closed, or every write handle is gone; then seals. Returns the last record sealed, or in
    /// words why the journal is not sealed.
    pub(super) fn run(mut self) -> Sealed {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        while let Some(message) = self.next(cores) {
            self.handle(message);
            self.sweep();
            if self.closing.load(Ordering::Acquire) {
                self.queue.close();
            }
        }
        self.seal()
    }

    /// The next message. Where none waits, a thread that is about to send one has the core first: so the next group is
    /// likely larger, and nobody has to wake this thread up. On a single core that only makes everybody wait longer.
    fn next(&mut self, cores: usize) -> Option<Message> {
        loop {
            if let Ok(message) = self.queue.try_recv() {
                return Some(message);
            }
            if self.closing.load(Ordering::Acquire) || !self.sweep() {
                break;
            }
        }
        if cores > 1 {
            std::thread::yield_now();
        }
        self.queue.blocking_recv()
    }

    /// Handles what waits, up to one commit group; `false` where nothing waits, or no sync can be asked for.
    pub(super) fn step(&mut self) -> bool {
        if self.syncs.is_full() {
            return false;
        }
        match self.queue.try_recv() {
            Ok(message) => {
                self.handle(message);
                true
            }
            Err(_) => self.sweep(),
        }
    }

    /// Does some of what is yet to be done about hours that were dropped; `false` where there is nothing.
    fn sweep(&mut self) -> bool {
        let Some(sweep) = &mut self.sweep else { return false };
        if !sweep.step(&self.catalogue, &mut self.counters) {
            self.sweep = None;
        }
        true
    }

    fn handle(&mut self, message: Message) {
        let mut message = Some(message);
        while let Some(current) = message.take() {
            match current {
                Message::Submit(first) => {
                    let (group, stopped_by) = self.collect_group(first);
                    self.commit_group(group);
                    message = stopped_by;
                }
                Message::Read(submission) => self.commit_read(*submission),
                Message::Seal(reply) => {
                    let sealed = self.seal();
                    // The snapshotter may be gone, since the store is being closed.
                    if reply.send(sealed).is_err() {
                        tracing::debug!("nobody waits for the sealed journal any more");
                    }
                }
                // Only wakes this thread up, so that it looks whether the store is being closed.
                Message::Close => {}
            }
        }
    }

    /// The submissions that wait, up to the bounds of a group, and the message that ended them, if one did.
    fn collect_group(&mut self, first: Submission) -> (Vec<Submission>, Option<Message>) {
        let mut bytes = first.encoded.len();
        let mut ends = ends_group(&first.batch);
        let mut group = vec![first];
        while !ends && bytes < GROUP_BYTES_MAX && group.len() < BATCHES_QUEUED_MAX {
            match self.queue.try_recv() {
                Ok(Message::Submit(next)) => {
                    bytes = bytes.saturating_add(next.encoded.len());
                    ends = ends_group(&next.batch);
                    group.push(next);
                }
                Ok(other) => return (group, Some(other)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    /// Writes, applies and acknowledges the submissions, or refuses them.
    fn commit_group(&mut self, group: Vec<Submission>) {
        if let Some(cause) = self.status.poison().cause() {
            for submission in group {
                send_outcome(submission.reply, Err(Refusal::Poisoned(cause).into()));
            }
            return;
        }
        self.journal.note_synced(self.status.synced());
        self.defining.clear();
        let staged: Vec<StagedBatch> =
            group.into_iter().filter_map(|submission| self.stage(submission)).collect();
        match self.write() {
            Ok(()) => {
                let acks = staged.into_iter().map(|batch| self.apply(batch)).collect();
                self.acknowledge(acks);
                self.seal_full_segment();
            }
            Err(error) => self.fail(staged, &error),
        }
    }

    fn seal_full_segment(&mut self) {
        if self.journal.segment_bytes() >= SEGMENT_BYTES_MAX
            && let Err(reason) = self.seal()
        {
            self.log_refusal("the journal's segment could not be ended", &reason);
        }
    }

    /// Records a message of a log, counts and acknowledges it, or gives it back. It is a group of its own: what its parts come to, and
    /// its digest, depend on all before it.
    fn commit_read(&mut self, submission: ReadSubmission) {
        let ReadSubmission { read, parts, reply, .. } = submission;
        let outcome = match self.status.poison().cause() {
            Some(cause) => Err(RecordError::Unknown(read.tickets(), Uncertainty::Poisoned(cause))),
            None => self.record(read, parts),
        };
        match outcome {
            Ok(recorded) => {
                self.acknowledge(vec![PendingAck::Read(reply, recorded)]);
                self.seal_full_segment();
            }
            // Its caller may have gone away, which changes nothing about the message.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn record(&mut self, read: Box<LogRead>, parts: Vec<NumberedPart>) -> Result<Recorded, RecordError> {
        let staged = staging::stage(
            Basis {
                catalogue: &self.catalogue,
                counters: self.counters.counters(),
                keys: &self.keys,
                log: self.log.state().as_ref(),
            },
            &read,
            parts,
        );
        let staged = match staged {
            Ok(staged) => staged,
            Err(NotStaged::OutOfTurn) => return Err(RecordError::OutOfTurn(read)),
            Err(NotStaged::Full(full)) => return Err(RecordError::Full(read, full)),
        };
        self.journal.note_synced(self.status.synced());
        let sequence = match self.journal.stage_log(&staged.entry, &staged.staged_parts()) {
            Ok(sequence) => sequence,
            Err(error) => {
                return Err(RecordError::Refused(read, Refusal::AppendRefused(error.to_string())));
            }
        };
        match self.write() {
            Ok(()) => {}
            Err(WriteError::Refused(refusal)) => return Err(RecordError::Refused(read, refusal)),
            Err(WriteError::Unknown(why)) => return Err(RecordError::Unknown(read.tickets(), why)),
        }
        let mut increments = 0_usize;
        for batch in staged.counted() {
            load::apply_logged(&self.catalogue, &mut self.counters, batch);
            if let Some(key) = &batch.key {
                self.keys.note(key, sequence);
            }
            increments = increments.saturating_add(batch.increments.len());
        }
        if staged.entry.noted == Noted::Entered {
            self.keys.follow(staged.entry.log);
            self.is_following = true;
        }
        let is_next = self.log.take(&staged.entry);
        debug_assert!(is_next, "what was staged is the next message");
        self.status.note_batch(sequence, increments);
        let outcomes = read.outcomes(&staged.outcomes);
        Ok(Recorded { sequence: staged.entry.position.sequence, outcomes })
    }

    /// Stages a submission's record; `None` where it had to be refused by itself.
    fn stage(&mut self, submission: Submission) -> Option<StagedBatch> {
        let Submission { batch, encoded, first_hour, claim, reply, .. } = submission;
        if batch.is_empty() {
            return Some(StagedBatch { batch, definitions: Vec::new(), sequence: None, claim, reply });
        }
        if self.is_following {
            self.catalogue.release(&batch);
            send_outcome(reply, Err(Refusal::FollowsLog.into()));
            return None;
        }
        // A parser refuses such lines; these were read before their hours were dropped.
        if first_hour.is_some_and(|first| self.counters.counters().dropped_before() > Some(first)) {
            self.catalogue.release(&batch);
            send_outcome(reply, Err(Refusal::Dropped.into()));
            return None;
        }
        let staged = self.missing_definitions(&batch).and_then(|definitions| {
            let parts = Staged {
                key: batch.key.as_deref(),
                definitions: &definitions,
                changes: &batch.changes,
                erasure: batch.erasure.as_deref(),
                dropped_before: batch.dropped_before,
                increments: &encoded,
            };
            match self.journal.stage(parts) {
                Ok(sequence) => Ok((sequence, definitions)),
                Err(error) => {
                    // Later batches of this group must not rely on definitions that are not written.
                    for definition in &definitions {
                        self.defining.remove(&definition.id);
                    }
                    Err(Refusal::AppendRefused(error.to_string()))
                }
            }
        });
        match staged {
            Ok((sequence, definitions)) => {
                Some(StagedBatch { batch, definitions, sequence: Some(sequence), claim, reply })
            }
            Err(refusal) => {
                tracing::error!(%refusal, "a batch cannot be journalled");
                self.catalogue.release(&batch);
                send_outcome(reply, Err(refusal.into()));
                None
            }
        }
    }

    /// The definitions that must be written with the batch: those it brings that nobody has written yet, and,
    /// where it was made before a deletion, those that the deletion took back.
    fn missing_definitions(&mut self, batch: &Batch) -> Result<Vec<Definition>, Refusal> {
        let mut missing: Vec<Definition> = Vec::new();
        let is_outdated = batch.deletions != self.catalogue.deletions();
        let counted = if is_outdated { batch.increments.as_slice() } else { &[] };
        let brought = batch.definitions.iter().map(|definition| (definition.id, Some(definition.key)));
        for (id, key) in brought.chain(counted.iter().map(|increment| (increment.series, None))) {
            if self.catalogue.is_durable(id) || !self.defining.insert(id) {
                continue;
            }
            // The catalogue may have evicted the story since.
            let key = key.filter(|_| self.catalogue.is_bound(id)).or_else(|| self.catalogue.key(id));
            let Some(key) = key else {
                self.defining.remove(&id);
                for definition in &missing {
                    self.defining.remove(&definition.id);
                }
                let reason =
                    format!("series {} has given its place to another; send the events again", id.get());
                return Err(Refusal::AppendRefused(reason));
            };
            missing.push(Definition { id, key });
        }
        Ok(missing)
    }

    /// Writes what is staged.
    fn write(&mut self) -> Result<(), WriteError> {
        if self.reserve.is_in_use() && self.journal.staged_bytes() > 0 {
            self.journal.discard();
            let reason = "the disk is full";
            self.status.refuse_appends(reason);
            return Err(Refusal::AppendRefused(reason.to_owned()).into());
        }
        match self.journal.commit() {
            Ok(0) => Ok(()),
            Ok(bytes) => {
                self.status.note_append(bytes);
                Ok(())
            }
            Err(AppendError::Refused(error)) => {
                let reason =
                    if error.is_no_space() { "the disk is full" } else { "the disk refuses to write" };
                self.status.refuse_appends(reason);
                self.log_refusal("a write to the journal failed and was undone", &error);
                self.gate.sync_undo().map_err(Uncertainty::Poisoned)?;
                Err(Refusal::AppendRefused(reason.to_owned()).into())
            }
            Err(error @ AppendError::Stuck { .. }) => {
                self.status.fail_append();
                tracing::error!(%error, "a write to the journal could not be undone; nothing is taken until a restart");
                Err(Uncertainty::Poisoned(PoisonCause::WriteFailed).into())
            }
        }
    }

    /// Makes a written batch count, and gives its ack.
    fn apply(&mut self, staged: StagedBatch) -> PendingAck {
        let StagedBatch { batch, definitions, sequence, claim, reply } = staged;
        load::apply(&self.catalogue, &mut self.counters, &definitions, &batch);
        if batch.dropped_before.is_some() {
            self.sweep = Some(Sweep::default());
        }
        if let Some(sequence) = sequence {
            if let (Some(claim), Some(key)) = (claim, &batch.key) {
                claim.note(key, sequence);
            }
            self.status.note_batch(sequence, batch.increments.len());
        }
        let sequence = sequence.unwrap_or_else(|| self.status.written()).get();
        PendingAck::Batch(reply, CommitAck { sequence })
    }

    fn acknowledge(&mut self, acks: Vec<PendingAck>) {
        match self.fsync {
            Fsync::Always => {
                let job = SyncJob { file: self.journal.file(), through: self.journal.last_sequence(), acks };
                // Waits where the syncer is far behind. It ends only after this thread has.
                if let Err(error) = self.syncs.send(job) {
                    for ack in error.into_inner().acks {
                        ack.send(Err(Uncertainty::Lost));
                    }
                }
            }
            Fsync::Interval | Fsync::Never => {
                for ack in acks {
                    ack.send(Ok(()));
                }
            }
        }
    }

    /// Reports a failed write to its batches. Barriers have nothing in it: they are met where the write was undone.
    fn fail(&mut self, staged: Vec<StagedBatch>, error: &WriteError) {
        let undone = matches!(error, WriteError::Refused(_));
        let mut barriers = Vec::new();
        for batch in staged {
            if batch.sequence.is_none() && undone {
                barriers.push(self.apply(batch));
            } else {
                self.catalogue.release(&batch.batch);
                if let Some(claim) = batch.claim.filter(|_| !undone) {
                    claim.lose();
                }
                send_outcome(batch.reply, Err(error.clone()));
            }
        }
        if !barriers.is_empty() {
            self.acknowledge(barriers);
        }
    }

    /// Syncs and ends the open segment; returns the last record that may be folded. Where the next segment cannot
    /// be made, the open one goes on: all that is in it is synced, and a fold may well be what makes room.
    pub(super) fn seal(&mut self) -> Sealed {
        let permit = self.gate.enter();
        if let Some(cause) = self.status.poison().cause() {
            return Err(cause.to_string());
        }
        let before = self.journal.file();
        let sealed = self.journal.seal();
        match &sealed {
            Ok(through) => {
                self.status.note_synced(*through);
                let now = self.journal.file();
                if !Arc::ptr_eq(&before, &now) {
                    self.status.note_segment();
                    permit.watch_file(now);
                }
            }
            Err(error @ (SealError::Sync(_) | SealError::Stuck(_))) => {
                match error {
                    SealError::Sync(_) => self.status.fail_sync(),
                    _ => self.status.fail_append(),
                }
                tracing::error!(%error, "the journal could not be sealed; nothing is taken until a restart");
            }
            Err(SealError::Begin(error)) => {
                let through = self.journal.last_sequence();
                self.status.note_synced(through);
                drop(permit);
                self.log_refusal(
                    "the next segment of the journal cannot be made; the open one goes on",
                    error,
                );
                return Ok(through);
            }
        }
        sealed.map_err(|error| error.to_string())
    }

    fn log_refusal(&mut self, what: &'static str, error: &dyn std::fmt::Display) {
        if let Some(held_back) = self.refusals_logged.due() {
            tracing::error!(%error, held_back, "{what}");
        }
    }
}

/// Whether what is staged after the batch must know that it is applied: a deletion takes definitions back, and what is dropped takes
/// no more counts.
fn ends_group(batch: &Batch) -> bool {
    batch.dropped_before.is_some()
        || batch.changes.iter().any(|change| matches!(change, Change::DeleteStory { .. }))
}
