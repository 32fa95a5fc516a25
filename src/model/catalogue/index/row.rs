//! The rows of the index: the id of a story or node, and its series. A row never moves and is read
//! without a lock. Only [`super::Index`] writes rows.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use crate::limits::{NODES_PER_STORY_MAX, SERIES_MAX};
use crate::model::event::{IdText, Node, ObjectId, SeriesId, Source};
use crate::model::hash::fold;
use crate::model::prefetch::prefetch;

const WORDS: usize = ObjectId::LEN / 8;
const _: () = assert!(ObjectId::LEN.is_multiple_of(8), "an id is kept and compared by words");
const _: () = assert!(SERIES_MAX < 1 << 31, "the highest bit of an id is free for a flag");
const _: () = assert!(NODES_PER_STORY_MAX < 1 << 30, "the two highest bits of a place are free for flags");

/// A story's row. The first cache line has what most events need.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct StoryRow {
    /// Which story has the row now: every story that gets a row has a tenancy of its own. 0 in a free row.
    tenancy: AtomicU32,
    messages: BySource,
    id: Id,
    /// Readers see the story.
    is_known: AtomicBool,
    conversations: BySource,
    paid: BySource,
    /// How many of its nodes readers see.
    known_nodes: AtomicU32,
}

/// The row of a node of a story.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct NodeRow {
    /// The tenancy of the story. 0 in a free row.
    tenancy: AtomicU32,
    /// The story's number.
    story: AtomicU32,
    id: Id,
    uses: BySource,
    /// Where the node stands in its story, and the flags `KNOWN` and `NAMED`.
    place: AtomicU32,
}

const _: () = assert!(size_of::<StoryRow>() == 128 && size_of::<NodeRow>() == 64, "rows are cache lines");

type Id = [AtomicU64; WORDS];

type BySource = [Link; Source::ALL.len()];

/// The durable series of a node, by [`Source::index`].
pub(in crate::model::catalogue) type NodeSeries = [Option<SeriesId>; Source::ALL.len()];

/// What the row of a node says.
#[derive(Clone, Copy, Debug)]
pub(in crate::model::catalogue) struct ReadNode {
    pub(in crate::model::catalogue) tenancy: u32,
    pub(in crate::model::catalogue) id: NodeId,
    pub(in crate::model::catalogue) is_named: bool,
    pub(in crate::model::catalogue) series: NodeSeries,
}

/// Which node it is, alike in every story.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(Words);

impl NodeId {
    /// The node.
    pub fn node(&self) -> Option<Node> {
        self.0.node()
    }

    #[inline]
    pub(in crate::model::catalogue) fn hash(&self, seed: u64) -> u64 {
        self.0.hash(seed)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoryCounter {
    Conversations,
    Paid,
    Messages,
}

/// The series of one counter on one source, and whether it is durable. The only place that says either.
#[derive(Debug, Default)]
pub(crate) struct Link(AtomicU32);

/// A series that has an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interned {
    pub(crate) id: SeriesId,
    /// Its definition has been journalled, and its story was not deleted since.
    pub(crate) is_durable: bool,
}

impl Link {
    const DURABLE: u32 = 1 << 31;

    /// The series, if there is one.
    #[inline]
    pub(in crate::model::catalogue) fn get(&self) -> Option<Interned> {
        Self::unpack(self.0.load(Ordering::Acquire))
    }

    /// Sets the series, which is not durable yet; the one that was there.
    pub(in crate::model::catalogue) fn bind(&self, id: SeriesId) -> Option<Interned> {
        Self::unpack(self.0.swap(id.get(), Ordering::AcqRel))
    }

    /// Marks the series as durable; whether it was not before.
    pub(in crate::model::catalogue) fn mark_durable(&self) -> bool {
        self.0.fetch_or(Self::DURABLE, Ordering::AcqRel) & Self::DURABLE == 0
    }

    /// Takes the mark back; the series, if it had one.
    pub(in crate::model::catalogue) fn unmark(&self) -> Option<SeriesId> {
        let before = Self::unpack(self.0.fetch_and(!Self::DURABLE, Ordering::AcqRel))?;
        before.is_durable.then_some(before.id)
    }

    /// Forgets the series; which one it was.
    fn clear(&self) -> Option<SeriesId> {
        Self::unpack(self.0.swap(0, Ordering::AcqRel)).map(|before| before.id)
    }

    #[inline]
    fn unpack(bits: u32) -> Option<Interned> {
        // The number 0 is a total's.
        let id = SeriesId::new(bits & !Self::DURABLE);
        (bits != 0).then_some(Interned { id, is_durable: bits & Self::DURABLE != 0 })
    }
}

/// A row whose id has been compared.
#[derive(Debug)]
pub(crate) struct FoundRow<'r, R> {
    pub(super) row: &'r R,
    pub(super) tenancy: u32,
}

