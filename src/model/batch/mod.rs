//! The unit of writing: what one read of a socket or one request adds, as increments of numbered series.
//! Knows nothing of files, sockets or processes. The numbers of series are this data directory's own. A batch may have a
//! key, under which it counts once.
//!
//! INVARIANT: every series named in `increments` is durable as of `deletions`, or has its definition in `definitions`.

pub mod erasure;

use crate::model::calendar::Hour;
use crate::model::cells::Month;
pub use crate::model::event::SeriesId;
use crate::model::event::{Node, SeriesKey, StoryId};
use crate::model::named::named_enum;
use erasure::Erasure;

/// Adds `count` to one counter. A count of 0 changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Increment {
    /// The series to add to.
    pub series: SeriesId,
    /// The hour to add in.
    pub hour: Hour,
    /// How much to add.
    pub count: u32,
}

/// Binds an id to the series that it names, and makes that series' story and interaction known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition {
    /// The id.
    pub id: SeriesId,
    /// What it names.
    pub key: SeriesKey,
}

/// A change of the catalogue. Changes of a batch apply in order, after its definitions, before its increments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The story is known, and has this name if one is given.
    Story {
        /// The story.
        story: StoryId,
        /// Its new display name; `None` leaves the name as it is.
        name: Option<Box<str>>,
    },
    /// The interaction node is known (and so its story), and has this name if one is given.
    Node {
        /// The story the node belongs to.
        story: StoryId,
        /// The node.
        node: Node,
        /// Its new display name; `None` leaves the name as it is.
        name: Option<Box<str>>,
    },
    /// The story, its interactions, names and counters are gone.
    DeleteStory {
        /// The story.
        story: StoryId,
    },
}

impl Change {
    /// The story that it changes.
    pub fn story(&self) -> StoryId {
        match self {
            Self::Story { story, .. } | Self::Node { story, .. } | Self::DeleteStory { story } => *story,
        }
    }
}

/// What a batch is recognised by when it is sent again: a hash of what its sender says of it. Not the key itself, which
/// may be long and may be a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyId(pub [u8; 16]);

named_enum! {
    /// By which rule a batch is recognised.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum KeyRule {
        /// Its sender gave it an idempotency key.
        Key = "key",
        /// Its sender can give none: it is recognised by all of its content, for a while.
        Window = "window",
    }
}

impl KeyRule {
    /// Its place in [`KeyRule::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Key => 0,
            Self::Window => 1,
        }
    }
}

/// A batch as it is recognised, before anything of it is parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchIdentity {
    /// By which rule.
    pub rule: KeyRule,
    /// What it is recognised by.
    pub id: KeyId,
    /// A hash of the content: the same key with another content is a mistake of its sender.
    pub content: u64,
}

/// A line of a batch that was not counted, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedLine {
    /// Its number, from 1, within the batch.
    pub line: u64,
    /// What is wrong with it.
    pub message: Box<str>,
}

/// What the sender of a batch with a key was answered, to answer it again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyedAnswer {
    /// Lines that were counted.
    pub accepted: u32,
    /// Lines that were not.
    pub rejected: u32,
    /// The first of those.
    pub bad_lines: Box<[RejectedLine]>,
}

impl KeyedAnswer {
    /// Bytes of the list of bad lines.
    pub fn bad_line_bytes(&self) -> usize {
        self.bad_lines.iter().map(|bad| size_of::<RejectedLine>().saturating_add(bad.message.len())).sum()
    }
}

/// The key of a batch, when it was taken and how it was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchKey {
    /// What it is recognised by.
    pub identity: BatchIdentity,
    /// When it was taken, in seconds since the epoch.
    pub taken: u32,
    /// The answer.
    pub answer: KeyedAnswer,
}

/// Increments and catalogue changes that take effect together or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Its key, if it has one.
    pub key: Option<Box<BatchKey>>,
    /// The catalogue's count of deletions when the batch was begun; see the invariant above.
    pub deletions: u64,
    /// Counts that go, before anything else of the batch takes effect.
    pub erasure: Option<Box<Erasure>>,
    /// All counts of hours before this month go, for ever, before anything else of the batch takes effect.
    pub dropped_before: Option<Month>,
    /// Series that were not durable when the batch was made.
    pub definitions: Vec<Definition>,
    /// Catalogue changes, in order.
    pub changes: Vec<Change>,
    /// The increments, in order of arrival.
    pub increments: Vec<Increment>,
}

impl Batch {
    /// Whether the batch would change nothing.
    pub fn is_empty(&self) -> bool {
        self.key.is_none()
            && self.erasure.is_none()
            && self.dropped_before.is_none()
            && self.definitions.is_empty()
            && self.changes.is_empty()
            && self.increments.is_empty()
    }
}
