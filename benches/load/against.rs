//! This build beside another one, in turn: events a second by every entrance, single events, each report, reports a
//! second. What counts is the ratio, of the pair of runs in the middle; above 1.00 this build is the faster one. Processor
//! time varies less than rates do, and its least value least of all, since what disturbs a run only adds to it.

use std::ffi::OsString;

use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::ingest;
use super::placement::Placement;
use super::reports::{self, Target};
use super::table::{Table, median, percentile};
use super::workload::Workload;

const CONNECTIONS: usize = 2;
const SINGLE_EVENTS: usize = 100_000;
const REPORTS: usize = 50_000;
/// Requests in a row before the other build has its turn.
const REQUESTS_IN_A_ROW: usize = 50;

const THIS: usize = 0;
const OTHER: usize = 1;

/// Which build goes first: each as often as the other.
fn in_turn(turn: usize) -> [usize; 2] {
    if turn.is_multiple_of(2) { [THIS, OTHER] } else { [OTHER, THIS] }
}

/// What this build and the other took, run by run, in whatever unit.
#[derive(Default)]
struct Sides {
    time: [Vec<f64>; 2],
    cpu: [Vec<f64>; 2],
}

impl Sides {
    fn add(&mut self, side: usize, time: f64, cpu: f64) {
        self.time[side].push(time);
        self.cpu[side].push(cpu);
    }
}

/// How many times as long the other build took, of the pair of runs in the middle.
fn middle_ratio([this, other]: &[Vec<f64>; 2]) -> f64 {
    let mut ratios: Vec<f64> = this.iter().zip(other).map(|(this, other)| other / this).collect();
    median(&mut ratios)
}

/// Asks both daemons for a report, some requests in turn.
fn take_report(target: &Target, daemons: &[Tallyd; 2], sides: &mut Sides) {
    let request = http::get(&target.path);
    let mut connections = daemons.each_ref().map(|daemon| Connection::open(daemon.http));
    for turn in 0..=target.requests / REQUESTS_IN_A_ROW {
        for side in in_turn(turn) {
            let before = daemons[side].server.cpu_nanoseconds();
            let taken = (0..REQUESTS_IN_A_ROW.min(target.requests))
                .map(|_| reports::timed_exchange(&mut connections[side], &request))
                .collect();
            let cpu = daemons[side].server.cpu_nanoseconds() - before;
            sides.add(side, percentile(&reports::sorted(taken), 0.5), cpu);
        }
    }
}

fn least(taken: &[f64]) -> f64 {
    taken.iter().copied().fold(f64::MAX, f64::min)
}

/// Compares this build with the program `other`, taking each figure `runs` times.
pub(crate) struct Against<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) other: OsString,
    pub(crate) runs: usize,
    /// What a figure's name must contain to be taken.
    pub(crate) only: &'a str,
    pub(crate) table: &'a mut Table,
}

impl Against<'_> {
    pub(crate) fn measure(mut self) {
        let workload = self.workload;
        self.passes("TCP lines", &|daemon| ingest::push_tcp(daemon.tcp, &workload.lines, CONNECTIONS));
        let lines = ingest::requests(&workload.lines, "/events?precision=ms", None);
        self.passes("HTTP lines", &|daemon| ingest::push_http(daemon.http, &lines, CONNECTIONS));
        let json = ingest::requests(&workload.json, "/events", None);
        self.passes("HTTP NDJSON", &|daemon| ingest::push_http(daemon.http, &json, CONNECTIONS));
        self.passes("TCP NDJSON", &|daemon| ingest::push_tcp(daemon.tcp, &workload.json, CONNECTIONS));
        self.rates();
        self.reports();
    }

    /// Fresh daemons, this build and the other in turn: a pass with every series new, a pass with every series known.
    fn passes(&mut self, what: &str, push: &dyn Fn(&Tallyd)) {
        if !what.contains(self.only) {
            return;
        }
        let mut passes = [Sides::default(), Sides::default()];
        for run in 0..self.runs {
            for side in in_turn(run) {
                let daemon = self.start(side);
                for sides in &mut passes {
                    let pass = ingest::timed(self.workload, &daemon, || push(&daemon));
                    sides.add(side, 1.0 / pass.events_per_second, pass.cpu_seconds_per_million);
                }
            }
        }
        for (pass, sides) in ["first pass", "again"].into_iter().zip(passes) {
            let [this, other] = sides.cpu.each_ref().map(|taken| least(taken));
            let remark = format!("CPU s/M {this:.4}, {other:.4} of the other");
            self.row(&format!("{what}, {pass}"), &sides, &remark);
        }
    }

    /// Requests a second over 32 connections: one event each, then the usual report.
    fn rates(&mut self) {
        let workload = self.workload;
        let singles: Vec<Vec<u8>> = (0..SINGLE_EVENTS.min(workload.shape.events))
            .map(|line| http::post("/events?precision=ms", None, workload.lines.lines(line, 1)))
            .collect();
        let asked = vec![http::get(&reports::first_target(workload)); REPORTS];
        for (what, requests) in [("one event a request", &singles), ("reports/s", &asked)] {
            if !what.contains(self.only) {
                continue;
            }
            let daemons = self.filled();
            let mut sides = Sides::default();
            for run in 0..2 * self.runs {
                for side in in_turn(run) {
                    let daemon = &daemons[side];
                    let before = daemon.server.cpu_nanoseconds();
                    let rate = ingest::requests_per_second(daemon.http, requests);
                    sides.add(side, 1.0 / rate, daemon.server.cpu_nanoseconds() - before);
                }
            }
            self.row(&format!("{what}, 32 connections"), &sides, "");
        }
    }

    /// The median latency of each report, over one connection to each build, all on one core. Each run is of fresh
    /// daemons, since where its memory lies decides more about a daemon than most changes do.
    fn reports(&mut self) {
        let only = self.only;
        let targets = reports::targets(self.workload);
        let mut wanted: Vec<_> = targets
            .iter()
            .filter(|target| target.what.contains(only))
            .map(|target| (target, Sides::default()))
            .collect();
        for _ in 0..if wanted.is_empty() { 0 } else { self.runs } {
            let daemons = self.filled();
            let servers = daemons.each_ref().map(|daemon| &daemon.server);
            Placement::OneCore.with(&servers, || {
                for (target, sides) in &mut wanted {
                    take_report(target, &daemons, sides);
                }
            });
        }
        for (target, sides) in &wanted {
            let [this, other] = sides.time.each_ref().map(|taken| median(&mut taken.clone()));
            self.row(target.what, sides, &format!("{this:.4} ms p50, {other:.4} of the other"));
        }
    }

    fn row(&mut self, what: &str, sides: &Sides, remark: &str) {
        let [cpu, other_cpu] = sides.cpu.each_ref().map(|taken| least(taken));
        let remark = format!(
            "by CPU {:.3}, by the least CPU {:.3}; {remark}",
            middle_ratio(&sides.cpu),
            other_cpu / cpu
        );
        self.table.row(what, format!("{:.3}", middle_ratio(&sides.time)), "× other", &remark);
    }

    fn start(&self, side: usize) -> Tallyd {
        Tallyd::start_program((side == OTHER).then_some(&self.other), &[])
    }

    /// A daemon of each build that has taken the workload.
    fn filled(&self) -> [Tallyd; 2] {
        [THIS, OTHER].map(|side| {
            let daemon = self.start(side);
            ingest::push_tcp(daemon.tcp, &self.workload.lines, CONNECTIONS);
            daemon
        })
    }
}
