//! Counts of a story in hours are taken away: what was counted before goes, what comes later counts, and a restart of the store
//! changes nothing of it.

use serde_json::{Value, json};

use crate::support::{Port, Reply, STORY};

const OTHER: &str = "5b07ff77c2376e30306d9b12";
/// 2019-03-15T09:00:00Z.
const HOUR: u64 = 1_552_640_400;

async fn undo(port: &Port, query: &str) -> Reply {
    port.ask("DELETE", &format!("/stories/{STORY}/counts?{query}"), &[], b"").await
}

async fn count(port: &Port, lines: &[(&str, &str, u64, u64)]) {
    let line = |&(head, source, hours, count): &(&str, &str, u64, u64)| {
        let (kind, story) = head.split_once('@').unwrap();
        let at = HOUR + hours * 3_600;
        format!("{kind},storyId={STORY},source={source}{story} count={count}i {at}000000001\n")
    };
    let body: String = lines.iter().map(line).collect();
    assert_eq!(port.post("/events", &body).await.status, 200);
}

/// Total of a report over everything.
async fn total(port: &Port, report: &str) -> Value {
    let path = format!("/reports/{report}?from=2019-3-1&to=2019-3-31");
    port.get(&path).await.json()["summary"]["total"].clone()
}

fn counts(reply: &Reply) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |one: &Value| (text(&one["metric"]), text(&one["source"]), one["value"].as_u64().unwrap());
    reply.json()["counts"].as_array().unwrap().iter().map(one).collect()
}

#[tokio::test]
async fn counts_of_a_range_go_and_what_comes_later_counts() {
    let port = Port::open().await;
    let node = format!(",id={OTHER}");
    let interaction = format!("interaction@{node}");
    count(
        &port,
        &[
            ("conversation@", "app", 0, 5),
            ("conversation@", "app", 1, 7),
            ("message@", "slack", 0, 11),
            ("message@", "app", 30, 13),
            (&interaction, "app", 0, 17),
            (&interaction, "slack", 0, 1),
        ],
    )
    .await;
    let range = "from=2019-03-15T09:00:00Z&to=2019-03-15T10:00:00Z";
    let dry = undo(&port, &format!("{range}&dry_run=true")).await;
    let expected: [(&str, &str, u64); 4] = [
        ("conversations", "app", 5),
        ("messages", "slack", 11),
        ("interactions", "slack", 1),
        ("interactions", "app", 17),
    ];
    let expected = expected.map(|(metric, source, value)| (metric.to_owned(), source.to_owned(), value));
    assert_eq!(counts(&dry), expected, "{dry:?}");
    assert_eq!(dry.json()["from"], "2019-03-15T09:00:00.000Z");
    assert_eq!(dry.json()["to"], "2019-03-15T10:00:00.000Z");
    assert_eq!((&dry.json()["dryRun"], &dry.json()["storyId"]), (&json!(true), &json!(STORY)));
    assert_eq!(total(&port, "conversations").await, 12);

    // Of one source and two metrics.
    let some = undo(&port, &format!("{range}&source=slack&metric=messages,interactions")).await;
    assert_eq!((some.status, counts(&some)), (200, expected[1..3].to_vec()), "{some:?}");
    assert_eq!(some.json()["dryRun"], false);
    assert_eq!(total(&port, "conversations.messages").await, 13);
    let rest = undo(&port, range).await;
    assert_eq!(counts(&rest), [expected[0].clone(), expected[3].clone()]);
    assert_eq!(total(&port, "conversations").await, 7);
    assert_eq!(total(&port, "conversations.messages").await, 13);
    // It is still known, with its hours as they are now.
    let popularity =
        port.get(&format!("/reports/interactions.popularity?storyId={STORY}&from=2019-3-1")).await;
    assert_eq!(popularity.json()[0]["value"], 0, "{popularity:?}");
    assert!(popularity.body.contains(OTHER), "{popularity:?}");
    let story = port.get(&format!("/stories/{STORY}")).await.json();
    assert_eq!(story["firstEvent"], "2019-03-15T10:00:00.000Z");
    assert_eq!(counts(&undo(&port, range).await), []);

    count(&port, &[("conversation@", "app", 0, 3)]).await;
    assert_eq!(total(&port, "conversations").await, 10);
    assert_eq!(
        counts(&undo(&port, &format!("{range}&dry_run=true")).await),
        [("conversations".to_owned(), "app".to_owned(), 3)]
    );
    // All of it.
    assert_eq!(undo(&port, "from=2019-3-1&to=2019-3-31").await.status, 200);
    let story = port.get(&format!("/stories/{STORY}")).await.json();
    assert_eq!((&story["firstEvent"], &story["conversations"]), (&Value::Null, &json!(0)));
}

#[tokio::test]
async fn undo_is_refused_in_words() {
    let port = Port::open().await;
    let range = "from=2019-3-15&to=2019-3-15";
    assert_eq!(undo(&port, range).await.status, 404);
    count(&port, &[("message@", "app", 0, 1)]).await;
    for (query, words) in [
        ("", "2 faults"),
        ("from=2019-3-15", "`to` must be given"),
        ("to=2019-3-15", "`from` must be given"),
        ("from=2019-3-15&to=", "`to` must be given"),
        ("from=2019-3-15&to=2019-3-14", "from"),
        (
            "from=2019-3-15&to=2019-3-15&metric=average",
            "`metric` must be conversations, paid, messages or interactions",
        ),
        ("from=2019-3-15&to=2019-3-15&dry_run=yes", "`dry_run` must be true or false; got `yes`"),
        ("from=2019-3-15&to=2019-3-15&dry_run=true&dry_run=false", "`dry_run` must be given once"),
        ("from=2019-3-15&to=2019-3-15&source=fax", "source"),
        ("from=2019-3-15&to=2019-3-15&period=today", "`period` is not known; this path takes `from`, `to`"),
        ("from=2019-3-15&to=2019-3-15&storyId=x", "`storyId` is not known"),
    ] {
        let reply = undo(&port, query).await;
        assert!(reply.status == 400 && reply.message().contains(words), "{query}: {reply:?}");
    }
    assert_eq!(total(&port, "conversations.messages").await, 1);
    let reply = port.ask("PUT", &format!("/stories/{STORY}/counts"), &[], b"").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("DELETE")));
    assert_eq!(port.ask("DELETE", "/stories/x/counts", &[], b"").await.status, 400);
}

/// More series than go at a time: every one of them goes, and nothing of another story.
#[tokio::test]
async fn story_with_very_many_interactions_is_undone_as_a_whole() {
    let port = Port::open().await;
    let line = |node: usize, story: &str| {
        format!("interaction,storyId={story},source=app,id={node:024} count=2i {HOUR}000000001\n")
    };
    let body: String = (0..3_000).flat_map(|node| [STORY, OTHER].map(|story| line(node, story))).collect();
    assert_eq!(port.post("/events", &body).await.status, 200);
    let reply = undo(&port, "from=2019-3-15&to=2019-3-15").await;
    assert_eq!(counts(&reply), [("interactions".to_owned(), "app".to_owned(), 6_000)]);
    for (story, left) in [(STORY, 0_u64), (OTHER, 6_000)] {
        let path = format!("/reports/interactions.popularity?storyId={story}&from=2019-3-1&limit=10000");
        let rows = port.get(&path).await.json();
        let sum: u64 = rows.as_array().unwrap().iter().map(|row| row["value"].as_u64().unwrap()).sum();
        assert_eq!(sum, left, "{story}");
        assert_eq!(rows.as_array().unwrap().len(), 3_002, "{story}");
    }
}
