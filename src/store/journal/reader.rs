//! Reading the journal: record by record within a segment, and across segments from a position on.
//! Strict: whatever is not the very record that is due is refused. What a crash may leave is `repair`'s matter.

use std::path::{Path, PathBuf};

use super::record::{self, FLAG_SEALED, HEADER_BYTES, Header, Place};
use super::segment::{self, HEADER_END};
use super::{Record, SegmentInfo, Sequence, StoreId};
use crate::limits::{narrow, wide};
use crate::platform::disk::{Disk, DiskFile, SECTOR_BYTES};
use crate::store::damage::{Damage, FileError};

/// Bytes read from the disk at a time.
const READ_BYTES: usize = 1024 * 1024;

/// Reads the records of one segment in order; refuses anything that is not the next record.
#[derive(Debug)]
pub struct SegmentReader {
    file: DiskFile,
    store_id: StoreId,
    /// The number that the next record must have.
    expected: Sequence,
    /// The first record of the next segment, if there is one: whatever stands there and behind it is not read.
    until: Option<Sequence>,
    /// Where the next record begins in the file.
    offset: u64,
    /// A stretch of the file.
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    start: usize,
    sealed: bool,
}

/// What stands at the reader's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// The record that is due; `bytes` of the buffer, header included.
    Record { header: Header, bytes: usize },
    /// A good record, but of a later number.
    Later(Sequence),
    /// The segment ends here, as it should.
    End,
    /// Anything else, in words.
    Bad(&'static str),
}

impl SegmentReader {
    /// Opens a segment and checks its header. Blocks, as all calls here do.
    ///
    /// # Errors
    /// Where it is not a segment of this data directory, or of a newer tallyd.
    pub fn open(disk: &Disk, info: &SegmentInfo, store_id: StoreId) -> Result<Self, FileError> {
        let file = disk.open_read(&info.path)?;
        let header = segment::Header::read(&file, info)?;
        if header.store_id != store_id {
            let found = header.store_id;
            let what = format!("it belongs to another data directory (store id {found}, not {store_id})");
            return Err(Damage::damaged(&info.path, 0, what).into());
        }
        Ok(Self {
            file,
            store_id,
            expected: header.first_sequence,
            until: info.until,
            offset: HEADER_END,
            buffer: Vec::new(),
            start: 0,
            sealed: false,
        })
    }

    /// Reads the next record into `record`, whose allocations are used again; `false` at the end of the segment.
    ///
    /// # Errors
    /// Where anything but the record that is due stands there; `record` then holds anything.
    pub fn next_into(&mut self, record: &mut Record) -> Result<bool, FileError> {
        match self.look()? {
            Found::Record { header, bytes } => {
                let payload = self
                    .buffer
                    .get(self.start.saturating_add(HEADER_BYTES)..self.start.saturating_add(bytes))
                    .unwrap_or_default();
                if record::has_unknown_section(header.flags, payload) {
                    return Err(Damage::unknown_section(self.path()).into());
                }
                record.sequence = header.sequence;
                record::decode(payload, header.flags, record).map_err(|what| self.damaged(what))?;
                self.advance(bytes);
                Ok(true)
            }
            Found::End => Ok(false),
            Found::Later(found) => Err(self.gap(found)),
            Found::Bad(what) => Err(self.damaged(what)),
        }
    }

    /// The number that the next record must have.
    pub fn next_sequence(&self) -> Sequence {
        self.expected
    }

