//! Every command of the runbook in `systemd/README.md` is run, against a daemon in the trouble that its section is about, and prints what
//! the page says. `systemctl` and `journalctl` are small programs that do what those do to a service.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    reason = "tests end where they go wrong"
)]
#![expect(clippy::print_stderr, reason = "a test that cannot check anything says so")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use tallyd::daemon::runbook::SECTIONS;

/// What stands before the number of a command in the output.
const MARK: &str = "@@command ";

/// Stops, starts and has read its files the daemon of the stage, as its argument says.
const SYSTEMCTL: &str = r#"#!/bin/bash
set -eu
pid=$(cat "$STAGE/pid" 2>/dev/null || true)
is_there() { [ -n "$pid" ] && grep -qs '^State:.[^Z]' "/proc/$pid/status"; }
await() { for _ in $(seq 600); do "$@" && return; read -r -t 0.05 <> <(:) || true; done; echo "in vain: $*"; cat "$STAGE/log"; exit 1; }
is_gone() { ! is_there; }
has_said() { [ "$(grep -c "$1" "$STAGE/log")" -gt "$2" ]; }
case $1 in
stop) if is_there; then kill "$pid"; fi; await is_gone ;;
start)
    touch "$STAGE/log"
    before=$(grep -c ' listening ' "$STAGE/log" || true)
    setsid tallyd serve --http-listen "$HTTP" --tcp-listen off --data-dir "$STAGE/lib" --snapshot-interval 1s >/dev/null 2>>"$STAGE/log" </dev/null &
    echo $! >"$STAGE/pid"
    await has_said ' listening ' "$before" ;;
reload)
    before=$(grep -c 'tokens read again' "$STAGE/log" || true)
    kill -HUP "$pid"
    await has_said 'tokens read again' "$before" ;;
esac
"#;

/// The last errors of the log, as many as `-n` says, that have the words of `-g`.
const JOURNALCTL: &str = r#"#!/bin/bash
while [ $# -gt 0 ]; do case $1 in -n) lines=$2; shift ;; -g) words=$2; shift ;; esac; shift; done
grep ' ERROR ' "$STAGE/log" | grep -F -- "${words:-}" | tail -n "$lines"
"#;

const LINE: &str = "message,storyId=5b07ffafc2376e30306d9b16,source=app count=1i";

/// A section of the runbook: commands, each with the lines that it prints.
fn commands_of(heading: &str) -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/README.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let section = page.split(&format!("\n### {heading}\n")).nth(1).expect("the section");
    let section =
        section.split("\n## ").next().and_then(|rest| rest.split("\n### ").next()).unwrap_or_default();
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in section.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, printed))) => printed.push(line.to_owned()),
                (None, None) => panic!("{heading}: {line} is printed before any command"),
            }
        }
    }
    commands
}

/// Whether the text is what the pattern says, in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    match last {
        None => rest.is_empty(),
        // The last part has to be the end, wherever else it is found.
        Some(part) => part.is_empty() || text.ends_with(part),
    }
}

/// Whether the lines are what the pattern says. A line of `…` alone stands for any number of lines.
fn all_fit(pattern: &[String], lines: &[&str]) -> bool {
    match (pattern.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => {
            (0..=lines.len()).any(|skipped| all_fit(rest, lines.get(skipped..).unwrap_or_default()))
        }
        (Some((first, rest)), Some((line, more))) => fits(first, line) && all_fit(rest, more),
        _ => false,
    }
}

