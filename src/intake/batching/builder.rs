//! From events to a batch: series ids, definitions, name changes, increments, and the tally. The only place that
//! interns. Knows no syntax.
//!
//! INVARIANT: an event is added whole or not at all; nothing of it is in the batch when interning is refused.

use super::{Parsed, Tally};
use crate::intake::wire::fast::{EventTail, Head, Paid};
use crate::intake::wire::{LineError, LineErrorKind, Reading, Stamp};
use crate::model::batch::{Change, Definition, Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::catalogue::Catalogue;
use crate::model::catalogue::index::{Candidates, Interned, StoryCounter, View};
use crate::model::event::{Event, EventDetails, EventKind, Metric, Node, SeriesKey, StoryId};
use crate::model::memory::MemoryCeiling;
use crate::model::story_set::StorySet;

/// Adds events to one `Parsed` during one call of a parser.
#[derive(Debug)]
pub(super) struct BatchBuilder<'p> {
    catalogue: &'p Catalogue,
    view: &'p mut View,
    parsed: &'p mut Parsed,
    /// A story was deleted since the batch was begun: a series that is durable now need not be so as of the batch's
    /// `deletions`, so every series that is added is defined.
    is_outdated: bool,
    /// The ceiling of memory, where it is reached: only what takes no memory is added then.
    reached: Option<&'p MemoryCeiling>,
    /// The stories that events may be about, where they may not be about all.
    only: Option<&'p StorySet>,
    /// Neither of the two: an event of a known series needs no further look.
    is_free: bool,
    stamps: Stamp,
}

impl<'p> BatchBuilder<'p> {
    /// Begins to add to `parsed`.
    pub(super) fn begin(
        catalogue: &'p Catalogue,
        (ceiling, stories): (Option<&'p MemoryCeiling>, &'p StorySet),
        view: &'p mut View,
        parsed: &'p mut Parsed,
    ) -> Self {
        // Read before any series is looked up. So a series that is seen as durable is so as of this count, unless the count
        // has moved on; the sequencer sees that.
        let deletions = catalogue.deletions();
        if parsed.batch.is_empty() {
            // Nothing in it depends on a count yet.
            parsed.batch.deletions = deletions;
        }
        // The batch may have been taken out since the last call.
        if parsed.defined.len() != parsed.batch.definitions.len() {
            parsed.defined = parsed.batch.definitions.iter().map(|definition| definition.id).collect();
        }
        let is_fine = parsed.tally.accepted() == 0 || parsed.all_finer_than_millisecond;
        let stamps = if is_fine { Stamp::Finer } else { Stamp::Coarse };
        let is_outdated = parsed.batch.deletions != deletions;
        let reached = ceiling.filter(|ceiling| ceiling.is_reached());
        let only = Some(stories).filter(|stories| stories.is_limited());
        let is_free = reached.is_none() && only.is_none();
        Self { catalogue, view, parsed, is_outdated, reached, only, is_free, stamps }
    }

    /// The result that this builder fills.
    pub(super) fn parsed(&mut self) -> &mut Parsed {
        self.parsed
    }

    /// The index as it is read now.
    #[inline]
    pub(super) fn view(&self) -> &View {
        self.view
    }

    /// Takes over newer hash tables of the index. The count of deletions was read before.
    #[inline]
    pub(super) fn refresh(&mut self) {
        self.catalogue.index().refresh(self.view);
    }

    /// Ends the call.
    pub(super) fn finish(self) {
        self.parsed.all_finer_than_millisecond =
            self.parsed.tally.accepted() != 0 && self.stamps == Stamp::Finer;
    }

