//! What must hold for any bytes that a segment may hold after a crash, or after worse. Run by `cargo test` and by the
//! targets of `fuzz/`; see [`crate::testing`].
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a check says by panic what does not hold"
)]

use std::path::Path;

use super::record::{self, HEADER_BYTES, Place};
use super::{Record, Replay, Sequence, Staged, StoreId, TornTail, find_torn_tail, repair_tail, segment};
use crate::platform::disk::{Disk, MemoryDisk};
use crate::store::damage::{Damage, DamageKind, FileError};

const STORE_ID: StoreId = StoreId::new(0x0123_4567_89ab_cdef);
const FOLDER: &str = "/journal";

/// A segment is read up to its first fault, which is told with its place; where that is a torn tail, a repair keeps every
/// record before it and what is left reads to its end; where it is not, nothing is changed.
///
/// The bytes say what the segment holds: records of batches that they spell, with good or bad numbers, and anything else.
pub fn journal_segment(bytes: &[u8]) {
    let Some(([seed, snapshot_end], content)) = bytes.split_first_chunk() else { return };
    let disk = MemoryDisk::new(u64::from(*seed)).disk();
    let folder = Path::new(FOLDER);
    disk.create_directory(folder).expect("a folder");
    let content = Content::of(content);
    let path = segment::path(folder, Sequence::FIRST);
    let file = segment::create(&disk, &path, STORE_ID, Sequence::FIRST).expect("a segment");
    file.append(&content.bytes).expect("room");
    drop(file);
    let length = disk.length(&path).expect("it is there").unwrap_or(0);

    let (records, fault) = strictly(&disk, folder);
    if let Some(damage) = &fault {
        assert!(
            damage.file.starts_with(folder) && damage.offset <= length && !damage.what.is_empty(),
            "{damage}"
        );
    }
    let of = (STORE_ID, Sequence::new(u64::from(*snapshot_end)));
    let found = find_torn_tail(&disk, folder, of);
    let repaired = repair_tail(&disk, folder, of, || Ok(false));
    match (&found, &repaired) {
        (Ok(found), Ok(repaired)) => assert_eq!(found, repaired),
        (Err(FileError::Damage(found)), Err(FileError::Damage(repaired))) => {
            assert_eq!(found, repaired);
            assert!(found.offset <= length && !found.what.is_empty(), "{found}");
            assert_eq!(strictly(&disk, folder), (records, fault), "damage was changed");
            return;
        }
        other => panic!("{other:?}"),
    }
    if let Ok(Some(TornTail { segment, offset, bytes, .. })) = &found {
        assert!(*segment == path && offset.saturating_add(*bytes) == length, "{found:?} of {length}");
    }
    // The mark that another segment follows is nothing that a repair could put right.
    let stays = fault.filter(|damage| damage.kind == DamageKind::Missing);
    assert_eq!(strictly(&disk, folder), (records, stays), "what is left is not what was good");
}

/// The records up to the first fault, and that.
fn strictly(disk: &Disk, folder: &Path) -> (Vec<Record>, Option<Damage>) {
    let mut records = Vec::new();
    let mut record = Record::default();
    let mut replay = match Replay::open(disk, folder, STORE_ID, Sequence::START) {
        Ok(replay) => replay,
        Err(error) => return (records, Some(error.into())),
    };
    loop {
        match replay.next_into(&mut record) {
            Ok(true) => records.push(record.clone()),
            Ok(false) => return (records, None),
            Err(error) => return (records, Some(error.into())),
        }
    }
}

/// What stands in the segment behind its header.
struct Content {
    bytes: Vec<u8>,
    next: Sequence,
    /// The newest record that is said to be synced.
    synced: Sequence,
}

impl Content {
    /// Each piece is a byte for its kind, one for its length, and as many bytes of content.
    fn of(mut pieces: &[u8]) -> Self {
        let mut content = Self { bytes: Vec::new(), next: Sequence::FIRST, synced: Sequence::START };
        while let Some(([kind, length], rest)) = pieces.split_first_chunk() {
            let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
            pieces = rest;
            content.push(*kind, piece);
        }
        content
    }

    fn push(&mut self, kind: u8, piece: &[u8]) {
        match kind % 8 {
            // What is behind a record was not synced when it was made.
            0..=2 => self.record(self.next, self.synced, piece),
            3 => {
                self.synced = self.next.previous();
                self.record(self.next, self.synced, piece);
            }
            4 => self.record(self.next.next(), self.synced, piece),
            5 => self.bytes.extend_from_slice(piece),
            6 => self.bytes.resize(self.bytes.len().saturating_add(piece.len().saturating_mul(16)), 0),
            _ => {
                let place = Place { store_id: STORE_ID, sequence: self.next, synced: self.next.previous() };
                self.bytes.extend_from_slice(&record::seal_mark(place));
            }
        }
    }

    /// A record of the batch that the bytes spell; of an empty one where they spell none.
    fn record(&mut self, sequence: Sequence, synced: Sequence, payload: &[u8]) {
        let mut spelled = Record::default();
        if record::decode(payload, 0, &mut spelled).is_err() {
            spelled = Record::default();
        }
        let mut increments = Vec::new();
        record::encode_increments(&spelled.batch.increments, &mut increments);
        let (definitions, changes) = (&spelled.batch.definitions, &spelled.batch.changes);
        let parts = Staged {
            key: None,
            erasure: None,
            dropped_before: None,
            definitions,
            changes,
            increments: &increments,
        };
        let place = Place { store_id: STORE_ID, sequence, synced };
        record::encode(place, parts, &mut self.bytes).expect("it is short");
        assert!(self.bytes.len() >= HEADER_BYTES);
        self.next = sequence.next();
    }
}