/// Runs a section after `trouble`, a script that makes it necessary. `root` is a command that gives the rights for it.
fn run(heading: &str, trouble: &str, root: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory");
    let stage = dir.path().to_str().expect("a path of text");
    for folder in ["bin", "lib", "root"] {
        std::fs::create_dir(dir.path().join(folder)).expect("a folder");
    }
    for (name, text) in [("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)] {
        let path = dir.path().join("bin").join(name);
        std::fs::write(&path, text).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    symlink(env!("CARGO_BIN_EXE_tallyd"), dir.path().join("bin/tallyd")).expect("a link");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let placed = |text: &str| {
        let text = text.replace("/var/lib/tallyd", &format!("{stage}/lib"));
        text.replace("/root/", &format!("{stage}/root/")).replace("127.0.0.1:8780", &free.to_string())
    };
    let commands = commands_of(heading);
    assert!(commands.len() >= 4, "{heading}: {commands:?}");
    let mut script = format!("set -e\n{}\nset +e\ncode=0\n", placed(trouble));
    for (number, (command, _)) in commands.iter().enumerate() {
        // Each command finds the exit code of the one before.
        let command =
            placed(command).replace("tallyd report ", &format!("tallyd report --url http://{free} "));
        let command = command.replace("tallyd undo ", &format!("tallyd undo --url http://{free} "));
        let command = command.replace("tallyd import ", &format!("tallyd import --url http://{free} "));
        script += &format!("printf '\\n{MARK}{number}\\n'; (exit $code)\n{command}\ncode=$?\n");
    }
    // Written to a file, as a daemon that is left over must not hold the output open.
    let told = dir.path().join("told");
    let script = format!("exec >'{}' 2>&1\ntrap 'systemctl stop' EXIT\n{script}", told.display());
    let program = [root, &["bash", "-c", &script]].concat();
    let (first, arguments) = program.split_first().expect("a program");
    let path = format!("{stage}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let status = Command::new(first)
        .args(arguments)
        .env_clear()
        .envs([("PATH", path.as_str()), ("STAGE", stage), ("HTTP", &free.to_string()), ("LC_ALL", "C")])
        .envs(
            [("TALLYD_TOKENS_FILE", format!("{stage}/lib/tokens.toml"))]
                .into_iter()
                .filter(|_| heading == "A lost token"),
        )
        .status()
        .expect("it runs");
    let told = std::fs::read_to_string(&told).unwrap_or_default();
    assert!(told.contains(MARK), "{heading}: it did not come to the commands ({status}): {told}");
    for (number, (command, pattern)) in commands.iter().enumerate() {
        let output =
            told.split(&format!("{MARK}{number}\n")).nth(1).unwrap_or_else(|| panic!("{command}: {told}"));
        let output = output.split(&format!("\n{MARK}")).next().unwrap_or_default();
        let lines: Vec<&str> = output.lines().collect();
        let pattern: Vec<String> = pattern.iter().map(|line| placed(line)).collect();
        assert!(
            all_fit(&pattern, &lines),
            "{heading}: {command}\nprints\n{output}\nand not\n{}",
            pattern.join("\n")
        );
    }
}

/// Starts the daemon and has it count `LINE`.
fn counting() -> String {
    format!(
        "systemctl start tallyd\n\
         push() {{ curl -s http://127.0.0.1:8780/events --data-binary '{LINE}' | grep -q accepted.:1; }}\n\
         push\n"
    )
}

#[test]
fn full_disk() {
    // A file system of its own needs rights that not every machine gives.
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    let may = Command::new(namespace[0])
        .args(&namespace[1..])
        .args(["sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .status();
    if !may.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("TALLYD_SYSTEMD_REQUIRED").is_none(),
            "namespaces are required, but refused"
        );
        eprintln!("this machine lets nobody mount: the runbook of a full disk is not run");
        return;
    }
    // The daemon may have taken room ahead before the disk was filled, so what is pushed is more than that.
    let trouble = format!(
        "mount -t tmpfs -o size=24m tmpfs /var/lib/tallyd\n{}\
         dd if=/dev/zero of=/var/lib/tallyd/what-filled-the-disk bs=4k 2>/dev/null || true\n\
         seq -f 'message,storyId=5b07ffafc2376e30306d9b16,source=slack count=1i %.0f000000000' 1500000000 3600 1590000000 >/root/many.lp\n\
         for _ in $(seq 1000); do\n\
           curl -s http://127.0.0.1:8780/events --data-binary @/root/many.lp | grep -q accepted.:25001 || break\n\
         done\n",
        counting()
    );
    run("A full disk", &trouble, &namespace);
}

#[test]
fn damaged_file() {
    let trouble = format!(
        "{}systemctl stop tallyd\ncp -a /var/lib/tallyd /root/tallyd-backup\n\
         for file in /var/lib/tallyd/snapshot/manifest.*; do printf X | dd of=$file bs=1 seek=20 conv=notrunc 2>/dev/null; done\n",
        counting()
    );
    run("A damaged file", &trouble, &[]);
}

#[test]
fn lost_token() {
    let trouble = "tallyd token operator --scope admin 2>/dev/null >/var/lib/tallyd/tokens.toml\n\
                   LOST=$(tallyd token platform --scope write 2>&1 >>/var/lib/tallyd/tokens.toml | sed 's/.*: //')\n\
                   systemctl start tallyd\n\
                   curl -s http://127.0.0.1:8780/events -H \"Authorization: Bearer $LOST\" --data-binary '' | grep -q accepted\n";
    run("A lost token", trouble, &[]);
}

#[test]
fn wrong_clock() {
    run("A wrong clock", &counting(), &[]);
}

#[test]
fn import_gone_wrong() {
    let trouble = format!(
        "{}printf '%s\\n%s\\n' '{LINE}' 'message,storyId=5b07ffafc2376e30306d9b17,source=app count=1i' >/root/counters.lp\n\
         curl -s http://127.0.0.1:8780/events --data-binary @/root/counters.lp | grep -q accepted.:2\n",
        counting()
    );
    run("An import gone wrong", &trouble, &[]);
}

#[test]
fn fault_of_its_own() {
    run("A fault of its own", &counting(), &[]);
}

/// The sources that log errors or warnings, by the path of their module, each with its text up to its tests.
fn logging_sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![src.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let text = text.split("\nmod tests {").next().unwrap_or_default().to_owned();
            if text.contains("error!(") || text.contains("warn!(") {
                let name = path.strip_prefix(&src).expect("below it").to_str().expect("text");
                let module = name.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
                sources.insert(module, text);
            }
        }
    }
    sources
}

#[test]
fn lines_of_the_log_name_sections_that_there_are() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/README.md"))
        .expect("the page");
    let headings: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    let is_there = |section: &str| headings.contains(&section);
    let sources = logging_sources();
    let listed: Vec<&str> = SECTIONS.iter().map(|(module, _)| *module).collect();
    assert_eq!(sources.keys().map(String::as_str).collect::<Vec<_>>(), listed, "the table is not exact");
    for (module, section) in SECTIONS {
        assert!(section.is_none_or(is_there), "{module}: {section:?}");
        let text = sources.get(module).expect("it is listed");
        for call in text.split("error!(").skip(1) {
            let call = call.split(';').next().unwrap_or_default();
            assert!(
                section.is_some() || call.contains("runbook = "),
                "{module}: an error names no section: {call}"
            );
        }
        for named in text.split("runbook = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(is_there(named), "{module}: {named}");
        }
    }
    // Those of the parts.
    for section in
        sources["net::condition"].split("=> \"Tallyd").skip(1).filter_map(|rest| rest.split('"').next())
    {
        assert!(is_there(&format!("Tallyd{section}")), "{section}");
    }
}

#[test]
fn every_section_with_commands_is_run() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/README.md"))
        .expect("the page");
    let runbook = page.split("\n## Runbook\n").nth(1).expect("the runbook");
    let headings: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(
        headings,
        [
            "A full disk",
            "A damaged file",
            "A lost token",
            "A wrong clock",
            "An import gone wrong",
            "A fault of its own"
        ]
    );
}

#[test]
fn patterns_are_held_strictly() {
    for (pattern, text, is_right) in [
        ("a…c", "abc", true),
        ("a…c", "abcd", false),
        ("a…", "a", true),
        ("…c", "c", true),
        ("abc", "ab", false),
        ("a…c…c", "acbc", true),
        ("", "a", false),
    ] {
        assert_eq!(fits(pattern, text), is_right, "{pattern} {text}");
    }
    let pattern = ["…".to_owned(), "b".to_owned()];
    assert!(
        all_fit(&pattern, &["a", "a", "b"]) && !all_fit(&pattern, &["b", "a"]) && !all_fit(&pattern, &[])
    );
}
