//! Why a journal cannot be read or written.

use std::path::PathBuf;

use super::{Sequence, StoreId};
use crate::platform::disk::DiskError;

/// Why a journal cannot be read or written. Nothing is ever changed on the disk before one of these is given.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The machine refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A segment holds something that no crash can have left there.
    #[error("{} is damaged at byte {offset}: {what}", segment.display())]
    Damaged {
        /// The segment's file.
        segment: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Records are not there that must be.
    #[error("the journal lacks record {missing}: {} begins with record {found}", segment.display())]
    Gap {
        /// The first record that is missing.
        missing: Sequence,
        /// The record found in its place.
        found: Sequence,
        /// The file in which that one was found.
        segment: PathBuf,
    },
    /// The records up to a place that something else relies on are not all there.
    #[error("the journal in {} lacks record {missing} and all after it", directory.display())]
    Ends {
        /// The first record that is missing.
        missing: Sequence,
        /// The journal's directory.
        directory: PathBuf,
    },
    /// The segment was written by a newer tallyd.
    #[error("{} has format {found}; this tallyd reads up to {supported}", segment.display())]
    NewerVersion {
        /// The segment's file.
        segment: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format that this program reads.
        supported: u32,
    },
    /// A record has a section that a newer tallyd wrote.
    #[error("{} has a record with a section that this tallyd cannot read", segment.display())]
    UnknownSection {
        /// The segment's file.
        segment: PathBuf,
    },
    /// The segment belongs to another data directory.
    #[error("{} belongs to another data directory (store_id {found}, not {expected})", segment.display())]
    Foreign {
        /// The segment's file.
        segment: PathBuf,
        /// The store id of the file.
        found: StoreId,
        /// The store id of the directory.
        expected: StoreId,
    },
    /// A file is in the way of a new segment.
    #[error("{} is there already and holds records", segment.display())]
    SegmentExists {
        /// The segment's file.
        segment: PathBuf,
    },
    /// A batch cannot be one record.
    #[error("a batch of {bytes} bytes is more than a record can hold ({bytes_max})")]
    RecordTooLarge {
        /// Bytes that the record would have.
        bytes: usize,
        /// Most bytes that it can have.
        bytes_max: usize,
    },
}
