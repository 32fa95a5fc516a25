//! For the tests of fold, recover and verify: a data directory that is written to as the sequencer would, and a model
//! that says what must be in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::fold::FoldDone;
use super::super::layout::JOURNAL_FOLDER;
use super::super::{KeyLimits, OpenError, load};
use super::{Mode, Recovered, open};
use crate::model::batch::erasure::{Erasure, Metrics, Share, Sources};
use crate::model::batch::{Batch, Change, Definition, Increment};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, CatalogueLimits, total_series};
use crate::model::cells::Month;
use crate::model::counters::Counters;
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::platform::disk::Disk;
use crate::store::journal::{self, Sequence, StoreId, record};

/// Everything that can be asked of catalogue and counters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(crate) cells: BTreeMap<(SeriesKey, Hour), u64>,
    pub(crate) stories: BTreeMap<StoryId, Option<String>>,
    pub(crate) nodes: BTreeMap<(StoryId, Node), Option<String>>,
    pub(crate) dropped_before: Option<Hour>,
}

impl State {
    pub(crate) fn of(catalogue: &Catalogue, counters: &Counters) -> Self {
        let mut state = Self { dropped_before: counters.dropped_before(), ..Self::default() };
        catalogue.for_each_series(&mut |series, key| {
            counters.visit(series, HourRange::ALL, &mut |cells| {
                for cell in cells.iter().filter(|cell| cell.count > 0) {
                    *state.cells.entry((*key, cell.hour)).or_default() += u64::from(cell.count);
                }
            });
        });
        for story in catalogue.stories() {
            state.stories.insert(story.id(), story.name().map(|name| name.to_string()));
            story.for_each_node(&mut |entry| {
                state.nodes.insert((story.id(), entry.node), entry.name.as_deref().map(str::to_owned));
            });
        }
        let sum = |metric| {
            let counts = state.cells.iter().filter(|((key, _), _)| key.metric == metric);
            counts.map(|(_, count)| count).sum::<u64>()
        };
        for metric in [Metric::Conversations, Metric::PaidConversations, Metric::Messages] {
            let total = total_series(metric, None).expect("these metrics have totals");
            assert_eq!(counters.sum(total, HourRange::ALL), sum(metric), "the total of {metric:?}");
        }
        let mut spans = BTreeMap::new();
        for (key, hour) in state.cells.keys() {
            let (first, last) = spans.entry(key.story).or_insert((*hour, *hour));
            (*first, *last) = (*hour.min(first), *hour.max(last));
        }
        for story in catalogue.stories() {
            let span = spans.get(&story.id()).copied();
            assert_eq!(catalogue.span(&story), span, "the hours of {}", story.id());
        }
        state
    }

    pub(crate) fn delete(&mut self, story: StoryId) {
        self.cells.retain(|(key, _), _| key.story != story);
        self.nodes.retain(|(of, _), _| *of != story);
        self.stories.remove(&story);
    }
}

/// One thing to be written.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Add(Vec<(SeriesKey, Hour, u32)>),
    Change(Change),
    Erase(Erasure),
    Drop(Month),
}

/// Opens a data directory as a start does.
pub(crate) fn repair(disk: &Disk, data_dir: &Path) -> Result<Recovered, OpenError> {
    let mode = Mode::Repair { new_store_id: StoreId::new(1) };
    disk.create_directory(data_dir)?;
    open(disk, data_dir, (mode, CatalogueLimits::default(), KeyLimits::default()), &mut || {})
}

/// A data directory in use.
pub(crate) struct House {
    pub(crate) recovered: Recovered,
    journal: journal::JournalWriter,
    data_dir: PathBuf,
    pub(crate) model: State,
}

impl House {
    /// Opens the directory; the model is what is expected to be in it.
    pub(crate) fn open(disk: &Disk, data_dir: &Path, model: State) -> Result<Self, OpenError> {
        let recovered = repair(disk, data_dir)?;
        let journal = journal::JournalWriter::create(
            disk,
            &data_dir.join(JOURNAL_FOLDER),
            recovered.store_id,
            recovered.next_sequence,
        )?;
        let house = Self { recovered, journal, data_dir: data_dir.to_owned(), model };
        house.check();
        Ok(house)
    }

    pub(crate) fn check(&self) {
        let found = State::of(&self.recovered.catalogue, &self.recovered.counters);
        assert_eq!(found, self.model, "what {} holds", self.data_dir.display());
    }

    pub(crate) fn write(&mut self, write: &Write) {
        let batch = self.batch(write);
        let mut increments = Vec::new();
        record::encode_increments(&batch.increments, &mut increments);
        let (definitions, changes) = (&batch.definitions[..], &batch.changes[..]);
        let erasure = batch.erasure.as_deref();
        let dropped_before = batch.dropped_before;
        let parts = journal::Staged {
            key: None,
            erasure,
            dropped_before,
            definitions,
            changes,
            increments: &increments,
        };
        self.journal.stage(parts).expect("the batch fits");
        self.journal.commit().expect("the disk takes it");
        load::apply(&self.recovered.catalogue, &mut self.recovered.writer, &batch.definitions, &batch);
        let mut sweep = load::Sweep::default();
        while dropped_before.is_some() && sweep.step(&self.recovered.catalogue, &mut self.recovered.writer) {}
    }

