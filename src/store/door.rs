//! The one way in for writes: a bounded queue to the sequencer, bounded by batches and by bytes.
//! Knows nothing of the journal's files; the increments are encoded here, beside the other connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::error::Refusal;
use super::status::Status;
use crate::limits::{BATCHES_QUEUED_MAX, QUEUED_BYTES_MAX};
use crate::model::batch::{Batch, Change, Definition, Increment};
use crate::store::journal::{Sequence, record};

/// The unit in which bytes that wait are counted: small enough for 32-bit permits, large enough to be few.
const PERMIT_BYTES: usize = 1024;
const PERMITS: usize = QUEUED_BYTES_MAX / PERMIT_BYTES;

/// The one way in for writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
    status: Arc<Status>,
}

/// What an accepted batch got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the journal; of an empty batch, the place of the last record before it (0 for none).
    pub sequence: u64,
}

/// A batch that is on its way. Dropping it does not call the batch back.
#[derive(Debug)]
pub struct Pending {
    outcome: oneshot::Receiver<Outcome>,
}

/// What became of a batch.
pub(super) type Outcome = Result<Receipt, Refusal>;

/// What the sequencer is told.
#[derive(Debug)]
pub(super) enum Message {
    Submit(Submission),
    /// Seal the journal and say through which record, or in words why not.
    Seal(crossbeam::channel::Sender<Result<Sequence, String>>),
    /// Look whether the door is closed.
    Close,
}

/// A batch in the queue.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) batch: Batch,
    /// The increments as the journal has them.
    pub(super) encoded: Vec<u8>,
    pub(super) reply: oneshot::Sender<Outcome>,
    /// Gives the room in the queue back when the submission is done with.
    _room: OwnedSemaphorePermit,
}

impl Door {
    /// A door, and the end of the queue that the sequencer reads.
    pub(super) fn new(status: Arc<Status>) -> (Self, mpsc::Receiver<Message>) {
        let (queue, messages) = mpsc::channel(BATCHES_QUEUED_MAX);
        let room = Arc::new(Semaphore::new(PERMITS));
        (Self { queue, room, closing: Arc::default(), status }, messages)
    }

    /// Hands a batch over, after waiting for room in the queue. Batches of one caller are taken in the order in
    /// which their calls return. An empty batch is a barrier: its outcome comes after those of all before it.
    ///
    /// # Errors
    /// `SyncFailed` and `Closing`, where it is known already that the batch will not be taken.
    pub async fn submit(&self, batch: Batch) -> Result<Pending, Refusal> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Refusal::Closing);
        }
        if let Some(reason) = self.status.sync_failed() {
            return Err(Refusal::SyncFailed(reason));
        }
        let mut encoded = Vec::new();
        record::encode_increments(&batch.increments, &mut encoded);
        let permits = permits_for(&batch, &encoded);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await;
        let Ok(room) = room else { return Err(Refusal::Closing) };
        let (reply, outcome) = oneshot::channel();
        let submission = Submission { batch, encoded, reply, _room: room };
        if self.queue.send(Message::Submit(submission)).await.is_err() {
            return Err(Refusal::Closing);
        }
        Ok(Pending { outcome })
    }

    /// Refuses whatever has not been handed over yet.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.room.close();
    }

    /// Whether the door is closed, for the sequencer to look at.
    pub(super) fn closing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closing)
    }

    /// The queue itself, for what is not a batch.
    pub(super) fn queue(&self) -> &mpsc::Sender<Message> {
        &self.queue
    }
}

impl Pending {
    /// What became of the batch, once that is as lasting as the policy promises, and visible to reports.
    ///
    /// # Errors
    /// Why nothing of the batch was counted.
    pub async fn outcome(self) -> Result<Receipt, Refusal> {
        self.outcome.await.unwrap_or_else(|_| {
            Err(Refusal::SyncFailed(
                "an internal error; whether the batch was counted is not known".to_owned(),
            ))
        })
    }
}

/// How much of the queue's room the batch takes; one that is over all of it takes all.
fn permits_for(batch: &Batch, encoded: &[u8]) -> u32 {
    let names: usize = batch.changes.iter().map(|change| size_of::<Change>() + name_bytes(change)).sum();
    let bytes = size_of_val::<[Increment]>(&batch.increments)
        .saturating_add(size_of_val::<[Definition]>(&batch.definitions))
        .saturating_add(names)
        .saturating_add(encoded.len());
    u32::try_from((bytes / PERMIT_BYTES).saturating_add(1).min(PERMITS)).unwrap_or(u32::MAX)
}

fn name_bytes(change: &Change) -> usize {
    match change {
        Change::Story { name, .. } | Change::Node { name, .. } => name.as_ref().map_or(0, |name| name.len()),
        Change::DeleteStory { .. } => 0,
    }
}
