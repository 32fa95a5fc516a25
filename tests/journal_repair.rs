//! What is told from damage and what from a crash, on small journals and exhaustively.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "noise in tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tallyd::model::batch::{Batch, Increment, SeriesId};
use tallyd::model::calendar::Hour;
use tallyd::platform::disk::{Disk, DiskFault, Operation};
use tallyd::store::journal::{
    JournalWriter, Record, Replay, Sequence, Staged, StoreId, TornTail, find_torn_tail, record, repair_tail,
};
use tallyd::store::{Damage, DamageKind, FileError};

/// The damage that the outcome says.
fn damage<T: std::fmt::Debug>(outcome: Result<T, FileError>) -> Damage {
    outcome.unwrap_err().into()
}

const STORE_ID: StoreId = StoreId::new(77);
/// No snapshot has a record.
const PLACE: (StoreId, Sequence) = (STORE_ID, Sequence::START);
const HEADER: usize = 32;

/// A journal in a directory of its own.
struct Journal {
    folder: tempfile::TempDir,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn batch(number: u64) -> Batch {
    let increments = (0..3)
        .map(|place| Increment {
            series: SeriesId::new(100 + place),
            hour: Hour::new(431_000 + number as u32),
            count: number as u32,
        })
        .collect();
    Batch { increments, ..Batch::default() }
}

fn write(writer: &mut JournalWriter, number: u64) {
    let mut increments = Vec::new();
    record::encode_increments(&batch(number).increments, &mut increments);
    let parts = Staged { increments: &increments, ..Staged::default() };
    assert_eq!(writer.stage(parts).unwrap(), Sequence::new(number));
    writer.commit().unwrap();
}

impl Journal {
    /// Segments with so many records each, the last one open.
    fn of(segments: &[u64]) -> Self {
        let journal = Self { folder: tempfile::tempdir().unwrap() };
        let mut writer =
            JournalWriter::create(&Disk::new(), journal.path(), STORE_ID, Sequence::FIRST).unwrap();
        let mut number = 0;
        for (index, records) in segments.iter().enumerate() {
            if index > 0 {
                writer.seal().unwrap();
            }
            for _ in 0..*records {
                number += 1;
                write(&mut writer, number);
            }
        }
        journal
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn files(&self) -> Files {
        fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(&path).unwrap()))
            .collect()
    }

    fn restore(&self, files: &Files) {
        for path in self.files().keys() {
            fs::remove_file(path).unwrap();
        }
        for (path, content) in files {
            fs::write(path, content).unwrap();
        }
    }

    fn segment(&self, index: usize) -> PathBuf {
        self.files().keys().nth(index).unwrap().clone()
    }

    fn edit(&self, index: usize, edit: impl FnOnce(&mut Vec<u8>)) {
        let path = self.segment(index);
        let mut content = fs::read(&path).unwrap();
        edit(&mut content);
        fs::write(path, content).unwrap();
    }

    /// Where the records of a segment begin, and where the last one ends.
    fn places(&self, index: usize) -> Vec<usize> {
        let content = fs::read(self.segment(index)).unwrap();
        let mut places = vec![HEADER];
        while let Some(length) = content.get(places[places.len() - 1] + 8..).and_then(|rest| rest.get(..4)) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            places.push(places[places.len() - 1] + HEADER + length);
        }
        places
    }

    /// What a start makes of it: the torn tail that it cuts, and the numbers of the records that are left.
    fn start(&self) -> Result<(Option<TornTail>, u64), FileError> {
        let torn = repair_tail(&Disk::new(), self.path(), PLACE, || Ok(false))?;
        Ok((torn, self.read(Sequence::START)?))
    }

    fn read(&self, after: Sequence) -> Result<u64, FileError> {
        let mut replay = Replay::open(&Disk::new(), self.path(), STORE_ID, after)?;
        let mut record = Record::default();
        let mut last = after.get();
        while replay.next_into(&mut record)? {
            last += 1;
            assert_eq!(record.sequence.get(), last);
            assert_eq!(record.batch, batch(last), "a wrong number was read");
        }
        Ok(last)
    }
}

#[test]
fn start_reads_all_of_a_whole_journal_from_any_place() {
    let journal = Journal::of(&[2, 3, 0]);
    let before = journal.files();
    assert_eq!(journal.start().unwrap(), (None, 5));
    for after in 0..=5 {
        assert_eq!(journal.read(Sequence::new(after)).unwrap(), 5);
    }
    assert!(journal.read(Sequence::new(6)).is_err());
    assert_eq!(journal.files(), before, "reading changed something");
}

