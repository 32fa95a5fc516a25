//! Adds up the cells of one series in one month, in whatever order they come, and packs the sums: no list of cells is made or
//! sorted on the way.
//!
//! INVARIANT: between two series every sum is 0 and no hour is marked.

use super::{Cell, FrameRef, INLINE_CELLS_MAX, MONTH_HOURS_MAX, Width, fours, ones, twos, write_varint};
use crate::limits::narrow;
use crate::model::calendar::{Hour, HourRange};

const WORD_BITS: usize = 64;
const WORDS: usize = MONTH_HOURS_MAX.div_ceil(WORD_BITS);

/// The sums of a series, by hour of the month. Used again for the next series.
#[derive(Debug)]
pub(crate) struct MonthSums {
    month: HourRange,
    sums: Box<[u64; WORDS * WORD_BITS]>,
    /// A bit for each hour that something was added to.
    hours: [u64; WORDS],
    /// A bit for each word of `hours` that is not 0.
    words: u32,
    /// What is being packed: how far each hour is past the one before, and its count.
    steps: Vec<u32>,
    counts: Vec<u32>,
}

impl MonthSums {
    pub(crate) fn new(month: HourRange) -> Self {
        let sums = Box::new([0; WORDS * WORD_BITS]);
        let (steps, counts) = (Vec::with_capacity(MONTH_HOURS_MAX), Vec::with_capacity(MONTH_HOURS_MAX));
        Self { month, sums, hours: [0; WORDS], words: 0, steps, counts }
    }

    /// Adds a frame; nothing of it, and `false`, if it leaves the month.
    #[inline]
    pub(crate) fn add(&mut self, frame: &FrameRef<'_>) -> bool {
        if !frame.is_within(self.month) {
            return false;
        }
        match frame.step_width {
            Width::Ones => self.add_steps(frame, std::iter::repeat(1)),
            Width::One => self.add_steps(frame, ones(frame.steps)),
            Width::Two => self.add_steps(frame, twos(frame.steps)),
            Width::Four => self.add_steps(frame, fours(frame.steps)),
        }
        true
    }

    #[inline]
    fn add_steps(&mut self, frame: &FrameRef<'_>, steps: impl Iterator<Item = u32>) {
        match frame.count_width {
            Width::Ones => self.add_all(frame.first, steps, std::iter::repeat_n(1, frame.cells)),
            Width::One => self.add_all(frame.first, steps, ones(frame.counts)),
            Width::Two => self.add_all(frame.first, steps, twos(frame.counts)),
            Width::Four => self.add_all(frame.first, steps, fours(frame.counts)),
        }
    }

    #[inline]
    fn add_all(
        &mut self,
        first: Hour,
        mut steps: impl Iterator<Item = u32>,
        counts: impl Iterator<Item = u32>,
    ) {
        let mut at = first.get().saturating_sub(self.month.start.get());
        for count in counts {
            self.add_at(narrow(at), count);
            at = at.saturating_add(steps.next().unwrap_or_default());
        }
    }

    /// Adds a cell, which is of the month.
    #[inline]
    pub(crate) fn add_cell(&mut self, cell: Cell) {
        self.add_at(narrow(cell.hour.get().saturating_sub(self.month.start.get())), cell.count);
    }

    #[inline]
    fn add_at(&mut self, at: usize, count: u32) {
        let word = at / WORD_BITS;
        if let (Some(sum), Some(hours)) = (self.sums.get_mut(at), self.hours.get_mut(word)) {
            *sum = sum.saturating_add(u64::from(count));
            *hours |= 1 << (at % WORD_BITS);
            self.words |= 1 << word;
        }
    }

