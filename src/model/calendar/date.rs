//! Dates as text: the three spellings that reports take, the one that they write, and those of HTTP answers.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

use super::moment::LocalSeconds;
use super::{Hour, UnixSeconds, Zone};
use crate::limits::narrow;

/// What [`DateValue::parse`] takes, for messages.
pub const DATE_TAKES: &str = "a date as YYYY-M-D or RFC 3339, from 1970-1-1 to 9999-12-31, or milliseconds since 1970, from 126230400000 (1974-1-1) on";

/// 1974-01-01T00:00Z in milliseconds since the epoch. No event is older, so a number below it means something else.
pub(super) const FIRST_MS: i64 = 126_230_400_000;

/// 10000-01-01T00:00Z in milliseconds since the epoch.
const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// A date as it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateValue {
    /// A bare date: all of that day, in a zone that is named elsewhere.
    Day(NaiveDate),
    /// A time, in milliseconds since the epoch.
    AtMs(i64),
}

impl DateValue {
    /// The date that `text` spells, as [`DATE_TAKES`] says; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let value = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let ms = text.parse().ok().filter(|ms| *ms >= FIRST_MS)?;
            if compact_time(text).is_some() {
                return None;
            }
            Self::AtMs(ms)
        } else if let Some(day) = bare_date(text) {
            Self::Day(day)
        } else {
            Self::AtMs(rfc3339_ms(text)?)
        };
        let is_in_range = match value {
            Self::Day(day) => (1970..=9999).contains(&day.year()),
            Self::AtMs(ms) => (0..YEAR_10000_MS).contains(&ms),
        };
        is_in_range.then_some(value)
    }

    /// The moment at which it starts in a zone, in milliseconds since the epoch.
    pub fn start_ms(self, zone: &Zone) -> i64 {
        match self {
            Self::Day(day) => start_of_day_ms(zone, day),
            Self::AtMs(ms) => ms,
        }
    }

    /// The moment before which it ends in a zone, in milliseconds since the epoch: a bare date includes its day.
    pub fn end_ms(self, zone: &Zone) -> i64 {
        match self {
            Self::Day(day) => start_of_day_ms(zone, day.succ_opt().unwrap_or(day)),
            Self::AtMs(ms) => ms,
        }
    }
}

/// Not after the last year that can be written.
fn start_of_day_ms(zone: &Zone, day: NaiveDate) -> i64 {
    zone.start_of(day).get().saturating_mul(1_000).min(YEAR_10000_MS)
}

/// `YYYY-M-D` with one or two digits for month and day.
pub(super) fn bare_date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let lengths = year.len() == 4 && (1..=2).contains(&month.len()) && (1..=2).contains(&day.len());
    if parts.next().is_some() || !lengths || !(digits(year) && digits(month) && digits(day)) {
        return None;
    }
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// `YYYYMMDDhhmmss`. As milliseconds it would be centuries after the last event.
pub(super) fn compact_time(digits: &str) -> Option<NaiveDateTime> {
    // Most are not, and are told by their length.
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok()?;
    (1970..=2199).contains(&time.year()).then_some(time)
}

/// RFC 3339, also with the `+` of the offset lost to a query string, where an unescaped one means a space.
fn rfc3339_ms(text: &str) -> Option<i64> {
    if let Ok(parsed) = DateTime::parse_from_rfc3339(text) {
        return Some(parsed.timestamp_millis());
    }
    let (time, offset) = text.rsplit_once(' ')?;
    let repaired = format!("{time}+{offset}");
    DateTime::parse_from_rfc3339(&repaired).ok().map(|parsed| parsed.timestamp_millis())
}

/// Writes moments as `2019-03-17T00:00:00.000Z`, one after the other: fast where each comes a day or an hour after the
/// one before.
///
/// The text is kept in three words. A step changes a word in a register; changing two bytes in memory would make the next
/// load of the word wait for that store.
#[derive(Debug)]
pub struct Instants {
    at: UnixSeconds,
    /// Eight characters each, the first in the lowest byte: `2019-03-`, `17T00:00` and `:00.000Z`.
    words: [u64; 3],
    /// The day of the month and the hour.
    day: u8,
    hour: u8,
    last_day: u8,
}

impl Default for Instants {
    /// Nothing was written: no moment is a step after it.
    fn default() -> Self {
        Self { at: UnixSeconds::MIN, words: [0; 3], day: 0, hour: 23, last_day: 0 }
    }
}

