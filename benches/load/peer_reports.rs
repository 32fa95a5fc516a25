//! The five questions that other programs were asked, in tallyd and in Redis, whose client keeps three roll-ups of
//! every event and adds up what it fetches.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::placement::Placement;
use super::reports::{sorted, timed};
use super::table::{Table, percentile};
use super::workload::{SOURCES, Workload, story_id};
use super::{ingest, peers};

const REQUESTS: usize = 2_000;
const REQUESTS_IN_A_ROW: usize = 50;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

pub(crate) fn measure(workload: &Workload, table: &mut Table) {
    if Command::new("redis-server").arg("--version").output().is_err() {
        table.row("redis-server", "–".to_owned(), "", "not installed here");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let (redis, address) = peers::start_redis(data.path());
    let commands = roll_ups(&workload.lines.bytes);
    peers::push_redis(address, &commands, 3 * workload.shape.events);
    let daemon = Tallyd::start(&[]);
    ingest::push_tcp(daemon.tcp, &workload.lines, 4);
    for question in questions(workload) {
        for placement in Placement::ALL {
            let [of_redis, of_tallyd] =
                placement.with(&[&redis, &daemon.server], || latencies(&question, address, daemon.http));
            let [redis_p50, tallyd_p50] = [&of_redis, &of_tallyd].map(|taken| percentile(taken, 0.5));
            table.row(
                &format!("{}, {}", question.what, placement.name()),
                format!("{tallyd_p50:.3}"),
                "ms p50",
                &format!(
                    "p99 {:.3}; {:.2} × Redis, three roll-ups (p50 {redis_p50:.3}, p99 {:.3})",
                    percentile(&of_tallyd, 0.99),
                    tallyd_p50 / redis_p50,
                    percentile(&of_redis, 0.99),
                ),
            );
        }
    }
}

/// One question, to both.
struct Question {
    what: &'static str,
    request: Vec<u8>,
    redis: Vec<u8>,
    /// Commands in `redis`.
    commands: usize,
    /// What the client makes of the answer's elements in a row.
    add_up: fn(&[&[u8]]) -> u64,
}

fn questions(workload: &Workload) -> Vec<Question> {
    let now = workload.now_ms;
    let story = story_id(workload.shape.stories / 10);
    let days: Vec<String> = (now / DAY_MS - 29..=now / DAY_MS).map(|day| day.to_string()).collect();
    let hours = |days: u64| -> Vec<String> {
        let first = (now / DAY_MS - days + 1) * 24;
        (first..=now / HOUR_MS).map(|hour| hour.to_string()).collect()
    };
    let report = |name: &str, more: &str| http::get(&format!("/reports/{name}?{more}"));
    let by_source: Vec<u8> = SOURCES
        .iter()
        .flat_map(|(source, _)| command("HMGET", &format!("d:conversation:{source}"), &days))
        .collect();
    let of_nodes: Vec<u8> =
        days.iter().flat_map(|day| command("HGETALL", &format!("n:{story}:{day}"), &[])).collect();
    let ninety = format!("from={}", now - 89 * DAY_MS);
    vec![
        Question {
            what: "Q1: conversations by day, 30 days, all stories",
            request: report("conversations", "period=last30days"),
            redis: by_source.clone(),
            commands: SOURCES.len(),
            add_up: add_rows::<30>,
        },
        Question {
            what: "Q2: the same by source",
            request: report("conversations", "period=last30days&group=source"),
            redis: by_source,
            commands: SOURCES.len(),
            add_up: add_rows::<30>,
        },
        Question {
            what: "Q3: one story by hour, 7 days",
            request: report("conversations", &format!("period=last7days&dimension=hour&storyId={story}")),
            redis: command("HMGET", &format!("s:{story}:conversation"), &hours(7)),
            commands: 1,
            add_up: add_rows::<168>,
        },
        Question {
            what: "Q4: weekday and hour, 90 days",
            request: report("busiest-period", &ninety),
            redis: command("HMGET", "h:conversation", &hours(90)),
            commands: 1,
            add_up: add_rows::<168>,
        },
        Question {
            what: "Q5: interactions of one story, 30 days",
            request: report("interactions.popularity", &format!("period=last30days&storyId={story}")),
            redis: of_nodes,
            commands: days.len(),
            add_up: add_pairs,
        },
    ]
}

/// Adds the elements to as many sums, over and over.
fn add_rows<const SUMS: usize>(elements: &[&[u8]]) -> u64 {
    let mut sums = [0; SUMS];
    for (place, element) in elements.iter().enumerate() {
        sums[place % SUMS] += number(element);
    }
    sums.iter().sum()
}

/// Adds up (name, number) pairs by name.
fn add_pairs(elements: &[&[u8]]) -> u64 {
    let mut sums: HashMap<&[u8], u64, foldhash::fast::RandomState> = HashMap::default();
    for pair in elements.chunks_exact(2) {
        *sums.entry(pair[0]).or_default() += number(pair[1]);
    }
    sums.values().sum()
}

fn number(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Milliseconds of each request on one connection, sorted: of Redis, and of tallyd.
fn latencies(question: &Question, redis: SocketAddr, tallyd: SocketAddr) -> [Vec<f64>; 2] {
    let mut client = Redis { stream: TcpStream::connect(redis).unwrap(), buffer: vec![0; 1 << 20] };
    client.stream.set_nodelay(true).unwrap();
    let mut connection = Connection::open(tallyd);
    let (mut of_redis, mut of_tallyd) = (vec![], vec![]);
    for _ in 0..=REQUESTS / REQUESTS_IN_A_ROW {
        for _ in 0..REQUESTS_IN_A_ROW {
            of_redis.push(timed(|| assert!(client.ask(question) > 0, "{} counts nothing", question.what)));
        }
        for _ in 0..REQUESTS_IN_A_ROW {
            of_tallyd.push(timed(|| assert_eq!(connection.exchange(&question.request).0, 200)));
        }
    }
    // The first ones warm up.
    [of_redis, of_tallyd].map(|mut taken| sorted(taken.split_off(REQUESTS_IN_A_ROW)))
}

struct Redis {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Redis {
    fn ask(&mut self, question: &Question) -> u64 {
        self.stream.write_all(&question.redis).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if let Some(elements) = elements(&self.buffer[..filled], question.commands) {
                return (question.add_up)(&elements);
            }
        }
    }
}

/// The elements of so many arrays, empty where there is none; `None` while they are not all there.
fn elements(answer: &[u8], arrays: usize) -> Option<Vec<&[u8]>> {
    let mut rest = answer;
    let mut line = || {
        let (line, later) = rest.split_at(memchr::memchr(b'\n', rest)? + 1);
        rest = later;
        line.strip_suffix(b"\r\n")
    };
    let mut all = Vec::with_capacity(256);
    for _ in 0..arrays {
        let head = line()?;
        let length = head.strip_prefix(b"*").expect("an array");
        for _ in 0..number(length) {
            // No element has a line end in it.
            all.push(if line()? == b"$-1" { &[] } else { line()? });
        }
    }
    Some(all)
}

fn command(name: &str, key: &str, fields: &[String]) -> Vec<u8> {
    let mut text =
        format!("*{}\r\n${}\r\n{name}\r\n${}\r\n{key}\r\n", fields.len() + 2, name.len(), key.len());
    for field in fields {
        write!(text, "${}\r\n{field}\r\n", field.len()).unwrap();
    }
    text.into_bytes()
}

/// Three increments for each line: by day and source, by hour, and by hour of the story or by node of its day.
fn roll_ups(lines: &[u8]) -> Vec<u8> {
    let mut commands = String::with_capacity(lines.len() * 3);
    for line in std::str::from_utf8(lines).unwrap().lines() {
        let (head, rest) = line.split_once(' ').unwrap();
        let mut tags = head.split([',', '=']);
        let kind = tags.next().unwrap();
        let (mut story, mut source, mut node) = ("", "", "");
        while let (Some(name), Some(value)) = (tags.next(), tags.next()) {
            match name {
                "storyId" => story = value,
                "source" => source = value,
                _ => node = value,
            }
        }
        let at: u64 = rest.rsplit_once(' ').unwrap().1.parse().unwrap();
        let (hour, day) = ((at / HOUR_MS).to_string(), (at / DAY_MS).to_string());
        let mut increment = |key: &str, field: &str| {
            write!(
                commands,
                "*4\r\n$7\r\nHINCRBY\r\n${}\r\n{key}\r\n${}\r\n{field}\r\n$1\r\n1\r\n",
                key.len(),
                field.len()
            )
            .unwrap();
        };
        increment(&format!("d:{kind}:{source}"), &day);
        increment(&format!("h:{kind}"), &hour);
        if kind == "interaction" {
            increment(&format!("n:{story}:{day}"), node);
        } else {
            increment(&format!("s:{story}:{kind}"), &hour);
        }
    }
    commands.into_bytes()
}
