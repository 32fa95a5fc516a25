//! Loads a snapshot into a new catalogue and new counters, and applies batches to them: recovery those of the journal,
//! the sequencer new ones, in the same steps.
//!
//! Must not know: which snapshot to load, how damage is handled, the sequencer.

mod beside;
mod parts;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, Scope};

use crossbeam::channel;

use crate::limits::{LOAD_BATCHES_AHEAD, LOAD_INLINE_BYTES_MAX, SERIES_MAX, SWEPT_SERIES_MAX};
use crate::model::batch::erasure::Erasure;
use crate::model::batch::{Batch, Change, Definition, SeriesId};
use crate::model::calendar::Hour;
use crate::model::catalogue::{Catalogue, CatalogueLimits, DEFINITIONS_TOGETHER, FIRST_STORY_SERIES};
use crate::model::counters::{self, Counters};
use crate::platform::disk::{Disk, DiskError, Operation};
use crate::store::damage::FileError;
use crate::store::keys::{KeyLimits, KeyTable};
use crate::store::snapshot::dictionary::{self, Cleared};
use crate::store::snapshot::entry::Entry;
use crate::store::snapshot::keys;
use crate::store::snapshot::manifest::Manifest;
use crate::store::snapshot::{FileRef, Generation, SnapshotFolder};
pub(crate) use beside::Beside;
use parts::Checking;

/// What a snapshot holds.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) writer: counters::Writer,
    pub(crate) cleared: Cleared,
    pub(crate) keys: Arc<KeyTable>,
}

/// Loads the snapshot that the manifest lists; every byte of its files is checked.
pub(crate) fn load(
    disk: &Disk,
    data_dir: &Path,
    (manifest, limits, keys): (&Manifest, CatalogueLimits, KeyLimits),
    progress: &mut dyn FnMut(),
) -> Result<Loaded, FileError> {
    let folder = SnapshotFolder::new(disk, data_dir, manifest.store_id);
    let (counters, writer) = Counters::with_room(limits.series);
    let catalogue = Arc::new(Catalogue::new(limits));
    let keys = Arc::new(KeyTable::new(keys, manifest.store_id));
    if let Some(log) = &manifest.log {
        keys.follow(log.log());
    }
    for piece in &manifest.keys {
        keys::read(&folder, &piece.file, |block| {
            progress();
            for key in &block {
                keys.note(key, manifest.position);
            }
            Ok(())
        })?;
    }
    let mut loaded = Loaded { catalogue, counters, writer, cleared: Cleared::default(), keys };
    if let Some(month) = manifest.dropped_before {
        loaded.writer.drop_before(month);
    }
    let mut loading = Loading { loaded, defined: Vec::new() };
    loading.load_dictionary(&folder, manifest, progress)?;
    loading.load_parts(&folder, manifest, progress)?;
    Ok(loading.loaded)
}

/// Applies a journalled batch: what it takes away first, then the definitions of its record, then its changes in order, then its increments.
pub(crate) fn apply(
    catalogue: &Catalogue,
    writer: &mut counters::Writer,
    definitions: &[Definition],
    batch: &Batch,
) {
    if let Some(erasure) = &batch.erasure {
        erase(catalogue, writer, erasure);
    }
    if let Some(month) = batch.dropped_before {
        writer.drop_before(month);
    }
    for block in definitions.chunks(DEFINITIONS_TOGETHER) {
        catalogue.prefetch_definitions(block.iter());
        for definition in block {
            define(catalogue, writer, definition);
        }
    }
    change(catalogue, writer, &batch.changes);
    catalogue.note_active(writer.add(&batch.increments));
}

/// Takes away the counts that an erasure says. What is known of the story stays known.
fn erase(catalogue: &Catalogue, writer: &mut counters::Writer, erasure: &Erasure) {
    let Some(story) = catalogue.story(erasure.story) else { return };
    let mut series = Vec::new();
    story.series_of_all(&mut series);
    for id in &series {
        if catalogue.key(*id).is_some_and(|key| erasure.covers(&key)) {
            writer.erase(*id, erasure.hours);
        }
    }
    let (hours, span) = (erasure.hours, catalogue.span(&story));
    if span.is_some_and(|(first, last)| hours.contains(first) || hours.contains(last)) {
        catalogue.note_span(&story, span_of(&series, writer.counters()));
    }
}

