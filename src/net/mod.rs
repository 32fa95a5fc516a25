//! The two ports: HTTP and lines over TCP, who may use them, and the metrics that they keep.
//! Knows nothing of files; events go to the store, answers come from reports.

pub mod auth;
mod byte_budget;
mod commit;
pub mod condition;
pub mod guessing;
pub mod http;
mod idempotency;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod tcp;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;

use std::sync::Arc;
use std::time::Duration;

use crate::intake::wire::Arrival;
use crate::model::calendar::Zones;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::model::memory::MemoryCeiling;
use crate::platform::clock::Clock;
use crate::store::backup::Backups;
use crate::store::{Status, WriteHandle};
use auth::Auth;
use condition::Conditions;
use guessing::Guessing;
use listener::Tls;
use log::LogServices;
use metrics::Metrics;

/// The other rooms, as both ports use them.
#[derive(Clone, Debug)]
pub struct Services {
    /// Where batches go.
    pub write_handle: WriteHandle,
    /// The log that several daemons share; `None` where this one is alone.
    pub log: Option<Arc<LogServices>>,
    /// The way to copies.
    pub backups: Backups,
    /// The stories, nodes and series that are known.
    pub catalogue: Arc<Catalogue>,
    /// The counts.
    pub counters: Arc<Counters>,
    /// How much memory they may take.
    pub memory: Arc<MemoryCeiling>,
    /// How the store is.
    pub store_status: Arc<Status>,
    /// How the parts are, and since when.
    pub conditions: Arc<Conditions>,
    /// Who may do what.
    pub auth: Arc<Auth>,
    /// Who guesses at that.
    pub guessing: Arc<Guessing>,
    /// The other origins whose pages may ask over HTTP.
    pub origins: Arc<http::Origins>,
    /// The certificate of both ports, where they speak TLS; sockets of the file system never do.
    pub tls: Option<Arc<Tls>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// The time zones.
    pub zones: Arc<Zones>,
    /// How far an event's timestamp may lie ahead of the clock.
    pub max_future: Duration,
}

impl Services {
    /// What the timestamps of events that come now are held against.
    fn arrival(&self) -> Arrival {
        Arrival {
            unix_nanos: self.clock.unix_nanos(),
            max_future: self.max_future,
            dropped_before: self.counters.dropped_before(),
        }
    }
}
