//! The archive of a copy, made piece by piece while it is read. Each file is checked against its manifest on the way.
//! INVARIANT: the manifest comes last, and only after all that it lists.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use super::{BackupError, Backups, ListedFile, Listing};
use crate::limits::{BACKUP_CHUNK_BYTES, narrow, wide};
use crate::platform::disk::{DiskError, DiskFile, Operation};
use crate::store::control::Pinned;
use crate::store::damage::{Damage, FileError};
use crate::store::journal::{SegmentInfo, SegmentReader};
use crate::store::layout::{BACKUP_FILE, JOURNAL_FOLDER, SNAPSHOT_FOLDER, folder_of, segment_name};
use crate::store::listing::Record;
use crate::store::pins::Pin;

/// Archives consist of blocks of so many bytes.
const BLOCK_BYTES: usize = 512;
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A copy that is being read.
#[derive(Debug)]
pub struct Backup {
    backups: Backups,
    pin: Pin,
    listing: Listing,
    /// Yet to come, after the open file.
    pieces: VecDeque<Piece>,
    open: Option<OpenFile>,
    began: Duration,
    bytes: u64,
    /// The end was given, or an error, and noted.
    is_noted: bool,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    File(ListedFile, PathBuf),
}

#[derive(Debug)]
struct OpenFile {
    listed: ListedFile,
    file: DiskFile,
    read: u64,
    sum: crc32fast::Hasher,
}

impl Backup {
    /// What is to be read of what is pinned by somebody who has `stands`. Reads the segments, whose checksums come first.
    pub(super) fn new(
        backups: &Backups,
        Pinned { manifest, content, segments, position, pin }: Pinned,
        stands: &[ListedFile],
    ) -> Result<Self, BackupError> {
        let mut files: Vec<(ListedFile, PathBuf)> = manifest
            .files()
            .map(|file| (ListedFile::from(file), backups.folder.path.join(file.name.to_string())))
            .collect();
        for segment in segments {
            // Who asked may have let its answer lie for longer than it holds.
            backups.check_held(&pin)?;
            files.push((backups.measure(&segment)?, segment.path));
        }
        let name = manifest.name().to_string();
        let listing = Listing {
            store_id: manifest.store_id.to_string(),
            generation: manifest.generation.get(),
            position: position.get(),
            taken: backups.clock.unix_seconds(),
            manifest: ListedFile { name, bytes: wide(content.len()), crc32: crc32fast::hash(&content) },
            files: files.iter().map(|(file, _)| file.clone()).collect(),
        };
        let mut pieces = VecDeque::new();
        let time = u64::try_from(listing.taken).unwrap_or(0);
        let entry = |path: &str, content: &[u8]| -> Result<Piece, BackupError> {
            let mut bytes = header(backups, path, (FILE_MODE, wide(content.len()), time))?;
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
            Ok(Piece::Bytes(bytes))
        };
        pieces.push_back(entry(BACKUP_FILE, &Record::new(Some(listing.clone()), None).encode())?);
        for folder in [JOURNAL_FOLDER, SNAPSHOT_FOLDER] {
            pieces.push_back(Piece::Bytes(header(backups, &format!("{folder}/"), (FOLDER_MODE, 0, time))?));
        }
        let stands: HashSet<&ListedFile> = stands.iter().collect();
        for (file, source) in files.into_iter().filter(|(file, _)| !stands.contains(file)) {
            let path = format!("{}/{}", folder_of(&file.name), file.name);
            pieces.push_back(Piece::Bytes(header(backups, &path, (FILE_MODE, file.bytes, time))?));
            pieces.push_back(Piece::File(file, source));
        }
        pieces.push_back(entry(&format!("{SNAPSHOT_FOLDER}/{}", listing.manifest.name), &content)?);
        pieces.push_back(Piece::Bytes(vec![0; 2 * BLOCK_BYTES]));
        let (began, backups) = (backups.clock.monotonic(), backups.clone());
        Ok(Self { backups, pin, listing, pieces, open: None, began, bytes: 0, is_noted: false })
    }

