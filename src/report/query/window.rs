//! The time zone and the range of a query: `from`, `to`, `period`, `offset`, `timezone`.
//! Knows nothing of counters.

use chrono::NaiveDate;

use super::fault::{QueryError, QueryFault, nearest};
use super::parameters::{GivenParameters, ReportParameter};
use crate::model::calendar::{
    DATE_TAKES, DateValue, LocalRange, Period, RangeEnd, UnixSeconds, Zone, ZoneDatabase,
};
use crate::model::excerpt::Excerpt;

/// The range of a query: as asked for, and widened to whole local hours.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) asked_from: UnixSeconds,
    pub(super) asked_to: UnixSeconds,
    pub(super) range: LocalRange,
}

const TIMEZONE_TAKES: &str = "an IANA time zone such as Europe/Warsaw";
const OFFSET_TAKES: &str = "whole minutes from -720 to 720";

/// The zone that was asked for, UTC where none was; `None` after a fault.
pub(super) fn zone(
    given: &GivenParameters<'_>,
    zones: &ZoneDatabase,
    faults: &mut Vec<QueryError>,
) -> Option<Zone> {
    let (offset, timezone) = (given.one(ReportParameter::Offset), given.one(ReportParameter::Timezone));
    if let (Some(_), Some(timezone)) = (offset, timezone) {
        let fault = QueryFault::NotTogether {
            got: Excerpt::quoted(timezone),
            other: ReportParameter::Offset.as_str(),
        };
        faults.push(QueryError::new(ReportParameter::Timezone.as_str(), fault));
    }
    let by_offset = offset.map(|text| {
        parse_minutes(text)
            .and_then(Zone::fixed)
            .ok_or_else(|| ReportParameter::Offset.bad(text, OFFSET_TAKES))
    });
    let by_name = timezone.map(|text| {
        zones.named(text).ok_or_else(|| {
            let nearest = nearest_zone(text, zones);
            ReportParameter::Timezone.misspelt(text, TIMEZONE_TAKES, nearest)
        })
    });
    let mut zone = Some(Zone::UTC);
    for result in [by_offset, by_name].into_iter().flatten() {
        match result {
            Ok(named) => zone = zone.map(|_| named),
            Err(fault) => {
                faults.push(fault);
                zone = None;
            }
        }
    }
    zone
}

/// Minutes with an optional sign. A `+` that a query string turned into a space is still one.
fn parse_minutes(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-', ' ']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let minutes: i32 = digits.parse().ok()?;
    Some(if text.starts_with('-') { minutes.saturating_neg() } else { minutes })
}

fn nearest_zone<'a>(text: &str, zones: &'a ZoneDatabase) -> Option<&'a str> {
    let city = |name: &&str| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    nearest(text, zones.names()).or_else(|| zones.names().find(city))
}

/// The range that was asked for in a zone, as seen from `now_unix_ms`; `None` after a fault.
///
/// An explicit `from` or `to` wins over `period`: the other end then has its own default, 1974-1-1 or now.
pub(super) fn window(
    given: &GivenParameters<'_>,
    zone: Option<Zone>,
    now_unix_ms: i64,
    faults: &mut Vec<QueryError>,
) -> Option<Window> {
    let faults_before = faults.len();
    let (from, to) = (given.one(ReportParameter::From), given.one(ReportParameter::To));
    let from_date = from.and_then(|text| date(ReportParameter::From, text, faults));
    let to_date = to.and_then(|text| date(ReportParameter::To, text, faults));
    let period =
        given.one(ReportParameter::Period).map_or(Some(Period::Last30Days), |text| period(text, faults));
    if faults.len() > faults_before {
        return None;
    }
    let (zone, period, now) = (zone?, period?, UnixSeconds::floor_ms(now_unix_ms));
    if from.is_none() && to.is_none() {
        let (asked_from, end) = period.resolve(&zone, now);
        let range = LocalRange::widened(zone, asked_from, end);
        return Some(Window { asked_from, asked_to: end.moment(), range });
    }
    let from_ms = from_date.unwrap_or_else(first_date).start_ms(&zone);
    let end_ms = to_date.map_or(now_unix_ms, |date| date.end_ms(&zone));
    // A bare date in `to` ends where the next day starts, which is after it.
    let last_start_ms = to_date.map_or(end_ms, |date| date.start_ms(&zone));
    if from_ms > end_ms || (from_ms == end_ms && from_ms > last_start_ms) {
        faults.push(backwards(from, to.unwrap_or("now")));
        return None;
    }
    let asked_from = UnixSeconds::floor_ms(from_ms);
    let end = to_date.map_or(RangeEnd::Now(now), |_| RangeEnd::Before(UnixSeconds::ceil_ms(end_ms)));
    let range = LocalRange::widened(zone, asked_from, end);
    Some(Window { asked_from, asked_to: end.moment(), range })
}

/// Where a range starts that has a `to` and no `from`.
const FIRST_DATE: &str = "1974-1-1";

fn first_date() -> DateValue {
    DateValue::parse(FIRST_DATE).unwrap_or(DateValue::Day(NaiveDate::MIN))
}

/// The fault of a range that ends before it starts: of the parameter that was given, and of `from` where both were.
fn backwards(from: Option<&str>, to: &str) -> QueryError {
    if let Some(from) = from {
        let fault = QueryFault::FromAfterTo { got: Excerpt::quoted(from), end: Excerpt::quoted(to) };
        return QueryError::new(ReportParameter::From.as_str(), fault);
    }
    let fault = QueryFault::ToBeforeStart { got: Excerpt::quoted(to), start: FIRST_DATE };
    QueryError::new(ReportParameter::To.as_str(), fault)
}

fn date(parameter: ReportParameter, text: &str, faults: &mut Vec<QueryError>) -> Option<DateValue> {
    let parsed = DateValue::parse(text);
    if parsed.is_none() {
        faults.push(parameter.bad(text, DATE_TAKES));
    }
    parsed
}

fn period(text: &str, faults: &mut Vec<QueryError>) -> Option<Period> {
    let parsed = Period::parse(text);
    if parsed.is_none() {
        let names = || Period::ALL.into_iter().map(Period::as_str);
        let takes = names().collect::<Vec<_>>().join(", ");
        let nearest = nearest(text, names());
        faults.push(ReportParameter::Period.misspelt(text, takes, nearest));
    }
    parsed
}
