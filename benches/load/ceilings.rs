//! What the machine itself can do: a bare HTTP answer, loops that only count, a loopback sink.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::daemon::{Server, address};
use super::ingest;
use super::table::Table;
use super::workload::{Workload, hash};

pub(crate) fn measure(workload: &Workload, table: &mut Table) {
    let lines = &workload.lines;
    let rate = |seconds: f64| format!("{:.2}", workload.shape.events as f64 / seconds / 1e6);
    let newlines =
        timed(|| assert_eq!(memchr::memchr_iter(b'\n', &lines.bytes).count(), workload.shape.events));
    table.row("ceiling: newline scan, one core", rate(newlines), "M lines/s", "");
    let one = timed(|| count_in_hash_map(&lines.bytes));
    table.row("ceiling: parse, hash map of (head, hour), one core", rate(one), "M events/s", "");
    let two = timed(|| in_parallel(&lines.split(2), count_in_hash_map));
    table.row("ceiling: the same, two cores", rate(two), "M events/s", "");
    let flat_one = timed(|| count_in_flat_table(&lines.bytes));
    table.row("ceiling: head's hash into a flat table, one core", rate(flat_one), "M events/s", "");
    let flat_two = timed(|| in_parallel(&lines.split(2), count_in_flat_table));
    table.row("ceiling: the same, two cores", rate(flat_two), "M events/s", "");
    let loopback = timed(|| through_loopback(&lines.bytes));
    table.row("ceiling: the lines through loopback into a sink", rate(loopback), "M lines/s", "");
}

/// Seconds of the fastest of three runs.
fn timed(mut run: impl FnMut()) -> f64 {
    (0..3)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn in_parallel(parts: &[&[u8]], count: impl Fn(&[u8]) + Copy + Send) {
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(move || count(part));
        }
    });
}

/// Head and hour of each line; no error is looked for.
fn heads_and_hours(lines: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', lines).map(move |end| {
        let line = &lines[start..end];
        start = end + 1;
        let head = memchr::memchr(b' ', line).unwrap();
        let stamp = memchr::memrchr(b' ', line).unwrap();
        let ms = line[stamp + 1..].iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        (&line[..head], ms / 3_600_000)
    })
}

fn count_in_hash_map(lines: &[u8]) {
    let mut counts: HashMap<(&[u8], u64), u64, foldhash::fast::RandomState> = HashMap::default();
    for key in heads_and_hours(lines) {
        *counts.entry(key).or_default() += 1;
    }
    std::hint::black_box(counts);
}

fn count_in_flat_table(lines: &[u8]) {
    const SLOTS: usize = 1 << 20;
    let mut slots = vec![(0_u64, 0_u64); SLOTS];
    for (head, hour) in heads_and_hours(lines) {
        let key = hash(head) ^ hour;
        let mut at = key as usize % SLOTS;
        while slots[at].0 != key && slots[at].0 != 0 {
            at = (at + 1) % SLOTS;
        }
        slots[at].0 = key;
        slots[at].1 += 1;
    }
    std::hint::black_box(slots);
}

fn through_loopback(bytes: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| ingest::sink(listener.accept().unwrap().0));
        let mut stream = TcpStream::connect(address).unwrap();
        for piece in bytes.chunks(256 * 1024) {
            stream.write_all(piece).unwrap();
        }
    });
}

/// The smallest server that HTTP can be answered with, in a process of its own.
pub(crate) struct BareHttp {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
}

impl BareHttp {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--bare-http")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = address(line.trim_end(), "http=").expect("the bare server says where it listens");
        Self { server: Server::new(child), address }
    }
}

/// Answers every request with a short text, or with as many bytes as its path says, on as many threads as the daemon
/// uses.
pub(crate) fn serve_bare_http() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http={}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let service =
                    hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                        let bytes = request.uri().path().strip_prefix('/').and_then(|path| path.parse().ok());
                        http_body_util::BodyExt::collect(request.into_body()).await?;
                        let body = match bytes {
                            Some(bytes) => vec![b'0'; bytes].into(),
                            None => bytes::Bytes::from_static(b"{\"accepted\":1,\"rejected\":0}"),
                        };
                        Ok::<_, hyper::Error>(hyper::Response::new(http_body_util::Full::new(body)))
                    });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                // The peer ends the connection when it has measured enough.
                if connection.await.is_err() {}
            });
        }
    });
}
