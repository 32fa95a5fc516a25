//! What a file and a directory are on the memory disk: what is read of them, and what the disk has.
//! Knows nothing of paths or of other files.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::super::SECTOR_BYTES;
use crate::limits::{narrow, wide};
use crate::platform::random::SeededRandom;

/// Number of a file or directory, never given twice.
pub(super) type Number = usize;

/// Contents before a truncation that are remembered until the next sync.
const CUT_CONTENTS_KEPT: usize = 4;

#[derive(Clone, Debug)]
pub(super) enum Inode {
    File(FileInode),
    Directory(DirectoryInode),
}

/// A file. Bytes below `dirty_from` are clean: a sync does not write them, even where the disk has others.
#[derive(Clone, Debug)]
pub(super) struct FileInode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// `usize::MAX` where all is clean.
    dirty_from: usize,
    /// The contents before truncations that were not synced: one of those may be what a power cut leaves.
    cut: Vec<Vec<u8>>,
    /// The shortest length since then: what the disk had below that, it keeps, or has newer bytes.
    shortest: usize,
    /// Bytes allocated behind the content.
    allocated: u64,
}

impl Default for FileInode {
    fn default() -> Self {
        let (cached, durable, cut) = (Vec::new(), Vec::new(), Vec::new());
        Self { cached, durable, dirty_from: usize::MAX, cut, shortest: usize::MAX, allocated: 0 }
    }
}

impl FileInode {
    pub(super) fn length(&self) -> u64 {
        wide(self.cached.len()).saturating_add(self.allocated)
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.dirty_from = self.dirty_from.min(self.cached.len());
        self.cached.extend_from_slice(bytes);
    }

    /// Writes over bytes that the file has.
    pub(super) fn overwrite(&mut self, bytes: &[u8], at: usize) {
        self.dirty_from = self.dirty_from.min(at);
        if let Some(place) = self.cached.get_mut(at..at.saturating_add(bytes.len())) {
            place.copy_from_slice(bytes);
        }
    }

    pub(super) fn truncate(&mut self, bytes: usize) {
        if self.cut.len() < CUT_CONTENTS_KEPT {
            self.cut.push(self.cached.clone());
        }
        self.shortest = self.shortest.min(bytes);
        self.dirty_from = self.dirty_from.min(self.cached.len()).min(bytes);
        self.cached.resize(bytes, 0);
    }

    pub(super) fn allocate(&mut self, bytes: u64) {
        self.dirty_from = self.dirty_from.min(self.cached.len());
        self.allocated = bytes;
    }

    pub(super) fn sync(&mut self) {
        if self.dirty_from < usize::MAX {
            self.durable.resize(self.dirty_from, 0);
            self.durable.extend_from_slice(self.cached.get(self.dirty_from..).unwrap_or_default());
        }
        self.mark_clean();
    }

