//! The list against one that is made the plain way: by looking at each story's series and name.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::batch::{Batch, Change, Definition, Increment};
use crate::model::catalogue::CatalogueLimits;
use crate::model::cells::{Cell, by_month, encode_frame};
use crate::model::counters::{CheckedFrames, Writer};
use crate::model::event::{InteractionId, Node, SeriesKey};
use crate::store::load;

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
    for text in ["", "x", "%%%", "AAAA", &"A".repeat(39), place(None, 7).to_cursor().trim_start_matches('A')]
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

/// Ids that there are; more than there may be stories, so that some give their place to others.
const IDS: u32 = 9;
const STORIES_MAX: usize = 6;
const NAMES: [&str; 6] = ["Pizza", "pizza ORDERS", "İstanbul", "Straße", "", "\u{307}"];
const SEARCHES: [&str; 10] = [
    "pizza",
    "S",
    "i",
    "SS",
    "\u{307}",
    "a o",
    "0",
    "00000000000000000000000",
    "000000000000000000000003",
    "x",
];

#[derive(Clone, Debug)]
enum Step {
    /// Story, metric, source, hour, count.
    Count(u32, Metric, usize, u32, u32),
    Name(u32, Option<&'static str>),
    Delete(u32),
    /// The journal is replayed.
    Replay,
    /// A snapshot is loaded.
    Load,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || InteractionId(story(77).0);
    let metric = prop::sample::select(vec![
        Metric::Conversations,
        Metric::PaidConversations,
        Metric::Messages,
        Metric::Interaction(Node::Fallback),
        Metric::Interaction(Node::Interaction(node())),
    ]);
    let sources = 0..Source::ALL.len();
    // Of two months, so that a series has several frames.
    let hours = || prop_oneof![430_000..430_040_u32, 431_000..431_003_u32];
    prop::collection::vec(
        prop_oneof![
            12 => (0..IDS, metric, sources, hours(), 0..3_u32)
                .prop_map(|(story, metric, source, hour, count)| Step::Count(story, metric, source, hour, count)),
            4 => (0..IDS, prop::option::of(prop::sample::select(NAMES.to_vec())))
                .prop_map(|(story, name)| Step::Name(story, name)),
            4 => (0..IDS).prop_map(Step::Delete),
            1 => Just(Step::Replay),
            1 => Just(Step::Load),
        ],
        1..60,
    )
}

struct World {
    catalogue: Catalogue,
    counters: Arc<Counters>,
    writer: Writer,
    journal: Vec<Batch>,
}

impl World {
    fn new() -> Self {
        let limits = CatalogueLimits { stories: STORIES_MAX, ..CatalogueLimits::default() };
        let (counters, writer) = Counters::with_room(1_000);
        Self { catalogue: Catalogue::new(limits), counters, writer, journal: Vec::new() }
    }

    fn take(&mut self, batch: Batch) {
        load::apply(&self.catalogue, &mut self.writer, &batch.definitions, &batch);
        self.journal.push(batch);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Count(number, metric, source, hour, count) => {
                let key = SeriesKey { story: story(*number), source: Source::ALL[*source], metric: *metric };
                // There may be no place for one more story.
                let Ok(series) = self.catalogue.intern(&key) else { return };
                let definition =
                    (!self.catalogue.is_durable(series)).then_some(Definition { id: series, key });
                let increments = vec![Increment { series, hour: Hour::new(*hour), count: *count }];
                let definitions = definition.into_iter().collect();
                self.take(Batch { definitions, increments, ..Batch::default() });
            }
            Step::Name(number, name) => {
                let change = Change::Story { story: story(*number), name: name.map(Into::into) };
                if self.catalogue.admit(&change).is_ok() {
                    self.take(Batch { changes: vec![change], ..Batch::default() });
                }
            }
            Step::Delete(number) => {
                let changes = vec![Change::DeleteStory { story: story(*number) }];
                self.take(Batch { changes, ..Batch::default() });
            }
            Step::Replay => {
                let journal = std::mem::take(&mut self.journal);
                *self = Self::new();
                for batch in journal {
                    self.take(batch);
                }
            }
            Step::Load => *self = self.snapshot(),
        }
    }

