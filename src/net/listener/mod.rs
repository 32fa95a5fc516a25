//! The accept loop of both ports: bounds the number of connections, backs off while the machine is out of descriptors or
//! memory, drains when the daemon stops; with TLS, has the handshake made first. Knows nothing of the protocols.
//!
//! INVARIANT: a connection's slot and its place in the gauge are given back however its task ends.
//! INVARIANT: a loop that cannot accept does not spin, and logs so once a minute, not a hundred times a second.

mod socket;
mod tls;

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::metrics::{Listener, Metrics};
use crate::limits::{
    ACCEPT_BACKOFF_MAX, ACCEPT_BACKOFF_MIN, ACCEPT_LOG_PAUSE, CONNECTION_REFUSAL_TIMEOUT,
    CONNECTIONS_REFUSED_MAX,
};
use crate::platform::shutdown::Watch;
pub(crate) use socket::{DetachedStream, RawStream};
pub use socket::{ListenAddress, Socket, SocketFile};
use tls::{EncryptedStream, HandshakeError};
pub use tls::{IdentityError, Tls, TlsIdentity};

/// Bytes that are read and thrown away at a time.
const UNREAD_BYTES_AT_ONCE: usize = 4_096;

/// A connection's bytes, encrypted on their way or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Why a connection is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// There are as many connections as the port serves.
    TooMany,
    /// It did not begin with TLS, which the port speaks.
    NotEncrypted,
}

impl Refusal {
    /// What the peer is told.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::TooMany => "there are too many connections",
            Self::NotEncrypted => "this port speaks TLS, and the connection did not begin with it",
        }
    }
}

/// The protocol of a port.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// Serves a connection that was just accepted, wherever the protocol likes; with `tls`, after the handshake.
    fn accept(
        self: Arc<Self>,
        (stream, tls): (RawStream, Option<Arc<Tls>>),
        slot: ConnectionSlot,
        shutdown: Watch,
    ) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        async move {
            match tls {
                Some(tls) => serve_encrypted(self, (stream, tls), slot, shutdown).await,
                None => self.serve(stream, slot, shutdown).await,
            }
        }
    }

    /// Serves one connection until it ends, which is soon after the shutdown.
    fn serve<S: Stream>(
        self: Arc<Self>,
        stream: S,
        slot: ConnectionSlot,
        shutdown: Watch,
    ) -> impl Future<Output = ()> + Send;

    /// What a connection that is not served is told, in the words of the protocol.
    fn refusal(&self, why: Refusal) -> Vec<u8>;
}

/// Makes the handshake, then serves the connection. A peer that does not speak TLS is told so in its own words.
pub(crate) async fn serve_encrypted<P: Protocol>(
    protocol: Arc<P>,
    (stream, tls): (RawStream, Arc<Tls>),
    slot: ConnectionSlot,
    mut shutdown: Watch,
) {
    let Some(shaken) = handshake_before_the_end(&tls, slot.listener, stream, &mut shutdown).await else {
        return;
    };
    let why = match shaken {
        Ok(stream) => return protocol.serve(stream, slot, shutdown).await,
        Err(HandshakeError::Plaintext(stream)) => {
            turn_away(protocol, stream, Refusal::NotEncrypted).await;
            "the peer does not speak TLS".to_owned()
        }
        Err(HandshakeError::Failed(error)) => error.to_string(),
    };
    slot.metrics.handshake_failed(slot.listener);
    tracing::debug!(why, listener = slot.listener.as_str(), peer = ?slot.peer, "a handshake failed");
}

/// Makes the handshake. Where the daemon stops meanwhile, a peer that is at it has a moment more: it is then told so by the
/// protocol. `None` where it takes longer.
async fn handshake_before_the_end(
    tls: &Tls,
    listener: Listener,
    stream: RawStream,
    shutdown: &mut Watch,
) -> Option<Result<EncryptedStream, HandshakeError>> {
    let mut handshake = pin!(tls.handshake(listener, stream));
    tokio::select! {
        biased;
        shaken = handshake.as_mut() => return Some(shaken),
        () = shutdown.stopping() => {}
    }
    timeout(tls.last_wait(), handshake).await.ok()
}

