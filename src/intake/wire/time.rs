//! Timestamps: their unit, and which instants an event may have. Owns the arithmetic from a client's integer to an
//! hour; knows no clock, the instant of arrival is an argument.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::error::{Excerpt, LineError, LineErrorKind};
use crate::limits::EVENT_UNIX_SECONDS_MIN;
use crate::model::calendar::Hour;

const NANOS_PER_MILLISECOND: u64 = 1_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_HOUR: u64 = 3_600_000_000_000;
/// The earliest instant of an event, in nanoseconds since the epoch.
const EARLIEST_NANOS: i64 = EVENT_UNIX_SECONDS_MIN * NANOS_PER_SECOND;
/// The latest one, whatever the daemon's clock shows: the last of the last hour that can be counted.
#[expect(clippy::as_conversions, reason = "from is not const")]
const LATEST_NANOS: i64 = Hour::END.get() as i64 * Hour::SECONDS * NANOS_PER_SECOND - 1;

/// Unit of the integer timestamps of a request or connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precision {
    /// 10⁻⁹ s.
    #[default]
    Nanoseconds,
    /// 10⁻⁶ s.
    Microseconds,
    /// 10⁻³ s.
    Milliseconds,
    /// 1 s.
    Seconds,
    /// 60 s.
    Minutes,
    /// 3600 s.
    Hours,
}

impl Precision {
    /// A number of its own, for hashing.
    pub(crate) const fn index(self) -> u64 {
        match self {
            Self::Nanoseconds => 0,
            Self::Microseconds => 1,
            Self::Milliseconds => 2,
            Self::Seconds => 3,
            Self::Minutes => 4,
            Self::Hours => 5,
        }
    }

    /// The precision that `name` stands for in `InfluxDB` 1 (`n`, `ns`, `u`, `us`, `µ`, `ms`, `s`, `m`, `h`).
    pub fn parse_v1(name: &str) -> Option<Self> {
        match name {
            "n" => Some(Self::Nanoseconds),
            // U+00B5 is the micro sign, U+03BC the Greek letter that looks like it.
            "u" | "\u{b5}" | "\u{3bc}" => Some(Self::Microseconds),
            "m" => Some(Self::Minutes),
            "h" => Some(Self::Hours),
            other => Self::parse_v2(other),
        }
    }

    /// The precision that `name` stands for in `InfluxDB` 2 and in `!precision` (`ns`, `us`, `ms`, `s`).
    pub fn parse_v2(name: &str) -> Option<Self> {
        match name {
            "ns" => Some(Self::Nanoseconds),
            "us" => Some(Self::Microseconds),
            "ms" => Some(Self::Milliseconds),
            "s" => Some(Self::Seconds),
            _ => None,
        }
    }

    /// Nanoseconds in one unit.
    pub const fn nanos(self) -> u64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
            Self::Minutes => 60_000_000_000,
            Self::Hours => NANOS_PER_HOUR,
        }
    }

    /// The unit in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
        }
    }
}

/// How fine the timestamp of an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamp {
    /// There is one, and it is not a whole millisecond.
    Finer,
    /// It is a whole millisecond, or there is none.
    Coarse,
}

impl Stamp {
    /// How fine that instant is, in nanoseconds since the epoch.
    #[inline]
    pub(super) fn of(unix_nanos: u64) -> Self {
        if unix_nanos.is_multiple_of(NANOS_PER_MILLISECOND) { Self::Coarse } else { Self::Finer }
    }
}

/// When bytes arrived, and how far ahead of that their events may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The instant of arrival, in nanoseconds since 1970-01-01T00:00Z.
    pub unix_nanos: i64,
    /// How far ahead of the arrival a timestamp may be.
    pub max_future: Duration,
    /// The first hour that is kept, where those before were dropped.
    pub dropped_before: Option<Hour>,
}

/// The rules for the timestamps of one read or request, ready to apply: units, bounds, and the hour of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRules {
    /// The unit of line protocol's timestamps.
    pub(super) line_precision: Precision,
    /// The unit of JSON's integer timestamps.
    pub(super) json_precision: Precision,
    line_nanos_per_unit: u64,
    /// The hour of an event without a timestamp; `None` where the daemon's clock stands before 1974.
    pub(super) arrival_hour: Option<Hour>,
    /// The first instant that is kept and may be counted.
    earliest_nanos: i64,
    latest_nanos: i64,
    /// `latest_nanos`, or 0 where that is negative.
    latest_nanos_unsigned: u64,
    max_future: Duration,
    dropped_before: Option<Hour>,
}

impl TimeRules {
    /// The rules for bytes of that arrival. `precision` is the client's choice; without one, line
    /// protocol is in nanoseconds and JSON in milliseconds.
    pub fn new(arrival: Arrival, precision: Option<Precision>) -> Self {
        let line_precision = precision.unwrap_or(Precision::Nanoseconds);
        let ahead_nanos = i64::try_from(arrival.max_future.as_nanos()).unwrap_or(i64::MAX);
        let latest_nanos = arrival.unix_nanos.saturating_add(ahead_nanos).min(LATEST_NANOS);
        let first_kept = arrival.dropped_before.map_or(0, Hour::unix_seconds);
        let earliest_nanos = EARLIEST_NANOS.max(first_kept.saturating_mul(NANOS_PER_SECOND));
        Self {
            line_precision,
            json_precision: precision.unwrap_or(Precision::Milliseconds),
            line_nanos_per_unit: line_precision.nanos(),
            arrival_hour: (arrival.unix_nanos >= earliest_nanos)
                .then(|| hour_of(arrival.unix_nanos))
                .flatten(),
            earliest_nanos,
            latest_nanos,
            latest_nanos_unsigned: u64::try_from(latest_nanos).unwrap_or(0),
            max_future: arrival.max_future,
            dropped_before: arrival.dropped_before,
        }
    }

