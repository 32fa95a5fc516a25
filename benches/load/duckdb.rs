//! The same batches for tallyd, over its sockets, and for `DuckDB` inside a process of its own, in turns.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use super::daemon::Tallyd;
use super::ingest::{self, Pass};
use super::table::{Table, median};
use super::workload::{Text, Workload};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/duckdb_batches.py");
const CONNECTIONS: usize = 2;
/// Batches of `DuckDB`; tallyd gets these, and smaller ones.
const LINES: usize = 50_000;
const LINES_SMALL: usize = 5_000;
const PASSES: usize = 2;

/// Rates and processor time of each pass, peak memory, disk.
struct Figures {
    passes: Vec<Pass>,
    peak_mb: f64,
    disk_mb: f64,
}

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let stories = workload.shape.stories;
    let found = Command::new("python3").args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        table.row("DuckDB", "–".to_owned(), "", "not installed here (pip install duckdb)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write_rows(workload, folder.path());
    let [large, small] =
        [LINES, LINES_SMALL].map(|lines| ingest::requests_of(&workload.lines, lines, "/events?precision=ms"));
    let mut taken: Vec<[Figures; 5]> = vec![];
    for _ in 0..runs {
        taken.push([
            tallyd(workload, |daemon| push_batches(daemon.tcp, &workload.lines, LINES)),
            tallyd(workload, |daemon| push_batches(daemon.tcp, &workload.lines, LINES_SMALL)),
            tallyd(workload, |daemon| ingest::push_http(daemon.http, &large, CONNECTIONS)),
            tallyd(workload, |daemon| ingest::push_http(daemon.http, &small, CONNECTIONS)),
            duckdb(workload, folder.path()),
        ]);
    }
    let names = [
        format!("TCP, {LINES} lines a batch"),
        format!("TCP, {LINES_SMALL} lines a batch"),
        format!("HTTP, {LINES} lines a batch"),
        format!("HTTP, {LINES_SMALL} lines a batch"),
        format!("DuckDB in its own process, {LINES} lines a batch, and a fold"),
    ];
    for (side, name) in names.iter().enumerate() {
        let middle =
            |of: &dyn Fn(&[Figures; 5]) -> f64| median(&mut taken.iter().map(of).collect::<Vec<_>>());
        let rate = |pass: usize| middle(&move |run| run[side].passes[pass].events_per_second);
        let cpu = |pass: usize| middle(&move |run| run[side].passes[pass].cpu_seconds_per_million);
        let ratio = |pass: usize| {
            middle(&move |run| {
                run[side].passes[pass].events_per_second / run[4].passes[pass].events_per_second
            })
        };
        let cpu_ratio = |pass: usize| {
            middle(&move |run| {
                run[4].passes[pass].cpu_seconds_per_million / run[side].passes[pass].cpu_seconds_per_million
            })
        };
        table.row(
            &format!("{stories} stories: {name}"),
            format!("{:.2}", rate(0) / 1e6),
            "M events/s",
            &format!(
                "{:.2} × DuckDB, {:.2} × less CPU; again {:.2}, {:.2} ×; CPU s/M {:.2}, again {:.2}; peak {:.0} MB; disk {:.1} MB",
                ratio(0),
                cpu_ratio(0),
                rate(1) / 1e6,
                ratio(1),
                cpu(0),
                cpu(1),
                middle(&|run| run[side].peak_mb),
                middle(&|run| run[side].disk_mb),
            ),
        );
    }
}

fn tallyd(workload: &Workload, push: impl Fn(&Tallyd)) -> Figures {
    let daemon = Tallyd::start(&[]);
    let passes = (0..PASSES).map(|_| ingest::timed(workload, &daemon, || push(&daemon))).collect();
    let peak_mb = daemon.server.peak_memory_mb();
    let stopped = daemon.stop();
    Figures { passes, peak_mb, disk_mb: stopped.disk_mb() - stopped.reserve_mb() }
}

fn duckdb(workload: &Workload, batches: &Path) -> Figures {
    let output = Command::new("python3").arg(SCRIPT).arg(batches).arg(PASSES.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let events = workload.shape.events as f64;
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert!((number(&answer["total"]) - events * PASSES as f64).abs() < 0.5, "DuckDB counts something else");
    let pass = |pass: &serde_json::Value| Pass {
        events_per_second: events / number(&pass[0]),
        cpu_seconds_per_million: number(&pass[1]) / events * 1e6,
    };
    Figures {
        passes: answer["passes"].as_array().unwrap().iter().map(pass).collect(),
        peak_mb: number(&answer["peak"]) / 1e6,
        disk_mb: number(&answer["disk"]) / 1e6,
    }
}

/// Sends the lines in batches, each of which is acknowledged before the next one is sent.
fn push_batches(address: SocketAddr, text: &Text, lines: usize) {
    let batches = text.batches(lines);
    std::thread::scope(|scope| {
        for part in batches.chunks(batches.len().div_ceil(CONNECTIONS)) {
            scope.spawn(move || {
                let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
                stream.get_mut().write_all(b"!precision ms\n").unwrap();
                for batch in part {
                    stream.get_mut().write_all(batch).unwrap();
                    stream.get_mut().write_all(b"!sync\n").unwrap();
                    let mut answer = String::new();
                    stream.read_line(&mut answer).unwrap();
                    assert!(answer.starts_with("OK "), "the daemon answered {answer}");
                }
            });
        }
    });
}

/// The events as rows, a file for each batch.
fn write_rows(workload: &Workload, folder: &Path) {
    for (number, batch) in workload.lines.batches(LINES).into_iter().enumerate() {
        let mut rows = String::with_capacity(batch.len());
        for line in std::str::from_utf8(batch).unwrap().lines() {
            let (head, rest) = line.split_once(' ').unwrap();
            let stamp = rest.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
            let mut parts = head.split(',');
            let metric = parts.next().unwrap();
            let mut tag = || parts.next().map_or("", |tag| tag.split_once('=').unwrap().1);
            let (story, source, node) = (tag(), tag(), tag());
            writeln!(rows, "{metric}\t{story}\t{source}\t{node}\t{}", stamp / 3_600_000).unwrap();
        }
        std::fs::write(folder.join(format!("{number:06}")), rows).unwrap();
    }
}
