//! The journal: every batch that was taken, one record each, in files called segments, in the order of their
//! sequence numbers. Knows files only through `disk`; must not know live counters, HTTP, parsing or async.
//!
//! The way in is [`JournalWriter`], the way out is [`Replay`] (or [`SegmentReader`], one segment), and
//! [`repair_tail`] makes a journal readable again after a crash, or says why it must not.
//!
//! INVARIANT: sequence numbers start at 1 and go up by one from record to record, across segments.
//! INVARIANT: a segment ends where the next begins: it is complete up to there, and synced before the next gets its name.

mod reader;
pub mod record;
mod repair;
mod segment;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
mod writer;

pub use super::position::{Sequence, StoreId};
pub use reader::{Replay, SegmentReader, gap};
pub use record::{LogEntry, LogSection, LoggedPart, PartFate, Record, Staged, StagedPart};
pub use repair::{TornTail, find_torn_tail, repair_tail};
pub use segment::{SEGMENT_VERSION, SegmentInfo, segments};
pub use writer::{AppendError, JournalWriter, RecordTooLarge, SealError};
