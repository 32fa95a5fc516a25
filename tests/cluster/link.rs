//! The log is made, and reached, as the servers let it be: what is asked of it is answered, and a connection that is lost is made anew.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use tallyd::cluster::follow::Server;
use tallyd::cluster::message::{Body, Message};
use tallyd::cluster::position::{LogSequence, MessageNumber, WriterId};
use tallyd::cluster::publish::{Ack, Sending};
use tallyd::limits::{LOG_SILENCE_MAX, narrow};
use tallyd::net::log::address::{LogAddress, LogName, Servers as ServerNames};
use tallyd::net::log::link::{Link as _, LogError, Order, Report};
use tallyd::net::log::nats::NatsLink;
use tokio::runtime::Runtime;

use super::servers::{Servers, init, tallyd, write};
use super::support::PATIENCE;

fn address(urls: &str, name: &str) -> LogAddress {
    let (servers, name) = (ServerNames::parse(urls).unwrap(), LogName::parse(name).unwrap());
    LogAddress { servers, name, credentials: None }
}

/// A link whose reports are waited for.
struct Bench {
    runtime: Runtime,
    link: NatsLink,
}

impl Bench {
    fn new(address: LogAddress) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime, link: NatsLink::new(address) }
    }

    fn next(&mut self) -> Report {
        let next = self.link.next();
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, next).await }).expect("a report in time")
    }

    /// The first report that is what is looked for; others are passed over.
    fn until<T>(&mut self, mut look: impl FnMut(Report) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(self.next()) {
                return found;
            }
        }
    }

    fn connect(&mut self) -> String {
        self.until(|report| match report {
            Report::Connected(connected) => Some(connected.server),
            Report::Away(_) => None,
            other => panic!("{other:?}"),
        })
    }

    fn send(&mut self, number: u64, bytes: &[u8]) {
        self.link.order(Order::Send(sending(number, bytes)));
    }
}

fn sending(number: u64, bytes: &[u8]) -> Sending {
    let (writer, number) = (WriterId::new(7), MessageNumber::new(number));
    Sending { writer, number, left: LogSequence::START, bytes: bytes.into() }
}

fn at(number: u64) -> LogSequence {
    LogSequence::new(number)
}

