//! The cell (hour, count) and the frame: the cells of one series in one calendar month, packed.
//! Knows nothing of series, files or the live counters.
//!
//! # The frame
//! Used in memory and on disk alike, so its bytes are frozen (a golden test says so):
//!
//! | part | bytes |
//! | --- | --- |
//! | control | 1: bits 0–1 width of the steps, bits 2–3 width of the counts, bits 4–7 number of cells, 0 if over 15 |
//! | number of cells | a varint (7 bits a byte, low ones first), only where the control byte has 0 |
//! | first hour | a varint |
//! | steps | from each hour to the next, one fewer than there are cells |
//! | counts | one for each cell |
//!
//! Widths are 0, 1, 2 or 4 bytes, little-endian, and the same for all steps and all counts of a frame. Width 0
//! says that every one is 1. So a busy month costs a byte or two a cell, a single cell about five bytes, and the
//! length of a frame follows from its first bytes.
//!
//! INVARIANT: the hours of a frame ascend (equal ones allowed) and are of one UTC month.

mod concat;
mod retention;
mod sums;
#[cfg(test)]
mod tests;

pub(crate) use concat::concatenate;
pub use retention::Retention;
pub(crate) use sums::MonthSums;

use std::iter::repeat_n;

use crate::limits::{narrow, wide};
use crate::model::calendar::{Hour, HourRange};

/// Hours of the longest month, and so the most cells of a frame whose hours are all distinct.
const MONTH_HOURS_MAX: usize = 31 * 24;
/// Most cells that fit the number in the control byte.
const INLINE_CELLS_MAX: usize = 15;

/// The count of one series in one hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The hour.
    pub hour: Hour,
    /// The count, or a part of it: cells of equal hour add up.
    pub count: u32,
}

impl Cell {
    /// The cells that a count makes: several where it is past 32 bits, none where it is 0.
    pub(crate) fn of_count(hour: Hour, mut left: u64) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let count = u32::try_from(left).unwrap_or(u32::MAX);
            left -= u64::from(count);
            (count > 0).then_some(Self { hour, count })
        })
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the frame is cut short")]
    Truncated,
    /// The first bytes are not ones that a frame can begin with.
    #[error("the frame has a bad header")]
    Header,
    /// An hour is past the end of the frame's month.
    #[error("the frame's hours leave its month")]
    OutOfOrder,
    /// An hour is [`Hour::END`] or later.
    #[error("the frame has an hour after the year 2149")]
    TooLate,
    /// Something follows the frame where nothing may.
    #[error("bytes follow the frame")]
    TrailingBytes,
}

/// A calendar month in UTC, as months since 1970-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Month(u32);

impl Month {
    /// The month of that number.
    pub const fn new(months_since_epoch: u32) -> Self {
        Self(months_since_epoch)
    }

    /// Whole months since 1970-01.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The month that an hour is in.
    pub fn containing(hour: Hour) -> Self {
        // Years begin in March here, so that the leap day is the last of its year; an era is 400 years.
        let days = hour.get() / 24 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_from_march = (5 * day_of_year + 2) / 153;
        let months_since_year_0 = (era * 400 + year_of_era) * 12 + months_from_march + 2;
        Self(months_since_year_0 - 1970 * 12)
    }

    /// The hours of the month. Months past the range of [`Hour`] are empty.
    pub fn range(self) -> HourRange {
        let hour = |number| u32::try_from(number).map_or(Hour::MAX, Hour::new);
        HourRange { start: hour(Self::start(u64::from(self.0))), end: hour(self.end()) }
    }

    /// The month as `yyyy-mm`.
    pub fn name(self) -> String {
        format!("{:04}-{:02}", 1970 + self.0 / 12, self.0 % 12 + 1)
    }

    /// The first hour after the month, which may be past the range of [`Hour`].
    fn end(self) -> u64 {
        Self::start(u64::from(self.0) + 1)
    }

    fn start(months_since_epoch: u64) -> u64 {
        let months_since_year_0 = months_since_epoch + 1970 * 12 - 2;
        let (year, months_from_march) = (months_since_year_0 / 12, months_since_year_0 % 12);
        let day_of_year = (153 * months_from_march + 2) / 5;
        (year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468) * 24
    }
}

/// Cuts cells that ascend by hour into the stretches of each calendar month, as [`encode_frame`] wants them.
pub fn by_month(cells: &[Cell]) -> impl Iterator<Item = (Month, &[Cell])> {
    let mut rest = cells;
    std::iter::from_fn(move || {
        let month = Month::containing(rest.first()?.hour);
        let end = month.end();
        let length = rest.partition_point(|cell| u64::from(cell.hour.get()) < end);
        let (of_month, later) = rest.split_at_checked(length)?;
        rest = later;
        Some((month, of_month))
    })
}

