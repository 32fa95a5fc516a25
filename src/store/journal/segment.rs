//! The files of a journal, and the header that each begins with.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Sequence, StoreId};
use crate::limits::wide;
use crate::platform::disk::{Disk, DiskError, DiskFile, TEMPORARY_SUFFIX};
use crate::store::damage::{Damage, FileError};
use crate::store::layout::{first_of_segment, segment_name};

/// The format of segments that this program reads and writes.
pub const SEGMENT_VERSION: u32 = 2;

/// Length of a segment's header in bytes; the first record follows.
pub(super) const HEADER_BYTES: usize = 32;
/// [`HEADER_BYTES`] as a place in a file.
pub(super) const HEADER_END: u64 = 32;

const MAGIC: [u8; 8] = *b"tallyjnl";

/// One segment, as its name and the directory tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its file.
    pub path: PathBuf,
    /// The first record in it, or the one that would be.
    pub first_sequence: Sequence,
    /// The first record of the next segment; `None` for the newest.
    pub until: Option<Sequence>,
    /// Its length in bytes, header included.
    pub bytes: u64,
}

/// The segments of a journal by their first record; files of other names are left out.
///
/// # Errors
/// `Disk` where the directory cannot be listed.
pub fn segments(disk: &Disk, directory: &Path) -> Result<Vec<SegmentInfo>, DiskError> {
    let entries = disk.list(directory)?;
    let mut found: Vec<SegmentInfo> = entries
        .into_iter()
        .filter_map(|entry| {
            let first_sequence = first_of_segment(&entry.name)?;
            let path = directory.join(&entry.name);
            Some(SegmentInfo { path, first_sequence, until: None, bytes: entry.bytes })
        })
        .collect();
    found.sort_unstable_by_key(|segment| segment.first_sequence);
    let next: Vec<Sequence> = found.iter().skip(1).map(|segment| segment.first_sequence).collect();
    for (segment, next) in found.iter_mut().zip(next) {
        segment.until = Some(next);
    }
    Ok(found)
}

/// The file of the segment that begins with that record.
pub(super) fn path(directory: &Path, first: Sequence) -> PathBuf {
    directory.join(segment_name(first))
}

/// Makes a segment without records, durably, and leaves it open; one of that name is replaced.
pub(super) fn create(
    disk: &Disk,
    path: &Path,
    store_id: StoreId,
    first: Sequence,
) -> Result<DiskFile, DiskError> {
    disk.replace(path, &Header { store_id, first_sequence: first }.encode())
}

/// Copies the bytes `records` of a segment, which begin with record `first`, to a segment of their own, durably. Where
/// that is the segment's first record, the copy replaces it; otherwise the segment ends from now on where the copy begins.
pub(super) fn copy_records(
    disk: &Disk,
    segment: &SegmentInfo,
    (store_id, first): (StoreId, Sequence),
    records: Range<u64>,
) -> Result<(), DiskError> {
    let source = disk.open_read(&segment.path)?;
    let target = segment.path.with_file_name(segment_name(first));
    let copied = disk.replace_with(&target, |file| {
        file.append(&Header { store_id, first_sequence: first }.encode())?;
        source.for_each_chunk(records, |bytes, _| file.append(bytes))
    });
    copied.map(drop)
}

/// Removes what a crash left of segments that were being made.
pub(super) fn remove_leftovers(disk: &Disk, directory: &Path) -> Result<(), DiskError> {
    for entry in disk.list(directory)? {
        if entry.name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|name| first_of_segment(name).is_some()) {
            disk.remove(&directory.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Whether the file is not yet a segment: shorter than a header, or with a header of zeros and nothing else.
/// A segment gets its name only once its header is synced, so only a disk that lies about that leaves one.
pub(super) fn is_unfinished(disk: &Disk, info: &SegmentInfo) -> Result<bool, DiskError> {
    let mut header = [0; HEADER_BYTES];
    let read = disk.open_read(&info.path)?.read_at(&mut header, 0)?;
    let blank = header.iter().all(|byte| *byte == 0);
    Ok(read < HEADER_BYTES || (blank && info.bytes == HEADER_END))
}

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) store_id: StoreId,
    pub(super) first_sequence: Sequence,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (content, checksum) = bytes.split_at_mut(HEADER_BYTES - 4);
        let fields = MAGIC
            .into_iter()
            .chain(SEGMENT_VERSION.to_le_bytes())
            .chain(self.store_id.get().to_le_bytes())
            .chain(self.first_sequence.get().to_le_bytes());
        for (place, byte) in content.iter_mut().zip(fields) {
            *place = byte;
        }
        checksum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        bytes
    }

    /// Reads the header of an open segment. Which store id it must have is for the caller to say.
    pub(super) fn read(file: &DiskFile, info: &SegmentInfo) -> Result<Self, FileError> {
        let damaged = |offset: u64, what: &str| Err(Damage::damaged(&info.path, offset, what).into());
        let mut bytes = [0; HEADER_BYTES];
        let read = file.read_at(&mut bytes, 0)?;
        if read < HEADER_BYTES {
            let offset = wide(read);
            return damaged(offset, "the segment's header is cut short");
        }
        let (content, checksum) = bytes.split_at(HEADER_BYTES - 4);
        let mut rest = content;
        if take::<8>(&mut rest) != Some(MAGIC) {
            return damaged(0, "this is not a segment of a journal");
        }
        let version = take(&mut rest).map(u32::from_le_bytes);
        if checksum != crc32fast::hash(content).to_le_bytes() {
            return damaged(0, "the segment's header does not match its checksum");
        }
        let store_id = take(&mut rest).map(u64::from_le_bytes);
        let first = take(&mut rest).map(u64::from_le_bytes);
        match (version, store_id, first) {
            (Some(found), _, _) if found > SEGMENT_VERSION => {
                Err(Damage::newer_version(&info.path, found, SEGMENT_VERSION).into())
            }
            (Some(SEGMENT_VERSION), Some(store_id), Some(first)) => {
                let header = Self { store_id: StoreId::new(store_id), first_sequence: Sequence::new(first) };
                if header.first_sequence == info.first_sequence {
                    Ok(header)
                } else {
                    let what = format!(
                        "the segment's header says that it begins with record {first}; the file was renamed"
                    );
                    damaged(0, &what)
                }
            }
            _ => damaged(8, "the segment has a format that is no longer read"),
        }
    }
}

/// Takes `N` bytes from the front; `None`, and nothing taken, where there are fewer.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*front)
}
