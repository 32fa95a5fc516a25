//! Disk operations by name, their errors, and the faults that tests plan.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The operation that a [`DiskError`] or a planned fault is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Making a directory.
    CreateDirectory,
    /// Making a file.
    Create,
    /// Opening a file that is there.
    Open,
    /// Locking the directory against other daemons.
    Lock,
    /// Reading a file, or asking for its length.
    Read,
    /// Appending to a file.
    Write,
    /// Allocating room for a file, or giving it back.
    Reserve,
    /// Shortening a file.
    Truncate,
    /// Making a file's content durable (`fdatasync`).
    Sync,
    /// Making a directory's entries durable (`fsync`).
    SyncDirectory,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing a directory.
    List,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateDirectory => "make directory",
            Self::Create => "create",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Reserve => "set aside room for",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncDirectory => "sync directory",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
        })
    }
}

/// The machine refused an operation.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// The operation.
    pub operation: Operation,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

impl DiskError {
    /// Whether the reason is that there is no room (full, or over a quota).
    pub fn is_no_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether the reason is that there is no such file.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// A failure that a test asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// The operation does nothing and fails.
    Fail(rustix::io::Errno),
    /// A write puts this many bytes into the file, then fails. Other operations fail as with `Fail`.
    Short {
        /// Bytes that are still written; more than there are means all.
        bytes: usize,
        /// The reason given.
        errno: rustix::io::Errno,
    },
}
