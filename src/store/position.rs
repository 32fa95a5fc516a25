//! The numbers of a store: its id, the sequence number of a record, the generation of a snapshot.

use std::fmt;

/// Number of a record. The first record is 1; 0 stands before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first record.
    pub const START: Self = Self(0);
    /// The first record.
    pub const FIRST: Self = Self(1);

    /// The sequence of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after this. A `u64` of records outlasts any machine, so the last one stays itself.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before this; [`Sequence::START`] stays itself.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one life of a data directory. It is random, and in every file of the directory, so that a file of another
/// directory is never taken for one of this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StoreId(u64);

impl StoreId {
    /// The id of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// A random id, unlike any other but for one chance in 2⁶⁴.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The standard library seeds each process's hashers from the machine's randomness.
        Self(std::hash::RandomState::new().build_hasher().finish())
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Counts the folds of a data directory, failed ones included: no two files are ever written under the same one.
/// The empty snapshot of a new directory has 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(u64);

impl Generation {
    /// The generation of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
