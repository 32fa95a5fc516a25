//! What an id names, in eight bytes: story in the low 32 bits, then 24 of counter, 3 of source, 2 of flags. Knows nothing of
//! the table that has these words.

use super::story::Counter;
use crate::model::event::Source;

/// What an id names.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesWord {
    /// The story's number.
    pub(super) story: u32,
    pub(super) counter: Counter,
    pub(super) source: Source,
}

impl SeriesWord {
    /// Set while the series is confirmed.
    pub(super) const CONFIRMED: u64 = 1 << 63;
    const INTERNED: u64 = 1 << 62;
    const SOURCE_SHIFT: u32 = 56;
    const COUNTER_SHIFT: u32 = 32;
    /// Counter numbers from here on are nodes, those below are of the story.
    const FIRST_NODE: u32 = 3;

    pub(super) fn pack(self) -> u64 {
        let counter = match self.counter {
            Counter::OfStory(metric) => u32::from(metric),
            Counter::OfNode(place) => place.saturating_add(Self::FIRST_NODE),
        };
        let source = u64::try_from(self.source.index()).unwrap_or_default();
        Self::INTERNED
            | source << Self::SOURCE_SHIFT
            | u64::from(counter) << Self::COUNTER_SHIFT
            | u64::from(self.story)
    }

    /// `None` where the id has not been interned.
    pub(super) fn unpack(word: u64) -> Option<Self> {
        if word & Self::INTERNED == 0 {
            return None;
        }
        let bits = |shift: u32, width: u32| u32::try_from((word >> shift) & ((1 << width) - 1)).ok();
        let source = Source::ALL.get(usize::try_from(bits(Self::SOURCE_SHIFT, 3)?).ok()?)?;
        let counter = bits(Self::COUNTER_SHIFT, 24)?;
        let counter = match counter.checked_sub(Self::FIRST_NODE) {
            Some(place) => Counter::OfNode(place),
            None => Counter::OfStory(u8::try_from(counter).ok()?),
        };
        Some(Self { story: bits(0, 32)?, counter, source: *source })
    }
}
