//! One story: its name, its nodes and theirs, and by way of the index its series. Knows nothing of other stories.
//!
//! A deleted story keeps its place and its nodes until another story needs the place. Readers see what is *known*, which
//! stands in the rows of the index.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::index::{Index, Link, NodeRow, StoryCounter, StoryRow, Tenant};
use crate::limits::narrow;
use crate::model::event::{Metric, Node, SeriesId, Source, StoryId};
use crate::model::prefetch::prefetch;

const SOURCES: usize = Source::ALL.len();

/// A story: its name, its series, its nodes. Stays readable after the story is deleted, and is empty then.
#[derive(Debug)]
pub struct Story {
    tenant: Tenant,
    index: Arc<Index>,
    inner: RwLock<StoryState>,
}

/// A known interaction node of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node.
    pub node: Node,
    /// Its display name, where one was given.
    pub name: Option<Arc<str>>,
    /// Its series, by [`Source::index`], where defined.
    pub series: [Option<SeriesId>; SOURCES],
}

#[derive(Debug, Default)]
pub(super) struct StoryState {
    /// The story stands in the list of those whose place may be given to another.
    pub(super) is_released: bool,
    /// The rows belong to another story now. Then there are no nodes.
    pub(super) is_evicted: bool,
    pub(super) name: Name,
    pub(super) nodes: Vec<StoryNode>,
}

/// A node of a story, at its place.
#[derive(Debug)]
pub(super) struct StoryNode {
    pub(super) node: Node,
    pub(super) row: u32,
    name: Name,
}

/// What a name takes beside its text: two counts, and the allocator's share.
const NAME_OVERHEAD_BYTES: usize = 32;

/// What a story takes beside its rows, its name and its nodes: itself, two counts, and the allocator's share.
pub(super) const STORY_BYTES: usize = size_of::<Story>() + 32;
/// What a node takes in its story, with the room that a growing list keeps.
pub(super) const NODE_BYTES: usize = size_of::<StoryNode>() * 3 / 2;

#[derive(Debug, Default)]
pub(super) struct Name {
    /// What readers see.
    shown: Option<Arc<str>>,
    /// The hash of the name that a parser put into a batch last.
    sent: AtomicU32,
}

impl Name {
    /// Notes that a parser has come upon the name; whether it must become a change. It need not if it is shown and also
    /// the last one sent: no batch on its way can then show another. (Two connections that send different names at the same
    /// moment can leave either; the next line with a name puts that right.)
    fn is_change(&self, name: &str, hash: u32) -> bool {
        let before = self.sent.swap(hash, Ordering::Relaxed);
        before != hash || self.shown.as_deref() != Some(name)
    }

    /// Shows a name, if there is one to show. By how many bytes the names have grown.
    pub(super) fn show(&mut self, name: Option<&str>) -> i64 {
        let Some(name) = name else { return 0 };
        let before = self.memory_bytes();
        self.shown = Some(Arc::from(name));
        self.memory_bytes() - before
    }

    fn memory_bytes(&self) -> i64 {
        self.shown
            .as_ref()
            .map_or(0, |name| i64::try_from(name.len() + NAME_OVERHEAD_BYTES).unwrap_or(i64::MAX))
    }
}

impl Story {
    /// The story's id.
    pub fn id(&self) -> StoryId {
        self.tenant.story
    }

    /// The display name, where one was given.
    pub fn name(&self) -> Option<Arc<str>> {
        self.read().name.shown.clone()
    }

    /// The series of a metric on a source, if defined.
    pub fn series(&self, metric: Metric, source: Source) -> Option<SeriesId> {
        self.series_by_source(metric).get(source.index()).copied().flatten()
    }

    /// The series of a metric, by [`Source::index`], where defined.
    pub fn series_by_source(&self, metric: Metric) -> [Option<SeriesId>; SOURCES] {
        // Held so that the rows stay this story's.
        let inner = self.read();
        if inner.is_evicted {
            return [None; SOURCES];
        }
        let links = match StoryCounter::of(metric) {
            Ok(counter) => self.row().map(|row| row.links(counter)),
            Err(node) => self.node_row(node).map(NodeRow::links),
        };
        links.map_or([None; SOURCES], |links| links.each_ref().map(durable))
    }

