//! The line port over real sockets, in a daemon of this process.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests end where they go wrong"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::{LINE, PATIENCE, connect, conversations, talk, wait_for_metric};
use tallyd::daemon::config::options::Key;
use tallyd::daemon::config::{Config, Given};
use tallyd::daemon::{self, Running};
use tallyd::limits::{GUESSES_CHECKED_MAX, GUESSES_FREE};
use tallyd::model::calendar::{ZoneDatabase, Zones};
use tallyd::model::catalogue::CatalogueLimits;
use tallyd::model::memory::MemoryCeiling;
use tallyd::net::Services;
use tallyd::net::auth::Auth;
use tallyd::net::condition::Conditions;
use tallyd::net::guessing::Guessing;
use tallyd::net::listener::Socket;
use tallyd::net::metrics::Metrics;
use tallyd::net::tcp;
use tallyd::platform::clock::Clock;
use tallyd::platform::shutdown;
use tallyd::store::{Fsync, KeyLimits, Store, StoreOptions};

struct Served {
    running: Running,
    dir: tempfile::TempDir,
}

impl Served {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let running = start(&dir, &[]);
        Self { running, dir }
    }

    fn tcp(&self) -> SocketAddr {
        self.running.tcp_address().expect("it listens")
    }

    fn http(&self) -> SocketAddr {
        self.running.http_address().expect("it listens")
    }
}

fn start(dir: &tempfile::TempDir, environment: &[(&str, &str)]) -> Running {
    let free = "127.0.0.1:0".to_owned();
    let data_dir = dir.path().join("data").to_str().expect("text").to_owned();
    let options = vec![(Key::HttpListen, free.clone()), (Key::TcpListen, free), (Key::DataDir, data_dir)];
    let variable =
        |name: &str| environment.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).into());
    let config = Config::read(&Given { options, ..Given::default() }, &variable).expect("a configuration");
    daemon::start(config).expect("a daemon")
}

#[test]
fn synced_lines_are_in_the_next_report() {
    let served = Served::new();
    let answers = talk(served.tcp(), format!("{LINE}{LINE}bogus\n{LINE}!sync\n").as_bytes());
    let lines: Vec<&str> = answers.lines().collect();
    assert_eq!(lines.len(), 2, "{answers}");
    assert!(lines[0].starts_with("ERR 3 "), "{answers}");
    assert_eq!(lines[1], "OK 3 1");
    assert_eq!(conversations(served.http()), 3);
}

#[test]
fn the_end_of_the_stream_is_as_good_as_a_sync() {
    let served = Served::new();
    assert_eq!(talk(served.tcp(), format!("{LINE}{}", LINE.trim_end()).as_bytes()), "");
    assert_eq!(conversations(served.http()), 2);
}

#[test]
fn many_lines_in_many_batches_are_all_counted() {
    let served = Served::new();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let address = served.tcp();
            thread::spawn(move || talk(address, format!("{}!sync\n", LINE.repeat(20_000)).as_bytes()))
        })
        .collect();
    for sender in senders {
        assert_eq!(sender.join().expect("a sender"), "OK 20000 0\n");
    }
    assert_eq!(conversations(served.http()), 80_000);
}

#[test]
fn a_key_is_visible_ascii_and_nothing_counts_after_another() {
    let served = Served::new();
    for key in [&b"k\xe9"[..], "schl\u{fc}ssel".as_bytes(), b"", b"two words"] {
        let text = [b"!batch ", key, b"\n", LINE.as_bytes(), b"!end\n!sync\n"].concat();
        let answers = talk(served.tcp(), &text);
        let is_one = answers.lines().count() == 1;
        assert!(is_one && answers.starts_with("ERR 1 !batch takes one key"), "{answers}");
    }
    assert_eq!(conversations(served.http()), 0);
}

#[test]
fn every_bad_line_of_a_batch_with_a_key_is_answered() {
    let served = Served::new();
    let answers = talk(served.tcp(), format!("!batch many\n{}!end\n", "bogus\n".repeat(3_000)).as_bytes());
    assert_eq!(answers.lines().count(), 3_001);
    assert!(answers.ends_with("OK 0 3000\n"));
}

#[test]
fn batches_with_keys_count_once_over_connections_restarts_and_ports() {
    let served = Served::new();
    let batch = format!("!batch one\n{LINE}bogus\n{LINE}!end\n");
    let answers = talk(served.tcp(), format!("{LINE}{batch}{batch}!sync\n").as_bytes());
    let lines: Vec<&str> = answers.lines().collect();
    assert_eq!(lines.len(), 5, "{answers}");
    assert!(lines[0].starts_with("ERR 4 ") && lines[2].starts_with("ERR 9 "), "{answers}");
    assert_eq!((lines[1], lines[3], lines[4]), ("OK 2 1", "DUP 2 1", "OK 3 1"));
    assert_eq!(conversations(served.http()), 3);
    let answers = talk(served.tcp(), format!("!batch one\n{LINE}!end\n{LINE}!sync\n").as_bytes());
    assert!(
        answers.starts_with("ERR 1 this key was used for another batch") && answers.ends_with("OK 1 0\n")
    );

    let Served { running, dir } = served;
    running.stop().expect("it stops");
    let served = Served { running: start(&dir, &[]), dir };
    let answers = talk(served.tcp(), batch.as_bytes());
    assert!(answers.ends_with("\nDUP 2 1\n"), "{answers}");
    assert_eq!(conversations(served.http()), 4);
    drop(served.dir);
}

