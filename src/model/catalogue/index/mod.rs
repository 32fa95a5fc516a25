//! The index: from the bytes of a story's id, or of a story's and a node's, to a row with its series. All parsers share it
//! and read it without a lock, so what one connection has taught it every other one knows. Knows neither names nor counts.
//!
//! INVARIANT: a row is found only under the very ids that it was added under. It never moves; it is freed with its story
//! and then given to another, which readers see by the row's tenancy.
//! INVARIANT: a link says *durable* only while the series is: the mark is taken back before the catalogue's count of
//! deletions goes up. A thread that reads that count first sees no older mark.
//!
//! Hash tables that were replaced stay while a parser has them: at most as much again as the newest.

mod hash_table;
mod row;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::limits::{INDEX_SLOTS_MIN, NODES_MAX, STORIES_MAX};
use crate::model::event::{IdText, Metric, Node, SeriesId, SeriesKey, StoryId};
use crate::model::table::Table;
use hash_table::HashTable;
pub(crate) use row::{FoundRow, Interned, Link, NodeRow, StoryCounter, StoryRow};
use row::{IndexRow as _, Words, low};

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Index {
    /// The rows by the number of the story.
    pub(super) stories: Table<StoryRow>,
    /// The rows of nodes, by numbers of their own.
    pub(super) nodes: Table<NodeRow>,
    newest: RwLock<Arc<Tables>>,
    /// Of the hashes, so that a client cannot prepare ids that collide.
    seed: u64,
}

/// The numbers of rows by the hashes of their ids, until one of the tables grows.
#[derive(Debug)]
struct Tables {
    stories: HashTable,
    nodes: HashTable,
    is_replaced: AtomicBool,
}

/// The index as a parser has it: with its hash tables at hand.
#[derive(Debug)]
pub(crate) struct View {
    index: Arc<Index>,
    tables: Arc<Tables>,
}

/// The hashes of a story's id, and of a node's in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHashes {
    story: u32,
    node: u32,
}

impl View {
    /// The index as it is now.
    pub(crate) fn new(index: &Arc<Index>) -> Self {
        Self { index: Arc::clone(index), tables: index.newest() }
    }

    /// Takes over newer hash tables where there are some. To be called after the count of deletions was read.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        if self.tables.is_replaced.load(Ordering::Acquire) {
            self.tables = self.index.newest();
        }
    }

    /// First step of a look-up: arithmetic only.
    #[inline]
    pub(crate) fn hash_ids(&self, story: &IdText, node: Option<Node<&IdText>>) -> IdHashes {
        self.index.hash_ids(story, node)
    }

    /// Second step: loads the slots that the look-up begins with. Several look-ups do not wait for each other. The result
    /// only keeps the loads.
    #[inline]
    pub(crate) fn prefetch_slots(&self, hashes: IdHashes) -> u32 {
        // Of an event without a node it is always the same slot, which costs nothing.
        self.tables.stories.first(hashes.story) ^ self.tables.nodes.first(hashes.node)
    }

    /// Third step: loads the rows that those slots point to.
    #[inline]
    pub(crate) fn prefetch_rows(&self, hashes: IdHashes) -> u32 {
        let story =
            self.index.story_row(self.tables.stories.first(hashes.story)).map_or(0, StoryRow::tenancy);
        let node = self.index.node_row(self.tables.nodes.first(hashes.node)).map_or(0, NodeRow::tenancy);
        story ^ node
    }

    /// Last step: the story's row.
    #[inline]
    pub(crate) fn story(&self, hashes: IdHashes, id: &IdText) -> Option<FoundRow<'_, StoryRow>> {
        self.index.find_story(&self.tables, hashes, &Words::of(id))
    }

    /// Last step, after that of its story: the node's row.
    #[inline]
    pub(crate) fn node(
        &self,
        hashes: IdHashes,
        story: &FoundRow<'_, StoryRow>,
        node: Node<&IdText>,
    ) -> Option<FoundRow<'_, NodeRow>> {
        self.index.find_node(&self.tables, hashes, story.tenancy, &Words::of_node(node))
    }

    /// The series of a key, if it has been interned.
    pub(crate) fn series(&self, key: &SeriesKey) -> Option<Interned> {
        self.index.series_in(&self.tables, key)
    }
}

impl Index {
    pub(super) fn new() -> Self {
        let tables = Tables {
            stories: HashTable::new(INDEX_SLOTS_MIN),
            nodes: HashTable::new(INDEX_SLOTS_MIN),
            is_replaced: AtomicBool::new(false),
        };
        Self {
            // Recovery may bring more stories than may be added now.
            stories: Table::new(STORIES_MAX * 2),
            nodes: Table::new(NODES_MAX),
            newest: RwLock::new(Arc::new(tables)),
            seed: RandomState::new().hash_one(INDEX_SLOTS_MIN),
        }
    }

    /// The series of a key, if it has been interned.
    pub(super) fn series(&self, key: &SeriesKey) -> Option<Interned> {
        self.series_in(&self.newest(), key)
    }

    /// The number of a story.
    pub(super) fn story(&self, id: StoryId) -> Option<u32> {
        let text = id.0.as_bytes();
        let tables = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        self.find_story(&tables, self.hash_ids(text, None), &Words::of(text)).map(|found| found.number)
    }

