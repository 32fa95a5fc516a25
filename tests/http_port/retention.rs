//! Months that were dropped: what reports, lists, undos and streams say of them, and what becomes of events that come later.

use serde_json::{Value, json};
use tallyd::model::batch::Batch;
use tallyd::model::calendar::Hour;
use tallyd::model::cells::Month;

use crate::support::{Port, Reply, STORY};

const OTHER: &str = "5b07ff77c2376e30306d9b12";
/// 2018-11-15T12:00Z, 2019-01-31T23:00Z, 2019-02-01T00:00Z and 2019-03-15T09:00Z.
const NOVEMBER: u64 = 1_542_283_200;
const LAST_DROPPED: u64 = 1_548_975_600;
const FIRST_KEPT: u64 = 1_548_979_200;
const MARCH: u64 = 1_552_640_400;
const MOMENT: &str = "2019-02-01T00:00:00.000Z";

fn line(story: &str, at: u64, count: u64) -> String {
    format!("conversation,storyId={story},source=app count={count}i {at}000000001\n")
}

/// Has all before 2019-02 dropped, as the daemon does it.
async fn drop_before_february(port: &Port) {
    let february = Month::containing(Hour::containing(i64::try_from(FIRST_KEPT).unwrap()).unwrap());
    let batch = Batch { dropped_before: Some(february), ..Batch::default() };
    let write_handle = port.store.as_ref().unwrap().write_handle();
    write_handle.submit(batch).await.unwrap().outcome().await.unwrap();
}

async fn filled() -> Port {
    let port = Port::open().await;
    let lines = [
        line(STORY, NOVEMBER, 1),
        line(OTHER, NOVEMBER, 2),
        line(STORY, LAST_DROPPED, 4),
        line(STORY, FIRST_KEPT, 8),
        line(STORY, MARCH, 16),
    ];
    assert_eq!(port.post("/events", &lines.concat()).await.status, 200);
    port
}

fn mark(reply: &Reply) -> Option<&str> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("x-dropped-before")
}

#[tokio::test]
async fn report_that_begins_before_what_is_kept_says_so_in_every_format() {
    let port = filled().await;
    let all = "from=2018-10-1&to=2019-3-31";
    let before = port.get(&format!("/reports/conversations?{all}&dimension=month")).await;
    assert_eq!((mark(&before), &before.json()["droppedBefore"]), (None, &Value::Null));
    assert_eq!(before.json()["summary"]["total"], 31);
    drop_before_february(&port).await;

    let series = port.get(&format!("/reports/conversations?{all}&dimension=month")).await;
    assert_eq!((mark(&series), &series.json()["droppedBefore"]), (Some(MOMENT), &json!(MOMENT)));
    let values: Vec<u64> = series.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["value"].as_u64().unwrap())
        .collect();
    assert_eq!(values, [0, 0, 0, 0, 8, 16]);
    for (name, query) in [
        ("conversations", "group=storyId&dimension=month"),
        ("conversations.average", "dimension=year"),
        ("conversations", "format=csv"),
        ("conversations", "format=rows"),
        ("busiest-period", ""),
        ("busiest-period", "format=csv"),
        ("interactions.popularity", ""),
        ("interactions.popularity", "format=rows"),
    ] {
        let reply = port.get(&format!("/reports/{name}?{all}&{query}")).await;
        assert_eq!(mark(&reply), Some(MOMENT), "{name} {query}");
        let tag = format!("if-none-match: {}", reply.header("etag").unwrap());
        let again = port.ask("GET", &format!("/reports/{name}?{all}&{query}"), &[&tag], b"").await;
        assert_eq!((again.status, again.header("x-dropped-before")), (304, Some(MOMENT)), "{name} {query}");
    }
    for (query, is_marked) in [
        // Wholly below, and wholly above.
        ("from=2018-1-1&to=2018-2-1", true),
        ("from=2019-2-1&to=2019-2-28", false),
        ("from=2019-1-31&to=2019-2-28", true),
        // An hour of January in UTC, and one less.
        ("from=2019-2-1&to=2019-2-28&offset=60", true),
        ("from=2019-2-1&to=2019-2-28&offset=-60", false),
        ("from=2019-2-1&to=2019-2-28&compare=previous", true),
        ("from=2019-3-1&to=2019-3-15&compare=weekday", false),
        ("to=2019-2-28", true),
        ("period=last30days", false),
    ] {
        let reply = port.get(&format!("/reports/conversations?{query}")).await;
        assert_eq!(mark(&reply), is_marked.then_some(MOMENT), "{query}");
        assert_eq!(reply.json()["droppedBefore"].is_string(), is_marked, "{query}");
    }
}

