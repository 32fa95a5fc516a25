//! Unit tests of queries (ranges, faults) and of the roll-up's inner loop.

use chrono::DateTime;
use proptest::prelude::*;

use super::roll_up::add_cells;
use super::summary::{Figure, Scale, Summary, percent_hundredths, ratio_hundredths};
use super::{Query, ReportName};
use crate::model::calendar::{Hour, Unit, Units, UnixSeconds, ZoneDatabase, write_instant};
use crate::model::cells::Cell;
use crate::model::story_set::StorySet;

const NOW: &str = "2019-05-31T12:34:56Z";
/// More than any `limit`.
const STORIES_KNOWN: usize = 20_000;

fn parse(report: ReportName, query: &str, now: &str) -> Result<Query, Vec<String>> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let now = DateTime::parse_from_rfc3339(now).unwrap().timestamp_millis();
    Query::parse(report, &pairs, now, (&StorySet::ALL, STORIES_KNOWN), &ZoneDatabase::bundled())
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn shown(at: UnixSeconds) -> String {
    let mut text = [0; 24];
    write_instant(at, &mut text);
    String::from_utf8(text.to_vec()).unwrap().replace(":00.000Z", "")
}

#[track_caller]
fn check_range(query: &str, from: &str, to: &str) {
    let query = parse(ReportName::Conversations, query, NOW).unwrap();
    assert_eq!((shown(query.range.start()).as_str(), shown(query.range.end()).as_str()), (from, to));
}

#[test]
fn periods_run_as_the_contract_lists_them() {
    check_range("period=today", "2019-05-31T00:00", "2019-05-31T13:00");
    check_range("period=yesterday", "2019-05-30T00:00", "2019-05-31T00:00");
    check_range("period=last7days", "2019-05-25T00:00", "2019-05-31T13:00");
    check_range("period=last30days", "2019-05-02T00:00", "2019-05-31T13:00");
    check_range("", "2019-05-02T00:00", "2019-05-31T13:00");
    check_range("period=thisMonth", "2019-05-01T00:00", "2019-05-31T13:00");
    check_range("period=lastMonth", "2019-04-01T00:00", "2019-05-01T00:00");
    check_range("period=last3Months", "2019-03-01T00:00", "2019-05-31T13:00");
    check_range("period=thisYear", "2019-01-01T00:00", "2019-05-31T13:00");
    check_range("period=lastYear", "2018-01-01T00:00", "2019-01-01T00:00");
}

#[test]
fn periods_run_on_the_local_calendar() {
    check_range("period=today&offset=720", "2019-05-31T12:00", "2019-05-31T13:00");
    check_range("period=today&offset=-720", "2019-05-31T12:00", "2019-05-31T13:00");
    check_range("period=yesterday&timezone=Europe/Warsaw", "2019-05-29T22:00", "2019-05-30T22:00");
    check_range("period=lastYear&timezone=Europe/Warsaw", "2017-12-31T23:00", "2018-12-31T23:00");
    // Local hours of India start half past the hour of UTC; now is 18:04 there.
    check_range("period=today&timezone=Asia/Kolkata", "2019-05-30T18:30", "2019-05-31T13:30");
}

#[test]
fn explicit_ends_win_over_the_period() {
    check_range("from=2019-5-1&period=today", "2019-05-01T00:00", "2019-05-31T13:00");
    check_range("to=2019-5-1&period=today", "1974-01-01T00:00", "2019-05-02T00:00");
    check_range("from=2019-5-1&to=2019-5-1&period=lastYear", "2019-05-01T00:00", "2019-05-02T00:00");
    check_range(
        "from=1970-1-1&dimension=year&timezone=America/New_York",
        "1970-01-01T05:00",
        "2019-05-31T13:00",
    );
}

#[test]
fn auto_chooses_the_unit_that_suits_the_range() {
    let check = |query: &str, unit: Unit| {
        let query = parse(ReportName::Messages, &format!("dimension=auto&{query}"), NOW).unwrap();
        assert_eq!(query.unit, unit);
    };
    check("from=2019-05-01&to=2019-05-02", Unit::Hour);
    check("from=2019-05-01&to=2019-05-03T00:00:01Z", Unit::Day);
    check("from=2019-05-29T12:34:56Z", Unit::Hour);
    check("from=2019-01-01&to=2019-04-03", Unit::Day);
    check("from=2019-01-01&to=2019-04-03&timezone=Europe/Warsaw", Unit::Day);
    check("from=2019-01-01&to=2019-04-04", Unit::Month);
    check("from=2016-01-01&to=2018-12-31", Unit::Month);
    check("from=2016-01-01&to=2019-01-01", Unit::Year);
    check("period=today", Unit::Hour);
    check("period=lastYear", Unit::Month);
}

