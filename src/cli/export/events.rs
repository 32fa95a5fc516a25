//! The content of a catalogue and its counters as events: counted from nothing, they give the same again.
//! Pure. Knows nothing of how events are written.
//!
//! INVARIANT: stories come in the order of their ids, nodes in the order of `Node`, sources in that of
//! `Source::ALL`, hours ascending; so equal counters give equal events.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, NodeEntry, Story};
use crate::model::cells::Cell;
use crate::model::counters::Counters;
use crate::model::event::{Event, EventDetails, Metric, SeriesId, Source};

/// Calls `f` with every event, and stops at its first error. Returns how many events there were.
pub(crate) fn each<E>(
    catalogue: &Catalogue,
    counters: &Counters,
    f: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
) -> Result<u64, E> {
    let mut stories = catalogue.stories();
    stories.sort_unstable_by_key(|story| story.id());
    let mut walk = Walk { counters, f, events: 0 };
    stories.iter().try_for_each(|story| walk.story(story))?;
    Ok(walk.events)
}

struct Walk<'a, E> {
    counters: &'a Counters,
    f: &'a mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    events: u64,
}

impl<E> Walk<'_, E> {
    fn story(&mut self, story: &Story) -> Result<(), E> {
        // An event that counts nothing makes the story known, with its name, on a source that it has anyway.
        let kinds = [
            (Metric::Conversations, EventDetails::Conversation { paid: false }),
            (Metric::PaidConversations, EventDetails::Conversation { paid: false }),
            (Metric::Messages, EventDetails::Message),
        ];
        let (what, source) = Source::ALL
            .into_iter()
            .flat_map(|source| kinds.iter().map(move |kind| (kind, source)))
            .find(|((metric, _), source)| story.series(*metric, *source).is_some())
            .map_or((&EventDetails::Message, Source::Messenger), |((_, what), source)| (what, source));
        let name = story.name();
        let story_name = name.as_deref().map(Cow::Borrowed);
        self.give(&Event { story_name, ..event(story, source, what, Hour::MIN) })?;
        for source in Source::ALL {
            self.conversations(story, source)?;
            let messages = self.cells(story.series(Metric::Messages, source));
            self.counts(story, source, &EventDetails::Message, messages)?;
        }
        self.nodes(story)
    }

    fn conversations(&mut self, story: &Story, source: Source) -> Result<(), E> {
        let mut hours: BTreeMap<Hour, (u64, u64)> = BTreeMap::new();
        for (hour, count) in self.cells(story.series(Metric::Conversations, source)) {
            hours.entry(hour).or_default().0 = count;
        }
        for (hour, count) in self.cells(story.series(Metric::PaidConversations, source)) {
            hours.entry(hour).or_default().1 = count;
        }
        let [paid_what, unpaid_what] = [true, false].map(|paid| EventDetails::Conversation { paid });
        for (hour, (total, paid)) in hours {
            let both = total.min(paid);
            self.counts(story, source, &paid_what, [(hour, both)])?;
            self.counts(story, source, &unpaid_what, [(hour, total.saturating_sub(both))])?;
            // Paid ones whose conversations counted in another hour: each moves the paid counter by one.
            for _ in both..paid {
                self.give(&event(story, source, &paid_what, hour))?;
            }
        }
        Ok(())
    }

    fn nodes(&mut self, story: &Story) -> Result<(), E> {
        let mut nodes: Vec<NodeEntry> = Vec::with_capacity(story.node_count());
        story.for_each_node(&mut |entry| nodes.push(entry.clone()));
        nodes.sort_unstable_by_key(|entry| entry.node);
        for entry in &nodes {
            let what = |name| EventDetails::Interaction { node: entry.node, name };
            let with_source = |source: &Source| entry.series.get(source.index()).copied().flatten();
            let source = Source::ALL.into_iter().find(|source| with_source(source).is_some());
            let named = what(entry.name.as_deref().map(Cow::Borrowed));
            self.give(&event(story, source.unwrap_or(Source::Messenger), &named, Hour::MIN))?;
            for source in Source::ALL {
                let cells = self.cells(with_source(&source));
                self.counts(story, source, &what(None), cells)?;
            }
        }
        Ok(())
    }

    /// Gives counts as events of that kind, in as many as `u32` needs.
    fn counts(
        &mut self,
        story: &Story,
        source: Source,
        what: &EventDetails<'_>,
        cells: impl IntoIterator<Item = (Hour, u64)>,
    ) -> Result<(), E> {
        for Cell { hour, count } in cells.into_iter().flat_map(|(hour, count)| Cell::of_count(hour, count)) {
            self.give(&Event { count, ..event(story, source, what, hour) })?;
        }
        Ok(())
    }

    /// The counts of a series by hour, with parts of the same hour added up.
    fn cells(&self, series: Option<SeriesId>) -> BTreeMap<Hour, u64> {
        let mut cells: BTreeMap<Hour, u64> = BTreeMap::new();
        if let Some(series) = series {
            self.counters.visit(series, HourRange::ALL, &mut |slice| {
                for cell in slice {
                    let count = cells.entry(cell.hour).or_default();
                    *count = count.saturating_add(u64::from(cell.count));
                }
            });
        }
        cells
    }

    fn give(&mut self, event: &Event<'_>) -> Result<(), E> {
        self.events = self.events.saturating_add(1);
        (self.f)(event)
    }
}

/// An event that counts nothing.
fn event<'a>(story: &Story, source: Source, what: &EventDetails<'a>, hour: Hour) -> Event<'a> {
    Event { story: story.id(), source, what: what.clone(), count: 0, hour, story_name: None }
}
