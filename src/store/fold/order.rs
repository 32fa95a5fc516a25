//! Puts increments in order by month, series and hour: by counting, digit by digit, which takes the same few steps for
//! each however many there are. Comparing them would take several times as long.
//!
//! Where events come as they happen, the hours of a series ascend already, and all that there is to do is to scatter the
//! increments by the digits of their series. So hours are counted as well only where many come out of order.

use crate::limits::narrow;
use crate::model::batch::Increment;
use crate::model::calendar::Hour;
use crate::model::cells::Month;

/// Up to so many are compared, which is quicker.
const COMPARED_AT_MOST: usize = 512;
/// Bits of a digit. With more, the places that are written to in turn do not fit the caches.
const DIGIT_BITS: u32 = 11;
/// Where fewer than one increment in so many is of an earlier hour than the one before it, the hours of a series are
/// taken to ascend, but for a few.
const DESCENTS_SHARE: usize = 8;
const DAY_HOURS: u32 = 24;

/// Sorts by month, then series, then hour. Takes as much memory again meanwhile.
pub(super) fn sort(increments: &mut Vec<Increment>) {
    if increments.len() <= COMPARED_AT_MOST {
        increments.sort_unstable_by_key(|one| (Month::containing(one.hour), one.series, one.hour));
        return;
    }
    let mut spare = increments.clone();
    let (mut rest, mut rest_of_spare) = (increments.as_mut_slice(), spare.as_mut_slice());
    for length in put_months_together(rest, rest_of_spare) {
        let Some((of_month, after)) = rest.split_at_mut_checked(length) else { break };
        let Some((of_spare, after_spare)) = rest_of_spare.split_at_mut_checked(length) else { break };
        sort_month(of_month, of_spare);
        (rest, rest_of_spare) = (after, after_spare);
    }
}

/// Puts the increments of each month together, by month, and leaves them in their order; gives the number of each.
fn put_months_together(increments: &mut [Increment], spare: &mut [Increment]) -> Vec<usize> {
    let (first, last) = range_of(increments, |one| one.hour.get());
    let month = |hour| Month::containing(Hour::new(hour)).get();
    if month(first) == month(last) {
        return vec![increments.len()];
    }
    let (first_day, last_day) = (first / DAY_HOURS, last / DAY_HOURS);
    // A month begins with a day.
    let months: Vec<u32> =
        (first_day..=last_day).map(|day| month(day.saturating_mul(DAY_HOURS)) - month(first)).collect();
    let of_day = |day: u32| months.get(narrow(day)).copied().unwrap_or_default();
    let of = |one: &Increment| of_day((one.hour.get() / DAY_HOURS).saturating_sub(first_day));
    sort_by_number(increments, spare, of_day(last_day - first_day), of);
    increments.chunk_by(|a, b| of(a) == of(b)).map(<[_]>::len).collect()
}

/// Sorts increments of one month by series, then hour. What `spare` holds is lost.
fn sort_month(increments: &mut [Increment], spare: &mut [Increment]) {
    let series_and_hour = |one: &Increment| (u64::from(one.series.get()) << 32) | u64::from(one.hour.get());
    if increments.len() <= COMPARED_AT_MOST {
        increments.sort_unstable_by_key(series_and_hour);
        return;
    }
    let descents = increments.iter().zip(increments.iter().skip(1)).filter(|(a, b)| b.hour < a.hour).count();
    if descents > increments.len() / DESCENTS_SHARE {
        let (first, last) = range_of(increments, |one| one.hour.get());
        sort_by_number(increments, spare, last - first, |one| one.hour.get().saturating_sub(first));
    }
    let (first, last) = range_of(increments, |one| one.series.get());
    sort_by_number(increments, spare, last - first, |one| one.series.get().saturating_sub(first));
    for of_series in increments.chunk_by_mut(|a, b| a.series == b.series) {
        if !of_series.is_sorted_by_key(|one| one.hour) {
            of_series.sort_unstable_by_key(|one| one.hour);
        }
    }
}

/// Sorts by a number of each, up to `max`, and leaves those of equal numbers in their order.
fn sort_by_number(
    increments: &mut [Increment],
    spare: &mut [Increment],
    max: u32,
    number: impl Fn(&Increment) -> u32,
) {
    let bits = u32::BITS - max.leading_zeros();
    let passes = bits.div_ceil(DIGIT_BITS);
    let (mut from, mut to) = (increments, spare);
    for pass in 0..passes {
        let digit_bits = bits.div_ceil(passes);
        let (shift, mask) = (pass * digit_bits, (1 << digit_bits) - 1);
        scatter(from, to, 1 << digit_bits, |one| narrow((number(one) >> shift) & mask));
        (from, to) = (to, from);
    }
    if passes % 2 == 1 {
        to.copy_from_slice(from);
    }
}

/// Copies increments, those with the same digit after those with lesser ones.
fn scatter(from: &[Increment], to: &mut [Increment], digits: usize, digit: impl Fn(&Increment) -> usize) {
    let mut places = vec![0_usize; digits];
    for one in from {
        if let Some(count) = places.get_mut(digit(one)) {
            *count += 1;
        }
    }
    let mut next = 0;
    for place in &mut places {
        next += std::mem::replace(place, next);
    }
    for one in from {
        if let Some(place) = places.get_mut(digit(one)) {
            if let Some(target) = to.get_mut(*place) {
                *target = *one;
            }
            *place += 1;
        }
    }
}

/// The least and the greatest number; two zeros where there is none.
fn range_of(increments: &[Increment], number: impl Fn(&Increment) -> u32) -> (u32, u32) {
    let numbers = increments.iter().map(number);
    numbers
        .fold(None, |range, number| match range {
            None => Some((number, number)),
            Some((least, greatest)) => Some((number.min(least), number.max(greatest))),
        })
        .unwrap_or_default()
}
