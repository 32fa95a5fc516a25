//! Which stories, interactions and series are known, their numbers and their names. Shared by all threads.
//! Knows nothing of counts, files, sockets or text.
//!
//! Parsers *intern* a series key to get an id for it; that alone makes nothing known. The sequencer (or recovery) marks as
//! *durable* what it has journalled, and *applies* changes; from then on readers see it.
//!
//! INVARIANT: no two keys share an id, and an id never comes to name another key. Within one run a key keeps its id,
//! deleted or not, unless its story was evicted.
//!
//! # Bounds
//! Stories and nodes that were interned for a batch count against the bounds, so that a client that floods the daemon with
//! ids fills the bounds and not the memory. A story that was deleted, or whose batch was refused, is *released*:
//! it keeps its place as long as there is room, and is *evicted* for a new story where there is none. Ids of series are not
//! used again: their bound is for the life of a data directory.

mod activity;
mod bounds;
mod by_id;
mod defining;
mod folded_names;
pub(crate) mod index;
mod interning;
mod nodes;
mod story;
mod word;

use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use foldhash::fast::RandomState;

use crate::limits::{SERIES_MAX, TOTALS, narrow, wide};
use crate::model::batch::{Batch, Change, Definition, SeriesId};
use crate::model::event::{Metric, Node, SeriesKey, Source, StoryId};
use crate::model::prefetch::prefetch;
use crate::model::story_set::StorySet;
use crate::model::table::Table;
pub use activity::ActiveHours;
use activity::Activity;
pub use bounds::{CatalogueFull, CatalogueLimits};
use by_id::IdOrder;
pub use by_id::StoriesById;
pub(crate) use defining::DEFINITIONS_TOGETHER;
use folded_names::FoldedNames;
pub use folded_names::folded;
pub use index::NodeId;
use index::{Index, Interned, Link, NodeRow, StoryCounter, StoryRow, View};
use interning::Interning;
pub use nodes::{NodePlace, NodeUses};
use story::{NODE_BYTES, STORY_BYTES};
pub use story::{NodeEntry, Story};
use word::{Counter, LinkPlace};

/// The first id that [`Catalogue::intern`] gives; those below are the totals'.
pub const FIRST_STORY_SERIES: SeriesId = SeriesId::new(24);
/// Past every id that a series can have.
pub const SERIES_ID_END: SeriesId = SeriesId::new(ID_END);

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "limits/ asserts that it fits")]
const ID_END: u32 = (TOTALS + SERIES_MAX) as u32;

/// Whether a series of a story can have the id.
fn can_be_defined(id: SeriesId) -> bool {
    (FIRST_STORY_SERIES..SERIES_ID_END).contains(&id)
}

/// Which stories, interactions and series are known. Shared by all threads (`Arc<Catalogue>`). Any thread may
/// intern and read; only the sequencer (or recovery) marks as durable and applies.
#[derive(Debug)]
pub struct Catalogue {
    limits: CatalogueLimits,
    index: Arc<Index>,
    /// The stories by number: the one that has the number now.
    stories: Table<RwLock<Option<Arc<Story>>>>,
    activity: Activity,
    by_id: IdOrder,
    folded_names: FoldedNames,
    /// What each series id names: a [`LinkPlace`], or 0.
    places: Table<AtomicU64>,
    interning: Mutex<Interning>,
    stories_end: AtomicU32,
    /// One more than the greatest number of a node's row.
    nodes_end: AtomicU32,
    next_id: AtomicU32,
    deletions: AtomicU64,
    stories_known: AtomicUsize,
    series_durable: AtomicUsize,
    names: RandomState,
    names_bytes: AtomicI64,
}

