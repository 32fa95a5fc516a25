//! This build beside another one, in turn: events a second by every entrance, single events, each report, reports a
//! second. What counts is the ratio, of the pair of runs in the middle; above 1.00 this build is the faster one.

use std::ffi::OsString;

use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::ingest;
use super::reports;
use super::table::{Table, median, percentile};
use super::workload::Workload;

const CONNECTIONS: usize = 2;
const SINGLE_EVENTS: usize = 100_000;
const REPORTS: usize = 50_000;
/// Requests in a row before the other build has its turn.
const REQUESTS_IN_A_ROW: usize = 50;

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
        let mut ratios = [[vec![], vec![]], [vec![], vec![]]];
        for _ in 0..self.runs {
            let [this, other] = [None, Some(&self.other)].map(|program| {
                let daemon = Tallyd::start_program(program, &[]);
                [0, 1].map(|_| ingest::timed(self.workload, &daemon, || push(&daemon)))
            });
            for (ratios, (this, other)) in ratios.iter_mut().zip(this.iter().zip(&other)) {
                ratios[0].push(this.events_per_second / other.events_per_second);
                ratios[1].push(other.cpu_seconds_per_million / this.cpu_seconds_per_million);
            }
        }
        for (pass, [mut rate, mut cpu]) in ["first pass", "again"].into_iter().zip(ratios) {
            let remark = format!("{:.3} by CPU", median(&mut cpu));
            self.table.row(
                &format!("{what}, {pass}"),
                format!("{:.3}", median(&mut rate)),
                "× other",
                &remark,
            );
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
            let mut ratios: Vec<f64> = (0..2 * self.runs)
                .map(|_| {
                    let [this, other] =
                        daemons.each_ref().map(|daemon| ingest::requests_per_second(daemon.http, requests));
                    this / other
                })
                .collect();
            let name = format!("{what}, 32 connections");
            self.table.row(&name, format!("{:.3}", median(&mut ratios)), "× other", "");
        }
    }

    /// The median latency of each report, over one connection to each build.
    fn reports(&mut self) {
        let wanted: Vec<_> = reports::targets(self.workload)
            .into_iter()
            .filter(|target| target.what.contains(self.only))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let daemons = self.filled();
        for target in wanted {
            let request = http::get(&target.path);
            let mut sides = daemons.each_ref().map(|daemon| (Connection::open(daemon.http), vec![]));
            for _ in 0..=target.requests * self.runs / REQUESTS_IN_A_ROW {
                for (connection, taken) in &mut sides {
                    for _ in 0..REQUESTS_IN_A_ROW.min(target.requests) {
                        taken.push(reports::timed_exchange(connection, &request));
                    }
                }
            }
            let [this, other] = sides.map(|(_, taken)| percentile(&reports::sorted(taken), 0.5));
            let remark = format!("{this:.3} ms p50, {other:.3} of the other");
            self.table.row(target.what, format!("{:.3}", other / this), "× other", &remark);
        }
    }

    /// A daemon of each build that has taken the workload.
    fn filled(&self) -> [Tallyd; 2] {
        [None, Some(&self.other)].map(|program| {
            let daemon = Tallyd::start_program(program, &[]);
            ingest::push_tcp(daemon.tcp, &self.workload.lines, CONNECTIONS);
            daemon
        })
    }
}
