//! What can go wrong with the daemon as a whole.

use std::io;

use crate::net::listener::ListenAddress;
use crate::store::{CloseError, OpenError};

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The machine gives no threads or signals.
    #[error("the daemon's threads cannot be started")]
    Runtime(#[source] io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("{address} cannot be listened on for {port}")]
    Bind {
        /// Which port: `HTTP` or `lines`.
        port: &'static str,
        /// The address.
        address: ListenAddress,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A part of the daemon ended by itself.
    #[error(
        "{part} has ended by itself, which is a bug; acknowledged events are safe and a restart reads them"
    )]
    Ended {
        /// Which part.
        part: &'static str,
    },
    /// The store could not be closed as it should; what was acknowledged is in the journal.
    #[error("the data directory was not closed in order")]
    Close(#[from] CloseError),
}
