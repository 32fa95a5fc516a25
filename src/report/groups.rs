//! A series split by story or by source. Knows nothing of output formats.
//!
//! INVARIANT: at most twice as many groups as the limit are held at any time, however many stories there are.

use std::cmp::Reverse;
use std::sync::Arc;

use super::query::{GroupBy, Query};
use super::roll::series_of_story;
use super::series::{Columns, Points};
use crate::calendar::Units;
use crate::catalogue::{Catalogue, Story, total_series};
use crate::counters::Counters;
use crate::event::{Source, StoryId};

/// The groups that counted anything in the range, greatest total first, then by key.
#[derive(Clone, PartialEq, Debug)]
pub struct Groups {
    pub(super) list: Vec<Group>,
    pub(super) omitted: usize,
}

impl Groups {
    /// The groups, as many as the limit allows.
    pub fn list(&self) -> &[Group] {
        &self.list
    }

    /// How many more groups counted something.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

/// One group of a series.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    pub(super) key: GroupKey,
    pub(super) name: Option<Arc<str>>,
    pub(super) points: Points,
}

impl Group {
    /// What it is the group of.
    pub fn key(&self) -> GroupKey {
        self.key
    }

    /// The display name of the story, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its values.
    pub fn points(&self) -> &Points {
        &self.points
    }
}

/// What a group is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GroupKey {
    /// One story.
    Story(StoryId),
    /// One source.
    Source(Source),
}

impl GroupKey {
    /// The value of the member that names the group.
    pub fn text(&self) -> &str {
        match self {
            Self::Story(id) => id.0.as_str(),
            Self::Source(source) => source.as_str(),
        }
    }
}

/// The groups, with what they come to together added to `whole`.
pub(super) fn answer(
    by: GroupBy,
    (catalogue, counters, query): (&Catalogue, &Counters, &Query),
    units: &Units,
    whole: &mut Columns,
) -> Groups {
    let mut top = Top::new(query.rows_max());
    let mut columns = whole.clone();
    let named = || query.stories().unwrap_or_default().iter().filter_map(|id| catalogue.story(*id));
    if by == GroupBy::Story {
        let mut add = |story: &Story| {
            columns.clear();
            columns.add(counters, query, units, |metric| series_of_story(story, query, metric));
            whole.add_columns(&columns);
            top.offer(GroupKey::Story(story.id()), Some(story), &columns);
        };
        match query.stories() {
            Some(_) => named().for_each(|story| add(&story)),
            None => catalogue.for_each_story(&mut add),
        }
        return top.into_groups();
    }
    let stories: Vec<Arc<Story>> = named().collect();
    for source in query.sources().unwrap_or(&Source::ALL) {
        columns.clear();
        if query.stories().is_none() {
            columns.add(counters, query, units, |metric| total_series(metric, Some(*source)));
        }
        for story in &stories {
            columns.add(counters, query, units, |metric| story.series(metric, *source));
        }
        whole.add_columns(&columns);
        top.offer(GroupKey::Source(*source), None, &columns);
    }
    top.into_groups()
}

/// The greatest groups so far.
struct Top {
    kept: Vec<Candidate>,
    kept_max: usize,
    seen: usize,
    /// Once there are enough: what a group must come before to be kept.
    last_kept: Option<(u64, GroupKey)>,
}

struct Candidate {
    total: u64,
    key: GroupKey,
    story_name: Option<Arc<str>>,
    points: Points,
}

impl Candidate {
    fn order(&self) -> (Reverse<u64>, &str) {
        (Reverse(self.total), self.key.text())
    }
}

impl Top {
    fn new(kept_max: usize) -> Self {
        Self { kept: Vec::new(), kept_max, seen: 0, last_kept: None }
    }

    fn offer(&mut self, key: GroupKey, story: Option<&Story>, columns: &Columns) {
        if columns.is_zero() {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        let total = columns.total_shown();
        if let Some((last_total, last_key)) = &self.last_kept
            && (Reverse(total), key.text()) > (Reverse(*last_total), last_key.text())
        {
            return;
        }
        let story_name = story.and_then(Story::name);
        self.kept.push(Candidate { total, key, story_name, points: columns.points() });
        if self.kept.len() >= self.kept_max.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        self.kept.truncate(self.kept_max);
        if self.kept.len() == self.kept_max {
            self.last_kept = self.kept.last().map(|last| (last.total, last.key));
        }
    }

    fn into_groups(mut self) -> Groups {
        self.cut();
        let omitted = self.seen.saturating_sub(self.kept.len());
        let group = |candidate: Candidate| Group {
            key: candidate.key,
            name: candidate.story_name,
            points: candidate.points,
        };
        Groups { list: self.kept.into_iter().map(group).collect(), omitted }
    }
}
