//! `tallyd top` of a real daemon: as a sheet, as JSON, and live in a terminal.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]
#![expect(clippy::print_stderr, reason = "a test that cannot check anything says so")]

mod support;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Daemon, talk};

fn top(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command.env_clear().args(["top", "--url", &format!("http://{}", daemon.http)]).args(arguments);
    command
}

const LINES: &str = "conversation,storyId=5b07ffafc2376e30306d9b16,source=slack count=1i,storyName=\"Pizza\"\n\
                     message,storyId=5b07ffafc2376e30306d9b16,source=slack count=1i\n\
                     interaction,storyId=5b07ffafc2376e30306d9b16,source=slack,type=welcome count=1i\n\
                     oops\n\
                     !sync\n";

/// What the command prints while events come.
fn printed_while_counting(daemon: &Daemon, arguments: &[&str]) -> String {
    let mut child = top(daemon, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    while child.try_wait().expect("a child").is_none() {
        assert!(talk(daemon.tcp, LINES.as_bytes()).ends_with("OK 3 1\n"));
    }
    let output = child.wait_with_output().expect("a child");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_sheet_has_what_the_daemon_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(&dir.path().join("data"));
    let json: Value =
        serde_json::from_str(&printed_while_counting(&daemon, &["--json", "--every", "1"])).expect("JSON");
    for path in [
        "/eventsPerSecond/conversations",
        "/eventsPerSecond/messages",
        "/eventsPerSecond/interactions",
        "/eventsPerSecond/rejected",
        "/sources/0/messagesPerSecond",
        "/stories/0/conversationsPerSecond",
        "/journal/bytesPerSecond",
        "/journal/position",
        "/memory/residentBytes",
        "/memory/countedBytes",
        "/answersPerSecond",
        "/reports/0/answered",
    ] {
        let figure = json.pointer(path).and_then(Value::as_f64);
        assert!(figure.is_some_and(|figure| figure > 0.0), "{path}: {json:#}");
    }
    assert_eq!(json.pointer("/stories/0/name"), Some(&"Pizza".into()), "{json:#}");
    assert_eq!(json.pointer("/sources/0/key"), Some(&"slack".into()));
    assert_eq!(json.pointer("/parts/0/status"), Some(&"pass".into()));
    // Where there is no terminal, it is one sheet as well.
    let text = printed_while_counting(&daemon, &["--every", "1"]);
    for words in [
        concat!("tallyd ", env!("CARGO_PKG_VERSION"), ", up "),
        "ingest       pass since ",
        "slack  ",
        "Pizza\n",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn who_may_not_read_metrics_is_told_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = support::command(&dir.path().join("data"));
    let daemon = Daemon::spawn(command.env("TALLYD_TOKENS", "writer:write:0123456789abcdefghij"));
    for (arguments, words) in [(vec![], "401"), (vec!["--token", "0123456789abcdefghij"], "403")] {
        let output = top(&daemon, &[&["--once"][..], &arguments].concat()).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(words), "{told}");
    }
}

#[test]
fn a_terminal_shows_it_anew_until_it_is_interrupted() {
    let dir = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(&dir.path().join("data"));
    // The program takes the shell's place: a shell that waits would be interrupted as well, and tell of that.
    let line = format!("exec '{}' top --every 1 --url http://{}", env!("CARGO_BIN_EXE_tallyd"), daemon.http);
    // It gives the program a terminal, and passes on what is typed.
    let child = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("script is not installed: the terminal is not tried");
            return;
        }
        Err(error) => panic!("script cannot be run: {error}"),
    };
    let mut shown = Vec::new();
    let mut out = child.stdout.take().expect("a pipe");
    let mut buffer = [0; 4096];
    while shown.windows(3).filter(|bytes| *bytes == b"\x1b[H").count() < 3 {
        let read = out.read(&mut buffer).expect("output");
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(buffer.get(..read).expect("it was read"));
    }
    child.stdin.take().expect("a pipe").write_all(b"\x03").expect("a key");
    out.read_to_end(&mut shown).expect("output");
    let status = child.wait().expect("a child");
    let shown = String::from_utf8_lossy(&shown);
    assert!(status.success(), "{status}: {shown}");
    assert!(shown.contains("tallyd top of 127.0.0.1:") && shown.contains("snapshot"), "{shown}");
}
