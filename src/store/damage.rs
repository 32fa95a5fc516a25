//! What can be wrong with the files of a data directory. A [`Damage`] is made where it is found and carried unchanged
//! to the error that stops a start, to the log and to what `verify` says.

use std::fmt;
use std::path::PathBuf;

use crate::platform::disk::DiskError;

/// Why files of the data directory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The machine refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file is not what was written.
    #[error(transparent)]
    Damage(#[from] Damage),
}

/// Something that is wrong with a file or a directory. `Display` names it, the place in it, and what is wrong there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// What is wrong, in general.
    pub kind: DamageKind,
    /// The file; where one is missing, the file or directory that needs it.
    pub file: PathBuf,
    /// Where in the file, in bytes from its start; 0 where the file is wrong as a whole.
    pub offset: u64,
    /// What is wrong there, or what is missing.
    pub what: String,
}

/// How a file is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DamageKind {
    /// It holds what was never written to it.
    Damaged,
    /// Something that must be there is not.
    Missing,
    /// It is a copy that was not completed.
    Incomplete,
    /// A newer tallyd wrote it.
    Newer,
    /// The machine cannot read it.
    Unreadable,
}

impl Damage {
    pub(crate) fn damaged(file: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Self {
        Self { kind: DamageKind::Damaged, file: file.into(), offset, what: what.into() }
    }

    pub(crate) fn missing(place: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self { kind: DamageKind::Missing, file: place.into(), offset: 0, what: what.into() }
    }

    pub(crate) fn incomplete_copy(directory: impl Into<PathBuf>) -> Self {
        let what = "is a copy that is not complete".to_owned();
        Self { kind: DamageKind::Incomplete, file: directory.into(), offset: 0, what }
    }

    pub(crate) fn newer_version(file: impl Into<PathBuf>, found: u32, supported: u32) -> Self {
        Self::newer(file, format!("has format {found}, this tallyd reads up to {supported}"))
    }

    pub(crate) fn unknown_section(file: impl Into<PathBuf>) -> Self {
        Self::newer(file, "has a section that this tallyd cannot read".to_owned())
    }

    fn newer(file: impl Into<PathBuf>, what: String) -> Self {
        Self { kind: DamageKind::Newer, file: file.into(), offset: 0, what }
    }
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, what, .. } = self;
        let file = file.display();
        match self.kind {
            DamageKind::Damaged => write!(f, "{file} is damaged at byte {offset}: {what}"),
            DamageKind::Missing => write!(f, "{file} lacks {what}"),
            DamageKind::Newer | DamageKind::Incomplete => write!(f, "{file} {what}"),
            DamageKind::Unreadable => f.write_str(what),
        }
    }
}

impl From<FileError> for Damage {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Damage(damage) => damage,
            FileError::Disk(error) => {
                let what = error.to_string();
                Self { kind: DamageKind::Unreadable, file: error.path, offset: 0, what }
            }
        }
    }
}
