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

/// Starting goes on, and may take [`START_EXTENSION`] from now.
pub fn still_starting() {
    notify(&[
        NotifyState::Status("recovering: replaying the journal"),
        NotifyState::ExtendTimeoutUsec(micros(START_EXTENSION)),
    ]);
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
