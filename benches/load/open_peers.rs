//! Other programs by the same clock as tallyd: the same batches over as many connections, at the same rate where they hold it,
//! and at half of their own full rate. Each takes a batch the way it takes batches fastest.

use std::net::SocketAddr;

use super::clock::{Dialect, Feed, LINES_PER_BATCH, by_the_clock, closed_loop};
use super::daemon::Server;
use super::http;
use super::open::{SHARE_OF_FULL, batches};
use super::peers::{is_installed, redis_commands, start_redis, start_victoria_metrics};
use super::table::Table;
use super::workload::Workload;

/// A batch is 100 commands, each with an answer of its own.
const REDIS: Dialect = Dialect { hello: b"", end: b"\r\n", ends_per_batch: LINES_PER_BATCH, refusal: b"-" };
/// A batch is a request. Refusals have a body, what is taken has none.
const VICTORIA_METRICS: Dialect = Dialect {
    hello: b"",
    end: b"HTTP/1.1 204 No Content\r\n",
    ends_per_batch: 1,
    refusal: b"Content-Length: ",
};

/// A program that takes the batches.
struct Peer {
    name: &'static str,
    program: &'static str,
    dialect: Dialect,
    start: fn(&std::path::Path) -> (Server, SocketAddr),
    /// What it is sent for some lines.
    batch: fn(&[u8]) -> Vec<u8>,
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "Redis, one HINCRBY an event",
        program: "redis-server",
        dialect: REDIS,
        start: start_redis,
        batch: redis_commands,
    },
    Peer {
        name: "VictoriaMetrics, a request a batch",
        program: "victoria-metrics",
        dialect: VICTORIA_METRICS,
        start: start_victoria_metrics,
        batch: |lines| http::post("/write?precision=ms", None, lines),
    },
];

pub(crate) fn measure(workload: &Workload, only: &str, (rate, seconds): (f64, f64), table: &mut Table) {
    for peer in PEERS.iter().filter(|peer| peer.name.contains(only)) {
        if !is_installed(peer.program) {
            table.row(peer.name, "–".to_owned(), "", "not installed here");
            continue;
        }
        let on_fresh = |act: &mut dyn FnMut(SocketAddr, Feed)| {
            let data = tempfile::tempdir().unwrap();
            let (server, address) = (peer.start)(data.path());
            // The last batch may have fewer lines, and so fewer answers.
            let mut whole = batches(workload);
            whole.retain(|lines| memchr::memchr_iter(b'\n', lines).count() == LINES_PER_BATCH);
            let batches = whole.iter().map(|lines| (peer.batch)(lines)).collect();
            act(address, Feed::new(batches, true));
            // Before its directory is removed.
            drop(server);
        };
        let mut full = 0.0;
        on_fresh(&mut |address, feed| full = closed_loop(address, peer.dialect, feed));
        let what = format!("{}: full rate of the closed loop", peer.name);
        table.row(&what, format!("{:.2}", full / 1e6), "M events/s", "");
        let mut run = |what: &str, rate: f64| {
            on_fresh(&mut |address, feed| {
                by_the_clock((address, peer.dialect), feed, (rate, seconds), None).row(what, table);
            });
        };
        let what = format!("{}: half of its own full rate", peer.name);
        run(&what, SHARE_OF_FULL * full);
        let what = format!("{}: the rate of tallyd", peer.name);
        if full >= rate {
            run(&what, rate);
        } else {
            let remark = format!("{:.2} M events/s are more than its full rate", rate / 1e6);
            table.row(&what, "–".to_owned(), "", &remark);
        }
    }
}
