//! Every command ends with the exit code that the table of `--help` has for what happened, and says what was wrong.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Daemon, LINE, talk};
use tallyd::daemon::config::options::OPTIONS;

const DONE: i32 = 0;
const FAILED: i32 = 1;
const MISUSED: i32 = 64;
const DAMAGED: i32 = 65;
const TRY_LATER: i32 = 75;

fn tallyd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command.env_clear().args(arguments);
    command
}

/// Runs a command, which has to end with that code and say all of `words`.
#[track_caller]
fn check(command: &mut Command, code: i32, words: &[&str]) {
    let Output { status, stdout, stderr } = command.output().expect("the program can be run");
    let told = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(code), "{command:?}: {told}");
    for word in words {
        assert!(told.contains(word), "{command:?} does not say {word:?}: {told}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn commands() -> Vec<String> {
    let output = tallyd(&["--help"]).output().expect("the program can be run");
    let help = String::from_utf8(output.stdout).expect("text");
    let list = help.split("Commands:\n").nth(1).expect("a list").split("\n\n").next().expect("its lines");
    list.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn every_command_has_help_with_the_codes_and_refuses_an_unknown_flag() {
    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in &commands {
        check(&mut tallyd(&[command, "--help"]), DONE, &["Exit codes:", "\n  64  ", "\n  75  "]);
        check(&mut tallyd(&[command, "--no-such-flag"]), MISUSED, &["--no-such-flag"]);
    }
    let version = [
        "tallyd ",
        env!("CARGO_PKG_VERSION"),
        "\ncommit:     ",
        if cfg!(feature = "cluster") { "\nfeatures:   cluster\n" } else { "\nfeatures:   none\n" },
        "\ntime zones: tzdata 20",
    ];
    check(&mut tallyd(&["--version"]), DONE, &version);
    check(&mut tallyd(&["no-such-command"]), MISUSED, &[]);
}

#[test]
fn a_wrong_path_is_not_called_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, empty, foreign) =
        (dir.path().join("file"), dir.path().join("empty"), dir.path().join("foreign"));
    std::fs::write(&file, b"x").expect("a file");
    std::fs::create_dir(&empty).expect("a directory");
    std::fs::create_dir(&foreign).expect("a directory");
    std::fs::write(foreign.join("letter.txt"), b"x").expect("a file");
    let none = dir.path().join("none");
    for command in ["verify", "export"] {
        for (path, words) in [
            (&none, "none does not exist; --data-dir takes the directory"),
            (&file, "file is not a directory; --data-dir takes"),
            (&empty, "empty is empty: no tallyd has kept anything there"),
            (&foreign, "foreign has nothing of tallyd's, but `letter.txt`"),
        ] {
            check(&mut tallyd(&[command, "--data-dir", text(path)]), MISUSED, &[words]);
        }
    }
    std::fs::create_dir_all(foreign.join("tallyd/journal")).expect("a directory");
    for command in ["serve", "demo"] {
        for (path, words) in [
            (&file, "file is not a directory"),
            (&foreign, "foreign/tallyd in it, which is a data directory"),
        ] {
            check(&mut tallyd(&[command, "--data-dir", text(path)]), MISUSED, &["--data-dir: ", words]);
        }
    }
    let left: Vec<_> = std::fs::read_dir(&foreign).expect("a directory").collect();
    assert_eq!(left.len(), 2, "nothing was made there");
    let beside = ["--check-config", "--data-dir", text(dir.path())];
    std::fs::remove_dir_all(foreign).expect("it is there");
    check(&mut tallyd(&beside), DONE, &["warning: the data directory ", "not tallyd's, such as `"]);
    assert!(!none.exists());
}

#[test]
fn damage_and_a_directory_in_use_are_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data);
    assert_eq!(talk(daemon.tcp, format!("{LINE}!sync\n").as_bytes()), "OK 1 0\n");
    for command in ["verify", "export", "serve"] {
        check(&mut tallyd(&[command, "--data-dir", text(&data)]), TRY_LATER, &["in use by another tallyd"]);
    }
    let port = daemon.tcp.to_string();
    let other = dir.path().join("other");
    let mut second =
        tallyd(&["serve", "--http-listen", "off", "--tcp-listen", &port, "--data-dir", text(&other)]);
    check(&mut second, TRY_LATER, &["cannot be listened on"]);
    assert!(daemon.stop().0.success());
    check(&mut tallyd(&["verify", "--data-dir", text(&data)]), DONE, &["conversations"]);
    check(&mut tallyd(&["export", "--data-dir", text(&data)]), DONE, &["2 events"]);
    check(
        &mut tallyd(&["export", "--data-dir", text(&data), text(&dir.path().join("no/file"))]),
        MISUSED,
        &["cannot create"],
    );

    let manifests = || {
        let folder = std::fs::read_dir(data.join("snapshot")).expect("the folder");
        folder.map(|entry| entry.expect("an entry").path()).filter(|path| text(path).contains("manifest."))
    };
    for manifest in manifests() {
        let mut bytes = std::fs::read(&manifest).expect("the manifest");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&manifest, bytes).expect("the manifest");
    }
    for command in ["verify", "export", "serve"] {
        // The one looks, and prints what it finds; the others end as the runbook says.
        let section = if command == "verify" { "fault: " } else { "runbook=\"A damaged file\"" };
        let words = ["manifest.", "byte", section];
        check(&mut tallyd(&[command, "--data-dir", text(&data)]), DAMAGED, &words);
    }
    for manifest in manifests() {
        std::fs::remove_file(manifest).expect("it is there");
    }
    let verify = &mut tallyd(&["verify", "--data-dir", text(&data)]);
    check(verify, DAMAGED, &["lacks a manifest"]);
    let told = String::from_utf8(verify.output().expect("it runs").stderr).expect("text");
    assert!(!told.contains("tallyd verify"), "the remedy is not the command itself: {told}");
}

