//! Reads the parts of a snapshot side by side, in the order of series, so that the frames of one series come together from
//! all of them. What it takes grows with the frames and not with how many parts they are spread over.
//!
//! Some parts are read at a time, one block of each in memory; where there are more, series come again with the months of
//! the next ones. So memory is bounded by [`LOAD_PARTS_MAX`] blocks and their places, the frames of [`SERIES_STAGED`]
//! series, and a batch of about [`LOAD_BATCH_BYTES`].
//!
//! Must not know the counters' own structures, nor which thread takes what is checked here.

use crate::limits::{LOAD_BATCH_BYTES, LOAD_PARTS_MAX, narrow};
use crate::model::batch::SeriesId;
use crate::model::cells::Month;
use crate::model::counters::{CheckedFrames, Counters};
use crate::store::damage::{Damage, FileError};
use crate::store::snapshot::dictionary::Cleared;
use crate::store::snapshot::part::PartCursor;
use crate::store::snapshot::{FileRef, SnapshotFolder};

/// Series whose frames are put together at a time.
const SERIES_STAGED: usize = 64;

/// What it takes to check frames.
pub(super) struct Checking<'a> {
    pub(super) folder: &'a SnapshotFolder,
    pub(super) counters: &'a Counters,
    pub(super) cleared: &'a Cleared,
    pub(super) defined: &'a [bool],
}

/// The frames of some neighbouring series: bytes, and for each series where its frames are, in the order of the parts.
struct Stage {
    bytes: Vec<u8>,
    frames: [Vec<Staged>; SERIES_STAGED],
}

#[derive(Clone, Copy)]
struct Staged {
    start: usize,
    end: usize,
    month: Month,
    /// The part, among those that are open.
    part: usize,
}

impl Checking<'_> {
    /// Hands over the frames of all parts, which are in the order of a manifest, until `take` does not want any more.
    pub(super) fn check_parts(
        &self,
        parts: &[FileRef],
        take: &mut dyn FnMut(CheckedFrames) -> bool,
    ) -> Result<(), FileError> {
        let mut rest = parts;
        while !rest.is_empty() {
            let (together, later) = rest.split_at(months_within(rest, LOAD_PARTS_MAX));
            rest = later;
            if !self.check_together(together, take)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether more is wanted.
    fn check_together(
        &self,
        parts: &[FileRef],
        take: &mut dyn FnMut(CheckedFrames) -> bool,
    ) -> Result<bool, FileError> {
        let opened: Result<Vec<_>, _> =
            parts.iter().map(|part| PartCursor::open(self.folder, part)).collect();
        let mut cursors = opened?;
        let mut stage = Stage { bytes: Vec::new(), frames: [const { Vec::new() }; SERIES_STAGED] };
        let mut checked = CheckedFrames::default();
        while let Some(first) = cursors.iter().filter_map(PartCursor::series).min() {
            stage.bytes.clear();
            for (part, cursor) in cursors.iter_mut().enumerate() {
                self.stage(first, (part, cursor), &mut stage)?;
            }
            for (frames, series) in stage.frames.iter_mut().zip(first.get()..) {
                self.check(SeriesId::new(series), (&stage.bytes, frames), &mut checked).map_err(
                    |(part, what)| match cursors.get(part) {
                        Some(cursor) => cursor.damaged(what),
                        None => Damage::damaged(&self.folder.path, 0, what).into(),
                    },
                )?;
                frames.clear();
            }
            if checked.len() >= LOAD_BATCH_BYTES && !take(checked.split_off()) {
                return Ok(false);
            }
        }
        Ok(take(checked))
    }

    /// Takes what a part has of the series from that one on.
    fn stage(
        &self,
        first: SeriesId,
        (part, cursor): (usize, &mut PartCursor),
        stage: &mut Stage,
    ) -> Result<(), FileError> {
        let Some(month) = cursor.month() else { return Ok(()) };
        while let Some((series, frame)) = cursor.peek()
            && let Some(frames) = stage.frames.get_mut(narrow(series.get().saturating_sub(first.get())))
        {
            if self.cleared.counts(series, cursor.generation()) {
                let start = stage.bytes.len();
                stage.bytes.extend_from_slice(frame);
                frames.push(Staged { start, end: stage.bytes.len(), month, part });
            }
            cursor.advance()?;
        }
        Ok(())
    }

    /// Checks the frames of a series, month by month. An error is the part that is damaged, and in which way.
    fn check(
        &self,
        series: SeriesId,
        (bytes, frames): (&[u8], &[Staged]),
        into: &mut CheckedFrames,
    ) -> Result<(), (usize, String)> {
        let Some(first) = frames.first() else { return Ok(()) };
        if !self.defined.get(series.index()).is_some_and(|defined| *defined) {
            return Err((first.part, format!("series {} is not in the dictionary", series.get())));
        }
        for of_month in frames.chunk_by(|a, b| a.month == b.month) {
            let Some(first) = of_month.first() else { continue };
            let bytes_of = |one: &Staged| bytes.get(one.start..one.end).unwrap_or_default();
            let checked = match of_month {
                [only] => self.counters.check_month(series, only.month, &[bytes_of(only)], into),
                several => {
                    let frames: Vec<&[u8]> = several.iter().map(bytes_of).collect();
                    self.counters.check_month(series, first.month, &frames, into)
                }
            };
            checked.map_err(|error| {
                (first.part, format!("a frame of series {} is not one: {error}", series.get()))
            })?;
        }
        Ok(())
    }
}

/// How many parts to read together: all of as many months as there can be, or part of one month that has more.
fn months_within(parts: &[FileRef], parts_max: usize) -> usize {
    if parts.len() <= parts_max {
        return parts.len();
    }
    let of_next_month = |at: &usize| {
        let month = |at: usize| parts.get(at).and_then(|part| part.name.month());
        month(*at) != month(*at - 1)
    };
    (1..=parts_max).rev().find(of_next_month).unwrap_or(parts_max)
}
