//! Which stories, interactions and series are known, their numbers and their names. Shared by all threads.
//! Knows nothing of counts, files, sockets or text.
//!
//! Parsers *intern* a series key to learn its id; that alone makes nothing known. The sequencer (or recovery)
//! *confirms* what it has journalled and *applies* changes; from then on readers see it.
//!
//! INVARIANT: within one run a key keeps its id, deleted or not, and no two keys share one.
//!
//! What was interned for a batch that was then refused stays, so it counts against the bounds too: a client that
//! floods the daemon with ids fills the bounds, not the memory. A restart keeps only what was confirmed.

pub(crate) mod index;
mod story;
mod word;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use crate::limits::{NODES_PER_STORY_MAX, SERIES_MAX, STORIES_MAX, TOTALS};
use crate::model::batch::{Change, Definition, SeriesId};
use crate::model::event::{Metric, Node, SeriesKey, Source, StoryId};
use crate::model::table::Table;
use index::{Index, Known, Link, Rows};
use story::Counter;
pub use story::{NodeEntry, Story};
use word::SeriesWord;

/// The first id that [`Catalogue::intern`] gives; those below are the totals'.
pub const FIRST_STORY_SERIES: SeriesId = SeriesId::new(24);
/// Past every id that a series can have.
pub const SERIES_ID_END: SeriesId = SeriesId::new(ID_END);

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "limits.rs asserts that it fits")]
const ID_END: u32 = (TOTALS + SERIES_MAX) as u32;

/// Which stories, interactions and series are known. Shared by all threads (`Arc<Catalogue>`). Any thread may
/// intern and read; only the sequencer (or recovery) confirms and applies.
#[derive(Debug)]
pub struct Catalogue {
    limits: CatalogueLimits,
    /// The number of each story, interned or known.
    stories: DashMap<StoryId, u32, RandomState>,
    /// The stories by their number.
    by_number: Table<std::sync::OnceLock<Arc<Story>>>,
    /// What each id names, see [`SeriesWord`].
    series: Table<AtomicU64>,
    index: Index,
    stories_interned: AtomicU32,
    next_id: AtomicU32,
    generation: AtomicU64,
    stories_known: AtomicUsize,
    series_confirmed: AtomicUsize,
}

/// Caps, so that tests can use small ones. `Default` is from [`crate::limits`], which are also the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueLimits {
    /// Most stories, interned or known.
    pub stories: usize,
    /// Most series, interned or confirmed.
    pub series: usize,
    /// Most nodes within one story, interned or known.
    pub nodes_per_story: usize,
}

impl Default for CatalogueLimits {
    fn default() -> Self {
        Self { stories: STORIES_MAX, series: SERIES_MAX, nodes_per_story: NODES_PER_STORY_MAX }
    }
}

