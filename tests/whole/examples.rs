//! The examples of the contract, to the letter, and the ways of getting a request wrong.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::daemon::Daemon;

const STORY: &str = "5b07ffafc2376e30306d9b16";

fn march_2019(daemon: &Daemon) {
    let mut body = String::new();
    for (day, count) in (17..=23).zip(1..=7) {
        let seconds = chrono::NaiveDate::from_ymd_opt(2019, 3, day).unwrap().and_hms_opt(9, 0, 0).unwrap();
        body.push_str(&format!(
            "conversation,storyId={STORY},source=messenger count={count}i {}\n",
            seconds.and_utc().timestamp()
        ));
    }
    let answer = daemon.client().post("/events?precision=s", &[], body.as_bytes());
    assert_eq!((answer.status, answer.json()), (200, json!({"accepted": 7, "rejected": 0})));
}

#[test]
fn documented_case_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &[]);
    march_2019(&daemon);
    let answer = daemon.client().get("/reports/conversations?from=2019-03-01&to=2019-03-27");
    let text = answer.text();
    assert!(text.contains(r#""summary":{"total":28,"min":0,"max":7,"avg":1.04}"#), "{text}");
    let data = answer.json()["data"].clone();
    assert_eq!(data.as_array().unwrap().len(), 27);
    assert_eq!(data[16], json!({"date": "2019-03-17T00:00:00.000Z", "value": 1}));
    assert_eq!(data[22], json!({"date": "2019-03-23T00:00:00.000Z", "value": 7}));
}

#[test]
fn lines_of_the_contract_count_and_show_up_in_the_popularity_example() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &[]);
    let body = format!(
        "interaction,storyId={STORY},source=messenger,id=5b07ffafc2376e30306d9b16 count=2i,name=\"bar\" 1552813201000000000\n\
         interaction,storyId={STORY},source=messenger,type=contextFallback,parentId=5b07ffafc2376e30306d9b16 count=1i 1552813201000000000\n\
         interaction,storyId={STORY},source=messenger,id=5b07ff77c2376e30306d9b12 count=0i,name=\"foo\" 1552813201000000000\n"
    );
    assert_eq!(daemon.client().post("/api/v2/write?org=o&bucket=b", &[], body.as_bytes()).status, 204);
    let answer = daemon
        .client()
        .get(&format!("/v2/reports/interactions.popularity?storyId={STORY}&from=2019-03-17&to=2019-03-17"));
    let right: Value = serde_json::from_str(
        r#"[{"name":"bar","id":"5b07ffafc2376e30306d9b16","usage":66.67,"value":2},
 {"parentId":"5b07ffafc2376e30306d9b16","type":"contextFallback","name":"Fallback Interaction","usage":33.33,"value":1},
 {"name":"foo","id":"5b07ff77c2376e30306d9b12","usage":0,"value":0},
 {"type":"fallback","name":"Fallback Interaction","usage":0,"value":0},
 {"type":"welcome","name":"Welcome Interaction","usage":0,"value":0}]"#,
    )
    .unwrap();
    assert_eq!(answer.json(), right);
}

#[test]
fn groups_by_story_count_as_many_points_as_there_are_stories_not_as_the_limit_allows() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &[]);
    march_2019(&daemon);
    let target =
        "/reports/conversations?from=2019-01-01&to=2019-12-31&dimension=hour&group=storyId&limit=10000";
    let answer = daemon.client().get(target);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["groups"][0]["summary"]["total"], json!(28));
}