    /// What it holds.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The next bytes of the archive; `None` at its end. Blocks.
    ///
    /// # Errors
    /// [`BackupError`]; there is no more of it then.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let chunk = self.read_chunk();
        match &chunk {
            Ok(Some(chunk)) => self.bytes = self.bytes.saturating_add(wide(chunk.len())),
            Ok(None) => self.note(None),
            Err(error) => self.note(Some(&error.to_string())),
        }
        chunk
    }

    fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        if let Some(open) = &mut self.open {
            let (chunk, is_last) = open.next_chunk()?;
            if is_last {
                self.open = None;
            }
            return Ok(Some(chunk));
        }
        match self.pieces.pop_front() {
            None => Ok(None),
            Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Piece::File(listed, source)) => {
                self.backups.check_held(&self.pin)?;
                let file = self.backups.folder.disk.open_read(&source).map_err(FileError::from)?;
                self.open = Some(OpenFile { listed, file, read: 0, sum: crc32fast::Hasher::new() });
                self.read_chunk()
            }
        }
    }

    fn note(&mut self, fault: Option<&str>) {
        if std::mem::replace(&mut self.is_noted, true) {
            return;
        }
        let Self { backups, listing: Listing { position, generation, .. }, bytes, .. } = self;
        let took = backups.clock.monotonic().saturating_sub(self.began);
        match fault {
            None => {
                backups.status.backup_read((*position, *bytes), backups.clock.unix_seconds());
                tracing::info!(position, generation, bytes, ?took, "a backup was read to its end");
            }
            Some(fault) => {
                backups.status.backup_broke_off();
                tracing::warn!(position, generation, bytes, ?took, fault, "a backup was not read to its end");
            }
        }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.note(Some("its reader has gone away"));
    }
}

impl Backups {
    /// A segment as it is copied.
    fn measure(&self, segment: &SegmentInfo) -> Result<ListedFile, FileError> {
        let reader = SegmentReader::open(&self.folder.disk, segment, self.folder.store_id)?;
        let (bytes, crc32) = reader.measure()?;
        Ok(ListedFile { name: segment_name(segment.first_sequence), bytes, crc32 })
    }

    /// That the files are still kept.
    fn check_held(&self, pin: &Pin) -> Result<(), BackupError> {
        self.pins.end_late(self.clock.monotonic());
        if pin.is_held() { Ok(()) } else { Err(BackupError::TooSlow) }
    }
}

impl OpenFile {
    /// The next bytes, padded at the end of the file, and whether they are the last.
    fn next_chunk(&mut self) -> Result<(Vec<u8>, bool), FileError> {
        let left = self.listed.bytes.saturating_sub(self.read);
        let wanted = narrow(left).min(BACKUP_CHUNK_BYTES);
        let mut chunk = vec![0; wanted];
        let found = self.file.read_at(&mut chunk, self.read)?;
        self.sum.update(&chunk);
        self.read = self.read.saturating_add(wide(found));
        if found < wanted {
            return Err(self.damaged("the file is cut short"));
        }
        let is_last = self.read == self.listed.bytes;
        if is_last {
            if self.sum.clone().finalize() != self.listed.crc32 {
                return Err(self.damaged("the file does not match its checksum"));
            }
            chunk.resize(chunk.len().next_multiple_of(BLOCK_BYTES), 0);
        }
        Ok((chunk, is_last))
    }

    fn damaged(&self, what: &str) -> FileError {
        Damage::damaged(self.file.path(), self.read, what).into()
    }
}

/// The header of an entry; a path that ends in a slash is a folder's.
fn header(backups: &Backups, path: &str, (mode, bytes, time): (u32, u64, u64)) -> Result<Vec<u8>, FileError> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).map_err(|source| DiskError {
        operation: Operation::Read,
        path: backups.folder.path.join(path),
        source,
    })?;
    let is_folder = path.ends_with('/');
    header.set_entry_type(if is_folder { tar::EntryType::Directory } else { tar::EntryType::Regular });
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(time);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}