/// A new story, interaction or series was refused because a bound is reached. What is there already goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueFull {
    /// There are as many stories as there may be.
    #[error("this is a new story and there are {0} already, which is the limit")]
    Stories(usize),
    /// The story has as many interactions as it may have.
    #[error("this is a new interaction and story {story} has {max} already, which is the limit")]
    Nodes {
        /// The story.
        story: StoryId,
        /// The bound.
        max: usize,
    },
    /// There are as many series as there may be.
    #[error("this needs a new counter and there are {0} already, which is the limit")]
    Series(usize),
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
            stories: DashMap::with_hasher(RandomState::default()),
            // Recovery may bring more than the bounds that are in force now.
            by_number: Table::new(most.stories * 2),
            series: Table::new(TOTALS + most.series),
            index: Index::new(),
            stories_interned: AtomicU32::new(0),
            next_id: AtomicU32::new(FIRST_STORY_SERIES.get()),
            generation: AtomicU64::new(0),
            stories_known: AtomicUsize::new(0),
            series_confirmed: AtomicUsize::new(0),
        }
    }

    // ---- any thread (parsers) ----

    /// The id of a series, given one if it has none yet. Interning does not make anything known. Blocks only while
    /// another thread interns or confirms in the same story.
    ///
    /// # Errors
    /// Which bound does not allow a new story, interaction or series.
    pub fn intern(&self, key: &SeriesKey) -> Result<SeriesId, CatalogueFull> {
        let story = self.intern_story(key.story, self.limits.stories)?;
        if let Some(id) = interned(story, key) {
            return Ok(id);
        }
        self.intern_in(story, None, key).map(|(id, _)| id)
    }

    /// As [`Self::intern`], for the series of a usual head: what the index, of which these are rows, knows of its story and
    /// node need not be searched for, and the index then has the series.
    ///
    /// Blocks while another thread writes to the index, which takes longest while that doubles a table.
    ///
    /// # Errors
    /// As [`Self::intern`].
    pub(crate) fn intern_indexed(&self, rows: &Rows, key: &SeriesKey) -> Result<SeriesId, CatalogueFull> {
        let known = rows.known(key);
        let story = match known.and_then(|known| self.numbered(known.story)) {
            Some(story) => story,
            None => self.intern_story(key.story, self.limits.stories)?,
        };
        let counter = match known.and_then(|known| known.node) {
            Some(place) => Some(Counter::OfNode(place)),
            None => Counter::of_story(key.metric),
        };
        let (id, counter) = self.intern_in(story, counter, key)?;
        let place = if let Counter::OfNode(place) = counter { place } else { 0 };
        self.index.put(key, Known { story: story.number(), node: Some(place) }, id);
        Ok(id)
    }

    /// The id of a series of that story, whose counter may be known.
    fn intern_in(
        &self,
        story: &Story,
        counter: Option<Counter>,
        key: &SeriesKey,
    ) -> Result<(SeriesId, Counter), CatalogueFull> {
        if let Some(counter) = counter
            && let Some(id) = story.read().interned(counter, key.source)
        {
            return Ok((id, counter));
        }
        let mut inner = story.write();
        let max = self.limits.nodes_per_story;
        let nodes_full = CatalogueFull::Nodes { story: key.story, max };
        let counter = counter.or_else(|| inner.counter_or_add(key.metric, max)).ok_or(nodes_full)?;
        // Another thread may have been here before.
        if let Some(id) = inner.interned(counter, key.source) {
            return Ok((id, counter));
        }
        let id = self.next_id().ok_or(CatalogueFull::Series(self.limits.series))?;
        self.write_word(id, SeriesWord { story: story.number(), counter, source: key.source });
        inner.bind(counter, key.source, id);
        Ok((id, counter))
    }

    /// Where parsers find the usual series.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Notes in a link of the index that its series is confirmed, unless that has been taken back meanwhile.
    pub(crate) fn index_confirmed(&self, link: &Link, id: SeriesId) {
        self.index.confirm(link, || self.is_confirmed(id));
    }

    /// Reserves what a change needs within the bounds, without making it known. To be called before a change
    /// that comes without the series of an event is put into a batch.
    ///
    /// # Errors
    /// Which bound does not allow a new story or interaction.
    pub fn admit(&self, change: &Change) -> Result<(), CatalogueFull> {
        match change {
            Change::DeleteStory { .. } => Ok(()),
            Change::Story { story, .. } => self.intern_story(*story, self.limits.stories).map(drop),
            Change::Node { story, node, .. } => {
                let max = self.limits.nodes_per_story;
                let place = self.intern_story(*story, self.limits.stories)?.write().place_or_add(*node, max);
                place.map(drop).ok_or(CatalogueFull::Nodes { story: *story, max })
            }
        }
    }

    /// Whether the series' definition has been journalled in the current generation, so that batches need not
    /// carry it. Never blocks.
    #[inline]
    pub fn is_confirmed(&self, id: SeriesId) -> bool {
        self.series
            .get(id.index())
            .is_some_and(|word| word.load(Ordering::Acquire) & SeriesWord::CONFIRMED != 0)
    }

    /// Goes up by one whenever confirmations are taken back (a story was deleted). Caches of confirmed ids built
    /// under an older generation must be dropped; read it *before* interning. Never blocks.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What an interned id names.
    pub fn key(&self, id: SeriesId) -> Option<SeriesKey> {
        let word = self.word(id)?;
        let story = self.numbered(word.story)?;
        let metric = story.read().metric(word.counter)?;
        Some(SeriesKey { story: story.id(), source: word.source, metric })
    }

    // ---- the sequencer and recovery only ----

    /// Makes the series confirmed, and its story (and node) known. Idempotent; what has been journalled is not
    /// subject to the bounds. On recovery the id may not have been interned yet; if the key has had another id,
    /// this one replaces it. An id that no series can have (reserved, or [`SERIES_ID_END`] and over) is ignored.
    pub fn confirm(&self, definition: &Definition) {
        let Definition { id, key } = definition;
        if *id < FIRST_STORY_SERIES || *id >= SERIES_ID_END {
            return;
        }
        let interned = self.word(*id).and_then(|word| Some((self.numbered(word.story)?, word.counter)));
        let (story, counter) = if let Some((story, counter)) = interned {
            debug_assert_eq!(story.id(), key.story, "within a run an id has one key");
            (story, Some(counter))
        } else {
            let Ok(story) = self.intern_story(key.story, usize::MAX) else { return };
            self.next_id.fetch_max(id.get() + 1, Ordering::AcqRel);
            (story, None)
        };
        let mut inner = story.write();
        let Some(counter) = counter.or_else(|| inner.counter_or_add(key.metric, usize::MAX)) else { return };
        match inner.interned(counter, key.source) {
            Some(there) if there == *id => {}
            there => {
                self.write_word(*id, SeriesWord { story: story.number(), counter, source: key.source });
                inner.bind(counter, key.source, *id);
                if let Some(there) = there {
                    self.take_back(there);
                }
            }
        }
        inner.confirm(counter, key.source);
        self.know(&mut inner.is_known);
        if let Some(word) = self.series.get(id.index())
            && word.fetch_or(SeriesWord::CONFIRMED, Ordering::AcqRel) & SeriesWord::CONFIRMED == 0
        {
            self.series_confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Applies a change of names or of what is known; what has been journalled is not subject to the bounds.
    /// `DeleteStory` returns the series whose cells the caller must clear, takes back their confirmation and
    /// raises the generation; other changes return an empty Vec.
    pub fn apply(&self, change: &Change) -> Vec<SeriesId> {
        match change {
            Change::Story { story, name } => {
                if let Ok(story) = self.intern_story(*story, usize::MAX) {
                    let mut inner = story.write();
                    self.know(&mut inner.is_known);
                    if let Some(name) = name {
                        inner.name = Some(Arc::from(&**name));
                    }
                }
                Vec::new()
            }
            Change::Node { story, node, name } => {
                if let Ok(story) = self.intern_story(*story, usize::MAX) {
                    let mut inner = story.write();
                    self.know(&mut inner.is_known);
                    if let Some(place) = inner.place_or_add(*node, usize::MAX) {
                        inner.know_node(place, name.as_deref().map(Arc::from));
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
        self.interned_story(id).filter(|story| story.read().is_known).map(Arc::clone)
    }

    /// Every known story, in the order in which they were first seen.
    pub fn stories(&self) -> Vec<Arc<Story>> {
        let interned = usize::try_from(self.stories_interned.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        let all = (0..interned).filter_map(|number| self.by_number.get(number)?.get());
        all.filter(|story| story.read().is_known).map(Arc::clone).collect()
    }

    /// Calls `f` for every known story, in the order in which they were first seen. No lock is held meanwhile.
    pub fn for_each_story(&self, f: &mut dyn FnMut(&Story)) {
        let interned = usize::try_from(self.stories_interned.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        let all = (0..interned).filter_map(|number| self.by_number.get(number)?.get());
        all.filter(|story| story.read().is_known).for_each(|story| f(story));
    }

    /// One more than the greatest number of a story. Stories are numbered in the order in which they were first seen.
    pub fn story_numbers_end(&self) -> u32 {
        self.stories_interned.load(Ordering::Acquire)
    }

    /// The story of that number, also after it was deleted.
    pub fn story_numbered(&self, number: u32) -> Option<Arc<Story>> {
        self.numbered(number).map(Arc::clone)
    }

    /// Calls `f` with the number of the story, the source and the id of every confirmed series of a metric (not an
    /// interaction) of the stories whose numbers are in `stories`; ascending by id. Never blocks, and touches no
    /// story: where all are asked for, that is what takes the time.
    pub fn for_each_series_of(
        &self,
        metric: Metric,
        stories: &Range<u32>,
        f: &mut dyn FnMut(u32, Source, SeriesId),
    ) {
        let Some(wanted) = Counter::of_story(metric) else { return };
        for id in (FIRST_STORY_SERIES.get()..self.next_id.load(Ordering::Acquire)).map(SeriesId::new) {
            let word = self.series.get(id.index()).map_or(0, |word| word.load(Ordering::Acquire));
            if word & SeriesWord::CONFIRMED != 0
                && let Some(SeriesWord { story, counter, source }) = SeriesWord::unpack(word)
                && counter == wanted
                && stories.contains(&story)
            {
                f(story, source, id);
            }
        }
    }

    /// How many stories are known. Never blocks.
    pub fn story_count(&self) -> usize {
        self.stories_known.load(Ordering::Relaxed)
    }

    /// How many series are confirmed. Never blocks.
    pub fn series_count(&self) -> usize {
        self.series_confirmed.load(Ordering::Relaxed)
    }

    /// The display name of a node, where it is known and has one.
    pub fn node_name(&self, story: StoryId, node: Node) -> Option<Arc<str>> {
        self.interned_story(story)?.node_name(node)
    }

    /// Calls `f` for every confirmed series, ascending by id. No lock is held meanwhile.
    pub fn for_each_series(&self, f: &mut dyn FnMut(SeriesId, &SeriesKey)) {
        for id in (FIRST_STORY_SERIES.get()..self.next_id.load(Ordering::Acquire)).map(SeriesId::new) {
            if self.is_confirmed(id)
                && let Some(key) = self.key(id)
            {
                f(id, &key);
            }
        }
    }

    fn numbered(&self, number: u32) -> Option<&Arc<Story>> {
        self.by_number.get(usize::try_from(number).ok()?)?.get()
    }

    fn interned_story(&self, id: StoryId) -> Option<&Arc<Story>> {
        let number = *self.stories.get(&id)?;
        self.numbered(number)
    }

    fn intern_story(&self, id: StoryId, max: usize) -> Result<&Arc<Story>, CatalogueFull> {
        if let Some(story) = self.interned_story(id) {
            return Ok(story);
        }
        let number = match self.stories.entry(id) {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(vacant) => {
                let number = take_number(&self.stories_interned, max).ok_or(CatalogueFull::Stories(max))?;
                let place = usize::try_from(number).ok().and_then(|number| self.by_number.ensure(number));
                // The number is new, so nobody has set its place before; and nobody sees it before it is set.
                place.ok_or(CatalogueFull::Stories(max))?.get_or_init(|| Arc::new(Story::new(id, number)));
                *vacant.insert(number)
            }
        };
        self.numbered(number).ok_or(CatalogueFull::Stories(max))
    }

    fn next_id(&self) -> Option<SeriesId> {
        take_number(&self.next_id, TOTALS + self.limits.series).map(SeriesId::new)
    }

    fn word(&self, id: SeriesId) -> Option<SeriesWord> {
        SeriesWord::unpack(self.series.get(id.index())?.load(Ordering::Acquire))
    }

    fn write_word(&self, id: SeriesId, word: SeriesWord) {
        if let Some(place) = self.series.ensure(id.index()) {
            place.store(word.pack(), Ordering::Release);
        }
    }

    fn know(&self, is_known: &mut bool) {
        if !std::mem::replace(is_known, true) {
            self.stories_known.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_back(&self, id: SeriesId) {
        if let Some(word) = self.series.get(id.index())
            && word.fetch_and(!SeriesWord::CONFIRMED, Ordering::AcqRel) & SeriesWord::CONFIRMED != 0
        {
            self.series_confirmed.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn delete(&self, story: StoryId) -> Vec<SeriesId> {
        let Some(story) = self.interned_story(story) else { return Vec::new() };
        let mut inner = story.write();
        if !inner.is_known {
            return Vec::new();
        }
        let taken_back = inner.forget();
        for &id in &taken_back {
            self.take_back(id);
            if let Some(word) = self.word(id)
                && let Some(metric) = inner.metric(word.counter)
            {
                self.index.take_back(&SeriesKey { story: story.id(), source: word.source, metric });
            }
        }
        self.stories_known.fetch_sub(1, Ordering::Relaxed);
        // After the confirmations: whoever reads the new generation sees them gone.
        self.generation.fetch_add(1, Ordering::AcqRel);
        taken_back
    }
}

fn interned(story: &Story, key: &SeriesKey) -> Option<SeriesId> {
    let inner = story.read();
    inner.interned(inner.counter(key.metric)?, key.source)
}

/// The next number below `max`, if there is one.
fn take_number(next: &AtomicU32, max: usize) -> Option<u32> {
    let below_max = |number: u32| usize::try_from(number).is_ok_and(|number| number < max);
    next.fetch_update(Ordering::AcqRel, Ordering::Acquire, |number| {
        below_max(number).then(|| number.checked_add(1)).flatten()
    })
    .ok()
}
