//! The cache of heads: from the raw bytes of `measurement,tags` to the series that they name. A flat table with linear
//! probing, a slot half a cache line, the heads' bytes in one arena beside it. Knows no grammar.
//!
//! INVARIANT: a head is found only if all of its bytes are equal to those that were inserted.
//! INVARIANT: never more than `HEADS_MAX` heads, and no more than a connection has earned: the table doubles only once
//! as many good lines have come as it would hold; until then a full table is emptied. So what a client can make the
//! cache keep is in proportion to what it has sent.

use std::hash::{BuildHasher, RandomState};

use super::sink::Entry;
use crate::limits::{HEAD_BYTES_MAX, HEAD_BYTES_MEAN_MAX, HEADS_MAX, HEADS_MIN};
use crate::model::hash::fold;

/// Slots that a look-up reads at most; an insert that finds no place among them empties the table.
const PROBES_MAX: usize = 32;

/// A place of the table. `hash == 0` is a free one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Slot {
    hash: u64,
    entry: Entry,
    offset: u32,
    length: u16,
}

/// A look-up under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    /// The head's hash, never 0 where there is a head.
    hash: u64,
    /// Where the head was found, by its hash.
    place: usize,
    /// Whether the slot at `place` has that hash and length, and the arena the same last bytes.
    likely: bool,
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Heads {
    slots: Box<[Slot]>,
    arena: Vec<u8>,
    count: usize,
    seed: u64,
    generation: u64,
    /// Heads found or inserted so far, which are good lines.
    earned: u64,
}

impl Heads {
    /// An empty cache. It allocates nothing until a head is inserted.
    pub(super) fn new() -> Self {
        // Seeded, so that a client cannot prepare heads that collide.
        let seed = RandomState::new().hash_one(HEADS_MIN);
        Self { slots: Box::default(), arena: Vec::new(), count: 0, seed, generation: 0, earned: 0 }
    }

    /// Begins a run under that generation of the catalogue. What was confirmed under another one is forgotten, and so
    /// is all of it where the batch is `mixed`: then nothing may count as confirmed.
    pub(super) fn begin(&mut self, generation: u64, mixed: bool) {
        if mixed || self.generation != generation {
            self.clear();
            self.generation = generation;
        }
    }

    /// First step of a look-up: arithmetic only.
    #[inline]
    pub(super) fn probe(&self, head: &[u8]) -> Probe {
        Probe { hash: hash(head, self.seed), place: 0, likely: false }
    }

    /// Second step: reads the slot. The reads of several look-ups do not wait for each other.
    #[inline]
    pub(super) fn fetch(&self, probe: &mut Probe) {
        let first = self.place(probe.hash);
        for step in 0..PROBES_MAX {
            let place = (first + step) & self.mask();
            match self.slots.get(place).map(|slot| slot.hash) {
                Some(hash) if hash == probe.hash => {
                    probe.place = place;
                    probe.likely = true;
                    return;
                }
                None | Some(0) => return,
                Some(_) => {}
            }
        }
    }

    /// Third step: reads the last bytes of the head that is kept, again without waiting for other look-ups.
    #[inline]
    pub(super) fn peek(&self, probe: &mut Probe, head: &[u8]) {
        if probe.likely {
            probe.likely = self
                .kept(probe.place)
                .is_some_and(|kept| kept.len() == head.len() && kept.last() == head.last());
        }
    }

    /// Last step: compares the head. `None` where it is not in the cache.
    #[inline]
    pub(super) fn find(&mut self, probe: &Probe, head: &[u8]) -> Option<&mut Entry> {
        // The table may have been emptied or grown since; then what is at the place is another head, or none.
        if !probe.likely || self.kept(probe.place)? != head {
            return None;
        }
        self.earned += 1;
        self.slots.get_mut(probe.place).map(|slot| &mut slot.entry)
    }

