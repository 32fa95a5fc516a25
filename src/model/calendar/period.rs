//! The nine named periods. Knows nothing of parameters.

use chrono::{Datelike, Days, Months, NaiveDate};

use super::{RangeEnd, UnixSeconds, Zone};
use crate::model::named::named_enum;

named_enum! {
    /// A named range of local dates, counted back from the present day, as in the parameter `period`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum Period {
        /// From 00:00 today.
        Today = "today",
        /// The day before today.
        Yesterday = "yesterday",
        /// Today and the 6 days before.
        Last7Days = "last7days",
        /// Today and the 29 days before.
        Last30Days = "last30days",
        /// From the first day of the month.
        ThisMonth = "thisMonth",
        /// The whole month before this one.
        LastMonth = "lastMonth",
        /// From the day after the date three months ago.
        Last3Months = "last3Months",
        /// From the first day of the year.
        ThisYear = "thisYear",
        /// The whole year before this one.
        LastYear = "lastYear",
    }
}

impl Period {
    /// Start and end of the period in a zone, as seen from `now`.
    pub fn resolve(self, zone: &Zone, now: UnixSeconds) -> (UnixSeconds, RangeEnd) {
        let today = zone.date(now);
        let month = today.with_day(1).unwrap_or(today);
        let year = month.with_month(1).unwrap_or(month);
        let (from, to) = match self {
            Self::Today => (today, None),
            Self::Yesterday => (days_before(today, 1), Some(today)),
            Self::Last7Days => (days_before(today, 6), None),
            Self::Last30Days => (days_before(today, 29), None),
            Self::ThisMonth => (month, None),
            Self::LastMonth => (months_before(month, 1), Some(month)),
            // Clamped to the length of the month: on 31 May that is 28 February, and the period starts on 1 March.
            Self::Last3Months => {
                let ago = months_before(today, 3);
                (ago.succ_opt().unwrap_or(ago), None)
            }
            Self::ThisYear => (year, None),
            Self::LastYear => (months_before(year, 12), Some(year)),
        };
        (zone.start_of(from), to.map_or(RangeEnd::Now(now), |date| RangeEnd::Before(zone.start_of(date))))
    }
}

fn days_before(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_sub_days(Days::new(days)).unwrap_or(date)
}

fn months_before(date: NaiveDate, months: u32) -> NaiveDate {
    date.checked_sub_months(Months::new(months)).unwrap_or(date)
}