/// Appends the frame of `cells` to `out`; nothing if there are none.
///
/// # Panics
/// If the hours do not ascend (equal ones are allowed) or are not all of one month.
pub fn encode_frame(cells: &[Cell], out: &mut Vec<u8>) {
    let Some(first) = cells.first() else { return };
    encode_frame_within(Month::containing(first.hour).range(), cells, out);
}

/// The same for cells of which the caller knows the month, by its hours: to find it takes as long as the rest.
///
/// # Panics
/// If the hours do not ascend (equal ones are allowed) or are not all of the month.
pub(crate) fn encode_frame_within(month: HourRange, cells: &[Cell], out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (cells.first(), cells.last()) else { return };
    assert!(cells.is_sorted_by_key(|cell| cell.hour), "the cells of a frame ascend by hour");
    assert!(month.contains(first.hour) && month.contains(last.hour), "a frame is of one month");

    let steps = || cells.iter().zip(cells.iter().skip(1)).map(|(a, b)| b.hour.get() - a.hour.get());
    // More cells than a month has hours cannot all be an hour apart; the decoder relies on it.
    let step_width = Width::of(steps());
    let count_width = Width::of(cells.iter().map(|cell| cell.count));
    let control = step_width.code() | count_width.code() << 2;
    match u8::try_from(cells.len()) {
        Ok(number) if cells.len() <= INLINE_CELLS_MAX => out.push(control | number << 4),
        _ => {
            out.push(control);
            write_varint(u32::try_from(cells.len()).unwrap_or(u32::MAX), out);
        }
    }
    write_varint(first.hour.get(), out);
    step_width.put(steps(), out);
    count_width.put(cells.iter().map(|cell| cell.count), out);
}

/// Decodes one frame from the front of `bytes` onto `out`; returns the bytes read. Takes any input: it neither
/// panics nor allocates more than the frame can hold.
///
/// # Errors
/// All but [`FrameError::TrailingBytes`]; `out` is then unchanged.
pub fn decode_frame(bytes: &[u8], out: &mut Vec<Cell>) -> Result<usize, FrameError> {
    let frame = FrameRef::read(bytes)?;
    frame.check_hours()?;
    frame.decode(out);
    Ok(frame.bytes_len)
}

/// A frame whose header has been read, not yet its cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRef<'a> {
    first: Hour,
    cells: usize,
    step_width: Width,
    count_width: Width,
    steps: &'a [u8],
    counts: &'a [u8],
    bytes_len: usize,
}

impl<'a> FrameRef<'a> {
    /// Reads the header of the frame at the front of `bytes`, and that the frame is whole.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (&control, mut rest) = bytes.split_first().ok_or(FrameError::Truncated)?;
        let (step_width, count_width) = (Width::from_code(control), Width::from_code(control >> 2));
        let cells = match usize::from(control >> 4) {
            0 => narrow(read_varint(&mut rest)?),
            number => number,
        };
        // Every hour from 1972 on takes three bytes.
        let first = match rest {
            [low @ 0x80..=0xFF, middle @ 0x80..=0xFF, high @ 0..=0x7F, after @ ..] => {
                rest = after;
                let bits = |byte: u8| u32::from(byte & 0x7F);
                Hour::new(bits(*low) | bits(*middle) << 7 | bits(*high) << 14)
            }
            _ => Hour::new(read_varint(&mut rest)?),
        };
        // Cells that take no bytes are bounded by the month, all others by the bytes there are.
        if cells == 0 || (step_width == Width::Ones && cells > MONTH_HOURS_MAX) {
            return Err(FrameError::Header);
        }
        let steps_len = (cells - 1).saturating_mul(step_width.bytes());
        let counts_len = cells.saturating_mul(count_width.bytes());
        let (steps, rest) = rest.split_at_checked(steps_len).ok_or(FrameError::Truncated)?;
        let (counts, rest) = rest.split_at_checked(counts_len).ok_or(FrameError::Truncated)?;
        let bytes_len = bytes.len() - rest.len();
        Ok(Self { first, cells, step_width, count_width, steps, counts, bytes_len })
    }

    pub(crate) fn first(&self) -> Hour {
        self.first
    }

    /// Length of the whole frame in bytes.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes_len
    }

    /// The last hour, which a damaged frame may have past every month.
    pub(crate) fn last(&self) -> u64 {
        self.step_width.sum(self.steps, self.cells - 1).saturating_add(u64::from(self.first.get()))
    }

    /// Sum of all counts.
    pub(crate) fn total(&self) -> u64 {
        self.count_width.sum(self.counts, self.cells)
    }

    /// Appends the cells to `out`. The hours are right if the frame is one that [`encode_frame`] wrote or
    /// [`decode_frame`] took.
    pub(crate) fn decode(&self, out: &mut Vec<Cell>) {
        match self.step_width {
            Width::Ones => self.decode_counts(repeat_n(1, self.cells - 1), out),
            Width::One => self.decode_counts(ones(self.steps), out),
            Width::Two => self.decode_counts(twos(self.steps), out),
            Width::Four => self.decode_counts(fours(self.steps), out),
        }
    }

    fn decode_counts(&self, steps: impl Iterator<Item = u32>, out: &mut Vec<Cell>) {
        match self.count_width {
            Width::Ones => self.emit(steps, repeat_n(1, self.cells), out),
            Width::One => self.emit(steps, ones(self.counts), out),
            Width::Two => self.emit(steps, twos(self.counts), out),
            Width::Four => self.emit(steps, fours(self.counts), out),
        }
    }

    /// One loop for each pair of widths, so that the compiler can make the most of every one.
    #[inline]
    fn emit(
        &self,
        steps: impl Iterator<Item = u32>,
        mut counts: impl Iterator<Item = u32>,
        out: &mut Vec<Cell>,
    ) {
        let mut hour = self.first.get();
        out.reserve(self.cells);
        out.extend(counts.next().map(|count| Cell { hour: self.first, count }));
        out.extend(steps.zip(counts).map(|(step, count)| {
            hour = hour.wrapping_add(step);
            Cell { hour: Hour::new(hour), count }
        }));
    }

    fn check_hours(&self) -> Result<(), FrameError> {
        let last = self.last();
        if last >= u64::from(Hour::END.get()) {
            return Err(FrameError::TooLate);
        }
        let of_one_month = self.cells == 1 || last < Month::containing(self.first).end();
        if of_one_month { Ok(()) } else { Err(FrameError::OutOfOrder) }
    }
}

