//! The program as an operator runs it: how it starts, says so, stops, and with which exit code it refuses to.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]

mod support;

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use support::{Daemon, LINE, PATIENCE, command, command_with_sockets, talk};

fn data_dir() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    (dir, data)
}

/// Runs a daemon that is expected to end by itself.
fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().expect("the program can be run");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

fn tallyd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command.env_clear().args(arguments);
    command
}

#[test]
fn sigterm_ends_with_0_and_a_restart_knows_everything() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    assert_eq!(talk(daemon.tcp, format!("{LINE}{LINE}!sync\n").as_bytes()), "OK 2 0\n");
    assert_eq!(daemon.conversations(), 2);
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");

    let daemon = Daemon::start(&data);
    assert!(daemon.log.contains("recovered"), "{}", daemon.log);
    assert_eq!(daemon.conversations(), 2);
    assert_eq!(daemon.stop().0.code(), Some(0));
}

#[test]
fn verify_says_how_many_keys_are_remembered() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    for _ in 0..2 {
        assert_eq!(
            talk(daemon.tcp, format!("!batch a\n{LINE}!end\n!batch b\n{LINE}!end\n").as_bytes())
                .lines()
                .count(),
            2
        );
    }
    let line = format!("{} 1552813200000000001", LINE.trim_end());
    let write =
        format!("POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{line}", line.len());
    assert!(talk(daemon.http, write.as_bytes()).starts_with("HTTP/1.1 204 "));
    assert_eq!(daemon.stop().0.code(), Some(0));
    let output = tallyd(&["verify", "--data-dir"]).arg(&data).output().expect("the program can be run");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.contains("keys, window:         2, 1\n"), "{told}");
}

#[test]
fn retention_drops_months_at_the_start_and_the_moment_stays_known_without_it() {
    const REPORT: &str = "/reports/conversations?from=2018-1-1&dimension=year";
    const DROPPED: &str = "were dropped, for good";
    let (_dir, data) = data_dir();
    let old = LINE.trim_end().to_owned() + " 1552813200000000000\n";
    let daemon = Daemon::start(&data);
    assert_eq!(talk(daemon.tcp, format!("{old}{LINE}!sync\n").as_bytes()), "OK 2 0\n");
    assert!(!daemon.get(REPORT).contains("dropped"));
    assert_eq!(daemon.stop().0.code(), Some(0));

    let mut daemon = Daemon::spawn(command(&data).args(["--retention", "1y"]));
    if !daemon.log.contains(DROPPED) {
        daemon.wait_for_log(DROPPED);
    }
    let report = daemon.get(REPORT);
    assert!(report.contains("\"droppedBefore\":\"20"), "{report}");
    assert!(report.contains("\"total\":1,"), "{report}");
    let refused = talk(daemon.tcp, format!("{old}!sync\n").as_bytes());
    assert!(refused.starts_with("ERR 1 ") && refused.contains("were dropped"), "{refused}");
    assert_eq!(daemon.stop().0.code(), Some(0));

    let months: Vec<_> = std::fs::read_dir(data.join("snapshot")).expect("it is there").collect();
    let is_old = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("2019-03");
    assert!(
        months.iter().all(|entry| !is_old(&entry.as_ref().expect("it is there").file_name())),
        "{months:?}"
    );
    let output = tallyd(&["verify", "--data-dir"]).arg(&data).output().expect("the program can be run");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.contains("dropped:              all hours before 20"), "{told}");

    let daemon = Daemon::start(&data);
    assert!(daemon.get(REPORT).contains("\"droppedBefore\":\"20"));
    assert!(talk(daemon.tcp, old.as_bytes()).contains("were dropped"));
    assert_eq!(daemon.stop().0.code(), Some(0));
}

#[test]
fn sigint_ends_with_0_too() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn a_second_signal_does_no_harm() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    assert_eq!(talk(daemon.tcp, format!("{LINE}!sync\n").as_bytes()), "OK 1 0\n");
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::TERM);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(Daemon::start(&data).conversations(), 1);
}