#[test]
fn log_is_made_once_and_begins_with_its_genesis() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let again = tallyd(&["cluster", "init", "--cluster", &servers.urls(), "--max-bytes", "1GiB"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let words = String::from_utf8_lossy(&again.stderr);
    assert!(words.contains("there is a log of the name tallyd already"), "{words}");

    let mut bench = Bench::new(address(&servers.urls(), "tallyd"));
    let connected = bench.until(|report| match report {
        Report::Connected(connected) => Some(connected),
        _ => None,
    });
    assert_eq!((connected.message_bytes_max, &connected.warnings[..]), (8 * 1024 * 1024, &[][..]));
    bench.link.order(Order::Consume(LogSequence::FIRST, Server::Any));
    let genesis = bench.until(|report| match report {
        Report::Delivered(sequence, stored, _) if sequence == at(1) => Some(stored),
        _ => None,
    });
    assert!(matches!(Message::decode(&genesis.bytes).unwrap().body, Body::Genesis(_)));

    bench.link.order(Order::Fetch(at(1)));
    bench.link.order(Order::Fetch(at(2)));
    bench.link.order(Order::State);
    let (mut fetched, mut missing, mut state) = (None, None, None);
    while fetched.is_none() || missing.is_none() || state.is_none() {
        match bench.next() {
            Report::Fetched(sequence, Some(stored), log) if sequence == at(1) => {
                fetched = Some((stored, log));
            }
            Report::Fetched(sequence, None, log) if sequence == at(2) => missing = Some(log),
            Report::State(log) => state = Some(log),
            other => panic!("{other:?}"),
        }
    }
    let (fetched, log) = fetched.unwrap();
    assert_eq!(fetched, genesis, "the time too, to the nanosecond");
    assert_eq!((log.first, log.last), (at(1), at(1)));
    assert_eq!((missing, state), (Some(log), Some(log)));
}

#[test]
fn messages_are_stored_in_the_order_of_their_sendings_and_read_back() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let mut bench = Bench::new(address(&servers.urls(), "tallyd"));
    bench.connect();
    bench.link.order(Order::Consume(at(2), Server::Another));
    // Many more than are sent ahead, and more bytes.
    let texts: Vec<Vec<u8>> = (0..1_000_u32).map(|number| vec![number.to_le_bytes()[0]; 100_000]).collect();
    let (mut acked, mut read, mut sent, mut silences) = (0_u64, 0_u64, 0_u64, 0_u32);
    while acked < 1_000 || read < 1_000 {
        while sent < 1_000 && sent < acked + 20 {
            bench.send(sent + 1, &texts[narrow(sent)]);
            sent += 1;
        }
        let Some(report) = bench.next_within(LOG_SILENCE_MAX) else {
            // A consumer may end, or not come to be, without a word, as where a request reaches a server before the name of the
            // consumer does. Whoever follows asks for another one after a silence.
            silences += 1;
            assert!(LOG_SILENCE_MAX * silences < PATIENCE, "{sent} sent, {acked} acked, {read} read");
            eprintln!("a silence: {sent} sent, {acked} acked, {read} read");
            bench.link.order(Order::Consume(at(read + 2), Server::Any));
            continue;
        };
        match report {
            Report::Acked(sending, Ack::Stored(place)) => {
                assert_eq!(place, at(sending.number.get() + 1));
                acked += 1;
            }
            Report::Delivered(sequence, stored, _) => {
                assert_eq!(sequence, at(read + 2));
                assert!(stored.bytes == texts[narrow(read)]);
                read += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // The same again is another message: nothing in the log takes it for a copy.
    bench.send(1_000, &texts[999]);
    let place = bench.until(|report| match report {
        Report::Acked(_, ack) => Some(ack),
        _ => None,
    });
    assert_eq!(place, Ack::Stored(at(1_002)));
}

#[test]
fn message_that_no_server_takes_is_refused_and_others_go_on() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let mut bench = Bench::new(address(&servers.urls(), "tallyd"));
    bench.connect();
    bench.send(1, &vec![0; 9 * 1024 * 1024]);
    bench.send(2, b"short");
    let mut acks = Vec::new();
    while acks.len() < 2 {
        if let Report::Acked(sending, ack) = bench.next() {
            acks.push((sending.number.get(), ack));
        }
    }
    acks.sort_by_key(|(number, _)| *number);
    assert_eq!(acks, [(1, Ack::Refused), (2, Ack::Stored(at(2)))]);
}

#[test]
fn lost_connection_is_made_anew_to_another_server() {
    let Some(mut servers) = Servers::start() else { return };
    init(&servers);
    let mut bench = Bench::new(address(&servers.urls(), "tallyd"));
    let server = bench.connect();
    let first = servers.place(server.split(' ').next().unwrap());
    servers.kill(first);
    // Asked of a connection that is gone, this is not answered after its loss.
    bench.link.order(Order::State);
    bench.until(|report| match report {
        Report::Disconnected(error) => {
            assert!(matches!(error, LogError::Lost { .. }), "{error}");
            Some(())
        }
        _ => None,
    });
    let server = bench.connect();
    assert_ne!(servers.place(server.split(' ').next().unwrap()), first);
    // Until there is a leader, what is sent fails or is not answered.
    let mut number = 0;
    loop {
        number += 1;
        bench.send(number, b"again");
        bench.link.order(Order::State);
        let stored = bench.until(|report| match report {
            Report::Acked(_, Ack::Stored(_)) => Some(true),
            Report::Acked(..) | Report::State(_) | Report::Disconnected(_) => Some(false),
            _ => None,
        });
        if stored {
            break;
        }
    }
    // The others, too: then nobody can be reached, and this is said and tried again.
    for place in 0..3 {
        servers.kill(place);
    }
    let is_lost = |report| matches!(report, Report::Disconnected(_)).then_some(());
    bench.until(is_lost);
    assert!(matches!(bench.next(), Report::Away(LogError::Unreachable { .. })));
    for place in 0..3 {
        servers.restart(place);
    }
    bench.connect();
}

#[test]
fn log_that_most_servers_have_left_counts_as_away() {
    let Some(mut servers) = Servers::start() else { return };
    init(&servers);
    let mut bench = Bench::new(address(&servers.urls(), "tallyd"));
    let server = bench.connect();
    let own = servers.place(server.split(' ').next().unwrap());
    for place in (0..3).filter(|place| *place != own) {
        servers.kill(place);
    }
    let why = loop {
        bench.link.order(Order::State);
        if let Some(Report::Disconnected(why)) = bench.next_within(Duration::from_secs(2)) {
            break why;
        }
    };
    assert!(matches!(why, LogError::Silent(_)), "{why}");
}

impl Bench {
    fn next_within(&mut self, longest: Duration) -> Option<Report> {
        let next = self.link.next();
        self.runtime.block_on(async { tokio::time::timeout(longest, next).await }).ok()
    }
}

#[test]
fn log_that_is_not_there_or_kept_otherwise_is_refused_in_words() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let mut bench = Bench::new(address(&servers.urls(), "other"));
    let Report::Away(error) = bench.next() else { panic!("there is none") };
    assert_eq!(error, LogError::NoLog("other".to_owned()));
    // One whose messages are in memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(servers.urls().split(',').next().unwrap()).await.unwrap();
        let config = r#"{"name":"other","subjects":["other.0"],"retention":"limits","storage":"memory","discard":"old","num_replicas":3}"#;
        // The servers may be choosing a leader, and then they do not answer.
        while client.request("$JS.API.STREAM.CREATE.other", config.into()).await.is_err() {}
    });
    let error = bench.until(|report| match report {
        Report::Away(LogError::NoLog(_) | LogError::Silent(_)) => None,
        Report::Away(error) => Some(error),
        other => panic!("{other:?}"),
    });
    assert_eq!(error.to_string(), "the log cannot be used as it is kept: its storage must be `file`");
}

