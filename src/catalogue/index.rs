//! The index of the usual series: from the very bytes of a story's id, or of a story's and an interaction's, to the series of
//! each source, in one row of one or two cache lines. Shared by all parsers, who read it without a lock; so what one
//! connection has taught it every other one knows, and a thousand stories need no more than a processor's own cache.
//! Knows neither names nor counts. The catalogue has the truth; the index only finds it quickly.
//!
//! INVARIANT: a series is found only under the very ids that it was put under, and is what the catalogue has interned
//! for them. A row, once there, stays as long as its table; only its links change.
//! INVARIANT: a link says *confirmed* only while the catalogue does: it is set and taken back under the lock alone, and
//! taken back before the catalogue's generation goes up. Whoever reads the generation, then [`Index::refresh`]es, sees no
//! confirmation of an older one.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{InteractionId, Metric, Node, ObjectId, SeriesId, SeriesKey, Source};
use crate::hash::fold;
use crate::limits::{INDEX_NODE_SLOTS_MAX, INDEX_SLOTS_MIN, INDEX_STORY_SLOTS_MAX, SERIES_MAX};

/// The text of an id.
pub(crate) type IdText = [u8; ObjectId::LEN];

const WORDS: usize = ObjectId::LEN / 8;
const _: () = assert!(ObjectId::LEN.is_multiple_of(8), "an id is kept and compared by words");
const _: () = assert!(SERIES_MAX < 1 << 31, "the highest bit of an id is free for a flag");

/// A story's row. The first cache line has what most events need.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct StoryRow {
    /// One more than the story's number; 0 in a free slot. Stored last.
    number: AtomicU32,
    messages: BySource,
    id: [AtomicU64; WORDS],
    conversations: BySource,
    paid: BySource,
}

/// The row of an interaction of a story.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct NodeRow {
    /// One more than the story's number; 0 in a free slot. Stored last.
    story: AtomicU32,
    id: [AtomicU64; WORDS],
    uses: BySource,
    /// The row's hash, of the ids of both story and node.
    hash: AtomicU32,
}

const _: () = assert!(size_of::<StoryRow>() == 128 && size_of::<NodeRow>() == 64, "rows are cache lines");

/// The links of a counter by source.
type BySource = [Link; Source::ALL.len()];

/// Which series, and whether it is confirmed.
#[derive(Debug, Default)]
pub(crate) struct Link(AtomicU32);

impl Link {
    const CONFIRMED: u32 = 1 << 31;

    /// The series, if there is one.
    #[inline]
    pub(crate) fn series(&self) -> Option<Indexed> {
        match self.0.load(Ordering::Acquire) {
            // The number 0 is a total's.
            0 => None,
            bits => Some(Indexed {
                id: SeriesId::new(bits & !Self::CONFIRMED),
                is_confirmed: bits & Self::CONFIRMED != 0,
            }),
        }
    }
}

/// What a link says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Indexed {
    /// The series.
    pub(crate) id: SeriesId,
    /// Whether its definition has been journalled in the current generation.
    pub(crate) is_confirmed: bool,
}

impl StoryRow {
    /// The link of the story's conversations.
    #[inline]
    pub(crate) fn conversations(&self, source: Source) -> Option<&Link> {
        self.conversations.get(source.index())
    }

    /// The link of the story's paid conversations.
    #[inline]
    pub(crate) fn paid(&self, source: Source) -> Option<&Link> {
        self.paid.get(source.index())
    }

    /// The link of the story's messages.
    #[inline]
    pub(crate) fn messages(&self, source: Source) -> Option<&Link> {
        self.messages.get(source.index())
    }

    fn link(&self, metric: Metric, source: Source) -> Option<&Link> {
        match metric {
            Metric::Conversations => self.conversations(source),
            Metric::PaidConversations => self.paid(source),
            Metric::Messages => self.messages(source),
            Metric::Interaction(_) => None,
        }
    }
}

impl NodeRow {
    /// The link of the node.
    #[inline]
    pub(crate) fn link(&self, source: Source) -> Option<&Link> {
        self.uses.get(source.index())
    }
}

