//! Counters go from one data directory to another by `tallyd export` and `tallyd import`, each once: into a new daemon, two daemons'
//! into a third, and where the import is killed in the middle.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]

mod support;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Daemon, get, talk};

const STORIES: [&str; 2] = ["5b07ffafc2376e30306d9b16", "5b07ffafc2376e30306d9b17"];
/// In 1974; the test ends before the hours come to now.
const FIRST_HOUR: u64 = 36_000;
/// Over a dozen batches of `import`.
const HOURS: u64 = 60_000;

/// What one platform sent: names, interactions, paid conversations, and hours in which the others sent too.
fn events(platform: u64) -> String {
    let mut lines = String::new();
    for hour in FIRST_HOUR..FIRST_HOUR + 50 {
        let story = STORIES[usize::from((hour + platform).is_multiple_of(2))];
        let ms = hour * 3_600_000;
        writeln!(lines, "conversation,storyId={story},source=app count=2i,paid=true {ms}").expect("a string");
        writeln!(lines, "message,storyId={story},source=slack count={platform}i {ms}").expect("a string");
        writeln!(
            lines,
            "interaction,storyId={story},source=app,id=5b07ffafc2376e30306d9c0{platform} count=1i {ms}"
        )
        .expect("a string");
    }
    lines
}

fn tallyd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// Counts the lines through the line port.
fn count(daemon: &Daemon, lines: &str) {
    let answers = talk(daemon.tcp, format!("!precision ms\n{lines}!sync\n").as_bytes());
    assert!(answers.contains("OK"), "{answers}");
}

fn exported(data_dir: &Path, file: &Path) {
    let (data_dir, file) = (data_dir.to_str().expect("text"), file.to_str().expect("text"));
    done(&mut tallyd(&["export", "--data-dir", data_dir, file]));
}

fn import(http: SocketAddr, files: &[&Path]) -> Command {
    let mut command = tallyd(&["import", "--url", &format!("http://{http}")]);
    command.args(files);
    command
}

fn stop(daemon: Daemon) {
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn exports_of_two_daemons_into_a_third_give_the_sum_once() {
    let scratch = tempfile::tempdir().expect("there is room");
    let place = |name: &str| scratch.path().join(name);
    for (platform, name) in [(1, "one"), (2, "two")] {
        let daemon = Daemon::start(&place(name));
        count(&daemon, &events(platform));
        stop(daemon);
        exported(&place(name), &place(&format!("{name}.lp")));
    }
    let daemon = Daemon::start(&place("both"));
    let (one, two, copy) = (place("one.lp"), place("two.lp"), place("copy.lp"));
    assert!(!done(&mut import(daemon.http, &[&one, &two])).contains("counted already"));
    std::fs::copy(&one, &copy).expect("copied");
    exported(&place("two"), &two);
    let again = done(&mut import(daemon.http, &[&copy, &two]));
    let lines = std::fs::read_to_string(&one).expect("text").lines().count()
        + std::fs::read_to_string(&two).expect("text").lines().count();
    assert_eq!(
        again,
        format!("{lines} accepted, 0 rejected; {lines} of the accepted were counted already\n")
    );
    stop(daemon);
    exported(&place("both"), &place("both.lp"));

    let daemon = Daemon::start(&place("sum"));
    count(&daemon, &events(1));
    count(&daemon, &events(2));
    stop(daemon);
    exported(&place("sum"), &place("sum.lp"));
    let [both, sum] = ["both.lp", "sum.lp"].map(|name| std::fs::read_to_string(place(name)).expect("text"));
    assert_eq!(both, sum);
}

#[test]
fn import_that_was_killed_goes_on() {
    let scratch = tempfile::tempdir().expect("there is room");
    let place = |name: &str| scratch.path().join(name);
    let daemon = Daemon::start(&place("old"));
    let mut lines = String::new();
    for ms in (FIRST_HOUR..FIRST_HOUR + HOURS).map(|hour| hour * 3_600_000) {
        writeln!(lines, "message,storyId={},source=app count=3i {ms}", STORIES[0]).expect("a string");
    }
    count(&daemon, &lines);
    stop(daemon);
    exported(&place("old"), &place("old.lp"));

    let daemon = Daemon::start(&place("new"));
    let file = place("old.lp");
    let mut killed = import(daemon.http, &[&file]).stdout(Stdio::null()).spawn().expect("the program runs");
    let messages = || get(daemon.http, "/reports/conversations.messages?from=1974-1-1&dimension=year");
    while messages().contains("\"total\":0,") && killed.try_wait().expect("its status").is_none() {}
    // One that has come to its end just before is killed as well.
    killed.kill().expect("not waited for");
    killed.wait().expect("its status");
    let again = done(&mut import(daemon.http, &[&file]));
    assert!(again.contains("counted already"), "{again}");
    stop(daemon);
    exported(&place("new"), &place("new.lp"));
    let [old, new] = ["old.lp", "new.lp"].map(|name| std::fs::read_to_string(place(name)).expect("text"));
    assert!(old == new, "the exports differ");
}
