//! A moment in whole seconds. Knows nothing of zones.

use chrono::NaiveDate;

use super::Hour;

/// Seconds since 1970-01-01T00:00Z; negative before. Every operation saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixSeconds(i64);

impl UnixSeconds {
    /// Before every other moment.
    pub const MIN: Self = Self(i64::MIN);
    /// After every other moment.
    pub const MAX: Self = Self(i64::MAX);
    /// Seconds in a day without clock changes.
    pub(super) const DAY: i64 = 86_400;

    /// The moment of that number.
    #[inline]
    pub const fn new(unix_seconds: i64) -> Self {
        Self(unix_seconds)
    }

    /// The last whole second at or before `unix_ms` milliseconds since the epoch.
    pub const fn floor_ms(unix_ms: i64) -> Self {
        Self(unix_ms.div_euclid(1_000))
    }

    /// The first whole second at or after `unix_ms` milliseconds since the epoch.
    pub const fn ceil_ms(unix_ms: i64) -> Self {
        Self(unix_ms.saturating_add(999).div_euclid(1_000))
    }

    /// Seconds since the epoch.
    #[inline]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The moment `seconds` later (earlier where negative).
    #[inline]
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The first bucket that starts at or after this moment, held within the range of [`Hour`].
    #[inline]
    pub fn first_hour(self) -> Hour {
        let hours = self.0.saturating_add(Hour::SECONDS.saturating_sub(1)).div_euclid(Hour::SECONDS);
        Hour::new(u32::try_from(hours.max(0)).unwrap_or(u32::MAX))
    }
}

/// What a clock on a wall shows: seconds since it showed 1970-01-01 00:00.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LocalSeconds(i64);

impl LocalSeconds {
    pub(super) const fn new(seconds: i64) -> Self {
        Self(seconds)
    }

    pub(super) const fn get(self) -> i64 {
        self.0
    }

    pub(super) const fn midnight(day: DayNumber) -> Self {
        Self(day.0.saturating_mul(UnixSeconds::DAY))
    }

    /// So many seconds after midnight of a date.
    pub(super) fn of(date: NaiveDate, second_of_day: i64) -> Self {
        Self(Self::midnight(DayNumber::of(date)).0.saturating_add(second_of_day))
    }

    pub(super) const fn day(self) -> DayNumber {
        DayNumber(self.0.div_euclid(UnixSeconds::DAY))
    }

    pub(super) const fn second_of_hour(self) -> i64 {
        self.0.rem_euclid(Hour::SECONDS)
    }
}

/// Days since 1970-01-01 on some local calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DayNumber(i64);

impl DayNumber {
    pub(super) fn of(date: NaiveDate) -> Self {
        Self(i64::from(date.to_epoch_days()))
    }

    pub(super) const fn new(days: i64) -> Self {
        Self(days)
    }

    pub(super) const fn get(self) -> i64 {
        self.0
    }

    /// The date of that number, held within the dates that chrono knows (262,000 years either way).
    pub(super) fn date(self) -> NaiveDate {
        let nearest = if self.0 < 0 { NaiveDate::MIN } else { NaiveDate::MAX };
        i32::try_from(self.0).ok().and_then(NaiveDate::from_epoch_days).unwrap_or(nearest)
    }
}