/// How many connections a port serves, and how long they may take to finish when the daemon stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) connections: usize,
    /// How many of them, at most half, are kept for clients that do not write.
    pub(crate) reserved: usize,
    pub(crate) drain_timeout: Duration,
}

/// The place of one connection: counts it, and gives place and gauge back when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    listener: Listener,
    metrics: Arc<Metrics>,
    peer: Option<IpAddr>,
    is_reserved: bool,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionSlot {
    /// The address of the peer; IPv4 as such, also where it came by IPv6. `None` on a socket of the file system.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Whether the connection has one of the places that are kept for clients that do not write.
    pub(crate) fn is_reserved(&self) -> bool {
        self.is_reserved
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.metrics.connection_closed(self.listener);
    }
}

/// The places of a port.
struct Slots {
    listener: Listener,
    metrics: Arc<Metrics>,
    ordinary: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
}

impl Slots {
    /// A place, if there is one.
    fn acquire(&self, peer: Option<IpAddr>) -> Option<ConnectionSlot> {
        let ordinary = Arc::clone(&self.ordinary).try_acquire_owned();
        let is_reserved = ordinary.is_err();
        let permit = ordinary.or_else(|_none| Arc::clone(&self.reserved).try_acquire_owned()).ok()?;
        self.metrics.connection_opened(self.listener);
        let (listener, metrics) = (self.listener, Arc::clone(&self.metrics));
        Some(ConnectionSlot { listener, metrics, peer, is_reserved, _permit: permit })
    }
}

/// Serves the port until the shutdown, then stops accepting, and returns once all connections have ended or the
/// deadline for that has passed.
pub(crate) async fn serve<P: Protocol>(
    (socket, tls): (Socket, Option<Arc<Tls>>),
    (listener, metrics): (Listener, Arc<Metrics>),
    capacity: Capacity,
    protocol: Arc<P>,
    mut shutdown: Watch,
) {
    let reserved = capacity.reserved.min(capacity.connections / 2);
    let slots = Slots {
        listener,
        metrics,
        ordinary: Arc::new(Semaphore::new(capacity.connections.saturating_sub(reserved))),
        reserved: Arc::new(Semaphore::new(reserved)),
    };
    let refusals = Arc::new(Semaphore::new(CONNECTIONS_REFUSED_MAX));
    let mut tasks = JoinSet::new();
    let mut backoff = Backoff::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.stopping() => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                log_panic(ended);
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff.accepted();
                if let Some(slot) = slots.acquire(peer) {
                    let stream = (stream, tls.clone());
                    tasks.spawn(Arc::clone(&protocol).accept(stream, slot, shutdown.clone()));
                    // A burst of connections must not hold up those that are served on the same thread.
                    yield_now().await;
                    continue;
                }
                slots.metrics.connection_refused(listener);
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    let stream = (stream, tls.clone());
                    tasks.spawn(refuse(Arc::clone(&protocol), listener, stream, permit));
                }
            }
            Err(error) => {
                if let Some(pause) = backoff.after(listener, &error, Instant::now()) {
                    tokio::select! {
                        () = shutdown.stopping() => break,
                        () = sleep(pause) => {}
                    }
                }
            }
        }
    }
    drop(socket);
    drain(tasks, listener, capacity.drain_timeout).await;
}

