//! What streams of reports cost: lines into a daemon that 500 clients follow beside one that nobody does, in turn; whether each
//! client's state is in the end what the report says; and the memory of a stream.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::Tallyd;
use super::http;
use super::ingest::{self, timed};
use super::table::{Table, median};
use super::workload::{Workload, story_id};

const STREAMS: usize = 500;
const CONNECTIONS: usize = 4;
/// How often the lines are sent in a row, so that it takes longer than the pause between two reports of a stream.
const TIMES: usize = 8;
/// How long after the last event each client must know all of them.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);

/// What the n-th client follows: what a page shows, of everything and of one story.
fn target(number: usize) -> String {
    let story = story_id(number / 8);
    match number % 8 {
        0 => "conversations/stream?period=last30days".to_owned(),
        1 => "conversations/stream?period=last30days&group=source".to_owned(),
        2 => "conversations.messages/stream?period=today&dimension=hour".to_owned(),
        3 => "conversations.average/stream?period=last3Months".to_owned(),
        4 => "busiest-period/stream?period=last3Months".to_owned(),
        5 => format!("conversations/stream?period=last30days&storyId={story}"),
        6 => format!("interactions.popularity/stream?period=last30days&storyId={story}"),
        _ => format!("conversations.messages/stream?period=last7days&dimension=hour&storyId={story}"),
    }
}

/// What one client was told: the last whole report, and the changes after it.
#[derive(Default)]
struct Told {
    texts: Vec<String>,
    events: usize,
}

impl Told {
    fn state(&self) -> Value {
        let mut texts = self.texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        let mut state = texts.next().unwrap_or_default();
        for patch in texts {
            patch.as_array().unwrap().iter().for_each(|operation| apply(&mut state, operation));
        }
        state
    }
}

fn apply(state: &mut Value, operation: &Value) {
    let (place, value) = (operation["path"].as_str().unwrap(), operation["value"].clone());
    match (operation["op"].as_str().unwrap(), place.strip_suffix("/-")) {
        ("add", Some(list)) => state.pointer_mut(list).unwrap().as_array_mut().unwrap().push(value),
        ("replace", None) => *state.pointer_mut(place).unwrap() = value,
        other => unreachable!("{other:?}"),
    }
}

/// Clients that follow, on a thread of their own.
struct Followers {
    told: Vec<Arc<Mutex<Told>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Followers {
    /// Opens all streams; returns when each has its first report.
    fn open(address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let told: Vec<Arc<Mutex<Told>>> = (0..STREAMS).map(|_| Arc::default()).collect();
        for (number, told) in told.iter().enumerate() {
            runtime.spawn(follow(address, target(number), Arc::clone(told)));
        }
        let followers = Self { told, _runtime: runtime };
        until("every stream has begun", || followers.told.iter().all(|told| told.lock().unwrap().events > 0));
        followers
    }

    fn events(&self) -> usize {
        self.told.iter().map(|told| told.lock().unwrap().events).sum()
    }

    /// How many of them know the report as it is.
    fn caught_up(&self, address: SocketAddr) -> usize {
        let is_caught_up = |(number, told): (usize, &Arc<Mutex<Told>>)| {
            let target = format!("/reports/{}", target(number).replace("/stream", ""));
            let report: Value = serde_json::from_str(&http::get_text(address, &target)).unwrap();
            told.lock().unwrap().state() == report
        };
        self.told.iter().enumerate().filter(|follower| is_caught_up(*follower)).count()
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < CAUGHT_UP_WITHIN, "not within {CAUGHT_UP_WITHIN:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reads a stream for as long as the runtime runs.
async fn follow(address: SocketAddr, target: String, told: Arc<Mutex<Told>>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /reports/{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while memchr::memmem::find(&bytes, b"\r\n\r\n").is_none() {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{target}: closed");
    }
    let head = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap() + 4;
    assert!(bytes.starts_with(b"HTTP/1.1 200"), "{target}: {}", String::from_utf8_lossy(&bytes));
    bytes.drain(..head);
    let mut text = String::new();
    loop {
        while let Some(chunk) = take_chunk(&mut bytes) {
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        while let Some((block, rest)) = text.split_once("\n\n") {
            note(block, &mut told.lock().unwrap());
            text = rest.to_owned();
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
    }
}

fn take_chunk(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(bytes, b"\r\n")? + 2;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..start - 2]).unwrap(), 16).unwrap();
    let chunk = bytes.get(start..start + size)?.to_vec();
    (bytes.len() >= start + size + 2).then(|| {
        bytes.drain(..start + size + 2);
        chunk
    })
}

fn note(block: &str, told: &mut Told) {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let (Some(event), Some(data)) = (field("event: "), field("data: ")) else { return };
    if event == "report" {
        told.texts.clear();
    }
    told.texts.push(data.to_owned());
    told.events += 1;
}

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let (alone, followed) = (Tallyd::start(&[]), Tallyd::start(&[]));
    let push = |daemon: &Tallyd| {
        (0..TIMES).for_each(|_| ingest::push_tcp(daemon.tcp, &workload.lines, CONNECTIONS));
    };
    for daemon in [&alone, &followed] {
        push(daemon);
    }
    let before = followed.server.memory_mb();
    let followers = Followers::open(followed.http);
    let opened = followed.server.memory_mb();
    let (mut rates, mut ratios, mut cpu) = (vec![], vec![], vec![]);
    for run in 0..2 * runs {
        // Each as often first as the other.
        let first = run.is_multiple_of(2).then(|| timed(workload, &alone, || push(&alone)));
        let with = timed(workload, &followed, || push(&followed));
        let without = first.unwrap_or_else(|| timed(workload, &alone, || push(&alone)));
        rates.push(with.events_per_second);
        ratios.push(with.events_per_second / without.events_per_second);
        cpu.push(with.cpu_seconds_per_million / without.cpu_seconds_per_million);
    }
    let told = followers.events();
    let done = Instant::now();
    until("every stream's last state is what the report says", || {
        followers.caught_up(followed.http) == STREAMS
    });
    table.row(
        &format!("TCP lines, {CONNECTIONS} connections, while {STREAMS} clients follow reports"),
        format!("{:.2}", median(&mut ratios)),
        "× without",
        &format!(
            "{:.2} M/s; CPU {:.2} ×, the clients are on the same cores",
            median(&mut rates) * TIMES as f64 / 1e6,
            median(&mut cpu)
        ),
    );
    table.row(
        "the same, until each client's state was seen to be the report",
        format!("{:.1}", done.elapsed().as_secs_f64()),
        "s",
        &format!("{STREAMS} of {STREAMS}; {told} events were told before"),
    );
    table.row(
        "memory of a stream, as it was opened",
        format!("{:.1}", (opened - before) * 1e6 / STREAMS as f64 / 1_024.0),
        "KiB",
        &format!(
            "{before:.0} MB before, {opened:.0} then, {:.0} in the end, {:.0} at most; {:.0} without streams",
            followed.server.memory_mb(),
            followed.server.peak_memory_mb(),
            alone.server.memory_mb()
        ),
    );
}
