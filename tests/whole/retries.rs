//! Clients that repeat what was not answered, through a proxy that loses two in five of the answers, to a daemon that is
//! killed again and again: what each sent is counted exactly once.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::against_model::scaled;
use super::daemon::{Daemon, Lines, verify};
use super::events::id;
use super::http::Client;
use super::random::Random;

/// Answers between two kills.
const ANSWERS_PER_LIFE: u64 = 40;
/// Batches of each sender at scale 1.
const BATCHES: u64 = 60;
const LINES_PER_BATCH: u64 = 20;
/// More than one batch of `push`.
const FILE_LINES: u64 = 22_000;
/// 2019-03-17T09:00:00Z.
const NANOS: u64 = 1_552_813_200_000_000_000;

/// Passes connections on to the daemon, wherever that is now, and loses answers.
struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Proxy {
    fn start(target: SocketAddr, seed: u64, answered: &Arc<AtomicU64>, kill: &SyncSender<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (targets, answered, kill) = (Arc::clone(&target), Arc::clone(answered), kill.clone());
        let mut random = Random::new(seed);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (target, answered, kill) =
                    (*targets.lock().unwrap(), Arc::clone(&answered), kill.clone());
                let random = Random::new(random.next());
                thread::spawn(move || pass_on(&client, target, random, (&answered, &kill)));
            }
        });
        Self { address, target }
    }
}

fn pass_on(
    client: &TcpStream,
    target: SocketAddr,
    mut random: Random,
    (answered, kill): (&AtomicU64, &SyncSender<()>),
) {
    let Ok(daemon) = TcpStream::connect(target) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), daemon.try_clone().unwrap());
    let requests = thread::spawn(move || {
        // Either end may be gone, which ends the connection.
        std::io::copy(&mut from, &mut to).unwrap_or_default();
        to.shutdown(Shutdown::Write).unwrap_or_default();
    });
    let mut answer = [0; 4096];
    let (mut daemon, mut client) = (daemon, client);
    while let Ok(length @ 1..) = daemon.read(&mut answer) {
        if answered.fetch_add(1, Ordering::Relaxed) % ANSWERS_PER_LIFE == ANSWERS_PER_LIFE - 1 {
            // One that is due already is enough.
            kill.try_send(()).unwrap_or_default();
        }
        if random.below(5) < 2 || client.write_all(&answer[..length]).is_err() {
            break;
        }
    }
    for stream in [client, &daemon] {
        stream.shutdown(Shutdown::Both).unwrap_or_default();
    }
    requests.join().unwrap();
}

fn lines(story: u64, batch: u64) -> String {
    let line = |number: u64| {
        let stamp = NANOS + (batch * LINES_PER_BATCH + number) * 1_000 + 1;
        format!("message,storyId={},source=app count=1i {stamp}\n", id("5b07", story))
    };
    (0..LINES_PER_BATCH).map(line).collect()
}

/// A daemon that was killed is there again soon; nothing is expected of the time that passes until then.
fn pause() {
    thread::park_timeout(Duration::from_millis(5));
}

/// Batches of each sender.
fn batches() -> u64 {
    scaled(BATCHES)
}

/// Sends batches over HTTP, each until it is answered.
fn send(address: SocketAddr, story: u64, target: &str, has_keys: bool) {
    let mut client = Client::new(address);
    for batch in 0..batches() {
        let key = format!("story {story}, batch {batch}");
        let headers: &[(&str, &str)] = if has_keys { &[("idempotency-key", &key)] } else { &[] };
        let body = lines(story, batch);
        loop {
            match client.send("POST", target, headers, body.as_bytes()) {
                Ok(answer) if answer.status / 100 == 2 => break,
                Ok(answer) if answer.status / 100 == 5 => pause(),
                Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                Err(_) => pause(),
            }
        }
    }
}

/// Sends batches over the line port, each until it is answered.
fn send_lines(address: SocketAddr, story: u64) {
    let mut connection = None;
    for batch in 0..batches() {
        let text = format!("!batch {story}-{batch}\n{}!end\n", lines(story, batch));
        loop {
            let Some(mut lines) = connection.take().or_else(|| Lines::connect(address).ok()) else {
                pause();
                continue;
            };
            let answer = lines.send(text.as_bytes()).and_then(|()| lines.answer());
            match answer.as_deref() {
                Ok("OK 20 0" | "DUP 20 0") => {
                    connection = Some(lines);
                    break;
                }
                Ok(answer) if answer.starts_with("ERR ") => pause(),
                Ok(answer) => panic!("{answer}"),
                Err(_) => pause(),
            }
        }
    }
}

