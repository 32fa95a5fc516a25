//! Opens the store: the service manager hears that recovery goes on, the log what was recovered.

use std::time::Duration;

use tracing::{info, warn};

use super::config::Config;
use crate::limits::{FSYNC_INTERVAL, START_EXTENSION};
use crate::model::catalogue::CatalogueLimits;
use crate::platform::clock::Clock;
use crate::platform::systemd;
use crate::store::{KeyLimits, OpenError, Recovery, Store, StoreOptions};

/// Locks and recovers the data directory. Blocks.
pub(super) fn open(config: &Config, clock: &Clock) -> Result<Store, OpenError> {
    let options = StoreOptions {
        limits: CatalogueLimits::default(),
        data_dir: config.data_dir.clone(),
        fsync: config.fsync,
        fsync_interval: FSYNC_INTERVAL,
        keys: KeyLimits { retry_window: config.retry_window, ..KeyLimits::default() },
        snapshot_interval: config.snapshot_interval,
        clock: clock.clone(),
    };
    let mut extensions = Extensions::default();
    let mut progress = || {
        if extensions.is_due(clock.monotonic()) {
            systemd::still_starting();
        }
    };
    progress();
    let (store, recovery) = Store::open(options, &mut progress)?;
    log(&recovery, clock.monotonic());
    Ok(store)
}

/// When more time is asked for: at once, and again while the last [`START_EXTENSION`] has most of its time left.
#[derive(Default)]
struct Extensions {
    asked: Option<Duration>,
}

impl Extensions {
    fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.asked.is_none_or(|last| now.saturating_sub(last) >= START_EXTENSION / 4);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }
}

fn log(recovery: &Recovery, took: Duration) {
    for warning in &recovery.warnings {
        warn!("{warning}");
    }
    info!(
        snapshot = recovery.snapshot_generation,
        parts = recovery.parts,
        journal_segments = recovery.journal_segments,
        journal_records = recovery.journal_records,
        torn_bytes = recovery.torn_bytes,
        stories = recovery.stories,
        series = recovery.series,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "recovered"
    );
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
