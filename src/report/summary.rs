//! The numbers of a report: whole or with two decimals, and their summary. All in integers: what is shown is exact.
//! Knows nothing of time.

use std::fmt;

use crate::limits::wide;

/// Whether numbers are kept as they are or as hundredths.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scale {
    /// Whole numbers.
    Whole,
    /// Hundredths: 104 is 1.04.
    Hundredths,
}

/// A number of a report. Displays without trailing zeros: `28`, `0.5`, `66.67`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Figure {
    /// A whole number.
    Whole(u64),
    /// A number of hundredths.
    Hundredths(u64),
}

impl Figure {
    /// The number that `value` is in a scale.
    #[inline]
    pub const fn new(value: u64, scale: Scale) -> Self {
        match scale {
            Scale::Whole => Self::Whole(value),
            Scale::Hundredths => Self::Hundredths(value),
        }
    }

    /// The number in its scale.
    pub(crate) const fn value(self) -> u64 {
        let (Self::Whole(value) | Self::Hundredths(value)) = self;
        value
    }

    /// Digits of the number in its scale.
    pub(super) fn digits(self) -> u32 {
        self.value().checked_ilog10().map_or(1, |tens| tens.saturating_add(1))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(whole) => write!(f, "{whole}"),
            Self::Hundredths(value) => match (value / 100, value % 100) {
                (whole, 0) => write!(f, "{whole}"),
                (whole, rest) if rest % 10 == 0 => write!(f, "{whole}.{}", rest / 10),
                (whole, rest) => write!(f, "{whole}.{rest:02}"),
            },
        }
    }
}

/// Sum, least, greatest and mean of the values of a series as they are shown; all 0 where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The sum, at most `u64::MAX` in its scale.
    pub total: Figure,
    /// The least.
    pub min: Figure,
    /// The greatest.
    pub max: Figure,
    /// The sum divided by the number of values, rounded to two decimals.
    pub avg: Figure,
}

impl Summary {
    /// The summary of the values, which are all in one scale, and of as many zeros as make them `count`.
    pub fn of(values: &[u64], count: usize, scale: Scale) -> Self {
        let zeros = count > values.len() || values.is_empty();
        let (mut total, mut min, mut max) = (0_u64, if zeros { 0 } else { u64::MAX }, 0);
        for value in values {
            total = total.saturating_add(*value);
            (min, max) = (min.min(*value), max.max(*value));
        }
        let count = wide(count.max(values.len()));
        let avg = match scale {
            Scale::Whole => ratio_hundredths(total, count),
            Scale::Hundredths => rounded(u128::from(total), count),
        };
        let figure = |value| Figure::new(value, scale);
        Self { total: figure(total), min: figure(min), max: figure(max), avg: Figure::Hundredths(avg) }
    }
}

/// The sum of all values, at most `u64::MAX`.
pub(super) fn sum(values: &[u64]) -> u64 {
    values.iter().fold(0, |sum, value| sum.saturating_add(*value))
}

/// Hundredths of `part` ÷ `whole`, halves rounded up; 0 where `whole` is 0.
pub(super) fn ratio_hundredths(part: u64, whole: u64) -> u64 {
    rounded(u128::from(part) * 100, whole)
}

/// Hundredths of a percent of `part` in `whole`, halves rounded up; 0 where `whole` is 0.
pub(super) fn percent_hundredths(part: u64, whole: u64) -> u64 {
    rounded(u128::from(part) * 10_000, whole)
}

/// `dividend` ÷ `divisor` to the nearest whole number, halves up (values are never negative, so that is away from
/// zero); 0 where the divisor is 0. At most `u64::MAX`.
fn rounded(dividend: u128, divisor: u64) -> u64 {
    if divisor == 0 {
        return 0;
    }
    // Reports are mostly small numbers, and a division of 128 bits costs several of 64.
    let (quotient, rest) = if let Ok(dividend) = u64::try_from(dividend) {
        (u128::from(dividend / divisor), dividend % divisor)
    } else {
        let rest = dividend % u128::from(divisor);
        (dividend / u128::from(divisor), u64::try_from(rest).unwrap_or(0))
    };
    let quotient = u64::try_from(quotient).unwrap_or(u64::MAX);
    quotient.saturating_add(u64::from(rest >= divisor - rest))
}
