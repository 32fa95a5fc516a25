//! The earlier range that a range is compared with: how far back it lies. Knows nothing of parameters or counters.
//!
//! INVARIANT: no earlier range begins before the first date that an event can have, and none ends before it begins.

use chrono::{Datelike, Days, Months, NaiveDate};

use super::moment::LocalSeconds;
use super::{LocalRange, Period, RangeEnd, Unit, UnixSeconds, Zone};
use crate::model::named::named_enum;

named_enum! {
    /// What a series is compared with, as in the parameter `compare`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum CompareWith {
        /// The range before this one, of the same length.
        Previous = "previous",
        /// The same dates of the year before.
        Year = "year",
        /// The last range before this one in which every date has the same weekday.
        Weekday = "weekday",
    }
}

/// A range as it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedRange<'a> {
    /// Widened to whole local hours.
    pub range: &'a LocalRange,
    /// Where it was asked to end.
    pub end: RangeEnd,
    /// The period that was asked for, where it was not given by dates.
    pub period: Option<Period>,
}

impl CompareWith {
    /// The range to compare with. A moment moves back on the local calendar; an end of now is first rounded to the nearest
    /// local hour, so that half an hour at most is compared with nothing.
    pub fn earlier_range(self, asked: AskedRange<'_>) -> LocalRange {
        let range = asked.range;
        let (zone, shift) = (range.zone(), self.shift(asked));
        let end = match asked.end {
            RangeEnd::Now(now) => nearest_hour(zone, now).max(range.start()),
            RangeEnd::Before(_) => range.end(),
        };
        let first = FIRST_DATE.map_or(UnixSeconds::MIN, |date| zone.start_of(date));
        let (start, end) = (shift.back(zone, range.start()), shift.back(zone, end));
        LocalRange::widened(zone.clone(), start.max(first), RangeEnd::Before(end.max(first)))
    }

    fn shift(self, asked: AskedRange<'_>) -> Shift {
        let days = Unit::Day.count_in(asked.range).max(1);
        match self {
            Self::Previous => previous(asked, days),
            Self::Year => Shift::Months(12),
            Self::Weekday => Shift::Days(days.div_ceil(7).saturating_mul(7)),
        }
    }
}

/// Events have no earlier one.
const FIRST_DATE: Option<NaiveDate> = NaiveDate::from_ymd_opt(1974, 1, 1);

/// How far a range moves back that touches so many `days`.
fn previous(AskedRange { range, end, period }: AskedRange<'_>, days: u64) -> Shift {
    if let Some(period) = period {
        return match period {
            Period::Today | Period::Yesterday => Shift::Days(1),
            Period::Last7Days => Shift::Days(7),
            Period::Last30Days => Shift::Days(30),
            Period::ThisMonth | Period::LastMonth => Shift::Months(1),
            Period::Last3Months => Shift::Months(3),
            Period::ThisYear | Period::LastYear => Shift::Months(12),
        };
    }
    let zone = range.zone();
    let is_now = matches!(end, RangeEnd::Now(_));
    match (day_started_at(zone, range.start()), day_started_at(zone, range.end())) {
        (Some(first), Some(after)) if !is_now && first.day() == 1 && after.day() == 1 && first < after => {
            Shift::Months(months_between(first, after))
        }
        (Some(_), after) if is_now || after.is_some() => Shift::Days(days),
        _ => Shift::Seconds(range.end().since(range.start())),
    }
}

/// The date whose day starts at that moment.
fn day_started_at(zone: &Zone, at: UnixSeconds) -> Option<NaiveDate> {
    let date = zone.date(at);
    (zone.start_of(date) == at).then_some(date)
}

fn months_between(first: NaiveDate, after: NaiveDate) -> u32 {
    let months = |date: NaiveDate| date.year().saturating_mul(12).saturating_add_unsigned(date.month0());
    months(after).abs_diff(months(first))
}

fn nearest_hour(zone: &Zone, at: UnixSeconds) -> UnixSeconds {
    let (start, end) = (zone.hour_start(at), zone.hour_end(at));
    if at.since(start) < end.since(at) { start } else { end }
}

/// How far back: months and days of the calendar, or time that passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shift {
    Months(u32),
    Days(u64),
    Seconds(i64),
}