#[track_caller]
fn check_faults(report: ReportName, query: &str, expected: &[&str]) {
    assert_eq!(parse(report, query, NOW).expect_err("the query is bad"), expected);
}

#[test]
fn faults_name_the_parameter_what_it_got_and_what_it_takes() {
    use ReportName::{BusiestPeriod, Conversations};
    const DATES: &str = "a date as YYYY-M-D or RFC 3339, from 1970-1-1 to 9999-12-31, or milliseconds since 1970, \
                         from 126230400000 (1974-1-1) on";
    let all = "from, to, period, dimension, group, compare, source, storyId, offset, timezone, limit, format";
    check_faults(
        Conversations,
        "storyid=x",
        &[&format!(
            "parameter storyid: there is no such parameter (got \"x\") (did you mean storyId?); \
             this report takes {all}"
        )],
    );
    check_faults(
        BusiestPeriod,
        "dimension=day",
        &["parameter dimension: the report busiest-period does not have it (got \"day\"); \
           it takes from, to, period, source, storyId, offset, timezone, format"],
    );
    check_faults(
        Conversations,
        "limit=1&limit=2",
        &["parameter limit: given more than once (got \"1\" and \"2\"), takes one value"],
    );
    check_faults(
        Conversations,
        "dimension=days",
        &["parameter dimension: got \"days\", takes auto, year, month, day or hour (did you mean day?)"],
    );
    check_faults(
        Conversations,
        "from=2019-02-29",
        &[&format!("parameter from: got \"2019-02-29\", takes {DATES}")],
    );
    check_faults(
        Conversations,
        "to=1969-12-31",
        &[&format!("parameter to: got \"1969-12-31\", takes {DATES}")],
    );
    check_faults(
        Conversations,
        "from=2019-03-02&to=2019-03-01",
        &["parameter from: got \"2019-03-02\", which is after `to` (\"2019-03-01\"); \
           takes a date before it"],
    );
    check_faults(
        Conversations,
        "from=2019-06-01",
        &["parameter from: got \"2019-06-01\", which is after `to` (\"now\"); takes a date before it"],
    );
    check_faults(
        Conversations,
        "to=1973-12-30",
        &["parameter to: got \"1973-12-30\", which is before the start of the range, 1974-1-1; \
           takes a date after it, or give `from` as well"],
    );
}

#[test]
fn only_series_are_compared_and_with_what_there_is() {
    use ReportName::{BusiestPeriod, Conversations};
    check_faults(
        BusiestPeriod,
        "compare=year",
        &["parameter compare: the report busiest-period does not have it (got \"year\"); \
           it takes from, to, period, source, storyId, offset, timezone, format"],
    );
    check_faults(
        ReportName::InteractionsPopularity,
        "compare=weekday",
        &["parameter compare: the report interactions.popularity does not have it (got \"weekday\"); \
           it takes from, to, period, source, storyId, offset, timezone, limit, format"],
    );
    check_faults(
        Conversations,
        "compare=years",
        &["parameter compare: got \"years\", takes previous, year or weekday (did you mean year?)"],
    );
}

#[test]
fn faults_say_which_parameters_contradict_each_other_and_what_would_fit() {
    use ReportName::{Conversations, InteractionsPopularity};
    check_faults(
        Conversations,
        "timezone=europe/warsow",
        &["parameter timezone: got \"europe/warsow\", takes an IANA time zone such as Europe/Warsaw \
           (did you mean Europe/Warsaw?)"],
    );
    check_faults(
        Conversations,
        "offset=60&timezone=UTC",
        &[
            "parameter timezone: got \"UTC\", but it can not be given together with offset; takes one of the two",
        ],
    );
    check_faults(
        InteractionsPopularity,
        "storyId=5b07ffafc2376e30306d9b16,5b07ffafc2376e30306d9b17",
        &["parameter storyId: got \"5b07ffafc2376e30306d9b17\", takes one story id in this report"],
    );
    check_faults(
        Conversations,
        "from=2000-1-1&dimension=hour",
        &[
            "parameter dimension: got hour, which makes 170173 data points over this range, takes at most 100000; \
           dimension=day fits",
        ],
    );
    check_faults(
        Conversations,
        "period=thisYear&dimension=hour&group=storyId",
        &[
            "parameter dimension: got hour, which makes 3613000 data points over this range, takes at most 2000000; \
           dimension=day or limit=553 fits",
        ],
    );
}

