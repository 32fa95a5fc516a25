//! Events per second by every entrance, and what they cost the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::ceilings::BareHttp;
use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::placement::Placement;
use super::table::{Table, median};
use super::workload::{Text, Workload};

const LINES_PER_REQUEST: usize = 5_000;
const WRITE_BYTES: usize = 256 * 1024;

/// One pass over the events, as the sender and the kernel saw it.
pub(crate) struct Pass {
    pub(crate) events_per_second: f64,
    pub(crate) cpu_seconds_per_million: f64,
}

/// Takes figures and writes them into the table.
pub(crate) struct Taker<'a> {
    workload: &'a Workload,
    /// What a figure's name must contain to be taken.
    only: &'a str,
    runs: usize,
    table: &'a mut Table,
}

pub(crate) fn measure(mut taker: Taker<'_>) {
    let workload = taker.workload;
    for connections in [1, 2, 4] {
        taker.row(&format!("TCP lines, {connections} connections"), &[], |daemon| {
            push_tcp(daemon.tcp, &workload.lines, connections);
        });
    }
    let plain = requests(&workload.lines, "/events?precision=ms", None);
    for connections in [1, 2, 4] {
        taker.row(&format!("HTTP lines, {connections} connections"), &[], |daemon| {
            push_http(daemon.http, &plain, connections);
        });
    }
    let gzip = requests(&workload.lines, "/events?precision=ms", Some("gzip"));
    taker.row("HTTP lines gzip, 4 connections", &[], |daemon| push_http(daemon.http, &gzip, 4));
    let json = requests(&workload.json, "/events", None);
    taker.row("HTTP NDJSON, 4 connections", &[], |daemon| push_http(daemon.http, &json, 4));
    taker.row("TCP NDJSON, 4 connections", &[], |daemon| push_tcp(daemon.tcp, &workload.json, 4));
}

/// The price of durability: HTTP batches under each fsync policy.
pub(crate) fn measure_fsync(mut taker: Taker<'_>) {
    let requests = requests(&taker.workload.lines, "/events?precision=ms", None);
    for fsync in ["interval", "always", "never"] {
        taker.row(&format!("HTTP lines, 4 connections, fsync {fsync}"), &["--fsync", fsync], |daemon| {
            push_http(daemon.http, &requests, 4);
        });
    }
}

impl<'a> Taker<'a> {
    pub(crate) fn new(workload: &'a Workload, only: &'a str, runs: usize, table: &'a mut Table) -> Self {
        Self { workload, only, runs, table }
    }

    /// Runs `push` twice on each of `runs` fresh daemons: every series new, then every series known.
    fn row(&mut self, what: &str, arguments: &[&str], push: impl Fn(&Tallyd)) {
        if !what.contains(self.only) {
            return;
        }
        let mut figures = [[vec![], vec![]], [vec![], vec![]]];
        let (mut memory, mut disk) = (vec![], vec![]);
        for _ in 0..self.runs {
            let daemon = Tallyd::start(arguments);
            for figures in &mut figures {
                let taken = timed(self.workload, &daemon, || push(&daemon));
                figures[0].push(taken.events_per_second);
                figures[1].push(taken.cpu_seconds_per_million);
            }
            memory.push(daemon.server.peak_memory_mb());
            disk.push(daemon.disk_mb());
        }
        let [[mut first, mut first_cpu], [mut again, mut again_cpu]] = figures;
        self.table.row(
            what,
            format!("{:.2}", median(&mut first) / 1e6),
            "M events/s",
            &format!(
                "again {:.2}; CPU s/M {:.2}, again {:.2}; peak {:.0} MB; disk {:.0} MB",
                median(&mut again) / 1e6,
                median(&mut first_cpu),
                median(&mut again_cpu),
                median(&mut memory),
                median(&mut disk)
            ),
        );
    }
}

pub(crate) fn timed(workload: &Workload, daemon: &Tallyd, push: impl FnOnce()) -> Pass {
    let (cpu, start) = (daemon.server.cpu_nanoseconds(), Instant::now());
    push();
    let seconds = start.elapsed().as_secs_f64();
    let events = workload.shape.events as f64;
    Pass {
        events_per_second: events / seconds,
        cpu_seconds_per_million: (daemon.server.cpu_nanoseconds() - cpu) / 1e9 / events * 1e6,
    }
}

/// Sends the lines over so many connections at once; returns when all are acknowledged.
pub(crate) fn push_tcp(address: SocketAddr, text: &Text, connections: usize) {
    std::thread::scope(|scope| {
        for part in text.split(connections) {
            scope.spawn(move || push_lines(address, part));
        }
    });
}

fn push_lines(address: SocketAddr, lines: &[u8]) {
    send_lines(TcpStream::connect(address).unwrap(), lines);
}

/// Sends the lines over the connection; returns when they are acknowledged.
pub(crate) fn send_lines(mut stream: impl Read + Write, lines: &[u8]) {
    stream.write_all(b"!precision ms\n").unwrap();
    for piece in lines.chunks(WRITE_BYTES) {
        stream.write_all(piece).unwrap();
    }
    acknowledge(stream);
}

