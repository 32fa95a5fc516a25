//! The units of a report (hour, day, month, year) and where they start within a range.
//! Knows nothing of counters.

use chrono::{Datelike, Months, NaiveDate};

use super::moment::{DayNumber, LocalSeconds};
use super::{Hour, HourRange, LocalRange, UnixSeconds};
use crate::limits::narrow;
use crate::model::named::named_enum;

named_enum! {
    /// What one data point spans, finest first, as in the parameter `dimension`.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub enum Unit {
        /// A local hour; one that comes twice is two units.
        Hour = "hour",
        /// A calendar day, 23 or 25 hours long where clocks change.
        Day = "day",
        /// A calendar month.
        Month = "month",
        /// A calendar year.
        Year = "year",
    }
}

impl Unit {
    /// The unit that suits a range which was asked for as `from` to `to`: hours up to 48 hours, days up to 93 days,
    /// months up to 3 years, else years. Days and years are counted on the local calendar.
    pub fn suiting(range: &LocalRange, from: UnixSeconds, to: UnixSeconds) -> Self {
        if to.since(from) <= Hour::SECONDS.saturating_mul(48) {
            return Self::Hour;
        }
        let zone = range.zone();
        let (local_from, local_to) = (zone.span_at(from).local(from), zone.span_at(to).local(to));
        if local_to.get().saturating_sub(local_from.get()) <= UnixSeconds::DAY.saturating_mul(93) {
            return Self::Day;
        }
        let second_of_day = local_from.get().rem_euclid(UnixSeconds::DAY);
        let day = local_from.day().date().checked_add_months(Months::new(36)).unwrap_or(NaiveDate::MAX);
        let three_years_on = LocalSeconds::midnight(DayNumber::of(day)).get().saturating_add(second_of_day);
        if local_to.get() <= three_years_on { Self::Month } else { Self::Year }
    }

    /// How many units of this kind the range meets. Exact but for days that a zone leaves out, which count here.
    pub fn count_in(self, range: &LocalRange) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let zone = range.zone();
        let last = range.end().plus(-1);
        let count = match self {
            Self::Hour => each_run_of_hours(range).map(|run| run.count()).fold(0, i64::saturating_add),
            Self::Day => zone
                .day_number(last)
                .get()
                .saturating_sub(zone.day_number(range.start()).get())
                .saturating_add(1),
            Self::Month | Self::Year => {
                let months = |at| month_number(zone.date(at));
                let (first, last) = (months(range.start()), months(last));
                match self {
                    Self::Year => last.div_euclid(12).saturating_sub(first.div_euclid(12)),
                    _ => last.saturating_sub(first),
                }
                .saturating_add(1)
            }
        };
        u64::try_from(count).unwrap_or(0)
    }
}

/// The units that a range meets, in order.
///
/// INVARIANT: `bounds` ascends and has one more than `starts`; unit `i` owns the buckets from `bounds[i]` up to, but
/// not including, `bounds[i + 1]`. A unit shorter than an hour may own none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Units {
    unit: Unit,
    starts: Vec<UnixSeconds>,
    bounds: Vec<Hour>,
}

impl Units {
    /// The units of the range. The caller has checked that [`Unit::count_in`] is within its bound. A day that the zone
    /// leaves out has no unit.
    pub fn new(unit: Unit, range: &LocalRange) -> Self {
        if unit == Unit::Day
            && let Some(first) = first_of_equal_days(range)
        {
            return Self::of_equal_days(first, range);
        }
        let starts = match unit {
            _ if range.is_empty() => Vec::new(),
            Unit::Hour => hour_starts(range),
            Unit::Day => starts_of_days(range, days_before(range)),
            Unit::Month => starts_of_days(range, first_days(range, 1)),
            Unit::Year => starts_of_days(range, first_days(range, 12)),
        };
        let bounds = bounds_of(&starts, range.hours());
        Self { unit, starts, bounds }
    }

    /// The days of a range that are all 24 hours long. Without a branch or a check for each, as most reports are by day.
    fn of_equal_days(first: UnixSeconds, range: &LocalRange) -> Self {
        let days = Unit::Day.count_in(range);
        let (hours, first_hour) = (range.hours(), first.first_hour().get());
        let mut starts = Vec::with_capacity(narrow(days));
        starts.extend(
            (0..i64::try_from(days).unwrap_or(0))
                .map(|day| UnixSeconds::new(first.get().wrapping_add(day.wrapping_mul(UnixSeconds::DAY)))),
        );
        let mut bounds = Vec::with_capacity(starts.len().saturating_add(1));
        bounds.push(hours.start);
        bounds.extend(
            (1..u32::try_from(days).unwrap_or(0))
                .map(|day| Hour::new(first_hour.wrapping_add(day.wrapping_mul(24)))),
        );
        bounds.push(hours.end);
        Self { unit: Unit::Day, starts, bounds }
    }

