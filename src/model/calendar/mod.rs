//! Time as reports see it: hours, zones, units, periods, dates. The only room that knows months, time zones and
//! daylight saving. Pure: reads neither clock nor disk; "now" and the zone files of the machine are arguments.
//!
//! INVARIANT: every moment belongs to exactly one hour, day, month and year of a zone; days tile months and months
//! tile years, whatever the clocks of the zone do.
#![warn(clippy::arithmetic_side_effects)]

mod comparison;
mod date;
mod hour;
mod local_text;
mod mistaken;
mod moment;
mod period;
mod range;
mod unit;
mod zone;
mod zone_database;

pub use comparison::{AskedRange, CompareWith};
pub use date::{DATE_TAKES, DateValue, Instants, http_date, rfc3339, two_digits, write_instant};
pub use hour::{Hour, HourRange};
pub use local_text::LocalText;
pub use mistaken::MistakenDate;
pub use moment::UnixSeconds;
pub use period::Period;
pub use range::{LocalRange, RangeEnd};
pub use unit::{Unit, Units};
pub use zone::{Span, Zone};
pub use zone_database::{ZoneDatabase, ZoneFile, ZoneSource, Zones};
