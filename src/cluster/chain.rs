//! The chain: a hash of all that was read of a log, message by message, so that two can tell whether they have read the same.
//! Pure; knows nothing of what the messages say.
//!
//! H(p) is XXH3 of 64 bits, with H(p − 1) as its seed, over the time that the log gave message p (8 bytes, little-endian) and
//! its bytes, whether it counted or was skipped. The time is in it since keys are remembered by it: a message that was lost and
//! stored anew at its old place would else look the same, and leave two with different tables of keys.
//!
//! INVARIANT: the values from the oldest that is kept up to the position follow one another without a gap.

use std::collections::VecDeque;

use twox_hash::XxHash3_64;

use super::position::{ChainValue, LogSequence, LogStamp, Position};

/// The values of the chain that are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Where the first of the values is.
    first: LogSequence,
    /// Never empty.
    values: VecDeque<ChainValue>,
    values_max: usize,
}

/// What a position that somebody says to have read means here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// It was read here as well.
    Same,
    /// Something else was read here.
    Other,
    /// It is before the oldest value that is kept.
    TooOld,
    /// It has not been read here yet.
    Ahead,
}

impl Chain {
    /// A chain of which nothing was read, that keeps as many values, two at least.
    pub fn new(values_max: usize) -> Self {
        let values = VecDeque::from([ChainValue::default()]);
        Self { first: LogSequence::START, values, values_max: values_max.max(2) }
    }

    /// A chain that goes on from values that were kept, of which the first is that of `first`; `None` where there are none.
    pub fn from_values(
        first: LogSequence,
        values: impl IntoIterator<Item = ChainValue>,
        values_max: usize,
    ) -> Option<Self> {
        let values: VecDeque<ChainValue> = values.into_iter().collect();
        (!values.is_empty()).then(|| {
            let mut chain = Self { first, values, values_max: values_max.max(2) };
            chain.forget();
            chain
        })
    }

    /// How far was read, and what.
    pub fn position(&self) -> Position {
        let steps = crate::limits::wide(self.values.len().saturating_sub(1));
        let sequence = LogSequence::new(self.first.get().saturating_add(steps));
        Position { sequence, chain: self.values.back().copied().unwrap_or_default() }
    }

    /// The value at a place, where it is kept.
    pub fn at(&self, sequence: LogSequence) -> Option<ChainValue> {
        let place = sequence.get().checked_sub(self.first.get())?;
        self.values.get(usize::try_from(place).ok()?).copied()
    }

    /// The values that are kept, oldest first, and where the first is.
    pub fn values(&self) -> (LogSequence, impl Iterator<Item = ChainValue>) {
        (self.first, self.values.iter().copied())
    }

    /// Takes the next message.
    pub fn push(&mut self, stamp: LogStamp, bytes: &[u8]) {
        self.push_value(link(self.position().chain, stamp, bytes));
    }

    /// Takes the value of the next message, which was kept.
    pub fn push_value(&mut self, value: ChainValue) {
        self.values.push_back(value);
        self.forget();
    }

    /// What another's position means here.
    pub fn read(&self, other: Position) -> Reading {
        match self.at(other.sequence) {
            Some(value) if value == other.chain => Reading::Same,
            Some(_) => Reading::Other,
            None if other.sequence < self.first => Reading::TooOld,
            None => Reading::Ahead,
        }
    }

    /// Whether this is the message that was read at that place; `None` where the values are not kept.
    pub fn is_read_at(&self, sequence: LogSequence, (stamp, bytes): (LogStamp, &[u8])) -> Option<bool> {
        let before = self.at(sequence.previous()).filter(|_| sequence > LogSequence::START)?;
        Some(self.at(sequence)? == link(before, stamp, bytes))
    }

    fn forget(&mut self) {
        while self.values.len() > self.values_max {
            self.values.pop_front();
            self.first = self.first.next();
        }
    }
}

