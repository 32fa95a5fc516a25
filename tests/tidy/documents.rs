//! What the two pages promise that people read, `README.md` and `systemd/README.md`: every command, flag, variable, route, limit and exit
//! code is named there as it is, and what they name is there. Metrics are held against them in `tests/http_port/monitoring.rs`.

use std::collections::BTreeSet;
use std::process::Command;

use super::{assert_none, document, limits, root};

/// The pages, by their paths.
const PAGES: [&str; 2] = ["README.md", "systemd/README.md"];

/// Lines of the one page that they were.
const LINES_MAX: usize = 832;

/// The text of both.
fn pages() -> String {
    PAGES.map(document).concat()
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tallyd"))
        .args(arguments)
        .env("COLUMNS", "500")
        .output()
        .expect("tallyd runs");
    assert!(output.status.success(), "tallyd {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The commands that a help lists; none where it lists none.
fn commands_of(help: &str) -> Vec<String> {
    let lines = help.split("Commands:\n").nth(1).into_iter().flat_map(str::lines);
    lines
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .map(str::to_owned)
        .collect()
}

/// The help of every command, and the names of the commands.
fn all_help() -> (String, Vec<String>) {
    let mut text = help(&["--help"]);
    let commands = commands_of(&text);
    for command in &commands {
        let of_command = help(&[command, "--help"]);
        for inner in commands_of(&of_command) {
            text.push_str(&help(&[command, &inner, "--help"]));
        }
        text.push_str(&of_command);
    }
    (text, commands)
}

#[test]
fn pages_name_every_command_flag_and_variable() {
    let (help, commands) = all_help();
    assert!(commands.len() >= 8, "{commands:?}");
    let readme = pages();
    let mut missing = BTreeSet::new();
    for command in commands {
        if !readme.contains(&format!("`tallyd {command}")) {
            missing.insert(format!("tallyd {command}"));
        }
    }
    for word in help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_') {
        let is_flag = word.starts_with("--") && word.len() > 2 && !["--help", "--version"].contains(&word);
        let is_variable = word.starts_with("TALLYD_") && word.len() > "TALLYD_".len();
        if (is_flag || is_variable) && !readme.contains(&format!("`{word}")) {
            missing.insert(word.to_owned());
        }
    }
    assert!(missing.is_empty(), "the pages do not mention: {missing:?}");
}

#[test]
fn readme_names_every_route_command_and_status() {
    let readme = document("README.md");
    let routes = "POST /events|POST /api/v2/write|POST /write|/ping|/health|/query|GET /metrics|GET /reports/{name}|\
                  GET /v2/reports/{name}|GET /stories|PUT /stories/{storyId}|DELETE /stories/{storyId}";
    let lines = "!auth|!precision|!sync|!batch";
    let reports = "conversations.paid|conversations.messages|conversations.average|busiest-period|\
                   interactions.popularity";
    let statuses = [400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431, 503];
    let words = [routes, lines, reports].into_iter().flat_map(|words| words.split('|')).map(str::to_owned);
    let missing: Vec<String> = words
        .chain(statuses.map(|status| format!("| {status} |")))
        .filter(|word| !readme.contains(word.as_str()))
        .collect();
    assert_none("README.md does not mention", &missing);
}

/// The exit codes of `--help`, with what they mean.
fn exit_codes() -> Vec<(String, String)> {
    let help = help(&["--help"]);
    let rows = help.split("Exit codes:\n").nth(1).expect("the exit codes");
    let rows = rows.split("\n\n").next().unwrap_or_default();
    rows.lines()
        .map(|row| row.trim().split_once("  ").expect("a code and its meaning"))
        .map(|(code, meaning)| (code.to_owned(), meaning.to_owned()))
        .collect()
}

#[test]
fn page_has_the_exit_codes_as_they_are() {
    let page = document("systemd/README.md");
    let codes = exit_codes();
    assert!(codes.len() >= 5, "{codes:?}");
    let listed = page.split("| exit code | meaning |").nth(1).expect("a table of exit codes");
    let listed: Vec<&str> =
        listed.trim_start().lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    let rows: Vec<String> = codes.iter().map(|(code, meaning)| format!("| `{code}` | {meaning} |")).collect();
    assert_eq!(listed, rows);
}

/// The value of a constant in `limits/` that is a number or a product of numbers.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.contains(&format!("const {name}:")))?;
    let value = line.split('=').nth(1)?.trim().trim_end_matches(';');
    value.split('*').map(|factor| factor.trim().replace('_', "").parse::<u64>().ok()).product()
}