/// The reserved series that adds up all stories for a metric and one source, or all sources for `None`.
/// `None` for an interaction, which has no total.
pub fn total_series(metric: Metric, source: Option<Source>) -> Option<SeriesId> {
    const TOTALS_OF_METRIC: usize = Source::ALL.len() + 1;
    let metric = match metric {
        Metric::Conversations => 0,
        Metric::PaidConversations => 1,
        Metric::Messages => 2,
        Metric::Interaction(_) => return None,
    };
    let source = source.map_or(Source::ALL.len(), Source::index);
    u32::try_from(metric * TOTALS_OF_METRIC + source).ok().map(SeriesId::new)
}

impl Catalogue {
    /// An empty catalogue.
    pub fn new(limits: CatalogueLimits) -> Self {
        let most = CatalogueLimits::default();
        let limits = CatalogueLimits {
            stories: limits.stories.min(most.stories),
            series: limits.series.min(most.series),
            nodes_per_story: limits.nodes_per_story.min(most.nodes_per_story),
        };
        Self {
            limits,
            index: Arc::new(Index::new(limits)),
            stories: Table::new(limits.story_rows()),
            activity: Activity::new(limits.story_rows()),
            by_id: IdOrder::default(),
            folded_names: FoldedNames::new(limits.story_rows()),
            places: Table::new(TOTALS + limits.series),
            interning: Mutex::default(),
            stories_end: AtomicU32::new(0),
            nodes_end: AtomicU32::new(0),
            next_id: AtomicU32::new(FIRST_STORY_SERIES.get()),
            deletions: AtomicU64::new(0),
            stories_known: AtomicUsize::new(0),
            series_durable: AtomicUsize::new(0),
            names: RandomState::default(),
            names_bytes: AtomicI64::new(0),
        }
    }

    // ---- any thread (parsers) ----

    /// The id of a series, given one if it has none yet. Interning does not make anything known. Blocks only where the
    /// series is new, while another thread interns.
    ///
    /// # Errors
    /// Which bound does not allow a new story, interaction or series.
    pub fn intern(&self, key: &SeriesKey) -> Result<SeriesId, CatalogueFull> {
        self.intern_with_mark(&self.index.view(), key).map(|series| series.id)
    }

    /// As [`Self::intern`], with whether the series is durable.
    pub(crate) fn intern_with_mark(&self, view: &View, key: &SeriesKey) -> Result<Interned, CatalogueFull> {
        match self.index.series(view, key) {
            Some(series) => Ok(series),
            None => self.intern_in(&mut self.lock(), key, self.limits),
        }
    }

    /// Where parsers find series by the bytes of ids.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Notes a display name that a parser has come upon; whether it must become a change.
    pub(crate) fn is_change_of_name(&self, story: StoryId, node: Option<Node>, name: &str) -> bool {
        let bytes = self.names.hash_one(name).to_le_bytes();
        let hash = bytes.first_chunk().map_or(0, |half| u32::from_le_bytes(*half));
        self.interned_story(story).is_none_or(|story| story.is_change_of_name(node, name, hash))
    }

    /// Whether that is the display name that readers see, of the story or of a node of it.
    pub(crate) fn shows_name(&self, story: StoryId, node: Option<Node>, name: &str) -> bool {
        let shown = self.interned_story(story).and_then(|story| match node {
            None => story.name(),
            Some(node) => story.node_name(node),
        });
        shown.as_deref() == Some(name)
    }

    /// Reserves what a change needs within the bounds, without making it known. To be called before a change
    /// that comes without the series of an event is put into a batch.
    ///
    /// # Errors
    /// Which bound does not allow a new story or interaction.
    pub fn admit(&self, change: &Change) -> Result<(), CatalogueFull> {
        self.admit_within(change, self.limits)
    }

    /// Lets the stories that were interned for a refused batch be evicted.
    pub fn release(&self, batch: &Batch) {
        let defined = batch.definitions.iter().map(|definition| definition.key.story);
        let changed = batch.changes.iter().map(Change::story);
        let mut interning = self.lock();
        for story in defined.chain(changed).filter_map(|story| self.interned_story(story)) {
            interning.release(&story, &mut story.write());
        }
    }

