//! The dictionary: the catalogue's entries in the order in which they took effect, in pieces that follow each other.
//! Each fold adds a piece with what is new; pieces are merged like parts, and entries that later ones supersede go
//! then. Definitions stay for good, since a series keeps its id for the life of a data directory, and so do deletions.
//!
//! Must not know the catalogue in memory.

use std::collections::HashMap;

use super::block::{BlockReader, BlockWriter};
use super::entries::{self, EntriesWriter};
use super::entry::Entry;
use super::{FORMAT_VERSION_ENTRIES, FileRef, Generation, SnapshotFolder, codec};
use crate::limits::{DICTIONARY_BLOCK_ENTRIES, SNAPSHOT_BLOCK_BYTES, wide};
use crate::model::batch::SeriesId;
use crate::model::event::{Node, StoryId};
use crate::store::damage::FileError;
use crate::store::layout::FileName;

type Hashed = foldhash::fast::RandomState;

/// Bytes that the entries take in a file, roughly.
pub(crate) fn bytes_of(entries: &[Entry]) -> u64 {
    wide(entries.iter().map(Entry::bytes).sum())
}

/// Makes one piece of the dictionary of several that follow each other and the entries that follow those, without what
/// later ones supersede, and syncs it. Returns what the manifest must say of it. Reads the pieces twice, block by block: what
/// it takes of memory is a bit or two for each series, and the names.
pub(crate) fn merge(
    folder: &SnapshotFolder,
    generation: Generation,
    (pieces, fresh): (&[FileRef], Vec<Entry>),
) -> Result<FileRef, FileError> {
    let mut latest = Latest::default();
    for piece in pieces {
        let mut reader = PieceReader::open(folder, piece)?;
        while let Some(block) = reader.next()? {
            for entry in &block {
                latest.note(entry);
            }
        }
    }
    for entry in &fresh {
        latest.note(entry);
    }
    let mut kept = Kept::of(latest);
    let mut out = PieceWriter::create(folder, generation)?;
    for piece in pieces {
        let mut reader = PieceReader::open(folder, piece)?;
        while let Some(block) = reader.next()? {
            for entry in block {
                out.take(kept.next(entry))?;
            }
        }
    }
    for entry in fresh {
        out.take(kept.next(entry))?;
    }
    out.finish()
}

/// Reads a piece of the dictionary, handing over its entries block by block. `take` may say what cannot be in it.
pub(crate) fn read(
    folder: &SnapshotFolder,
    file: &FileRef,
    mut take: impl FnMut(Vec<Entry>) -> Result<(), String>,
) -> Result<(), FileError> {
    let mut reader = PieceReader::open(folder, file)?;
    while let Some(entries) = reader.next()? {
        take(entries).map_err(|what| reader.input.damaged(what))?;
    }
    Ok(())
}

struct PieceReader {
    input: BlockReader,
    payload: Vec<u8>,
}

impl PieceReader {
    fn open(folder: &SnapshotFolder, file: &FileRef) -> Result<Self, FileError> {
        Ok(Self { input: folder.open(file)?, payload: Vec::new() })
    }

    /// The entries of the next block; `None` after the last one, when the whole file has been found sound.
    fn next(&mut self) -> Result<Option<Vec<Entry>>, FileError> {
        if !self.input.next(&mut self.payload)? {
            return Ok(None);
        }
        let mut entries = Vec::new();
        let is_old = self.input.version < FORMAT_VERSION_ENTRIES;
        let decode = if is_old { codec::decode_entries } else { entries::decode };
        decode(&self.payload, &mut entries).map_err(|what| self.input.damaged(what))?;
        Ok(Some(entries))
    }
}

struct PieceWriter {
    out: BlockWriter,
    /// What is not written yet.
    block: EntriesWriter,
}

impl PieceWriter {
    fn create(folder: &SnapshotFolder, generation: Generation) -> Result<Self, FileError> {
        let out = folder.create(FileName::Dictionary(generation))?;
        Ok(Self { out, block: EntriesWriter::default() })
    }

