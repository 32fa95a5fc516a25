//! The one way in for writes: a queue to the sequencer, bounded by batches and by bytes, with a deadline for each wait.
//! Knows nothing of the journal's files; the increments are encoded here, beside the other connections.
//!
//! What is read of a log that several daemons share has a way of its own into the same queue (`log_handle`).
//!
//! INVARIANT: before a batch is in the queue, an error is a refusal; after that, only the store's threads refuse.

mod log_handle;
mod log_view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Fsync;
use super::error::{Refusal, Uncertainty, WriteError};
use super::keys::{Claim, KeyFigures, KeyTable, LookUp};
use super::status::Status;
use crate::limits::{BATCHES_QUEUED_MAX, OUTCOME_WAIT_MAX, QUEUE_WAIT_MAX, QUEUED_BYTES_MAX};
use crate::model::batch::{Batch, BatchIdentity, BatchKey, Change, Definition, Increment, KeyedAnswer};
use crate::model::calendar::Hour;
use crate::platform::clock::Clock;
use crate::store::journal::{Sequence, record};
pub use log_handle::{LogHandle, PendingRead, RecordError, Recorded};
pub(super) use log_handle::{ReadOutcome, ReadSubmission};
pub use log_view::LogView;

/// The unit in which bytes that wait are counted: small enough for 32-bit permits, large enough to be few.
const PERMIT_BYTES: usize = 1024;
const PERMITS: usize = QUEUED_BYTES_MAX / PERMIT_BYTES;

/// The way in for writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WriteHandle {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    closing: Arc<AtomicBool>,
    status: Arc<Status>,
    keys: Arc<KeyTable>,
    fsync: Fsync,
    clock: Clock,
}

/// What is known of a batch that may have been sent before.
#[derive(Debug)]
pub enum Claimed {
    /// Nothing, or it was refused: it is the caller's to submit.
    New(Claim),
    /// It is counted, as durably as the fsync level says: not to be counted again.
    Counted(KeyedAnswer),
    /// Another batch was counted under its key.
    Conflict,
}

/// The acknowledgement of a batch: it is journalled as the fsync level says, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitAck {
    /// Its place in the journal; of an empty batch, the place of the last record before it (0 for none).
    pub sequence: u64,
}

/// A batch that was handed over. Dropping it does not call the batch back.
#[derive(Debug)]
pub struct PendingCommit {
    outcome: oneshot::Receiver<Outcome>,
    clock: Clock,
}

/// What became of a batch.
pub(super) type Outcome = Result<CommitAck, WriteError>;

/// What came of sealing the journal: the last record that may be folded, or why there is none.
pub(super) type Sealed = Result<Sequence, String>;

#[derive(Debug)]
pub(super) enum Message {
    Submit(Submission),
    /// A message of a log.
    Read(Box<ReadSubmission>),
    /// Seal the journal and reply.
    Seal(crossbeam::channel::Sender<Sealed>),
    /// Look whether the store is being closed.
    Close,
}

/// A batch in the queue.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) batch: Batch,
    /// The increments as the journal has them.
    pub(super) encoded: Vec<u8>,
    /// The first hour that it adds to.
    pub(super) first_hour: Option<Hour>,
    /// Goes with a batch that has a key.
    pub(super) claim: Option<Claim>,
    pub(super) reply: oneshot::Sender<Outcome>,
    /// Gives the room in the queue back when the submission is done with.
    _room: OwnedSemaphorePermit,
}

/// Room for one batch in the queue, by batches and by bytes.
struct Room<'a> {
    place: mpsc::Permit<'a, Message>,
    bytes: OwnedSemaphorePermit,
}

impl WriteHandle {
    /// A handle, and the end of the queue that the sequencer reads.
    pub(super) fn new(
        status: Arc<Status>,
        keys: Arc<KeyTable>,
        (fsync, clock): (Fsync, Clock),
    ) -> (Self, mpsc::Receiver<Message>) {
        let (queue, messages) = mpsc::channel(BATCHES_QUEUED_MAX);
        let room = Arc::new(Semaphore::new(PERMITS));
        (Self { queue, room, closing: Arc::default(), status, keys, fsync, clock }, messages)
    }

