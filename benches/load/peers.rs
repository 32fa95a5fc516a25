//! Other programs on the same events in the same minutes, where they are installed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::daemon::Server;
use super::ingest;
use super::table::{Table, median};
use super::workload::Workload;

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    for program in ["victoria-metrics", "redis-server"] {
        if !is_installed(program) {
            table.row(program, "–".to_owned(), "", "not installed here");
            continue;
        }
        let figures: Vec<[f64; 3]> = (0..runs)
            .map(|_| match program {
                "redis-server" => redis(workload),
                _ => victoria_metrics(workload),
            })
            .collect();
        let middle = |index: usize| median(&mut figures.iter().map(|run| run[index]).collect::<Vec<_>>());
        table.row(
            if program == "redis-server" {
                "Redis, one HINCRBY an event"
            } else {
                "VictoriaMetrics, HTTP, 4 connections"
            },
            format!("{:.2}", middle(0) / 1e6),
            "M events/s",
            &format!("again {:.2}; CPU s/M {:.2}", middle(1) / 1e6, middle(2)),
        );
    }
}

/// Events per second of the first and of the second pass, CPU seconds per million of both.
fn passes(workload: &Workload, server: &Server, push: impl Fn()) -> [f64; 3] {
    let cpu = server.cpu_seconds();
    let rates = [0, 1].map(|_| {
        let start = Instant::now();
        push();
        workload.shape.events as f64 / start.elapsed().as_secs_f64()
    });
    let cpu_seconds_per_million = (server.cpu_seconds() - cpu) / (2 * workload.shape.events) as f64 * 1e6;
    [rates[0], rates[1], cpu_seconds_per_million]
}

pub(crate) fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// A `VictoriaMetrics` that keeps what it is told in that directory, and where it listens.
pub(crate) fn start_victoria_metrics(data: &Path) -> (Server, SocketAddr) {
    let address = free_address();
    let server = start(
        Command::new("victoria-metrics")
            .arg(format!("-storageDataPath={}", data.display()))
            .arg(format!("-httpListenAddr={address}"))
            .arg("-retentionPeriod=12"),
        data,
        address,
    );
    (server, address)
}

fn victoria_metrics(workload: &Workload) -> [f64; 3] {
    let data = tempfile::tempdir().unwrap();
    let (server, address) = start_victoria_metrics(data.path());
    let requests = ingest::requests(&workload.lines, "/write?precision=ms", None);
    passes(workload, &server, || ingest::push_http(address, &requests, 4))
}

/// A Redis that keeps what it is told in that directory, and where it listens.
pub(crate) fn start_redis(data: &Path) -> (Server, SocketAddr) {
    let address = free_address();
    let server = start(
        Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
            .arg(data),
        data,
        address,
    );
    (server, address)
}

fn redis(workload: &Workload) -> [f64; 3] {
    let data = tempfile::tempdir().unwrap();
    let (server, address) = start_redis(data.path());
    let commands = redis_commands(&workload.lines.bytes);
    passes(workload, &server, || push_redis(address, &commands, workload.shape.events))
}

/// One increment of the field (hour) of the hash (head) for each line.
pub(crate) fn redis_commands(lines: &[u8]) -> Vec<u8> {
    let mut commands = Vec::with_capacity(lines.len() * 2);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let head = &line[..memchr::memchr(b' ', line).unwrap()];
        let stamp = &line[memchr::memrchr(b' ', line).unwrap() + 1..];
        let hour = std::str::from_utf8(stamp).unwrap().parse::<u64>().unwrap() / 3_600_000;
        let hour = hour.to_string();
        write!(commands, "*4\r\n$7\r\nHINCRBY\r\n${}\r\n", head.len()).unwrap();
        commands.extend_from_slice(head);
        write!(commands, "\r\n${}\r\n{hour}\r\n$1\r\n1\r\n", hour.len()).unwrap();
    }
    commands
}

/// Sends the commands in one go; returns when so many answers have come.
pub(crate) fn push_redis(address: SocketAddr, commands: &[u8], events: usize) {
    let stream = TcpStream::connect(address).unwrap();
    let mut reader = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut answers, mut buffer) = (0, vec![0; 256 * 1024]);
            while answers < events {
                let read = reader.read(&mut buffer).unwrap();
                assert!(read > 0, "the server closed the connection");
                answers += memchr::memchr_iter(b'\n', &buffer[..read]).count();
            }
        });
        for piece in commands.chunks(256 * 1024) {
            (&stream).write_all(piece).unwrap();
        }
    });
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts the program and waits until it takes connections.
fn start(command: &mut Command, data: &Path, address: SocketAddr) -> Server {
    let output = std::fs::File::options().create(true).append(true).open(data.join("output")).unwrap();
    let child =
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
    let server = Server::new(child);
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed().as_secs() < 30, "the server does not listen");
        std::thread::yield_now();
    }
    server
}
