//! How commands end: the one table of exit codes, from which `--help`, the manual pages and the documents' tests read.
//! Knows nothing of what the commands do.

use std::io;
use std::process::ExitCode;

use super::explain;
use crate::daemon::DaemonError;
use crate::daemon::config::ConfigError;
use crate::store::OpenError;

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Done,
    Failed,
    Misused,
    Damaged,
    TryLater,
}

/// Every way, its code and what it means.
pub(crate) const EXITS: [(Exit, u8, &str); 5] = [
    (Exit::Done, 0, "done"),
    (
        Exit::Failed,
        1,
        "something failed, the message says what; also bad lines of `push`, a refused `report` or `undo`",
    ),
    (
        Exit::Misused,
        64,
        "the command line, a path in it or the configuration is wrong; nothing was started or sent",
    ),
    (
        Exit::Damaged,
        65,
        "the data directory is damaged, or a newer tallyd wrote it; the message names the file",
    ),
    (
        Exit::TryLater,
        75,
        "try again later: the data directory or an address is in use, or a backup is refused for now",
    ),
];

/// The table as a part of `--help`.
pub(crate) fn help() -> String {
    let rows = EXITS.iter().map(|(_, code, meaning)| format!("\n  {code:>2}  {meaning}"));
    format!("Exit codes:{}", rows.collect::<String>())
}

/// A command line that cannot be followed, in the words of the error that says so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(String);

impl Misuse {
    /// The error as one of the command line.
    pub(crate) fn of(error: impl Into<anyhow::Error>) -> anyhow::Error {
        Self(explain(&error.into())).into()
    }
}

impl Exit {
    /// The section of `systemd/README.md` that says what a person has to do; `None` where the message does.
    pub(super) const fn section(self) -> Option<&'static str> {
        match self {
            Self::Damaged => Some("A damaged file"),
            _ => None,
        }
    }

    /// The exit code for an error. Scripts and systemd decide by it.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() || error.is::<Misuse>() {
            return Self::Misused;
        }
        let open = match error.downcast_ref::<DaemonError>() {
            Some(DaemonError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
                return Self::TryLater;
            }
            Some(DaemonError::Open(open)) => Some(open),
            _ => error.downcast_ref::<OpenError>(),
        };
        match open {
            Some(OpenError::Locked { .. }) => Self::TryLater,
            Some(OpenError::Damaged(_)) => Self::Damaged,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        let row = EXITS.iter().find(|(listed, ..)| *listed == exit);
        row.map_or(Self::FAILURE, |(_, code, _)| Self::from(*code))
    }
}
