//! The index: from the bytes of a story's id, or of a story's and a node's, to a row with its series. All parsers share it
//! and read it without a lock, so what one connection has taught it every other one knows. Knows neither names nor counts.
//!
//! INVARIANT: a row is found only under the very ids that it was added under. It never moves; it is freed with its story
//! and then given to another, which readers see by the row's tenancy.
//! INVARIANT: a link says *durable* only while the series is: the mark is taken back before the catalogue's count of
//! deletions goes up. A thread that reads that count first sees no older mark.
//!
//! Hash tables that were replaced stay while a parser has them: at most as much again as the newest.

mod growing_table;
mod hash_table;
mod row;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::CatalogueLimits;
use crate::limits::{INDEX_SLOTS_MIN, narrow};
use crate::model::event::{IdText, Metric, Node, SeriesId, SeriesKey, StoryId};
use crate::model::prefetch::prefetch;
use crate::model::table::Table;
use growing_table::GrowingTable;
use hash_table::HashTable;
pub use row::NodeId;
pub(crate) use row::{FoundRow, Interned, Link, NodeRow, StoryCounter, StoryRow};
use row::{IndexRow as _, Words, low};
pub(super) use row::{NodeSeries, ReadNode};

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) stories: Table<StoryRow>,
    /// The rows of nodes, by numbers of their own.
    pub(super) nodes: Table<NodeRow>,
    /// The numbers of the rows of stories by the hashes of their ids, and those of nodes.
    story_slots: GrowingTable,
    node_slots: GrowingTable,
    /// Of the hashes, so that a client cannot prepare ids that collide.
    seed: u64,
}

/// The hash tables as a parser has them at hand, until one of them is replaced.
#[derive(Debug)]
pub(crate) struct View {
    stories: Arc<HashTable>,
    nodes: Arc<HashTable>,
}

/// The hashes of a story's id, and of a node's in it, which is 0 where there is no node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHashes {
    story: u32,
    node: u32,
}

impl View {
    /// Second step: prefetches the slots that the look-up begins with.
    #[inline]
    pub(crate) fn prefetch(&self, hashes: IdHashes) {
        self.stories.prefetch(hashes.story);
        // Of an event without a node it is always the same slot, which costs nothing.
        self.nodes.prefetch(hashes.node);
    }
}

/// Which story has which row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tenant {
    pub(super) story: StoryId,
    /// The number of the row.
    pub(super) number: u32,
    /// See [`StoryRow`].
    pub(super) tenancy: u32,
}

/// The rows that have those hashes, whose ids have not been compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Candidates<'r> {
    story: Option<&'r StoryRow>,
    node: Option<&'r NodeRow>,
}

/// What of a key there is no row of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Missing {
    #[default]
    Nothing,
    Story,
    /// The node, in the story of that number.
    NodeOf(u32),
}

impl<'r> Candidates<'r> {
    /// The row of the story, if it is the one with that id.
    #[inline]
    pub(crate) fn story(&self, id: &IdText) -> Option<FoundRow<'r, StoryRow>> {
        self.story.and_then(|row| row.found(&Words::of(id)))
    }

    /// The row of the node in that story, if it is the one with that id.
    #[inline]
    pub(crate) fn node(
        &self,
        story: &FoundRow<'_, StoryRow>,
        node: Node<&IdText>,
    ) -> Option<FoundRow<'r, NodeRow>> {
        self.node.and_then(|row| row.found(&Words::of_node(node), story.tenancy))
    }
}

impl Index {
    pub(super) fn new(limits: CatalogueLimits) -> Self {
        Self {
            stories: Table::new(limits.story_rows()),
            nodes: Table::new(limits.node_rows()),
            story_slots: GrowingTable::new(INDEX_SLOTS_MIN),
            node_slots: GrowingTable::new(INDEX_SLOTS_MIN),
            seed: RandomState::new().hash_one(INDEX_SLOTS_MIN),
        }
    }

