//! In which hours anything was counted for a story: the first and the last one, by the story's number, a word each, so that
//! whoever orders all stories reads one table and no counters. Knows nothing of counts.
//!
//! INVARIANT: the hours of a story are those of its first and its last cell, once what was counted is acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Catalogue;
use super::story::Story;
use super::word::Counter;
use crate::limits::narrow;
use crate::model::calendar::Hour;
use crate::model::event::SeriesId;
use crate::model::prefetch::prefetch;
use crate::model::table::Table;

/// Series whose places are fetched together, so that their cache misses overlap.
const BLOCK: usize = 64;

/// Hours between which a series has got cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveHours {
    /// The series.
    pub series: SeriesId,
    /// The hour of the first of these cells.
    pub first: Hour,
    /// The hour of the last one.
    pub last: Hour,
}

/// The hours of each story; see the top of the file.
#[derive(Debug)]
pub(super) struct Activity(Table<AtomicU64>);

impl Activity {
    pub(super) fn new(stories: usize) -> Self {
        Self(Table::new(stories))
    }

    pub(super) fn memory_bytes(&self, stories_end: usize) -> usize {
        self.0.chunk_bytes(stories_end)
    }

    /// Forgets the hours of a story.
    pub(super) fn clear(&self, number: u32) {
        if let Some(word) = self.0.get(narrow(number)) {
            word.store(NEVER, Ordering::Release);
        }
    }

    /// Says between which hours anything is counted for a story by now.
    fn set(&self, number: u32, hours: Option<(Hour, Hour)>) {
        if let Some(word) = self.0.get(narrow(number)) {
            word.store(hours.map_or(NEVER, |(first, last)| pack(first, last)), Ordering::Release);
        }
    }

    fn span(&self, number: u32) -> Option<(Hour, Hour)> {
        unpack(self.0.get(narrow(number))?.load(Ordering::Acquire))
    }

    #[inline]
    fn prefetch(&self, number: u32) {
        self.0.get(narrow(number)).inspect(|word| prefetch(*word));
    }

    /// Widens the hours of a story. For one thread at a time, so nothing comes between load and store.
    fn widen(&self, number: u32, (first, last): (Hour, Hour)) {
        let Some(word) = self.0.ensure(narrow(number)) else { return };
        let before = word.load(Ordering::Relaxed);
        let after = match unpack(before) {
            None => pack(first, last),
            Some((earlier, later)) => pack(first.min(earlier), last.max(later)),
        };
        if after != before {
            word.store(after, Ordering::Release);
        }
    }
}

/// The word of a story for which nothing was counted.
const NEVER: u64 = 0;

/// The first hour above, one more than the last below: never [`NEVER`], since events are of hours before [`Hour::END`].
fn pack(first: Hour, last: Hour) -> u64 {
    u64::from(first.get()) << 32 | u64::from(last.next().get())
}

#[inline]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the two halves of a word")]
fn unpack(word: u64) -> Option<(Hour, Hour)> {
    let last = (word as u32).checked_sub(1)?;
    Some((Hour::new((word >> 32) as u32), Hour::new(last)))
}

impl Catalogue {
    /// The first and the last hour in which anything was counted for the story that has that number. Never blocks.
    #[inline]
    pub fn span_numbered(&self, number: u32) -> Option<(Hour, Hour)> {
        self.activity.span(number)
    }

    /// The first and the last hour in which anything was counted for the story; `None` where it is not known any more.
    pub fn span(&self, story: &Story) -> Option<(Hour, Hour)> {
        let span = self.span_numbered(story.tenant().number);
        span.filter(|_| story.is_known())
    }

    /// Takes note of the hours between which there is anything counted for a story, where some of it has gone. To be called by
    /// the sequencer (or recovery).
    pub fn note_span(&self, story: &Story, hours: Option<(Hour, Hour)>) {
        self.activity.set(story.tenant().number, hours);
    }

    /// Takes note of the hours in which series have got cells. To be called by the sequencer (or recovery) after they are
    /// counted and before they are acknowledged.
    pub fn note_active(&self, hours: &[ActiveHours]) {
        for block in hours.chunks(BLOCK) {
            for ActiveHours { series, .. } in block {
                self.places.get(series.index()).inspect(|place| prefetch(*place));
            }
            let mut numbers = [None; BLOCK];
            for (number, ActiveHours { series, .. }) in numbers.iter_mut().zip(block) {
                *number = match self.place(*series).map(|place| place.counter) {
                    Some(Counter::OfStory(number, _)) => Some(number),
                    Some(Counter::OfNode(row)) => self.index.node_row(row).map(|row| row.story_and_place().0),
                    None => None,
                };
                number.inspect(|number| self.activity.prefetch(*number));
            }
            for (number, ActiveHours { first, last, .. }) in numbers.iter().zip(block) {
                if let Some(number) = number {
                    self.activity.widen(*number, (*first, *last));
                }
            }
        }
    }
}
