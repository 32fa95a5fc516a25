//! Which copies of a message count. A log may hold a message several times, far apart, out of order, from processes that are
//! long dead; a mark for each writer, the number of its last message that was applied, is all that it takes. Pure.
//!
//! | number of a message | then |
//! | --- | --- |
//! | the mark + 1 | new: it is applied, and the mark moves |
//! | up to the mark | a further copy: it is skipped |
//! | beyond that | early: it is skipped and not kept; its writer sees that, too, and sends from its mark + 1 on again |
//! | 0 | it is no message of a row, such as a witness |
//!
//! INVARIANT: a mark is never forgotten, and never goes back. What is applied of a writer is a prefix of what it sent.

use std::collections::HashMap;

use twox_hash::XxHash3_64;

use super::position::{LogStamp, MessageNumber, WriterId};

/// The marks of all writers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marks {
    by_writer: HashMap<WriterId, MessageNumber, foldhash::fast::RandomState>,
    writers_max: usize,
}

/// What a message is among those of its writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copy {
    /// The next one: it counts.
    New,
    /// One that has counted.
    Further,
    /// One of which an earlier one is yet to come.
    Early,
    /// None of a row: it changes nothing.
    Beside,
    /// The first of a writer that is one too many.
    Unwelcome,
}

impl Marks {
    /// No marks, and room for so many.
    pub fn new(writers_max: usize) -> Self {
        Self { by_writer: HashMap::default(), writers_max }
    }

    /// The marks that were kept, and room for so many.
    pub fn from_kept(kept: impl IntoIterator<Item = (WriterId, MessageNumber)>, writers_max: usize) -> Self {
        Self { by_writer: kept.into_iter().collect(), writers_max }
    }

    /// What a message is.
    pub fn judge(&self, writer: WriterId, number: MessageNumber) -> Copy {
        let mark = self.by_writer.get(&writer).copied();
        let applied = mark.unwrap_or_default();
        if number == MessageNumber::NONE {
            Copy::Beside
        } else if number <= applied {
            Copy::Further
        } else if number > applied.next() {
            Copy::Early
        } else if mark.is_none() && self.by_writer.len() >= self.writers_max {
            Copy::Unwelcome
        } else {
            Copy::New
        }
    }

    /// Notes that a message was applied, which was new.
    pub fn advance(&mut self, writer: WriterId, number: MessageNumber) {
        self.by_writer.insert(writer, number);
    }

    /// The mark of a writer.
    pub fn of(&self, writer: WriterId) -> MessageNumber {
        self.by_writer.get(&writer).copied().unwrap_or_default()
    }

    /// All marks, by writer.
    pub fn sorted(&self) -> Vec<(WriterId, MessageNumber)> {
        let mut marks: Vec<_> = self.by_writer.iter().map(|(writer, mark)| (*writer, *mark)).collect();
        marks.sort_unstable();
        marks
    }

    /// A hash of all of them, the same for the same marks: XXH3 of 64 bits over each writer and its mark, by writer.
    pub fn hash(&self) -> u64 {
        let mut hasher = XxHash3_64::new();
        for (writer, mark) in self.sorted() {
            std::hash::Hasher::write(&mut hasher, &writer.get().to_le_bytes());
            std::hash::Hasher::write(&mut hasher, &mark.get().to_le_bytes());
        }
        std::hash::Hasher::finish(&hasher)
    }
}

/// The time of the log: the largest that it has given, since the clock of another leader may be behind. By it alone keys of
/// batches grow old, so that they do on all daemons at the same message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogClock(LogStamp);

impl LogClock {
    /// A clock that has seen no time before.
    pub const fn new(latest: LogStamp) -> Self {
        Self(latest)
    }

    /// Notes the time of a message.
    pub fn advance(&mut self, stamp: LogStamp) {
        self.0 = self.0.max(stamp);
    }

