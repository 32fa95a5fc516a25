//! What must hold for any bytes that come as a file of a snapshot, or as the payload of a block of one. Run by `cargo test`
//! and by the targets of `fuzz/`; see [`crate::testing`].
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a check says by panic what does not hold"
)]

use std::path::{Path, PathBuf};

use super::block::{Header, single};
use super::entries::{self, EntriesWriter};
use super::entry::Entry;
use super::manifest::Manifest;
use super::part::PartReader;
use super::{FileRef, Frames, FramesOut, Generation, KeyPiece, SnapshotFolder, codec, dictionary, keys};
use crate::limits::{KEYS_KEPT, RETRY_WINDOW_MAX, wide};
use crate::model::batch::{BatchKey, KeyRule};
use crate::model::cells::{self, Month};
use crate::platform::disk::MemoryDisk;
use crate::store::damage::{Damage, FileError};
use crate::store::journal::StoreId;
use crate::store::layout::FileName;

const STORE_ID: StoreId = StoreId::new(0x0123_4567_89ab_cdef);
const GENERATION: Generation = Generation::new(3);
const MONTH: Month = Month::new(590);

/// A block of a part is frames that are written again byte for byte, or it is refused; a frame is cells of one month that
/// are packed and unpacked the same.
pub fn snapshot_part(bytes: &[u8]) {
    let Some((choices, payload)) = bytes.split_first_chunk() else { return };
    let mut frames = Frames::default();
    let read = frames.read_with(|block| {
        block.extend_from_slice(payload);
        Ok::<_, FileError>(true)
    });
    let is_good = read.expect("it is there").is_ok();
    if is_good {
        let mut again = FramesOut::default();
        for (series, frame) in frames.iter() {
            assert_frame(frame);
            again.push_with(series, |block| block.extend_from_slice(frame));
        }
        assert_eq!(again.payload(), payload);
        assert!(frames.iter().is_sorted_by_key(|(series, _)| series));
    }
    let name = FileName::Part(MONTH, GENERATION);
    let read = |folder: &SnapshotFolder, file: &FileRef| {
        let mut reader = PartReader::open(folder, file)?;
        while reader.next(&mut Frames::default())? {}
        Ok(())
    };
    assert_eq!(Files::new(name).check(*choices, payload, &read), is_good);
}

/// A block of the dictionary is entries that are read the same once they are written again, or it is refused.
pub fn snapshot_dictionary(bytes: &[u8]) {
    let Some((choices, payload)) = bytes.split_first_chunk() else { return };
    let mut entries = Vec::new();
    let decoded = entries::decode(payload, &mut entries);
    // As format 3 has it, which is only read.
    drop(codec::decode_entries(payload, &mut Vec::new()));
    if decoded.is_ok() {
        let mut writer = EntriesWriter::default();
        for entry in &entries {
            writer.push(entry);
        }
        let mut again = Vec::new();
        entries::decode(writer.payload(), &mut again).expect("it was just written");
        assert_eq!(again, entries);
        let compact = dictionary::compact(entries.clone());
        assert!(compact.len() <= entries.len());
        assert_eq!(dictionary::compact(compact.clone()), compact, "compacting once is not enough");
    }
    let read = |folder: &SnapshotFolder, file: &FileRef| {
        let mut found: Vec<Entry> = Vec::new();
        dictionary::read(folder, file, |mut block| {
            found.append(&mut block);
            Ok(())
        })?;
        assert_eq!(found, entries, "a file gives what its block gives");
        Ok(())
    };
    let files = Files::new(FileName::Dictionary(GENERATION));
    assert_eq!(files.check(*choices, payload, &read), decoded.is_ok());
}

/// A manifest is written again to one that reads the same, or it is refused.
pub fn snapshot_manifest(bytes: &[u8]) {
    let Some((choices, payload)) = bytes.split_first_chunk() else { return };
    let is_good = codec::decode_manifest(payload).is_ok() && !codec::has_unknown_section(payload);
    let read = |folder: &SnapshotFolder, _: &FileRef| {
        let manifest = Manifest::read(&folder.disk, &folder.path, GENERATION)?;
        if manifest.store_id == STORE_ID {
            let copies = Files::new(manifest.name());
            manifest.commit(&copies.folder).expect("it was read");
            let again = Manifest::read(&copies.folder.disk, &copies.folder.path, GENERATION);
            assert_eq!(again.expect("it was just written"), manifest);
        }
        for file in manifest.files() {
            assert!(!file.name.to_string().contains(['/', '\0']), "{}", file.name);
        }
        let needed = keys::needed(&manifest.keys);
        assert!(needed.len() <= manifest.keys.len());
        Ok(())
    };
    assert_eq!(Files::new(FileName::Manifest(GENERATION)).check(*choices, payload, &read), is_good);
}

