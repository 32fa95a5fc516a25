//! The numbers of a log that several daemons share: of the log, of who writes to it, of messages in it, and the times that
//! it gives them. A [`Position`] says what was read of it.

use std::fmt;

/// Makes a type of a number of 64 bits.
macro_rules! number {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(u64);

        impl $name {
            /// The one of that number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }
    };
}

number! {
    /// Names one life of a log. It is random, and in every message.
    LogId
}

number! {
    /// Names one life of a process that writes to a log. It is random and never saved.
    WriterId
}

number! {
    /// Counts the messages of a writer, from 1. What changes nothing, such as a witness, has 0.
    MessageNumber
}

number! {
    /// The place of a message in the log, from 1; 0 stands before the first.
    LogSequence
}

number! {
    /// A hash of all messages of a log up to one.
    ChainValue
}

number! {
    /// The time that the log gave a message, in nanoseconds since the epoch. It may jump, back too.
    LogStamp
}

number! {
    /// Names the data directory that a log begins with; 0 where that was empty.
    Origin
}

impl MessageNumber {
    /// Of what is no message of its writer's row.
    pub const NONE: Self = Self(0);

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl LogSequence {
    /// Before the first message.
    pub const START: Self = Self(0);
    /// The first message.
    pub const FIRST: Self = Self(1);

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before this; [`LogSequence::START`] stays itself.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl LogStamp {
    /// Whole seconds since the epoch; the greatest of 32 bits where they are more.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1_000_000_000).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for LogSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far somebody has read, and what: two that have the same position have read the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Position {
    /// The last message that was read.
    pub sequence: LogSequence,
    /// The chain there.
    pub chain: ChainValue,
}
