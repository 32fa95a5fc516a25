//! Pieces of keys: what is in them, what is left out, and which of them go.

use std::path::Path;

use super::*;
use crate::model::batch::{KeyId, KeyedAnswer, RejectedLine};
use crate::platform::disk::Disk;
use crate::store::damage::DamageKind;
use crate::store::journal::StoreId;
use crate::store::snapshot::Generation;

const NOW: u32 = 1_552_813_200;
const DAY: u32 = 86_400;
const HOUR: u32 = 3_600;

fn key(rule: KeyRule, number: u8, taken: u32) -> BatchKey {
    let bad_lines = [RejectedLine { line: 3, message: format!("bad {number}").into() }].into();
    let answer = KeyedAnswer { accepted: u32::from(number), rejected: 1, bad_lines };
    BatchKey { identity: BatchIdentity { rule, id: KeyId([number; 16]), content: 9 }, taken, answer }
}

fn snapshots(folder: &Path) -> SnapshotFolder {
    SnapshotFolder { disk: Disk::new(), path: folder.to_owned(), store_id: StoreId::new(7) }
}

fn merged(folder: &Path, generation: u64, pieces: &[KeyPiece], fresh: &[BatchKey]) -> KeyPiece {
    let name = FileName::Keys(Generation::new(generation));
    merge(&snapshots(folder), name, (pieces, fresh)).expect("it can be written")
}

fn read_back(folder: &Path, piece: &KeyPiece) -> Result<Vec<BatchKey>, FileError> {
    let mut found = Vec::new();
    read(&snapshots(folder), &piece.file, |mut block| {
        found.append(&mut block);
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn keys_come_back_in_order_and_those_that_are_past_do_not() {
    let scratch = tempfile::tempdir().expect("there is room");
    let old = [
        key(KeyRule::Key, 1, NOW - DAY),
        key(KeyRule::Key, 2, NOW - DAY + 1),
        key(KeyRule::Window, 3, NOW - HOUR),
        key(KeyRule::Window, 4, NOW - HOUR + 1),
    ];
    let first = merged(scratch.path(), 1, &[], &old);
    assert_eq!(read_back(scratch.path(), &first).expect("it is sound"), old);
    assert_eq!((first.held, first.newest), ([2, 2], [NOW - DAY + 1, NOW - HOUR + 1]));

    let fresh = [key(KeyRule::Key, 5, NOW), key(KeyRule::Window, 6, NOW)];
    let both = merged(scratch.path(), 2, &[first], &fresh);
    let expected = [&old[1..2], &old[3..], &fresh].concat();
    assert_eq!(read_back(scratch.path(), &both).expect("it is sound"), expected);
    assert_eq!((both.held, both.newest), ([2, 2], [NOW, NOW]));
}

#[test]
fn flipped_bits_are_damage() {
    let scratch = tempfile::tempdir().expect("there is room");
    let piece = merged(scratch.path(), 1, &[], &[key(KeyRule::Key, 1, NOW), key(KeyRule::Window, 2, NOW)]);
    let path = scratch.path().join(piece.file.name.to_string());
    let sound = std::fs::read(&path).expect("it is there");
    for bit in 0..sound.len() * 8 {
        let mut flipped = sound.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).expect("it can be written");
        match read_back(scratch.path(), &piece) {
            Err(FileError::Damage(damage)) => {
                assert!(matches!(damage.kind, DamageKind::Damaged | DamageKind::Newer), "bit {bit}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

#[test]
fn oldest_keys_of_too_many_and_oldest_lists_of_bad_lines_are_left_out() {
    let mut trim = Trim { now: NOW, left: [KEYS_MAX + 2, 1], bad_line_bytes_left: 0 };
    let kept: Vec<bool> = (0..4).map(|number| trim.keep(&key(KeyRule::Key, number, NOW)).is_some()).collect();
    assert_eq!(kept, [false, false, true, true]);
    assert!(trim.keep(&key(KeyRule::Window, 4, NOW)).is_some());

    let one = key(KeyRule::Key, 1, NOW);
    let bytes = one.answer.bad_line_bytes();
    let mut trim = Trim { now: NOW, left: [9, 9], bad_line_bytes_left: KEY_BAD_LINES_BYTES_MAX + bytes };
    let lists: Vec<usize> =
        (0..3).map(|_| trim.keep(&one).expect("it is remembered").answer.bad_lines.len()).collect();
    assert_eq!(lists, [0, 1, 1]);
}

#[test]
fn pieces_go_once_nothing_in_them_is_remembered() {
    let piece = |generation: u64, held: [u64; 2], newest: [u32; 2]| {
        let name = FileName::Keys(Generation::new(generation));
        KeyPiece { file: FileRef { name, bytes: 1, crc32: 2 }, held, newest }
    };
    let all = wide(KEYS_MAX);
    let generations = |pieces: &[KeyPiece]| -> Vec<u64> {
        needed(pieces).iter().map(|piece| piece.file.name.generation().get()).collect()
    };
    let newest = piece(9, [1, 0], [NOW, 0]);
    // By time.
    assert_eq!(generations(&[piece(1, [5, 5], [NOW - DAY, NOW - HOUR]), newest]), [9]);
    assert_eq!(generations(&[piece(1, [5, 5], [NOW - DAY + 1, NOW - HOUR]), newest]), [1, 9]);
    assert_eq!(generations(&[piece(1, [5, 5], [NOW - DAY, NOW - HOUR + 1]), newest]), [1, 9]);
    // By number, of each rule by itself.
    let full = piece(5, [all - 1, 0], [NOW, 0]);
    assert_eq!(generations(&[piece(1, [5, 0], [NOW, 0]), full, newest]), [5, 9]);
    assert_eq!(generations(&[piece(1, [5, 1], [NOW, NOW]), full, newest]), [1, 5, 9]);
    assert_eq!(generations(&[piece(1, [5, 0], [NOW, 0]), full]), [1, 5]);
}
