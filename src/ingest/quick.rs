//! The front end of the fast path: a line's head and, in the few spellings that clients send, its tail. Reads only
//! ` count=<digits>[i][,paid=t|T|true|f|F|false][ <digits>]` up to the line feed; has no opinion on anything else.
//! Knows nothing of what a head means.
//!
//! INVARIANT: `None` is always right. `Some` is given only where the complete grammar would split the line at the same
//! place and read the same count, paid and timestamp, whatever the head is, and accept the timestamp.

use crate::calendar::Hour;
use crate::wire::TimeRules;

/// A line whose tail was understood.
pub(super) struct Front<'a> {
    /// The bytes up to the first unescaped space.
    pub(super) head: &'a [u8],
    /// The line without its line ending.
    pub(super) line: &'a [u8],
    /// What follows the space.
    pub(super) tail: Tail,
    /// What follows the line.
    pub(super) after: &'a [u8],
}

/// What a tail says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    pub(super) count: u32,
    pub(super) paid: Paid,
    pub(super) hour: Hour,
    pub(super) stamp: Stamp,
}

/// Whether the tail says that a conversation is paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Paid {
    Yes,
    No,
}

/// How fine a line's own timestamp is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stamp {
    /// There is one, and it is not a whole millisecond.
    Finer,
    /// It is a whole millisecond, or there is none.
    Coarse,
}

impl Stamp {
    const NANOS_PER_MILLISECOND: u64 = 1_000_000;

    /// How fine that instant is, in nanoseconds since the epoch.
    #[inline]
    pub(super) fn of(unix_nanos: u64) -> Self {
        if unix_nanos.is_multiple_of(Self::NANOS_PER_MILLISECOND) { Self::Coarse } else { Self::Finer }
    }
}

/// The first line of `bytes`, if it is whole and its tail is one of those known here.
#[inline]
pub(super) fn front<'a>(bytes: &'a [u8], times: &TimeRules) -> Option<Front<'a>> {
    // A line feed before the first space is a line without fields.
    let head_end = memchr::memchr2(b' ', b'\n', bytes)?;
    let (head, rest) = bytes.split_at_checked(head_end)?;
    if matches!(head.last(), None | Some(b'\\')) {
        return None;
    }
    let rest = rest.strip_prefix(b" count=")?;
    let (count, rest) = match rest {
        [b'1', b'i', rest @ ..] => (1, rest),
        _ => count(rest)?,
    };
    let (paid, rest) = match rest {
        [b',', rest @ ..] => paid(rest)?,
        _ => (Paid::No, rest),
    };
    let (hour, stamp, rest) = match rest {
        [b' ', digits @ ..] => {
            let (units, rest) = number(digits)?;
            let (hour, nanos) = times.quick(units)?;
            (hour, Stamp::of(nanos), rest)
        }
        _ => (times.arrival_hour()?, Stamp::Coarse, rest),
    };
    let ([b'\n', after @ ..] | [b'\r', b'\n', after @ ..]) = rest else { return None };
    let line = bytes.get(..bytes.len() - rest.len())?;
    Some(Front { head, line, tail: Tail { count, paid, hour, stamp }, after })
}

/// A whole count, as an integer or as a float without a fraction.
#[inline]
fn count(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut count = 0_u32;
    let mut rest = bytes;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        count = count.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
        rest = after;
    }
    if rest.len() == bytes.len() {
        return None;
    }
    Some((count, rest.strip_prefix(b"i").unwrap_or(rest)))
}

/// `paid=` and a boolean.
#[inline]
fn paid(bytes: &[u8]) -> Option<(Paid, &[u8])> {
    Some(match bytes.strip_prefix(b"paid=")? {
        [b't', b'r', b'u', b'e', rest @ ..] | [b't' | b'T', rest @ ..] => (Paid::Yes, rest),
        [b'f', b'a', b'l', b's', b'e', rest @ ..] | [b'f' | b'F', rest @ ..] => (Paid::No, rest),
        _ => return None,
    })
}

/// Most digits of a number that is sure to fit.
const DIGITS_MAX: usize = 19;

/// A number of 1 … 19 digits, eight at a time while there are eight.
#[inline]
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut rest = bytes;
    // 19 digits are two eights and three; a third eight would be too many.
    for _ in 0..2 {
        let Some((eight, after)) = rest.split_first_chunk::<8>() else { break };
        let Some(value) = eight_digits(*eight) else { break };
        number = number * 100_000_000 + value;
        rest = after;
    }
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        if bytes.len() - rest.len() == DIGITS_MAX {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
        rest = after;
    }
    (rest.len() < bytes.len()).then_some((number, rest))
}

/// The number that eight ASCII digits spell, without a loop: neighbours are joined to pairs, pairs to fours, fours to
/// the eight, all lanes of a word at once.
#[inline]
fn eight_digits(ascii: [u8; 8]) -> Option<u64> {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const SIXES: u64 = 0x0606_0606_0606_0606;
    let word = u64::from_le_bytes(ascii);
    // A digit is 0x30 … 0x39: its high half is 3, and still is when 6 is added.
    if word & HIGH != ZEROS || word.wrapping_add(SIXES) & HIGH != ZEROS {
        return None;
    }
    let ones = word ^ ZEROS;
    let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xFFFF_FFFF)
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
    fn eight_digits_refuses_every_byte_that_is_no_digit() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut ascii = *b"87654321";
                ascii[place] = byte;
                let wanted = std::str::from_utf8(&ascii).ok().and_then(|text| {
                    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
                });
                assert_eq!(eight_digits(ascii), wanted, "{ascii:?}");
            }
        }
    }
}
