//! Frames that follow each other become one frame, and what is asked of a frame before it is trusted, without going
//! through its cells one by one.

use super::{FrameRef, INLINE_CELLS_MAX, Width, fours, ones, twos, write_varint};
use crate::limits::narrow;
use crate::model::calendar::{Hour, HourRange};

impl FrameRef<'_> {
    /// How many cells it has.
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    /// Whether all its hours are of the month with those hours.
    pub(crate) fn is_within(&self, month: HourRange) -> bool {
        month.contains(self.first) && self.last() < u64::from(month.end.get())
    }

    /// Whether every count is more than 0.
    pub(crate) fn has_no_zero(&self) -> bool {
        match self.count_width {
            Width::Ones => true,
            Width::One => !self.counts.contains(&0),
            Width::Two => twos(self.counts).all(|count| count > 0),
            Width::Four => fours(self.counts).all(|count| count > 0),
        }
    }

    /// Adds the counts to sums, of which the first is that of the hour `start`; the sums reach as far as the frame does.
    pub(crate) fn add_to(&self, start: Hour, sums: &mut [u64]) {
        match self.count_width {
            Width::Ones => self.add_counts(start, std::iter::repeat_n(1, self.cells), sums),
            Width::One => self.add_counts(start, ones(self.counts), sums),
            Width::Two => self.add_counts(start, twos(self.counts), sums),
            Width::Four => self.add_counts(start, fours(self.counts), sums),
        }
    }

    #[inline]
    fn add_counts(&self, start: Hour, mut counts: impl Iterator<Item = u32>, sums: &mut [u64]) {
        let first = narrow(self.first.get().saturating_sub(start.get()));
        let Some(sums) = sums.get_mut(first..) else { return };
        if self.step_width == Width::Ones {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum = sum.saturating_add(u64::from(count));
            }
            return;
        }
        if let (Some(sum), Some(count)) = (sums.first_mut(), counts.next()) {
            *sum = sum.saturating_add(u64::from(count));
        }
        match self.step_width {
            Width::Ones => {}
            Width::One => add_stepped(ones(self.steps), counts, sums),
            Width::Two => add_stepped(twos(self.steps), counts, sums),
            Width::Four => add_stepped(fours(self.steps), counts, sums),
        }
    }
}

#[inline]
fn add_stepped(steps: impl Iterator<Item = u32>, counts: impl Iterator<Item = u32>, sums: &mut [u64]) {
    let mut at = 0_usize;
    for (step, count) in steps.zip(counts) {
        at = at.saturating_add(narrow(step));
        if let Some(sum) = sums.get_mut(at) {
            *sum = sum.saturating_add(u64::from(count));
        }
    }
}

