//! The way in for what is read of a log that several daemons share. Names become numbers here, beside the sequencer.
//!
//! INVARIANT: messages are recorded in the order of the log, or not at all: one that was not recorded comes back, and those behind it are
//! out of turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Message, PERMIT_BYTES, PERMITS, Room, WriteHandle};
use crate::cluster::member::Read;
use crate::cluster::position::{LogSequence, Position};
use crate::cluster::publish::{PartOutcome, Ticket};
use crate::model::catalogue::{Catalogue, CatalogueFull};
use crate::store::error::{Refusal, Uncertainty};
use crate::store::log::staging::{LogRead, NumberedPart};

/// The way in for what is read of a log. Not to be cloned, as there is one caller.
#[derive(Debug)]
pub struct LogHandle {
    handle: WriteHandle,
    catalogue: Arc<Catalogue>,
}

/// A message that is recorded: it counts, as durably as the fsync level says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Its place in the log.
    pub sequence: LogSequence,
    /// The outcomes of the batches of this node that it has.
    pub outcomes: Vec<(Ticket, PartOutcome)>,
}

/// Why a message is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nothing of it is, for now: it comes back, to be handed over again before any behind it.
    #[error("a message of the log is not recorded: {1}")]
    Refused(Box<LogRead>, Refusal),
    /// Nothing of it is: it is not the one behind the last that was recorded. It comes back.
    #[error("a message of the log is not the next one to be recorded")]
    OutOfTurn(Box<LogRead>),
    /// Nothing of it is, and cannot be: there is no room for what it names. It comes back.
    #[error("a message of the log cannot be counted: {1}")]
    Full(Box<LogRead>, CatalogueFull),
    /// Only a restart will tell whether it is, as a whole, and nothing more is recorded before. These are the batches of this node that
    /// it has.
    #[error("it is not known whether a message of the log is recorded: {1}")]
    Unknown(Vec<Ticket>, Uncertainty),
}

/// A message that was handed over. Dropping it does not call the message back.
#[derive(Debug)]
pub struct PendingRead {
    position: Position,
    tickets: Vec<Ticket>,
    outcome: oneshot::Receiver<ReadOutcome>,
}

/// What became of a message.
pub(in crate::store) type ReadOutcome = Result<Recorded, RecordError>;

/// A message in the queue.
#[derive(Debug)]
pub(in crate::store) struct ReadSubmission {
    pub(in crate::store) read: Box<LogRead>,
    pub(in crate::store) parts: Vec<NumberedPart>,
    pub(in crate::store) reply: oneshot::Sender<ReadOutcome>,
    /// Gives the room in the queue back when the submission is done with.
    _room: OwnedSemaphorePermit,
}

impl LogHandle {
    pub(in crate::store) fn new(handle: WriteHandle, catalogue: Arc<Catalogue>) -> Self {
        Self { handle, catalogue }
    }

    /// Hands over what was read, each message in its turn, whatever was made of it; waits for room in the queue as long as it takes.
    /// Several may be under way.
    ///
    /// # Errors
    /// `Refused` where the daemon is stopping, `Full`, and `Unknown` where the store is poisoned.
    pub async fn record(&self, read: LogRead) -> Result<PendingRead, RecordError> {
        let (read, parts) = self.number(read)?;
        let permits = permits_for(&parts);
        let bytes = Arc::clone(&self.handle.room).acquire_many_owned(permits).await;
        let place = self.handle.queue.reserve().await;
        match (place, bytes) {
            (Ok(place), Ok(bytes)) => Ok(hand_over(Room { place, bytes }, read, parts)),
            _ => Err(RecordError::Refused(read, Refusal::Closing)),
        }
    }

    /// As [`LogHandle::record`], but refuses the message as `Busy` where it would have to wait.
    ///
    /// # Errors
    /// As [`LogHandle::record`].
    pub fn try_record(&self, read: LogRead) -> Result<PendingRead, RecordError> {
        let (read, parts) = self.number(read)?;
        match self.handle.room_at_once(permits_for(&parts)) {
            Some(room) => Ok(hand_over(room, read, parts)),
            None => Err(RecordError::Refused(read, Refusal::Busy)),
        }
    }

    fn number(&self, read: LogRead) -> Result<(Box<LogRead>, Vec<NumberedPart>), RecordError> {
        let read = Box::new(read);
        if self.handle.closing.load(Ordering::Acquire) {
            return Err(RecordError::Refused(read, Refusal::Closing));
        }
        if let Some(cause) = self.handle.status.poison().cause() {
            return Err(RecordError::Unknown(read.tickets(), Uncertainty::Poisoned(cause)));
        }
        let parts = read.parts().iter().map(|part| NumberedPart::new(&self.catalogue, part)).collect();
        match parts {
            Ok(parts) => Ok((read, parts)),
            Err(full) => Err(RecordError::Full(read, full)),
        }
    }
}

fn hand_over(Room { place, bytes }: Room<'_>, read: Box<LogRead>, parts: Vec<NumberedPart>) -> PendingRead {
    let (reply, outcome) = oneshot::channel();
    let pending = PendingRead { position: read.position, tickets: read.tickets(), outcome };
    place.send(Message::Read(Box::new(ReadSubmission { read, parts, reply, _room: bytes })));
    pending
}

impl PendingRead {
    /// The message's place in the log, and the chain there.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What became of it. A recorded message is as durable as the fsync level says, and visible to reports.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn outcome(self) -> Result<Recorded, RecordError> {
        let Self { tickets, outcome, .. } = self;
        outcome.await.unwrap_or(Err(RecordError::Unknown(tickets, Uncertainty::Lost)))
    }

    /// What became of it, where that is known by now. The first that is given is the only one.
    pub fn try_outcome(&mut self) -> Option<Result<Recorded, RecordError>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(Err(RecordError::Unknown(self.tickets.clone(), Uncertainty::Lost)))
            }
        }
    }
}

impl LogRead {
    /// The batches of this node that it has.
    pub(in crate::store) fn tickets(&self) -> Vec<Ticket> {
        match &self.read {
            Read::Applied { tickets, .. } => tickets.iter().map(|(ticket, _)| *ticket).collect(),
            Read::Skipped(_) | Read::Entered(_) => Vec::new(),
        }
    }

    /// The same with their outcomes, where these are those of the parts.
    pub(in crate::store) fn outcomes(&self, of_parts: &[PartOutcome]) -> Vec<(Ticket, PartOutcome)> {
        let Read::Applied { tickets, .. } = &self.read else { return Vec::new() };
        let outcome = |(ticket, place): &(Ticket, crate::cluster::gather::PartPlace)| {
            Some((*ticket, of_parts.get(place.0)?.clone()))
        };
        tickets.iter().filter_map(outcome).collect()
    }
}

/// How much of the queue's room the message takes; one that is over all of it takes all.
fn permits_for(parts: &[NumberedPart]) -> u32 {
    let bytes = parts.iter().map(NumberedPart::bytes).fold(0_usize, usize::saturating_add);
    u32::try_from((bytes / PERMIT_BYTES).saturating_add(1).min(PERMITS)).unwrap_or(u32::MAX)
}
