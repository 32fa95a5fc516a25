//! Interactions by use. Knows nothing of output formats.
//!
//! Over several stories a node is one row: the fallbacks and the welcomes by nature, interactions where stories use
//! the same id for one; its name is then that of the story which used it most, of the first by id where two did so
//! alike.
//!
//! INVARIANT: memory holds at most about [`POPULARITY_NODES_MAX`] nodes, and twice as many rows as were asked for. More
//! nodes are gathered in several passes, divided by a seeded hash, so that no client can choose ids of one pass.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::query::Query;
use super::summary::{Figure, percent_hundredths};
use crate::limits::{POPULARITY_NODES_MAX, wide};
use crate::model::catalogue::{Catalogue, NodeEntry};
use crate::model::counters::Counters;
use crate::model::event::{Node, SeriesId, StoryId};
use crate::model::story_set::StorySet;

/// Every known interaction, by use.
#[derive(Clone, PartialEq, Debug)]
pub struct PopularityReport {
    /// Most used first, as many as the limit allows.
    pub(crate) rows: Vec<PopularityRow>,
}

/// One interaction and how often it was used.
#[derive(Clone, PartialEq, Debug)]
pub struct PopularityRow {
    pub(crate) node: Node,
    pub(super) name: Option<Arc<str>>,
    /// How often it was used in the range.
    pub(crate) value: u64,
    /// Hundredths of a percent; 0 until the total is known.
    pub(super) usage_hundredths: u64,
}

impl PopularityRow {
    /// The display name: that of an interaction, its id where it has none, and a fixed one for the other kinds.
    pub(crate) fn name(&self) -> &str {
        match &self.node {
            Node::Interaction(id) => self.name.as_deref().unwrap_or(id.0.as_str()),
            Node::ContextFallback(_) | Node::Fallback => "Fallback Interaction",
            Node::Welcome => "Welcome Interaction",
        }
    }

    /// The share of the total, in percent.
    pub(crate) fn usage(&self) -> Figure {
        Figure::Hundredths(self.usage_hundredths)
    }

    /// Value descending, then kind, name and id.
    fn order(&self, other: &Self) -> Ordering {
        let value = other.value.cmp(&self.value);
        // Names are asked for only where they decide.
        let kind = |row: &Self| match row.node {
            Node::Interaction(_) => 0_u8,
            Node::ContextFallback(_) => 1,
            Node::Fallback => 2,
            Node::Welcome => 3,
        };
        value
            .then_with(|| kind(self).cmp(&kind(other)))
            .then_with(|| self.name().cmp(other.name()))
            .then_with(|| self.node.cmp(&other.node))
    }
}

/// One node of one story.
struct Use {
    node: Node,
    value: u64,
    story: StoryId,
    name: Option<Arc<str>>,
}

/// The rows of the uses so far, one for each node.
struct Merging {
    rows: Vec<MergedUses>,
    /// The places of the rows; none where every use is of another node, as those of one story are.
    places: Option<HashMap<Node, usize, RandomState>>,
}

/// The uses of one node.
struct MergedUses {
    row: PopularityRow,
    /// The value and the story of the use whose name the row has.
    named_by: (u64, StoryId),
}

impl Merging {
    /// For about so many uses.
    fn of_stories(stories: &StorySet, uses: usize) -> Self {
        let is_one_story = stories.list().is_some_and(|ids| ids.len() <= 1);
        let places = || HashMap::with_capacity_and_hasher(uses, RandomState::default());
        Self { rows: Vec::new(), places: (!is_one_story).then(places) }
    }

    fn add(&mut self, Use { node, value, story, name }: Use) {
        let end = self.rows.len();
        let place = self.places.as_mut().map_or(end, |places| *places.entry(node).or_insert(end));
        match self.rows.get_mut(place) {
            Some(MergedUses { row, named_by }) => {
                row.value = row.value.saturating_add(value);
                let comes_first = (Reverse(value), story) < (Reverse(named_by.0), named_by.1);
                if name.is_some() && (row.name.is_none() || comes_first) {
                    (row.name, *named_by) = (name, (value, story));
                }
            }
            None => self.rows.push(MergedUses {
                row: PopularityRow { node, name, value, usage_hundredths: 0 },
                named_by: (value, story),
            }),
        }
    }

