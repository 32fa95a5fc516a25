//! One HTTP connection: hyper, with the deadlines and bounds of the port around it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::client_stream::{ClientStream, Exchange};
use super::deadline_timer::DeadlineTimer;
use super::failure::Failure;
use super::{HttpShared, service};
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_PARSED_MAX, HTTP_RESERVED_HEAD_TIMEOUT};
use crate::net::listener::{ConnectionSlot, Protocol, Stream};
use crate::platform::shutdown::{WakeFiltered, Watch};

impl Protocol for HttpShared {
    async fn serve<S: Stream>(self: Arc<Self>, stream: S, slot: ConnectionSlot, mut shutdown: Watch) {
        let limits = self.limits;
        let head_timeout = if slot.is_reserved() { HTTP_RESERVED_HEAD_TIMEOUT } else { limits.head_timeout };
        let exchange = Arc::new(Exchange::new());
        let stream = ClientStream::new(stream, Arc::clone(&exchange), limits.write_timeout);
        let respond = service_fn(async |request| {
            exchange.set_deadline(None);
            let response = service::respond(&self, request, &slot, exchange.begin()).await;
            if response.body().is_streamed() {
                exchange.set_deadline(Some(Instant::now() + limits.large_answer_timeout));
            }
            Ok::<_, Infallible>(response)
        });
        let connection = http1::Builder::new()
            .timer(DeadlineTimer::default())
            .header_read_timeout(head_timeout)
            .max_headers(HTTP_HEADERS_PARSED_MAX)
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            // A client may close its sending side after the request and still read the answer.
            .half_close(true)
            .keep_alive(!slot.is_reserved())
            .serve_connection(TokioIo::new(stream), respond);
        let mut connection = pin!(connection);
        let mut stopping = pin!(WakeFiltered::new(shutdown.stopping()));
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
    }

    /// Reads on after the response, since a close with unread bytes would make the client's kernel throw it away.
    async fn refuse<S: Stream>(self: Arc<Self>, mut stream: S) {
        let failure = Failure::unavailable("there are too many connections");
        let mut unread = [0_u8; 4096];
        let said = async {
            stream.write_all(&failure.to_bytes(&self.services.clock)).await?;
            stream.shutdown().await?;
            while stream.read(&mut unread).await? != 0 {}
            Ok::<_, std::io::Error>(())
        };
        if let Err(error) = said.await {
            tracing::debug!(%error, "a connection that was one too many broke");
        }
    }
}
