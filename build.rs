//! Tells the program what it is built from, for `tallyd --version`: the commit, and the features and the target that it is built with.
//! Asks git only about this directory's own repository, and does without: a release's sources name their commit in
//! `.cargo_vcs_info.json`, a packager may in `TALLYD_COMMIT`.
//!
//! Where the C library knows packed relative relocations, it also asks for them: the table that every start reads is then 10 KB
//! rather than 500. A program with them wants that library, so one that is built for elsewhere has none.
//!
//! INVARIANT: the same sources give the same words; no clock, path or name of a machine is in them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the program is made of. The commit is looked for again where one of these changes, and only then.
const SOURCES: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];
/// Digits of a commit that are told.
const DIGITS: usize = 12;
/// The version of glibc that brought packed relative relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    for source in SOURCES.iter().filter(|source| Path::new(source).exists()) {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed=TALLYD_COMMIT");
    let commit = from_packager().or_else(from_release).or_else(from_git);
    println!("cargo::rustc-env=TALLYD_BUILT_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=TALLYD_BUILT_FEATURES={}", features());
    println!("cargo::rustc-env=TALLYD_BUILT_TARGET={}", variable("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=TALLYD_BUILT_PROFILE={}", variable("PROFILE").unwrap_or_default());
    if is_for_this_machine() && glibc().is_some_and(|version| version >= PACKED_SINCE) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn is_for_this_machine() -> bool {
    let target = variable("TARGET");
    target.is_some()
        && target == variable("HOST")
        && variable("CARGO_CFG_TARGET_ENV").is_some_and(|env| env == "gnu")
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A commit as a word of digits, short; `None` for anything else.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let is_commit = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| text.chars().take(DIGITS).collect())
}

fn from_packager() -> Option<String> {
    digits(&variable("TALLYD_COMMIT")?)
}

/// `cargo package` writes the commit beside the sources.
fn from_release() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = text.split_once("\"sha1\"")?;
    digits(after.split('"').nth(1)?)
}

fn from_git() -> Option<String> {
    // Sources that were unpacked within the repository of something else are not of its commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = env::var_os("CARGO_MANIFEST_DIR")?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(here).ok()? {
        return None;
    }
    let commit = digits(&git(&["rev-parse", "HEAD"])?)?;
    let status = git(&[&["status", "--porcelain", "--"], SOURCES.as_slice()].concat())?;
    Some(if status.is_empty() { commit } else { format!("{commit}, changed") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The features that are switched on, by name, without the one that stands for the default.
fn features() -> String {
    let names =
        env::vars().filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_ascii_lowercase));
    let mut names: Vec<String> = names.filter(|name| name != "default").collect();
    names.sort();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
