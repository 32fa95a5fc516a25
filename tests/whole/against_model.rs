//! Random events through every entrance, random requests, restarts and kills: each answer against the model's.

use std::io::Write;

use serde_json::{Value, json};

use super::daemon::{Daemon, verify};
use super::events::{self, Event, PRECISIONS, random_event};
use super::http::Client;
use super::model::Model;
use super::queries::random_query;
use super::random::Random;

const STORIES: u64 = 12;

/// How often each part runs, times `TALLYD_TEST_SCALE` (1 where it is not set).
pub(crate) fn scaled(count: u64) -> u64 {
    count * std::env::var("TALLYD_TEST_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn every_report_equals_the_model_through_all_entrances_restarts_and_kills() {
    let mut random = Random::from_environment("against the model");
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    for round in 0..6 {
        let daemon = Daemon::start(directory.path(), &["--snapshot-interval", "1s"]);
        let mut client = daemon.client();
        compare(&mut random, &model, &mut client, scaled(10));
        for _ in 0..scaled(40) {
            push_some(&mut random, &mut model, &daemon, &mut client);
        }
        if round == 3 {
            let story = events::id("5b07", 2);
            assert_eq!(
                client.send("DELETE", &format!("/stories/{story}"), &[], b"").unwrap().status / 100,
                2
            );
            model.delete(&story);
        }
        undo_some(&mut random, &mut model, &mut client);
        compare(&mut random, &model, &mut client, scaled(60));
        if random.one_in(2) {
            assert!(daemon.stop().success(), "SIGTERM ends with exit code 0");
        } else {
            daemon.kill();
        }
        verify(directory.path()).unwrap_or_else(|fault| panic!("verify finds fault:\n{fault}"));
    }
    let daemon = Daemon::start(directory.path(), &[]);
    compare(&mut random, &model, &mut daemon.client(), scaled(60));
}

/// Takes away what was counted in some hours for a story; first it only asks what that would be.
fn undo_some(random: &mut Random, model: &mut Model, client: &mut Client) {
    for _ in 0..scaled(5) {
        let event = random_event(random, STORIES);
        let first = event.seconds.div_euclid(3_600);
        let hours = first..first + random.between(1, 2_000);
        let [from, to] = [hours.start, hours.end].map(|hour| hour * 3_600_000);
        let target = format!("/stories/{}/counts?from={from}&to={to}", event.story);
        let is_known = model.stories.contains_key(&event.story);
        let right = model.undo(&event.story, hours);
        for target in [format!("{target}&dry_run=true"), target] {
            let answer = client.send("DELETE", &target, &[], b"").unwrap();
            assert_eq!(answer.status, if is_known { 200 } else { 404 }, "{target}: {}", answer.text());
            if is_known {
                let told = answer.json()["counts"].as_array().unwrap().clone();
                let told: u64 = told.iter().map(|count| count["value"].as_u64().unwrap()).sum();
                assert_eq!(told, right, "{target}");
            }
        }
    }
}

/// Sends 1 … 200 events as one request or over one connection, and sees them acknowledged.
fn push_some(random: &mut Random, model: &mut Model, daemon: &Daemon, client: &mut Client) {
    let count = random.between(1, 200);
    let events: Vec<Event> = (0..count).map(|_| random_event(random, STORIES)).collect();
    let (precision, per_second) = *random.pick(&PRECISIONS);
    let all = u64::try_from(count).unwrap();
    match random.below(3) {
        0 => {
            let mut lines = daemon.lines();
            let mut text = format!("!precision {precision}\n");
            text.push_str(&mixed_lines(random, &events, per_second));
            for piece in text.as_bytes().chunks(usize::try_from(random.between(1, 5_000)).unwrap()) {
                lines.send(piece).unwrap();
            }
            let told = lines.sync(|answer| panic!("{answer}")).unwrap();
            assert_eq!(told, (all, 0), "what !sync answers");
        }
        1 => {
            let body = match random.below(3) {
                0 => json_array(random, &events, per_second),
                _ => mixed_lines(random, &events, per_second),
            };
            let answer = post(random, client, &format!("/events?precision={precision}"), &body);
            assert_eq!(answer, (200, json!({"accepted": all, "rejected": 0})));
        }
        _ => {
            let body: String = join(events.iter().map(|event| events::to_line(event, per_second, random)));
            let target = match random.below(2) {
                0 => format!("/api/v2/write?org=o&bucket=b&precision={precision}"),
                _ => format!("/write?db=d&u=me&p=secret&precision={}", precision.replace("ns", "n")),
            };
            assert_eq!(post(random, client, &target, &body).0, 204);
        }
    }
    for event in &events {
        model.add(event);
    }
}

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn mixed_lines(random: &mut Random, events: &[Event], per_second: i64) -> String {
    let mut text = String::new();
    for event in events {
        let line = if random.one_in(3) {
            events::to_json(event, per_second, random)
        } else {
            events::to_line(event, per_second, random)
        };
        text.push_str(&line);
        let end = *random.pick(&["\n", "\n", "\r\n", "\n\n", "\n# remark\n"]);
        text.push_str(end);
    }
    text
}

fn json_array(random: &mut Random, events: &[Event], per_second: i64) -> String {
    let objects: Vec<String> =
        events.iter().map(|event| events::to_json(event, per_second, random)).collect();
    format!(" [{}]\n", objects.join(if random.one_in(2) { ",\n  " } else { "," }))
}

/// Posts the body plain or compressed; gives the status and the JSON of the answer.
fn post(random: &mut Random, client: &mut Client, target: &str, body: &str) -> (u16, Value) {
    let body = body.as_bytes();
    let answer = match random.below(3) {
        0 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(body).unwrap();
            client.post(target, &[("Content-Encoding", "gzip")], &gzip.finish().unwrap())
        }
        1 => client.post(target, &[("Content-Encoding", "zstd")], &zstd::encode_all(body, 1).unwrap()),
        _ => client.post(target, &[], body),
    };
    let text = String::from_utf8_lossy(body);
    assert!(answer.status / 100 == 2, "{target}: {} {}\n{text}", answer.status, answer.text());
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

fn compare(random: &mut Random, model: &Model, client: &mut Client, queries: u64) {
    for _ in 0..queries {
        let asked = random_query(random, STORIES);
        let answer = client.get(&asked.target);
        if asked.query.from >= asked.query.to {
            // Bare dates can turn a range around or make it empty; that has tests of its own.
            continue;
        }
        assert_eq!(answer.status, 200, "{}: {}", asked.target, answer.text());
        let (told, right) = (answer.json(), model.report(asked.report, &asked.query));
        let differences = (first_difference(&told, &right), first_difference(&right, &told));
        assert!(told == right, "{}\ntold  {}\nright {}", asked.target, differences.0, differences.1);
    }
    compare_stories(model, client);
}

/// The whole list at once, and walked page by page.
fn compare_stories(model: &Model, client: &mut Client) {
    let right = model.listing();
    let told = client.get("/stories?limit=1000").json();
    assert!(
        told["stories"] == right && told["next"].is_null(),
        "{}",
        first_difference(&told["stories"], &right)
    );
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/stories?limit=3{cursor}")).json();
        walked.extend(page["stories"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(Value::Array(walked) == right, "the pages differ from the list");
}

/// The first place in which `a` differs from `b`, and what stands there in `a`.
fn first_difference(a: &Value, b: &Value) -> String {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find(|(_, (a, b))| a != b)
            .map_or_else(String::new, |(index, (a, b))| format!("[{index}]{}", first_difference(a, b))),
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => a
            .iter()
            .zip(b.values())
            .find(|((_, a), b)| a != b)
            .map_or_else(String::new, |((key, a), b)| format!(".{key}{}", first_difference(a, b))),
        _ => format!(": {}", a.to_string().chars().take(2_000).collect::<String>()),
    }
}
