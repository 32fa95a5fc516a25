#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::expect_used,
    reason = "a test may fail by panic"
)]
//! The arrows between the rooms of `src/` are those of the table in `ARCHITECTURE.md`, and `async` stays in the
//! shells. Knows the code as text only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where `async` and `.await` may occur: whole rooms, and single files or folders.
const ASYNC_PLACES: [&str; 11] = [
    "net/http/",
    "net/tcp/",
    "net/commit.rs",
    "net/listener/",
    "net/log/",
    "daemon/",
    "cli/",
    "platform/clock.rs",
    "platform/shutdown.rs",
    "store/write_handle/",
    "store/mod.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path below `src/`, its module path, and its code without comments and tests.
struct Source {
    path: String,
    module: Vec<String>,
    code: String,
}

impl Source {
    /// The room: a file or folder of `src/`.
    fn room(&self) -> &str {
        &self.module[0]
    }

    /// The part of its room: a file or folder of it. The room's own `mod.rs` is none.
    fn part(&self) -> Option<&str> {
        self.module.get(1).map(String::as_str)
    }

    /// The paths of modules and items that the code names, from the root of the crate on.
    fn paths_used(&self) -> BTreeSet<Vec<String>> {
        // The program sees the library from outside.
        let code =
            if self.path == "main.rs" { self.code.replace("tallyd::", "crate::") } else { self.code.clone() };
        let mut paths = paths_after(&code, "crate::");
        let mut base = self.module.clone();
        for depth in 1..=self.module.len() {
            base.pop();
            for path in paths_after(&code, &"super::".repeat(depth)) {
                paths.insert(base.iter().cloned().chain(path).collect());
            }
        }
        paths
    }

    fn rooms_used(&self) -> BTreeSet<String> {
        self.paths_used().into_iter().filter_map(|path| path.first().cloned()).collect()
    }

    /// The other parts of the same room that the code uses, among those that there are.
    fn parts_used(&self, parts: &BTreeSet<String>) -> BTreeSet<String> {
        self.paths_used()
            .into_iter()
            .filter(|path| path.first().is_some_and(|room| room == self.room()))
            .filter_map(|path| path.get(1).cloned())
            .filter(|part| parts.contains(part) && Some(part.as_str()) != self.part())
            .collect()
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.sort();
    files.iter().filter_map(|file| source(file)).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `None` for what is no room: the list of modules, and tests.
fn source(file: &Path) -> Option<Source> {
    let path = file.strip_prefix(root().join("src")).expect("below src").to_str().expect("text").to_owned();
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let is_test = name.starts_with("test") || name.ends_with("_tests") || path.contains("/tests/");
    if is_test || path == "lib.rs" {
        return None;
    }
    let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let text = std::fs::read_to_string(file).expect("text");
    Some(Source { path, module, code: code_of(&text) })
}

/// The text without whole-line comments and without what follows the first `#[cfg(test)]` of a module in place.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_test_module = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ") && next.ends_with('{'));
        if is_test_module {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The paths that the code names after a prefix such as `crate::`, members of `{…}` groups one by one.
fn paths_after(code: &str, prefix: &str) -> BTreeSet<Vec<String>> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        // `$crate::` of a macro, names that end in "crate", and the later half of `super::super::` are something else.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if !rest.starts_with("super::") {
            expand(rest, &mut Vec::new(), &mut paths);
        }
    }
    paths
}

/// Adds the path, or the paths of a group, that the text begins with.
fn expand(text: &str, before: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) {
    let depth = before.len();
    if let Some(group) = text.strip_prefix('{') {
        for member in members(group) {
            expand(member.trim_start(), before, paths);
        }
    } else if let Some(name) = identifier(text) {
        let rest = &text[name.len()..];
        before.push(name);
        match rest.strip_prefix("::") {
            Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '{')) => {
                expand(rest, before, paths);
            }
            _ => {
                paths.insert(before.clone());
            }
        }
    } else if depth > 0 {
        paths.insert(before.clone());
    }
    before.truncate(depth);
}

/// The members of a `{…}` group, whose opening brace is behind us; nested groups stay whole.
fn members(group: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// What may use what: room → rooms, or `room/part` → parts of the same room.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table of `ARCHITECTURE.md` below a heading.
fn table(heading: &str) -> Arrows {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let section = text.split(&format!("\n## {heading}\n")).nth(1).expect("the section");
    section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let used = cells[2].split(',').map(str::trim).filter(|name| *name != "–").map(str::to_owned);
            (cells[1].to_owned(), used.collect())
        })
        .collect()
}

/// The arrows between rooms that the code has.
fn rooms_of_the_code() -> Arrows {
    let mut arrows = Arrows::new();
    for source in sources() {
        let used = source.rooms_used().into_iter().filter(|room| room != source.room());
        arrows.entry(source.room().to_owned()).or_default().extend(used);
    }
    arrows
}

/// The arrows between the parts of each room that the code has. A room's `mod.rs` holds its parts together and may
/// use them all.
fn parts_of_the_code() -> Arrows {
    let sources = sources();
    let parts_of = |room: &str| -> BTreeSet<String> {
        sources
            .iter()
            .filter(|source| source.room() == room)
            .filter_map(|source| source.part().map(str::to_owned))
            .collect()
    };
    let mut arrows = Arrows::new();
    for source in &sources {
        if let Some(part) = source.part() {
            let used = source.parts_used(&parts_of(source.room()));
            arrows.entry(format!("{}/{part}", source.room())).or_default().extend(used);
        }
    }
    // A part that uses no other one has no row.
    arrows.retain(|_, used| !used.is_empty());
    arrows
}

