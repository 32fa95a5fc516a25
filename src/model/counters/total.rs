//! The total of one metric and source over all stories: a count for every hour, in place, so that an increment is one
//! addition and a report sums up slices. There are few totals, nearly every event adds to two, and nearly every report
//! reads one.
//!
//! Hours are allocated a chunk at a time, when the first of a chunk is counted.
//!
//! INVARIANT: only the one writer changes a count, and no chunk is ever freed. So readers need no lock, and see for every
//! hour a count that was true at some moment of the call.
//! INVARIANT: once the writer's call has returned, the count of a day is the sum of its hours. Counts and sums stay at
//! `u64::MAX` where they would be more.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::series::Work;
use crate::limits::{HOURS_MAX, narrow, wide};
use crate::model::calendar::{Hour, HourRange};

const DAY_HOURS: usize = 24;
/// Days and hours of a chunk.
const CHUNK_DAYS: usize = 32;
const CHUNK_HOURS: usize = CHUNK_DAYS * DAY_HOURS;
/// Chunks of one directory: five years.
const DIRECTORY_CHUNKS: usize = 64;
#[expect(clippy::as_conversions, reason = "try_from is not const")]
const DIRECTORIES: usize = HOURS_MAX as usize / (DIRECTORY_CHUNKS * CHUNK_HOURS);

#[expect(clippy::as_conversions, reason = "try_from is not const")]
const _: () = assert!(
    DIRECTORIES * DIRECTORY_CHUNKS * CHUNK_HOURS == HOURS_MAX as usize,
    "every hour has its place in a chunk"
);

/// The counts of 32 days from 00:00Z on, by hour and by day; most reports are by day.
#[derive(Debug)]
struct Chunk {
    days: [AtomicU64; CHUNK_DAYS],
    hours: [AtomicU64; CHUNK_HOURS],
}

type Directory = [OnceLock<Box<Chunk>>; DIRECTORY_CHUNKS];

/// The counts of one metric and source over all stories.
#[derive(Debug)]
pub struct Total([OnceLock<Box<Directory>>; DIRECTORIES]);

/// The counts of consecutive hours, within one chunk.
#[derive(Clone, Copy, Debug)]
pub struct HourlyCounts<'a> {
    chunk: &'a Chunk,
    start: usize,
    end: usize,
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

    /// The sum of the counts.
    #[inline]
    pub fn sum(self) -> u64 {
        let (first_day, end_day) = (self.start.div_ceil(DAY_HOURS), self.end / DAY_HOURS);
        if first_day >= end_day {
            return add_up(self.hours(self.start, self.end));
        }
        let days = self.chunk.days.get(first_day..end_day).unwrap_or_default();
        let before = self.hours(self.start, first_day * DAY_HOURS);
        let after = self.hours(end_day * DAY_HOURS, self.end);
        add_up(before).saturating_add(add_up(days)).saturating_add(add_up(after))
    }

    /// The counts of the whole days (from 00:00Z on) at the front; none where the first hour is another one.
    #[inline]
    pub fn days(self) -> impl Iterator<Item = u64> + use<'a> {
        let (first_day, end_day) = (self.start / DAY_HOURS, self.end / DAY_HOURS);
        let is_aligned = first_day * DAY_HOURS == self.start;
        let days = self.chunk.days.get(first_day..end_day).filter(|_| is_aligned);
        days.unwrap_or_default().iter().map(count)
    }

    #[inline]
    fn hours(self, start: usize, end: usize) -> &'a [AtomicU64] {
        self.chunk.hours.get(start..end).unwrap_or_default()
    }
}

#[inline]
fn add_up(counts: &[AtomicU64]) -> u64 {
    counts.iter().map(count).fold(0, u64::saturating_add)
}