impl Instants {
    /// Writes the moment.
    #[inline]
    pub fn write(&mut self, at: UnixSeconds, out: &mut [u8; 24]) {
        let step = at.get().wrapping_sub(self.at.get());
        let [_, second, _] = &mut self.words;
        if step == UnixSeconds::DAY && self.day < self.last_day {
            self.day = self.day.wrapping_add(1);
            *second = *second & !0xFFFF | pair_word(self.day);
            self.at = at;
        } else if step == Hour::SECONDS && self.hour < 23 {
            self.hour = self.hour.wrapping_add(1);
            *second = *second & !(0xFFFF << 24) | pair_word(self.hour) << 24;
            self.at = at;
        } else {
            self.jump(at);
        }
        let (words, _) = out.as_chunks_mut::<8>();
        for (place, word) in words.iter_mut().zip(self.words) {
            *place = word.to_le_bytes();
        }
    }

    #[cold]
    fn jump(&mut self, at: UnixSeconds) {
        let mut text = [0; 24];
        write_instant(at, &mut text);
        let (words, _) = text.as_chunks::<8>();
        self.words =
            std::array::from_fn(|place| words.get(place).map_or(0, |word| u64::from_le_bytes(*word)));
        let local = LocalSeconds::new(at.get());
        let date = local.day().date();
        self.day = u8::try_from(date.day()).unwrap_or(31);
        self.last_day = date.num_days_in_month();
        self.hour =
            u8::try_from(local.get().rem_euclid(UnixSeconds::DAY).div_euclid(Hour::SECONDS)).unwrap_or(23);
        self.at = at;
    }
}

/// Two digits, the first in the lower byte.
#[inline]
fn pair_word(number: u8) -> u64 {
    u64::from(u16::from_le_bytes(pair(u32::from(number))))
}

/// Writes a moment as `2019-03-17T00:00:00.000Z`. Years are held within 0 … 9999, so that the width is always 24.
pub fn write_instant(at: UnixSeconds, out: &mut [u8; 24]) {
    let local = LocalSeconds::new(at.get());
    let date = local.day().date();
    let second = u32::try_from(local.get().rem_euclid(UnixSeconds::DAY)).unwrap_or(0);
    let year = u32::try_from(date.year().clamp(0, 9_999)).unwrap_or(0);
    let minute = second.div_euclid(60);
    let ([y1, y2], [y3, y4]) = (pair(year.div_euclid(100)), pair(year));
    let ([m1, m2], [d1, d2]) = (pair(date.month()), pair(date.day()));
    let ([h1, h2], [n1, n2]) = (pair(minute.div_euclid(60)), pair(minute.rem_euclid(60)));
    let [s1, s2] = pair(second.rem_euclid(60));
    *out = [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', b'0',
        b'0', b'0', b'Z',
    ];
}

/// An instant, in milliseconds since 1970, as `2019-03-17T00:00:00.000Z`; 1970 where it is outside chrono's range.
pub fn rfc3339(unix_ms: i64) -> String {
    utc(unix_ms).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An instant, in seconds since 1970, as HTTP writes dates: `Sun, 17 Mar 2019 09:00:03 GMT`; 1970 where it is
/// outside chrono's range.
pub fn http_date(unix_seconds: i64) -> String {
    utc(unix_seconds.saturating_mul(1_000)).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn utc(unix_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(unix_ms).unwrap_or(DateTime::UNIX_EPOCH)
}

/// The two last digits of a number, as text.
#[inline]
pub fn two_digits(number: u64) -> [u8; 2] {
    pair(u32::try_from(number.rem_euclid(100)).unwrap_or(0))
}

/// The two last digits of a number.
#[inline]
fn pair(number: u32) -> [u8; 2] {
    let place = narrow(number.rem_euclid(100));
    PAIRS.get(place).copied().unwrap_or(*b"00")
}

/// `00` … `99`: a report of 100,000 points writes 700,000 pairs of digits.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [*b"00"; 100];
    let mut tens = b'0';
    let mut rest: &mut [[u8; 2]] = &mut pairs;
    while let Some((block, later)) = rest.split_at_mut_checked(10) {
        let mut ones = b'0';
        let mut places: &mut [[u8; 2]] = block;
        while let [place, others @ ..] = places {
            *place = [tens, ones];
            ones = ones.saturating_add(1);
            places = others;
        }
        tens = tens.saturating_add(1);
        rest = later;
    }
    pairs
};