/// Reads a stream until it says that.
fn read_until(stream: &mut TcpStream, told: &mut String, what: &str) {
    let mut bytes = [0; 4096];
    while !told.contains(what) {
        let read = stream.read(&mut bytes).expect("the stream goes on");
        assert!(read > 0, "closed before {what:?}: {told}");
        told.push_str(std::str::from_utf8(&bytes[..read]).expect("text"));
    }
}

#[test]
fn a_report_is_followed_until_the_daemon_stops() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut stream = support::connect(daemon.http);
    let target = "/reports/conversations/stream?from=2019-1-1&dimension=month";
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut told = String::new();
    read_until(&mut stream, &mut told, "\"summary\":{\"total\":0,");
    assert_eq!(talk(daemon.tcp, format!("{LINE}{LINE}!sync\n").as_bytes()), "OK 2 0\n");
    read_until(&mut stream, &mut told, "{\"op\":\"replace\",\"path\":\"/summary/total\",\"value\":2}");
    daemon.signal(Signal::TERM);
    read_until(&mut stream, &mut told, "event: end\ndata: {\"reason\":\"stopping\"}\n\n");
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    assert_eq!(talk(daemon.tcp, format!("{LINE}{LINE}{LINE}!sync\n").as_bytes()), "OK 3 0\n");
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.wait().0.code(), None);
    assert_eq!(Daemon::start(&data).conversations(), 3);
}

#[test]
fn a_data_directory_in_use_ends_with_75_and_disturbs_nobody() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let (code, log) = outcome(&mut command(&data));
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("in use"), "{log}");
    assert_eq!(talk(daemon.tcp, b"!sync\n"), "OK 0 0\n");
}

#[test]
fn an_address_in_use_ends_with_75_and_is_named() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let (_other_dir, other) = data_dir();
    let address = daemon.tcp.to_string();
    let mut second = tallyd(&["--http-listen", "off", "--tcp-listen", &address, "--data-dir"]);
    let (code, log) = outcome(second.arg(other));
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains(&address), "{log}");
}

#[test]
fn a_damaged_data_directory_ends_with_65_and_names_a_file() {
    let (_dir, data) = data_dir();
    assert_eq!(Daemon::start(&data).stop().0.code(), Some(0));
    let files = files_under(&data.join("snapshot"));
    assert!(!files.is_empty(), "a snapshot was made");
    for file in &files {
        std::fs::write(file, b"this was never written by tallyd").expect("the file");
    }
    let (code, log) = outcome(&mut command(&data));
    assert_eq!(code, Some(65), "{log}");
    assert!(log.contains("snapshot"), "{log}");
}

fn files_under(dir: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_wrong_configuration_ends_with_64_before_anything_is_made() {
    let (_dir, data) = data_dir();
    let (code, log) = outcome(command(&data).args(["--fsync", "sometimes", "--max-future", "soon"]));
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("--fsync") && log.contains("--max-future"), "both are told: {log}");
    assert!(!data.exists());
    assert_eq!(outcome(&mut tallyd(&["--no-such-flag"])).0, Some(64));
    assert_eq!(outcome(&mut tallyd(&["no-such-command"])).0, Some(64));
}

#[test]
fn an_address_that_others_reach_is_refused_without_tokens() {
    let (_dir, data) = data_dir();
    let mut open = tallyd(&["--http-listen", "0.0.0.0:0", "--tcp-listen", "off", "--data-dir"]);
    let (code, log) = outcome(open.arg(data));
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("no access tokens"), "{log}");
}

