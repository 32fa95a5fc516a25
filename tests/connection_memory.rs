//! What a daemon keeps for connections that have sent very much and are idle now: no more than all connections together may
//! have, whatever they sent.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test ends where it goes wrong")]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use support::{Daemon, connect};
use tallyd::limits::{LINE_MEMORY_BYTES_MAX, TCP_READ_BYTES_MIN};

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