    /// The row of a node of the story with that tenancy.
    pub(super) fn node(&self, (story, tenancy): (StoryId, u32), node: Node) -> Option<(u32, &NodeRow)> {
        let text = node.as_text();
        let tables = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        let hashes = self.hash_ids(story.0.as_bytes(), Some(text));
        self.find_node(&tables, hashes, tenancy, &Words::of_node(text)).map(|found| (found.number, found.row))
    }

    /// Bytes of rows and hash tables, with as much again for tables that were replaced and are still in use.
    pub(super) fn memory_bytes(&self, stories_end: usize, nodes_end: usize) -> usize {
        let hashes = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        let slots = hashes.stories.memory_bytes().saturating_add(hashes.nodes.memory_bytes());
        let rows = Table::<StoryRow>::chunk_bytes(stories_end) + Table::<NodeRow>::chunk_bytes(nodes_end);
        rows.saturating_add(2 * slots)
    }

    // ---- one thread at a time: the catalogue's lock for interning is held ----

    /// Gives the free row of that number to a story.
    pub(super) fn add_story(&self, number: u32, id: StoryId, tenancy: u32) -> Option<()> {
        let text = id.0.as_bytes();
        let row = usize::try_from(number).ok().and_then(|number| self.stories.ensure(number))?;
        row.occupy(&Words::of(text), tenancy);
        self.with_room().stories.insert(self.hash_ids(text, None).story, number);
        Some(())
    }

    /// Gives the free row of that number to a node of a story, which is at that place in it.
    pub(super) fn add_node(
        &self,
        number: u32,
        (story, tenancy): (StoryId, u32),
        node: Node,
        story_and_place: (u32, u32),
    ) -> Option<()> {
        let text = node.as_text();
        let row = usize::try_from(number).ok().and_then(|number| self.nodes.ensure(number))?;
        row.occupy(&Words::of_node(text), tenancy, story_and_place);
        self.with_room().nodes.insert(self.hash_ids(story.0.as_bytes(), Some(text)).node, number);
        Some(())
    }

    /// Frees the row of a story; the series that it had.
    pub(super) fn remove_story(&self, number: u32, id: StoryId) -> Vec<SeriesId> {
        self.newest().stories.remove(self.hash_ids(id.0.as_bytes(), None).story, number);
        self.story_row(number).map_or_else(Vec::new, StoryRow::clear)
    }

    /// Frees the row of a node; the series that it had.
    pub(super) fn remove_node(&self, number: u32, story: StoryId, node: Node) -> Vec<SeriesId> {
        self.newest().nodes.remove(self.hash_ids(story.0.as_bytes(), Some(node.as_text())).node, number);
        self.node_row(number).map_or_else(Vec::new, NodeRow::clear)
    }

    /// The hash tables, copied where one of them is full.
    fn with_room(&self) -> Arc<Tables> {
        let old = self.newest();
        if !old.stories.is_full() && !old.nodes.is_full() {
            return old;
        }
        let (stories, nodes) = (old.stories.copy(), old.nodes.copy());
        let tables = Arc::new(Tables { stories, nodes, is_replaced: AtomicBool::new(false) });
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tables);
        old.is_replaced.store(true, Ordering::Release);
        tables
    }

    // ---- look-ups ----

    #[inline]
    fn hash_ids(&self, story: &IdText, node: Option<Node<&IdText>>) -> IdHashes {
        let story = Words::of(story).hash(self.seed);
        IdHashes { story: low(story), node: node.map_or(0, |node| low(Words::of_node(node).hash(story))) }
    }

    #[inline]
    fn find_story(&self, tables: &Tables, hashes: IdHashes, id: &Words) -> Option<FoundRow<'_, StoryRow>> {
        tables.stories.find(hashes.story, |number| {
            let row = self.story_row(number)?;
            let tenancy = row.tenancy();
            (tenancy != 0 && row.is(id)).then_some(FoundRow { row, number, tenancy })
        })
    }

    #[inline]
    fn find_node(
        &self,
        tables: &Tables,
        hashes: IdHashes,
        tenancy: u32,
        id: &Words,
    ) -> Option<FoundRow<'_, NodeRow>> {
        tables.nodes.find(hashes.node, |number| {
            let row = self.node_row(number)?;
            row.is(id, tenancy).then_some(FoundRow { row, number, tenancy })
        })
    }

    fn series_in(&self, tables: &Tables, key: &SeriesKey) -> Option<Interned> {
        let text = key.story.0.as_bytes();
        let counter = StoryCounter::of(key.metric);
        let node = counter.as_ref().err().map(Node::as_text);
        let hashes = self.hash_ids(text, node);
        let story = self.find_story(tables, hashes, &Words::of(text))?;
        match (counter, node) {
            (Ok(counter), _) => story.series_of(counter, key.source),
            (Err(_), node) => {
                let id = Words::of_node(node?);
                self.find_node(tables, hashes, story.tenancy, &id)?.series_on(key.source)
            }
        }
    }

    fn newest(&self) -> Arc<Tables> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[inline]
    pub(super) fn story_row(&self, number: u32) -> Option<&StoryRow> {
        self.stories.get(usize::try_from(number).ok()?)
    }

    #[inline]
    pub(super) fn node_row(&self, number: u32) -> Option<&NodeRow> {
        self.nodes.get(usize::try_from(number).ok()?)
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
