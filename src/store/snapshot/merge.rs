//! Which files to merge, and merging parts: several parts of a month, and increments that are in none yet, become one
//! part. Cells of cleared series are left behind.

use super::dictionary::Cleared;
use super::erased::Erased;
use super::part::{PartCursor, PartWriter};
use super::{FileRef, Generation, SnapshotFolder};
use crate::limits::{SNAPSHOT_MERGE_BYTES_MIN, wide};
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::HourRange;
use crate::model::cells::{self, Cell, FrameError, FrameRef, Month, MonthSums};
use crate::store::damage::FileError;

/// Of files in the order they were written, how many stay as they are when `bytes_new` are to be added; the rest is
/// merged with what is new.
///
/// A file joins the merge while what has been gathered is at least half of it. So each file that stays is more than
/// twice as large as the next, there are few of them, and each byte is rewritten about as often as the logarithm of
/// the whole. All small files count as equally small, since rewriting those costs nothing.
pub(crate) fn files_kept(files: &[FileRef], bytes_new: u64) -> usize {
    let size = |bytes: u64| bytes.max(SNAPSHOT_MERGE_BYTES_MIN);
    let mut gathered = bytes_new;
    let mut kept = files.len();
    for FileRef { bytes, .. } in files.iter().rev() {
        if size(gathered).saturating_mul(2) < size(*bytes) {
            break;
        }
        gathered = gathered.saturating_add(*bytes);
        kept = kept.saturating_sub(1);
    }
    kept
}

/// The same for files of which several are no trouble. So a byte is rewritten only when `alike_max` files of like size have
/// come together: with eight, a third as often.
pub(crate) fn pieces_kept(files: &[FileRef], bytes_new: u64, alike_max: usize) -> usize {
    // Files of like size have the same number here.
    let level = |bytes: u64| {
        (bytes / SNAPSHOT_MERGE_BYTES_MIN).checked_ilog(wide(alike_max)).map_or(0, |log| log + 1)
    };
    let (mut kept, mut gathered) = (files.len(), bytes_new);
    loop {
        let level_now = level(gathered);
        let before = files.get(..kept).unwrap_or_default();
        let run = before.iter().rev().take_while(|file| level(file.bytes) <= level_now);
        let (count, smaller, bytes) = run.fold((0_usize, false, 0_u64), |(count, smaller, bytes), file| {
            (count + 1, smaller || level(file.bytes) < level_now, bytes.saturating_add(file.bytes))
        });
        let is_due = smaller || level_now == 0 || count + 1 >= alike_max;
        if count == 0 || !is_due {
            return kept;
        }
        kept -= count;
        gathered = gathered.saturating_add(bytes);
    }
}

/// What goes into a merged part.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) parts: &'a [FileRef],
    /// Increments of the month by series, then hour; equal ones add up.
    pub(crate) fresh: &'a [Increment],
    /// What does not count in the parts.
    pub(crate) cleared: &'a Cleared,
    /// What goes of them.
    pub(crate) erased: &'a Erased,
}

/// Writes and syncs the part of a month. Returns what the manifest must say of it.
pub(crate) fn merge_parts(
    folder: &SnapshotFolder,
    (month, generation): (Month, Generation),
    sources: &Sources<'_>,
) -> Result<FileRef, FileError> {
    let cursors: Result<Vec<_>, _> =
        sources.parts.iter().map(|part| PartCursor::open(folder, part)).collect();
    let mut cursors = cursors?;
    let mut out = PartWriter::create(folder, (month, generation))?;
    let mut fresh = sources.fresh;
    let mut merging = FramesOfSeries::new(month.range());
    // The series that each cursor is at, side by side.
    let mut heads: Vec<u64> = cursors.iter().map(head).collect();
    loop {
        let first_fresh = fresh.first().map_or(AT_END, |one| u64::from(one.series.get()));
        let least = heads.iter().fold(first_fresh, |least, head| least.min(*head));
        let Ok(number) = u32::try_from(least) else { break };
        let series = SeriesId::new(number);
        let of_series = if first_fresh == least {
            fresh.iter().take_while(|one| one.series == series).count()
        } else {
            0
        };
        let (now, rest) = fresh.split_at(of_series);
        fresh = rest;
        let gone = sources.erased.of(series);
        let mut is_alone = now.is_empty() && gone.is_empty();
        is_alone = is_alone && heads.iter().filter(|head| **head == least).count() == 1;
        merging.clear();
        for (cursor, at) in cursors.iter_mut().zip(&mut heads).filter(|(_, at)| **at == least) {
            is_alone = is_alone && cursor.is_only() == Some(true);
            if is_alone {
                merging.copy(cursor, series, (sources.cleared, &mut out))?;
            } else {
                merging.take(cursor, series, sources.cleared)?;
            }
            *at = head(cursor);
        }
        if !is_alone {
            merging.erase(gone);
            merging.write(series, now, &mut out)?;
        }
    }
    out.finish()
}

/// Past every series.
const AT_END: u64 = u64::MAX;
/// Up to so many cells are added up one by one, which is quicker than to put frames together as they are.
const ADDED_UP_AT_MOST: usize = 32;

#[inline]
fn head(cursor: &PartCursor) -> u64 {
    cursor.series().map_or(AT_END, |series| u64::from(series.get()))
}

/// The frames of one series that are being put together; the buffers are used again for the next.
struct FramesOfSeries {
    month: HourRange,
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
    /// How many cells they have.
    cells: usize,
    fresh: Vec<Cell>,
    sums: MonthSums,
    packed: Vec<u8>,
}

