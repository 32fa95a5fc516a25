//! Restarts as a service manager does them that keeps the sockets: under the load of senders of every kind nobody is refused,
//! nothing that was acknowledged is lost, and nothing counts twice.
#![expect(
    clippy::disallowed_methods,
    reason = "how long a report keeps somebody waiting is told, not judged"
)]

use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::against_model::scaled;
use super::daemon::{Daemon, Lines, verify};
use super::events::id;
use super::http::Client;

/// Restarts at scale 1.
const RESTARTS: u64 = 5;
/// Batches that each sender has to get counted between two restarts.
const BATCHES_PER_LIFE: u64 = 10;
const LINES_PER_BATCH: u64 = 20;
/// 2019-03-17T09:00:00Z.
const NANOS: u64 = 1_552_813_200_000_000_000;
/// Longest wait for anything; passing it is a failure, not a way of waiting.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a sender sends its batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sender {
    /// With keys.
    Keyed(&'static str),
    /// As clients do that can send no key: again, byte for byte, where no answer came.
    Stock(&'static str),
    /// `!batch` on the line port.
    Batch,
}

/// One of each kind, and two of the most usual ones. The last route has neither keys nor a retry window: it is exact only as
/// long as no request is read that is not answered.
const SENDERS: [Sender; 8] = [
    Sender::Keyed("/events"),
    Sender::Keyed("/events"),
    Sender::Keyed("/write?db=a"),
    Sender::Stock("/write?db=a"),
    Sender::Stock("/api/v2/write?bucket=b"),
    Sender::Batch,
    Sender::Batch,
    Sender::Stock("/events"),
];

/// What all clients share.
#[derive(Default)]
struct Shared {
    done: AtomicBool,
    /// Connections that were refused.
    refused: AtomicU64,
    /// Requests and batches that got no answer and were sent again.
    sent_again: AtomicU64,
}

impl Shared {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    fn no_answer(&self, error: &Error) {
        let counter =
            if error.kind() == ErrorKind::ConnectionRefused { &self.refused } else { &self.sent_again };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn lines(story: usize, batch: u64) -> String {
    let line = |number: u64| {
        let stamp = NANOS + (batch * LINES_PER_BATCH + number) * 1_000 + 1;
        format!("message,storyId={},source=app count=1i {stamp}\n", id("5b07", story as u64))
    };
    (0..LINES_PER_BATCH).map(line).collect()
}

/// Sends batches until the end of the test, each until it is counted. Gives how many these were.
fn send(
    sender: Sender,
    story: usize,
    address: SocketAddr,
    (shared, counted): (&Shared, &SyncSender<usize>),
) -> u64 {
    let mut client = Client::new(address);
    let mut connection = None;
    let mut batch = 0;
    while !shared.is_done() {
        let body = lines(story, batch);
        let key = format!("{story}-{batch}");
        let sent = match sender {
            Sender::Keyed(target) => post(&mut client, target, &[("idempotency-key", &key)], &body),
            Sender::Stock(target) => post(&mut client, target, &[], &body),
            Sender::Batch => send_batch(&mut connection, address, &format!("!batch {key}\n{body}!end\n")),
        };
        match sent {
            Ok(true) => {
                batch += 1;
                // Nobody reads it during a restart, which then loses nothing.
                counted.try_send(story).unwrap_or_default();
            }
            Ok(false) => {}
            Err(error) => shared.no_answer(&error),
        }
    }
    batch
}

/// Whether it was counted; `false` where it was refused.
fn post(client: &mut Client, target: &str, headers: &[(&str, &str)], body: &str) -> Result<bool, Error> {
    let answer = client.send("POST", target, headers, body.as_bytes())?;
    assert!(matches!(answer.status, 200 | 204 | 503), "{}: {}", answer.status, answer.text());
    Ok(answer.status != 503)
}

fn send_batch(connection: &mut Option<Lines>, address: SocketAddr, text: &str) -> Result<bool, Error> {
    let mut lines = match connection.take() {
        Some(lines) => lines,
        None => Lines::connect(address)?,
    };
    lines.send(text.as_bytes())?;
    let answer = lines.answer()?;
    if answer.starts_with("ERR ") {
        assert!(answer.contains("is stopping"), "{answer}");
        return Ok(false);
    }
    assert!(matches!(answer.as_str(), "OK 20 0" | "DUP 20 0"), "{answer}");
    *connection = Some(lines);
    Ok(true)
}

/// Asks for a report until the end of the test: what it counts never becomes less. Gives the longest time between two answers.
fn poll(address: SocketAddr, shared: &Shared) -> Duration {
    let mut client = Client::new(address);
    let (mut last, mut longest, mut most) = (Instant::now(), Duration::ZERO, 0);
    while !shared.is_done() {
        match client.send("GET", "/reports/conversations.messages?from=2019-03-17&to=2019-03-17", &[], b"") {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{}", answer.text());
                let total = answer.json()["summary"]["total"].as_u64().unwrap();
                assert!(total >= most, "a report went back from {most} to {total}");
                most = total;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            Err(error) => shared.no_answer(&error),
        }
    }
    longest
}

/// Waits until each sender has got so many batches counted.
fn wait_for_all(counted: &Receiver<usize>, senders: &[JoinHandle<u64>]) {
    let mut batches = [0; SENDERS.len()];
    while batches.iter().any(|batches| *batches < BATCHES_PER_LIFE) {
        assert!(!senders.iter().any(JoinHandle::is_finished), "a sender went wrong, see above");
        batches[counted.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {batches:?}"))] += 1;
    }
}

#[test]
fn a_restart_refuses_nobody_loses_nothing_and_counts_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let [http, tcp] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let (http_at, tcp_at) = (http.local_addr().unwrap(), tcp.local_addr().unwrap());
    let start = || Daemon::start_on(directory.path(), &["--snapshot-interval", "1s"], [&http, &tcp]);
    let shared = Arc::new(Shared::default());
    let (counted_by, counted) = sync_channel(1_024);
    // The first ones wait for the daemon.
    let senders: Vec<JoinHandle<u64>> = SENDERS
        .into_iter()
        .enumerate()
        .map(|(story, sender)| {
            let (shared, counted_by) = (Arc::clone(&shared), counted_by.clone());
            let address = if sender == Sender::Batch { tcp_at } else { http_at };
            thread::spawn(move || send(sender, story, address, (&shared, &counted_by)))
        })
        .collect();
    let poller = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || poll(http_at, &shared))
    };
    let mut daemon = start();
    let restarts = scaled(RESTARTS);
    for _ in 0..restarts {
        wait_for_all(&counted, &senders);
        assert_eq!(daemon.stop().code(), Some(0));
        // Those of the last life do not count.
        while counted.try_recv().is_ok() {}
        daemon = start();
    }
    wait_for_all(&counted, &senders);
    shared.done.store(true, Ordering::Release);
    let sent: Vec<u64> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    let longest = poller.join().unwrap();
    eprintln!(
        "restarts: {restarts} of them, {} batches; {} requests were sent again, and a report came {longest:?} after the one \
         before at the latest",
        sent.iter().sum::<u64>(),
        shared.sent_again.load(Ordering::Relaxed),
    );
    assert_eq!(shared.refused.load(Ordering::Relaxed), 0, "connections were refused");
    let check = |daemon: &Daemon| {
        for (story, batches) in sent.iter().enumerate() {
            let story_id = id("5b07", story as u64);
            let target =
                format!("/reports/conversations.messages?storyId={story_id}&from=2019-03-17&to=2019-03-17");
            let total = &daemon.client().get(&target).json()["summary"]["total"];
            assert_eq!(*total, batches * LINES_PER_BATCH, "{:?} of story {story}", SENDERS[story]);
        }
    };
    check(&daemon);
    daemon.kill();
    verify(directory.path()).unwrap();
    check(&start());
}
