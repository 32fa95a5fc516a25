//! The threads that serve the ports, each port on threads of its own. A sender that is never done keeps a thread of the
//! line port busy for a millisecond at a time, and a report that waited for such threads would wait for many such
//! times. With threads of their own the kernel shares the cores out, and runs first whoever used them least.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::limits::{BLOCKING_THREADS_MAX, HTTP_EVENT_INTERVAL, RUNTIME_STOP, TCP_EVENT_INTERVAL};

/// The runtimes of the daemon.
#[derive(Debug)]
pub(super) struct Runtimes {
    /// HTTP, and all that is not a line connection.
    pub(super) requests: Runtime,
    pub(super) lines: Runtime,
}

impl Runtimes {
    pub(super) fn build() -> io::Result<Self> {
        Ok(Self {
            requests: build("tallyd-http", HTTP_EVENT_INTERVAL)?,
            lines: build("tallyd-lines", TCP_EVENT_INTERVAL)?,
        })
    }

    /// Ends the threads; one that is still busy after [`RUNTIME_STOP`] is left to the end of the process.
    pub(super) fn stop(self) {
        self.lines.shutdown_timeout(RUNTIME_STOP);
        self.requests.shutdown_timeout(RUNTIME_STOP);
    }
}

fn build(threads: &str, polls_per_look: u32) -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .event_interval(polls_per_look)
        .thread_name(threads)
        .enable_all()
        .build()
}
