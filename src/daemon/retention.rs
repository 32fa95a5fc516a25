//! Has hours dropped that are past the span for which counts are kept: looks at the start and then once an hour, by the clock.
//! What dropping means is the store's.

use std::sync::Arc;

use tracing::{info, warn};

use crate::limits::{RETENTION_INTERVAL, RETENTION_RETRY};
use crate::model::batch::Batch;
use crate::model::cells::Retention;
use crate::model::counters::Counters;
use crate::platform::clock::Clock;
use crate::platform::shutdown::Watch;
use crate::store::{WriteError, WriteHandle};

/// What it takes.
pub(super) struct Dropping {
    pub(super) retention: Option<Retention>,
    pub(super) write_handle: WriteHandle,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Clock,
}

impl Dropping {
    /// Looks until the daemon stops.
    pub(super) async fn run(self, mut stop: Watch) {
        while !stop.is_stopping() {
            let pause = match self.drop_what_is_due().await {
                Ok(()) => RETENTION_INTERVAL,
                Err(error) => {
                    warn!(%error, "hours past `retention` cannot be dropped now; it is tried again");
                    RETENTION_RETRY
                }
            };
            tokio::select! {
                () = stop.stopping() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn drop_what_is_due(&self) -> Result<(), WriteError> {
        let month = self.retention.and_then(|span| span.first_month_kept(self.clock.unix_seconds()));
        let Some(month) = month else { return Ok(()) };
        let first_kept = month.range().start;
        if self.counters.dropped_before() >= Some(first_kept) {
            return Ok(());
        }
        let batch = Batch { dropped_before: Some(month), ..Batch::default() };
        self.write_handle.submit(batch).await?.outcome().await?;
        let before = first_kept.rfc3339();
        info!(
            before,
            "hours past `retention` were dropped, for good; their files go with the second snapshot from now"
        );
        Ok(())
    }
}
