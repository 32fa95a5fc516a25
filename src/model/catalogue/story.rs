//! One story: its name, its series, its interaction nodes. Knows nothing of other stories.
//!
//! What has been interned stays for good, so that a key keeps its id; what is *known* is what readers see.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::FIRST_STORY_SERIES;
use crate::model::event::{Metric, Node, SeriesId, Source, StoryId};

const SOURCES: usize = Source::ALL.len();
const STORY_METRICS: usize = 3;

/// A story: its name, its series, its nodes. Stays readable after the story is deleted, and is empty then.
#[derive(Debug)]
pub struct Story {
    id: StoryId,
    number: u32,
    inner: RwLock<Inner>,
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

/// Which of a story's counters: of the story itself, or of one of its nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counter {
    /// Conversations, paid conversations, messages: 0, 1, 2.
    OfStory(u8),
    /// The node at that place in the story.
    OfNode(u32),
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) is_known: bool,
    pub(super) name: Option<Arc<str>>,
    series: [Slots; STORY_METRICS],
    nodes: Vec<NodeSlot>,
    /// The places in `nodes`, ascending by node.
    by_node: Vec<u32>,
    known_nodes: usize,
}

#[derive(Debug)]
struct NodeSlot {
    node: Node,
    is_known: bool,
    name: Option<Arc<str>>,
    series: Slots,
}

/// The series of one counter by source, and which of them are confirmed. No story's series has the number 0.
#[derive(Debug, Default, Clone, Copy)]
struct Slots {
    ids: [u32; SOURCES],
    confirmed: u8,
}

impl Story {
    /// The story's id.
    pub fn id(&self) -> StoryId {
        self.id
    }

    /// The display name, where one was given.
    pub fn name(&self) -> Option<Arc<str>> {
        self.read().name.clone()
    }

    /// The series of a metric on a source, if defined.
    pub fn series(&self, metric: Metric, source: Source) -> Option<SeriesId> {
        let inner = self.read();
        let counter = inner.counter(metric)?;
        inner.slots(counter)?.confirmed(source)
    }

    /// The series of a metric, by [`Source::index`], where defined.
    pub fn series_by_source(&self, metric: Metric) -> [Option<SeriesId>; SOURCES] {
        let inner = self.read();
        let slots = inner.counter(metric).and_then(|counter| inner.slots(counter));
        slots.map_or([None; SOURCES], |slots| Source::ALL.map(|source| slots.confirmed(source)))
    }

    /// Calls `f` for every known node of the story, in the order in which they were first seen. The story's read
    /// lock is held meanwhile: `f` must not call the catalogue.
    pub fn for_each_node(&self, f: &mut dyn FnMut(&NodeEntry)) {
        self.read().nodes.iter().filter(|slot| slot.is_known).for_each(|slot| f(&slot.entry()));
    }

    /// Appends every series of the story and its nodes to `out`.
    pub fn series_of_all(&self, out: &mut Vec<SeriesId>) {
        let inner = self.read();
        for slots in inner.series.iter().chain(inner.nodes.iter().map(|slot| &slot.series)) {
            out.extend(Source::ALL.into_iter().filter_map(|source| slots.confirmed(source)));
        }
    }

    /// How many nodes are known.
    pub fn node_count(&self) -> usize {
        self.read().known_nodes
    }

    /// The display name of a node, where one was given.
    pub fn node_name(&self, node: Node) -> Option<Arc<str>> {
        let inner = self.read();
        let place = inner.place(node)?;
        inner.nodes.get(place)?.name.clone()
    }

    /// Whether the node is known.
    pub fn knows_node(&self, node: Node) -> bool {
        let inner = self.read();
        inner.place(node).and_then(|place| inner.nodes.get(place)).is_some_and(|slot| slot.is_known)
    }

    pub(super) fn new(id: StoryId, number: u32) -> Self {
        Self { id, number, inner: RwLock::default() }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    /// The counter of a metric that needs no node.
    pub(super) fn of_story(metric: Metric) -> Option<Self> {
        match metric {
            Metric::Conversations => Some(Self::OfStory(0)),
            Metric::PaidConversations => Some(Self::OfStory(1)),
            Metric::Messages => Some(Self::OfStory(2)),
            Metric::Interaction(_) => None,
        }
    }
}

impl Inner {
    /// The counter of a metric, if its node has been seen.
    pub(super) fn counter(&self, metric: Metric) -> Option<Counter> {
        match metric {
            Metric::Interaction(node) => u32::try_from(self.place(node)?).ok().map(Counter::OfNode),
            of_story => Counter::of_story(of_story),
        }
    }

    /// The counter of a metric, its node added where need be; `None` if there are `nodes_max` nodes already.
    pub(super) fn counter_or_add(&mut self, metric: Metric, nodes_max: usize) -> Option<Counter> {
        match metric {
            Metric::Interaction(node) => {
                u32::try_from(self.place_or_add(node, nodes_max)?).ok().map(Counter::OfNode)
            }
            of_story => Counter::of_story(of_story),
        }
    }

