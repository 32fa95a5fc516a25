//! What can be wrong with the files of a snapshot. Every variant names the file; damage names the place in it.

use std::path::PathBuf;

use crate::platform::disk::DiskError;

/// Why a file of a snapshot could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes are not what was written.
    #[error("{} is damaged at byte {offset}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file that a manifest lists is not there.
    #[error("{} is missing", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file was written by a newer version of the daemon.
    #[error("{} has format version {found}, this version reads up to {supported}", file.display())]
    NewerVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// The manifest has a section that a newer tallyd wrote.
    #[error("{} has a section that this tallyd cannot read", file.display())]
    UnknownSection {
        /// The manifest.
        file: PathBuf,
    },
    /// Something to be written does not fit the format's limits.
    #[error("{} cannot be written: {what}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// What is too large.
        what: String,
    },
    /// An operation on the data directory did not succeed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl SnapshotError {
    /// Whether the snapshot itself is at fault, so that an older one may help: damaged or missing files, as against
    /// a disk that refuses or files of a newer version.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing { .. })
    }
}