/// Asks whether all that was sent is counted, and waits for it.
pub(crate) fn acknowledge(mut stream: impl Read + Write) {
    stream.write_all(b"!sync\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("OK ") && answer.trim_end().ends_with(" 0"), "the daemon answered {answer}");
}

/// The lines as requests of `LINES_PER_REQUEST` each.
pub(crate) fn requests(text: &Text, target: &str, encoding: Option<&str>) -> Vec<Vec<u8>> {
    text.batches(LINES_PER_REQUEST)
        .into_iter()
        .map(|batch| match encoding {
            None => http::post(target, None, batch),
            Some(name) => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(batch).unwrap();
                http::post(target, Some(name), &gzip.finish().unwrap())
            }
        })
        .collect()
}

/// The lines as requests of so many each.
pub(crate) fn requests_of(text: &Text, lines: usize, target: &str) -> Vec<Vec<u8>> {
    text.batches(lines).into_iter().map(|batch| http::post(target, None, batch)).collect()
}

/// Sends the requests over so many connections at once, each with one request under way.
pub(crate) fn push_http(address: SocketAddr, requests: &[Vec<u8>], connections: usize) {
    std::thread::scope(|scope| {
        for part in requests.chunks(requests.len().div_ceil(connections)) {
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                for request in part {
                    let (status, _) = connection.exchange(request);
                    assert!(status / 100 == 2, "the server answered {status}");
                }
            });
        }
    });
}

const SINGLE_CONNECTIONS: usize = 32;
const SINGLE_EVENTS: usize = 200_000;

/// One event a request, over 32 keep-alive connections; beside it the bare server with the same requests.
pub(crate) fn measure_single_events(workload: &Workload, table: &mut Table) {
    let events = SINGLE_EVENTS.min(workload.shape.events);
    let singles: Vec<Vec<u8>> = (0..events)
        .map(|line| http::post("/events?precision=ms", None, workload.lines.lines(line, 1)))
        .collect();
    let bare = BareHttp::start();
    let daemon = Tallyd::start(&[]);
    compare_rates("HTTP, one event a request, 32 connections", (&bare, &singles), (&daemon, &singles), table);
}

/// How many requests a second the daemon answers over 32 connections, beside the bare server: where the system likes,
/// and with all threads of a server on one core and the client on the other, where the server alone is what binds.
pub(crate) fn compare_rates(
    what: &str,
    (bare, of_bare): (&BareHttp, &[Vec<u8>]),
    (daemon, of_tallyd): (&Tallyd, &[Vec<u8>]),
    table: &mut Table,
) {
    for placement in [Placement::Anywhere, Placement::TwoCores] {
        let (mut rates, mut ratios, mut cpu) = (vec![], vec![], [vec![], vec![]]);
        placement.with(&[&bare.server, &daemon.server], || {
            for _ in 0..3 {
                let sides = [(&bare.server, bare.address, of_bare), (&daemon.server, daemon.http, of_tallyd)];
                let [of_bare, of_tallyd] = [0, 1].map(|side| {
                    let (server, address, requests) = sides[side];
                    let before = server.cpu_nanoseconds();
                    let rate = requests_per_second(address, requests);
                    let microseconds = (server.cpu_nanoseconds() - before) / 1e3;
                    cpu[side].push(microseconds / requests.len() as f64);
                    rate
                });
                rates.push(of_tallyd);
                ratios.push(of_tallyd / of_bare);
            }
        });
        let [bare_cpu, tallyd_cpu] = cpu.map(|mut taken| median(&mut taken));
        table.row(
            &format!("{what}, {}", placement.name()),
            format!("{:.0}", median(&mut rates) / 1e3),
            "k/s",
            &format!(
                "{:.2} of the bare HTTP answer; server CPU {tallyd_cpu:.1} µs, bare {bare_cpu:.1}",
                median(&mut ratios)
            ),
        );
    }
}

/// Requests per second over 32 connections, all driven by one thread: each round writes to every connection, then reads.
pub(crate) fn requests_per_second(address: SocketAddr, requests: &[Vec<u8>]) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Instant::now();
    runtime.block_on(async {
        let local = tokio::task::LocalSet::new();
        let parts: Vec<Vec<Vec<u8>>> =
            requests.chunks(requests.len().div_ceil(SINGLE_CONNECTIONS)).map(<[_]>::to_vec).collect();
        for part in parts {
            local.spawn_local(async move { drive(address, part).await });
        }
        local.await;
    });
    requests.len() as f64 / start.elapsed().as_secs_f64()
}

async fn drive(address: SocketAddr, requests: Vec<Vec<u8>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    for request in requests {
        stream.write_all(&request).await.unwrap();
        let mut filled = 0;
        loop {
            filled += stream.read(&mut buffer[filled..]).await.unwrap();
            if let Some(head) = http::parse_head(&buffer[..filled])
                && filled >= head.length + head.body_length.expect("a short answer has a length")
            {
                assert!(head.status / 100 == 2, "the server answered {}", head.status);
                break;
            }
        }
    }
}

/// Reads and forgets, for the loopback ceiling.
pub(crate) fn sink(mut stream: TcpStream) {
    let mut buffer = vec![0; WRITE_BYTES];
    while stream.read(&mut buffer).unwrap() > 0 {}
}
