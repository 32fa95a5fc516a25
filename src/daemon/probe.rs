//! Proves now and then that ingest and reports go on, and only then feeds the watchdog. Knows nothing of how
//! either works.
//!
//! INVARIANT: no proof, no word to the watchdog: a hang anywhere on the way of an event or a query keeps this from
//! coming round, and the service manager restarts the daemon.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::limits::PROBE_INTERVAL;
use crate::model::batch::Batch;
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::total_series;
use crate::model::counters::Counters;
use crate::model::event::Metric;
use crate::platform::clock::Clock;
use crate::platform::shutdown::Watch;
use crate::platform::systemd;
use crate::store::{Refusal, Uncertainty, WriteError, WriteHandle};

/// The parts that are probed.
pub(super) struct Probe {
    write_handle: WriteHandle,
    counters: Arc<Counters>,
    clock: Clock,
}

/// The state of ingest, as a probe found it.
enum Ingest {
    Lives,
    Hangs,
    Ended,
}

impl Probe {
    pub(super) fn new(write_handle: WriteHandle, counters: Arc<Counters>, clock: Clock) -> Self {
        Self { write_handle, counters, clock }
    }

    /// Probes until the daemon stops. Ends before only where the journal takes nothing any more, not even to
    /// refuse it.
    pub(super) async fn run(self, watchdog: Option<Duration>, mut watch: Watch) {
        let interval = watchdog.map_or(PROBE_INTERVAL, |longest| PROBE_INTERVAL.min(longest / 2));
        while !watch.is_stopping() {
            match self.prove_ingest().await {
                Ingest::Lives => {
                    self.prove_reports();
                    systemd::alive();
                }
                // The watchdog hears nothing.
                Ingest::Hangs => {}
                Ingest::Ended => {
                    if !watch.is_stopping() {
                        error!("the journal has ended by itself");
                    }
                    return;
                }
            }
            tokio::select! {
                () = watch.stopping() => {}
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    /// An empty batch goes all the way and changes nothing. A refusal is a sign of life too: while the disk is full, a
    /// restart would not help.
    async fn prove_ingest(&self) -> Ingest {
        let outcome = match self.write_handle.submit(Batch::default()).await {
            Ok(pending) => pending.outcome().await,
            Err(refusal) => Err(refusal.into()),
        };
        match outcome {
            Err(WriteError::Refused(Refusal::Closing)) => Ingest::Ended,
            Err(WriteError::Refused(Refusal::Busy) | WriteError::Unknown(Uncertainty::Late)) => Ingest::Hangs,
            _ => Ingest::Lives,
        }
    }

    /// Sums the present hour, which hangs only where a thread holds the counters.
    fn prove_reports(&self) {
        let range = Hour::containing(self.clock.unix_seconds())
            .map_or(HourRange::ALL, |now| HourRange { start: now, end: now.next() });
        if let Some(series) = total_series(Metric::Conversations, None) {
            std::hint::black_box(self.counters.sum(series, range));
        }
    }
}
