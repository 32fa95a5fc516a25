//! A message of a log becomes a record: its names become this daemon's own numbers, beside the sequencer; then, in the order in which
//! messages are recorded, each part gets its outcome, and the message its digest. Changes no counter and no key.
//!
//! INVARIANT: what a part comes to depends on the log alone: on the parts before it and the times that the log gave.

use std::collections::{HashMap, HashSet};

use super::LogState;
use super::digest::{Ahead, of_all};
use crate::cluster::digest::{Digest, SeriesHash};
use crate::cluster::follow::Noted;
use crate::cluster::member::Read;
use crate::cluster::message::part::Part;
use crate::cluster::message::{Body, Message};
use crate::cluster::position::{LogStamp, Position};
use crate::cluster::publish::PartOutcome;
use crate::limits::narrow;
use crate::model::batch::{
    Batch, BatchKey, Change, Definition, Increment, KeyId, KeyRule, KeyedAnswer, SeriesId,
};
use crate::model::catalogue::{Catalogue, CatalogueFull};
use crate::model::counters::Counters;
use crate::model::event::{SeriesKey, StoryId};
use crate::store::journal::record::encode_increments;
use crate::store::journal::{LogEntry, PartFate, StagedPart};
use crate::store::keys::{self, KeyTable};

type Hashed = foldhash::fast::RandomState;

/// A message of the log that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRead {
    /// What a member made of it.
    pub read: Read,
    /// Its place, and the chain there: the member's position behind it.
    pub position: Position,
    /// The time that the log gave it.
    pub stamp: LogStamp,
}

impl LogRead {
    /// The parts that it has, where it is applied.
    pub(in crate::store) fn parts(&self) -> &[Part] {
        match &self.read {
            Read::Applied { message, .. } => parts_of(message),
            Read::Skipped(_) | Read::Entered(_) => &[],
        }
    }
}

fn parts_of(message: &Message) -> &[Part] {
    match &message.body {
        Body::Batches(parts) => parts,
        Body::Witness | Body::Alarm(_) | Body::Genesis(_) => &[],
    }
}

/// A part by this daemon's own numbers.
#[derive(Debug)]
pub(in crate::store) struct NumberedPart {
    /// Definitions come when it is staged.
    batch: Batch,
    /// Numbers of its series, in their order.
    series: Vec<SeriesId>,
    /// Places of those that were not durable.
    fresh: Vec<usize>,
    /// The increments as the journal has them.
    encoded: Vec<u8>,
    /// What the increments add to the digest.
    share: Digest,
}

impl NumberedPart {
    /// Gives numbers to all that the part names. Blocks only where something is new.
    ///
    /// # Errors
    /// Which table is full.
    pub(in crate::store) fn new(catalogue: &Catalogue, part: &Part) -> Result<Self, CatalogueFull> {
        let deletions = catalogue.deletions();
        let view = catalogue.index().view();
        let key = part
            .key()
            .map(|key| Box::new(BatchKey { identity: key.identity, taken: 0, answer: key.answer.clone() }));
        for change in part.changes() {
            catalogue.admit_of_log(change)?;
        }
        let mut series = Vec::with_capacity(part.series().len());
        let mut hashes = Vec::with_capacity(part.series().len());
        let mut fresh = Vec::new();
        for (place, key) in part.series().iter().enumerate() {
            let interned = catalogue.intern_of_log(&view, key)?;
            if !interned.is_durable {
                fresh.push(place);
            }
            series.push(interned.id);
            hashes.push(SeriesHash::of(key));
        }
        let mut increments = Vec::with_capacity(part.cells().len());
        let mut share = Digest::EMPTY;
        for cell in part.cells() {
            let place = narrow(cell.series);
            if let (Some(id), Some(hash)) = (series.get(place), hashes.get(place)) {
                increments.push(Increment { series: *id, hour: cell.hour, count: cell.count });
                share = share.plus(hash.cell(cell.hour, u64::from(cell.count)));
            }
        }
        let mut encoded = Vec::new();
        encode_increments(&increments, &mut encoded);
        let changes = part.changes().to_vec();
        let batch = Batch { key, deletions, changes, increments, ..Batch::default() };
        Ok(Self { batch, series, fresh, encoded, share })
    }

