//! An entry of the dictionary: one thing that is known of a series, a story or a node, or that a story was deleted.

use super::Generation;
use crate::model::batch::{Change, Definition};
use crate::model::event::{Node, StoryId};

/// Bytes that an entry takes without its name, roughly.
const ENTRY_BYTES: usize = 12;

/// One entry of the dictionary. Applied in order they give the catalogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// The series is defined, and its story and node known.
    Series(Definition),
    /// The story is known, and has this name if one is given.
    Story { story: StoryId, name: Option<Box<str>> },
    /// The node is known, and has this name if one is given.
    Node { story: StoryId, node: Node, name: Option<Box<str>> },
    /// The story was deleted by a record that the fold of that generation folded.
    Deleted { story: StoryId, generation: Generation },
}

impl Entry {
    /// The entry that a change makes when folded under that generation.
    pub(crate) fn of_change(change: &Change, generation: Generation) -> Self {
        match change {
            Change::Story { story, name } => Self::Story { story: *story, name: name.clone() },
            Change::Node { story, node, name } => {
                Self::Node { story: *story, node: *node, name: name.clone() }
            }
            Change::DeleteStory { story } => Self::Deleted { story: *story, generation },
        }
    }

    /// What it defines, if it defines a series.
    pub(crate) fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Series(definition) => Some(definition),
            Self::Story { .. } | Self::Node { .. } | Self::Deleted { .. } => None,
        }
    }

    pub(super) fn story(&self) -> StoryId {
        match self {
            Self::Series(definition) => definition.key.story,
            Self::Story { story, .. } | Self::Node { story, .. } | Self::Deleted { story, .. } => *story,
        }
    }

    pub(super) fn name_mut(&mut self) -> Option<&mut Option<Box<str>>> {
        match self {
            Self::Story { name, .. } | Self::Node { name, .. } => Some(name),
            Self::Series(_) | Self::Deleted { .. } => None,
        }
    }

    /// Bytes that the entry takes in a file, roughly.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Story { name: Some(name), .. } | Self::Node { name: Some(name), .. } => {
                ENTRY_BYTES.saturating_add(name.len())
            }
            _ => ENTRY_BYTES,
        }
    }
}