impl FramesOfSeries {
    fn new(month: HourRange) -> Self {
        let (bytes, ends, fresh, packed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { month, bytes, ends, cells: 0, fresh, sums: MonthSums::new(month), packed }
    }

    #[inline]
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.cells = 0;
    }

    /// Writes the frame that the cursor is at, the only one of the series, as it is.
    #[inline]
    fn copy(
        &self,
        cursor: &mut PartCursor,
        series: SeriesId,
        (cleared, out): (&Cleared, &mut PartWriter),
    ) -> Result<(), FileError> {
        if let Some((_, bytes)) = cursor.peek()
            && cleared.counts(series, cursor.generation())
        {
            if !FrameRef::read(bytes).is_ok_and(|frame| frame.is_within(self.month)) {
                return Err(not_a_frame(cursor, series, bytes));
            }
            out.frame(series, bytes)?;
        }
        cursor.advance()
    }

    /// Takes the frames of the series that the cursor comes to.
    fn take(
        &mut self,
        cursor: &mut PartCursor,
        series: SeriesId,
        cleared: &Cleared,
    ) -> Result<(), FileError> {
        let counts = cleared.counts(series, cursor.generation());
        while let Some((_, bytes)) = cursor.peek().filter(|(found, _)| *found == series) {
            if counts {
                match FrameRef::read(bytes) {
                    Ok(frame) if frame.is_within(self.month) => {
                        self.bytes.extend_from_slice(bytes);
                        self.ends.push(self.bytes.len());
                        self.cells = self.cells.saturating_add(frame.cells());
                    }
                    _ => return Err(not_a_frame(cursor, series, bytes)),
                }
            }
            cursor.advance()?;
        }
        Ok(())
    }

    /// Takes the cells of those hours out of what was taken.
    fn erase(&mut self, gone: &[HourRange]) {
        if gone.is_empty() || self.ends.is_empty() {
            return;
        }
        let (bytes, ends) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.ends));
        let mut kept = Vec::new();
        self.cells = 0;
        for frame in frames(&bytes, &ends) {
            kept.clear();
            frame.decode(&mut kept);
            kept.retain(|cell| !gone.iter().any(|hours| hours.contains(cell.hour)));
            if !kept.is_empty() {
                cells::encode_frame_within(self.month, &kept, &mut self.bytes);
                self.ends.push(self.bytes.len());
                self.cells = self.cells.saturating_add(kept.len());
            }
        }
    }

    /// Writes what was taken, and the fresh increments. What is in one place only stays as it is; few cells, and those of
    /// which several are of one hour, are added up; and many that follow each other are put into one frame as they are.
    fn write(
        &mut self,
        series: SeriesId,
        fresh: &[Increment],
        out: &mut PartWriter,
    ) -> Result<(), FileError> {
        if self.ends.is_empty() {
            self.fresh.clear();
            self.fresh.extend(cells_of(fresh));
            return out.cells(series, &self.fresh);
        }
        if fresh.is_empty() && self.ends.len() == 1 {
            return out.frame(series, &self.bytes);
        }
        let is_long = self.cells.saturating_add(fresh.len()) > ADDED_UP_AT_MOST;
        if is_long && self.join(series, fresh, out)? {
            return Ok(());
        }
        frames(&self.bytes, &self.ends).for_each(|frame| {
            self.sums.add(&frame);
        });
        cells_of(fresh).for_each(|cell| self.sums.add_cell(cell));
        self.packed.clear();
        match self.sums.pack(&mut self.packed) {
            Some(cells) => out.cells(series, &cells),
            None if self.packed.is_empty() => Ok(()),
            None => out.frame(series, &self.packed),
        }
    }

    /// Writes all of it as one frame if each frame begins after the end of the one before; whether they do.
    fn join(
        &mut self,
        series: SeriesId,
        fresh: &[Increment],
        out: &mut PartWriter,
    ) -> Result<bool, FileError> {
        self.fresh.clear();
        self.fresh.extend(cells_of(fresh));
        if !self.fresh.is_sorted_by(|a, b| a.hour < b.hour) {
            // Where the sum of an hour is past 32 bits, there are several of it.
            return Ok(false);
        }
        self.packed.clear();
        cells::encode_frame_within(self.month, &self.fresh, &mut self.packed);
        let newest = FrameRef::read(&self.packed).ok();
        let frames: Vec<FrameRef<'_>> = frames(&self.bytes, &self.ends).chain(newest).collect();
        out.joined(series, &frames)
    }
}

fn cells_of(increments: &[Increment]) -> impl Iterator<Item = Cell> {
    increments.iter().map(|one| Cell { hour: one.hour, count: one.count })
}

/// The frames in those bytes, which have been found to be some.
fn frames<'a>(bytes: &'a [u8], ends: &'a [usize]) -> impl Iterator<Item = FrameRef<'a>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let bytes = starts.zip(ends).map(|(start, end)| bytes.get(start..*end).unwrap_or_default());
    bytes.filter_map(|frame| FrameRef::read(frame).ok())
}

#[cold]
fn not_a_frame(cursor: &PartCursor, series: SeriesId, bytes: &[u8]) -> FileError {
    let error = FrameRef::read(bytes).err().unwrap_or(FrameError::OutOfOrder);
    cursor.damaged(format!("a frame of series {} is not one: {error}", series.get()))
}
