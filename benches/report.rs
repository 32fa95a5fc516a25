//! What a report costs: checking the query, rolling up, writing JSON; one story of many, and a thousand groups.
//!
//! Items are data points (or rows) of the answer, so that `items/s` is points per second; of the JSON also bytes. Of packed
//! answers items are the bytes that are left.
#![expect(clippy::unwrap_used, reason = "noise in benches")]

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use tallyd::model::batch::{Definition, Increment};
use tallyd::model::calendar::{Hour, ZoneDatabase};
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};
use tallyd::model::counters::Counters;
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use tallyd::model::story_set::StorySet;
use tallyd::report::{Query, Report, ReportFormat, ReportName, roll_up};

/// 2019-01-01 … 2023-12-31, and a moment after.
const FIRST_HOUR: u32 = 429_528;
const DAYS: u32 = 1_826;
const NOW_MS: i64 = 1_704_067_200_000;
const STORIES: u32 = 1_000;
const STORIES_KNOWN: usize = 1_000;

fn main() {
    divan::main();
}

struct World {
    catalogue: Catalogue,
    counters: Arc<Counters>,
}

static ZONES: LazyLock<ZoneDatabase> = LazyLock::new(ZoneDatabase::bundled);

/// A thousand stories with a few cells a day on one source; the first one with every hour on two. Each has twenty
/// interactions that were used now and then.
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
            catalogue.mark_durable(&Definition { id: series, key });
            writer.define(series, &key);
            let step = if busy { 1 } else { 11 };
            let hours = (0..DAYS * 24).step_by(step);
            let increments: Vec<Increment> = hours
                .map(|hour| Increment { series, hour: Hour::new(FIRST_HOUR + hour), count: 1 + hour % 7 })
                .collect();
            increments.chunks(10_000).for_each(|increments| {
                writer.add(increments);
            });
        }
        for node in 0..20 {
            let node = ObjectId::parse(format!("{number:020}{node:04}").as_bytes()).unwrap();
            let metric = Metric::Interaction(Node::Interaction(InteractionId(node)));
            let key = SeriesKey { story: story(number), source: Source::Messenger, metric };
            let series = catalogue.intern(&key).unwrap();
            catalogue.mark_durable(&Definition { id: series, key });
            writer.define(series, &key);
            let hours = (0..DAYS * 24).rev().step_by(97).take(50);
            let increments: Vec<Increment> = hours
                .map(|hour| Increment { series, hour: Hour::new(FIRST_HOUR + hour), count: 1 })
                .collect();
            writer.add(&increments);
        }
    }
    World { catalogue, counters }
});

fn story(number: u32) -> StoryId {
    StoryId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap())
}

fn parse(report: ReportName, pairs: &[(String, String)]) -> Query {
    Query::parse(report, pairs, NOW_MS, (&StorySet::ALL, STORIES_KNOWN), &ZONES).unwrap()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

const QUERIES: [(&str, ReportName, &str); 15] = [
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
    ("paid_90_days_all", ReportName::PaidConversations, "from=2023-10-3&to=2023-12-31"),
    ("messages_90_days_all", ReportName::Messages, "from=2023-10-3&to=2023-12-31"),
    ("average_90_days_all", ReportName::Average, "from=2023-10-3&to=2023-12-31"),
    ("busiest_90_days_all", ReportName::BusiestPeriod, "from=2023-10-3&to=2023-12-31"),
    (
        "popularity_90_days",
        ReportName::InteractionsPopularity,
        "from=2023-10-3&to=2023-12-31&storyId=000000000000000000000000",
    ),
    ("popularity_90_days_all", ReportName::InteractionsPopularity, "from=2023-10-3&to=2023-12-31"),
    ("1000_groups_30_days", ReportName::Conversations, "from=2023-12-02&to=2023-12-31&group=storyId"),
    ("1000_groups_1826_days", ReportName::Conversations, "from=2019-1-1&to=2023-12-31&group=storyId"),
];

#[divan::bench(args = QUERIES.map(|query| query.0))]
fn parse_query(bencher: Bencher<'_, '_>, name: &str) {
    let (_, report, text) = QUERIES.into_iter().find(|query| query.0 == name).unwrap();
    let pairs = pairs(text);
    bencher.bench(|| parse(report, black_box(&pairs)));
}

/// How many points or rows a text has.
fn points(text: &[u8]) -> usize {
    memchr::memmem::find_iter(text, b"\"value\":").count()
}

fn report(name: &str) -> (Query, Report, Vec<u8>) {
    let (_, report, text) = QUERIES.into_iter().find(|query| query.0 == name).unwrap();
    let query = parse(report, &pairs(text));
    let report = roll_up(&WORLD.catalogue, &WORLD.counters, &query);
    let mut bytes = Vec::new();
    report.write(ReportFormat::Json, &mut bytes);
    (query, report, bytes)
}

#[divan::bench(args = QUERIES.map(|query| query.0))]
fn rolling_up(bencher: Bencher<'_, '_>, name: &str) {
    let (query, _, text) = report(name);
    let world = &*WORLD;
    let bencher = bencher.counter(ItemsCount::new(points(&text)));
    bencher.bench(|| roll_up(&world.catalogue, &world.counters, black_box(&query)));
}

#[divan::bench(args = QUERIES.map(|query| query.0))]
fn write_json(bencher: Bencher<'_, '_>, name: &str) {
    let (_, report, text) = report(name);
    let bencher = bencher.counter(ItemsCount::new(points(&text))).counter(BytesCount::new(text.len()));
    bencher.bench(|| {
        let mut out = Vec::new();
        black_box(&report).write(ReportFormat::Json, &mut out);
        out
    });
}

/// As a client that reads reports gets it: part by part, each gone before the next is made.
#[divan::bench(args = ["1000_groups_30_days", "1000_groups_1826_days"])]
fn json_in_parts(bencher: Bencher<'_, '_>, name: &str) {
    let (_, report, text) = report(name);
    let bencher = bencher.counter(ItemsCount::new(points(&text))).counter(BytesCount::new(text.len()));
    bencher.with_inputs(|| report.clone()).bench_values(|report| {
        report.into_text_parts(ReportFormat::Json).map(|part| black_box(part).len()).sum::<usize>()
    });
}

/// What `src/net/http/pack.rs` was decided by: time and what is left of an answer, by coding and level.
#[divan::bench(
    args = ["last30days", "year_by_day", "5_years_by_day_warsaw", "1000_groups_30_days"],
    consts = [-1, -4, -6, 1, 3],
)]
fn pack<const LEVEL: i32>(bencher: Bencher<'_, '_>, name: &str) {
    let (_, _, text) = report(name);
    let packed = |text: &[u8]| {
        // Levels of gzip are those below zero.
        if LEVEL > 0 {
            return zstd::bulk::compress(text, LEVEL).unwrap();
        }
        let level = flate2::Compression::new(LEVEL.unsigned_abs());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let left = packed(&text).len();
    let bencher = bencher.counter(BytesCount::new(text.len())).counter(ItemsCount::new(left));
    bencher.bench(|| packed(black_box(&text)));
}
