//! Puts increments in order by month, series and hour, and adds up those of the same counter: by counting, which takes
//! the same few steps for each however many there are. Comparing them would take several times as long.
//!
//! First every increment goes, as one word, to a bucket of increments of one month and of neighbouring series. A bucket
//! fits the cache of a processor, so what is left to do costs little: its words are scattered by the digits of their
//! series. Where events come as they happen, the hours of a series ascend already; only where many come out of order hours
//! are counted as well.
//!
//! INVARIANT: a word's upper half, compared with that of another word of the bucket, gives the order of their counters.

use crate::limits::narrow;
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::cells::Month;

/// Up to so many are compared, which is quicker.
const COMPARED_AT_MOST: usize = 512;
/// Increments of a bucket, about: two buckets are worked on at a time, and have half of a cache of 512 KiB.
const BUCKET_WORDS: usize = 16 * 1024;
/// Most buckets, unless there are more months. With more, the places that are written to in turn do not fit the caches.
const BUCKETS_AT_MOST: usize = 1024;
/// Bits of a digit within a bucket.
const DIGIT_BITS: u32 = 11;
/// Where fewer than one increment in so many is of an earlier hour than the one before it, the hours of a series are
/// taken to ascend, but for a few.
const DESCENTS_SHARE: usize = 8;
const DAY_HOURS: u32 = 24;

/// The lower half of a word is the count; above it is the hour of the month, and above that how far the series is past the
/// first of the bucket.
const COUNT_BITS: u32 = 32;
/// A month has at most 744 hours.
const HOUR_BITS: u32 = 10;
const SERIES_BITS: u32 = u64::BITS - COUNT_BITS - HOUR_BITS;

/// Sorts by month, then series, then hour, and adds up what is of the same hour of the same series; a sum that is past 32
/// bits stays several. Takes a word and a half for each increment meanwhile, most of it in `spare`.
pub(super) fn sum_up(increments: &mut Vec<Increment>, spare: &mut Vec<u64>) {
    if increments.len() <= COMPARED_AT_MOST {
        increments.sort_unstable_by_key(|one| (Month::containing(one.hour), one.series, one.hour));
        increments.dedup_by(|later, earlier| join(earlier, later));
        return;
    }
    let buckets = Buckets::of(increments);
    let ends = buckets.scatter(increments, spare);
    increments.clear();
    let half = spare.len() / 2;
    let largest =
        std::iter::once(0).chain(ends.iter().copied()).zip(&ends).map(|(start, end)| end - start).max();
    if largest > Some(half) {
        // There is no room for it and for the increments.
        *increments = Vec::new();
    }
    let (mut rest, mut before, mut scratch) = (spare.as_mut_slice(), 0, Vec::new());
    for (bucket, end) in ends.into_iter().enumerate() {
        let Some((words, later)) = std::mem::take(&mut rest).split_at_mut_checked(end - before) else {
            break;
        };
        (rest, before) = (later, end);
        buckets.sort(words, &mut scratch);
        if scratch.len() > half {
            scratch = Vec::new();
        }
        buckets.add_up(bucket, words, increments);
    }
}

/// Adds `later` to `earlier` if they are of the same counter and the sum fits; whether it did.
fn join(earlier: &mut Increment, later: &Increment) -> bool {
    if (earlier.series, earlier.hour) != (later.series, later.hour) {
        return false;
    }
    match earlier.count.checked_add(later.count) {
        Some(sum) => {
            earlier.count = sum;
            true
        }
        None => false,
    }
}

/// Which bucket an increment belongs to. They ascend by month, then series.
#[derive(Debug)]
struct Buckets {
    first_series: u32,
    /// A bucket has two to the power of so many series.
    series_bits: u32,
    /// How many a month has.
    of_month: usize,
    first_day: u32,
    /// For each day from the first, which of `months` it is in. A month begins with a day.
    month_of_day: Vec<u32>,
    /// The first hour of each month.
    months: Vec<u32>,
}

impl Buckets {
    fn of(increments: &[Increment]) -> Self {
        let (first_series, last_series) = range_of(increments, |one| one.series.get());
        let (first, last) = range_of(increments, |one| one.hour.get());
        let month = |hour: u32| Month::containing(Hour::new(hour)).get();
        let (first_day, first_month) = (first / DAY_HOURS, month(first));
        let month_of_day =
            (first_day..=last / DAY_HOURS).map(|day| month(day * DAY_HOURS) - first_month).collect();
        let start = |month: u32| Month::new(month).range().start.get();
        let months: Vec<u32> = (first_month..=month(last)).map(start).collect();
        let wanted = (increments.len() / BUCKET_WORDS).clamp(1, BUCKETS_AT_MOST);
        let of_month = |bits: u32| narrow((last_series - first_series) >> bits) + 1;
        let series_bits = (0..SERIES_BITS)
            .find(|bits| months.len().saturating_mul(of_month(*bits)) <= wanted)
            .unwrap_or(SERIES_BITS);
        let of_month = of_month(series_bits);
        Self { first_series, series_bits, of_month, first_day, month_of_day, months }
    }

