//! What batches are answered, and what the log says of a message that was sent.

use crate::cluster::position::{LogSequence, WriterId};
use crate::model::batch::KeyedAnswer;

/// Names a batch that was taken, until it is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Who hands a batch over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The writer under which earlier batches of its connection went out that are not answered yet, if there are any.
    pub after: Option<WriterId>,
    /// How long it waits for its answer.
    pub patience: Patience,
}

/// How long somebody waits for the answer to a batch that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Not for ever: after a while the outcome is unknown.
    Bounded,
    /// As long as it takes.
    Unbounded,
}

impl Sender {
    /// A request, which is nobody's next.
    pub const REQUEST: Self = Self { after: None, patience: Patience::Bounded };

    /// A connection, whose batches keep their order.
    pub fn connection(after: Option<WriterId>) -> Self {
        Self { after, patience: Patience::Unbounded }
    }
}

/// What became of a batch. A connection that was told that one is unknown sends nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It was read back there, and has an outcome.
    Applied(LogSequence, PartOutcome),
    /// It may be counted, once, or may not.
    Unknown,
    /// Nothing of it is or will be counted.
    Refused(Refused),
}

/// What a part of a message came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartOutcome {
    /// It counts.
    Counted,
    /// It was counted before, under its key, and is answered as then.
    Repeated(KeyedAnswer),
    /// Another batch was counted under its key.
    Conflict,
}

/// Why a batch is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The log cannot be reached.
    #[error("the log cannot be reached")]
    Away,
    /// Too much waits for the log.
    #[error("too much waits for the log")]
    Busy,
    /// It fits no message.
    #[error("the batch makes a message of {bytes} bytes, the log takes {bytes_max}")]
    TooLarge {
        /// Bytes of its message.
        bytes: usize,
        /// Bytes that are allowed.
        bytes_max: usize,
    },
    /// The daemon writes to the log as another writer now, and this could overtake what is still under way.
    #[error("the log has refused a message; send the events again")]
    Renewed,
    /// The log has had as many writers as it can have.
    #[error("the log has had too many writers; it takes messages of those alone; make another log")]
    Full,
    /// Nothing more is published, for a reason in words.
    #[error("{0}")]
    Stopped(Box<str>),
}

/// What the log says of a message that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ack {
    /// It is stored there. That may be false.
    Stored(LogSequence),
    /// It was stored there before. That may be false, too.
    Duplicate(LogSequence),
    /// It could not be sent, or there is no leader: again, later.
    Failed,
    /// A plain no: it is too large, or not allowed.
    Refused,
}
