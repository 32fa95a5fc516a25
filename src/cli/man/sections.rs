//! What `--help` has no room for: signals, files and examples, by command.

/// A section of a page.
pub(super) struct Section {
    /// Its heading.
    pub(super) heading: &'static str,
    /// Whether the terms are command lines, each after the words on it.
    pub(super) is_examples: bool,
    /// Terms, and words on them.
    pub(super) rows: &'static [(&'static str, &'static str)],
}

const fn section(heading: &'static str, rows: &'static [(&'static str, &'static str)]) -> Section {
    Section { heading, is_examples: false, rows }
}

const fn examples(rows: &'static [(&'static str, &'static str)]) -> Section {
    Section { heading: "EXAMPLES", is_examples: true, rows }
}

const SERVE: [Section; 3] = [
    section(
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "Accept nothing more, finish what was read, make a last snapshot, end with 0: within 98 seconds. A second signal \
                 hurries it to a few seconds; the next start then reads the journal instead of that snapshot.",
            ),
            (
                "SIGHUP",
                "Read the tokens file, certificate and key, and the machine's time zones anew. A token that is gone is \
                 refused from then on, on open connections, too. What cannot be read changes nothing; the log says so.",
            ),
        ],
    ),
    section(
        "FILES",
        &[
            ("./tallyd-data", "The data directory where no other is named."),
            ("DIR/LOCK", "Held while a daemon runs."),
            ("DIR/reserve", "Room kept aside, so that a full disk still takes a last snapshot."),
            ("DIR/journal/", "What was acknowledged since the last snapshot."),
            (
                "DIR/snapshot/",
                "Counters by month, stories and names, keys, and the manifests that list them.",
            ),
            (
                "/etc/tallyd/tallyd.toml",
                "The configuration of the service under systemd; see tallyd.toml(5).",
            ),
            ("/etc/tallyd/tokens.toml", "Its access tokens."),
            ("/var/lib/tallyd", "Its data directory."),
        ],
    ),
    examples(&[
        ("tallyd", "Serve on this machine alone, with HTTP at 127.0.0.1:8780 and lines at 127.0.0.1:8781:"),
        (
            "tallyd serve --config /etc/tallyd/tallyd.toml --check-config",
            "See whether a configuration is good:",
        ),
        (
            "tallyd serve --http-listen 0.0.0.0:8780 --tls-cert tls.crt --tls-key tls.key --tokens-file tokens.toml",
            "Serve other machines:",
        ),
    ]),
];

const DEMO: [Section; 1] = [examples(&[
    ("tallyd demo", "Something to look at, at http://127.0.0.1:8780/:"),
    (
        "tallyd demo --http-listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --days 7",
        "On ports that are free, with a shorter history:",
    ),
])];

const PUSH: [Section; 2] = [
    section(
        "SIGNALS",
        &[(
            "SIGINT, SIGTERM",
            "End after the batch under way, and print what was counted and what was not sent.",
        )],
    ),
    examples(&[
        ("tallyd push events.lp.gz", "Send a file:"),
        (
            "tallyd push --precision s --url https://stats.example.org:8780 --token-file token -",
            "Send standard input, with times in seconds:",
        ),
    ]),
];

const REPORT: [Section; 1] = [examples(&[
    ("tallyd report conversations --period last7days --group source", "A week by channel:"),
    ("tallyd report busiest-period --timezone Europe/Warsaw", "The busiest hours of the week:"),
    ("tallyd report conversations.messages --from 2019-3-1 --to 2019-3-31 --csv", "A month for a sheet:"),
    ("tallyd report conversations --period today --dimension hour --watch", "Keep looking:"),
])];

const UNDO: [Section; 1] = [examples(&[
    (
        "tallyd undo 5b07ffafc2376e30306d9b16 --from 2019-3-17 --to 2019-3-18 --dry-run",
        "What two days of a story come to:",
    ),
    (
        "tallyd undo 5b07ffafc2376e30306d9b16 --from 2019-3-17 --to 2019-3-18 --source app",
        "Take away those of one channel:",
    ),
])];

const TOP: [Section; 1] = [examples(&[
    ("tallyd top --token-file token", "Keep looking at a daemon:"),
    ("tallyd top --once --every 10", "The rates of ten seconds, as a sheet:"),
    ("tallyd top --json", "For a script:"),
])];

const BACKUP: [Section; 1] = [examples(&[
    (
        "tallyd backup --token-file token /srv/backup",
        "Copy a daemon that runs, again and again into one directory:",
    ),
    ("tallyd serve --data-dir /srv/backup", "Start on the copy:"),
])];

const VERIFY: [Section; 1] =
    [examples(&[("tallyd verify --data-dir /var/lib/tallyd", "After systemctl stop tallyd, as root:")])];

const EXPORT: [Section; 1] = [examples(&[
    ("tallyd export --data-dir /var/lib/tallyd counters.lp", "All counters as a file:"),
    ("tallyd export --format ndjson", "As JSON, a line each, on standard output:"),
])];

const IMPORT: [Section; 1] = [examples(&[("tallyd import counters.lp.zst", "Into an empty daemon:")])];

const CLUSTER: [Section; 1] = [examples(&[(
    "tallyd cluster init --cluster nats://a:4222,nats://b:4222,nats://c:4222 --max-bytes 200GiB",
    "Make the log, once:",
)])];

const CLUSTER_STATUS: [Section; 1] = [examples(&[(
    "tallyd cluster status http://node1:8780 http://node2:8780",
    "Whether two nodes have read, and made, the same:",
)])];

const TOKEN: [Section; 1] = [examples(&[
    (
        "tallyd token platform --scope write >> tokens.toml",
        "For what pushes events; the secret is shown on the terminal:",
    ),
    (
        "tallyd token bakery --scope read --story 5b07ffafc2376e30306d9b16 >> tokens.toml",
        "For one story's reports:",
    ),
])];

const MAN: [Section; 1] = [examples(&[("tallyd man man1", "Write the pages to a folder:")])];

const COMPLETIONS: [Section; 1] = [examples(&[
    ("tallyd completions bash > /usr/share/bash-completion/completions/tallyd", "For bash, as root:"),
    ("tallyd completions zsh > /usr/share/zsh/vendor-completions/_tallyd", "For zsh, as root:"),
    ("tallyd completions fish > /usr/share/fish/vendor_completions.d/tallyd.fish", "For fish, as root:"),
])];

/// Each command that has such sections; `tallyd` itself serves.
pub(super) const SECTIONS: [(&str, &[Section]); 17] = [
    ("tallyd", &SERVE),
    ("serve", &SERVE),
    ("demo", &DEMO),
    ("push", &PUSH),
    ("report", &REPORT),
    ("undo", &UNDO),
    ("top", &TOP),
    ("backup", &BACKUP),
    ("verify", &VERIFY),
    ("export", &EXPORT),
    ("import", &IMPORT),
    ("cluster", &CLUSTER),
    ("init", &CLUSTER),
    ("status", &CLUSTER_STATUS),
    ("token", &TOKEN),
    ("man", &MAN),
    ("completions", &COMPLETIONS),
];

/// The sections of a command.
pub(super) fn sections_of(command: &str) -> &'static [Section] {
    SECTIONS.iter().find(|(name, _)| *name == command).map_or(&[], |(_, sections)| sections)
}