/// Where a look-up begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    story: u32,
    node: u32,
}

/// The tables as they are until one of them grows.
#[derive(Debug)]
pub(crate) struct Rows {
    stories: Slots<StoryRow>,
    nodes: Slots<NodeRow>,
    seed: u64,
    /// There are newer ones.
    is_replaced: AtomicBool,
}

impl Rows {
    /// First step of a look-up: arithmetic only.
    #[inline]
    pub(crate) fn probe(&self, story: &IdText, node: Option<&IdText>) -> Probe {
        let story = hash(words(story), self.seed);
        Probe { story: low(story), node: node.map_or(0, |node| low(hash(words(node), story))) }
    }

    /// Second step: begins to bring near what the last one reads. Several look-ups do not wait for each other. What it
    /// returns only serves to keep the loads.
    #[inline]
    pub(crate) fn touch(&self, probe: Probe) -> u32 {
        let story = self.stories.first(probe.story).map_or(0, |row| row.number.load(Ordering::Relaxed));
        // Of an event without a node this is always the same slot, which costs nothing.
        let node = self.nodes.first(probe.node).map_or(0, |row| row.story.load(Ordering::Relaxed));
        story ^ node
    }

    /// Last step: the story's row.
    #[inline]
    pub(crate) fn story(&self, probe: Probe, id: &IdText) -> Option<&StoryRow> {
        let wanted = words(id);
        self.stories.find(probe.story, |row| is(&row.id, &wanted))
    }

    /// Last step, after that of its story: the node's row.
    #[inline]
    pub(crate) fn node(&self, probe: Probe, story: &StoryRow, id: &IdText) -> Option<&NodeRow> {
        let wanted = words(id);
        let number = story.number.load(Ordering::Relaxed);
        self.nodes.find(probe.node, |row| row.story.load(Ordering::Relaxed) == number && is(&row.id, &wanted))
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Index {
    newest: Mutex<Newest>,
}

/// The tables that are written to.
#[derive(Debug)]
struct Newest {
    rows: Arc<Rows>,
    stories_taken: usize,
    nodes_taken: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        // Seeded, so that a client cannot prepare ids that collide.
        let seed = RandomState::new().hash_one(INDEX_SLOTS_MIN);
        let rows = Rows {
            stories: Slots::new(INDEX_SLOTS_MIN),
            nodes: Slots::new(INDEX_SLOTS_MIN),
            seed,
            is_replaced: AtomicBool::new(false),
        };
        Self { newest: Mutex::new(Newest { rows: Arc::new(rows), stories_taken: 0, nodes_taken: 0 }) }
    }

    /// The tables as they are now.
    pub(crate) fn rows(&self) -> Arc<Rows> {
        Arc::clone(&self.lock().rows)
    }

    /// Takes over newer tables where there are some.
    #[inline]
    pub(crate) fn refresh(&self, rows: &mut Arc<Rows>) {
        if rows.is_replaced.load(Ordering::Acquire) {
            *rows = self.rows();
        }
    }

    /// Notes the series of a key, whose story has that number. Nothing happens for nodes that are no interactions, nor for a
    /// new row where there are as many as there may be: they are found in the catalogue.
    pub(super) fn put(&self, key: &SeriesKey, number: u32, id: SeriesId) {
        let node = node_text(&key.metric);
        if node.is_none() && matches!(key.metric, Metric::Interaction(_)) {
            return;
        }
        let mut newest = self.lock();
        newest.make_room();
        let rows = Arc::clone(&newest.rows);
        let story = key.story.0.as_bytes();
        let probe = rows.probe(story, node);
        let number = number.saturating_add(1);
        let Some(row) = rows.story(probe, story).or_else(|| newest.new_story(&rows, probe, (story, number)))
        else {
            return;
        };
        let link = match node {
            None => row.link(key.metric, key.source),
            Some(node) => rows
                .node(probe, row, node)
                .or_else(|| newest.new_node(&rows, probe, (node, number)))
                .and_then(|row| row.link(key.source)),
        };
        if let Some(link) = link
            && link.series().is_none()
        {
            link.0.store(id.get(), Ordering::Release);
        }
    }

    /// Notes in a link that its series is confirmed, if `is_confirmed` still says so.
    pub(super) fn confirm(&self, link: &Link, is_confirmed: impl FnOnce() -> bool) {
        let _newest = self.lock();
        if is_confirmed() {
            link.0.fetch_or(Link::CONFIRMED, Ordering::AcqRel);
        }
    }

    /// Takes back what the link of a key says of confirmation.
    pub(super) fn take_back(&self, key: &SeriesKey) {
        let newest = self.lock();
        let rows = &newest.rows;
        let (story, node) = (key.story.0.as_bytes(), node_text(&key.metric));
        let probe = rows.probe(story, node);
        let Some(row) = rows.story(probe, story) else { return };
        let link = match node {
            Some(node) => rows.node(probe, row, node).and_then(|row| row.link(key.source)),
            None => row.link(key.metric, key.source),
        };
        if let Some(link) = link {
            link.0.fetch_and(!Link::CONFIRMED, Ordering::AcqRel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    fn new_story<'r>(
        &mut self,
        rows: &'r Rows,
        probe: Probe,
        (id, number): (&IdText, u32),
    ) -> Option<&'r StoryRow> {
        let row = rows.stories.free(probe.story, self.stories_taken)?;
        fill(&row.id, words(id));
        row.number.store(number, Ordering::Release);
        self.stories_taken += 1;
        Some(row)
    }

    fn new_node<'r>(
        &mut self,
        rows: &'r Rows,
        probe: Probe,
        (id, story): (&IdText, u32),
    ) -> Option<&'r NodeRow> {
        let row = rows.nodes.free(probe.node, self.nodes_taken)?;
        fill(&row.id, words(id));
        row.hash.store(probe.node, Ordering::Relaxed);
        row.story.store(story, Ordering::Release);
        self.nodes_taken += 1;
        Some(row)
    }