#[test]
fn what_people_get_wrong_is_answered_right() {
    let check = |wrong: &str, right: &str| {
        let taken = |query: &str| {
            let query =
                parse(ReportName::Conversations, query, NOW).unwrap_or_else(|faults| panic!("{faults:?}"));
            format!("{query:?}")
        };
        assert_eq!(taken(wrong), taken(right), "{wrong}");
    };
    // Who has chosen nothing of a form sends its fields without a value.
    check(
        "source=&storyId=&group=&from=&to=&timezone=&offset=&limit=&compare=&format=&dimension=&period=",
        "",
    );
    check("timezone=&offset=60", "offset=60");
    check("limit=&limit=5", "limit=5");
    check("source=,&storyId=,", "");
    check("source=app,,slack,&source[]=", "source=app,slack");
    check("source=app,+slack", "source=app,slack");
    // Lists as PHP and qs write them.
    check("source[0]=app&source[1]=slack", "source=app,slack");
    check("source%5B0%5D=app&source%5B%5D=slack", "source=app,slack");
    check("storyId[7]=5b07ffafc2376e30306d9b16", "storyId=5b07ffafc2376e30306d9b16");
    // A `+` that became a space.
    check("timezone=Etc/GMT+3", "timezone=Etc/GMT%2B3");
    check("timezone=etc/gmt+3", "timezone=Etc/GMT%2B3");
    check("offset=+60", "offset=%2B60");
    check("from=2019-05-01T00:00:00+01:00", "from=2019-05-01T00:00:00%2B01:00");
    check("timezone=utc", "timezone=UTC");
    check("timezone=europe/WARSAW", "timezone=Europe/Warsaw");
}

#[test]
fn what_is_surely_wrong_is_refused_with_what_to_write_instead() {
    use ReportName::{BusiestPeriod, Conversations};
    let check = |report: ReportName, query: &str, expected: &str| {
        let faults = parse(report, query, NOW).expect_err("the query is bad");
        assert!(faults.iter().all(|fault| fault.contains(expected)), "{query}: {faults:#?}");
    };
    for (query, expected) in [
        ("from=1552780800&to=1552867200", "which looks like seconds; write 155"),
        (
            "to=1552867200",
            "got \"1552867200\", which looks like seconds; write 1552867200000; takes a date as",
        ),
        ("from=20190317&to=20190318", "which looks like a date without hyphens; write 2019-3-1"),
        ("from=2019&to=2020", "which looks like a date without hyphens; write 20"),
        ("from=1552780800000000000", "which looks like nanoseconds; write 1552780800000;"),
        ("from=20190317000000", "write 2019-03-17T00:00:00Z"),
        ("from=2019-03-17T00:00:00", "a time without a zone; write 2019-03-17T00:00:00Z"),
        ("from=yesterday", "which looks like a period; write period=yesterday"),
        ("from=0", "from 126230400000 (1974-1-1) on"),
        ("from=126230399999", "from 126230400000 (1974-1-1) on"),
        ("offset=780", "timezone takes the names of all zones"),
        ("offset=+01:00", "(did you mean 60?)"),
        ("offset=-03:30", "(did you mean -210?)"),
        ("source[a]=app", "did you mean source?"),
        ("from[0]=2019-3-17", "did you mean from?"),
        ("stories[0]=", "there is no such parameter"),
    ] {
        check(Conversations, query, expected);
        if !query.starts_with("stories") {
            check(BusiestPeriod, query, expected);
        }
    }
}

#[test]
fn dates_ascend_up_to_the_last_year_that_can_be_written() {
    for zone in ["Pacific/Pago_Pago", "Pacific/Kiritimati", "America/St_Johns", "UTC"] {
        let query = format!("from=9999-12-31&to=9999-12-31&dimension=hour&timezone={zone}");
        let query = parse(ReportName::Conversations, &query, NOW).unwrap();
        let units = Units::new(query.unit, &query.range);
        let dates: Vec<String> = units.starts().iter().map(|start| shown(*start)).collect();
        assert!(!dates.is_empty() && dates.is_sorted() && dates.iter().all(|date| date.starts_with("9999")));
    }
}

