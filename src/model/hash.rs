//! The arithmetic of our own hash tables. Good enough for tables that compare the bytes as well; not for anything else.

/// The two halves of the product, folded into one.
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the halves of a 128-bit product"
)]
pub(crate) fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left).wrapping_mul(u128::from(right));
    (product as u64) ^ ((product >> 64) as u64)
}
