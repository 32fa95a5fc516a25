//! The totals over all stories: a count for every hour, in place, so that an increment is one addition and a report
//! sums up slices. There are few totals, nearly every event feeds two, and nearly every report reads them.
//!
//! The hours of a total are allocated a chunk at a time, when the first of a chunk is counted. The hours from
//! [`Totals::END`] on, which no event has before that year, are not kept here.
//!
//! INVARIANT: only the one writer changes a count; chunks come and stay. So readers need no lock, and see of every
//! hour a count that was true at some moment of the call.
//! INVARIANT: once the writer's call has returned, the sum of a day is what its hours come to.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use super::series::Work;
use crate::limits::{TOTAL_HOURS_MAX, TOTALS};
use crate::model::calendar::{Hour, HourRange};

/// Days and hours of a chunk.
const CHUNK_DAYS: usize = 32;
const CHUNK_HOURS: usize = CHUNK_DAYS * DAY_HOURS;
const DAY_HOURS: usize = 24;
/// Chunks that one step of the directory names: five years.
const ROW_CHUNKS: usize = 64;
const ROWS: usize = TOTAL_HOURS_MAX / (ROW_CHUNKS * CHUNK_HOURS);

const _: () = assert!(ROWS * ROW_CHUNKS * CHUNK_HOURS == TOTAL_HOURS_MAX, "every hour has its place");

/// Hours of 32 days from 00:00Z on, and the sums of these days, which most reports are after.
#[derive(Debug)]
struct Chunk {
    days: [AtomicU64; CHUNK_DAYS],
    hours: [AtomicU64; CHUNK_HOURS],
}

type Row = [OnceLock<Box<Chunk>>; ROW_CHUNKS];

/// All totals, by number.
#[derive(Debug)]
pub(super) struct Totals {
    of: Box<[Total]>,
    /// Whether a count has ever been so great that a sum of them could be past 64 bits. Set before such a count is.
    has_great: AtomicBool,
}

#[derive(Debug)]
struct Total([OnceLock<Box<Row>>; ROWS]);

/// The counts of hours that follow each other.
#[derive(Clone, Copy, Debug)]
pub struct HourlyCounts<'a> {
    chunk: &'a Chunk,
    start: usize,
    end: usize,
    has_great: &'a AtomicBool,
}

impl<'a> HourlyCounts<'a> {
    /// How many hours these are.
    #[inline]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The first `hours` of them, or all, and the rest.
    #[inline]
    #[must_use]
    pub fn split_at(self, hours: usize) -> (Self, Self) {
        let middle = self.start.saturating_add(hours).min(self.end);
        (Self { end: middle, ..self }, Self { start: middle, ..self })
    }

    /// The count of each hour.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u64> + use<'a> {
        self.hours(self.start, self.end).iter().map(count)
    }

    /// The sum of the counts; stays at `u64::MAX` where it would be more.
    #[inline]
    pub fn sum(self) -> u64 {
        let (first_day, end_day) = (self.start.div_ceil(DAY_HOURS), self.end / DAY_HOURS);
        let sum = if first_day < end_day {
            let days = self.chunk.days.get(first_day..end_day).unwrap_or_default();
            let before = self.hours(self.start, first_day * DAY_HOURS);
            let after = self.hours(end_day * DAY_HOURS, self.end);
            add_up(before).wrapping_add(add_up(days)).wrapping_add(add_up(after))
        } else {
            add_up(self.hours(self.start, self.end))
        };
        if self.has_great() { self.sum_of_hours() } else { sum }
    }

    /// The sums of the whole days (from 00:00Z on) at the front. None where the first hour is another one, or where a sum could
    /// be past 64 bits: then the hours tell.
    #[inline]
    pub fn days(self) -> impl Iterator<Item = u64> {
        let (first_day, end_day) = (self.start / DAY_HOURS, self.end / DAY_HOURS);
        let is_aligned = first_day * DAY_HOURS == self.start;
        let days = self.chunk.days.get(first_day..end_day).filter(|_| is_aligned).unwrap_or_default();
        let mut sums = [0; CHUNK_DAYS];
        for (sum, day) in sums.iter_mut().zip(days) {
            *sum = count(day);
        }
        sums.into_iter().take(if self.has_great() { 0 } else { days.len() })
    }

    /// As [`Self::sum`], hour by hour.
    fn sum_of_hours(self) -> u64 {
        let sum = add_up(self.hours(self.start, self.end));
        if self.has_great() { self.iter().fold(0, u64::saturating_add) } else { sum }
    }

    #[inline]
    fn hours(self, start: usize, end: usize) -> &'a [AtomicU64] {
        self.chunk.hours.get(start..end).unwrap_or_default()
    }

    /// Whether what has been read before could be a great count.
    #[inline]
    fn has_great(self) -> bool {
        // Whoever has seen a great count sees here that there is one.
        fence(Ordering::Acquire);
        self.has_great.load(Ordering::Relaxed)
    }
}

