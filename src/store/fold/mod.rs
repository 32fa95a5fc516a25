//! The fold: the last snapshot and the journal's sealed records after it become the next snapshot. Nothing is taken
//! from the live counters, so increments cannot count twice, and the journal is proved readable on the way.
//!
//! Must not know: the live counters and catalogue, the sequencer, the time.
//!
//! INVARIANTS
//! - The atomic appearance of the manifest is the commit; before it nothing that a kept manifest needs is touched.
//! - After a commit the two newest snapshots can be loaded, and the journal reaches back to the older one's position,
//!   until [`Folder::keep_newest`] gives the older one up.
//! - A fold that fails leaves the folder where it was; it can be tried again, under a new generation.
//! - The place in a log that a snapshot has is that of the last message among its records, by the records alone.
//! - No snapshot has a part of a month that its records have dropped; no record after that one counts in such a month.

mod gather;
mod intake;
mod order;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use intake::Intake;

use crate::limits::{DICTIONARY_PIECES_ALIKE_MAX, FOLD_CELLS_MAX, PARTS_ALIKE_MAX, wide};
use crate::model::batch::{BatchKey, Definition, Increment, SeriesId};
use crate::model::cells::Month;
use crate::model::event::StoryId;
use crate::platform::disk::{self, Disk, Operation};
use crate::store::damage::FileError;
use crate::store::journal::{self, Record, Replay, SegmentInfo, Sequence};
use crate::store::layout::{self, FileName};
use crate::store::log::LogState;
use crate::store::pins::Pins;
use crate::store::snapshot::dictionary::{self, Cleared};
use crate::store::snapshot::entry::Entry;
use crate::store::snapshot::keys;
use crate::store::snapshot::manifest::Manifest;
use crate::store::snapshot::merge::{self, Sources};
use crate::store::snapshot::{FileRef, Generation, KeyPiece, SnapshotFolder};

type SeriesOfStories = HashMap<StoryId, Vec<SeriesId>>;

/// What a fold did.
#[derive(Debug, Default)]
pub struct FoldDone {
    /// Snapshot files written, manifests left out.
    pub files_written: usize,
    /// Why files that nothing needs any more could not be removed; the next fold tries again.
    pub leftovers: Option<FileError>,
}

/// Makes snapshots. There is one per data directory; it knows the newest snapshot.
#[derive(Debug)]
pub struct Folder {
    snapshots: SnapshotFolder,
    journal_dir: PathBuf,
    current: Manifest,
    cleared: Cleared,
    next_generation: Generation,
    cells_max: usize,
    /// Files that a copy is being made of, segments as well.
    pins: Pins,
}

impl Folder {
    /// Goes on from a snapshot that has been loaded. `last` is the highest generation in any file name.
    pub(super) fn new(disk: &Disk, data_dir: &Path, loaded: (Manifest, Cleared), last: Generation) -> Self {
        let (current, mut cleared) = loaded;
        cleared.forget_unneeded(&current.parts);
        Self {
            snapshots: SnapshotFolder::new(disk, data_dir, current.store_id),
            journal_dir: data_dir.join(layout::JOURNAL_FOLDER),
            next_generation: last.max(current.generation).next(),
            current,
            cleared,
            cells_max: FOLD_CELLS_MAX,
            pins: Pins::default(),
        }
    }

    /// The last record that is in the newest snapshot.
    pub fn position(&self) -> Sequence {
        self.current.position
    }

    /// The newest snapshot's generation.
    pub fn generation(&self) -> Generation {
        self.current.generation
    }

    /// The newest snapshot.
    pub(super) fn current(&self) -> &Manifest {
        &self.current
    }

    /// Its manifest's file, which is short.
    pub(super) fn read_manifest(&self) -> Result<Vec<u8>, FileError> {
        let SnapshotFolder { disk, path, .. } = &self.snapshots;
        Ok(disk.read(&path.join(self.current.name().to_string()))?)
    }

