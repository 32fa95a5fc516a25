//! Starts the node of a daemon that shares a log, and stops it once the ports are closed.

use std::io;
use std::sync::Arc;

#[cfg(feature = "cluster")]
use tokio::task::JoinHandle;

use super::config::Config;
use super::runtimes::Runtimes;
use super::tasks::Tasks;
use crate::net::log::LogServices;
use crate::platform::clock::Clock;
#[cfg(feature = "cluster")]
use crate::platform::shutdown;
use crate::store::Store;

/// The node, where a log is shared.
#[derive(Debug, Default)]
pub(super) struct LogNode {
    #[cfg(feature = "cluster")]
    running: Option<RunningNode>,
}

/// A node that runs.
#[cfg(feature = "cluster")]
#[derive(Debug)]
struct RunningNode {
    task: JoinHandle<()>,
    stop: shutdown::Trigger,
    /// Fires when it ends by itself.
    ended: shutdown::Watch,
}

#[cfg(feature = "cluster")]
impl LogNode {
    /// Starts the node: from now on only what is read of the log is counted.
    pub(super) fn start(
        config: &Config,
        store: &Store,
        runtimes: &Runtimes,
        clock: &Clock,
    ) -> io::Result<(Self, Option<Arc<LogServices>>)> {
        use crate::net::log::door::Door;
        use crate::net::log::nats::NatsLink;
        use crate::net::log::node::{Node, writers};
        use crate::net::log::state::NodeState;

        let Some(config) = &config.cluster else { return Ok((Self::default(), None)) };
        let view = store.log_view();
        let read = view.position().map(|position| position.sequence).unwrap_or_default();
        let state = Arc::new(NodeState::new(read));
        let (door, queue) = Door::new(Arc::clone(&state), Arc::clone(store.catalogue()), clock.clone());
        let link = NatsLink::new(config.address.clone());
        let (from, way) = ((view.clone(), store.log_handle()), (Arc::clone(&state), queue));
        let node = Node::new(from, link, way, writers()?, clock.clone());
        let (stop, watch) = shutdown::channel();
        let (ending, ended) = shutdown::channel();
        let task = runtimes.requests.spawn(async move {
            node.run(watch).await;
            // Also where it has panicked, which drops this.
            ending.fire();
        });
        let services = LogServices { door, state, view, role: config.role, max_lag: config.max_lag };
        let running = Some(RunningNode { task, stop, ended });
        Ok((Self { running }, Some(Arc::new(services))))
    }

    /// Has it noticed where the node ends by itself.
    pub(super) fn watch(&self, tasks: &mut Tasks, runtimes: &Runtimes) {
        let Some(running) = &self.running else { return };
        let (mut ended, mut daemon) = (running.ended.clone(), tasks.watch());
        tasks.spawn(&runtimes.requests, "the node of the log", async move {
            tokio::select! {
                () = ended.stopping() => {}
                () = daemon.stopping() => {}
            }
        });
    }

    /// Lets it record what it has read.
    pub(super) async fn stop(self) {
        let Some(RunningNode { task, stop, .. }) = self.running else { return };
        stop.fire();
        let abort = task.abort_handle();
        if tokio::time::timeout(crate::limits::LOG_STOP_MAX, task).await.is_err() {
            tracing::warn!("the node of the log did not end in time");
            abort.abort();
        }
    }
}

/// Without the feature there is none: the configuration refuses to name a log.
#[cfg(not(feature = "cluster"))]
#[expect(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    clippy::unused_async,
    reason = "as with the feature"
)]
impl LogNode {
    pub(super) fn start(
        _config: &Config,
        _store: &Store,
        _runtimes: &Runtimes,
        _clock: &Clock,
    ) -> io::Result<(Self, Option<Arc<LogServices>>)> {
        Ok((Self::default(), None))
    }

    pub(super) fn watch(&self, _tasks: &mut Tasks, _runtimes: &Runtimes) {}

    pub(super) async fn stop(self) {}
}
