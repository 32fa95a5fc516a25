//! Frames: their frozen bytes, what is not one, and that any cells come back; months tile the hours.

use super::{Cell, FrameError, FrameRef, Month, by_month, decode_frame, encode_frame, read_short_varint};
use crate::limits::HOURS_MAX;
use crate::model::calendar::Hour;
use proptest::prelude::*;

fn cells(of: &[(u32, u32)]) -> Vec<Cell> {
    of.iter().map(|&(hour, count)| Cell { hour: Hour::new(hour), count }).collect()
}

fn check_frame(of: &[(u32, u32)], expected: &[u8]) {
    let (mut bytes, mut back) = (Vec::new(), Vec::new());
    encode_frame(&cells(of), &mut bytes);
    assert_eq!(bytes, expected, "{of:?}");
    assert_eq!(decode_frame(&bytes, &mut back), Ok(bytes.len()));
    assert_eq!(back, cells(of));
}

/// The bytes are on disk: a change here is a new format.
#[test]
fn frame_bytes_are_frozen() {
    check_frame(&[(431_328, 1)], &[0x10, 0xE0, 0xA9, 0x1A]);
    check_frame(&[(431_328, 7)], &[0x14, 0xE0, 0xA9, 0x1A, 7]);
    check_frame(&[(431_328, 0)], &[0x14, 0xE0, 0xA9, 0x1A, 0]);
    check_frame(&[(0, 1), (1, 1), (2, 1)], &[0x30, 0]);
    check_frame(&[(5, 1), (7, 300), (7, 2)], &[0x39, 5, 2, 0, 1, 0, 44, 1, 2, 0]);
    check_frame(&[(0, 1), (300, 65_536)], &[0x2E, 0, 44, 1, 1, 0, 0, 0, 0, 0, 1, 0]);
    let dense: Vec<(u32, u32)> = (0..16).map(|hour| (100 + hour, hour)).collect();
    check_frame(&dense, &[4, 16, 100, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn no_cells_make_no_frame() {
    let mut bytes = Vec::new();
    encode_frame(&[], &mut bytes);
    assert!(bytes.is_empty());
}

#[test]
fn decode_refuses_what_is_not_a_frame() {
    let refused = |bytes: &[u8]| decode_frame(bytes, &mut Vec::new()).unwrap_err();
    assert_eq!(refused(&[]), FrameError::Truncated);
    assert_eq!(refused(&[0x14, 0xE0, 0xA9, 0x1A]), FrameError::Truncated);
    assert_eq!(refused(&[0x00, 0, 0]), FrameError::Header, "no cells");
    assert_eq!(refused(&[0x00, 0xE9, 5, 0]), FrameError::Header, "745 cells of no bytes");
    assert_eq!(refused(&[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x10]), FrameError::Header, "hour over 32 bits");
    assert_eq!(refused(&[0x10, 0x80, 0x80, 0x60]), FrameError::TooLate, "hour 1,572,864");
    assert!(decode_frame(&[0x10, 0xFF, 0xFF, 0x5F], &mut Vec::new()).is_ok(), "the hour before it");
    assert_eq!(refused(&[0x22, 0xFF, 0xFF, 0x5F, 1, 0]), FrameError::TooLate, "from that hour to the next");
    assert_eq!(refused(&[0x21, 0xE7, 5, 1]), FrameError::OutOfOrder, "hour 743, then 744");
    assert!(decode_frame(&[0x21, 0xE6, 5, 1], &mut Vec::new()).is_ok(), "hour 742, then 743");
}

#[test]
fn frame_is_within_its_month_alone() {
    let month = Month::new(602).range();
    let hours = [month.start.get(), month.end.get() - 1];
    for (of, is_within) in [
        (vec![(hours[0], 1), (hours[1], 2)], true),
        (vec![(hours[0] - 1, 1)], false),
        (vec![(hours[1] + 1, 1)], false),
    ] {
        let mut bytes = Vec::new();
        encode_frame(&cells(&of), &mut bytes);
        assert_eq!(FrameRef::read(&bytes).unwrap().is_within(month), is_within, "{of:?}");
    }
}

#[test]
fn short_varint_is_the_shortest_of_its_number() {
    let read = |bytes: &[u8]| read_short_varint(&mut &bytes[..]);
    assert_eq!(read(&[0]), Ok(0));
    assert_eq!(read(&[0x80, 1, 7]), Ok(128));
    assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), Ok(u32::MAX));
    assert_eq!(read(&[0x80, 0]), Err(FrameError::Header), "0 in two bytes");
    assert_eq!(read(&[0xFF, 0]), Err(FrameError::Header), "127 in two bytes");
    assert_eq!(read(&[0x80]), Err(FrameError::Truncated));
}

#[test]
fn months_tile_the_hours() {
    let mut next = 0;
    for number in 0..12 * 400 {
        let range = Month::new(number).range();
        assert_eq!(range.start.get(), next);
        assert_eq!(Month::containing(range.start).get(), number);
        assert_eq!(Month::containing(Hour::new(range.end.get() - 1)).get(), number);
        next = range.end.get();
    }
    assert_eq!(next, 146_097 * 24);
    assert_eq!(Month::new(602).range().start.get(), 439_728);
    assert_eq!((Month::new(602).name(), Month::new(0).name()), ("2020-03".into(), "1970-01".into()));
    assert_eq!(Month::new(u32::MAX).range().start, Hour::MAX);
    assert!(Month::containing(Hour::MAX).range().end == Hour::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn frames_of_any_cells_come_back(
        hours in prop_oneof![
            prop::collection::vec(0..744_u32, 1..40),
            (0..400_u32, 1..344_u32).prop_map(|(first, n)| (first..first + n).collect()),
        ],
        start in prop_oneof![Just(0_u32), Just(431_328), Just(HOURS_MAX - 800), 0..HOURS_MAX - 744],
        bits in 0..=32_u32,
        seed in any::<u64>(),
    ) {
        let mut hours: Vec<u32> = hours.iter().map(|hour| start.saturating_add(*hour)).collect();
        hours.sort_unstable();
        let mut random = seed | 1;
        let of: Vec<Cell> = hours.iter().map(|&hour| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let count = u32::try_from(random >> 32).unwrap().checked_shr(32 - bits).unwrap_or(0);
            Cell { hour: Hour::new(hour), count }
        }).collect();
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        for (month, cells) in by_month(&of) {
            prop_assert!(cells.iter().all(|cell| Month::containing(cell.hour) == month));
            encode_frame(cells, &mut bytes);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let frame = FrameRef::read(rest).unwrap();
            let before = back.len();
            let read = decode_frame(rest, &mut back).unwrap();
            prop_assert_eq!((frame.cells, frame.bytes_len()), (back.len() - before, read));
            prop_assert_eq!(frame.total(), back[before..].iter().map(|c| u64::from(c.count)).sum::<u64>());
            prop_assert_eq!(frame.last(), u64::from(back.last().unwrap().hour.get()));
            rest = &rest[read..];
        }
        prop_assert_eq!(back, of);
        for end in 0..bytes.len().min(200) {
            prop_assert!(decode_frame(&bytes[..end], &mut Vec::new()).is_ok_and(|read| read <= end) || end < bytes.len());
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut cells = Vec::new();
        match decode_frame(&bytes, &mut cells) {
            Ok(read) => {
                prop_assert!(read <= bytes.len() && cells.is_sorted_by_key(|cell| cell.hour));
                prop_assert_eq!(by_month(&cells).count(), 1);
            }
            Err(_) => prop_assert!(cells.is_empty()),
        }
    }
}