    /// What is there as it would be after a restart from a snapshot, whose dictionary has every definition and change there
    /// ever was: no id is given again.
    fn snapshot(&self) -> Self {
        let (mut new, mut series) = (Self::new(), Vec::new());
        self.catalogue.for_each_series(&mut |id, _| series.push(id));
        for batch in &self.journal {
            new.take(Batch { increments: Vec::new(), ..batch.clone() });
        }
        let mut frames = CheckedFrames::default();
        for id in series {
            let mut cells: Vec<Cell> = Vec::new();
            self.counters.visit(id, HourRange::ALL, &mut |more| cells.extend(more));
            cells.sort_by_key(|cell| cell.hour);
            for (_, cells) in by_month(&cells) {
                let mut frame = Vec::new();
                encode_frame(cells, &mut frame);
                new.counters.check(id, &frame, &mut frames).unwrap();
            }
        }
        new.catalogue.note_active(new.writer.load_checked(&mut frames));
        // The journal goes on from here: it has what the snapshot has.
        new.journal.clone_from(&self.journal);
        new
    }

    /// The page made by looking at everything that there is to each story.
    fn plain(&self, visible: &StorySet, selection: &Selection) -> (Vec<Row>, Option<String>) {
        let mut rows = Vec::new();
        self.catalogue.for_each_story(visible, &mut |story| {
            let name = story.name();
            let search = selection.search.as_ref();
            if search.is_none_or(|search| search.matches(story.id(), name.as_deref())) {
                let mut series = Vec::new();
                story.series_of_all(&mut series);
                let spans = series.iter().filter_map(|series| self.counters.span(*series));
                let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                rows.push(Row { span, ..row(story, &self.catalogue, &self.counters) });
            }
        });
        let place_of = |row: &Row| ListPlace { last: Reverse(row.span.map(|span| span.1)), story: row.story };
        rows.sort_by_key(place_of);
        rows.retain(|row| selection.after.is_none_or(|after| place_of(row) > after));
        let is_last = rows.len() <= selection.limit;
        rows.truncate(selection.limit);
        let next = rows.last().filter(|_| !is_last).map(|row| place_of(row).to_cursor());
        (rows, next)
    }

    /// Walks through all pages, and compares each.
    fn check(&self, visible: &StorySet, (search, limit): (Option<&str>, usize)) {
        let mut selection = Selection { search: search.map(Search::new), after: None, limit };
        loop {
            let told = list((&self.catalogue, visible), &self.counters, &selection);
            assert_eq!(told, self.plain(visible, &selection), "{selection:?}");
            let Some(next) = told.1 else { break };
            selection.after = ListPlace::from_cursor(&next);
        }
    }
}

#[test]
fn story_that_comes_after_a_deletion_and_a_load_is_listed_by_its_own_hours() {
    let replies = Metric::Interaction(Node::Interaction(InteractionId(story(77).0)));
    let count = |number, count| Step::Count(number, replies, 1, 430_000, count);
    let mut world = World::new();
    for step in [
        count(6, 1),
        Step::Delete(6),
        Step::Load,
        count(3, 1),
        Step::Replay,
        Step::Load,
        count(3, 0),
        Step::Replay,
    ] {
        world.step(&step);
        world.check(&StorySet::ALL, (None, 1));
    }
}

proptest! {
    #[test]
    fn list_is_that_of_looking_at_every_story_whatever_has_happened(
        steps in steps(),
        limit in 1..5_usize,
        search in prop::option::of(prop::sample::select(SEARCHES.to_vec())),
    ) {
        let mut world = World::new();
        let some = StorySet::only((0..IDS).step_by(2).map(story).collect());
        for (number, step) in steps.iter().enumerate() {
            world.step(step);
            // Not always, so that several changes come between two lists.
            if number % 3 == 0 || number + 1 == steps.len() {
                for search in [None, search] {
                    world.check(&StorySet::ALL, (search, limit));
                    world.check(&some, (search, limit));
                }
            }
        }
    }
}
