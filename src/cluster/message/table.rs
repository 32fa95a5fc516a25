//! Tables of ids in a part of a message: those that are lower-case hexadecimal take half the bytes. Knows nothing of what
//! the ids name.
//!
//! INVARIANT: ids ascend, those that can be packed first, so that a table can be written in one way only.

use super::{read_count, take, write_count};
use crate::limits::wide;
use crate::model::event::{IdText, ObjectId};

/// The bytes that an id takes in a table, at most.
pub fn id_bytes(id: &ObjectId) -> usize {
    if packed(id).is_some() { PACKED_BYTES } else { ObjectId::LEN }
}

const PACKED_BYTES: usize = ObjectId::LEN / 2;
/// How ids are ordered: those that can be packed first.
pub(super) type IdOrder = (bool, IdText);
pub(super) fn id_order(id: &ObjectId) -> IdOrder {
    (packed(id).is_none(), *id.as_bytes())
}

/// Half as many bytes, where the id is lower-case hexadecimal.
fn packed(id: &ObjectId) -> Option<[u8; PACKED_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    };
    let mut packed = [0; PACKED_BYTES];
    for (place, pair) in packed.iter_mut().zip(id.as_bytes().as_chunks::<2>().0) {
        let [high, low] = *pair;
        *place = digit(high)? << 4 | digit(low)?;
    }
    Some(packed)
}

fn unpacked(packed: [u8; PACKED_BYTES]) -> Option<ObjectId> {
    let digit =
        |half: u8| if half < 10 { b'0'.wrapping_add(half) } else { b'a'.wrapping_sub(10).wrapping_add(half) };
    let mut text = [0; ObjectId::LEN];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    ObjectId::parse(&text)
}

/// Ids, ascending.
pub(super) struct Table(Vec<ObjectId>);

impl Table {
    pub(super) fn of(ids: impl Iterator<Item = ObjectId>) -> Self {
        let mut ids: Vec<ObjectId> = ids.collect();
        ids.sort_unstable_by_key(id_order);
        ids.dedup();
        Self(ids)
    }

    /// The place of an id that is in it.
    pub(super) fn place(&self, id: &ObjectId) -> u64 {
        let order = id_order(id);
        wide(self.0.partition_point(|other| id_order(other) < order))
    }

    pub(super) fn at(&self, place: u64) -> Option<ObjectId> {
        self.0.get(usize::try_from(place).ok()?).copied()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (short, long) = self.0.split_at(self.0.partition_point(|id| packed(id).is_some()));
        write_count(short.len(), out);
        short.iter().filter_map(packed).for_each(|id| out.extend_from_slice(&id));
        write_count(long.len(), out);
        for id in long {
            out.extend_from_slice(id.as_bytes());
        }
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Option<Self> {
        let count = read_count(rest, PACKED_BYTES)?;
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(unpacked(take(rest)?)?);
        }
        let count = read_count(rest, ObjectId::LEN)?;
        ids.reserve(count);
        for _ in 0..count {
            let id = ObjectId::parse(&take::<{ ObjectId::LEN }>(rest)?)?;
            ids.push(packed(&id).is_none().then_some(id)?);
        }
        ids.is_sorted_by(|one, next| id_order(one) < id_order(next)).then_some(Self(ids))
    }
}
