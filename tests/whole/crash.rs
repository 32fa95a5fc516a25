//! `kill -9` at random instants under load: what was acknowledged is counted exactly once, a request that got no
//! answer is counted whole or not at all, and a second restart tells the same.
//!
//! Every request adds one to each of `STORIES` stories in an hour of its own, so that the hour shows afterwards
//! whether the request was counted, and whether as a whole.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::daemon::{Daemon, Lines, verify};
use super::events::id;
use super::http::Client;
use super::random::Random;

const STORIES: u64 = 5;
const FIRST_HOUR: i64 = 300_000;
/// Past this hour the senders of a directory stop: a report has at most 100,000 data points.
const LAST_HOUR: i64 = FIRST_HOUR + 95_000;
/// After so many rounds the next one begins with an empty directory.
const ROUNDS_PER_DIRECTORY: u32 = 20;

/// What a sender knows of one of its hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entrance {
    Http,
    Tcp,
}

type Fates = Vec<(i64, Entrance, Fate)>;

#[test]
fn acknowledged_events_are_counted_exactly_once_whenever_the_daemon_is_killed() {
    let rounds: u32 =
        std::env::var("TALLYD_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut random = Random::from_environment("crash");
    let mut fates = Fates::new();
    for first in (0..rounds).step_by(usize::try_from(ROUNDS_PER_DIRECTORY).unwrap()) {
        let directory = tempfile::tempdir().unwrap();
        let next_hour = Arc::new(AtomicI64::new(FIRST_HOUR));
        let mut of_directory = Fates::new();
        for round in first..rounds.min(first + ROUNDS_PER_DIRECTORY) {
            let fsync = *random.pick(&["always", "interval", "never"]);
            let daemon = Daemon::start(directory.path(), &["--snapshot-interval", "1s", "--fsync", fsync]);
            of_directory.extend(load_until_killed(daemon, &next_hour, random.between(0, 1_500)));
            let used = next_hour.load(Ordering::Relaxed);
            check(directory.path(), &of_directory, used, &format!("round {round}, fsync {fsync}"));
        }
        fates.append(&mut of_directory);
    }
    let acknowledged = fates.iter().filter(|(_, _, fate)| *fate == Fate::Acknowledged).count();
    eprintln!("crash: {rounds} rounds, {} requests, {acknowledged} acknowledged", fates.len());
    assert!(acknowledged > 0, "a test that saw no acknowledgement shows nothing");
}

/// Two senders of each kind until the kill has ended their connections.
fn load_until_killed(daemon: Daemon, next_hour: &Arc<AtomicI64>, milliseconds: i64) -> Fates {
    let start = Arc::new(Barrier::new(5));
    let senders: Vec<_> = [Entrance::Http, Entrance::Http, Entrance::Tcp, Entrance::Tcp]
        .into_iter()
        .map(|entrance| {
            let (start, next_hour) = (Arc::clone(&start), Arc::clone(next_hour));
            let (http, tcp) = (daemon.http, daemon.tcp);
            std::thread::spawn(move || {
                start.wait();
                match entrance {
                    Entrance::Http => send_requests(http, &next_hour),
                    Entrance::Tcp => send_lines(tcp, &next_hour),
                }
            })
        })
        .collect();
    start.wait();
    // The kill has to come at a random instant; nothing is expected of the time that passes until then.
    std::thread::park_timeout(Duration::from_millis(u64::try_from(milliseconds).unwrap()));
    daemon.kill();
    senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
}

fn lines_of(hour: i64) -> String {
    (0..STORIES)
        .map(|story| format!("message,storyId={},source=app count=1i {}\n", id("5b07", story), hour * 3_600))
        .collect()
}

fn send_requests(address: SocketAddr, next_hour: &AtomicI64) -> Fates {
    let mut client = Client::new(address);
    let mut fates = Fates::new();
    loop {
        let hour = next_hour.fetch_add(1, Ordering::Relaxed);
        if hour >= LAST_HOUR {
            return fates;
        }
        let answer = client.send("POST", "/events?precision=s", &[], lines_of(hour).as_bytes());
        let Ok(answer) = answer else {
            fates.push((hour, Entrance::Http, Fate::Unknown));
            return fates;
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
        fates.push((hour, Entrance::Http, Fate::Acknowledged));
    }
}

fn send_lines(address: SocketAddr, next_hour: &AtomicI64) -> Fates {
    let mut fates = Fates::new();
    let mut unsure = Vec::new();
    let Ok(mut lines) = Lines::connect(address) else { return fates };
    let mut sent = 0;
    let mut work = || -> std::io::Result<()> {
        lines.send(b"!precision s\n")?;
        loop {
            unsure.clear();
            for _ in 0..8 {
                let hour = next_hour.fetch_add(1, Ordering::Relaxed);
                if hour >= LAST_HOUR {
                    return Ok(());
                }
                unsure.push(hour);
                lines.send(lines_of(hour).as_bytes())?;
                sent += STORIES;
            }
            let told = lines.sync(|answer| panic!("{answer}"))?;
            assert_eq!(told, (sent, 0));
            fates.extend(unsure.drain(..).map(|hour| (hour, Entrance::Tcp, Fate::Acknowledged)));
        }
    };
    // Ended by the kill, or with some hours sent and not asked about: either way these are unsure.
    drop(work());
    fates.extend(unsure.into_iter().map(|hour| (hour, Entrance::Tcp, Fate::Unknown)));
    fates
}

/// Opens the directory twice (the second time after another kill) and holds every hour against what its sender knows.
fn check(directory: &Path, fates: &Fates, used: i64, round: &str) {
    verify(directory).unwrap_or_else(|fault| panic!("{round}: verify finds fault:\n{fault}"));
    let mut told = Vec::new();
    for _ in 0..2 {
        let daemon = Daemon::start(directory, &["--snapshot-interval", "1s"]);
        let mut client = daemon.client();
        told.push((0..STORIES).map(|story| counts(&mut client, story, used)).collect::<Vec<_>>());
        daemon.kill();
    }
    assert_eq!(told[0], told[1], "{round}: a second restart tells something else");
    for (hour, entrance, fate) in fates {
        let index = usize::try_from(hour - FIRST_HOUR).unwrap();
        let counted: Vec<u64> =
            told[0].iter().map(|series| series.get(index).copied().unwrap_or(0)).collect();
        let all = counted.iter().all(|count| *count == 1);
        let none = counted.iter().all(|count| *count == 0);
        let right = match (fate, entrance) {
            (Fate::Acknowledged, _) => all,
            (Fate::Unknown, Entrance::Http) => all || none,
            (Fate::Unknown, Entrance::Tcp) => counted.iter().all(|count| *count <= 1),
        };
        assert!(right, "{round}: hour {hour} ({entrance:?}, {fate:?}) counts {counted:?}");
    }
}

/// The counts of a story by hour from `FIRST_HOUR` up to the last hour used.
fn counts(client: &mut Client, story: u64, used: i64) -> Vec<u64> {
    let (from, to) = (FIRST_HOUR * 3_600_000, (used + 1) * 3_600_000);
    let story = id("5b07", story);
    let answer = client
        .get(&format!("/reports/conversations.messages?dimension=hour&storyId={story}&from={from}&to={to}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().unwrap().iter().map(|point| point["value"].as_u64().unwrap()).collect()
}
