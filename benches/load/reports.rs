//! How long a report takes: on an idle daemon, under full ingest, and beside heavy ones.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ceilings::BareHttp;
use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::ingest;
use super::placement::Placement;
use super::table::{Table, median, percentile};
use super::workload::{Workload, story_id};

const REQUESTS: usize = 5_000;
/// Of those that take long.
const HEAVY_REQUESTS: usize = 50;
/// Requests in a row before the bare server has its turn, so that both see the same minutes.
const REQUESTS_IN_A_ROW: usize = 50;
const HEAVY_CONNECTIONS: usize = 4;

/// A request that is timed.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) path: String,
    pub(crate) requests: usize,
}

impl Target {
    fn light(what: &'static str, path: String) -> Self {
        Self { what, path, requests: REQUESTS }
    }

    fn heavy(what: &'static str, path: String) -> Self {
        Self { what, path, requests: HEAVY_REQUESTS }
    }
}

fn range(workload: &Workload, days: u64) -> String {
    format!("from={}&to={}", workload.now_ms - days * 86_400_000, workload.now_ms)
}

/// The six reports over 90 days, then the other shapes, then what touches everything.
pub(crate) fn targets(workload: &Workload) -> Vec<Target> {
    let story = story_id(workload.shape.stories / 10);
    let report =
        |name: &str, days: u64, more: &str| format!("/reports/{name}?{}{more}", range(workload, days));
    let of_story = format!("&storyId={story}");
    vec![
        Target::light("conversations, 90 days, all stories", report("conversations", 90, "")),
        Target::light("conversations.paid, 90 days, all stories", report("conversations.paid", 90, "")),
        Target::light(
            "conversations.messages, 90 days, all stories",
            report("conversations.messages", 90, ""),
        ),
        Target::light("conversations.average, 90 days, all stories", report("conversations.average", 90, "")),
        Target::light("busiest-period, 90 days, all stories", report("busiest-period", 90, "")),
        Target::light(
            "interactions.popularity, 90 days, one story",
            report("interactions.popularity", 90, &of_story),
        ),
        Target::light("conversations, 90 days, by source", report("conversations", 90, "&group=source")),
        Target::light("conversations, 90 days, one story", report("conversations", 90, &of_story)),
        Target::light(
            "conversations, 7 days by hour, one story",
            report("conversations", 7, &format!("{of_story}&dimension=hour")),
        ),
        Target::light("conversations, 5 years, all stories", report("conversations", 1826, "")),
        Target::heavy("conversations, 90 days, by story", report("conversations", 90, "&group=storyId")),
        Target::heavy(
            "conversations, 5 years, by story, limit 1000",
            report("conversations", 1826, "&group=storyId&limit=1000"),
        ),
        Target::heavy(
            "conversations.average, 5 years, by story, limit 1000",
            report("conversations.average", 1826, "&group=storyId&limit=1000"),
        ),
        Target::heavy(
            "interactions.popularity, 90 days, all stories",
            report("interactions.popularity", 90, ""),
        ),
        Target::heavy("list of stories", "/stories".to_owned()),
    ]
}

/// What dashboards ask most.
pub(crate) fn first_target(workload: &Workload) -> String {
    targets(workload).swap_remove(0).path
}

pub(crate) fn measure_idle(workload: &Workload, table: &mut Table) {
    let daemon = Tallyd::start(&[]);
    ingest::push_tcp(daemon.tcp, &workload.lines, 4);
    let bare = BareHttp::start();
    let servers = [&daemon.server, &bare.server];
    for target in targets(workload) {
        let at =
            |placement: Placement| placement.with(&servers, || latencies(&target, bare.address, daemon.http));
        let [of_bare, of_tallyd] = at(Placement::Anywhere);
        let placed = [Placement::OneCore, Placement::TwoCores].map(|placement| {
            let [bare, tallyd] = at(placement).map(|taken| percentile(&taken, 0.5));
            format!("{}: {tallyd:.3} = {:.2} × {bare:.3}", placement.name(), tallyd / bare)
        });
        table.row(
            target.what,
            format!("{:.3}", percentile(&of_tallyd, 0.5)),
            "ms p50",
            &format!(
                "p99 {:.3}, p99.9 {:.3}; {:.2} × the bare HTTP answer ({:.3} ms, p99 {:.3}); {}; peak {:.0} MB",
                percentile(&of_tallyd, 0.99),
                percentile(&of_tallyd, 0.999),
                percentile(&of_tallyd, 0.5) / percentile(&of_bare, 0.5),
                percentile(&of_bare, 0.5),
                percentile(&of_bare, 0.99),
                placed.join("; "),
                daemon.server.peak_memory_mb(),
            ),
        );
    }
    measure_unchanged(&daemon, &targets(workload), table);
    let request = http::get(&targets(workload)[0].path);
    let [of_bare, of_tallyd] = [&http::get("/"), &request].map(|request| vec![request.clone(); 50_000]);
    ingest::compare_rates("reports/s, 32 connections", (&bare, &of_bare), (&daemon, &of_tallyd), table);
}

