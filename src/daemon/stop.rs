//! How long the daemon waits while it stops: each step has a deadline, and a second signal ends the waiting.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::signals::{Signal, Signals};
use super::tasks::Tasks;
use crate::limits::{DRAIN, RUNTIME_STOP, STORE_CLOSE, STORE_CLOSE_HURRIED};
use crate::store::{CloseError, Store};

/// Lasts until a second signal to stop.
pub(super) struct Patience {
    second_signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
}

impl Patience {
    /// `signals` are those after the first; none come where nothing listens for them.
    pub(super) fn new(signals: Option<Signals>) -> Self {
        let second_signal = async {
            match signals {
                Some(mut signals) => while signals.next().await != Signal::Stop {},
                None => std::future::pending().await,
            }
        };
        Self { second_signal: Box::pin(second_signal), is_over: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    async fn ends(&mut self) {
        if !self.is_over {
            self.second_signal.as_mut().await;
            self.is_over = true;
        }
    }
}

/// Waits until the ports have finished their sessions, then cuts off what has not: nothing may write to the store
/// while it is closed.
pub(super) async fn drain(tasks: &mut Tasks, patience: &mut Patience) {
    let deadline = DRAIN.saturating_add(RUNTIME_STOP);
    let is_drained = tokio::select! {
        drained = timeout(deadline, async { while tasks.next_ended().await.is_some() {} }) => drained.is_ok(),
        () = patience.ends() => false,
    };
    if !is_drained {
        warn!(tasks_left = tasks.len(), "not everything had finished when the daemon stopped");
    }
    if timeout(RUNTIME_STOP, tasks.abort()).await.is_err() {
        warn!(tasks_left = tasks.len(), "tasks cannot be cut off");
    }
}

/// Closes the store on a thread of its own, so that a signal is heard meanwhile.
pub(super) async fn close(store: Store, patience: &mut Patience) -> Result<(), CloseError> {
    let closing = tokio::task::spawn_blocking(move || store.close(STORE_CLOSE));
    let closing =
        async { closing.await.unwrap_or(Err(CloseError::Panicked { name: "the close of the store" })) };
    unless_hurried(closing, patience, STORE_CLOSE_HURRIED).await
}

async fn unless_hurried(
    closing: impl Future<Output = Result<(), CloseError>>,
    patience: &mut Patience,
    hurried: Duration,
) -> Result<(), CloseError> {
    let mut closing = std::pin::pin!(closing);
    tokio::select! {
        closed = &mut closing => closed,
        () = patience.ends() => timeout(hurried, closing)
            .await
            .unwrap_or(Err(CloseError::Late { name: "the close of the store" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(second_signal: impl Future<Output = ()> + Send + 'static) -> Patience {
        Patience { second_signal: Box::pin(second_signal), is_over: false }
    }

    #[tokio::test]
    async fn a_second_signal_during_the_close_ends_the_waiting() {
        let mut patience = patience(async {});
        let closing = std::future::pending();
        let closed = unless_hurried(closing, &mut patience, Duration::from_millis(1)).await;
        assert!(matches!(closed, Err(CloseError::Late { .. })));
        assert!(patience.is_over());
    }

    #[tokio::test]
    async fn a_close_that_ends_in_time_is_as_it_ends_with_and_without_a_signal() {
        for mut patience in [patience(async {}), patience(std::future::pending())] {
            let closed = unless_hurried(async { Ok(()) }, &mut patience, Duration::from_mins(1)).await;
            assert!(closed.is_ok());
        }
    }
}
