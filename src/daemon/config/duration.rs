//! Durations as people write them. Pure.

use std::time::Duration;

/// The duration that `text` spells: digits and one of `ms`, `s`, `m`, `h`, `d`; seconds without a unit. `None` for
/// anything else, and past what a `Duration` holds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3_600),
        "d" => seconds(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_ms: Option<u64>) {
        assert_eq!(parse(text), expected_ms.map(Duration::from_millis), "{text:?}");
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
    fn anything_else_is_refused() {
        for text in
            ["", "s", "-1s", "1.5h", "1w", "1h30m", "60S", "１s", " 1s", "18446744073709551615h", "1e3"]
        {
            check(text, None);
        }
    }
}
