//! What a copy holds, as JSON: the file `BACKUP`. In an archive it comes first; in a directory it also says which copy stood
//! there before, while a newer one is being made. A start reads it, since a copy ends where it says, and takes it away.
//! Knows nothing of how copies are made; that is `backup`'s.
//!
//! | version | the files of a copy | what makes the newer one of two complete |
//! | --- | --- | --- |
//! | 1 | a snapshot, no journal | its manifest is there |
//! | 2 | a snapshot and the segments after it, up to the position | `before` is gone, and until then its manifest alone says nothing |

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits::wide;
use crate::platform::disk::{Disk, DiskError};
use crate::store::damage::{Damage, FileError};
use crate::store::layout::{
    BACKUP_FILE, JOURNAL_FOLDER, SNAPSHOT_FOLDER, first_of_segment, manifest_generation,
};
use crate::store::snapshot::manifest::Manifest;
use crate::store::snapshot::{FileRef, Generation};

/// The format that this version writes; it reads those before as well.
const VERSION: u32 = 2;

/// One file of a copy.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ListedFile {
    /// Its name within its folder: that of the journal for a segment, otherwise that of snapshots.
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
    /// The manifest, which comes last.
    pub manifest: ListedFile,
    /// All other files: those of the snapshot, and the segments of the journal after it.
    pub files: Vec<ListedFile>,
}

/// The content of `BACKUP`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// What is there, or is coming.
    pub(crate) copy: Option<Listing>,
    /// What is complete while `copy` is coming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
    /// CRC-32 of those two as JSON, since nothing else says where a copy ends. Not in version 1.
    #[serde(default)]
    crc32: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Before {
    Copy(Listing),
    /// Of version 1: the manifest.
    Manifest(ListedFile),
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("it has format {0}, this tallyd reads up to {VERSION}")]
    Newer(u32),
    #[error("{0}")]
    Damaged(#[from] serde_json::Error),
    #[error("it does not match its checksum")]
    Checksum,
}

/// What a directory says of the copy in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// There is none.
    NoCopy,
    /// None is complete.
    Incomplete,
    /// One is complete; another one may be coming.
    Complete(Listing),
    /// The manifest, or the record, is not what was written.
    Damaged,
    /// A daemon has been started on it since.
    Served,
}

impl Record {
    pub(crate) fn new(copy: Option<Listing>, before: Option<Listing>) -> Self {
        let mut record = Self { version: VERSION, copy, before: before.map(Before::Copy), crc32: 0 };
        record.crc32 = record.checksum();
        record
    }

    fn checksum(&self) -> u32 {
        crc32fast::hash(&serde_json::to_vec(&(&self.copy, &self.before)).unwrap_or_default())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    pub(crate) fn decode(text: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(text)?;
        if version > VERSION {
            return Err(RecordError::Newer(version));
        }
        let record: Self = serde_json::from_slice(text)?;
        if version > 1 && record.crc32 != record.checksum() {
            return Err(RecordError::Checksum);
        }
        Ok(record)
    }

    /// What it says of the directory that it is in.
    pub(crate) fn standing(&self, disk: &Disk, data_dir: &Path) -> Result<Standing, DiskError> {
        let Some(newest) = newest_manifest(disk, data_dir)? else { return Ok(Standing::Incomplete) };
        let before = self.before(disk, data_dir);
        let known: Vec<&Listing> = self.copy.iter().chain(&before).collect();
        if known.iter().all(|copy| copy.generation < newest.get()) {
            return Ok(Standing::Served);
        }
        let complete = match self.version {
            // The newer one of the two whose manifest is there.
            1 => known.into_iter().find(|copy| copy.generation == newest.get()),
            _ => before.as_ref().or(self.copy.as_ref()),
        };
        let Some(complete) = complete else { return Ok(Standing::Damaged) };
        let name = &complete.manifest.name;
        if disk.length(&data_dir.join(SNAPSHOT_FOLDER).join(name))?.is_none() {
            return Ok(Standing::Incomplete);
        }
        if ListedFile::of_manifest(disk, data_dir, name.clone())? != complete.manifest {
            return Ok(Standing::Damaged);
        }
        let is_served = self.has_other_records(disk, data_dir, complete)?;
        Ok(if is_served { Standing::Served } else { Standing::Complete(complete.clone()) })
    }

    /// The copy that was complete before; `None` as well where its manifest is damaged.
    fn before(&self, disk: &Disk, data_dir: &Path) -> Option<Listing> {
        match self.before.as_ref()? {
            Before::Copy(before) => Some(before.clone()),
            Before::Manifest(file) => {
                let generation = manifest_generation(&file.name)?;
                let manifest = Manifest::read(disk, &data_dir.join(SNAPSHOT_FOLDER), generation).ok()?;
                Some(Listing::of_snapshot(&manifest, file.clone()))
            }
        }
    }

    /// Whether there are segments after the position of the complete copy that are not on their way for the next one.
    fn has_other_records(&self, disk: &Disk, data_dir: &Path, complete: &Listing) -> Result<bool, DiskError> {
        let coming = self.copy.iter().flat_map(|copy| &copy.files);
        let coming: Vec<(&str, u64)> = coming.map(|file| (file.name.as_str(), file.bytes)).collect();
        let segments = disk.list(&data_dir.join(JOURNAL_FOLDER));
        let segments = match segments {
            Err(error) if error.is_not_found() => Vec::new(),
            listed => listed?,
        };
        Ok(segments.iter().any(|segment| {
            first_of_segment(&segment.name).is_some_and(|first| first.get() > complete.position)
                && !coming.contains(&(segment.name.as_str(), segment.bytes))
        }))
    }
}

impl Listing {
    /// A copy that is a snapshot, as those of version 1 are.
    fn of_snapshot(manifest: &Manifest, file: ListedFile) -> Self {
        Self {
            store_id: manifest.store_id.to_string(),
            generation: manifest.generation.get(),
            position: manifest.position.get(),
            taken: 0,
            manifest: file,
            files: manifest.files().map(ListedFile::from).collect(),
        }
    }