#[test]
fn batch_of_a_peer_that_vanished_counts_nothing_and_its_key_is_free() {
    let served = Served::new();
    let begun = format!("{LINE}!batch one\n{LINE}{LINE}");
    let wait_for = |expected: String| wait_for_metric(served.http(), &expected);
    let bytes = u64::try_from(begun.len()).expect("it fits");
    for (turn, is_reset) in [(1, true), (2, false)] {
        let mut stream = connect(served.tcp());
        stream.write_all(begun.as_bytes()).expect("it reads");
        wait_for(format!("tallyd_received_bytes_total{{listener=\"tcp\"}} {}", turn * bytes));
        if is_reset {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("an option");
        }
        drop(stream);
        wait_for("tallyd_connections{listener=\"tcp\"} 0".to_owned());
        assert_eq!(
            conversations(served.http()),
            turn,
            "what stood before the batch counts, and nothing of it"
        );
    }
    assert_eq!(talk(served.tcp(), format!("!batch one\n{LINE}!end\n").as_bytes()), "OK 1 0\n");
    assert_eq!(conversations(served.http()), 3);
}

#[test]
fn other_protocols_are_told_so_and_the_connection_ends() {
    let served = Served::new();
    for (first, words) in
        [(&b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"[..], "HTTP"), (&b"\x16\x03\x01\x00"[..], "TLS")]
    {
        let mut stream = connect(served.tcp());
        stream.write_all(first).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and the end");
        assert!(answer.starts_with("ERR 1 ") && answer.contains(words), "{answer}");
    }
}

#[test]
fn a_client_that_does_not_read_its_answers_is_read_all_the_same() {
    let served = Served::new();
    let bad = format!("{}\n", "x".repeat(79));
    let mut stream = connect(served.tcp());
    // More answers than all buffers between the two can hold.
    let many = bad.repeat(10_000);
    for _ in 0..15 {
        stream.write_all(many.as_bytes()).expect("reading goes on");
    }
    stream.write_all(format!("{LINE}!sync\n").as_bytes()).expect("reading goes on");
    stream.shutdown(Shutdown::Write).expect("connected");
    let mut last = String::new();
    for line in BufReader::new(stream).lines() {
        last = line.expect("an answer");
        assert!(last.starts_with("ERR ") || last.starts_with("OK "), "{last}");
    }
    assert_eq!(last, "OK 1 150000");
    assert_eq!(conversations(served.http()), 1);
}

#[test]
fn senders_of_nothing_that_counts_leave_the_others_their_turn() {
    let served = Served::new();
    let (address, done) = (served.tcp(), Arc::new(AtomicBool::new(false)));
    // More of them than the daemon has threads on a small machine, so that it depends on their giving way.
    let senders = ["bad\n", "bad\n", "!precision x\n", "# comment\n"].map(|line| {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            let (mut stream, many) = (connect(address), line.repeat(50_000));
            while !done.load(Ordering::Relaxed) {
                stream.write_all(many.as_bytes()).expect("it reads");
            }
        })
    });
    for round in 1..=2 {
        assert_eq!(talk(address, format!("{LINE}!sync\n").as_bytes()), "OK 1 0\n");
        assert_eq!(conversations(served.http()), round);
    }
    done.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().expect("a sender");
    }
}

#[test]
fn tokens_are_needed_where_they_are_configured() {
    let dir = tempfile::tempdir().expect("a directory");
    let running = start(&dir, &[("TALLYD_TOKENS", "bots:write:0123456789abcdefghij")]);
    let address = running.tcp_address().expect("it listens");
    let answers = talk(address, format!("{LINE}!auth 0123456789abcdefghij\n{LINE}!sync\n").as_bytes());
    assert!(answers.starts_with("ERR 1 authentication required"), "{answers}");
    assert!(answers.ends_with("\nOK 1 1\n"), "{answers}");
    assert!(talk(address, b"!auth wrong\n!sync\n").starts_with("ERR 1 the token is not known"));
    running.stop().expect("a clean end");
}

