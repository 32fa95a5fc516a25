//! A series split by story or by source. Knows nothing of output formats.
//!
//! INVARIANT: at most twice as many groups as the limit are held at any time, however many stories there are.

use std::cmp::Reverse;
use std::sync::Arc;

use super::columns::{Columns, Points, SparseColumns};
use super::query::{GroupBy, Query};
use super::roll_up::series_of_story;
use crate::limits::{STORIES_GATHERED_MAX, narrow};
use crate::model::calendar::Units;
use crate::model::catalogue::{Catalogue, Story, total_series};
use crate::model::counters::Counters;
use crate::model::event::{Metric, SeriesId, Source, StoryId};

/// The groups that counted anything in the range, greatest total first, then by key.
#[derive(Clone, PartialEq, Debug)]
pub struct Groups {
    pub(crate) by: GroupBy,
    /// As many as the limit allows.
    pub(crate) list: Vec<Group>,
    /// How many more groups counted something.
    pub(crate) omitted: usize,
}

/// One group of a series.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    pub(crate) key: GroupKey,
    /// The display name of the story, where it has one.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) points: Points,
    /// Its points in the earlier range that the series is compared with.
    pub(crate) comparison: Option<Box<Points>>,
}

impl Group {
    fn total(&self) -> u64 {
        self.points.summary.total.value()
    }
}

/// The story or source of a group.
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

/// Rolls up the groups, and adds their sum to `whole`.
pub(super) fn roll_up(
    by: GroupBy,
    (catalogue, counters, query): (&Catalogue, &Counters, &Query),
    units: &Units,
    whole: &mut Columns,
) -> Groups {
    let mut top = TopGroups::new(query.rows_max);
    let mut columns = whole.clone();
    let stories = query.stories.list().into_iter().flatten().filter_map(|id| catalogue.story(*id));
    if by == GroupBy::Story && !query.stories.is_limited() {
        add_all_stories((catalogue, counters, query), units, whole, &mut top);
        return top.into_groups(by);
    }
    if by == GroupBy::Story {
        for story in stories {
            columns.clear();
            columns.add(counters, query, units, |metric| series_of_story(&story, query, metric));
            whole.add_columns(&columns);
            top.offer_columns(&columns, || Some((GroupKey::Story(story.id()), story.name())));
        }
        return top.into_groups(by);
    }
    let stories: Vec<Arc<Story>> = stories.collect();
    for source in &query.sources {
        columns.clear();
        if !query.stories.is_limited() {
            columns.add(counters, query, units, |metric| total_series(metric, Some(*source)));
        }
        for story in &stories {
            columns.add(counters, query, units, |metric| story.series(metric, *source));
        }
        whole.add_columns(&columns);
        top.offer_columns(&columns, || Some((GroupKey::Source(*source), None)));
    }
    top.into_groups(by)
}

/// Adds every story, by way of the table of all series: looking each story's series up costs more than adding them up,
/// and most stories have none of a metric.
fn add_all_stories(
    (catalogue, counters, query): (&Catalogue, &Counters, &Query),
    units: &Units,
    whole: &mut Columns,
    top: &mut TopGroups,
) {
    let stories = catalogue.story_numbers_end();
    let mut columns = SparseColumns::new(whole.measure, (units, query.hours()), narrow(stories));
    let mut gathered: Vec<Gathered> = Vec::new();
    let all_sources = query.sources.len() == Source::ALL.len();
    let (first, metrics) = (whole.measure.first(), whole.measure.metrics().collect::<Vec<Metric>>());
    let mut start = 0;
    while start < stories {
        let end = start.saturating_add(AT_A_TIME).min(stories);
        gathered.clear();
        catalogue.for_each_series_of(&metrics, &(start..end), &mut |story, metric, source, series| {
            if all_sources || query.sources.contains(&source) {
                gathered.push(Gathered { story, series, is_first: metric == first });
            }
        });
        let mut ahead = gathered.iter().skip(TOUCHED_AHEAD);
        for of_story in gathered.chunk_by(|a, b| a.story == b.story) {
            let Some(Gathered { story, .. }) = of_story.first() else { continue };
            ahead.by_ref().take(of_story.len()).for_each(|next| counters.prefetch(next.series));
            columns.clear();
            for one in of_story {
                columns.add(counters, one.series, one.is_first);
            }
            if columns.is_zero() {
                continue;
            }
            columns.add_to(whole);
            let identify = || {
                let story = catalogue.story_numbered(*story)?;
                Some((GroupKey::Story(story.id()), story.name()))
            };
            top.offer(columns.total_shown(), || columns.points(), identify);
        }
        start = end;
    }
}

/// A series of a metric of a story, which is given by number.
#[derive(Clone, Copy)]
struct Gathered {
    story: u32,
    series: SeriesId,
    /// Of the first metric of the measure.
    is_first: bool,
}

/// Stories that are gathered at a time; few in the tests, so that they see the seams.
const AT_A_TIME: u32 = if cfg!(test) { 7 } else { STORIES_GATHERED_MAX };
/// Series that are prefetched while others are added up.
const TOUCHED_AHEAD: usize = 16;

