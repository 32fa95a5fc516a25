//! Frames on their way from a snapshot into the counters: any thread checks them, makes one of those of a month and adds up
//! what they give the totals; then the writer only has to take them. Knows nothing of files.
//!
//! INVARIANT: every frame kept is whole, within one month, has no count of 0 and is of a defined series that is not a
//! total; `sums` is what these frames, and those that were split off before, add to their roll-up targets.

use super::packed::FrameRun;
use super::series::{RollUpTarget, SeriesEntry};
use super::{Counters, TOTALS, Writer};
use crate::limits::{FRAME_CELLS_MAX, narrow};
use crate::model::batch::SeriesId;
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::ActiveHours;
use crate::model::cells::{self, Cell, FrameError, FrameRef, Month, encode_frame_within};

const MONTH_HOURS: usize = 31 * 24;

/// Frames that are checked and ready to be loaded.
#[derive(Debug, Default)]
pub struct CheckedFrames {
    bytes: Vec<u8>,
    runs: Vec<FrameRun>,
    sums: Sums,
    undefined: u64,
    cells: Vec<Cell>,
}

/// What the frames of each month add to the total of each metric and source, hour by hour.
#[derive(Debug, Default)]
struct Sums {
    first_month: u32,
    /// By month from the first, then by total.
    of: Vec<Option<Box<[u64; MONTH_HOURS]>>>,
}

impl Sums {
    fn of(&mut self, month: Month, total: u8) -> Option<&mut [u64; MONTH_HOURS]> {
        if self.of.is_empty() {
            self.first_month = month.get();
        }
        if month.get() < self.first_month {
            let months = narrow(self.first_month - month.get());
            self.of.splice(0..0, std::iter::repeat_with(|| None).take(months * TOTALS));
            self.first_month = month.get();
        }
        let place = narrow(month.get() - self.first_month) * TOTALS + usize::from(total);
        if self.of.len() <= place {
            self.of.resize_with(place + 1, || None);
        }
        Some(self.of.get_mut(place)?.get_or_insert_with(|| Box::new([0; MONTH_HOURS])))
    }

    /// Total, hour and sum of each.
    fn iter(&self) -> impl Iterator<Item = (u8, Hour, u64)> {
        let places = self.of.iter().zip(0_u32..);
        let made = places.filter_map(|(sums, place)| Some((sums.as_ref()?, place)));
        made.flat_map(|(sums, place)| {
            let totals = u32::try_from(TOTALS).unwrap_or(u32::MAX);
            let start = Month::new(self.first_month + place / totals).range().start.get();
            let total = u8::try_from(place % totals).unwrap_or_default();
            sums.iter().zip(start..).map(move |(sum, hour)| (total, Hour::new(hour), *sum))
        })
    }
}

impl CheckedFrames {
    /// Bytes of the frames.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes the frames out, but not what they add to the totals. That is given at the end, since to add it takes as long
    /// for few frames as for many.
    #[must_use]
    pub fn split_off(&mut self) -> Self {
        let sums = std::mem::take(&mut self.sums);
        let frames = std::mem::take(self);
        self.sums = sums;
        self.bytes.reserve(frames.bytes.len());
        frames
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.sums = Sums::default();
        self.undefined = 0;
    }

