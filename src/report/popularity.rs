//! Interactions by use. Knows nothing of output formats.
//!
//! Over several stories a node is one row: the fallbacks and the welcomes by nature, interactions where stories use
//! the same id for one; its name is then that of the story which used it most, of the first by id where two did so
//! alike.

use std::cmp::Reverse;
use std::sync::Arc;

use super::query::Query;
use super::summary::{Figure, percent_hundredths};
use crate::catalogue::{Catalogue, NodeEntry, Story};
use crate::counters::Counters;
use crate::event::{Node, Source, StoryId};

/// Every known interaction, by use.
#[derive(Clone, PartialEq, Debug)]
pub struct PopularityReport {
    rows: Vec<PopularityRow>,
    total: u64,
}

impl PopularityReport {
    /// The rows, most used first, as many as the limit allows.
    pub fn rows(&self) -> &[PopularityRow] {
        &self.rows
    }

    /// The uses of all rows, those included that the limit has cut.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The share of the total that a row has, in percent.
    pub fn usage(&self, row: &PopularityRow) -> Figure {
        Figure::Hundredths(percent_hundredths(row.value, self.total))
    }
}

/// One interaction and how often it was used.
#[derive(Clone, PartialEq, Debug)]
pub struct PopularityRow {
    node: Node,
    name: Option<Arc<str>>,
    value: u64,
}

impl PopularityRow {
    /// Which interaction.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What it is called: an interaction without a name by its id, the others always by what they are.
    pub fn name(&self) -> &str {
        match &self.node {
            Node::Interaction(id) => self.name.as_deref().unwrap_or(id.0.as_str()),
            Node::ContextFallback(_) | Node::Fallback => "Fallback Interaction",
            Node::Welcome => "Welcome Interaction",
        }
    }

    /// How often it was used in the range.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Value descending, then kind, name and id.
    fn order(&self) -> (Reverse<u64>, u8, &str, &Node) {
        let kind = match self.node {
            Node::Interaction(_) => 0,
            Node::ContextFallback(_) => 1,
            Node::Fallback => 2,
            Node::Welcome => 3,
        };
        (Reverse(self.value), kind, self.name(), &self.node)
    }
}

/// One node of one story.
struct Use {
    node: Node,
    value: u64,
    story: Option<StoryId>,
    name: Option<Arc<str>>,
}

pub(super) fn answer(catalogue: &Catalogue, counters: &Counters, query: &Query) -> PopularityReport {
    let stories = match query.stories() {
        Some(ids) => ids.iter().filter_map(|id| catalogue.story(*id)).collect(),
        None => catalogue.stories(),
    };
    let mut uses = Vec::new();
    if query.stories().is_some() || !stories.is_empty() {
        let always = |node| Use { node, value: 0, story: None, name: None };
        uses.extend([always(Node::Fallback), always(Node::Welcome)]);
    }
    let mut nodes = Vec::new();
    for story in &stories {
        add_uses(story, (counters, query), &mut nodes, &mut uses);
    }
    let mut rows = merged(uses);
    let total = rows.iter().fold(0_u64, |total, row| total.saturating_add(row.value));
    rows.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
    rows.truncate(query.rows_max());
    PopularityReport { rows, total }
}

/// Adds the uses of every known node of a story. `nodes` is room to work in.
fn add_uses(
    story: &Story,
    (counters, query): (&Counters, &Query),
    nodes: &mut Vec<NodeEntry>,
    uses: &mut Vec<Use>,
) {
    // Copied out first: the story must not stay locked while its counters are added up.
    nodes.clear();
    story.for_each_node(&mut |node| nodes.push(node.clone()));
    for entry in nodes.drain(..) {
        let sources = query.sources().unwrap_or(&Source::ALL).iter();
        let value = sources
            .filter_map(|source| entry.series.get(source.index()).copied().flatten())
            .fold(0_u64, |sum, series| sum.saturating_add(counters.sum(series, query.hours())));
        uses.push(Use { node: entry.node, value, story: Some(story.id()), name: entry.name });
    }
}

/// One row per node, with the name of the use that has one and the greatest value.
fn merged(mut uses: Vec<Use>) -> Vec<PopularityRow> {
    uses.sort_unstable_by_key(|used| (used.node, used.name.is_none(), Reverse(used.value), used.story));
    let mut rows: Vec<PopularityRow> = Vec::with_capacity(uses.len());
    for used in uses {
        match rows.last_mut() {
            Some(row) if row.node == used.node => row.value = row.value.saturating_add(used.value),
            _ => rows.push(PopularityRow { node: used.node, name: used.name, value: used.value }),
        }
    }
    rows
}
