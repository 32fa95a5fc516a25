//! The cells of one series: sixteen bytes that nearly every increment hits, and what lies behind them.
//!
//! The cells are in three places, which add up: the `tail` (the hour that increments hit now), `recent` (hours
//! before or beside it, sorted) and `packed` (the frames of months). `recent` is kept short by merging it into
//! `packed`.
//!
//! INVARIANT: only the one writer changes an entry. Cells come, go and move under the write lock alone, so a reader that
//! holds the read lock sees every count exactly once. Counts of cells that are there grow beside the readers.
//! The writer never waits for a read lock, since no other thread takes the write lock.
//! INVARIANT: an entry whose number of cells is 1 has no cell but its tail. The number is more before a tail that is not the only
//! cell is stored, so a reader that loads the tail first needs no lock for a series with one cell, as most are.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::block::{self, Block, LOADED_LOOSE_MAX};
use super::packed::{FrameRun, MergeBuffers, Packed, decode_packed};
use super::recent::{Place, Recent, SPARE, joined, split};
use crate::limits::{TOTALS, narrow};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::ActiveHours;
use crate::model::cells::Cell;
use crate::model::prefetch::prefetch_address;

/// Which total the counts of a series are added to as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RollUpTarget {
    /// The series has not been defined.
    Undefined,
    /// None: interactions have no total.
    None,
    /// The total of its metric and source, by number, and that of all sources.
    Total(u8),
}

/// What the writer needs at hand: buffers, and by how much the cells and the memory have grown.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) buffers: MergeBuffers,
    /// Of the present call: the hours in which series have got cells.
    pub(super) active: Vec<ActiveHours>,
    old: Vec<Cell>,
    /// Address of the cell that was made last: others are mostly near it.
    near: usize,
    pub(super) cells_grown: i64,
    pub(super) bytes_grown: i64,
}

/// One series. Three fit into four sixteenths of a cache line each; what nearly every increment hits is within one line.
#[derive(Debug)]
#[repr(C, align(16))]
pub(super) struct SeriesEntry {
    /// Hour in the upper, count in the lower half; a count of 0 is no cell.
    tail: AtomicU64,
    /// Below, how many cells there are, for those who only want to know that; above, the target.
    cells_and_target: AtomicU32,
    /// Where the last cell of `recent` stands, so that the writer needs no lock to prefetch it.
    last: AtomicU32,
    run: RwLock<Run>,
}

const _: () = assert!(size_of::<SeriesEntry>() == 48, "memory of a series, most of which have few cells");

/// The bits of the number of cells, which are enough for ten for each hour there is.
const CELLS_BITS: u32 = 27;
const CELLS_MASK: u32 = (1 << CELLS_BITS) - 1;
const _: () = assert!(TOTALS + 2 <= 1 << (u32::BITS - CELLS_BITS), "a target fits above the number of cells");

/// The cells behind the tail.
#[derive(Debug, Default)]
struct Run(Option<Box<dyn Block>>);

impl Default for SeriesEntry {
    fn default() -> Self {
        Self {
            tail: AtomicU64::new(NO_TAIL),
            cells_and_target: AtomicU32::new(0),
            last: AtomicU32::new(0),
            run: RwLock::default(),
        }
    }
}

impl SeriesEntry {
    #[inline]
    pub(super) fn target(&self) -> RollUpTarget {
        match self.cells_and_target.load(Ordering::Relaxed) >> CELLS_BITS {
            0 => RollUpTarget::Undefined,
            1 => RollUpTarget::None,
            more => RollUpTarget::Total(u8::try_from(more - 2).unwrap_or_default()),
        }
    }

    pub(super) fn set_target(&self, target: RollUpTarget) {
        let code = match target {
            RollUpTarget::Undefined => 0,
            RollUpTarget::None => 1,
            RollUpTarget::Total(total) => u32::from(total) + 2,
        };
        let cells = self.cells_and_target.load(Ordering::Relaxed) & CELLS_MASK;
        self.cells_and_target.store(code << CELLS_BITS | cells, Ordering::Relaxed);
    }

    fn set_cells(&self, cells: i64) {
        let cells = u32::try_from(cells.clamp(0, i64::from(CELLS_MASK))).unwrap_or_default();
        let target = self.cells_and_target.load(Ordering::Relaxed) & !CELLS_MASK;
        self.cells_and_target.store(target | cells, Ordering::Relaxed);
    }