#[inline]
fn count(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

impl Total {
    pub(super) fn new() -> Self {
        Self([const { OnceLock::new() }; DIRECTORIES])
    }

    // ---- reading, by any thread ----

    /// Calls `f` with the counts of hours in the range, and the first of these hours, in ascending order. Hours that
    /// are not given have a count of 0. Never blocks.
    pub fn visit(&self, range: HourRange, f: &mut dyn FnMut(Hour, HourlyCounts<'_>)) {
        let (mut at, end) = (index(range.start), index(range.end.min(Hour::END)));
        while at < end {
            let (chunk, within) = (at / CHUNK_HOURS, at % CHUNK_HOURS);
            let Some(directory) = self.0.get(chunk / DIRECTORY_CHUNKS).and_then(OnceLock::get) else {
                at = (chunk / DIRECTORY_CHUNKS + 1) * DIRECTORY_CHUNKS * CHUNK_HOURS;
                continue;
            };
            let chunk_end = (chunk + 1) * CHUNK_HOURS;
            if let Some(chunk) = directory.get(chunk % DIRECTORY_CHUNKS).and_then(OnceLock::get) {
                f(hour(at), HourlyCounts { chunk, start: within, end: within + (chunk_end.min(end) - at) });
            }
            at = chunk_end;
        }
    }

    /// How many hours of the range are kept, with a count or without.
    pub(super) fn hours_within(&self, range: HourRange) -> u64 {
        let mut hours = 0_usize;
        self.visit(range, &mut |_, counts| hours += counts.len());
        wide(hours)
    }

    /// Sum of the counts within the range.
    pub(super) fn sum(&self, range: HourRange) -> u64 {
        let mut sum = 0_u64;
        self.visit(range, &mut |_, counts| sum = sum.saturating_add(counts.sum()));
        sum
    }

    /// The first and the last hour with a count.
    pub(super) fn span(&self) -> Option<(Hour, Hour)> {
        let mut span: Option<(Hour, Hour)> = None;
        self.visit(HourRange::ALL, &mut |first, counts| {
            for (count, at) in counts.iter().zip(first.get()..) {
                if count > 0 {
                    let at = Hour::new(at);
                    span = Some((span.map_or(at, |(first, _)| first), at));
                }
            }
        });
        span
    }

    // ---- writing, by the writer alone: so nothing comes between its load and its store of a count ----

    /// Adds to the count of an hour.
    ///
    /// # Panics
    /// Where the hour is [`Hour::END`] or later, which every parser and decoder refuses.
    #[inline]
    pub(super) fn add(&self, hour: Hour, more: u64, work: &mut Work) {
        let (chunk, within) = (index(hour) / CHUNK_HOURS, index(hour) % CHUNK_HOURS);
        let Some(chunk) = self.chunk(chunk).or_else(|| self.make_chunk(chunk, work)) else { return };
        let (Some(of_hour), Some(of_day)) = (chunk.hours.get(within), chunk.days.get(within / DAY_HOURS))
        else {
            return;
        };
        let before = count(of_hour);
        if before == 0 && more > 0 {
            work.cells_grown += 1;
        }
        of_hour.store(before.saturating_add(more), Ordering::Relaxed);
        of_day.store(count(of_day).saturating_add(more), Ordering::Relaxed);
    }

    /// Whether the hours are of one UTC day.
    pub(super) fn is_one_day(a: Hour, b: Hour) -> bool {
        index(a) / DAY_HOURS == index(b) / DAY_HOURS
    }

    /// Takes away from the counts of hours, which are of one day, what was added before.
    pub(super) fn subtract(&self, day: impl IntoIterator<Item = (Hour, u64)>, work: &mut Work) {
        let mut day = day.into_iter().peekable();
        let Some(&(first, _)) = day.peek() else { return };
        let Some(chunk) = self.chunk(index(first) / CHUNK_HOURS) else { return };
        let (hours, _) = chunk.hours.as_chunks::<DAY_HOURS>();
        let number = index(first) % CHUNK_HOURS / DAY_HOURS;
        let (Some(hours), Some(of_day)) = (hours.get(number), chunk.days.get(number)) else { return };
        for (hour, less) in day {
            let Some(of_hour) = hours.get(index(hour) % DAY_HOURS) else { continue };
            let before = count(of_hour);
            let after = before.saturating_sub(less);
            if before > 0 && after == 0 {
                work.cells_grown -= 1;
            }
            of_hour.store(after, Ordering::Relaxed);
        }
        // Added up anew, since a sum that was too great does not say by how much; once for the day, since a story that is
        // deleted may have years of hours.
        of_day.store(add_up(hours), Ordering::Relaxed);
    }

    /// Makes the counts of hours 0, which are of whole days.
    pub(super) fn empty(&self, days: HourRange, work: &mut Work) {
        self.visit(days, &mut |_, HourlyCounts { chunk, start, end }| {
            for hour in chunk.hours.get(start..end).unwrap_or_default() {
                if count(hour) > 0 {
                    work.cells_grown -= 1;
                    hour.store(0, Ordering::Relaxed);
                }
            }
            for day in chunk.days.get(start / DAY_HOURS..end / DAY_HOURS).unwrap_or_default() {
                day.store(0, Ordering::Relaxed);
            }
        });
    }

    #[inline]
    fn chunk(&self, chunk: usize) -> Option<&Chunk> {
        let directory = self.0.get(chunk / DIRECTORY_CHUNKS)?.get()?;
        Some(directory.get(chunk % DIRECTORY_CHUNKS)?.get()?)
    }

    #[cold]
    fn make_chunk(&self, chunk: usize, work: &mut Work) -> Option<&Chunk> {
        assert!(chunk < DIRECTORIES * DIRECTORY_CHUNKS, "an hour that no event can have");
        let directory = self.0.get(chunk / DIRECTORY_CHUNKS)?.get_or_init(|| {
            work.bytes_grown += DIRECTORY_BYTES;
            Box::new([const { OnceLock::new() }; DIRECTORY_CHUNKS])
        });
        let chunk = directory.get(chunk % DIRECTORY_CHUNKS)?.get_or_init(|| {
            work.bytes_grown += CHUNK_BYTES;
            Box::new(Chunk {
                days: [const { AtomicU64::new(0) }; CHUNK_DAYS],
                hours: [const { AtomicU64::new(0) }; CHUNK_HOURS],
            })
        });
        Some(chunk)
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_wrap, reason = "kibibytes; try_from is not const")]
const DIRECTORY_BYTES: i64 = size_of::<Directory>() as i64;
#[expect(clippy::as_conversions, clippy::cast_possible_wrap, reason = "kibibytes; try_from is not const")]
const CHUNK_BYTES: i64 = size_of::<Chunk>() as i64;

#[inline]
fn index(hour: Hour) -> usize {
    narrow(hour.get())
}

/// The hour at an index before [`Hour::END`].
fn hour(index: usize) -> Hour {
    Hour::new(u32::try_from(index).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(total: &Total, range: HourRange) -> u64 {
        let mut sums = Vec::new();
        total.visit(range, &mut |_, counts| {
            sums.push((counts.sum(), counts.iter().fold(0, u64::saturating_add)));
            let (whole, rest) = counts.split_at(counts.days().count() * DAY_HOURS);
            let days = counts.days().fold(0, u64::saturating_add);
            assert_eq!(days.saturating_add(rest.sum()), counts.sum(), "{whole:?}");
        });
        assert!(sums.iter().all(|(sum, plain)| sum == plain), "{sums:?}");
        sums.iter().fold(0, |sum, (more, _)| sum.saturating_add(*more))
    }

    #[test]
    fn sums_of_great_counts_stay_at_the_greatest_number() {
        const GREAT: u64 = u64::MAX / 768;
        let (total, mut work) = (Total::new(), Work::default());
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
                total.add(Hour::new(hour), *count, &mut work);
            }
            assert_eq!(sum_of(&total, HourRange::ALL), expected, "{counts:?}");
            assert_eq!(total.sum(HourRange { start, end: start }), 0);
            let after_first = HourRange { start: start.next(), end: Hour::END };
            total.subtract([(start, counts[0])], &mut work);
            let rest = counts[1..].iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
            assert_eq!(
                (sum_of(&total, HourRange::ALL), sum_of(&total, after_first)),
                (rest, rest),
                "{counts:?}"
            );
            for (hour, count) in (start.get()..).zip(&counts).skip(1) {
                total.subtract([(Hour::new(hour), *count)], &mut work);
            }
            assert_eq!((sum_of(&total, HourRange::ALL), work.cells_grown), (0, 0));
        }
    }

    #[test]
    fn the_last_hour_is_counted_and_a_range_past_it_reads_it() {
        let (total, mut work) = (Total::new(), Work::default());
        let last = Hour::new(HOURS_MAX - 1);
        total.add(last, 5, &mut work);
        for end in [Hour::END, Hour::MAX] {
            assert_eq!(total.sum(HourRange { start: last, end }), 5);
            assert_eq!(total.sum(HourRange { start: Hour::END, end }), 0);
        }
        total.subtract([(Hour::END, 5)], &mut work);
        assert_eq!(total.span(), Some((last, last)));
        assert_eq!(work.bytes_grown, DIRECTORY_BYTES + CHUNK_BYTES);
    }
}