/// Gives back the memory of what was dropped, and says from when on there is anything of each story: story by story, some at
/// a time, since batches wait meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The number of the next story.
    next: u32,
}

impl Sweep {
    /// Goes on; whether there is more to do.
    pub(crate) fn step(&mut self, catalogue: &Catalogue, writer: &mut counters::Writer) -> bool {
        let (end, first_kept) = (catalogue.story_numbers_end(), writer.counters().dropped_before());
        let (mut series, mut left) = (Vec::new(), SWEPT_SERIES_MAX);
        while self.next < end && left > 0 {
            let number = self.next;
            self.next = number.saturating_add(1);
            series.clear();
            let has_dropped = |(first, _)| first_kept.is_some_and(|kept| first < kept);
            if catalogue.span_numbered(number).is_some_and(has_dropped)
                && let Some(story) = catalogue.story_numbered(number)
            {
                story.series_of_all(&mut series);
                for id in &series {
                    writer.give_back_dropped(*id);
                }
                catalogue.note_span(&story, span_of(&series, writer.counters()));
            }
            left = left.saturating_sub(series.len().max(1));
        }
        self.next < end
    }
}

/// The first and the last hour with a cell of the series.
fn span_of(series: &[SeriesId], counters: &Counters) -> Option<(Hour, Hour)> {
    let spans = series.iter().filter_map(|id| counters.span(*id));
    spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// Applies a part of a message of a log: its changes in order, then its definitions, then its increments.
pub(crate) fn apply_logged(catalogue: &Catalogue, writer: &mut counters::Writer, batch: &Batch) {
    change(catalogue, writer, &batch.changes);
    for definition in &batch.definitions {
        define(catalogue, writer, definition);
    }
    catalogue.note_active(writer.add(&batch.increments));
}

fn change(catalogue: &Catalogue, writer: &mut counters::Writer, changes: &[Change]) {
    for change in changes {
        for series in catalogue.apply(change) {
            writer.clear(series);
        }
    }
}

/// The id that the series had before, if it had another one.
fn define(catalogue: &Catalogue, writer: &mut counters::Writer, definition: &Definition) -> Option<SeriesId> {
    // The counters first: once it is durable in the catalogue, reports may look for it.
    writer.define(definition.id, &definition.key);
    catalogue.mark_durable(definition)
}

/// What the entries of a dictionary make known.
struct Knowing<'a> {
    catalogue: &'a Catalogue,
    cleared: &'a mut Cleared,
    /// Past the generation of every part.
    past_parts: Generation,
    /// Definitions that follow each other.
    definitions: Vec<Definition>,
}

impl Knowing<'_> {
    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            match entry {
                Entry::Series(definition) => self.definitions.push(definition),
                Entry::Story { story, name } => self.change(&Change::Story { story, name }),
                Entry::Node { story, node, name } => self.change(&Change::Node { story, node, name }),
                // No cell has been loaded yet, so there is nothing to clear; what parts have of it will be left out.
                Entry::Deleted { story, generation } => {
                    self.define();
                    for series in self.catalogue.apply(&Change::DeleteStory { story }) {
                        self.cleared.clear(series, generation);
                    }
                }
            }
        }
        self.define();
    }

    fn change(&mut self, change: &Change) {
        self.define();
        self.catalogue.apply(change);
    }

    fn define(&mut self) {
        let Self { catalogue, cleared, past_parts, definitions } = self;
        // Its story was deleted and evicted. A later deletion stands for that one in the dictionary, and finds the new id alone.
        catalogue.mark_all_durable(definitions, &mut |before| cleared.clear(before, *past_parts));
        definitions.clear();
    }
}

