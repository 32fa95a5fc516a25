//! Time as reports see it: hours, zones, units, periods, dates. The only room that knows months, time zones and
//! daylight saving. Pure: never asks what time it is; "now" is always an argument.
//!
//! INVARIANT: every moment belongs to exactly one hour, day, month and year of a zone; days tile months and months
//! tile years, whatever the clocks of the zone do.
#![warn(clippy::arithmetic_side_effects)]

mod date;
mod hour;
mod moment;
mod period;
mod range;
mod unit;
mod zone;

pub use date::{DATE_TAKES, DateValue, Instants, http_date, rfc3339, two_digits, write_instant};
pub use hour::{Hour, HourRange};
pub use moment::UnixSeconds;
pub use period::Period;
pub use range::{End, LocalRange};
pub use unit::{Unit, Units};
pub use zone::{Span, Zone};