impl Shift {
    /// The moment so much earlier. The day of the month is held within its month, and the start of a day moves to the
    /// start of a day. A local time that does not exist is the next that does, one that exists twice is the first.
    fn back(self, zone: &Zone, at: UnixSeconds) -> UnixSeconds {
        let date = zone.date(at);
        let earlier = match self {
            Self::Months(months) => date.checked_sub_months(Months::new(months)),
            Self::Days(days) => date.checked_sub_days(Days::new(days)),
            Self::Seconds(seconds) => return at.plus(seconds.saturating_neg()),
        };
        let earlier = earlier.unwrap_or(NaiveDate::MIN);
        if zone.start_of(date) == at {
            return zone.start_of(earlier);
        }
        let time_of_day = zone.span_at(at).local(at).get().rem_euclid(UnixSeconds::DAY);
        zone.moment_showing(LocalSeconds::of(earlier, time_of_day))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::calendar::{DateValue, ZoneDatabase, rfc3339};

    fn moment(text: &str) -> UnixSeconds {
        match DateValue::parse(text) {
            Some(DateValue::AtMs(ms)) => UnixSeconds::floor_ms(ms),
            _ => panic!("{text} is no moment"),
        }
    }

    fn shown(range: &LocalRange) -> [String; 2] {
        [range.start(), range.end()].map(|at| rfc3339(at.get().saturating_mul(1_000)).replace(":00.000Z", ""))
    }

    /// Compares a range of moments in a zone, given by dates.
    #[track_caller]
    fn check_dates(zone: &str, (from, to): (&str, &str), with: CompareWith, expected: (&str, &str)) {
        let zone = ZoneDatabase::bundled().named(zone).unwrap();
        let end = RangeEnd::Before(moment(to));
        let range = LocalRange::widened(zone, moment(from), end);
        let earlier = with.earlier_range(AskedRange { range: &range, end, period: None });
        assert_eq!(shown(&earlier), [expected.0, expected.1], "{with:?} of {from} to {to}");
    }

    /// Compares a period as seen from a moment.
    #[track_caller]
    fn check_period(zone: &str, (period, now): (Period, &str), with: CompareWith, expected: (&str, &str)) {
        let zone = ZoneDatabase::bundled().named(zone).unwrap();
        let (from, end) = period.resolve(&zone, moment(now));
        let range = LocalRange::widened(zone, from, end);
        let earlier = with.earlier_range(AskedRange { range: &range, end, period: Some(period) });
        assert_eq!(shown(&earlier), [expected.0, expected.1], "{with:?} of {period:?} at {now}");
    }

    use CompareWith::{Previous, Weekday, Year};

    #[test]
    fn periods_move_by_their_own_length() {
        let now = "2019-05-31T14:03:00Z";
        for (period, expected) in [
            (Period::Today, ("2019-05-30T00:00", "2019-05-30T14:00")),
            (Period::Yesterday, ("2019-05-29T00:00", "2019-05-30T00:00")),
            (Period::Last7Days, ("2019-05-18T00:00", "2019-05-24T14:00")),
            (Period::Last30Days, ("2019-04-02T00:00", "2019-05-01T14:00")),
            // 31 April is 30 April.
            (Period::ThisMonth, ("2019-04-01T00:00", "2019-04-30T14:00")),
            (Period::LastMonth, ("2019-03-01T00:00", "2019-04-01T00:00")),
            (Period::Last3Months, ("2018-12-01T00:00", "2019-02-28T14:00")),
            (Period::ThisYear, ("2018-01-01T00:00", "2018-05-31T14:00")),
            (Period::LastYear, ("2017-01-01T00:00", "2018-01-01T00:00")),
        ] {
            check_period("UTC", (period, now), Previous, expected);
        }
    }

    #[test]
    fn weekdays_meet_and_ranges_do_not_overlap() {
        let now = "2019-05-31T14:03:00Z";
        for (period, expected) in [
            (Period::Today, ("2019-05-24T00:00", "2019-05-24T14:00")),
            (Period::Yesterday, ("2019-05-23T00:00", "2019-05-24T00:00")),
            (Period::Last7Days, ("2019-05-18T00:00", "2019-05-24T14:00")),
            (Period::Last30Days, ("2019-03-28T00:00", "2019-04-26T14:00")),
            (Period::LastMonth, ("2019-02-25T00:00", "2019-03-27T00:00")),
        ] {
            check_period("UTC", (period, now), Weekday, expected);
        }
        let dates = ("2019-03-01T00:00:00Z", "2019-03-28T00:00:00Z");
        check_dates("UTC", dates, Weekday, ("2019-02-01T00:00", "2019-02-28T00:00"));
        let hours = ("2019-03-01T22:30:00Z", "2019-03-02T02:10:00Z");
        check_dates("UTC", hours, Weekday, ("2019-02-22T22:00", "2019-02-23T03:00"));
    }

    #[test]
    fn now_is_rounded_to_the_nearest_hour() {
        for (now, end) in [
            ("2019-05-31T14:03:00Z", "2019-05-30T14:00"),
            ("2019-05-31T14:29:59Z", "2019-05-30T14:00"),
            ("2019-05-31T14:30:00Z", "2019-05-30T15:00"),
            ("2019-05-31T14:40:00Z", "2019-05-30T15:00"),
            ("2019-05-31T23:40:00Z", "2019-05-31T00:00"),
            // Too early to compare.
            ("2019-05-31T00:10:00Z", "2019-05-30T00:00"),
        ] {
            check_period("UTC", (Period::Today, now), Previous, ("2019-05-30T00:00", end));
        }
        // Hours of India begin half past those of UTC: 14:03 there.
        let now = (Period::Today, "2019-05-31T08:33:00Z");
        check_period("Asia/Kolkata", now, Previous, ("2019-05-29T18:30", "2019-05-30T08:30"));
    }

    #[test]
    fn dates_move_by_months_days_or_hours() {
        for (range, expected) in [
            (("2019-03-01T00:00:00Z", "2019-03-28T00:00:00Z"), ("2019-02-02T00:00", "2019-03-01T00:00")),
            // Whole months of other lengths.
            (("2019-03-01T00:00:00Z", "2019-04-01T00:00:00Z"), ("2019-02-01T00:00", "2019-03-01T00:00")),
            (("2019-01-01T00:00:00Z", "2019-04-01T00:00:00Z"), ("2018-10-01T00:00", "2019-01-01T00:00")),
            (("2019-03-01T10:20:00Z", "2019-03-02T12:00:00Z"), ("2019-02-28T08:00", "2019-03-01T10:00")),
            (("2019-03-01T00:00:00Z", "2019-03-01T12:00:00Z"), ("2019-02-28T12:00", "2019-03-01T00:00")),
        ] {
            check_dates("UTC", range, Previous, expected);
        }
    }

    #[test]
    fn an_end_of_now_moves_by_the_days_touched_where_the_range_begins_at_midnight() {
        let now = RangeEnd::Now(moment("2019-05-31T14:40:00Z"));
        for (from, expected) in [
            ("2019-05-01T00:00:00Z", ["2019-03-31T00:00", "2019-04-30T15:00"]),
            ("2019-05-31T00:00:00Z", ["2019-05-30T00:00", "2019-05-30T15:00"]),
            ("2019-05-30T10:20:00Z", ["2019-05-29T05:00", "2019-05-30T10:00"]),
        ] {
            let range = LocalRange::widened(Zone::UTC, moment(from), now);
            let asked = AskedRange { range: &range, end: now, period: None };
            assert_eq!(shown(&Previous.earlier_range(asked)), expected, "{from}");
        }
    }

    #[test]
    fn a_day_of_the_month_is_held_within_its_month() {
        for (range, expected) in [
            (("2020-02-29T10:00:00Z", "2020-02-29T12:00:00Z"), ("2019-02-28T10:00", "2019-02-28T12:00")),
            (("2020-02-29T00:00:00Z", "2020-03-01T00:00:00Z"), ("2019-02-28T00:00", "2019-03-01T00:00")),
            // 29 February does not come before noon of the 28th.
            (("2020-02-28T12:00:00Z", "2020-02-29T10:00:00Z"), ("2019-02-28T12:00", "2019-02-28T12:00")),
        ] {
            check_dates("UTC", range, Year, expected);
        }
    }

    #[test]
    fn clock_changes_leave_the_local_time_as_it_is() {
        let warsaw = "Europe/Warsaw";
        // The day of 23 hours against the one before, and the day after it against the day of 23 hours.
        let long = ("2019-03-30T23:00:00Z", "2019-03-31T22:00:00Z");
        check_dates(warsaw, long, Previous, ("2019-03-29T23:00", "2019-03-30T23:00"));
        let after = ("2019-03-31T22:00:00Z", "2019-04-01T22:00:00Z");
        check_dates(warsaw, after, Previous, ("2019-03-30T23:00", "2019-03-31T22:00"));
        // 02:00 to 04:00 of 7 April: a week before there was no 02:00, so it begins at 03:00.
        let night = ("2019-04-07T00:00:00Z", "2019-04-07T02:00:00Z");
        check_dates(warsaw, night, Weekday, ("2019-03-31T01:00", "2019-03-31T02:00"));
        // 02:00 to 03:00 of 3 November: a week before 02:00 came twice, and the first counts.
        let night = ("2019-11-03T01:00:00Z", "2019-11-03T02:00:00Z");
        check_dates(warsaw, night, Weekday, ("2019-10-27T00:00", "2019-10-27T02:00"));
        // The hour that came again is compared with the one before it.
        let again = ("2019-10-27T01:00:00Z", "2019-10-27T02:00:00Z");
        check_dates(warsaw, again, Previous, ("2019-10-27T00:00", "2019-10-27T01:00"));
    }

    #[test]
    fn the_start_of_a_day_without_midnight_moves_to_the_start_of_a_day() {
        let sao_paulo = "America/Sao_Paulo";
        // 4 November 2018 began at 01:00.
        let day = ("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z");
        check_dates(sao_paulo, day, Weekday, ("2018-10-28T03:00", "2018-10-29T03:00"));
        let week_after = ("2018-11-11T02:00:00Z", "2018-11-12T02:00:00Z");
        check_dates(sao_paulo, week_after, Weekday, ("2018-11-04T03:00", "2018-11-05T02:00"));
    }

    proptest! {
        /// By the definition, on dates alone: the start moves back by the least whole weeks that hold the range.
        #[test]
        fn days_meet_days_in_every_zone(
            zone in 0_usize..500,
            first in 2_000_i32..20_000,
            days in 1_i32..120,
        ) {
            let zones = ZoneDatabase::bundled();
            let name = zones.names().nth(zone).unwrap_or("UTC").to_owned();
            let zone = zones.named(&name).unwrap();
            let date = |days: i32| NaiveDate::from_epoch_days(days).unwrap();
            let start = zone.start_of(date(first));
            let end = RangeEnd::Before(zone.start_of(date(first.saturating_add(days))));
            let range = LocalRange::widened(zone.clone(), start, end);
            let asked = AskedRange { range: &range, end, period: None };
            let touched = i32::try_from(Unit::Day.count_in(&range)).unwrap();
            let weeks = (touched.saturating_add(6)).div_euclid(7).saturating_mul(7);
            for (with, back) in [(Previous, touched), (Weekday, weeks)] {
                let whole_months = with == Previous
                    && date(first).day() == 1
                    && date(first.saturating_add(days)).day() == 1;
                // Four nights in history have days that were left out or came twice.
                if whole_months || touched != days {
                    continue;
                }
                let earlier = with.earlier_range(asked);
                let expected = [first, first.saturating_add(days)]
                    .map(|day| zone.start_of(date(day.saturating_sub(back))));
                prop_assert_eq!([earlier.start(), earlier.end()], expected, "{} {:?}", name, with);
                prop_assert!(earlier.end() <= range.start());
            }
        }

        /// The first moment that shows a time, found minute by minute.
        #[test]
        fn a_local_time_is_the_first_moment_that_shows_it_or_the_next(
            zone in prop::sample::select(vec!["Europe/Warsaw", "Australia/Lord_Howe", "America/St_Johns"]),
            change in 1_usize..60,
            minute in -180_i64..180,
        ) {
            let zone = ZoneDatabase::bundled().named(zone).unwrap();
            let Some(span) = zone.spans().get(change) else { return Ok(()) };
            let local = LocalSeconds::new(span.local_start().get().saturating_add(minute.saturating_mul(60)));
            let first = UnixSeconds::new(local.get()).plus(UnixSeconds::DAY.saturating_neg());
            let shows = |at: &UnixSeconds| zone.span_at(*at).local(*at) >= local;
            let expected = (0..2_880_i64).map(|minute| first.plus(minute.saturating_mul(60))).find(shows).unwrap();
            prop_assert_eq!(zone.moment_showing(local), expected);
        }
    }

    #[test]
    fn nothing_before_1974_is_compared_with() {
        let range = ("1974-01-01T00:00:00Z", "1974-03-15T00:00:00Z");
        check_dates("UTC", range, Previous, ("1974-01-01T00:00", "1974-01-01T00:00"));
        let range = ("1974-06-01T00:00:00Z", "1975-03-01T00:00:00Z");
        check_dates("UTC", range, Year, ("1974-01-01T00:00", "1974-03-01T00:00"));
    }
}