/// The arrows between the files and folders of each folder, at every depth, by their whole paths.
fn neighbours_of_the_code() -> Arrows {
    let sources = sources();
    let mut arrows = Arrows::new();
    for source in &sources {
        for depth in 1..=source.module.len() {
            let name = source.module[..depth].join("/");
            let used = source
                .paths_used()
                .into_iter()
                .filter_map(|path| path.get(..depth).map(|part| part.join("/")));
            arrows.entry(name).or_default().extend(used);
        }
    }
    let names: BTreeSet<String> = arrows.keys().cloned().collect();
    let folder = |name: &str| name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    for (name, used) in &mut arrows {
        used.retain(|other| other != name && names.contains(other) && folder(other) == folder(name));
    }
    arrows
}

/// The rows as the table should have them where it differs from the code.
fn differing_rows(table: &Arrows, code: &Arrows) -> String {
    let row = |name: &str, used: &BTreeSet<String>| {
        let used = used.iter().cloned().collect::<Vec<_>>().join(", ");
        format!("| {name} | {} |", if used.is_empty() { "–" } else { &used })
    };
    let changed = code.iter().filter(|(name, used)| table.get(*name) != Some(used));
    let gone = table.keys().filter(|name| !code.contains_key(*name));
    let rows: Vec<String> = changed
        .map(|(name, used)| row(name, used))
        .chain(gone.map(|name| format!("(gone: {name})")))
        .collect();
    rows.join("\n")
}

/// The names that are left when everything that leads to no circle has been taken away.
fn circles(arrows: &Arrows, target: impl Fn(&str, &str) -> String) -> Vec<String> {
    let mut left = arrows.clone();
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(name, used)| used.iter().all(|other| !left.contains_key(&target(name, other))))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            return left.into_keys().collect();
        }
        left.retain(|name, _| !free.contains(name));
    }
}

#[test]
fn arrows_between_rooms_are_exactly_those_of_the_table() {
    let rows = differing_rows(&table("Rooms"), &rooms_of_the_code());
    assert!(rows.is_empty(), "the code differs from ARCHITECTURE.md, which would have to say:\n{rows}");
}

#[test]
fn arrows_between_parts_are_exactly_those_of_the_table() {
    let rows = differing_rows(&table("Parts"), &parts_of_the_code());
    assert!(rows.is_empty(), "the code differs from ARCHITECTURE.md, which would have to say:\n{rows}");
}

#[test]
fn rooms_have_no_circle() {
    let circle = circles(&table("Rooms"), |_, other| other.to_owned());
    assert!(circle.is_empty(), "these rooms use each other in a circle: {circle:?}");
}

#[test]
fn files_of_a_folder_have_no_circle() {
    let circle = circles(&neighbours_of_the_code(), |_, other| other.to_owned());
    assert!(circle.is_empty(), "these use each other in a circle: {circle:?}");
}

#[test]
fn async_stays_in_the_shells() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| {
            let is_shell = ASYNC_PLACES.iter().any(|place| source.path.starts_with(place));
            let is_async =
                ["async fn", "async move", "async {", ".await"].iter().any(|word| source.code.contains(word));
            is_async && !is_shell
        })
        .map(|source| format!("src/{}", source.path))
        .collect();
    assert!(faults.is_empty(), "async belongs into {ASYNC_PLACES:?}, not into:\n{}", faults.join("\n"));
}

#[test]
fn architecture_stays_short() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert!(text.lines().count() < 150, "{} lines", text.lines().count());
    assert!(text.contains("**Invariant:**"));
}

#[test]
fn paths_are_found_in_every_form() {
    let code = "use crate::intake::wire::Line;\nuse crate::{model::{batch::{Batch, Change}, event}, limits::A};\n\
                use super::status::Status;\nuse super::super::x::{self, Y};\n\
                let a = crate::platform::clock::now(); let b = $crate::x; pub(crate) fn c() {}\n";
    let module = ["a", "b", "c"].map(str::to_owned).to_vec();
    let source = Source { path: "a/b/c.rs".to_owned(), module, code: code.to_owned() };
    let found: Vec<String> = source.paths_used().into_iter().map(|path| path.join("/")).collect();
    let expected = [
        "a/b/status/Status",
        "a/x/Y",
        "a/x/self",
        "intake/wire/Line",
        "limits/A",
        "model/batch/Batch",
        "model/batch/Change",
        "model/event",
        "platform/clock/now",
    ];
    assert_eq!(found, expected);
    let hidden = "// crate::disk\n    /// [`crate::http`]\n#[cfg(test)]\nmod tests {\nuse crate::tcp;\n";
    let found = paths_after(&code_of(hidden), "crate::");
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_circle_is_found() {
    let arrows = |pairs: &[(&str, &str)]| -> Arrows {
        pairs.iter().map(|(name, used)| ((*name).to_owned(), BTreeSet::from([(*used).to_owned()]))).collect()
    };
    let plain = |_: &str, other: &str| other.to_owned();
    assert!(circles(&arrows(&[("a", "b"), ("b", "c")]), plain).is_empty());
    assert_eq!(circles(&arrows(&[("a", "b"), ("b", "a"), ("c", "d")]), plain), ["a", "b"]);
}
