//! Interactions by use. Knows nothing of output formats.
//!
//! Over several stories a node is one row: the fallbacks and the welcomes by nature, interactions where stories use
//! the same id for one; its name is then that of the story which used it most, of the first by id where two did so
//! alike.
//!
//! Where all stories are asked for, their nodes are gone through by the numbers of their rows, and only those that can be
//! among the rows of the report are merged and named.
//!
//! INVARIANT: memory holds at most about [`POPULARITY_NODES_MAX`] nodes, and twice as many rows as were asked for. More
//! nodes are gathered in several passes, divided by a seeded hash, so that no client can choose ids of one pass.

mod uses;

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::query::Query;
use super::summary::{Figure, percent_hundredths};
use crate::limits::{POPULARITY_NODES_AHEAD, POPULARITY_NODES_MAX, wide};
use crate::model::catalogue::{Catalogue, NodeEntry, NodeUses};
use crate::model::counters::Counters;
use crate::model::event::{Node, SeriesId, StoryId};
use crate::model::story_set::StorySet;
use uses::{NodeUse, Uses};

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
fn roll_up_within(nodes_max: usize, scope: (&Catalogue, &Counters, &Query)) -> PopularityReport {
    let (catalogue, _, query) = scope;
    let mut gathering = Gathering::new(query.rows_max);
    let any_story = if query.stories.is_limited() {
        add_listed(nodes_max, scope, &mut gathering) || query.names_stories
    } else {
        add_all(nodes_max, scope, &mut gathering);
        catalogue.story_count() > 0
    };
    gathering.into_report(any_story)
}

/// Adds the nodes of a list of stories; whether any of them is known.
fn add_listed(
    nodes_max: usize,
    (catalogue, counters, query): (&Catalogue, &Counters, &Query),
    gathering: &mut Gathering,
) -> bool {
    let (mut nodes, mut any_story) = (0_usize, false);
    catalogue.for_each_story(&query.stories, &mut |story| {
        nodes = nodes.saturating_add(story.node_count());
        any_story = true;
    });
    let parts = wide(nodes.div_ceil(nodes_max).max(1));
    let hasher = RandomState::default();
    let mut merging = Merging::of_stories(&query.stories, nodes.min(nodes_max));
    let mut entries = Vec::new();
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
                gathering.count(value);
                if !gathering.add_default(&node, value) {
                    merging.add(Use { node, value, story: story.id(), name });
                }
            }
        });
        gathering.add(merging.drain());
    }
    any_story
}

/// Adds the nodes of all stories.
fn add_all(
    nodes_max: usize,
    (catalogue, counters, query): (&Catalogue, &Counters, &Query),
    gathering: &mut Gathering,
) {
    let nodes = catalogue.nodes_at_most();
    let parts = wide(nodes.div_ceil(nodes_max).max(1));
    let mut uses = Uses::with_room(nodes.min(nodes_max));
    let mut ahead: Vec<NodeUses> = Vec::with_capacity(POPULARITY_NODES_AHEAD);
    for part in 0..parts {
        let mut add = |nodes: &mut Vec<NodeUses>| {
            for NodeUses { place, id, hash, is_named, series } in nodes.drain(..) {
                uses.add(NodeUse { place, id, hash, is_named, value: sum(counters, query, &series) });
            }
        };
        catalogue.for_each_node(&mut |node| {
            // By the upper half: the lower one is what the uses are told apart by.
            if parts > 1 && (node.hash >> 32).checked_rem(parts) != Some(part) {
                return;
            }
            for source in &query.sources {
                if let Some(series) = node.series.get(source.index()).copied().flatten() {
                    counters.prefetch(series);
                }
            }
            ahead.push(node);
            if ahead.len() == POPULARITY_NODES_AHEAD {
                add(&mut ahead);
            }
        });
        add(&mut ahead);
        gathering.count(uses.total());
        for merged in uses.drain(query.rows_max, catalogue) {
            let Some(node) = merged.id.node().filter(|node| !gathering.add_default(node, merged.value))
            else {
                continue;
            };
            let name = merged.named_by().and_then(|place| catalogue.name_of_node(place));
            gathering.add([PopularityRow { node, name, value: merged.value, usage_hundredths: 0 }]);
        }
    }
}

fn sum(counters: &Counters, query: &Query, series: &[Option<SeriesId>]) -> u64 {
    let sources = query.sources.iter();
    sources
        .filter_map(|source| series.get(source.index()).copied().flatten())
        .fold(0_u64, |sum, series| sum.saturating_add(counters.sum(series, query.hours())))
}

/// The greatest rows so far, at most twice as many as were asked for, and the total of all uses.
struct Gathering {
    rows: Vec<PopularityRow>,
    total: u64,
    fallbacks: u64,
    welcomes: u64,
    rows_max: usize,
}