/// Requests in a row of each kind, so that both see the same minutes.
const UNCHANGED_IN_A_ROW: usize = 500;
const UNCHANGED_ROUNDS: usize = 20;

/// What a report costs a client that has it already (`304`), beside the whole answer.
fn measure_unchanged(daemon: &Tallyd, targets: &[Target], table: &mut Table) {
    for target in targets.iter().filter(|target| target.requests == REQUESTS) {
        let tag = http::get_header(daemon.http, &target.path, "etag");
        let unless = http::get_with(&target.path, &format!("If-None-Match: {tag}\r\n"));
        let mut connection = Connection::open(daemon.http);
        let mut kinds = [(200, http::get(&target.path)), (304, unless)]
            .map(|(status, request)| (status, request, Vec::new(), Vec::new()));
        Placement::OneCore.with(&[&daemon.server], || {
            for _ in 0..UNCHANGED_ROUNDS {
                for (status, request, taken, cpu) in &mut kinds {
                    let before = daemon.server.cpu_nanoseconds();
                    taken.extend(
                        (0..UNCHANGED_IN_A_ROW).map(|_| timed_answer(&mut connection, request, *status)),
                    );
                    let used = daemon.server.cpu_nanoseconds() - before;
                    cpu.push(used / 1e3 / UNCHANGED_IN_A_ROW as f64);
                }
            }
        });
        let [(whole, whole_cpu), (unchanged, cpu)] =
            kinds.map(|(_, _, taken, mut cpu)| (percentile(&sorted(taken), 0.5), median(&mut cpu)));
        table.row(
            &format!("{}, unchanged: 304, one core", target.what),
            format!("{unchanged:.4}"),
            "ms p50",
            &format!("200: {whole:.4}; server CPU {cpu:.2} µs = {:.2} × {whole_cpu:.2}", cpu / whole_cpu),
        );
    }
}

/// Milliseconds of each request on one keep-alive connection, sorted: of the bare server, and of the daemon.
fn latencies(target: &Target, bare: SocketAddr, daemon: SocketAddr) -> [Vec<f64>; 2] {
    let mut sides = [(bare, http::get("/")), (daemon, http::get(&target.path))]
        .map(|(address, request)| (Connection::open(address), request, Vec::new()));
    for _ in 0..=target.requests / REQUESTS_IN_A_ROW {
        for (connection, request, taken) in &mut sides {
            for _ in 0..REQUESTS_IN_A_ROW.min(target.requests) {
                taken.push(timed_exchange(connection, request));
            }
        }
    }
    // The first ones warm up.
    sides.map(|(_, _, mut taken)| sorted(taken.split_off(REQUESTS_IN_A_ROW)))
}

pub(crate) fn timed_exchange(connection: &mut Connection, request: &[u8]) -> f64 {
    timed_answer(connection, request, 200)
}

fn timed_answer(connection: &mut Connection, request: &[u8], expected: u16) -> f64 {
    timed(|| {
        let (status, _) = connection.exchange(request);
        assert_eq!(status, expected, "{}", String::from_utf8_lossy(request));
    })
}

/// Milliseconds that the work takes.
pub(crate) fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn sorted(mut taken: Vec<f64>) -> Vec<f64> {
    taken.sort_by(f64::total_cmp);
    taken
}

const BUSY_ROUNDS: usize = 6;
const BUSY_PASSES: usize = 2;