    /// Takes all rows out.
    fn drain(&mut self) -> impl Iterator<Item = PopularityRow> {
        if let Some(places) = &mut self.places {
            places.clear();
        }
        self.rows.drain(..).map(|merged| merged.row)
    }
}

pub(super) fn roll_up(catalogue: &Catalogue, counters: &Counters, query: &Query) -> PopularityReport {
    roll_up_within(POPULARITY_NODES_MAX, (catalogue, counters, query))
}

/// As [`roll_up`], while about so many nodes are held.
fn roll_up_within(
    nodes_max: usize,
    (catalogue, counters, query): (&Catalogue, &Counters, &Query),
) -> PopularityReport {
    let mut nodes = 0_usize;
    let mut any_story = query.names_stories;
    catalogue.for_each_story(&query.stories, &mut |story| {
        nodes = nodes.saturating_add(story.node_count());
        any_story = true;
    });
    let parts = wide(nodes.div_ceil(nodes_max).max(1));
    let hasher = RandomState::default();
    let mut gathering = Gathering { rows: Vec::new(), total: 0, rows_max: query.rows_max };
    let mut merging = Merging::of_stories(&query.stories, nodes.min(nodes_max));
    let mut entries = Vec::new();
    let (mut fallbacks, mut welcomes) = (0_u64, 0_u64);
    for part in 0..parts {
        let belongs = |node: &Node| parts == 1 || hasher.hash_one(node).checked_rem(parts) == Some(part);
        catalogue.for_each_story(&query.stories, &mut |story| {
            // Copied out first: the story must not stay locked while its counters are added up.
            entries.clear();
            story.for_each_node(&mut |entry| {
                if belongs(&entry.node) {
                    entries.push(entry.clone());
                }
            });
            for series in entries.iter().flat_map(|entry| entry.series).flatten() {
                counters.prefetch(series);
            }
            for NodeEntry { node, name, series } in entries.drain(..) {
                let value = sum(counters, query, &series);
                match node {
                    Node::Fallback => fallbacks = fallbacks.saturating_add(value),
                    Node::Welcome => welcomes = welcomes.saturating_add(value),
                    node => merging.add(Use { node, value, story: story.id(), name }),
                }
            }
        });
        gathering.add(merging.drain());
    }
    if any_story {
        let always = |node, value| PopularityRow { node, name: None, value, usage_hundredths: 0 };
        gathering.add([always(Node::Fallback, fallbacks), always(Node::Welcome, welcomes)].into_iter());
    }
    gathering.into_report()
}

fn sum(counters: &Counters, query: &Query, series: &[Option<SeriesId>]) -> u64 {
    let sources = query.sources.iter();
    sources
        .filter_map(|source| series.get(source.index()).copied().flatten())
        .fold(0_u64, |sum, series| sum.saturating_add(counters.sum(series, query.hours())))
}

/// The greatest rows so far, at most twice as many as were asked for, and the total of all rows.
struct Gathering {
    rows: Vec<PopularityRow>,
    total: u64,
    rows_max: usize,
}

