//! Why a body was not read, and what a client hears of it.

use hyper::StatusCode;

use super::failure::Failure;
use crate::net::byte_budget::BudgetSpent;
use crate::net::metrics::Bound;

/// Why a body was not read. Nothing of it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {0} bytes after decompression; send it in parts")]
    TooLong(usize),
    #[error("the content encoding is not known; gzip, zstd and identity are")]
    Encoding,
    #[error("the body is not whole, valid gzip; nothing of it was counted")]
    Gzip,
    #[error("the body is not whole, valid zstd with a window of at most 8 MiB; nothing of it was counted")]
    Zstd,
    #[error("{}", Bound::BodiesHeld.message())]
    Busy,
    #[error("the body did not come in time; nothing was counted")]
    TooSlow,
    #[error("the body ended early; nothing was counted")]
    Cut,
    #[error("a worker thread ended by a panic")]
    Worker,
}

impl BodyError {
    /// The failure where the body holds no events: a client that gives up on a 408 loses none then.
    pub(super) fn of_no_events(self) -> Failure {
        match self {
            Self::TooSlow => Failure::new(StatusCode::REQUEST_TIMEOUT, self.to_string()).and_close(),
            other => other.into(),
        }
    }
}

impl From<BudgetSpent> for BodyError {
    fn from(_: BudgetSpent) -> Self {
        Self::Busy
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let failure = |status| Self::new(status, error.to_string());
        match error {
            BodyError::TooLong(_) => failure(StatusCode::PAYLOAD_TOO_LARGE),
            BodyError::Encoding => failure(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            BodyError::Gzip | BodyError::Zstd => failure(StatusCode::BAD_REQUEST),
            BodyError::Cut => failure(StatusCode::BAD_REQUEST).and_close(),
            BodyError::Busy => Self::overloaded(Bound::BodiesHeld),
            // NOTE: never 408 here. Clients that exist give up on it and lose what their events.
            BodyError::TooSlow => failure(StatusCode::SERVICE_UNAVAILABLE).and_close(),
            BodyError::Worker => Self::internal(),
        }
    }
}
