//! The HTTP port: events in, reports out, catalogue, health, metrics. A thin shell: it reads requests, asks the
//! other rooms and writes their answers; `routes` is the list of what it serves. Must not know the journal, the snapshot
//! or the disk.
//!
//! INVARIANT: what takes no time is answered by the thread that accepts connections, and nothing else is (`quick`).
//! INVARIANT: every wait for a client has a deadline, and all memory for one has a bound.

mod accept;
mod accept_encoding;
mod access;
mod backup;
mod body;
mod body_error;
mod client_stream;
mod connection;
mod cors;
mod deadline_timer;
mod entity_tag;
mod event_stream;
mod failure;
mod framing;
mod health;
mod inflate;
mod influx;
mod ingest;
mod listing;
mod openapi;
mod pack;
mod page;
mod quick;
mod replica;
mod reports;
mod representation;
mod response;
mod response_body;
mod routes;
mod service;
mod stories;
mod streams;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
mod undo;
mod upsert;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Services;
use super::byte_budget::ByteBudget;
use super::listener::{self, Capacity, Socket};
use super::metrics::{Bound, Listener};
use crate::limits;
use crate::platform::shutdown::Watch;
pub use cors::Origins;
use entity_tag::TagKey;
use failure::Failure;
use response_body::ResponseBody;

/// Serves the port until the shutdown, then stops accepting, answers the requests under way with
/// `Connection: close`, and returns once all connections are closed or the drain deadline has passed. Here connections are
/// accepted and quick requests answered; all others are answered on the other runtimes.
pub async fn serve(socket: Socket, services: Services, limits: Limits, runtimes: Runtimes, shutdown: Watch) {
    let capacity = Capacity {
        connections: limits.connections,
        reserved: limits.connections_reserved,
        drain_timeout: limits.drain_timeout,
    };
    let metrics = Arc::clone(&services.metrics);
    let tls = services.tls.clone().filter(|_| socket.is_tcp());
    let shared = Arc::new(HttpShared::new(services, limits, runtimes));
    listener::serve((socket, tls), (Listener::Http, metrics), capacity, shared, shutdown).await;
}

/// Where requests that are not quick are answered.
#[derive(Clone, Debug)]
pub struct Runtimes {
    /// All that is not heavy, and bodies.
    pub requests: Handle,
    /// Queries over very many series, and backups, on blocking threads.
    pub heavy: Handle,
}

/// Bounds and deadlines of the port. `Default` is from [`limits`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// How many of them are kept for requests that do not write, so that `/health` answers while writes hang.
    pub connections_reserved: usize,
    /// Requests that wait for the store at a time.
    pub writes_waiting: usize,
    /// Streams of reports at a time.
    pub streams: usize,
    /// How often a stream looks whether there is something to do.
    pub stream_tick: Duration,
    /// Time for the head of a request, idle time before it included.
    pub head_timeout: Duration,
    /// Longest pause within a body.
    pub body_pause: Duration,
    /// Time for a whole body.
    pub body_timeout: Duration,
    /// Longest time that an answer may stay unread.
    pub write_timeout: Duration,
    /// Time for the whole of a large answer to be read.
    pub large_answer_timeout: Duration,
    /// How long a connection without a request stays open when the daemon stops, for one that is on its way.
    pub last_request_wait: Duration,
    /// Time for requests under way when the daemon stops.
    pub drain_timeout: Duration,
    /// Bytes of all bodies held at a time; at most `u32::MAX`.
    pub bodies_held_bytes: usize,
    /// Bytes of all answers held at a time, not counting short ones; at most `u32::MAX`.
    pub answers_held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::HTTP_CONNECTIONS_MAX,
            connections_reserved: limits::HTTP_CONNECTIONS_RESERVED,
            writes_waiting: limits::HTTP_WRITES_WAITING_MAX,
            streams: limits::STREAMS_MAX,
            stream_tick: limits::STREAM_TICK,
            head_timeout: limits::HTTP_HEAD_TIMEOUT,
            body_pause: limits::HTTP_BODY_PAUSE_MAX,
            body_timeout: limits::HTTP_BODY_TIMEOUT,
            write_timeout: limits::HTTP_WRITE_TIMEOUT,
            large_answer_timeout: limits::LARGE_ANSWER_TIMEOUT,
            last_request_wait: limits::HTTP_LAST_REQUEST_WAIT,
            drain_timeout: limits::HTTP_DRAIN_TIMEOUT,
            bodies_held_bytes: limits::BODIES_HELD_BYTES_MAX,
            answers_held_bytes: limits::ANSWERS_HELD_BYTES_MAX,
        }
    }
}

/// The other rooms, and what all connections share beside them.
#[derive(Debug)]
struct HttpShared {
    services: Services,
    limits: Limits,
    runtimes: Runtimes,
    /// What the tags of answers are made with.
    tag_key: TagKey,
    /// One permit per request that waits for the store.
    writes_waiting: Arc<Semaphore>,
    /// For bodies of requests, as sent and inflated.
    body_bytes: ByteBudget,
    /// For long answers that are not read yet.
    answer_bytes: ByteBudget,
    /// One permit per body on a worker thread.
    body_workers: Arc<Semaphore>,
    /// One permit per answer that is packed on a worker thread.
    packers: Arc<Semaphore>,
    /// One permit per heavy query.
    heavy_queries: Arc<Semaphore>,
    /// One permit per stream.
    streams: Arc<Semaphore>,
    /// For the states that streams hold.
    stream_bytes: ByteBudget,
    /// One permit per backup.
    backups: Arc<Semaphore>,
    /// One permit per large answer that is being read.
    large_answers: Arc<Semaphore>,
}

impl HttpShared {
    fn new(services: Services, limits: Limits, runtimes: Runtimes) -> Self {
        Self {
            tag_key: TagKey::random(),
            writes_waiting: Arc::new(Semaphore::new(limits.writes_waiting)),
            body_bytes: ByteBudget::new(limits.bodies_held_bytes),
            answer_bytes: ByteBudget::new(limits.answers_held_bytes),
            body_workers: Arc::new(Semaphore::new(limits::BODY_WORKERS_MAX)),
            packers: Arc::new(Semaphore::new(limits::PACKERS_MAX)),
            heavy_queries: Arc::new(Semaphore::new(limits::HEAVY_QUERIES_MAX)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            stream_bytes: ByteBudget::new(limits::STREAM_STATES_BYTES_MAX),
            backups: Arc::new(Semaphore::new(limits::BACKUPS_MAX)),
            large_answers: Arc::new(Semaphore::new(limits::LARGE_ANSWERS_MAX)),
            services,
            limits,
            runtimes,
        }
    }

    /// A long answer, within the budget for those that are not read yet.
    ///
    /// # Errors
    /// 503 where the budget is spent.
    fn long_answer(&self, json: Vec<u8>) -> Result<ResponseBody, Failure> {
        ResponseBody::held(json, &self.answer_bytes).map_err(|_spent| Failure::overloaded(Bound::AnswersHeld))
    }
}
