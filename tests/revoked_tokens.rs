//! Tokens that are revoked, or limited anew, while connections are open: what SIGHUP brings holds at once for these, too.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use rustix::process::Signal;
use sha2::Digest as _;
use support::{Daemon, LINE, command, connect};

const STORY: &str = "5b07ffafc2376e30306d9b16";
const OTHER: &str = "5b07ff77c2376e30306d9b12";

/// The entry of a token; `stories` as the file has them, nothing for all.
fn entry(name: &str, scope: &str, stories: &str) -> String {
    let mut digest = String::new();
    for byte in sha2::Sha256::digest(secret(name)) {
        write!(digest, "{byte:02x}").expect("text");
    }
    let stories = if stories.is_empty() { String::new() } else { format!("stories = [\"{stories}\"]\n") };
    format!("[[token]]\nname = \"{name}\"\nscopes = [\"{scope}\"]\nsha256 = \"{digest}\"\n{stories}")
}

fn secret(name: &str) -> String {
    format!("tally_{name}_0123456789")
}

/// A daemon that knows the tokens `all`, which stays, `reader` and `writer`.
struct Guarded {
    daemon: Daemon,
    file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Guarded {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokens.toml");
        std::fs::write(&file, Self::tokens("", "")).expect("a file");
        let daemon = Daemon::spawn(command(&dir.path().join("data")).arg("--tokens-file").arg(&file));
        Self { daemon, file, _dir: dir }
    }

    fn tokens(reader_stories: &str, writer_stories: &str) -> String {
        let (reader, writer) =
            (entry("reader", "read", reader_stories), entry("writer", "write", writer_stories));
        entry("all", "admin", "") + &reader + &writer
    }

    fn replace_tokens(&mut self, text: &str) {
        std::fs::write(&self.file, text).expect("a file");
        self.daemon.signal(Signal::HUP);
        self.daemon.wait_for_log("tokens read again");
    }

    /// Leaves only the token `all`.
    fn revoke(&mut self) {
        self.replace_tokens(&entry("all", "admin", ""));
    }

    /// Limits both tokens to another story.
    fn limit(&mut self) {
        self.replace_tokens(&Self::tokens(OTHER, OTHER));
    }

    /// Conversations of all time.
    fn counted(&self) -> u64 {
        let mut client = Client::connect(self.daemon.http);
        let target = "/reports/conversations?from=1974-1-1&dimension=year";
        let (status, body) = client.ask("GET", target, "all");
        assert_eq!(status, 200, "{body}");
        let report: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        report["summary"]["total"].as_u64().expect("a total")
    }
}

/// A connection to the HTTP port that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it reads");
    }

    fn ask(&mut self, method: &str, target: &str, token: &str) -> (u16, String) {
        let authorization = format!("Authorization: Bearer {}", secret(token));
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: tallyd\r\n{authorization}\r\n\r\n"));
        self.answer()
    }

    /// The head of the next answer: status and lines.
    fn head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).expect("text") > 0, "closed within a head: {head}");
        }
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, head.to_ascii_lowercase())
    }

    fn answer(&mut self) -> (u16, String) {
        let (status, head) = self.head();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().expect("a line").parse().expect("a length"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the whole body");
        (status, String::from_utf8(body).expect("text"))
    }

    /// Begins a request with a body, which the daemon has asked for when this returns: the token was good then.
    fn begin(&mut self, method: &str, target: &str, framing: &str) {
        let authorization = format!("Authorization: Bearer {}", secret("writer"));
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: tallyd\r\n{authorization}\r\n{framing}\r\nExpect: 100-continue\r\n\r\n"
        ));
        let (status, head) = self.head();
        assert_eq!(status, 100, "{head}");
    }
}

#[test]
fn kept_connection_is_refused_at_its_next_request() {
    let mut guarded = Guarded::start();
    let mut client = Client::connect(guarded.daemon.http);
    let mut quick = Client::connect(guarded.daemon.http);
    let stories = |client: &mut Client| client.ask("GET", "/stories", "reader").0;
    let metrics = |client: &mut Client| client.ask("GET", "/metrics", "reader").0;
    assert_eq!((stories(&mut client), metrics(&mut quick)), (200, 200));
    guarded.limit();
    assert_eq!((stories(&mut client), metrics(&mut quick)), (200, 403));
    guarded.revoke();
    assert_eq!((stories(&mut client), metrics(&mut quick)), (401, 401));
    assert_eq!(client.ask("GET", "/stories", "all").0, 200, "the connection itself goes on");
}