    /// Where the next record begins, in bytes from the start of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the end was reached and carries the mark that another segment follows.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The length of the segment up to the end of its last record, and the CRC-32 of that much of the file, of a reader that has read
    /// nothing yet. What may follow, an end mark or what a repair left out, no reader needs.
    ///
    /// # Errors
    /// Where a record before the next segment cannot be read.
    pub(in crate::store) fn measure(mut self) -> Result<(u64, u32), FileError> {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&segment::Header { store_id: self.store_id, first_sequence: self.expected }.encode());
        loop {
            match self.look()? {
                Found::Record { bytes, .. } => {
                    let end = self.start.saturating_add(bytes);
                    sum.update(self.buffer.get(self.start..end).unwrap_or_default());
                    self.advance(bytes);
                }
                Found::End => match self.until.filter(|until| *until != self.expected) {
                    Some(until) => return Err(self.gap(until)),
                    None => return Ok((self.offset, sum.finalize())),
                },
                Found::Later(found) => return Err(self.gap(found)),
                Found::Bad(what) => return Err(self.damaged(what)),
            }
        }
    }

    /// What stands at the reader's place; the place stays.
    pub(super) fn look(&mut self) -> Result<Found, FileError> {
        if self.until == Some(self.expected) {
            return Ok(Found::End);
        }
        let front = self.fill(HEADER_BYTES)?;
        if front.is_empty() {
            return Ok(Found::End);
        }
        let Some(header) = Header::parse(front) else {
            return self.look_at_end("no record begins here");
        };
        let bytes = header.length.saturating_add(HEADER_BYTES);
        let store_id = self.store_id;
        let front = self.fill(bytes)?;
        let Some(record) = front.get(..bytes) else {
            return self.look_at_end("the record is longer than the file");
        };
        if !header.matches(store_id, record) {
            return self.look_at_end("the record does not match its checksum");
        }
        if header.sequence > self.expected {
            return Ok(Found::Later(header.sequence));
        }
        if header.sequence < self.expected {
            return Ok(Found::Bad("an older record stands here"));
        }
        if header.flags == FLAG_SEALED {
            self.sealed = true;
            let after = self.fill(HEADER_BYTES.saturating_add(1))?.len();
            let last = after == HEADER_BYTES;
            return Ok(if last {
                Found::End
            } else {
                Found::Bad("something follows the end of the segment")
            });
        }
        Ok(Found::Record { header, bytes })
    }

    /// Goes past the `bytes` of the record that `look` found.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes);
        self.offset = self.offset.saturating_add(wide(bytes));
        self.expected = self.expected.next();
    }

    /// The rest of the file from the reader's place on, read whole. For looking into damage.
    pub(super) fn rest(&mut self) -> Result<&[u8], FileError> {
        let length = self.file.length()?.saturating_sub(self.offset);
        self.fill(narrow(length))
    }

    pub(super) fn store_id(&self) -> StoreId {
        self.store_id
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn damaged(&self, what: &str) -> FileError {
        Damage::damaged(self.path(), self.offset, what).into()
    }

    /// The error for the record `found` in the place of the one that is due.
    pub(super) fn gap(&self, found: Sequence) -> FileError {
        gap(self.path(), self.expected, found).into()
    }

    /// The mark at the end of a sealed segment is written after the next segment is there, and never synced on
    /// purpose: any sectors of it, with zeros for the others, are an end as good as the whole mark.
    fn look_at_end(&mut self, otherwise: &'static str) -> Result<Found, FileError> {
        let last = self.expected.previous();
        let mark =
            record::seal_mark(Place { store_id: self.store_id, sequence: self.expected, synced: last });
        let in_sector = narrow(self.offset) % SECTOR_BYTES;
        let rest = self.fill(HEADER_BYTES.saturating_add(1))?;
        let is_end = is_part_of(rest, &mark, SECTOR_BYTES.saturating_sub(in_sector));
        Ok(if is_end { Found::End } else { Found::Bad(otherwise) })
    }

    /// The next `wanted` bytes from the reader's place on, or as many as the file has.
    fn fill(&mut self, wanted: usize) -> Result<&[u8], FileError> {
        let held = self.buffer.len().saturating_sub(self.start);
        if held < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
            let position = self.offset.saturating_add(wide(held));
            let left = self.file.length()?.saturating_sub(position);
            let more = narrow(left).min(wanted.max(READ_BYTES).saturating_sub(held));
            self.buffer.resize(held.saturating_add(more), 0);
            let read = self.file.read_at(self.buffer.get_mut(held..).unwrap_or_default(), position)?;
            self.buffer.truncate(held.saturating_add(read));
        }
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        Ok(rest.get(..wanted).unwrap_or(rest))
    }
}

