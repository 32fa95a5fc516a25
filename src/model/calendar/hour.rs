//! The UTC hour, the finest time that is kept, and half-open ranges of it.

use crate::limits::HOURS_MAX;

/// Whole hours since 1970-01-01T00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hour(u32);

impl Hour {
    /// Seconds in an hour.
    pub const SECONDS: i64 = 3_600;
    /// The first hour.
    pub const MIN: Self = Self(0);
    /// The hour after the last that an event can have.
    pub const END: Self = Self(HOURS_MAX);
    /// The last hour of 32 bits.
    pub const MAX: Self = Self(u32::MAX);

    /// The hour of that number.
    #[inline]
    pub const fn new(hours_since_epoch: u32) -> Self {
        Self(hours_since_epoch)
    }

    /// The hour of a number that is still to be checked; `None` from [`Self::END`] on.
    #[inline]
    pub fn checked(hours_since_epoch: u32) -> Option<Self> {
        (hours_since_epoch < HOURS_MAX).then_some(Self(hours_since_epoch))
    }

    /// The hour that the instant is in; `None` before 1970 and from [`Self::END`] on.
    #[inline]
    pub fn containing(unix_seconds: i64) -> Option<Self> {
        u32::try_from(unix_seconds.div_euclid(Self::SECONDS)).ok().and_then(Self::checked)
    }

    /// Whole hours since the epoch.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The instant at which the hour starts, in seconds since the epoch.
    #[inline]
    pub fn unix_seconds(self) -> i64 {
        i64::from(self.0).saturating_mul(Self::SECONDS)
    }

    /// The instant at which the hour starts, as `2019-03-17T09:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        super::rfc3339(self.unix_seconds().saturating_mul(1_000))
    }

    /// The hour that many hours later; at most `Hour::MAX`.
    #[inline]
    #[must_use]
    pub const fn plus(self, hours: u32) -> Self {
        Self(self.0.saturating_add(hours))
    }

    /// The next hour; `Hour::MAX` stays itself.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The hours from `start` up to, but not including, `end`. Empty where `end <= start`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HourRange {
    /// The first hour of the range.
    pub start: Hour,
    /// The hour after the last.
    pub end: Hour,
}

impl HourRange {
    /// Every hour there is.
    pub const ALL: Self = Self { start: Hour::MIN, end: Hour::MAX };

    /// Whether the hour is in the range.
    #[inline]
    pub fn contains(self, hour: Hour) -> bool {
        self.start <= hour && hour < self.end
    }

    /// Whether there is no hour in it.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}
