//! The tasks that make up the running daemon, each with its name in messages.

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::platform::shutdown::Watch;

/// What runs until the shutdown.
#[derive(Debug)]
pub(super) struct Tasks {
    tasks: JoinSet<&'static str>,
    watch: Watch,
}

impl Tasks {
    pub(super) fn new(watch: Watch) -> Self {
        Self { tasks: JoinSet::new(), watch }
    }

    /// The shutdown, for a part to watch.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    pub(super) fn spawn(
        &mut self,
        runtime: &Runtime,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let named = async move {
            work.await;
            name
        };
        self.tasks.spawn_on(named, runtime.handle());
    }

    /// Waits until a part ends; its name. `None` when none is left.
    pub(super) async fn next_ended(&mut self) -> Option<&'static str> {
        let ended = self.tasks.join_next().await?;
        // A panic has no name; the log has it.
        Some(ended.unwrap_or("a listener"))
    }

    /// How many have not ended.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Cuts off what has not ended, and waits for it.
    pub(super) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}
