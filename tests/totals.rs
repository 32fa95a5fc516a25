//! Totals against the series that feed them: a report on everything is told from the dense totals, the same one on all
//! stories by name from their series, and both must be the same text.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "noise in tests")]

use proptest::prelude::*;
use tallyd::limits::HOURS_MAX;
use tallyd::model::batch::{Definition, Increment};
use tallyd::model::calendar::{Hour, ZoneDatabase};
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};
use tallyd::model::counters::Counters;
use tallyd::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use tallyd::model::story_set::StorySet;
use tallyd::report::{Query, ReportFormat, ReportName, roll_up};

const STORIES: [&str; 2] = ["5b07ffafc2376e30306d9b16", "5b07ff77c2376e30306d9b12"];
const METRICS: [Metric; 3] = [Metric::Conversations, Metric::PaidConversations, Metric::Messages];
const SERIES: [ReportName; 4] =
    [ReportName::Conversations, ReportName::PaidConversations, ReportName::Messages, ReportName::Average];
/// 2019-01-01.
const START: u32 = 429_528;
/// The hour of 2019-12-31T23:30Z.
const NOW_MS: i64 = 1_577_835_000_000;

fn key(story: usize, source: usize, metric: usize) -> SeriesKey {
    let story = StoryId(ObjectId::parse(STORIES[story].as_bytes()).unwrap());
    SeriesKey { story, source: Source::ALL[source], metric: METRICS[metric] }
}

/// (story, source, metric, hours after the start, count)
type Event = (usize, usize, usize, u32, u32);

fn counted(events: &[Event]) -> (Catalogue, std::sync::Arc<Counters>) {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let (counters, mut writer) = Counters::new();
    for &(story, source, metric, hour, count) in events {
        let key = key(story, source, metric);
        let id = catalogue.intern(&key).unwrap();
        catalogue.mark_durable(&Definition { id, key });
        writer.define(id, &key);
        writer.add(&[Increment { series: id, hour: Hour::new(START.saturating_add(hour)), count }]);
    }
    (catalogue, counters)
}

#[test]
fn an_event_makes_room_for_the_hours_around_it_and_no_others() {
    let empty = Counters::new().0.stats().bytes;
    let [one, same, other] = [vec![5], vec![5, 5], vec![5, 40_000]].map(|hours: Vec<u32>| {
        let events: Vec<Event> = hours.into_iter().map(|hour| (0, 0, 0, hour, 1)).collect();
        counted(&events).1.stats().bytes - empty
    });
    assert_eq!(one, same);
    // Both totals that the event feeds have the rows and chunks of one time, or of two.
    assert!(one * 3 / 2 < other, "{one} bytes, and {other} for two times far apart");
}

fn events(stories: usize) -> impl Strategy<Value = Vec<Event>> {
    let last = HOURS_MAX - 1 - START;
    let hours = prop_oneof![8 => 0..9_000_u32, 1 => last - 5..=last];
    let counts = prop_oneof![8 => 1..300_u32, 1 => (u32::MAX - 400)..=u32::MAX];
    prop::collection::vec((0..stories, 0..7_usize, 0..3_usize, hours, counts), 0..120)
}

fn units() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("hour"), Just("day"), Just("month"), Just("year")]
}

fn queries() -> impl Strategy<Value = String> {
    let zones = prop_oneof![
        Just(""),
        Just("&offset=-90"),
        Just("&timezone=Europe/Warsaw"),
        Just("&timezone=Asia/Kolkata"),
        Just("&timezone=America/St_Johns"),
    ];
    let ranges = prop_oneof![
        (0..300_i64, 1..90_i64).prop_map(|(from, days)| {
            let start = i64::from(START) * 3_600_000 + from * 86_400_000 + from * 3_600_000;
            format!("from={start}&to={}", start + days * 86_400_000)
        }),
        // Beyond the last hour that can be counted.
        Just("from=2149-5-1&to=2149-7-31".to_owned()),
    ];
    let sources = prop_oneof![Just(""), Just("&source=messenger,app"), Just("&source=custom")];
    (ranges, zones, sources).prop_map(|(range, zone, source)| format!("{range}{zone}{source}"))
}

fn told(report: ReportName, query: &str, (catalogue, counters): (&Catalogue, &Counters)) -> String {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let query =
        Query::parse(report, &pairs, NOW_MS, (&StorySet::ALL, STORIES.len()), &ZoneDatabase::bundled())
            .unwrap();
    let mut text = Vec::new();
    roll_up(catalogue, counters, &query).write(ReportFormat::Json, &mut text);
    String::from_utf8(text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_series_of_everything_is_that_of_every_story(
        (events, query, unit) in (events(2), queries(), units()),
    ) {
        let (catalogue, counters) = counted(&events);
        for report in SERIES {
            let query = format!("{query}&dimension={unit}");
            let named = format!("{query}&storyId={}", STORIES.join(","));
            let [all, named] = [query, named].map(|query| told(report, &query, (&catalogue, &counters)));
            prop_assert_eq!(all, named, "{:?}", report);
        }
    }

    #[test]
    fn a_busiest_period_of_everything_is_that_of_the_only_story((events, query) in (events(1), queries())) {
        let (catalogue, counters) = counted(&events);
        let named = format!("{query}&storyId={}", STORIES[0]);
        let [all, named] =
            [query, named].map(|query| told(ReportName::BusiestPeriod, &query, (&catalogue, &counters)));
        prop_assert_eq!(all, named);
    }
}