impl<R: IndexRow> FoundRow<'_, R> {
    /// The series of that link of the row, unless the row has got another tenant since it was found: a link is read
    /// before the tenancy, and written after it.
    #[inline]
    fn series(&self, link: Option<&Link>) -> Option<Interned> {
        let series = link?.get()?;
        (self.row.tenancy() == self.tenancy).then_some(series)
    }
}

impl FoundRow<'_, StoryRow> {
    /// The series of one of the story's own counters.
    #[inline]
    pub(crate) fn series_of(&self, counter: StoryCounter, source: Source) -> Option<Interned> {
        self.series(self.row.link(counter, source))
    }
}

impl FoundRow<'_, NodeRow> {
    #[inline]
    pub(crate) fn series_on(&self, source: Source) -> Option<Interned> {
        self.series(self.row.link(source))
    }
}

/// What rows have in common.
pub(crate) trait IndexRow {
    /// Who has the row.
    fn tenancy(&self) -> u32;
}

impl IndexRow for StoryRow {
    #[inline]
    fn tenancy(&self) -> u32 {
        self.tenancy.load(Ordering::Acquire)
    }
}

impl IndexRow for NodeRow {
    #[inline]
    fn tenancy(&self) -> u32 {
        self.tenancy.load(Ordering::Acquire)
    }
}

impl StoryRow {
    #[inline]
    pub(in crate::model::catalogue) fn link(&self, counter: StoryCounter, source: Source) -> Option<&Link> {
        self.links(counter).get(source.index())
    }

    #[inline]
    pub(in crate::model::catalogue) fn links(&self, counter: StoryCounter) -> &BySource {
        match counter {
            StoryCounter::Conversations => &self.conversations,
            StoryCounter::Paid => &self.paid,
            StoryCounter::Messages => &self.messages,
        }
    }

    pub(in crate::model::catalogue) fn all_links(&self) -> impl Iterator<Item = &Link> {
        self.conversations.iter().chain(&self.paid).chain(&self.messages)
    }

    /// The id of the story that has the row, or had it last.
    pub(in crate::model::catalogue) fn id(&self) -> IdText {
        let mut text = [0; ObjectId::LEN];
        let (words, _) = text.as_chunks_mut::<8>();
        for (bytes, word) in words.iter_mut().zip(&self.id) {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        text
    }

    /// The row, if it is that of the id.
    #[inline]
    pub(super) fn found(&self, id: &Words) -> Option<FoundRow<'_, Self>> {
        let tenancy = self.tenancy();
        (tenancy != 0 && id.are(&self.id)).then_some(FoundRow { row: self, tenancy })
    }

    /// Whether readers see the story.
    #[inline]
    pub(in crate::model::catalogue) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    /// How many of the story's nodes readers see.
    pub(in crate::model::catalogue) fn known_nodes(&self) -> u32 {
        self.known_nodes.load(Ordering::Relaxed)
    }

    pub(in crate::model::catalogue) fn set_known(&self) {
        self.is_known.store(true, Ordering::Release);
    }

