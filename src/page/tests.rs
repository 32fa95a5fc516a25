//! What the files must be: all listed, small, and without anything that the page's policy refuses.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use super::*;

/// Most bytes of all files, packed.
const PACKED_BYTES: usize = 100_000;
/// Most lines of a file of our own.
const LINES: usize = 300;

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own =
        FILES.iter().filter(|(name, ..)| !name.starts_with("uPlot") && !["LICENSE", "ORIGIN"].contains(name));
    own.map(|(name, _, bytes)| (*name, std::str::from_utf8(bytes).unwrap())).chain([("index.html", INDEX)])
}

#[test]
fn every_file_of_the_folder_is_served_and_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/files");
    let entries = std::fs::read_dir(folder).unwrap();
    let there: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let served: BTreeSet<String> = texts().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(there, served);
    for (name, text) in texts() {
        assert!(text.lines().count() < LINES, "{name} has {} lines", text.lines().count());
    }
}

#[test]
fn all_files_packed_are_within_their_budget() {
    let packed: usize = PAGE.files.iter().chain([index()]).map(|file| file.gzip.len()).sum();
    assert!(packed < PACKED_BYTES, "{packed} bytes");
    for file in PAGE.files.iter().chain([index()]) {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(file.gzip.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, file.bytes, "{}", file.name);
    }
}

#[test]
fn nothing_in_them_is_what_the_policy_refuses() {
    let refused = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "javascript:",
        "'style'",
        "cssText",
        "style=",
        "onclick=",
        "onload=",
        "document.cookie",
        "<style",
        "import(",
        "http://",
        "https://",
    ];
    for (name, text) in texts() {
        for words in refused {
            // The namespace of an icon is a name, and no address that anybody asks.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(words), "{name} has {words}");
        }
    }
}

#[test]
fn index_names_files_that_there_are_and_every_module() {
    let text = String::from_utf8(index().bytes.clone()).unwrap();
    assert!(!text.contains(FILES_MARK) && !text.contains(PRELOADS_MARK));
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices(FILES_PATH) {
        let path = text.get(at + FILES_PATH.len()..).unwrap().split('"').next().unwrap();
        named.insert(file(path).unwrap_or_else(|| panic!("no file {path}")).name);
    }
    assert!(named.contains("LICENSE"), "whoever has the chart can read its licence");
    for (name, kind, _) in FILES.iter().filter(|(_, kind, _)| [SCRIPT, STYLE].contains(kind)) {
        assert!(named.contains(name) || *name == "api.css", "{name} of {kind} is not in index.html");
    }
}

#[test]
fn one_small_script_is_loaded_before_the_first_frame() {
    let text = String::from_utf8(index().bytes.clone()).unwrap();
    let (before, rest) = text.split_once("<template id=\"later\">").unwrap();
    let (later, after) = rest.split_once("</template>").unwrap();
    assert!(!before.contains("<script") && !before.contains("modulepreload"));
    assert_eq!(after.matches("<script").count(), 1);
    assert!(after.contains("/start.js\"></script>") && !after.contains("modulepreload"));
    // The chart's comes first: the page's own use it, and `start.js` goes by this order.
    let scripts: Vec<_> = later.match_indices("<script").map(|(at, _)| later.get(at..).unwrap()).collect();
    assert_eq!(scripts.len(), 2);
    assert!(scripts[0].lines().next().unwrap().contains("/uPlot.iife.min.js\""));
    assert!(scripts[1].lines().next().unwrap().contains("/app.js\""));
}

#[test]
fn every_import_is_of_a_file_that_there_is() {
    for (name, text) in texts().filter(|(name, _)| has_kind(name, SCRIPT)) {
        for line in text.lines().filter(|line| line.contains(" from '")) {
            let import = line.rsplit_once(" from '").unwrap().1.trim_end_matches(';').trim_end_matches('\'');
            let import = import.strip_prefix("./").unwrap_or_else(|| panic!("{name} imports {import}"));
            assert!(has_kind(import, SCRIPT), "{name} imports {import}");
        }
    }
}

fn has_kind(name: &str, kind: &str) -> bool {
    FILES.iter().any(|(other, of, _)| *other == name && *of == kind)
}

#[test]
fn tag_changes_with_every_byte_and_name() {
    let files: [(&str, &str, &[u8]); 2] = [("a", SCRIPT, b"bc"), ("d", SCRIPT, b"")];
    let tag = tag_of(&digest("x", &files));
    assert_eq!(tag.len(), TAG_DIGITS);
    for (index, other) in
        [("y", files), ("x", [("ab", SCRIPT, b"c"), files[1]]), ("x", [files[0], ("e", SCRIPT, b"")])]
    {
        assert_ne!(tag_of(&digest(index, &other)), tag);
    }
    assert_eq!(file(&format!("{tag}/app.js")), None, "another version's path");
    assert!(file(&format!("{}/app.js", super::tag())).is_some());
    assert_eq!(file("app.js"), None);
}

#[test]
fn vendored_files_are_those_that_origin_names() {
    let origin = include_str!("vendor/uplot-1.6.32/ORIGIN");
    let sums: Vec<_> =
        origin.lines().filter_map(|line| line.strip_prefix("sha256")?.trim().split_once("  ")).collect();
    assert_eq!(sums.len(), 3);
    for (sum, name) in sums {
        let (_, _, bytes) = FILES.iter().find(|(other, ..)| *other == name.trim()).unwrap();
        assert_eq!(hex(&Sha256::digest(bytes)), sum, "{name}");
    }
}