    /// Whether the series' definition has been journalled since the last deletion of its story, so that batches need not
    /// carry it. Never blocks.
    #[inline]
    pub fn is_durable(&self, id: SeriesId) -> bool {
        let link = self.place(id).and_then(|place| self.link(place));
        link.and_then(Link::get) == Some(Interned { id, is_durable: true })
    }

    /// Whether the id still names the series that it was given to. Never blocks.
    pub fn is_bound(&self, id: SeriesId) -> bool {
        self.place(id).is_some()
    }

    /// How often a story was deleted: with each time, series cease to be durable. To be read *before* a series is looked
    /// up. Never blocks.
    #[inline]
    pub fn deletions(&self) -> u64 {
        self.deletions.load(Ordering::Acquire)
    }

    /// What an interned id names.
    pub fn key(&self, id: SeriesId) -> Option<SeriesKey> {
        let place = self.place(id)?;
        let (story, metric) = match place.counter {
            Counter::OfStory(story, StoryCounter::Conversations) => (story, Metric::Conversations),
            Counter::OfStory(story, StoryCounter::Paid) => (story, Metric::PaidConversations),
            Counter::OfStory(story, StoryCounter::Messages) => (story, Metric::Messages),
            Counter::OfNode(row) => {
                let (number, at) = self.index.node_row(row)?.story_and_place();
                let story = self.story_numbered(number)?;
                let node = story.read().nodes.get(narrow(at))?.node;
                (number, Metric::Interaction(node))
            }
        };
        let key = SeriesKey { story: self.story_numbered(story)?.id(), source: place.source, metric };
        // An id is unbound before its story's place is given to another.
        self.is_bound(id).then_some(key)
    }

    // ---- the sequencer and recovery only ----

    /// Marks the series as durable, and makes its story (and node) known. Idempotent; what has been journalled is not
    /// subject to the bounds. On recovery the id may not have been interned yet; if the key has had another id,
    /// this one replaces it, and the other is returned. An id that no series can have (reserved, or [`SERIES_ID_END`] and
    /// over) is ignored.
    pub fn mark_durable(&self, definition: &Definition) -> Option<SeriesId> {
        if !can_be_defined(definition.id) || self.mark_bound(definition) {
            return None;
        }
        self.mark_in(&mut self.lock(), definition)
    }

    /// Applies a change of names or of what is known; what has been journalled is not subject to the bounds.
    /// `DeleteStory` returns the series whose cells the caller must clear, which are not durable any more, and is counted;
    /// other changes return an empty Vec.
    pub fn apply(&self, change: &Change) -> Vec<SeriesId> {
        match change {
            Change::Story { story, name } => {
                let mut interning = self.lock();
                if let Ok(tenant) = self.story_or_add(&mut interning, *story, CatalogueLimits::UNBOUNDED)
                    && let Some(row) = self.index.story_row(tenant.number)
                    && let Some(story) = self.story_numbered(tenant.number)
                {
                    self.know(row);
                    self.grow_names(story.write().name.show(name.as_deref()));
                    self.folded_names.note_change(tenant.number);
                }
                Vec::new()
            }
            Change::Node { story, node, name } => {
                let mut interning = self.lock();
                let unbounded = CatalogueLimits::UNBOUNDED;
                if let Ok(tenant) = self.story_or_add(&mut interning, *story, unbounded)
                    && let Ok(node) = self.node_or_add(&mut interning, tenant, *node, unbounded)
                    && let Some(row) = self.index.story_row(tenant.number)
                    && let Some(node) = self.index.node_row(node)
                    && let Some(story) = self.story_numbered(tenant.number)
                {
                    self.know(row);
                    row.know_node(node);
                    let (_, place) = node.story_and_place();
                    self.grow_names(story.write().name_node(place, name.as_deref()));
                    if name.is_some() {
                        node.set_named();
                    }
                }
                Vec::new()
            }
            Change::DeleteStory { story } => self.delete(*story),
        }
    }

    // ---- readers (reports, routes): owned values or Arcs out, no guard leaves ----