#[test]
fn a_bad_line_costs_its_neighbours_nothing_and_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &[]);
    let good = format!("message,storyId={STORY},source=app count=1i 1552813201000000000");
    for (bad, words) in [
        ("messages,storyId=5b07ffafc2376e30306d9b16,source=app count=1i", "conversation"),
        ("message,storyId=5b07,source=app count=1i", "24"),
        ("message,storyId=5b07ffafc2376e30306d9b16,source=ap count=1i", "messenger"),
        ("message,storyId=5b07ffafc2376e30306d9b16 count=1i", "source"),
        ("message,storyId=5b07ffafc2376e30306d9b16,source=app count=-1i", "count"),
        ("message,storyId=5b07ffafc2376e30306d9b16,source=app count=1.5", "count"),
        ("message,storyId=5b07ffafc2376e30306d9b16,source=app count=1i 1552813201", "precision"),
        ("interaction,storyId=5b07ffafc2376e30306d9b16,source=app count=1i", "id"),
        ("{\"event\":\"message\",\"source\":\"app\"}", "storyId"),
        ("{\"event\":", "JSON"),
    ] {
        let answer = daemon.client().post("/events", &[], format!("{good}\n{bad}\n{good}\n").as_bytes());
        let json = answer.json();
        assert_eq!(answer.status, 400, "{bad}: {json}");
        assert_eq!((&json["accepted"], &json["rejected"]), (&json!(2), &json!(1)), "{bad}: {json}");
        let detail = json["status"]["details"][0].clone();
        assert_eq!(detail["line"], json!(2), "{bad}: {json}");
        assert!(detail["message"].as_str().unwrap().contains(words), "{bad}: {json}");

        let mut lines = daemon.lines();
        lines.send(format!("{good}\n{bad}\n{good}\n").as_bytes()).unwrap();
        let mut complaints = Vec::new();
        assert_eq!(lines.sync(|answer| complaints.push(answer.to_owned())).unwrap(), (2, 1), "{bad}");
        assert_eq!(complaints.len(), 1, "{bad}: {complaints:?}");
        assert!(
            complaints[0].starts_with("ERR 2 ") && complaints[0].contains(words),
            "{bad}: {complaints:?}"
        );
    }
}

#[test]
fn a_bad_request_for_a_report_names_the_parameter_and_what_it_takes() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &[]);
    let mut client = daemon.client();
    for (target, words) in [
        ("conversations?dimenson=day", &["dimenson", "dimension"][..]),
        ("conversations?dimension=week", &["dimension", "week", "month"]),
        ("conversations?period=last5days", &["period", "last5days", "last7days"]),
        ("conversations?from=2019-13-01", &["from", "2019-13-01"]),
        ("conversations?from=2019-03-02&to=2019-03-01", &["from", "to"]),
        ("conversations?source=telegram", &["source", "telegram", "messenger"]),
        ("conversations?storyId=xyz", &["storyId", "xyz", "24"]),
        ("conversations?offset=721", &["offset", "721", "720"]),
        ("conversations?offset=60&timezone=Europe/Warsaw", &["offset", "timezone"]),
        ("conversations?timezone=Europe/Warszawa", &["timezone", "Europe/Warszawa"]),
        ("conversations?limit=0&group=source", &["limit", "1"]),
        ("conversations?from=2019-01-01&from=2019-01-02", &["from"]),
        ("conversations?dimension=hour&from=2000-01-01&to=2020-01-01", &["100", "day"]),
        ("busiest-period?dimension=day", &["dimension"]),
        ("interactions.popularity?storyId=5b07ffafc2376e30306d9b16,5b07ffafc2376e30306d9b17", &["storyId"]),
    ] {
        let answer = client.get(&format!("/reports/{target}"));
        let text = answer.text();
        assert_eq!(answer.status, 400, "{target}: {text}");
        assert_eq!(answer.json()["status"]["code"], json!(400), "{target}: {text}");
        for word in words {
            assert!(text.contains(word), "{target} should mention {word}: {text}");
        }
    }
    for target in ["/settings", "/reports/unknown", "/"] {
        let answer = client.get(target);
        assert_eq!(answer.status == 404, target != "/", "{target}: {}", answer.text());
    }
    assert_eq!(client.get("/events").header("allow"), Some("POST"));
}

#[test]
fn the_client_prints_the_sheet_of_the_daemon_and_watches_until_it_is_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &[]);
    march_2019(&daemon);
    let url = format!("http://{}", daemon.http);
    let report = |more: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
        let range = ["--from", "2019-3-16", "--to", "2019-3-18", "--timezone", "europe/warsaw"];
        command.args(["report", "conversations", "--url", &url, more]).args(range).stdout(Stdio::piped());
        command
    };
    let printed = report("--csv").output().unwrap();
    let target = "/reports/conversations?from=2019-3-16&to=2019-3-18&timezone=Europe/Warsaw&format=csv";
    let sheet = daemon.client().get(target).text();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), sheet);
    assert!(sheet.contains("\r\n2019-03-16T23:00:00.000Z,2019-03-17,1\r\n"), "{sheet}");

    let mut watching = report("--watch=1").spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut shown = String::new();
    let mut pictures = 0;
    for line in lines.map(Result::unwrap) {
        shown.push_str(&line);
        if line.starts_with("total 3,") {
            pictures += 1;
            if pictures == 2 {
                kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
            }
        }
    }
    assert!(pictures >= 2 && !shown.contains('\u{1b}'), "{shown:?}");
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}