    /// Adds an event whose series are in those rows. `false`, with nothing done, where they are not, where there is no
    /// memory for what may be a new cell, or where the story may not be written to.
    #[inline]
    pub(super) fn add_known(&mut self, head: &Head<'_>, rows: Candidates<'_>, tail: EventTail) -> bool {
        if !self.is_free && !self.may_add_known(head) {
            return false;
        }
        let Some(story) = rows.story(head.story) else { return false };
        let series = match (head.kind, head.node) {
            (EventKind::Message, _) => story.series_of(StoryCounter::Messages, head.source),
            (EventKind::Conversation, _) => story.series_of(StoryCounter::Conversations, head.source),
            (EventKind::Interaction, node) => {
                node.and_then(|node| rows.node(&story, node)).and_then(|node| node.series_on(head.source))
            }
        };
        let Some(series) = series else { return false };
        let paid = if head.kind == EventKind::Conversation && tail.paid == Paid::Yes {
            let Some(paid) = story.series_of(StoryCounter::Paid, head.source) else { return false };
            Some(paid)
        } else {
            None
        };
        if !self.define(series) || !paid.is_none_or(|paid| self.define(paid)) {
            return false;
        }
        self.increment(series.id, tail.hour, tail.count);
        if let Some(paid) = paid {
            self.increment(paid.id, tail.hour, paid_count(tail.count));
        }
        self.accept(head.kind, tail.stamp);
        true
    }

    #[inline(never)]
    fn may_add_known(&self, head: &Head<'_>) -> bool {
        self.reached.is_none() && self.only.is_none_or(|stories| stories.contains_text(head.story))
    }

    /// Refuses an event of a story that may not be written to. Comes before all that depends on what is known of it.
    fn refuse_other_stories(&self, story: StoryId) -> Result<(), LineError> {
        if self.only.is_none_or(|stories| stories.contains(story)) {
            return Ok(());
        }
        Err(LineError::whole(LineErrorKind::StoryNotAllowed { story }))
    }

    /// Adds an event of the fast path whose series may be new.
    pub(super) fn add_new(
        &mut self,
        key: &SeriesKey,
        kind: EventKind,
        tail: EventTail,
    ) -> Result<(), LineError> {
        self.refuse_other_stories(key.story)?;
        let is_paid = kind == EventKind::Conversation && tail.paid == Paid::Yes;
        self.add(key, is_paid, (tail.hour, tail.count))?;
        self.accept(kind, tail.stamp);
        Ok(())
    }

    /// Adds an event of the complete grammar.
    pub(super) fn add_event(&mut self, Reading { event, stamp }: Reading<'_>) -> Result<(), LineError> {
        let Event { story, source, what, count, hour, story_name } = event;
        self.refuse_other_stories(story)?;
        let (kind, metric) = match &what {
            EventDetails::Conversation { .. } => (EventKind::Conversation, Metric::Conversations),
            EventDetails::Message => (EventKind::Message, Metric::Messages),
            EventDetails::Interaction { node, .. } => (EventKind::Interaction, Metric::Interaction(*node)),
        };
        let is_paid = matches!(what, EventDetails::Conversation { paid: true });
        if let Some(ceiling) = self.reached {
            let node_name = match &what {
                EventDetails::Interaction { node, name: Some(name) } => Some((Some(*node), &**name)),
                _ => None,
            };
            let names = story_name.iter().map(|name| (None, &**name)).chain(node_name);
            self.refuse_new_names(ceiling, story, names)?;
        }
        self.add(&SeriesKey { story, source, metric }, is_paid, (hour, count))?;
        if let Some(name) = story_name {
            self.rename(story, None, &name);
        }
        if let EventDetails::Interaction { node, name: Some(name) } = what {
            self.rename(story, Some(node), &name);
        }
        self.accept(kind, stamp);
        Ok(())
    }

