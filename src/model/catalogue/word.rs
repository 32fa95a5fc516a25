//! What a series id names, in eight bytes. Knows nothing of the table that has these words.

use super::index::StoryCounter;
use crate::limits::wide;
use crate::model::event::Source;

/// Where the link of a series is: in which row, for which counter and source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LinkPlace {
    pub(super) counter: Counter,
    pub(super) source: Source,
}

/// A counter of a story or of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counter {
    /// Of the story of that number.
    OfStory(u32, StoryCounter),
    /// Of the node whose row has that number.
    OfNode(u32),
}

impl LinkPlace {
    /// Set in the word of every id that names something.
    const BOUND: u64 = 1 << 63;
    const SOURCE_SHIFT: u32 = 40;
    const COUNTER_SHIFT: u32 = 32;
    const OF_NODE: u64 = 3;

    /// The place as a word, which is never 0: the row in the low 32 bits, then 8 of counter and 8 of source.
    pub(super) fn pack(self) -> u64 {
        let (row, counter) = match self.counter {
            Counter::OfStory(story, StoryCounter::Conversations) => (story, 0),
            Counter::OfStory(story, StoryCounter::Paid) => (story, 1),
            Counter::OfStory(story, StoryCounter::Messages) => (story, 2),
            Counter::OfNode(row) => (row, Self::OF_NODE),
        };
        let source = wide(self.source.index());
        Self::BOUND | source << Self::SOURCE_SHIFT | counter << Self::COUNTER_SHIFT | u64::from(row)
    }

    /// The place that a word stands for; `None` for 0.
    pub(super) fn unpack(word: u64) -> Option<Self> {
        let [r0, r1, r2, r3, counter, source, ..] = word.to_le_bytes();
        let row = u32::from_le_bytes([r0, r1, r2, r3]);
        let counter = match counter {
            0 => Counter::OfStory(row, StoryCounter::Conversations),
            1 => Counter::OfStory(row, StoryCounter::Paid),
            2 => Counter::OfStory(row, StoryCounter::Messages),
            _ => Counter::OfNode(row),
        };
        let source = *Source::ALL.get(usize::from(source))?;
        (word != 0).then_some(Self { counter, source })
    }
}