    /// The bucket, and the word.
    #[inline]
    fn place(&self, one: &Increment) -> (usize, u64) {
        let month = if self.months.len() == 1 {
            0
        } else {
            let day = (one.hour.get() / DAY_HOURS).saturating_sub(self.first_day);
            narrow(self.month_of_day.get(narrow(day)).copied().unwrap_or_default())
        };
        let start = self.months.get(month).copied().unwrap_or_default();
        let series = one.series.get().saturating_sub(self.first_series);
        let bucket = month * self.of_month + narrow(series >> self.series_bits);
        let series = u64::from(series) & ((1 << self.series_bits) - 1);
        let hour = u64::from(one.hour.get().saturating_sub(start));
        (bucket, series << (COUNT_BITS + HOUR_BITS) | hour << COUNT_BITS | u64::from(one.count))
    }

    /// Puts the words of each bucket together, in the order in which the increments came; gives where each bucket ends.
    fn scatter(&self, increments: &[Increment], words: &mut Vec<u64>) -> Vec<usize> {
        let mut places = vec![0_usize; self.months.len() * self.of_month];
        for one in increments {
            if let Some(count) = places.get_mut(self.place(one).0) {
                *count += 1;
            }
        }
        sums_before(&mut places);
        words.clear();
        words.resize(increments.len(), 0);
        for one in increments {
            let (bucket, word) = self.place(one);
            if let Some(place) = places.get_mut(bucket) {
                if let Some(target) = words.get_mut(*place) {
                    *target = word;
                }
                *place += 1;
            }
        }
        places
    }

    /// Sorts the words of a bucket by series, then hour.
    fn sort(&self, words: &mut [u64], scratch: &mut Vec<u64>) {
        if words.len() <= COMPARED_AT_MOST {
            words.sort_unstable();
            return;
        }
        let hour = |word: u64| word >> COUNT_BITS & ((1 << HOUR_BITS) - 1);
        let descents = words.iter().zip(words.iter().skip(1)).filter(|(a, b)| hour(**b) < hour(**a)).count();
        scratch.resize(words.len(), 0);
        if descents > words.len() / DESCENTS_SHARE {
            sort_by_bits(words, scratch, (COUNT_BITS, HOUR_BITS));
        }
        sort_by_bits(words, scratch, (COUNT_BITS + HOUR_BITS, self.series_bits));
        if 0 < descents && descents <= words.len() / DESCENTS_SHARE {
            let series = |word: u64| word >> (COUNT_BITS + HOUR_BITS);
            for of_series in words.chunk_by_mut(|a, b| series(*a) == series(*b)) {
                if !of_series.is_sorted_by_key(|word| word >> COUNT_BITS) {
                    of_series.sort_unstable();
                }
            }
        }
    }

    /// Appends the increments of a bucket's words, which are in order.
    fn add_up(&self, bucket: usize, words: &[u64], out: &mut Vec<Increment>) {
        let start = self.months.get(bucket / self.of_month).copied().unwrap_or_default();
        let within = |word: u64| u32::try_from(word).unwrap_or(u32::MAX);
        let first = self.first_series
            + (u32::try_from(bucket % self.of_month).unwrap_or(u32::MAX) << self.series_bits);
        let mut words = words.iter().copied().peekable();
        while let Some(mut word) = words.next() {
            // Equal but for the counts, whose sum does not reach the hour.
            while let Some(next) = words.peek()
                && (next ^ word) >> COUNT_BITS == 0
                && ((word + (next & u64::from(u32::MAX))) ^ word) >> COUNT_BITS == 0
            {
                word += next & u64::from(u32::MAX);
                words.next();
            }
            let series = SeriesId::new(first + within(word >> (COUNT_BITS + HOUR_BITS)));
            let hour = Hour::new(start + within(word >> COUNT_BITS & ((1 << HOUR_BITS) - 1)));
            out.push(Increment { series, hour, count: within(word & u64::from(u32::MAX)) });
        }
    }
}

/// Sorts by so many bits from that one on, and leaves words with equal ones in their order.
fn sort_by_bits(words: &mut [u64], scratch: &mut [u64], (from_bit, bits): (u32, u32)) {
    let passes = bits.div_ceil(DIGIT_BITS);
    let (mut from, mut to) = (words, scratch);
    for pass in 0..passes {
        let digit_bits = bits.div_ceil(passes);
        let (shift, mask) = (from_bit + pass * digit_bits, (1 << digit_bits) - 1);
        let digit = |word: u64| narrow(u32::try_from(word >> shift & mask).unwrap_or_default());
        let mut places = vec![0_usize; 1 << digit_bits];
        for word in &*from {
            if let Some(count) = places.get_mut(digit(*word)) {
                *count += 1;
            }
        }
        sums_before(&mut places);
        for word in &*from {
            if let Some(place) = places.get_mut(digit(*word)) {
                if let Some(target) = to.get_mut(*place) {
                    *target = *word;
                }
                *place += 1;
            }
        }
        (from, to) = (to, from);
    }
    if passes % 2 == 1 {
        to.copy_from_slice(from);
    }
}

/// Replaces each number by the sum of those before it.
fn sums_before(numbers: &mut [usize]) {
    let mut sum = 0;
    for number in numbers {
        sum += std::mem::replace(number, sum);
    }
}

/// The least and the greatest number; two zeros where there is none.
fn range_of(increments: &[Increment], number: impl Fn(&Increment) -> u32) -> (u32, u32) {
    let Some(first) = increments.first().map(&number) else { return (0, 0) };
    let range = |(least, greatest): (u32, u32), number: u32| (number.min(least), number.max(greatest));
    increments.iter().map(number).fold((first, first), range)
}