    // ---- reading, by any thread ----

    /// Calls `f` with the cells within the range: slices, each ascending.
    #[inline]
    pub(super) fn visit(&self, range: HourRange, f: &mut dyn FnMut(&[Cell])) {
        match self.only_cell() {
            Some(cell) if range.contains(cell.hour) => f(&[cell]),
            Some(_) => {}
            None => self.visit_all(range, f),
        }
    }

    fn visit_all(&self, range: HourRange, f: &mut dyn FnMut(&[Cell])) {
        let run = self.read();
        let tail = self.tail();
        if let Some(packed) = run.packed() {
            packed.visit(range, f);
        }
        if let Some(block) = &run.0 {
            block.recent().visit(range, f);
        }
        if tail.count > 0 && range.contains(tail.hour) {
            f(&[tail]);
        }
    }

    /// Sum of the counts within the range.
    #[inline]
    pub(super) fn sum(&self, range: HourRange) -> u64 {
        match self.only_cell() {
            Some(cell) if range.contains(cell.hour) => u64::from(cell.count),
            Some(_) => 0,
            None => self.sum_all(range),
        }
    }

    fn sum_all(&self, range: HourRange) -> u64 {
        let run = self.read();
        let tail = self.tail();
        let packed = run.packed().map_or(0, |packed| packed.sum(range));
        let recent = run.0.as_ref().map_or(0, |block| block.recent().sum(range));
        let last = if range.contains(tail.hour) { u64::from(tail.count) } else { 0 };
        packed.saturating_add(recent).saturating_add(last)
    }

    /// Whether there is a cell of the hour.
    pub(super) fn has_cell(&self, hour: Hour) -> bool {
        let tail = self.tail();
        let is_tail = tail.hour == hour && tail.count > 0;
        is_tail || self.sum(HourRange { start: hour, end: hour.next() }) > 0
    }

    /// How many cells there are. Never blocks.
    pub(super) fn cells(&self) -> u64 {
        u64::from(self.cells_and_target.load(Ordering::Relaxed) & CELLS_MASK)
    }

    /// The first and the last hour with a cell.
    pub(super) fn span(&self) -> Option<(Hour, Hour)> {
        let run = self.read();
        let tail = self.tail();
        let packed = run.packed().and_then(Packed::span);
        let recent = run.0.as_ref().and_then(|block| block.recent().span());
        let tail = (tail.count > 0).then_some((tail.hour, tail.hour));
        [packed, recent, tail].into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    // ---- writing, by the writer alone ----

    /// Whether it may have got a cell of another hour.
    #[inline]
    pub(super) fn add(&self, hour: Hour, count: u32, work: &mut Work) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        let sum = tail + u64::from(count);
        // The second comparison is false where the count overflows into the hour.
        if tail >> 32 == u64::from(hour.get()) && sum >> 32 == tail >> 32 && tail != NO_TAIL {
            self.tail.store(sum, Ordering::Release);
            false
        } else {
            self.add_beside_tail(Cell { hour, count }, work)
        }
    }

    #[cold]
    fn add_beside_tail(&self, cell: Cell, work: &mut Work) -> bool {
        // A late hour that has been hit before. Readers go on meanwhile.
        if cell.hour < self.tail().hour
            && self.read().0.as_ref().is_some_and(|block| block.recent().add_where_found(cell))
        {
            return false;
        }
        let mut run = self.write();
        let (before, cells) = (work.cells_grown, self.cells());
        self.put(&mut run, cell, work);
        // What is packed is not looked at for it: that would be a cache miss for every new cell.
        self.set_cells(signed_of(cells) + (work.cells_grown - before));
        true
    }

    /// Prefetches what an increment of the hour will touch beside the tail, which has been fetched. For the writer alone.
    #[inline]
    pub(super) fn prefetch_beside_tail(&self, hour: Hour, work: &Work) {
        if self.has_other_tail(hour) {
            let end = std::ptr::from_ref(self).addr() + size_of::<Self>() - 1;
            let last = Place(self.last.load(Ordering::Relaxed)).near(work.near);
            prefetch_address(end);
            prefetch_address(last);
            // The next one.
            prefetch_address(last.wrapping_add(size_of::<u64>()));
        }
    }