    /// The sealed segments with the records after the newest snapshot, through that one; `None` where it is in the open segment,
    /// since the next one could not be made.
    pub(super) fn segments_through(&self, through: Sequence) -> Result<Option<Vec<SegmentInfo>>, FileError> {
        let position = self.current.position;
        if through <= position {
            return Ok(Some(Vec::new()));
        }
        let mut segments = journal::segments(&self.snapshots.disk, &self.journal_dir)?;
        let is_sealed = segments.iter().any(|segment| segment.first_sequence == through.next());
        segments.retain(|segment| {
            segment.first_sequence <= through && segment.until.is_some_and(|until| until > position.next())
        });
        Ok(is_sealed.then_some(segments))
    }

    /// What keeps files of snapshots, and segments, from being removed.
    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Folds the records up to and including `through`, which must be in sealed segments. Blocks; takes memory for
    /// a bounded number of cells, beyond which it makes several snapshots in a row.
    ///
    /// # Errors
    /// [`FileError`]; what was committed before stays.
    pub fn fold(&mut self, through: Sequence) -> Result<FoldDone, FileError> {
        let mut done = FoldDone::default();
        if self.current.position < through {
            let (disk, folder) = (self.snapshots.disk.clone(), self.journal_dir.clone());
            let mut replay = Replay::open(&disk, &folder, self.current.store_id, self.current.position)?;
            while self.current.position < through {
                self.step(&mut replay, through, &mut done)?;
            }
        }
        Ok(done)
    }

    /// Gives up the snapshot before the newest, and the journal that only that one needs: a store that is closed takes no more
    /// room than it must. Where this ends half-way, the newest snapshot and the journal after it are there all the same.
    ///
    /// # Errors
    /// [`FileError`]; what stays is removed after a later fold.
    pub fn keep_newest(&self) -> Result<(), FileError> {
        self.clean_up(&self.current)
    }

    /// Makes one snapshot of as many records as fit in memory.
    fn step(&mut self, replay: &mut Replay, through: Sequence, done: &mut FoldDone) -> Result<(), FileError> {
        let generation = self.next_generation;
        self.next_generation = generation.next();
        let mut intake = Intake::new(generation, self.cells_max);
        let mut position = self.current.position;
        let mut record = Record::default();
        let mut log: Option<LogState> = None;
        while position < through && !intake.is_full() {
            if !replay.next_into(&mut record)? {
                return Err(replay.ends());
            }
            intake.take(self, &mut record)?;
            position = record.sequence;
            if let Some(section) = &record.log {
                let log = match &mut log {
                    Some(log) => log,
                    None => log.insert(LogState::before(self.current.log.as_deref(), &section.entry)),
                };
                if !log.take(&section.entry) {
                    return Err(replay.out_of_turn(record.sequence));
                }
            }
        }
        let log = log.map(Arc::new).or_else(|| self.current.log.clone());
        let cleared = intake.cleared.take();
        let gathered = (intake, cleared.as_ref().unwrap_or(&self.cleared));
        let next = match self.write_files(gathered, (position, log), done) {
            Ok(next) => next,
            Err(error) => {
                self.discard(generation);
                return Err(error);
            }
        };
        if let Err(error) = next.commit(&self.snapshots) {
            // Where the sync of the directory failed, the manifest may be there, and then it must find its files.
            let may_be_there =
                matches!(&error, FileError::Disk(error) if error.operation == Operation::SyncDirectory);
            if !may_be_there {
                self.discard(generation);
            }
            return Err(error);
        }
        let before = std::mem::replace(&mut self.current, next);
        if let Some(cleared) = cleared {
            self.cleared = cleared;
        }
        self.cleared.forget_unneeded(&self.current.parts);
        done.leftovers = self.clean_up(&before).err();
        Ok(())
    }

