//! Looks again and again how the parts of the daemon are, so that what changes while nobody asks has its time, and its line of the log.
//! Knows nothing of what can be wrong.

use std::sync::Arc;

use crate::limits::CONDITION_INTERVAL;
use crate::net::condition::Conditions;
use crate::platform::shutdown::Watch;
use crate::store::Status;

/// Looks until the daemon stops.
pub(super) async fn over(conditions: Arc<Conditions>, status: Arc<Status>, mut stop: Watch) {
    while !stop.is_stopping() {
        conditions.look(&status);
        tokio::select! {
            () = stop.stopping() => {}
            () = tokio::time::sleep(CONDITION_INTERVAL) => {}
        }
    }
}
