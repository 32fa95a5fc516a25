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

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::allocated;
use super::packed::{FrameRun, MergeBuffers, Packed, decode_packed};
use super::recent::{Recent, SPARE, joined, split};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::ActiveHours;
use crate::model::cells::Cell;
use crate::model::prefetch::prefetch;

/// Most cells in `recent` of a series of a story that has few packed ones.
const RECENT_MIN: usize = 16;
/// Most cells in `recent` of a series of a story, unless very many are packed.
const RECENT_MAX: usize = 64;
/// A loaded series this small stays out of `packed`, which costs more than it saves.
const LOADED_LOOSE_MAX: usize = 4;

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
    pub(super) cells_grown: i64,
    pub(super) bytes_grown: i64,
}

/// One series. Three fit into four sixteenths of a cache line each; what nearly every increment hits is within one line.
#[derive(Debug)]
#[repr(C, align(16))]
pub(super) struct SeriesEntry {
    /// Hour in the upper, count in the lower half; a count of 0 is no cell.
    tail: AtomicU64,
    /// How many cells there are, for those who only want to know that.
    cells: AtomicU32,
    target: AtomicU8,
    run: RwLock<Run>,
}

const _: () = assert!(size_of::<SeriesEntry>() == 48, "memory of a series, most of which have few cells");

/// The cells behind the tail.
#[derive(Debug)]
enum Run {
    /// None is packed, as in most series.
    Loose(Recent),
    Packed(Box<PackedRun>),
}

#[derive(Debug, Default)]
#[repr(C)]
struct PackedRun {
    recent: Recent,
    packed: Packed,
}

impl Default for Run {
    fn default() -> Self {
        Self::Loose(Recent::default())
    }
}

impl Default for SeriesEntry {
    fn default() -> Self {
        Self {
            tail: AtomicU64::new(NO_TAIL),
            target: AtomicU8::new(0),
            cells: AtomicU32::new(0),
            run: RwLock::default(),
        }
    }
}

impl SeriesEntry {
    #[inline]
    pub(super) fn target(&self) -> RollUpTarget {
        match self.target.load(Ordering::Relaxed) {
            0 => RollUpTarget::Undefined,
            1 => RollUpTarget::None,
            more => RollUpTarget::Total(more - 2),
        }
    }

    pub(super) fn set_target(&self, target: RollUpTarget) {
        let code = match target {
            RollUpTarget::Undefined => 0,
            RollUpTarget::None => 1,
            RollUpTarget::Total(total) => total + 2,
        };
        self.target.store(code, Ordering::Relaxed);
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
        run.recent().visit(range, f);
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
        let recent = run.recent().sum(range);
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
        u64::from(self.cells.load(Ordering::Relaxed))
    }

    /// The first and the last hour with a cell.
    pub(super) fn span(&self) -> Option<(Hour, Hour)> {
        let run = self.read();
        let tail = self.tail();
        let packed = run.packed().and_then(Packed::span);
        let recent = run.recent().span();
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
        if cell.hour < self.tail().hour && self.read().recent().add_where_found(cell) {
            return false;
        }
        let mut run = self.write();
        let (before, cells) = (work.cells_grown, self.cells.load(Ordering::Relaxed));
        self.put(&mut run, cell, work);
        Self::settle(&mut run, work);
        // What is packed is not looked at for it: that would be a cache miss for every new cell.
        let cells = i64::from(cells) + (work.cells_grown - before);
        self.cells.store(u32::try_from(cells).unwrap_or(u32::MAX), Ordering::Relaxed);
        true
    }

    /// Prefetches what an increment of the hour will touch beside the entry, which has been fetched; whether there is more, for
    /// which [`Self::prefetch_boxed`] is to be called once this has come. For the writer alone.
    #[inline]
    pub(super) fn prefetch_beside_tail(&self, hour: Hour) -> bool {
        if !self.has_other_tail(hour) {
            return false;
        }
        match &*self.read() {
            Run::Loose(recent) => {
                recent.prefetch_ends();
                false
            }
            Run::Packed(run) => {
                prefetch(&run.recent);
                true
            }
        }
    }