    /// What the counter counts.
    pub(super) fn metric(&self, counter: Counter) -> Option<Metric> {
        match counter {
            Counter::OfStory(0) => Some(Metric::Conversations),
            Counter::OfStory(1) => Some(Metric::PaidConversations),
            Counter::OfStory(_) => Some(Metric::Messages),
            Counter::OfNode(place) => {
                self.nodes.get(usize::try_from(place).ok()?).map(|slot| Metric::Interaction(slot.node))
            }
        }
    }

    /// The series of a counter on a source, confirmed or not.
    pub(super) fn interned(&self, counter: Counter, source: Source) -> Option<SeriesId> {
        self.slots(counter)?.interned(source)
    }

    /// Binds a series to a counter on a source.
    pub(super) fn bind(&mut self, counter: Counter, source: Source, id: SeriesId) {
        if let Some(slot) = self.slots_mut(counter).and_then(|slots| slots.ids.get_mut(source.index())) {
            *slot = id.get();
        }
    }

    /// Confirms the series of a counter on a source, which makes its node known.
    pub(super) fn confirm(&mut self, counter: Counter, source: Source) {
        if let Some(slots) = self.slots_mut(counter) {
            slots.confirmed |= 1 << source.index();
        }
        if let Counter::OfNode(place) = counter {
            self.know_node(usize::try_from(place).unwrap_or(usize::MAX), None);
        }
    }

    /// Makes the node at the place known, with a new name if one is given.
    pub(super) fn know_node(&mut self, place: usize, name: Option<Arc<str>>) {
        let Some(slot) = self.nodes.get_mut(place) else { return };
        self.known_nodes += usize::from(!slot.is_known);
        slot.is_known = true;
        slot.name = name.or(slot.name.take());
    }

    /// Where the node stands, if it has been seen.
    pub(super) fn place(&self, node: Node) -> Option<usize> {
        self.place_at(self.find(node).ok()?)
    }

    /// Where the node stands, added where need be; `None` if there are `nodes_max` already.
    pub(super) fn place_or_add(&mut self, node: Node, nodes_max: usize) -> Option<usize> {
        let at = match self.find(node) {
            Ok(at) => return self.place_at(at),
            Err(at) => at,
        };
        let place = self.nodes.len();
        if place >= nodes_max {
            return None;
        }
        self.by_node.insert(at, u32::try_from(place).ok()?);
        self.nodes.push(NodeSlot { node, is_known: false, name: None, series: Slots::default() });
        Some(place)
    }

    /// Forgets names and what is known; returns the series whose confirmation this takes back.
    pub(super) fn forget(&mut self) -> Vec<SeriesId> {
        let mut taken_back = Vec::new();
        self.is_known = false;
        self.name = None;
        self.known_nodes = 0;
        for slots in &mut self.series {
            slots.take_back(&mut taken_back);
        }
        for slot in &mut self.nodes {
            slot.is_known = false;
            slot.name = None;
            slot.series.take_back(&mut taken_back);
        }
        taken_back
    }

    fn place_at(&self, at: usize) -> Option<usize> {
        usize::try_from(*self.by_node.get(at)?).ok()
    }

    fn find(&self, node: Node) -> Result<usize, usize> {
        self.by_node.binary_search_by(|&place| {
            let there = usize::try_from(place).ok().and_then(|place| self.nodes.get(place));
            there.map(|slot| slot.node).cmp(&Some(node))
        })
    }

    fn slots(&self, counter: Counter) -> Option<&Slots> {
        match counter {
            Counter::OfStory(metric) => self.series.get(usize::from(metric)),
            Counter::OfNode(place) => self.nodes.get(usize::try_from(place).ok()?).map(|slot| &slot.series),
        }
    }

    fn slots_mut(&mut self, counter: Counter) -> Option<&mut Slots> {
        match counter {
            Counter::OfStory(metric) => self.series.get_mut(usize::from(metric)),
            Counter::OfNode(place) => {
                self.nodes.get_mut(usize::try_from(place).ok()?).map(|slot| &mut slot.series)
            }
        }
    }
}

impl NodeSlot {
    fn entry(&self) -> NodeEntry {
        let series = Source::ALL.map(|source| self.series.confirmed(source));
        NodeEntry { node: self.node, name: self.name.clone(), series }
    }
}

impl Slots {
    fn interned(&self, source: Source) -> Option<SeriesId> {
        let id = self.ids.get(source.index()).copied().map(SeriesId::new)?;
        (id >= FIRST_STORY_SERIES).then_some(id)
    }

    fn confirmed(&self, source: Source) -> Option<SeriesId> {
        self.interned(source).filter(|_| self.confirmed & 1 << source.index() != 0)
    }

    fn take_back(&mut self, into: &mut Vec<SeriesId>) {
        into.extend(Source::ALL.into_iter().filter_map(|source| self.confirmed(source)));
        self.confirmed = 0;
    }
}
