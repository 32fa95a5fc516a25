//! The ceiling of memory: what the configuration says of it, and what the machine has.

use std::sync::Arc;

use tracing::{info, warn};

use super::config::Config;
use crate::model::memory::MemoryCeiling;
use crate::platform::memory::available_bytes;
use crate::store::Store;

/// The ceiling for what the store counts. Logs a warning where the machine has less than the ceiling and all else can take.
pub(super) fn ceiling(config: &Config, store: &Store) -> Arc<MemoryCeiling> {
    let available = available_bytes();
    let beside = config.memory_beside_counters();
    let bytes = config.memory_limit.of_available(available, beside);
    let ceiling = MemoryCeiling::new(bytes, Arc::clone(store.catalogue()), Arc::clone(store.counters()));
    let used = ceiling.used_bytes();
    info!(limit_bytes = bytes, used_bytes = used, available_bytes = available, "memory of counters");
    if bytes.saturating_add(beside) > available {
        warn!("the machine may run out of memory before `memory-limit` is reached");
    }
    Arc::new(ceiling)
}
