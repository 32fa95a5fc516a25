//! The digest: one number of 128 bits for all counters, stories and names, which two daemons can compare. Pure.
//!
//! It is a sum, modulo 2¹²⁸: count × h(series, hour) for each counter, and h(…) for each story and node that is known, with
//! the name that it has. So it is kept by adding what each message adds, in any order, and a deletion subtracts.
//!
//! h is XXH3 of 128 bits, as the specification of xxHash 0.8 has it (`doc/xxhash_spec.md` of that project), with the seeds below, over
//! bytes that have no other reading. NOTE: what is hashed, and how, must stay: daemons of different versions compare.
//!
//! | of | seed | bytes |
//! | --- | --- | --- |
//! | a series | 1 | story (24), source (1), metric (1), id of the node (24) where the metric has one |
//! | a counter | 2 | hash of its series (16, little-endian), hour (4, little-endian) |
//! | a story | 3 | story (24), then 0, or 1 and its name |
//! | a node | 4 | story (24), metric (1), id of the node (24) where it has one, then 0, or 1 and its name |

use std::collections::VecDeque;
use std::fmt;

use twox_hash::XxHash3_128;

use super::codes::{metric_code, node_id};
use super::position::LogSequence;
use crate::limits::{LANDMARK_EVERY, LANDMARKS_KEPT};
use crate::model::calendar::Hour;
use crate::model::event::{Metric, Node, SeriesKey, StoryId};

const SEED_SERIES: u64 = 1;
const SEED_CELL: u64 = 2;
const SEED_STORY: u64 = 3;
const SEED_NODE: u64 = 4;

/// A digest, or what something adds to one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(u128);

/// The hash of a series' name, worth keeping: the hash of each of its counters begins with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeriesHash(u128);

impl Digest {
    /// Of nothing.
    pub const EMPTY: Self = Self(0);

    /// The digest of that number.
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// With what something adds.
    #[must_use]
    pub const fn plus(self, share: Self) -> Self {
        Self(self.0.wrapping_add(share.0))
    }

    /// Without what something had added.
    #[must_use]
    pub const fn minus(self, share: Self) -> Self {
        Self(self.0.wrapping_sub(share.0))
    }

    /// What a story adds that is known.
    pub fn of_story(story: StoryId, name: Option<&str>) -> Self {
        let mut hasher = XxHash3_128::with_seed(SEED_STORY);
        hasher.write(story.0.as_bytes());
        write_name(&mut hasher, name);
        Self(hasher.finish_128())
    }

    /// What a node adds that is known.
    pub fn of_node((story, node): (StoryId, Node), name: Option<&str>) -> Self {
        let mut hasher = XxHash3_128::with_seed(SEED_NODE);
        hasher.write(story.0.as_bytes());
        write_metric(&mut hasher, Metric::Interaction(node));
        write_name(&mut hasher, name);
        Self(hasher.finish_128())
    }
}

impl SeriesHash {
    /// Of a series.
    pub fn of(key: &SeriesKey) -> Self {
        let mut hasher = XxHash3_128::with_seed(SEED_SERIES);
        hasher.write(key.story.0.as_bytes());
        hasher.write(&[key.source.code()]);
        write_metric(&mut hasher, key.metric);
        Self(hasher.finish_128())
    }