#[test]
fn faults_come_all_at_once_and_repeat_little_of_what_was_sent() {
    let long = "x".repeat(10_000);
    let query = format!(
        "from=a&to=b&period=c&dimension=d&group=e&source=f,app,,e&storyId=g&offset=721&limit=0&{long}="
    );
    let faults = parse(ReportName::Conversations, &query, NOW).unwrap_err();
    let named: Vec<&str> = faults.iter().map(|fault| fault.split(['x', ':']).next().unwrap()).collect();
    let expected = ["", "offset", "from", "to", "period", "source", "source", "storyId", "group", "limit"];
    assert_eq!(
        named,
        expected.iter().chain(&["dimension"]).map(|name| format!("parameter {name}")).collect::<Vec<_>>()
    );
    assert!(faults.iter().all(|fault| fault.len() < 400), "{faults:#?}");
    let escaped = parse(ReportName::Conversations, "group=%1B%5B31m%22%0A", NOW).unwrap_err();
    assert_eq!(escaped, [r#"parameter group: got "\u{1b}[31m\"\n", takes storyId or source"#]);
    let many = "u=1&".repeat(1_000);
    assert_eq!(parse(ReportName::Conversations, &many, NOW).unwrap_err().len(), 32);
}

#[test]
fn values_at_the_edges_are_taken_in_and_beyond_them_refused() {
    let check = |query: &str, taken: bool| {
        assert_eq!(parse(ReportName::Conversations, query, NOW).is_ok(), taken, "{query}");
    };
    for (good, bad) in [
        ("limit=1", "limit=0"),
        ("limit=10000", "limit=10001"),
        ("offset=720", "offset=721"),
        ("offset=-720", "offset=-721"),
        ("offset=%2B5", "offset=5.5"),
        ("to=9999-12-31&dimension=year", "to=10000-1-1&dimension=year"),
        ("from=1970-1-1", "from=-1"),
        ("from=2019-05-31T00:00:00Z", "from=2019-05-31T00:00:00"),
        ("from=2019-5-1", "from=19-5-1"),
        ("from=2019-05-31", "from=2019-06-01"),
        ("timezone=UTC", "timezone=UT"),
        ("source[]=app", "source=App"),
        ("period=last7days", "period=last7Days"),
        ("dimension=hour&from=2008-1-1&to=2019-1-1", "limit[]=5"),
    ] {
        check(good, true);
        check(bad, false);
    }
}

#[test]
fn figures_are_rounded_half_up_and_shown_without_trailing_zeros() {
    let check = |part, whole, expected: &str| {
        assert_eq!(Figure::Hundredths(ratio_hundredths(part, whole)).to_string(), expected);
    };
    check(28, 27, "1.04");
    check(1, 8, "0.13");
    check(1, 200, "0.01");
    check(1, 201, "0");
    check(1, 2, "0.5");
    check(7, 0, "0");
    check(10, 5, "2");
    check(u64::MAX, 1, "184467440737095516.15");
    assert_eq!(Figure::Hundredths(percent_hundredths(2, 3)).to_string(), "66.67");
    assert_eq!(Figure::Hundredths(percent_hundredths(u64::MAX, u64::MAX)).to_string(), "100");
    let averages = Summary::of(&[150, 25, 0], 3, Scale::Hundredths);
    assert_eq!((averages.total, averages.avg), (Figure::Hundredths(175), Figure::Hundredths(58)));
    assert_eq!(Summary::of(&[150, 25], 3, Scale::Hundredths), averages, "zeros need not be given");
}

#[test]
fn report_names_are_read_as_they_are_written() {
    for report in ReportName::ALL {
        assert_eq!(ReportName::parse(report.as_str()), Some(report));
    }
    assert_eq!(ReportName::parse("Conversations"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cells_are_added_to_the_unit_whose_bounds_hold_them(
        mut hours in prop::collection::vec(100_u32..400, 0..120),
        mut bounds in prop::collection::vec(100_u32..400, 1..40),
    ) {
        hours.sort_unstable();
        bounds.extend([100, 400]);
        bounds.sort_unstable();
        let cells: Vec<Cell> = hours.iter().map(|hour| Cell { hour: Hour::new(*hour), count: *hour }).collect();
        let limits: Vec<Hour> = bounds.iter().map(|bound| Hour::new(*bound)).collect();
        let mut column = vec![0; bounds.len() - 1];
        let touched = add_cells(&cells, &limits, &mut column);
        let plain: Vec<u64> = bounds
            .windows(2)
            .map(|unit| hours.iter().filter(|hour| (unit[0]..unit[1]).contains(hour)).map(|hour| u64::from(*hour)).sum())
            .collect();
        prop_assert!(touched.end <= plain.len());
        for (unit, value) in plain.iter().enumerate() {
            prop_assert!(*value == 0 || touched.contains(&unit), "unit {} of {:?}", unit, touched);
        }
        prop_assert_eq!(column, plain);
    }
}
