//! Tells the torn tail of a crash, at the end of the newest segment, from damage. The cases:
//!
//! | at the first place that holds no due record | it is | so |
//! | --- | --- | --- |
//! | fewer bytes than a segment's header, or one of zeros and no more | a segment that was being made | made anew |
//! | no good record behind it: a part of one, zeros, old garbage, a flipped bit in the last record | torn tail | left out |
//! | a good record behind it that was made before this place was synced, and a sector of zeros at this place | a power cut that took some pages and not others | left out |
//! | any other good record behind it | damage | refused |
//! | no good record behind it, but the snapshot has the record that is due here, so it was synced | damage | refused |
//! | a good record of a later number right here | records are missing | refused |
//! | the mark that another segment follows, with anything behind it | damage: nothing is written there | refused |
//! | a good record that cannot be decoded | damage | refused, by the reader |
//!
//! A record knows what was synced when it was staged, so records of the last commit groups may be synced although none behind
//! them says so: where the disk loses a sector of those, and gives zeros for it, that is taken for the hole of a power cut.
//!
//! Segments that are not the newest were synced whole, so nothing of this is for them.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::reader::{Found, SegmentReader};
use super::record::{self, HEADER_BYTES, Header};
use super::segment::{self, HEADER_END};
use super::{SegmentInfo, Sequence, StoreId};
use crate::limits::{narrow, wide};
use crate::platform::disk::{Disk, DiskError, Operation, SECTOR_BYTES};
use crate::store::damage::{Damage, FileError};

/// The torn tail of the newest segment: what a crash left of records that were not synced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornTail {
    /// The segment's file.
    pub segment: PathBuf,
    /// The first record that the segment has, or would have.
    pub first_sequence: Sequence,
    /// Where the torn part begins, in bytes from the start of the file; 0 where all of the file is torn.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What it looks like.
    pub what: &'static str,
}

/// Looks for a torn tail of the newest segment and changes nothing. `folded` is the last record that the snapshot has.
/// Blocks; reads that segment.
///
/// # Errors
/// Where the segment holds what no crash can have left.
pub fn find_torn_tail(
    disk: &Disk,
    directory: &Path,
    (store_id, folded): (StoreId, Sequence),
) -> Result<Option<TornTail>, FileError> {
    match segment::segments(disk, directory)?.pop() {
        Some(newest) => examine(disk, &newest, (store_id, folded)).map(|(torn, _)| torn),
        None => Ok(None),
    }
}

/// Leaves the torn tail of the newest segment out, durably, and says what was left out. Blocks. The records that are not
/// known to be synced are copied to a segment of their own: after a failed sync they may be in the page cache alone, as
/// clean pages that no later sync writes, and no system call reads the disk for certain. The copy takes their place
/// in one step, and so a start that fails, or a power cut, leaves either them or what was there before. Where the disk has
/// no room for the copy, `make_room` is asked for some, once; it answers whether it made any.
///
/// # Errors
/// As [`find_torn_tail`]; nothing is then changed. Where the disk refuses, no record is lost.
pub fn repair_tail(
    disk: &Disk,
    directory: &Path,
    (store_id, folded): (StoreId, Sequence),
    make_room: impl FnOnce() -> Result<bool, DiskError>,
) -> Result<Option<TornTail>, FileError> {
    let Some(newest) = segment::segments(disk, directory)?.pop() else { return Ok(None) };
    let (found, unsynced) = examine(disk, &newest, (store_id, folded))?;
    if let Some(torn) = found.as_ref().filter(|torn| torn.offset < HEADER_END) {
        // Made anew rather than removed: the segment before may say that this one follows.
        drop(segment::create(disk, &torn.segment, store_id, torn.first_sequence)?);
        return Ok(found);
    }
    if found.is_none() && unsynced.bytes.is_empty() {
        return Ok(found);
    }
    let copy = || segment::copy_records(disk, &newest, (store_id, unsynced.first), unsynced.bytes.clone());
    // Once the copy has its name, there is no way back.
    let lacks_room = |error: &DiskError| error.is_no_space() && error.operation != Operation::SyncDirectory;
    let copied = match copy() {
        Err(error) if lacks_room(&error) && make_room()? => {
            tracing::warn!(%error, "the disk is full: the copy of the journal's unsynced end takes the reserve");
            copy()
        }
        copied => copied,
    };
    match copied {
        // A full disk must not keep reports from going on.
        // NOTE: where a sync failed before, and the one here fails as well, a power cut may leave what looks like damage.
        Err(error) if lacks_room(&error) => {
            tracing::warn!(%error, "the disk is full: the journal's unsynced end is written anew in place");
            segment::remove_leftovers(disk, directory)?;
            disk.open_append(&newest.path)?.truncate(unsynced.bytes.end)?;
            disk.write_anew(&newest.path, unsynced.bytes.start)?;
        }
        copied => copied?,
    }
    Ok(found)
}

/// The last records of a segment, from the first on that no record knows to be synced, or from before it.
struct Unsynced {
    first: Sequence,
    /// Their bytes, without a torn tail.
    bytes: Range<u64>,
}

