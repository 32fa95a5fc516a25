//! The checked query: a query string turned into ranges of hours, units, stories and sources.
//! Knows nothing of counters; the catalogue only to estimate the size.

mod fault;
mod parameters;
mod streamed;
mod window;

use chrono::NaiveDate;

use super::ReportName;
use crate::limits::{
    DATA_POINTS_MAX, GROUPED_POINTS_MAX, QUERY_FAULTS_SHOWN_MAX, REPORT_ROWS_DEFAULT, REPORT_ROWS_MAX,
    WHOLE_TEXT_POINTS_MAX, wide,
};
use crate::model::calendar::{CompareWith, HourRange, LocalRange, Unit, UnixSeconds, ZoneDatabase};
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::model::event::{ObjectId, Source, StoryId};
use crate::model::named::named_enum;
use crate::model::story_set::StorySet;
pub use fault::{QueryError, QueryFault};
use parameters::GivenParameters;
pub(crate) use parameters::ReportParameter;
use window::Window;

named_enum! {
    /// What a series is split by, as in the parameter `group`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum GroupBy {
        /// One group per story.
        Story = "storyId",
        /// One group per source.
        Source = "source",
    }
}

named_enum! {
    /// How an answer is written, as in the parameter `format`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum FormatName {
        /// Each report in a shape of its own.
        Json = "json",
        /// A table as comma-separated values.
        Csv = "csv",
        /// The same table as a JSON list of objects.
        Rows = "rows",
    }
}

/// A checked query. INVARIANT: everything in it is in range, and the size of the answer is bounded.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which report is asked for.
    pub report: ReportName,
    /// Widened to whole local hours.
    pub(super) range: LocalRange,
    /// The earlier range that it is compared with.
    pub(super) earlier: Option<LocalRange>,
    /// What each data point spans; without meaning in the reports that have none.
    pub(super) unit: Unit,
    /// What the series is split by.
    pub group: Option<GroupBy>,
    /// The stories that it is about: of those that the asker may know of, the ones that it names, or all.
    pub(super) stories: StorySet,
    /// Whether it names stories.
    pub(super) names_stories: bool,
    /// The sources that it is about, in order.
    pub(super) sources: Vec<Source>,
    /// Most groups or rows of the answer.
    pub(super) rows_max: usize,
    /// The format that it names.
    pub format: Option<FormatName>,
}

const DIMENSION_TAKES: &str = "auto, year, month, day or hour";
const GROUP_TAKES: &str = "storyId or source";
const COMPARE_TAKES: &str = "previous, year or weekday";
const FORMAT_TAKES: &str = "json, csv or rows";
const SOURCE_TAKES: &str = "messenger, livechat, livechat3, slack, widget, app or custom, one or several";
const STORY_TAKES: &str = "story ids of exactly 24 letters and digits, one or several";
const ONE_STORY_TAKES: &str = "one story id in this report";
const LIMIT_TAKES: &str = "a whole number from 1 to 10000";

