//! A thread of the store that is waited for with a deadline, and whose panic is not overlooked.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError};

use super::error::{CloseError, OpenError};
use super::poison::PoisonCause;
use super::status::Status;
use crate::platform::disk::Lock;

/// A running thread and what it will give.
#[derive(Debug)]
pub(super) struct Worker<T> {
    name: &'static str,
    outcome: Receiver<T>,
}

/// What every thread of a store has.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) status: Arc<Status>,
    /// No other daemon may begin while one of the threads may still write.
    pub(super) lock: Arc<Lock>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts `work` on a thread of that name.
    pub(super) fn start(
        name: &'static str,
        context: &Context,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, OpenError> {
        let (sender, outcome) = channel::bounded(1);
        let guard = PanicGuard { name, status: Arc::clone(&context.status) };
        let lock = Arc::clone(&context.lock);
        // The thread is not joined: its outcome, or the loss of the sender in a panic, is its end.
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _guard = guard;
                let outcome = work();
                // Before anybody learns that this thread has ended.
                drop(lock);
                // Nobody waits where the store was dropped without closing.
                drop(sender.send(outcome));
            })
            .map_err(|source| OpenError::Thread { name, source })?;
        Ok(Self { name, outcome })
    }

    /// Waits for the thread's end, at most so long.
    pub(super) fn wait(&self, at_most: Duration) -> Result<T, CloseError> {
        self.outcome.recv_timeout(at_most).map_err(|error| match error {
            RecvTimeoutError::Timeout => CloseError::Late { name: self.name },
            RecvTimeoutError::Disconnected => CloseError::Panicked { name: self.name },
        })
    }
}

/// Notes the panic of its thread. State that a panic left half changed is shared and must not be gone on with.
struct PanicGuard {
    name: &'static str,
    status: Arc<Status>,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.status.poison().set(PoisonCause::Panicked(self.name));
        }
    }
}
