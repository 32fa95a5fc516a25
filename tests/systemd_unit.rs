//! The unit file is one that systemd takes, and leaves the daemon few rights. Where `systemd-analyze` is not
//! installed this says so and passes, unless `TALLYD_SYSTEMD_REQUIRED` is set.
#![expect(clippy::expect_used, clippy::panic, reason = "tests end where they go wrong")]
#![expect(clippy::print_stderr, reason = "a test that cannot check anything says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tallyd::limits::STOP_MAX;

/// Ten times the exposure that is still good, on the scale of 0 (none) to 100.
const EXPOSURE_MAX: &str = "15";

fn unit_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/tallyd.service")
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

/// The unit with the program where it is built: `verify` wants it to be there.
fn unit_with_real_program() -> (tempfile::TempDir, PathBuf) {
    let text = std::fs::read_to_string(unit_file()).expect("the unit file");
    let program = env!("CARGO_BIN_EXE_tallyd");
    let lines = text.lines().map(|line| match line.strip_prefix("ExecStart=/usr/bin/tallyd") {
        Some(rest) => format!("ExecStart={program}{rest}\n"),
        None => format!("{line}\n"),
    });
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tallyd.service");
    std::fs::write(&path, lines.collect::<String>()).expect("the copy");
    (dir, path)
}

#[test]
fn unit_file_is_accepted_without_a_warning() {
    let (_dir, path) = unit_with_real_program();
    let path = path.to_str().expect("a path of text");
    let Some(output) = analyze(&["verify", "--man=no", path]) else { return };
    let complaints: Vec<String> =
        said(&output).lines().filter(|line| line.contains("tallyd.service")).map(str::to_owned).collect();
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
        "Environment=TALLYD_DATA_DIR=%S/tallyd",
        // Nothing else may be executed, so only with `+`.
        "ExecReload=+/bin/kill -HUP $MAINPID",
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