impl Query {
    /// Checks a query string. `pairs` are its decoded names and values in order, `now_unix_ms` the present in
    /// milliseconds since the epoch, `zones` the time zones. `visible` are the stories that the asker may know of, with how
    /// many of them are known: all others are as if unknown.
    ///
    /// # Errors
    /// Every fault that was found, at least one, at most [`QUERY_FAULTS_SHOWN_MAX`].
    pub fn parse<T: AsRef<str>>(
        report: ReportName,
        pairs: &[(T, T)],
        now_unix_ms: i64,
        (visible, stories_known): (&StorySet, usize),
        zones: &ZoneDatabase,
    ) -> Result<Self, Vec<QueryError>> {
        let mut given = GivenParameters::collect(report, pairs);
        let zone = window::zone(&mut given, zones);
        let window = window::window(&mut given, zone, now_unix_ms);
        let sources = given.several(ReportParameter::Source, |name| Source::parse(name), SOURCE_TAKES);
        let stories = stories(report, &mut given);
        let group = group(&mut given);
        let rows_max = limit(&mut given);
        let unit = unit(&mut given, window.as_ref());
        let compare_with = compare_with(&mut given);
        let format = format(&mut given);
        let sources = sources.unwrap_or_else(|| Source::ALL.to_vec());
        let GivenParameters { mut faults, .. } = given;
        let (Some(window), Some(unit), Some(rows_max)) = (window, unit, rows_max) else {
            faults.truncate(QUERY_FAULTS_SHOWN_MAX);
            return Err(faults);
        };
        let earlier = compare_with.map(|with| with.earlier_range(window.asked()));
        if report.is_series() {
            let groups = match group {
                None => None,
                Some(GroupBy::Source) => Some(sources.len()),
                Some(GroupBy::Story) => Some(stories.as_ref().map_or(stories_known, Vec::len)),
            };
            let ranges = (&window.range, earlier.as_ref());
            faults.extend(check_points(unit, ranges, groups.map(|groups| groups.min(rows_max))));
        }
        if faults.is_empty() {
            let names_stories = stories.is_some();
            let (range, stories) = (window.range, visible.narrowed_to(stories));
            let about = Self {
                report,
                range,
                earlier,
                unit,
                group,
                stories,
                names_stories,
                sources,
                rows_max,
                format,
            };
            return Ok(about);
        }
        faults.truncate(QUERY_FAULTS_SHOWN_MAX);
        Err(faults)
    }

    /// The dates of the range's first and last day.
    pub fn local_dates(&self) -> [NaiveDate; 2] {
        let last = if self.range.is_empty() { self.range.end() } else { self.range.end().plus(-1) };
        [self.range.start(), last].map(|at| self.range.zone().date(at))
    }

    /// The buckets to add up.
    pub fn hours(&self) -> HourRange {
        self.range.hours()
    }

    /// The first moment that is kept, where hours were dropped that the query is about, or that it is compared with. To be asked
    /// after the counts were read.
    pub fn dropped_before(&self, counters: &Counters) -> Option<UnixSeconds> {
        let first_kept = counters.dropped_before()?;
        let ranges = [Some(&self.range), self.earlier.as_ref()];
        let mut hours = ranges.into_iter().flatten().map(LocalRange::hours).filter(|hours| !hours.is_empty());
        hours.any(|hours| hours.start < first_kept).then(|| UnixSeconds::new(first_kept.unix_seconds()))
    }

    /// The sources that it is about, in order.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The same query about the earlier range, where it is compared with one; it asks for no groups of its own.
    pub(super) fn about_earlier_range(&self) -> Option<Self> {
        let range = self.earlier.clone()?;
        Some(Self { range, earlier: None, group: None, ..self.clone() })
    }

    /// Whether the answer may be too large to hold its text in memory as a whole.
    pub fn may_be_large(&self, catalogue: &Catalogue) -> bool {
        self.group.is_some() && self.points(catalogue) > wide(WHOLE_TEXT_POINTS_MAX)
    }

    /// Data points of a series and its groups, at most.
    pub(super) fn points(&self, catalogue: &Catalogue) -> u64 {
        let stories = self.stories.list().map_or_else(|| catalogue.story_count(), <[_]>::len);
        let groups = match self.group {
            None => 0,
            Some(GroupBy::Source) => self.sources.len(),
            Some(GroupBy::Story) => stories.min(self.rows_max),
        };
        let earlier = self.earlier.as_ref().map_or(0, |range| self.unit.count_in(range));
        let points = self.unit.count_in(&self.range).saturating_add(earlier);
        points.saturating_mul(wide(groups).saturating_add(1))
    }
}

fn stories(report: ReportName, given: &mut GivenParameters<'_>) -> Option<Vec<StoryId>> {
    let parse = |text: &str| ObjectId::parse(text.as_bytes()).map(StoryId);
    let stories = given.several(ReportParameter::StoryId, parse, STORY_TAKES)?;
    if let [_, second, ..] = stories.as_slice()
        && !report.is_series()
    {
        given.faults.push(ReportParameter::StoryId.bad(&second.to_string(), ONE_STORY_TAKES));
    }
    Some(stories)
}

