//! What the dearest requests that are allowed do to the others: 32 clients send nothing else, in turn, to a daemon that
//! knows 100,000 stories, and meanwhile one client asks `/health`. The figure is about the daemon, but the clients share its
//! cores: so those of the load have the greatest nice value, and the asking one has a real-time priority where that is allowed
//! (`chrt`), as if it were on another machine. The daemon has the usual priority.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tallyd::limits;

use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::ingest;
use super::reports::sorted;
use super::table::{Table, percentile};
use super::workload::{Shape, Text, Workload, story_id};

const CLIENTS: usize = 32;
const STORIES: usize = 100_000;
const LOAD: Duration = Duration::from_secs(20);
/// Between two questions about the health.
const PAUSE: Duration = Duration::from_millis(3);
/// The greatest nice value that there is.
const LOAD_NICENESS: i32 = 19;
/// Bytes of a body of events as it is sent.
const BODY_BYTES: usize = 12 << 20;

/// A kind of request, and how often it was answered.
struct Kind {
    what: &'static str,
    request: Vec<u8>,
    /// Answers with success, refusals with 503, connections that ended instead.
    outcomes: [AtomicU64; 3],
}

pub(crate) fn measure(events: usize, only: &str, table: &mut Table) {
    let workload = Workload::generate(Shape { events, stories: STORIES });
    let daemon = Tallyd::start(&[]);
    ingest::push_tcp(daemon.tcp, &every_story(workload.now_ms), 1);
    ingest::push_tcp(daemon.tcp, &workload.lines, 2);
    let kinds: Vec<Kind> = kinds(&workload).into_iter().filter(|kind| kind.what.contains(only)).collect();
    for load in [&[], kinds.as_slice()] {
        let done = AtomicBool::new(false);
        let [kept, fresh] = std::thread::scope(|scope| {
            for number in 0..if load.is_empty() { 0 } else { CLIENTS } {
                let (done, address) = (&done, daemon.http);
                scope.spawn(move || send(address, load, number, done));
            }
            let asking = [true, false].map(|is_kept| {
                let (done, address) = (&done, daemon.http);
                scope.spawn(move || ask(address, is_kept, done))
            });
            std::thread::sleep(LOAD);
            done.store(true, Ordering::Relaxed);
            asking.map(|thread| thread.join().unwrap())
        });
        let beside = if load.is_empty() { "idle" } else { "beside 32 × the dearest requests" };
        for (what, taken) in [("a kept connection", kept), ("a new connection each", fresh)] {
            table.row(
                &format!("/health on {what}, {beside}"),
                format!("{:.3}", percentile(&taken, 0.99)),
                "ms p99",
                &format!(
                    "p50 {:.3}, p99.9 {:.3}, max {:.3} of {}",
                    percentile(&taken, 0.5),
                    percentile(&taken, 0.999),
                    percentile(&taken, 1.0),
                    taken.len()
                ),
            );
        }
    }
    for kind in &kinds {
        let [answered, refused, ended] = kind.outcomes.each_ref().map(|count| count.load(Ordering::Relaxed));
        let remark = format!("{refused} refused with 503, {ended} ended; {} bytes sent", kind.request.len());
        table.row(&format!("answers to {}", kind.what), answered.to_string(), "", &remark);
    }
    memory(&daemon, table);
}

/// The peak of memory beside what the limits add up to.
fn memory(daemon: &Tallyd, table: &mut Table) {
    let metrics = http::get_text(daemon.http, "/metrics");
    let figure = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a metric").parse().expect("a number")
    };
    let counters = figure("tallyd_counters_bytes") + figure("tallyd_catalogue_bytes");
    let beside = [
        limits::BODIES_HELD_BYTES_MAX,
        limits::ANSWERS_HELD_BYTES_MAX,
        limits::QUEUED_BYTES_MAX,
        limits::RECORD_BYTES_MAX,
        8 * limits::GROUPED_POINTS_MAX * limits::LARGE_ANSWERS_MAX,
        16 * limits::FOLD_CELLS_MAX,
        limits::HTTP_HEAD_BYTES_MAX * (CLIENTS + 2),
    ];
    let bound = counters + beside.iter().sum::<usize>() as f64;
    let remark = format!(
        "bound {:.0} MB: {:.0} of counters and catalogue, and bodies, answers, queue, large answers, a fold",
        bound / 1e6,
        counters / 1e6
    );
    table.row("peak memory of it", format!("{:.0}", daemon.server.peak_memory_mb()), "MB", &remark);
}

/// An event of each story, so that all of them are known.
fn every_story(now_ms: u64) -> Text {
    let mut text = Text::default();
    for number in 0..STORIES {
        text.push(&format!("message,storyId={},source=app count=1i {now_ms}", story_id(number)));
    }
    text
}

