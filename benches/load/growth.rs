//! The same cells ten times as many, again and again: what they cost as a picture, how far the snapshots lag behind, and
//! whether reports take longer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cells::{self, Figures};
use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::picture::Picture;
use super::placement::Placement;
use super::reports::{sorted, targets, timed_exchange};
use super::table::{Table, percentile};
use super::workload::{Shape, Workload};

/// How often the age of the newest snapshot is looked at.
const LAG_PAUSE: Duration = Duration::from_millis(200);
/// Rounds of requests in a row, so that both daemons see the same minutes.
const ROUNDS: usize = 40;
const REQUESTS_IN_A_ROW: usize = 50;
/// Reports that are asked for more often than that are quick.
const REQUESTS_OF_QUICK: usize = 5_000;

/// Takes the figures of a layout at each size, and draws them.
pub(crate) fn measure(wanted: &cells::Wanted, (only, picture): (&str, Option<&Path>), table: &mut Table) {
    let mut drawn = Picture::new("What tallyd costs, by the number of cells", "cells");
    cells::measure_growth(wanted, only, table, |figures| draw(figures, &mut drawn));
    if let Some(path) = picture {
        drawn.write(path);
    }
}

fn draw(figures: &Figures, drawn: &mut Picture) {
    let mut point = |(panel, unit, line): (&str, &str, &str), cost: f64| {
        drawn.panel(panel, unit).point(line, (figures.cells, cost));
    };
    let cpu = ("Processor time", "s per million new cells");
    point(("Ingest, snapshots made meanwhile", "M events/s", "all"), figures.events_per_second / 1e6);
    point((cpu.0, cpu.1, "ingest"), figures.ingest_cpu_seconds_per_million);
    point((cpu.0, cpu.1, "fold"), figures.fold_cpu_seconds_per_million);
    let room = ("Memory and disk", "bytes a cell, everything included");
    point((room.0, room.1, "memory"), figures.memory_bytes_per_cell);
    point((room.0, room.1, "disk"), figures.disk_bytes_per_cell);
    point(("Restart", "s", "after kill -9"), figures.restart_seconds);
}

/// Looks at the age of the newest snapshot, counted from the moment up to which it has everything, until it is ended.
pub(crate) struct Lag {
    ended: Arc<AtomicBool>,
    watcher: JoinHandle<f64>,
    interval: f64,
}

impl Lag {
    pub(crate) fn watch(http: SocketAddr, interval: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let interval = interval.trim_end_matches('s').parse().expect("an interval in seconds");
        let of_watcher = Arc::clone(&ended);
        let start = now();
        let watcher = std::thread::spawn(move || {
            let mut greatest: f64 = 0.0;
            while !of_watcher.load(Ordering::Relaxed) {
                greatest = greatest.max(now() - up_to(http).max(start));
                std::thread::park_timeout(LAG_PAUSE);
            }
            greatest
        });
        Self { ended, watcher, interval }
    }

    /// The greatest age, in intervals.
    pub(crate) fn end(self) -> f64 {
        self.ended.store(true, Ordering::Relaxed);
        self.watcher.thread().unpark();
        self.watcher.join().unwrap() / self.interval
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// When the fold of the newest snapshot began; 0 where there is none.
fn up_to(http: SocketAddr) -> f64 {
    let text = http::get_text(http, "/metrics");
    let figure = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a known figure");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    figure("tallyd_snapshot_last_timestamp_seconds ") - figure("tallyd_snapshot_last_duration_seconds ")
}

/// The usual reports of a daemon with few cells and of one with many, in turn.
pub(crate) fn compare_reports(few: &Tallyd, many: &Tallyd, what: &str, table: &mut Table) {
    let workload = Workload::generate(Shape { events: 10, stories: 10 });
    for target in targets(&workload).into_iter().filter(|target| target.requests == REQUESTS_OF_QUICK) {
        let request = http::get(&target.path);
        let mut sides = [few, many].map(|daemon| (Connection::open(daemon.http), Vec::new()));
        // Elsewhere it is chance whether client and daemon meet on one core, which makes a threefold difference.
        Placement::OneCore.with(&[&few.server, &many.server], || {
            for round in 0..=ROUNDS {
                for (connection, taken) in &mut sides {
                    let of_round = (0..REQUESTS_IN_A_ROW).map(|_| timed_exchange(connection, &request));
                    let of_round: Vec<f64> = of_round.collect();
                    // The first round warms up.
                    if round > 0 {
                        taken.extend(of_round);
                    }
                }
            }
        });
        let [few, many] = sides.map(|(_, taken)| percentile(&sorted(taken), 0.5));
        let remark = format!("{:.2} × that with 1 M cells, {few:.3}", many / few);
        table.row(&format!("{what}: {}", target.what), format!("{many:.3}"), "ms p50", &remark);
    }
}
