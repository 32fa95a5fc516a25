//! What all files of a snapshot share: the header, and blocks with length and checksum behind it. Reads and writes
//! front to back, one block in memory at a time, and sums up the file as a whole on the way.
//!
//! ```text
//! header  magic 8 | version u32 | month u32 | store id u64 | generation u64 | crc32 u32 of the 32 bytes before
//! block   length u32 | crc32 u32 of length and payload | payload          (numbers are little-endian)
//! ```
//! Must not know what is in the blocks, nor who opens the files.

use std::io;
use std::path::Path;

use super::{FORMAT_VERSION, FORMAT_VERSION_OLDEST, FileRef};
use crate::limits::{SNAPSHOT_BLOCK_BYTES_MAX, narrow, wide};
use crate::platform::disk::{DiskError, DiskFile, Operation};
use crate::store::damage::{Damage, FileError};
use crate::store::journal::StoreId;
use crate::store::layout::FileName;

const HEADER_BYTES: usize = 36;
const BLOCK_HEAD_BYTES: usize = 8;

/// The first bytes of a file: which data directory it belongs to and which file of it it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// The data directory's own number, so that no file of another one is taken for ours.
    pub(crate) store_id: StoreId,
    /// Kind, month and generation.
    pub(crate) name: FileName,
}

impl Header {
    fn magic(self) -> &'static [u8; 8] {
        match self.name {
            FileName::Dictionary(_) => b"tallydic",
            FileName::Keys(_) => b"tallykey",
            FileName::Part(..) => b"tallyprt",
            FileName::Manifest(_) => b"tallyman",
        }
    }

    fn encode(self, version: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(self.magic());
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&self.name.month().map_or(0, crate::model::cells::Month::get).to_le_bytes());
        bytes.extend_from_slice(&self.store_id.get().to_le_bytes());
        bytes.extend_from_slice(&self.name.generation().get().to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }
}

/// Writes one file.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    out: DiskFile,
    name: FileName,
    bytes: u64,
    sum: crc32fast::Hasher,
    buffer: Vec<u8>,
}

impl BlockWriter {
    /// Writes the header into a new, empty file.
    pub(crate) fn new(out: DiskFile, header: Header) -> Result<Self, FileError> {
        let sum = crc32fast::Hasher::new();
        let mut writer =
            Self { out, name: header.name, bytes: 0, sum, buffer: header.encode(FORMAT_VERSION) };
        writer.put_buffer()?;
        Ok(writer)
    }

    pub(crate) fn block(&mut self, payload: &[u8]) -> Result<(), FileError> {
        if payload.len() > SNAPSHOT_BLOCK_BYTES_MAX {
            return Err(self.unwritable(format!("a block of {} bytes", payload.len())));
        }
        put_block(payload, &mut self.buffer);
        self.put_buffer()
    }

    /// An error about content that does not fit the format.
    pub(crate) fn unwritable(&self, what: String) -> FileError {
        unwritable(self.out.path(), what)
    }

    /// Syncs the file. Returns what a manifest must say of it.
    pub(crate) fn finish(self) -> Result<FileRef, FileError> {
        self.out.sync()?;
        Ok(FileRef { name: self.name, bytes: self.bytes, crc32: self.sum.finalize() })
    }

    fn put_buffer(&mut self) -> Result<(), FileError> {
        self.out.append(&self.buffer)?;
        self.sum.update(&self.buffer);
        self.bytes = self.bytes.saturating_add(wide(self.buffer.len()));
        self.buffer.clear();
        Ok(())
    }
}

/// An error about content that does not fit the format of the file.
pub(super) fn unwritable(file: &Path, what: String) -> FileError {
    let source = io::Error::new(io::ErrorKind::InvalidInput, what);
    DiskError { operation: Operation::Write, path: file.to_owned(), source }.into()
}

/// The bytes of a file of one block, for files that are replaced as a whole.
pub(crate) fn single(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.encode(FORMAT_VERSION);
    put_block(payload, &mut bytes);
    bytes
}

