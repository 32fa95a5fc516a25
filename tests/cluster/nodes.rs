//! Daemons that share a log: what one has acknowledged the others count, once, in the same way; what they say of the log is so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::servers::{Servers, init, tallyd, until};
use super::support::{Daemon, LINE, command, connect};

/// A daemon that shares the log, with its directory, which outlives it.
pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) daemon: Option<Daemon>,
    arguments: Vec<String>,
}

impl Node {
    pub(crate) fn start(urls: &str, more: &[&str]) -> Self {
        let mut node = Self::new(urls, more);
        node.restart();
        node
    }

    /// One that has not been started.
    pub(crate) fn new(urls: &str, more: &[&str]) -> Self {
        let arguments =
            ["--cluster", urls].iter().chain(more).map(|argument| (*argument).to_owned()).collect();
        Self { dir: tempfile::tempdir().unwrap(), daemon: None, arguments }
    }

    /// Gives an argument another value, from the next start on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let place = self.arguments.iter().position(|argument| argument == name).expect("it is given");
        value.clone_into(&mut self.arguments[place + 1]);
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn restart(&mut self) {
        self.daemon = Some(Daemon::spawn(command(&self.data_dir()).args(&self.arguments)));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.daemon.as_ref().expect("it runs").signal(signal);
    }

    /// Why it has stopped to follow the log.
    pub(crate) fn stopped(&self) -> String {
        let why = until("the node stops", || self.cluster()["stopped"].as_str().map(str::to_owned));
        let refused = request(self.http(), "POST", "/events", &[], LINE).unwrap();
        assert_eq!(refused.status, 503, "{refused:?}");
        let health = request(self.http(), "GET", "/health", &[], "").unwrap();
        assert!(health.status == 503 && health.body.contains("\"log\":\"fail\""), "{health:?}");
        why
    }

    pub(crate) fn kill(&mut self) {
        let daemon = self.daemon.take().expect("it runs");
        daemon.signal(Signal::KILL);
        daemon.wait();
    }

    pub(crate) fn stop(&mut self) {
        let (status, log) = self.daemon.take().expect("it runs").stop();
        assert!(status.success(), "{log}");
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.daemon.as_ref().expect("it runs").http
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.daemon.as_ref().expect("it runs").tcp
    }

    pub(crate) fn cluster(&self) -> Value {
        serde_json::from_str(&request(self.http(), "GET", "/cluster", &[], "").unwrap().body).unwrap()
    }

    /// Waits until the log is reached, and read from its beginning.
    pub(crate) fn ready(&self) {
        until("the node has read the log", || {
            let cluster = self.cluster();
            (cluster["server"].is_string() && cluster["log"].is_string()).then_some(())
        });
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::trim)
    }
}

/// One request on a connection of its own; `None` where that breaks before the answer is there.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Reply> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(super::support::PATIENCE)).ok()?;
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    Some(Reply { status, head: head.to_owned(), body: body.to_owned() })
}

