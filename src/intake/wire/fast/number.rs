//! Whole numbers at the front of bytes, read up to eight digits at a time. `None` is always right: the line then
//! goes to the complete grammar.

/// A whole count, as an integer or as a float without a fraction.
#[inline]
pub(super) fn count(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut count = 0_u32;
    let mut rest = bytes;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        count = count.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
        rest = after;
    }
    // With many zeros in front it could be too long a line.
    if !(1..=COUNT_DIGITS).contains(&(bytes.len() - rest.len())) {
        return None;
    }
    Some((count, rest.strip_prefix(b"i").unwrap_or(rest)))
}

/// Most digits of a count without zeros in front.
const COUNT_DIGITS: usize = 10;

/// Most digits of a number that is sure to fit.
const SAFE_DIGITS: usize = 19;

/// A number of 1 … 19 digits, up to eight at a time.
#[inline]
pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let (value, digits) = leading_digits(u64::from_le_bytes(*eight));
        let taken = bytes.len() - rest.len() + digits;
        if SAFE_DIGITS < taken {
            return None;
        }
        number = number * TEN_TO.get(digits)? + value;
        if digits < 8 {
            return (taken != 0).then_some((number, rest.get(digits..)?));
        }
        rest = after;
    }
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        if bytes.len() - rest.len() == SAFE_DIGITS {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
        rest = after;
    }
    (rest.len() < bytes.len()).then_some((number, rest))
}

const TEN_TO: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that the digits at the front of eight ASCII characters spell, and how many digits those are. Without a
/// loop: neighbours are joined to pairs, pairs to fours, fours to the eight, all lanes of a word at once.
#[inline]
#[expect(clippy::as_conversions, reason = "at most eight")]
fn leading_digits(ascii: u64) -> (u64, usize) {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    const TO_HIGHEST: u64 = 0x7676_7676_7676_7676;
    let ones = ascii ^ ZEROS;
    // A lane over 9 has or gets its highest bit; what that carries into the lanes above does not matter.
    let others = (ones.wrapping_add(TO_HIGHEST) | ones) & HIGHEST;
    let digits = others.trailing_zeros() / 8;
    // The digits as the last of eight, zeros before them.
    let ones = ones.checked_shl(64 - 8 * digits).unwrap_or(0);
    let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    ((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xFFFF_FFFF, digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Option<(u64, &str)>) {
        let got = number(text.as_bytes());
        assert_eq!(got, wanted.map(|(number, rest)| (number, rest.as_bytes())), "{text:?}");
    }

    #[test]
    fn number_takes_up_to_nineteen_digits() {
        check("0\n", Some((0, "\n")));
        check("12345678", Some((12_345_678, "")));
        check("1552813201000\n", Some((1_552_813_201_000, "\n")));
        check("1552813201000000001 ", Some((1_552_813_201_000_000_001, " ")));
        check("9999999999999999999x", Some((9_999_999_999_999_999_999, "x")));
        check("10000000000000000000", None);
        check("000000000000000000000001", None);
        check("", None);
        check("-1", None);
        check("1234567:", Some((1_234_567, ":")));
        check("1234567/9", Some((1_234_567, "/9")));
    }

    #[test]
    fn leading_digits_end_at_every_byte_that_is_no_digit() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut ascii = *b"87654321";
                ascii[place] = byte;
                let digits = ascii.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let value =
                    ascii[..digits].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
                assert_eq!(leading_digits(u64::from_le_bytes(ascii)), (value, digits), "{ascii:?}");
            }
        }
    }
}