/// A value as the README writes it: `64 KiB`, `32 MiB`, `1,000,000`, each perhaps with words behind.
fn readme_value(cell: &str) -> Option<u64> {
    let mut words = cell.split_whitespace();
    let number: u64 = words.next()?.replace(',', "").parse().ok()?;
    Some(match words.next() {
        Some("KiB") => number * 1024,
        Some("MiB") => number * 1024 * 1024,
        _ => number,
    })
}

#[test]
fn pages_have_the_limits_as_they_are() {
    let (pages, limits) = (PAGES.map(document), limits());
    let rows: Vec<Vec<&str>> = pages
        .iter()
        .flat_map(|page| {
            let section = page.split("\n## Limits").nth(1).expect("a section on limits");
            section.lines().take_while(|line| !line.starts_with("## "))
        })
        .filter(|line| line.starts_with('|') && line.contains("_MAX`"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 40, "{rows:?}");
    let mut faults = Vec::new();
    for row in rows {
        let (value, name) = (readme_value(row[2]), row[3].trim_matches('`'));
        let actual = limit(&limits, name);
        if value.is_none() || value != actual {
            faults.push(format!("{name}: the page has {:?}, limits/ {actual:?}", row[2]));
        }
    }
    assert_none("limits that differ", &faults);
}

/// What stands between backquotes, but for blocks of code.
fn code_words(page: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut is_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            words.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    words
}

/// The lines of blocks of code that call tallyd.
fn calls(page: &str) -> Vec<&str> {
    let blocks = page.split("```").skip(1).step_by(2).flat_map(str::lines);
    blocks.map(|line| line.trim_start_matches("$ ")).filter(|line| line.starts_with("tallyd ")).collect()
}

#[test]
fn flags_and_variables_of_the_pages_are_there() {
    let (help, commands) = all_help();
    let known: BTreeSet<&str> =
        help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').collect();
    let mut faults = Vec::new();
    let mut checked = 0;
    for page in PAGES.map(document) {
        let words = code_words(&page)
            .into_iter()
            .filter(|word| word.starts_with("--") || word.starts_with("tallyd "));
        let texts: Vec<String> = words.chain(calls(&page).into_iter().map(str::to_owned)).collect();
        for text in &texts {
            for word in text.split(|c: char| c.is_whitespace() || c == '=' || c == '[' || c == ',') {
                if word.starts_with("--") && !known.contains(word) {
                    faults.push(format!("{word} of `{text}`"));
                }
                checked += usize::from(word.starts_with("--"));
            }
            if let Some(command) =
                text.strip_prefix("tallyd ").and_then(|rest| rest.split_whitespace().next())
                && !command.starts_with('-')
                && !commands.iter().any(|known| known == command)
            {
                faults.push(format!("tallyd {command}"));
            }
        }
        for word in page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("TALLYD_") && word != "TALLYD_" && !known.contains(word) {
                faults.push(word.to_owned());
            }
        }
    }
    assert!(checked > 60, "{checked}");
    assert_none("named on a page, but not there", &faults);
}

