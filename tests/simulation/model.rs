//! What the store must hold: a plain, slow model of batches in their order, and what is known of each.
//! Knows nothing of files, steps or crashes.
//!
//! Every batch adds to a cell of its own (its *mark*), so that what the store holds says which batches it has counted.

use std::collections::BTreeMap;
use std::fmt;

use tallyd::model::batch::Change;
use tallyd::model::batch::erasure::Erasure;
use tallyd::model::calendar::{Hour, HourRange};
use tallyd::model::catalogue::{Catalogue, total_series};
use tallyd::model::cells::Month;
use tallyd::model::counters::Counters;
use tallyd::model::event::{Metric, Node, ObjectId, SeriesKey, Source, StoryId};

const FIRST_HOUR: u32 = 431_000;

/// What is wrong, in words.
pub(crate) type Fault = String;

/// One batch as the model takes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    pub(crate) erasure: Option<Erasure>,
    pub(crate) dropped_before: Option<Month>,
    pub(crate) changes: Vec<Change>,
    pub(crate) adds: Vec<(SeriesKey, Hour, u32)>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { erasure, dropped_before, changes, adds } = self;
        write!(
            f,
            "{erasure:?}, dropped {dropped_before:?}, {} changes {changes:?}, {} adds",
            changes.len(),
            adds.len()
        )
    }
}

/// What is known of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// No outcome came, or one that says that nobody knows. It may be counted, whole, or not.
    Unknown,
    /// The same, but given up before it was known to be written: batches after it may be counted without it.
    Late,
    /// Refused, or not found after a restart: it must never be counted.
    Never,
    /// Acknowledged as the fsync level says, which a power cut may undo. Only from the end of the journal.
    Acknowledged,
    /// It must be counted, whatever happens.
    Durable,
}

/// Everything that can be asked of catalogue and counters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) cells: BTreeMap<(SeriesKey, Hour), u64>,
    pub(crate) stories: BTreeMap<StoryId, Option<String>>,
    pub(crate) nodes: BTreeMap<(StoryId, Node), Option<String>>,
    pub(crate) dropped_before: Option<Hour>,
}

impl Contents {
    /// What a store holds.
    pub(crate) fn of(catalogue: &Catalogue, counters: &Counters) -> Result<Self, Fault> {
        let mut contents = Self { dropped_before: counters.dropped_before(), ..Self::default() };
        catalogue.for_each_series(&mut |series, key| {
            counters.visit(series, HourRange::ALL, &mut |cells| {
                for cell in cells.iter().filter(|cell| cell.count > 0) {
                    *contents.cells.entry((*key, cell.hour)).or_default() += u64::from(cell.count);
                }
            });
        });
        for story in catalogue.stories() {
            contents.stories.insert(story.id(), story.name().map(|name| name.to_string()));
            story.for_each_node(&mut |entry| {
                contents.nodes.insert((story.id(), entry.node), entry.name.as_deref().map(str::to_owned));
            });
        }
        for metric in [Metric::Conversations, Metric::PaidConversations, Metric::Messages] {
            let total = total_series(metric, None).unwrap();
            let (counted, expected) = (counters.sum(total, HourRange::ALL), contents.sum(metric));
            if counted != expected {
                return Err(format!("the total of {metric:?} is {counted}, its series add up to {expected}"));
            }
        }
        Ok(contents)
    }

    /// All counts of that metric, of interactions taken together.
    pub(crate) fn sum(&self, metric: Metric) -> u64 {
        self.cells.iter().filter(|((key, _), _)| key.metric == metric).map(|(_, count)| count).sum()
    }

