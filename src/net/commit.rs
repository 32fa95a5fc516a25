//! Commits a batch for either port: hands it to the store, waits for its outcome and counts its lines by it. A client that
//! disconnects does not end the wait: hyper goes on with a request whose connection is closed, and a line connection settles
//! all its batches.

use std::sync::Arc;

use super::Services;
use super::metrics::Listener;
use crate::intake::batching::Tally;
use crate::model::batch::Batch;
use crate::store::{Claim, CommitAck, Refusal, WriteError};

/// Hands a batch over, and counts the lines that are bad whatever becomes of the others. The future is the outcome of the
/// batch, once its lines are counted.
pub(crate) async fn submit(
    services: &Services,
    listener: Listener,
    (batch, claim): (Batch, Option<Claim>),
    tally: Tally,
) -> Result<impl Future<Output = Result<CommitAck, WriteError>> + Send + use<>, Refusal> {
    count_rejected(services, listener, tally);
    let metrics = Arc::clone(&services.metrics);
    let accepted = tally.accepted();
    let pending = services
        .write_handle
        .submit_claimed(batch, claim)
        .await
        .inspect_err(|_refused| metrics.events_refused(listener, accepted))?;
    Ok(async move {
        let outcome = pending.outcome().await;
        match &outcome {
            Ok(_) => metrics.events(listener, &Tally { rejected: 0, ..tally }),
            Err(WriteError::Refused(_)) => metrics.events_refused(listener, accepted),
            Err(WriteError::Unknown(_)) => metrics.events_unknown(listener, accepted),
        }
        outcome
    })
}

/// Counts bad lines.
pub(crate) fn count_rejected(services: &Services, listener: Listener, tally: Tally) {
    let rejected = Tally { rejected: tally.rejected, ..Tally::default() };
    services.metrics.events(listener, &rejected);
}
