//! How batches that wait become one message. Pure; knows nothing of when, or of who sends it.
//!
//! A message takes effect as if its batches had been applied one by one, in the order in which they joined:
//! - batches with keys stay apart, since one may turn out to be a repetition;
//! - all others join one part, in which equal cells are added up. Adding is the same in any order, and so is naming what is
//!   counted; a deletion is not, so one begins a part of its own behind what was counted before it, and nothing joins a part
//!   before it any more. Names keep their order.
//!
//! INVARIANT: [`Gathered::bytes_max`] is never less than what its parts take in a message, and grows by no more than
//! [`NamedBatch::bytes_max`] when a batch joins.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::codes::node_id;
use super::message::LONGEST_HEAD_BYTES;
use super::message::id_bytes;
use super::message::part::{Part, PartKey, Sum};
use crate::limits::narrow;
use crate::model::batch::{Batch, Change, SeriesId};
use crate::model::calendar::Hour;
use crate::model::event::{Metric, ObjectId, SeriesKey};

/// A batch with names instead of this daemon's own numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamedBatch {
    key: Option<Box<PartKey>>,
    changes: Vec<Change>,
    series: Vec<SeriesKey>,
    /// For places in `series`.
    sums: Vec<Sum>,
}

/// A series of a batch whose name is not known any more: it was given to another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("series {} has given its place to another; send the events again", .0.get())]
pub struct UnknownSeries(pub SeriesId);

impl NamedBatch {
    /// The batch by names: those that it defines, and those that `name` knows.
    ///
    /// # Errors
    /// [`UnknownSeries`].
    pub fn new(batch: Batch, name: impl Fn(SeriesId) -> Option<SeriesKey>) -> Result<Self, UnknownSeries> {
        let Batch { key, definitions, changes, increments, .. } = batch;
        let mut cells: BTreeMap<(SeriesId, Hour), u64> = BTreeMap::new();
        for increment in increments {
            let sum = cells.entry((increment.series, increment.hour)).or_default();
            *sum = sum.saturating_add(u64::from(increment.count));
        }
        let mut series: Vec<SeriesKey> = definitions.iter().map(|definition| definition.key).collect();
        let mut places: HashMap<SeriesId, u32, foldhash::fast::RandomState> =
            (0..).zip(&definitions).map(|(place, definition)| (definition.id, place)).collect();
        let mut sums = Vec::with_capacity(cells.len());
        for ((id, hour), count) in cells {
            let place = if let Some(place) = places.get(&id) {
                *place
            } else {
                let place = u32::try_from(series.len()).unwrap_or(u32::MAX);
                series.push(name(id).ok_or(UnknownSeries(id))?);
                places.insert(id, place);
                place
            };
            sums.push(Sum { series: place, hour, count });
        }
        let key = key.map(|key| Box::new(PartKey { identity: key.identity, answer: key.answer }));
        Ok(Self { key, changes, series, sums })
    }

    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.changes.is_empty() && self.series.is_empty()
    }

    /// The bytes of a message that has this batch alone: exact.
    pub fn message_bytes(&self) -> usize {
        let Self { key, changes, series, sums } = self.clone();
        let mut bytes = Vec::new();
        Part::new(key, changes, &series, sums).encode(&mut bytes);
        bytes.len().saturating_add(LONGEST_HEAD_BYTES)
    }

    /// Bytes that it adds to a message, at most; far more than it will, where others name the same.
    pub fn bytes_max(&self) -> usize {
        let changes: usize = self.changes.iter().map(change_bytes_max).sum();
        let ids = self.series.len().saturating_add(self.changes.len()).saturating_mul(2 * ObjectId::LEN + 1);
        let series = self.series.len().saturating_mul(SERIES_BYTES);
        let key = self.key.as_ref().map_or(0, |key| KEY_BYTES.saturating_add(key_line_bytes(key)));
        let cells: usize =
            self.sums.iter().map(|sum| count_bytes(sum.count).saturating_add(CELL_BYTES)).sum();
        [PART_BYTES, changes, ids, series, key, cells].into_iter().fold(0, usize::saturating_add)
    }

    fn deletes(&self) -> bool {
        self.changes.iter().any(is_deletion)
    }
}

/// The place of a part in its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartPlace(pub usize);

/// Batches that go into one message.
#[derive(Debug, Default)]
pub struct Gathered {
    parts: Vec<OpenPart>,
    /// The part that batches without a key join.
    unkeyed: Option<usize>,
    /// The last parts with a change, and with a deletion.
    last_change: Option<usize>,
    last_deletion: Option<usize>,
    /// Bytes of all parts, at most.
    bytes: usize,
}

impl Gathered {
    /// Whether no batch has joined.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a batch behind those that are there; where its outcome will be found.
    pub fn join(&mut self, batch: &NamedBatch) -> PartPlace {
        let joined = self.unkeyed.filter(|place| batch.key.is_none() && self.may_join(*place, batch));
        let place = joined.unwrap_or_else(|| {
            self.parts.push(OpenPart { key: batch.key.clone(), ..OpenPart::default() });
            self.parts.len().saturating_sub(1)
        });
        if batch.key.is_none() {
            self.unkeyed = Some(place);
        }
        if !batch.changes.is_empty() {
            self.last_change = self.last_change.max(Some(place));
        }
        if batch.deletes() {
            self.last_deletion = self.last_deletion.max(Some(place));
        }
        if let Some(part) = self.parts.get_mut(place) {
            let before = if joined.is_some() { part.bytes_max() } else { 0 };
            part.add(batch);
            self.bytes = self.bytes.saturating_sub(before).saturating_add(part.bytes_max());
        }
        PartPlace(place)
    }