/// The torn tail, and what is not known to be synced before it.
fn examine(
    disk: &Disk,
    newest: &SegmentInfo,
    (store_id, folded): (StoreId, Sequence),
) -> Result<(Option<TornTail>, Unsynced), FileError> {
    let torn = |offset: u64, what: &'static str| TornTail {
        segment: newest.path.clone(),
        first_sequence: newest.first_sequence,
        offset,
        bytes: newest.bytes.saturating_sub(offset),
        what,
    };
    // What a snapshot has was synced before, so no crash can have torn it.
    let was_synced = |due: Sequence| {
        (due <= folded).then(|| format!("record {due} is damaged, which was synced: the snapshot has it"))
    };
    if segment::is_unfinished(disk, newest)? {
        if let Some(what) = was_synced(newest.first_sequence) {
            return Err(Damage::damaged(&newest.path, 0, what).into());
        }
        let nothing = Unsynced { first: newest.first_sequence, bytes: 0..0 };
        return Ok((Some(torn(0, "the segment was being made")), nothing));
    }
    let mut reader = SegmentReader::open(disk, newest, store_id)?;
    // The first record with each mark of what is synced, and its place; those in front are synced.
    let mut marks = VecDeque::from([(newest.first_sequence, HEADER_END)]);
    let mut synced = Sequence::START;
    let found = loop {
        match reader.look()? {
            Found::Record { header, bytes } => {
                if header.synced > synced {
                    synced = header.synced;
                    marks.push_back((header.sequence, reader.offset()));
                    while marks.get(1).is_some_and(|(first, _)| *first <= synced.next()) {
                        marks.pop_front();
                    }
                }
                reader.advance(bytes);
            }
            Found::End if reader.is_sealed() || reader.offset() >= newest.bytes => break None,
            Found::End => break Some(torn(reader.offset(), "less than a record is left")),
            Found::Later(found) => return Err(reader.gap(found)),
            Found::Bad(what) if reader.is_sealed() => return Err(reader.damaged(what)),
            Found::Bad(what) => break Some(torn(reader.offset(), judge(&mut reader, what)?)),
        }
    };
    if let (Some(_), Some(what)) = (&found, was_synced(reader.next_sequence())) {
        return Err(reader.damaged(&what));
    }
    let (first, offset) = marks.front().copied().unwrap_or((newest.first_sequence, HEADER_END));
    let end = if reader.is_sealed() { offset } else { reader.offset() };
    Ok((found, Unsynced { first, bytes: offset..end }))
}

/// What the bad place that the reader stands at is: the words for a torn tail, or an error.
fn judge(reader: &mut SegmentReader, what: &'static str) -> Result<&'static str, FileError> {
    let (store_id, due, offset) = (reader.store_id(), reader.next_sequence(), reader.offset());
    let rest = reader.rest()?;
    let Some(behind) = good_records_behind(rest, store_id, due) else { return Ok(what) };
    let hole = rest.get(..behind.first_at).is_some_and(|bad| has_unwritten_sector(bad, offset));
    if hole && behind.synced_max < due {
        return Ok("a power cut left a hole before records that were not synced");
    }
    let place = offset.saturating_add(wide(behind.first_at));
    Err(reader.damaged(&format!("{what}, but record {} at byte {place} behind it is good", behind.first)))
}

/// The good records somewhere behind a bad place.
struct Behind {
    /// Where the first of them begins, in bytes from the bad place.
    first_at: usize,
    first: Sequence,
    /// The newest record that any of them knows to be synced.
    synced_max: Sequence,
}

/// Looks at every byte of `rest` but the first for a good record that is due there or later; `None` if there is none.
/// Records of lower numbers are what blocks of the disk held before.
fn good_records_behind(rest: &[u8], store_id: StoreId, due: Sequence) -> Option<Behind> {
    let mut found: Option<Behind> = None;
    let mut from = 1;
    while let Some(at) = rest.get(from..).and_then(|tail| memmem::find(tail, &record::MAGIC)) {
        let at = from.saturating_add(at);
        from = at.saturating_add(1);
        let Some((header, bytes)) = good_record(rest.get(at..).unwrap_or_default(), store_id, due) else {
            continue;
        };
        from = at.saturating_add(bytes);
        let behind =
            found.get_or_insert(Behind { first_at: at, first: header.sequence, synced_max: header.synced });
        behind.synced_max = behind.synced_max.max(header.synced);
    }
    found
}

fn good_record(bytes: &[u8], store_id: StoreId, due: Sequence) -> Option<(Header, usize)> {
    let header = Header::parse(bytes)?;
    let length = header.length.saturating_add(HEADER_BYTES);
    let record = bytes.get(..length)?;
    // The cheap question first: a checksum over many bytes for each chance magic would take long.
    (header.sequence >= due && header.matches(store_id, record)).then_some((header, length))
}

/// Whether a stretch of zeros that begins at `offset` of the file, or further on, is a sector that was never written.
fn has_unwritten_sector(bytes: &[u8], offset: u64) -> bool {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    // The front of the first sector may hold what was synced before.
    let in_sector = narrow(offset) % SECTOR_BYTES;
    let first = bytes.get(..SECTOR_BYTES.saturating_sub(in_sector));
    // What a record holds is never so many zeros on end. A bad part that is shorter must be zeros throughout.
    let mut zeros = 0_usize;
    first.is_some_and(is_zero)
        || is_zero(bytes)
        || bytes.iter().any(|byte| {
            zeros = if *byte == 0 { zeros.saturating_add(1) } else { 0 };
            zeros >= SECTOR_BYTES
        })
}