/// A light report while others send as fast as they can, what is left of their rate, and beside heavy reports.
pub(crate) fn measure_busy(workload: &Workload, table: &mut Table) {
    let requests = ingest::requests(&workload.lines, "/events?precision=ms", None);
    let small: Vec<Vec<u8>> = workload
        .lines
        .batches(1_000)
        .into_iter()
        .map(|batch| http::post("/events?precision=ms", None, batch))
        .collect();
    for (what, arguments, push) in [
        (
            "TCP, 2 connections",
            [].as_slice(),
            &(|daemon: &Tallyd| ingest::push_tcp(daemon.tcp, &workload.lines, 2)) as &dyn Fn(&Tallyd),
        ),
        ("TCP, 2 connections, a snapshot every second", &["--snapshot-interval", "1s"], &|daemon| {
            ingest::push_tcp(daemon.tcp, &workload.lines, 2);
        }),
        ("HTTP, 2 connections", &[], &|daemon| ingest::push_http(daemon.http, &requests, 2)),
        ("HTTP, 4 connections, 1,000 lines a request", &[], &|daemon| {
            ingest::push_http(daemon.http, &small, 4);
        }),
    ] {
        let daemon = Tallyd::start(arguments);
        push(&daemon);
        under_ingest(workload, &daemon, what, push, table);
    }
    beside_heavy(workload, table);
}

fn under_ingest(workload: &Workload, daemon: &Tallyd, what: &str, push: &dyn Fn(&Tallyd), table: &mut Table) {
    let path = &targets(workload)[0].path;
    let (mut taken, mut rates, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..BUSY_ROUNDS {
        let (quiet, _) = while_polling(daemon.http, None, || (0..BUSY_PASSES).for_each(|_| push(daemon)));
        let (busy, more) =
            while_polling(daemon.http, Some(path), || (0..BUSY_PASSES).for_each(|_| push(daemon)));
        taken.extend(more);
        rates.push((BUSY_PASSES * workload.shape.events) as f64 / busy);
        ratios.push(quiet / busy);
    }
    let taken = sorted(taken);
    table.row(
        &format!("conversations, 90 days, under full ingest: {what}"),
        format!("{:.3}", percentile(&taken, 0.5)),
        "ms p50",
        &format!(
            "p90 {:.3}, p99 {:.3}, max {:.3} of {}; ingest {:.2} M/s, {:.2} of the rate without reports",
            percentile(&taken, 0.9),
            percentile(&taken, 0.99),
            percentile(&taken, 1.0),
            taken.len(),
            median(&mut rates) / 1e6,
            median(&mut ratios),
        ),
    );
}

fn beside_heavy(workload: &Workload, table: &mut Table) {
    let daemon = Tallyd::start(&[]);
    ingest::push_tcp(daemon.tcp, &workload.lines, 2);
    let targets = targets(workload);
    for heavy in targets.iter().filter(|target| target.requests == HEAVY_REQUESTS) {
        let request = http::get(&heavy.path);
        let answers = || {
            let mut connection = Connection::open(daemon.http);
            let begun = Instant::now();
            let mut answers = 0;
            while begun.elapsed() < Duration::from_secs(2) {
                timed_exchange(&mut connection, &request);
                answers += 1;
            }
            answers
        };
        let mut answered = 0;
        let (seconds, taken) = while_polling(daemon.http, Some(&targets[0].path), || {
            answered = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..HEAVY_CONNECTIONS).map(|_| scope.spawn(answers)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
            });
        });
        let taken = sorted(taken);
        table.row(
            &format!("conversations, 90 days, beside 4 × {}", heavy.what),
            format!("{:.3}", percentile(&taken, 0.5)),
            "ms p50",
            &format!(
                "p99 {:.3}, max {:.3} of {}; {:.1} heavy answers/s; peak {:.0} MB",
                percentile(&taken, 0.99),
                percentile(&taken, 1.0),
                taken.len(),
                f64::from(answered) / seconds,
                daemon.server.peak_memory_mb(),
            ),
        );
    }
}

/// The seconds that `work` takes, with somebody asking for the report every five milliseconds if there is one, and
/// what that one waited for each answer.
fn while_polling(address: SocketAddr, path: Option<&str>, work: impl FnOnce()) -> (f64, Vec<f64>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dashboard = path.map(|path| {
            let done = &done;
            scope.spawn(move || poll(address, path, done))
        });
        let start = Instant::now();
        work();
        let seconds = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let taken = dashboard.map(|thread| thread.join().unwrap()).unwrap_or_default();
        (seconds, taken)
    })
}

/// Milliseconds of each request, sorted; one every ten milliseconds until `done`.
pub(crate) fn poll(address: SocketAddr, path: &str, done: &AtomicBool) -> Vec<f64> {
    let mut taken = Vec::new();
    let mut connection = Connection::open(address);
    let request = http::get(path);
    while !done.load(Ordering::Relaxed) {
        taken.push(timed_exchange(&mut connection, &request));
        std::thread::park_timeout(Duration::from_millis(5));
    }
    taken
}
