//! The poison of the store: why it takes nothing more until a restart.
//!
//! The protocol, in one place. A failed sync, a write that could not be undone, or the panic of a thread poisons the
//! store; the first cause stays. From then on
//! - a batch that was never staged is refused as poisoned: nothing of it was counted, and nothing of it will be;
//! - a batch that was staged has an unknown outcome, for a restart may find its record on the disk;
//! - nothing is synced, sealed or folded any more, since the kernel reports a lost page only once;
//! - reports go on.

use std::sync::OnceLock;

use tokio::sync::watch;

/// Why the store is poisoned. The words are for clients and name no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoisonCause {
    /// A sync of the journal failed: the disk may lack what was written before.
    #[error("the disk failed in a sync")]
    SyncFailed,
    /// A write failed half way and could not be undone.
    #[error("the disk failed in a write")]
    WriteFailed,
    /// A thread of the store panicked.
    #[error("an internal error stopped the {0} thread")]
    Panicked(&'static str),
}

/// Whether the store is poisoned. Reading it takes no lock.
#[derive(Debug, Default)]
pub(super) struct Poison {
    cause: OnceLock<PoisonCause>,
    panicked: watch::Sender<bool>,
}

impl Poison {
    /// Why the store is poisoned; `None` while it is not.
    pub(super) fn cause(&self) -> Option<PoisonCause> {
        self.cause.get().copied()
    }

    /// Poisons the store. A panic also wakes everybody who watches for one.
    pub(super) fn set(&self, cause: PoisonCause) {
        self.cause.get_or_init(|| cause);
        if let PoisonCause::Panicked(_) = cause {
            self.panicked.send_replace(true);
        }
    }

    /// Sees whether a thread of the store panicked.
    pub(super) fn watch_panic(&self) -> watch::Receiver<bool> {
        self.panicked.subscribe()
    }
}
