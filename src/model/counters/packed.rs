//! The settled cells of one series: the frames of its months, one after the other.
//!
//! INVARIANT: the frames are of ascending months, one frame a month, and were written by `encode_frame` or taken
//! by `decode_frame`; no count is 0.

use super::allocated;
use crate::model::batch::SeriesId;
use crate::model::calendar::{Hour, HourRange};
use crate::model::cells::{Cell, FrameError, FrameRef, Month, by_month, concatenate, encode_frame_within};

/// Buffers that the writer uses again and again.
#[derive(Debug, Default)]
pub(super) struct MergeBuffers {
    old: Vec<Cell>,
    new: Vec<Cell>,
    frame: Vec<u8>,
    bytes: Vec<u8>,
}

/// The frames of one series.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    last_frame: usize,
    cells: usize,
}

/// Frames of one series, one for each month and in ascending order, that are on their way from a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameRun {
    pub(super) series: SeriesId,
    pub(super) bytes: usize,
    pub(super) last_frame_bytes: usize,
    pub(super) first: Hour,
    pub(super) last: Hour,
    pub(super) cells: usize,
}

impl Packed {
    pub(super) fn cells(&self) -> usize {
        self.cells
    }

    /// Bytes of memory beside its own.
    pub(super) fn memory_bytes(&self) -> usize {
        allocated(self.bytes.capacity())
    }

    /// The first and the last hour.
    pub(super) fn span(&self) -> Option<(Hour, Hour)> {
        let (_, first) = self.frames().next()?;
        let last = own(FrameRef::read(self.bytes.get(self.last_frame..)?));
        Some((first.first(), Hour::new(u32::try_from(last.last()).unwrap_or(u32::MAX))))
    }

    /// Calls `f` with the cells within the range, a month at a time.
    pub(super) fn visit(&self, range: HourRange, f: &mut dyn FnMut(&[Cell])) {
        let mut cells = Vec::new();
        self.frames_touching(range, &mut |frame| {
            cells.clear();
            frame.decode(&mut cells);
            let of_range = within(&cells, range);
            if !of_range.is_empty() {
                f(of_range);
            }
        });
    }

    /// Sum of the counts within the range.
    pub(super) fn sum(&self, range: HourRange) -> u64 {
        let (mut cells, mut sum) = (Vec::new(), 0_u64);
        self.frames_touching(range, &mut |frame| {
            let whole = range.contains(frame.first()) && frame.last() < u64::from(range.end.get());
            sum = sum.saturating_add(if whole {
                frame.total()
            } else {
                cells.clear();
                frame.decode(&mut cells);
                within(&cells, range).iter().map(|cell| u64::from(cell.count)).sum()
            });
        });
        sum
    }

    pub(super) fn decode(&self, out: &mut Vec<Cell>) {
        self.frames().for_each(|(_, frame)| frame.decode(out));
    }

    /// Takes checked frames as they are, if their months are after all others.
    pub(super) fn append(&mut self, frames: &[u8], run: &FrameRun) -> bool {
        if let Some(last) = self.bytes.get(self.last_frame..).filter(|bytes| !bytes.is_empty())
            && Month::containing(own(FrameRef::read(last)).first()) >= Month::containing(run.first)
        {
            return false;
        }
        if self.bytes.is_empty() {
            // Mostly these are all there are, and no byte is to be spared.
            self.bytes.reserve_exact(frames.len());
        } else {
            grow(&mut self.bytes, frames.len());
        }
        self.bytes.extend_from_slice(frames);
        self.last_frame = self.bytes.len() - run.last_frame_bytes;
        self.cells += run.cells;
        true
    }

