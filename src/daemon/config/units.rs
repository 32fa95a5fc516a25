//! Durations and sizes as people write them. Pure.

use std::time::Duration;

use crate::limits::{RETENTION_DAYS_MIN, RETENTION_MONTHS_MIN, RETENTION_YEARS_MAX};
use crate::model::cells::Retention;

/// The duration that `text` spells: digits and one of `ms`, `s`, `m`, `h`, `d`; seconds without a unit. `None` for
/// anything else, and past what a `Duration` holds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// The span that `text` spells: digits and one of `y`, `mo`, `d`, not shorter or longer than counts may be kept.
pub(super) fn span(text: &str) -> Option<Retention> {
    let (number, unit) = number_and_unit(text)?;
    let number = u32::try_from(number).ok()?;
    match unit {
        "y" => number.checked_mul(12).filter(|months| *months > 0).map(Retention::Months),
        "mo" => Some(number).filter(|months| *months >= RETENTION_MONTHS_MIN).map(Retention::Months),
        "d" => Some(number).filter(|days| *days >= RETENTION_DAYS_MIN).map(Retention::Days),
        _ => None,
    }
    .filter(|span| match span {
        Retention::Months(months) => *months <= RETENTION_YEARS_MAX * 12,
        Retention::Days(days) => *days <= RETENTION_YEARS_MAX * 365,
    })
}

/// The bytes that `text` spells: digits and one of `B`, `KiB`, `MiB`, `GiB`, `TiB` in any letter case, or their first
/// letters; bytes without a unit. `None` for anything else, and past 64 bits.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 1,
        "m" | "mib" => 2,
        "g" | "gib" => 3,
        "t" | "tib" => 4,
        _ => return None,
    };
    number.checked_mul(1024_u64.pow(power))
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_ms: Option<u64>) {
        assert_eq!(duration(text), expected_ms.map(Duration::from_millis), "{text:?}");
    }

    #[test]
    fn durations_are_understood() {
        check("0", Some(0));
        check("60", Some(60_000));
        check("60s", Some(60_000));
        check("500ms", Some(500));
        check("5m", Some(300_000));
        check("1h", Some(3_600_000));
        check("1 h", Some(3_600_000));
        check("7d", Some(7 * 86_400_000));
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in
            ["", "s", "-1s", "1.5h", "1w", "1h30m", "60S", "１s", " 1s", "18446744073709551615h", "1e3"]
        {
            check(text, None);
        }
    }

    #[test]
    fn spans_are_understood() {
        for (text, expected) in [
            ("5y", Retention::Months(60)),
            ("1y", Retention::Months(12)),
            ("100y", Retention::Months(1_200)),
            ("18mo", Retention::Months(18)),
            ("3mo", Retention::Months(3)),
            ("400d", Retention::Days(400)),
            ("90 d", Retention::Days(90)),
            ("36500d", Retention::Days(36_500)),
        ] {
            assert_eq!(span(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_no_spans() {
        for text in [
            "",
            "5",
            "y",
            "0y",
            "101y",
            "1201mo",
            "2mo",
            "89d",
            "36501d",
            "5Y",
            "18m",
            "18months",
            "-5y",
            "1.5y",
            "8760h",
            "1y6mo",
            "5 years",
            "4294967296d",
            "400000000y",
        ] {
            assert_eq!(span(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_understood() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512MiB", 512 << 20),
            ("8g", 8 << 30),
            ("1 GiB", 1 << 30),
            ("1kib", 1024),
        ] {
            assert_eq!(size(text), Some(bytes), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_no_sizes() {
        // Decimal units are refused rather than taken for binary ones.
        for text in ["", "MiB", "-1", "1.5GiB", "1GB", "1 MB", "16777216TiB", "1e3"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }
}
