//! The units are such as systemd takes, the service leaves the daemon few rights, and the sockets are those of its ports. Where `systemd-analyze` is not
//! installed this says so and passes, unless `TALLYD_SYSTEMD_REQUIRED` is set.
#![expect(clippy::expect_used, clippy::panic, reason = "tests end where they go wrong")]
#![expect(clippy::print_stderr, reason = "a test that cannot check anything says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tallyd::daemon::config::options::{Key, OPTIONS};
use tallyd::limits::STOP_MAX;

/// Ten times the exposure that is still good, on the scale of 0 (none) to 100.
const EXPOSURE_MAX: &str = "15";

/// The sockets of both ports, with the names by which the daemon knows them, and the addresses that they stand for.
const SOCKETS: [(&str, &str, Key); 2] =
    [("tallyd.socket", "http", Key::HttpListen), ("tallyd-lines.socket", "lines", Key::TcpListen)];

fn unit_file() -> PathBuf {
    unit("tallyd.service")
}

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// Runs `systemd-analyze`; `None` where it is not installed.
fn analyze(arguments: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(
                std::env::var_os("TALLYD_SYSTEMD_REQUIRED").is_none(),
                "systemd-analyze is required, but not installed"
            );
            eprintln!("systemd-analyze is not installed: the unit file is not checked");
            None
        }
        Err(error) => panic!("systemd-analyze cannot be run: {error}"),
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// All units, in a folder of their own, with the program where it is built: `verify` wants it to be there.
fn units_with_real_program() -> (tempfile::TempDir, Vec<PathBuf>) {
    let text = std::fs::read_to_string(unit_file()).expect("the unit file");
    let program = env!("CARGO_BIN_EXE_tallyd");
    let lines = text.lines().map(|line| match line.strip_prefix("ExecStart=/usr/bin/tallyd") {
        Some(rest) => format!("ExecStart={program}{rest}\n"),
        None => format!("{line}\n"),
    });
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tallyd.service");
    std::fs::write(&path, lines.collect::<String>()).expect("the copy");
    let sockets = SOCKETS.map(|(name, ..)| {
        let copy = dir.path().join(name);
        std::fs::copy(unit(name), &copy).expect("the copy");
        copy
    });
    (dir, [path].into_iter().chain(sockets).collect())
}

#[test]
fn units_are_accepted_without_a_warning() {
    let (_dir, paths) = units_with_real_program();
    let paths = paths.iter().map(|path| path.to_str().expect("a path of text"));
    let arguments: Vec<&str> = ["verify", "--man=no"].into_iter().chain(paths).collect();
    let Some(output) = analyze(&arguments) else { return };
    let complaints: Vec<String> =
        said(&output).lines().filter(|line| line.contains("tallyd")).map(str::to_owned).collect();
    assert!(output.status.success() && complaints.is_empty(), "{}", said(&output));
}

#[test]
fn unit_file_leaves_little_exposed() {
    let path = unit_file();
    let path = path.to_str().expect("a path of text");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let Some(output) = analyze(&["security", "--offline=true", &threshold, path]) else { return };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn unit_file_speaks_the_daemons_language() {
    let text = std::fs::read_to_string(unit_file()).expect("the unit file");
    for line in [
        "Type=notify",
        "Restart=on-failure",
        "RestartPreventExitStatus=64 65",
        "DynamicUser=yes",
        "StateDirectory=tallyd",
        // The README and the example name sockets in it.
        "RuntimeDirectory=tallyd",
        "Environment=TALLYD_DATA_DIR=%S/tallyd",
        // Nothing else may be executed, so only with `+`.
        "ExecReload=+/bin/sh -c 'kill -HUP $$MAINPID'",
        // For the nice value of the snapshot thread, after the set that has it was taken away.
        "SystemCallFilter=setpriority",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing");
    }
    let place = |line: &str| text.lines().position(|found| found == line);
    assert!(place("SystemCallFilter=~@privileged @resources") < place("SystemCallFilter=setpriority"));
    let timeout = text.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a timeout");
    assert!(timeout.parse::<u64>().expect("seconds") >= STOP_MAX.as_secs());
}

#[test]
fn sockets_have_the_names_and_the_addresses_of_the_daemon() {
    for (name, port, key) in SOCKETS {
        let text = std::fs::read_to_string(unit(name)).expect("the unit");
        let option = OPTIONS.iter().find(|option| option.key == key).expect("an option");
        let address = option.default.expect("a default");
        for line in
            [&format!("FileDescriptorName={port}"), &format!("ListenStream={address}"), "Backlog=4096"]
        {
            assert!(text.lines().any(|found| found == line), "{line} is missing in {name}");
        }
        // Without the line a socket belongs to the service of its own name.
        let service = text.lines().find_map(|line| line.strip_prefix("Service="));
        assert_eq!(service.is_some(), name != "tallyd.socket", "{name}");
        assert!(service.is_none_or(|service| service == "tallyd.service"), "{name}");
        for (other, ..) in SOCKETS.iter().filter(|(other, ..)| *other != name) {
            assert!(text.lines().any(|line| line == format!("Also={other}")), "{name} is enabled alone");
        }
    }
}