    pub(crate) fn write(&mut self, write: &Write) {
        if let Some(erasure) = &write.erasure {
            self.cells.retain(|(key, hour), _| !(erasure.covers(key) && erasure.hours.contains(*hour)));
        }
        if let Some(first) = write.dropped_before.map(|month| month.range().start) {
            self.dropped_before = self.dropped_before.max(Some(first));
            self.cells.retain(|(_, hour), _| *hour >= first);
        }
        for (key, _, _) in &write.adds {
            self.know(key);
        }
        for change in &write.changes {
            match change {
                Change::Story { story, name } => {
                    let known = self.stories.entry(*story).or_default();
                    *known = name.as_deref().map(str::to_owned).or(known.take());
                }
                Change::Node { story, node, name } => {
                    self.stories.entry(*story).or_default();
                    let known = self.nodes.entry((*story, *node)).or_default();
                    *known = name.as_deref().map(str::to_owned).or(known.take());
                }
                Change::DeleteStory { story } => {
                    self.cells.retain(|(key, _), _| key.story != *story);
                    self.nodes.retain(|(of, _), _| of != story);
                    self.stories.remove(story);
                }
            }
        }
        for (key, hour, count) in &write.adds {
            self.know(key);
            *self.cells.entry((*key, *hour)).or_default() += u64::from(*count);
        }
    }

    fn know(&mut self, key: &SeriesKey) {
        self.stories.entry(key.story).or_default();
        if let Metric::Interaction(node) = key.metric {
            self.nodes.entry((key.story, node)).or_default();
        }
    }

    /// The first difference, in words.
    pub(crate) fn differs_from(&self, expected: &Self) -> Option<Fault> {
        if self == expected {
            return None;
        }
        let cells = self.cells.keys().chain(expected.cells.keys());
        let wrong = cells.map(|at| (at, self.cells.get(at), expected.cells.get(at))).find(|it| it.1 != it.2);
        Some(match wrong {
            Some((at, found, due)) => format!("{at:?} is {found:?}, must be {due:?}"),
            None if self.dropped_before != expected.dropped_before => {
                let (found, due) = (self.dropped_before, expected.dropped_before);
                format!("hours are dropped before {found:?}, must be before {due:?}")
            }
            None if self.stories != expected.stories => {
                format!("stories are {:?}, must be {:?}", self.stories, expected.stories)
            }
            None => format!("nodes are {:?}, must be {:?}", self.nodes, expected.nodes),
        })
    }
}

/// All batches ever handed over, in the order of the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    batches: Vec<(Write, Fate)>,
    /// What those of the batches give that were counted when all was settled last, and how many batches there were.
    base: Contents,
    settled: usize,
}

/// How much a check forgives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Forgive {
    /// Nothing.
    Nothing,
    /// The last record of the journal, in which a bit was inverted.
    LastRecord,
}

/// The series of the marks; its story is never deleted.
pub(crate) fn ledger() -> SeriesKey {
    SeriesKey {
        story: StoryId(ObjectId::parse(&[b'z'; 24]).unwrap()),
        source: Source::Slack,
        metric: Metric::Messages,
    }
}

/// Whether a store counts the batch.
pub(crate) fn is_counted(catalogue: &Catalogue, counters: &Counters, batch: usize) -> bool {
    let (key, hour, _) = mark(batch);
    let mut found = false;
    if let Ok(series) = catalogue.intern(&key) {
        counters.visit(series, HourRange::ALL, &mut |cells| {
            found |= cells.iter().any(|cell| cell.hour == hour && cell.count > 0);
        });
    }
    found
}

fn mark(batch: usize) -> (SeriesKey, Hour, u32) {
    let number = u32::try_from(batch).unwrap();
    (ledger(), Hour::new(FIRST_HOUR + number), 1 + number % 7)
}

impl Model {
    /// The number of the next batch and what it must add besides.
    pub(crate) fn next_mark(&self) -> (SeriesKey, Hour, u32) {
        mark(self.batches.len())
    }

    /// Notes that a batch, its mark included, was handed over.
    pub(crate) fn hand_over(&mut self, write: Write) -> usize {
        self.batches.push((write, Fate::Unknown));
        self.batches.len() - 1
    }

    pub(crate) fn decide(&mut self, batch: usize, fate: Fate) {
        self.batches[batch].1 = fate;
    }

    /// A batch was answered as counted, which it may have been before, more durably.
    pub(crate) fn acknowledge(&mut self, batch: usize, as_what: Fate) {
        let fate = &mut self.batches[batch].1;
        if *fate != Fate::Durable {
            *fate = as_what;
        }
    }