    /// Appends the frame of all sums but those that are 0, which is the one that `encode_frame` makes, and begins anew. Where a
    /// sum is past 32 bits nothing is appended, and the cells are given instead, of which there are several of that hour.
    pub(crate) fn pack(&mut self, out: &mut Vec<u8>) -> Option<Vec<Cell>> {
        let (mut first, mut before, mut all, mut step_most) = (0, 0, 0_u64, 1);
        let mut large: Vec<(usize, u64)> = Vec::new();
        self.steps.clear();
        self.counts.clear();
        while self.words != 0 {
            let word = narrow(self.words.trailing_zeros());
            self.words &= self.words - 1;
            let mut hours = self.hours.get_mut(word).map(std::mem::take).unwrap_or_default();
            while hours != 0 {
                let at = word * WORD_BITS + narrow(hours.trailing_zeros());
                hours &= hours - 1;
                let sum = self.sums.get_mut(at).map(std::mem::take).unwrap_or_default();
                if sum == 0 {
                    continue;
                }
                all |= sum;
                let count = u32::try_from(sum).unwrap_or(u32::MAX);
                if u64::from(count) != sum {
                    large.push((self.counts.len(), sum));
                }
                if self.counts.is_empty() {
                    first = at;
                } else {
                    let step = u32::try_from(at - before).unwrap_or_default();
                    step_most = step.max(step_most);
                    self.steps.push(step);
                }
                self.counts.push(count);
                before = at;
            }
        }
        let first = self.month.start.get().saturating_add(u32::try_from(first).unwrap_or_default());
        if !large.is_empty() {
            return Some(self.cells(first, &large));
        }
        if self.counts.is_empty() {
            return None;
        }
        let step_width = Width::of(std::iter::once(step_most));
        // No count is 0, so that the union of their bits is 1 only where each is.
        let count_width = Width::of(std::iter::once(u32::try_from(all).unwrap_or(u32::MAX)));
        let control = step_width.code() | count_width.code() << 2;
        match u8::try_from(self.counts.len()) {
            Ok(number) if self.counts.len() <= INLINE_CELLS_MAX => out.push(control | number << 4),
            _ => {
                out.push(control);
                write_varint(u32::try_from(self.counts.len()).unwrap_or(u32::MAX), out);
            }
        }
        write_varint(first, out);
        step_width.put(self.steps.iter().copied(), out);
        count_width.put(self.counts.iter().copied(), out);
        None
    }

    /// What is being packed as cells, with the sums that `large` has for some.
    fn cells(&self, first: u32, large: &[(usize, u64)]) -> Vec<Cell> {
        let mut hour = first;
        let mut cells = Vec::new();
        for (index, count) in self.counts.iter().enumerate() {
            let sum = large.iter().find(|(of, _)| *of == index).map_or(u64::from(*count), |(_, sum)| *sum);
            cells.extend(Cell::of_count(Hour::new(hour), sum));
            hour = hour.saturating_add(self.steps.get(index).copied().unwrap_or_default());
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Month, encode_frame};
    use super::*;

    const MONTH: Month = Month::new(600);

    proptest! {
        #[test]
        fn sums_are_those_of_all_cells_and_packed_as_one_frame(
            all_series in proptest::collection::vec(
                proptest::collection::vec(
                    proptest::collection::vec(
                        (
                            prop_oneof![Just(1_u32), 0_u32..3, 200_u32..300],
                            prop_oneof![Just(1_u32), 0_u32..256, 0_u32..70_000, any::<u32>(), Just(u32::MAX)],
                        ),
                        1..20,
                    ),
                    0..5,
                ),
                1..4,
            ),
        ) {
            let month = MONTH.range();
            let mut sums = MonthSums::new(month);
            for frames in all_series {
                let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
                for (index, frame) in frames.iter().enumerate() {
                    let mut hour = month.start.get();
                    let mut cells = Vec::new();
                    for (step, count) in frame {
                        hour += step;
                        if month.contains(Hour::new(hour)) {
                            cells.push(Cell { hour: Hour::new(hour), count: *count });
                            *expected.entry(hour).or_default() += u64::from(*count);
                        }
                    }
                    if index % 2 == 0 {
                        let mut bytes = Vec::new();
                        encode_frame(&cells, &mut bytes);
                        prop_assert!(cells.is_empty() || sums.add(&FrameRef::read(&bytes).unwrap()));
                    } else {
                        for cell in &cells {
                            sums.add_cell(*cell);
                        }
                    }
                }
                let expected: Vec<Cell> =
                    expected.iter().flat_map(|(hour, sum)| Cell::of_count(Hour::new(*hour), *sum)).collect();
                let (mut packed, mut frame) = (Vec::new(), Vec::new());
                if expected.is_sorted_by(|a, b| a.hour < b.hour) {
                    encode_frame(&expected, &mut frame);
                    prop_assert_eq!(sums.pack(&mut packed), None);
                } else {
                    prop_assert_eq!(sums.pack(&mut packed), Some(expected));
                }
                prop_assert_eq!(packed, frame);
            }
        }
    }

    #[test]
    fn nothing_of_another_month_is_added() {
        let mut sums = MonthSums::new(MONTH.range());
        let last = Hour::new(MONTH.range().end.get() - 1);
        for (hour, is_added) in [(MONTH.range().start, true), (last, true), (MONTH.range().end, false)] {
            let (mut bytes, mut packed) = (Vec::new(), Vec::new());
            encode_frame(&[Cell { hour, count: 300 }], &mut bytes);
            assert_eq!(sums.add(&FrameRef::read(&bytes).unwrap()), is_added);
            assert_eq!(sums.pack(&mut packed), None);
            assert_eq!(packed, if is_added { bytes } else { Vec::new() });
        }
    }
}
