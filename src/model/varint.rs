//! Whole numbers in as few bytes as they need: seven bits a byte, least significant first, the top bit says that
//! another byte follows. Signed numbers are zigzagged first. Pure.

/// Appends `value` in 1 … 10 bytes.
#[inline]
pub(crate) fn write(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Takes a number from the front of `bytes`; `None` where they end within it or it is over 64 bits.
#[inline]
pub(crate) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7_u32;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift > 63 || (shift == 63 && part > 1) {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift = shift.saturating_add(7);
    }
}

/// Takes a number that must fit 32 bits from the front of `bytes`.
#[inline]
pub(crate) fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    read(bytes)?.try_into().ok()
}

/// Small for numbers near zero, either side of it.
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The number that [`zigzag`] was given.
#[inline]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}

/// The bytes of a number below 2²⁸ in the low bytes of a word, and how many bits they are: what [`write()`] writes,
/// without a loop.
#[inline]
pub(crate) const fn spread(value: u64) -> (u64, u32) {
    let bytes = (value | 1).ilog2() / 7 + 1;
    let groups =
        (value & 0x7f) | ((value & 0x3f80) << 1) | ((value & 0x1f_c000) << 2) | ((value & 0xfe0_0000) << 3);
    let continued = 0x8080_8080 & ((1 << (8 * (bytes - 1))) - 1);
    (groups | continued, 8 * bytes)
}

/// The number whose bytes are the low ones of a word, the reverse of [`spread`], and how many bits they are; `None` where
/// they are more than `bytes_max`, which may be four.
#[inline]
pub(crate) const fn gather(word: u64, bytes_max: u32) -> Option<(u64, u32)> {
    let ends = !word & 0x8080_8080_8080_8080;
    let bits = (ends.trailing_zeros() + 1) & !7;
    if ends == 0 || bits > 8 * bytes_max {
        return None;
    }
    let word = word & ((1 << bits) - 1);
    let value =
        (word & 0x7f) | ((word >> 1) & 0x3f80) | ((word >> 2) & 0x1f_c000) | ((word >> 3) & 0xfe0_0000);
    Some((value, bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(value, &mut bytes);
        bytes
    }

    #[test]
    fn read_refuses_what_ends_early_or_is_over_64_bits() {
        assert_eq!(read(&mut &[][..]), None);
        assert_eq!(read(&mut &[0x80][..]), None);
        assert_eq!(read(&mut &[0xff; 10][..]), None);
        assert_eq!(read(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2][..]), None);
        assert_eq!(read_u32(&mut &written(1 << 32)[..]), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, bits in 0_u32..64) {
            let value = value >> bits;
            let bytes = written(value);
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn spread_is_what_write_writes(value in 0_u64..1 << 28, bits in 0_u32..28) {
            let value = value >> bits;
            let (word, bits) = spread(value);
            let bytes = written(value);
            prop_assert_eq!(usize::try_from(bits), Ok(bytes.len() * 8));
            prop_assert_eq!(&word.to_le_bytes()[..bytes.len()], &bytes[..]);
            prop_assert_eq!(word >> bits, 0);
        }

        #[test]
        fn gather_is_what_read_reads(value in 0_u64..1 << 35, bits in 0_u32..35, after: u64) {
            let value = value >> bits;
            let mut bytes = written(value);
            let length = u32::try_from(bytes.len()).unwrap();
            bytes.extend_from_slice(&after.to_le_bytes());
            let word = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            for bytes_max in [2, 4] {
                let expected = (length <= bytes_max).then_some((value, length * 8));
                prop_assert_eq!(gather(word, bytes_max), expected);
            }
        }

        #[test]
        fn zigzag_comes_back(value: i64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
