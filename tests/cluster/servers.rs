//! Three servers of a log on loopback, with a directory each, which can be killed and started again; and the log's state as they
//! tell it to whoever asks over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::hosts::Host;
use super::support::PATIENCE;

/// The server's program; `None` where the tests that need it are left out.
pub(crate) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("TALLYD_LOG_SERVER").map(PathBuf::from)?;
    assert!(named.is_file(), "TALLYD_LOG_SERVER names {}, which is no file", named.display());
    Some(named)
}

/// Three servers and some daemons are enough for a core: so many of them there are at a time.
struct Turns {
    taken: Mutex<usize>,
    given_back: Condvar,
}

static TURNS: Turns = Turns { taken: Mutex::new(0), given_back: Condvar::new() };

/// The turn of one test.
pub(crate) struct Turn(());

impl Turn {
    pub(crate) fn take() -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        // A test that failed leaves nothing behind that matters to others.
        let taken = TURNS.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = TURNS.given_back.wait_while(taken, |taken| *taken >= most);
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        TURNS.given_back.notify_one();
    }
}

/// Servers of a log.
pub(crate) struct Servers {
    program: PathBuf,
    dir: TempDir,
    all: Vec<Server>,
    scheme: &'static str,
    /// Last, so that it is given back when nothing runs any more.
    _turn: Option<Turn>,
}

struct Server {
    host: Option<Host>,
    client: SocketAddr,
    route: SocketAddr,
    monitor: SocketAddr,
    child: Option<Child>,
}

impl Server {
    fn new(host: Option<Host>) -> Self {
        let at = |port: u16| host.as_ref().map_or_else(free_address, |host| (host.address(0), port).into());
        Self { client: at(4222), route: at(6222), monitor: at(8222), host, child: None }
    }
}

/// A port that was free a moment ago, that no other test has been given, and that the system gives to nobody by itself: a server that is
/// away for a while finds it again.
fn free_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        // Far from those of a process that was started right behind this one.
        let turn = std::process::id().wrapping_mul(509).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = 15_000 + u16::try_from(turn % 16_000).expect("it is small");
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().expect("its address");
        }
    }
}

/// Waits a little before the same is looked at again.
pub(crate) fn pause() {
    std::thread::park_timeout(Duration::from_millis(50));
}

/// Lets so many seconds pass, where that is what the test is about.
#[expect(clippy::disallowed_methods, reason = "a failure that lasts is the matter")]
pub(crate) fn last(seconds: u64) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        pause();
    }
}

/// Looks until it is so.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("it did not come to be that {what}"))
}

/// Looks until it is so, or for so long.
#[expect(clippy::disallowed_methods, reason = "it gives up where it never is")]
pub(crate) fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = std::time::Instant::now();
    loop {
        let found = look();
        if found.is_some() || begun.elapsed() > limit {
            return found;
        }
        pause();
    }
}