    /// How many batches there are.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Makes the first `batches` durable where they were acknowledged.
    pub(crate) fn make_durable(&mut self, batches: usize) {
        for (_, fate) in &mut self.batches[..batches] {
            if *fate == Fate::Acknowledged {
                *fate = Fate::Durable;
            }
        }
    }

    /// Holds what a store has against the model; says which batches it has counted. What was acknowledged and not synced
    /// may be missing only where that may have been lost.
    pub(crate) fn check(
        &self,
        contents: &Contents,
        (forgive, may_have_lost): (Forgive, bool),
    ) -> Result<Vec<bool>, Fault> {
        let mut counted = Vec::with_capacity(self.batches.len());
        // A batch that may be missing only if all after it are missing, too.
        let mut missing = None;
        let mut has_forgiven = false;
        for (batch, (_, fate)) in self.batches.iter().enumerate() {
            let (key, hour, _) = mark(batch);
            let is_counted = contents.cells.contains_key(&(key, hour));
            match (is_counted, fate) {
                (true, Fate::Never) => return Err(format!("batch {batch} must never be counted, and is")),
                (true, _) => {
                    if let Some(hole) = missing {
                        return Err(format!("batch {batch} is counted, batch {hole} before it is not"));
                    }
                }
                (false, Fate::Never | Fate::Late) => {}
                (false, Fate::Unknown) => missing = missing.or(Some(batch)),
                (false, Fate::Acknowledged) if may_have_lost => missing = missing.or(Some(batch)),
                (false, _) if forgive == Forgive::LastRecord && !has_forgiven => {
                    has_forgiven = true;
                    missing = missing.or(Some(batch));
                }
                (false, fate) => return Err(format!("batch {batch} is lost, which was {fate:?}")),
            }
            counted.push(is_counted);
        }
        let are_settled_found = self
            .batches
            .iter()
            .zip(&counted)
            .take(self.settled)
            .all(|((_, fate), is_counted)| *is_counted == (*fate == Fate::Durable));
        let (mut expected, first) =
            if are_settled_found { (self.base.clone(), self.settled) } else { (Contents::default(), 0) };
        for ((write, _), is_counted) in self.batches.iter().zip(&counted).skip(first) {
            if *is_counted {
                expected.write(write);
            }
        }
        match contents.differs_from(&expected) {
            Some(fault) => Err(fault),
            None => Ok(counted),
        }
    }

    /// Holds a copy against the model: whole batches, a first part of all that count, and where `is_in` knows whether a batch
    /// must be in it, that.
    pub(crate) fn check_copy(
        &self,
        contents: &Contents,
        is_in: &dyn Fn(usize) -> Option<bool>,
    ) -> Result<(), Fault> {
        let (mut expected, mut missing) = (Contents::default(), None);
        for (batch, (write, fate)) in self.batches.iter().enumerate() {
            let (key, hour, _) = mark(batch);
            let is_counted = contents.cells.contains_key(&(key, hour));
            if is_counted && *fate == Fate::Never {
                return Err(format!("batch {batch} must never be counted, and is"));
            }
            if *fate != Fate::Never && is_in(batch).is_some_and(|due| due != is_counted) {
                return Err(format!(
                    "batch {batch} is on the wrong side of the position, counted: {is_counted}"
                ));
            }
            if is_counted {
                if let Some(hole) = missing {
                    return Err(format!("batch {batch} is counted, batch {hole} before it is not"));
                }
                expected.write(write);
            } else if !matches!(fate, Fate::Never | Fate::Late) {
                missing = missing.or(Some(batch));
            }
        }
        contents.differs_from(&expected).map_or(Ok(()), Err)
    }

    /// What was found counted after a restart stays so, and what was not stays away.
    pub(crate) fn settle(&mut self, counted: &[bool]) {
        for ((write, fate), is_counted) in self.batches.iter_mut().zip(counted).skip(self.settled) {
            *fate = if *is_counted { Fate::Durable } else { Fate::Never };
            if *is_counted {
                self.base.write(write);
            }
        }
        self.settled = self.batches.len();
    }
}
