//! How long a report takes, on an idle daemon and under full ingest.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::ceilings::BareHttp;
use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::ingest;
use super::table::{Table, percentile};
use super::workload::{Workload, story_id};

const REQUESTS: usize = 5_000;

/// The requests that are timed: (name, target).
fn targets(workload: &Workload) -> Vec<(&'static str, String)> {
    let story = story_id(workload.shape.stories / 10);
    let range = |days: u64| format!("from={}&to={}", workload.now_ms - days * 86_400_000, workload.now_ms);
    vec![
        ("conversations by day, 30 days, all stories", format!("/reports/conversations?{}", range(30))),
        ("the same by source", format!("/reports/conversations?{}&group=source", range(30))),
        (
            "one story by hour, 7 days",
            format!("/reports/conversations?{}&dimension=hour&storyId={story}", range(7)),
        ),
        ("one story by day, a year", format!("/reports/conversations?{}&storyId={story}", range(365))),
        ("average by day, 90 days, all stories", format!("/reports/conversations.average?{}", range(90))),
        ("busiest period, 90 days, all stories", format!("/reports/busiest-period?{}", range(90))),
        (
            "interactions of one story, 30 days",
            format!("/reports/interactions.popularity?{}&storyId={story}", range(30)),
        ),
        ("conversations by day, 5 years, all stories", format!("/reports/conversations?{}", range(1826))),
        (
            "the same by story, limit 1000",
            format!("/reports/conversations?{}&group=storyId&limit=1000", range(1826)),
        ),
    ]
}

pub(crate) fn measure_idle(workload: &Workload, table: &mut Table) {
    let daemon = Tallyd::start(&[]);
    ingest::push_tcp(daemon.tcp, &workload.lines, 4);
    let bare = BareHttp::start();
    for (what, target) in targets(workload) {
        let requests = if target.contains("group=storyId") { 50 } else { REQUESTS };
        let of_bare = latencies(bare.address, "/", requests);
        let of_tallyd = latencies(daemon.http, &target, requests);
        table.row(
            what,
            format!("{:.3}", percentile(&of_tallyd, 0.5)),
            "ms p50",
            &format!(
                "p99 {:.3}, p99.9 {:.3}; {:.2} × the bare HTTP answer ({:.3} ms)",
                percentile(&of_tallyd, 0.99),
                percentile(&of_tallyd, 0.999),
                percentile(&of_tallyd, 0.5) / percentile(&of_bare, 0.5),
                percentile(&of_bare, 0.5)
            ),
        );
    }
    let target = targets(workload)[0].1.clone();
    let of_bare = ingest::requests_per_second(bare.address, &vec![http::get("/"); 100_000]);
    let of_tallyd = ingest::requests_per_second(daemon.http, &vec![http::get(&target); 100_000]);
    table.row(
        "reports/s, 32 connections",
        format!("{:.0}", of_tallyd / 1e3),
        "k/s",
        &format!("{:.2} of the bare HTTP answer", of_tallyd / of_bare),
    );
}

/// Milliseconds of each request on one keep-alive connection, sorted.
fn latencies(address: SocketAddr, target: &str, requests: usize) -> Vec<f64> {
    let mut connection = Connection::open(address);
    let request = http::get(target);
    let mut taken: Vec<f64> = (0..requests + requests / 10)
        .map(|_| {
            let start = Instant::now();
            let (status, _) = connection.exchange(&request);
            assert_eq!(status, 200, "{target}");
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(requests / 10)
        .collect();
    taken.sort_by(f64::total_cmp);
    taken
}

/// Reports while two connections send as fast as they can, and the ingest that is left of it.
pub(crate) fn measure_busy(workload: &Workload, table: &mut Table) {
    let daemon = Tallyd::start(&["--snapshot-interval", "5s"]);
    ingest::push_tcp(daemon.tcp, &workload.lines, 2);
    let quiet = ingest_rate(&daemon, workload, None).0;
    let target = &targets(workload)[0].1;
    let (busy, taken) = ingest_rate(&daemon, workload, Some(target));
    table.row(
        "conversations by day, 30 days, under full ingest",
        format!("{:.3}", percentile(&taken, 0.5)),
        "ms p50",
        &format!(
            "p99 {:.3}; ingest {:.2} M/s, {:.2} of the rate without reports",
            percentile(&taken, 0.99),
            busy / 1e6,
            busy / quiet
        ),
    );
}

const BUSY_PASSES: usize = 5;

/// Events per second over some passes, with somebody asking for the report every ten milliseconds if there is one.
fn ingest_rate(daemon: &Tallyd, workload: &Workload, target: Option<&str>) -> (f64, Vec<f64>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dashboard = target.map(|target| {
            let (done, address) = (&done, daemon.http);
            scope.spawn(move || poll(address, target, done))
        });
        let start = Instant::now();
        for _ in 0..BUSY_PASSES {
            ingest::push_tcp(daemon.tcp, &workload.lines, 2);
        }
        let seconds = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let taken = dashboard.map(|thread| thread.join().unwrap()).unwrap_or_default();
        ((BUSY_PASSES * workload.shape.events) as f64 / seconds, taken)
    })
}

fn poll(address: SocketAddr, target: &str, done: &AtomicBool) -> Vec<f64> {
    let mut taken = Vec::new();
    let mut connection = Connection::open(address);
    let request = http::get(target);
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        let (status, _) = connection.exchange(&request);
        assert_eq!(status, 200);
        taken.push(start.elapsed().as_secs_f64() * 1e3);
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    taken.sort_by(f64::total_cmp);
    taken
}
