//! What snapshots cost those who send and those who ask: a snapshot every second against none, in turn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::daemon::Tallyd;
use super::ingest;
use super::reports;
use super::table::{Table, median, percentile};
use super::workload::Workload;

const SECONDS: u64 = 4;
const CONNECTIONS: usize = 2;

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let (mut ratios, mut rates) = (vec![], vec![]);
    let mut latencies = [vec![], vec![]];
    for _ in 0..runs {
        let taken = ["24h", "1s"].map(|interval| {
            let daemon = Tallyd::start(&["--snapshot-interval", interval]);
            ingest::push_tcp(daemon.tcp, &workload.lines, CONNECTIONS);
            flat_out(&daemon, workload)
        });
        let [(without, of_without), (with, of_with)] = taken;
        ratios.push(with / without);
        rates.push(with);
        latencies[0].extend(of_without);
        latencies[1].extend(of_with);
    }
    let [without, with] = latencies.each_mut().map(|taken| {
        taken.sort_by(f64::total_cmp);
        [0.5, 0.99].map(|share| percentile(taken, share))
    });
    table.row(
        "ingest with a snapshot every second",
        format!("{:.2}", median(&mut rates) / 1e6),
        "M events/s",
        &format!("{:.2} of the rate without", median(&mut ratios)),
    );
    table.row(
        "a report meanwhile",
        format!("{:.3}", with[1]),
        "ms p99",
        &format!("p50 {:.3}; without snapshots p50 {:.3}, p99 {:.3}", with[0], without[0], without[1]),
    );
}

/// Events per second over some seconds, and the latency of a report that is asked for meanwhile.
fn flat_out(daemon: &Tallyd, workload: &Workload) -> (f64, Vec<f64>) {
    let target = reports::first_target(workload);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| reports::poll(daemon.http, &target, &done));
        let (start, mut passes) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(SECONDS) {
            ingest::push_tcp(daemon.tcp, &workload.lines, CONNECTIONS);
            passes += 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        ((passes * workload.shape.events) as f64 / seconds, asked.join().unwrap())
    })
}
