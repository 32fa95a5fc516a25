//! The digest of what is counted: of all that there is, and what the parts of a message add to it before they are counted.
//! Changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::cluster::digest::{Digest, SeriesHash};
use crate::model::batch::{Change, SeriesId};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, Story};
use crate::model::counters::Counters;
use crate::model::event::{Metric, Node, SeriesKey, StoryId};

/// Of all that is counted and known. Reads every counter.
pub(crate) fn of_all(catalogue: &Catalogue, counters: &Counters) -> Digest {
    let mut digest = Digest::EMPTY;
    catalogue.for_each_series(&mut |series, key| digest = digest.plus(of_series(counters, series, key)));
    for story in catalogue.stories() {
        digest = digest.plus(Digest::of_story(story.id(), story.name().as_deref()));
        story.for_each_node(&mut |entry| {
            digest = digest.plus(Digest::of_node((story.id(), entry.node), entry.name.as_deref()));
        });
    }
    digest
}

fn of_series(counters: &Counters, series: SeriesId, key: &SeriesKey) -> Digest {
    let (mut digest, hash) = (Digest::EMPTY, SeriesHash::of(key));
    counters.visit(series, HourRange::ALL, &mut |cells| {
        for cell in cells {
            digest = digest.plus(hash.cell(cell.hour, u64::from(cell.count)));
        }
    });
    digest
}

/// What is known of a story or node: nothing, or its name, where it has one.
type Known = Option<Option<Arc<str>>>;

/// The digest as it will be once the parts that are taken are counted.
#[derive(Debug)]
pub(in crate::store) struct Ahead<'a> {
    catalogue: &'a Catalogue,
    counters: &'a Counters,
    digest: Digest,
    /// What will be known otherwise than it is.
    stories: HashMap<StoryId, Known>,
    nodes: HashMap<(StoryId, Node), Known>,
    /// Stories of which nothing that is known now will be.
    deleted: HashSet<StoryId>,
}

impl<'a> Ahead<'a> {
    /// Goes on from the digest of what is counted now.
    pub(in crate::store) fn new(catalogue: &'a Catalogue, counters: &'a Counters, digest: Digest) -> Self {
        let (stories, nodes, deleted) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { catalogue, counters, digest, stories, nodes, deleted }
    }

    /// With what was taken.
    pub(in crate::store) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the story was deleted by what was taken.
    pub(in crate::store) fn has_deleted(&self, story: StoryId) -> bool {
        self.deleted.contains(&story)
    }

    /// Takes what increments add.
    pub(in crate::store) fn add(&mut self, share: Digest) {
        self.digest = self.digest.plus(share);
    }

    /// Takes a change. `counted` are the increments that were taken before it and since the story was deleted last.
    pub(in crate::store) fn change<'b>(
        &mut self,
        change: &Change,
        counted: impl Iterator<Item = (&'b SeriesKey, Hour, u32)>,
    ) {
        match change {
            Change::Story { story, name } => self.know_story(*story, name.as_deref()),
            Change::Node { story, node, name } => {
                self.know_story(*story, None);
                self.know_node((*story, *node), name.as_deref());
            }
            Change::DeleteStory { story } => self.delete(*story, counted),
        }
    }

    /// Takes that a series is known from now on.
    pub(in crate::store) fn define(&mut self, key: &SeriesKey) {
        self.know_story(key.story, None);
        if let Metric::Interaction(node) = key.metric {
            self.know_node((key.story, node), None);
        }
    }

    fn know_story(&mut self, story: StoryId, name: Option<&str>) {
        let known = self.story(story);
        let next = next_name(&known, name);
        self.replace(known, next.as_deref(), |name| Digest::of_story(story, name));
        self.stories.insert(story, Some(next));
    }

    fn know_node(&mut self, at: (StoryId, Node), name: Option<&str>) {
        let known = self.node(at);
        let next = next_name(&known, name);
        self.replace(known, next.as_deref(), |name| Digest::of_node(at, name));
        self.nodes.insert(at, Some(next));
    }

    fn replace(&mut self, known: Known, next: Option<&str>, share: impl Fn(Option<&str>) -> Digest) {
        let before = known.map_or(Digest::EMPTY, |name| share(name.as_deref()));
        self.digest = self.digest.minus(before).plus(share(next));
    }

    fn delete<'b>(&mut self, story: StoryId, counted: impl Iterator<Item = (&'b SeriesKey, Hour, u32)>) {
        let Some(name) = self.story(story) else { return };
        let mut gone = Digest::of_story(story, name.as_deref());
        let mut nodes: HashSet<Node> =
            self.nodes.keys().filter(|(of, _)| *of == story).map(|(_, node)| *node).collect();
        if let Some(kept) = self.kept_story(story) {
            kept.for_each_node(&mut |entry| {
                nodes.insert(entry.node);
            });
            let mut series = Vec::new();
            kept.series_of_all(&mut series);
            for id in series {
                if let Some(key) = self.catalogue.key(id) {
                    gone = gone.plus(of_series(self.counters, id, &key));
                }
            }
        }
        for node in nodes {
            if let Some(name) = self.node((story, node)) {
                gone = gone.plus(Digest::of_node((story, node), name.as_deref()));
            }
            self.nodes.insert((story, node), None);
        }
        for (key, hour, count) in counted.filter(|(key, _, _)| key.story == story) {
            gone = gone.plus(SeriesHash::of(key).cell(hour, u64::from(count)));
        }
        self.digest = self.digest.minus(gone);
        self.stories.insert(story, None);
        self.deleted.insert(story);
    }

    fn story(&self, story: StoryId) -> Known {
        let ahead = self.stories.get(&story).cloned();
        ahead.unwrap_or_else(|| self.kept_story(story).map(|story| story.name()))
    }

    fn node(&self, at: (StoryId, Node)) -> Known {
        let kept = || {
            let story = self.kept_story(at.0).filter(|story| story.knows_node(at.1))?;
            Some(story.node_name(at.1))
        };
        self.nodes.get(&at).cloned().unwrap_or_else(kept)
    }

    /// The story as it is known now, where what was taken leaves something of it.
    fn kept_story(&self, story: StoryId) -> Option<Arc<Story>> {
        if self.has_deleted(story) { None } else { self.catalogue.story(story) }
    }
}

/// The name behind a change that gives one, or none.
fn next_name(known: &Known, name: Option<&str>) -> Option<Arc<str>> {
    name.map(Arc::from).or_else(|| known.clone().flatten())
}
