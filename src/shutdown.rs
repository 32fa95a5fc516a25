//! One trigger, many watchers: how every task learns that the daemon is stopping. Knows nothing of signals.

use tokio::sync::watch;

/// Makes the shutdown known. Dropping it without firing counts as firing, so that no task can be left behind.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Sees the shutdown. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<bool>);

/// A trigger and its first watcher.
pub fn channel() -> (Trigger, Watch) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Watch(receiver))
}

impl Trigger {
    /// Tells every watcher. Firing again changes nothing.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }
}

impl Watch {
    /// Whether the daemon is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until the daemon is stopping.
    pub async fn stopping(&mut self) {
        // An error means that the trigger is gone, which counts as firing.
        if self.0.wait_for(|stopping| *stopping).await.is_err() {}
    }
}
