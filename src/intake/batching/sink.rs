//! From events to a batch: series ids, definitions, name changes, increments, and the tally. The only place that
//! interns. Knows no syntax.
//!
//! INVARIANT: an event is taken whole or not at all; nothing of it is in the batch when interning is refused.

use std::sync::Arc;

use super::names::{Named, Names};
use super::quick::{Paid, Stamp, Tail};
use super::shape::Shape;
use super::{Parsed, Tally};
use crate::intake::wire::rules::NameIn;
use crate::intake::wire::{LineError, LineErrorKind, Reading};
use crate::model::batch::{Definition, Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::catalogue::index::{Indexed, Link, Rows};
use crate::model::catalogue::{Catalogue, CatalogueFull};
use crate::model::event::{Event, Metric, SeriesKey, What};

/// The kind of an event, as the tally counts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum EventKind {
    #[default]
    Conversation,
    Message,
    Interaction,
}

/// What a head means: the series that its events add to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// The conversations, messages or uses of the node.
    pub(super) series: Known,
    /// The paid conversations, once one has been seen.
    pub(super) paid: Known,
    kind: EventKind,
}

/// A series id, and whether it is known to need no definition in the current generation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The id's number, and `CONFIRMED`; `NONE` where there is no id yet.
    bits: IdBits,
}

/// An id in 31 bits with a flag beside it, so that a slot of the cache stays small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct IdBits(u32);

impl Default for IdBits {
    fn default() -> Self {
        Self::NONE
    }
}

const _: () = assert!(crate::limits::SERIES_MAX < 1 << 31, "the highest bit of an id is free for a flag");

impl IdBits {
    const NONE: Self = Self(u32::MAX);
    const CONFIRMED: u32 = 1 << 31;
}

impl Known {
    fn new(id: SeriesId) -> Self {
        Self { bits: IdBits(id.get()) }
    }
}

/// Where a series was found, which remembers whether it is confirmed.
pub(super) trait Place {
    /// The series, if there is one.
    fn series(&self) -> Option<Indexed>;
    /// Remembers that it is confirmed.
    fn confirm(&mut self, catalogue: &Catalogue, id: SeriesId);
}

impl Place for &mut Known {
    #[inline]
    fn series(&self) -> Option<Indexed> {
        let IdBits(bits) = self.bits;
        (self.bits != IdBits::NONE).then(|| Indexed {
            id: SeriesId::new(bits & !IdBits::CONFIRMED),
            is_confirmed: bits & IdBits::CONFIRMED != 0,
        })
    }

    fn confirm(&mut self, _catalogue: &Catalogue, id: SeriesId) {
        self.bits = IdBits(id.get() | IdBits::CONFIRMED);
    }
}

impl Place for &Link {
    #[inline]
    fn series(&self) -> Option<Indexed> {
        Link::series(self)
    }

    fn confirm(&mut self, catalogue: &Catalogue, id: SeriesId) {
        catalogue.index_confirmed(self, id);
    }
}

/// Fills one `Parsed` during one run.
#[derive(Debug)]
pub(super) struct Sink<'p> {
    catalogue: &'p Catalogue,
    names: &'p mut Names,
    parsed: &'p mut Parsed,
    generation: u64,
    confirmation: Confirmation,
    stamps: Stamp,
}

/// Whether a confirmed series may go without a definition in this batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Confirmation {
    /// The batch is of the current generation.
    Counts,
    /// The batch was begun under an older generation: every series that is added now is defined.
    Mixed,
}

impl<'p> Sink<'p> {
    /// Begins to add to `parsed`.
    pub(super) fn begin(catalogue: &'p Catalogue, names: &'p mut Names, parsed: &'p mut Parsed) -> Self {
        // Read before anything is interned or asked for: what is confirmed later is confirmed in this generation, or
        // the generation has moved, which `needs_definition` sees.
        let generation = catalogue.generation();
        let mut confirmation = Confirmation::Counts;
        if parsed.batch.is_empty() {
            // Nothing in it depends on a generation yet.
            parsed.batch.generation = generation;
        } else if parsed.batch.generation != generation {
            confirmation = Confirmation::Mixed;
        }
        // The batch may have been taken out since the last run.
        if parsed.defined.len() != parsed.batch.definitions.len() {
            parsed.defined = parsed.batch.definitions.iter().map(|definition| definition.id).collect();
        }
        let stamps = if parsed.tally.accepted() == 0 || parsed.all_finer_than_millisecond {
            Stamp::Finer
        } else {
            Stamp::Coarse
        };
        Self { catalogue, names, parsed, generation, confirmation, stamps }
    }

