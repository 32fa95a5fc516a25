//! The deadline timer of one connection. One deadline runs at a time and nearly none is ever reached. To register and
//! cancel a timer for each request would take the lock of all timers twice; this timer stays registered, and checks
//! when it fires whether the deadline has moved.
//!
//! INVARIANT: no deadline is missed: the registered timer fires at or before the deadline that is waited for.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use hyper::rt::Timer;
use hyper_util::rt::TokioTimer;
use tokio::task::unconstrained;
use tokio::time::Sleep;

/// The timer of one connection, in the form that hyper wants.
#[derive(Clone, Debug, Default)]
pub(super) struct DeadlineTimer(Arc<Mutex<Option<Armed>>>);

/// A timer that is registered.
#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// The task that it wakes.
    waker: Waker,
}

impl DeadlineTimer {
    /// Waits for the deadline. One task may, and for one deadline at a time.
    fn poll(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let armed = armed.get_or_insert_with(|| Armed {
            sleep: Box::pin(tokio::time::sleep_until(deadline.into())),
            waker: Waker::noop().clone(),
        });
        if armed.sleep.deadline() > deadline.into() {
            armed.sleep.as_mut().reset(deadline.into());
            armed.waker.clone_from(Waker::noop());
        }
        if !armed.sleep.is_elapsed() && armed.waker.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        loop {
            armed.waker.clone_from(cx.waker());
            // A timer that is polled when the task's budget is used up is not registered, and would never be polled again.
            ready!(pin!(unconstrained(armed.sleep.as_mut())).poll(cx));
            if armed.sleep.deadline() >= deadline.into() {
                return Poll::Ready(());
            }
            armed.sleep.as_mut().reset(deadline.into());
        }
    }
}

impl Timer for DeadlineTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Deadline { timer: self.clone(), deadline })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

/// A deadline of hyper's.
#[derive(Debug)]
struct Deadline {
    timer: DeadlineTimer,
    deadline: Instant,
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(self.deadline, cx)
    }
}

impl hyper::rt::Sleep for Deadline {}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn poll_once(timer: &DeadlineTimer, after: Duration) {
        let mut sleep = timer.sleep_until(timer.now() + after);
        poll_fn(|cx| {
            assert!(sleep.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_timer_fires_that_was_set_when_its_task_had_used_up_its_turn() {
        let timer = DeadlineTimer::default();
        let mut sleep = timer.sleep_until(timer.now() + Duration::from_millis(20));
        let mut is_first = true;
        let waited = poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                while pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
            }
            sleep.as_mut().poll(cx)
        });
        assert!(tokio::time::timeout(Duration::from_secs(10), waited).await.is_ok());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_timer_fires_at_the_last_deadline_whether_sooner_or_later_than_one_before() {
        let (short, long) = (Duration::from_millis(20), Duration::from_hours(1));
        let timer = DeadlineTimer::default();
        for before in [long, Duration::from_millis(1), long] {
            poll_once(&timer, before).await;
            let begun = timer.now();
            timer.sleep_until(begun + short).await;
            let took = timer.now() - begun;
            assert!(short <= took && took < long, "{took:?} after one of {before:?}");
            // A deadline that has passed ends the wait at once.
            timer.sleep_until(begun).await;
        }
    }
}
