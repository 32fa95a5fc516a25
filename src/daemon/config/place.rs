//! What a path holds that is named as the data directory, so that a wrong path is told as one and not as damage. Looks
//! at names only, and changes nothing.

use std::io;
use std::path::{Path, PathBuf};

/// The names of a data directory's own files and folders.
const OURS: [&str; 4] = ["LOCK", "reserve", "journal", "snapshot"];
/// The folders among them.
const FOLDERS: [&str; 2] = ["journal", "snapshot"];
/// What a new file system has in it.
const OF_FILE_SYSTEMS: &str = "lost+found";
/// Most entries of a directory that are looked into for the data directory that may be meant.
const ENTRIES_LOOKED_INTO: usize = 1000;

/// What a path holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// There is nothing of that name.
    Missing,
    /// Something that is no directory.
    File,
    /// A directory without an entry.
    Empty,
    /// A directory with an entry of tallyd's: whether all is well there is for the store to say.
    Ours,
    /// A directory without an entry of tallyd's, and one of its entries.
    Foreign(String),
}

/// A path that is no data directory.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} {what}", path.display())]
pub struct WrongPlace {
    path: PathBuf,
    what: String,
}

impl Place {
    /// What the path holds. Hidden entries do not count. Blocks.
    ///
    /// # Errors
    /// Where the machine does not say.
    pub fn of(path: &Path) -> io::Result<Self> {
        match std::fs::metadata(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::Missing);
            }
            Ok(metadata) if !metadata.is_dir() => return Ok(Self::File),
            Err(error) => return Err(error),
            Ok(_directory) => {}
        }
        if is_ours(path) {
            return Ok(Self::Ours);
        }
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && name != OF_FILE_SYSTEMS {
                return Ok(Self::Foreign(name));
            }
        }
        Ok(Self::Empty)
    }
}

/// Whether a command that only reads can find something at the path. Blocks.
///
/// # Errors
/// What is there instead, and what would be right.
pub fn check_for_reading(path: &Path) -> Result<(), WrongPlace> {
    let what = match Place::of(path) {
        // The store says what it makes of it; here only a wrong path is told.
        Ok(Place::Ours) | Err(_) => match inner_of(path) {
            Some(whole) => part_of(&whole),
            None => return Ok(()),
        },
        Ok(Place::Missing) => "does not exist".to_owned(),
        Ok(Place::File) => match path.parent().and_then(whole_around) {
            Some(whole) => part_of(&whole),
            None => "is not a directory".to_owned(),
        },
        Ok(Place::Empty) => match inner_of(path) {
            Some(whole) => part_of(&whole),
            None => "is empty: no tallyd has kept anything there".to_owned(),
        },
        Ok(Place::Foreign(name)) => {
            let of_others = || {
                let meant = meant_in(path).map(|meant| format!(" ({} is a data directory)", meant.display()));
                format!("has nothing of tallyd's, but `{}`{}", name.escape_debug(), meant.unwrap_or_default())
            };
            whole_around(path).map_or_else(of_others, |whole| part_of(&whole))
        }
    };
    let what = format!("{what}; --data-dir takes the directory that the daemon was started with");
    Err(WrongPlace { path: path.to_owned(), what })
}

/// Whether a daemon may keep its files at the path: in its own directory, a new or an empty one. Beside files of others it may,
/// with a warning, which is given. Blocks.
///
/// # Errors
/// What is there instead, and what would be right.
pub(super) fn check_for_writing(path: &Path) -> Result<Option<String>, WrongPlace> {
    let wrong = |what: String| Err(WrongPlace { path: path.to_owned(), what });
    if let Some(whole) = inner_of(path) {
        return wrong(part_of(&whole));
    }
    match Place::of(path) {
        Ok(Place::File) => wrong(
            "is not a directory; give the path of one, which is made where it does not exist".to_owned(),
        ),
        Ok(Place::Foreign(name)) => match meant_in(path) {
            Some(meant) => {
                wrong(format!("is none, but has {} in it, which is a data directory", meant.display()))
            }
            None => Ok(Some(format!(
                "the data directory {} has files that are not tallyd's, such as `{}`; tallyd makes its own beside them",
                path.display(),
                name.escape_debug()
            ))),
        },
        // What the machine refuses is told where the daemon needs it.
        Ok(Place::Missing | Place::Empty | Place::Ours) | Err(_) => Ok(None),
    }
}

