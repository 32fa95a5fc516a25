//! The memory of the keys of one rule, and of the lists of bad lines of both.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hashbrown::HashTable;

use crate::limits::{KEY_BAD_LINES_BYTES_MAX, narrow, wide};
use crate::model::batch::{BatchKey, KeyId, KeyRule, KeyedAnswer, RejectedLine};
use crate::store::position::Sequence;

/// The keys of one rule, oldest first, and where each is.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    /// Numbers of entries. They go up by one, modulo 2^32, from key to key.
    index: HashTable<u32>,
    /// The number of the oldest entry.
    first: u32,
    keys_max: usize,
    kept_seconds: u32,
    displaced: u64,
}

/// One key: 48 bytes, and some 10 in the index.
#[derive(Debug)]
pub(super) struct Entry {
    id: KeyId,
    pub(super) content: u64,
    pub(super) sequence: Sequence,
    taken: u32,
    pub(super) accepted: u32,
    pub(super) rejected: u32,
}

impl Ring {
    pub(super) fn new(keys_max: usize, kept: Duration) -> Self {
        let (entries, index) = (VecDeque::new(), HashTable::new());
        let mut ring = Self { entries, index, first: 0, keys_max, kept_seconds: 0, displaced: 0 };
        ring.keep(kept);
        ring
    }

    /// Keys are remembered so long.
    pub(super) fn keep(&mut self, kept: Duration) {
        self.kept_seconds = u32::try_from(kept.as_secs()).unwrap_or(u32::MAX);
    }

    pub(super) fn find(&self, id: KeyId, now: u32) -> Option<&Entry> {
        let number =
            self.index.find(hash(id), |number| self.at(*number).is_some_and(|entry| entry.id == id))?;
        self.at(*number).filter(|entry| !self.is_past(entry, now))
    }

    pub(super) fn push(&mut self, key: &BatchKey, sequence: Sequence) {
        while let Some(oldest) = self.entries.front() {
            let is_past = self.is_past(oldest, key.taken);
            if !is_past && self.entries.len() < self.keys_max {
                break;
            }
            self.displaced = self.displaced.saturating_add(u64::from(!is_past));
            self.remove_oldest();
        }
        let id = key.identity.id;
        let number = self.first.wrapping_add(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.entries.push_back(Entry {
            id,
            content: key.identity.content,
            sequence,
            taken: key.taken,
            accepted: key.answer.accepted,
            rejected: key.answer.rejected,
        });
        let Self { entries, index, first, .. } = self;
        let at = |number: u32| entries.get(place(number, *first));
        // The same key again, after its time was up: the older entry stays until it is the oldest.
        let older = index.find_mut(hash(id), |number| at(*number).is_some_and(|entry| entry.id == id));
        if let Some(older) = older {
            *older = number;
        } else {
            let hasher = |number: &u32| at(*number).map_or(0, |entry| hash(entry.id));
            index.insert_unique(hash(id), number, hasher);
        }
    }

    pub(super) fn held(&self) -> u64 {
        wide(self.entries.len())
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        // One control byte and one number for each bucket, of which seven in eight may be in use.
        let buckets = (self.index.capacity() * 8 / 7).next_power_of_two();
        self.entries.capacity() * size_of::<Entry>() + buckets * (size_of::<u32>() + 1)
    }

    pub(super) fn displaced(&self) -> u64 {
        self.displaced
    }

    fn remove_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        let number = self.first;
        if let Ok(found) = self.index.find_entry(hash(oldest.id), |other| *other == number) {
            found.remove();
        }
        self.first = self.first.wrapping_add(1);
    }

    fn at(&self, number: u32) -> Option<&Entry> {
        self.entries.get(place(number, self.first))
    }

    /// Whether the time of the key is up. One from the future, by a clock that was set back, is remembered on.
    fn is_past(&self, entry: &Entry, now: u32) -> bool {
        now.saturating_sub(entry.taken) >= self.kept_seconds
    }
}

fn place(number: u32, first: u32) -> usize {
    narrow(number.wrapping_sub(first))
}

/// The id is a hash already.
fn hash(KeyId(id): KeyId) -> u64 {
    id.first_chunk().map_or(0, |front| u64::from_le_bytes(*front))
}

/// Memory of a list of bad lines beside the lines, about.
const BYTES_BESIDE: usize = 64;

/// Lists of bad lines, which few keys have.
#[derive(Debug, Default)]
pub(super) struct BadLines {
    lists: HashMap<(KeyRule, KeyId), Box<[RejectedLine]>>,
    oldest_first: VecDeque<((KeyRule, KeyId), usize)>,
    bytes: usize,
}

impl BadLines {
    pub(super) fn get(&self, rule: KeyRule, id: KeyId) -> Box<[RejectedLine]> {
        self.lists.get(&(rule, id)).cloned().unwrap_or_default()
    }

    pub(super) fn insert(&mut self, key: (KeyRule, KeyId), answer: &KeyedAnswer) {
        let bytes = answer.bad_line_bytes().saturating_add(BYTES_BESIDE);
        self.bytes = self.bytes.saturating_add(bytes);
        self.lists.insert(key, answer.bad_lines.clone());
        self.oldest_first.push_back((key, bytes));
        while self.bytes > KEY_BAD_LINES_BYTES_MAX {
            let Some((key, bytes)) = self.oldest_first.pop_front() else { break };
            self.lists.remove(&key);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
