//! The only place that opens, writes, syncs, renames and removes files of the data directory.
//! Knows nothing of what is in them or of who calls.
//!
//! Every call blocks, and every error names the operation and the path. A [`Disk`] made by
//! [`Disk::with_faults`] fails where its plan says so, so that full and broken disks can be tried in tests.
//!
//! INVARIANT: a file that [`Disk::replace`] wrote has either its old or its new content, whatever happens.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is called beside its final name while it is being written. Leftovers of a crash may be removed.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// What was being done when a [`DiskError`] happened.
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
    /// Setting aside room for a file.
    Reserve,
    /// Shortening a file.
    Truncate,
    /// Making a file's content last (`fdatasync`).
    Sync,
    /// Making a directory's names last (`fsync`).
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

/// The machine refused something.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// What was being done.
    pub operation: Operation,
    /// To which file or directory.
    pub path: PathBuf,
    /// The machine's reason.
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

/// A failure that a test wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The operation does nothing and fails.
    Fail(rustix::io::Errno),
    /// A write puts this many bytes into the file, then fails. Other operations fail as with `Fail`.
    Short {
        /// Bytes that still get written; more than there are means all.
        bytes: usize,
        /// The reason given.
        errno: rustix::io::Errno,
    },
}

type FaultPlan = dyn Fn(Operation, &Path) -> Option<Fault> + Send + Sync;

/// The way to the machine's files. Cheap to clone; clones share the plan of faults.
#[derive(Clone, Default)]
pub struct Disk {
    faults: Option<Arc<FaultPlan>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.faults.is_some() { "Disk::with_faults" } else { "Disk" })
    }
}

/// The name and size of one file of a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The file's name, without its directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Disk {
    /// The machine's disk as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that asks `plan` before each operation and fails where it says so. For tests.
    pub fn with_faults(plan: impl Fn(Operation, &Path) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { faults: Some(Arc::new(plan)) }
    }

    /// Makes the directory, mode 0700, with its parents, and makes its name last. One that is there is fine.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::CreateDirectory, path, || {
            std::fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
        })?;
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_directory(parent),
            _ => Ok(()),
        }
    }

    /// Makes a new, empty file to append to, mode 0600.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses, also where the file is there already.
    pub fn create_new(&self, path: &Path) -> Result<DiskFile, DiskError> {
        let file = self.attempt(Operation::Create, path, || {
            OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path)
        })?;
        Ok(self.file(file, path))
    }

    /// Opens a file that is there, to append to it.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn open_append(&self, path: &Path) -> Result<DiskFile, DiskError> {
        let file =
            self.attempt(Operation::Open, path, || OpenOptions::new().read(true).append(true).open(path))?;
        Ok(self.file(file, path))
    }

    /// Opens a file that is there, to read it.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn open_read(&self, path: &Path) -> Result<DiskFile, DiskError> {
        let file = self.attempt(Operation::Open, path, || OpenOptions::new().read(true).open(path))?;
        Ok(self.file(file, path))
    }

    /// The whole content of a file. The caller knows that it is of bearable length.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, DiskError> {
        let opened = self.open_read(path)?;
        let mut content = Vec::new();
        self.attempt(Operation::Read, path, || (&opened.file).read_to_end(&mut content))?;
        Ok(content)
    }

    /// Length of a file in bytes, `None` where there is none of that name.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn length(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        match self.attempt(Operation::Read, path, || std::fs::metadata(path)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives `path` this content, at once and lastingly: writes beside, syncs, renames, syncs the directory.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses; the old content is then still there, unless it was the last
    /// step, syncing the directory, that failed.
    pub fn replace(&self, path: &Path, content: &[u8]) -> Result<(), DiskError> {
        let temporary = temporary_path(path);
        match self.remove(&temporary) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let file = self.create_new(&temporary)?;
        file.append(content)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_directory(parent_of(path))
    }

    /// Gives a file another name, replacing what has that name. Lasting only after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that replaces files")]
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::Rename, from, || std::fs::rename(from, to))
    }

    /// Removes a file. Lasting only after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::Remove, path, || std::fs::remove_file(path))
    }

    /// Makes the names in a directory last.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::SyncDirectory, path, || OpenOptions::new().read(true).open(path)?.sync_all())
    }

    /// The files of a directory, by name; directories in it are left out.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn list(&self, path: &Path) -> Result<Vec<Entry>, DiskError> {
        self.attempt(Operation::List, path, || {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if metadata.is_file() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    entries.push(Entry { name, bytes: metadata.len() });
                }
            }
            entries.sort_unstable();
            Ok(entries)
        })
    }

    /// Locks `path` (made if needed) against other processes; `None` where another one holds it. The lock goes
    /// with the value, and with the process however it ends.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn try_lock(&self, path: &Path) -> Result<Option<Lock>, DiskError> {
        self.attempt(Operation::Lock, path, || {
            let file = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(Lock { file })),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        })
    }

    /// Makes a file of `bytes` bytes whose room on the disk is really taken.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses; no file is then left.
    pub fn set_aside(&self, path: &Path, bytes: u64) -> Result<(), DiskError> {
        let opened = self.create_new(path)?;
        let reserved = self.attempt(Operation::Reserve, path, || {
            rustix::fs::fallocate(&opened.file, rustix::fs::FallocateFlags::empty(), 0, bytes)
                .map_err(io::Error::from)
        });
        if reserved.is_err() {
            self.remove(path)?;
        }
        reserved
    }

    fn file(&self, file: File, path: &Path) -> DiskFile {
        DiskFile { disk: self.clone(), file, path: path.to_owned() }
    }

    fn attempt<T>(
        &self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, DiskError> {
        let outcome = match self.fault(operation, path) {
            None => act(),
            Some(Fault::Fail(errno) | Fault::Short { errno, .. }) => Err(errno.into()),
        };
        outcome.map_err(|source| DiskError { operation, path: path.to_owned(), source })
    }

    fn fault(&self, operation: Operation, path: &Path) -> Option<Fault> {
        self.faults.as_ref().and_then(|plan| plan(operation, path))
    }
}

