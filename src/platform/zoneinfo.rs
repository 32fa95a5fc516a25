//! Finds and reads the time-zone files of the machine. Knows nothing of their format.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::{ZONE_FILE_BYTES_MAX, ZONE_FILES_MAX, ZONE_FOLDERS_DEEP_MAX};

/// The variable that names the directory, as the C library and Python read it.
pub const DIRECTORY_VARIABLE: &str = "TZDIR";

/// Where distributions keep the files, in the order in which Python looks.
const DIRECTORIES: [&str; 4] =
    ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// Files that may hold the version: of Linux, of macOS and BSD, and of older packages.
const VERSION_FILES: [&str; 3] = ["tzdata.zi", "+VERSION", "version"];

/// The same zones again with and without leap seconds, and copies of one zone.
const NOT_ZONES: [&str; 4] = ["posix", "right", "posixrules", "localtime"];

/// What a zone file begins with.
const MAGIC: &[u8] = b"TZif";

/// A directory of zone files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zoneinfo {
    /// The directory.
    pub directory: PathBuf,
    /// The version that it says it has, such as `2026f`; `None` where it says nothing.
    pub version: Option<String>,
}

impl Zoneinfo {
    /// The directory in use: `named`, or else the first of the usual ones that is there.
    pub fn find(named: Option<&Path>) -> Option<Self> {
        let usual = || DIRECTORIES.into_iter().map(Path::new);
        let directory = named.map_or_else(|| usual().find(|path| path.is_dir()), Some)?;
        Some(Self { version: version(directory), directory: directory.to_owned() })
    }

    /// The names of all zones and the bytes of their files. Blocks.
    ///
    /// # Errors
    /// Where a file or folder cannot be read, or there are more or larger ones than a database has.
    pub fn read(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        collect(&self.directory, "", &mut files)?;
        Ok(files)
    }
}

/// The version of a directory, from the first line of the first file that has one: `# version 2026f` or `2026f`.
fn version(directory: &Path) -> Option<String> {
    let text = VERSION_FILES.iter().find_map(|name| fs::read_to_string(directory.join(name)).ok())?;
    let line = text.lines().next()?;
    Some(line.strip_prefix("# version ").unwrap_or(line).trim().to_owned())
}

/// Adds the zones of a folder; `prefix` is the part of their names that the folder stands for.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(last) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if NOT_ZONES.contains(&last.as_str()) {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{last}"));
        // Follows links: most old names are links to the new ones.
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            if name.matches('/').count() < ZONE_FOLDERS_DEEP_MAX {
                collect(&path, &format!("{name}/"), files)?;
            }
        } else if metadata.len() <= ZONE_FILE_BYTES_MAX {
            let bytes = fs::read(&path)?;
            if bytes.starts_with(MAGIC) {
                files.push((name, bytes));
            }
        }
        if files.len() > ZONE_FILES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more zones than a database has"));
        }
    }
    Ok(())
}