    /// Makes the story unknown, and with it the nodes in these rows.
    pub(in crate::model::catalogue) fn forget<'r>(&self, nodes: impl Iterator<Item = &'r NodeRow>) {
        self.is_known.store(false, Ordering::Release);
        nodes.for_each(|node| _ = node.place.fetch_and(!NodeRow::FLAGS, Ordering::AcqRel));
        self.known_nodes.store(0, Ordering::Relaxed);
    }

    /// Prefetches both cache lines.
    pub(in crate::model::catalogue) fn prefetch_all(&self) {
        prefetch(self);
        prefetch(&self.known_nodes);
    }

    /// Makes a node of the story known.
    pub(in crate::model::catalogue) fn know_node(&self, node: &NodeRow) {
        if !node.is_known() {
            node.place.fetch_or(NodeRow::KNOWN, Ordering::AcqRel);
            self.known_nodes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives the free row to a story.
    pub(super) fn occupy(&self, id: &Words, tenancy: u32) {
        id.write(&self.id);
        self.tenancy.store(tenancy, Ordering::Release);
    }

    /// Makes the row free; the series that it had.
    pub(super) fn clear(&self) -> Vec<SeriesId> {
        self.tenancy.store(0, Ordering::Release);
        self.all_links().filter_map(Link::clear).collect()
    }
}

impl NodeRow {
    const KNOWN: u32 = 1 << 31;
    /// The node has a display name.
    const NAMED: u32 = 1 << 30;
    const FLAGS: u32 = Self::KNOWN | Self::NAMED;

    /// Whether readers see the node.
    #[inline]
    pub(in crate::model::catalogue) fn is_known(&self) -> bool {
        self.place.load(Ordering::Acquire) & Self::KNOWN != 0
    }

    #[inline]
    pub(in crate::model::catalogue) fn link(&self, source: Source) -> Option<&Link> {
        self.uses.get(source.index())
    }

    pub(in crate::model::catalogue) fn links(&self) -> &BySource {
        &self.uses
    }

    /// Notes that the node has got a display name, which its story shows by now.
    pub(in crate::model::catalogue) fn set_named(&self) {
        self.place.fetch_or(Self::NAMED, Ordering::AcqRel);
    }

    /// What the row says, all of one tenancy, if readers see the node.
    #[inline]
    pub(in crate::model::catalogue) fn read(&self) -> Option<ReadNode> {
        let tenancy = self.tenancy();
        let place = self.place.load(Ordering::Acquire);
        if tenancy == 0 || place & Self::KNOWN == 0 {
            return None;
        }
        let id = NodeId(Words::read(&self.id));
        let series = self.uses.each_ref().map(|link| {
            let interned = link.get().filter(|interned| interned.is_durable);
            interned.map(|interned| interned.id)
        });
        // What was read comes before the tenancy is read again. What is written comes after it was taken away.
        fence(Ordering::Acquire);
        let read = ReadNode { tenancy, id, is_named: place & Self::NAMED != 0, series };
        (self.tenancy() == tenancy).then_some(read)
    }

    /// The number of the story, and where the node stands in it.
    pub(in crate::model::catalogue) fn story_and_place(&self) -> (u32, u32) {
        (self.story.load(Ordering::Relaxed), self.place.load(Ordering::Relaxed) & !Self::FLAGS)
    }

    /// The row, if it is that of the id in the story of that tenancy.
    #[inline]
    pub(super) fn found(&self, id: &Words, tenancy: u32) -> Option<FoundRow<'_, Self>> {
        (self.tenancy() == tenancy && id.are(&self.id)).then_some(FoundRow { row: self, tenancy })
    }

    /// Gives the free row to a node: of that story and tenancy, at that place.
    pub(super) fn occupy(&self, id: &Words, tenancy: u32, (story, place): (u32, u32)) {
        // Readers that see the new id see that the tenancy before has ended.
        fence(Ordering::Release);
        id.write(&self.id);
        self.story.store(story, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
        self.tenancy.store(tenancy, Ordering::Release);
    }

    /// Makes the row free; the series that it had.
    pub(super) fn clear(&self) -> Vec<SeriesId> {
        self.tenancy.store(0, Ordering::Release);
        self.uses.iter().filter_map(Link::clear).collect()
    }
}

/// An id as it is kept and compared. Those of nodes that are no interactions have a bit that no text of an id has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Words([u64; WORDS]);

impl Words {
    /// The highest bit of a character, which is 0 in ASCII.
    const NO_INTERACTION: u64 = 1 << 63;
    const FALLBACK: [u64; WORDS] = [Self::NO_INTERACTION, 0, 0];
    const WELCOME: [u64; WORDS] = [Self::NO_INTERACTION, 1, 0];

    #[inline]
    pub(super) fn of(text: &IdText) -> Self {
        let (words, _) = text.as_chunks::<8>();
        Self(std::array::from_fn(|index| words.get(index).map_or(0, |word| u64::from_le_bytes(*word))))
    }

    #[inline]
    pub(super) fn of_node(node: Node<&IdText>) -> Self {
        match node {
            Node::Interaction(text) => Self::of(text),
            Node::ContextFallback(text) => {
                let Self([first, second, third]) = Self::of(text);
                Self([first | Self::NO_INTERACTION, second, third])
            }
            Node::Fallback => Self(Self::FALLBACK),
            Node::Welcome => Self(Self::WELCOME),
        }
    }

    fn read(place: &Id) -> Self {
        Self(place.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    /// The node that has the id.
    fn node(&self) -> Option<Node> {
        match self.0 {
            Self::FALLBACK => Some(Node::Fallback),
            Self::WELCOME => Some(Node::Welcome),
            [first, second, third] => {
                let mut text = [0; ObjectId::LEN];
                let (words, _) = text.as_chunks_mut::<8>();
                for (bytes, word) in words.iter_mut().zip([first & !Self::NO_INTERACTION, second, third]) {
                    *bytes = word.to_le_bytes();
                }
                let is_interaction = first & Self::NO_INTERACTION == 0;
                if is_interaction { Node::Interaction(&text) } else { Node::ContextFallback(&text) }.parse()
            }
        }
    }

    /// A hash of the id: from a seed, or within what another hash stands for.
    #[inline]
    pub(super) fn hash(&self, seed: u64) -> u64 {
        let [first, second, third] = self.0;
        fold(fold(first ^ seed, second ^ 0x9E37_79B9_7F4A_7C15) ^ third, 0xD1B5_4A32_D192_ED03)
    }

    #[inline]
    fn are(&self, there: &Id) -> bool {
        // Without a branch for each word.
        let pairs = there.iter().zip(self.0);
        pairs.fold(0, |differs, (there, wanted)| differs | (there.load(Ordering::Relaxed) ^ wanted)) == 0
    }

    fn write(&self, place: &Id) {
        for (place, word) in place.iter().zip(self.0) {
            place.store(word, Ordering::Relaxed);
        }
    }
}

/// The half of a hash that is kept.
#[inline]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
pub(super) fn low(hash: u64) -> u32 {
    (hash >> 20) as u32
}