impl Gathering {
    fn new(rows_max: usize) -> Self {
        Self { rows: Vec::new(), total: 0, fallbacks: 0, welcomes: 0, rows_max }
    }

    fn count(&mut self, value: u64) {
        self.total = self.total.saturating_add(value);
    }

    /// Adds uses of a node to one of the rows that every report has, if it is one of these two; whether it is.
    fn add_default(&mut self, node: &Node, value: u64) -> bool {
        let uses = match node {
            Node::Fallback => &mut self.fallbacks,
            Node::Welcome => &mut self.welcomes,
            Node::Interaction(_) | Node::ContextFallback(_) => return false,
        };
        *uses = uses.saturating_add(value);
        true
    }

    /// Adds rows whose uses have been counted.
    fn add(&mut self, rows: impl IntoIterator<Item = PopularityRow>) {
        for row in rows {
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

    /// With rows for the nodes that every story has, if there is a story.
    fn into_report(mut self, any_story: bool) -> PopularityReport {
        if any_story {
            let always = |node, value| PopularityRow { node, name: None, value, usage_hundredths: 0 };
            let rows = [always(Node::Fallback, self.fallbacks), always(Node::Welcome, self.welcomes)];
            self.add(rows);
        }
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
        query_of(limit, &StorySet::ALL)
    }

    fn query_of(limit: &str, stories: &StorySet) -> Query {
        let pairs = [("limit", limit), ("from", "2018-1-1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        Query::parse(
            ReportName::InteractionsPopularity,
            &pairs,
            1_600_000_000_000,
            (stories, 1),
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

    /// Stories whose nodes are few of many in common, used rarely or very often, and named here and there; some were deleted
    /// and came back, some gave their place to others.
    fn changing_world(seed: u64) -> (Catalogue, Arc<Counters>, StorySet) {
        const STORIES: u32 = 120;
        let mut state = seed;
        let mut below = move |end: u32| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            u32::try_from(state >> 33).unwrap() % end
        };
        let (counters, mut writer) = Counters::new();
        let limits = CatalogueLimits { stories: 100, ..CatalogueLimits::default() };
        let catalogue = Catalogue::new(limits);
        let id =
            |number: u32| ObjectId::parse(format!("{:024}", number * 7_919 % 10_007).as_bytes()).unwrap();
        for step in 0..3 * STORIES {
            // The later ones need the places of those that were deleted.
            let story = StoryId(id(below(STORIES / 3 * (step / STORIES + 1))));
            for _ in 0..below(9) {
                let interaction = InteractionId(id(20_000 + below(300)));
                let node = match below(12) {
                    0 => Node::Fallback,
                    1 => Node::Welcome,
                    2 | 3 => Node::ContextFallback(interaction),
                    _ => Node::Interaction(interaction),
                };
                let source = Source::ALL[usize::try_from(below(3)).unwrap()];
                let key = SeriesKey { story, source, metric: Metric::Interaction(node) };
                let Ok(series) = catalogue.intern(&key) else { continue };
                writer.define(series, &key);
                if below(10) > 0 {
                    catalogue.mark_durable(&Definition { id: series, key });
                }
                for _ in 0..below(3) {
                    let hour = Hour::new(HOUR + below(2_000));
                    let count = [0, 1, 1, 2, 3, 40, 700][usize::try_from(below(7)).unwrap()];
                    writer.add(&[Increment { series, hour, count }]);
                }
                if below(3) == 0 {
                    let name = Some(format!("name {}", below(9)).into());
                    catalogue.apply(&Change::Node { story, node, name });
                }
            }
            if below(5) == 0 {
                for gone in catalogue.apply(&Change::DeleteStory { story }) {
                    writer.clear(gone);
                }
            }
        }
        let every = StorySet::only((0..STORIES).map(|number| StoryId(id(number))).collect());
        (catalogue, counters, every)
    }

    #[test]
    fn all_stories_make_the_same_rows_as_a_list_of_every_story() {
        let mut cut = 0;
        for seed in 0..12 {
            let (catalogue, counters, every) = changing_world(seed);
            let mut named = 0;
            for limit in ["1", "3", "20", "60", "150", "10000"] {
                let listed = query_of(limit, &every);
                let listed = roll_up_within(usize::MAX, (&catalogue, &*counters, &listed));
                named += listed.rows.iter().filter(|row| row.name.is_some()).count();
                cut += usize::from(listed.rows.len() < 150);
                for nodes_max in [usize::MAX, 100, 7] {
                    let query = query(limit);
                    let all = roll_up_within(nodes_max, (&catalogue, &*counters, &query));
                    assert_eq!(all, listed, "seed {seed}, limit {limit}, {nodes_max} nodes at a time");
                }
            }
            assert!(named > 50, "{named} rows with names");
        }
        assert!(cut > 40, "{cut} reports with fewer rows than there are nodes");
    }
}