    /// Writes the files of the next snapshot, all but its manifest.
    fn write_files(
        &self,
        (intake, cleared): (Intake, &Cleared),
        (position, log): (Sequence, Option<Arc<LogState>>),
        done: &mut FoldDone,
    ) -> Result<Manifest, FileError> {
        let Intake { generation, gather, entries, keys, erased, dropped_before, .. } = intake;
        let dropped_before = self.current.dropped_before.max(dropped_before);
        let is_kept = |month: Month| dropped_before.is_none_or(|first| month >= first);
        let mut next = Manifest { generation, position, log, dropped_before, ..self.current.clone() };
        if !entries.is_empty() {
            next.dictionary = self.extend_dictionary(generation, entries)?;
            done.files_written = done.files_written.saturating_add(1);
        }
        if !keys.is_empty() {
            next.keys = self.extend_keys(generation, &keys)?;
            done.files_written = done.files_written.saturating_add(1);
        }
        let mut months: BTreeMap<Month, Vec<FileRef>> = BTreeMap::new();
        for part in &self.current.parts {
            if let Some(month) = part.name.month().filter(|month| is_kept(*month)) {
                months.entry(month).or_default().push(*part);
            }
        }
        let gathered = gather.finish();
        let mut rest = gathered.as_slice();
        while let Some(first) = rest.first() {
            let month = Month::containing(first.hour);
            let hours = month.range();
            let (fresh, later) = rest.split_at(rest.partition_point(|one| hours.contains(one.hour)));
            rest = later;
            if !is_kept(month) {
                continue;
            }
            let parts = months.entry(month).or_default();
            let kept = if erased.touches(hours) {
                0
            } else {
                merge::pieces_kept(parts, estimated_bytes(fresh), PARTS_ALIKE_MAX)
            };
            let merged = parts.split_off(kept);
            let sources = Sources { parts: &merged, fresh, cleared, erased: &erased };
            parts.push(merge::merge_parts(&self.snapshots, (month, generation), &sources)?);
            done.files_written = done.files_written.saturating_add(1);
        }
        // The other months of which something goes; those with fresh increments have it behind them.
        for (month, parts) in months.iter_mut().filter(|(month, _)| erased.touches(month.range())) {
            if parts.iter().any(|part| part.name.generation() == generation) {
                continue;
            }
            let sources = Sources { parts, fresh: &[], cleared, erased: &erased };
            let merged = merge::merge_parts(&self.snapshots, (*month, generation), &sources)?;
            *parts = vec![merged];
            done.files_written = done.files_written.saturating_add(1);
        }
        next.parts = months.into_values().flatten().collect();
        // The manifest must not outlast the names of its files.
        self.snapshots.disk.sync_directory(&self.snapshots.path)?;
        Ok(next)
    }

    /// Writes the new entries, with those of the newest pieces where merging pays.
    fn extend_dictionary(
        &self,
        generation: Generation,
        entries: Vec<Entry>,
    ) -> Result<Vec<FileRef>, FileError> {
        let mut pieces = self.current.dictionary.clone();
        let merged = pieces.split_off(merge::pieces_kept(
            &pieces,
            dictionary::bytes_of(&entries),
            DICTIONARY_PIECES_ALIKE_MAX,
        ));
        pieces.push(dictionary::merge(&self.snapshots, generation, (&merged, entries))?);
        Ok(pieces)
    }

    /// Writes the new keys, with those of the newest pieces where merging pays, and drops the pieces that are past.
    fn extend_keys(&self, generation: Generation, fresh: &[BatchKey]) -> Result<Vec<KeyPiece>, FileError> {
        let mut pieces = self.current.keys.clone();
        let files: Vec<FileRef> = pieces.iter().map(|piece| piece.file).collect();
        let merged = pieces.split_off(merge::files_kept(&files, keys::bytes_of(fresh)));
        pieces.push(keys::merge(&self.snapshots, FileName::Keys(generation), (&merged, fresh))?);
        Ok(keys::needed(&pieces))
    }

    /// The series of each story in the newest snapshot and the entries after it. Reads the whole dictionary; deletions
    /// are rare.
    fn series_of_stories(&self, after: &[Entry]) -> Result<SeriesOfStories, FileError> {
        let mut index = SeriesOfStories::default();
        self.each_definition(after, &mut |definition| {
            // A repeated one is noted once more, which does no harm.
            index.entry(definition.key.story).or_default().push(definition.id);
        })?;
        Ok(index)
    }