#[test]
fn routes_of_the_pages_are_in_the_table() {
    let methods = ["GET", "POST", "PUT", "DELETE"];
    let request = |text: &str| -> Option<(String, String)> {
        let (method, path) = text.split_once(' ')?;
        let path = path.split(['?', ' ']).next()?;
        (methods.contains(&method) && path.starts_with('/')).then(|| (method.to_owned(), path.to_owned()))
    };
    let readme = document("README.md");
    // The first column of the table, which `net/http/routes.rs` holds against the code.
    let table =
        readme.split("\n## HTTP\n").nth(1).expect("the section").split("\n\n").next().expect("the table");
    let rows: Vec<(String, String)> =
        table.lines().filter_map(|row| request(row.split('`').nth(1)?)).collect();
    assert!(rows.len() >= 15, "{rows:?}");
    let fits = |(method, path): &(String, String)| {
        rows.iter().any(|(of, route)| {
            let (segments, of_route): (Vec<&str>, Vec<&str>) =
                (path.split('/').collect(), route.split('/').collect());
            of == method
                && segments.len() == of_route.len()
                && segments.iter().zip(of_route).all(|(one, other)| *one == other || other.starts_with('{'))
        })
    };
    let named = PAGES.map(document).iter().flat_map(|page| code_words(page)).collect::<Vec<_>>();
    let requests: Vec<_> = named.iter().filter_map(|word| request(word)).collect();
    assert!(requests.len() > 30, "{requests:?}");
    let faults: Vec<String> = requests
        .iter()
        .filter(|request| !fits(request))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    assert_none("requests that no route takes", &faults);
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().to_lowercase();
    letters
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn links_and_files_of_the_pages_lead_somewhere() {
    let mut faults = Vec::new();
    let mut checked = 0;
    for path in PAGES.into_iter().chain(["tests/README.md", "ARCHITECTURE.md"]) {
        let page = document(path);
        let folder = root().join(path).parent().expect("a folder").to_owned();
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            checked += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { root().join(path) } else { folder.join(file) };
            if !file.exists() {
                faults.push(format!("{path}: {target}"));
            } else if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                if !headings.any(|found| found == heading) {
                    faults.push(format!("{path}: no heading is {target}"));
                }
            }
        }
        let folders = ["systemd/", "monitoring/", "tests/", "benches/", "src/", "fuzz/"];
        for word in code_words(&page) {
            let is_path = folders.iter().any(|folder| word.starts_with(folder))
                && !word.contains([' ', '*', '<', '{', '…']);
            if is_path && !root().join(&word).exists() && !["fuzz/seeds"].contains(&word.as_str()) {
                faults.push(format!("{path}: {word}"));
            }
            checked += usize::from(is_path);
        }
    }
    assert!(checked > 50, "{checked}");
    assert_none("links that lead nowhere", &faults);
}

#[test]
fn pages_are_shorter_than_the_one_that_they_were() {
    for page in PAGES {
        let lines = document(page).lines().count();
        assert!(lines < LINES_MAX, "{page} has {lines} lines; cut words, not facts");
    }
}

#[test]
fn clients_of_the_table_are_those_that_are_run() {
    let readme = document("README.md");
    let rows: BTreeSet<String> = readme
        .split("| client | version |")
        .nth(1)
        .expect("a table of clients")
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[2] != "–")
        .map(|cells| format!("{} {}", cells[1].split(" (").next().unwrap_or_default(), cells[2]))
        .collect();
    let python = document("tests/clients/python/requirements.txt");
    let node = document("tests/clients/node/package.json");
    let of_python = python
        .lines()
        .filter_map(|line| line.split_once("=="))
        .map(|(name, version)| format!("{name} {version}"));
    let of_node = node.lines().filter_map(|line| {
        let words: Vec<&str> = line.split('"').collect();
        let is_version = words.get(3)?.starts_with(|c: char| c.is_ascii_digit());
        is_version.then(|| format!("{} {}", words[1], words[3]))
    });
    assert_eq!(rows, of_python.chain(of_node).collect());
}