    pub(crate) fn lists(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }
}

impl From<&FileRef> for ListedFile {
    fn from(file: &FileRef) -> Self {
        Self { name: file.name.to_string(), bytes: file.bytes, crc32: file.crc32 }
    }
}

impl ListedFile {
    /// A manifest as it is there; short, so it is read as a whole.
    fn of_manifest(disk: &Disk, data_dir: &Path, name: String) -> Result<Self, DiskError> {
        let content = disk.read(&data_dir.join(SNAPSHOT_FOLDER).join(&name))?;
        Ok(Self { name, bytes: wide(content.len()), crc32: crc32fast::hash(&content) })
    }
}

/// What a directory says of the copy in it.
///
/// # Errors
/// `Newer` where a newer tallyd made it.
pub(crate) fn standing(disk: &Disk, data_dir: &Path) -> Result<Standing, FileError> {
    let file = data_dir.join(BACKUP_FILE);
    if disk.length(&file)?.is_none() {
        return Ok(Standing::NoCopy);
    }
    match Record::decode(&disk.read(&file)?) {
        Ok(record) => Ok(record.standing(disk, data_dir)?),
        Err(RecordError::Newer(version)) => Err(Damage::newer_version(file, version, VERSION).into()),
        Err(_) if newest_manifest(disk, data_dir)?.is_none() => Ok(Standing::Incomplete),
        Err(_) => Ok(Standing::Damaged),
    }
}

/// Takes away, durably, what else may find the directory of a complete copy: what is on its way for the next one, and what is
/// left of the one before.
pub(crate) fn settle(disk: &Disk, data_dir: &Path, complete: &Listing) -> Result<(), DiskError> {
    // The process that wrote the record may have died before that was durable, and the one before needs what goes.
    disk.sync_directory(data_dir)?;
    let is_other = |name: &str| manifest_generation(name).is_some() && *name != complete.manifest.name;
    remove(disk, &data_dir.join(SNAPSHOT_FOLDER), is_other)?;
    let is_other = |name: &str| first_of_segment(name).is_some() && !complete.lists(name);
    remove(disk, &data_dir.join(JOURNAL_FOLDER), is_other)
}

/// From now on the directory is a daemon's, which counts in it. Durable, since a record that came back would take what was counted
/// for another copy.
pub(crate) fn end_copy(disk: &Disk, data_dir: &Path) -> Result<(), DiskError> {
    match disk.remove(&data_dir.join(BACKUP_FILE)) {
        Ok(()) => disk.sync_directory(data_dir),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The highest generation of a manifest that is there.
pub(crate) fn newest_manifest(disk: &Disk, data_dir: &Path) -> Result<Option<Generation>, DiskError> {
    match disk.list(&data_dir.join(SNAPSHOT_FOLDER)) {
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
        Ok(listed) => Ok(listed.iter().filter_map(|entry| manifest_generation(&entry.name)).max()),
    }
}

/// Removes files of a folder, durably.
pub(crate) fn remove(disk: &Disk, folder: &Path, is_other: impl Fn(&str) -> bool) -> Result<(), DiskError> {
    let listed = match disk.list(folder) {
        Err(error) if error.is_not_found() => return Ok(()),
        listed => listed?,
    };
    let others: Vec<String> =
        listed.into_iter().map(|entry| entry.name).filter(|name| is_other(name)).collect();
    if others.is_empty() {
        return Ok(());
    }
    others.iter().try_for_each(|name| disk.remove(&folder.join(name)))?;
    disk.sync_directory(folder)
}