/// The sum of the counts, four at a time, which the processor adds side by side.
#[inline]
fn add_up(counts: &[AtomicU64]) -> u64 {
    let (fours, rest) = counts.as_chunks::<4>();
    let (mut a, mut b, mut c, mut d) = (0_u64, 0_u64, 0_u64, 0_u64);
    for [first, second, third, fourth] in fours {
        a = a.wrapping_add(count(first));
        b = b.wrapping_add(count(second));
        c = c.wrapping_add(count(third));
        d = d.wrapping_add(count(fourth));
    }
    rest.iter().map(count).chain([a, b, c, d]).fold(0, u64::wrapping_add)
}

/// Counts below this can be added up over a whole chunk.
#[expect(clippy::as_conversions, reason = "try_from is not const")]
const GREAT: u64 = u64::MAX / (CHUNK_HOURS as u64);

#[inline]
fn count(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

impl Totals {
    /// The hours before this one are kept; it is in the year 2149.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "try_from is not const")]
    pub(super) const END: Hour = {
        assert!(TOTAL_HOURS_MAX < u32::MAX as usize, "an hour has 32 bits");
        Hour::new(TOTAL_HOURS_MAX as u32)
    };

    pub(super) fn new() -> Self {
        let of = (0..TOTALS).map(|_| Total([const { OnceLock::new() }; ROWS])).collect();
        Self { of, has_great: AtomicBool::new(false) }
    }

    /// Bytes that are allocated from the beginning.
    #[expect(clippy::as_conversions, clippy::cast_possible_wrap, reason = "kibibytes; try_from is not const")]
    pub(super) const FIXED_BYTES: i64 = (TOTALS * size_of::<Total>()) as i64;

    // ---- reading, by any thread ----

    /// Calls `f` with the counts of hours in the range, and the first of these hours, in ascending order, as far as
    /// they are before [`Totals::END`]. Hours that are not given have a count of 0.
    pub(super) fn visit(&self, total: usize, range: HourRange, f: &mut dyn FnMut(Hour, HourlyCounts<'_>)) {
        let Some(Total(rows)) = self.of.get(total) else { return };
        let (mut at, end) = (index(range.start), index(range.end.min(Self::END)));
        while at < end {
            let (chunk, within) = (at / CHUNK_HOURS, at % CHUNK_HOURS);
            let Some(row) = rows.get(chunk / ROW_CHUNKS).and_then(OnceLock::get) else {
                at = (chunk / ROW_CHUNKS + 1) * ROW_CHUNKS * CHUNK_HOURS;
                continue;
            };
            let chunk_end = (chunk + 1) * CHUNK_HOURS;
            if let Some(chunk) = row.get(chunk % ROW_CHUNKS).and_then(OnceLock::get) {
                let last = within + (chunk_end.min(end) - at);
                let counts = HourlyCounts { chunk, start: within, end: last, has_great: &self.has_great };
                f(hour(at), counts);
            }
            at = chunk_end;
        }
    }

    /// Sum of the counts within the range.
    pub(super) fn sum(&self, total: usize, range: HourRange) -> u64 {
        let mut sum = 0_u64;
        self.visit(total, range, &mut |_, counts| sum = sum.saturating_add(counts.sum_of_hours()));
        sum
    }

    /// The first and the last hour with a count.
    pub(super) fn span(&self, total: usize) -> Option<(Hour, Hour)> {
        let mut span: Option<(Hour, Hour)> = None;
        self.visit(total, HourRange::ALL, &mut |first, counts| {
            for (count, at) in counts.iter().zip(first.get()..) {
                if count > 0 {
                    let at = Hour::new(at);
                    span = Some((span.map_or(at, |(first, _)| first), at));
                }
            }
        });
        span
    }

    // ---- writing, by the writer alone ----

    /// Adds to the count of an hour; whether it is an hour that is kept. A count stays at `u64::MAX` where it would be
    /// more.
    #[inline]
    pub(super) fn add(&self, total: usize, hour: Hour, more: u64, work: &mut Work) -> bool {
        if hour >= Self::END {
            return false;
        }
        let Some((chunk, at)) = self.chunk(total, hour).or_else(|| self.make(total, hour, work)) else {
            return false;
        };
        let (Some(of_hour), Some(of_day)) = (chunk.hours.get(at), chunk.days.get(at / DAY_HOURS)) else {
            return false;
        };
        let before = count(of_hour);
        if before == 0 && more > 0 {
            work.cells_grown += 1;
        }
        // There is one writer, so nothing can have come between the load and the store.
        let after = before.saturating_add(more);
        if after >= GREAT {
            self.has_great.store(true, Ordering::Relaxed);
        }
        // With what was stored before it, for the fence of a reader.
        of_hour.store(after, Ordering::Release);
        of_day.store(count(of_day).wrapping_add(more), Ordering::Release);
        true
    }

    /// Takes away from the count of an hour what was added before.
    pub(super) fn subtract(&self, total: usize, hour: Hour, less: u64, work: &mut Work) {
        if let Some((chunk, at)) = self.chunk(total, hour)
            && let (Some(of_hour), Some(of_day)) = (chunk.hours.get(at), chunk.days.get(at / DAY_HOURS))
        {
            let before = count(of_hour);
            let after = before.saturating_sub(less);
            if before > 0 && after == 0 {
                work.cells_grown -= 1;
            }
            of_hour.store(after, Ordering::Relaxed);
            of_day.store(count(of_day).wrapping_sub(less), Ordering::Relaxed);
        }
    }

    /// The chunk of an hour, and the hour's place in it.
    #[inline]
    fn chunk(&self, total: usize, hour: Hour) -> Option<(&Chunk, usize)> {
        let Total(rows) = self.of.get(total)?;
        let (chunk, within) = (index(hour) / CHUNK_HOURS, index(hour) % CHUNK_HOURS);
        let row = rows.get(chunk / ROW_CHUNKS)?.get()?;
        Some((row.get(chunk % ROW_CHUNKS)?.get()?, within))
    }

    /// Makes the chunk of an hour.
    #[cold]
    fn make(&self, total: usize, hour: Hour, work: &mut Work) -> Option<(&Chunk, usize)> {
        let Total(rows) = self.of.get(total)?;
        let chunk = index(hour) / CHUNK_HOURS;
        let row = rows.get(chunk / ROW_CHUNKS)?.get_or_init(|| {
            work.bytes_grown += ROW_BYTES;
            Box::new([const { OnceLock::new() }; ROW_CHUNKS])
        });
        row.get(chunk % ROW_CHUNKS)?.get_or_init(|| {
            work.bytes_grown += CHUNK_BYTES;
            Box::new(Chunk {
                days: [const { AtomicU64::new(0) }; CHUNK_DAYS],
                hours: [const { AtomicU64::new(0) }; CHUNK_HOURS],
            })
        });
        self.chunk(total, hour)
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_wrap, reason = "kibibytes; try_from is not const")]
const ROW_BYTES: i64 = size_of::<Row>() as i64;
#[expect(clippy::as_conversions, clippy::cast_possible_wrap, reason = "kibibytes; try_from is not const")]
const CHUNK_BYTES: i64 = size_of::<Chunk>() as i64;

#[inline]
fn index(hour: Hour) -> usize {
    usize::try_from(hour.get()).unwrap_or(usize::MAX)
}

/// The hour at an index before [`Totals::END`].
fn hour(index: usize) -> Hour {
    Hour::new(u32::try_from(index).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(totals: &Totals, range: HourRange) -> u64 {
        let mut sums = Vec::new();
        totals.visit(3, range, &mut |_, counts| {
            sums.push((counts.sum(), counts.iter().fold(0, u64::saturating_add)));
        });
        assert!(sums.iter().all(|(sum, plain)| sum == plain), "{sums:?}");
        sums.iter().fold(0, |sum, (more, _)| sum.saturating_add(*more))
    }

    #[test]
    fn sums_of_great_counts_stay_at_the_greatest_number() {
        let (totals, mut work) = (Totals::new(), Work::default());
        for (counts, expected) in [
            (vec![1, 2, 3, 4, 5, 6, 7], 28),
            (vec![u64::MAX / 4; 4], u64::MAX - 3),
            (vec![u64::MAX / 4; 5], u64::MAX),
            (vec![u64::MAX, 1, 0, 0, 9, u64::MAX], u64::MAX),
            (vec![u64::MAX], u64::MAX),
            (vec![GREAT - 1; CHUNK_HOURS], (GREAT - 1) * 768),
        ] {
            let start = Hour::new(768 * 7);
            for (hour, count) in (start.get()..).zip(&counts) {
                assert!(totals.add(3, Hour::new(hour), *count, &mut work));
            }
            assert_eq!(sum_of(&totals, HourRange::ALL), expected, "{counts:?}");
            assert_eq!(totals.sum(3, HourRange { start, end: start }), 0);
            for (hour, count) in (start.get()..).zip(&counts) {
                totals.subtract(3, Hour::new(hour), *count, &mut work);
            }
            assert_eq!((sum_of(&totals, HourRange::ALL), work.cells_grown), (0, 0));
        }
    }

    #[test]
    fn an_hour_past_the_end_is_not_kept_and_one_before_it_is() {
        let (totals, mut work) = (Totals::new(), Work::default());
        let last = hour(TOTAL_HOURS_MAX - 1);
        assert!(totals.add(3, last, 5, &mut work));
        let bytes = work.bytes_grown;
        for far in [Totals::END, Hour::MAX] {
            assert!(!totals.add(3, far, 5, &mut work));
            totals.subtract(3, far, 5, &mut work);
        }
        assert_eq!((totals.span(3), totals.span(4)), (Some((last, last)), None));
        assert_eq!((bytes, work.bytes_grown), (ROW_BYTES + CHUNK_BYTES, bytes));
    }
}
