//! The time zone and the range of a query: `from`, `to`, `period`, `offset`, `timezone`.
//! Knows nothing of counters.

use chrono::NaiveDate;

use super::fault::{QueryError, QueryFault, nearest};
use super::parameters::{GivenParameters, ReportParameter};
use crate::model::calendar::{
    AskedRange, DATE_TAKES, DateValue, LocalRange, MistakenDate, Period, RangeEnd, UnixSeconds, Zone,
    ZoneDatabase,
};
use crate::model::excerpt::Excerpt;

/// The range of a query: as asked for, and widened to whole local hours.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) asked_from: UnixSeconds,
    pub(super) asked_end: RangeEnd,
    pub(super) range: LocalRange,
    /// Where it is not given by dates.
    period: Option<Period>,
}

impl Window {
    pub(super) fn asked(&self) -> AskedRange<'_> {
        AskedRange { range: &self.range, end: self.asked_end, period: self.period }
    }
}

const TIMEZONE_TAKES: &str = "an IANA time zone such as Europe/Warsaw";
const OFFSET_TAKES: &str = "whole minutes from -720 to 720; timezone takes the names of all zones";

/// The zone that was asked for, UTC where none was; `None` after a fault.
pub(super) fn zone(given: &mut GivenParameters<'_>, zones: &ZoneDatabase) -> Option<Zone> {
    let (offset, timezone) = (given.one(ReportParameter::Offset), given.one(ReportParameter::Timezone));
    if let (Some(_), Some(timezone)) = (offset, timezone) {
        let (got, other) = (Excerpt::quoted(timezone), ReportParameter::Offset.as_str());
        let fault = QueryFault::NotTogether { got, other };
        given.faults.push(QueryError::new(ReportParameter::Timezone.as_str(), fault));
    }
    let by_offset = offset.map(|text| {
        let zone = parse_minutes(text).and_then(Zone::fixed);
        if zone.is_none() {
            let minutes = parse_clock_offset(text).filter(|minutes| Zone::fixed(*minutes).is_some());
            let nearest = minutes.map(|minutes| minutes.to_string());
            given.faults.push(ReportParameter::Offset.misspelt(text, OFFSET_TAKES, nearest.as_deref()));
        }
        zone
    });
    let by_name = timezone.map(|text| {
        // No name has a space in it, but one with a `+` that a query string turned into one.
        let zone = zones.named(text).or_else(|| zones.named(&text.replace(' ', "+")));
        if zone.is_none() {
            let nearest = nearest_zone(text, zones);
            given.faults.push(ReportParameter::Timezone.misspelt(text, TIMEZONE_TAKES, nearest));
        }
        zone
    });
    match (by_offset, by_name) {
        (Some(None), Some(_)) => None,
        (_, Some(zone)) | (Some(zone), None) => zone,
        (None, None) => Some(Zone::UTC),
    }
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

/// Minutes of an offset as dates have it: `+01:00`.
fn parse_clock_offset(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    let is_negative = hours.starts_with('-');
    let hours = parse_minutes(hours)?;
    let minutes = parse_minutes(minutes).filter(|minutes| (0..60).contains(minutes))?;
    let of_hours = hours.checked_mul(60)?;
    if is_negative { of_hours.checked_sub(minutes) } else { of_hours.checked_add(minutes) }
}

fn nearest_zone<'a>(text: &str, zones: &'a ZoneDatabase) -> Option<&'a str> {
    let city = |name: &&str| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    nearest(text, zones.names()).or_else(|| zones.names().find(city))
}

/// The range that was asked for in a zone, as seen from `now_unix_ms`; `None` after a fault.
///
/// An explicit `from` or `to` wins over `period`: the other end then has its own default, 1974-1-1 or now.
pub(super) fn window(
    given: &mut GivenParameters<'_>,
    zone: Option<Zone>,
    now_unix_ms: i64,
) -> Option<Window> {
    let faults_before = given.faults.len();
    let (from, to) = (given.one(ReportParameter::From), given.one(ReportParameter::To));
    let mut date = |parameter, text| date(given, (parameter, text));
    let from_date = from.and_then(|text| date(ReportParameter::From, text));
    let to_date = to.and_then(|text| date(ReportParameter::To, text));
    let period = period(given);
    if given.faults.len() > faults_before {
        return None;
    }
    let (zone, period, now) = (zone?, period?, UnixSeconds::floor_ms(now_unix_ms));
    if from.is_none() && to.is_none() {
        let (asked_from, asked_end) = period.resolve(&zone, now);
        let range = LocalRange::widened(zone, asked_from, asked_end);
        return Some(Window { asked_from, asked_end, range, period: Some(period) });
    }
    let from_ms = from_date.unwrap_or_else(first_date).start_ms(&zone);
    let end_ms = to_date.map_or(now_unix_ms, |date| date.end_ms(&zone));
    // A bare date in `to` ends where the next day starts, which is after it.
    let last_start_ms = to_date.map_or(end_ms, |date| date.start_ms(&zone));
    if from_ms > end_ms || (from_ms == end_ms && from_ms > last_start_ms) {
        given.faults.push(backwards(from, to.unwrap_or("now")));
        return None;
    }
    let asked_from = UnixSeconds::floor_ms(from_ms);
    let asked_end = to_date.map_or(RangeEnd::Now(now), |_| RangeEnd::Before(UnixSeconds::ceil_ms(end_ms)));
    let range = LocalRange::widened(zone, asked_from, asked_end);
    Some(Window { asked_from, asked_end, range, period: None })
}

fn date(given: &mut GivenParameters<'_>, (parameter, text): (ReportParameter, &str)) -> Option<DateValue> {
    let date = DateValue::parse(text);
    if date.is_none()
        && let Some(MistakenDate { looks_like, instead }) = MistakenDate::of(text)
    {
        let (got, takes) = (Excerpt::quoted(text), DATE_TAKES);
        let fault = QueryFault::MistakenDate { got, looks_like, instead, takes };
        given.faults.push(QueryError::new(parameter.as_str(), fault));
        return None;
    }
    given.parsed((parameter, text), date, DATE_TAKES, [])
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

fn period(given: &mut GivenParameters<'_>) -> Option<Period> {
    let Some(text) = given.one(ReportParameter::Period) else { return Some(Period::Last30Days) };
    let names = Period::ALL.map(Period::as_str);
    // The list of names is made only for an error message.
    Period::parse(text)
        .or_else(|| given.parsed((ReportParameter::Period, text), None, names.join(", "), names))
}
