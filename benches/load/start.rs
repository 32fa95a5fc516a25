//! What a start costs: on an empty directory, from the start of the process until it listens, by the clock and in processor
//! time; what the daemon takes while it has nothing to do; how large the program is.

use std::process::Command;
use std::time::{Duration, Instant};

use super::daemon::Tallyd;
use super::http;
use super::table::{Table, median};

/// Starts for each run that was asked for: a start is short, and a shared machine disturbs many of them.
const STARTS_PER_RUN: usize = 5;
/// How long the daemon is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

pub(crate) fn measure(runs: usize, table: &mut Table) {
    let (mut wall, mut cpu, mut memory) = (vec![], vec![], vec![]);
    for number in 0..runs * STARTS_PER_RUN {
        let begun = Instant::now();
        let daemon = Tallyd::start(&[]);
        wall.push(begun.elapsed().as_secs_f64() * 1e3);
        cpu.push(daemon.server.cpu_nanoseconds() / 1e6);
        if number < runs {
            // A little of it is needed for the first answer.
            http::get_text(daemon.http, "/health");
            std::thread::sleep(IDLE);
            memory.push(daemon.server.memory_mb() * 1e6 / f64::from(1 << 20));
        }
    }
    let [least_wall, least_cpu] = [&wall, &cpu].map(|taken| taken.iter().copied().fold(f64::MAX, f64::min));
    table.row(
        "start to ready on an empty directory",
        format!("{:.1}", median(&mut wall)),
        "ms",
        &format!(
            "least {least_wall:.1}; processor time {:.1} ms, least {least_cpu:.1}; of {} starts",
            median(&mut cpu),
            wall.len()
        ),
    );
    table.row("memory of an idle daemon", format!("{:.1}", median(&mut memory)), "MiB", "after one answer");
    let (bytes, remark) = match stripped_bytes() {
        Some(bytes) => (bytes, "stripped"),
        None => {
            (std::fs::metadata(env!("CARGO_BIN_EXE_tallyd")).unwrap().len(), "NOT stripped, without `strip`")
        }
    };
    table.row("size of the program", format!("{:.1}", bytes as f64 / 1e6), "MB", remark);
}

/// Bytes of the program without symbols, where there is a `strip`.
fn stripped_bytes() -> Option<u64> {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("tallyd");
    let status =
        Command::new("strip").arg("-o").arg(&stripped).arg(env!("CARGO_BIN_EXE_tallyd")).status().ok()?;
    status.success().then(|| std::fs::metadata(&stripped).unwrap().len())
}