/// Whether the bytes are a front of `written`, of which each side of the boundary between two sectors may be zeros.
fn is_part_of(bytes: &[u8], written: &[u8], boundary: usize) -> bool {
    let halves = |bytes: &[u8]| {
        let (front, back) = bytes.split_at(boundary.min(bytes.len()));
        [front.to_vec(), back.to_vec()]
    };
    bytes.len() <= written.len()
        && halves(bytes)
            .iter()
            .zip(halves(written))
            .all(|(bytes, written)| written.starts_with(bytes) || bytes.iter().all(|byte| *byte == 0))
}

/// Reads the records after a position, across segments, and so proves that none is missing.
#[derive(Debug)]
pub struct Replay {
    disk: Disk,
    directory: PathBuf,
    store_id: StoreId,
    reader: Option<SegmentReader>,
    /// Segments not begun, the next one last.
    waiting: Vec<SegmentInfo>,
    expected: Sequence,
    segments_read: u64,
}

impl Replay {
    /// Finds the record after `after`: reads, and checks, the segment that holds it up to there. Only where
    /// `after` is [`Sequence::START`] may there be no segments at all.
    ///
    /// # Errors
    /// Where the record after `after` can never have been the next, and what a segment's reader may give.
    pub fn open(
        disk: &Disk,
        directory: &Path,
        store_id: StoreId,
        after: Sequence,
    ) -> Result<Self, FileError> {
        let mut waiting = segment::segments(disk, directory)?;
        let due = after.next();
        let older = waiting.iter().filter(|segment| segment.first_sequence <= due).count();
        if let (0, Some(first)) = (older, waiting.first()) {
            return Err(gap(&first.path, due, first.first_sequence).into());
        }
        waiting.drain(..older.saturating_sub(1));
        waiting.reverse();
        let expected = waiting.last().map_or(due, |segment| segment.first_sequence);
        let mut replay = Self {
            disk: disk.clone(),
            directory: directory.to_owned(),
            store_id,
            reader: None,
            waiting,
            expected,
            segments_read: 0,
        };
        if replay.waiting.is_empty() && after != Sequence::START {
            return Err(replay.ends());
        }
        let mut record = Record::default();
        while replay.expected < due {
            if !replay.next_into(&mut record)? {
                return Err(replay.ends());
            }
        }
        Ok(replay)
    }

    /// Reads the next record into `record`, whose allocations are used again; `false` at the end of the journal.
    ///
    /// # Errors
    /// What a segment's reader may give, and where a segment is missing between two or at the end.
    pub fn next_into(&mut self, record: &mut Record) -> Result<bool, FileError> {
        loop {
            if let Some(reader) = &mut self.reader {
                if reader.next_into(record)? {
                    self.expected = reader.next_sequence();
                    return Ok(true);
                }
                if reader.is_sealed() && self.waiting.is_empty() {
                    return Err(self.ends());
                }
            }
            let Some(info) = self.waiting.pop() else { return Ok(false) };
            let reader = SegmentReader::open(&self.disk, &info, self.store_id)?;
            if info.first_sequence > self.expected {
                return Err(gap(&info.path, self.expected, info.first_sequence).into());
            }
            self.reader = Some(reader);
            self.segments_read = self.segments_read.saturating_add(1);
        }
    }

    /// Segments begun so far.
    pub fn segments_read(&self) -> u64 {
        self.segments_read
    }

    /// The error for a record, the last one read, that cannot follow the one before it in its log.
    pub fn out_of_turn(&self, record: Sequence) -> FileError {
        let path = self.reader.as_ref().map_or(self.directory.as_path(), SegmentReader::path);
        let what = format!("record {record} is not of the next message of its log");
        Damage::damaged(path, 0, what).into()
    }

    /// The error for a journal that ends before a record that it must have.
    pub fn ends(&self) -> FileError {
        let what = format!("record {} of the journal and all after it", self.expected);
        Damage::missing(&self.directory, what).into()
    }
}

/// The damage of a segment that goes on with `found` where `missing` is due.
pub fn gap(segment: &Path, missing: Sequence, found: Sequence) -> Damage {
    Damage::missing(segment, format!("record {missing} of the journal: it goes on with record {found}"))
}