    pub(crate) fn seal(&mut self) -> Sequence {
        self.journal.seal().expect("the disk takes it")
    }

    pub(crate) fn snapshot(&mut self) -> FoldDone {
        let through = self.seal();
        let done = self.recovered.folder.fold(through).expect("the fold goes through");
        assert!(done.leftovers.is_none(), "{:?}", done.leftovers);
        done
    }

    fn batch(&mut self, write: &Write) -> Batch {
        let mut batch = Batch::default();
        match write {
            Write::Add(counts) => {
                // As parsers do, a line of hours that were dropped is refused.
                for (key, hour, count) in self.model.kept(counts) {
                    let id = self.recovered.catalogue.intern(&key).expect("there is room");
                    let is_defined = batch.definitions.iter().any(|definition| definition.id == id);
                    if !self.recovered.catalogue.is_durable(id) && !is_defined {
                        batch.definitions.push(Definition { id, key });
                    }
                    batch.increments.push(Increment { series: id, hour, count });
                }
            }
            Write::Change(change) => batch.changes.push(change.clone()),
            Write::Erase(erasure) => batch.erasure = Some(Box::new(*erasure)),
            Write::Drop(month) => batch.dropped_before = Some(*month),
        }
        self.model.write(write);
        batch
    }
}

impl State {
    /// Those of hours that were not dropped.
    fn kept(&self, counts: &[(SeriesKey, Hour, u32)]) -> Vec<(SeriesKey, Hour, u32)> {
        counts.iter().filter(|(_, hour, _)| self.dropped_before <= Some(*hour)).copied().collect()
    }

    pub(crate) fn write(&mut self, write: &Write) {
        match write {
            Write::Add(counts) => {
                for (key, hour, count) in &self.kept(counts) {
                    self.stories.entry(key.story).or_default();
                    if let Metric::Interaction(node) = key.metric {
                        self.nodes.entry((key.story, node)).or_default();
                    }
                    if *count > 0 {
                        *self.cells.entry((*key, *hour)).or_default() += u64::from(*count);
                    }
                }
            }
            Write::Erase(erasure) => {
                self.cells.retain(|(key, hour), _| !(erasure.covers(key) && erasure.hours.contains(*hour)));
            }
            Write::Drop(month) => {
                let first = month.range().start;
                self.dropped_before = self.dropped_before.max(Some(first));
                self.cells.retain(|(_, hour), _| *hour >= first);
            }
            Write::Change(Change::DeleteStory { story }) => self.delete(*story),
            Write::Change(Change::Story { story, name }) => {
                let known = self.stories.entry(*story).or_default();
                if let Some(name) = name {
                    *known = Some(name.to_string());
                }
            }
            Write::Change(Change::Node { story, node, name }) => {
                self.stories.entry(*story).or_default();
                let known = self.nodes.entry((*story, *node)).or_default();
                if let Some(name) = name {
                    *known = Some(name.to_string());
                }
            }
        }
    }
}

pub(crate) fn story(number: u8) -> StoryId {
    StoryId(id(&format!("5b07ffafc2376e30306d00{number:02}")))
}

pub(crate) fn node(number: u8) -> Node {
    Node::Interaction(InteractionId(id(&format!("5b07ffafc2376e30306dff{number:02}"))))
}

fn id(text: &str) -> ObjectId {
    ObjectId::parse(text.as_bytes()).expect("24 letters and digits")
}

pub(crate) fn key(story_number: u8, metric: Metric) -> SeriesKey {
    SeriesKey { story: story(story_number), source: Source::Slack, metric }
}

/// A count of messages of a story.
pub(crate) fn messages(story_number: u8, hour: u32, count: u32) -> Write {
    Write::Add(vec![(key(story_number, Metric::Messages), Hour::new(hour), count)])
}

pub(crate) fn delete(story_number: u8) -> Write {
    Write::Change(Change::DeleteStory { story: story(story_number) })
}

/// That the counts of a story in hours go.
pub(crate) fn erase(story_number: u8, hours: std::ops::Range<u32>) -> Write {
    let hours = HourRange { start: Hour::new(hours.start), end: Hour::new(hours.end) };
    let (sources, metrics) = (Sources::ALL, Metrics::ALL);
    Write::Erase(Erasure { story: story(story_number), hours, sources, metrics, share: Share::WHOLE })
}

/// That hours before the month which that hour is in go.
pub(crate) fn drop_before(hour: u32) -> Write {
    Write::Drop(Month::containing(Hour::new(hour)))
}

/// Copies a data directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it is there");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has one").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}
