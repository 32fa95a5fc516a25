//! What a backup costs: ingest while one backup after the other is read, whole ones and repeated ones, beside ingest alone.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::daemon::Tallyd;
use super::ingest::{self, timed};
use super::table::{Table, median};
use super::workload::Workload;

const CONNECTIONS: usize = 4;

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let daemon = Tallyd::start(&[]);
    let push = || ingest::push_tcp(daemon.tcp, &workload.lines, CONNECTIONS);
    // Every series is known from here on.
    push();
    let copies = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    backup(daemon.http, &copies.path().join("first"));
    let seconds = begun.elapsed().as_secs_f64();
    for is_repeated in [false, true] {
        let (mut alone, mut ratios, mut made) = (vec![], vec![], 0);
        for run in 0..2 * runs {
            let over = AtomicBool::new(false);
            let mut beside = || {
                std::thread::scope(|scope| {
                    let copying = scope.spawn(|| {
                        let mut count = 0;
                        while !over.load(Ordering::Relaxed) {
                            let name = if is_repeated { "same".to_owned() } else { format!("{run}-{count}") };
                            backup(daemon.http, &copies.path().join(name));
                            count += 1;
                        }
                        count
                    });
                    let pass = timed(workload, &daemon, push).events_per_second;
                    over.store(true, Ordering::Relaxed);
                    made += copying.join().unwrap();
                    pass
                })
            };
            // Each as often first as the other.
            let first = run.is_multiple_of(2).then(&mut beside);
            let without = timed(workload, &daemon, push).events_per_second;
            ratios.push(first.unwrap_or_else(beside) / without);
            alone.push(without);
        }
        let what = if is_repeated { "repeated into one directory" } else { "each whole" };
        table.row(
            &format!("TCP lines, 4 connections, while backups are read back to back, {what}"),
            format!("{:.2}", median(&mut ratios)),
            "of ingest",
            &format!(
                "alone {:.2} M/s; {made} backups in {} passes; one of {:.1} MB with nothing else to do {seconds:.2} s",
                median(&mut alone) / 1e6,
                2 * runs,
                daemon.snapshot_mb(),
            ),
        );
    }
}

fn backup(address: SocketAddr, copy: &Path) {
    let status = Command::new(env!("CARGO_BIN_EXE_tallyd"))
        .args(["backup", "--url", &format!("http://{address}")])
        .arg(copy)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "a backup ended with {status}");
}