/// Pushes a file until that has gone through.
fn push(address: SocketAddr, story: u64) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("message,storyId={},source=app count=1i {NANOS}\n", id("5b07", story));
    file.write_all(line.repeat(usize::try_from(FILE_LINES).unwrap()).as_bytes()).unwrap();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_tallyd"))
            .args(["push", "--quiet", "--url", &format!("http://{address}")])
            .arg(file.path())
            .stderr(Stdio::null())
            .output()
            .unwrap()
    };
    while !run().status.success() {}
    // All of it once more counts nothing, and says so.
    let again = loop {
        let again = run();
        if again.status.success() {
            break String::from_utf8(again.stdout).unwrap();
        }
    };
    let said =
        format!("{FILE_LINES} accepted, 0 rejected; {FILE_LINES} of the accepted were counted already\n");
    assert_eq!(again, said);
}

fn restart_until_done(
    mut daemon: Daemon,
    data_dir: &std::path::Path,
    (proxies, killed, done): (&[&Proxy; 2], &Receiver<()>, &AtomicBool),
    random: &mut Random,
) -> (Daemon, u64) {
    let mut kills = 0;
    while !done.load(Ordering::Acquire) {
        if killed.recv_timeout(Duration::from_millis(100)).is_err() {
            continue;
        }
        daemon.kill();
        kills += 1;
        let fsync = *random.pick(&["always", "interval", "never"]);
        daemon = Daemon::start(data_dir, &["--snapshot-interval", "1s", "--fsync", fsync]);
        let [http, tcp] = proxies;
        *http.target.lock().unwrap() = daemon.http;
        *tcp.target.lock().unwrap() = daemon.tcp;
    }
    (daemon, kills)
}

#[test]
fn what_clients_repeat_until_it_is_answered_is_counted_once() {
    let mut random = Random::from_environment("retries");
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path(), &["--snapshot-interval", "1s"]);
    let answered = Arc::new(AtomicU64::new(0));
    let (kill, killed) = sync_channel(1);
    let http = Proxy::start(daemon.http, random.next(), &answered, &kill);
    let tcp = Proxy::start(daemon.tcp, random.next(), &answered, &kill);
    let (http_address, tcp_address) = (http.address, tcp.address);
    let senders: Vec<JoinHandle<()>> = vec![
        thread::spawn(move || send(http_address, 0, "/events", true)),
        thread::spawn(move || send(http_address, 1, "/write?db=a", true)),
        thread::spawn(move || send(http_address, 2, "/write?db=a", false)),
        thread::spawn(move || send(http_address, 3, "/api/v2/write?bucket=b", false)),
        thread::spawn(move || send_lines(tcp_address, 4)),
        thread::spawn(move || push(http_address, 5)),
    ];
    let done = Arc::new(AtomicBool::new(false));
    let waiter = {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            let outcomes: Vec<_> = senders.into_iter().map(JoinHandle::join).collect();
            done.store(true, Ordering::Release);
            outcomes
        })
    };
    let (daemon, kills) =
        restart_until_done(daemon, directory.path(), (&[&http, &tcp], &killed, &done), &mut random);
    assert!(waiter.join().unwrap().iter().all(Result::is_ok), "a sender went wrong, see above");
    let answers = answered.load(Ordering::Relaxed);
    eprintln!("retries: {kills} kills, {answers} answers, of which two in five were lost");
    assert!(kills > 3);

    let expected = |story: u64| if story == 5 { FILE_LINES } else { batches() * LINES_PER_BATCH };
    let check = |daemon: &Daemon| {
        for story in 0..6 {
            let target = format!(
                "/reports/conversations.messages?storyId={}&from=2019-03-17&to=2019-03-17",
                id("5b07", story)
            );
            let answer = daemon.client().get(&target);
            assert_eq!(
                answer.json()["summary"]["total"],
                expected(story),
                "story {story}: {}",
                answer.text()
            );
        }
    };
    check(&daemon);
    daemon.kill();
    verify(directory.path()).unwrap();
    check(&Daemon::start(directory.path(), &[]));
}
