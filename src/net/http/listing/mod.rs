//! The list of stories: which match, in what order, which page. Pure; may use the catalogue and the counters, must
//! not know requests.
//! INVARIANT: the order is total (latest hour first, those without any last, then by id), so that a cursor names one
//! place in it. Stories that become active while somebody pages move to the front and can be seen twice or not.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::limits::narrow;
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, StoriesById, Story, folded};
use crate::model::counters::Counters;
use crate::model::event::{Metric, ObjectId, Source, StoryId};
use crate::model::story_set::StorySet;
use crate::report::{QueryWork, Weight};

/// The place of a story in the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ListPlace {
    /// The last hour in which anything of the story was counted. First in the order, so that a derived comparison
    /// is the list's.
    last: Reverse<Option<Hour>>,
    story: StoryId,
}

impl ListPlace {
    /// The place as an opaque text.
    pub(super) fn to_cursor(self) -> String {
        let mut bytes = [0_u8; 5 + ObjectId::LEN];
        let (hour, id) = bytes.split_at_mut(5);
        if let (Some(last), [known, number @ ..]) = (self.last.0, hour) {
            *known = 1;
            number.copy_from_slice(&last.get().to_be_bytes());
        }
        id.copy_from_slice(self.story.0.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that such a text names; `None` if it is none of ours.
    pub(super) fn from_cursor(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let ([known, number @ ..], id) = bytes.split_first_chunk::<5>()?;
        let last = (*known == 1).then(|| Hour::new(u32::from_be_bytes(*number)));
        Some(Self { last: Reverse(last), story: StoryId(ObjectId::parse(id)?) })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) story: StoryId,
    pub(super) name: Option<String>,
    /// First and last hour in which anything was counted.
    pub(super) span: Option<(Hour, Hour)>,
    pub(super) conversations: u64,
    pub(super) messages: u64,
}

/// What part of the list is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Selection {
    pub(super) search: Option<Search>,
    /// The page begins after this place.
    pub(super) after: Option<ListPlace>,
    pub(super) limit: usize,
}

/// What to look for: a part of a name whatever its case, or the beginning of an id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Search {
    text: String,
    folded: String,
}

impl Search {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), folded: folded(text) }
    }

    fn matches(&self, story: StoryId, name: Option<&str>) -> bool {
        story.0.as_str().starts_with(&self.text)
            || name.is_some_and(|name| folded(name).contains(&self.folded))
    }
}

/// The stories of all that match a search: those whose ids begin with it, and those whose names have it in them.
struct Matching {
    places: Range<usize>,
    /// A bit for each number.
    named: Vec<u64>,
}

impl Matching {
    fn new(search: &Search, catalogue: &Catalogue, order: &StoriesById) -> Self {
        let words = narrow(catalogue.story_numbers_end()).div_ceil(64);
        let mut named = vec![0_u64; words];
        catalogue.for_each_story_named(&search.folded, &mut |number| {
            let (word, bit) = (narrow(number / 64), number % 64);
            if let Some(word) = named.get_mut(word) {
                *word |= 1 << bit;
            }
        });
        Self { places: order.beginning_with(&search.text), named }
    }

    fn has(&self, place: usize, number: u32) -> bool {
        let word = self.named.get(narrow(number / 64)).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1 || self.places.contains(&place)
    }
}

/// One page of the list of those `visible`, and the cursor of the next one if there is more.
pub(super) fn list(
    (catalogue, visible): (&Catalogue, &StorySet),
    counters: &Counters,
    selection: &Selection,
) -> (Vec<Row>, Option<String>) {
    let found = match visible.list() {
        Some(ids) => found_among(ids, catalogue, selection),
        None => found_in_all(catalogue, selection),
    };
    let (page, next) = page(found, selection.limit);
    let stories = page.iter().filter_map(|place| catalogue.story(place.story));
    (stories.map(|story| row(&story, catalogue, counters)).collect(), next)
}

/// The places of the stories with these ids that are asked for.
fn found_among(ids: &[StoryId], catalogue: &Catalogue, selection: &Selection) -> Vec<ListPlace> {
    let stories = ids.iter().filter_map(|id| catalogue.story(*id));
    let matching = stories.filter(|story| {
        let search = selection.search.as_ref();
        search.is_none_or(|search| search.matches(story.id(), story.name().as_deref()))
    });
    let places = matching.map(|story| {
        let last = catalogue.span(&story).map(|(_, last)| last);
        ListPlace { last: Reverse(last), story: story.id() }
    });
    places.filter(|place| selection.after.is_none_or(|after| *place > after)).collect()
}