    /// Doubles a table that is filled to three quarters, unless it is as large as it may be.
    fn make_room(&mut self) {
        let seed = self.rows.seed;
        let stories = self.rows.stories.larger(self.stories_taken, INDEX_STORY_SLOTS_MAX, seed);
        let nodes = self.rows.nodes.larger(self.nodes_taken, INDEX_NODE_SLOTS_MAX, seed);
        if stories.is_none() && nodes.is_none() {
            return;
        }
        let old = &self.rows;
        let rows = Rows {
            stories: stories.unwrap_or_else(|| old.stories.clone()),
            nodes: nodes.unwrap_or_else(|| old.nodes.clone()),
            seed,
            is_replaced: AtomicBool::new(false),
        };
        let old = std::mem::replace(&mut self.rows, Arc::new(rows));
        old.is_replaced.store(true, Ordering::Release);
    }
}

/// A table of rows, each in the first free slot from where its hash points to.
#[derive(Debug)]
struct Slots<R>(Arc<[R]>);

/// A row of a table; the default is a free slot.
trait Row: Default {
    fn is_free(&self) -> bool;
    fn hash(&self, seed: u64) -> u32;
    /// A row that says the same.
    fn copy_into(&self, other: &Self);
}

impl Row for StoryRow {
    #[inline]
    fn is_free(&self) -> bool {
        self.number.load(Ordering::Acquire) == 0
    }

    fn hash(&self, seed: u64) -> u32 {
        low(hash(read(&self.id), seed))
    }

    fn copy_into(&self, other: &Self) {
        fill(&other.id, read(&self.id));
        for (from, to) in [
            (&self.messages, &other.messages),
            (&self.conversations, &other.conversations),
            (&self.paid, &other.paid),
        ] {
            copy_links(from, to);
        }
        other.number.store(self.number.load(Ordering::Relaxed), Ordering::Release);
    }
}

impl Row for NodeRow {
    #[inline]
    fn is_free(&self) -> bool {
        self.story.load(Ordering::Acquire) == 0
    }

    fn hash(&self, _seed: u64) -> u32 {
        self.hash.load(Ordering::Relaxed)
    }

