//! What lies behind the entry of a series, in one allocation: the cells that are not packed, and before them what holds those
//! that are, where some are.
//!
//! There is room for a few numbers of cells only, which fill what an allocator gives. A packed series comes by them again and
//! again, so it takes larger steps.

use std::fmt::Debug;
use std::sync::atomic::AtomicU64;

use super::allocated;
use super::packed::Packed;
use super::recent::Recent;

/// Most cells that are not packed of a series that has few packed ones, or a few more, as there are blocks.
const RECENT_MIN: usize = 16;
/// Most cells that are not packed of a series, unless very many are packed.
const RECENT_MAX: usize = 64;
/// A loaded series this small stays out of `packed`, which costs more than it saves.
pub(super) const LOADED_LOOSE_MAX: usize = 4;
/// Room that a series has after its cells were packed.
const ROOM_PACKED: usize = 8;

/// See the top of the file. Its type says how much room it has.
pub(super) trait Block: Debug + Send + Sync {
    fn recent(&self) -> &Recent;
    fn recent_mut(&mut self) -> &mut Recent;
    /// `None` where none is packed, as in most series.
    fn packed(&self) -> Option<&Packed>;
    fn packed_mut(&mut self) -> Option<&mut Packed>;
}

#[derive(Debug)]
struct LooseBlock<const N: usize> {
    recent: Recent<[AtomicU64; N]>,
}

#[derive(Debug)]
#[repr(C)]
struct PackedBlock<const N: usize> {
    packed: Packed,
    recent: Recent<[AtomicU64; N]>,
}

impl<const N: usize> Block for LooseBlock<N> {
    fn recent(&self) -> &Recent {
        &self.recent
    }

    fn recent_mut(&mut self) -> &mut Recent {
        &mut self.recent
    }

    fn packed(&self) -> Option<&Packed> {
        None
    }

    fn packed_mut(&mut self) -> Option<&mut Packed> {
        None
    }
}

impl<const N: usize> Block for PackedBlock<N> {
    fn recent(&self) -> &Recent {
        &self.recent
    }

    fn recent_mut(&mut self) -> &mut Recent {
        &mut self.recent
    }

    fn packed(&self) -> Option<&Packed> {
        Some(&self.packed)
    }

    fn packed_mut(&mut self) -> Option<&mut Packed> {
        Some(&mut self.packed)
    }
}

fn loose<const N: usize>() -> Box<dyn Block> {
    Box::new(LooseBlock::<N> { recent: Recent::new() })
}

fn packed<const N: usize>(packed: Packed) -> Box<dyn Block> {
    Box::new(PackedBlock::<N> { packed, recent: Recent::new() })
}

type MakeLoose = fn() -> Box<dyn Block>;
type MakePacked = fn(Packed) -> Box<dyn Block>;

/// The rooms of blocks without packed cells, ascending, and what makes one: odd, which is what allocators have room for.
const LOOSE: [(usize, MakeLoose); 5] =
    [(3, loose::<3>), (5, loose::<5>), (9, loose::<9>), (13, loose::<13>), (19, loose::<19>)];

/// The same for blocks with packed cells. The last is the most room that there is.
const PACKED: [(usize, MakePacked); 10] = [
    (0, packed::<0>),
    (ROOM_PACKED, packed::<ROOM_PACKED>),
    (18, packed::<18>),
    (24, packed::<24>),
    (32, packed::<32>),
    (44, packed::<44>),
    (64, packed::<64>),
    (92, packed::<92>),
    (128, packed::<128>),
    (192, packed::<192>),
];

/// An empty block with more room than a full one of a series without packed cells; `None` where they should be packed, since
/// cells that are not packed take four times the room, so that few of them suit a series that has few.
pub(super) fn after_loose(room: usize) -> Option<Box<dyn Block>> {
    let (_, make) = LOOSE.iter().find(|(next, _)| room < *next)?;
    Some(make())
}

/// The room that a series should have next which has so many packed cells; `None` where those that are not should be packed,
/// too. A merge copies frames, so the more of them there are the rarer it should be.
pub(super) fn packed_room_after(room: usize, packed: usize) -> Option<usize> {
    if room < ROOM_PACKED {
        return Some(ROOM_PACKED);
    }
    let max = RECENT_MAX.min(RECENT_MIN + packed / 16) + packed / 1024;
    let mut more = PACKED.iter().map(|(next, _)| *next).skip_while(|next| *next <= room);
    let next = more.next()?;
    // One step, since it comes by it again and again.
    let next = more.take_while(|next| *next <= max).last().unwrap_or(next);
    (room < RECENT_MIN || next <= max).then_some(next)
}

/// An empty block of packed cells with room for so many more, if there is one.
pub(super) fn with_packed(packed: Packed, room: usize) -> Box<dyn Block> {
    let wanted = PACKED.iter().find(|(has, _)| room <= *has).or(PACKED.last());
    match wanted {
        Some((_, make)) => make(packed),
        None => self::packed::<ROOM_PACKED>(packed),
    }
}

/// The same with the room that there is after cells were packed.
pub(super) fn just_packed(packed: Packed) -> Box<dyn Block> {
    self::packed::<ROOM_PACKED>(packed)
}

/// Bytes of a block's memory, without those of packed cells.
pub(super) fn own_bytes(block: &dyn Block) -> usize {
    allocated(size_of_val(block))
}

/// Bytes of its memory.
pub(super) fn memory_bytes(block: &dyn Block) -> usize {
    own_bytes(block) + block.packed().map_or(0, Packed::memory_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_has_at_least_the_room_that_was_asked_for() {
        for room in 0..=192 {
            let block = with_packed(Packed::default(), room);
            assert!(block.recent().room() >= room && block.recent().is_empty(), "{room}");
            assert!(own_bytes(&*block) <= 56 + 8 * (room * 2).max(ROOM_PACKED), "{room}");
        }
        assert_eq!(after_loose(0).unwrap().recent().room(), 3);
        assert_eq!(after_loose(9).unwrap().recent().room(), 13);
        assert!(after_loose(19).is_none());
    }

    #[test]
    fn series_is_packed_again_sooner_if_little_is_packed() {
        let rooms = |packed| {
            let next = |room: &usize| packed_room_after(*room, packed);
            std::iter::successors(Some(0), next).collect::<Vec<_>>()
        };
        assert_eq!(rooms(17), [0, 8, 18]);
        assert_eq!(rooms(170), [0, 8, 24]);
        assert_eq!(rooms(1_000), [0, 8, 64]);
        assert_eq!(rooms(44_000), [0, 8, 92]);
        assert_eq!(rooms(1_500_000), [0, 8, 192]);
    }
}