/// The places of the first stories that are asked for, of all that there are: of few more than the page has. Looks at the
/// story itself only where its place is among the first so far.
fn found_in_all(catalogue: &Catalogue, selection: &Selection) -> Vec<ListPlace> {
    let order = catalogue.stories_by_id();
    let matching = selection.search.as_ref().map(|search| Matching::new(search, catalogue, &order));
    // Among stories of one hour, the place in the order stands for the id.
    let after = selection.after.map(|after| (after.last, order.place_after(after.story)));
    let enough = selection.limit.saturating_add(1);
    let mut found: Vec<(Reverse<Option<Hour>>, usize, u32)> = Vec::new();
    let mut end: Option<(Reverse<Option<Hour>>, usize)> = None;
    for (place, number) in order.numbers().iter().enumerate() {
        let last = Reverse(catalogue.span_numbered(*number).map(|(_, last)| last));
        if end.is_some_and(|end| (last, place) > end)
            || after.is_some_and(|after| (last, place) < after)
            || matching.as_ref().is_some_and(|matching| !matching.has(place, *number))
            || !catalogue.knows_numbered(*number)
        {
            continue;
        }
        found.push((last, place, *number));
        if found.len() >= enough.saturating_mul(2) {
            found.select_nth_unstable(selection.limit);
            found.truncate(enough);
            end = found.last().map(|(last, place, _)| (*last, *place));
        }
    }
    let stories = found.iter().filter_map(|(last, _, number)| {
        let story = catalogue.story_numbered(*number)?.id();
        Some(ListPlace { last: *last, story })
    });
    stories.collect()
}

/// Orders what was found and cuts the page out of it.
fn page(mut found: Vec<ListPlace>, limit: usize) -> (Vec<ListPlace>, Option<String>) {
    let is_last = found.len() <= limit;
    found.sort_unstable();
    found.truncate(limit);
    let next = if is_last { None } else { found.last().map(|place| place.to_cursor()) };
    (found, next)
}

/// The metrics whose sums a row has.
const ROW_METRICS: [Metric; 2] = [Metric::Conversations, Metric::Messages];

/// What the list says about one story.
pub(super) fn row(story: &Story, catalogue: &Catalogue, counters: &Counters) -> Row {
    let sum = |metric| {
        let series = story.series_by_source(metric).into_iter().flatten();
        series.fold(0_u64, |sum, series| sum.saturating_add(counters.sum(series, HourRange::ALL)))
    };
    let [conversations, messages] = ROW_METRICS.map(sum);
    Row {
        story: story.id(),
        name: story.name().map(|name| name.to_string()),
        span: span(story, catalogue, counters),
        conversations,
        messages,
    }
}

/// The first and the last hour with anything that is kept. Just after hours were dropped, the catalogue may not know yet.
fn span(story: &Story, catalogue: &Catalogue, counters: &Counters) -> Option<(Hour, Hour)> {
    let (first, last) = catalogue.span(story)?;
    if counters.dropped_before() <= Some(first) {
        return Some((first, last));
    }
    let mut series = Vec::new();
    story.series_of_all(&mut series);
    let spans = series.into_iter().filter_map(|id| counters.span(id));
    spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// What [`list`] touches, at most: of the stories of a page each series. Where all are visible it goes through all, which
/// takes a nanosecond or two for each.
pub(super) fn work_of_all(catalogue: &Catalogue, counters: &Counters, visible: &StorySet) -> QueryWork {
    if !visible.is_limited() {
        return QueryWork { series: catalogue.series_count(), cells: counters.stats().cells, points: 0 };
    }
    let mut work = QueryWork::default();
    catalogue.for_each_story(visible, &mut |story| {
        // Once it is heavy, it takes no more looking.
        if work.weight() == Weight::Light {
            let QueryWork { series, cells, .. } = work_of_one(story, counters);
            work.series = work.series.saturating_add(series);
            work.cells = work.cells.saturating_add(cells);
        }
    });
    work
}

/// What [`row`] touches, at most: of each series its span, and the cells of those that it adds up.
pub(super) fn work_of_one(story: &Story, counters: &Counters) -> QueryWork {
    let added =
        ROW_METRICS.into_iter().flat_map(|metric| story.series_by_source(metric).into_iter().flatten());
    let cells =
        added.map(|series| counters.cells_within(series, HourRange::ALL)).fold(0, u64::saturating_add);
    let owners = story.node_count().saturating_add(ROW_METRICS.len());
    QueryWork { series: owners.saturating_mul(Source::ALL.len()), cells, points: 0 }
}