    /// Looks up a batch that may have been sent before, and claims it where it is new. Where it is under way, waits for that.
    ///
    /// # Errors
    /// `Unknown` where it may be counted, which only a restart will tell, or its outcome does not come in time.
    pub async fn claim(&self, identity: BatchIdentity) -> Result<Claimed, WriteError> {
        let known = async {
            loop {
                match self.keys.look_up(identity, self.seconds()) {
                    // An error says that the claim has ended.
                    LookUp::UnderWay(mut done) => while done.changed().await.is_ok() {},
                    known => return known,
                }
            }
        };
        match self.clock.timeout(OUTCOME_WAIT_MAX, known).await {
            Some(LookUp::New(claim)) => Ok(Claimed::New(claim)),
            Some(LookUp::Conflict) => Ok(Claimed::Conflict),
            Some(LookUp::Counted(answer, sequence)) => {
                self.until_durable(sequence).await?;
                Ok(Claimed::Counted(answer))
            }
            Some(LookUp::Unknown | LookUp::UnderWay(_)) => {
                Err(self.status.poison().cause().map_or(Uncertainty::Lost, Uncertainty::Poisoned).into())
            }
            None => Err(Uncertainty::Late.into()),
        }
    }

    /// Waits until a record that is counted is as durable as an ack promises.
    async fn until_durable(&self, sequence: Sequence) -> Result<(), Uncertainty> {
        if self.fsync != Fsync::Always || self.status.synced() >= sequence {
            return Ok(());
        }
        let outcome = match self.submit(Batch::default()).await {
            Ok(barrier) => barrier.outcome().await.map(drop),
            Err(refusal) => Err(refusal.into()),
        };
        outcome.map_err(|error| match error {
            WriteError::Unknown(why) => why,
            // The barrier was refused, but the record stands before it.
            WriteError::Refused(Refusal::Poisoned(cause)) => Uncertainty::Poisoned(cause),
            WriteError::Refused(_) => Uncertainty::Late,
        })
    }

    /// The key of a claimed batch that is taken now and answered so.
    pub fn key_of(&self, claim: &Claim, answer: KeyedAnswer) -> BatchKey {
        BatchKey { identity: claim.identity(), taken: self.seconds(), answer }
    }

    /// A number of the data directory, to seed the hashes that batches are recognised by.
    pub fn key_seed(&self) -> u64 {
        self.keys.seed()
    }

    /// How long a batch without a key is recognised; zero where it is not.
    pub fn retry_window(&self) -> Duration {
        self.keys.retry_window()
    }

    /// Figures about keys.
    pub fn key_figures(&self) -> KeyFigures {
        self.keys.figures()
    }

    /// The time, in seconds since the epoch.
    fn seconds(&self) -> u32 {
        u32::try_from(self.clock.unix_seconds()).unwrap_or(0)
    }

    /// Hands a batch over, after waiting for room in the queue. Batches of one caller are taken in the order in
    /// which their calls return. An empty batch is a barrier: its outcome comes after those of all before it.
    ///
    /// # Errors
    /// `Poisoned` and `Closing`, where it is known already that the batch will not be taken, and `Busy`.
    pub async fn submit(&self, batch: Batch) -> Result<PendingCommit, Refusal> {
        self.submit_claimed(batch, None).await
    }

    /// As [`WriteHandle::submit`], for a batch that was claimed if it has a key.
    ///
    /// # Errors
    /// As [`WriteHandle::submit`]; the key is then free.
    pub async fn submit_claimed(&self, batch: Batch, claim: Option<Claim>) -> Result<PendingCommit, Refusal> {
        let encoded = self.encode(&batch)?;
        let permits = permits_for(&batch, &encoded);
        let room = match self.room_at_once(permits) {
            Some(room) => room,
            None => self.wait_for_room(permits).await?,
        };
        Ok(self.hand_over(room, (batch, claim), encoded))
    }

    /// As [`WriteHandle::submit_claimed`], but refuses the batch as `Busy` where it would have to wait.
    pub(super) fn try_submit(&self, batch: Batch, claim: Option<Claim>) -> Result<PendingCommit, Refusal> {
        let encoded = self.encode(&batch)?;
        let room = self.room_at_once(permits_for(&batch, &encoded)).ok_or(Refusal::Busy)?;
        Ok(self.hand_over(room, (batch, claim), encoded))
    }

