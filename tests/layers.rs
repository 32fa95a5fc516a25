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

/// Where `async` and `.await` may occur: rooms, and single files.
const ASYNC_PLACES: [&str; 7] = ["tcp", "http", "app", "shutdown", "cli", "store/door.rs", "store/mod.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its room, its path below `src/`, and its code without comments and tests.
struct Source {
    room: String,
    path: String,
    code: String,
}

impl Source {
    /// The rooms that the file uses, perhaps its own among them.
    fn rooms_used(&self) -> BTreeSet<String> {
        // The program sees the library from outside.
        if self.room == "main" {
            rooms_used(&self.code.replace("tallyd::", "crate::"))
        } else {
            rooms_used(&self.code)
        }
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
    let room = path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let text = std::fs::read_to_string(file).expect("text");
    Some(Source { room, path, code: code_of(&text) })
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

/// The rooms that the code names after `crate::`, in paths and in groups of `use`.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` of a macro and names that end in "crate" are something else.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            rooms.extend(group_heads(group));
        } else {
            rooms.extend(identifier(rest));
        }
    }
    rooms
}

/// The first names of the members of a `{…}` group, nested groups left aside.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.extend(identifier(group[start..at].trim_start()));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// The table of `ARCHITECTURE.md`: room → what it may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rooms = text.split("## Rooms").nth(1).expect("a section on rooms");
    rooms
        .lines()
        .skip_while(|line| !line.starts_with("| ---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let used = cells[2].split(',').map(str::trim).filter(|room| *room != "–").map(str::to_owned);
            (cells[1].to_owned(), used.collect())
        })
        .collect()
}

#[test]
fn arrows_between_rooms_are_those_of_the_table() {
    let table = table();
    let mut faults = Vec::new();
    for source in sources() {
        let Some(allowed) = table.get(&source.room) else {
            faults.push(format!("src/{}: the room `{}` is not in the table", source.path, source.room));
            continue;
        };
        for used in source.rooms_used() {
            if used != source.room && !allowed.contains(&used) {
                faults.push(format!("src/{}: `{}` may not use `{used}`", source.path, source.room));
            }
        }
    }
    assert!(faults.is_empty(), "ARCHITECTURE.md does not allow:\n{}", faults.join("\n"));
}

#[test]
fn table_has_no_arrow_that_no_code_needs() {
    let mut idle = table();
    for source in sources() {
        let used = source.rooms_used();
        if let Some(allowed) = idle.get_mut(&source.room) {
            allowed.retain(|room| !used.contains(room));
        }
    }
    idle.retain(|_, rooms| !rooms.is_empty());
    assert!(idle.is_empty(), "allowed in ARCHITECTURE.md and not used: {idle:?}");
}

#[test]
fn table_has_no_circle() {
    let mut left = table();
    while !left.is_empty() {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, used)| used.iter().all(|room| !left.contains_key(room)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!free.is_empty(), "these rooms use each other in a circle: {:?}", left.keys());
        left.retain(|room, _| !free.contains(room));
    }
}

#[test]
fn table_names_rooms_that_exist() {
    let table = table();
    let named: BTreeSet<&String> = table.values().flatten().collect();
    let unknown: Vec<_> = named.iter().filter(|room| !table.contains_key(**room)).collect();
    assert!(unknown.is_empty(), "used but without a row: {unknown:?}");
    let rooms: BTreeSet<String> = sources().into_iter().map(|source| source.room).collect();
    let gone: Vec<_> = table.keys().filter(|room| !rooms.contains(*room)).collect();
    assert!(gone.is_empty(), "in the table but not in src/: {gone:?}");
}

#[test]
fn async_stays_in_the_shells() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| {
            let is_shell = ASYNC_PLACES.iter().any(|place| source.room == *place || source.path == *place);
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
    let code = "use crate::wire::Line;\nuse crate::{batch::{Batch, Change}, event, limits::A};\n\
                let a = crate::clock::now(); let b = $crate::x; pub(crate) fn c() {}\n";
    let found: Vec<String> = rooms_used(code).into_iter().collect();
    assert_eq!(found, ["batch", "clock", "event", "limits", "wire"]);
    let hidden = "// crate::disk\n    /// [`crate::http`]\n#[cfg(test)]\nmod tests {\nuse crate::tcp;\n";
    let found = rooms_used(&code_of(hidden));
    assert!(found.is_empty(), "{found:?}");
}
