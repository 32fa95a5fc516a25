//! Several daemons over a log of three servers, all on this machine; in turn with them a client that only publishes messages of the
//! same size to the same servers, and a daemon that is alone. Left out where `TALLYD_LOG_SERVER` names no `nats-server`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use super::daemon::{Server, Tallyd};
use super::http::{self, Connection};
use super::ingest::{self, timed};
use super::reports::{self, sorted, timed_exchange};
use super::table::{Table, median, percentile};
use super::workload::Workload;

const SERVERS: usize = 3;
/// Messages that a node has in flight, and so the client that only publishes.
const IN_FLIGHT: usize = 4;
const SINGLE_EVENTS: usize = 20_000;
const SINGLE_CONNECTIONS: usize = 32;
const SEEN: usize = 300;
/// Most messages that the bare client publishes at a time.
const RAW_MESSAGES_MAX: usize = 3_000;

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let Some(program) = std::env::var_os("TALLYD_LOG_SERVER") else {
        eprintln!("LEFT OUT: cluster, since TALLYD_LOG_SERVER names no nats-server");
        return;
    };
    let mut log = Log::start(program);
    let (one, two) = (log.node(&[]), log.node(&["--cluster-role", "query"]));
    let mut bench = Bench { workload, table, log: &mut log, one: &one, two: &two };
    bench.throughput(runs);
    bench.single_events(runs);
    bench.visible();
    bench.replayed(runs);
    bench.seeded(runs);
    bench.leader_killed();
}

/// Three servers of a log.
struct Log {
    program: OsString,
    dir: tempfile::TempDir,
    ports: Vec<u16>,
    servers: Vec<Server>,
}

impl Log {
    fn start(program: OsString) -> Self {
        let held: Vec<TcpListener> =
            (0..3 * SERVERS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(held);
        let mut log = Self { program, dir: tempfile::tempdir().unwrap(), ports, servers: Vec::new() };
        log.servers = (0..SERVERS).map(|place| log.server(place)).collect();
        let init = ["cluster", "init", "--max-bytes", "20GiB", "--cluster", &log.urls()].map(str::to_owned);
        let made = Command::new(env!("CARGO_BIN_EXE_tallyd")).args(init).stderr(Stdio::null()).status();
        assert!(made.unwrap().success());
        log
    }

    fn server(&self, place: usize) -> Server {
        let port = |group: usize, place: usize| self.ports[group * SERVERS + place];
        let home: PathBuf = self.dir.path().join(place.to_string());
        std::fs::create_dir_all(&home).unwrap();
        let routes: Vec<String> =
            (0..SERVERS).map(|other| format!("\"nats://127.0.0.1:{}\"", port(1, other))).collect();
        let config = format!(
            "server_name: s{place}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\nmax_payload: 8MB\n\
             jetstream {{ store_dir: \"{}\", max_file_store: 40GB }}\n\
             cluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
            port(0, place),
            port(2, place),
            home.display(),
            port(1, place),
            routes.join(", ")
        );
        std::fs::write(home.join("conf"), config).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(home.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
        Server::new(command.spawn().unwrap())
    }

    fn urls(&self) -> String {
        let urls: Vec<String> =
            self.ports[..SERVERS].iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        urls.join(",")
    }

    /// A node that has read the log to its end.
    fn node(&self, more: &[&str]) -> Tallyd {
        let urls = self.urls();
        let node = Tallyd::start(&[&["--cluster", urls.as_str()], more].concat());
        until(|| status(node.http, "/ready") == 200);
        node
    }

    fn cpu_seconds(&self) -> f64 {
        self.servers.iter().map(|server| server.cpu_nanoseconds() / 1e9).sum()
    }

    /// The server that leads it.
    fn leader(&self) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[2 * SERVERS])).unwrap();
        // By version 1.0, in which an answer is not cut into chunks.
        stream.write_all(b"GET /jsz?accounts=true&streams=true HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, text) = answer.split_once("\r\n\r\n").expect("a head");
        let found: serde_json::Value = serde_json::from_str(text).unwrap();
        let stream = &found["account_details"][0]["stream_detail"][0]["cluster"]["leader"];
        stream.as_str().unwrap()[1..].parse().unwrap()
    }
}