#[test]
fn commands_of_a_daemon_tell_their_own_faults_from_its_answers() {
    let dir = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(&dir.path().join("data"));
    let url = format!("http://{}", daemon.http);
    let (good, bad) = (dir.path().join("good.lp"), dir.path().join("bad.lp"));
    std::fs::write(&good, LINE).expect("a file");
    std::fs::write(&bad, format!("{LINE}oops\n")).expect("a file");
    for command in ["push", "import"] {
        check(&mut tallyd(&[command, "--url", &url, text(&good)]), DONE, &["1 accepted, 0 rejected"]);
        check(
            &mut tallyd(&[command, "--url", &url, text(&bad)]),
            FAILED,
            &["1 accepted, 1 rejected", "bad.lp:2"],
        );
        check(&mut tallyd(&[command, "--url", &url, text(&good), "/no/such.lp"]), MISUSED, &["/no/such.lp"]);
    }
    check(&mut tallyd(&["report", "conversations", "--url", &url]), DONE, &["date (UTC)"]);
    check(&mut tallyd(&["report", "conversations", "--url", &url, "--period", "soon"]), FAILED, &["400"]);
    let nobody =
        tallyd(&["report", "conversations", "--url", "http://127.0.0.1:1"]).output().expect("it runs");
    assert_eq!(nobody.status.code(), Some(FAILED));
    for command in [["push", "-"], ["import", "-"], ["report", "conversations"]] {
        let with = |more: &[&str]| tallyd(&[&command, more].concat());
        check(&mut with(&["--url", "127.0.0.1:8780"]), MISUSED, &["is not a URL"]);
        check(&mut with(&["--url", &url, "--token-file", "/no/token"]), MISUSED, &["/no/token"]);
        check(&mut with(&["--url", &url, "--token", "a\nb"]), MISUSED, &["no token can have"]);
        check(&mut with(&["--url", &url, "--ca-file", text(&good)]), MISUSED, &["by https"]);
        check(&mut with(&["--url", "https://localhost", "--ca-file", text(&good)]), MISUSED, &["good.lp"]);
    }
}

#[test]
fn a_token_with_a_name_that_is_none_is_a_wrong_command_line() {
    check(&mut tallyd(&["token", "bots", "--scope", "write"]), DONE, &["[[token]]"]);
    check(&mut tallyd(&["token", "my bot", "--scope", "write"]), MISUSED, &["name"]);
    let limited = ["token", "bots", "--scope", "admin", "--story", "5b07ffafc2376e30306d9b16"];
    check(&mut tallyd(&limited), MISUSED, &["admin"]);
}

#[test]
fn check_config_goes_with_every_other_flag() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, other) = (dir.path().join("tallyd.toml"), dir.path().join("other.toml"));
    std::fs::write(&file, "fsync = 'sometimes'\n").expect("a file");
    std::fs::write(&other, "fsync = 'never'\n").expect("a file");
    let (file, other) = (text(&file), text(&other));
    check(
        &mut tallyd(&["serve", "--config", file, "--check-config"]),
        MISUSED,
        &["line 1, fsync", "`sometimes`"],
    );
    check(&mut tallyd(&["serve", "--check-config", "--config", other]), DONE, &["the configuration is good"]);
    check(&mut tallyd(&["serve", "--check-config", other, "--config", other]), DONE, &["is good"]);
    check(&mut tallyd(&["serve", "--check-config", file, "--config", other]), MISUSED, &["one file is read"]);
    for option in &OPTIONS {
        let flag = format!("--{}={}", option.name, option.default.unwrap_or(""));
        let told = tallyd(&["--check-config", &flag]).output().expect("it runs");
        let told = String::from_utf8(told.stderr).expect("text");
        let is_checked = told.contains("is good") || told.contains(&format!("--{}: ", option.name));
        assert!(is_checked, "{flag}: {told}");
    }
    check(&mut tallyd(&["--check-config", "--fsync", "sometimes"]), MISUSED, &["--fsync: "]);
}

#[test]
fn misspelt_variables_stop_a_start_and_strangers_are_named() {
    let check_config = || tallyd(&["--check-config"]);
    check(
        check_config().env("TALLYD_SNAPSHOT_INTERVALL", "3s"),
        MISUSED,
        &["TALLYD_SNAPSHOT_INTERVALL: ", "is TALLYD_SNAPSHOT_INTERVAL meant?"],
    );
    check(
        check_config().env("TALLYD_PORT", "tcp://10.0.0.1:80"),
        DONE,
        &["warning: the variable TALLYD_PORT"],
    );
    check(check_config().env("TALLYD_TOKEN", "tally_x").env("TALLYD_FSYNC", "never"), DONE, &["is good"]);
}