    /// The time.
    pub const fn now(self) -> LogStamp {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(marks: &Marks, writer: u64, number: u64) -> Copy {
        marks.judge(WriterId::new(writer), MessageNumber::new(number))
    }

    fn advance(marks: &mut Marks, writer: u64, number: u64) {
        marks.advance(WriterId::new(writer), MessageNumber::new(number));
    }

    #[test]
    fn copy_is_new_further_early_or_beside() {
        let mut marks = Marks::new(9);
        for (number, expected) in [(0, Copy::Beside), (1, Copy::New), (2, Copy::Early)] {
            assert_eq!(judge(&marks, 7, number), expected, "a writer that is not known, {number}");
        }
        advance(&mut marks, 7, 1);
        advance(&mut marks, 7, 2);
        let cases = [
            (0, Copy::Beside),
            (1, Copy::Further),
            (2, Copy::Further),
            (3, Copy::New),
            (4, Copy::Early),
            (u64::MAX, Copy::Early),
        ];
        for (number, expected) in cases {
            assert_eq!(judge(&marks, 7, number), expected, "{number}");
        }
        assert_eq!(judge(&marks, 8, 3), Copy::Early, "another writer");
        advance(&mut marks, 7, u64::MAX);
        assert_eq!(judge(&marks, 7, u64::MAX), Copy::Further, "a row that ends");
    }

    #[test]
    fn writer_that_is_one_too_many_is_unwelcome_and_known_ones_go_on() {
        let mut marks = Marks::new(2);
        advance(&mut marks, 1, 1);
        assert_eq!(judge(&marks, 2, 1), Copy::New);
        advance(&mut marks, 2, 1);
        assert_eq!(judge(&marks, 3, 1), Copy::Unwelcome);
        assert_eq!(judge(&marks, 3, 2), Copy::Early);
        assert_eq!(judge(&marks, 3, 0), Copy::Beside);
        assert_eq!(judge(&marks, 1, 2), Copy::New);
        let kept = Marks::from_kept(marks.sorted(), 2);
        assert_eq!((judge(&kept, 3, 1), judge(&kept, 1, 2)), (Copy::Unwelcome, Copy::New));
    }

    #[test]
    fn hash_is_the_same_for_the_same_marks_alone() {
        let pairs = [(1, 5), (2, 6), (3, 7)];
        let hash = |pairs: &[(u64, u64)]| {
            let kept = pairs.iter().map(|(writer, mark)| (WriterId::new(*writer), MessageNumber::new(*mark)));
            Marks::from_kept(kept, 9).hash()
        };
        let mut turned = pairs;
        turned.reverse();
        assert_eq!(hash(&pairs), hash(&turned));
        for other in [&pairs[..2], &[(1, 5), (2, 7), (3, 6)], &[(1, 5), (2, 6), (3, 8)]] {
            assert_ne!(hash(&pairs), hash(other));
        }
    }

    #[test]
    fn time_of_the_log_does_not_go_back() {
        let mut clock = LogClock::default();
        let times = [5, 3, 9, 1].map(|stamp| {
            clock.advance(LogStamp::new(stamp));
            clock.now().get()
        });
        assert_eq!(times, [5, 5, 9, 9]);
        assert_eq!(LogStamp::new(1_999_999_999).seconds(), 1);
    }

    proptest! {
        /// However copies are stored: what counts is a prefix of what was sent, in order, each once.
        #[test]
        fn whatever_is_stored_each_counts_once_and_in_order(stored in prop::collection::vec((0_u64..3, 0_u64..6), 0..80)) {
            let mut marks = Marks::new(9);
            let mut counted = [(); 3].map(|()| Vec::new());
            for (writer, number) in stored {
                if judge(&marks, writer, number) == Copy::New {
                    advance(&mut marks, writer, number);
                    counted[usize::try_from(writer).unwrap()].push(number);
                }
            }
            for (writer, numbers) in (0_u64..).zip(&counted) {
                let prefix: Vec<u64> = (1..).take(numbers.len()).collect();
                prop_assert_eq!(numbers, &prefix);
                prop_assert_eq!(marks.of(WriterId::new(writer)).get(), crate::limits::wide(numbers.len()));
            }
        }
    }
}
