//! Writing the journal: records are staged, then appended with one write, or none of them is.
//!
//! INVARIANT: the open segment ends with the last record committed, unless an [`AppendError::Stuck`] was given.
//! INVARIANT: a segment is synced before the next one gets its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{self, LogEntry, Place, Staged, StagedPart};
use super::segment::{self, HEADER_END};
use super::{Sequence, StoreId};
use crate::limits::{RECORD_BYTES_MAX, wide};
use crate::platform::disk::{Disk, DiskError, DiskFile, Operation};
use crate::store::damage::{Damage, FileError};

/// A buffer that grew past this is given back after the write.
const BUFFER_BYTES_KEPT: usize = 16 * 1024 * 1024;

/// Appends records to the newest segment. There is one per journal.
#[derive(Debug)]
pub struct JournalWriter {
    disk: Disk,
    directory: PathBuf,
    store_id: StoreId,
    open: OpenSegment,
    staged: Vec<u8>,
    staged_next: Sequence,
    synced: Sequence,
}

#[derive(Debug)]
struct OpenSegment {
    file: Arc<DiskFile>,
    first: Sequence,
    /// The number of the next record to commit.
    next: Sequence,
    /// Length up to the last record committed.
    bytes: u64,
}

/// A batch cannot be one record.
#[derive(Debug, thiserror::Error)]
#[error("a batch of {bytes} bytes is more than a record can hold ({RECORD_BYTES_MAX})")]
pub struct RecordTooLarge {
    bytes: usize,
}

/// Why staged records are not in the journal. They are no longer staged, and their numbers are free again.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The write failed and what it left was cut away: later writes may succeed. NOTE: unless the file is synced, a power
    /// cut may bring back what was cut away.
    #[error("{0}")]
    Refused(#[source] DiskError),
    /// The write failed and what it left could not be cut away: nothing may be appended any more.
    #[error("{undo}, after another failure: {cause}")]
    Stuck {
        /// Why the write failed.
        cause: DiskError,
        /// Why it could not be undone.
        #[source]
        undo: DiskError,
    },
}

impl JournalWriter {
    /// Begins a new segment with record `next`; a segment that is there is synced and ended. Blocks.
    ///
    /// # Errors
    /// Where records from `next` on are there already.
    pub fn create(
        disk: &Disk,
        directory: &Path,
        store_id: StoreId,
        next: Sequence,
    ) -> Result<Self, FileError> {
        segment::remove_leftovers(disk, directory)?;
        let newest = segment::segments(disk, directory)?.pop();
        let before = match newest {
            Some(newest) if newest.first_sequence >= next => {
                if newest.first_sequence > next || newest.bytes > HEADER_END {
                    let what = "it is there already and holds records";
                    return Err(Damage::damaged(newest.path, 0, what).into());
                }
                // Begun before and never written to: it is made anew.
                None
            }
            Some(newest) => {
                let file = disk.open_append(&newest.path)?;
                file.sync()?;
                Some(file)
            }
            None => None,
        };
        let open = OpenSegment::create(disk, directory, store_id, next)?;
        let synced = next.previous();
        if let Some(file) = before {
            end_segment(&file, Place { store_id, sequence: next, synced });
        }
        Ok(Self {
            disk: disk.clone(),
            directory: directory.to_owned(),
            store_id,
            open,
            staged: Vec::new(),
            staged_next: next,
            synced,
        })
    }

    /// Adds a record to the next write and says which number it has.
    ///
    /// # Errors
    /// The record is then not staged, the others still are.
    pub fn stage(&mut self, parts: Staged<'_>) -> Result<Sequence, RecordTooLarge> {
        let sequence = self.staged_next;
        let place = Place { store_id: self.store_id, sequence, synced: self.synced };
        record::encode(place, parts, &mut self.staged).map_err(|bytes| RecordTooLarge { bytes })?;
        self.staged_next = sequence.next();
        Ok(sequence)
    }