    /// Bytes of memory, about.
    pub(in crate::store) fn bytes(&self) -> usize {
        size_of_val::<[Increment]>(&self.batch.increments)
            .saturating_add(size_of_val::<[SeriesId]>(&self.series))
            .saturating_add(self.encoded.len())
    }

    /// The series at a place has another number by now.
    fn renumber(&mut self, place: usize, next: SeriesId) {
        let Some(number) = self.series.get_mut(place) else { return };
        let before = std::mem::replace(number, next);
        for increment in self.batch.increments.iter_mut().filter(|one| one.series == before) {
            increment.series = next;
        }
        self.encoded.clear();
        encode_increments(&self.batch.increments, &mut self.encoded);
    }
}

/// A message that can be recorded.
#[derive(Debug)]
pub(in crate::store) struct StagedRead {
    pub(in crate::store) entry: LogEntry,
    /// The outcome of each part of the message.
    pub(in crate::store) outcomes: Vec<PartOutcome>,
    parts: Vec<(PartFate, NumberedPart)>,
}

/// Why a message cannot be recorded.
#[derive(Debug)]
pub(in crate::store) enum NotStaged {
    /// It is not the next one.
    OutOfTurn,
    /// A table is full.
    Full(CatalogueFull),
}

impl StagedRead {
    /// The parts as the journal takes them.
    pub(in crate::store) fn staged_parts(&self) -> Vec<StagedPart<'_>> {
        let staged = self.parts.iter().map(|(fate, NumberedPart { batch, encoded, .. })| StagedPart {
            fate: *fate,
            key: batch.key.as_deref(),
            changes: &batch.changes,
            definitions: &batch.definitions,
            increments: encoded,
        });
        staged.collect()
    }

    /// The batches that count, in order.
    pub(in crate::store) fn counted(&self) -> impl Iterator<Item = &Batch> {
        self.parts.iter().filter(|(fate, _)| *fate == PartFate::Counted).map(|(_, part)| &part.batch)
    }
}

/// What messages are recorded on top of.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Basis<'a> {
    pub(in crate::store) catalogue: &'a Catalogue,
    pub(in crate::store) counters: &'a Counters,
    pub(in crate::store) keys: &'a KeyTable,
    /// None before the log begins.
    pub(in crate::store) log: Option<&'a LogState>,
}

/// Stages a message on top of what is counted. `numbered` are its parts.
pub(in crate::store) fn stage(
    basis: Basis<'_>,
    read: &LogRead,
    numbered: Vec<NumberedPart>,
) -> Result<StagedRead, NotStaged> {
    let LogRead { read: made, position, stamp } = read;
    let known = basis.log;
    let (log, noted) = match made {
        Read::Entered(log) => (*log, Noted::Entered),
        Read::Skipped(_) => (known.ok_or(NotStaged::OutOfTurn)?.log(), Noted::Skipped),
        Read::Applied { message, .. } => (message.log, Noted::Applied(message.writer, message.number)),
    };
    let is_next =
        known.map_or(noted == Noted::Entered, |known| known.replica().is_next(log, position.sequence, noted));
    if !is_next {
        return Err(NotStaged::OutOfTurn);
    }
    let digest = match known {
        Some(known) => known.digest(),
        None => of_all(basis.catalogue, basis.counters),
    };
    let time = known.map_or(*stamp, |known| known.replica().now().max(*stamp));
    let mut staging = Staging {
        basis,
        time: time.seconds(),
        ahead: Ahead::new(basis.catalogue, basis.counters, digest),
        defined: HashSet::default(),
        deleted_at: HashMap::default(),
        keyed: HashMap::default(),
    };
    let parts = read.parts();
    let mut outcomes: Vec<PartOutcome> = Vec::with_capacity(parts.len());
    let mut staged = Vec::with_capacity(parts.len());
    for (place, mut one) in numbered.into_iter().enumerate() {
        let outcome = staging.outcome(&one);
        let fate = match outcome {
            PartOutcome::Counted => {
                staging.count((parts, place, &outcomes), &mut one)?;
                PartFate::Counted
            }
            PartOutcome::Repeated(_) => PartFate::Repeated,
            PartOutcome::Conflict => PartFate::Conflict,
        };
        outcomes.push(outcome);
        staged.push((fate, one));
    }
    let entry = LogEntry { log, position: *position, stamp: *stamp, digest: staging.ahead.digest(), noted };
    Ok(StagedRead { entry, outcomes, parts: staged })
}

