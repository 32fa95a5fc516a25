//! Messages to the service manager: still starting, ready, reloading, alive, stopping. None where there is no manager.
//! Knows nothing of why.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use crate::limits::START_EXTENSION;

/// Everything is up; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The daemon reads its files anew; [`ready`] says that it has. By the time the manager knows which request
/// is meant.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the service manager does not hear of the reload"),
    }
}

/// The daemon has begun to stop, which may take `at_most`.
pub fn stopping(at_most: Duration) {
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: finishing what was read"),
        NotifyState::ExtendTimeoutUsec(micros(at_most)),
    ]);
}

/// When more time for a start is asked for: at once, and again while the last [`START_EXTENSION`] has most of its time left.
#[derive(Debug, Default)]
pub struct Extensions {
    asked: Option<Duration>,
}

impl Extensions {
    /// Starting goes on, with what `status` says, and may take [`START_EXTENSION`] from now.
    pub fn still_starting(&mut self, now: Duration, status: &str) {
        if self.is_due(now) {
            notify(&[NotifyState::Status(status), NotifyState::ExtendTimeoutUsec(micros(START_EXTENSION))]);
        }
    }

    fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.asked.is_none_or(|last| now.saturating_sub(last) >= START_EXTENSION / 4);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }
}

/// Ingest and reports have both made progress.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often the manager wants to hear [`alive`]; `None` where it does not.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn notify(states: &[NotifyState<'_>]) {
    // The daemon's own work does not depend on being heard.
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager does not hear of the daemon's state");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_time_is_asked_for_at_once_and_long_before_the_last_extension_ends() {
        let mut extensions = Extensions::default();
        let due: Vec<u64> =
            (0..=61).filter(|second| extensions.is_due(Duration::from_secs(*second))).collect();
        assert_eq!(due, [0, 15, 30, 45, 60]);
        assert!(START_EXTENSION >= Duration::from_mins(1));
    }
}