async fn refuse<P: Protocol>(
    protocol: Arc<P>,
    listener: Listener,
    (stream, tls): (RawStream, Option<Arc<Tls>>),
    permit: OwnedSemaphorePermit,
) {
    match tls {
        None => turn_away(protocol, stream, Refusal::TooMany).await,
        Some(tls) => match timeout(CONNECTION_REFUSAL_TIMEOUT, tls.handshake(listener, stream)).await {
            Ok(Ok(stream)) => turn_away(protocol, stream, Refusal::TooMany).await,
            Ok(Err(HandshakeError::Plaintext(stream))) => {
                turn_away(protocol, stream, Refusal::NotEncrypted).await;
            }
            Ok(Err(HandshakeError::Failed(error))) => {
                tracing::debug!(%error, "a connection that was one too many broke");
            }
            Err(_late) => tracing::debug!("a connection that was one too many made no handshake in time"),
        },
    }
    drop(permit);
}

/// Tells the peer why it is not served. It has [`CONNECTION_REFUSAL_TIMEOUT`] to read that.
async fn turn_away<P: Protocol, S: Stream>(protocol: Arc<P>, mut stream: S, why: Refusal) {
    let said = timeout(CONNECTION_REFUSAL_TIMEOUT, async {
        stream.write_all(&protocol.refusal(why)).await?;
        end(&mut stream).await
    });
    if !matches!(said.await, Ok(Ok(()))) {
        tracing::debug!(?why, "a connection that is not served did not wait for the reason");
    }
}

/// Ends what is sent, and reads on until the peer has ended its part: a close with unread bytes would make the peer's kernel
/// throw away what is on its way.
pub(crate) async fn end<S: Stream>(stream: &mut S) -> io::Result<()> {
    let mut unread = [0; UNREAD_BYTES_AT_ONCE];
    stream.shutdown().await?;
    while stream.read(&mut unread).await? != 0 {}
    Ok(())
}

async fn drain(mut tasks: JoinSet<()>, listener: Listener, deadline: Duration) {
    let finished = timeout(deadline, async {
        while let Some(ended) = tasks.join_next().await {
            log_panic(ended);
        }
    });
    if finished.await.is_err() {
        let connections = tasks.len();
        tracing::warn!(
            connections,
            listener = listener.as_str(),
            "connections did not finish in time and are cut off"
        );
        tasks.shutdown().await;
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, runbook = "A fault of its own", "a connection's task panicked");
    }
}

/// The pauses of an accept loop.
#[derive(Default, Debug)]
struct Backoff {
    /// The one before, in a run of failures.
    last: Option<Duration>,
    /// When the log is next told.
    silent_until: Option<Instant>,
}

impl Backoff {
    /// A connection was accepted, which ends a run of failures.
    fn accepted(&mut self) {
        self.last = None;
    }

    /// How long to wait before the next attempt. `None` where only that one peer is gone, which says nothing about
    /// the next; else from [`ACCEPT_BACKOFF_MIN`], twice as long each time, to [`ACCEPT_BACKOFF_MAX`], since the process
    /// is out of descriptors or memory. The log is told at most once in [`ACCEPT_LOG_PAUSE`]: where connections end, one is accepted
    /// now and then.
    fn after(&mut self, listener: Listener, error: &io::Error, now: Instant) -> Option<Duration> {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionRefused
                | ErrorKind::Interrupted
        ) {
            return None;
        }
        if self.silent_until.is_none_or(|until| now >= until) {
            self.silent_until = Some(now + ACCEPT_LOG_PAUSE);
            tracing::warn!(%error, listener = listener.as_str(), runbook = "Limits", "connections cannot be accepted for the moment");
        }
        let next =
            self.last.map_or(ACCEPT_BACKOFF_MIN, |last| last.saturating_mul(2).min(ACCEPT_BACKOFF_MAX));
        self.last = Some(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::TlsConnector;

    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_while_descriptors_are_out() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let out_of_descriptors = io::Error::from_raw_os_error(24);
        assert_eq!(backoff.after(Listener::Tcp, &out_of_descriptors, now), Some(ACCEPT_BACKOFF_MIN));
        assert_eq!(backoff.after(Listener::Tcp, &out_of_descriptors, now), Some(ACCEPT_BACKOFF_MIN * 2));
        for _ in 0..20 {
            backoff.after(Listener::Tcp, &out_of_descriptors, now);
        }
        assert_eq!(backoff.after(Listener::Tcp, &out_of_descriptors, now), Some(ACCEPT_BACKOFF_MAX));
    }

