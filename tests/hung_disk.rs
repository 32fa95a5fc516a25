//! A disk that hangs: a library is loaded into a real daemon, whose syncs sleep for as long as a file is there.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]
#![expect(clippy::disallowed_methods, reason = "a test measures how long an answer takes")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Daemon, LINE, connect};
use tallyd::limits::{GROUPS_UNSYNCED_MAX, HTTP_WRITES_WAITING_MAX};

/// What somebody who asks a daemon with a hung disk puts up with, on a machine with other work.
const SOON: Duration = Duration::from_secs(3);

/// The syncs of the C library: each waits until the file is gone.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>
static void hang(void) { while (access(getenv("HANG_WHILE"), F_OK) == 0) poll(0, 0, 1); }
int fsync(int file) { hang(); return syscall(SYS_fsync, file); }
int fdatasync(int file) { hang(); return syscall(SYS_fdatasync, file); }
"#;

/// Builds the library with the compiler that links Rust programs.
fn library(directory: &Path) -> PathBuf {
    let path = directory.join("hang.so");
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-xc", "-", "-o"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("cc, which also links the tests");
    let mut source = compiler.stdin.take().expect("standard input is piped");
    source.write_all(LIBRARY.as_bytes()).expect("it reads");
    drop(source);
    assert!(compiler.wait().expect("it ends").success());
    path
}

/// Sends one event; its answer is not read yet.
fn write(address: SocketAddr) -> TcpStream {
    write_to(connect(address))
}

fn write_to(mut stream: TcpStream) -> TcpStream {
    let head = format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{LINE}",
        LINE.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and the end of the connection");
    answer
}

/// A daemon that syncs each write, and the file whose presence makes the syncs hang.
fn daemon(directory: &Path) -> (Daemon, PathBuf) {
    let hangs = directory.join("hangs");
    let mut command = support::command(&directory.join("data"));
    command.args(["--fsync", "always"]);
    command.env("LD_PRELOAD", library(directory)).env("HANG_WHILE", &hangs);
    let daemon = Daemon::spawn(&mut command);
    let acknowledged = answer(write(daemon.http));
    assert!(acknowledged.starts_with("HTTP/1.1 200 "), "{acknowledged}");
    std::fs::write(&hangs, "").expect("a file");
    (daemon, hangs)
}

/// Asks for the metrics until one of their lines is this.
fn wait_for_metric(daemon: &Daemon, expected: &str) {
    support::wait_for_metric(daemon.http, expected);
}

#[test]
fn lines_of_a_client_that_went_away_are_in_the_metrics() {
    let directory = tempfile::tempdir().expect("a directory");
    let (daemon, hangs) = daemon(directory.path());
    let accepted = |lines: u32| {
        format!("tallyd_events_total{{listener=\"http\",kind=\"conversation\",outcome=\"accepted\"}} {lines}")
    };
    wait_for_metric(&daemon, &accepted(1));
    let gone = write(daemon.http);
    wait_for_metric(&daemon, "tallyd_journal_batches_total 2");
    drop(gone);
    std::fs::remove_file(hangs).expect("the file");
    wait_for_metric(&daemon, &accepted(2));
    assert_eq!(daemon.conversations(), 2);
}

#[test]
fn a_hung_disk_holds_up_neither_health_nor_reports_and_writes_get_their_outcome() {
    let directory = tempfile::tempdir().expect("a directory");
    let (daemon, hangs) = daemon(directory.path());
    let more = 100;
    let mut writes = Vec::new();
    // One batch a group, so that the groups which wait for a sync are soon full, and then the queue before them.
    for group in 0..GROUPS_UNSYNCED_MAX {
        writes.push(write(daemon.http));
        wait_for_metric(&daemon, &format!("tallyd_journal_batches_total {}", group + 2));
    }
    let rest = HTTP_WRITES_WAITING_MAX + more - GROUPS_UNSYNCED_MAX;
    // Connected before, so that all wait at once, before the first of them is refused, on a slow machine too.
    let connections: Vec<TcpStream> = (0..rest).map(|_| connect(daemon.http)).collect();
    writes.extend(connections.into_iter().map(write_to));
    for path in ["/health", "/ready", "/metrics", "/reports/conversations", "/stories"] {
        let begun = Instant::now();
        let body = daemon.get(path);
        let took = begun.elapsed();
        assert!(!body.is_empty() && took < SOON, "{path} took {took:?}: {body}");
    }

    let (mut refused, mut unknown) = (0, 0);
    for answer in writes.into_iter().map(answer) {
        let retries = answer.contains("retry-after: ");
        match answer.split(' ').nth(1) {
            Some("503") if retries && answer.contains("nothing was counted") => refused += 1,
            Some("500") if !retries && answer.contains("not known whether") => unknown += 1,
            _ => panic!("{answer}"),
        }
    }
    assert!(refused > more && unknown > 0, "{refused} refused, {unknown} unknown");
    let overloads = daemon.get("/metrics");
    let none = "tallyd_overloads_total{bound=\"writes_waiting\"} 0\n";
    assert!(!overloads.contains(none), "{overloads}");

    // What was not refused counts once the disk goes on, and no more than that.
    std::fs::remove_file(&hangs).expect("the file");
    let again = answer(write(daemon.http));
    assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
    assert_eq!(daemon.conversations(), 2 + unknown);
}

