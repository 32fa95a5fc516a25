//! Sizes in bytes as people write them. Pure.

/// The size that `text` spells: digits and one of `B`, `KiB`, `MiB`, `GiB`, `TiB` in any letter case, or their first
/// letters; bytes without a unit. `None` for anything else, and past 64 bits.
pub(super) fn parse(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let power = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 1,
        "m" | "mib" => 2,
        "g" | "gib" => 3,
        "t" | "tib" => 4,
        _ => return None,
    };
    number.checked_mul(1024_u64.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(parse(text), Some(bytes), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        // Decimal units are refused rather than taken for binary ones.
        for text in ["", "MiB", "-1", "1.5GiB", "1GB", "1 MB", "16777216TiB", "1e3"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