#[tokio::test]
async fn later_events_of_dropped_hours_are_bad_lines_and_counted_keys_are_answered_as_before() {
    let port = filled().await;
    let keyed = line(STORY, LAST_DROPPED, 32);
    let key = ["idempotency-key: one"];
    let first = port.ask("POST", "/events", &key, keyed.as_bytes()).await;
    assert_eq!(first.json(), json!({"accepted": 1, "rejected": 0}));
    drop_before_february(&port).await;

    let body = [line(STORY, LAST_DROPPED, 1), line(STORY, FIRST_KEPT, 64), line(OTHER, NOVEMBER, 0)].concat();
    let reply = port.post("/events", &body).await;
    assert_eq!(reply.status, 400);
    assert_eq!((&reply.json()["accepted"], &reply.json()["rejected"]), (&json!(1), &json!(2)));
    let words = reply.json()["status"]["details"][0]["message"].as_str().unwrap().to_owned();
    let expected = "the timestamp is 2019-01-31T23:00:00.000000001Z, and all hours before 2019-02-01T00:00:00Z were dropped";
    assert!(words.starts_with(expected), "{words}");
    let as_json = format!(
        r#"{{"event":"message","storyId":"{STORY}","source":"app","timestamp":"2019-01-31T23:59:59Z"}}"#
    );
    assert!(port.post("/events", &as_json).await.body.contains("were dropped"));
    let again = port.ask("POST", "/events", &key, keyed.as_bytes()).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.json(), first.json());
    let all = port.get("/reports/conversations?from=2018-10-1&to=2019-3-31").await;
    assert_eq!(all.json()["summary"]["total"], 8 + 16 + 64);
}

#[tokio::test]
async fn stories_undos_and_metrics_know_what_was_dropped() {
    let port = filled().await;
    let list = port.get("/stories").await.json();
    assert_eq!((&list["droppedBefore"], &list["stories"][1]["conversations"]), (&Value::Null, &json!(2)));
    drop_before_february(&port).await;
    let list = port.get("/stories").await.json();
    assert_eq!(list["droppedBefore"], MOMENT);
    let [story, other] = &list["stories"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((&story["conversations"], &story["firstEvent"]), (&json!(24), &json!(MOMENT)));
    // It is known, and nothing that is kept was counted for it.
    assert_eq!((&other["storyId"], &other["conversations"]), (&json!(OTHER), &json!(0)));
    assert_eq!((&other["firstEvent"], &other["lastEvent"]), (&Value::Null, &Value::Null));
    assert_eq!(port.get(&format!("/stories/{STORY}")).await.json()["droppedBefore"], MOMENT);

    let undo = async |query: &str| {
        port.ask("DELETE", &format!("/stories/{STORY}/counts?dry_run=true&{query}"), &[], b"").await.json()
    };
    let below = undo("from=2018-11-1&to=2018-11-30").await;
    assert_eq!((&below["counts"], &below["droppedBefore"]), (&json!([]), &json!(MOMENT)));
    assert_eq!(undo("from=2019-2-1&to=2019-3-1").await["droppedBefore"], Value::Null);

    let metrics = port.get("/metrics").await.body;
    let moment = format!("tallyd_dropped_before_timestamp_seconds {FIRST_KEPT}");
    assert!(metrics.lines().any(|line| line == moment), "{metrics}");
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("tallyd_dropped_cells_total "));
    assert!(dropped.is_some_and(|cells| cells != "0"), "{dropped:?}");
}