#[test]
fn stopping_counts_whole_lines_names_the_first_that_is_not_and_keeps_what_was_counted() {
    let Served { running, dir } = Served::new();
    let mut stream = connect(running.tcp_address().expect("it listens"));
    let cut = &LINE[..30];
    stream.write_all(format!("{LINE}!sync\n{LINE}").as_bytes()).expect("it reads");
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut ok = String::new();
    answers.read_line(&mut ok).expect("an answer");
    assert_eq!(ok, "OK 1 0\n");
    // The answer to this comes after the line before it was taken, and the cut line is then on its way.
    stream.write_all(format!("!sync\n{cut}").as_bytes()).expect("it reads");
    ok.clear();
    answers.read_line(&mut ok).expect("an answer");
    assert_eq!(ok, "OK 2 0\n");
    running.stop().expect("a clean end");
    let mut last_words = String::new();
    answers.read_to_string(&mut last_words).expect("the end");
    assert_eq!(last_words, "ERR 5 tallyd is stopping: line 5 and all after it are not counted\n");

    let running = start(&dir, &[]);
    assert_eq!(conversations(running.http_address().expect("it listens")), 2);
    running.stop().expect("a clean end");
}

/// The port alone, at a time that stands still.
struct StillPort {
    runtime: tokio::runtime::Runtime,
    serving: tokio::task::JoinHandle<()>,
    trigger: shutdown::Trigger,
    store: Store,
    clock: Clock,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl StillPort {
    fn open(auth: Auth, connections: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Clock::manual(1_552_813_200_000_000_000);
        let options = StoreOptions {
            limits: CatalogueLimits::default(),
            keys: KeyLimits::default(),
            data_dir: dir.path().join("data"),
            fsync: Fsync::Never,
            fsync_interval: Duration::from_secs(1),
            snapshot_interval: Duration::from_hours(1),
            clock: Clock::system(),
        };
        let (store, _) = Store::open(options, &mut || {}).expect("a store");
        let services = Services {
            write_handle: store.write_handle(),
            log: None,
            backups: store.backups(),
            catalogue: Arc::clone(store.catalogue()),
            counters: Arc::clone(store.counters()),
            memory: Arc::new(MemoryCeiling::new(
                u64::MAX,
                Arc::clone(store.catalogue()),
                Arc::clone(store.counters()),
            )),
            store_status: store.status(),
            conditions: Arc::new(Conditions::new(clock.clone())),
            auth: Arc::new(auth),
            guessing: Arc::new(Guessing::new(Arc::default(), clock.clone())),
            tls: None,
            origins: Arc::default(),
            metrics: Arc::new(Metrics::default()),
            clock: clock.clone(),
            zones: Arc::new(Zones::new(ZoneDatabase::bundled())),
            max_future: Duration::from_hours(1),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (trigger, watch) = shutdown::channel();
        let serving = runtime.spawn(tcp::serve(Socket::Tcp(listener), services, connections, watch));
        Self { runtime, serving, trigger, store, clock, address, _dir: dir }
    }

    fn close(self) {
        self.trigger.fire();
        self.runtime.block_on(self.serving).expect("it ends");
        self.store.close(PATIENCE).expect("a clean end");
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let port = StillPort::open(Auth::default(), 1);
    let mut first = connect(port.address);
    first.write_all(b"!sync\n").expect("it reads");
    let mut answers = BufReader::new(first.try_clone().expect("a second handle"));
    let mut ok = String::new();
    answers.read_line(&mut ok).expect("an answer");
    assert_eq!(ok, "OK 0 0\n");
    let mut refused = String::new();
    connect(port.address).read_to_string(&mut refused).expect("an answer and the end");
    assert_eq!(refused, "ERR 0 there are too many connections\n");
    port.close();
}

#[test]
fn an_address_that_guesses_tokens_has_to_wait_and_a_good_token_passes() {
    let (hand_made, generated) =
        ("correct-horse-battery", format!("tally_{}", "0123456789".repeat(4) + "01w"));
    let tokens = format!("hand:write:{hand_made};machine:write:{generated}");
    let port = StillPort::open(Auth::from_env_text(&tokens).expect("tokens"), 100);
    let show = |token: &str| talk(port.address, format!("!auth {token}\n!sync\n").as_bytes());
    for number in 0..GUESSES_CHECKED_MAX {
        let answer = show(&format!("guess-{number}"));
        if number < GUESSES_FREE {
            let expected = "ERR 1 the token is not known or may not write; nothing after this is counted\n";
            assert_eq!(answer, expected, "{number}");
        } else {
            let expected =
                "ERR 1 the token is not known, and too many wrong ones came from this address; try again in ";
            assert!(answer.starts_with(expected), "{answer}");
        }
    }
    for token in [hand_made, "guess"] {
        let expected = "ERR 1 too many wrong tokens came from this address; try again in 60 s; nothing after this is counted\n";
        assert_eq!(show(token), expected);
    }
    assert_eq!(show(&generated), "OK 0 0\n", "nobody guesses a token of 256 random bits");
    port.clock.advance(Duration::from_mins(1));
    assert_eq!(show(hand_made), "OK 0 0\n");
    assert!(show("guess").starts_with("ERR 1 the token is not known"));
    assert!(show("guess-again").starts_with("ERR 1 too many wrong tokens"));
    assert_eq!(show(hand_made), "OK 0 0\n", "it was good from here");
    port.close();
}