/// All counters of a directory that no daemon uses.
pub(crate) fn export(data_dir: &Path) -> String {
    let output = tallyd(&["export", "--data-dir", data_dir.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn conversations(node: &Node, position: Option<&str>) -> u64 {
    let headers: Vec<(&str, &str)> = position.iter().map(|position| ("tallyd-position", *position)).collect();
    let path = "/reports/conversations?from=1974-1-1&dimension=year";
    // Where it has not read as far within its time, it says to ask again.
    let reply = until("it has read as far", || {
        let reply = request(node.http(), "GET", path, &headers, "").unwrap();
        assert!(reply.status == 200 || (reply.status == 503 && position.is_some()), "{reply:?}");
        (reply.status == 200).then_some(reply)
    });
    let report: Value = serde_json::from_str(&reply.body).unwrap();
    report["summary"]["total"].as_u64().unwrap()
}

/// It is said in words, and nothing goes; what would go can be asked.
#[test]
fn counts_cannot_be_undone_in_a_cluster() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let node = Node::start(&servers.urls(), &[]);
    node.ready();
    assert_eq!(request(node.http(), "POST", "/events", &[], LINE).unwrap().status, 200);
    let undo = "/stories/5b07ffafc2376e30306d9b16/counts?from=1974-1-1&to=2100-1-1";
    let refused = request(node.http(), "DELETE", undo, &[], "").unwrap();
    assert!(refused.status == 422 && refused.body.contains("cannot be undone"), "{refused:?}");
    let asked = request(node.http(), "DELETE", &format!("{undo}&dry_run=true"), &[], "").unwrap();
    assert!(asked.status == 200 && asked.body.contains("\"value\":1}"), "{asked:?}");
    assert_eq!(conversations(&node, None), 1);
}

#[test]
fn what_one_node_acknowledges_the_other_counts_once_and_the_same() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let (mut one, mut two) = (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[]));
    one.ready();
    two.ready();

    let reply = request(one.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let position = reply.header("tallyd-position").expect("a position").to_owned();
    assert_eq!((conversations(&one, None), conversations(&two, Some(&position))), (1, 1));

    // The same key to both counts once, and both get the same answer.
    let key = [("idempotency-key", "once")];
    let first = request(one.http(), "POST", "/events", &key, LINE).unwrap();
    let again = request(two.http(), "POST", "/events", &key, LINE).unwrap();
    assert_eq!((first.status, again.status, &first.body), (200, 200, &again.body));
    assert_eq!(
        (first.header("idempotency-replayed"), again.header("idempotency-replayed")),
        (None, Some("true"))
    );
    let other = request(two.http(), "POST", "/events", &key, &LINE.repeat(2)).unwrap();
    assert_eq!(other.status, 422, "{other:?}");

    // Lines, whose acknowledgement comes from the log as well; a key of theirs is the same key.
    let mut stream = connect(two.tcp());
    write!(stream, "{LINE}{LINE}!sync\n!batch once\n{LINE}!end\n!batch lines\n{LINE}!end\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answers: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    assert_eq!(answers, ["OK 2 0", "DUP 1 0", "OK 1 0"]);
    let position = request(two.http(), "GET", "/stories", &[], "").unwrap();
    let position = position.header("tallyd-position").unwrap().to_owned();
    assert_eq!((conversations(&one, Some(&position)), conversations(&two, None)), (5, 5));

    // Catalogue: what one makes known, the other names; what one deletes is gone from both.
    let story = "/stories/5b07ffafc2376e30306d9b17";
    let put = request(one.http(), "PUT", story, &[], r#"{"name":"Pizza"}"#).unwrap();
    assert_eq!(put.status, 200, "{put:?}");
    let position = put.header("tallyd-position").unwrap().to_owned();
    let named = request(two.http(), "GET", story, &[("tallyd-position", &position)], "").unwrap();
    assert!(named.body.contains("Pizza"), "{named:?}");
    let gone = request(two.http(), "DELETE", "/stories/5b07ffafc2376e30306d9b16", &[], "").unwrap();
    assert_eq!(gone.status, 204, "{gone:?}");
    let position = gone.header("tallyd-position").unwrap().to_owned();
    assert_eq!((conversations(&one, Some(&position)), conversations(&two, None)), (0, 0));
    request(one.http(), "POST", "/events", &[], LINE).unwrap();

    // The same at a restart of both.
    for node in [&mut one, &mut two] {
        node.kill();
        node.restart();
        node.ready();
    }
    let reply = request(two.http(), "POST", "/events", &[], LINE).unwrap();
    let position = reply.header("tallyd-position").unwrap().to_owned();
    assert_eq!((conversations(&one, Some(&position)), conversations(&two, None)), (2, 2));
    let same = |one: &Value, two: &Value| {
        ["log", "position", "chain", "digest"].iter().all(|name| one[*name] == two[*name])
    };
    until("both have read the same", || same(&one.cluster(), &two.cluster()).then_some(()));
    // A node that begins with a backup goes on from there.
    let mut three = Node::new(&servers.urls(), &["--cluster-role", "query"]);
    let (url, to) = (format!("http://{}", one.http()), three.data_dir());
    let copied = tallyd(&["backup", "--url", &url, to.to_str().unwrap()]);
    assert!(copied.status.success(), "{copied:?}");
    three.restart();
    let reply = request(one.http(), "POST", "/events", &[], LINE).unwrap();
    let position = reply.header("tallyd-position").unwrap().to_owned();
    assert_eq!((conversations(&two, Some(&position)), conversations(&three, Some(&position))), (3, 3));
    until("all have read the same", || {
        let of_one = one.cluster();
        (same(&of_one, &two.cluster()) && same(&of_one, &three.cluster())).then_some(())
    });

    let urls = [one.http(), two.http()].map(|address| format!("http://{address}"));
    let status = tallyd(&["cluster", "status", &urls[0], &urls[1]]);
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    one.stop();
    two.stop();
    three.stop();
    assert_eq!(export(&one.data_dir()), export(&two.data_dir()));
    assert_eq!(export(&one.data_dir()), export(&three.data_dir()));
}