    fn hand_over(
        &self,
        Room { place, bytes }: Room<'_>,
        (batch, claim): (Batch, Option<Claim>),
        encoded: Vec<u8>,
    ) -> PendingCommit {
        let (reply, outcome) = oneshot::channel();
        let claim = claim.map(Claim::hand_over);
        let first_hour = batch.increments.iter().map(|increment| increment.hour).min();
        place.send(Message::Submit(Submission { batch, encoded, first_hour, claim, reply, _room: bytes }));
        PendingCommit { outcome, clock: self.clock.clone() }
    }

    /// The increments as the journal has them, unless the batch is sure to be refused.
    fn encode(&self, batch: &Batch) -> Result<Vec<u8>, Refusal> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Refusal::Closing);
        }
        if let Some(cause) = self.status.poison().cause() {
            return Err(Refusal::Poisoned(cause));
        }
        let mut encoded = Vec::new();
        record::encode_increments(&batch.increments, &mut encoded);
        Ok(encoded)
    }

    fn room_at_once(&self, permits: u32) -> Option<Room<'_>> {
        let bytes = Arc::clone(&self.room).try_acquire_many_owned(permits).ok()?;
        Some(Room { place: self.queue.try_reserve().ok()?, bytes })
    }

    async fn wait_for_room(&self, permits: u32) -> Result<Room<'_>, Refusal> {
        let room = async {
            let bytes = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
            Some(Room { place: self.queue.reserve().await.ok()?, bytes })
        };
        let room = self.clock.timeout(QUEUE_WAIT_MAX, room).await;
        room.ok_or(Refusal::Busy)?.ok_or(Refusal::Closing)
    }

    /// Refuses whatever has not been handed over yet.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.room.close();
    }

    /// Whether the store is being closed, for the sequencer to look at.
    pub(super) fn closing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closing)
    }

    /// The keys that are remembered.
    pub(super) fn keys(&self) -> &Arc<KeyTable> {
        &self.keys
    }

    /// The queue itself, for what is not a batch.
    pub(super) fn queue(&self) -> &mpsc::Sender<Message> {
        &self.queue
    }
}

impl PendingCommit {
    /// The outcome of the batch. An acknowledged batch is as durable as the fsync level says, and visible to reports.
    ///
    /// # Errors
    /// [`WriteError`]: either nothing of the batch was counted, or it is not known whether it was.
    pub async fn outcome(self) -> Result<CommitAck, WriteError> {
        match self.clock.timeout(OUTCOME_WAIT_MAX, self.outcome).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(Uncertainty::Lost.into()),
            None => Err(Uncertainty::Late.into()),
        }
    }

    /// The outcome, where it is known by now. The first one that is given is the only one.
    pub fn try_outcome(&mut self) -> Option<Result<CommitAck, WriteError>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Uncertainty::Lost.into())),
        }
    }
}

/// Sends the outcome of a batch. Its caller may have gone away, which changes nothing about the batch.
pub(super) fn send_outcome(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    drop(reply.send(outcome));
}

/// How much of the queue's room the batch takes; one that is over all of it takes all.
fn permits_for(batch: &Batch, encoded: &[u8]) -> u32 {
    let names: usize = batch.changes.iter().map(|change| size_of::<Change>() + name_bytes(change)).sum();
    let key = batch.key.as_ref().map_or(0, |key| size_of::<BatchKey>() + key.answer.bad_line_bytes());
    let bytes = size_of_val::<[Increment]>(&batch.increments)
        .saturating_add(size_of_val::<[Definition]>(&batch.definitions))
        .saturating_add(names)
        .saturating_add(key)
        .saturating_add(encoded.len());
    u32::try_from((bytes / PERMIT_BYTES).saturating_add(1).min(PERMITS)).unwrap_or(u32::MAX)
}

fn name_bytes(change: &Change) -> usize {
    match change {
        Change::Story { name, .. } | Change::Node { name, .. } => name.as_ref().map_or(0, |name| name.len()),
        Change::DeleteStory { .. } => 0,
    }
}
