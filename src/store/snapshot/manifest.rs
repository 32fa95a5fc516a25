//! The manifest: what a snapshot consists of, and the journal position it stands for. Writing it is the commit.
//! Must not know how the files it lists come about.

use std::path::Path;
use std::sync::Arc;

use super::block::{BlockReader, Header};
use super::codec::Listed;
use super::{FileRef, Generation, KeyPiece, SnapshotFolder, block, codec};
use crate::model::cells::Month;
use crate::platform::disk::Disk;
use crate::store::damage::{Damage, FileError};
use crate::store::journal::{Sequence, StoreId};
use crate::store::layout::FileName;
use crate::store::log::LogState;

/// A snapshot: everything that was counted up to and including record `position` of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manifest {
    /// The data directory's number.
    pub(crate) store_id: StoreId,
    /// Which fold wrote it; 1 is the empty one of a new directory.
    pub(crate) generation: Generation,
    /// The last record that is counted in it.
    pub(crate) position: Sequence,
    /// Pieces of the dictionary; their entries apply in this order.
    pub(crate) dictionary: Vec<FileRef>,
    /// Parts, by month, then generation. Their cells add up.
    pub(crate) parts: Vec<FileRef>,
    /// Pieces of the keys of batches, oldest first.
    pub(crate) keys: Vec<KeyPiece>,
    /// The place in the log that it follows, if it follows one.
    pub(crate) log: Option<Arc<LogState>>,
    /// The first month that is kept, where those before were dropped. INVARIANT: no part is of one of those.
    pub(crate) dropped_before: Option<Month>,
}

impl Manifest {
    /// The snapshot that a new data directory begins with: nothing, before the first record.
    pub(crate) fn first(store_id: StoreId) -> Self {
        Self {
            store_id,
            generation: Generation::default().next(),
            position: Sequence::START,
            dictionary: Vec::new(),
            parts: Vec::new(),
            keys: Vec::new(),
            log: None,
            dropped_before: None,
        }
    }

    /// Every file of the snapshot but the manifest itself.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.dictionary.iter().chain(&self.parts).chain(self.keys.iter().map(|piece| &piece.file))
    }

    pub(crate) fn name(&self) -> FileName {
        FileName::Manifest(self.generation)
    }

    /// Writes the manifest, atomically and durably.
    pub(crate) fn commit(&self, folder: &SnapshotFolder) -> Result<(), FileError> {
        let name = self.name();
        let file = folder.path.join(name.to_string());
        let Self { position, dictionary, parts, keys, log, dropped_before, .. } = self.clone();
        let listed = Listed { position, dictionary, parts, keys, log, dropped_before };
        let payload = codec::encode_manifest(&listed).map_err(|what| block::unwritable(&file, what))?;
        let bytes = block::single(Header { store_id: self.store_id, name }, &payload);
        drop(folder.disk.replace(&file, &bytes)?);
        Ok(())
    }

    pub(crate) fn read(disk: &Disk, folder: &Path, generation: Generation) -> Result<Self, FileError> {
        let name = FileName::Manifest(generation);
        let opened = super::open(disk, folder, name)?;
        let mut reader = BlockReader::new(opened, name, None, None)?;
        let store_id = reader.store_id;
        let mut payload = Vec::new();
        if !reader.next(&mut payload)? {
            return Err(reader.damaged("the file is cut short"));
        }
        if codec::has_unknown_section(&payload) {
            return Err(Damage::unknown_section(reader.file()).into());
        }
        let Listed { position, dictionary, parts, keys, log, dropped_before } =
            codec::decode_manifest(&payload).map_err(|what| reader.damaged(what))?;
        if reader.next(&mut payload)? {
            return Err(reader.damaged("there is more behind the manifest"));
        }
        Ok(Self { store_id, generation, position, dictionary, parts, keys, log, dropped_before })
    }
}
