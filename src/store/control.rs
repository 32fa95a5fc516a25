//! What the snapshotter is told, and what it answers. Knows nothing of who tells it.

use crossbeam::channel::Sender;

use super::error::BackupError;
use super::pins::Pin;
use crate::store::journal::Sequence;
use crate::store::snapshot::manifest::Manifest;

#[derive(Debug)]
pub(super) enum Control {
    /// Do not wait for the interval.
    Now,
    /// Make a snapshot and pin its files for a copy.
    Backup(Sender<Result<Pinned, BackupError>>),
    /// The journal is sealed through here for the last time: fold once more and end.
    Finish(Sequence),
}

/// A snapshot whose files stay while a copy is made of them.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) manifest: Manifest,
    /// The manifest's file.
    pub(super) content: Vec<u8>,
    pub(super) pin: Pin,
}
