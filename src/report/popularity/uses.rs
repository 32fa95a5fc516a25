//! The uses of the nodes of all stories, and which nodes can be among the rows of the report: nearly all of them are cut off,
//! and those need neither be merged nor have names.
//!
//! Uses are added up by some bits of their node's hash. The sum of such a *bucket* is at least what any of its nodes comes to,
//! and its greatest use at most what its greatest node does. So if as many buckets as the report has rows have a greatest use
//! of some value, no node of a bucket with a lesser sum is among the rows.
//!
//! INVARIANT: no use of a node that belongs to the report is left out: all uses of a node are of one bucket.

use std::cmp::Reverse;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::limits::{POPULARITY_BUCKETS, narrow, wide};
use crate::model::catalogue::{Catalogue, NodeId, NodePlace};

/// Few in the tests, so that they are crowded.
const BUCKETS: usize = if cfg!(test) { 64 } else { POPULARITY_BUCKETS };

/// How often one node of one story was used.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeUse {
    pub(super) place: NodePlace,
    pub(super) id: NodeId,
    /// Of the id.
    pub(super) hash: u64,
    pub(super) is_named: bool,
    pub(super) value: u64,
}

/// How often one node was used in all stories.
#[derive(Clone, Copy, Debug)]
pub(super) struct MergedNode {
    pub(super) id: NodeId,
    hash: u64,
    pub(super) value: u64,
    /// The node of the story whose name the row has, and the value of that use; none where no story names the node.
    named_by: Option<(u64, NodePlace)>,
}

impl MergedNode {
    fn of(node: &NodeUse) -> Self {
        let named_by = node.is_named.then_some((node.value, node.place));
        Self { id: node.id, hash: node.hash, value: node.value, named_by }
    }

    fn add(&mut self, node: &NodeUse, catalogue: &Catalogue) {
        self.value = self.value.saturating_add(node.value);
        if !node.is_named {
            return;
        }
        let comes_first = self.named_by.is_none_or(|(value, place)| {
            // The stories are asked for only where they decide.
            let stories = || (catalogue.story_of_node(node.place), catalogue.story_of_node(place));
            Reverse(node.value)
                .cmp(&Reverse(value))
                .then_with(|| {
                    let (story, there) = stories();
                    story.cmp(&there)
                })
                .is_lt()
        });
        if comes_first {
            self.named_by = Some((node.value, node.place));
        }
    }

    /// The node of the story whose name the row has.
    pub(super) fn named_by(&self) -> Option<NodePlace> {
        self.named_by.map(|(_, place)| place)
    }
}

/// The uses so far.
#[derive(Debug)]
pub(super) struct Uses {
    all: Vec<NodeUse>,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    sum: u64,
    greatest: u64,
}

impl Uses {
    /// For about so many uses.
    pub(super) fn with_room(uses: usize) -> Self {
        let buckets = uses.checked_next_power_of_two().unwrap_or(BUCKETS).min(BUCKETS);
        Self { all: Vec::with_capacity(uses), buckets: vec![Bucket::default(); buckets] }
    }

    #[inline]
    pub(super) fn add(&mut self, node: NodeUse) {
        let place = self.bucket_of(&node);
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.sum = bucket.sum.saturating_add(node.value);
            bucket.greatest = bucket.greatest.max(node.value);
        }
        self.all.push(node);
    }

    /// The sum of all.
    pub(super) fn total(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.sum))
    }

    /// Takes out all uses: the nodes that can be among the first `rows`, by value and then by anything. There are more of
    /// them only where nodes have the value of the last one.
    pub(super) fn drain(&mut self, rows: usize, catalogue: &Catalogue) -> Vec<MergedNode> {
        let least = least(self.buckets.iter().map(|bucket| bucket.greatest), rows);
        let mut merged: HashTable<MergedNode> = HashTable::new();
        for node in &self.all {
            if self.buckets.get(self.bucket_of(node)).is_some_and(|bucket| bucket.sum < least) {
                continue;
            }
            match merged.entry(node.hash, |there| there.id == node.id, |there| there.hash) {
                Entry::Occupied(mut there) => there.get_mut().add(node, catalogue),
                Entry::Vacant(place) => drop(place.insert(MergedNode::of(node))),
            }
        }
        self.all.clear();
        self.buckets.fill(Bucket::default());
        let least = self::least(merged.iter().map(|node| node.value), rows);
        merged.into_iter().filter(|node| node.value >= least).collect()
    }

    #[inline]
    fn bucket_of(&self, node: &NodeUse) -> usize {
        narrow(node.hash & wide(self.buckets.len().wrapping_sub(1)))
    }
}

/// The value that so many of the values have at least; 0 where fewer are above it.
fn least(values: impl Iterator<Item = u64>, rows: usize) -> u64 {
    let mut values: Vec<u64> = values.filter(|value| *value > 0).collect();
    match rows.checked_sub(1) {
        Some(last) if last < values.len() => {
            let (_, value, _) = values.select_nth_unstable_by(last, |a, b| b.cmp(a));
            *value
        }
        _ => 0,
    }
}