    /// Calls `f` for every known node of the story, in the order in which they were first seen. The story's read
    /// lock is held meanwhile: `f` must not call the catalogue.
    pub fn for_each_node(&self, f: &mut dyn FnMut(&NodeEntry)) {
        let inner = self.read();
        // The rows of a story's nodes are wherever there was room when each of them came.
        inner.nodes.iter().filter_map(|node| self.index.node_row(node.row)).for_each(prefetch);
        for StoryNode { node, row, name } in &inner.nodes {
            if let Some(row) = self.index.node_row(*row).filter(|row| row.is_known()) {
                let series = row.links().each_ref().map(durable);
                f(&NodeEntry { node: *node, name: name.shown.clone(), series });
            }
        }
    }

    /// Calls `f` for every series of the known nodes. The story's read lock is held meanwhile: `f` must not call the
    /// catalogue.
    pub fn for_each_series_of_nodes(&self, f: &mut dyn FnMut(SeriesId)) {
        let inner = self.read();
        let rows = inner.nodes.iter().filter_map(|node| self.index.node_row(node.row));
        rows.filter(|row| row.is_known()).flat_map(NodeRow::links).filter_map(durable).for_each(f);
    }

    /// Appends every series of the story and its nodes to `out`.
    pub fn series_of_all(&self, out: &mut Vec<SeriesId>) {
        let inner = self.read();
        self.for_each_link(&inner, &mut |link| out.extend(durable(link)));
    }

    /// How many nodes are known.
    pub fn node_count(&self) -> usize {
        let row = self.row().filter(|_| self.is_known());
        row.map_or(0, |row| narrow(row.known_nodes()))
    }

    /// The display name of a node, where one was given.
    pub fn node_name(&self, node: Node) -> Option<Arc<str>> {
        let inner = self.read();
        inner.nodes.get(self.place(node)?)?.name.shown.clone()
    }

    /// Whether the node is known.
    pub fn knows_node(&self, node: Node) -> bool {
        self.node_row(node).is_some_and(NodeRow::is_known)
    }

    pub(super) fn new(index: &Arc<Index>, tenant: Tenant) -> Self {
        Self { tenant, index: Arc::clone(index), inner: RwLock::default() }
    }

    /// Which row the story has, or had before it was evicted.
    pub(super) fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// Whether readers see the story.
    pub(super) fn is_known(&self) -> bool {
        self.index.is_known(self.tenant)
    }

    /// Notes a name that a parser has come upon; whether it must become a change.
    pub(super) fn is_change_of_name(&self, node: Option<Node>, name: &str, hash: u32) -> bool {
        let inner = self.read();
        let named = match node {
            None => Some(&inner.name),
            Some(node) => self.place(node).and_then(|place| inner.nodes.get(place)).map(|node| &node.name),
        };
        named.is_none_or(|named| named.is_change(name, hash))
    }

    /// Calls `f` for the links of every counter of the story and its nodes.
    pub(super) fn for_each_link(&self, inner: &StoryState, f: &mut dyn FnMut(&Link)) {
        if inner.is_evicted {
            return;
        }
        self.row().iter().flat_map(|row| row.all_links()).for_each(&mut *f);
        let rows = inner.nodes.iter().filter_map(|node| self.index.node_row(node.row));
        rows.flat_map(NodeRow::links).for_each(f);
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, StoryState> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, StoryState> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the story and its nodes unknown and nameless. By how many bytes the names have grown, which is not above 0.
    pub(super) fn forget(&self, inner: &mut StoryState) -> i64 {
        if let Some(row) = self.row() {
            row.forget(inner.nodes.iter().filter_map(|node| self.index.node_row(node.row)));
        }
        let names = inner.nodes.iter_mut().map(|node| &mut node.name).chain([&mut inner.name]);
        -names.map(|name| std::mem::take(name).memory_bytes()).sum::<i64>()
    }

    fn row(&self) -> Option<&StoryRow> {
        self.index.story_row(self.tenant.number)
    }

    fn node_row(&self, node: Node) -> Option<&NodeRow> {
        self.index.node(self.tenant, node).map(|(_, row)| row)
    }

    fn place(&self, node: Node) -> Option<usize> {
        self.node_row(node).map(|row| narrow(row.story_and_place().1))
    }
}

fn durable(link: &Link) -> Option<SeriesId> {
    link.get().filter(|series| series.is_durable).map(|series| series.id)
}

impl StoryNode {
    /// The display name that readers see.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.name.shown.clone()
    }
}

impl StoryState {
    pub(super) fn add_node(&mut self, node: Node, row: u32) {
        self.nodes.push(StoryNode { node, row, name: Name::default() });
    }

    /// Shows a name of the node at the place, if there is one to show. By how many bytes the names have grown.
    pub(super) fn name_node(&mut self, place: u32, name: Option<&str>) -> i64 {
        self.nodes.get_mut(narrow(place)).map_or(0, |node| node.name.show(name))
    }
}
