//! The front end of the fast path: a line's head and, in the few spellings that clients send, its tail. Reads only
//! ` count=<digits>[i][,paid=t|T|true|f|F|false][ <digits>]` up to the line feed, and JSON objects of the usual keys;
//! has no opinion on anything else. Knows nothing of what a head means.
//!
//! INVARIANT: `None` is always right. `Some` is given only where the complete grammar would split the line at the same
//! place and read the same count, paid and timestamp, whatever the head is, and accept the timestamp.

use super::shape::{self, Parts, Shape, once};
use super::sink::EventKind;
use crate::intake::wire::TimeRules;
use crate::model::calendar::Hour;

/// A line whose tail was understood.
pub(super) struct Front<'a> {
    /// The bytes up to the first unescaped space; none where there is a shape.
    pub(super) head: &'a [u8],
    /// What the head says, where it has the usual shape.
    pub(super) shape: Option<Shape<'a>>,
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
    let (head, shape, rest) = match shape::of_line(bytes) {
        Some((shape, rest)) => (&[][..], Some(shape), rest),
        None if bytes.first() == Some(&b'{') => return json(bytes, times),
        None => {
            let (head, rest) = head(bytes)?;
            (head, None, rest)
        }
    };
    let (tail, rest) = tail(rest, times)?;
    let line = bytes.get(..bytes.len() - rest.len())?;
    let after = line_feed(rest)?;
    Some(Front { head, shape, line, tail, after })
}

/// A head of any shape, up to the first unescaped space.
fn head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // A line feed before the first space is a line without fields.
    let end = memchr::memchr2(b' ', b'\n', bytes)?;
    bytes.split_at_checked(end).filter(|(head, _)| !matches!(head.last(), None | Some(b'\\')))
}

/// The line ending at the front; what follows it.
#[inline]
fn line_feed(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => Some(after),
        _ => None,
    }
}

/// What follows a head, up to the line ending.
#[inline]
fn tail<'a>(rest: &'a [u8], times: &TimeRules) -> Option<(Tail, &'a [u8])> {
    let (count, paid, rest) = match rest.split_first_chunk() {
        Some((b" count=1i ", _)) => (1, Paid::No, rest.get(9..)?),
        _ => fields(rest)?,
    };
    let (hour, stamp, rest) = match rest {
        [b' ', digits @ ..] => {
            let (units, rest) = number(digits)?;
            let (hour, nanos) = times.quick(units)?;
            (hour, Stamp::of(nanos), rest)
        }
        _ => (times.arrival_hour()?, Stamp::Coarse, rest),
    };
    Some((Tail { count, paid, hour, stamp }, rest))
}

/// Count and paid.
fn fields(rest: &[u8]) -> Option<(u32, Paid, &[u8])> {
    let (count, rest) = count(rest.strip_prefix(b" count=")?)?;
    match rest {
        [b',', rest @ ..] => paid(rest).map(|(paid, rest)| (count, paid, rest)),
        _ => Some((count, Paid::No, rest)),
    }
}

/// A JSON object of the keys that events have, each once, without spaces or escapes, and its line feed.
fn json<'a>(bytes: &'a [u8], times: &TimeRules) -> Option<Front<'a>> {
    let mut parts = Parts::default();
    let (mut count, mut is_paid, mut units) = (None, None, None);
    let mut rest = bytes.strip_prefix(b"{")?;
    let rest = loop {
        rest = match rest {
            [b'"', b's', b't', ..] => {
                let (story, after) = shape::id(rest.strip_prefix(b"\"storyId\":\"")?)?;
                once(&mut parts.story, story)?;
                after.strip_prefix(b"\"")?
            }
            [b'"', b's', ..] => {
                let (source, after) = shape::source(rest.strip_prefix(b"\"source\":\"")?)?;
                once(&mut parts.source, source)?;
                after.strip_prefix(b"\"")?
            }
            [b'"', b'e', ..] => {
                let (kind, after) = shape::kind(rest.strip_prefix(b"\"event\":\"")?)?;
                once(&mut parts.kind, kind)?;
                after.strip_prefix(b"\"")?
            }
            [b'"', b'i', ..] => {
                let (node, after) = shape::id(rest.strip_prefix(b"\"id\":\"")?)?;
                once(&mut parts.node, node)?;
                after.strip_prefix(b"\"")?
            }
            [b'"', b'c', ..] => {
                let (number, after) = json_number(rest.strip_prefix(b"\"count\":")?)?;
                once(&mut count, u32::try_from(number).ok()?)?;
                after
            }
            [b'"', b't', ..] => {
                let (number, after) = json_number(rest.strip_prefix(b"\"timestamp\":")?)?;
                once(&mut units, number)?;
                after
            }
            _ => match rest.strip_prefix(b"\"paid\":")? {
                [b't', b'r', b'u', b'e', after @ ..] => once(&mut is_paid, Paid::Yes).map(|()| after)?,
                after => once(&mut is_paid, Paid::No).and(after.strip_prefix(b"false"))?,
            },
        };
        rest = match rest {
            [b',', after @ ..] => after,
            [b'}', after @ ..] => break after,
            _ => return None,
        };
    };
    let after = line_feed(rest)?;
    let shape = parts.join()?;
    if is_paid.is_some() && shape.kind != EventKind::Conversation {
        return None;
    }
    let (hour, stamp) = match units {
        Some(units) => times.quick_json(units).map(|(hour, nanos)| (hour, Stamp::of(nanos)))?,
        None => (times.arrival_hour()?, Stamp::Coarse),
    };
    let tail = Tail { count: count.unwrap_or(1), paid: is_paid.unwrap_or(Paid::No), hour, stamp };
    let line = bytes.get(..bytes.len() - rest.len())?;
    Some(Front { head: &[], shape: Some(shape), line, tail, after })
}

/// A whole number above 0, as JSON spells it.
#[inline]
fn json_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    number(bytes).filter(|_| bytes.first() != Some(&b'0'))
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
    // With many zeros in front it could be too long a line.
    if !(1..=COUNT_DIGITS).contains(&(bytes.len() - rest.len())) {
        return None;
    }
    Some((count, rest.strip_prefix(b"i").unwrap_or(rest)))
}

/// Most digits of a count without zeros in front.
const COUNT_DIGITS: usize = 10;

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

/// A number of 1 … 19 digits, up to eight at a time.
#[inline]
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let (value, digits) = leading_digits(u64::from_le_bytes(*eight));
        let taken = bytes.len() - rest.len() + digits;
        if DIGITS_MAX < taken {
            return None;
        }
        number = number * TEN_TO.get(digits)? + value;
        if digits < 8 {
            return (taken != 0).then_some((number, rest.get(digits..)?));
        }
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