    /// Appends the frames of one series in one month as one frame, which is the last of `bytes` then; whether there is any
    /// cell, and if so the first hour, the last and how many cells there are.
    fn join(&mut self, hours: HourRange, frames: &[FrameRef<'_>]) -> Option<(Hour, Hour, usize)> {
        if frames.iter().all(FrameRef::has_no_zero)
            && cells::concatenate(frames, FRAME_CELLS_MAX, &mut self.bytes)
        {
            let (first, last) = (frames.first()?, frames.last()?);
            let last = Hour::new(u32::try_from(last.last()).unwrap_or(u32::MAX));
            return Some((first.first(), last, frames.iter().map(FrameRef::cells).sum()));
        }
        self.cells.clear();
        for frame in frames {
            frame.decode(&mut self.cells);
        }
        self.cells.retain(|cell| cell.count > 0);
        self.cells.sort_by_key(|cell| cell.hour);
        let of_hours = self.cells.chunk_by(|a, b| a.hour == b.hour);
        let sums: Vec<Cell> = of_hours
            .flat_map(|cells| {
                let sum = cells.iter().fold(0_u64, |sum, cell| sum.saturating_add(u64::from(cell.count)));
                cells.first().into_iter().flat_map(move |first| Cell::of_count(first.hour, sum))
            })
            .collect();
        encode_frame_within(hours, &sums, &mut self.bytes);
        Some((sums.first()?.hour, sums.last()?.hour, sums.len()))
    }

    fn keep(&mut self, series: SeriesId, hours: HourRange, frames: &[FrameRef<'_>]) {
        let start = self.bytes.len();
        let Some((first, last, cells)) = self.join(hours, frames) else { return };
        let bytes = self.bytes.len() - start;
        match self.runs.last_mut().filter(|run| run.series == series && run.last < hours.start) {
            Some(run) => {
                run.bytes += bytes;
                (run.last_frame_bytes, run.last) = (bytes, last);
                run.cells += cells;
            }
            None => self.runs.push(FrameRun { series, bytes, last_frame_bytes: bytes, first, last, cells }),
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
        let first = FrameRef::read(frame)?.first();
        if first >= Hour::END {
            return Err(FrameError::TooLate);
        }
        self.check_month(id, Month::containing(first), &[frame], into)
    }

    /// The same for all frames of a series that are of that month.
    ///
    /// # Errors
    /// Why one is not exactly one frame of the month; `into` is then as it was.
    pub fn check_month(
        &self,
        id: SeriesId,
        month: Month,
        frames: &[&[u8]],
        into: &mut CheckedFrames,
    ) -> Result<(), FrameError> {
        let hours = month.range();
        let (one, several);
        let found: &[FrameRef<'_>] = if let [frame] = frames {
            one = [read_exactly(hours, frame)?];
            &one
        } else {
            several = frames.iter().map(|frame| read_exactly(hours, frame)).collect::<Result<Vec<_>, _>>()?;
            &several
        };
        match self.entries.get(id.index()).map_or(RollUpTarget::Undefined, SeriesEntry::target) {
            RollUpTarget::Undefined => into.undefined += 1,
            RollUpTarget::None => into.keep(id, hours, found),
            RollUpTarget::Total(total) => {
                into.keep(id, hours, found);
                if let Some(sums) = into.sums.of(month, total) {
                    for frame in found {
                        frame.add_to(hours.start, sums);
                    }
                }
            }
        }
        Ok(())
    }
}

fn read_exactly(month: HourRange, bytes: &[u8]) -> Result<FrameRef<'_>, FrameError> {
    let frame = FrameRef::read(bytes)?;
    if frame.bytes_len() != bytes.len() {
        return Err(FrameError::TrailingBytes);
    }
    if frame.last() >= u64::from(Hour::END.get()) {
        return Err(FrameError::TooLate);
    }
    if frame.is_within(month) { Ok(frame) } else { Err(FrameError::OutOfOrder) }
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

    /// Adds the cells of frames that were checked against these counters, and empties `frames`. Fastest where all months
    /// of a series come one after the other. The hours in which series have got cells, as [`Self::add`] gives them.
    pub fn load_checked(&mut self, frames: &mut CheckedFrames) -> &[ActiveHours] {
        self.work.active.clear();
        let mut rest = frames.bytes.as_slice();
        for run in &frames.runs {
            let Some((bytes, later)) = rest.split_at_checked(run.bytes) else { break };
            rest = later;
            let FrameRun { series, first, last, .. } = *run;
            if let Some(entry) = self.counters.entries.get(series.index()) {
                entry.load(bytes, run, &mut self.work);
                self.work.active.push(ActiveHours { series, first, last });
            }
        }
        for (total, hour, sum) in frames.sums.iter() {
            self.counters.add_to_totals(total, hour, sum, &mut self.work);
        }
        for _ in 0..frames.undefined {
            self.counters.count_undefined();
        }
        frames.clear();
        self.publish();
        &self.work.active
    }
}