impl Servers {
    /// Three servers that have found one another; `None`, and words about it, where the program is not at hand.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|| Some(Turn::take()), "", "nats")
    }

    /// The same beside those of another test, for one that mostly waits.
    pub(crate) fn start_beside() -> Option<Self> {
        Self::start_with(|| None, "", "nats")
    }

    /// The same, each on a host.
    pub(crate) fn start_on(hosts: &[Host]) -> Option<Self> {
        Self::start_all(|| None, "", "nats", hosts.iter().cloned().map(|host| Server::new(Some(host))))
    }

    /// The same with something more in each configuration, which clients find by that scheme.
    pub(crate) fn start_with(
        turn: impl FnOnce() -> Option<Turn>,
        more: &str,
        scheme: &'static str,
    ) -> Option<Self> {
        Self::start_all(turn, more, scheme, (0..3).map(|_| Server::new(None)))
    }

    fn start_all(
        turn: impl FnOnce() -> Option<Turn>,
        more: &str,
        scheme: &'static str,
        all: impl Iterator<Item = Server>,
    ) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("LEFT OUT: TALLYD_LOG_SERVER names no nats-server; .ci/run fetches one");
            return None;
        };
        let turn = turn();
        let dir = tempfile::tempdir().expect("a directory");
        let all: Vec<Server> = all.collect();
        let urls =
            all.iter().map(|server| format!("\"nats://{}\"", server.route)).collect::<Vec<_>>().join(", ");
        for (place, Server { host, client, route, monitor, .. }) in all.iter().enumerate() {
            // A host has more addresses than one.
            let client = if host.is_some() { SocketAddr::from(([0; 4], client.port())) } else { *client };
            let home = dir.path().join(place.to_string());
            std::fs::create_dir(&home).expect("a directory");
            let config = format!(
                "server_name: s{place}\nlisten: \"{client}\"\nhttp: \"{monitor}\"\njetstream {{ store_dir: \"{}\", max_file_store: 2GB }}\n\
                 max_payload: 8MB\ncluster {{ name: c, listen: \"{route}\", routes: [{urls}] }}\n{more}\n",
                home.display()
            );
            std::fs::write(home.join("server.conf"), config).expect("a file");
        }
        let mut servers = Self { program, all, scheme, dir, _turn: turn };
        for place in 0..3 {
            servers.restart(place);
        }
        Some(servers)
    }

    fn home(&self, place: usize) -> PathBuf {
        self.dir.path().join(place.to_string())
    }

    /// Starts a server that does not run.
    pub(crate) fn restart(&mut self, place: usize) {
        let home = self.home(place);
        let log = std::fs::File::options().append(true).create(true).open(home.join("log")).expect("a file");
        let host = self.all[place].host.as_ref();
        let mut command =
            host.map_or_else(|| Command::new(&self.program), |host| host.command(&self.program));
        command
            .arg("-c")
            .arg(home.join("server.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.all[place].child = Some(command.spawn().expect("the server's program"));
    }

    /// Kills a server, whatever it does.
    pub(crate) fn kill(&mut self, place: usize) {
        if let Some(mut child) = self.all[place].child.take() {
            child.kill().expect("it runs");
            child.wait().expect("its end");
        }
    }

    /// Has a server stand still, or go on.
    pub(crate) fn signal(&self, place: usize, signal: Signal) {
        let child = self.all[place].child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it runs");
    }

    /// Puts what a server has stored aside, or back; it does not run.
    pub(crate) fn copy_store(&self, place: usize, is_back: bool) {
        let (now, aside) = (self.home(place).join("jetstream"), self.home(place).join("aside"));
        let (from, to) = if is_back { (aside, now) } else { (now, aside) };
        if to.exists() {
            std::fs::remove_dir_all(&to).expect("it can be removed");
        }
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp can be run");
        assert!(copied.success());
    }

    /// The servers, as `--cluster` takes them.
    pub(crate) fn urls(&self) -> String {
        let urls: Vec<String> = (0..self.all.len()).map(|place| self.url(place)).collect();
        urls.join(",")
    }

    /// One of them.
    pub(crate) fn url(&self, place: usize) -> String {
        format!("{}://{}", self.scheme, self.all[place].client)
    }

    /// The same as [`urls`](Self::urls) for a node whose network that is.
    pub(crate) fn urls_in(&self, network: u8) -> String {
        self.urls().replace("//198.18.0.", &format!("//198.18.{network}."))
    }

    /// The server of that name or address, such as `s1`.
    pub(crate) fn place(&self, name: &str) -> usize {
        let is_it = |(place, server): &(usize, &Server)| {
            name == format!("s{place}") || name.contains(&server.client.to_string())
        };
        self.all.iter().enumerate().find(is_it).map(|(place, _)| place).expect("one of them")
    }

    /// Which server leads the log, as soon as they agree on one.
    pub(crate) fn leader(&self, log: &str) -> usize {
        until("the log has a leader", || {
            let running = self.all.iter().filter(|server| server.child.is_some());
            let mut leaders = running.filter_map(|server| leader(&jetstream(server.monitor)?, log));
            let first = leaders.next()?;
            leaders.all(|leader| leader == first).then(|| self.place(&first))
        })
    }

    /// Whether a server says of itself that it leads the log.
    pub(crate) fn leads(&self, place: usize, log: &str) -> bool {
        let leader = jetstream(self.all[place].monitor).and_then(|jetstream| leader(&jetstream, log));
        leader.is_some_and(|leader| leader == format!("s{place}"))
    }

    /// What a server has logged, for messages of failed tests.
    pub(crate) fn log(&self, place: usize) -> String {
        std::fs::read_to_string(self.home(place).join("log")).unwrap_or_default()
    }

    /// How often a server has noted that the log has got another leader.
    pub(crate) fn elections(&self, log: &str) -> usize {
        let words = format!("stream leader for '$G > {log}'");
        let noted = |place| self.log(place).lines().filter(|line| line.contains(&words)).count();
        (0..self.all.len()).map(noted).sum()
    }
}

/// What a server says of its streams. In HTTP/1.0, so that the answer is whole.
fn jetstream(monitor: SocketAddr) -> Option<Value> {
    let mut stream = TcpStream::connect(monitor).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /jsz?accounts=true&streams=true HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn leader(jetstream: &Value, log: &str) -> Option<String> {
    let streams = jetstream["account_details"]
        .as_array()?
        .iter()
        .filter_map(|account| account["stream_detail"].as_array());
    let stream = streams.flatten().find(|stream| stream["name"] == log)?;
    stream["cluster"]["leader"].as_str().map(str::to_owned)
}

impl Drop for Servers {
    fn drop(&mut self) {
        for place in 0..self.all.len() {
            // What is paused does not die of less.
            if let Some(child) = &mut self.all[place].child
                && child.kill().is_ok()
                && child.wait().is_err()
            {}
            if std::thread::panicking() {
                eprintln!("server {place}: {}", self.log(place));
            }
        }
    }
}

/// Runs the program itself.
pub(crate) fn tallyd(arguments: &[&str]) -> std::process::Output {
    let output = Command::new(env!("CARGO_BIN_EXE_tallyd")).env_clear().args(arguments).output();
    output.expect("the program can be run")
}

/// Makes a log.
pub(crate) fn init(servers: &Servers) {
    init_with(servers, &[]);
}

/// The same with more arguments.
pub(crate) fn init_with(servers: &Servers, more: &[&str]) {
    let urls = servers.urls();
    let arguments = [&["cluster", "init", "--cluster", &urls, "--max-bytes", "1GiB"], more].concat();
    let output = tallyd(&arguments);
    assert!(output.status.success(), "{output:?}");
}

/// A file below a directory, for what has to be given as one.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}
