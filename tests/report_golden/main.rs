//! Reports as clients get them: a query string and counted events in, the exact JSON out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "noise in tests"
)]

mod comparisons;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeZone, Timelike};
use proptest::prelude::*;
use serde_json::{Value, json};
use tallyd::model::batch::{Change, Definition, Increment};
use tallyd::model::calendar::{Hour, ZoneDatabase};
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};
use tallyd::model::counters::{Counters, Writer};
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use tallyd::model::story_set::StorySet;
use tallyd::report::{FormatName, GroupBy, Query, Report, ReportFormat, ReportName, Weight, roll_up};

const STORY: &str = "5b07ffafc2376e30306d9b16";
const OTHER: &str = "5b07ff77c2376e30306d9b12";
const THIRD: &str = "5b07ff77c2376e30306d9b13";

struct World {
    catalogue: Catalogue,
    counters: Arc<Counters>,
    writer: Writer,
}

impl World {
    fn new() -> Self {
        let (counters, writer) = Counters::new();
        Self { catalogue: Catalogue::new(CatalogueLimits::default()), counters, writer }
    }

    fn add(&mut self, story: &str, source: Source, metric: Metric, (at, count): (&str, u32)) {
        self.add_in_hour(SeriesKey { story: story_id(story), source, metric }, hour(at), count);
    }

    fn add_in_hour(&mut self, key: SeriesKey, hour: Hour, count: u32) {
        let id = self.catalogue.intern(&key).unwrap();
        self.catalogue.mark_durable(&Definition { id, key });
        self.writer.define(id, &key);
        self.writer.add(&[Increment { series: id, hour, count }]);
    }

    fn name(&mut self, story: &str, node: Option<Node>, name: &str) {
        let (story, name) = (story_id(story), Some(name.into()));
        self.catalogue.apply(&match node {
            Some(node) => Change::Node { story, node, name },
            None => Change::Story { story, name },
        });
    }

    fn json(&self, report: &str, query: &str, now: &str) -> String {
        let query = parse(report, query, now).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let report = roll_up(&self.catalogue, &self.counters, &query);
        let [json, csv, rows] = texts(&report, &query);
        // Who asks a daemon reads the same report out of the answer.
        let by = query.group.unwrap_or(GroupBy::Story);
        let read = Report::from_json(query.report, by, json.as_bytes()).unwrap();
        assert!(texts(&read, &query) == [json.clone(), csv, rows], "{:?}", texts(&read, &query));
        json
    }

    fn value(&self, report: &str, query: &str) -> Value {
        serde_json::from_str(&self.json(report, query, NOW)).unwrap()
    }
}

/// The report as JSON, CSV and rows.
fn texts(report: &Report, query: &Query) -> [String; 3] {
    FormatName::ALL.map(|format| {
        let mut out = Vec::new();
        report.write(query.written_as(format), &mut out);
        String::from_utf8(out).unwrap()
    })
}

const NOW: &str = "2019-03-27T12:34:56Z";

fn parse(report: &str, query: &str, now: &str) -> Result<Query, Vec<String>> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let now = DateTime::parse_from_rfc3339(now).unwrap().timestamp_millis();
    Query::parse(
        ReportName::parse(report).unwrap(),
        &pairs,
        now,
        (&StorySet::ALL, 10_000),
        &ZoneDatabase::bundled(),
    )
    .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn id(text: &str) -> ObjectId {
    ObjectId::parse(text.as_bytes()).unwrap()
}

fn story_id(text: &str) -> StoryId {
    StoryId(id(text))
}

fn interaction(text: &str) -> Node {
    Node::Interaction(InteractionId(id(text)))
}

fn hour(at: &str) -> Hour {
    Hour::containing(DateTime::parse_from_rfc3339(at).unwrap().timestamp()).unwrap()
}

/// 1 … 7 conversations on 17 … 23 March 2019.
fn documented() -> World {
    let mut world = World::new();
    for day in 17..24 {
        let at = format!("2019-03-{day}T09:00:00Z");
        world.add(STORY, Source::Messenger, Metric::Conversations, (&at, day - 16));
    }
    world
}