/// Runs it on a thread beside this one. `path` is what an error names.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    path: impl FnOnce() -> PathBuf,
    run: impl FnOnce() + Send + 'scope,
) -> Result<(), DiskError> {
    match thread::Builder::new().name("loader".to_owned()).spawn_scoped(scope, run) {
        Ok(_) => Ok(()),
        Err(source) => Err(DiskError { operation: Operation::Read, path: path(), source }),
    }
}

/// Bytes of these files in all.
fn bytes_of(files: &[FileRef]) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
}

struct Loading {
    loaded: Loaded,
    /// By series: whether the dictionary has defined it.
    defined: Vec<bool>,
}

impl Loading {
    /// Loads the dictionary. This thread reads it and makes room in the counters; of a large one a thread beside it tells the
    /// catalogue, which takes the longest.
    fn load_dictionary(
        &mut self,
        folder: &SnapshotFolder,
        manifest: &Manifest,
        progress: &mut dyn FnMut(),
    ) -> Result<(), FileError> {
        let Self { loaded: Loaded { catalogue, writer, cleared, .. }, defined } = self;
        let mut read = |know: &mut dyn FnMut(Vec<Entry>)| {
            manifest.dictionary.iter().try_for_each(|piece| {
                dictionary::read(folder, piece, |entries| {
                    progress();
                    make_room(writer, defined, &entries)?;
                    know(entries);
                    Ok(())
                })
            })
        };
        let past_parts = manifest.generation.next();
        let mut knowing = Knowing { catalogue, cleared, past_parts, definitions: Vec::new() };
        if bytes_of(&manifest.dictionary) <= LOAD_INLINE_BYTES_MAX {
            return read(&mut |entries| knowing.apply(entries));
        }
        thread::scope(|scope| {
            let (known, blocks) = channel::bounded(LOAD_BATCHES_AHEAD);
            let know = move || blocks.into_iter().for_each(|entries| knowing.apply(entries));
            spawn(scope, || folder.path.clone(), know)?;
            // Nobody takes it where the other thread has panicked, which the scope tells.
            read(&mut |entries| drop(known.send(entries)))
        })
    }

    /// Loads all parts. Of a large snapshot a thread beside this one reads and checks the frames, this one adds them.
    fn load_parts(
        &mut self,
        folder: &SnapshotFolder,
        manifest: &Manifest,
        progress: &mut dyn FnMut(),
    ) -> Result<(), FileError> {
        let Loaded { catalogue, counters, writer, cleared, .. } = &mut self.loaded;
        let checking = Checking { folder, counters, cleared, defined: &self.defined };
        if bytes_of(&manifest.parts) <= LOAD_INLINE_BYTES_MAX {
            return checking.check_parts(&manifest.parts, &mut |mut frames| {
                progress();
                catalogue.note_active(writer.load_checked(&mut frames));
                true
            });
        }
        thread::scope(|scope| {
            let (checked, batches) = channel::bounded(LOAD_BATCHES_AHEAD);
            let check = move || {
                let outcome =
                    checking.check_parts(&manifest.parts, &mut |frames| checked.send(Ok(frames)).is_ok());
                if let Err(error) = outcome {
                    // Nobody waits for it where the other thread has panicked.
                    drop(checked.send(Err(error)));
                }
            };
            spawn(scope, || folder.path.clone(), check)?;
            for batch in batches {
                progress();
                catalogue.note_active(writer.load_checked(&mut batch?));
            }
            Ok(())
        })
    }
}

/// Makes room in the counters for what entries define; what is wrong with one, if anything is.
fn make_room(
    writer: &mut counters::Writer,
    defined: &mut Vec<bool>,
    entries: &[Entry],
) -> Result<(), String> {
    for Definition { id, key } in entries.iter().filter_map(Entry::definition) {
        let index = id.index();
        if SERIES_MAX <= index.saturating_sub(FIRST_STORY_SERIES.index()) {
            return Err(format!("series {index} is past the most that there can be"));
        }
        if defined.len() <= index {
            defined.resize(index.saturating_add(1), false);
        }
        if let Some(defined) = defined.get_mut(index) {
            *defined = true;
        }
        writer.define(*id, key);
    }
    Ok(())
}