    /// Writes a part and loses the rest; all of it counts as clean.
    pub(super) fn fail_sync(&mut self, random: &mut SeededRandom, note: &mut dyn FnMut(&'static str)) {
        self.write_some(random, note);
        self.mark_clean();
    }

    pub(super) fn cut_power(&mut self, random: &mut SeededRandom, note: &mut dyn FnMut(&'static str)) {
        if self.dirty_from < usize::MAX && random.below(2) == 0 {
            self.allocated = 0;
        }
        self.write_some(random, note);
        self.mark_clean();
        self.cached.clone_from(&self.durable);
    }

    pub(super) fn flip_bit(&mut self, bit: u64) -> bool {
        let at = narrow(bit / 8);
        let mask = 1_u8 << (bit % 8);
        let copies = [&mut self.cached, &mut self.durable];
        let found = copies.into_iter().filter_map(|content| content.get_mut(at));
        found.map(|byte| *byte ^= mask).count() > 0
    }

    fn mark_clean(&mut self) {
        self.dirty_from = usize::MAX;
        self.shortest = usize::MAX;
        self.cut.clear();
    }

    /// Has the disk take any part of what is dirty.
    fn write_some(&mut self, random: &mut SeededRandom, note: &mut dyn FnMut(&'static str)) {
        if self.dirty_from == usize::MAX {
            return;
        }
        let before = self.durable.clone();
        self.durable.resize(self.dirty_from, 0);
        self.durable.extend_from_slice(self.cached.get(self.dirty_from..).unwrap_or_default());
        match random.below(5) {
            0 => note("content kept"),
            1 => {
                note("content lost");
                self.durable = before;
            }
            2 => {
                note("content torn at a byte");
                let from = self.dirty_from.min(before.len());
                let kept = from.saturating_add(random.below(self.durable.len().saturating_sub(from) + 1));
                self.durable.truncate(kept);
                let old = before.get(..self.shortest).unwrap_or(&before);
                self.durable.extend_from_slice(old.get(kept..).unwrap_or_default());
            }
            3 if !self.cut.is_empty() => {
                note("truncation undone");
                self.durable = self.cut.swap_remove(random.below(self.cut.len()));
            }
            _ => {
                note("content of mixed sectors");
                self.write_sectors(before, random);
            }
        }
    }

    /// Takes each dirty sector from any content that the file has had since it was clean; `durable` is the newest.
    fn write_sectors(&mut self, before: Vec<u8>, random: &mut SeededRandom) {
        let newest = std::mem::take(&mut self.durable);
        let length = if random.below(4) == 0 { before.len() } else { newest.len() };
        let first = self.dirty_from.min(length);
        let mut contents = vec![before, newest];
        contents.append(&mut self.cut);
        let mut written: Vec<u8> =
            contents.get(1).and_then(|it| it.get(..first)).unwrap_or_default().to_vec();
        while written.len() < length {
            let end =
                (written.len() / SECTOR_BYTES).saturating_add(1).saturating_mul(SECTOR_BYTES).min(length);
            let content = contents.get(random.below(contents.len())).map(Vec::as_slice).unwrap_or_default();
            let known = content.get(written.len()..end.min(content.len())).unwrap_or_default();
            written.extend_from_slice(known);
            written.resize(end, 0);
        }
        self.durable = written;
    }
}

/// A directory.
#[derive(Clone, Default, Debug)]
pub(super) struct DirectoryInode {
    pub(super) entries: BTreeMap<OsString, Number>,
    durable: BTreeMap<OsString, Number>,
    /// In order; none of it is on the disk.
    unsynced: Vec<NameChange>,
}

/// One change of a directory: a removal, a new name, or both at once.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    pub(super) removed: Option<OsString>,
    pub(super) added: Option<(OsString, Number)>,
}

impl NameChange {
    /// What a power cut does that forgets it.
    fn loss(&self) -> &'static str {
        match (&self.removed, &self.added) {
            (Some(_), Some(_)) => "rename lost",
            (Some(_), None) => "removal lost",
            (None, _) => "creation lost",
        }
    }

    fn apply(&self, entries: &mut BTreeMap<OsString, Number>) {
        if let Some(name) = &self.removed {
            entries.remove(name);
        }
        if let Some((name, number)) = &self.added {
            entries.insert(name.clone(), *number);
        }
    }
}

impl DirectoryInode {
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.entries);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.entries);
        self.unsynced.clear();
    }

    /// Writes some of the changes; all of them stay unsynced, as a file system with a journal keeps them.
    pub(super) fn fail_sync(&mut self, random: &mut SeededRandom, note: &mut dyn FnMut(&'static str)) {
        let mode = random.below(4);
        let kept = random.below(self.unsynced.len() + 1);
        for (at, change) in self.unsynced.iter().enumerate() {
            let is_kept = match mode {
                0 => true,
                1 => false,
                2 => at < kept,
                _ => random.below(2) == 0,
            };
            if is_kept {
                change.apply(&mut self.durable);
            }
            note(if is_kept { "name kept" } else { change.loss() });
        }
    }

    pub(super) fn cut_power(&mut self, random: &mut SeededRandom, note: &mut dyn FnMut(&'static str)) {
        self.fail_sync(random, note);
        self.unsynced.clear();
        self.entries.clone_from(&self.durable);
    }
}
