//! Rates are of what came between two readings; what a daemon says is shown, and cannot move the cursor.

use std::time::Duration;

use serde_json::{Value, json};

use super::reading::Reading;
use super::sheet::Sheet;
use super::{TopArgs, report_path};

const HEALTH: &str = r#"{"version":"9.9.9","checks":[{"name":"ingest","status":"fail","since":"2019-03-17T09:00:00.000Z","message":"the disk is full"}]}"#;

fn metrics(messages: u64, slow: u64) -> String {
    format!(
        "# TYPE tallyd_events_total counter\n\
         tallyd_events_total{{listener=\"http\",kind=\"message\",outcome=\"accepted\"}} {messages}\n\
         tallyd_events_total{{listener=\"tcp\",kind=\"message\",outcome=\"accepted\"}} 7\n\
         tallyd_events_total_of_another 99\n\
         tallyd_report_duration_seconds_bucket{{report=\"conversations\",le=\"0.0001\"}} 90\n\
         tallyd_report_duration_seconds_bucket{{report=\"conversations\",le=\"0.1\"}} 98\n\
         tallyd_report_duration_seconds_bucket{{report=\"conversations\",le=\"0.25\"}} 99\n\
         tallyd_report_duration_seconds_bucket{{report=\"conversations\",le=\"+Inf\"}} {}\n\
         tallyd_report_duration_seconds_count{{report=\"conversations\"}} {}\n\
         tallyd_overloads_total{{bound=\"streams\"}} 3\n\
         tallyd_overloads_total{{bound=\"backups\"}} 0\n\
         tallyd_uptime_seconds 93784.5\n\
         tallyd_snapshot_last_timestamp_seconds 1552813140\n\
         process_resident_memory_bytes 1610612736\n",
        98 + slow,
        98 + slow,
    )
}

fn reading(at: u64, messages: u64) -> Reading {
    let at = (Duration::from_secs(at), 1_552_813_200);
    let mut reading =
        Reading::new(at, metrics(messages, 2).as_bytes(), HEALTH.as_bytes()).expect("a reading");
    let group = |key: &str, id: &str, total: u64| {
        json!({"groups": [{key: id, "name": "Pizza\u{1b}[2J", "data": [], "summary": {"total": total}}]})
            .to_string()
    };
    reading.add_groups((1, 0), group("source", "app", messages).as_bytes()).expect("sources");
    reading
        .add_groups((1, 1), group("storyId", "5b07ffafc2376e30306d9b16", messages).as_bytes())
        .expect("stories");
    reading
}

fn sheet() -> Sheet {
    Sheet::between(&reading(10, 100), &reading(14, 150))
}

#[test]
fn rates_are_of_what_came_between_the_readings() {
    let json: Value = serde_json::from_str(&sheet().to_json().expect("JSON")).expect("JSON");
    for (path, expected) in [
        ("/seconds", json!(4.0)),
        ("/eventsPerSecond/messages", json!(12.5)),
        ("/eventsPerSecond/conversations", json!(0.0)),
        ("/sources/0/key", json!("app")),
        ("/sources/0/messagesPerSecond", json!(12.5)),
        ("/stories/0/messagesPerSecond", json!(12.5)),
        ("/stories/0/conversationsPerSecond", json!(0.0)),
        ("/snapshot/ageSeconds", json!(60)),
        ("/overloads", json!({"streams": 3})),
        ("/reports/0/halfWithinSeconds", json!(0.0001)),
        ("/reports/0/mostWithinSeconds", json!(0.25)),
        ("/reports/0/slow", json!(2)),
        ("/reports/1/mostWithinSeconds", json!(null)),
        ("/parts/0/message", json!("the disk is full")),
    ] {
        assert_eq!(json.pointer(path), Some(&expected), "{path}: {json}");
    }
}

#[test]
fn a_daemon_that_was_started_anew_has_no_rates_below_zero() {
    let json: Value =
        serde_json::from_str(&Sheet::between(&reading(10, 100), &reading(14, 3)).to_json().expect("JSON"))
            .expect("JSON");
    assert_eq!(json.pointer("/eventsPerSecond/messages"), Some(&json!(0.0)));
    assert_eq!(json.pointer("/stories/0/messagesPerSecond"), Some(&json!(0.0)));
}

#[test]
fn text_says_the_same_and_holds_no_control_character() {
    let text = sheet().text();
    for words in [
        "tallyd 9.9.9, up 1 d 2 h, rates of 4 s\n",
        "ingest       fail since 2019-03-17T09:00:00.000Z: the disk is full\n",
        "messages 12.5, ",
        "resident 1.5 GiB",
        "1 min 0 s old",
        "3 times at the bound streams",
        "5b07ffafc2376e30306d9b16              0.0         12.5  Pizza",
        "0.1 ms       250 ms            2\n",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text:?}");
}

#[test]
fn what_is_no_answer_of_tallyd_is_refused() {
    let at = (Duration::ZERO, 0);
    for (metrics, health) in [("", HEALTH), ("go_threads 3\n", HEALTH), (&*metrics(1, 1), "nothing")] {
        assert!(Reading::new(at, metrics.as_bytes(), health.as_bytes()).is_err(), "{metrics} {health}");
    }
    let mut reading = reading(1, 1);
    for report in ["", r#"{"groups":[{"source":"app"}]}"#, r#"{"groups":[{"summary":{"total":1}}]}"#] {
        assert!(reading.add_groups((0, 0), report.as_bytes()).is_err(), "{report}");
    }
}

#[test]
fn reports_are_asked_for_from_the_hour_before() {
    assert_eq!(
        report_path("conversations", "source", 1_552_813_201),
        "/reports/conversations?from=1552809600000&to=1584435600000&dimension=year&group=source"
    );
}

#[test]
fn arguments_have_a_bound() {
    let parse = |line: &[&str]| {
        let command = <TopArgs as clap::Args>::augment_args(clap::Command::new("top").no_binary_name(true));
        let matches = command.try_get_matches_from(line).ok()?;
        <TopArgs as clap::FromArgMatches>::from_arg_matches(&matches).ok().map(|args| args.every)
    };
    assert_eq!(parse(&[]), Some(2));
    assert_eq!(parse(&["--every", "60"]), Some(60));
    assert_eq!(parse(&["--every", "0"]), None);
}
