//! The way in for the batches of a daemon that shares a log: a queue to its node, bounded, and the answers that come back. What
//! becomes of a batch is decided by the log; nothing of it is counted here.
//!
//! INVARIANT: batches of one connection are taken in the order in which they were handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::state::NodeState;
use crate::cluster::gather::{NamedBatch, UnknownSeries};
use crate::cluster::publish::{Answer, Refused};
use crate::limits::{LOG_BATCHES_QUEUED_MAX, LOG_OUTCOME_WAIT_MAX, QUEUE_WAIT_MAX};
use crate::model::batch::Batch;
use crate::model::catalogue::Catalogue;
use crate::platform::clock::Clock;

/// The way in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    queue: mpsc::Sender<Submitted>,
    senders: Arc<AtomicU64>,
    state: Arc<NodeState>,
    catalogue: Arc<Catalogue>,
    clock: Clock,
}

/// A connection that hands over batches before earlier ones are answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SenderId(u64);

/// A batch on its way to the node.
#[derive(Debug)]
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "the node reads them"))]
pub struct Submitted {
    pub(super) batch: NamedBatch,
    /// The connection, where it may hand over more before this is answered; it waits for the answer as long as it takes.
    pub(super) sender: Option<SenderId>,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// Why a batch is not handed over. Nothing of it is or will be counted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    /// The log takes none, or not this one.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It counts for a series that was deleted meanwhile.
    #[error(transparent)]
    Unknown(#[from] UnknownSeries),
    /// The node has ended.
    #[error("tallyd is stopping")]
    Closing,
}

/// A batch that was handed over.
#[derive(Debug)]
pub struct PendingAnswer {
    answer: oneshot::Receiver<Answer>,
    /// Does not wait for ever; by then the node has said that the outcome is unknown.
    bound: Option<Clock>,
}

impl Door {
    /// A way in, and the end of the queue that the node reads.
    pub fn new(
        state: Arc<NodeState>,
        catalogue: Arc<Catalogue>,
        clock: Clock,
    ) -> (Self, mpsc::Receiver<Submitted>) {
        let (queue, submitted) = mpsc::channel(LOG_BATCHES_QUEUED_MAX);
        (Self { queue, senders: Arc::default(), state, catalogue, clock }, submitted)
    }

    /// A connection that may hand over many batches at a time.
    pub fn sender(&self) -> SenderId {
        SenderId(self.senders.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands a batch over, after waiting for room in the queue.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn submit(&self, batch: Batch, sender: Option<SenderId>) -> Result<PendingAnswer, NotTaken> {
        // Nothing is held for a log that is known to be away.
        self.state.refusal().map_or(Ok(()), Err)?;
        let batch = NamedBatch::new(batch, |id| self.catalogue.key(id))?;
        let (reply, answer) = oneshot::channel();
        let bound = sender.is_none().then(|| self.clock.clone());
        let sent =
            self.clock.timeout(QUEUE_WAIT_MAX, self.queue.send(Submitted { batch, sender, reply })).await;
        match sent {
            Some(Ok(())) => Ok(PendingAnswer { answer, bound }),
            Some(Err(_ended)) => Err(NotTaken::Closing),
            None => Err(Refused::Busy.into()),
        }
    }
}

impl PendingAnswer {
    /// What became of the batch.
    pub async fn outcome(self) -> Answer {
        // Without an answer the node has ended, which says nothing of what is in the log.
        let answer = match self.bound {
            Some(clock) => clock.timeout(LOG_OUTCOME_WAIT_MAX, self.answer).await,
            None => Some(self.answer.await),
        };
        answer.and_then(Result::ok).unwrap_or(Answer::Unknown)
    }
}