fn link(before: ChainValue, stamp: LogStamp, bytes: &[u8]) -> ChainValue {
    let mut hasher = XxHash3_64::with_seed(before.get());
    std::hash::Hasher::write(&mut hasher, &stamp.get().to_le_bytes());
    std::hash::Hasher::write(&mut hasher, bytes);
    ChainValue::new(std::hash::Hasher::finish(&hasher))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: u64) -> LogStamp {
        LogStamp::new(seconds * 1_000_000_000)
    }

    fn chain(values_max: usize, messages: &[&str]) -> Chain {
        let mut chain = Chain::new(values_max);
        for message in messages {
            chain.push(stamp(5), message.as_bytes());
        }
        chain
    }

    /// Daemons of all versions compare: these stay.
    #[test]
    fn values_are_as_they_were_released() {
        let chain = chain(9, &["a", ""]);
        let (first, values) = chain.values();
        assert_eq!(first, LogSequence::START);
        let values: Vec<String> = values.map(|value| format!("{:016x}", value.get())).collect();
        assert_eq!(values, ["0000000000000000", "efe0f99b0eafd7e8", "5e93dc7715d4811e"]);
    }

    #[test]
    fn all_that_was_read_makes_a_difference() {
        let positions = [
            chain(9, &["a", "b"]),
            chain(9, &["b", "a"]),
            chain(9, &["ab", ""]),
            chain(9, &["", "ab"]),
            chain(9, &["a", "b", "c"]),
        ];
        for (place, one) in positions.iter().enumerate() {
            for other in &positions[..place] {
                assert_ne!(one.position(), other.position());
            }
        }
        let mut later = Chain::new(9);
        later.push(stamp(5), b"a");
        later.push(stamp(6), b"b");
        assert_ne!(later.position(), positions[0].position(), "the time is part of it");
        // As many values as are kept make none.
        assert_eq!(chain(2, &["a", "b", "c", "d"]).position(), chain(9, &["a", "b", "c", "d"]).position());
    }

    #[test]
    fn position_of_another_is_the_same_another_too_old_or_ahead() {
        let (here, there) = (chain(3, &["a", "b", "c", "d"]), chain(9, &["a", "b", "c", "D", "e"]));
        let of = |chain: &Chain, sequence: u64| {
            let sequence = LogSequence::new(sequence);
            Position { sequence, chain: chain.at(sequence).unwrap() }
        };
        assert_eq!(here.position().sequence, LogSequence::new(4));
        let readings: Vec<Reading> = (0..=5).map(|sequence| here.read(of(&there, sequence))).collect();
        let expected =
            [Reading::TooOld, Reading::TooOld, Reading::Same, Reading::Same, Reading::Other, Reading::Ahead];
        assert_eq!(readings, expected);
    }

    #[test]
    fn message_that_is_read_again_is_known_where_the_value_before_it_is_kept() {
        let here = chain(2, &["a", "b", "c"]);
        let is_read = |sequence: u64, text: &str| {
            here.is_read_at(LogSequence::new(sequence), (stamp(5), text.as_bytes()))
        };
        assert_eq!(is_read(3, "c"), Some(true));
        assert_eq!(is_read(3, "C"), Some(false));
        assert_eq!(here.is_read_at(LogSequence::new(3), (stamp(6), b"c")), Some(false), "another time");
        assert_eq!(is_read(2, "b"), None);
        assert_eq!(is_read(4, "d"), None);
        assert_eq!(is_read(0, ""), None);
    }

    #[test]
    fn chain_goes_on_from_values_that_were_kept() {
        let mut whole = chain(9, &["a", "b", "c"]);
        let (first, values) = whole.values();
        let values: Vec<ChainValue> = values.collect();
        let mut again = Chain::from_values(first, values.clone(), 2).unwrap();
        assert_eq!(again.position(), whole.position());
        assert_eq!(again.at(LogSequence::new(1)), None, "two are kept");
        again.push(stamp(5), b"d");
        whole.push(stamp(5), b"d");
        assert_eq!(again.position(), whole.position());
        assert_eq!(Chain::from_values(first, [], 2), None);
    }
}