#[test]
fn conversations_of_the_documented_case_come_out_as_documented() {
    let text = documented().json("conversations", "from=2019-03-01&to=2019-03-27", NOW);
    let point = |day| {
        let value = if (17..24).contains(&day) { day - 16 } else { 0 };
        format!("{{\"date\":\"2019-03-{day:02}T00:00:00.000Z\",\"value\":{value}}}")
    };
    let points = (1..28).map(point).collect::<Vec<_>>().join(",");
    let summary = r#"{"total":28,"min":0,"max":7,"avg":1.04}"#;
    assert_eq!(text, format!("{{\"data\":[{points}],\"summary\":{summary}}}"));
}

#[test]
fn conversations_are_found_by_story_and_source_and_by_nothing_else() {
    let mut world = documented();
    world.add(OTHER, Source::Slack, Metric::Conversations, ("2019-03-20T10:00:00Z", 100));
    world.add(OTHER, Source::App, Metric::PaidConversations, ("2019-03-20T10:00:00Z", 1000));
    let check = |query: &str, total: u64| {
        let query = format!("from=2019-03-01&to=2019-03-27&{query}");
        assert_eq!(world.value("conversations", &query)["summary"]["total"], total, "{query}");
    };
    check("", 128);
    check(&format!("storyId={STORY}"), 28);
    check(&format!("storyId={STORY}&storyId={OTHER}"), 128);
    check(&format!("storyId[]={STORY}&storyId%5B%5D={OTHER}"), 128);
    check(&format!("storyId={STORY},{OTHER},{STORY}"), 128);
    check(&format!("storyId={THIRD}"), 0);
    check("source=slack", 100);
    check("source=app&source=slack", 100);
    check("source[]=messenger&source[]=slack", 128);
    check("source=messenger,slack", 128);
    check("source=messenger,livechat,livechat3,slack,widget,app,custom", 128);
    check(&format!("source=slack&storyId={STORY}"), 0);
}

#[test]
fn average_is_rounded_half_away_from_zero_and_has_an_overall() {
    let mut world = World::new();
    let mut day = |day: &str, conversations, messages| {
        let at = format!("2019-03-{day}T09:00:00Z");
        world.add(STORY, Source::App, Metric::Conversations, (&at, conversations));
        world.add(STORY, Source::App, Metric::Messages, (&at, messages));
    };
    day("01", 3, 200); // 66.666… -> 66.67
    day("02", 8, 1); // 0.125 -> 0.13
    day("03", 2, 1); // 0.5
    day("04", 0, 5); // no conversation -> 0
    day("05", 4, 12); // 3
    let text = world.json("conversations.average", "from=2019-03-01&to=2019-03-05", NOW);
    let date =
        |day: u32, value: &str| format!("{{\"date\":\"2019-03-0{day}T00:00:00.000Z\",\"value\":{value}}}");
    let points = [date(1, "66.67"), date(2, "0.13"), date(3, "0.5"), date(4, "0"), date(5, "3")].join(",");
    // 219 messages in 17 conversations; the shown values come to 70.3, by 5 points 14.06.
    let summary = r#"{"total":70.3,"min":0,"max":66.67,"avg":14.06}"#;
    assert_eq!(text, format!("{{\"data\":[{points}],\"summary\":{summary},\"overall\":12.88}}"));
}