    /// The hash tables as they are now.
    pub(crate) fn view(&self) -> View {
        View { stories: self.story_slots.newest(), nodes: self.node_slots.newest() }
    }

    /// Takes over newer hash tables where there are some. To be called after the count of deletions was read.
    #[inline]
    pub(crate) fn refresh(&self, view: &mut View) {
        if view.stories.is_replaced() || view.nodes.is_replaced() {
            *view = self.view();
        }
    }

    /// First step of a look-up: arithmetic only.
    #[inline]
    pub(crate) fn hash_ids(&self, story: &IdText, node: Option<Node<&IdText>>) -> IdHashes {
        let story = Words::of(story).hash(self.seed);
        IdHashes {
            story: low(story),
            node: node.map_or(0, |node| low(Words::of_node(node).hash(story)).max(1)),
        }
    }

    /// Third step: the rows that the slots point to, which it prefetches.
    #[inline]
    pub(crate) fn candidates(&self, view: &View, hashes: IdHashes) -> Candidates<'_> {
        let story = view.stories.find(hashes.story, |number| self.story_row(number));
        let has_node = hashes.node != 0;
        let node = if has_node { view.nodes.find(hashes.node, |number| self.node_row(number)) } else { None };
        story.inspect(|row| prefetch(*row));
        node.inspect(|row| prefetch(*row));
        Candidates { story, node }
    }

    /// Prefetches all that a definition touches of the rows that have those hashes; which of them there is not.
    pub(super) fn prefetch_rows(&self, view: &View, hashes: IdHashes) -> Missing {
        let Some(number) = view.stories.find(hashes.story, Some) else { return Missing::Story };
        if let Some(row) = self.story_row(number) {
            row.prefetch_all();
        }
        if hashes.node == 0 {
            return Missing::Nothing;
        }
        match view.nodes.find(hashes.node, |number| self.node_row(number)) {
            Some(row) => {
                prefetch(row);
                Missing::Nothing
            }
            None => Missing::NodeOf(number),
        }
    }

    /// The series of a key, if it has been interned.
    pub(crate) fn series(&self, view: &View, key: &SeriesKey) -> Option<Interned> {
        let text = key.story.0.as_bytes();
        let counter = StoryCounter::of(key.metric);
        let node = counter.as_ref().err().map(Node::as_text);
        let hashes = self.hash_ids(text, node);
        let (_, story) = self.find_story(&view.stories, hashes, &Words::of(text))?;
        match (counter, node) {
            (Ok(counter), _) => story.series_of(counter, key.source),
            (Err(_), node) => {
                let id = Words::of_node(node?);
                self.find_node(&view.nodes, hashes, story.tenancy, &id)?.1.series_on(key.source)
            }
        }
    }

    pub(super) fn story(&self, story: StoryId) -> Option<Tenant> {
        let text = story.0.as_bytes();
        let hashes = self.hash_ids(text, None);
        let (number, found) =
            self.story_slots.with_newest(|slots| self.find_story(slots, hashes, &Words::of(text)))?;
        Some(Tenant { story, number, tenancy: found.tenancy })
    }

    /// The row of a node of a story.
    pub(super) fn node(&self, story: Tenant, node: Node) -> Option<(u32, &NodeRow)> {
        let text = node.as_text();
        let hashes = self.hash_ids(story.story.0.as_bytes(), Some(text));
        let id = Words::of_node(text);
        let found = self.node_slots.with_newest(|slots| self.find_node(slots, hashes, story.tenancy, &id));
        found.map(|(number, found)| (number, found.row))
    }

    /// The row of that number, if it is the story's.
    #[inline]
    pub(super) fn row_of(&self, story: StoryId, number: u32) -> Option<&StoryRow> {
        self.story_row(number)?.found(&Words::of(story.0.as_bytes())).map(|found| found.row)
    }

    /// Whether readers see the story.
    pub(super) fn is_known(&self, story: Tenant) -> bool {
        // The tenancy last: it shows whether the row was still the story's.
        self.story_row(story.number).is_some_and(|row| row.is_known() && row.tenancy() == story.tenancy)
    }

    /// What the row of that number says, if it is that of a known node, with the hash of the node.
    #[inline]
    pub(super) fn read_node(&self, number: u32) -> Option<(u64, ReadNode)> {
        let read = self.node_row(number)?.read()?;
        Some((read.id.hash(self.seed), read))
    }

    /// Bytes of rows and hash tables, with as much again for tables that were replaced and are still in use.
    pub(super) fn memory_bytes(&self, stories_end: usize, nodes_end: usize) -> usize {
        let slots = self.story_slots.memory_bytes().saturating_add(self.node_slots.memory_bytes());
        let rows = self.stories.chunk_bytes(stories_end) + self.nodes.chunk_bytes(nodes_end);
        rows.saturating_add(2 * slots)
    }

    // ---- one thread at a time: the catalogue's lock for interning is held ----

    /// Gives a story its row, which is free.
    pub(super) fn add_story(&self, Tenant { story, number, tenancy }: Tenant) -> Option<()> {
        let text = story.0.as_bytes();
        let row = self.stories.ensure(narrow(number))?;
        row.occupy(&Words::of(text), tenancy);
        self.story_slots.insert(self.hash_ids(text, None).story, number);
        Some(())
    }

    /// Gives the free row of that number to a node of a story, which is at that place in it.
    pub(super) fn add_node(&self, number: u32, story: Tenant, node: Node, place: u32) -> Option<()> {
        let text = node.as_text();
        let row = self.nodes.ensure(narrow(number))?;
        row.occupy(&Words::of_node(text), story.tenancy, (story.number, place));
        self.node_slots.insert(self.hash_ids(story.story.0.as_bytes(), Some(text)).node, number);
        Some(())
    }

    /// Frees the row of a story; the series that it had.
    pub(super) fn remove_story(&self, number: u32, id: StoryId) -> Vec<SeriesId> {
        self.story_slots.remove(self.hash_ids(id.0.as_bytes(), None).story, number);
        self.story_row(number).map_or_else(Vec::new, StoryRow::clear)
    }

    /// Frees the row of a node; the series that it had.
    pub(super) fn remove_node(&self, number: u32, story: StoryId, node: Node) -> Vec<SeriesId> {
        self.node_slots.remove(self.hash_ids(story.0.as_bytes(), Some(node.as_text())).node, number);
        self.node_row(number).map_or_else(Vec::new, NodeRow::clear)
    }

    // ---- look-ups ----

    fn find_story(
        &self,
        slots: &HashTable,
        hashes: IdHashes,
        id: &Words,
    ) -> Option<(u32, FoundRow<'_, StoryRow>)> {
        slots.find(hashes.story, |number| Some((number, self.story_row(number)?.found(id)?)))
    }

    fn find_node(
        &self,
        slots: &HashTable,
        hashes: IdHashes,
        tenancy: u32,
        id: &Words,
    ) -> Option<(u32, FoundRow<'_, NodeRow>)> {
        slots.find(hashes.node, |number| Some((number, self.node_row(number)?.found(id, tenancy)?)))
    }

    #[inline]
    pub(super) fn story_row(&self, number: u32) -> Option<&StoryRow> {
        self.stories.get(narrow(number))
    }

    #[inline]
    pub(super) fn node_row(&self, number: u32) -> Option<&NodeRow> {
        self.nodes.get(narrow(number))
    }
}

impl StoryCounter {
    /// The story's own counter of a metric, or else the node that counts it.
    pub(super) fn of(metric: Metric) -> Result<Self, Node> {
        match metric {
            Metric::Conversations => Ok(Self::Conversations),
            Metric::PaidConversations => Ok(Self::Paid),
            Metric::Messages => Ok(Self::Messages),
            Metric::Interaction(node) => Err(node),
        }
    }
}
