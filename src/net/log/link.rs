//! What is asked of a log, and what comes from it: the requests and events of [`Member`](crate::cluster::member::Member) that
//! are about the log, owning what they carry. Knows nothing of which log it is.

use std::time::Duration;

use bytes::Bytes;

use crate::cluster::follow::{LogState, Server};
use crate::cluster::position::{LogSequence, LogStamp};
use crate::cluster::publish::{Ack, Sending};

/// What is asked of a log.
#[derive(Clone, Debug)]
pub enum Order {
    /// A consumer that begins at that place takes the place of the one that there is.
    Consume(LogSequence, Server),
    /// The state of the log.
    State,
    /// The same, at that moment: not for who follows the log, but for how far behind it this is.
    Look(Duration),
    /// That message, of the log's leader.
    Fetch(LogSequence),
    /// A message is sent.
    Send(Sending),
}

/// What comes from it.
#[derive(Clone, Debug)]
pub enum Report {
    /// It can be reached.
    Connected(Connected),
    /// It cannot be reached any more. Nothing that was asked before is answered after this.
    Disconnected(LogError),
    /// It could not be reached, and still cannot.
    Away(LogError),
    /// The consumer has delivered a message; and the last one that the log is known to have.
    Delivered(LogSequence, StoredMessage, LogSequence),
    /// A message that was asked for, or that there is none; and how far the server that says so reaches.
    Fetched(LogSequence, Option<StoredMessage>, LogState),
    /// The state, which was asked for.
    State(LogState),
    /// The state, and the last moment of which is known that who says so led most of the log's servers, until it was asked; `None`
    /// where no such moment is known.
    Looked(Option<Duration>, LogState),
    /// What the log says of a sending.
    Acked(Sending, Ack),
}

/// What is known of a log that can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connected {
    /// The server, by its name and version.
    pub server: String,
    /// The longest message that it takes, in bytes.
    pub message_bytes_max: usize,
    /// What is not as it should be, and yet may be lived with.
    pub warnings: Vec<String>,
}

/// A message as the log has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMessage {
    /// The time that the log gave it.
    pub stamp: LogStamp,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why a log cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// No server answers as one.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// The server that was tried.
        server: String,
        /// What the client says.
        why: String,
    },
    /// The connection broke.
    #[error("the connection to {server} is lost")]
    Lost {
        /// The server.
        server: String,
    },
    /// Its servers do not answer, as where most of them are away.
    #[error("the log does not answer: {0}")]
    Silent(String),
    /// The server's version has faults that cost messages.
    #[error(
        "{server} runs nats-server {version}; 2.12 or later is needed, since earlier ones lose messages in a leader change"
    )]
    TooOld {
        /// The server.
        server: String,
        /// Its version.
        version: String,
    },
    /// There is no such log.
    #[error("there is no log of the name {0}; make it with `tallyd cluster init`")]
    NoLog(String),
    /// It is not kept as it must be.
    #[error("the log cannot be used as it is kept: {0}")]
    Unfit(String),
    /// A request is refused.
    #[error("the log refuses what is asked of it: {0}")]
    Refused(String),
}

/// A connection to a log, which is made anew by itself whenever it is lost.
pub trait Link: Send {
    /// Asks something of the log. What cannot be asked while it is away is dropped.
    fn order(&mut self, order: Order);

    /// What comes next. May be dropped at any time without loss.
    fn next(&mut self) -> impl Future<Output = Report> + Send;
}
