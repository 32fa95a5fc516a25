//! What a daemon keeps for connections that have sent very much and are idle now: no more than all connections together may
//! have, whatever they sent.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test ends where it goes wrong")]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use support::{Daemon, connect, wait_for_metric};
use tallyd::limits::{HTTP_HEAD_BYTES_MAX, LINE_MEMORY_BYTES_MAX, TCP_READ_BYTES_MIN};

const CONNECTIONS: usize = 100;
/// Heads that each connection sends, no two alike. A cache of heads for each connection took about 130 bytes for each, so that
/// this many of them exceed the bound twice over.
const HEADS: usize = 20_000;

/// Sends the heads of a connection and waits until they are counted.
fn send(daemon: &Daemon, connection: usize, heads: usize) -> TcpStream {
    let mut lines = String::new();
    for head in 0..heads {
        let story = "5b07ffafc2376e30306d9b16";
        writeln!(lines, "message,storyId={story},source=app,host=chat-worker-{connection}-{head} count=1i")
            .expect("text");
    }
    lines.push_str("!sync\n");
    let mut stream = connect(daemon.tcp);
    stream.write_all(lines.as_bytes()).expect("it reads");
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).expect("an answer");
    assert_eq!(answer, format!("OK {heads} 0\n"));
    stream
}

fn resident_bytes(daemon: &Daemon) -> usize {
    let metrics = daemon.get("/metrics");
    let figure = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    figure.expect("the metric").parse().expect("a number")
}

/// Waits until a port has so many connections.
fn wait_for_connections(daemon: &Daemon, port: &str, connections: usize) {
    let line = format!("tallyd_connections{{listener=\"{port}\"}} {connections}");
    wait_for_metric(daemon.http, &line);
}

#[test]
fn connections_that_do_nothing_cost_what_is_stated_and_hold_up_no_report() {
    let scale = std::env::var("TALLYD_TEST_SCALE").map_or(1, |scale| scale.parse().expect("a number"));
    let connections = 1_000 * scale;
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(directory.path());
    drop(send(&daemon, 0, 1));
    wait_for_connections(&daemon, "tcp", 0);
    for (port, bytes_of_one) in [("tcp", 4 * TCP_READ_BYTES_MIN), ("http", HTTP_HEAD_BYTES_MAX)] {
        let before = resident_bytes(&daemon);
        let address = if port == "tcp" { daemon.tcp } else { daemon.http };
        let mut idle: Vec<TcpStream> = (0..connections).map(|_| connect(address)).collect();
        // The one that asks is one of them.
        let asking = usize::from(port == "http");
        wait_for_connections(&daemon, port, connections + asking);
        let grown = resident_bytes(&daemon).saturating_sub(before);
        // What waits takes twice the room in a build without optimisation.
        let bound = connections * bytes_of_one * if cfg!(debug_assertions) { 2 } else { 1 };
        assert!(grown <= bound, "{port}: {} bytes each", grown / connections);
        assert_eq!(daemon.conversations(), 0);
        // As many again come and go.
        for place in &mut idle {
            *place = connect(address);
        }
        drop(idle);
        wait_for_connections(&daemon, port, asking);
    }
}

#[test]
fn idle_connections_that_sent_many_heads_stay_within_the_bound_of_all() {
    let scale = std::env::var("TALLYD_TEST_SCALE").map_or(1, |scale| scale.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(directory.path());
    // What all have in common is there after the first.
    let mut idle = vec![send(&daemon, 0, HEADS * scale)];
    let before = resident_bytes(&daemon);
    idle.extend((1..=CONNECTIONS).map(|connection| send(&daemon, connection, HEADS * scale)));
    let grown = resident_bytes(&daemon).saturating_sub(before);
    let bound = LINE_MEMORY_BYTES_MAX + CONNECTIONS * 4 * TCP_READ_BYTES_MIN;
    assert!(grown <= bound, "{grown} bytes more, of {bound}");
}