    /// The story, if it is known.
    pub fn story(&self, id: StoryId) -> Option<Arc<Story>> {
        self.interned_story(id).filter(|story| story.is_known())
    }

    /// Every known story, in the order of their numbers.
    pub fn stories(&self) -> Vec<Arc<Story>> {
        (0..self.story_numbers_end())
            .filter_map(|number| self.story_numbered(number))
            .filter(|story| story.is_known())
            .collect()
    }

    /// Calls `f` for every known story of the set. No lock is held meanwhile.
    pub fn for_each_story(&self, set: &StorySet, f: &mut dyn FnMut(&Story)) {
        if let Some(ids) = set.list() {
            return ids.iter().filter_map(|id| self.story(*id)).for_each(|story| f(&story));
        }
        let stories = (0..self.story_numbers_end()).filter_map(|number| self.story_numbered(number));
        stories.filter(|story| story.is_known()).for_each(|story| f(&story));
    }

    /// One more than the greatest number of a story. Stories are numbered in the order in which they were first seen, but
    /// for those that got the number of an evicted one.
    pub fn story_numbers_end(&self) -> u32 {
        self.stories_end.load(Ordering::Acquire)
    }

    /// The story that has that number, also after it was deleted.
    pub fn story_numbered(&self, number: u32) -> Option<Arc<Story>> {
        let place = self.stories.get(narrow(number))?;
        place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Prefetches the place of the story that has that number.
    fn prefetch_numbered(&self, number: u32) {
        if let Some(place) = self.stories.get(narrow(number)) {
            prefetch(place);
        }
    }

    /// Whether the story that has that number is known. Never blocks.
    pub fn knows_numbered(&self, number: u32) -> bool {
        self.index.story_row(number).is_some_and(StoryRow::is_known)
    }

    /// Calls `f` with the number of the story, the metric, the source and the id of every durable series of the metrics (not
    /// of interactions) of the stories whose numbers are in `stories`, story by story. Never blocks, and touches no more of
    /// a story than its row: where all are asked for, that is what takes the time.
    pub fn for_each_series_of(
        &self,
        metrics: &[Metric],
        stories: &Range<u32>,
        f: &mut dyn FnMut(u32, Metric, Source, SeriesId),
    ) {
        for number in stories.start..stories.end.min(self.story_numbers_end()) {
            let Some(row) = self.index.story_row(number) else { continue };
            for metric in metrics {
                let Ok(counter) = StoryCounter::of(*metric) else { continue };
                for (source, link) in Source::ALL.into_iter().zip(row.links(counter)) {
                    if let Some(Interned { id, is_durable: true }) = link.get() {
                        f(number, *metric, source, id);
                    }
                }
            }
        }
    }

    /// How many stories are known. Never blocks.
    pub fn story_count(&self) -> usize {
        self.stories_known.load(Ordering::Relaxed)
    }

    /// How many series are durable. Never blocks.
    pub fn series_count(&self) -> usize {
        self.series_durable.load(Ordering::Relaxed)
    }

    /// Bytes of memory that stories, interactions, names and the index take, with the overhead of the allocator; within a
    /// fifth. Never blocks for long.
    pub fn memory_bytes(&self) -> u64 {
        let stories = narrow(self.story_numbers_end());
        let nodes = narrow(self.nodes_end.load(Ordering::Relaxed));
        let series = narrow(self.next_id.load(Ordering::Relaxed));
        let tables = self.stories.chunk_bytes(stories)
            + self.places.chunk_bytes(series)
            + self.activity.memory_bytes(stories)
            + self.by_id.memory_bytes();
        let bytes =
            self.index.memory_bytes(stories, nodes) + tables + stories * STORY_BYTES + nodes * NODE_BYTES;
        wide(bytes).saturating_add_signed(self.names_bytes.load(Ordering::Relaxed))
    }

    /// How many series have got an id, those of deleted stories included. Never blocks.
    pub fn series_numbered(&self) -> usize {
        SeriesId::new(self.next_id.load(Ordering::Relaxed)).index() - FIRST_STORY_SERIES.index()
    }

    /// The display name of a node, where it is known and has one.
    pub fn node_name(&self, story: StoryId, node: Node) -> Option<Arc<str>> {
        self.interned_story(story)?.node_name(node)
    }

    /// Calls `f` for every durable series, ascending by id. No lock is held meanwhile.
    pub fn for_each_series(&self, f: &mut dyn FnMut(SeriesId, &SeriesKey)) {
        for id in (FIRST_STORY_SERIES.get()..self.next_id.load(Ordering::Acquire)).map(SeriesId::new) {
            if self.is_durable(id)
                && let Some(key) = self.key(id)
            {
                f(id, &key);
            }
        }
    }

    // ---- steps of the sequencer ----

    /// Marks a series as durable if its id is bound to its key; returns whether it is.
    fn mark_bound(&self, Definition { id, key }: &Definition) -> bool {
        let Some(place) = self.place(*id) else { return false };
        let (number, node) = match place.counter {
            Counter::OfStory(story, _) => (Some(story), None),
            Counter::OfNode(row) => {
                let row = self.index.node_row(row);
                (row.map(|row| row.story_and_place().0), row)
            }
        };
        let Some(number) = number else { return false };
        // A known story is not evicted, and nobody else makes it unknown. Another one is held until it is known.
        let is_known = self.index.row_of(key.story, number).is_some_and(StoryRow::is_known);
        let story = if is_known { None } else { self.story_numbered(number) };
        let _held = story.as_ref().map(|story| story.write());
        let Some(row) = self.index.row_of(key.story, number) else { return false };
        let link = self.link(place).filter(|link| link.get().is_some_and(|series| series.id == *id));
        let Some(link) = link else { return false };
        self.mark_link(link, (row, node));
        true
    }

    /// Marks the series of a link of these rows as durable, and makes their story and node known.
    fn mark_link(&self, link: &Link, (row, node): (&StoryRow, Option<&NodeRow>)) {
        if link.mark_durable() {
            self.series_durable.fetch_add(1, Ordering::Relaxed);
        }
        self.know(row);
        if let Some(node) = node {
            row.know_node(node);
        }
    }

    fn grow_names(&self, bytes: i64) {
        self.names_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn know(&self, row: &StoryRow) {
        if !row.is_known() {
            row.set_known();
            self.stories_known.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn delete(&self, story: StoryId) -> Vec<SeriesId> {
        let mut cleared = Vec::new();
        let mut interning = self.lock();
        let Some(story) = self.interned_story(story) else { return cleared };
        let mut inner = story.write();
        if !story.is_known() {
            return cleared;
        }
        story.for_each_link(&inner, &mut |link| cleared.extend(link.unmark()));
        self.grow_names(story.forget(&mut inner));
        self.folded_names.note_change(story.tenant().number);
        self.activity.clear(story.tenant().number);
        interning.release(&story, &mut inner);
        self.stories_known.fetch_sub(1, Ordering::Relaxed);
        self.series_durable.fetch_sub(cleared.len(), Ordering::Relaxed);
        // After the marks: a thread that reads the new count sees them gone.
        self.deletions.fetch_add(1, Ordering::AcqRel);
        cleared
    }

    fn interned_story(&self, id: StoryId) -> Option<Arc<Story>> {
        let story = self.story_numbered(self.index.story(id)?.number)?;
        // The number may have gone to another story meanwhile.
        (story.id() == id).then_some(story)
    }

    fn place(&self, id: SeriesId) -> Option<LinkPlace> {
        LinkPlace::unpack(self.places.get(id.index())?.load(Ordering::Acquire))
    }

    fn link(&self, LinkPlace { counter, source }: LinkPlace) -> Option<&Link> {
        match counter {
            Counter::OfStory(story, counter) => self.index.story_row(story)?.link(counter, source),
            Counter::OfNode(row) => self.index.node_row(row)?.link(source),
        }
    }
}
