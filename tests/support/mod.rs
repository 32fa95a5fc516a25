//! A daemon in a directory of its own, on ports that were free, and what a client of it needs. Each test file uses
//! a part of this.
#![expect(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "each test file uses a part of this, and ends where it goes wrong"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

/// Longest wait for anything; passing it is a failure, not a way of waiting.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const LINE: &str = "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i\n";

/// A running daemon of the program itself. Killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub http: SocketAddr,
    pub tcp: SocketAddr,
    /// What it logged until it was listening.
    pub log: String,
}

/// The command of a daemon on free ports in that data directory, undisturbed by the environment of the tests.
pub(crate) fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command.env_clear().args([
        "serve",
        "--http-listen",
        "127.0.0.1:0",
        "--tcp-listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    command.arg(data_dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The command of a daemon that finds its sockets bound, as a service manager passes them: `http` and `lines`.
pub(crate) fn command_with_sockets(data_dir: &Path, http: OwnedFd, lines: OwnedFd) -> Command {
    // The shell moves its first two descriptors to where the daemon looks for sockets, and becomes the daemon.
    let script = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:lines \
                  exec \"$0\" serve --data-dir \"$1\" 3<&0 4<&1 </dev/null >/dev/null";
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", script, env!("CARGO_BIN_EXE_tallyd")]).arg(data_dir);
    command.stdin(http).stdout(lines).stderr(Stdio::piped());
    command
}

impl Daemon {
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::spawn(&mut command(data_dir))
    }

    /// Starts the daemon and waits until it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program can be run");
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let mut log = String::new();
        loop {
            let before = log.len();
            assert!(stderr.read_line(&mut log).expect("a log of text") > 0, "the daemon ended: {log}");
            let Some((_, addresses)) = log[before..].split_once("listening http=") else { continue };
            let (http, tcp) = addresses.split_once(" tcp=").expect("both addresses");
            let end = tcp.find(|c: char| c == '"' || c.is_whitespace()).unwrap_or(tcp.len());
            let http = http.parse().expect("an address");
            let tcp = tcp[..end].parse().expect("an address");
            return Self { child, stderr, http, tcp, log };
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the daemon runs");
    }

    /// Sets how many descriptors it may have from now on, and returns how many it might have before.
    pub(crate) fn limit_descriptors(&self, most: u64) -> u64 {
        let pid = Some(Pid::from_child(&self.child));
        let set = |current| {
            let before = prlimit(pid, Resource::Nofile, current).expect("the daemon runs");
            (before.current, before.maximum)
        };
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        set(Rlimit { current: Some(most), maximum }).0.expect("a limit")
    }

    /// The lowest number that none of its descriptors has: the one that the next will get.
    pub(crate) fn next_descriptor(&self) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the daemon runs");
        let numbers: std::collections::HashSet<u64> = open
            .filter_map(|entry| {
                entry.expect("an entry").file_name().to_str().and_then(|name| name.parse().ok())
            })
            .collect();
        (0..100_000).find(|number| !numbers.contains(number)).expect("it has few")
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// Reads the log until a line of it holds `words`.
    pub(crate) fn wait_for_log(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stderr.read_line(&mut line).expect("text") > 0, "the log ended without {words}");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits until the daemon has ended; its exit status and the rest of its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).expect("text");
        (self.child.wait().expect("its status"), log)
    }

    /// Stops it as systemd does.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// The body of the answer to a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        get(self.http, path)
    }

    /// All conversations that were ever counted.
    pub(crate) fn conversations(&self) -> u64 {
        conversations(self.http)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        if self.child.kill().is_ok() && self.child.wait().is_err() {}
    }
}

/// A connection that gives up after [`PATIENCE`].
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends all of it, and reads all that comes back.
pub(crate) fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("connected");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("text");
    answers
}

/// The body of the answer to a GET, whatever its status.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("an answer: {answer}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

/// Asks for the metrics until there is that line.
#[expect(clippy::disallowed_methods, reason = "it gives up where the line does not come")]
pub(crate) fn wait_for_metric(address: SocketAddr, expected: &str) {
    let begun = std::time::Instant::now();
    while !get(address, "/metrics").lines().any(|line| line == expected) {
        assert!(begun.elapsed() < PATIENCE, "no {expected}: {}", get(address, "/metrics"));
    }
}

/// All conversations that were ever counted.
pub(crate) fn conversations(address: SocketAddr) -> u64 {
    let body = get(address, "/reports/conversations?from=1974-1-1&dimension=year");
    let report: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    report["summary"]["total"].as_u64().unwrap_or_else(|| panic!("a total: {body}"))
}
