//! The cache of the usual heads: for every story, and for every interaction of a story, the series of each source in
//! one row of one or two cache lines. So a thousand stories need a few hundred kilobytes where their heads, spelled
//! out, would need many megabytes, and a look-up seldom leaves the processor's own caches.
//!
//! INVARIANT: a series is found only under the very bytes of the ids that it was put under.
//! INVARIANT: no table is larger than its bound, and none doubles before as many good lines have come as it would then
//! have slots; until then a new row may take an old one's place. So what a client can make the cache keep is in proportion
//! to what it has sent.

use std::hash::{BuildHasher, RandomState};

use super::heads::fold;
use super::shape::{IdText, Shape};
use super::sink::{Entry, EventKind, Known};
use crate::event::{ObjectId, Source};
use crate::limits::{NODE_SLOTS_MAX, ROW_SLOTS_MIN, STORY_SLOTS_MAX};

/// Slots, from its first one on, that a row may be in.
const WAYS: usize = 8;

/// The series of something by source.
type BySource = [Known; Source::ALL.len()];

/// A story.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct StoryRow {
    id: IdText,
    /// Stands for the story in the rows of its nodes; 0 in a free slot. Never given twice.
    number: u32,
    messages: BySource,
    conversations: BySource,
    paid: BySource,
}

/// An interaction of a story.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct NodeRow {
    id: IdText,
    /// The story's number; 0 in a free slot.
    story: u32,
    uses: BySource,
}

const _: () = assert!(size_of::<StoryRow>() == 128 && size_of::<NodeRow>() == 64, "rows are cache lines");

/// A look-up under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    story_hash: u64,
    node_hash: u64,
    story: Option<u32>,
    node: Option<u32>,
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Rows {
    stories: Slots<StoryRow>,
    nodes: Slots<NodeRow>,
    last_number: u32,
    seed: u64,
    generation: u64,
    /// Rows asked for and put so far, which are good lines.
    earned: usize,
}

impl Rows {
    /// An empty cache. It allocates nothing until a row is put.
    pub(super) fn new() -> Self {
        Self {
            stories: Slots::new(STORY_SLOTS_MAX),
            nodes: Slots::new(NODE_SLOTS_MAX),
            last_number: 0,
            // Seeded, so that a client cannot prepare ids that collide.
            seed: RandomState::new().hash_one(ROW_SLOTS_MIN),
            generation: 0,
            earned: 0,
        }
    }

    /// Begins a run under that generation of the catalogue. What was confirmed under another one is forgotten, and so
    /// is all of it where the batch is `mixed`: then nothing may count as confirmed.
    pub(super) fn begin(&mut self, generation: u64, mixed: bool) {
        if mixed || self.generation != generation {
            self.clear();
            self.generation = generation;
        }
    }

    /// First step of a look-up: arithmetic only.
    #[inline]
    pub(super) fn place(&self, shape: &Shape<'_>) -> Place {
        Place {
            story_hash: hash(shape.story, self.seed),
            node_hash: shape.node.map_or(0, |node| hash(node, self.seed)),
            ..Place::default()
        }
    }

    /// Second step: finds the story. The reads of several look-ups do not wait for each other.
    #[inline]
    pub(super) fn fetch_story(&self, place: &mut Place, shape: &Shape<'_>) {
        place.story = self.stories.find(place.story_hash, |row| row.number != 0 && row.id == *shape.story);
    }

    /// Third step: finds the node, again without waiting for other look-ups.
    #[inline]
    pub(super) fn fetch_node(&self, place: &mut Place, shape: &Shape<'_>) {
        let (Some(node), Some(story)) = (shape.node, self.stories.get(place.story)) else { return };
        let number = story.number;
        place.node =
            self.nodes.find(of_story(place.node_hash, number), |row| row.story == number && row.id == *node);
    }

    /// Last step: the series of the head, and the paid one beside it where there can be one. Their bits say whether they
    /// are known. What is found is good even if rows have been put since the steps before.
    #[inline]
    pub(super) fn series(
        &mut self,
        place: &Place,
        shape: &Shape<'_>,
    ) -> Option<(&mut Known, Option<&mut Known>)> {
        let source = shape.source.index();
        let story = self.stories.get_mut(place.story)?;
        if story.id != *shape.story {
            return None;
        }
        self.earned = self.earned.saturating_add(1);
        match shape.kind {
            EventKind::Message => Some((story.messages.get_mut(source)?, None)),
            EventKind::Conversation => {
                Some((story.conversations.get_mut(source)?, story.paid.get_mut(source)))
            }
            EventKind::Interaction => {
                let node = self.nodes.get_mut(place.node)?;
                let is_same = node.story == story.number && Some(&node.id) == shape.node;
                if is_same { Some((node.uses.get_mut(source)?, None)) } else { None }
            }
        }
    }