    /// As [`Self::stage`], for a message of a log.
    ///
    /// # Errors
    /// As [`Self::stage`].
    pub fn stage_log(
        &mut self,
        entry: &LogEntry,
        parts: &[StagedPart<'_>],
    ) -> Result<Sequence, RecordTooLarge> {
        let sequence = self.staged_next;
        let place = Place { store_id: self.store_id, sequence, synced: self.synced };
        record::encode_log(place, (entry, parts), &mut self.staged)
            .map_err(|bytes| RecordTooLarge { bytes })?;
        self.staged_next = sequence.next();
        Ok(sequence)
    }

    /// Bytes staged for the next write.
    pub fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Writes all staged records with one write; returns how many bytes that were. Blocks.
    ///
    /// # Errors
    /// [`AppendError`]; none of the records is then in the journal.
    pub fn commit(&mut self) -> Result<usize, AppendError> {
        let bytes = self.staged.len();
        let outcome = self.open.append(&self.staged, self.staged_next);
        self.staged.clear();
        self.staged.shrink_to(BUFFER_BYTES_KEPT);
        self.staged_next = self.open.next;
        outcome.map(|()| bytes)
    }

    /// Forgets all staged records; their numbers are free again.
    pub fn discard(&mut self) {
        self.staged.clear();
        self.staged_next = self.open.next;
    }

    /// Records up to this one are synced; later records will say so.
    pub fn note_synced(&mut self, through: Sequence) {
        self.synced = self.synced.max(through);
    }

    /// Syncs and ends the open segment and begins the next; returns the last record that is now sealed. A
    /// segment without records stays open, for all before it is sealed already. Blocks.
    ///
    /// # Errors
    /// [`SealError`].
    ///
    /// # Panics
    /// Where records are staged: they belong into the segment that they were staged for.
    pub fn seal(&mut self) -> Result<Sequence, SealError> {
        assert!(self.staged.is_empty(), "what is staged belongs into the segment that it was staged for");
        let last = self.last_sequence();
        if self.open.next == self.open.first {
            return Ok(last);
        }
        self.open.file.sync().map_err(SealError::Sync)?;
        self.note_synced(last);
        let next = match OpenSegment::create(&self.disk, &self.directory, self.store_id, self.open.next) {
            Ok(next) => next,
            // Nobody knows what a restart will find.
            Err(error) if error.operation == Operation::SyncDirectory => return Err(SealError::Stuck(error)),
            // The next segment has no name yet.
            Err(error) => return Err(SealError::Begin(error)),
        };
        let ended = std::mem::replace(&mut self.open, next);
        let place = Place { store_id: self.store_id, sequence: self.open.first, synced: self.synced };
        end_segment(&ended.file, place);
        Ok(last)
    }

    /// The open segment's file, for another thread to sync.
    pub fn file(&self) -> Arc<DiskFile> {
        Arc::clone(&self.open.file)
    }

    /// The last record committed.
    pub fn last_sequence(&self) -> Sequence {
        self.open.next.previous()
    }

    /// Length of the open segment in bytes, header included.
    pub fn segment_bytes(&self) -> u64 {
        self.open.bytes
    }
}

/// Why a segment could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The sync failed. NOTE: that is final; what was lost cannot be known.
    #[error("{0}")]
    Sync(#[source] DiskError),
    /// The next segment could not be made, and a restart may find it all the same: nothing may be appended any more.
    #[error("{0}")]
    Stuck(#[source] DiskError),
    /// The next segment could not be made; the open one stays open and usable.
    #[error("{0}")]
    Begin(#[source] DiskError),
}

impl OpenSegment {
    fn create(disk: &Disk, directory: &Path, store_id: StoreId, first: Sequence) -> Result<Self, DiskError> {
        let path = segment::path(directory, first);
        let file = Arc::new(segment::create(disk, &path, store_id, first)?);
        Ok(Self { file, first, next: first, bytes: HEADER_END })
    }

    /// Appends records of which the last is the one before `next`, or nothing.
    fn append(&mut self, records: &[u8], next: Sequence) -> Result<(), AppendError> {
        if records.is_empty() {
            return Ok(());
        }
        match self.file.append(records) {
            Ok(()) => {
                self.bytes = self.bytes.saturating_add(wide(records.len()));
                self.next = next;
                Ok(())
            }
            Err(cause) => match self.file.truncate(self.bytes) {
                Ok(()) => Err(AppendError::Refused(cause)),
                Err(undo) => Err(AppendError::Stuck { cause, undo }),
            },
        }
    }
}

/// Marks the end of a sealed segment, and gives the room back that it did not need. The mark is there only so that a missing
/// successor is noticed: a reader takes a segment without it, or with a part of it, just as well, and so a failure is
/// only worth a line in the log.
fn end_segment(file: &DiskFile, place: Place) {
    if let Err(error) = file.append(&record::seal_mark(place)) {
        tracing::warn!(%error, "a sealed segment stays without its end mark");
    }
    if let Err(error) = file.give_back_ahead() {
        tracing::debug!(%error, "a sealed segment keeps the room that was allocated for it");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const AHEAD: u64 = 8 * 1024 * 1024;

    #[test]
    fn sealed_segment_gives_the_room_back_that_was_allocated_ahead() {
        let directory = tempfile::tempdir().unwrap();
        let first = Sequence::new(1);
        let mut writer =
            JournalWriter::create(&Disk::new(), directory.path(), StoreId::new(1), first).unwrap();
        let increments = [0];
        writer.stage(Staged { increments: &increments, ..Staged::default() }).unwrap();
        writer.commit().unwrap();
        writer.file().allocate_ahead(writer.segment_bytes(), AHEAD).unwrap();
        writer.seal().unwrap();
        let sealed = std::fs::metadata(segment::path(directory.path(), first)).unwrap();
        assert!(sealed.blocks() * 512 < AHEAD, "{} bytes are still allocated", sealed.blocks() * 512);
    }
}
