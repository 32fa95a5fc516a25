//! Every name on disk, in one place.
//!
//! | name in the data directory | it is |
//! | --- | --- |
//! | `LOCK` | the lock of the daemon that has the directory |
//! | `reserve` | room for the last snapshot on a full disk, or for a start's copy of the journal's end |
//! | `BACKUP` | what a copy holds, and that it is a copy; see `backup` |
//! | `journal/<first record, 20 digits>.journal` | a segment |
//! | `snapshot/manifest.<generation, 10 digits>` | the list of a snapshot's files; the newest one is the snapshot |
//! | `snapshot/dictionary.<generation>` | a piece of the dictionary |
//! | `snapshot/keys.<generation>` | a piece of the keys of batches |
//! | `snapshot/<year-month>.<generation>` | a part |
//! | any of those with `.tmp` | a file that is being made |

use std::fmt;

use super::position::{Generation, Sequence};
use crate::model::cells::Month;

/// The lock of the daemon that has the directory.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// What a copy holds. Without a manifest it says that the copy is not complete.
pub(crate) const BACKUP_FILE: &str = "BACKUP";
/// The room that is kept aside.
pub(crate) const RESERVE_FILE: &str = "reserve";
/// The folder of the journal's segments.
pub(crate) const JOURNAL_FOLDER: &str = "journal";
pub(crate) const SNAPSHOT_FOLDER: &str = "snapshot";

const SEGMENT_SUFFIX: &str = ".journal";
/// As many digits as `u64::MAX` has, so that names sort as their numbers do.
const SEGMENT_DIGITS: usize = 20;

/// The name of the segment that begins with that record.
pub(crate) fn segment_name(first: Sequence) -> String {
    format!("{:0width$}{SEGMENT_SUFFIX}", first.get(), width = SEGMENT_DIGITS)
}

/// The first record of the segment of that name; `None` where no segment has such a name.
pub(crate) fn first_of_segment(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let plain = digits.len() == SEGMENT_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Sequence::new)).flatten()
}

/// The folder of a file that a copy lists.
pub(crate) fn folder_of(name: &str) -> &'static str {
    if first_of_segment(name).is_some() { JOURNAL_FOLDER } else { SNAPSHOT_FOLDER }
}

/// A file of a snapshot, by what it is. The order is that of loading: dictionary first, then months.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileName {
    /// Catalogue entries.
    Dictionary(Generation),
    /// Keys of batches.
    Keys(Generation),
    /// Frames of one month.
    Part(Month, Generation),
    /// The list of the others.
    Manifest(Generation),
}

impl FileName {
    /// The fold that wrote the file.
    pub fn generation(self) -> Generation {
        match self {
            Self::Dictionary(generation)
            | Self::Keys(generation)
            | Self::Part(_, generation)
            | Self::Manifest(generation) => generation,
        }
    }

    /// The month of a part.
    pub fn month(self) -> Option<Month> {
        match self {
            Self::Part(month, _) => Some(month),
            Self::Dictionary(_) | Self::Keys(_) | Self::Manifest(_) => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dictionary(generation) => write!(f, "dictionary.{:010}", generation.get()),
            Self::Keys(generation) => write!(f, "keys.{:010}", generation.get()),
            Self::Part(month, generation) => write!(f, "{}.{:010}", month.name(), generation.get()),
            Self::Manifest(generation) => write!(f, "manifest.{:010}", generation.get()),
        }
    }
}

/// The generation in a name of one of our kinds of file; `None` for names that no fold gives, which are left alone.
pub(crate) fn generation_of(name: &str) -> Option<Generation> {
    let (kind, number) = name.split_once('.')?;
    let ours = matches!(kind, "dictionary" | "keys" | "manifest") || is_month(kind);
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if ours && digits { number.parse().ok().map(Generation::new) } else { None }
}

/// The generation of the manifest that the name is of.
pub(crate) fn manifest_generation(name: &str) -> Option<Generation> {
    let generation = generation_of(name)?;
    (name == FileName::Manifest(generation).to_string()).then_some(generation)
}

fn is_month(text: &str) -> bool {
    text.split_once('-').is_some_and(|(year, month)| {
        year.len() >= 4 && month.len() == 2 && year.bytes().chain(month.bytes()).all(|b| b.is_ascii_digit())
    })
}
