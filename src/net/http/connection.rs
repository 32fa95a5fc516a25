//! One HTTP connection: hyper, with the deadlines and bounds of the port around it.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::client_stream::{ClientStream, Exchange};
use super::deadline_timer::DeadlineTimer;
use super::failure::Failure;
use super::quick::QuickStream;
use super::response::HttpResponse;
use super::{HttpShared, service};
use crate::limits::{BACKUP_TIME, HTTP_HEAD_BYTES_MAX, HTTP_RESERVED_HEAD_TIMEOUT};
use crate::net::listener::{self, ConnectionSlot, DetachedStream, Protocol, RawStream, Refusal, Stream, Tls};
use crate::platform::shutdown::{WakeFiltered, Watch};

impl Protocol for HttpShared {
    async fn accept(
        self: Arc<Self>,
        (stream, tls): (RawStream, Option<Arc<Tls>>),
        slot: ConnectionSlot,
        shutdown: Watch,
    ) {
        let rest = match &tls {
            // What is quick shows only after the handshake, and a handshake is not quick.
            Some(_) => stream.detach().map(Some).map_err(Into::into),
            None => self.serve_quick(stream, &slot, shutdown.clone()).await,
        };
        let rest = match rest {
            Ok(Some(rest)) => rest,
            Ok(None) => return,
            Err(error) => return log_ended_early(&slot, &error),
        };
        let requests = self.runtimes.requests.clone();
        let serving = async move {
            match (RawStream::attach(rest), tls) {
                (Ok(stream), Some(tls)) => {
                    listener::serve_encrypted(self, (stream, tls), slot, shutdown).await;
                }
                (Ok(stream), None) => self.serve(stream, slot, shutdown).await,
                (Err(error), _) => tracing::warn!(%error, "a connection cannot be handed over"),
            }
        };
        // A set, so that the connection ends where this task is cut off.
        let mut task = JoinSet::new();
        task.spawn_on(serving, &requests);
        if let Some(Err(error)) = task.join_next().await {
            tracing::error!(%error, runbook = "A fault of its own", "a connection's task panicked");
        }
    }

    async fn serve<S: Stream>(self: Arc<Self>, stream: S, slot: ConnectionSlot, shutdown: Watch) {
        let exchange = Exchange::new();
        let stream = ClientStream::new(stream, Arc::clone(&exchange), self.limits.write_timeout);
        let service = service_fn(|request| self.respond(request, &slot, &exchange));
        let connection = self.http1(&slot).serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = if let Some(ended) = self.before_the_end(connection.as_mut(), &exchange, shutdown).await {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        if let Err(error) = ended {
            log_ended_early(&slot, &error);
        }
    }

    fn refusal(&self, why: Refusal) -> Vec<u8> {
        let failure = match why {
            Refusal::TooMany => Failure::unavailable(why.message()),
            Refusal::NotEncrypted => Failure::bad_request(why.message()),
        };
        failure.to_bytes(&self.services.clock)
    }
}

impl HttpShared {
    /// Serves a new connection until a request comes that is not quick; then gives it back. `None` where it has ended,
    /// or the daemon stops.
    async fn serve_quick(
        self: &Arc<Self>,
        stream: RawStream,
        slot: &ConnectionSlot,
        shutdown: Watch,
    ) -> Result<Option<DetachedStream>, Box<dyn Error + Send + Sync>> {
        let mut stream = QuickStream::new(stream);
        let exchange = Exchange::new();
        let first = pin!(timeout(self.head_timeout(slot), poll_fn(|cx| stream.poll_is_quick(cx))));
        let Some(is_quick) = self.before_the_end(first, &exchange, shutdown.clone()).await else {
            return Ok(None);
        };
        if is_quick?? {
            let client = ClientStream::new(stream, Arc::clone(&exchange), self.limits.write_timeout);
            let service = service_fn(|request| self.respond(request, slot, &exchange));
            let connection = self.http1(slot).serve_connection(TokioIo::new(client), service);
            // A quick request is answered as soon as it is read, so none is under way at the end.
            let connection = pin!(connection.without_shutdown());
            let Some(parts) = self.before_the_end(connection, &exchange, shutdown).await else {
                return Ok(None);
            };
            stream = parts?.io.into_inner().into_inner();
        }
        Ok(stream.into_rest().map(RawStream::detach).transpose()?)
    }

    /// What the work on a connection comes to. `None` where the daemon stops first: from then on each answer closes its connection,
    /// and one on which nothing is under way has a moment more, for a request that is on its way.
    async fn before_the_end<F: Future>(
        &self,
        mut work: Pin<&mut F>,
        exchange: &Exchange,
        mut shutdown: Watch,
    ) -> Option<F::Output> {
        let mut stopping = pin!(WakeFiltered::new(shutdown.stopping()));
        tokio::select! {
            biased;
            outcome = work.as_mut() => return Some(outcome),
            () = stopping.as_mut() => {}
        }
        exchange.close_after_the_next();
        timeout(self.limits.last_request_wait, work).await.ok()
    }

    async fn respond(
        self: &Arc<Self>,
        request: Request<Incoming>,
        slot: &ConnectionSlot,
        exchange: &Arc<Exchange>,
    ) -> Result<HttpResponse, Infallible> {
        exchange.set_deadline(None);
        let mut response = service::respond(self, request, slot, exchange).await;
        if exchange.is_last() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if response.body().is_streamed() {
            exchange.set_deadline(Some(Instant::now() + self.limits.large_answer_timeout));
        } else if response.body().is_archive() {
            exchange.set_deadline(Some(Instant::now() + BACKUP_TIME));
        }
        Ok(response)
    }

    /// How hyper is to serve a connection. It parses 100 headers where it is not told how many; with a number of its own it makes
    /// room for them anew for each request, which costs more than all else that it does with a head.
    fn http1(&self, slot: &ConnectionSlot) -> http1::Builder {
        let mut http1 = http1::Builder::new();
        http1
            .timer(DeadlineTimer::default())
            .header_read_timeout(self.head_timeout(slot))
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            // A client may close its sending side after the request and still read the answer.
            .half_close(true)
            .keep_alive(!slot.is_reserved());
        http1
    }

    fn head_timeout(&self, slot: &ConnectionSlot) -> Duration {
        if slot.is_reserved() { HTTP_RESERVED_HEAD_TIMEOUT } else { self.limits.head_timeout }
    }
}

/// Clients go away in the middle of things every day; nothing here needs an operator.
fn log_ended_early(slot: &ConnectionSlot, error: &dyn std::fmt::Display) {
    tracing::debug!(%error, peer = ?slot.peer(), "an http connection ended early");
}
