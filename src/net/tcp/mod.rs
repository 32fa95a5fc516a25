//! The line port: a thin shell of sockets around [`session`], which decides. Knows nothing of the journal, snapshots or
//! HTTP.
//!
//! INVARIANT: a connection can delay no other connection.

mod answers;
mod buffer;
mod command;
mod connection;
mod session;
#[cfg(any(test, fuzzing))]
pub(crate) use session::testing;

use std::sync::Arc;

use super::Services;
use super::byte_budget::ByteBudget;
use super::listener::{self, Capacity, ConnectionSlot, Protocol, Refusal, Socket, Stream};
use super::metrics::Listener;
use crate::limits::{LINE_MEMORY_BYTES_MAX, TCP_DRAIN};
use crate::platform::shutdown::Watch;

/// What all connections of the port share.
#[derive(Debug)]
struct TcpShared {
    services: Services,
    /// For long lines and unread answers.
    memory: ByteBudget,
}

/// Serves the line port until the daemon stops and its connections have finished, or their deadline has passed.
/// At most `connections` of them are served at a time.
pub async fn serve(socket: Socket, services: Services, connections: usize, shutdown: Watch) {
    let metrics = Arc::clone(&services.metrics);
    let capacity = Capacity { connections, reserved: 0, drain_timeout: TCP_DRAIN };
    let tls = services.tls.clone().filter(|_| socket.is_tcp());
    let shared = Arc::new(TcpShared { services, memory: ByteBudget::new(LINE_MEMORY_BYTES_MAX) });
    listener::serve((socket, tls), (Listener::Tcp, metrics), capacity, shared, shutdown).await;
}

impl Protocol for TcpShared {
    async fn serve<S: Stream>(self: Arc<Self>, stream: S, slot: ConnectionSlot, shutdown: Watch) {
        connection::run(stream, &self, slot.peer(), shutdown).await;
        drop(slot);
    }

    fn refusal(&self, why: Refusal) -> Vec<u8> {
        format!("ERR 0 {}\n", why.message()).into()
    }
}