    /// Keeps the series of a head.
    pub(super) fn put(&mut self, shape: &Shape<'_>, entry: &Entry) {
        self.earned = self.earned.saturating_add(1);
        let Place { story_hash, node_hash, .. } = self.place(shape);
        let seed = self.seed;
        let Some(next) = self.last_number.checked_add(1) else {
            // Four thousand million rows later: begin again.
            self.clear();
            return;
        };
        let same = |row: &StoryRow| row.id == *shape.story;
        self.stories.make_room(self.earned, |row| hash(&row.id, seed));
        let Some(story) = self.stories.find_or_replace(story_hash, same) else { return };
        if story.number == 0 || story.id != *shape.story {
            *story = StoryRow { id: *shape.story, number: next, ..StoryRow::default() };
            self.last_number = next;
        }
        let number = story.number;
        let source = shape.source.index();
        let known = match (shape.kind, shape.node) {
            (EventKind::Message, _) => story.messages.get_mut(source),
            (EventKind::Conversation, _) => {
                if let Some(paid) = story.paid.get_mut(source).filter(|_| entry.paid.is_known()) {
                    *paid = entry.paid;
                }
                story.conversations.get_mut(source)
            }
            (EventKind::Interaction, Some(id)) => {
                let hash_of = |row: &NodeRow| of_story(hash(&row.id, seed), row.story);
                self.nodes.make_room(self.earned, hash_of);
                let same = |row: &NodeRow| row.story == number && row.id == *id;
                let Some(node) = self.nodes.find_or_replace(of_story(node_hash, number), same) else {
                    return;
                };
                if !same(node) {
                    *node = NodeRow { id: *id, story: number, ..NodeRow::default() };
                }
                node.uses.get_mut(source)
            }
            (EventKind::Interaction, None) => None,
        };
        if let Some(known) = known {
            *known = entry.series;
        }
    }

    fn clear(&mut self) {
        self.stories.clear();
        self.nodes.clear();
        self.last_number = 0;
    }
}

/// A row of a table; the default is a free slot.
trait Row: Copy + Default {
    fn is_free(&self) -> bool;
}

impl Row for StoryRow {
    fn is_free(&self) -> bool {
        self.number == 0
    }
}

impl Row for NodeRow {
    fn is_free(&self) -> bool {
        self.story == 0
    }
}

/// A table in which a row is in one of a few neighbouring slots.
#[derive(Debug)]
struct Slots<R> {
    rows: Box<[R]>,
    taken: usize,
    rows_max: usize,
}

impl<R: Row> Slots<R> {
    fn new(rows_max: usize) -> Self {
        Self { rows: Box::default(), taken: 0, rows_max }
    }

    #[inline]
    fn get(&self, place: Option<u32>) -> Option<&R> {
        self.rows.get(usize::try_from(place?).ok()?)
    }

    #[inline]
    fn get_mut(&mut self, place: Option<u32>) -> Option<&mut R> {
        self.rows.get_mut(usize::try_from(place?).ok()?)
    }

    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(&R) -> bool) -> Option<u32> {
        for place in self.window(hash) {
            let row = self.rows.get(place)?;
            if is_it(row) {
                return u32::try_from(place).ok();
            }
            if row.is_free() {
                return None;
            }
        }
        None
    }

    /// The row's slot, or else a free one, or else another row's, which its caller is to overwrite. `None` only where there
    /// are no slots.
    fn find_or_replace(&mut self, hash: u64, is_it: impl Fn(&R) -> bool) -> Option<&mut R> {
        let found = self
            .window(hash)
            .find(|place| self.rows.get(*place).is_some_and(|row| row.is_free() || is_it(row)));
        let [turn, ..] = hash.to_le_bytes();
        let place = found.or_else(|| self.window(hash).nth(usize::from(turn) % WAYS))?;
        let row = self.rows.get_mut(place)?;
        self.taken += usize::from(row.is_free());
        Some(row)
    }

    /// Doubles the table where half of it is taken and that has been earned.
    fn make_room(&mut self, earned: usize, hash: impl Fn(&R) -> u64) {
        let slots = self.rows.len();
        let wanted = (slots * 2).clamp(ROW_SLOTS_MIN, self.rows_max);
        if self.taken * 2 < slots || wanted <= slots || (slots != 0 && earned < wanted) {
            return;
        }
        let old = std::mem::replace(&mut self.rows, vec![R::default(); wanted].into_boxed_slice());
        self.taken = 0;
        for row in old.iter().filter(|row| !row.is_free()) {
            // Where its window is full, another one goes; it is found out again when it comes.
            if let Some(slot) = self.find_or_replace(hash(row), |_| false) {
                *slot = *row;
            }
        }
    }

    fn clear(&mut self) {
        if self.taken != 0 {
            self.rows.fill(R::default());
            self.taken = 0;
        }
    }

    #[inline]
    #[expect(clippy::as_conversions, reason = "any bits of the hash will do")]
    fn window(&self, hash: u64) -> impl Iterator<Item = usize> + use<R> {
        let mask = self.rows.len().wrapping_sub(1);
        let first = (hash >> 20) as usize;
        (0..WAYS).map(move |step| first.wrapping_add(step) & mask)
    }
}