#[test]
fn groups_come_by_total_then_key_and_are_cut_at_the_limit() {
    let mut world = documented();
    for (story, source, count) in
        [(OTHER, Source::Slack, 28), (THIRD, Source::App, 30), (THIRD, Source::Slack, 1)]
    {
        world.add(story, source, Metric::Conversations, ("2019-03-20T10:00:00Z", count));
    }
    world.add(OTHER, Source::Widget, Metric::Conversations, ("2018-01-01T00:00:00Z", 9));
    world.name(OTHER, None, "Order \"pizza\"\n");
    let range = "from=2019-03-20&to=2019-03-20&dimension=month";
    let point = |value: u32| {
        let data = format!(r#""data":[{{"date":"2019-03-01T00:00:00.000Z","value":{value}}}]"#);
        format!(r#"{data},"summary":{{"total":{value},"min":{value},"max":{value},"avg":{value}}}"#)
    };
    let all = format!(
        r#"{{{},"groups":[{{"source":"app",{}}},{{"source":"slack",{}}},{{"source":"messenger",{}}}]}}"#,
        point(63),
        point(30),
        point(29),
        point(4)
    );
    assert_eq!(world.json("conversations", &format!("{range}&group=source"), NOW), all);
    let cut = format!(
        r#"{{{},"groups":[{{"storyId":"{THIRD}",{}}},{{"storyId":"{OTHER}","name":"Order \"pizza\"\n",{}}}],"groupsOmitted":1}}"#,
        point(63),
        point(31),
        point(28)
    );
    assert_eq!(world.json("conversations", &format!("{range}&group=storyId&limit=2"), NOW), cut);
    let equal = world.value("conversations", "from=2019-03-01&group=storyId");
    let order: Vec<_> = equal["groups"].as_array().unwrap().iter().map(|group| &group["storyId"]).collect();
    assert_eq!(order, [THIRD, OTHER, STORY], "equal totals come in order of their ids");
    let one = world.value("conversations", &format!("from=2019-03-01&group=source&storyId={THIRD}"));
    assert_eq!(one["groups"].as_array().unwrap().len(), 2);
    assert_eq!(one["summary"]["total"], 31);
}

#[test]
fn groups_of_an_average_count_messages_without_conversations_too() {
    let mut world = World::new();
    world.add(STORY, Source::App, Metric::Messages, ("2019-03-20T10:00:00Z", 3));
    world.add(STORY, Source::Slack, Metric::Messages, ("2019-03-20T10:00:00Z", 3));
    world.add(STORY, Source::Slack, Metric::Conversations, ("2019-03-20T10:00:00Z", 2));
    let answer = world.value("conversations.average", "from=2019-03-20&to=2019-03-20&group=source");
    assert_eq!(answer["overall"], 3);
    let groups = answer["groups"].as_array().unwrap();
    assert_eq!((&groups[0]["source"], &groups[0]["summary"]["total"]), (&json!("slack"), &json!(1.5)));
    assert_eq!((&groups[1]["source"], &groups[1]["overall"]), (&json!("app"), &json!(0)));
}

#[test]
fn popularity_comes_out_as_documented() {
    let (bar, foo) = (STORY, OTHER);
    let mut world = World::new();
    let at = ("2019-03-20T10:00:00Z", 1);
    world.add(THIRD, Source::App, Metric::Interaction(interaction(bar)), at);
    world.add(THIRD, Source::Slack, Metric::Interaction(interaction(bar)), at);
    let fallback = Node::ContextFallback(InteractionId(id(bar)));
    world.add(THIRD, Source::App, Metric::Interaction(fallback), at);
    world.add(THIRD, Source::App, Metric::Interaction(interaction(foo)), (at.0, 0));
    world.name(THIRD, Some(interaction(bar)), "bar");
    world.name(THIRD, Some(interaction(foo)), "foo");
    let documented = concat!(
        r#"[{"name":"bar","id":"5b07ffafc2376e30306d9b16","usage":66.67,"value":2},"#,
        r#"{"parentId":"5b07ffafc2376e30306d9b16","type":"contextFallback","name":"Fallback Interaction","#,
        r#""usage":33.33,"value":1},"#,
        r#"{"name":"foo","id":"5b07ff77c2376e30306d9b12","usage":0,"value":0},"#,
        r#"{"type":"fallback","name":"Fallback Interaction","usage":0,"value":0},"#,
        r#"{"type":"welcome","name":"Welcome Interaction","usage":0,"value":0}]"#,
    );
    assert_eq!(world.json("interactions.popularity", "", NOW), documented);
    assert_eq!(world.json("interactions.popularity", &format!("storyId={THIRD}"), NOW), documented);
    let slack = world.value("interactions.popularity", "source=slack&limit=1");
    assert_eq!(slack, json!([{"name": "bar", "id": bar, "usage": 100, "value": 1}]));
}

#[test]
fn popularity_has_fallback_and_welcome_where_a_story_is_given_or_known() {
    let mut world = World::new();
    assert_eq!(world.json("interactions.popularity", "", NOW), "[]");
    let both = json!([
        {"type": "fallback", "name": "Fallback Interaction", "usage": 0, "value": 0},
        {"type": "welcome", "name": "Welcome Interaction", "usage": 0, "value": 0},
    ]);
    assert_eq!(world.value("interactions.popularity", &format!("storyId={STORY}")), both);
    world.name(OTHER, None, "other");
    assert_eq!(world.value("interactions.popularity", ""), both);
}

#[test]
fn popularity_over_stories_has_one_row_per_node_named_by_the_greatest_use() {
    let mut world = World::new();
    let node = interaction("000000000000000000000001");
    let at = "2019-03-20T10:00:00Z";
    for (story, count, name) in [(STORY, 1, "less"), (OTHER, 2, "more")] {
        world.add(story, Source::App, Metric::Interaction(node), (at, count));
        world.add(story, Source::App, Metric::Interaction(Node::Welcome), (at, count));
        world.name(story, Some(node), name);
    }
    world.add(THIRD, Source::App, Metric::Interaction(node), (at, 3));
    let unnamed = interaction("000000000000000000000002");
    world.add(THIRD, Source::App, Metric::Interaction(unnamed), (at, 9));
    let rows = world.value("interactions.popularity", "");
    let shown: Vec<_> = rows.as_array().unwrap().iter().map(|row| (&row["name"], &row["value"])).collect();
    let expected = [
        (json!("000000000000000000000002"), json!(9)),
        (json!("more"), json!(6)),
        (json!("Welcome Interaction"), json!(3)),
        (json!("Fallback Interaction"), json!(0)),
    ];
    assert_eq!(shown, expected.iter().map(|(name, value)| (name, value)).collect::<Vec<_>>());
}

#[test]
fn busiest_period_counts_by_local_weekday_and_hour() {
    let mut world = World::new();
    // A Sunday, 23:00 in UTC.
    world.add(STORY, Source::App, Metric::Conversations, ("2019-03-17T23:00:00Z", 1));
    world.add(STORY, Source::App, Metric::Conversations, ("2019-03-18T00:00:00Z", 2));
    let check = |query: &str, expected: [(usize, usize, u64, f64); 2]| {
        let table = world.value("busiest-period", query);
        assert_eq!(table.as_array().unwrap().len(), 7);
        let cells: Vec<&Value> =
            table.as_array().unwrap().iter().flat_map(|day| day.as_array().unwrap()).collect();
        assert_eq!(cells.len(), 7 * 24);
        for (index, cell) in cells.iter().enumerate() {
            let (day, hour) = (index / 24, index % 24);
            let found = expected.iter().find(|(d, h, ..)| (*d, *h) == (day, hour));
            let (value, usage) = found.map_or((0, 0.0), |(_, _, value, usage)| (*value, *usage));
            assert_eq!((&cell["day"], &cell["hour"]), (&json!(day), &json!(hour)), "{query}");
            assert_eq!((&cell["value"], cell["usage"].as_f64()), (&json!(value), Some(usage)), "{query}");
        }
    };
    check("", [(0, 23, 1, 33.33), (1, 0, 2, 66.67)]);
    check("offset=60", [(1, 0, 1, 33.33), (1, 1, 2, 66.67)]);
    check("offset=-60", [(0, 22, 1, 33.33), (0, 23, 2, 66.67)]);
    check("offset=30", [(0, 23, 1, 33.33), (1, 0, 2, 66.67)]);
    check("offset=-30", [(0, 22, 1, 33.33), (0, 23, 2, 66.67)]);
    check("timezone=Asia/Kathmandu", [(1, 4, 1, 33.33), (1, 5, 2, 66.67)]);
    check(&format!("storyId={STORY}"), [(0, 23, 1, 33.33), (1, 0, 2, 66.67)]);
    check(&format!("storyId={OTHER}"), [(0, 23, 0, 0.0), (1, 0, 0, 0.0)]);
    let text = world.json("busiest-period", "from=2019-03-18&source=app", NOW);
    assert!(text.starts_with(r#"[[{"day":0,"hour":0,"value":0,"usage":0},"#), "{text}");
    assert!(text.contains(r#"[{"day":1,"hour":0,"value":2,"usage":100},"#), "{text}");
}

/// Dates of the points and their values, as `date=value`, without the zeros of the instants.
fn points(world: &World, query: &str) -> Vec<String> {
    let answer = world.value("conversations", query);
    let show = |point: &Value| {
        let date = point["date"].as_str().unwrap();
        format!("{}={}", date.strip_suffix(":00.000Z").unwrap(), point["value"])
    };
    answer["data"].as_array().unwrap().iter().map(show).collect()
}

#[test]
fn days_of_warsaw_are_23_and_25_hours_long_where_clocks_change() {
    let mut world = World::new();
    let mut every_hour = |from: &str, hours: u32| {
        for number in 0..hours {
            let key =
                SeriesKey { story: story_id(STORY), source: Source::App, metric: Metric::Conversations };
            world.add_in_hour(key, Hour::new(hour(from).get() + number), 1);
        }
    };
    every_hour("2019-03-29T00:00:00Z", 96);
    every_hour("2019-10-25T00:00:00Z", 96);
    let spring = points(&world, "from=2019-03-30&to=2019-04-01&timezone=Europe/Warsaw");
    assert_eq!(spring, ["2019-03-29T23:00=24", "2019-03-30T23:00=23", "2019-03-31T22:00=24"]);
    let autumn = points(&world, "from=2019-10-26&to=2019-10-28&timezone=Europe/Warsaw");
    assert_eq!(autumn, ["2019-10-25T22:00=24", "2019-10-26T22:00=25", "2019-10-27T23:00=24"]);
    let night = "timezone=Europe/Warsaw&dimension=hour&from=2019-10-27T00:00:00Z&to=2019-10-27T02:30:00Z";
    let twice = points(&world, night);
    assert_eq!(twice, ["2019-10-27T00:00=1", "2019-10-27T01:00=1", "2019-10-27T02:00=1"]);
}

#[test]
fn days_of_sao_paulo_start_at_one_where_midnight_is_skipped() {
    let world = World::new();
    let days = points(&world, "from=2018-11-03&to=2018-11-05&timezone=America/Sao_Paulo");
    assert_eq!(days, ["2018-11-03T03:00=0", "2018-11-04T03:00=0", "2018-11-05T02:00=0"]);
}

#[test]
fn points_start_with_their_unit_and_hold_what_is_in_the_range() {
    let mut world = World::new();
    for (at, count) in
        [("2019-03-16T23:00:00Z", 1), ("2019-03-17T09:00:00Z", 10), ("2019-03-17T10:00:00Z", 100)]
    {
        world.add(STORY, Source::App, Metric::Conversations, (at, count));
    }
    let check = |query: &str, expected: &[&str]| assert_eq!(points(&world, query), expected, "{query}");
    check("from=2019-03-17T09:20:00Z&to=2019-03-17T10:00:00Z", &["2019-03-17T00:00=10"]);
    check("from=2019-03-17T09:20:00Z&to=2019-03-17T10:00:01Z", &["2019-03-17T00:00=110"]);
    check("from=2019-03-17T09:20:00Z&to=2019-03-17T10:00:01Z&dimension=year", &["2019-01-01T00:00=110"]);
    check("from=2019-03-17T10:00:00%2B01:00&to=2019-03-17T09:59:59Z", &["2019-03-17T00:00=10"]);
    check("from=2019-03-17T10:00:00+01:00&to=1552816799000", &["2019-03-17T00:00=10"]);
    check("from=2019-3-17&to=2019-3-17", &["2019-03-17T00:00=110"]);
    check("from=2019-3-17&to=2019-3-17&offset=60", &["2019-03-16T23:00=111"]);
    check("from=2019-3-17&to=2019-3-17&offset=+60", &["2019-03-16T23:00=111"]);
    // Local midnight is 22:30 in UTC, so that the bucket of 22:00 starts on the day before.
    check("from=2019-3-17&to=2019-3-17&offset=90", &["2019-03-16T22:30=111"]);
    check("from=2019-3-17&to=2019-3-17&offset=30", &["2019-03-16T23:30=110"]);
    check("from=2019-3-17&to=2019-3-17&offset=-720&dimension=day", &["2019-03-17T12:00=0"]);
    check("from=2019-03-17T09:00:00Z&to=2019-3-17", &["2019-03-17T00:00=110"]);
    check("from=1552780800000&to=1552780800000", &[]);
}

#[test]
fn summary_of_no_point_is_all_zeros() {
    let text = World::new().json("conversations", "from=1552780800000&to=1552780800000", NOW);
    assert_eq!(text, r#"{"data":[],"summary":{"total":0,"min":0,"max":0,"avg":0}}"#);
}

#[test]
fn now_includes_the_current_hour() {
    let mut world = World::new();
    world.add(STORY, Source::App, Metric::Conversations, ("2019-03-27T12:00:00Z", 1));
    let last = points(&world, "from=2019-03-27T11:00:00Z&dimension=hour");
    assert_eq!(last, ["2019-03-27T11:00=0", "2019-03-27T12:00=1"]);
    let on_the_hour = world.json("conversations", "period=today&dimension=hour", "2019-03-27T00:00:00Z");
    assert!(
        on_the_hour.contains(r#""data":[{"date":"2019-03-27T00:00:00.000Z","value":0}]"#),
        "{on_the_hour}"
    );
}

#[test]
fn defaults_are_the_last_30_days_by_day() {
    let days = points(&documented(), "");
    assert_eq!((days.len(), days[0].as_str()), (30, "2019-02-26T00:00=0"));
    let from_the_start = points(&documented(), "to=2019-03-27&dimension=year");
    assert_eq!((from_the_start.len(), from_the_start[45].as_str()), (46, "2019-01-01T00:00=28"));
}

#[test]
fn long_series_and_great_numbers_are_whole_json() {
    let mut world = World::new();
    let key = SeriesKey { story: story_id(STORY), source: Source::App, metric: Metric::Messages };
    let first = hour("2019-01-01T00:00:00Z").get();
    let count = |number: u32| [0, 7, 10, 99, 100, 12_345, u32::MAX][number as usize % 7];
    for number in 0..2_000 {
        world.add_in_hour(key, Hour::new(first + number), count(number));
        world.add_in_hour(key, Hour::new(first + number), count(number));
    }
    world.add_in_hour(SeriesKey { metric: Metric::Conversations, ..key }, Hour::new(first), 1);
    let query = "dimension=hour&from=2019-01-01T00:00:00Z&to=1553500800000";
    for report in ["conversations.messages", "conversations.average"] {
        let answer: Value = serde_json::from_str(&world.json(report, query, NOW)).unwrap();
        let points = answer["data"].as_array().unwrap();
        assert_eq!(points.len(), 2_000);
        if report == "conversations.messages" {
            for (number, point) in (0_u32..).zip(points) {
                assert_eq!(point["value"].as_u64(), Some(2 * u64::from(count(number))), "{point}");
                let date = hour(point["date"].as_str().unwrap());
                assert_eq!(date.get(), first + number);
            }
        }
    }
}

#[test]
fn reports_that_touch_very_much_are_heavy() {
    const DEEP: &str = "5b07ffafc2376e30306d9b99";
    const LONG: &str = "5b07ffafc2376e30306d9b98";
    let mut world = World::new();
    let check = |world: &World, report: &str, query: &str, weight: Weight| {
        let parsed = parse(report, query, NOW).unwrap();
        assert_eq!(parsed.weight(&world.catalogue, &world.counters), weight, "{report} {query}");
    };
    // Few stories: one whose interactions are many, one that has every hour of years, one with a little.
    let first = hour("2013-01-01T00:00:00Z");
    for number in 0..300 {
        let node =
            Node::Interaction(InteractionId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap()));
        for source in Source::ALL {
            let key = SeriesKey { story: story_id(DEEP), source, metric: Metric::Interaction(node) };
            world.add_in_hour(key, first, 1);
        }
    }
    let last = hour(NOW).get() - first.get();
    for hours in 0..last {
        for source in &Source::ALL {
            let key = SeriesKey { story: story_id(LONG), source: *source, metric: Metric::Conversations };
            world.add_in_hour(key, Hour::new(first.get() + hours), 1);
        }
    }
    world.add(STORY, Source::App, Metric::Conversations, (NOW, 1));
    check(&world, "conversations", "", Weight::Light);
    check(&world, "conversations", "group=source", Weight::Light);
    check(&world, "conversations", &format!("group=storyId&storyId={STORY}"), Weight::Light);
    check(&world, "conversations", "dimension=hour&from=2017-1-1", Weight::Light);
    check(&world, "conversations", "dimension=hour&from=2017-1-1&group=source", Weight::Heavy);
    check(&world, "conversations", &format!("storyId={STORY}&from=2013-1-1"), Weight::Light);
    check(&world, "conversations", &format!("storyId={LONG}&from=2018-1-1"), Weight::Light);
    check(&world, "conversations", &format!("storyId={LONG}&from=2013-1-1"), Weight::Heavy);
    check(&world, "conversations", &format!("storyId={LONG}&source=messenger&from=2013-1-1"), Weight::Light);
    check(&world, "busiest-period", "", Weight::Light);
    check(&world, "busiest-period", &format!("storyId={LONG}&from=2013-1-1"), Weight::Heavy);
    check(&world, "interactions.popularity", "", Weight::Heavy);
    check(&world, "interactions.popularity", &format!("storyId={STORY}"), Weight::Light);
    check(&world, "interactions.popularity", &format!("storyId={DEEP}"), Weight::Heavy);
    check(&world, "interactions.popularity", &format!("storyId={DEEP}&source=app"), Weight::Light);
    // Many stories.
    let mut world = World::new();
    for number in 0..300 {
        let story = format!("{number:024}");
        for source in &Source::ALL[..if number == 0 { 1 } else { 6 }] {
            world.add(&story, *source, Metric::Conversations, (NOW, 1));
        }
    }
    check(&world, "conversations", "group=storyId", Weight::Heavy);
    check(&world, "interactions.popularity", "", Weight::Heavy);
    check(&world, "conversations", "", Weight::Light);
    let named =
        |stories: std::ops::Range<usize>| stories.map(|id| format!("{id:024}")).collect::<Vec<_>>().join(",");
    check(&world, "conversations", &format!("storyId={}", named(0..100)), Weight::Light);
    check(&world, "conversations", &format!("storyId={}", named(0..300)), Weight::Heavy);
}

/// A model as plain as can be: every event is looked at, and put where the zone database says it belongs.
fn model(
    events: &[(u32, u32)],
    (from, to): (i64, i64),
    (zone, unit): (chrono_tz::Tz, &str),
) -> BTreeMap<String, u64> {
    let mut values = BTreeMap::new();
    for (hour, count) in events {
        let at = i64::from(*hour) * 3_600;
        if (from..to).contains(&at) {
            *values.entry(label(zone, at, unit)).or_default() += u64::from(*count);
        }
    }
    values
}

fn label(zone: chrono_tz::Tz, at: i64, unit: &str) -> String {
    let local = zone.timestamp_opt(at, 0).unwrap();
    let utc_hour = at.div_euclid(3_600);
    match unit {
        "hour" => format!("{} {} {utc_hour}", local.date_naive(), local.hour()),
        "day" => local.date_naive().to_string(),
        "month" => format!("{}-{}", local.year(), local.month()),
        _ => local.year().to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn roll_up_agrees_with_a_plain_model(
        events in prop::collection::vec((0_u32..2_000, 0_u32..5, 0_usize..3, 0_usize..7), 0..200),
        (start, length) in (0_i64..1_800, 1_i64..400),
        zone in prop::sample::select(vec!["UTC", "Europe/Warsaw", "America/New_York", "Asia/Tokyo"]),
        unit in prop::sample::select(vec!["hour", "day", "month", "year"]),
        filter in prop::sample::select(vec!["", "&source=app,slack", "&storyId=5b07ffafc2376e30306d9b16"]),
    ) {
        // Hours from 2019-01-20 on, so that clocks change within.
        let first = 430_000_u32;
        let mut world = World::new();
        let mut chosen = Vec::new();
        for (offset, count, story, source) in events {
            let (story, source) = ([STORY, OTHER, THIRD][story], Source::ALL[source]);
            let key = SeriesKey { story: story_id(story), source, metric: Metric::Conversations };
            world.add_in_hour(key, Hour::new(first + offset), count);
            let named = match filter {
                "" => true,
                "&source=app,slack" => [Source::App, Source::Slack].contains(&source),
                _ => story == STORY,
            };
            if named {
                chosen.push((first + offset, count));
            }
        }
        let from = (i64::from(first) + start) * 3_600;
        let to = from + length * 3_600;
        let query = format!("from={from}000&to={to}000&timezone={zone}&dimension={unit}{filter}");
        let zone: chrono_tz::Tz = zone.parse().unwrap();
        let expected = model(&chosen, (from, to), (zone, unit));
        for group in ["", "&group=storyId", "&group=source"] {
            let answer = world.value("conversations", &format!("{query}{group}"));
            let points = answer["data"].as_array().unwrap();
            let starts = points.iter().map(|point| {
                DateTime::parse_from_rfc3339(point["date"].as_str().unwrap()).unwrap().timestamp()
            });
            let labels: Vec<String> = starts.map(|at| label(zone, at, unit)).collect();
            let touched: BTreeSet<String> = (from..to).step_by(3_600).map(|at| label(zone, at, unit)).collect();
            prop_assert_eq!(labels.iter().cloned().collect::<BTreeSet<_>>(), touched);
            prop_assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len());
            for (label, point) in labels.iter().zip(points) {
                let value = expected.get(label).copied().unwrap_or(0);
                prop_assert_eq!(point["value"].as_u64(), Some(value), "{} in {}", label, query);
            }
            if let Some(groups) = answer["groups"].as_array() {
                for (index, point) in points.iter().enumerate() {
                    let parts = groups.iter().map(|group| group["data"][index]["value"].as_u64().unwrap());
                    prop_assert_eq!(parts.sum::<u64>(), point["value"].as_u64().unwrap());
                }
            }
        }
    }
}

/// The text of a report, put together from its parts.
fn parts(report: Report, format: ReportFormat) -> Vec<u8> {
    let mut text = Vec::new();
    for part in report.into_text_parts(format) {
        assert!(!part.is_empty() && part.len() < 1024 * 1024, "a part of {} bytes", part.len());
        text.extend_from_slice(&part);
    }
    text
}

#[test]
fn a_large_report_in_parts_is_the_same_text_as_in_one() {
    let mut world = World::new();
    // At the first hour, at the last, somewhere between, and over much of the range.
    world.add(STORY, Source::App, Metric::Conversations, ("2018-01-01T00:00:00Z", 7));
    world.add(OTHER, Source::App, Metric::Conversations, ("2018-12-31T23:00:00Z", 12));
    for day in 1..=28 {
        let at = format!("2018-02-{day:02}T05:00:00Z");
        world.add(THIRD, Source::Slack, Metric::Conversations, (&at, day));
        world.add(STORY, Source::Slack, Metric::Messages, (&at, 3 * day));
        world.add(THIRD, Source::Slack, Metric::Messages, (&at, 100_000 + day));
    }
    world.name(OTHER, None, "a \"name\"");
    for report in ["conversations", "conversations.messages", "conversations.average"] {
        let query = "from=2018-1-1&to=2018-12-31&dimension=hour&group=storyId&limit=100";
        let query = parse(report, query, "2019-05-31T12:00:00Z").unwrap();
        let report = roll_up(&world.catalogue, &world.counters, &query);
        let mut whole = Vec::new();
        report.write(ReportFormat::Json, &mut whole);
        for format in [FormatName::Csv, FormatName::Rows] {
            let mut table = Vec::new();
            report.write(query.written_as(format), &mut table);
            assert!(parts(report.clone(), query.written_as(format)) == table, "the tables differ");
        }
        let text = parts(report, ReportFormat::Json);
        assert!(text == whole, "the texts differ");

        let json: Value = serde_json::from_slice(&text).unwrap();
        let values = |series: &Value| -> Vec<(String, f64)> {
            let points = series["data"].as_array().unwrap().iter();
            points.map(|p| (p["date"].as_str().unwrap().to_owned(), p["value"].as_f64().unwrap())).collect()
        };
        let all = values(&json);
        assert_eq!((all.len(), all[0].0.as_str()), (8_760, "2018-01-01T00:00:00.000Z"));
        for group in json["groups"].as_array().unwrap() {
            let of_group = values(group);
            assert!(of_group.iter().zip(&all).all(|(group, whole)| group.0 == whole.0));
            assert_eq!(of_group.len(), 8_760);
            let total = of_group.iter().map(|point| point.1).sum::<f64>();
            assert!((group["summary"]["total"].as_f64().unwrap() - total).abs() < 1e-3);
            assert_eq!(group["summary"]["min"], json!(0));
        }
    }
}

#[test]
fn only_a_report_that_may_be_large_is() {
    let mut world = World::new();
    for story in [STORY, OTHER, THIRD] {
        world.add(story, Source::App, Metric::Conversations, ("2018-01-01T00:00:00Z", 1));
    }
    let is_large = |report: &str, query: &str| {
        let query = parse(report, query, "2019-05-31T12:00:00Z").unwrap();
        let report = roll_up(&world.catalogue, &world.counters, &query);
        assert_eq!(query.may_be_large(&world.catalogue), report.is_large(), "{query:?}");
        let mut whole = Vec::new();
        report.write(ReportFormat::Json, &mut whole);
        let is_large = report.is_large();
        assert!(parts(report, ReportFormat::Json) == whole);
        is_large
    };
    assert!(is_large("conversations", "from=2018-1-1&to=2018-12-31&dimension=hour&group=storyId&limit=100"));
    assert!(!is_large("conversations", "from=2018-1-1&to=2018-12-31&dimension=hour"));
    assert!(!is_large("conversations", "from=2018-1-1&to=2018-12-31&group=storyId"));
    assert!(!is_large("busiest-period", "from=2018-1-1&to=2018-12-31"));
}
