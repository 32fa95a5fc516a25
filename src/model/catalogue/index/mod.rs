//! The index of the usual series: from the very bytes of a story's id, or of a story's and an interaction's, to the series of
//! each source, in one row of one or two cache lines. Shared by all parsers, who read it without a lock; so what one
//! connection has taught it every other one knows, and a thousand stories need no more than a processor's own cache.
//! Knows neither names nor counts. The catalogue has the truth; the index only finds it quickly.
//!
//! INVARIANT: a series is found only under the very ids that it was put under, and is what the catalogue has interned
//! for them. A row, once there, stays as long as its table; only its links change.
//! INVARIANT: a link of the newest tables says *confirmed* only while the catalogue does: it is set and taken back under the
//! lock alone, and taken back before the catalogue's generation goes up. Whoever reads the generation, then
//! [`Index::refresh`]es, sees no confirmation of an older one.
//!
//! Tables that were replaced stay while a parser has them: at most as much again as the newest, since each is half of the
//! next.

mod row;
mod slots;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{INDEX_NODE_SLOTS_MAX, INDEX_SLOTS_MIN, INDEX_STORY_SLOTS_MAX};
use crate::model::event::{InteractionId, Metric, Node, SeriesId, SeriesKey};
pub(crate) use row::{IdText, Indexed, Link, NodeRow, StoryRow};
use row::{Words, low};
use slots::Slots;

/// What the rows of a key say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The story's number.
    pub(super) story: u32,
    /// Where the node stands in its story, if there is one and it has a row.
    pub(super) node: Option<u32>,
}

/// Where a look-up begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    story: u32,
    node: u32,
}

/// The tables as they are until one of them grows.
#[derive(Debug)]
pub(crate) struct Rows {
    stories: Slots<StoryRow>,
    nodes: Slots<NodeRow>,
    seed: u64,
    /// There are newer ones.
    is_replaced: AtomicBool,
}

impl Rows {
    /// First step of a look-up: arithmetic only.
    #[inline]
    pub(crate) fn probe(&self, story: &IdText, node: Option<&IdText>) -> Probe {
        let story = Words::of(story).hash(self.seed);
        Probe { story: low(story), node: node.map_or(0, |node| low(Words::of(node).hash(story))) }
    }

    /// Second step: begins to bring near what the last one reads. Several look-ups do not wait for each other. What it
    /// returns only serves to keep the loads.
    #[inline]
    pub(crate) fn touch(&self, probe: Probe) -> u32 {
        let story = self.stories.first(probe.story).map_or(0, StoryRow::number);
        // Of an event without a node this is always the same slot, which costs nothing.
        let node = self.nodes.first(probe.node).map_or(0, NodeRow::story);
        story ^ node
    }

    /// Last step: the story's row.
    #[inline]
    pub(crate) fn story(&self, probe: Probe, id: &IdText) -> Option<&StoryRow> {
        let wanted = Words::of(id);
        self.stories.find(probe.story, |row| row.is(&wanted))
    }

    /// Last step, after that of its story: the node's row.
    #[inline]
    pub(crate) fn node(&self, probe: Probe, story: &StoryRow, id: &IdText) -> Option<&NodeRow> {
        let wanted = Words::of(id);
        self.nodes.find(probe.node, |row| row.is(&wanted, story))
    }

