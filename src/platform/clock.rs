//! The only place that reads the time. Everything else is handed a `Clock`, or the time itself.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Where the time comes from: the machine, or a test's hand.
#[derive(Clone, Debug)]
pub struct Clock(Inner);

#[derive(Clone, Debug)]
enum Inner {
    System { start: Instant, start_unix_nanos: i64 },
    Manual { unix_nanos: Arc<AtomicI64>, start_nanos: i64 },
}

impl Clock {
    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn system() -> Self {
        Self(Inner::System { start: Instant::now(), start_unix_nanos: system_unix_nanos() })
    }

    /// A clock that stands at `unix_nanos` until it is moved.
    pub fn manual(unix_nanos: i64) -> Self {
        Self(Inner::Manual { unix_nanos: Arc::new(AtomicI64::new(unix_nanos)), start_nanos: unix_nanos })
    }

    /// Moves a manual clock; the system's clock cannot be moved and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Inner::Manual { unix_nanos, .. } = &self.0 {
            unix_nanos.fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    /// Nanoseconds since 1970-01-01T00:00Z; 0 where the machine's clock stands before that.
    pub fn unix_nanos(&self) -> i64 {
        match &self.0 {
            Inner::System { .. } => system_unix_nanos(),
            Inner::Manual { unix_nanos, .. } => unix_nanos.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds since 1970-01-01T00:00Z.
    pub fn unix_ms(&self) -> i64 {
        self.unix_nanos().div_euclid(1_000_000)
    }

    /// Seconds since 1970-01-01T00:00Z.
    pub fn unix_seconds(&self) -> i64 {
        self.unix_nanos().div_euclid(1_000_000_000)
    }

    /// When the clock was made, as the time of day was then, in milliseconds since 1970-01-01T00:00Z. It never changes.
    pub const fn start_unix_ms(&self) -> i64 {
        let (Inner::System { start_unix_nanos: nanos, .. } | Inner::Manual { start_nanos: nanos, .. }) =
            &self.0;
        nanos.div_euclid(1_000_000)
    }

    /// Time since the clock was made; never goes back, even where the time of day does.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Inner::System { start, .. } => start.elapsed(),
            Inner::Manual { unix_nanos, start_nanos } => {
                let passed = unix_nanos.load(Ordering::Relaxed).saturating_sub(*start_nanos);
                Duration::from_nanos(u64::try_from(passed).unwrap_or(0))
            }
        }
    }

    /// What the future comes to; `None` where that takes longer than `at_most`. By a manual clock a wait ends when it is
    /// polled after the clock was moved: nobody is woken up for it.
    pub async fn timeout<T>(&self, at_most: Duration, future: impl Future<Output = T>) -> Option<T> {
        if let Inner::System { .. } = self.0 {
            return tokio::time::timeout(at_most, future).await.ok();
        }
        let due = self.monotonic().saturating_add(at_most);
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Pending if self.monotonic() >= due => Poll::Ready(None),
            outcome => outcome.map(Some),
        })
        .await
    }
}

/// What the machine takes for the time of day.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn system_unix_nanos() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
