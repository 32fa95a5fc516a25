//! All stories in the order of their ids: the order in which lists show those that are alike, and the one in which the
//! beginning of an id is found. Made when it is asked for, from the one before; knows nothing of names and hours.
//!
//! INVARIANT: whoever asks after a story was added gets an order that has it. Numbers of stories that are not known are in it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Catalogue;
use super::index::{Index, StoryRow};
use crate::model::event::{IdText, StoryId};

/// The order that was made last.
#[derive(Debug, Default)]
pub(super) struct IdOrder {
    made: Mutex<MadeOrder>,
    /// How many stories have got the number of another one.
    replaced: AtomicU64,
}

#[derive(Debug, Default)]
struct MadeOrder {
    numbers: Arc<[u32]>,
    /// All numbers below are among them.
    end: u32,
    /// [`IdOrder::replaced`] before the order was made.
    replaced: u64,
}

/// The numbers of all stories in the order of their ids. A number that has gone to another story since is still where the
/// story before had its place.
#[derive(Debug)]
pub struct StoriesById {
    numbers: Arc<[u32]>,
    index: Arc<Index>,
}

impl IdOrder {
    /// Takes note that a number has gone from one story to another, whose id is in its row by now.
    pub(super) fn note_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Release);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val::<[u32]>(&self.made.lock().unwrap_or_else(PoisonError::into_inner).numbers)
    }

    /// The order of the stories whose numbers are below `end`, or of more. Waits for another thread that makes it.
    fn up_to(&self, end: u32, index: &Index) -> Arc<[u32]> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = self.replaced.load(Ordering::Acquire);
        if replaced != made.replaced {
            *made = MadeOrder { replaced, ..MadeOrder::default() };
        }
        if made.end < end {
            let mut added: Vec<(IdText, u32)> =
                (made.end..end).filter_map(|number| Some((id_of(index, number)?, number))).collect();
            added.sort_unstable();
            (made.numbers, made.end) = (merged(&made.numbers, &added, index), end);
        }
        Arc::clone(&made.numbers)
    }
}

/// The numbers of both, in the order of the ids.
fn merged(numbers: &[u32], added: &[(IdText, u32)], index: &Index) -> Arc<[u32]> {
    let mut all = Vec::with_capacity(numbers.len().saturating_add(added.len()));
    let mut rest = numbers;
    for (id, number) in added {
        let (before, after) = rest.split_at(place_of(rest, index, |there| there < id));
        all.extend_from_slice(before);
        all.push(*number);
        rest = after;
    }
    all.extend_from_slice(rest);
    all.into()
}

/// How many of the numbers, from the first on, are of stories with such an id.
fn place_of(numbers: &[u32], index: &Index, is_before: impl Fn(&IdText) -> bool) -> usize {
    numbers.partition_point(|number| id_of(index, *number).is_some_and(|id| is_before(&id)))
}

fn id_of(index: &Index, number: u32) -> Option<IdText> {
    index.story_row(number).map(StoryRow::id)
}

impl StoriesById {
    /// The numbers.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// How many have an id that comes before that of the story, or is the same.
    pub fn place_after(&self, story: StoryId) -> usize {
        place_of(&self.numbers, &self.index, |there| there <= story.0.as_bytes())
    }

    /// Where those are whose ids begin with the text.
    pub fn beginning_with(&self, text: &str) -> Range<usize> {
        let text = text.as_bytes();
        let start = place_of(&self.numbers, &self.index, |there| there.as_slice() < text);
        let rest = self.numbers.get(start..).unwrap_or_default();
        start..start.saturating_add(place_of(rest, &self.index, |there| there.starts_with(text)))
    }
}

impl Catalogue {
    /// The stories in the order of their ids.
    pub fn stories_by_id(&self) -> StoriesById {
        let numbers = self.by_id.up_to(self.story_numbers_end(), &self.index);
        StoriesById { numbers, index: Arc::clone(&self.index) }
    }
}
