//! The threads that serve the ports, each port on threads of its own. A sender that is never done keeps a thread of the
//! line port busy for a millisecond at a time, and a report that waited for such threads would wait for many such
//! times. With threads of their own the kernel shares the cores out, and runs first whoever used them least. So `/health`
//! has a thread of its own too: it waits neither for other requests nor, since that thread hardly runs, long for a core.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::limits::{
    BACKUPS_MAX, BLOCKING_THREADS_MAX, HEAVY_NICENESS, HEAVY_QUERIES_MAX, HTTP_EVENT_INTERVAL, RUNTIME_STOP,
    TCP_EVENT_INTERVAL,
};

/// The runtimes of the daemon.
#[derive(Debug)]
pub(super) struct Runtimes {
    /// Accepts HTTP connections and answers what takes no time, such as `/health`, on one thread that does nothing else.
    pub(super) quick: Runtime,
    /// HTTP, and all that is not a line connection.
    pub(super) requests: Runtime,
    pub(super) lines: Runtime,
    /// Queries over very many series, and backups, on threads that let those go first whom somebody waits for.
    pub(super) heavy: Runtime,
}

impl Runtimes {
    pub(super) fn build() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
        Ok(Self {
            quick: build("tallyd-quick", 1, HTTP_EVENT_INTERVAL)?,
            requests: build("tallyd-http", cores, HTTP_EVENT_INTERVAL)?,
            lines: build("tallyd-lines", cores, TCP_EVENT_INTERVAL)?,
            // No thread drives it; it is there for its blocking threads.
            heavy: Builder::new_current_thread()
                .thread_name("tallyd-heavy")
                .max_blocking_threads(HEAVY_QUERIES_MAX.saturating_add(BACKUPS_MAX))
                .on_thread_start(give_way)
                .build()?,
        })
    }

    /// Ends the threads; one that is still busy after [`RUNTIME_STOP`] is left to the end of the process.
    pub(super) fn stop(self) {
        self.lines.shutdown_timeout(RUNTIME_STOP);
        self.quick.shutdown_timeout(RUNTIME_STOP);
        self.requests.shutdown_timeout(RUNTIME_STOP);
        self.heavy.shutdown_timeout(RUNTIME_STOP);
    }
}

fn build(name: &str, threads: usize, polls_per_look: u32) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .event_interval(polls_per_look)
        .thread_name(name)
        .enable_all()
        .build()
}

fn give_way() {
    // Without a process it is about the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, HEAVY_NICENESS) {
        tracing::info!(%error, "a thread of heavy queries keeps its nice value and competes with the others");
    }
}
