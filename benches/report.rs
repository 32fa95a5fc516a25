//! What a report costs: checking the query, rolling up, writing JSON; one story of many, and a thousand groups.
#![expect(clippy::unwrap_used, reason = "noise in benches")]

use std::sync::{Arc, LazyLock};

use divan::{Bencher, black_box, counter::ItemsCount};
use tallyd::batch::{Definition, Increment};
use tallyd::calendar::Hour;
use tallyd::catalogue::{Catalogue, CatalogueLimits};
use tallyd::counters::Counters;
use tallyd::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use tallyd::report::{Query, ReportName, answer};

/// 2019-01-01 … 2023-12-31, and a moment after.
const FIRST_HOUR: u32 = 429_528;
const DAYS: u32 = 1_826;
const NOW_MS: i64 = 1_704_067_200_000;
const STORIES: u32 = 1_000;

fn main() {
    divan::main();
}

struct World {
    catalogue: Catalogue,
    counters: Arc<Counters>,
}

/// A thousand stories with a few cells a day on one source; the first one with every hour on two.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (counters, mut writer) = Counters::new();
    let catalogue = Catalogue::new(CatalogueLimits::default());
    for number in 0..STORIES {
        let busy = number == 0;
        let metrics = [Metric::Conversations, Metric::Messages];
        for (source, metric) in
            [Source::Messenger, Source::App].into_iter().flat_map(|s| metrics.map(|m| (s, m)))
        {
            if source == Source::App && !busy {
                continue;
            }
            let key = SeriesKey { story: story(number), source, metric };
            let series = catalogue.intern(&key).unwrap();
            catalogue.confirm(&Definition { id: series, key });
            writer.define(series, &key);
            let step = if busy { 1 } else { 11 };
            let hours = (0..DAYS * 24).step_by(step);
            let increments: Vec<Increment> = hours
                .map(|hour| Increment { series, hour: Hour::new(FIRST_HOUR + hour), count: 1 + hour % 7 })
                .collect();
            increments.chunks(10_000).for_each(|increments| writer.add(increments));
        }
    }
    World { catalogue, counters }
});

fn story(number: u32) -> StoryId {
    StoryId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap())
}

fn parse(report: ReportName, pairs: &[(String, String)]) -> Query {
    Query::parse(report, pairs, NOW_MS).unwrap()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

const QUERIES: [(&str, ReportName, &str); 9] = [
    (
        "last30days",
        ReportName::Conversations,
        "to=2023-12-31&from=2023-12-02&storyId=000000000000000000000000",
    ),
    ("last30days_all", ReportName::Conversations, "to=2023-12-31&from=2023-12-02"),
    (
        "last30days_warsaw",
        ReportName::Conversations,
        "to=2023-12-31&from=2023-12-02&storyId=000000000000000000000000&timezone=Europe/Warsaw",
    ),
    ("year_by_day", ReportName::Average, "from=2023-1-1&to=2023-12-31&storyId=000000000000000000000000"),
    (
        "5_years_by_day_warsaw",
        ReportName::Conversations,
        "from=2019-1-1&to=2023-12-31&source=messenger&storyId=000000000000000000000000&timezone=Europe/Warsaw",
    ),
    (
        "5_years_by_hour",
        ReportName::Conversations,
        "from=2019-1-1&to=2023-12-31&source=messenger&storyId=000000000000000000000000&dimension=hour",
    ),
    (
        "busiest_5_years",
        ReportName::BusiestPeriod,
        "from=2019-1-1&to=2023-12-31&storyId=000000000000000000000000",
    ),
    ("1000_groups_30_days", ReportName::Conversations, "from=2023-12-02&to=2023-12-31&group=storyId"),
    ("1000_groups_1826_days", ReportName::Conversations, "from=2019-1-1&to=2023-12-31&group=storyId"),
];

#[divan::bench(args = QUERIES.map(|query| query.0))]
fn parse_query(bencher: Bencher<'_, '_>, name: &str) {
    let (_, report, text) = QUERIES.into_iter().find(|query| query.0 == name).unwrap();
    let pairs = pairs(text);
    bencher.bench(|| parse(report, black_box(&pairs)));
}

#[divan::bench(args = QUERIES.map(|query| query.0))]
fn roll_up(bencher: Bencher<'_, '_>, name: &str) {
    let (_, report, text) = QUERIES.into_iter().find(|query| query.0 == name).unwrap();
    let query = parse(report, &pairs(text));
    let world = &*WORLD;
    bencher.bench(|| answer(&world.catalogue, &world.counters, black_box(&query)));
}

#[divan::bench(args = QUERIES.map(|query| query.0))]
fn write_json(bencher: Bencher<'_, '_>, name: &str) {
    let (_, report, text) = QUERIES.into_iter().find(|query| query.0 == name).unwrap();
    let world = &*WORLD;
    let report = answer(&world.catalogue, &world.counters, &parse(report, &pairs(text)));
    let mut bytes = Vec::new();
    report.write_json(&mut bytes);
    bencher.counter(ItemsCount::new(bytes.len())).bench(|| {
        let mut out = Vec::new();
        black_box(&report).write_json(&mut out);
        out
    });
}