/// The greatest groups so far.
struct TopGroups {
    kept: Vec<Group>,
    kept_max: usize,
    seen: usize,
    /// The last of the kept groups, once there are enough: a group that sorts behind it is not kept.
    last_kept: Option<(u64, GroupKey)>,
}

impl TopGroups {
    fn new(kept_max: usize) -> Self {
        Self { kept: Vec::new(), kept_max, seen: 0, last_kept: None }
    }

    /// Keeps the group, if it counted anything and its total is among the greatest.
    fn offer_columns(
        &mut self,
        columns: &Columns,
        identify: impl FnOnce() -> Option<(GroupKey, Option<Arc<str>>)>,
    ) {
        if !columns.is_zero() {
            self.offer(columns.total_shown(), || columns.points(), identify);
        }
    }

    /// Keeps a group that counted something if its total is among the greatest. Asks for the rest only then.
    fn offer(
        &mut self,
        total: u64,
        points: impl FnOnce() -> Points,
        identify: impl FnOnce() -> Option<(GroupKey, Option<Arc<str>>)>,
    ) {
        self.seen = self.seen.saturating_add(1);
        if self.last_kept.is_some_and(|(last_total, _)| total < last_total) {
            return;
        }
        let Some((key, name)) = identify() else { return };
        if let Some((last_total, last_key)) = &self.last_kept
            && (Reverse(total), key.text()) > (Reverse(*last_total), last_key.text())
        {
            return;
        }
        self.kept.push(Group { key, name, points: points(), comparison: None });
        if self.kept.len() >= self.kept_max.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept
            .sort_unstable_by(|a, b| b.total().cmp(&a.total()).then_with(|| a.key.text().cmp(b.key.text())));
        self.kept.truncate(self.kept_max);
        if self.kept.len() == self.kept_max {
            self.last_kept = self.kept.last().map(|last| (last.total(), last.key));
        }
    }

    fn into_groups(mut self, by: GroupBy) -> Groups {
        self.cut();
        let omitted = self.seen.saturating_sub(self.kept.len());
        Groups { by, list: self.kept, omitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::{Change, Definition, Increment};
    use crate::model::calendar::{Hour, ZoneDatabase};
    use crate::model::catalogue::CatalogueLimits;
    use crate::model::event::{ObjectId, SeriesKey};
    use crate::model::story_set::StorySet;
    use crate::report::{ReportFormat, ReportName, roll_up};

    #[test]
    fn all_stories_make_the_same_groups_as_every_story_by_name() {
        let (counters, mut writer) = Counters::new();
        let catalogue = Catalogue::new(CatalogueLimits::default());
        let id =
            |number: u32| StoryId(ObjectId::parse(format!("{:024}", number * 37 % 50).as_bytes()).unwrap());
        for step in 0..400_u32 {
            let metric = [Metric::Conversations, Metric::Messages, Metric::PaidConversations];
            let key = SeriesKey {
                story: id(step % 50),
                source: Source::ALL[usize::try_from(step * 5 % 7).unwrap()],
                metric: metric[usize::try_from(step * 11 / 7 % 3).unwrap()],
            };
            let series = catalogue.intern(&key).unwrap();
            // Some are not durable yet, and so not known.
            if step % 9 > 0 {
                catalogue.mark_durable(&Definition { id: series, key });
            }
            writer.define(series, &key);
            // Few different totals, so that many are alike.
            writer.add(&[Increment { series, hour: Hour::new(430_000 + step), count: step % 3 }]);
        }
        for gone in catalogue.apply(&Change::DeleteStory { story: id(8) }) {
            writer.clear(gone);
        }
        let every: Vec<String> = (0..50).map(|number| id(number).to_string()).collect();
        let every = every.join(",");
        for report in [ReportName::Conversations, ReportName::Messages, ReportName::Average] {
            for more in [
                "from=2018-1-1&to=2019-12-31&limit=1",
                "from=2018-1-1&to=2019-12-31&limit=10",
                "from=2018-1-1&to=2019-12-31&limit=100&source=app,slack",
                "from=2018-1-1&to=2019-12-31&limit=49&dimension=year",
                // So few hours that the unit of each is listed.
                "from=2019-1-25&to=2019-2-2&limit=10&dimension=hour",
                "from=2019-1-25&to=2019-2-2&limit=50&dimension=day&offset=90",
                "from=2019-1-25&to=2019-2-2&limit=7&dimension=day&compare=previous",
            ] {
                let text = |stories: &str| {
                    let query = format!("group=storyId&{more}&{stories}");
                    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                    let query = Query::parse(
                        report,
                        &pairs,
                        1_600_000_000_000,
                        (&StorySet::ALL, catalogue.story_count()),
                        &ZoneDatabase::bundled(),
                    )
                    .unwrap();
                    let mut text = Vec::new();
                    roll_up(&catalogue, &counters, &query).write(ReportFormat::Json, &mut text);
                    String::from_utf8(text).unwrap()
                };
                let all = text("");
                assert!(all.contains("\"storyId\""), "{all}");
                assert!(all == text(&format!("storyId={every}")), "{report:?} {more}");
            }
        }
    }
}
