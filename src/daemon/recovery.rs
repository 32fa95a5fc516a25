//! Opens the store: the service manager hears that recovery goes on, the log what was recovered.

use std::time::Duration;

use tracing::{info, warn};

use super::config::Config;
use crate::limits::FSYNC_INTERVAL;
use crate::model::catalogue::CatalogueLimits;
use crate::platform::clock::Clock;
use crate::platform::systemd::Extensions;
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
    let mut progress = || extensions.still_starting(clock.monotonic(), "recovering: replaying the journal");
    progress();
    let (store, recovery) = Store::open(options, &mut progress)?;
    log(&recovery, clock.monotonic());
    if let Some(first_kept) = store.counters().dropped_before() {
        let before = first_kept.rfc3339();
        info!(before, "hours before that were dropped and are not kept");
    }
    Ok(store)
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
