//! The line port: a thin shell of sockets around [`session`], which decides. Accepts connections, bounded in
//! number, and ends them when the daemon stops. Knows nothing of the journal, snapshots or HTTP.
//!
//! INVARIANT: a connection can hold up nobody but itself.

mod answers;
mod buffer;
mod command;
mod connection;
mod session;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::limits::{TCP_DRAIN, TCP_KEEPALIVE};
use crate::model::catalogue::Catalogue;
use crate::net::auth::Auth;
use crate::net::metrics::{Entrance, Metrics};
use crate::net::pause::AcceptPause;
use crate::platform::clock::Clock;
use crate::platform::shutdown::Watch;
use crate::store::Door;

/// What every connection of the line port works with.
#[derive(Debug)]
pub struct Context {
    /// Where batches go.
    pub door: Door,
    /// What the parsers intern into.
    pub catalogue: Arc<Catalogue>,
    /// Who may send events.
    pub auth: Arc<Auth>,
    /// What is counted about the port itself.
    pub metrics: Arc<Metrics>,
    /// When lines arrive.
    pub clock: Clock,
    /// How far ahead of the clock an event may be.
    pub max_future: Duration,
    /// Connections that are served at a time; one more is turned away. [`TCP_CONNECTIONS_MAX`] but in tests.
    ///
    /// [`TCP_CONNECTIONS_MAX`]: crate::limits::TCP_CONNECTIONS_MAX
    pub connections_max: usize,
}

/// Serves the line port until the daemon stops and its connections have finished, or their deadline has passed.
/// Connections that have not finished by then are cut off, and how many is logged.
pub async fn serve(listener: TcpListener, context: Arc<Context>, shutdown: Watch) {
    let mut connections = JoinSet::new();
    accept_all(&listener, &context, &shutdown, &mut connections).await;
    drop(listener);
    let finished = tokio::time::timeout(TCP_DRAIN, async {
        while let Some(ended) = connections.join_next().await {
            note_panic(ended);
        }
    });
    if finished.await.is_err() {
        warn!(
            connections = connections.len(),
            deadline_seconds = TCP_DRAIN.as_secs(),
            "connections of the line port did not finish in time and are cut off"
        );
        connections.shutdown().await;
    }
}

async fn accept_all(
    listener: &TcpListener,
    context: &Arc<Context>,
    shutdown: &Watch,
    connections: &mut JoinSet<()>,
) {
    let mut stopping = shutdown.clone();
    let mut pause = AcceptPause::default();
    loop {
        let accepted = tokio::select! {
            () = stopping.stopping() => return,
            Some(ended) = connections.join_next() => {
                note_panic(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                pause = AcceptPause::default();
                if connections.len() >= context.connections_max {
                    context.metrics.connection_refused(Entrance::Tcp);
                    turn_away(&stream);
                } else {
                    prepare(&stream);
                    connections.spawn(connection::run(stream, Arc::clone(context), shutdown.clone()));
                }
            }
            Err(error) => {
                if let Some(pause) = pause.after("tcp", &error) {
                    tokio::select! {
                        () = stopping.stopping() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }
}

fn turn_away(stream: &TcpStream) {
    // A new socket has room for this; where it does not, closing says enough.
    if stream.try_write(b"ERR 0 too many connections\n").is_err() {}
}

/// Answers are short and waited for; peers that vanish must be found.
fn prepare(stream: &TcpStream) {
    let (idle, interval, probes) = TCP_KEEPALIVE;
    let prepared = stream.set_nodelay(true).and_then(|()| {
        rustix::net::sockopt::set_socket_keepalive(stream, true)?;
        rustix::net::sockopt::set_tcp_keepidle(stream, idle)?;
        rustix::net::sockopt::set_tcp_keepintvl(stream, interval)?;
        rustix::net::sockopt::set_tcp_keepcnt(stream, probes)?;
        Ok(())
    });
    if let Err(error) = prepared {
        info!(%error, "a connection of the line port goes without keepalive");
    }
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection of the line port ended by a bug");
    }
}
