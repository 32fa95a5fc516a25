//! SIGINT and SIGTERM while something is sent: the first asks for an end after the batch under way, a second ends the process.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a process that a second signal ends: what a shell gives one that SIGINT killed.
const KILLED: i32 = 130;

/// Whether the user wants to stop.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for signals on a thread of its own, which ends with the process.
    pub(super) fn watch() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let watched = Self(Arc::clone(&asked));
        let mut signals = {
            let _entered = runtime.enter();
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
        };
        let listen = move || {
            runtime.block_on(async {
                loop {
                    let [interrupt, terminate] = &mut signals;
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if asked.swap(true, Ordering::AcqRel) {
                        end();
                    }
                }
            });
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listen).context("no thread for signals")?;
        Ok(watched)
    }

    /// Whether a signal came.
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread that would return a code waits for a daemon")]
fn end() {
    process::exit(KILLED);
}
