//! The unit of writing: what one read of a socket or one request adds, as increments of numbered series.
//! Knows nothing of files, sockets or processes. The numbers of series are this data directory's own.
//!
//! INVARIANT: every series named in `increments` is durable as of `deletions`, or has its definition in `definitions`.

use crate::model::calendar::Hour;
pub use crate::model::event::SeriesId;
use crate::model::event::{Node, SeriesKey, StoryId};

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

/// Increments and catalogue changes that take effect together or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// The catalogue's count of deletions when the batch was begun; see the invariant above.
    pub deletions: u64,
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
        self.definitions.is_empty() && self.changes.is_empty() && self.increments.is_empty()
    }
}
