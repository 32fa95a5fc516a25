//! One trigger, many watchers: how every task learns that the daemon is stopping. Knows nothing of signals.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::watch;

/// Makes the shutdown known. Dropping it without firing counts as firing, so that no task can be left behind.
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
    /// Tells every watcher. Firing again changes nothing.
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

/// A future that is polled only when it has been woken itself, for a task that is woken often by others: to look at
/// the shutdown takes a lock that all watchers share.
#[derive(Debug)]
pub struct WhenWoken<F> {
    future: Pin<Box<F>>,
    bell: Option<Arc<Bell>>,
}

/// Wakes a task and keeps in mind that it has.
#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl<F: Future> WhenWoken<F> {
    /// The same future.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), bell: None }
    }
}

impl<F: Future> Future for WhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let is_quiet = self.bell.as_ref().is_some_and(|bell| bell.is_quiet(cx.waker()));
        if is_quiet {
            return Poll::Pending;
        }
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(false), task: cx.waker().clone() });
        self.bell = Some(Arc::clone(&bell));
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(bell)))
    }
}

impl Bell {
    fn is_quiet(&self, task: &Waker) -> bool {
        !self.has_rung.load(Ordering::Acquire) && self.task.will_wake(task)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn when_woken_is_polled_at_first_and_then_only_when_it_was_woken() {
        let (trigger, mut watch) = channel();
        let mut polls = 0;
        let mut stopping = std::pin::pin!(watch.stopping());
        let counted = poll_fn(|cx| {
            polls += 1;
            stopping.as_mut().poll(cx)
        });
        let mut quiet = WhenWoken::new(counted);
        for _ in 0..5 {
            poll_fn(|cx| {
                assert!(Pin::new(&mut quiet).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        trigger.fire();
        quiet.await;
        assert_eq!(polls, 2);
    }
}
