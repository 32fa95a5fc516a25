//! How long a batch waits when batches come by the clock, as they do from platforms that do not wait for each other: 64
//! connections, 100 lines a batch, at a given rate. The latency of an answer counts from the moment at which its batch
//! SHOULD have been sent, so that a stall counts for everything that it held up, also for what was not sent because
//! of it. Folds (a snapshot every 5 s), seals and an index that grows all along (a new series in each batch) are part of
//! it; each is also left out in turn, which tells what makes the tail. Beside it other programs by the same clock.

use std::sync::atomic::{AtomicBool, Ordering};

use super::clock::{Dialect, Feed, LINES_PER_BATCH, Run, Wait, by_the_clock, closed_loop, placeholder};
use super::daemon::Tallyd;
use super::http;
use super::ingest;
use super::open_peers;
use super::reports::sorted;
use super::table::{Table, percentile};
use super::workload::{Text, Workload, story_id};

const SNAPSHOT_INTERVAL: &str = "5s";
/// Longer than any run.
const NO_SNAPSHOT: &str = "24h";
/// The share of the full rate that batches come at where none is given.
pub(crate) const SHARE_OF_FULL: f64 = 0.5;
/// A rate was held where that share of it was answered by the end of the schedule.
const HELD: f64 = 0.99;
/// Waits that are named with the moment of each.
const LONGEST_NAMED: usize = 5;
/// Waits that belong to one stall: those whose batches were due within so many seconds.
const ONE_STALL: f64 = 0.25;
const NODES_OF_DELETED: usize = 10_000;
const HOURS_OF_FIVE_YEARS: usize = 5 * 365 * 24;
/// Hours in which each node of the story to be deleted was used.
const HOURS_OF_NODE: usize = 500;
const HOUR_MS: u64 = 3_600_000;

const LINES: Dialect = Dialect { hello: b"!precision ms\n", end: b"\n", ends_per_batch: 1, refusal: b"ERR" };

/// The batches in line protocol, one line of each to be of a new series.
pub(crate) fn batches(workload: &Workload) -> Vec<Vec<u8>> {
    let number = placeholder();
    let new = format!(
        "interaction,storyId=5b08{number}00000000,source=app,id=5b09{number}00000000 count=1i {}\n",
        workload.now_ms
    );
    let of_lines = workload.lines.batches(LINES_PER_BATCH - 1).into_iter();
    of_lines.map(|lines| [lines, new.as_bytes()].concat()).collect()
}

fn feed(workload: &Workload, is_growing: bool) -> Feed {
    let batches = batches(workload).into_iter().map(|lines| [lines.as_slice(), b"!sync\n"].concat());
    Feed::new(batches.collect(), is_growing)
}

impl Run {
    pub(crate) fn row(&self, what: &str, table: &mut Table) {
        let waits = sorted(self.waits.iter().map(|wait| wait.ms).collect());
        let at = |share: f64| percentile(&waits, share);
        let held = if self.answered >= HELD * self.asked { "held" } else { "NOT held" };
        table.row(
            what,
            format!("{:.2}", at(0.99)),
            "ms p99",
            &format!(
                "p50 {:.2}, p99.9 {:.2}, max {:.1} of {}; {:.2} M events/s {held} ({:.2} answered); the client was late by p50 {:.2}, p99.9 {:.2}, max {:.1} ms; longest: {}",
                at(0.5),
                at(0.999),
                at(1.0),
                waits.len(),
                self.asked / 1e6,
                self.answered / 1e6,
                percentile(&self.late, 0.5),
                percentile(&self.late, 0.999),
                percentile(&self.late, 1.0),
                self.longest()
            ),
        );
    }