    #[test]
    fn log_is_told_once_in_a_while_also_where_some_are_accepted() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let out_of_descriptors = io::Error::from_raw_os_error(24);
        backoff.after(Listener::Tcp, &out_of_descriptors, now);
        let told_until = backoff.silent_until;
        assert_eq!(told_until, Some(now + ACCEPT_LOG_PAUSE));
        backoff.accepted();
        let soon = now + ACCEPT_LOG_PAUSE / 2;
        assert_eq!(backoff.after(Listener::Tcp, &out_of_descriptors, soon), Some(ACCEPT_BACKOFF_MIN));
        assert_eq!(backoff.silent_until, told_until);
        backoff.after(Listener::Tcp, &out_of_descriptors, now + ACCEPT_LOG_PAUSE);
        assert!(backoff.silent_until > told_until);
    }

    #[test]
    fn peer_that_vanished_makes_no_pause() {
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted] {
            assert_eq!(Backoff::default().after(Listener::Http, &kind.into(), Instant::now()), None);
        }
    }

    /// Says one word to each connection.
    struct Greeter;

    impl Protocol for Greeter {
        async fn serve<S: Stream>(self: Arc<Self>, mut stream: S, _slot: ConnectionSlot, _shutdown: Watch) {
            stream.write_all(b"served").await.unwrap();
            stream.shutdown().await.unwrap();
        }

        fn refusal(&self, _why: Refusal) -> Vec<u8> {
            b"refused".to_vec()
        }
    }

    /// Has a connection served by a daemon that stops already; what the peer reads, if it speaks at all.
    async fn told_while_stopping(tls: Tls, connector: Option<TlsConnector>) -> String {
        let (trigger, watch) = crate::platform::shutdown::channel();
        trigger.fire();
        let (ordinary, reserved) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(0)));
        let metrics = Arc::new(Metrics::default());
        let slots = Slots { listener: Listener::Http, metrics, ordinary, reserved };
        let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
        let stream = (RawStream::Unix(server), Arc::new(tls));
        let serving = serve_encrypted(Arc::new(Greeter), stream, slots.acquire(None).unwrap(), watch);
        let talking = async {
            let mut told = String::new();
            match connector {
                Some(connector) => {
                    let name = "localhost".try_into().unwrap();
                    let mut stream = connector.connect(name, client).await.unwrap();
                    stream.read_to_string(&mut told).await.unwrap();
                }
                None => _ = client.read_to_string(&mut told).await.unwrap(),
            }
            told
        };
        tokio::join!(serving, talking).1
    }

    #[tokio::test]
    async fn peer_in_its_handshake_while_the_daemon_stops_is_served_and_one_that_stalls_is_not_awaited() {
        let (tls, connector) = tls::testing::pair();
        assert_eq!(
            told_while_stopping(tls.with_last_wait(Duration::from_mins(10)), Some(connector)).await,
            "served"
        );
        let (tls, _) = tls::testing::pair();
        assert_eq!(told_while_stopping(tls.with_last_wait(Duration::from_millis(1)), None).await, "");
    }

    #[test]
    fn the_last_places_are_the_reserved_ones_and_come_back() {
        let metrics = Arc::new(Metrics::default());
        let (ordinary, reserved) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let slots = Slots { listener: Listener::Http, metrics, ordinary, reserved };
        let (first, second) = (slots.acquire(None), slots.acquire(None));
        assert_eq!(
            [&first, &second].map(|slot| slot.as_ref().map(ConnectionSlot::is_reserved)),
            [Some(false), Some(true)]
        );
        assert!(slots.acquire(None).is_none());
        drop(first);
        assert!(slots.acquire(None).is_some_and(|slot| !slot.is_reserved()));
    }
}