    /// Adds cells that ascend by hour. Only the months that they touch are decoded and encoded again.
    pub(super) fn merge(&mut self, cells: &[Cell], buffers: &mut MergeBuffers) {
        let Some(first) = cells.first() else { return };
        // Everything before the first month that is touched stays where it is.
        let kept = self.seek(Month::containing(first.hour).range());
        let mut rest = self.bytes.get(kept..).unwrap_or_default();
        buffers.bytes.clear();
        let mut last_frame = self.last_frame;
        for (month, incoming) in by_month(cells) {
            let range = month.range();
            while let Some(frame) = front(rest).filter(|frame| frame.first() < range.start) {
                rest = copy_frame(rest, &frame, &mut buffers.bytes);
            }
            last_frame = kept + buffers.bytes.len();
            buffers.old.clear();
            if let Some(frame) = front(rest).filter(|frame| range.contains(frame.first())) {
                rest = rest.get(frame.bytes_len()..).unwrap_or_default();
                if append_cells(&frame, (range, incoming), buffers) {
                    self.cells += incoming.len();
                    continue;
                }
                frame.decode(&mut buffers.old);
            }
            buffers.new.clear();
            merge_cells(&buffers.old, incoming, &mut buffers.new);
            self.cells = self.cells + buffers.new.len() - buffers.old.len();
            encode_frame_within(range, &buffers.new, &mut buffers.bytes);
        }
        while let Some(frame) = front(rest) {
            last_frame = kept + buffers.bytes.len();
            rest = copy_frame(rest, &frame, &mut buffers.bytes);
        }
        self.bytes.truncate(kept);
        grow(&mut self.bytes, buffers.bytes.len());
        self.bytes.extend_from_slice(&buffers.bytes);
        self.last_frame = last_frame;
    }

    /// Removes the cells within the range, and gives them to `removed` where somebody wants to know them; how many there were. Only
    /// what lies in the range is looked at.
    pub(super) fn erase(
        &mut self,
        range: HourRange,
        mut removed: Option<&mut Vec<Cell>>,
        buffers: &mut MergeBuffers,
    ) -> usize {
        let (mut start, mut end) = (self.bytes.len(), self.bytes.len());
        // Of the last frame before the range, and of the last one that is written anew.
        let (mut last_before, mut last_written) = (0, None);
        let mut gone = 0;
        buffers.bytes.clear();
        let mut frames = self.frames().peekable();
        while let Some((offset, frame)) = frames.next() {
            if frame.first() >= range.end {
                end = offset;
                break;
            }
            if frames.peek().is_some_and(|(_, next)| next.first() <= range.start) {
                last_before = offset;
                continue;
            }
            start = start.min(offset);
            let month = Month::containing(frame.first()).range();
            if range.start <= month.start && month.end <= range.end && removed.is_none() {
                gone += frame.cells();
                continue;
            }
            buffers.old.clear();
            frame.decode(&mut buffers.old);
            buffers.new.clear();
            for &cell in &buffers.old {
                if !range.contains(cell.hour) {
                    buffers.new.push(cell);
                } else if let Some(removed) = &mut removed {
                    removed.push(cell);
                }
            }
            gone += buffers.old.len() - buffers.new.len();
            if !buffers.new.is_empty() {
                last_written = Some(start + buffers.bytes.len());
                encode_frame_within(month, &buffers.new, &mut buffers.bytes);
            }
        }
        drop(frames);
        if gone == 0 {
            return 0;
        }
        self.cells -= gone;
        self.last_frame = if end < self.bytes.len() {
            self.last_frame - end + start + buffers.bytes.len()
        } else {
            last_written.unwrap_or(last_before)
        };
        self.bytes.splice(start..end, buffers.bytes.iter().copied());
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to_fit();
        }
        gone
    }

    /// Offset of the first frame that is of the month with those hours or a later one, the length if there is none.
    fn seek(&self, month: HourRange) -> usize {
        let start = month.start;
        // Nearly always it is the last month that is touched.
        match self.bytes.get(self.last_frame..).and_then(front) {
            None => self.bytes.len(),
            Some(last) if last.first() < start => self.bytes.len(),
            Some(last) if last.first() < month.end => self.last_frame,
            Some(_) => {
                self.frames().find(|(_, frame)| frame.first() >= start).map_or(0, |(offset, _)| offset)
            }
        }
    }

    /// Calls `f` with every frame that can have an hour of the range.
    fn frames_touching(&self, range: HourRange, f: &mut dyn FnMut(&FrameRef<'_>)) {
        let mut frames = self.frames().peekable();
        while let Some((_, frame)) = frames.next() {
            if frame.first() >= range.end {
                break;
            }
            // All hours of a frame are before the first of the next one.
            if frames.peek().is_some_and(|(_, next)| next.first() <= range.start) {
                continue;
            }
            f(&frame);
        }
    }

    fn frames(&self) -> impl Iterator<Item = (usize, FrameRef<'_>)> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let frame = front(self.bytes.get(offset..)?)?;
            let at = offset;
            offset += frame.bytes_len();
            Some((at, frame))
        })
    }
}