fn kinds(workload: &Workload) -> Vec<Kind> {
    let five_years = format!("from={}&to={}", workload.now_ms - 1_826 * 86_400_000, workload.now_ms);
    let report = |name: &str, more: &str| http::get(&format!("/reports/{name}?{five_years}&{more}"));
    let lines = workload.lines.bytes.repeat(1 + 2 * limits::BODY_BYTES_MAX / workload.lines.bytes.len());
    let whole = |bytes: usize| &lines[..=lines[..bytes].iter().rposition(|byte| *byte == b'\n').unwrap()];
    let packed = gzip(whole(limits::BODY_BYTES_MAX));
    let statements = "SHOW+DATABASES;".repeat(limits::STATEMENTS_MAX);
    let statements =
        format!("q={statements}{}", ";".repeat(limits::STATEMENTS_BYTES_MAX - 2 - statements.len()));
    let kind = |what, request| Kind { what, request, outcomes: Default::default() };
    vec![
        kind(
            "report of 1,000 stories by day over 5 years",
            report("conversations", "group=storyId&limit=1000"),
        ),
        kind(
            "report of averages of 1,000 stories",
            report("conversations.average", "group=storyId&limit=1000"),
        ),
        kind(
            "report of 10,000 stories by month",
            report("conversations", "group=storyId&limit=10000&dimension=month"),
        ),
        kind("popularity over all stories", report("interactions.popularity", "limit=10000")),
        kind("list of stories", http::get("/stories?limit=1000")),
        kind("search in the stories", http::get("/stories?limit=1000&search=nothing")),
        kind("POST /query at its bounds", http::post("/query", None, statements.as_bytes())),
        kind("PUT /stories at its bounds", put()),
        kind("12 MiB of events", http::post("/events?precision=ms", None, whole(BODY_BYTES))),
        kind(
            "256 KiB of events",
            http::post("/events?precision=ms", None, whole(limits::BODY_INLINE_BYTES_MAX)),
        ),
        kind("gzip that inflates to 32 MiB", http::post("/events?precision=ms", Some("gzip"), &packed)),
        kind(
            "gzip that inflates to 256 KiB",
            http::post("/events?precision=ms", Some("gzip"), &gzip(whole(limits::BODY_INLINE_BYTES_MAX))),
        ),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A story that no event names, with as many interactions as a story may have, and as many bytes as the body may.
fn put() -> Vec<u8> {
    let mut body = "{\"name\":\"a story\",\"interactions\":[".to_owned();
    for number in 0..limits::NODES_PER_STORY_MAX {
        let comma = if number == 0 { "" } else { "," };
        write!(body, "{comma}{{\"id\":\"{number:024x}\",\"name\":\"interaction {number:040}\"}}").unwrap();
    }
    body.push_str("]}");
    body.extend(std::iter::repeat_n(' ', limits::UPSERT_BYTES_MAX - body.len()));
    let head = format!(
        "PUT /stories/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        story_id(STORIES),
        body.len()
    );
    (head + &body).into_bytes()
}

/// Sends one kind after the other; each client begins with another one.
fn send(address: SocketAddr, kinds: &[Kind], number: usize, done: &AtomicBool) {
    rustix::process::setpriority_process(None, LOAD_NICENESS).expect("a thread may be nicer");
    let mut connection = Connection::open(address);
    for kind in kinds.iter().cycle().skip(number) {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let outcome = match connection.try_exchange(&kind.request) {
            Ok((200..300, _)) => 0,
            Ok((status, _)) => {
                assert_eq!(status, 503, "the answer to {}", kind.what);
                1
            }
            Err(_) => {
                connection = Connection::open(address);
                2
            }
        };
        kind.outcomes[outcome].fetch_add(1, Ordering::Relaxed);
    }
}

/// Milliseconds of each answer, sorted.
fn ask(address: SocketAddr, is_kept: bool, done: &AtomicBool) -> Vec<f64> {
    run_at_once();
    let request = http::get("/health");
    let mut connection = Connection::open(address);
    let mut taken = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        if !is_kept {
            connection = Connection::open(address);
        }
        let outcome: io::Result<(u16, usize)> = connection.try_exchange(&request);
        assert_eq!(outcome.expect("an answer").0, 200);
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        std::thread::park_timeout(PAUSE);
    }
    sorted(taken)
}

/// Has the calling thread run as soon as it can, as a client on a machine of its own would.
pub(crate) fn run_at_once() {
    let thread = rustix::thread::gettid().to_string();
    let chrt = Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).status();
    if !chrt.is_ok_and(|status| status.success()) {
        eprintln!(
            "  | without chrt, or the right to use it: figures include what the asking client waits for a processor"
        );
    }
}