    fn copy_into(&self, other: &Self) {
        fill(&other.id, read(&self.id));
        copy_links(&self.uses, &other.uses);
        other.hash.store(self.hash.load(Ordering::Relaxed), Ordering::Relaxed);
        other.story.store(self.story.load(Ordering::Relaxed), Ordering::Release);
    }
}

impl<R> Clone for Slots<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Row> Slots<R> {
    fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| R::default()).collect())
    }

    #[inline]
    fn first(&self, hash: u32) -> Option<&R> {
        self.0.get(self.place(hash))
    }

    /// The row, if it is there.
    #[inline]
    fn find(&self, hash: u32, is_it: impl Fn(&R) -> bool) -> Option<&R> {
        let first = self.place(hash);
        (0..self.0.len())
            .map_while(|step| self.0.get(first.wrapping_add(step) & self.mask()).filter(|row| !row.is_free()))
            .find(|row| is_it(row))
    }

    /// The slot that a new row goes to; `None` where the table is as full as may be. Some slots stay free, so that a look-up
    /// in vain ends soon.
    fn free(&self, hash: u32, taken: usize) -> Option<&R> {
        if taken >= self.0.len() / 8 * 7 {
            return None;
        }
        let first = self.place(hash);
        (0..self.0.len())
            .filter_map(|step| self.0.get(first.wrapping_add(step) & self.mask()))
            .find(|row| row.is_free())
    }

    /// A table of twice the slots with the same rows, where that is due.
    fn larger(&self, taken: usize, slots_max: usize, seed: u64) -> Option<Self> {
        let slots = self.0.len();
        if taken < slots / 4 * 3 || slots >= slots_max {
            return None;
        }
        let larger = Self::new(slots * 2);
        for row in self.0.iter().filter(|row| !row.is_free()) {
            // A table of twice the size has room.
            if let Some(place) = larger.free(row.hash(seed), 0) {
                row.copy_into(place);
            }
        }
        Some(larger)
    }

    #[inline]
    fn mask(&self) -> usize {
        self.0.len().wrapping_sub(1)
    }

    #[inline]
    fn place(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or_default() & self.mask()
    }
}

/// The id of an interaction node.
fn node_text(metric: &Metric) -> Option<&IdText> {
    match metric {
        Metric::Interaction(Node::Interaction(InteractionId(id))) => Some(id.as_bytes()),
        _ => None,
    }
}