    /// Keeps a head, unless it is too long. It may be in the cache already.
    pub(super) fn insert(&mut self, head: &[u8], entry: Entry) {
        let Ok(length) = u16::try_from(head.len()) else { return };
        if head.is_empty() || HEAD_BYTES_MAX < head.len() {
            return;
        }
        self.make_room(head.len());
        let hash = hash(head, self.seed);
        let mut place = self.free_place(hash, head);
        if place.is_none() {
            self.clear();
            place = self.free_place(hash, head);
        }
        let Ok(offset) = u32::try_from(self.arena.len()) else { return };
        let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) else { return };
        self.earned += 1;
        if slot.hash == hash {
            slot.entry = entry;
            return;
        }
        *slot = Slot { hash, entry, offset, length };
        self.arena.extend_from_slice(head);
        self.count += 1;
    }

    /// Where the head is, or else where it may go.
    fn free_place(&self, hash: u64, head: &[u8]) -> Option<usize> {
        let first = self.place(hash);
        (0..PROBES_MAX).map(|step| (first + step) & self.mask()).find(|place| {
            self.slots
                .get(*place)
                .is_some_and(|slot| slot.hash == 0 || (slot.hash == hash && self.kept(*place) == Some(head)))
        })
    }

    /// Grows or empties the table where one more head would be too many.
    fn make_room(&mut self, head_bytes: usize) {
        let capacity = self.slots.len() / 2;
        if self.count < capacity && self.arena.len() + head_bytes <= capacity * HEAD_BYTES_MEAN_MAX {
            return;
        }
        let wanted = (capacity * 2).clamp(HEADS_MIN, HEADS_MAX);
        let is_earned = capacity == 0 || u64::try_from(wanted).is_ok_and(|wanted| wanted <= self.earned);
        if wanted == capacity || !is_earned {
            self.clear();
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); wanted * 2].into_boxed_slice());
        for slot in old.iter().filter(|slot| slot.hash != 0) {
            let first = self.place(slot.hash);
            let free = (0..PROBES_MAX)
                .map(|step| (first + step) & self.mask())
                .find(|place| self.slots.get(*place).is_some_and(|slot| slot.hash == 0));
            match free.and_then(|place| self.slots.get_mut(place)) {
                Some(place) => *place = *slot,
                // Its bytes stay in the arena unused; the head is parsed and kept again when it comes.
                None => self.count -= 1,
            }
        }
    }

    fn clear(&mut self) {
        if !self.arena.is_empty() {
            self.slots.fill(Slot::default());
            self.arena.clear();
            self.count = 0;
        }
    }

    /// The bytes of the head in that slot.
    #[inline]
    fn kept(&self, place: usize) -> Option<&[u8]> {
        let slot = self.slots.get(place)?;
        let start = usize::try_from(slot.offset).ok()?;
        self.arena.get(start..start + usize::from(slot.length))
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    /// The first place of a hash; of the high bits, which are mixed best.
    #[inline]
    #[expect(clippy::as_conversions, reason = "any bits of the hash will do")]
    fn place(&self, hash: u64) -> usize {
        (hash >> 20) as usize & self.mask()
    }
}

/// A 64-bit hash, never 0: multiplications folded over sixteen bytes at a time. Good enough for a table that compares
/// the bytes as well; not for anything else.
#[inline]
fn hash(bytes: &[u8], seed: u64) -> u64 {
    const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
    const SECOND: u64 = 0xD1B5_4A32_D192_ED03;
    let (words, rest) = bytes.as_chunks::<8>();
    let (pairs, odd) = words.as_chunks::<2>();
    let mut state = seed;
    for [first, second] in pairs {
        state = fold(state ^ u64::from_le_bytes(*first), u64::from_le_bytes(*second) ^ FIRST);
    }
    // The last eight bytes as one word, those that were taken already with them.
    let last = bytes.last_chunk::<8>().map_or_else(
        || rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        |last| u64::from_le_bytes(*last),
    );
    let odd = odd.first().map_or(0, |word| u64::from_le_bytes(*word));
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let hash = fold(fold(state ^ odd, last ^ SECOND), length ^ FIRST);
    hash.max(1)
}
