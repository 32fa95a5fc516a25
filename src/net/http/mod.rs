//! The HTTP port: events in, reports out, catalogue, health, metrics. A thin shell: it reads requests, asks the
//! other rooms and writes their answers. Must not know the journal, the snapshot or the disk.
//! INVARIANT: everything that waits for a client has a deadline, everything that holds memory for one has a bound.

mod accept;
mod access;
mod alarm;
mod answer;
mod body;
mod framing;
mod guarded_io;
mod health;
mod influx;
mod ingest;
mod listing;
mod reply;
mod reports;
mod route;
mod service;
mod stories;
mod timed_io;
mod upsert;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

pub use accept::serve;

use crate::intake::batching::Parser;
use crate::limits;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::net::auth::Auth;
use crate::net::metrics::Metrics;
use crate::platform::clock::Clock;
use crate::store::{Door, Status};

/// What the routes work on.
#[derive(Debug)]
pub struct Context {
    /// Where batches go.
    pub door: Door,
    /// What is known.
    pub catalogue: Arc<Catalogue>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// How the store is.
    pub store_status: Arc<Status>,
    /// Who may do what.
    pub auth: Arc<Auth>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// How far an event's timestamp may lie ahead of the clock.
    pub max_future: Duration,
    /// Bounds and deadlines, so that tests can use small ones.
    pub limits: Limits,
}

/// Bounds and deadlines of the port. `Default` is from [`limits`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Time for the head of a request, idle time before it included.
    pub head_timeout: Duration,
    /// Longest pause within a body.
    pub body_pause: Duration,
    /// Time for a whole body.
    pub body_timeout: Duration,
    /// Longest time that an answer may stay unread.
    pub write_timeout: Duration,
    /// Time for requests under way when the daemon stops.
    pub drain_timeout: Duration,
    /// Bytes of all bodies held at a time; at most `u32::MAX`.
    pub bodies_held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::HTTP_CONNECTIONS_MAX,
            head_timeout: limits::HTTP_HEAD_TIMEOUT,
            body_pause: limits::HTTP_BODY_PAUSE_MAX,
            body_timeout: limits::HTTP_BODY_TIMEOUT,
            write_timeout: limits::HTTP_WRITE_TIMEOUT,
            drain_timeout: limits::HTTP_DRAIN_TIMEOUT,
            bodies_held_bytes: limits::BODIES_HELD_BYTES_MAX,
        }
    }
}

/// The context and what all connections share beside it.
#[derive(Debug)]
struct Shared {
    context: Arc<Context>,
    /// One permit per byte of body that may be held.
    body_bytes: Arc<Semaphore>,
    /// One permit per body on a worker thread.
    body_workers: Arc<Semaphore>,
    /// One permit per heavy query.
    heavy_queries: Arc<Semaphore>,
    /// One permit per large answer that is being read.
    large_answers: Arc<Semaphore>,
    /// Parsers that wait for the next body, the one used last on top.
    parsers: Mutex<Vec<Parser>>,
}

impl Shared {
    fn new(context: Arc<Context>) -> Self {
        Self {
            body_bytes: Arc::new(Semaphore::new(context.limits.bodies_held_bytes)),
            body_workers: Arc::new(Semaphore::new(limits::BODY_WORKERS_MAX)),
            heavy_queries: Arc::new(Semaphore::new(limits::HEAVY_QUERIES_MAX)),
            large_answers: Arc::new(Semaphore::new(limits::LARGE_ANSWERS_MAX)),
            parsers: Mutex::new(Vec::with_capacity(limits::PARSERS_KEPT_MAX)),
            context,
        }
    }

    /// A parser for one body. Its head cache is what makes a body cheap, so parsers are kept from body to body, and
    /// by the port rather than by a connection: many clients open one connection per request, and ten thousand idle
    /// ones must not hold a cache each.
    fn take_parser(&self) -> Parser {
        let kept = self.parsers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Parser::new(Arc::clone(&self.context.catalogue)))
    }

    /// Keeps the parser for a later body if there is room.
    fn keep_parser(&self, parser: Parser) {
        let mut parsers = self.parsers.lock().unwrap_or_else(PoisonError::into_inner);
        if parsers.len() < limits::PARSERS_KEPT_MAX {
            parsers.push(parser);
        }
    }
}