fn part_of(whole: &Path) -> String {
    format!("is a part of the data directory {}", whole.display())
}

/// Whether an entry of tallyd's is in the directory.
fn is_ours(directory: &Path) -> bool {
    OURS.iter().any(|name| {
        let metadata = std::fs::metadata(directory.join(name));
        metadata.is_ok_and(|metadata| metadata.is_dir() == FOLDERS.contains(name))
    })
}

/// The data directory of which the path is the folder of journal or snapshots.
fn inner_of(path: &Path) -> Option<PathBuf> {
    let is_folder = path.file_name().is_some_and(|name| FOLDERS.iter().any(|folder| name == *folder));
    let whole = path.parent().filter(|_| is_folder)?;
    // Both folders, as a data directory may itself be called `journal` or stand beside such a one.
    FOLDERS.iter().all(|folder| whole.join(folder).is_dir()).then(|| whole.to_owned())
}

/// The data directory that the path or the one around it is.
fn whole_around(path: &Path) -> Option<PathBuf> {
    let around = [Some(path), path.parent()].into_iter().flatten();
    around.filter(|path| FOLDERS.iter().all(|folder| path.join(folder).is_dir())).map(Path::to_owned).next()
}

/// The first data directory in the directory.
fn meant_in(path: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().take(ENTRIES_LOOKED_INTO).flatten();
    entries.map(|entry| entry.path()).filter(|path| is_ours(path)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for name in names {
            let path = dir.path().join(name);
            if name.ends_with('/') {
                std::fs::create_dir_all(path).expect("a folder");
            } else {
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, b"").expect("a file");
            }
        }
        dir
    }

    fn told<T: std::fmt::Debug>(outcome: Result<T, WrongPlace>) -> String {
        outcome.expect_err("it is a wrong place").to_string()
    }

    #[test]
    fn what_is_not_ours_is_told_to_readers_with_what_is_there() {
        let dir = directory(&[
            "empty/",
            "foreign/a.txt",
            "file",
            "up/tallyd/journal/",
            "up/tallyd/LOCK",
            "up/other/",
        ]);
        for (name, words) in [
            ("none", "does not exist"),
            ("file/below", "does not exist"),
            ("file", "is not a directory"),
            ("empty", "is empty"),
            ("foreign", "has nothing of tallyd's, but `a.txt`;"),
            ("up", "up/tallyd is a data directory)"),
        ] {
            let told = told(check_for_reading(&dir.path().join(name)));
            assert!(told.contains(words) && told.contains("--data-dir takes"), "{name}: {told}");
        }
        check_for_reading(&dir.path().join("up/tallyd")).expect("it is one");
    }

    #[test]
    fn parts_of_a_data_directory_are_told_by_its_name() {
        let dir = directory(&["data/journal/1.journal", "data/snapshot/", "data/LOCK"]);
        for name in ["data/journal", "data/snapshot", "data/LOCK"] {
            let told = told(check_for_reading(&dir.path().join(name)));
            assert!(
                told.contains("is a part of the data directory") && told.contains("/data;"),
                "{name}: {told}"
            );
        }
        for name in ["data/journal", "data/snapshot"] {
            let told = told(check_for_writing(&dir.path().join(name)));
            assert!(told.contains("is a part of the data directory"), "{name}: {told}");
        }
    }

    #[test]
    fn daemon_takes_its_own_new_and_empty_directories_and_warns_of_others() {
        let dir = directory(&[
            "empty/",
            "fresh/lost+found/",
            "fresh/.keep",
            "own/LOCK",
            "own/x",
            "foreign/a",
            "file",
        ]);
        let check = |name: &str| check_for_writing(&dir.path().join(name));
        for name in ["none", "empty", "fresh", "own"] {
            assert_eq!(check(name), Ok(None), "{name}");
        }
        assert!(told(check("file")).contains("is not a directory"));
        let warning = check("foreign").expect("it may be").expect("a warning");
        assert!(warning.contains("such as `a`; tallyd makes"), "{warning}");
        let around = told(check_for_writing(dir.path()));
        assert!(around.contains("own in it, which is a data directory"), "{around}");
    }
}
