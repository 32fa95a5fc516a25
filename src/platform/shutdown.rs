//! The shutdown: one trigger, many watchers, so that every task hears that the daemon stops. Knows nothing of signals.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::watch;

/// Starts the shutdown. Dropping it without firing counts as firing, so that no task can be left behind.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Sees the shutdown. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<bool>);

/// A trigger and its first watcher.
pub fn channel() -> (Trigger, Watch) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Watch(receiver))
}

impl Trigger {
    /// Wakes every watcher. Firing again changes nothing.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }
}

impl Watch {
    /// Whether the daemon is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until the daemon is stopping.
    pub async fn stopping(&mut self) {
        // An error means that the trigger is gone, which counts as firing.
        if self.0.wait_for(|stopping| *stopping).await.is_err() {}
    }
}

/// A wake-filtered future: it is polled only after it was woken itself, though its task is woken often for other
/// reasons. A poll of the shutdown takes a lock that all connections share.
#[derive(Debug)]
pub struct WakeFiltered<F> {
    future: Pin<Box<F>>,
    /// The waker of the last poll.
    waker: Option<Arc<RecordingWaker>>,
}

/// Wakes a task and records that it did.
#[derive(Debug)]
struct RecordingWaker {
    has_woken: AtomicBool,
    task: Waker,
}

impl<F: Future> WakeFiltered<F> {
    /// The same future, filtered.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), waker: None }
    }
}

impl<F: Future> Future for WakeFiltered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.waker.as_ref().is_some_and(|waker| waker.is_still_waiting(cx.waker())) {
            return Poll::Pending;
        }
        let waker = Arc::new(RecordingWaker { has_woken: AtomicBool::new(false), task: cx.waker().clone() });
        self.waker = Some(Arc::clone(&waker));
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker)))
    }
}

impl RecordingWaker {
    /// Whether it has not woken the task, and still would.
    fn is_still_waiting(&self, task: &Waker) -> bool {
        !self.has_woken.load(Ordering::Acquire) && self.task.will_wake(task)
    }
}

impl Wake for RecordingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn wake_filtered_is_polled_at_first_and_then_only_after_a_wake() {
        let (trigger, mut watch) = channel();
        let mut polls = 0;
        let mut stopping = std::pin::pin!(watch.stopping());
        let counted = poll_fn(|cx| {
            polls += 1;
            stopping.as_mut().poll(cx)
        });
        let mut filtered = WakeFiltered::new(counted);
        for _ in 0..5 {
            poll_fn(|cx| {
                assert!(Pin::new(&mut filtered).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        trigger.fire();
        filtered.await;
        assert_eq!(polls, 2);
    }
}
