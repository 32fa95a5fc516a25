//! The rows of the index, their links, and the arithmetic of ids. Only [`super::Index`] writes them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::slots::Row;
use crate::limits::SERIES_MAX;
use crate::model::event::{Metric, ObjectId, SeriesId, Source};
use crate::model::hash::fold;

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
    /// Where the node stands in its story.
    place: AtomicU32,
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

impl Link {
    /// Notes a series, where there is none yet.
    pub(super) fn bind(&self, id: SeriesId) {
        if self.series().is_none() {
            self.0.store(id.get(), Ordering::Release);
        }
    }

    /// Notes that the series is confirmed.
    pub(super) fn confirm(&self) {
        self.0.fetch_or(Self::CONFIRMED, Ordering::AcqRel);
    }

    /// Takes that back.
    pub(super) fn take_back(&self) {
        self.0.fetch_and(!Self::CONFIRMED, Ordering::AcqRel);
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

    /// The link of a metric; interactions have rows of their own.
    pub(super) fn link(&self, metric: Metric, source: Source) -> Option<&Link> {
        match metric {
            Metric::Conversations => self.conversations(source),
            Metric::PaidConversations => self.paid(source),
            Metric::Messages => self.messages(source),
            Metric::Interaction(_) => None,
        }
    }

    /// One more than the story's number; 0 in a free slot.
    #[inline]
    pub(super) fn number(&self) -> u32 {
        self.number.load(Ordering::Acquire)
    }

    /// Whether it is the row of that id.
    #[inline]
    pub(super) fn is(&self, id: &Words) -> bool {
        id.are(&self.id)
    }

    /// Takes the free slot for a story of that number.
    pub(super) fn occupy(&self, id: &IdText, number: u32) {
        Words::of(id).write(&self.id);
        self.number.store(number.saturating_add(1), Ordering::Release);
    }
}

impl NodeRow {
    /// The link of the node.
    #[inline]
    pub(crate) fn link(&self, source: Source) -> Option<&Link> {
        self.uses.get(source.index())
    }

    /// One more than the story's number; 0 in a free slot.
    #[inline]
    pub(super) fn story(&self) -> u32 {
        self.story.load(Ordering::Acquire)
    }

    /// Where the node stands in its story.
    pub(super) fn place(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    /// Whether it is the row of that id in the story of that row.
    #[inline]
    pub(super) fn is(&self, id: &Words, story: &StoryRow) -> bool {
        self.story() == story.number() && id.are(&self.id)
    }

    /// Takes the free slot for a node, in that place of the story of that row.
    pub(super) fn occupy(&self, id: &IdText, story: &StoryRow, place: u32, hash: u32) {
        Words::of(id).write(&self.id);
        self.place.store(place, Ordering::Relaxed);
        self.hash.store(hash, Ordering::Relaxed);
        self.story.store(story.number(), Ordering::Release);
    }
}

impl Row for StoryRow {
    #[inline]
    fn is_free(&self) -> bool {
        self.number() == 0
    }

    fn hash(&self, seed: u64) -> u32 {
        low(Words::read(&self.id).hash(seed))
    }

    fn copy_into(&self, other: &Self) {
        Words::read(&self.id).write(&other.id);
        copy_links(&self.messages, &other.messages);
        copy_links(&self.conversations, &other.conversations);
        copy_links(&self.paid, &other.paid);
        other.number.store(self.number(), Ordering::Release);
    }
}

impl Row for NodeRow {
    #[inline]
    fn is_free(&self) -> bool {
        self.story() == 0
    }

    fn hash(&self, _seed: u64) -> u32 {
        self.hash.load(Ordering::Relaxed)
    }

    fn copy_into(&self, other: &Self) {
        Words::read(&self.id).write(&other.id);
        copy_links(&self.uses, &other.uses);
        other.place.store(self.place(), Ordering::Relaxed);
        other.hash.store(self.hash.load(Ordering::Relaxed), Ordering::Relaxed);
        other.story.store(self.story(), Ordering::Release);
    }
}

fn copy_links(from: &BySource, to: &BySource) {
    for (from, to) in from.iter().zip(to) {
        to.0.store(from.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// An id as it is kept and compared.
pub(super) struct Words([u64; WORDS]);

impl Words {
    #[inline]
    pub(super) fn of(text: &IdText) -> Self {
        let (words, _) = text.as_chunks::<8>();
        Self(std::array::from_fn(|index| words.get(index).map_or(0, |word| u64::from_le_bytes(*word))))
    }

    /// A hash of the id: from a seed, or within what another hash stands for.
    #[inline]
    pub(super) fn hash(&self, seed: u64) -> u64 {
        let [first, second, third] = self.0;
        fold(fold(first ^ seed, second ^ 0x9E37_79B9_7F4A_7C15) ^ third, 0xD1B5_4A32_D192_ED03)
    }

    #[inline]
    fn are(&self, there: &[AtomicU64; WORDS]) -> bool {
        // Without a branch for each word.
        let pairs = Self::read(there).0.into_iter().zip(self.0);
        pairs.fold(0, |differs, (there, wanted)| differs | (there ^ wanted)) == 0
    }

    #[inline]
    fn read(place: &[AtomicU64; WORDS]) -> Self {
        Self(place.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    fn write(&self, place: &[AtomicU64; WORDS]) {
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
