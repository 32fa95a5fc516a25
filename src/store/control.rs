//! What the snapshotter is told, and what it answers. Knows nothing of who tells it.

use crossbeam::channel::Sender;

use super::error::BackupError;
use super::pins::Pin;
use crate::store::journal::{SegmentInfo, Sequence};
use crate::store::snapshot::manifest::Manifest;

#[derive(Debug)]
pub(super) enum Control {
    /// Do not wait for the interval.
    Now,
    /// Seal the journal, and pin for a copy the newest snapshot and the segments after it.
    Backup(Sender<Result<Pinned, BackupError>>),
    /// The journal is sealed through here for the last time: fold once more and end.
    Finish(Sequence),
}

/// A snapshot, and the journal after it up to a seal, whose files stay while a copy is made of them.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) manifest: Manifest,
    /// The manifest's file.
    pub(super) content: Vec<u8>,
    /// The segments with the records after the snapshot.
    pub(super) segments: Vec<SegmentInfo>,
    /// The last record in them, or in the snapshot where there are none.
    pub(super) position: Sequence,
    pub(super) pin: Pin,
}
