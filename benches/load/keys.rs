//! What idempotency keys cost: batches and single events with a key beside the same without, and batches that are sent
//! again beside the first time, in turn.

use std::time::Instant;

use super::daemon::Tallyd;
use super::http;
use super::ingest;
use super::table::{Table, median};
use super::workload::Workload;

const LINES_PER_REQUEST: usize = 5_000;
const CONNECTIONS: usize = 4;
const SINGLE_EVENTS: usize = 100_000;
const TARGET: &str = "/events?precision=ms";

/// The batches as requests, each with a key of its own where `of` names a set of keys.
fn requests<'a>(batches: impl Iterator<Item = &'a [u8]>, of: Option<&str>) -> Vec<Vec<u8>> {
    let request = |(number, batch): (usize, &[u8])| {
        let header = of.map(|of| format!("Idempotency-Key: {of}-{number}\r\n"));
        http::post_with(TARGET, header.as_deref().unwrap_or_default(), batch)
    };
    batches.enumerate().map(request).collect()
}

/// Rate and processor time of what is sent.
fn taken(daemon: &Tallyd, send: impl FnOnce()) -> [f64; 2] {
    let (cpu, start) = (daemon.server.cpu_nanoseconds(), Instant::now());
    send();
    [start.elapsed().as_secs_f64(), daemon.server.cpu_nanoseconds() - cpu]
}

/// How many times as long the second of each pair took, by the clock and by processor time; of the pair in the middle.
fn ratios(pairs: &[[[f64; 2]; 2]]) -> [f64; 2] {
    [0, 1].map(|unit| {
        let mut ratios: Vec<f64> = pairs.iter().map(|[one, other]| other[unit] / one[unit]).collect();
        median(&mut ratios)
    })
}

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let batches = || workload.lines.batches(LINES_PER_REQUEST).into_iter();
    let (mut batch_pairs, mut again_pairs, mut single_pairs) = (vec![], vec![], vec![]);
    let without = requests(batches(), None);
    let singles = SINGLE_EVENTS.min(workload.shape.events);
    let single = || (0..singles).map(|line| workload.lines.lines(line, 1));
    let single_without = requests(single(), None);
    let daemon = Tallyd::start(&[]);
    let push =
        |requests: &[Vec<u8>]| taken(&daemon, || ingest::push_http(daemon.http, requests, CONNECTIONS));
    let ask = |requests: &[Vec<u8>]| {
        taken(&daemon, || {
            ingest::requests_per_second(daemon.http, requests);
        })
    };
    push(&without);
    for run in 0..2 * runs {
        let keyed = requests(batches(), Some(&format!("batch-{run}")));
        let single_keyed = requests(single(), Some(&format!("single-{run}")));
        // Each as often first as the other.
        let is_keyed_first = run.is_multiple_of(2);
        let of_key = is_keyed_first.then(|| (push(&keyed), ask(&single_keyed)));
        let plain = (push(&without), ask(&single_without));
        let of_key = of_key.unwrap_or_else(|| (push(&keyed), ask(&single_keyed)));
        batch_pairs.push([of_key.0, plain.0]);
        single_pairs.push([of_key.1, plain.1]);
        again_pairs.push([push(&keyed), of_key.0]);
    }
    let [rate, cpu] = ratios(&batch_pairs);
    let what = "HTTP lines, 4 connections, a key on every 5,000 lines";
    table.row(what, format!("{rate:.2}"), "× without", &format!("CPU {cpu:.2} ×"));
    let [rate, cpu] = ratios(&again_pairs);
    table.row("the same batches again", format!("{rate:.2}"), "× the first time", &format!("CPU {cpu:.2} ×"));
    let [rate, cpu] = ratios(&single_pairs);
    let what = "HTTP, one event a request, 32 connections, with a key";
    table.row(what, format!("{rate:.2}"), "× without", &format!("CPU {cpu:.2} ×"));
}