#[test]
fn sockets_of_the_service_manager_are_served_and_stay_open_over_a_restart() {
    let (_dir, data) = data_dir();
    let [http, lines] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [http_at, lines_at] = [&http, &lines].map(|socket| socket.local_addr().expect("an address"));
    let start = || {
        let [http, lines] = [&http, &lines].map(|socket| socket.try_clone().expect("a handle").into());
        Daemon::spawn(&mut command_with_sockets(&data, http, lines))
    };
    let daemon = start();
    assert_eq!((daemon.http, daemon.tcp), (http_at, lines_at));
    assert_eq!(talk(lines_at, format!("{LINE}!sync\n").as_bytes()), "OK 1 0\n");
    assert_eq!(daemon.stop().0.code(), Some(0));
    // Nobody serves now, and nobody is refused: the kernel keeps the connection for the next daemon.
    let mut waiting = TcpStream::connect(lines_at).expect("a connection");
    waiting.write_all(format!("{LINE}!sync\n").as_bytes()).expect("room");
    let daemon = start();
    let mut answer = [0; 7];
    waiting.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"OK 1 0\n");
    assert_eq!(daemon.conversations(), 2);
}

#[test]
fn a_socket_with_another_name_ends_with_64() {
    let (_dir, data) = data_dir();
    let socket = || TcpListener::bind("127.0.0.1:0").expect("a port").into();
    let command = command_with_sockets(&data, socket(), socket());
    let arguments: Vec<_> = command.get_args().map(|text| text.to_string_lossy().into_owned()).collect();
    let script = arguments[1].replace("http:lines", "http:line");
    let mut renamed = Command::new("/bin/sh");
    renamed.env_clear().arg("-c").arg(script).args(&arguments[2..]).stdin(socket()).stdout(socket());
    let (code, log) = outcome(renamed.stderr(std::process::Stdio::piped()));
    drop(command);
    assert_eq!(code, Some(64), "{log}");
    assert!(log.contains("`line`") && log.contains("http or lines"), "{log}");
}

#[test]
fn sockets_that_do_not_listen_end_with_64_and_are_told_by_name() {
    use rustix::net::{AddressFamily, SocketType, socket};
    let (_dir, data) = data_dir();
    let datagrams = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket");
    let connects = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let (code, log) = outcome(&mut command_with_sockets(&data, datagrams, connects));
    assert_eq!(code, Some(64), "{log}");
    for name in ["http", "lines"] {
        assert!(log.contains(&format!("`{name}` cannot be used: it does not listen")), "{log}");
    }
    assert!(!data.exists());
}

#[test]
fn sockets_of_the_file_system_serve_both_ports() {
    let (dir, data) = data_dir();
    let [http, lines] = ["http.sock", "lines.sock"].map(|name| dir.path().join(name));
    let flags = [("--http-listen", format!("unix:{},mode=0600", http.display()))];
    let mut command =
        tallyd(&[flags[0].0, &flags[0].1, "--tcp-listen", &format!("unix:{}", lines.display())]);
    command.arg("--data-dir").arg(&data).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut log = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut told = String::new();
    while !told.contains("listening") {
        told.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut told).expect("text") > 0, "it ended");
    }
    assert!(told.contains(&format!("http=unix:{} tcp=unix:{}", http.display(), lines.display())), "{told}");
    let mode =
        |path: &Path| std::fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&http), mode(&lines)), (0o600, 0o660));

    let ask = |path: &Path, request: &str| {
        let mut stream = UnixStream::connect(path).expect("a connection");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert_eq!(ask(&lines, &format!("{LINE}!sync\n")), "OK 1 0\n");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(ask(&http, &get("/health")).starts_with("HTTP/1.1 200 "));
    assert!(ask(&http, &get("/reports/conversations")).contains("\"total\":1"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(!http.exists() && !lines.exists(), "the names go with the daemon");
}

#[test]
fn check_config_only_checks() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/tallyd.example.toml");
    let (code, log) = outcome(tallyd(&["--check-config"]).arg(example));
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(outcome(&mut tallyd(&["serve", "--check-config", "--fsync", "never"])).0, Some(0));
    assert_eq!(outcome(&mut tallyd(&["serve", "--check-config", "--fsync", "sometimes"])).0, Some(64));
}

#[test]
fn help_is_complete_and_no_error() {
    let output = tallyd(&["help"]).output().expect("the program can be run");
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).expect("text");
    for word in
        ["serve", "demo", "push", "report", "verify", "export", "import", "token", "--max-future", "75"]
    {
        assert!(help.contains(word), "{word} is missing from {help}");
    }
}