    /// Bytes of the message, at most.
    pub fn bytes_max(&self) -> usize {
        self.bytes.saturating_add(LONGEST_HEAD_BYTES)
    }

    /// The parts of the message.
    pub fn into_parts(self) -> Vec<Part> {
        self.parts.into_iter().map(OpenPart::into_part).collect()
    }

    fn may_join(&self, place: usize, batch: &NamedBatch) -> bool {
        if batch.deletes() {
            let is_last = place.saturating_add(1) == self.parts.len();
            is_last && self.parts.last().is_some_and(|part| part.series.is_empty())
        } else if batch.changes.is_empty() {
            self.last_deletion <= Some(place)
        } else {
            self.last_change <= Some(place)
        }
    }
}

/// A part that batches may still join.
#[derive(Debug, Default)]
struct OpenPart {
    key: Option<Box<PartKey>>,
    changes: Vec<Change>,
    series: Vec<SeriesKey>,
    places: HashMap<SeriesKey, u32, foldhash::fast::RandomState>,
    sums: HashMap<(u32, Hour), u64, foldhash::fast::RandomState>,
    /// Ids of the two tables.
    stories: HashSet<ObjectId, foldhash::fast::RandomState>,
    nodes: HashSet<ObjectId, foldhash::fast::RandomState>,
    /// Bytes of ids, names, and of the numbers of cells.
    bytes: usize,
}

impl OpenPart {
    fn add(&mut self, batch: &NamedBatch) {
        for change in &batch.changes {
            self.note_story(change.story().0);
            if let Change::Node { node, .. } = change {
                self.note_node(node_id(*node));
            }
            self.bytes = self.bytes.saturating_add(change_bytes_max(change));
            self.changes.push(change.clone());
        }
        let mut here = Vec::with_capacity(batch.series.len());
        for key in &batch.series {
            let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
            let place = *self.places.entry(*key).or_insert(next);
            if place == next {
                self.series.push(*key);
                self.note_story(key.story.0);
                if let Metric::Interaction(node) = key.metric {
                    self.note_node(node_id(node));
                }
                self.bytes = self.bytes.saturating_add(SERIES_BYTES);
            }
            here.push(place);
        }
        for sum in &batch.sums {
            let Some(place) = here.get(narrow(sum.series)) else { continue };
            let known = self.sums.entry((*place, sum.hour)).or_default();
            let before = count_bytes(*known);
            *known = known.saturating_add(sum.count);
            self.bytes = self.bytes.saturating_sub(before).saturating_add(count_bytes(*known));
        }
    }

    fn note_story(&mut self, id: ObjectId) {
        if self.stories.insert(id) {
            self.bytes = self.bytes.saturating_add(id_bytes(&id)).saturating_add(1);
        }
    }

    fn note_node(&mut self, id: Option<ObjectId>) {
        if let Some(id) = id
            && self.nodes.insert(id)
        {
            self.bytes = self.bytes.saturating_add(id_bytes(&id));
        }
    }

    fn bytes_max(&self) -> usize {
        let cells = self.sums.len().saturating_mul(HOUR_BYTES).saturating_add(self.sums.len() / 64);
        let key = self.key.as_ref().map_or(0, |key| KEY_BYTES.saturating_add(key_line_bytes(key)));
        PART_BYTES.saturating_add(key).saturating_add(self.bytes).saturating_add(cells)
    }

    fn into_part(self) -> Part {
        let sums = self.sums.into_iter().map(|((series, hour), count)| Sum { series, hour, count });
        Part::new(self.key, self.changes, &self.series, sums.collect())
    }
}

/// Flags, six counts of up to five bytes, the first hour.
const PART_BYTES: usize = 1 + 6 * 5 + 5;
/// How far the story is on (more than a byte is counted with the stories between), source and metric, a node's place, the
/// number of cells (more than a byte is counted with the cells).
const SERIES_BYTES: usize = 1 + 1 + 4 + 1;
/// How far the hour of a cell is on. Hours end before 2²¹.
const HOUR_BYTES: usize = 3;
/// The hour of a cell, the number of cells where that takes more than a byte, and a cell more where its sum does not fit one.
const CELL_BYTES: usize = HOUR_BYTES + 1 + 6;
/// Id, content, rule, three counts.
const KEY_BYTES: usize = 16 + 8 + 1 + 3 * 5;

fn key_line_bytes(key: &PartKey) -> usize {
    key.answer.bad_lines.iter().map(|bad| bad.message.len().saturating_add(10 + 5)).sum()
}

/// Kind, story's place, metric, node's place, the name's length and the name.
fn change_bytes_max(change: &Change) -> usize {
    let name = match change {
        Change::Story { name, .. } | Change::Node { name, .. } => name.as_ref().map_or(0, |name| name.len()),
        Change::DeleteStory { .. } => 0,
    };
    name.saturating_add(1 + 4 + 1 + 4 + 5)
}

/// The bytes that a sum takes, but for the hour of its first cell.
fn count_bytes(sum: u64) -> usize {
    if sum == 0 {
        return 0;
    }
    let (full, rest) = (narrow(sum / u64::from(u32::MAX)), sum % u64::from(u32::MAX));
    full.saturating_mul(6).saturating_add(number_bytes(rest))
}

fn number_bytes(number: u64) -> usize {
    let bits = u64::BITS.saturating_sub((number | 1).leading_zeros());
    narrow(bits.div_ceil(7))
}

fn is_deletion(change: &Change) -> bool {
    matches!(change, Change::DeleteStory { .. })
}

#[cfg(test)]
mod tests;