    /// What the rows say of a key; `None` where its story has none.
    pub(super) fn known(&self, key: &SeriesKey) -> Option<Known> {
        let (story, node) = (key.story.0.as_bytes(), node_text(&key.metric));
        let probe = self.probe(story, node);
        let row = self.story(probe, story)?;
        let place = node.and_then(|node| self.node(probe, row, node));
        Some(Known { story: row.number().checked_sub(1)?, node: place.map(NodeRow::place) })
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Index {
    newest: Mutex<Newest>,
}

/// The tables that are written to.
#[derive(Debug)]
struct Newest {
    rows: Arc<Rows>,
    stories_taken: usize,
    nodes_taken: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        // Seeded, so that a client cannot prepare ids that collide.
        let seed = RandomState::new().hash_one(INDEX_SLOTS_MIN);
        let rows = Rows {
            stories: Slots::new(INDEX_SLOTS_MIN),
            nodes: Slots::new(INDEX_SLOTS_MIN),
            seed,
            is_replaced: AtomicBool::new(false),
        };
        Self { newest: Mutex::new(Newest { rows: Arc::new(rows), stories_taken: 0, nodes_taken: 0 }) }
    }

    /// The tables as they are now.
    pub(crate) fn rows(&self) -> Arc<Rows> {
        Arc::clone(&self.lock().rows)
    }

    /// Takes over newer tables where there are some.
    #[inline]
    pub(crate) fn refresh(&self, rows: &mut Arc<Rows>) {
        if rows.is_replaced.load(Ordering::Acquire) {
            *rows = self.rows();
        }
    }

    /// Notes the series of a key. Nothing happens for nodes that are no interactions, nor for a new row where there are as
    /// many as there may be: they are found in the catalogue.
    pub(super) fn put(&self, key: &SeriesKey, known: Known, id: SeriesId) {
        let node = node_text(&key.metric);
        if node.is_none() && matches!(key.metric, Metric::Interaction(_)) {
            return;
        }
        let mut newest = self.lock();
        newest.make_room();
        let Newest { rows, stories_taken, nodes_taken } = &mut *newest;
        let story = key.story.0.as_bytes();
        let probe = rows.probe(story, node);
        let row = rows.story(probe, story).or_else(|| {
            let row = rows.stories.free(probe.story, *stories_taken)?;
            row.occupy(story, known.story);
            *stories_taken += 1;
            Some(row)
        });
        let Some(row) = row else { return };
        let link = match node {
            None => row.link(key.metric, key.source),
            Some(node) => {
                let node_row = rows.node(probe, row, node).or_else(|| {
                    let free = rows.nodes.free(probe.node, *nodes_taken)?;
                    free.occupy(node, row, known.node?, probe.node);
                    *nodes_taken += 1;
                    Some(free)
                });
                node_row.and_then(|row| row.link(key.source))
            }
        };
        if let Some(link) = link {
            link.bind(id);
        }
    }

    /// Notes in a link that its series is confirmed, if `is_confirmed` still says so.
    pub(super) fn confirm(&self, link: &Link, is_confirmed: impl FnOnce() -> bool) {
        let _newest = self.lock();
        if is_confirmed() {
            link.confirm();
        }
    }

    /// Takes back what the link of a key says of confirmation.
    pub(super) fn take_back(&self, key: &SeriesKey) {
        let newest = self.lock();
        let rows = &newest.rows;
        let (story, node) = (key.story.0.as_bytes(), node_text(&key.metric));
        let probe = rows.probe(story, node);
        let Some(row) = rows.story(probe, story) else { return };
        let link = match node {
            Some(node) => rows.node(probe, row, node).and_then(|row| row.link(key.source)),
            None => row.link(key.metric, key.source),
        };
        if let Some(link) = link {
            link.take_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    /// Doubles a table that is filled to three quarters, unless it is as large as it may be.
    fn make_room(&mut self) {
        let seed = self.rows.seed;
        let stories = self.rows.stories.larger(self.stories_taken, INDEX_STORY_SLOTS_MAX, seed);
        let nodes = self.rows.nodes.larger(self.nodes_taken, INDEX_NODE_SLOTS_MAX, seed);
        if stories.is_none() && nodes.is_none() {
            return;
        }
        let old = &self.rows;
        let rows = Rows {
            stories: stories.unwrap_or_else(|| old.stories.clone()),
            nodes: nodes.unwrap_or_else(|| old.nodes.clone()),
            seed,
            is_replaced: AtomicBool::new(false),
        };
        let old = std::mem::replace(&mut self.rows, Arc::new(rows));
        old.is_replaced.store(true, Ordering::Release);
    }
}

/// The id of an interaction node.
fn node_text(metric: &Metric) -> Option<&IdText> {
    match metric {
        Metric::Interaction(Node::Interaction(InteractionId(id))) => Some(id.as_bytes()),
        _ => None,
    }
}