/// An open file of the data directory. All calls take `&self`, so that one thread can sync while another
/// appends; only one may append or truncate.
#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `bytes` at the end; interrupted and short writes are gone on with.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses; any part of `bytes` may then be in the file.
    pub fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        let outcome = match self.disk.fault(Operation::Write, &self.path) {
            None => (&self.file).write_all(bytes),
            Some(Fault::Fail(errno)) => Err(errno.into()),
            Some(Fault::Short { bytes: written, errno }) => {
                let part = bytes.get(..written).unwrap_or(bytes);
                (&self.file).write_all(part).and(Err(errno.into()))
            }
        };
        outcome.map_err(|source| DiskError { operation: Operation::Write, path: self.path.clone(), source })
    }

    /// Cuts the file to `bytes` bytes.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
        self.disk.attempt(Operation::Truncate, &self.path, || self.file.set_len(bytes))
    }

    /// Makes the content last (`fdatasync`).
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses. NOTE: what was lost then cannot be known, and a second call
    /// may succeed without having saved it.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.disk.attempt(Operation::Sync, &self.path, || self.file.sync_data())
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn length(&self) -> Result<u64, DiskError> {
        self.disk.attempt(Operation::Read, &self.path, || self.file.metadata()).map(|metadata| metadata.len())
    }

    /// Reads from byte `offset` on until `buffer` is full or the file ends; returns how many bytes it read.
    ///
    /// # Errors
    /// [`DiskError`] where the machine refuses.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.disk.attempt(Operation::Read, &self.path, || {
            let mut filled = 0_usize;
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                let position = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
                match self.file.read_at(rest, position) {
                    Ok(0) => break,
                    Ok(read) => filled = filled.saturating_add(read),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(filled)
        })
    }
}

/// Holds a data directory against other processes until it is dropped.
#[derive(Debug)]
pub struct Lock {
    #[expect(dead_code, reason = "the lock is held by the open file")]
    file: File,
}

/// The name that the content of `path` has while it is being written.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
