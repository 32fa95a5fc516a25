//! The log that several daemons share, as the network has it: where it is, what is asked of it, the connection to it, and the node that
//! keeps them together with the store. What is made of the log is decided in [`cluster`](crate::cluster).

pub mod address;
#[cfg(feature = "cluster")]
mod api;
pub mod credentials;
pub mod door;
#[cfg(feature = "cluster")]
pub mod genesis;
pub mod link;
#[cfg(feature = "cluster")]
pub mod nats;
#[cfg(feature = "cluster")]
pub mod node;
pub mod state;
#[cfg(feature = "cluster")]
mod stream;

use std::sync::Arc;
use std::time::Duration;

use crate::store::LogView;
use door::Door;
use state::{NodeState, Role};

/// What the ports have of the log, where several daemons share one.
#[derive(Clone, Debug)]
pub struct LogServices {
    /// Where batches go.
    pub door: Door,
    /// How the node is.
    pub state: Arc<NodeState>,
    /// What was read.
    pub view: LogView,
    /// What the ports are open for.
    pub role: Role,
    /// How far behind the log the node may be and still call itself ready.
    pub max_lag: Duration,
}