    /// The hour of line protocol's timestamp `units` and how fine it is, or `None` where the timestamp has to be refused;
    /// [`TimeRules::check`] then says why.
    #[inline]
    pub(super) fn accept_line(&self, units: u64) -> Option<(Hour, Stamp)> {
        self.accept_nanos(units.checked_mul(self.line_nanos_per_unit)?)
    }

    /// The same of JSON's integer timestamp.
    #[inline]
    pub(super) fn accept_json(&self, units: u64) -> Option<(Hour, Stamp)> {
        self.accept_nanos(units.checked_mul(self.json_precision.nanos())?)
    }

    #[inline]
    fn accept_nanos(&self, nanos: u64) -> Option<(Hour, Stamp)> {
        if nanos < self.earliest_nanos.unsigned_abs() || self.latest_nanos_unsigned < nanos {
            return None;
        }
        let hour = u32::try_from(nanos / NANOS_PER_HOUR).ok()?;
        Some((Hour::new(hour), Stamp::of(nanos)))
    }

    /// The hour and instant (nanoseconds since the epoch) of the timestamp `units`.
    ///
    /// # Errors
    /// `TimestampRange` where the instant does not fit 64-bit nanoseconds, `TooEarly` before 1974-01-01, `Dropped` before what is
    /// kept, `TooLate` more than `max_future` after the arrival.
    pub fn check(&self, units: i64, precision: Precision) -> Result<(Hour, i64), LineErrorKind> {
        i64::try_from(precision.nanos())
            .ok()
            .and_then(|nanos_per_unit| units.checked_mul(nanos_per_unit))
            .ok_or(LineErrorKind::TimestampRange { given: units, unit: precision.as_str() })
            .and_then(|nanos| self.check_instant(nanos, precision.as_str()))
    }

    /// The hour and instant of an RFC 3339 date and time.
    ///
    /// # Errors
    /// `JsonTimestamp` where it is none, else as [`TimeRules::check`]; what is past the range of 64-bit nanoseconds is
    /// too early or too late as well.
    pub fn check_text(&self, text: &str) -> Result<(Hour, i64), LineErrorKind> {
        const UNIT: &str = "RFC 3339";
        let instant = DateTime::parse_from_rfc3339(text).map_err(|_none| LineErrorKind::JsonTimestamp {
            got: Excerpt::new(&format!("the text `{text}`")),
        })?;
        match instant.timestamp_nanos_opt() {
            Some(nanos) => self.check_instant(nanos, UNIT),
            None if instant.timestamp() < 0 => {
                Err(LineErrorKind::TooEarly { instant: Excerpt::new(text), unit: UNIT })
            }
            None => Err(self.too_late(Excerpt::new(text), UNIT)),
        }
    }

    fn too_late(&self, instant: Excerpt, unit: &'static str) -> LineErrorKind {
        LineErrorKind::TooLate { instant, max_future_seconds: self.max_future.as_secs(), unit }
    }

    /// The hour of the arrival, for an event without a timestamp.
    ///
    /// # Errors
    /// `NoUsableClock` where the daemon's clock stands before 1974.
    pub fn check_absent(&self) -> Result<Hour, LineError> {
        self.arrival_hour.ok_or(LineError::whole(LineErrorKind::NoUsableClock))
    }

    fn check_instant(&self, nanos: i64, unit: &'static str) -> Result<(Hour, i64), LineErrorKind> {
        let instant = || instant_of(nanos);
        if nanos < EARLIEST_NANOS {
            return Err(LineErrorKind::TooEarly { instant: instant(), unit });
        }
        if nanos < self.earliest_nanos
            && let Some(first_kept) = self.dropped_before
        {
            let first_kept = instant_of(first_kept.unix_seconds().saturating_mul(NANOS_PER_SECOND));
            return Err(LineErrorKind::Dropped { instant: instant(), first_kept, unit });
        }
        if self.latest_nanos < nanos {
            return Err(self.too_late(instant(), unit));
        }
        let hour = hour_of(nanos).ok_or_else(|| LineErrorKind::TooEarly { instant: instant(), unit })?;
        Ok((hour, nanos))
    }
}

fn instant_of(unix_nanos: i64) -> Excerpt {
    let instant = DateTime::<Utc>::from_timestamp_nanos(unix_nanos);
    Excerpt::new(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The hour that an instant, in nanoseconds since the epoch, is in; `None` before 1970 and from [`Hour::END`] on.
fn hour_of(unix_nanos: i64) -> Option<Hour> {
    Hour::containing(unix_nanos.div_euclid(NANOS_PER_SECOND))
}