    /// Prefetches the cells that are behind what [`Self::prefetch_beside_tail`] has prefetched. For the writer alone.
    #[inline]
    pub(super) fn prefetch_boxed(&self, hour: Hour) {
        if self.has_other_tail(hour)
            && let Run::Packed(run) = &*self.read()
        {
            run.recent.prefetch_ends();
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
        if run.packed().is_none() && run.recent().len() + run_of.cells <= LOADED_LOOSE_MAX {
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

    /// Removes all cells and returns them, ascending by hour.
    pub(super) fn remove_all(&self, work: &mut Work) -> Vec<Cell> {
        let mut run = self.write();
        self.tail_into_recent(&mut run, work);
        run.pack(work);
        let before = run.weight();
        let mut cells = Vec::new();
        if let Run::Packed(run) = std::mem::take(&mut *run) {
            run.packed.decode(&mut cells);
        }
        work.count_growth(before, run.weight());
        self.note_cells(&run);
        cells
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
        (self.cells.load(Ordering::Relaxed) == 1 && tail.count > 0).then_some(tail)
    }

    fn put(&self, run: &mut Run, cell: Cell, work: &mut Work) {
        let tail = self.tail();
        if tail.count == 0 {
            work.cells_grown += 1;
        } else if cell.hour >= tail.hour {
            // Of the same hour only if the tail is full.
            run.add(tail, work);
            // Before the tail, see the top of the file.
            let cells = self.cells.load(Ordering::Relaxed);
            self.cells.store(cells.saturating_add(1), Ordering::Relaxed);
        } else {
            run.add(cell, work);
            return;
        }
        self.tail.store(joined(cell), Ordering::Release);
    }

    fn note_cells(&self, run: &Run) {
        let packed = run.packed().map_or(0, Packed::cells);
        let cells = packed + run.recent().len() + usize::from(self.tail().count > 0);
        self.cells.store(u32::try_from(cells).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn tail_into_recent(&self, run: &mut Run, work: &mut Work) {
        let tail = self.tail();
        if tail.count > 0 {
            work.cells_grown -= 1;
            self.tail.store(NO_TAIL, Ordering::Relaxed);
            run.add(tail, work);
        }
    }

    /// Merges `recent` into `packed` if it has become long.
    fn settle(run: &mut Run, work: &mut Work) {
        if run.recent().len() <= RECENT_MIN {
            return;
        }
        // A merge copies frames, so the more of them there are the rarer it should be. And cells that are not
        // packed take four times the room, so few of them suit a series that has few.
        let packed = run.packed().map_or(0, Packed::len);
        let max = RECENT_MAX.min(RECENT_MIN + packed / 16) + packed / 1024;
        if run.recent().len() > max {
            run.pack(work);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Run> {
        self.run.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Run> {
        self.run.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn recent(&self) -> &Recent {
        match self {
            Self::Loose(recent) => recent,
            Self::Packed(run) => &run.recent,
        }
    }

    fn recent_mut(&mut self) -> &mut Recent {
        match self {
            Self::Loose(recent) => recent,
            Self::Packed(run) => &mut run.recent,
        }
    }

    fn packed(&self) -> Option<&Packed> {
        match self {
            Self::Loose(_) => None,
            Self::Packed(run) => Some(&run.packed),
        }
    }

    /// Does something with the packed cells, which are none where none was packed before.
    fn with_packed<T>(&mut self, work: impl FnOnce(&mut Packed) -> T) -> T {
        let mut run = match std::mem::take(self) {
            Self::Packed(run) => run,
            Self::Loose(recent) => Box::new(PackedRun { recent, packed: Packed::default() }),
        };
        let outcome = work(&mut run.packed);
        *self = Self::Packed(run);
        outcome
    }

    /// Adds a cell to `recent`. What does not fit into the hour's cell makes another cell of that hour.
    fn add(&mut self, cell: Cell, work: &mut Work) {
        let recent = self.recent_mut();
        if !recent.add_where_found(cell) {
            let before = recent.memory_bytes();
            recent.insert(cell);
            work.cells_grown += 1;
            work.bytes_grown += signed(recent.memory_bytes()) - signed(before);
        }
    }

    /// Merges all of `recent` into `packed`.
    fn pack(&mut self, work: &mut Work) {
        if self.recent().is_empty() {
            return;
        }
        let before = self.weight();
        work.old.clear();
        std::mem::take(self.recent_mut()).copy_to(&mut work.old);
        self.with_packed(|packed| packed.merge(&work.old, &mut work.buffers));
        work.count_growth(before, self.weight());
    }

    /// Cells and bytes on the heap.
    fn weight(&self) -> (i64, i64) {
        let boxed = allocated(size_of::<PackedRun>());
        let (cells, bytes) =
            self.packed().map_or((0, 0), |packed| (packed.cells(), boxed + packed.memory_bytes()));
        (signed(cells + self.recent().len()), signed(bytes + self.recent().memory_bytes()))
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