    /// What a counter of the series adds.
    pub fn cell(self, hour: Hour, count: u64) -> Digest {
        let mut bytes = [0; 20];
        let (front, back) = bytes.split_at_mut(16);
        front.copy_from_slice(&self.0.to_le_bytes());
        back.copy_from_slice(&hour.get().to_le_bytes());
        Digest(XxHash3_128::oneshot_with_seed(SEED_CELL, &bytes).wrapping_mul(u128::from(count)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_metric(hasher: &mut XxHash3_128, metric: Metric) {
    hasher.write(&[metric_code(metric)]);
    if let Metric::Interaction(node) = metric
        && let Some(id) = node_id(node)
    {
        hasher.write(id.as_bytes());
    }
}

fn write_name(hasher: &mut XxHash3_128, name: Option<&str>) {
    hasher.write(&[u8::from(name.is_some())]);
    hasher.write(name.unwrap_or_default().as_bytes());
}

/// The digests at places that all daemons keep, so that any two that are not too far apart share one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Landmarks(VecDeque<(LogSequence, Digest)>);

impl Landmarks {
    /// Notes the digest after a message, where that is such a place.
    pub fn note(&mut self, sequence: LogSequence, digest: Digest) {
        if sequence.get().is_multiple_of(LANDMARK_EVERY) {
            if self.0.len() == LANDMARKS_KEPT {
                self.0.pop_front();
            }
            self.0.push_back((sequence, digest));
        }
    }

    /// Those that were kept, oldest first.
    pub fn from_kept(kept: impl IntoIterator<Item = (LogSequence, Digest)>) -> Self {
        let mut landmarks = Self::default();
        kept.into_iter().for_each(|(sequence, digest)| landmarks.note(sequence, digest));
        landmarks
    }

    /// All that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (LogSequence, Digest)> {
        self.0.iter().copied()
    }

    /// The newest place that both keep, and whether their digests are equal there; `None` where they share none.
    pub fn compare(&self, other: &Self) -> Option<(LogSequence, bool)> {
        self.iter().collect::<Vec<_>>().into_iter().rev().find_map(|(sequence, digest)| {
            let theirs = other.iter().find(|(theirs, _)| *theirs == sequence)?;
            Some((sequence, theirs.1 == digest))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::event::{InteractionId, ObjectId, Source};

    fn story(letter: u8) -> StoryId {
        StoryId(ObjectId::parse(&[letter; 24]).unwrap())
    }

    fn series(letter: u8, metric: Metric) -> SeriesKey {
        SeriesKey { story: story(letter), source: Source::Slack, metric }
    }

    fn nodes() -> [Node; 4] {
        let id = InteractionId(story(b'a').0);
        [Node::Interaction(id), Node::ContextFallback(id), Node::Fallback, Node::Welcome]
    }

    /// Of all that a state holds.
    fn digest(cells: &[(u8, u32, u64)]) -> Digest {
        cells.iter().fold(Digest::EMPTY, |digest, (letter, hour, count)| {
            digest.plus(SeriesHash::of(&series(*letter, Metric::Messages)).cell(Hour::new(*hour), *count))
        })
    }

    /// Daemons of all versions compare: these stay.
    #[test]
    fn hashes_are_as_they_were_released() {
        let cell = SeriesHash::of(&series(b's', Metric::Messages)).cell(Hour::new(431_000), 1);
        let found = [
            cell,
            Digest::of_story(story(b's'), Some("é")),
            Digest::of_node((story(b's'), Node::Welcome), None),
            // The specification's own: nothing, seed 0.
            Digest(XxHash3_128::oneshot(&[])),
        ];
        let expected = [
            "f20fd5af263b7953aabff90d989b37e9",
            "238dff4065c3833d1bd044dee67d679c",
            "672777525ce6551a655c219f8f7e630e",
            "99aa06d3014798d86001c324468d497f",
        ];
        assert_eq!(found.map(|digest| digest.to_string()), expected);
    }

    #[test]
    fn everything_that_is_known_adds_another_number() {
        let mut found = vec![Digest::EMPTY];
        let metrics = [Metric::Conversations, Metric::PaidConversations, Metric::Messages];
        for metric in metrics.into_iter().chain(nodes().map(Metric::Interaction)) {
            for source in Source::ALL {
                let hash = SeriesHash::of(&SeriesKey { source, ..series(b's', metric) });
                found.extend([(7, 1), (8, 1), (7, 2)].map(|(hour, count)| hash.cell(Hour::new(hour), count)));
            }
        }
        for name in [None, Some(""), Some("a")] {
            found.push(Digest::of_story(story(b's'), name));
            found.extend(nodes().map(|node| Digest::of_node((story(b's'), node), name)));
        }
        let all = found.len();
        found.sort_by_key(|digest| digest.get());
        found.dedup();
        assert_eq!(found.len(), all);
    }

    #[test]
    fn landmarks_are_compared_at_the_newest_that_both_keep() {
        let mut landmarks = [Landmarks::default(), Landmarks::default(), Landmarks::default()];
        let places = [200_u64, 100, 10];
        for (marks, last) in landmarks.iter_mut().zip(places) {
            for number in 0..=last * LANDMARK_EVERY {
                marks.note(LogSequence::new(number), Digest::new(u128::from(number)));
            }
        }
        let [far, near, behind] = &mut landmarks;
        assert_eq!(far.iter().count(), LANDMARKS_KEPT);
        assert_eq!(far.compare(behind), None, "too far apart");
        let near_end = LogSequence::new(100 * LANDMARK_EVERY);
        assert_eq!(far.compare(near), None);
        for number in 101 * LANDMARK_EVERY..=150 * LANDMARK_EVERY {
            near.note(LogSequence::new(number), Digest::new(u128::from(number)));
        }
        assert_eq!(far.compare(near), Some((LogSequence::new(150 * LANDMARK_EVERY), true)));
        near.note(LogSequence::new(151 * LANDMARK_EVERY), Digest::EMPTY);
        assert_eq!(near.compare(far), Some((LogSequence::new(151 * LANDMARK_EVERY), false)));
        assert!(near.iter().any(|(sequence, _)| sequence == near_end));
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_one_altered_counter_shows(
            cells in prop::collection::vec((b'a'..=b'f', 0_u32..50, 1_u64..1 << 40), 1..40),
            from: prop::sample::Index,
            more in 1_u64..,
        ) {
            let place = from.index(cells.len());
            let mut turned = cells.clone();
            turned.rotate_left(place);
            prop_assert_eq!(digest(&cells), digest(&turned));
            let mut altered = cells.clone();
            altered[place].2 = altered[place].2.wrapping_add(more);
            prop_assert_ne!(digest(&cells), digest(&altered));
            // As it is kept: a counter grows, a story goes.
            let (letter, hour, count) = cells[place];
            let (half, rest) = (count / 2, count - count / 2);
            let grown = digest(&cells).minus(digest(&[(letter, hour, count)]));
            prop_assert_eq!(grown.plus(digest(&[(letter, hour, half)])).plus(digest(&[(letter, hour, rest)])), digest(&cells));
            let (gone, left): (Vec<_>, Vec<_>) = cells.iter().copied().partition(|cell| cell.0 == letter);
            prop_assert_eq!(digest(&cells).minus(digest(&gone)), digest(&left));
        }
    }
}
