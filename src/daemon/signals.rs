//! The signals that the daemon handles. Knows nothing of what they lead to.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT: stop; a second one: sooner.
    Stop,
    /// SIGHUP: read files anew.
    Reload,
}

/// SIGHUP from now on, instead of ending by it. Must be called within a runtime.
pub(super) fn hang_ups() -> io::Result<Stream> {
    signal(SignalKind::hangup())
}

/// The signals that come from now on.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// Handles the others as well from now on, instead of ending by them. Must be called within a runtime.
    pub(super) fn listen(hang_up: Stream) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.terminate.recv() => Signal::Stop,
            Some(()) = self.interrupt.recv() => Signal::Stop,
            Some(()) = self.hang_up.recv() => Signal::Reload,
            // All three have ended, which happens only while the process ends.
            else => std::future::pending().await,
        }
    }
}