/// What the service manager has heard by now.
fn heard(manager: &UnixDatagram) -> Vec<String> {
    manager.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 4096];
    let heard = std::iter::from_fn(|| manager.recv(&mut buffer).ok().map(|bytes| buffer[..bytes].to_vec()));
    let heard = heard.map(|told| String::from_utf8(told).expect("text")).collect();
    manager.set_nonblocking(false).expect("a socket");
    heard
}

fn wait_for_proof(manager: &UnixDatagram) {
    let mut buffer = [0; 4096];
    loop {
        let bytes = manager.recv(&mut buffer).expect("a message in time");
        if buffer[..bytes].starts_with(b"WATCHDOG=1") {
            return;
        }
    }
}

#[test]
fn the_watchdog_hears_nothing_while_the_disk_hangs_and_hears_again_after() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(support::PATIENCE)).expect("a timeout");
    let hangs = directory.path().join("hangs");
    let mut command = support::command(&directory.path().join("data"));
    command
        .args(["--fsync", "always"])
        .env("LD_PRELOAD", library(directory.path()))
        .env("HANG_WHILE", &hangs);
    let daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000"));
    wait_for_proof(&manager);
    std::fs::write(&hangs, "").expect("a file");
    let waiting = write(daemon.http);
    wait_for_metric(&daemon, "tallyd_journal_batches_total 1");
    drop(heard(&manager));
    // It takes hundreds of times as long as the watchdog's interval until that is given up.
    let outcome = answer(waiting);
    assert!(outcome.starts_with("HTTP/1.1 500 "), "{outcome}");
    // One proof may have been on its way when the hang began.
    let proofs = heard(&manager).iter().filter(|told| told.contains("WATCHDOG=1")).count();
    assert!(proofs <= 1, "{proofs} proofs of a daemon that counts nothing");
    std::fs::remove_file(&hangs).expect("the file");
    wait_for_proof(&manager);
}

/// A start that hangs on its disk, and its service manager.
struct HungStart {
    manager: UnixDatagram,
    hangs: PathBuf,
    data: PathBuf,
    _directory: tempfile::TempDir,
}

impl HungStart {
    fn new() -> (Self, Command) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        manager.set_read_timeout(Some(support::PATIENCE)).expect("a timeout");
        let (hangs, data) = (directory.path().join("hangs"), directory.path().join("data"));
        std::fs::write(&hangs, "").expect("a file");
        let mut command = support::command(&data);
        command
            .env("LD_PRELOAD", library(directory.path()))
            .env("HANG_WHILE", &hangs)
            .env("NOTIFY_SOCKET", &path);
        (Self { manager, hangs, data, _directory: directory }, command)
    }

    /// Waits until the directory is made, which is then synced.
    fn wait_for_sync(&self) {
        let begun = Instant::now();
        while !self.data.exists() {
            assert!(begun.elapsed() < support::PATIENCE, "the daemon does not begin");
        }
    }

    fn end(&self) {
        std::fs::remove_file(&self.hangs).expect("the file");
    }

    /// The next message to the manager.
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let bytes = self.manager.recv(&mut buffer).expect("a message in time");
        String::from_utf8(buffer[..bytes].to_vec()).expect("text")
    }

    /// The next message that says so.
    fn wait_for(&self, state: &str) -> String {
        std::iter::repeat_with(|| self.next())
            .find(|told| told.contains(state))
            .expect("messages end in time")
    }
}

#[test]
fn a_start_that_hangs_has_asked_for_time_and_is_ready_only_when_it_answers() {
    let (start, mut command) = HungStart::new();
    let starting = thread::spawn(move || Daemon::spawn(&mut command));
    let first = start.next();
    assert!(first.contains("EXTEND_TIMEOUT_USEC=") && !first.contains("READY=1"), "{first}");
    start.wait_for_sync();
    assert!(heard(&start.manager).iter().all(|told| !told.contains("READY=1")), "nothing is open yet");
    start.end();
    let ready = start.wait_for("READY=1");
    let address = ready.split("http=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    assert!(support::get(address.parse().expect("an address"), "/ready").contains("ready"));
    drop(starting.join().expect("it listens"));
}

#[test]
fn a_hang_up_during_a_start_that_takes_long_is_heard_after_it() {
    let (start, mut command) = HungStart::new();
    let mut child = command.spawn().expect("the program can be run");
    start.wait_for_sync();
    kill_process(Pid::from_child(&child), Signal::HUP).expect("it runs");
    start.end();
    for state in ["READY=1", "RELOADING=1", "READY=1"] {
        start.wait_for(state);
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("its status").code(), Some(0));
}
