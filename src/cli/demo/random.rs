//! Numbers that look random and are the same for the same seed. For the demo only; nothing here is secret.

/// A `SplitMix64` generator.
#[derive(Clone, Debug)]
pub(crate) struct SeededRandom(u64);

impl SeededRandom {
    /// The generator of that seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, `end`; 0 where `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// About `thousandths` / 1000, give or take 30 %, rounded up or down at random so that the mean holds.
    pub(crate) fn about(&mut self, thousandths: u64) -> u64 {
        let varied = thousandths.saturating_mul(700 + self.below(601)) / 1_000;
        let rest = varied % 1_000;
        varied / 1_000 + u64::from(self.below(1_000) < rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_numbers() {
        let (mut one, mut two) = (SeededRandom::new(7), SeededRandom::new(7));
        assert!((0..100).all(|_| one.next() == two.next()));
    }

    #[test]
    fn about_keeps_the_mean_even_below_one() {
        let mut random = SeededRandom::new(1);
        let sum: u64 = (0..100_000).map(|_| random.about(250)).sum();
        assert!((24_000..26_000).contains(&sum), "{sum}");
        assert_eq!(random.about(0), 0);
    }

    #[test]
    fn below_stays_below() {
        let mut random = SeededRandom::new(2);
        assert!((0..1_000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
    }
}