    /// The catalogue's generation when the run began.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the batch was begun under an older generation.
    pub(super) fn is_mixed(&self) -> bool {
        self.confirmation == Confirmation::Mixed
    }

    /// What is being filled.
    pub(super) fn parsed(&mut self) -> &mut Parsed {
        self.parsed
    }

    /// Takes over newer tables of the index. The generation was read before, so no confirmation of an older one is seen.
    #[inline]
    pub(super) fn refresh(&self, rows: &mut Arc<Rows>) {
        self.catalogue.index().refresh(rows);
    }

    /// Ends the run.
    pub(super) fn finish(self) {
        self.parsed.all_finer_than_millisecond =
            self.parsed.tally.accepted() != 0 && self.stamps == Stamp::Finer;
    }

    /// Adds an event of a head whose entry is known. `false`, with nothing done, where that does not say enough.
    #[inline]
    pub(super) fn quick(&mut self, entry: &mut Entry, tail: Tail) -> bool {
        self.quick_in(entry.kind, &mut entry.series, Some(&mut entry.paid), tail)
    }

    /// Adds an event of a head whose series are in those places; `paid` is of conversations only. `false`, with nothing
    /// done, where a place is empty.
    #[inline]
    pub(super) fn quick_in<P: Place>(
        &mut self,
        kind: EventKind,
        mut place: P,
        paid_place: Option<P>,
        tail: Tail,
    ) -> bool {
        let Some(series) = place.series() else { return false };
        if kind == EventKind::Conversation && tail.paid == Paid::Yes {
            let paid = paid_place.and_then(|place| place.series().map(|paid| (place, paid)));
            let Some((mut paid_place, paid)) = paid else { return false };
            self.define(&mut place, series);
            self.increment(series.id, tail.hour, tail.count);
            self.define(&mut paid_place, paid);
            self.increment(paid.id, tail.hour, paid_count(tail.count));
        } else {
            self.define(&mut place, series);
            self.increment(series.id, tail.hour, tail.count);
        }
        self.accept(kind, tail.stamp);
        true
    }

    /// Adds an event of a head of the usual shape, which is new. `None`, with nothing done, where an id of it is none.
    ///
    /// # Errors
    /// `CatalogueFull`.
    pub(super) fn take_shape(
        &mut self,
        rows: &Rows,
        shape: &Shape<'_>,
        tail: Tail,
    ) -> Option<Result<(), LineError>> {
        let key = shape.series()?;
        let is_paid = shape.kind == EventKind::Conversation && tail.paid == Paid::Yes;
        let intern = |catalogue: &Catalogue, key: &SeriesKey| catalogue.intern_indexed(rows, key);
        let added = self.add(&key, is_paid, (tail.hour, tail.count), intern);
        Some(added.map(|_| self.accept(shape.kind, tail.stamp)))
    }

    /// Adds an event. Returns what the cache may keep for its head, or `None` where the head says more than the
    /// series: a name.
    ///
    /// # Errors
    /// `CatalogueFull`.
    pub(super) fn take(&mut self, reading: Reading<'_>) -> Result<Option<Entry>, LineError> {
        let Reading { event, stamp_nanos, name_in } = reading;
        let Event { story, source, what, count, hour, story_name } = event;
        let (kind, metric) = match &what {
            What::Conversation { .. } => (EventKind::Conversation, Metric::Conversations),
            What::Message => (EventKind::Message, Metric::Messages),
            What::Interaction { node, .. } => (EventKind::Interaction, Metric::Interaction(*node)),
        };
        let is_paid = matches!(what, What::Conversation { paid: true });
        let key = SeriesKey { story, source, metric };
        let (series, paid) = self.add(&key, is_paid, (hour, count), Catalogue::intern)?;
        let entry = Entry { series, paid, kind };
        if let Some(name) = story_name {
            self.rename(Named::Story(story), &name);
        }
        if let What::Interaction { node, name: Some(name) } = what {
            self.rename(Named::Node(story, node), &name);
        }
        let stamp = stamp_nanos.and_then(|nanos| u64::try_from(nanos).ok()).map_or(Stamp::Coarse, Stamp::of);
        self.accept(kind, stamp);
        Ok((name_in == NameIn::Fields).then_some(entry))
    }