    /// The series that a story has had, in the newest snapshot and the entries after it. Reads the whole dictionary; erasures
    /// are rare.
    fn series_of_story(&self, story: StoryId, after: &[Entry]) -> Result<Vec<Definition>, FileError> {
        let mut found: Vec<Definition> = Vec::new();
        self.each_definition(after, &mut |definition| {
            if definition.key.story == story {
                found.push(*definition);
            }
        })?;
        // What was deleted and defined again is there twice.
        found.sort_unstable_by_key(|definition| definition.id);
        found.dedup();
        Ok(found)
    }

    /// Calls `take` for each definition in the newest snapshot and the entries after it. Reads the whole dictionary.
    fn each_definition(&self, after: &[Entry], take: &mut dyn FnMut(&Definition)) -> Result<(), FileError> {
        for piece in &self.current.dictionary {
            dictionary::read(&self.snapshots, piece, |block| {
                block.iter().filter_map(Entry::definition).for_each(&mut *take);
                Ok(())
            })?;
        }
        after.iter().filter_map(Entry::definition).for_each(take);
        Ok(())
    }

    /// Removes what neither the newest snapshot nor `before` needs, nor a copy: leftovers of crashes as well.
    fn clean_up(&self, before: &Manifest) -> Result<(), FileError> {
        let kept: HashSet<String> = [before, &self.current]
            .into_iter()
            .flat_map(|kept| kept.files().map(|file| file.name).chain([kept.name()]))
            .map(|name| name.to_string())
            .collect();
        let SnapshotFolder { disk, path, .. } = &self.snapshots;
        let removable: Vec<String> = disk
            .list(path)?
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| !kept.contains(name) && !self.pins.holds(name))
            .filter(|name| generation_of_file(name).is_some())
            .collect();
        let (manifests, files): (Vec<_>, Vec<_>) =
            removable.into_iter().partition(|name| layout::manifest_generation(name).is_some());
        // A manifest goes first, durably: a restart must never find it without its files.
        for name in &manifests {
            disk.remove(&path.join(name))?;
        }
        if !manifests.is_empty() {
            disk.sync_directory(path)?;
        }
        for name in &files {
            disk.remove(&path.join(name))?;
        }
        self.remove_segments(before.position)
    }

    /// Removes the segments that hold nothing after `position`, but those that are being copied. The newest always stays.
    fn remove_segments(&self, position: Sequence) -> Result<(), FileError> {
        let disk = &self.snapshots.disk;
        let segments = journal::segments(disk, &self.journal_dir)?;
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            let is_pinned = self.pins.holds(&layout::segment_name(segment.first_sequence));
            if next.first_sequence <= position.next() && !is_pinned {
                disk.remove(&segment.path)?;
            }
        }
        Ok(())
    }

    /// Gives back the room that a failed fold took. What stays is removed after the next one.
    fn discard(&self, generation: Generation) {
        let SnapshotFolder { disk, path, .. } = &self.snapshots;
        let listed = disk.list(path).map(|entries| {
            entries.into_iter().filter(|entry| generation_of_file(&entry.name) == Some(generation))
        });
        let removed = listed.and_then(|entries| {
            entries.into_iter().try_for_each(|entry| disk.remove(&path.join(&entry.name)))
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "files of an unfinished snapshot stay until the next one");
        }
    }
}

/// The generation in the name of a file that a fold made, or was making.
fn generation_of_file(name: &str) -> Option<Generation> {
    layout::generation_of(name.strip_suffix(disk::TEMPORARY_SUFFIX).unwrap_or(name))
}

/// Bytes that the increments will take in a part, roughly: 3 a cell, 16 a series.
fn estimated_bytes(fresh: &[Increment]) -> u64 {
    let series = fresh.chunk_by(|a, b| a.series == b.series).count();
    wide(series).saturating_mul(16).saturating_add(wide(fresh.len()).saturating_mul(3))
}