    #[inline]
    fn has_other_tail(&self, hour: Hour) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        tail >> 32 != u64::from(hour.get()) && tail != NO_TAIL
    }

    /// Adds the cells of checked frames, which `run` tells of.
    pub(super) fn load(&self, frames: &[u8], run_of: &FrameRun, work: &mut Work) {
        let mut run = self.write();
        if run.packed().is_none() && run.recent_len() + run_of.cells <= LOADED_LOOSE_MAX {
            let mut loose = std::mem::take(&mut work.old);
            loose.clear();
            decode_packed(frames, &mut loose);
            for &cell in &loose {
                self.put(&mut run, cell, work);
            }
            work.old = loose;
            self.note_cells(&run);
            return;
        }
        let before = run.weight();
        run.with_packed(|packed| {
            if !packed.append(frames, run_of) {
                work.old.clear();
                decode_packed(frames, &mut work.old);
                packed.merge(&work.old, &mut work.buffers);
            }
        });
        work.count_growth(before, run.weight());
        self.note_cells(&run);
    }

    /// Removes the cells within the range, and gives them, not in order, to `removed` where somebody wants to know them.
    pub(super) fn erase(&self, range: HourRange, mut removed: Option<&mut Vec<Cell>>, work: &mut Work) {
        if self.cells() == 0 {
            return;
        }
        let mut run = self.write();
        let before = run.weight();
        let (tail, mut loose, mut gone) = (self.tail(), Vec::new(), 0);
        if let Some(block) = &mut run.0 {
            block.recent().copy_to(&mut loose);
            if let Some(packed) = block.packed_mut() {
                gone = packed.erase(range, removed.as_deref_mut(), &mut work.buffers);
            }
        }
        loose.extend((tail.count > 0).then_some(tail));
        if gone == 0 && !loose.iter().any(|cell| range.contains(cell.hour)) {
            return;
        }
        // While there is no tail, readers wait for the lock.
        if tail.count > 0 {
            work.cells_grown -= 1;
            self.tail.store(NO_TAIL, Ordering::Relaxed);
        }
        let block = std::mem::take(&mut *run).0;
        if let Some(packed) = block.and_then(|mut block| block.packed_mut().map(std::mem::take)) {
            if packed.cells() + loose.len() > LOADED_LOOSE_MAX {
                run.0 = Some(block::just_packed(packed));
            } else {
                // The invariant of a single cell wants it to be the tail.
                let mut cells = Vec::new();
                packed.decode(&mut cells);
                loose.splice(0..0, cells);
            }
        }
        work.count_growth(before, run.weight());
        for cell in loose {
            if !range.contains(cell.hour) {
                self.put(&mut run, cell, work);
            } else if let Some(removed) = &mut removed {
                removed.push(cell);
            }
        }
        self.note_cells(&run);
    }

    /// Removes all cells and does not look at them.
    pub(super) fn forget_all(&self, work: &mut Work) {
        let mut run = self.write();
        if self.tail().count > 0 {
            work.cells_grown -= 1;
            self.tail.store(NO_TAIL, Ordering::Relaxed);
        }
        let before = run.weight();
        let forgotten = std::mem::take(&mut *run);
        work.count_growth(before, run.weight());
        self.note_cells(&run);
        // Readers need not wait while the memory is given back.
        drop(run);
        drop(forgotten);
    }

    fn tail(&self) -> Cell {
        split(self.tail.load(Ordering::Relaxed))
    }

    /// The cell of a series that has no other. Never blocks.
    #[inline]
    fn only_cell(&self) -> Option<Cell> {
        let tail = split(self.tail.load(Ordering::Acquire));
        (self.cells() == 1 && tail.count > 0).then_some(tail)
    }

    fn put(&self, run: &mut Run, cell: Cell, work: &mut Work) {
        let tail = self.tail();
        if tail.count == 0 {
            work.cells_grown += 1;
        } else if cell.hour >= tail.hour {
            // Of the same hour only if the tail is full.
            self.put_recent(run, tail, work);
            // Before the tail, see the top of the file.
            self.set_cells(signed_of(self.cells()) + 1);
        } else {
            self.put_recent(run, cell, work);
            return;
        }
        self.tail.store(joined(cell), Ordering::Release);
    }

    /// Adds a cell to `recent`. What does not fit into the hour's cell makes another cell of that hour.
    fn put_recent(&self, run: &mut Run, cell: Cell, work: &mut Work) {
        let (mut cells, mut room) = (0, 0);
        if let Some(block) = &mut run.0 {
            let recent = block.recent_mut();
            cells = recent.len_by(Place(self.last.load(Ordering::Relaxed)));
            if recent.append(cells, cell) {
                work.cells_grown += 1;
                self.note_last(recent, cells + 1, work);
                return;
            }
            if recent.add_where_found(cell) {
                return;
            }
            room = recent.room();
        }
        if cells == room && run.make_room(narrow(self.cells()).saturating_sub(cells + 1), work) {
            cells = 0;
        }
        let Some(block) = &mut run.0 else { return };
        let recent = block.recent_mut();
        if !recent.append(cells, cell) {
            recent.insert(cell);
        }
        work.cells_grown += 1;
        self.note_last(recent, cells + 1, work);
    }

    fn note_last(&self, recent: &Recent, cells: usize, work: &mut Work) {
        let (place, address) = recent.place_of_last(cells);
        work.near = address;
        self.last.store(place.0, Ordering::Relaxed);
    }

    fn note_cells(&self, run: &Run) {
        let packed = run.packed().map_or(0, Packed::cells);
        self.set_cells(signed(packed + run.recent_len() + usize::from(self.tail().count > 0)));
    }

    fn read(&self) -> RwLockReadGuard<'_, Run> {
        self.run.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Run> {
        self.run.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn packed(&self) -> Option<&Packed> {
        self.0.as_ref()?.packed()
    }

    fn recent_len(&self) -> usize {
        self.0.as_ref().map_or(0, |block| block.recent().len())
    }

    /// Does something with the packed cells, which are none where none was packed before.
    fn with_packed(&mut self, work: impl FnOnce(&mut Packed)) {
        let block = match self.0.take() {
            Some(block) if block.packed().is_some() => block,
            Some(loose) => {
                let mut block = block::with_packed(Packed::default(), loose.recent().room());
                block.recent_mut().take(loose.recent());
                block
            }
            None => block::with_packed(Packed::default(), 0),
        };
        if let Some(packed) = self.0.insert(block).packed_mut() {
            work(packed);
        }
    }

    /// Makes room for a cell where there is none left in `recent`: merges all of it into `packed` where it is long, which has
    /// about so many cells; whether it did.
    fn make_room(&mut self, packed: usize, work: &mut Work) -> bool {
        let next = match &mut self.0 {
            None => block::after_loose(0),
            Some(full) => {
                let room = full.recent().room();
                match full.packed_mut() {
                    None => block::after_loose(room),
                    Some(frames) => block::packed_room_after(room, packed)
                        .map(|room| block::with_packed(std::mem::take(frames), room)),
                }
            }
        };
        let Some(mut next) = next else {
            self.pack(work);
            return true;
        };
        work.bytes_grown += signed(block::own_bytes(&*next));
        if let Some(full) = &self.0 {
            work.bytes_grown -= signed(block::own_bytes(&**full));
            next.recent_mut().take(full.recent());
        }
        self.0 = Some(next);
        false
    }

    /// Merges all of `recent` into `packed`.
    fn pack(&mut self, work: &mut Work) {
        if self.0.as_ref().is_none_or(|block| block.recent().is_empty()) {
            return;
        }
        let before = self.weight();
        if let Some(mut block) = self.0.take() {
            work.old.clear();
            block.recent().copy_to(&mut work.old);
            let mut packed = block.packed_mut().map(std::mem::take).unwrap_or_default();
            packed.merge(&work.old, &mut work.buffers);
            // Before the next one is allocated, which may well be in the same place.
            drop(block);
            self.0 = Some(block::just_packed(packed));
        }
        work.count_growth(before, self.weight());
    }

    /// Cells and bytes on the heap.
    fn weight(&self) -> (i64, i64) {
        let cells = self.packed().map_or(0, Packed::cells) + self.recent_len();
        (signed(cells), signed(self.0.as_ref().map_or(0, |block| block::memory_bytes(&**block))))
    }
}

impl Work {
    fn count_growth(&mut self, before: (i64, i64), after: (i64, i64)) {
        self.cells_grown += after.0 - before.0;
        self.bytes_grown += after.1 - before.1;
    }
}

/// No event is of the last hour there is.
const NO_TAIL: u64 = SPARE;

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn signed_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
