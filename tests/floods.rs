//! What floods cost a real daemon: bytes that never end, bodies that inflate without end, connections without descriptors.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use support::{Daemon, LINE, connect};
use tallyd::limits::{BODY_BYTES_MAX, LINE_BYTES_MAX};

/// What a daemon may take for a while beside what it must hold: the allocator, threads, buffers of the sockets.
const SLACK_BYTES: usize = 8 << 20;

fn started() -> (tempfile::TempDir, Daemon) {
    let dir = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(dir.path());
    (dir, daemon)
}

/// Goes through what grows once, so that it is not counted.
fn warm(daemon: &Daemon) -> usize {
    let mut stream = connect(daemon.tcp);
    stream.write_all(format!("{LINE}!sync\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).expect("text");
    assert_eq!(answer, "OK 1 0\n");
    daemon.peak_bytes()
}

#[test]
fn line_without_end_is_one_error_and_takes_no_memory() {
    let (_dir, daemon) = started();
    let before = warm(&daemon);
    let mut stream = connect(daemon.tcp);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..128 {
        stream.write_all(&piece).expect("it reads");
    }
    stream.write_all(format!("\n{LINE}!sync\n").as_bytes()).expect("it reads");
    stream.shutdown(std::net::Shutdown::Write).expect("connected");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("text");
    assert_eq!(answers, format!("ERR 1 the line is longer than {LINE_BYTES_MAX} bytes\nOK 1 1\n"));
    let grown = daemon.peak_bytes().saturating_sub(before);
    assert!(grown <= SLACK_BYTES, "{grown} bytes more");
}

/// A body of zeros, which packs very small.
fn bomb(coding: &str, bytes: usize) -> Vec<u8> {
    let zeros = std::io::repeat(0).take(u64::try_from(bytes).expect("it fits"));
    match coding {
        "gzip" => {
            let mut packed = Vec::new();
            let mut encoder = flate2::read::GzEncoder::new(zeros, flate2::Compression::fast());
            encoder.read_to_end(&mut packed).expect("memory");
            packed
        }
        _ => zstd::encode_all(zeros, 1).expect("memory"),
    }
}

#[test]
fn body_that_inflates_without_end_is_refused_at_the_bound_and_takes_no_more() {
    for coding in ["gzip", "zstd"] {
        let (_dir, daemon) = started();
        let before = warm(&daemon);
        let packed = bomb(coding, 8 * BODY_BYTES_MAX);
        assert!(packed.len() * 16 < BODY_BYTES_MAX, "it is a bomb");
        for _ in 0..3 {
            let mut stream = connect(daemon.http);
            let length = packed.len();
            let head = format!(
                "Host: localhost\r\nConnection: close\r\nContent-Encoding: {coding}\r\nContent-Length: {length}"
            );
            write!(stream, "POST /events HTTP/1.1\r\n{head}\r\n\r\n").expect("it reads");
            stream.write_all(&packed).expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("text");
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        }
        let grown = daemon.peak_bytes().saturating_sub(before);
        assert!(grown <= BODY_BYTES_MAX + SLACK_BYTES, "{coding}: {grown} bytes more");
        assert_eq!(daemon.conversations(), 1);
    }
}

#[test]
fn connections_wait_while_there_is_no_descriptor_for_them_and_are_served_then() {
    let (_dir, mut daemon) = started();
    let mut open = connect(daemon.tcp);
    open.write_all(format!("{LINE}!sync\n").as_bytes()).expect("it reads");
    let mut open = BufReader::new(open);
    let mut answer = String::new();
    open.read_line(&mut answer).expect("text");
    let before = daemon.limit_descriptors(daemon.next_descriptor());
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(daemon.http);
            stream
                .write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .expect("it waits");
            stream
        })
        .collect();
    let cannot = "connections cannot be accepted for the moment";
    let first = daemon.wait_for_log(cannot);
    // Those that are open go on.
    open.get_mut().write_all(format!("{LINE}!sync\n").as_bytes()).expect("it reads");
    open.read_line(&mut answer).expect("text");
    assert_eq!(answer, "OK 1 0\nOK 2 0\n");
    daemon.limit_descriptors(before);
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }
    // The log said so once for each port, not at each attempt. The line port looks once more after its connection came.
    let (_, log) = daemon.stop();
    let said: Vec<&str> =
        std::iter::once(first.as_str()).chain(log.lines().filter(|line| line.contains(cannot))).collect();
    for port in ["listener=\"http\"", "listener=\"tcp\""] {
        assert!(said.iter().filter(|line| line.contains(port)).count() <= 1, "{said:?}");
    }
}
