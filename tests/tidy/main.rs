#![expect(clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]
//! What `STYLE.md` asks for and no lint can see: file docs, sizes, nothing left undone, documents that are complete.

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most lines of a file, its tests not counted.
const FILE_LINES: usize = 500;
/// Files that are longer, with their length. The list may only shrink.
const LONG_FILES: [(&str, usize); 0] = [];
/// Files that hold `…_MAX` or `…_MIN` of their own: sizes of a layout rather than bounds of the daemon. The list may
/// only shrink.
const OWN_BOUNDS: [&str; 4] = [
    "src/model/cells/mod.rs",
    "src/model/counters/block.rs",
    "src/store/journal/record/mod.rs",
    "src/report/format/json.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Rust file of the project: its path below the root and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || name.starts_with("test")
            || name.ends_with("_tests.rs")
    }

    /// The lines before the tests in place.
    fn lines_without_tests(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        });
        lines[..tests.unwrap_or(lines.len())].to_vec()
    }

    /// The lines of the tests, which may be the whole file.
    fn test_lines(&self) -> Vec<&str> {
        let skipped = if self.is_test() { 0 } else { self.lines_without_tests().len() };
        self.text.lines().skip(skipped).collect()
    }
}

fn files() -> Vec<File> {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| File {
            text: std::fs::read_to_string(&path).expect("text"),
            path: path.strip_prefix(root()).expect("below the root").to_str().expect("text").to_owned(),
        })
        .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All files of limits.
fn limits() -> String {
    let of_limits = files().into_iter().filter(|file| file.path.starts_with("src/limits/"));
    of_limits.map(|file| file.text).collect()
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

#[test]
fn every_file_opens_with_its_doc() {
    let faults: Vec<String> = files()
        .into_iter()
        .filter(|file| {
            // Attributes of the whole file may stand before the doc, nothing else.
            let (before, after) = file.text.split_once("//!").unwrap_or_default();
            let is_opening = before.is_empty() || before.starts_with("#!");
            !(is_opening && after.lines().next().is_some_and(|line| line.trim().len() > 10))
        })
        .map(|file| file.path)
        .collect();
    assert_none("without a //! at the start", &faults);
}

#[test]
fn module_with_files_of_its_own_is_a_folder_with_mod_rs() {
    let faults: Vec<String> = files()
        .into_iter()
        .map(|file| file.path)
        .filter(|path| root().join(path.trim_end_matches(".rs")).is_dir())
        .collect();
    assert_none("beside a folder of the same name, whose mod.rs it should be", &faults);
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.path.starts_with("src/") && !file.is_test()) {
        let lines = file.lines_without_tests().len();
        let listed = LONG_FILES.iter().find(|(path, _)| *path == file.path).map(|(_, most)| *most);
        match listed {
            Some(_) if lines <= FILE_LINES => faults.push(format!("{}: take it off the list", file.path)),
            Some(most) if lines > most => faults.push(format!("{}: {lines} lines, was {most}", file.path)),
            None if lines > FILE_LINES => faults.push(format!("{}: {lines} lines", file.path)),
            _ => {}
        }
    }
    assert_none("longer than they may be", &faults);
}

#[test]
fn nothing_is_left_undone() {
    // In two parts, so that this file does not find itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimplement", "ed!("], ["dbg", "!("]];
    let words = words.map(|parts| parts.concat());
    let mut faults = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert_none("left undone", &faults);
}

#[test]
fn tests_do_not_sleep_and_are_not_switched_off() {
    let words = [["sle", "ep("], ["#[ign", "ore"], ["should_", "panic"]].map(|parts| parts.concat());
    let mut faults = Vec::new();
    for file in files() {
        for line in file.test_lines() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none("tests that wait blindly or do not run", &faults);
}

#[test]
fn bounds_are_in_limits() {
    let mut faults = Vec::new();
    let mut listed: BTreeSet<&str> = OWN_BOUNDS.into();
    for file in
        files().iter().filter(|file| file.path.starts_with("src/") && !file.path.starts_with("src/limits/"))
    {
        for line in file.lines_without_tests() {
            // What stands indented belongs to a type: what that can hold is a property of it.
            let is_bound = !line.starts_with(' ')
                && line.contains("const ")
                && ["_MAX:", "_MIN:"].iter().any(|end| line.contains(end));
            if is_bound && !file.is_test() {
                listed.remove(file.path.as_str());
                if !OWN_BOUNDS.contains(&file.path.as_str()) {
                    faults.push(format!("{}: {}", file.path, line.trim()));
                }
            }
        }
    }
    faults.extend(listed.iter().map(|path| format!("{path}: take it off the list")));
    assert_none("bounds outside src/limits/", &faults);
}

#[test]
fn every_limit_bounds_something() {
    let code: String =
        files().into_iter().filter(|file| file.path.starts_with("src/")).map(|file| file.text).collect();
    let mut occurrences: BTreeMap<&str, usize> = BTreeMap::new();
    for word in code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        *occurrences.entry(word).or_default() += 1;
    }
    let unused: Vec<String> = limits()
        .lines()
        .filter(|line| !line.contains(" fn "))
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name.to_owned())
        // Its definition is one occurrence.
        .filter(|name| occurrences.get(name.as_str()).is_none_or(|count| *count < 2))
        .collect();
    assert_none("limits that nothing uses", &unused);
}

#[test]
fn changelog_has_the_version() {
    let version = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert!(document("CHANGELOG.md").lines().any(|line| line.starts_with(&version)), "no {version:?}");
}
