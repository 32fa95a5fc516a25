//! Reports as tables: the bytes of the documented cases, and that the cells are the numbers of the JSON.

use super::*;

/// A report as CSV and as rows.
fn tables(world: &World, report: &str, query: &str) -> [String; 2] {
    let query = parse(report, query, NOW).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let [_, csv, rows] = texts(&roll_up(&world.catalogue, &world.counters, &query), &query);
    [csv, rows]
}

#[track_caller]
fn check(world: &World, (report, query): (&str, &str), csv: &[&str], rows: &str) {
    let lines: String = csv.iter().flat_map(|line| [*line, "\r\n"]).collect();
    assert_eq!(tables(world, report, query), [lines, rows.to_owned()]);
}

#[test]
fn documented_table_of_stories_comes_out_as_documented() {
    let mut world = World::new();
    world.add(STORY, Source::App, Metric::Conversations, ("2019-03-17T09:00:00Z", 1));
    world.name(STORY, None, "=1+1 \"x\"");
    check(
        &world,
        ("conversations", "from=2019-3-17&to=2019-3-17&timezone=Europe/Warsaw&group=storyId"),
        &[
            "date,local,storyId,name,value",
            "2019-03-16T23:00:00.000Z,2019-03-17,5b07ffafc2376e30306d9b16,\"'=1+1 \"\"x\"\"\",1",
        ],
        r#"[{"date":"2019-03-16T23:00:00.000Z","local":"2019-03-17","storyId":"5b07ffafc2376e30306d9b16","name":"=1+1 \"x\"","value":1}]"#,
    );
}

#[test]
fn rows_come_by_date_then_group_and_hours_of_a_change_night_are_told_apart() {
    let mut world = World::new();
    world.add(STORY, Source::App, Metric::Conversations, ("2019-10-27T00:00:00Z", 1));
    world.add(STORY, Source::Slack, Metric::Conversations, ("2019-10-27T01:00:00Z", 2));
    let night = "timezone=Europe/Warsaw&dimension=hour&from=2019-10-27T00:00:00Z&to=2019-10-27T02:00:00Z";
    check(
        &world,
        ("conversations", &format!("{night}&group=source")),
        &[
            "date,local,source,value",
            "2019-10-27T00:00:00.000Z,2019-10-27T02:00+02:00,slack,0",
            "2019-10-27T00:00:00.000Z,2019-10-27T02:00+02:00,app,1",
            "2019-10-27T01:00:00.000Z,2019-10-27T02:00+01:00,slack,2",
            "2019-10-27T01:00:00.000Z,2019-10-27T02:00+01:00,app,0",
        ],
        concat!(
            r#"[{"date":"2019-10-27T00:00:00.000Z","local":"2019-10-27T02:00+02:00","source":"slack","value":0},"#,
            r#"{"date":"2019-10-27T00:00:00.000Z","local":"2019-10-27T02:00+02:00","source":"app","value":1},"#,
            r#"{"date":"2019-10-27T01:00:00.000Z","local":"2019-10-27T02:00+01:00","source":"slack","value":2},"#,
            r#"{"date":"2019-10-27T01:00:00.000Z","local":"2019-10-27T02:00+01:00","source":"app","value":0}]"#,
        ),
    );
    let [csv, rows] = tables(&world, "conversations", "group=storyId&period=today");
    assert_eq!([csv.as_str(), rows.as_str()], ["date,local,storyId,name,value\r\n", "[]"]);
}