impl Gathering {
    fn add(&mut self, rows: impl Iterator<Item = PopularityRow>) {
        for row in rows {
            self.total = self.total.saturating_add(row.value);
            self.rows.push(row);
            if self.rows.len() >= self.rows_max.saturating_mul(2) {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.rows.len() > self.rows_max {
            let last = self.rows_max.saturating_sub(1);
            self.rows.select_nth_unstable_by(last, PopularityRow::order);
            self.rows.truncate(self.rows_max);
        }
    }

    fn into_report(mut self) -> PopularityReport {
        self.cut();
        self.rows.sort_unstable_by(PopularityRow::order);
        for row in &mut self.rows {
            row.usage_hundredths = percent_hundredths(row.value, self.total);
        }
        PopularityReport { rows: self.rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::{Change, Definition, Increment};
    use crate::model::calendar::{Hour, ZoneDatabase};
    use crate::model::catalogue::CatalogueLimits;
    use crate::model::event::{InteractionId, Metric, ObjectId, SeriesKey, Source};
    use crate::report::ReportName;

    const HOUR: u32 = 430_000;

    /// Stories that share some of their interactions, with names here and there, and many rows alike.
    fn world() -> (Catalogue, Arc<Counters>) {
        let (counters, mut writer) = Counters::new();
        let catalogue = Catalogue::new(CatalogueLimits::default());
        let id = |number: u32| ObjectId::parse(format!("{number:024}").as_bytes()).unwrap();
        // Not in the order of the ids.
        for number in (0..40_u32).map(|number| number * 11 % 40) {
            let story = StoryId(id(number));
            let shared = InteractionId(id(1_000 + number % 7));
            let own = InteractionId(id(2_000 + number));
            let nodes = [
                Node::Interaction(shared),
                Node::Interaction(own),
                Node::ContextFallback(shared),
                Node::Fallback,
                Node::Welcome,
            ];
            for (place, node) in (0_u32..).zip(nodes) {
                let key = SeriesKey { story, source: Source::App, metric: Metric::Interaction(node) };
                let series = catalogue.intern(&key).unwrap();
                catalogue.mark_durable(&Definition { id: series, key });
                writer.define(series, &key);
                let count = (number * 5 + place) % 4;
                writer.add(&[Increment { series, hour: Hour::new(HOUR), count }]);
                if number % 2 == 0 {
                    let name = Some(format!("name {}", number % 5).into());
                    catalogue.apply(&Change::Node { story, node, name });
                }
            }
        }
        (catalogue, counters)
    }

    fn query(limit: &str) -> Query {
        let pairs = [("limit", limit), ("from", "2018-1-1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        Query::parse(
            ReportName::InteractionsPopularity,
            &pairs,
            1_600_000_000_000,
            (&StorySet::ALL, 1),
            &ZoneDatabase::bundled(),
        )
        .unwrap()
    }

    #[test]
    fn interaction_of_several_stories_has_the_name_of_the_one_that_used_it_most() {
        let (catalogue, counters) = world();
        let report = roll_up(&catalogue, &counters, &query("1000"));
        for shared in 0..7_u32 {
            // Those that name it, as the world has them: by use, then by id.
            let stories = (0..40_u32).filter(|number| number % 7 == shared);
            let named = stories.clone().filter(|number| number % 2 == 0);
            let most = named.min_by_key(|number| (Reverse(number * 5 % 4), *number)).unwrap();
            let text = format!("{:024}", 1_000 + shared);
            let row = report
                .rows
                .iter()
                .find(|row| matches!(row.node, Node::Interaction(id) if id.0.as_str() == text));
            let row = row.unwrap();
            assert_eq!(row.name(), format!("name {}", most % 5));
            assert_eq!(row.value, stories.map(|number| u64::from(number * 5 % 4)).sum::<u64>());
        }
    }

    #[test]
    fn nodes_gathered_part_by_part_make_the_same_report() {
        let (catalogue, counters) = world();
        for limit in ["1", "5", "1000"] {
            let query = query(limit);
            let scope = (&catalogue, &*counters, &query);
            let whole = roll_up_within(usize::MAX, scope);
            assert_eq!(whole.rows.len(), 56.min(limit.parse().unwrap()));
            assert!(whole.rows[0].value > 0 && whole.rows.is_sorted_by(|a, b| a.order(b).is_lt()));
            for nodes_max in [1, 7, 64, 199, 200] {
                assert_eq!(roll_up_within(nodes_max, scope), whole, "{nodes_max} nodes at a time");
            }
        }
    }
}
