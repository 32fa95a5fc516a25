//! Counters and catalogue on disk. A snapshot is a manifest that lists immutable files which add up: *parts*
//! (the frames of one calendar month that one fold touched), *dictionary* pieces (catalogue entries in order) and pieces
//! of the keys of batches. A fold adds small files and now and then merges the newest of them into one, so that it costs
//! what has changed and not what is stored.
//!
//! Must not know: live counters, the catalogue in memory, the journal's files, sockets, async.
//!
//! The manifest of a daemon that shares a log with others says which place in the log the snapshot is: position, chain, marks, time,
//! digest. A version that does not know that section refuses it instead of reading a snapshot in part.
//!
//! INVARIANTS
//! - No file is ever changed once a manifest names it; a manifest appears by atomic replacement, and that commits.
//! - Every file starts with the same header (magic, version, month, store id, generation, checksum); everything after
//!   it is in blocks with length and checksum; a manifest holds the length and checksum of each file as a whole.
//! - The cells of a series in a part count only if the part's generation is at least the generation that last
//!   cleared the series (deleted its story).

pub(crate) mod block;
mod codec;
pub(crate) mod dictionary;
mod entries;
pub(crate) mod entry;
pub(crate) mod erased;
mod frames;
pub(crate) mod keys;
pub(crate) mod manifest;
pub(crate) mod merge;
pub(crate) mod part;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;

#[cfg(test)]
pub(crate) mod tests;

pub use crate::store::position::Generation;
pub(crate) use frames::{Frames, FramesOut};

use std::path::{Path, PathBuf};

use crate::platform::disk::{Disk, DiskFile};
use crate::store::damage::{Damage, FileError};
use crate::store::journal::StoreId;
use crate::store::layout::{self, FileName};
use block::{BlockReader, BlockWriter, Header};

/// The format of every file of a snapshot that this version writes. In format 3 the dictionary was longer; all else is alike.
pub const FORMAT_VERSION: u32 = 4;
/// The oldest format that it reads.
const FORMAT_VERSION_OLDEST: u32 = 3;
/// The first format with the dictionary's blocks as [`entries`] writes them.
const FORMAT_VERSION_ENTRIES: u32 = 4;

/// A file that a manifest lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRef {
    /// Its name within the snapshot folder.
    pub name: FileName,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32 of all of them.
    pub crc32: u32,
}

/// A piece of the keys of batches, as a manifest lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyPiece {
    /// Its file.
    pub(crate) file: FileRef,
    /// How many keys it has of each rule, by [`KeyRule::index`](crate::model::batch::KeyRule::index).
    pub(crate) held: [u64; 2],
    /// When the newest of each was taken, in seconds since the epoch.
    pub(crate) newest: [u32; 2],
}

/// The folder with the snapshots of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFolder {
    pub(crate) disk: Disk,
    pub(crate) path: PathBuf,
    /// The data directory's, which every file has.
    pub(crate) store_id: StoreId,
}

impl SnapshotFolder {
    pub(crate) fn new(disk: &Disk, data_dir: &Path, store_id: StoreId) -> Self {
        Self { disk: disk.clone(), path: data_dir.join(layout::SNAPSHOT_FOLDER), store_id }
    }

    /// Makes a file, with its header.
    fn create(&self, name: FileName) -> Result<BlockWriter, FileError> {
        let file = self.disk.create_new(&self.path.join(name.to_string()))?;
        BlockWriter::new(file, Header { store_id: self.store_id, name })
    }

    /// Opens a file that a manifest lists.
    fn open(&self, file: &FileRef) -> Result<BlockReader, FileError> {
        let opened = open(&self.disk, &self.path, file.name)?;
        BlockReader::new(opened, file.name, Some(self.store_id), Some(*file))
    }
}

/// Opens a file that ought to be there.
fn open(disk: &Disk, folder: &Path, name: FileName) -> Result<DiskFile, FileError> {
    disk.open_read(&folder.join(name.to_string())).map_err(|error| {
        if error.is_not_found() { Damage::missing(folder, name.to_string()).into() } else { error.into() }
    })
}