fn put_block(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&block_crc(length, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads one file, block by block.
#[derive(Debug)]
pub(crate) struct BlockReader {
    input: DiskFile,
    /// As the manifest says; `None` where the file is the manifest itself.
    listed: Option<FileRef>,
    /// As in the header.
    pub(super) store_id: StoreId,
    /// The format of the file.
    pub(super) version: u32,
    offset: u64,
    sum: crc32fast::Hasher,
}

impl BlockReader {
    /// Reads and checks the header. `store_id` is `None` where it is not known yet.
    pub(crate) fn new(
        input: DiskFile,
        name: FileName,
        store_id: Option<StoreId>,
        listed: Option<FileRef>,
    ) -> Result<Self, FileError> {
        let sum = crc32fast::Hasher::new();
        let mut reader =
            Self { input, listed, store_id: store_id.unwrap_or(StoreId::new(0)), version: 0, offset: 0, sum };
        let mut bytes = [0; HEADER_BYTES];
        reader.take(&mut bytes)?;
        let found = bytes.get(16..24).and_then(|e| e.try_into().ok()).map_or(0, u64::from_le_bytes);
        reader.store_id = store_id.unwrap_or(StoreId::new(found));
        reader.version = reader.check_header(&bytes, Header { store_id: reader.store_id, name })?;
        Ok(reader)
    }

    /// The file's path, for errors about what is in its blocks.
    pub(crate) fn file(&self) -> &Path {
        self.input.path()
    }

    /// An error about the block that was read last.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> FileError {
        Damage::damaged(self.file(), self.offset, what).into()
    }

    /// Reads the next block's payload into `payload`; `false` after the last one, when the file as a whole has been
    /// found to have the length and checksum expected.
    pub(crate) fn next(&mut self, payload: &mut Vec<u8>) -> Result<bool, FileError> {
        payload.clear();
        let mut head = [0; BLOCK_HEAD_BYTES];
        match self.fill(&mut head)? {
            0 => return self.check_end().map(|()| false),
            BLOCK_HEAD_BYTES => {}
            _ => return Err(self.damaged("the file is cut short")),
        }
        let [length, crc] =
            head.as_chunks().0.first_chunk().map_or([0; 2], |words| words.map(u32::from_le_bytes));
        let bytes = narrow(length);
        if bytes > SNAPSHOT_BLOCK_BYTES_MAX || self.left().is_some_and(|left| u64::from(length) > left) {
            return Err(self.damaged(format!("a block claims {length} bytes")));
        }
        payload.resize(bytes, 0);
        self.take(payload)?;
        if block_crc(length, payload) == crc {
            Ok(true)
        } else {
            Err(self.damaged("the block's checksum is wrong"))
        }
    }

    /// Bytes that must still come, where that is known.
    fn left(&self) -> Option<u64> {
        self.listed.map(|file| file.bytes.saturating_sub(self.offset))
    }

    /// The format of the file, if it is one that is read and the header is this one.
    fn check_header(&self, bytes: &[u8; HEADER_BYTES], header: Header) -> Result<u32, FileError> {
        let at_start = |what| Err(Damage::damaged(self.file(), 0, what).into());
        let Some((fields, crc)) = bytes.split_last_chunk::<4>() else {
            return at_start("the header is cut short");
        };
        if !fields.starts_with(header.magic()) {
            return at_start("it does not start like a file of its kind");
        }
        if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return at_start("the header's checksum is wrong");
        }
        let version = fields.get(8..12).and_then(|v| v.try_into().ok()).map_or(0, u32::from_le_bytes);
        if version > FORMAT_VERSION {
            return Err(Damage::newer_version(self.file(), version, FORMAT_VERSION).into());
        }
        if version < FORMAT_VERSION_OLDEST {
            return at_start("it has a format that is no longer read");
        }
        if header.encode(version).as_slice() == bytes.as_slice() {
            return Ok(version);
        }
        at_start("the header is of another file or data directory")
    }

    fn check_end(&self) -> Result<(), FileError> {
        let Some(expected) = self.listed else { return Ok(()) };
        if self.offset != expected.bytes {
            return Err(self.damaged(format!("the file ends here, it had {} bytes", expected.bytes)));
        }
        if self.sum.clone().finalize() != expected.crc32 {
            return Err(self.damaged("the checksum of the whole file is wrong"));
        }
        Ok(())
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        let wanted = bytes.len();
        if self.fill(bytes)? == wanted { Ok(()) } else { Err(self.damaged("the file is cut short")) }
    }

    /// Reads until `bytes` is full or the file ends; how many bytes came.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, FileError> {
        let filled = self.input.read_at(bytes, self.offset)?;
        self.sum.update(bytes.get(..filled).unwrap_or_default());
        self.offset = self.offset.saturating_add(wide(filled));
        Ok(filled)
    }
}

/// The checksum covers the length as well: a flipped bit in it must not look like a cut file.
fn block_crc(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}