#[test]
fn unpaired_cells_of_a_comparison_are_empty() {
    let mut world = World::new();
    world.add(STORY, Source::App, Metric::Conversations, ("2019-02-28T09:00:00Z", 5));
    world.add(STORY, Source::App, Metric::Messages, ("2019-02-28T09:00:00Z", 12));
    world.add(STORY, Source::App, Metric::Conversations, ("2019-03-01T09:00:00Z", 1));
    let heading = "date,local,value,previousDate,previousLocal,previousValue";
    let [longer, _] = tables(&world, "conversations", "from=2019-3-1&to=2019-3-31&compare=previous");
    let lines: Vec<&str> = longer.split("\r\n").collect();
    assert_eq!((lines.len(), lines[0]), (33, heading));
    assert_eq!(lines[28], "2019-03-28T00:00:00.000Z,2019-03-28,0,2019-02-28T00:00:00.000Z,2019-02-28,5");
    assert_eq!(lines[29], "2019-03-29T00:00:00.000Z,2019-03-29,0,,,");
    let shorter = "from=2019-2-1&to=2019-2-28&compare=previous&group=source";
    let [csv, rows] = tables(&world, "conversations.average", shorter);
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 33);
    assert_eq!(
        lines[28],
        "2019-02-28T00:00:00.000Z,2019-02-28,app,2.4,2019-01-28T00:00:00.000Z,2019-01-28,0"
    );
    assert_eq!(lines[31], ",,app,,2019-01-31T00:00:00.000Z,2019-01-31,0");
    let missing = r#"{"date":null,"local":null,"source":"app","value":null,"previousDate":"2019-01-31T00:00:00.000Z","previousLocal":"2019-01-31","previousValue":0}]"#;
    assert!(rows.ends_with(missing), "{rows}");
}