#[test]
fn body_that_is_under_way_counts_by_the_tokens_at_its_end() {
    let mut guarded = Guarded::start();
    let length = format!("Content-Length: {}", LINE.len());
    let chunked = "Transfer-Encoding: chunked";
    let in_chunks = format!("{:x}\r\n{LINE}\r\n0\r\n\r\n", LINE.len());
    let story = format!("/stories/{STORY}");
    let requests = [
        ("POST", "/events", length.as_str(), LINE),
        ("POST", "/write", chunked, &in_chunks),
        ("POST", "/api/v2/write", &length, LINE),
        ("PUT", &story, "Content-Length: 2", "{}"),
    ];
    for (expected, is_revoked) in [([400, 400, 400, 403], false), ([401; 4], true)] {
        let begun = requests.map(|(method, target, framing, body)| {
            let mut client = Client::connect(guarded.daemon.http);
            client.begin(method, target, framing);
            // Some of it is there before.
            let (first, rest) = body.split_at(body.len() / 2);
            client.send(first);
            (client, rest)
        });
        if is_revoked {
            guarded.revoke();
        } else {
            guarded.limit();
        }
        let statuses = begun.map(|(mut client, rest)| {
            client.send(rest);
            client.answer().0
        });
        assert_eq!(statuses, expected);
    }
    assert_eq!(guarded.counted(), 0);
    // The same is counted where nothing has changed.
    guarded.replace_tokens(&Guarded::tokens("", ""));
    let mut client = Client::connect(guarded.daemon.http);
    client.begin("POST", "/events", &length);
    guarded.replace_tokens(&Guarded::tokens(OTHER, ""));
    client.send(LINE);
    assert_eq!(client.answer().0, 200);
    assert_eq!(guarded.counted(), 1);
}

/// Whether the rest of a large report that has begun comes to its end, after what happens meanwhile.
fn large_report_ends(guarded: &mut Guarded, meanwhile: impl FnOnce(&mut Guarded)) -> bool {
    let mut client = Client::connect(guarded.daemon.http);
    // Far more than the sockets hold.
    let target = "/reports/conversations?from=2010-01-01&to=2020-01-01&dimension=hour&group=source";
    let authorization = format!("Authorization: Bearer {}", secret("reader"));
    client.send(&format!(
        "GET {target} HTTP/1.1\r\nHost: tallyd\r\n{authorization}\r\nConnection: close\r\n\r\n"
    ));
    let (status, head) = client.head();
    assert!(status == 200 && head.contains("transfer-encoding: chunked"), "{head}");
    meanwhile(guarded);
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).expect("it is closed");
    rest.ends_with(b"\r\n0\r\n\r\n")
}

#[test]
fn large_report_breaks_off_where_its_token_ends() {
    let mut guarded = Guarded::start();
    for source in ["messenger", "app", "widget", "slack", "livechat", "custom"] {
        let line = LINE.replace("messenger", source).replace(" count=1i", " count=1i 1552813200000000000");
        let mut client = Client::connect(guarded.daemon.http);
        client.begin("POST", "/events", &format!("Content-Length: {}", line.len()));
        client.send(&line);
        assert_eq!(client.answer().0, 200);
    }
    assert!(large_report_ends(&mut guarded, |_| {}));
    let same = Guarded::tokens("", OTHER);
    assert!(
        large_report_ends(&mut guarded, |guarded| guarded.replace_tokens(&same)),
        "it is none of the changed"
    );
    assert!(!large_report_ends(&mut guarded, Guarded::limit), "it was for all stories");
    guarded.replace_tokens(&same);
    assert!(!large_report_ends(&mut guarded, Guarded::revoke));
}

/// A connection of the line port that was let in.
fn lines(guarded: &Guarded) -> BufReader<TcpStream> {
    let mut stream = connect(guarded.daemon.tcp);
    stream.write_all(format!("!auth {}\n{LINE}!sync\n", secret("writer")).as_bytes()).expect("it reads");
    let mut stream = BufReader::new(stream);
    let mut answer = String::new();
    stream.read_line(&mut answer).expect("text");
    assert_eq!(answer, "OK 1 0\n");
    stream
}

#[test]
fn line_connection_holds_to_the_new_stories_and_ends_with_its_token() {
    let mut guarded = Guarded::start();
    let (mut open, mut in_batch) = (lines(&guarded), lines(&guarded));
    in_batch.get_mut().write_all(format!("!batch one\n{LINE}").as_bytes()).expect("it reads");
    guarded.limit();
    let other = LINE.replace(STORY, OTHER);
    open.get_mut().write_all(format!("{LINE}{other}!sync\n").as_bytes()).expect("it reads");
    let mut answers = String::new();
    open.read_line(&mut answers).expect("text");
    open.read_line(&mut answers).expect("text");
    assert_eq!(answers, format!("ERR 4 this token may not write to story {STORY}\nOK 2 1\n"));
    guarded.revoke();
    for (mut connection, text) in [(open, other), (in_batch, "!end\n".to_owned())] {
        connection.get_mut().write_all(text.as_bytes()).expect("it reads");
        let mut answers = String::new();
        connection.read_to_string(&mut answers).expect("it is closed");
        let is_one = answers.lines().count() == 1;
        assert!(
            is_one && answers.ends_with("the token was withdrawn; nothing after this is counted\n"),
            "{answers}"
        );
    }
    assert_eq!(guarded.counted(), 3);
}

#[test]
fn quiet_line_connection_is_closed_where_its_token_was_revoked() {
    let mut guarded = Guarded::start();
    let mut quiet = lines(&guarded);
    guarded.revoke();
    let mut answers = String::new();
    quiet.read_to_string(&mut answers).expect("it is closed");
    assert_eq!(answers, "ERR 4 the token was withdrawn; nothing after this is counted\n");
}