    fn take(&mut self, entry: Option<Entry>) -> Result<(), FileError> {
        if let Some(entry) = entry {
            self.block.push(&entry);
        }
        let is_full = self.block.entries() >= DICTIONARY_BLOCK_ENTRIES
            || self.block.payload().len() >= SNAPSHOT_BLOCK_BYTES;
        if is_full { self.flush() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<FileRef, FileError> {
        if self.block.entries() > 0 {
            self.flush()?;
        }
        self.out.finish()
    }

    fn flush(&mut self) -> Result<(), FileError> {
        self.out.block(self.block.payload())?;
        self.block.clear();
        Ok(())
    }
}

/// The same catalogue with fewer entries. Of each story only what follows its last deletion counts, but for the
/// definitions; of each name only the last.
#[cfg(any(test, fuzzing))]
pub(crate) fn compact(entries: Vec<Entry>) -> Vec<Entry> {
    let mut latest = Latest::default();
    for entry in &entries {
        latest.note(entry);
    }
    let mut kept = Kept::of(latest);
    entries.into_iter().filter_map(|entry| kept.next(entry)).collect()
}

/// What entries say that others supersede, found by going through them once.
#[derive(Default)]
struct Latest {
    /// How many entries there were.
    entries: usize,
    /// Where the last deletion of each story is.
    deleted_at: HashMap<StoryId, usize, Hashed>,
    known: HashMap<(StoryId, Option<Node>), Known, Hashed>,
}

/// A story or a node that is made known after the last deletion of its story, if there is one.
struct Known {
    /// Where it is first.
    first: usize,
    /// The last name.
    name: Option<Box<str>>,
}

impl Latest {
    fn note(&mut self, entry: &Entry) {
        let place = self.entries;
        self.entries = self.entries.saturating_add(1);
        let (story, node, name) = match entry {
            Entry::Series(_) => return,
            Entry::Deleted { story, .. } => {
                self.deleted_at.insert(*story, place);
                return;
            }
            Entry::Story { story, name } => (*story, None, name),
            Entry::Node { story, node, name } => (*story, Some(*node), name),
        };
        let deleted_at = self.deleted_at.get(&story).copied();
        let known = self.known.entry((story, node)).or_insert_with(|| Known { first: place, name: None });
        if deleted_at.is_some_and(|at| known.first < at) {
            *known = Known { first: place, name: None };
        }
        if name.is_some() {
            known.name.clone_from(name);
        }
    }
}

/// Says which of the entries, in the same order once more, still count.
struct Kept {
    latest: Latest,
    place: usize,
    /// By series: whether it has been defined before its story's last deletion, and after.
    defined: [SeriesSet; 2],
}

impl Kept {
    fn of(latest: Latest) -> Self {
        Self { latest, place: 0, defined: [SeriesSet::default(), SeriesSet::default()] }
    }

    fn next(&mut self, mut entry: Entry) -> Option<Entry> {
        let place = self.place;
        self.place = self.place.saturating_add(1);
        // Few catalogues have a deletion, most have definitions alone.
        let deleted_at = &self.latest.deleted_at;
        let last_deletion =
            if deleted_at.is_empty() { None } else { deleted_at.get(&entry.story()).copied() };
        let is_superseded = last_deletion.is_some_and(|at| place < at);
        let what = match &entry {
            Entry::Series(definition) => {
                let [before, after] = &mut self.defined;
                let defined = if is_superseded { before } else { after };
                return defined.insert(definition.id).then_some(entry);
            }
            Entry::Deleted { .. } => return (last_deletion == Some(place)).then_some(entry),
            Entry::Story { story, .. } => (*story, None),
            Entry::Node { story, node, .. } => (*story, Some(*node)),
        };
        let known =
            self.latest.known.get_mut(&what).filter(|known| known.first == place && !is_superseded)?;
        if let Some(name) = entry.name_mut() {
            *name = known.name.take();
        }
        Some(entry)
    }
}

/// Series, a bit for each.
#[derive(Default)]
struct SeriesSet(Vec<u64>);

impl SeriesSet {
    /// Whether it was not there yet.
    fn insert(&mut self, series: SeriesId) -> bool {
        let (word, bit) = (series.index() / 64, 1 << (series.get() % 64));
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        let Some(word) = self.0.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// Which series were cleared, and when: their cells in parts of earlier generations do not count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleared(HashMap<SeriesId, Generation, foldhash::fast::RandomState>);

impl Cleared {
    /// Notes that the fold of that generation cleared the series.
    pub(crate) fn clear(&mut self, series: SeriesId, generation: Generation) {
        let last = self.0.entry(series).or_insert(generation);
        *last = generation.max(*last);
    }

    /// Whether cells of the series count that are in a part of that generation.
    pub(crate) fn counts(&self, series: SeriesId, part: Generation) -> bool {
        self.0.is_empty() || self.0.get(&series).is_none_or(|cleared| part >= *cleared)
    }

    /// Forgets what none of the parts is old enough for.
    pub(crate) fn forget_unneeded(&mut self, parts: &[FileRef]) {
        match parts.iter().map(|part| part.name.generation()).min() {
            Some(oldest) => self.0.retain(|_, cleared| oldest < *cleared),
            None => self.0.clear(),
        }
    }
}