#[test]
fn a_listener_that_is_off_is_not_there() {
    let (_dir, data) = data_dir();
    let mut command = tallyd(&["--http-listen", "off", "--tcp-listen", "127.0.0.1:0", "--data-dir"]);
    let mut child = command.arg(&data).stderr(std::process::Stdio::piped()).spawn().expect("it runs");
    let mut log = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).expect("text") > 0, "it ended");
    }
    assert!(line.contains("listening http=off tcp=127.0.0.1:"), "{line}");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn the_demo_shows_something_says_what_to_try_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = tallyd(&["demo", "--days", "2", "--http-listen", "127.0.0.1:0", "--tcp-listen"]);
    command.arg("127.0.0.1:0").env("TMPDIR", dir.path()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut told = String::new();
    while !told.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut stderr, &mut told).expect("text") > 0, "it ended: {told}");
    }
    let address = told.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let address = address.parse().expect("an address");
    assert!(support::get(address, "/stories").contains("Pizza orders"));
    let reports = format!("\n  {} report --url http://{address} ", env!("CARGO_BIN_EXE_tallyd"));
    assert_eq!(told.matches(&reports).count(), 2, "{told}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[test]
fn the_service_manager_hears_ready_alive_and_stopping() {
    let (dir, data) = data_dir();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut heard = Vec::new();
    let mut wait_for = |words: &str| {
        let mut buffer = [0; 4096];
        while !heard.iter().any(|told: &String| told.contains(words)) {
            let bytes =
                manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{words} did not come: {error}"));
            heard.push(String::from_utf8_lossy(&buffer[..bytes]).into_owned());
        }
    };
    let daemon = Daemon::spawn(command(&data).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000"));
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    daemon.signal(Signal::TERM);
    wait_for("STOPPING=1");
    wait_for(&format!("EXTEND_TIMEOUT_USEC={}", tallyd::limits::STOP_MAX.as_micros()));
    assert_eq!(daemon.wait().0.code(), Some(0));
    let place = |words: &str| heard.iter().position(|told| told.contains(words));
    assert!(
        place("EXTEND_TIMEOUT_USEC") < place("READY=1") && place("READY=1") < place("STOPPING=1"),
        "{heard:?}"
    );
    assert!(
        heard.iter().any(|told| told.contains(&format!("STATUS=listening http={}", "127.0.0.1"))),
        "{heard:?}"
    );
}

#[test]
fn the_service_manager_hears_when_a_reload_begins_and_ends() {
    let (dir, data) = data_dir();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let next = || {
        let mut buffer = [0; 4096];
        let bytes = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..bytes]).into_owned()
    };
    let daemon = Daemon::spawn(command(&data).env("NOTIFY_SOCKET", &path));
    let is_ready = |told: &String| told.lines().any(|line| line == "READY=1");
    std::iter::repeat_with(next).find(is_ready).expect("it becomes ready");
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
    };
    let before = now();
    daemon.signal(Signal::HUP);
    let reloading = std::iter::repeat_with(next).find(|told| told.contains("RELOADING=1")).expect("a reload");
    let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("when it began");
    assert!((before..=now()).contains(&at.parse::<i64>().expect("a number")), "{reloading}");
    std::iter::repeat_with(next).find(is_ready).expect("it becomes ready again");
}

