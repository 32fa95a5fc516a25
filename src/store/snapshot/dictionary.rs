//! The dictionary: the catalogue's entries in the order in which they took effect, in pieces that follow each other.
//! Each fold adds a piece with what is new; pieces are merged like parts, and entries that later ones supersede go
//! then. Definitions stay for good, since a series keeps its id for the life of a data directory, and so do deletions.
//!
//! Must not know the catalogue in memory.

use std::collections::{HashMap, HashSet};

use super::entry::Entry;
use super::{FileRef, Generation, SnapshotFolder, codec};
use crate::limits::{SNAPSHOT_BLOCK_BYTES, wide};
use crate::model::batch::SeriesId;
use crate::model::event::{Node, StoryId};
use crate::store::damage::FileError;
use crate::store::layout::FileName;

/// Bytes that the entries take in a file, roughly.
pub(crate) fn bytes_of(entries: &[Entry]) -> u64 {
    wide(entries.iter().map(Entry::bytes).sum())
}

/// Writes and syncs a piece of the dictionary. Returns what the manifest must say of it.
pub(crate) fn write(
    folder: &SnapshotFolder,
    generation: Generation,
    entries: &[Entry],
) -> Result<FileRef, FileError> {
    let mut out = folder.create(FileName::Dictionary(generation))?;
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fits = rest.iter().take_while(|entry| {
            let before = bytes;
            bytes = bytes.saturating_add(entry.bytes());
            before < SNAPSHOT_BLOCK_BYTES
        });
        let (block, after) = rest.split_at(fits.count());
        out.block(&codec::encode_entries(block).map_err(|what| out.unwritable(what))?)?;
        rest = after;
    }
    out.finish()
}

/// Reads a piece of the dictionary, handing over its entries block by block. `take` may say what cannot be in it.
pub(crate) fn read(
    folder: &SnapshotFolder,
    file: &FileRef,
    mut take: impl FnMut(Vec<Entry>) -> Result<(), String>,
) -> Result<(), FileError> {
    let mut reader = folder.open(file)?;
    let mut payload = Vec::new();
    while reader.next(&mut payload)? {
        let mut entries = Vec::new();
        codec::decode_entries(&payload, &mut entries)
            .and_then(|()| take(entries))
            .map_err(|what| reader.damaged(what))?;
    }
    Ok(())
}

/// The same catalogue with fewer entries. Of each story only what follows its last deletion counts, but for the
/// definitions; of each name only the last.
pub(crate) fn compact(entries: Vec<Entry>) -> Vec<Entry> {
    let mut deleted_at = HashMap::new();
    for (place, entry) in entries.iter().enumerate() {
        if let Entry::Deleted { story, .. } = entry {
            deleted_at.insert(*story, place);
        }
    }
    let mut defined = HashSet::new();
    let mut known: HashMap<(StoryId, Option<Node>), usize> = HashMap::new();
    let mut kept: Vec<Entry> = Vec::new();
    for (place, mut entry) in entries.into_iter().enumerate() {
        let last_deletion = deleted_at.get(&entry.story()).copied();
        let is_superseded = last_deletion.is_some_and(|at| place < at);
        let names = match &entry {
            Entry::Series(definition) => {
                if defined.insert((definition.id, is_superseded)) {
                    kept.push(entry);
                }
                continue;
            }
            Entry::Deleted { .. } => {
                if last_deletion == Some(place) {
                    kept.push(entry);
                }
                continue;
            }
            Entry::Story { story, .. } => (*story, None),
            Entry::Node { story, node, .. } => (*story, Some(*node)),
        };
        if is_superseded {
            continue;
        }
        if let Some(earlier) = known.get(&names).and_then(|at| kept.get_mut(*at)) {
            let new_name = entry.name_mut().and_then(Option::take);
            if let (Some(name), Some(new_name)) = (earlier.name_mut(), new_name) {
                *name = Some(new_name);
            }
        } else {
            known.insert(names, kept.len());
            kept.push(entry);
        }
    }
    kept
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