/// Appends the frame of all cells of frames of one month, if each begins after the end of the one before; whether they do.
/// That is the frame which `encode_frame` makes of the same cells.
pub(crate) fn concatenate(frames: &[FrameRef<'_>], cells_max: usize, out: &mut Vec<u8>) -> bool {
    let Some(first) = frames.first() else { return true };
    let (mut cells, mut step_width, mut count_width) = (first.cells, first.step_width, first.count_width);
    let mut gaps = frames.iter().zip(frames.iter().skip(1)).map(|(before, after)| gap(before, after));
    for (frame, gap) in frames.iter().skip(1).zip(&mut gaps) {
        let Some(gap) = gap else { return false };
        cells = cells.saturating_add(frame.cells);
        step_width = step_width.max(frame.step_width).max(Width::of(std::iter::once(gap)));
        count_width = count_width.max(frame.count_width);
    }
    if cells > cells_max {
        return false;
    }
    let control = step_width.code() | count_width.code() << 2;
    match u8::try_from(cells) {
        Ok(number) if cells <= INLINE_CELLS_MAX => out.push(control | number << 4),
        _ => {
            out.push(control);
            write_varint(u32::try_from(cells).unwrap_or(u32::MAX), out);
        }
    }
    write_varint(first.first.get(), out);
    step_width.put_widened(first.step_width, (first.steps, first.cells - 1), out);
    for (before, after) in frames.iter().zip(frames.iter().skip(1)) {
        step_width.put(gap(before, after).into_iter(), out);
        step_width.put_widened(after.step_width, (after.steps, after.cells - 1), out);
    }
    for frame in frames {
        count_width.put_widened(frame.count_width, (frame.counts, frame.cells), out);
    }
    true
}

/// From the end of one frame to the start of the other, if that is later.
fn gap(before: &FrameRef<'_>, after: &FrameRef<'_>) -> Option<u32> {
    let gap = u64::from(after.first.get()).checked_sub(before.last())?;
    u32::try_from(gap).ok().filter(|gap| *gap > 0)
}

impl Width {
    /// Appends so many numbers that have another, lesser width.
    fn put_widened(self, from: Self, (bytes, numbers): (&[u8], usize), out: &mut Vec<u8>) {
        if self == from {
            out.extend_from_slice(bytes);
            return;
        }
        match from {
            Self::Ones => self.put(std::iter::repeat_n(1, numbers), out),
            Self::One => self.put(ones(bytes), out),
            Self::Two => self.put(twos(bytes), out),
            Self::Four => self.put(fours(bytes), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Cell, Month, encode_frame};
    use super::*;

    fn frame(cells: &[Cell]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(cells, &mut bytes);
        bytes
    }

    /// Cells of one month at the hours that `gaps` lead to, until its end.
    fn cells(gaps: &[u32], counts: &[u32]) -> Vec<Cell> {
        let month = Month::new(600).range();
        let mut hour = month.start.get();
        let mut cells = Vec::new();
        for (gap, &count) in gaps.iter().zip(counts) {
            hour += gap;
            if month.contains(Hour::new(hour)) {
                cells.push(Cell { hour: Hour::new(hour), count });
            }
        }
        cells
    }

    proptest! {
        #[test]
        fn frames_in_a_row_become_the_frame_of_all_their_cells(
            gaps in proptest::collection::vec(prop_oneof![Just(1_u32), 1_u32..40, 200_u32..300], 1..60),
            counts in proptest::collection::vec(prop_oneof![Just(1_u32), 1_u32..256, 0_u32..70_000, any::<u32>()], 60),
            cuts in proptest::collection::vec(1_usize..20, 1..5),
        ) {
            let cells = cells(&gaps, &counts);
            let mut rest = cells.as_slice();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                pieces.push(frame(piece));
                rest = later;
            }
            pieces.push(frame(rest));
            pieces.retain(|piece| !piece.is_empty());
            let frames: Vec<_> = pieces.iter().map(|piece| FrameRef::read(piece).unwrap()).collect();
            let mut joined = Vec::new();
            prop_assert!(concatenate(&frames, 2_048, &mut joined));
            prop_assert_eq!(&joined, &frame(&cells));
            if cells.len() > 1 {
                let mut none = Vec::new();
                prop_assert!(!concatenate(&frames, cells.len() - 1, &mut none) && none.is_empty());
            }
        }

        #[test]
        fn frames_that_overlap_are_left_alone(at in 0_u32..5) {
            let both = cells(&[0, 4], &[1, 1]);
            let other = cells(&[at], &[1]);
            let (both, other) = (frame(&both), frame(&other));
            let mut out = Vec::new();
            let frames = [FrameRef::read(&both).unwrap(), FrameRef::read(&other).unwrap()];
            prop_assert!(!concatenate(&frames, 2_048, &mut out) && out.is_empty());
        }

        #[test]
        fn sums_and_zeros_are_those_of_the_cells(
            gaps in proptest::collection::vec(prop_oneof![Just(1_u32), 0_u32..40, 250_u32..300], 1..60),
            counts in proptest::collection::vec(prop_oneof![Just(1_u32), 0_u32..256, 0_u32..70_000, any::<u32>()], 60),
        ) {
            let cells = cells(&gaps, &counts);
            prop_assume!(!cells.is_empty());
            let bytes = frame(&cells);
            let read = FrameRef::read(&bytes).unwrap();
            let start = Month::new(600).range().start;
            let (mut sums, mut expected) = (vec![7_u64; 744], vec![7_u64; 744]);
            read.add_to(start, &mut sums);
            for cell in &cells {
                expected[narrow(cell.hour.get() - start.get())] += u64::from(cell.count);
            }
            prop_assert_eq!(sums, expected);
            prop_assert_eq!(read.has_no_zero(), cells.iter().all(|cell| cell.count > 0));
            prop_assert!(read.is_within(Month::new(600).range()) && !read.is_within(Month::new(601).range()));
        }
    }
}
