//! Commits a batch for either port: hands it to the store, or to the log that several daemons share, waits for its outcome and counts its
//! lines by it. A client that disconnects does not end the wait: hyper goes on with a request whose connection is closed, and a line
//! connection settles all its batches.

use std::sync::Arc;

use super::Services;
use super::log::door::{NotTaken, PendingAnswer, SenderId};
use super::metrics::Listener;
use crate::cluster::publish::{Answer, PartOutcome, Refused};
use crate::intake::batching::Tally;
use crate::model::batch::{Batch, BatchIdentity, BatchKey, KeyedAnswer};
use crate::store::{self, Claim, PendingCommit, Refusal, WriteError};

/// What became of a batch that has an outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Committed {
    /// It counts.
    Counted,
    /// It was counted before, and is answered as then. Only a log says so as late as this.
    Repeated(KeyedAnswer),
    /// Another batch was counted under its key; likewise.
    Conflict,
}

/// Why a batch is not acknowledged. The words are for clients.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotCounted {
    /// The store does not.
    #[error(transparent)]
    Store(#[from] WriteError),
    /// The log does not take it: nothing of it is or will be counted.
    #[error("{0}; try again later")]
    Log(#[from] NotTaken),
    /// This node takes no events, since its role is another.
    #[error("this node answers reports and takes no events; send them to another one")]
    Role,
    /// The log has no message for it.
    #[error("counts cannot be undone in a cluster")]
    NotInLog,
    /// It was handed to the log, which did not answer in time.
    #[error("the log did not answer in time")]
    LogUnknown,
}

impl From<Refusal> for NotCounted {
    fn from(refusal: Refusal) -> Self {
        Self::Store(refusal.into())
    }
}

impl NotCounted {
    /// Whether nothing of the batch counts, now or later.
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, WriteError::Refused(_)),
            Self::Log(_) | Self::Role | Self::NotInLog => true,
            Self::LogUnknown => false,
        }
    }
}

/// What is known of a batch that may have been sent before.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// Nothing, or it was refused: it is the caller's to submit.
    New(KeyClaim),
    /// It is counted: not to be counted again.
    Counted(KeyedAnswer),
    /// Another batch was counted under its key.
    Conflict,
}

/// A key that a batch may be submitted under.
#[derive(Debug)]
pub(crate) enum KeyClaim {
    /// No other batch is under way with it here.
    Store(Claim),
    /// Several may be under way, here and elsewhere: the log says which of them was first.
    Log(BatchIdentity),
}

/// Looks up a batch that may have been sent before, and claims it where it is new.
pub(crate) async fn claim(services: &Services, identity: BatchIdentity) -> Result<Claimed, WriteError> {
    if services.log.is_some() {
        return Ok(Claimed::New(KeyClaim::Log(identity)));
    }
    Ok(match services.write_handle.claim(identity).await? {
        store::Claimed::New(claim) => Claimed::New(KeyClaim::Store(claim)),
        store::Claimed::Counted(answer) => Claimed::Counted(answer),
        store::Claimed::Conflict => Claimed::Conflict,
    })
}

/// The key of a claimed batch that is taken now and answered so.
pub(crate) fn key_of(services: &Services, claim: &KeyClaim, answer: KeyedAnswer) -> BatchKey {
    match claim {
        KeyClaim::Store(claim) => services.write_handle.key_of(claim, answer),
        // When it is taken is for the log to say.
        KeyClaim::Log(identity) => BatchKey { identity: *identity, taken: 0, answer },
    }
}

enum Pending {
    Store(PendingCommit),
    Log(PendingAnswer),
}

impl Pending {
    async fn outcome(self) -> Result<Committed, NotCounted> {
        match self {
            Self::Store(pending) => Ok(pending.outcome().await.map(|_| Committed::Counted)?),
            Self::Log(pending) => match pending.outcome().await {
                Answer::Applied(_, PartOutcome::Counted) => Ok(Committed::Counted),
                Answer::Applied(_, PartOutcome::Repeated(answer)) => Ok(Committed::Repeated(answer)),
                Answer::Applied(_, PartOutcome::Conflict) => Ok(Committed::Conflict),
                Answer::Unknown => Err(NotCounted::LogUnknown),
                Answer::Refused(why) => Err(NotTaken::from(why).into()),
            },
        }
    }
}

/// Hands a batch over, and counts the lines that are bad whatever becomes of the others. The future is the outcome of the
/// batch, once its lines are counted. A sender is a connection that hands over more before that.
pub(crate) async fn submit(
    services: &Services,
    (listener, sender): (Listener, Option<SenderId>),
    (batch, claim): (Batch, Option<KeyClaim>),
    tally: Tally,
) -> Result<impl Future<Output = Result<Committed, NotCounted>> + Send + use<>, NotCounted> {
    count_rejected(services, listener, tally);
    let metrics = Arc::clone(&services.metrics);
    let accepted = tally.accepted();
    let rule = batch.key.as_ref().map(|key| key.identity.rule);
    let handed_over = hand_over(services, (batch, claim), sender).await;
    let pending = handed_over.inspect_err(|_refused| metrics.events_refused(listener, accepted))?;
    Ok(async move {
        let outcome = pending.outcome().await;
        match &outcome {
            Ok(Committed::Counted) => metrics.events(listener, &Tally { rejected: 0, ..tally }),
            Ok(Committed::Repeated(answer)) => {
                if let Some(rule) = rule {
                    metrics.replayed(listener, rule, u64::from(answer.accepted));
                }
            }
            Ok(Committed::Conflict) => metrics.key_conflict(listener),
            Err(error) if error.is_refused() => metrics.events_refused(listener, accepted),
            Err(_) => metrics.events_unknown(listener, accepted),
        }
        outcome
    })
}

async fn hand_over(
    services: &Services,
    (batch, claim): (Batch, Option<KeyClaim>),
    sender: Option<SenderId>,
) -> Result<Pending, NotCounted> {
    let Some(log) = &services.log else {
        let claim = claim.and_then(|claim| match claim {
            KeyClaim::Store(claim) => Some(claim),
            KeyClaim::Log(_) => None,
        });
        return Ok(Pending::Store(services.write_handle.submit_claimed(batch, claim).await?));
    };
    if !log.role.takes_events() {
        return Err(NotCounted::Role);
    }
    if batch.erasure.is_some() {
        return Err(NotCounted::NotInLog);
    }
    Ok(Pending::Log(log.door.submit(batch, sender).await?))
}

/// As [`submit`], for a batch of a connection, which is refused behind one whose outcome is not known: it could overtake that.
pub(crate) async fn submit_after(
    services: &Services,
    (listener, sender, has_unknown): (Listener, Option<SenderId>, bool),
    batch: Batch,
    tally: Tally,
) -> Result<impl Future<Output = Result<Committed, NotCounted>> + Send + use<>, NotCounted> {
    if has_unknown {
        count_rejected(services, listener, tally);
        services.metrics.events_refused(listener, tally.accepted());
        return Err(NotTaken::from(Refused::Renewed).into());
    }
    submit(services, (listener, sender), (batch, None), tally).await
}

/// Counts bad lines.
pub(crate) fn count_rejected(services: &Services, listener: Listener, tally: Tally) {
    let rejected = Tally { rejected: tally.rejected, ..Tally::default() };
    services.metrics.events(listener, &rejected);
}