#[test]
fn start_cuts_the_newest_segment_wherever_it_was_torn() {
    let journal = Journal::of(&[2, 4]);
    let whole = journal.files();
    let places = journal.places(1);
    for length in 0..places[4] {
        journal.restore(&whole);
        journal.edit(1, |content| content.truncate(length));
        let kept = places[1..].iter().filter(|end| **end <= length).count();
        let (torn, last) = journal.start().unwrap();
        assert_eq!(last, 2 + kept as u64, "{length} bytes");
        let clean = length >= HEADER && places.contains(&length);
        assert_eq!(torn.is_none(), clean, "{length} bytes: {torn:?}");
        if let Some(torn) = torn {
            let offset = if length < HEADER { 0 } else { places[kept] };
            assert_eq!((torn.offset, torn.bytes), (offset as u64, (length - offset) as u64));
        }
        assert_eq!(journal.start().unwrap(), (None, last), "the second start differs at {length} bytes");
        let mut writer =
            JournalWriter::create(&Disk::new(), journal.path(), STORE_ID, Sequence::new(last + 1)).unwrap();
        write(&mut writer, last + 1);
        assert_eq!(journal.start().unwrap(), (None, last + 1), "going on differs at {length} bytes");
    }
}

#[test]
fn start_cuts_zeros_and_old_garbage_behind_the_newest_records() {
    let journal = Journal::of(&[2, 3]);
    let whole = journal.files();
    let places = journal.places(1);
    let old = whole[&journal.segment(1)][HEADER..places[2]].to_vec();
    let torn_old = old[..old.len() - 1].to_vec();
    for tail in [vec![0; 1], vec![0; 32], vec![0; 4096], old, torn_old, vec![0xff; 100], b"jrec".to_vec()] {
        journal.restore(&whole);
        journal.edit(1, |content| content.extend_from_slice(&tail));
        let (torn, last) = journal.start().unwrap();
        assert_eq!(last, 5);
        assert_eq!(torn.unwrap().bytes, tail.len() as u64);
        assert_eq!(journal.files(), whole);
    }
}

#[test]
fn start_never_takes_a_flipped_bit_for_anything_else() {
    let journal = Journal::of(&[2, 3]);
    let whole = journal.files();
    let last_record = journal.places(1)[2];
    let end_mark = journal.places(0)[2];
    for (index, (path, content)) in whole.iter().enumerate() {
        for bit in 0..content.len() * 8 {
            journal.restore(&whole);
            journal.edit(index, |content| content[bit / 8] ^= 1 << (bit % 8));
            let damaged = journal.files();
            let outcome = journal.start();
            if index == 1 && bit / 8 >= last_record {
                let (torn, last) = outcome.unwrap();
                assert_eq!((torn.unwrap().offset, last), (last_record as u64, 4));
            } else if index == 0 && bit / 8 >= end_mark {
                // The segment ends where the next begins, whatever stands there.
                assert_eq!(outcome.unwrap(), (None, 5));
            } else {
                let error = outcome.expect_err("damage was not seen");
                let FileError::Damage(Damage { kind: DamageKind::Damaged, file, offset, .. }) = &error else {
                    panic!("bit {bit} of {}: {error}", path.display());
                };
                assert_eq!(file, path);
                assert!(*offset <= (bit / 8) as u64, "bit {bit}: {error}");
                assert_eq!(journal.files(), damaged, "damage was touched");
            }
        }
    }
}

#[test]
fn start_refuses_a_torn_segment_that_is_not_the_newest() {
    let journal = Journal::of(&[2, 1]);
    let whole = journal.files();
    let places = journal.places(0);
    for length in 0..places[2] {
        journal.restore(&whole);
        journal.edit(0, |content| content.truncate(length));
        assert!(journal.start().is_err(), "{length} bytes");
    }
    // Only its end mark may be cut: that was never synced on purpose.
    for length in places[2]..places[2] + HEADER {
        journal.restore(&whole);
        journal.edit(0, |content| content.truncate(length));
        assert_eq!(journal.start().unwrap(), (None, 3), "{length} bytes");
    }
}

#[test]
fn start_refuses_when_a_good_record_follows_damage() {
    let journal = Journal::of(&[0, 3]);
    let places = journal.places(0);
    journal.edit(0, |content| content[places[1] + 8] ^= 0x40);
    let Damage { kind, offset, what, .. } = damage(journal.start());
    assert_eq!((kind, offset), (DamageKind::Damaged, places[1] as u64));
    assert!(what.contains("record 3"), "{what}");
}