/// The hash of a node within the story of that number.
#[inline]
fn of_story(hash: u64, number: u32) -> u64 {
    (hash ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A hash of an id: good enough for a table that compares the bytes as well; not for anything else.
#[inline]
fn hash(id: &IdText, seed: u64) -> u64 {
    let (words, _) = id.as_chunks::<8>();
    let mut state = seed;
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), 0x9E37_79B9_7F4A_7C15);
    }
    state
}

const _: () = assert!(ObjectId::LEN.is_multiple_of(8), "an id is hashed by words");

#[cfg(test)]
mod tests {
    use super::super::quick::{Paid, Stamp, Tail};
    use super::super::{Names, Parsed};
    use super::*;
    use crate::calendar::Hour;
    use crate::catalogue::{Catalogue, CatalogueLimits};
    use crate::ingest::sink::Sink;

    const TAIL: Tail = Tail { count: 1, paid: Paid::No, hour: Hour::MIN, stamp: Stamp::Coarse };

    fn id(number: usize) -> IdText {
        format!("{number:024}").into_bytes().try_into().expect("24 characters")
    }

    /// Takes an event of that story and node by the cache, else by the catalogue; whether the cache knew it.
    fn take(rows: &mut Rows, sink: &mut Sink<'_>, story: usize, node: Option<usize>) -> bool {
        let (story, node) = (id(story), node.map(id));
        let kind = if node.is_some() { EventKind::Interaction } else { EventKind::Message };
        let shape = Shape { kind, source: Source::Slack, story: &story, node: node.as_ref() };
        let mut place = rows.place(&shape);
        rows.fetch_story(&mut place, &shape);
        rows.fetch_node(&mut place, &shape);
        if let Some((series, paid)) = rows.series(&place, &shape)
            && sink.quick_in(kind, series, paid, TAIL)
        {
            return true;
        }
        let entry = sink.take_shape(&shape, TAIL).expect("ids").expect("room");
        rows.put(&shape, &entry);
        false
    }

    #[test]
    fn rows_give_the_series_that_the_catalogue_gives_while_they_grow_and_replace_each_other() {
        let catalogue = Catalogue::new(CatalogueLimits::default());
        let (mut names, mut parsed, mut rows) = (Names::default(), Parsed::default(), Rows::new());
        let mut sink = Sink::begin(&catalogue, &mut names, &mut parsed);
        let mut wanted = Vec::new();
        for round in 0..3 {
            for story in 0..1_500 {
                // The same nodes in every story, as copies of one have.
                for node in [None, Some(1), Some(2)] {
                    let known = take(&mut rows, &mut sink, story, node);
                    assert!(round > 0 || !known, "nothing is known before it came");
                    let (story, node) = (id(story), node.map(id));
                    let kind = if node.is_some() { EventKind::Interaction } else { EventKind::Message };
                    let shape = Shape { kind, source: Source::Slack, story: &story, node: node.as_ref() };
                    let key = shape.series().expect("ids");
                    wanted.push(catalogue.intern(&key).expect("room"));
                }
            }
        }
        let known = (0..1_500).filter(|story| take(&mut rows, &mut sink, *story, Some(2))).count();
        assert!(known > 1_400, "most are kept, {known} are");
        sink.finish();
        let got: Vec<_> = parsed.batch.increments.iter().map(|increment| increment.series).collect();
        assert_eq!(got.get(..wanted.len()), Some(wanted.as_slice()));
    }

    #[test]
    fn tables_are_no_larger_than_what_was_earned() {
        let catalogue = Catalogue::new(CatalogueLimits::default());
        let (mut names, mut parsed, mut rows) = (Names::default(), Parsed::default(), Rows::new());
        let mut sink = Sink::begin(&catalogue, &mut names, &mut parsed);
        for story in 0..5_000 {
            take(&mut rows, &mut sink, story, Some(story));
            assert!(rows.stories.rows.len() <= (story * 3).max(ROW_SLOTS_MIN));
            assert!(rows.nodes.rows.len() <= (story * 3).max(ROW_SLOTS_MIN));
        }
        rows.begin(1, false);
        assert!(!take(&mut rows, &mut sink, 1, None), "another generation knows nothing");
        sink.finish();
    }
}
