//! The limit of open files and sockets. Knows nothing of their use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

use crate::limits::narrow;

/// Raises the limit of open descriptors as far as the system allows, and returns what it is then. The usual limit at
/// the start, 1,024, is far below the usual maximum.
pub fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut limit = current;
    if current != maximum {
        match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            Ok(()) => limit = maximum,
            // A hardened unit may forbid it, and sets the limit itself.
            Err(error) => debug!(%error, ?current, "the limit of open descriptors stays"),
        }
    }
    limit.map_or(usize::MAX, narrow)
}
