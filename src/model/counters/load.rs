//! Frames on their way from a snapshot into the counters: any thread checks them and adds up what they give the
//! totals, then the writer only has to take them. Knows nothing of files.
//!
//! INVARIANT: every frame kept has passed `decode_frame`, has no count of 0 and is of a defined series that is not a
//! total; `sums` is what these frames add to their roll-up targets.

use super::series::{RollUpTarget, SeriesEntry};
use super::{Counters, Writer};
use crate::limits::narrow;
use crate::model::batch::SeriesId;
use crate::model::calendar::Hour;
use crate::model::catalogue::ActiveHours;
use crate::model::cells::{Cell, FrameError, Month, decode_frame, encode_frame};

const MONTH_HOURS: usize = 31 * 24;

/// Frames that are checked and ready to be loaded.
#[derive(Debug, Default)]
pub struct CheckedFrames {
    bytes: Vec<u8>,
    frames: Vec<Checked>,
    sums: Vec<MonthSums>,
    undefined: u64,
    cells: Vec<Cell>,
}

/// One frame; its bytes follow those of the one before.
#[derive(Clone, Copy, Debug)]
struct Checked {
    series: SeriesId,
    bytes: usize,
    first: Hour,
    last: Hour,
    cells: usize,
}

/// What the frames of one month add to the total of one metric and source, hour by hour.
#[derive(Debug)]
struct MonthSums {
    total: u8,
    start: Hour,
    hours: Box<[u64; MONTH_HOURS]>,
}

impl CheckedFrames {
    fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.sums.clear();
        self.undefined = 0;
    }

    fn keep(&mut self, series: SeriesId, frame: &[u8]) {
        let start = self.bytes.len();
        if self.cells.iter().all(|cell| cell.count > 0) {
            self.bytes.extend_from_slice(frame);
        } else {
            self.cells.retain(|cell| cell.count > 0);
            encode_frame(&self.cells, &mut self.bytes);
        }
        if let (Some(first), Some(last)) = (self.cells.first(), self.cells.last()) {
            let bytes = self.bytes.len() - start;
            let (first, last, cells) = (first.hour, last.hour, self.cells.len());
            self.frames.push(Checked { series, bytes, first, last, cells });
        }
    }

    fn add_up(&mut self, total: u8) {
        let Some(first) = self.cells.first() else { return };
        let start = Month::containing(first.hour).range().start;
        let found = self.sums.iter().position(|sums| sums.total == total && sums.start == start);
        let place = found.unwrap_or_else(|| {
            self.sums.push(MonthSums { total, start, hours: Box::new([0; MONTH_HOURS]) });
            self.sums.len() - 1
        });
        let Some(sums) = self.sums.get_mut(place) else { return };
        for cell in &self.cells {
            // The hours of a frame are of one month.
            let hour = narrow(cell.hour.get() - start.get());
            if let Some(sum) = sums.hours.get_mut(hour) {
                *sum += u64::from(cell.count);
            }
        }
    }
}

impl Counters {
    /// Checks one packed frame (see [`crate::model::cells`]) of a series and puts it to the others, for
    /// [`Writer::load_checked`]. Any thread may; never blocks.
    ///
    /// # Errors
    /// Why `frame` is not exactly one frame; `into` is then as it was.
    pub fn check(&self, id: SeriesId, frame: &[u8], into: &mut CheckedFrames) -> Result<(), FrameError> {
        into.cells.clear();
        if decode_frame(frame, &mut into.cells)? != frame.len() {
            return Err(FrameError::TrailingBytes);
        }
        match self.entries.get(id.index()).map_or(RollUpTarget::Undefined, SeriesEntry::target) {
            RollUpTarget::Undefined => into.undefined += 1,
            RollUpTarget::None => into.keep(id, frame),
            RollUpTarget::Total(total) => {
                into.keep(id, frame);
                into.add_up(total);
            }
        }
        Ok(())
    }
}

impl Writer {
    /// Adds the cells of one packed frame, as [`Counters::check`] and [`Self::load_checked`] do.
    ///
    /// # Errors
    /// Why `frame` is not exactly one frame; nothing is then counted.
    pub fn load(&mut self, id: SeriesId, frame: &[u8]) -> Result<(), FrameError> {
        let mut checked = CheckedFrames::default();
        self.counters.check(id, frame, &mut checked)?;
        self.load_checked(&mut checked);
        Ok(())
    }

    /// Adds the cells of frames that were checked against these counters, and empties `frames`. Fastest where the
    /// months of a series come in ascending order. The hours in which series have got cells, as [`Self::add`] gives them.
    pub fn load_checked(&mut self, frames: &mut CheckedFrames) -> &[ActiveHours] {
        self.work.active.clear();
        let mut rest = frames.bytes.as_slice();
        for &Checked { series, bytes, first, last, cells } in &frames.frames {
            let Some((frame, later)) = rest.split_at_checked(bytes) else { break };
            rest = later;
            if let Some(entry) = self.counters.entries.get(series.index()) {
                entry.load(frame, (first, cells), &mut self.work);
                match self
                    .work
                    .active
                    .last_mut()
                    .filter(|before| before.series == series && before.last <= first)
                {
                    Some(before) => before.last = last,
                    None => self.work.active.push(ActiveHours { series, first, last }),
                }
            }
        }
        for sums in &frames.sums {
            for (&sum, hour) in sums.hours.iter().zip(sums.start.get()..) {
                if sum > 0 {
                    self.counters.add_to_totals(sums.total, Hour::new(hour), sum, &mut self.work);
                }
            }
        }
        for _ in 0..frames.undefined {
            self.counters.count_undefined();
        }
        frames.clear();
        self.publish();
        &self.work.active
    }
}
