//! What the workload leaves behind: memory once it has been taken twice, and the files of a stopped daemon.

use std::time::Duration;

use super::daemon::Tallyd;
use super::ingest;
use super::table::{Table, median};
use super::workload::Workload;

const CONNECTIONS: usize = 2;
/// How long the daemon is left alone before its memory is read once more.
const QUIET: Duration = Duration::from_secs(2);

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let requests = ingest::requests(&workload.lines, "/events?precision=ms", None);
    let (mut at_once, mut quiet, mut peak) = (vec![], vec![], vec![]);
    let mut disk = [vec![], vec![], vec![]];
    for _ in 0..runs {
        let daemon = Tallyd::start(&[]);
        for _ in 0..2 {
            ingest::push_http(daemon.http, &requests, CONNECTIONS);
        }
        at_once.push(daemon.server.memory_mb());
        peak.push(daemon.server.peak_memory_mb());
        std::thread::sleep(QUIET);
        quiet.push(daemon.server.memory_mb());
        let stopped = daemon.stop();
        let figures =
            [stopped.disk_mb() - stopped.reserve_mb(), stopped.mb("journal"), stopped.mb("snapshot")];
        disk.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
    }
    let what = |what: &str| format!("{what}, {} stories", workload.shape.stories);
    table.row(
        &what("memory after the workload twice"),
        format!("{:.1}", median(&mut at_once)),
        "MB",
        &format!(
            "peak {:.1}; {:.1} when quiet; HTTP, 5,000 lines a request, {CONNECTIONS} connections",
            median(&mut peak),
            median(&mut quiet)
        ),
    );
    let [mut all, mut journal, mut snapshot] = disk;
    table.row(
        &what("disk after a stop"),
        format!("{:.2}", median(&mut all)),
        "MB",
        &format!(
            "without the reserve; journal {:.2}, snapshot {:.2}",
            median(&mut journal),
            median(&mut snapshot)
        ),
    );
}