/// A piece of the keys of batches is written again byte for byte, or refused; and a fold keeps of it, in order, what is
/// still remembered.
pub fn key_piece(bytes: &[u8]) {
    let Some((choices, payload)) = bytes.split_first_chunk() else { return };
    let decoded = codec::decode_keys(payload);
    let given = decoded.clone().unwrap_or_default();
    if decoded.is_ok() {
        assert_eq!(codec::encode_keys(&given).as_deref(), Ok(payload));
    }
    let read = |folder: &SnapshotFolder, file: &FileRef| {
        assert_eq!(keys_of(folder, file)?, given, "a file gives what its block gives");
        let piece = KeyPiece { file: *file, held: [0; 2], newest: [0; 2] };
        let (fresh, name) =
            (given.get(..given.len() / 2).unwrap_or_default(), FileName::Keys(GENERATION.next()));
        let merged = keys::merge(folder, name, (&[piece], fresh)).expect("it was read");
        let kept = keys_of(folder, &merged.file).expect("it was just written");
        assert_eq!(kept, remembered(given.iter().chain(fresh)));
        for rule in KeyRule::ALL {
            let of_rule = || kept.iter().filter(|key| key.identity.rule == rule);
            assert_eq!(merged.held.get(rule.index()).copied(), Some(wide(of_rule().count())));
            let newest = of_rule().map(|key| key.taken).max().unwrap_or(0);
            assert_eq!(merged.newest.get(rule.index()).copied(), Some(newest));
        }
        assert_eq!(keys::needed(&[merged]).len(), usize::from(!kept.is_empty()));
        Ok(())
    };
    assert_eq!(Files::new(FileName::Keys(GENERATION)).check(*choices, payload, &read), decoded.is_ok());
}

fn assert_frame(frame: &[u8]) {
    let mut unpacked = Vec::new();
    let Ok(length) = cells::decode_frame(frame, &mut unpacked) else {
        assert!(unpacked.is_empty(), "cells of what is no frame");
        return;
    };
    assert!((1..=frame.len()).contains(&length) && !unpacked.is_empty());
    assert!(unpacked.is_sorted_by_key(|cell| cell.hour), "hours out of order");
    assert!(unpacked.iter().all(|cell| Month::containing(cell.hour).range().contains(cell.hour)));
    let (mut packed, mut again) = (Vec::new(), Vec::new());
    cells::encode_frame(&unpacked, &mut packed);
    assert!(packed.len() <= length, "{} bytes of {length}", packed.len());
    assert_eq!(cells::decode_frame(&packed, &mut again), Ok(packed.len()));
    assert_eq!(again, unpacked);
}

fn keys_of(folder: &SnapshotFolder, file: &FileRef) -> Result<Vec<BatchKey>, FileError> {
    let mut found = Vec::new();
    keys::read(folder, file, |mut block| {
        found.append(&mut block);
        Ok(())
    })?;
    Ok(found)
}

/// The keys that are still remembered when the newest was taken.
fn remembered<'a>(keys: impl Iterator<Item = &'a BatchKey> + Clone) -> Vec<BatchKey> {
    let now = keys.clone().map(|key| key.taken).max().unwrap_or(0);
    let is_kept = |key: &&BatchKey| {
        let kept = match key.identity.rule {
            KeyRule::Key => KEYS_KEPT,
            KeyRule::Window => RETRY_WINDOW_MAX,
        };
        u64::from(now.saturating_sub(key.taken)) < kept.as_secs()
    };
    keys.filter(is_kept).cloned().collect()
}

type Read<'r> = dyn Fn(&SnapshotFolder, &FileRef) -> Result<(), FileError> + 'r;

/// A folder in memory that has one file.
struct Files {
    folder: SnapshotFolder,
    memory: MemoryDisk,
    name: FileName,
    path: PathBuf,
}

impl Files {
    fn new(name: FileName) -> Self {
        let memory = MemoryDisk::new(1);
        let folder = SnapshotFolder::new(&memory.disk(), Path::new("/"), STORE_ID);
        folder.disk.create_directory(&folder.path).expect("a folder");
        let path = folder.path.join(name.to_string());
        Self { folder, memory, name, path }
    }

    /// Reads the payload as the one block of a file; whether it was taken. What is refused is told with its place, and
    /// whatever is taken is refused once a bit of the file is another. The payload as a file without a header is refused.
    fn check(&self, bit: [u8; 2], payload: &[u8], read: &Read<'_>) -> bool {
        let file = self.put(&single(Header { store_id: STORE_ID, name: self.name }, payload));
        let outcome = self.told(&file, read);
        if outcome.is_ok() {
            let bit = u64::from(u16::from_le_bytes(bit)) % file.bytes.saturating_mul(8).max(1);
            assert!(self.memory.flip_bit(&self.path, bit), "the file has bit {bit}");
            assert!(self.told(&file, read).is_err(), "bit {bit} is another");
        }
        // Only what begins like a file can be one.
        if !payload.starts_with(b"tally") {
            let bare = self.put(payload);
            assert!(self.told(&bare, read).is_err(), "it has no header");
        }
        outcome.is_ok()
    }

    fn told(&self, file: &FileRef, read: &Read<'_>) -> Result<(), Damage> {
        match read(&self.folder, file) {
            Ok(()) => Ok(()),
            Err(FileError::Damage(damage)) => {
                assert!(damage.file == self.path && damage.offset <= file.bytes, "{damage}");
                assert!(!damage.what.is_empty());
                Err(damage)
            }
            Err(FileError::Disk(error)) => panic!("{error}"),
        }
    }

    fn put(&self, bytes: &[u8]) -> FileRef {
        drop(self.folder.disk.replace(&self.path, bytes).expect("room"));
        FileRef { name: self.name, bytes: wide(bytes.len()), crc32: crc32fast::hash(bytes) }
    }
}