/// The next segment is gone, and something stands where nothing was ever written. Once taken for a torn tail, with which
/// the records before it went.
#[test]
fn start_refuses_what_stands_behind_the_mark_of_a_next_segment() {
    let journal = Journal::of(&[3, 0]);
    fs::remove_file(journal.segment(1)).unwrap();
    let mark = fs::read(journal.segment(0)).unwrap().len() - HEADER;
    for behind in [&[0; 1][..], &[0; 600], b"jrec", &[7; 40]] {
        journal.edit(0, |content| content.truncate(mark + HEADER));
        journal.edit(0, |content| content.extend(behind));
        let before = journal.files();
        let Damage { kind, offset, what, .. } = damage(journal.start());
        assert_eq!((kind, offset), (DamageKind::Damaged, mark as u64), "{what}");
        assert_eq!(journal.files(), before, "the records are kept");
    }
}

#[test]
fn start_cuts_a_hole_that_a_power_cut_left_in_what_was_not_synced() {
    // Long records, so that each has a sector of its own.
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    for synced in [0, 1, 2] {
        let mut writer = JournalWriter::create(&disk, folder.path(), STORE_ID, Sequence::FIRST).unwrap();
        let mut increments = Vec::new();
        record::encode_increments(&vec![batch(1).increments[0]; 1000], &mut increments);
        let mut ends = vec![];
        for number in 1..=3 {
            if number == 3 {
                writer.note_synced(Sequence::new(synced));
            }
            let parts = Staged { increments: &increments, ..Staged::default() };
            writer.stage(parts).unwrap();
            writer.commit().unwrap();
            ends.push(writer.segment_bytes());
        }
        let path = writer.file().path().to_owned();
        let mut content = fs::read(&path).unwrap();
        content[ends[0] as usize..ends[1] as usize].fill(0);
        fs::write(&path, content).unwrap();
        let found = find_torn_tail(&disk, folder.path(), PLACE);
        if synced < 2 {
            assert_eq!(found.unwrap().unwrap().offset, ends[0], "record 2 was not known to be synced");
        } else {
            assert_eq!(damage(found).kind, DamageKind::Damaged, "record 2 was known to be synced");
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn start_copies_what_no_record_knows_to_be_synced() {
    let journal = Journal::of(&[0]);
    let mut writer = JournalWriter::create(&Disk::new(), journal.path(), STORE_ID, Sequence::FIRST).unwrap();
    for number in 1..=6 {
        write(&mut writer, number);
        writer.note_synced(Sequence::new(number - 1));
    }
    drop(writer);
    let before = journal.files();
    let places = journal.places(0);

    // The copy cannot be synced: what was there stays as it was.
    for operation in [Operation::Write, Operation::Sync, Operation::Rename] {
        let failing = Disk::with_faults(move |asked, _: &Path| {
            (asked == operation).then_some(DiskFault::Fail(rustix::io::Errno::IO))
        });
        repair_tail(&failing, journal.path(), PLACE, || Ok(false)).unwrap_err();
        assert_eq!(before[&journal.segment(0)], fs::read(journal.segment(0)).unwrap(), "{operation:?}");
    }

    assert_eq!(journal.start().unwrap(), (None, 6));
    assert_eq!(journal.segment(1), journal.path().join(format!("{:020}.journal", 5)));
    // From now on the segment before ends there, whatever a power cut left of its own end.
    for length in places[4]..=places[6] {
        journal.edit(0, |content| {
            content.resize(length, 0);
            content[places[4]..].fill(0x55);
        });
        assert_eq!(journal.start().unwrap(), (None, 6), "{length} bytes");
    }
    for after in 0..=6 {
        assert_eq!(journal.read(Sequence::new(after)).unwrap(), 6);
    }

    // On a full disk it is written anew in place.
    journal.restore(&before);
    let full = Disk::with_faults(|asked, path: &Path| {
        let is_copy = asked == Operation::Write && path.extension().is_some_and(|end| end == "tmp");
        is_copy.then_some(DiskFault::Short { bytes: 40, errno: rustix::io::Errno::NOSPC })
    });
    assert_eq!(repair_tail(&full, journal.path(), PLACE, || Ok(false)).unwrap(), None);
    assert_eq!(journal.files(), before);

    // Where room can be made, it is copied after all.
    let asked = Arc::new(AtomicBool::new(false));
    let made = Arc::clone(&asked);
    let full = Disk::with_faults(move |operation, path: &Path| {
        let is_copy = operation == Operation::Write && path.extension().is_some_and(|end| end == "tmp");
        let lacks_room = is_copy && !made.load(Ordering::Relaxed);
        lacks_room.then_some(DiskFault::Short { bytes: 40, errno: rustix::io::Errno::NOSPC })
    });
    let make_room = || {
        asked.store(true, Ordering::Relaxed);
        Ok(true)
    };
    assert_eq!(repair_tail(&full, journal.path(), PLACE, make_room).unwrap(), None);
    assert!(asked.load(Ordering::Relaxed));
    assert_eq!(journal.segment(1), journal.path().join(format!("{:020}.journal", 5)));
    assert_eq!(journal.read(Sequence::START).unwrap(), 6);
}

#[test]
fn start_refuses_missing_segments_with_the_missing_number() {
    let journal = Journal::of(&[2, 2, 2, 0]);
    let whole = journal.files();
    let check = |removed: &[usize], after: u64, missing: u64| {
        journal.restore(&whole);
        let paths: Vec<PathBuf> = removed.iter().map(|index| journal.segment(*index)).collect();
        for path in paths {
            fs::remove_file(path).unwrap();
        }
        repair_tail(&Disk::new(), journal.path(), PLACE, || Ok(false)).unwrap();
        let Damage { kind, what, .. } = damage(journal.read(Sequence::new(after)));
        assert_eq!(kind, DamageKind::Missing, "without {removed:?} after {after}: {what}");
        let named = what.strip_prefix("record ").and_then(|rest| rest.split_once(" of the journal"));
        assert_eq!(named.unwrap().0, missing.to_string(), "without {removed:?} after {after}: {what}");
    };
    check(&[0], 0, 1);
    check(&[0], 1, 2);
    check(&[1], 0, 3);
    check(&[1], 3, 3);
    check(&[2], 4, 5);
    check(&[3], 0, 7);
    check(&[2, 3], 4, 5);
    check(&[0, 1, 2, 3], 6, 7);
    // What a snapshot has already need not be there.
    journal.restore(&whole);
    fs::remove_file(journal.segment(0)).unwrap();
    assert_eq!(journal.read(Sequence::new(2)).unwrap(), 6);
}

#[test]
fn start_refuses_swapped_renamed_and_foreign_segments() {
    let journal = Journal::of(&[2, 2, 2]);
    let whole = journal.files();
    let (first, second) = (journal.segment(0), journal.segment(1));
    fs::write(&first, &whole[&second]).unwrap();
    fs::write(&second, &whole[&first]).unwrap();
    assert_eq!(damage(journal.start()).kind, DamageKind::Damaged);

    journal.restore(&whole);
    fs::copy(&first, journal.path().join(format!("{:020}.journal", 9))).unwrap();
    assert_eq!(damage(journal.start()).kind, DamageKind::Damaged);

    journal.restore(&whole);
    let newest = journal.segment(2);
    fs::copy(&newest, journal.path().join(format!("{:020}.journal", 7))).unwrap();
    assert_eq!(damage(journal.start()).kind, DamageKind::Damaged);

    journal.restore(&whole);
    let outcome = find_torn_tail(&Disk::new(), journal.path(), (StoreId::new(78), Sequence::START));
    let Damage { kind, what, .. } = damage(outcome);
    assert!(kind == DamageKind::Damaged && what.contains("belongs to another data directory"), "{what}");
}

/// Flags that do not go together, and others.
#[test]
fn start_refuses_a_record_with_a_section_that_it_does_not_know() {
    for flag in [5, 6, 12, 32] {
        let journal = Journal::of(&[1]);
        journal.edit(0, |content| {
            content[32 + 12] = flag;
            let covered = [&STORE_ID.get().to_le_bytes(), &content[32 + 8..]].concat();
            content[32 + 4..32 + 8].copy_from_slice(&crc32fast::hash(&covered).to_le_bytes());
        });
        let before = journal.files();
        let Damage { kind, what, .. } = damage(journal.start());
        assert!(kind == DamageKind::Newer && what.contains("section"), "flag {flag}: {what}");
        assert_eq!(journal.files(), before);
    }
}

#[test]
fn start_refuses_a_newer_version_and_touches_nothing() {
    let journal = Journal::of(&[1, 1]);
    for index in [1, 0] {
        journal.edit(index, |content| {
            content[8] = 3;
            let checksum = crc32fast::hash(&content[..28]);
            content[28..32].copy_from_slice(&checksum.to_le_bytes());
            content.push(9);
        });
        let before = journal.files();
        let outcome = if index == 1 { journal.start().map(|_| 0) } else { journal.read(Sequence::START) };
        let Damage { kind, what, .. } = damage(outcome);
        assert_eq!((kind, what.as_str()), (DamageKind::Newer, "has format 3, this tallyd reads up to 2"));
        assert_eq!(journal.files(), before);
    }
}