/// Bytes that each step or each count of a frame takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Width {
    /// None: every number is 1.
    Ones,
    One,
    Two,
    Four,
}

impl Width {
    /// The least that holds all the numbers.
    fn of(numbers: impl Iterator<Item = u32>) -> Self {
        let (least, greatest) = numbers
            .fold((u32::MAX, 1), |(least, greatest), number| (least.min(number), greatest.max(number)));
        match greatest {
            1 if least >= 1 => Self::Ones,
            0..=0xFF => Self::One,
            0x100..=0xFFFF => Self::Two,
            _ => Self::Four,
        }
    }

    /// The width that the low two bits name.
    fn from_code(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Ones,
            1 => Self::One,
            2 => Self::Two,
            _ => Self::Four,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Ones => 0,
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 3,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Ones => 0,
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The sum of so many numbers, which these are the bytes of.
    fn sum(self, bytes: &[u8], numbers: usize) -> u64 {
        match self {
            Self::Ones => wide(numbers),
            Self::One => ones(bytes).map(u64::from).sum(),
            Self::Two => twos(bytes).map(u64::from).sum(),
            Self::Four => fours(bytes).map(u64::from).sum(),
        }
    }

    fn put(self, numbers: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
        match self {
            Self::Ones => {}
            // Little-endian, so the low bytes come first.
            Self::One => out.extend(numbers.map(|number| number.to_le_bytes()[0])),
            Self::Two => out.extend(numbers.flat_map(|number| {
                let [low, high, ..] = number.to_le_bytes();
                [low, high]
            })),
            Self::Four => out.extend(numbers.flat_map(u32::to_le_bytes)),
        }
    }
}

fn ones(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.iter().map(|&byte| u32::from(byte))
}

fn twos(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|&chunk| u32::from(u16::from_le_bytes(chunk)))
}

fn fours(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|&chunk| u32::from_le_bytes(chunk))
}

/// Appends a number in as few bytes as it takes.
pub(crate) fn write_varint(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Takes a number that [`write_varint`] wrote from the front of `bytes`.
///
/// # Errors
/// Where there is none, or it takes more bytes than it needs.
#[inline]
pub(crate) fn read_short_varint(bytes: &mut &[u8]) -> Result<u32, FrameError> {
    if let [byte @ 0..=0x7F, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u32::from(*byte));
    }
    let before = *bytes;
    let number = read_varint(bytes)?;
    let read = before.get(..before.len() - bytes.len()).unwrap_or_default();
    if read.len() > 1 && read.last() == Some(&0) { Err(FrameError::Header) } else { Ok(number) }
}

fn read_varint(bytes: &mut &[u8]) -> Result<u32, FrameError> {
    let mut number = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first().ok_or(FrameError::Truncated)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return u32::try_from(number).ok().ok_or(FrameError::Header);
        }
    }
    Err(FrameError::Header)
}