#[test]
fn connections_leave_descriptors_to_the_store() {
    let (_dir, data) = data_dir();
    let real = command(&data);
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n 266; exec \"$0\" \"$@\""]).arg(real.get_program()).args(real.get_args());
    limited.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let daemon = Daemon::spawn(&mut limited);
    assert!(daemon.log.contains("allows fewer connections"), "{}", daemon.log);
    // Five for each port.
    let open: Vec<_> = (0..5).map(|_| TcpStream::connect(daemon.tcp).expect("a place")).collect();
    let mut refused = String::new();
    TcpStream::connect(daemon.tcp).expect("it listens").read_to_string(&mut refused).expect("text");
    assert!(refused.contains("too many connections"), "{refused}");
    assert!(
        support::get(daemon.http, "/metrics")
            .contains("tallyd_connections_refused_total{listener=\"tcp\"} 1\n")
    );
    drop(open);
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn sighup_reads_the_tokens_again_and_faulty_ones_change_nothing() {
    let (dir, data) = data_dir();
    let file = dir.path().join("tokens.toml");
    let entry =
        |digest: &str| format!("[[token]]\nname = \"bots\"\nscopes = [\"write\"]\nsha256 = \"{digest}\"\n");
    // SHA-256 of the text "one", and of the text "two".
    let one = entry("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    let two = entry("3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3");
    std::fs::write(&file, one).expect("a file");
    let mut daemon = Daemon::spawn(command(&data).arg("--tokens-file").arg(&file));
    let takes = |daemon: &Daemon, token: &str| {
        talk(daemon.tcp, format!("!auth {token}\n!sync\n").as_bytes()) == "OK 0 0\n"
    };
    assert!(takes(&daemon, "one") && !takes(&daemon, "two"));
    let mut open = TcpStream::connect(daemon.tcp).expect("it listens");
    open.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    open.write_all(format!("!auth one\n{LINE}!sync\n").as_bytes()).expect("it reads");
    let mut answer = [0; 7];
    open.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"OK 1 0\n");

    std::fs::write(&file, two).expect("a file");
    daemon.signal(Signal::HUP);
    daemon.wait_for_log("tokens read again");
    assert!(takes(&daemon, "two") && !takes(&daemon, "one"));
    // A connection that presented the token before is no exception.
    open.write_all(LINE.as_bytes()).expect("it reads");
    let mut end = String::new();
    open.read_to_string(&mut end).expect("it is closed");
    assert!(end.contains("the token was withdrawn"), "{end}");

    for faulty in ["[[token]]\nname = 1\n", ""] {
        std::fs::write(&file, faulty).expect("a file");
        daemon.signal(Signal::HUP);
        daemon.wait_for_log("stay");
        assert!(takes(&daemon, "two") && !takes(&daemon, ""));
    }
}

#[test]
fn log_lines_suit_whoever_reads_them() {
    let (_dir, data) = data_dir();
    let text = Daemon::start(&data);
    assert!(text.log.lines().all(|line| line.starts_with("20") && line.contains('Z')), "{}", text.log);
    assert_eq!(text.stop().0.code(), Some(0));

    let journal = Daemon::spawn(command(&data).env("JOURNAL_STREAM", "8:1"));
    assert!(journal.log.lines().all(|line| line.starts_with("<6>")), "{}", journal.log);
    assert_eq!(journal.stop().0.code(), Some(0));

    let json = Daemon::spawn(command(&data).args(["--log-format", "json"]));
    let lines: Vec<serde_json::Value> =
        json.log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let levels: HashSet<String> = lines.iter().map(|line| line["level"].to_string()).collect();
    assert_eq!(levels, HashSet::from(["\"INFO\"".to_owned()]), "{}", json.log);
    let recovered = lines.iter().find(|line| line["message"] == "recovered").expect("it says so");
    assert!(recovered["took_ms"].is_u64() && recovered["journal_records"].is_u64(), "{recovered}");
}