    /// What each of them spans.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Where each unit starts, also where the range begins within it.
    pub fn starts(&self) -> &[UnixSeconds] {
        &self.starts
    }

    /// The same, without the rest.
    pub fn into_starts(self) -> Vec<UnixSeconds> {
        self.starts
    }

    /// The first bucket of each unit within the range, then the bucket after the range.
    #[inline]
    pub fn bounds(&self) -> &[Hour] {
        &self.bounds
    }
}

fn bounds_of(starts: &[UnixSeconds], range: HourRange) -> Vec<Hour> {
    let mut bounds = Vec::with_capacity(starts.len().saturating_add(1));
    bounds.push(range.start);
    // Mostly each start is whole hours after the one before, and a division costs more than all the rest.
    let (mut last, mut bound) = (UnixSeconds::MIN, Hour::MIN);
    bounds.extend(starts.iter().skip(1).map(|start| {
        bound = match start.since(last) {
            // A unit that starts before 1970 has the first hour there is; the next bound does not follow from it.
            _ if last.get() < 0 => start.first_hour(),
            Hour::SECONDS => bound.plus(1),
            UnixSeconds::DAY => bound.plus(24),
            _ => start.first_hour(),
        };
        last = *start;
        bound
    }));
    if !starts.is_empty() {
        bounds.push(range.end);
    }
    bounds
}

/// Hours of equal offset within a range: at `first`, then at `second` and every 3,600 seconds, before `end`.
struct RunOfHours {
    first: UnixSeconds,
    second: UnixSeconds,
    end: UnixSeconds,
}

impl RunOfHours {
    fn count(&self) -> i64 {
        let whole = Hour::SECONDS.saturating_sub(1);
        self.end.since(self.second).max(0).saturating_add(whole).div_euclid(Hour::SECONDS).saturating_add(1)
    }
}

fn each_run_of_hours(range: &LocalRange) -> impl Iterator<Item = RunOfHours> {
    let (start, end) = (range.start(), range.end());
    range.zone().spans_from(start).iter().take_while(move |span| span.start < end).map(move |span| {
        let first = span.start.max(start);
        let to_next = Hour::SECONDS.saturating_sub(span.local(first).second_of_hour());
        RunOfHours { first, second: first.plus(to_next), end: span.end.min(end) }
    })
}

fn hour_starts(range: &LocalRange) -> Vec<UnixSeconds> {
    let mut starts = Vec::with_capacity(narrow(Unit::Hour.count_in(range)));
    for run in each_run_of_hours(range) {
        starts.push(run.first);
        let mut next = run.second;
        while next < run.end {
            starts.push(next);
            next = next.plus(Hour::SECONDS);
        }
    }
    starts
}

/// The start of the first day, where the clocks do not change within the range, nor have within two days before, and it is not
/// before 1970: then each day is as long as the other.
fn first_of_equal_days(range: &LocalRange) -> Option<UnixSeconds> {
    let zone = range.zone();
    let span = zone.span_at(range.start());
    let first = span.moment(LocalSeconds::midnight(zone.day_number(range.start())));
    let is_steady = first >= span.start.plus(UnixSeconds::DAY.saturating_mul(2)) && range.end() <= span.end;
    (is_steady && !range.is_empty() && first.get() >= 0).then_some(first)
}

/// The days from the one before the range on.
fn days_before(range: &LocalRange) -> impl Iterator<Item = DayNumber> {
    let day = range.zone().day_number(range.start());
    (day.get().saturating_sub(1)..).map(DayNumber::new)
}

/// The starts of the units that begin with the `days`, which ascend from at least one unit before the range on.
fn starts_of_days(range: &LocalRange, days: impl Iterator<Item = DayNumber>) -> Vec<UnixSeconds> {
    let mut starts: Vec<UnixSeconds> = Vec::new();
    for start in range.zone().day_starts(days) {
        if start >= range.end() {
            break;
        }
        if start <= range.start() {
            starts.clear();
        }
        // A day that was left out starts with the next one: one unit.
        if starts.last() != Some(&start) {
            starts.push(start);
        }
    }
    starts
}

/// The first days of the months, or with a step of 12 of the years, from one before the range on.
fn first_days(range: &LocalRange, months_step: i64) -> impl Iterator<Item = DayNumber> {
    let first = month_number(range.zone().date(range.start())).div_euclid(months_step).saturating_sub(1);
    (first..).map_while(move |unit| {
        let months = unit.saturating_mul(months_step);
        let year = i32::try_from(months.div_euclid(12)).ok()?;
        let month = u32::try_from(months.rem_euclid(12)).ok()?.saturating_add(1);
        NaiveDate::from_ymd_opt(year, month, 1).map(DayNumber::of)
    })
}

/// Months since the start of the year 0.
fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()).saturating_mul(12).saturating_add(i64::from(date.month0()))
}
