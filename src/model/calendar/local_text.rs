//! What the local calendar calls a unit, as text. Knows nothing of reports.

use super::{Unit, UnixSeconds, Zone, two_digits, write_instant};

/// The name of a unit on the local calendar: `2019`, `2019-03`, `2019-03-17` or `2019-03-17T01:00+01:00`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalText {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl LocalText {
    const BYTES_MAX: usize = 22;
    /// Bytes of date and time in a text of an hour; the offset follows.
    const TIME_BYTES: usize = 16;

    /// The name of the unit that starts at that moment in a zone.
    pub fn of(unit: Unit, zone: &Zone, start: UnixSeconds) -> Self {
        let offset_seconds = zone.offset_seconds(start);
        let mut shown = [0; 24];
        write_instant(start.plus(offset_seconds), &mut shown);
        let len = match unit {
            Unit::Year => 4,
            Unit::Month => 7,
            Unit::Day => 10,
            Unit::Hour => Self::BYTES_MAX,
        };
        let mut bytes = [0; Self::BYTES_MAX];
        for (byte, shown) in bytes.iter_mut().zip(shown) {
            *byte = shown;
        }
        if unit == Unit::Hour {
            let offset = bytes.get_mut(Self::TIME_BYTES..).unwrap_or_default();
            for (byte, shown) in offset.iter_mut().zip(offset_text(offset_seconds)) {
                *byte = shown;
            }
        }
        Self { bytes, len }
    }

    /// The text, which is plain ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// An offset from UTC as `+01:00`; seconds are left out.
fn offset_text(offset_seconds: i64) -> [u8; 6] {
    let sign = if offset_seconds < 0 { b'-' } else { b'+' };
    let minutes = offset_seconds.unsigned_abs().div_euclid(60);
    let [h1, h2] = two_digits(minutes.div_euclid(60));
    let [m1, m2] = two_digits(minutes.rem_euclid(60));
    [sign, h1, h2, b':', m1, m2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::{DateValue, ZoneDatabase};

    #[test]
    fn units_have_the_name_of_the_local_calendar() {
        for (unit, zone, start, expected) in [
            (Unit::Year, "Europe/Warsaw", "2018-12-31T23:00:00Z", "2019"),
            (Unit::Month, "Europe/Warsaw", "2019-02-28T23:00:00Z", "2019-03"),
            (Unit::Day, "Europe/Warsaw", "2019-03-16T23:00:00Z", "2019-03-17"),
            (Unit::Hour, "Europe/Warsaw", "2019-03-17T00:00:00Z", "2019-03-17T01:00+01:00"),
            // The hour that comes twice.
            (Unit::Hour, "Europe/Warsaw", "2019-10-27T00:00:00Z", "2019-10-27T02:00+02:00"),
            (Unit::Hour, "Europe/Warsaw", "2019-10-27T01:00:00Z", "2019-10-27T02:00+01:00"),
            (Unit::Hour, "UTC", "2019-10-27T01:00:00Z", "2019-10-27T01:00+00:00"),
            (Unit::Hour, "Asia/Kathmandu", "2019-10-27T00:15:00Z", "2019-10-27T06:00+05:45"),
            (Unit::Hour, "America/St_Johns", "2019-10-27T00:30:00Z", "2019-10-26T22:00-02:30"),
            // A day that begins at 01:00.
            (Unit::Day, "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04"),
        ] {
            let Some(DateValue::AtMs(ms)) = DateValue::parse(start) else { panic!("{start}") };
            let zone = ZoneDatabase::bundled().named(zone).unwrap();
            let text = LocalText::of(unit, &zone, UnixSeconds::floor_ms(ms));
            assert_eq!(std::str::from_utf8(text.as_bytes()), Ok(expected));
        }
    }
}