#[test]
fn the_last_two_reports_are_tables_too() {
    let mut world = World::new();
    let at = ("2019-03-17T23:00:00Z", 1);
    world.add(STORY, Source::App, Metric::Conversations, at);
    world.add(STORY, Source::App, Metric::Interaction(interaction(OTHER)), at);
    world.add(STORY, Source::App, Metric::Interaction(Node::ContextFallback(InteractionId(id(OTHER)))), at);
    world.add(STORY, Source::App, Metric::Interaction(interaction(THIRD)), at);
    world.name(STORY, Some(interaction(OTHER)), "-2, \"b\"\u{202e}");
    let [csv, rows] = tables(&world, "busiest-period", "");
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!((lines.len(), lines[0], lines[1]), (170, "day,hour,value,usage", "0,0,0,0"));
    assert_eq!((lines[24], lines[168]), ("0,23,1,100", "6,23,0,0"));
    assert!(rows.starts_with(r#"[{"day":0,"hour":0,"value":0,"usage":0},{"day":0,"hour":1,"#), "{rows}");
    check(
        &world,
        ("interactions.popularity", ""),
        &[
            "type,id,parentId,name,value,usage",
            "interaction,5b07ff77c2376e30306d9b12,,\"'-2, \"\"b\"\"\\u{202e}\",1,33.33",
            "interaction,5b07ff77c2376e30306d9b13,,5b07ff77c2376e30306d9b13,1,33.33",
            "contextFallback,,5b07ff77c2376e30306d9b12,Fallback Interaction,1,33.33",
            "fallback,,,Fallback Interaction,0,0",
            "welcome,,,Welcome Interaction,0,0",
        ],
        &format!(
            concat!(
                r#"[{{"type":"interaction","id":"{0}","parentId":null,"name":"-2, \"b\"{2}","value":1,"usage":33.33}},"#,
                r#"{{"type":"interaction","id":"{1}","parentId":null,"name":"{1}","value":1,"usage":33.33}},"#,
                r#"{{"type":"contextFallback","id":null,"parentId":"{0}","name":"Fallback Interaction","value":1,"usage":33.33}},"#,
                r#"{{"type":"fallback","id":null,"parentId":null,"name":"Fallback Interaction","value":0,"usage":0}},"#,
                r#"{{"type":"welcome","id":null,"parentId":null,"name":"Welcome Interaction","value":0,"usage":0}}]"#,
            ),
            OTHER, THIRD, "\u{202e}",
        ),
    );
    assert_eq!(tables(&World::new(), "interactions.popularity", "")[1], "[]");
}

/// The rows of a series as they follow from its JSON.
fn expected_rows(answer: &Value, local: &dyn Fn(&str) -> String) -> Vec<Vec<Value>> {
    // Borrowed: a copy of all points for each cell would take longer than all reports together.
    fn points(series: &Value) -> &[Value] {
        series["data"].as_array().map_or(&[], Vec::as_slice)
    }
    let (starts, earlier) = (points(answer), points(&answer["compare"]));
    let series = answer["groups"].as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
    let mut rows = vec![];
    for unit in 0..starts.len().max(earlier.len()) {
        for one in series {
            let date = |list: &[Value]| list.get(unit).map_or(Value::Null, |point| point["date"].clone());
            let name = |date: &Value| date.as_str().map_or(Value::Null, |date| json!(local(date)));
            let value =
                |series: &Value| points(series).get(unit).map_or(Value::Null, |point| point["value"].clone());
            let mut row = vec![date(starts), name(&date(starts))];
            if answer.get("groups").is_some() {
                let keys = ["source", "storyId"].map(|key| one.get(key).cloned());
                row.extend(keys.iter().flatten().cloned());
                if let Some(id) = &keys[1] {
                    row.push(one.get("name").unwrap_or(id).clone());
                }
            }
            row.push(value(one));
            if answer.get("compare").is_some() {
                row.extend([date(earlier), name(&date(earlier)), value(&one["compare"])]);
            }
            rows.push(row);
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every cell of a table is a value of the JSON, in the documented order.
    #[test]
    fn tables_have_the_numbers_of_the_json(
        report in prop::sample::select(ReportName::ALL.map(ReportName::as_str)[..4].to_vec()),
        dates in prop::sample::select(vec!["period=last7days", "from=2019-02-01&to=2019-02-28", "period=lastMonth"]),
        (unit, local_bytes) in prop::sample::select(vec![("day", 10), ("month", 7), ("year", 4), ("hour", 16)]),
        group in prop::sample::select(vec!["", "&group=source", "&group=storyId&limit=2"]),
        compare in prop::sample::select(vec!["", "&compare=previous", "&compare=weekday"]),
        minutes in prop::sample::select(vec![0_i64, 90, -720]),
    ) {
        let mut world = World::new();
        for step in 0..300_u32 {
            let metric = [Metric::Conversations, Metric::Messages, Metric::PaidConversations];
            let key = SeriesKey {
                story: story_id([STORY, OTHER, THIRD][(step * 7 % 3) as usize]),
                source: Source::ALL[(step * 5 % 7) as usize],
                metric: metric[(step / 3 % 3) as usize],
            };
            world.add_in_hour(key, Hour::new(hour("2019-01-01T00:00:00Z").get() + step * 7), step % 5);
        }
        world.name(OTHER, None, "b");
        let query = format!("{dates}&dimension={unit}{group}{compare}&offset={minutes}");
        let answer: Value = serde_json::from_str(&world.json(report, &query, NOW)).unwrap();
        let local = |date: &str| {
            let at = DateTime::parse_from_rfc3339(date).unwrap() + chrono::TimeDelta::minutes(minutes);
            let mut text: String = at.format("%Y-%m-%dT%H:%M").to_string().chars().take(local_bytes).collect();
            if unit == "hour" {
                text.push_str(match minutes {
                    0 => "+00:00",
                    90 => "+01:30",
                    _ => "-12:00",
                });
            }
            text
        };
        let expected = expected_rows(&answer, &local);
        let [csv, rows] = tables(&world, report, &query);
        let found: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&rows).unwrap();
        let mut lines = csv.split("\r\n");
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        prop_assert_eq!(found.len(), expected.len());
        for (row, cells) in found.iter().zip(&expected) {
            let shown: Vec<&Value> = columns.iter().map(|column| &row[*column]).collect();
            prop_assert_eq!(&shown, &cells.iter().collect::<Vec<_>>());
            prop_assert_eq!(row.len(), columns.len());
            let plain = |cell: &Value| match cell {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let line = cells.iter().map(plain).collect::<Vec<_>>().join(",");
            prop_assert_eq!(lines.next(), Some(line.as_str()));
        }
        prop_assert_eq!(lines.collect::<Vec<_>>(), [""]);
    }
}