    /// Adds to a series, and to the paid one beside it.
    fn add(
        &mut self,
        key: &SeriesKey,
        is_paid: bool,
        (hour, count): (Hour, u32),
        intern: impl Fn(&Catalogue, &SeriesKey) -> Result<SeriesId, CatalogueFull>,
    ) -> Result<(Known, Known), LineError> {
        let catalogue = self.catalogue;
        let intern = |key: &SeriesKey| {
            intern(catalogue, key).map_err(|full| {
                LineError::whole(LineErrorKind::CatalogueFull { what: full.to_string().into() })
            })
        };
        let series = intern(key)?;
        let paid_key = SeriesKey { metric: Metric::PaidConversations, ..*key };
        let paid = if is_paid { Some(intern(&paid_key)?) } else { None };
        let known = self.define_as(series, key);
        self.increment(series, hour, count);
        let known_paid = paid.map_or_else(Known::default, |paid| {
            let known = self.define_as(paid, &paid_key);
            self.increment(paid, hour, paid_count(count));
            known
        });
        Ok((known, known_paid))
    }

    /// Puts the definition of a series that was just interned into the batch if it is needed and not there yet.
    fn define_as(&mut self, id: SeriesId, key: &SeriesKey) -> Known {
        let mut known = Known::new(id);
        if self.is_confirmed(id) {
            (&mut known).confirm(self.catalogue, id);
        } else if self.parsed.defined.insert(id) {
            self.parsed.batch.definitions.push(Definition { id, key: *key });
        }
        known
    }

    #[inline]
    fn accept(&mut self, kind: EventKind, stamp: Stamp) {
        Tally::add(&mut self.parsed.tally, kind);
        if stamp == Stamp::Coarse {
            self.stamps = Stamp::Coarse;
        }
    }

    #[inline]
    fn increment(&mut self, series: SeriesId, hour: Hour, count: u32) {
        self.parsed.batch.increments.push(Increment { series, hour, count });
    }

    /// Puts the series' definition into the batch if it is needed and not there yet.
    #[inline]
    fn define(&mut self, place: &mut impl Place, Indexed { id, is_confirmed }: Indexed) {
        let counts = is_confirmed && self.confirmation == Confirmation::Counts;
        if !counts && !self.parsed.defined.contains(&id) {
            self.define_unconfirmed(place, id);
        }
    }

    #[cold]
    #[inline(never)]
    fn define_unconfirmed(&mut self, place: &mut impl Place, id: SeriesId) {
        if self.is_confirmed(id) {
            place.confirm(self.catalogue, id);
        } else if let Some(key) = self.catalogue.key(id) {
            // An id that has been interned has a key.
            self.parsed.batch.definitions.push(Definition { id, key });
            self.parsed.defined.insert(id);
        }
    }

    /// Whether the series is confirmed in the generation that the batch names.
    fn is_confirmed(&self, id: SeriesId) -> bool {
        // If the generation is still the same after the series was seen confirmed, it was confirmed in that one.
        self.confirmation == Confirmation::Counts
            && self.catalogue.is_confirmed(id)
            && self.catalogue.generation() == self.generation
    }

    fn rename(&mut self, named: Named, name: &str) {
        if let Some(change) = self.names.change(self.catalogue, named, name) {
            self.parsed.batch.changes.push(change);
        }
    }
}

/// What `count` conversations of which it is said that they are paid add to the paid ones: with a count of 0, one
/// earlier conversation turns out to be paid.
#[inline]
fn paid_count(count: u32) -> u32 {
    count.max(1)
}
