//! Accepts connections, bounds their number, and drains them when the daemon stops.
//! INVARIANT: a connection's slot and its place in the gauge are given back however its task ends.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::alarm::Alarm;
use super::answer::raw_refusal;
use super::guarded_io::{GuardedIo, Order};
use super::service;
use super::timed_io::TimedIo;
use super::{Context, Shared};
use crate::limits;
use crate::net::metrics::{Entrance, Metrics};
use crate::net::pause::AcceptPause;
use crate::platform::shutdown;

/// Serves the port until the shutdown, then stops accepting, answers the requests under way with
/// `Connection: close`, and returns once all connections are closed or the drain deadline has passed.
pub async fn serve(listener: TcpListener, context: Arc<Context>, mut shutdown: shutdown::Watch) {
    let limits = context.limits;
    let shared = Arc::new(Shared::new(context));
    let slots = Arc::new(Semaphore::new(limits.connections));
    let refusals = Arc::new(Semaphore::new(limits::HTTP_REFUSALS_MAX));
    let mut tasks = JoinSet::new();
    let mut pause = AcceptPause::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.stopping() => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                tell_panic(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                pause = AcceptPause::default();
                if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                    tasks.spawn(converse(stream, Arc::clone(&shared), slot, shutdown.clone()));
                } else {
                    shared.context.metrics.connection_refused(Entrance::Http);
                    if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                        tasks.spawn(refuse(stream, Arc::clone(&shared), permit));
                    }
                }
            }
            Err(error) => {
                if let Some(pause) = pause.after("http", &error) {
                    tokio::select! {
                        () = shutdown.stopping() => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }
    drop(listener);
    drain(tasks, limits.drain_timeout).await;
}

async fn drain(mut tasks: JoinSet<()>, deadline: Duration) {
    let finished = tokio::time::timeout(deadline, async {
        while let Some(ended) = tasks.join_next().await {
            tell_panic(ended);
        }
    });
    if finished.await.is_err() {
        tracing::warn!(connections = tasks.len(), "http connections were still busy at the drain deadline");
        tasks.shutdown().await;
    }
}

fn tell_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "an http connection ended by a panic");
    }
}

/// The place of one connection: counts it, and gives slot and gauge back when it is dropped.
struct Place {
    metrics: Arc<Metrics>,
    _slot: OwnedSemaphorePermit,
}

impl Place {
    fn new(metrics: Arc<Metrics>, slot: OwnedSemaphorePermit) -> Self {
        metrics.connection_opened(Entrance::Http);
        Self { metrics, _slot: slot }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connection_closed(Entrance::Http);
    }
}

async fn converse(
    stream: TcpStream,
    shared: Arc<Shared>,
    slot: OwnedSemaphorePermit,
    mut shutdown: shutdown::Watch,
) {
    let limits = shared.context.limits;
    let place = Place::new(Arc::clone(&shared.context.metrics), slot);
    if let Err(error) = stream.set_nodelay(true) {
        // The connection works without it, only slower.
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let order = Arc::new(Order::new());
    let stream = GuardedIo::new(stream, Arc::clone(&order), shared.context.clock.clone());
    // Of each connection: a count that the threads of all connections share would go from core to core.
    let shared = Arc::new(shared);
    let service = service_fn(move |request| {
        let (shared, begun) = (Arc::clone(&shared), order.begin());
        async move { Ok::<_, Infallible>(service::answer(&shared, request, begun).await) }
    });
    let connection = http1::Builder::new()
        .timer(Alarm::default())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        // A client may close its sending side after the request and still read the answer.
        .half_close(true)
        .serve_connection(TimedIo::new(stream, limits.write_timeout), service);
    let mut connection = std::pin::pin!(connection);
    let mut stopping = std::pin::pin!(shutdown::WhenWoken::new(shutdown.stopping()));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stopping.as_mut() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients go away in the middle of things every day; nothing here needs an operator.
        tracing::debug!(%error, "an http connection ended early");
    }
    drop(place);
}

/// Says that there are too many connections. Reads on for a moment, since a close with unread bytes would make
/// the client's kernel throw the answer away.
async fn refuse(mut stream: TcpStream, shared: Arc<Shared>, permit: OwnedSemaphorePermit) {
    let answer = raw_refusal(&shared.context.clock, "there are too many connections");
    let mut unread = [0_u8; 4096];
    let told = tokio::time::timeout(limits::HTTP_REFUSAL_TIMEOUT, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        while stream.read(&mut unread).await? != 0 {}
        Ok::<_, io::Error>(())
    });
    if !matches!(told.await, Ok(Ok(()))) {
        tracing::debug!("a connection that was one too many did not wait for the answer");
    }
    drop(permit);
}