/// Whether the log has acknowledged a message.
fn is_stored(answer: Result<async_nats::Message, async_nats::RequestError>) -> bool {
    answer.is_ok_and(|answer| memchr::memmem::find(&answer.payload, b"\"error\"").is_none())
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn status(address: SocketAddr, path: &str) -> u16 {
    Connection::open(address).exchange(&http::get(path)).0
}

/// A figure of a daemon's metrics.
fn metric(node: &Tallyd, name: &str) -> f64 {
    let text = http::get_text(node.http, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("a metric").parse().unwrap()
}

/// What a node has published so far: messages and bytes.
fn published(node: &Tallyd) -> [f64; 2] {
    ["tallyd_log_position", "tallyd_log_published_bytes_total"].map(|name| metric(node, name))
}

struct Bench<'a> {
    workload: &'a Workload,
    table: &'a mut Table,
    log: &'a mut Log,
    one: &'a Tallyd,
    two: &'a Tallyd,
}

/// One pass of the events through the cluster.
#[derive(Default)]
struct Passes {
    figures: HashMap<&'static str, Vec<f64>>,
}

impl Passes {
    fn note(&mut self, name: &'static str, figure: f64) {
        self.figures.entry(name).or_default().push(figure);
    }

    fn of(&mut self, name: &str) -> f64 {
        median(self.figures.get_mut(name).expect("it was noted"))
    }
}

impl Bench<'_> {
    fn events(&self) -> f64 {
        self.workload.shape.events as f64
    }

    /// Waits until the other node has read all that this one has.
    fn both_have_read(&self) {
        let position = http::get_header(self.one.http, "/ping", "tallyd-position");
        until(|| http::get_header(self.two.http, "/ping", "tallyd-position") == position);
    }

    /// Two connections of lines as fast as they go, beside a daemon that is alone and a client that only publishes.
    fn throughput(&mut self, runs: usize) {
        let push = |node: &Tallyd| ingest::push_tcp(node.tcp, &self.workload.lines, 2);
        // Every series is known from here on.
        push(self.one);
        let alone = Tallyd::start(&[]);
        push(&alone);
        let mut passes = Passes::default();
        for _ in 0..runs {
            self.both_have_read();
            let before = (published(self.one), self.two.server.cpu_nanoseconds(), self.log.cpu_seconds());
            let begun = Instant::now();
            let pass = timed(self.workload, self.one, || push(self.one));
            let seconds = begun.elapsed().as_secs_f64();
            self.both_have_read();
            let after = (published(self.one), self.two.server.cpu_nanoseconds(), self.log.cpu_seconds());
            let [messages, bytes] = [0, 1].map(|place| after.0[place] - before.0[place]);
            let single = timed(self.workload, &alone, || push(&alone));
            let raw = self.raw(bytes / messages, messages as usize, IN_FLIGHT);
            let millions = self.events() / 1e6;
            passes.note("rate", pass.events_per_second / 1e6);
            passes.note("of single", pass.events_per_second / single.events_per_second);
            passes.note("events a message", self.events() / messages);
            passes.note("bytes an event", bytes / self.events());
            passes.note("KiB a message", bytes / messages / 1024.0);
            passes.note("cpu", pass.cpu_seconds_per_million / single.cpu_seconds_per_million);
            let other = (after.1 - before.1) / 1e9 / millions;
            passes.note("other cpu", other / single.cpu_seconds_per_million);
            passes.note("server cpu", (after.2 - before.2) / millions);
            passes.note("messages", messages / seconds);
            passes.note("of raw", messages / seconds / raw);
        }
        self.table.row(
            "cluster: TCP lines, 2 connections, one node, another one that follows, 3 servers",
            format!("{:.2}", passes.of("rate")),
            "M events/s",
            &format!(
                "{:.2} of a daemon alone in the same minutes; {:.0} events a message, {:.1} bytes an event; CPU {:.2} of the one alone, the \
                 other node {:.2}, servers {:.2} s/M",
                passes.of("of single"),
                passes.of("events a message"),
                passes.of("bytes an event"),
                passes.of("cpu"),
                passes.of("other cpu"),
                passes.of("server cpu")
            ),
        );
        self.table.row(
            "cluster: messages of that load",
            format!("{:.0}", passes.of("messages")),
            "/s",
            &format!(
                "{:.2} of a client that only publishes, {:.0} KiB a message, 4 in flight",
                passes.of("of raw"),
                passes.of("KiB a message")
            ),
        );
    }

    /// Messages a second of a client that does nothing else.
    fn raw(&self, bytes: f64, messages: usize, in_flight: usize) -> f64 {
        let messages = messages.clamp(in_flight, RAW_MESSAGES_MAX);
        let payload = bytes::Bytes::from(vec![7; bytes as usize]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(self.log.urls().split(',').next().unwrap()).await.unwrap();
            let config = r#"{"name":"raw","subjects":["raw.0"],"retention":"limits","storage":"file","discard":"old","num_replicas":3}"#;
            client.request("$JS.API.STREAM.CREATE.raw", config.into()).await.unwrap();
            // The first one waits for the stream's leader.
            while !is_stored(client.request("raw.0", payload.clone()).await) {}
            let begun = Instant::now();
            let publish = |_| {
                let (client, payload) = (client.clone(), payload.clone());
                async move { assert!(is_stored(client.request("raw.0", payload).await)) }
            };
            let mut all = futures_util::stream::iter(0..messages).map(publish).buffer_unordered(in_flight);
            while let Some(()) = all.next().await {}
            let rate = messages as f64 / begun.elapsed().as_secs_f64();
            client.request("$JS.API.STREAM.DELETE.raw", "".into()).await.unwrap();
            rate
        })
    }

    /// One event a request over 32 connections, beside as many published messages in flight.
    fn single_events(&mut self, runs: usize) {
        let post = |line| http::post("/events?precision=ms", None, self.workload.lines.lines(line, 1));
        let requests: Vec<Vec<u8>> = (0..SINGLE_EVENTS.min(self.workload.shape.events)).map(post).collect();
        let mut passes = Passes::default();
        for _ in 0..runs {
            let before = published(self.one);
            let rate = ingest::requests_per_second(self.one.http, &requests);
            let after = published(self.one);
            let [messages, bytes] = [0, 1].map(|place| after[place] - before[place]);
            let raw = self.raw(bytes / messages, RAW_MESSAGES_MAX, SINGLE_CONNECTIONS);
            passes.note("rate", rate);
            passes.note("of raw", rate / raw);
            passes.note("a message", requests.len() as f64 / messages);
        }
        self.table.row(
            "cluster: HTTP, one event a request, 32 connections",
            format!("{:.0}", passes.of("rate")),
            "/s",
            &format!(
                "{:.2} of a client that publishes with 32 in flight; {:.1} requests a message",
                passes.of("of raw"),
                passes.of("a message")
            ),
        );
    }

    /// From the answer of one node to an answer of the other that has the event, with nothing else to do, at about half of the
    /// load, and at all of it.
    fn visible(&mut self) {
        for (what, share) in
            [("nothing else to do", 0.0), ("about half the load", 0.5), ("all the load", 1.0)]
        {
            let over = AtomicBool::new(false);
            let taken = std::thread::scope(|scope| {
                scope.spawn(|| self.load(share, &over));
                let taken = (0..SEEN).map(|_| self.seen_elsewhere()).collect();
                over.store(true, Ordering::Relaxed);
                sorted(taken)
            });
            self.table.row(
                &format!("cluster: from the answer to another node's answer that has it, {what}"),
                format!("{:.1}", percentile(&taken, 0.5)),
                "ms",
                &format!("p99 {:.1}", percentile(&taken, 0.99)),
            );
        }
    }

    /// Sends for that share of the time.
    fn load(&self, share: f64, over: &AtomicBool) {
        let requests = ingest::requests(&self.workload.lines, "/events?precision=ms", None);
        let mut connection = Connection::open(self.one.http);
        for request in requests.iter().cycle() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            if share == 0.0 {
                std::thread::park_timeout(Duration::from_millis(50));
                continue;
            }
            let begun = Instant::now();
            assert_eq!(connection.exchange(request).0, 200);
            std::thread::park_timeout(begun.elapsed().mul_f64((1.0 - share) / share));
        }
    }

    /// Milliseconds until the other node has what this one has answered.
    fn seen_elsewhere(&self) -> f64 {
        let mut other = Connection::open(self.two.http);
        let line = self.workload.lines.lines(0, 1);
        let head = format!(
            "POST /events?precision=ms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            line.len()
        );
        let mut stream = TcpStream::connect(self.one.http).unwrap();
        stream.write_all(&[head.as_bytes(), line].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let position = answer.lines().find(|line| line.starts_with("tallyd-position: ")).expect("a position");
        let path = reports::first_target(self.workload);
        timed_exchange(&mut other, &http::get_with(&path, &format!("{position}\r\n")))
    }

    /// A new node that reads the log from its beginning.
    fn replayed(&mut self, runs: usize) {
        let mut passes = Passes::default();
        let [messages, bytes] = published(self.one);
        for _ in 0..runs {
            let begun = Instant::now();
            let node = self.log.node(&["--cluster-role", "query", "--cluster-max-lag", "3s"]);
            passes.note("seconds", begun.elapsed().as_secs_f64());
            passes.note("cpu", node.server.cpu_seconds());
        }
        let seconds = passes.of("seconds");
        self.table.row(
            "cluster: a new node reads the log from its beginning",
            format!("{:.0}", bytes / 1e6 / seconds),
            "MB/s",
            &format!(
                "{:.0} MB in {messages:.0} messages in {seconds:.1} s, CPU {:.1} s",
                bytes / 1e6,
                passes.of("cpu")
            ),
        );
    }

    /// A report of the seed and of another node, alone and while a node begins with the seed's snapshot, under half of the load.
    fn seeded(&mut self, runs: usize) {
        let path = reports::first_target(self.workload);
        let url = format!("http://{}", self.one.http);
        let mut taken: [[Vec<f64>; 2]; 2] = Default::default();
        let mut seconds = Vec::new();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.load(0.5, &over));
            for _ in 0..runs {
                for is_seeding in [false, true] {
                    let done = AtomicBool::new(false);
                    let of_both = std::thread::scope(|scope| {
                        let polls = [self.one, self.two].map(|node| {
                            let (path, done) = (&path, &done);
                            scope.spawn(move || reports::poll(node.http, path, done))
                        });
                        let begun = Instant::now();
                        if is_seeding {
                            drop(self.log.node(&["--cluster-role", "query", "--cluster-seed", &url]));
                            seconds.push(begun.elapsed().as_secs_f64());
                        } else {
                            std::thread::park_timeout(Duration::from_secs(3));
                        }
                        done.store(true, Ordering::Relaxed);
                        polls.map(|poll| poll.join().unwrap())
                    });
                    for (place, taken_here) in of_both.into_iter().enumerate() {
                        taken[place][usize::from(is_seeding)].extend(taken_here);
                    }
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        for (what, [alone, beside]) in ["the seed's", "another node's"].into_iter().zip(taken) {
            let [alone, beside] = [alone, beside].map(|taken| percentile(&sorted(taken), 0.99));
            self.table.row(
                &format!("cluster: p99 of {what} report while a node is seeded, under about half the load"),
                format!("{beside:.1}"),
                "ms",
                &format!("{alone:.1} without; seeded and caught up in {:.1} s", median(&mut seconds.clone())),
            );
        }
    }

    /// How long nothing is taken when the log's leader is killed, and what reports say meanwhile.
    fn leader_killed(&mut self) {
        let path = reports::first_target(self.workload);
        let request = http::post("/events?precision=ms", None, self.workload.lines.lines(0, 1));
        let done = AtomicBool::new(false);
        let (seconds, taken) = std::thread::scope(|scope| {
            let (other, done) = (self.two.http, &done);
            let poll = scope.spawn(move || reports::poll(other, &path, done));
            let leader = self.log.leader();
            let own = self.log.servers.remove(leader);
            drop(own);
            let begun = Instant::now();
            until(|| Connection::open(self.one.http).exchange(&request).0 == 200);
            let seconds = begun.elapsed().as_secs_f64();
            done.store(true, Ordering::Relaxed);
            (seconds, poll.join().unwrap())
        });
        let taken = sorted(taken);
        self.table.row(
            "cluster: from the death of the log's leader until an event is counted",
            format!("{seconds:.1}"),
            "s",
            &format!(
                "reports of another node meanwhile: p50 {:.1} ms, p99 {:.1}",
                percentile(&taken, 0.5),
                percentile(&taken, 0.99)
            ),
        );
    }
}
