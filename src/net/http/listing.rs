//! The list of stories: which match, in what order, which page. Pure; may use the catalogue and the counters, must
//! not know requests.
//! INVARIANT: the order is total (latest hour first, those without any last, then by id), so that a cursor names one
//! place in it. Stories that become active while somebody pages move to the front and can be seen twice or not.

use std::cmp::Reverse;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, Story};
use crate::model::counters::Counters;
use crate::model::event::{Metric, ObjectId, SeriesId, Source, StoryId};
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

/// A text without what searching leaves out of account: the case of its letters, the dot of İ, the form of a last σ.
fn folded(text: &str) -> String {
    const DOT_ABOVE: char = '\u{307}';
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // By way of the capitals, in which ß is SS, and ı is I.
    let letters = text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    letters.filter(|letter| *letter != DOT_ABOVE).collect()
}

/// One page of the list of those `visible`, and the cursor of the next one if there is more. Holds the places of few more
/// stories than the page has, however many there are.
pub(super) fn list(
    (catalogue, visible): (&Catalogue, &StorySet),
    counters: &Counters,
    selection: &Selection,
) -> (Vec<Row>, Option<String>) {
    let mut found = Vec::new();
    let mut series = Vec::new();
    let enough = selection.limit.saturating_add(1);
    catalogue.for_each_story(visible, &mut |story| {
        let matches = match &selection.search {
            Some(search) => search.matches(story.id(), story.name().as_deref()),
            None => true,
        };
        if !matches {
            return;
        }
        let last = span(story, counters, &mut series).map(|(_, last)| last);
        let place = ListPlace { last: Reverse(last), story: story.id() };
        if selection.after.is_none_or(|after| place > after) {
            found.push(place);
        }
        if found.len() >= enough.saturating_mul(2) {
            found.select_nth_unstable(selection.limit);
            found.truncate(enough);
        }
    });
    let (page, next) = page(found, selection.limit);
    let stories = page.iter().filter_map(|place| catalogue.story(place.story));
    (stories.map(|story| row(&story, counters)).collect(), next)
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
pub(super) fn row(story: &Story, counters: &Counters) -> Row {
    let sum = |metric| {
        let series = story.series_by_source(metric).into_iter().flatten();
        series.fold(0_u64, |sum, series| sum.saturating_add(counters.sum(series, HourRange::ALL)))
    };
    let [conversations, messages] = ROW_METRICS.map(sum);
    Row {
        story: story.id(),
        name: story.name().map(|name| name.to_string()),
        span: span(story, counters, &mut Vec::new()),
        conversations,
        messages,
    }
}

/// What [`list`] touches, at most: it looks at every series of every story, and adds up the cells of a page.
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

/// First and last hour of anything that is counted for the story. `series` is room to work in.
fn span(story: &Story, counters: &Counters, series: &mut Vec<SeriesId>) -> Option<(Hour, Hour)> {
    // Copied out first: the story must not stay locked while its counters are looked at.
    series.clear();
    story.series_of_all(series);
    for series in series.iter() {
        counters.prefetch(*series);
    }
    let spans = series.iter().filter_map(|series| counters.span(*series));
    spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(number: u32) -> StoryId {
        StoryId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap())
    }

    fn place(last: Option<u32>, number: u32) -> ListPlace {
        ListPlace { last: Reverse(last.map(Hour::new)), story: story(number) }
    }

    #[test]
    fn page_walks_all_stories_once_latest_first() {
        let found = [place(Some(5), 1), place(None, 2), place(Some(9), 3), place(Some(5), 0), place(None, 4)];
        for limit in 1..7 {
            let mut walked = Vec::new();
            let mut after = None;
            loop {
                let rest = found.iter().copied().filter(|place| after.is_none_or(|after| *place > after));
                let (places, next) = page(rest.collect(), limit);
                assert!(places.len() <= limit);
                walked.extend(places);
                let Some(cursor) = next else { break };
                after = Some(ListPlace::from_cursor(&cursor).unwrap());
            }
            assert_eq!(walked, [3, 0, 1, 2, 4].map(|number| found_of(number, &found)), "limit {limit}");
        }
    }

    fn found_of(number: u32, found: &[ListPlace]) -> ListPlace {
        found.iter().copied().find(|place| place.story == story(number)).unwrap()
    }

    #[test]
    fn cursor_round_trips_and_refuses_what_is_not_one() {
        for place in [place(None, 7), place(Some(0), 7), place(Some(u32::MAX), 7)] {
            assert_eq!(ListPlace::from_cursor(&place.to_cursor()), Some(place));
        }
        for text in
            ["", "x", "%%%", "AAAA", &"A".repeat(39), place(None, 7).to_cursor().trim_start_matches('A')]
        {
            assert_eq!(ListPlace::from_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn search_finds_parts_of_names_and_beginnings_of_ids() {
        let id = StoryId(ObjectId::parse(b"5b07ffafc2376e30306d9b16").unwrap());
        for (text, name, expected) in [
            ("ORDER", Some("Pizza orders"), true),
            ("ÉTÉ", Some("un été"), true),
            ("burger", Some("Pizza orders"), false),
            ("5b07ff", None, true),
            ("9b16", None, false),
            ("order", None, false),
            ("", None, true),
        ] {
            assert_eq!(Search::new(text).matches(id, name), expected, "{text}");
        }
    }

    #[test]
    fn names_are_found_in_any_case_of_any_letters() {
        for (text, name) in [
            ("istanbul", "İstanbul"),
            ("ISTANBUL", "ıstanbul"),
            ("İSTANBUL", "Istanbul"),
            ("strasse", "Lange Straße"),
            ("STRAßE", "strasse 1"),
            ("σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("zażółć", "ZAŻÓŁĆ"),
        ] {
            assert!(Search::new(text).matches(story(1), Some(name)), "{text} in {name}");
        }
        assert!(!Search::new("istanbul").matches(story(1), Some("İzmir")));
    }
}
