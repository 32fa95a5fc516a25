//! How long counts are kept. Pure: the time is an argument.

use super::Month;
use crate::model::calendar::Hour;

/// A span of time back from the present; what is before it is dropped, by whole months of UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// So many calendar months: the same day and hour that many months ago is kept.
    Months(u32),
    /// So many days of 24 hours.
    Days(u32),
}

impl Retention {
    /// The first month that is kept at that time; `None` where that is before all that can be counted.
    pub fn first_month_kept(self, now_unix_seconds: i64) -> Option<Month> {
        let now = Hour::containing(now_unix_seconds)?;
        let first = match self {
            Self::Months(months) => Month::containing(now).get().checked_sub(months).map(Month::new)?,
            Self::Days(days) => {
                let first = now.get().checked_sub(days.checked_mul(24)?)?;
                Month::containing(Hour::new(first))
            }
        };
        (first.get() > 0).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01T00:00:00Z.
    const NOW: i64 = 1_796_083_200;

    fn check(retention: Retention, now: i64, expected: Option<&str>) {
        let found = retention.first_month_kept(now).map(Month::name);
        assert_eq!(found.as_deref(), expected, "{retention:?} at {now}");
    }

    #[test]
    fn whole_months_before_the_span_go_and_the_month_that_it_begins_in_stays() {
        check(Retention::Months(60), NOW, Some("2021-12"));
        check(Retention::Months(60), NOW - 1, Some("2021-11"));
        check(Retention::Months(3), NOW + 30 * 86_400, Some("2026-09"));
        check(Retention::Days(91), NOW, Some("2026-09"));
        check(Retention::Days(92), NOW, Some("2026-08"));
        check(Retention::Days(400), NOW, Some("2025-10"));
    }

    #[test]
    fn nothing_goes_where_the_span_reaches_before_1970_or_the_clock_stands_there() {
        check(Retention::Months(683), NOW, None);
        check(Retention::Months(682), NOW, Some("1970-02"));
        check(Retention::Months(u32::MAX), NOW, None);
        check(Retention::Days(u32::MAX), NOW, None);
        check(Retention::Months(3), -1, None);
        check(Retention::Days(90), 0, None);
    }
}