fn copy_links(from: &BySource, to: &BySource) {
    for (from, to) in from.iter().zip(to) {
        to.0.store(from.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn fill(place: &[AtomicU64; WORDS], id: [u64; WORDS]) {
    for (place, word) in place.iter().zip(id) {
        place.store(word, Ordering::Relaxed);
    }
}

#[inline]
fn read(place: &[AtomicU64; WORDS]) -> [u64; WORDS] {
    place.each_ref().map(|word| word.load(Ordering::Relaxed))
}

#[inline]
fn is(there: &[AtomicU64; WORDS], wanted: &[u64; WORDS]) -> bool {
    // Without a branch for each word.
    read(there).iter().zip(wanted).fold(0, |differs, (there, wanted)| differs | (there ^ wanted)) == 0
}

/// An id as it is compared.
#[inline]
fn words(text: &IdText) -> [u64; WORDS] {
    let (words, _) = text.as_chunks::<8>();
    std::array::from_fn(|index| words.get(index).map_or(0, |word| u64::from_le_bytes(*word)))
}

#[inline]
fn hash([first, second, third]: [u64; WORDS], seed: u64) -> u64 {
    fold(fold(first ^ seed, second ^ 0x9E37_79B9_7F4A_7C15) ^ third, 0xD1B5_4A32_D192_ED03)
}

/// The half of a hash that is kept.
#[inline]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
fn low(hash: u64) -> u32 {
    (hash >> 20) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Change, Definition};
    use crate::catalogue::{Catalogue, CatalogueLimits};
    use crate::event::StoryId;

    fn text(number: usize) -> IdText {
        format!("{number:024}").into_bytes().try_into().unwrap()
    }

    fn key(story: usize, node: Option<usize>, source: Source) -> SeriesKey {
        let id = |number| ObjectId::parse(&text(number)).unwrap();
        let metric = node
            .map_or(Metric::Messages, |node| Metric::Interaction(Node::Interaction(InteractionId(id(node)))));
        SeriesKey { story: StoryId(id(story)), source, metric }
    }

    fn put(catalogue: &Catalogue, key: &SeriesKey) -> SeriesId {
        let id = catalogue.intern(key).unwrap();
        catalogue.index_series(key, id);
        id
    }

    fn link<'r>(rows: &'r Rows, key: &SeriesKey) -> Option<&'r Link> {
        let (story, node) = (key.story.0.as_bytes(), node_text(&key.metric));
        let probe = rows.probe(story, node);
        rows.touch(probe);
        let row = rows.story(probe, story)?;
        match node {
            Some(node) => rows.node(probe, row, node)?.link(key.source),
            None => row.link(key.metric, key.source),
        }
    }

    fn series(rows: &Rows, key: &SeriesKey) -> Option<SeriesId> {
        link(rows, key)?.series().map(|series| series.id)
    }

    #[test]
    fn every_series_is_found_under_its_ids_alone_while_the_tables_grow() {
        let catalogue = Catalogue::new(CatalogueLimits::default());
        let first = catalogue.index().rows();
        let mut wanted = Vec::new();
        for story in 0..3 * INDEX_SLOTS_MIN {
            // The same nodes in every story, as copies of one have.
            for node in [None, Some(1), Some(2)] {
                for source in [Source::Slack, Source::App] {
                    let key = key(story, node, source);
                    wanted.push((key, put(&catalogue, &key)));
                }
            }
        }
        let mut rows = Arc::clone(&first);
        catalogue.index().refresh(&mut rows);
        for (key, id) in &wanted {
            assert_eq!(series(&rows, key), Some(*id), "{key:?}");
            assert_eq!(series(&rows, &SeriesKey { source: Source::Custom, ..*key }), None, "{key:?}");
            // What the first tables have is right, though they have not all.
            assert!(series(&first, key).is_none_or(|there| there == *id), "{key:?}");
        }
        assert_eq!(series(&rows, &key(0, Some(3), Source::Slack)), None);
        assert_eq!(series(&rows, &key(3 * INDEX_SLOTS_MIN, None, Source::Slack)), None);
    }

    #[test]
    fn confirmation_is_noted_while_it_holds_and_taken_back_with_the_story() {
        let catalogue = Catalogue::new(CatalogueLimits::default());
        let keys = [key(1, None, Source::Slack), key(1, Some(2), Source::App), key(3, None, Source::Slack)];
        let ids = keys.map(|key| put(&catalogue, &key));
        let rows = catalogue.index().rows();
        let confirmed = || keys.map(|key| link(&rows, &key).unwrap().series().unwrap().is_confirmed);
        let note = || {
            for (key, id) in keys.iter().zip(ids) {
                catalogue.index_confirmed(link(&rows, key).unwrap(), id);
            }
        };
        note();
        assert_eq!(confirmed(), [false; 3], "nothing has been journalled");
        for (key, id) in keys.into_iter().zip(ids) {
            catalogue.confirm(&Definition { id, key });
        }
        note();
        assert_eq!(confirmed(), [true; 3]);
        catalogue.apply(&Change::DeleteStory { story: keys[0].story });
        assert_eq!(confirmed(), [false, false, true]);
        note();
        assert_eq!(confirmed(), [false, false, true], "who is late changes nothing");
        assert_eq!(ids, keys.map(|key| series(&rows, &key).unwrap()), "the ids stay");
    }

    #[test]
    fn full_table_takes_no_more_rows() {
        let slots: Slots<StoryRow> = Slots::new(8);
        let mut taken = 0;
        while let Some(row) = slots.free(u32::try_from(taken).unwrap() * 3, taken) {
            row.number.store(1, Ordering::Relaxed);
            taken += 1;
        }
        assert_eq!(taken, 7);
        assert!(slots.find(0, |_| false).is_none(), "a look-up in vain ends");
        assert!(slots.larger(taken, 8, 0).is_none());
        assert!(slots.larger(taken, 16, 0).is_some_and(|larger| larger.0.len() == 16));
    }
}
