//! What a text that is no date was probably meant to be. Knows nothing of parameters.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

use super::date::{FIRST_MS, bare_date, compact_time};
use super::{Hour, Period};

/// What a text looks like, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MistakenDate {
    /// Its kind, in words.
    pub looks_like: &'static str,
    /// What says the same and is taken.
    pub instead: String,
}

/// Digits of the longest number that is looked at.
const NUMBER_DIGITS: usize = 20;

impl MistakenDate {
    /// What the text was probably meant to be; `None` where it looks like nothing known.
    pub fn of(text: &str) -> Option<Self> {
        let mistaken = |looks_like, instead| Self { looks_like, instead };
        let is_number = |text: &str| {
            (1..=NUMBER_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if is_number(text) {
            return of_number(text);
        }
        if let Some((whole, decimals)) = text.split_once('.')
            && is_number(whole)
            && is_number(decimals)
        {
            let ms = whole.parse().ok().filter(|ms| (FIRST_MS..=last_ms()).contains(ms));
            let of_ms = ms.map(|ms| mistaken("milliseconds with a fraction", ms.to_string()));
            return of_ms.or_else(|| of_number(whole));
        }
        if Period::parse(text).is_some() {
            return Some(mistaken("a period", format!("period={text}")));
        }
        let separated = text.contains(['/', '.']).then(|| text.replace(['/', '.'], "-"));
        let day = separated.and_then(|text| bare_date(&text));
        if let Some(day) = day.filter(|day| day.year() >= 1970) {
            return Some(mistaken("a date without hyphens", dashed(day)));
        }
        time_without_zone(text)
            .map(|time| mistaken("a time without a zone", format!("{}Z", time.format("%Y-%m-%dT%H:%M:%S"))))
    }
}

fn of_number(digits: &str) -> Option<MistakenDate> {
    let mistaken = |looks_like, instead| Some(MistakenDate { looks_like, instead });
    if let Some(time) = compact_time(digits) {
        let instead = format!("{}Z", time.format("%Y-%m-%dT%H:%M:%S"));
        return mistaken("a date and time without hyphens and colons", instead);
    }
    if let Some(day) = compact_date(digits) {
        return mistaken("a date without hyphens", dashed(day));
    }
    let number: u128 = digits.parse().ok()?;
    let units = [("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000)];
    units.into_iter().find_map(|(looks_like, times, by)| {
        let ms = number.checked_mul(times)?.checked_div(by)?;
        let ms = i64::try_from(ms).ok().filter(|ms| (FIRST_MS..=last_ms()).contains(ms))?;
        mistaken(looks_like, ms.to_string())
    })
}

/// The last moment that an event can have, in milliseconds.
fn last_ms() -> i64 {
    Hour::END.unix_seconds().saturating_mul(1_000)
}

/// `YYYYMMDD`, or less of it.
fn compact_date(digits: &str) -> Option<NaiveDate> {
    let part = |from, to| digits.get(from..to).and_then(|part| part.parse::<u32>().ok());
    let (month, day) = match digits.len() {
        4 => (1, 1),
        6 => (part(4, 6)?, 1),
        8 => (part(4, 6)?, part(6, 8)?),
        _ => return None,
    };
    let year = i32::try_from(part(0, 4)?).ok().filter(|year| (1970..=2199).contains(year))?;
    NaiveDate::from_ymd_opt(year, month, day)
}

fn dashed(day: NaiveDate) -> String {
    format!("{}-{}-{}", day.year(), day.month(), day.day())
}

/// RFC 3339 without its offset, and perhaps without seconds.
fn time_without_zone(text: &str) -> Option<NaiveDateTime> {
    let text = text.replacen(' ', "T", 1);
    let whole = DateTime::parse_from_rfc3339(&format!("{text}Z")).ok().map(|time| time.naive_utc());
    whole.or_else(|| NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M").ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::DateValue;

    #[test]
    fn mistakes_are_told_and_what_to_write_instead_is_taken() {
        for (text, expected) in [
            ("1552780800", Some(("seconds", "1552780800000"))),
            ("126230400", Some(("seconds", "126230400000"))),
            ("1552780800.25", Some(("seconds", "1552780800000"))),
            ("1552780800000.5", Some(("milliseconds with a fraction", "1552780800000"))),
            ("1552780800000000", Some(("microseconds", "1552780800000"))),
            ("1552780800000000000", Some(("nanoseconds", "1552780800000"))),
            ("20190317", Some(("a date without hyphens", "2019-3-17"))),
            ("201903", Some(("a date without hyphens", "2019-3-1"))),
            ("2019", Some(("a date without hyphens", "2019-1-1"))),
            ("2019/03/17", Some(("a date without hyphens", "2019-3-17"))),
            ("2019.3.17", Some(("a date without hyphens", "2019-3-17"))),
            ("20190317093000", Some(("a date and time without hyphens and colons", "2019-03-17T09:30:00Z"))),
            ("2019-03-17T09:30:00", Some(("a time without a zone", "2019-03-17T09:30:00Z"))),
            ("2019-03-17 09:30:00.5", Some(("a time without a zone", "2019-03-17T09:30:00Z"))),
            ("2019-03-17 09:30", Some(("a time without a zone", "2019-03-17T09:30:00Z"))),
            ("20191317", None),
            ("0", None),
            ("126230399", None),
            ("99999999999999999999", None),
            ("999999999999999999999", None),
            ("2019-02-29", None),
            ("1969-12-31", None),
            ("1969/12/31", None),
            ("-1", None),
            (".", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(DateValue::parse(text), None, "{text}");
            let found = MistakenDate::of(text);
            let found = found.as_ref().map(|found| (found.looks_like, found.instead.as_str()));
            assert_eq!(found, expected, "{text}");
            assert!(expected.is_none_or(|(_, instead)| DateValue::parse(instead).is_some()), "{text}");
        }
        let today = MistakenDate::of("today").expect("a period");
        assert_eq!((today.looks_like, today.instead.as_str()), ("a period", "period=today"));
    }
}
