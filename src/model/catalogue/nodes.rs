//! The known nodes of all stories as a report over all goes through them: by the numbers of their rows, which lie side by
//! side, and not story by story. Knows nothing of counts.
//!
//! INVARIANT: what a [`NodeUses`] says is of one node of one tenancy, though no lock is held: the tenancy is read before and
//! after everything else of the row.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Catalogue;
use super::index::{NodeId, NodeSeries, ReadNode};
use crate::limits::narrow;
use crate::model::event::StoryId;

/// A node of a story whose row has been read, to be found again.
#[derive(Clone, Copy, Debug)]
pub struct NodePlace {
    row: u32,
    tenancy: u32,
}

/// A known node of some story.
#[derive(Clone, Copy, Debug)]
pub struct NodeUses {
    /// Where it is.
    pub place: NodePlace,
    /// Which one it is.
    pub id: NodeId,
    /// A hash of the id, from a seed, so that no client can choose ids by it.
    pub hash: u64,
    /// Whether it has a display name.
    pub is_named: bool,
    /// Its series, by [`crate::model::event::Source::index`], where defined.
    pub series: NodeSeries,
}

impl Catalogue {
    /// How many nodes of all stories are known, at most. Never blocks.
    pub fn nodes_at_most(&self) -> usize {
        narrow(self.nodes_end.load(Ordering::Relaxed))
    }

    /// Calls `f` for every known node of every story. Never blocks, and touches no more of a node than its row.
    pub fn for_each_node(&self, f: &mut dyn FnMut(NodeUses)) {
        for row in 0..self.nodes_end.load(Ordering::Relaxed) {
            if let Some((hash, ReadNode { tenancy, id, is_named, series })) = self.index.read_node(row) {
                f(NodeUses { place: NodePlace { row, tenancy }, id, hash, is_named, series });
            }
        }
    }

    /// The story of a node; `None` where that has been evicted. Never blocks for long.
    pub fn story_of_node(&self, place: NodePlace) -> Option<StoryId> {
        let (story, _) = self.index.node_row(place.row)?.story_and_place();
        let tenant = self.story_numbered(story)?.tenant();
        (tenant.tenancy == place.tenancy).then_some(tenant.story)
    }

    /// The display name of a node; `None` where it has none, or is not known any more. Blocks only while its story is written.
    pub fn name_of_node(&self, place: NodePlace) -> Option<Arc<str>> {
        let (story, at) = self.index.node_row(place.row)?.story_and_place();
        let story = self.story_numbered(story)?;
        let inner = story.read();
        // The rows of a story that was evicted may be another's.
        let is_same = story.tenant().tenancy == place.tenancy;
        inner.nodes.get(narrow(at)).filter(|node| is_same && node.row == place.row)?.name()
    }
}
