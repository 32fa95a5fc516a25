//! Which section of `systemd/README.md` a line of the log is about: what a person has to do about it. Knows nothing of how lines are
//! written.
//!
//! INVARIANT: the table has every file that logs errors or warnings, and no other; `tests/runbook.rs` holds it against the
//! sources and against the page.

use tracing::{Level, Metadata};

/// The section of what goes wrong in a module, for the lines that name none themselves; `None` where all do, or nobody has to do anything.
pub const SECTIONS: [(&str, Option<&str>); 31] = [
    ("cli::serve", Some("Options")),
    ("daemon", None),
    ("daemon::memory", Some("Limits")),
    ("daemon::node", Some("A shared log")),
    ("daemon::probe", Some("TallydRestarting")),
    ("daemon::recovery", Some("A damaged file")),
    ("daemon::reload", None),
    ("daemon::retention", Some("Retention")),
    ("daemon::stop", None),
    ("daemon::zones", None),
    ("net::condition", None),
    ("net::guessing", Some("Access")),
    ("net::http::backup", None),
    ("net::http::connection", None),
    ("net::http::pack", None),
    ("net::http::workers", Some("A fault of its own")),
    ("net::listener", None),
    ("net::listener::socket", None),
    ("net::log::nats", Some("A shared log")),
    ("net::log::nats::connect", Some("A shared log")),
    ("net::log::node", Some("A shared log")),
    ("platform::systemd", Some("TallydRestarting")),
    ("store::backup::archive", Some("Backups")),
    ("store::core", Some("A full disk")),
    ("store::fold", None),
    ("store::journal::repair", Some("A full disk")),
    ("store::journal::writer", None),
    ("store::reserve", Some("A full disk")),
    ("store::sequencer", Some("TallydIngestRefused")),
    ("store::snapshotter", Some("TallydSnapshotFailing")),
    ("store::syncer", Some("TallydSyncFailed")),
];

/// The section for a line; `None` for one that is no warning.
pub fn section(metadata: &Metadata<'_>) -> Option<&'static str> {
    if *metadata.level() > Level::WARN {
        return None;
    }
    let module = metadata.target().strip_prefix("tallyd::")?;
    SECTIONS.iter().find(|(of, _)| *of == module).and_then(|(_, section)| *section)
}