/// What the parts of one message that are staged come to.
struct Staging<'a> {
    basis: Basis<'a>,
    /// The time of the log, in seconds since the epoch.
    time: u32,
    ahead: Ahead<'a>,
    /// Series that the message defines, since its last deletion.
    defined: HashSet<SeriesId, Hashed>,
    /// For each story that the message deletes, its last part that does.
    deleted_at: HashMap<StoryId, usize, Hashed>,
    /// Batches with a key that the message counts, and their answers.
    keyed: HashMap<(KeyRule, KeyId), (u64, KeyedAnswer), Hashed>,
}

impl Staging<'_> {
    /// What a part comes to.
    fn outcome(&mut self, part: &NumberedPart) -> PartOutcome {
        let Some(key) = &part.batch.key else { return PartOutcome::Counted };
        let identity = key.identity;
        let at = (identity.rule, identity.id);
        if let Some((content, answer)) = self.keyed.get(&at) {
            let is_same = *content == identity.content;
            return if is_same { PartOutcome::Repeated(answer.clone()) } else { PartOutcome::Conflict };
        }
        match self.basis.keys.noted(identity, self.time) {
            Some(keys::Noted::Counted(answer, _)) => PartOutcome::Repeated(answer),
            Some(keys::Noted::Conflict) => PartOutcome::Conflict,
            None => {
                self.keyed.insert(at, (identity.content, key.answer.clone()));
                PartOutcome::Counted
            }
        }
    }

    /// Takes a part that counts, and gives it the definitions that its record must have.
    fn count(
        &mut self,
        (parts, place, outcomes): (&[Part], usize, &[PartOutcome]),
        part: &mut NumberedPart,
    ) -> Result<(), NotStaged> {
        if let Some(key) = &mut part.batch.key {
            key.taken = self.time;
        }
        for change in &part.batch.changes {
            let since = self.deleted_at.get(&change.story()).copied().unwrap_or_default();
            let before = parts.iter().zip(outcomes).take(place).skip(since);
            let counted = before.filter(|(_, outcome)| **outcome == PartOutcome::Counted);
            self.ahead.change(change, counted.flat_map(|(part, _)| part.increments()));
            if let Change::DeleteStory { story } = change {
                self.deleted_at.insert(*story, place);
                self.defined.clear();
            }
        }
        let series = parts.get(place).map(Part::series).unwrap_or_default();
        self.define(series, part)?;
        self.ahead.add(part.share);
        Ok(())
    }

    fn define(&mut self, series: &[SeriesKey], part: &mut NumberedPart) -> Result<(), NotStaged> {
        let catalogue = self.basis.catalogue;
        let is_current = part.batch.deletions == catalogue.deletions() && self.deleted_at.is_empty();
        let places =
            if is_current { std::mem::take(&mut part.fresh) } else { (0..part.series.len()).collect() };
        for place in places {
            let (Some(id), Some(key)) = (part.series.get(place).copied(), series.get(place)) else {
                continue;
            };
            if catalogue.is_durable(id) && !self.ahead.has_deleted(key.story) {
                continue;
            }
            // Its story may have been evicted since.
            let interned =
                catalogue.intern_of_log(&catalogue.index().view(), key).map_err(NotStaged::Full)?;
            if interned.id != id {
                part.renumber(place, interned.id);
            }
            let is_known = interned.is_durable && !self.ahead.has_deleted(key.story);
            if !is_known && self.defined.insert(interned.id) {
                part.batch.definitions.push(Definition { id: interned.id, key: *key });
                self.ahead.define(key);
            }
        }
        Ok(())
    }
}