/// Appends the cells of frames that follow each other and were checked.
pub(super) fn decode_packed(mut frames: &[u8], out: &mut Vec<Cell>) {
    while let Some(frame) = front(frames) {
        frame.decode(out);
        frames = frames.get(frame.bytes_len()..).unwrap_or_default();
    }
}

/// Appends the frame of the cells of a frame and of others of its month, if those are all later; whether they are. Nothing is
/// unpacked, so that a new cell costs the same however many the month has.
fn append_cells(
    frame: &FrameRef<'_>,
    (month, cells): (HourRange, &[Cell]),
    buffers: &mut MergeBuffers,
) -> bool {
    if cells.first().is_none_or(|first| u64::from(first.hour.get()) <= frame.last()) {
        return false;
    }
    buffers.frame.clear();
    encode_frame_within(month, cells, &mut buffers.frame);
    front(&buffers.frame).is_some_and(|later| concatenate(&[*frame, later], usize::MAX, &mut buffers.bytes))
}

/// The part of cells, ascending by hour, that is in the range.
fn within(cells: &[Cell], range: HourRange) -> &[Cell] {
    match (cells.first(), cells.last()) {
        (Some(first), Some(last)) if range.contains(first.hour) && range.contains(last.hour) => cells,
        (Some(_), Some(_)) => {
            let start = cells.partition_point(|cell| cell.hour < range.start);
            let end = cells.partition_point(|cell| cell.hour < range.end);
            cells.get(start..end).unwrap_or_default()
        }
        _ => &[],
    }
}

/// Adds two slices of cells up, both ascending by hour.
fn merge_cells(mut old: &[Cell], mut new: &[Cell], out: &mut Vec<Cell>) {
    out.reserve(old.len() + new.len());
    while let Some(hour) = old.first().map(|c| c.hour).into_iter().chain(new.first().map(|c| c.hour)).min() {
        let sum = remove_hour(&mut old, hour).saturating_add(remove_hour(&mut new, hour));
        out.extend(Cell::of_count(hour, sum));
    }
}

/// Removes the cells of the hour from the front; returns their sum.
fn remove_hour(cells: &mut &[Cell], hour: Hour) -> u64 {
    let mut sum = 0;
    while let Some((cell, rest)) = cells.split_first()
        && cell.hour == hour
    {
        sum += u64::from(cell.count);
        *cells = rest;
    }
    sum
}

fn copy_frame<'a>(from: &'a [u8], frame: &FrameRef<'_>, out: &mut Vec<u8>) -> &'a [u8] {
    let (bytes, rest) = from.split_at_checked(frame.bytes_len()).unwrap_or((from, &[]));
    out.extend_from_slice(bytes);
    rest
}

/// Makes room for more bytes with little to spare, yet in a number of steps that is logarithmic.
fn grow(bytes: &mut Vec<u8>, more: usize) {
    if bytes.capacity() - bytes.len() < more {
        bytes.reserve_exact(more + bytes.len() / 8);
    }
}

fn front(bytes: &[u8]) -> Option<FrameRef<'_>> {
    if bytes.is_empty() { None } else { Some(own(FrameRef::read(bytes))) }
}

/// The frame, which only this room can have written.
#[expect(clippy::expect_used, reason = "a frame in memory that cannot be read is our own bug")]
fn own(frame: Result<FrameRef<'_>, FrameError>) -> FrameRef<'_> {
    frame.expect("a packed frame is readable")
}
