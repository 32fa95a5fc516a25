//! Every file name within the snapshot folder, in one place.

use std::fmt;

use super::Generation;
use crate::model::cells::Month;

/// The folder of the snapshot files, within the data directory.
pub(crate) const FOLDER: &str = "snapshot";

/// A file of a snapshot, by what it is. The order is that of loading: dictionary first, then months.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileName {
    /// Catalogue entries.
    Dictionary(Generation),
    /// Frames of one month.
    Part(Month, Generation),
    /// The list of the others.
    Manifest(Generation),
}

impl FileName {
    /// The fold that wrote the file.
    pub fn generation(self) -> Generation {
        match self {
            Self::Dictionary(generation) | Self::Part(_, generation) | Self::Manifest(generation) => {
                generation
            }
        }
    }

    /// The month of a part.
    pub fn month(self) -> Option<Month> {
        match self {
            Self::Part(month, _) => Some(month),
            Self::Dictionary(_) | Self::Manifest(_) => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dictionary(generation) => write!(f, "dictionary.{:010}", generation.get()),
            Self::Part(month, generation) => write!(f, "{}.{:010}", month.name(), generation.get()),
            Self::Manifest(generation) => write!(f, "manifest.{:010}", generation.get()),
        }
    }
}

/// The generation in a name of one of our kinds of file; `None` for names that no fold gives, which are left alone.
pub(crate) fn generation_of(name: &str) -> Option<Generation> {
    let (kind, number) = name.split_once('.')?;
    let ours = kind == "dictionary" || kind == "manifest" || is_month(kind);
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