    /// The longest wait of each of the worst stalls, with the moment at which its batch was due.
    fn longest(&self) -> String {
        let mut waits = self.waits.clone();
        waits.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        let mut named: Vec<Wait> = Vec::new();
        for wait in waits {
            if named.len() < LONGEST_NAMED
                && named.iter().all(|other| (other.due - wait.due).abs() > ONE_STALL)
            {
                named.push(wait);
            }
        }
        let text = |wait: &Wait| format!("{:.1} ms at {:.1} s", wait.ms, wait.due);
        named.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    /// The longest wait of a batch that was due or under way while something else was.
    fn longest_meanwhile(&self) -> f64 {
        let (began, ended) = self.meanwhile.expect("something else was done");
        let meanwhile =
            self.waits.iter().filter(|wait| wait.due <= ended && wait.due + wait.ms / 1e3 >= began);
        meanwhile.map(|wait| wait.ms).fold(0.0, f64::max)
    }
}

/// What to measure.
#[derive(Debug, clap::Args)]
#[group(id = "open_wanted")]
pub(crate) struct Wanted {
    /// Millions of events a second of the part `open`; half of the full rate where it is not given.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds of each figure of the part `open`.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// In the part `open`, deletes a story with 10,000 nodes and five years of hours as well, and in another run only its counts.
    #[arg(long)]
    delete: bool,
}

pub(crate) fn measure(workload: &Workload, (wanted, only): (&Wanted, &str), table: &mut Table) {
    let half_of_full = |table: &mut Table| {
        let daemon = Tallyd::start(&["--snapshot-interval", SNAPSHOT_INTERVAL]);
        let full = closed_loop(daemon.tcp, LINES, feed(workload, true));
        let remark = "a batch under way on each of 64 connections, 100 lines a batch";
        table.row("full rate of the closed loop", format!("{:.2}", full / 1e6), "M events/s", remark);
        SHARE_OF_FULL * full
    };
    let rate = match wanted.rate {
        Some(millions) => millions * 1e6,
        None => half_of_full(table),
    };
    for (what, interval, is_growing) in [
        ("open loop, folds and new series", SNAPSHOT_INTERVAL, true),
        ("open loop, folds", SNAPSHOT_INTERVAL, false),
        ("open loop, new series", NO_SNAPSHOT, true),
        ("open loop, neither", NO_SNAPSHOT, false),
    ] {
        if !what.contains(only) {
            continue;
        }
        let daemon = filled(workload, interval);
        let batches = feed(workload, is_growing);
        by_the_clock((daemon.tcp, LINES), batches, (rate, wanted.seconds), None).row(what, table);
    }
    open_peers::measure(workload, only, (rate, wanted.seconds), table);
    if wanted.delete {
        for removal in [("a deletion", "", 204), ("an undo", "/counts?from=2000-1-1&to=2099-12-31", 200)] {
            measure_removal(workload, removal, (rate, wanted.seconds), table);
        }
    }
}

/// A daemon that knows every series of the workload.
fn filled(workload: &Workload, snapshot_interval: &str) -> Tallyd {
    let daemon = Tallyd::start(&["--snapshot-interval", snapshot_interval]);
    ingest::push_tcp(daemon.tcp, &workload.lines, 2);
    daemon
}

/// The deletion of a story with very many nodes and hours, or of its counts, under the load.
fn measure_removal(
    workload: &Workload,
    (what, path, expected): (&str, &str, u16),
    load: (f64, f64),
    table: &mut Table,
) {
    let daemon = filled(workload, SNAPSHOT_INTERVAL);
    let story = story_id(workload.shape.stories);
    for lines in large_story(&story, workload.now_ms) {
        ingest::push_tcp(daemon.tcp, &lines, 1);
    }
    let is_deleted = AtomicBool::new(false);
    let delete = || {
        let request = format!("DELETE /stories/{story}{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (status, _) = http::Connection::open(daemon.http).exchange(request.as_bytes());
        assert_eq!(status, expected, "the answer to {what}");
        is_deleted.store(true, Ordering::Relaxed);
    };
    let run = by_the_clock((daemon.tcp, LINES), feed(workload, true), load, Some(&delete));
    assert!(is_deleted.load(Ordering::Relaxed), "{what} is done");
    run.row(&format!("open loop, folds, new series and {what}"), table);
    let (began, ended) = run.meanwhile.expect("a deletion");
    table.row(
        &format!("the longest wait of a batch beside {what}"),
        format!("{:.1}", run.longest_meanwhile()),
        "ms",
        &format!(
            "of a story with {NODES_OF_DELETED} nodes in {HOURS_OF_NODE} hours each and its own counts in every hour of 5 years; done in {:.0} ms, begun at {began:.1} s",
            (ended - began) * 1e3
        ),
    );
}

/// Lines of a story that was busy for five years: its conversations and messages in every hour, and its nodes in some,
/// spread over all of that time. In pieces, lest all of them are in memory.
fn large_story(story: &str, now_ms: u64) -> impl Iterator<Item = Text> {
    let own = std::iter::once(()).map(move |()| {
        let mut text = Text::default();
        for hour in 0..HOURS_OF_FIVE_YEARS as u64 {
            let stamp = now_ms - hour * HOUR_MS;
            for kind in ["conversation", "message"] {
                text.push(&format!("{kind},storyId={story},source=app count=1i {stamp}"));
            }
        }
        text
    });
    let stride = HOURS_OF_FIVE_YEARS / HOURS_OF_NODE;
    let of_nodes = (0..HOURS_OF_NODE).rev().map(move |hour| {
        let mut text = Text::default();
        for node in 0..NODES_OF_DELETED {
            let stamp = now_ms - ((hour * stride + node % stride) as u64) * HOUR_MS;
            text.push(&format!("interaction,storyId={story},source=app,id={node:024x} count=1i {stamp}"));
        }
        text
    });
    own.chain(of_nodes)
}
