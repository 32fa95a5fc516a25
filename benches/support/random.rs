//! The one generator of pseudo-random numbers of the benchmarks, so that every run has the same input.
#![expect(
    dead_code,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "each benchmark uses a part of this"
)]

/// A `SplitMix64` generator; equal seeds give equal numbers.
pub(crate) struct Random(u64);

impl Random {
    /// The generator of that seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// The same, for what is counted in 32 bits.
    pub(crate) fn below_u32(&mut self, end: u32) -> u32 {
        self.below(u64::from(end)) as u32
    }

    /// A number from 0 up to, but not including, 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