fn group(given: &mut GivenParameters<'_>) -> Option<GroupBy> {
    let text = given.one(ReportParameter::Group)?;
    let names = GroupBy::ALL.map(GroupBy::as_str);
    given.parsed((ReportParameter::Group, text), GroupBy::parse(text), GROUP_TAKES, names)
}

fn compare_with(given: &mut GivenParameters<'_>) -> Option<CompareWith> {
    let text = given.one(ReportParameter::Compare)?;
    let names = CompareWith::ALL.map(CompareWith::as_str);
    given.parsed((ReportParameter::Compare, text), CompareWith::parse(text), COMPARE_TAKES, names)
}

fn format(given: &mut GivenParameters<'_>) -> Option<FormatName> {
    let text = given.one(ReportParameter::Format)?;
    let names = FormatName::ALL.map(FormatName::as_str);
    given.parsed((ReportParameter::Format, text), FormatName::parse(text), FORMAT_TAKES, names)
}

fn limit(given: &mut GivenParameters<'_>) -> Option<usize> {
    let Some(text) = given.one(ReportParameter::Limit) else { return Some(REPORT_ROWS_DEFAULT) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=REPORT_ROWS_MAX).contains(limit));
    given.parsed((ReportParameter::Limit, text), limit, LIMIT_TAKES, [])
}

/// The unit that was asked for; `None` after a fault, its own or one of the range that `auto` depends on.
fn unit(given: &mut GivenParameters<'_>, window: Option<&Window>) -> Option<Unit> {
    match given.one(ReportParameter::Dimension) {
        None => Some(Unit::Day),
        Some("auto") => {
            window.map(|window| Unit::suiting(&window.range, window.asked_from, window.asked_end.moment()))
        }
        Some(text) => {
            let names = Unit::ALL.into_iter().map(Unit::as_str).chain(["auto"]);
            given.parsed((ReportParameter::Dimension, text), Unit::parse(text), DIMENSION_TAKES, names)
        }
    }
}

/// Refuses an answer with too many data points, in each series or in all of `groups` together. A series and the one that it
/// is compared with are two.
fn check_points(
    unit: Unit,
    (range, earlier): (&LocalRange, Option<&LocalRange>),
    groups: Option<usize>,
) -> Option<QueryError> {
    let (points_max, grouped_max) = (wide(DATA_POINTS_MAX), wide(GROUPED_POINTS_MAX));
    let groups = wide(groups.unwrap_or(1)).max(1);
    let counted = |unit: Unit| {
        let (of_range, of_earlier) = (unit.count_in(range), earlier.map_or(0, |range| unit.count_in(range)));
        (of_range.max(of_earlier), of_range.saturating_add(of_earlier))
    };
    let fits =
        |(longest, all): (u64, u64)| longest <= points_max && all.saturating_mul(groups) <= grouped_max;
    let (longest, all) = counted(unit);
    if fits((longest, all)) {
        return None;
    }
    let coarser = Unit::ALL.into_iter().find(|coarser| *coarser > unit && fits(counted(*coarser)));
    let mut fitting = Vec::new();
    fitting.extend(coarser.map(|coarser| format!("dimension={}", coarser.as_str())));
    if longest <= points_max
        && let Some(limit) = grouped_max.checked_div(all)
    {
        fitting.push(format!("limit={limit}"));
    }
    let fitting = if fitting.is_empty() {
        "a shorter range fits".to_owned()
    } else {
        format!("{} fits", fitting.join(" or "))
    };
    let (points, max) =
        if longest > points_max { (longest, points_max) } else { (all.saturating_mul(groups), grouped_max) };
    let fault = QueryFault::TooManyPoints { unit: unit.as_str(), points, max, fitting };
    Some(QueryError::new(ReportParameter::Dimension.as_str(), fault))
}