/// Says that it is a server of that version, and nothing more.
fn server_of_version(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let info = format!(
                "INFO {{\"server_id\":\"x\",\"server_name\":\"old\",\"version\":\"{version}\",\"proto\":1,\"host\":\"127.0.0.1\",\"port\":1,\
                 \"max_payload\":1048576,\"headers\":true,\"jetstream\":true,\"go\":\"go\",\"client_id\":1}}\r\n"
            );
            if stream.write_all(info.as_bytes()).is_err() {
                continue;
            }
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                if line.is_ok_and(|line| line.starts_with("PING")) && stream.write_all(b"PONG\r\n").is_err() {
                    break;
                }
            }
        }
    });
    format!("nats://{address}")
}

#[test]
fn server_before_2_12_is_refused_with_its_version() {
    let url = server_of_version("2.11.9");
    let mut bench = Bench::new(address(&url, "tallyd"));
    let Report::Away(error) = bench.next() else { panic!("it is too old") };
    assert_eq!(error, LogError::TooOld { server: url.clone(), version: "2.11.9".to_owned() });
    let output = tallyd(&["cluster", "init", "--cluster", &url, "--max-bytes", "1GiB"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("runs nats-server 2.11.9; 2.12 or later is needed"), "{words}");
}

#[test]
fn what_is_no_server_name_size_or_file_of_credentials_is_misuse() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = write(dir.path(), "credentials", "user\n");
    let good = ["cluster", "init", "--cluster", "nats://127.0.0.1:1", "--max-bytes", "1GiB"];
    for (place, wrong) in [(3, "127.0.0.1:1"), (3, "nats://u:p@127.0.0.1:1"), (5, "0"), (5, "much")] {
        let mut arguments = good;
        arguments[place] = wrong;
        assert_eq!(tallyd(&arguments).status.code(), Some(64), "{wrong}");
    }
    for more in [["--cluster-name", "a.b"], ["--cluster-credentials", nothing.to_str().unwrap()]] {
        let output = tallyd(&[&good[..], &more[..]].concat());
        assert_eq!(output.status.code(), Some(64), "{more:?}: {output:?}");
    }
    assert_eq!(tallyd(&good[..4]).status.code(), Some(64), "the size is to be thought about");
}
