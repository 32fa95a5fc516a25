//! What the records of one snapshot add, taken in the order in which the counters took them. Asks the folder for the
//! series of a story that is deleted; otherwise knows no files.

use super::gather::Gather;
use super::{Folder, SeriesOfStories};
use crate::limits::{FOLD_ENTRIES_MAX, FOLD_ERASED_MAX, FOLD_KEYS_MAX, KEY_BAD_LINES_BYTES_MAX};
use crate::model::batch::erasure::Erasure;
use crate::model::batch::{BatchKey, Change, Definition};
use crate::model::cells::Month;
use crate::model::event::StoryId;
use crate::store::damage::FileError;
use crate::store::journal::Record;
use crate::store::snapshot::Generation;
use crate::store::snapshot::dictionary::Cleared;
use crate::store::snapshot::entry::Entry;
use crate::store::snapshot::erased::Erased;

/// What the records of one snapshot add.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) generation: Generation,
    pub(super) gather: Gather,
    pub(super) entries: Vec<Entry>,
    pub(super) keys: Vec<BatchKey>,
    /// Bytes of their lists of bad lines.
    bad_line_bytes: usize,
    /// All that was cleared before and is cleared now; `None` until these records clear something.
    pub(super) cleared: Option<Cleared>,
    /// What goes of the parts.
    pub(super) erased: Erased,
    /// The first month that is kept, by these records.
    pub(super) dropped_before: Option<Month>,
    /// The series of the story of the last erasure.
    series_of_erased: Option<(StoryId, Vec<Definition>)>,
    /// Made at the first deletion, as few folds see one.
    series_of_stories: Option<SeriesOfStories>,
}

impl Intake {
    /// For about so many cells.
    pub(super) fn new(generation: Generation, cells_max: usize) -> Self {
        let (gather, entries, keys) = (Gather::new(cells_max), Vec::new(), Vec::new());
        Self {
            generation,
            gather,
            entries,
            keys,
            bad_line_bytes: 0,
            cleared: None,
            erased: Erased::default(),
            dropped_before: None,
            series_of_erased: None,
            series_of_stories: None,
        }
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.gather.is_full()
            || self.erased.len() >= FOLD_ERASED_MAX
            || self.entries.len() >= FOLD_ENTRIES_MAX
            || self.keys.len() >= FOLD_KEYS_MAX
            || self.bad_line_bytes >= KEY_BAD_LINES_BYTES_MAX
    }

    /// Takes a record as the counters would, and keys out of it.
    pub(super) fn take(&mut self, folder: &Folder, record: &mut Record) -> Result<(), FileError> {
        let Some(section) = &mut record.log else {
            let batch = &mut record.batch;
            self.take_key(batch.key.take());
            if let Some(erasure) = &batch.erasure {
                self.take_erasure(folder, erasure)?;
            }
            self.dropped_before = self.dropped_before.max(batch.dropped_before);
            self.take_definitions(&batch.definitions);
            self.take_changes(folder, &batch.changes)?;
            self.gather.add(&batch.increments);
            return Ok(());
        };
        for batch in section.counted_mut() {
            self.take_key(batch.key.take());
            self.take_changes(folder, &batch.changes)?;
            self.take_definitions(&batch.definitions);
            self.gather.add(&batch.increments);
        }
        Ok(())
    }

    fn take_key(&mut self, key: Option<Box<BatchKey>>) {
        if let Some(key) = key {
            self.bad_line_bytes = self.bad_line_bytes.saturating_add(key.answer.bad_line_bytes());
            self.keys.push(*key);
        }
    }

    fn take_erasure(&mut self, folder: &Folder, erasure: &Erasure) -> Result<(), FileError> {
        let series = match self.series_of_erased.take() {
            Some((story, series)) if story == erasure.story => series,
            _ => folder.series_of_story(erasure.story, &self.entries)?,
        };
        for definition in series.iter().filter(|definition| erasure.covers(&definition.key)) {
            self.gather.erase(definition.id, erasure.hours);
            self.erased.add(definition.id, erasure.hours);
        }
        self.series_of_erased = Some((erasure.story, series));
        Ok(())
    }

    fn take_definitions(&mut self, definitions: &[Definition]) {
        for definition in definitions {
            self.entries.push(Entry::Series(*definition));
            if let Some((story, series)) = &mut self.series_of_erased
                && *story == definition.key.story
            {
                series.push(*definition);
            }
            if let Some(index) = &mut self.series_of_stories {
                index.entry(definition.key.story).or_default().push(definition.id);
            }
        }
    }

    fn take_changes(&mut self, folder: &Folder, changes: &[Change]) -> Result<(), FileError> {
        for change in changes {
            self.entries.push(Entry::of_change(change, self.generation));
            if let Change::DeleteStory { story } = change {
                let index = match &mut self.series_of_stories {
                    Some(index) => index,
                    None => self.series_of_stories.insert(folder.series_of_stories(&self.entries)?),
                };
                let cleared = self.cleared.get_or_insert_with(|| folder.cleared.clone());
                for series in index.get(story).into_iter().flatten() {
                    self.gather.forget(*series);
                    cleared.clear(*series, self.generation);
                }
            }
        }
        Ok(())
    }
}
