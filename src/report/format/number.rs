//! The numbers of a report as text: whole, or with up to two decimals. `put_` writes into a buffer, `write_` appends.

use crate::model::calendar::two_digits;
use crate::report::summary::{Figure, Scale};

pub(super) fn write_figure(figure: Figure, out: &mut Vec<u8>) {
    match figure {
        Figure::Whole(value) => write_value(value, Scale::Whole, out),
        Figure::Hundredths(value) => write_value(value, Scale::Hundredths, out),
    }
}

#[inline]
fn write_value(value: u64, scale: Scale, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; VALUE_ROOM]);
    let written = put_value(value, scale, out.get_mut(begin..).unwrap_or_default());
    out.truncate(begin.saturating_add(written));
}

pub(super) fn write_whole(value: u64, out: &mut Vec<u8>) {
    write_value(value, Scale::Whole, out);
}

/// Bytes of the longest value: twenty digits, a point among them.
pub(super) const VALUE_ROOM: usize = 21;

/// Puts a value at the front of `out`, which has room for it; the bytes that it takes.
#[inline]
pub(super) fn put_value(value: u64, scale: Scale, out: &mut [u8]) -> usize {
    match scale {
        Scale::Whole => put_whole(value, out),
        Scale::Hundredths => {
            let whole = put_whole(value / 100, out);
            let rest = out.get_mut(whole..).unwrap_or_default();
            let (tenths, hundredths) = (digit(value / 10), digit(value));
            let decimals: usize = match (tenths, hundredths) {
                (b'0', b'0') => 0,
                (_, b'0') => put([b'.', tenths], rest),
                _ => put([b'.', tenths, hundredths], rest),
            };
            whole.saturating_add(decimals)
        }
    }
}

/// Puts a whole number. Nearly all of nearly all reports are small; each length is a store of its own.
#[inline]
pub(super) fn put_whole(value: u64, out: &mut [u8]) -> usize {
    match value {
        0..10 => put([digit(value)], out),
        10..100 => put(two_digits(value), out),
        100..1_000 => {
            let [tens, ones] = two_digits(value);
            put([digit(value / 100), tens, ones], out)
        }
        1_000..10_000 => {
            let ([thousands, hundreds], [tens, ones]) = (two_digits(value / 100), two_digits(value));
            put([thousands, hundreds, tens, ones], out)
        }
        _ => put_great(value, out),
    }
}

#[inline(never)]
fn put_great(value: u64, out: &mut [u8]) -> usize {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value).as_bytes();
    out.get_mut(..text.len()).map_or(0, |place| {
        place.copy_from_slice(text);
        text.len()
    })
}

/// Puts so many bytes at the front of `out`, if it has room for them; how many that are.
#[inline]
pub(super) fn put<const N: usize>(bytes: [u8; N], out: &mut [u8]) -> usize {
    match out.first_chunk_mut() {
        Some(place) => {
            *place = bytes;
            N
        }
        None => 0,
    }
}

/// The last digit of a number, as text.
#[inline]
pub(super) fn digit(number: u64) -> u8 {
    u8::try_from(number % 10).unwrap_or(0) | b'0'
}