    /// Adds to a series, and to the paid one beside it.
    fn add(&mut self, key: &SeriesKey, is_paid: bool, (hour, count): (Hour, u32)) -> Result<(), LineError> {
        if let Some(ceiling) = self.reached {
            self.refuse_new_cell(ceiling, key, (hour, count))?;
            if is_paid {
                let paid = SeriesKey { metric: Metric::PaidConversations, ..*key };
                self.refuse_new_cell(ceiling, &paid, (hour, paid_count(count)))?;
            }
        }
        let series = self.intern(key)?;
        let paid_key = SeriesKey { metric: Metric::PaidConversations, ..*key };
        let paid = if is_paid { Some(self.intern(&paid_key)?) } else { None };
        self.define_as(series, key);
        self.increment(series.id, hour, count);
        if let Some(paid) = paid {
            self.define_as(paid, &paid_key);
            self.increment(paid.id, hour, paid_count(count));
        }
        Ok(())
    }

    /// Refuses a count that would be the first one of its series in that hour.
    fn refuse_new_cell(
        &self,
        ceiling: &MemoryCeiling,
        key: &SeriesKey,
        (hour, count): (Hour, u32),
    ) -> Result<(), LineError> {
        let series = self.catalogue.index().series(self.view, key);
        if series.is_some_and(|series| count == 0 || ceiling.has_cell(series.id, hour)) {
            return Ok(());
        }
        ceiling.note_refused();
        Err(LineError::whole(LineErrorKind::MemoryFull { what: "a new counter" }))
    }

    /// Refuses names other than those that are known.
    fn refuse_new_names<'n>(
        &self,
        ceiling: &MemoryCeiling,
        story: StoryId,
        mut names: impl Iterator<Item = (Option<Node>, &'n str)>,
    ) -> Result<(), LineError> {
        if names.all(|(node, name)| self.catalogue.shows_name(story, node, name)) {
            return Ok(());
        }
        ceiling.note_refused();
        Err(LineError::whole(LineErrorKind::MemoryFull { what: "a new name" }))
    }

    fn intern(&self, key: &SeriesKey) -> Result<Interned, LineError> {
        self.catalogue
            .intern_with_mark(self.view, key)
            .map_err(|full| LineError::whole(LineErrorKind::CatalogueFull { what: full.to_string().into() }))
    }

    #[inline]
    fn accept(&mut self, kind: EventKind, stamp: Stamp) {
        Tally::add(&mut self.parsed.tally, kind);
        if stamp == Stamp::Coarse {
            self.stamps = Stamp::Coarse;
        }
    }

    /// The one place where an increment comes into a batch.
    #[inline]
    fn increment(&mut self, series: SeriesId, hour: Hour, count: u32) {
        self.parsed.batch.increments.push(Increment { series, hour, count });
    }

    /// Whether the series needs a definition that the batch does not have yet.
    #[inline]
    fn lacks_definition(&self, series: Interned) -> bool {
        (!series.is_durable || self.is_outdated) && !self.parsed.defined.contains(&series.id)
    }

    /// Puts the series' definition into the batch if it is needed and not there yet. `false` where the id names nothing
    /// any more.
    #[inline]
    fn define(&mut self, series: Interned) -> bool {
        !self.lacks_definition(series) || self.define_by_id(series)
    }

    #[cold]
    #[inline(never)]
    fn define_by_id(&mut self, series: Interned) -> bool {
        let key = self.catalogue.key(series.id);
        key.inspect(|key| self.define_as(series, key)).is_some()
    }

    /// The same for a series whose key is at hand.
    fn define_as(&mut self, series: Interned, key: &SeriesKey) {
        if (!series.is_durable || self.is_outdated) && self.parsed.defined.insert(series.id) {
            self.parsed.batch.definitions.push(Definition { id: series.id, key: *key });
        }
    }

    fn rename(&mut self, story: StoryId, node: Option<Node>, name: &str) {
        if self.catalogue.is_change_of_name(story, node, name) {
            let name = Some(name.into());
            self.parsed.batch.changes.push(match node {
                None => Change::Story { story, name },
                Some(node) => Change::Node { story, node, name },
            });
        }
    }
}

/// How much a paid conversation event adds to the paid conversations. With a count of 0 it reports that one earlier
/// conversation was paid.
#[inline]
fn paid_count(count: u32) -> u32 {
    count.max(1)
}
