//! The manual pages are such as `man` takes without a warning, and the completions such as the shells load. What is not installed is not asked.
#![expect(clippy::expect_used, clippy::panic, reason = "tests end where they go wrong")]
#![expect(clippy::print_stderr, reason = "a test that cannot check anything says so")]

use std::path::Path;
use std::process::{Command, Output};

use tallyd::daemon::config::options::OPTIONS;

fn tallyd(arguments: &[&str]) -> Output {
    let output =
        Command::new(env!("CARGO_BIN_EXE_tallyd")).args(arguments).output().expect("the program can be run");
    assert!(output.status.success(), "{output:?}");
    output
}

/// Runs a program; `None` where it is not installed.
fn installed(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{program} is not installed, and not asked");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = dir.path().join("man");
    tallyd(&["man", text(&folder)]);
    let mut pages: Vec<_> =
        std::fs::read_dir(&folder).expect("pages").map(|entry| entry.expect("an entry").path()).collect();
    pages.sort();
    assert!(pages.len() >= 12, "{pages:?}");
    for page in &pages {
        if let Some(output) = installed("man", &["--warnings", "-l", text(page)]) {
            assert!(output.status.success() && output.stderr.is_empty(), "{page:?}: {}", said(&output));
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(
                shown.contains("NAME") && shown.contains("EXAMPLE") && shown.contains("SEE ALSO"),
                "{shown}"
            );
        }
        if let Some(output) = installed("mandoc", &["-T", "lint", "-W", "error", text(page)]) {
            assert!(output.status.success(), "{page:?}: {}", said(&output));
        }
    }
}

#[test]
fn bash_completes_commands_flags_and_their_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tallyd.bash");
    std::fs::write(&file, tallyd(&["completions", "bash"]).stdout).expect("a file");
    let complete = |words: &[&str]| {
        let last = words.len() - 1;
        let (current, before) =
            (words.last().unwrap_or(&""), words.get(last.saturating_sub(1)).unwrap_or(&""));
        let script = format!(
            "set -u; . '{}'; COMP_WORDS=({}); COMP_CWORD={last}; _tallyd tallyd '{current}' '{before}'; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            text(&file),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        );
        let output =
            installed("bash", &["--norc", "-c", &script]).expect("bash, which the scripts here need");
        assert!(output.status.success(), "{}", said(&output));
        said(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let commands = complete(&["tallyd", ""]);
    for command in ["serve", "push", "report", "man"] {
        assert!(commands.iter().any(|word| word == command), "{command}: {commands:?}");
    }
    let flags = complete(&["tallyd", "serve", "--"]);
    for option in &OPTIONS {
        assert!(flags.contains(&format!("--{}", option.name)), "{}: {flags:?}", option.name);
    }
    assert_eq!(complete(&["tallyd", "token", "x", "--scope", "w"]), ["write"]);
}

#[test]
fn zsh_and_fish_load_their_completions() {
    let dir = tempfile::tempdir().expect("a directory");
    for (shell, name, arguments) in [
        ("zsh", "_tallyd", "autoload -Uz compinit && compinit -u -D && . \"$0\" && whence -w _tallyd"),
        ("fish", "tallyd.fish", "source $argv[1]; and complete -C 'tallyd serve --'"),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, tallyd(&["completions", shell]).stdout).expect("a file");
        let Some(output) = installed(shell, &["-c", arguments, text(&file)]) else { continue };
        let said = said(&output);
        assert!(output.status.success(), "{shell}: {said}");
        let word = if shell == "zsh" { "_tallyd: function" } else { "--max-future" };
        assert!(said.contains(word), "{shell}: {said}");
    }
}
