//! What a copy holds, as JSON: the file `BACKUP`. In an archive it comes first; in a directory it also says which copy stood
//! there before, while a newer one is being made. A start reads it, since a copy alone has no journal, and takes it away.
//! Knows nothing of how copies are made; that is `backup`'s.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits::wide;
use crate::platform::disk::{Disk, DiskError};
use crate::store::layout::{BACKUP_FILE, SNAPSHOT_FOLDER};
use crate::store::snapshot::FileRef;
use crate::store::snapshot::manifest::Manifest;

/// The format that this version reads and writes.
const VERSION: u32 = 1;

/// One file of a snapshot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ListedFile {
    /// Its name within the snapshot folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32 of all of them.
    pub crc32: u32,
}

/// What a copy holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// The data directory's id.
    pub store_id: String,
    /// The snapshot's number.
    pub generation: u64,
    /// The last record of the journal that is counted.
    pub position: u64,
    /// When it was made, in seconds since the epoch.
    pub taken: i64,
    /// The manifest, which makes it complete.
    pub manifest: ListedFile,
    /// All other files.
    pub files: Vec<ListedFile>,
}

/// The content of `BACKUP`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// What is there, or is coming.
    pub(crate) copy: Option<Listing>,
    /// The manifest that is complete while `copy` is coming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<ListedFile>,
}

impl Record {
    pub(crate) fn new(copy: Option<Listing>, before: Option<ListedFile>) -> Self {
        Self { version: VERSION, copy, before }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// An error is in words.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if record.version > VERSION {
            return Err(format!("it has format {}, this tallyd reads up to {VERSION}", record.version));
        }
        Ok(record)
    }
}

impl From<&FileRef> for ListedFile {
    fn from(file: &FileRef) -> Self {
        Self { name: file.name.to_string(), bytes: file.bytes, crc32: file.crc32 }
    }
}

impl ListedFile {
    /// A manifest as it is there; short, so it is read as a whole.
    pub(crate) fn of_manifest(disk: &Disk, data_dir: &Path, name: String) -> Result<Self, DiskError> {
        let content = disk.read(&data_dir.join(SNAPSHOT_FOLDER).join(&name))?;
        Ok(Self { name, bytes: wide(content.len()), crc32: crc32fast::hash(&content) })
    }
}

/// Whether the directory is a copy, as it was made, and that is its manifest.
pub(crate) fn is_copy(disk: &Disk, data_dir: &Path, manifest: &Manifest) -> Result<bool, DiskError> {
    let file = data_dir.join(BACKUP_FILE);
    if disk.length(&file)?.is_none() {
        return Ok(false);
    }
    let Ok(record) = Record::decode(&disk.read(&file)?) else { return Ok(false) };
    let found = ListedFile::of_manifest(disk, data_dir, manifest.name().to_string())?;
    let complete = record.copy.map(|copy| copy.manifest).into_iter().chain(record.before);
    Ok(complete.into_iter().any(|listed| listed == found))
}

/// From now on the directory is a daemon's, which counts in it.
pub(crate) fn end_copy(disk: &Disk, data_dir: &Path) -> Result<(), DiskError> {
    match disk.remove(&data_dir.join(BACKUP_FILE)) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
