//! How long an accept loop waits after a failure. Knows nothing of sockets but the kinds of their errors.
//!
//! INVARIANT: a loop that cannot accept does not spin, and says so once, not a hundred times a second.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::limits::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN};

/// The pauses of one accept loop. A new one after each success.
#[derive(Default, Debug)]
pub(crate) struct AcceptPause {
    last: Option<Duration>,
}

impl AcceptPause {
    /// How long to wait before the next attempt. `None` where only that one peer is gone, which says nothing about
    /// the next; else from [`ACCEPT_PAUSE_MIN`], twice as long each time, to [`ACCEPT_PAUSE_MAX`], since the process is
    /// out of descriptors or memory. The first of a run is logged, with the name of the port.
    pub(crate) fn after(&mut self, port: &'static str, error: &io::Error) -> Option<Duration> {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionRefused
                | ErrorKind::Interrupted
        ) {
            return None;
        }
        if self.last.is_none() {
            tracing::warn!(%error, port, "connections cannot be accepted for the moment");
        }
        let next = self.last.map_or(ACCEPT_PAUSE_MIN, |last| last.saturating_mul(2).min(ACCEPT_PAUSE_MAX));
        self.last = Some(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_while_descriptors_are_out() {
        let mut pause = AcceptPause::default();
        let out_of_descriptors = io::Error::from_raw_os_error(24);
        assert_eq!(pause.after("test", &out_of_descriptors), Some(ACCEPT_PAUSE_MIN));
        assert_eq!(pause.after("test", &out_of_descriptors), Some(ACCEPT_PAUSE_MIN * 2));
        for _ in 0..20 {
            pause.after("test", &out_of_descriptors);
        }
        assert_eq!(pause.after("test", &out_of_descriptors), Some(ACCEPT_PAUSE_MAX));
    }

    #[test]
    fn peer_that_vanished_makes_no_pause() {
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted] {
            assert_eq!(AcceptPause::default().after("test", &kind.into()), None);
        }
    }
}
