//! The only place that opens, writes, syncs, renames and removes files of the data directory.
//! Knows nothing of their content.
//!
//! A [`Disk`] is the machine's, or a [`MemoryDisk`], which a test crashes at will; the steps above single system calls
//! are the same code for both. Every call blocks, and every error names the operation and the path. A plan of faults
//! ([`Disk::with_faults`]) makes chosen operations of either fail.
//!
//! INVARIANT: a file that [`Disk::replace`] wrote has either its old or its new content, whatever happens.
#![expect(clippy::missing_errors_doc, reason = "what can fail gives a `DiskError` where the machine refuses")]

mod error;
mod memory;
mod real;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits::{narrow, wide};
pub use error::{DiskError, DiskFault, Operation};
pub use memory::MemoryDisk;
use memory::{MemoryFile, MemoryWriter};

/// A file has this behind its name while it is being written. Leftovers of a crash may be removed.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// A disk writes a stretch of so many bytes whole or not at all, so that many zeros on end were never written.
pub const SECTOR_BYTES: usize = 512;

/// Bytes that are read and written again at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

type FaultPlan = dyn Fn(Operation, &Path) -> Option<DiskFault> + Send + Sync;

/// The way to the files of the data directory. Cheap to clone; clones share the plan of faults.
#[derive(Clone, Default)]
pub struct Disk {
    backend: Backend,
    faults: Option<Arc<FaultPlan>>,
}

#[derive(Clone, Default, Debug)]
enum Backend {
    #[default]
    Real,
    Memory(MemoryDisk),
}

/// The way a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OpenMode {
    Read,
    /// To append to it and to read it.
    Append,
    /// As `Append`; fails where the name is taken.
    CreateNew,
    /// To write over what is in it.
    Overwrite,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("backend", &self.backend)
            .field("has_faults", &self.faults.is_some())
            .finish()
    }
}

/// The name and size of one file of a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileEntry {
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
    pub fn with_faults(plan: impl Fn(Operation, &Path) -> Option<DiskFault> + Send + Sync + 'static) -> Self {
        Self::new().failing(plan)
    }

    /// The same disk, failing by a plan of its own. For tests.
    #[must_use]
    pub fn failing(
        self,
        plan: impl Fn(Operation, &Path) -> Option<DiskFault> + Send + Sync + 'static,
    ) -> Self {
        Self { faults: Some(Arc::new(plan)), ..self }
    }

    /// Makes the directory and the parents that it lacks, mode 0700, and makes their entries durable. The entry of the
    /// parent that was there is synced too: the process that made it may have died, or been refused, before that.
    pub fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        match path.parent() {
            Some(parent) => match self.make_directory(path) {
                Err(error) if error.is_not_found() => {
                    self.create_directory(parent)?;
                    self.make_directory(path)?;
                }
                made => {
                    made?;
                    self.sync_entry(parent)?;
                }
            },
            None => self.make_directory(path)?,
        }
        self.sync_entry(path)
    }

    /// Makes directories in one that is there, mode 0700, and makes their entries durable, with one sync for all of them.
    pub fn create_directories_in(&self, parent: &Path, names: &[&str]) -> Result<(), DiskError> {
        names.iter().try_for_each(|name| self.make_directory(&parent.join(name)))?;
        self.sync_directory(parent)
    }

    /// Makes the directory unless it is there.
    fn make_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::CreateDirectory, path, || match &self.backend {
            Backend::Real => real::make_directory(path),
            Backend::Memory(memory) => memory.make_directory(path),
        })
    }

    /// Makes the entry of a directory in its parent durable.
    fn sync_entry(&self, path: &Path) -> Result<(), DiskError> {
        if path.parent().is_none() {
            // The root and the working directory are there before us.
            return Ok(());
        }
        match self.sync_directory(parent_of(path)) {
            // A parent that may be searched but not read (0711) cannot be opened to be synced.
            Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => {
                self.attempt(Operation::SyncDirectory, path, || match &self.backend {
                    Backend::Real => real::sync_file_system(path),
                    Backend::Memory(memory) => memory.sync_all(),
                })
            }
            outcome => outcome,
        }
    }

    /// Makes a new, empty file to append to, mode 0600. An error where the file is there already.
    pub fn create_new(&self, path: &Path) -> Result<DiskFile, DiskError> {
        self.open(Operation::Create, path, OpenMode::CreateNew)
    }

    /// Opens a file that is there, to append to it.
    pub fn open_append(&self, path: &Path) -> Result<DiskFile, DiskError> {
        self.open(Operation::Open, path, OpenMode::Append)
    }

    /// Opens a file that is there, to read it.
    pub fn open_read(&self, path: &Path) -> Result<DiskFile, DiskError> {
        self.open(Operation::Open, path, OpenMode::Read)
    }

    /// The whole content of a file, which the caller knows to be short.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, DiskError> {
        let opened = self.open_read(path)?;
        let mut content = vec![0; narrow(opened.length()?)];
        let read = opened.read_at(&mut content, 0)?;
        content.truncate(read);
        Ok(content)
    }

    /// Length of a file in bytes, `None` where there is none of that name.
    pub fn length(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let asked = self.attempt(Operation::Read, path, || match &self.backend {
            Backend::Real => std::fs::metadata(path).map(|metadata| metadata.len()),
            Backend::Memory(memory) => memory.length(path),
        });
        match asked {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives `path` this content, atomically and durably: writes beside, syncs, renames, syncs the directory. The file
    /// stays open to append to it. After an error the old content is still there, unless it was the last step,
    /// syncing the directory, that failed.
    pub fn replace(&self, path: &Path, content: &[u8]) -> Result<DiskFile, DiskError> {
        self.replace_with(path, |file| file.append(content))
    }

    /// As [`Disk::replace`], with the content that `write` appends.
    pub fn replace_with(
        &self,
        path: &Path,
        write: impl FnOnce(&DiskFile) -> Result<(), DiskError>,
    ) -> Result<DiskFile, DiskError> {
        let temporary = temporary_path(path);
        match self.remove(&temporary) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let file = self.create_new(&temporary)?;
        write(&file)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_directory(parent_of(path))?;
        Ok(DiskFile { path: path.to_owned(), ..file })
    }

    /// Writes anew, in place and durably, what is read of a file from byte `from` on. After a failed sync the page cache has
    /// what the disk does not, as clean pages that no later sync writes; and no system call reads the disk for
    /// certain. After an error what is read of the file is still the same.
    pub fn write_anew(&self, path: &Path, from: u64) -> Result<(), DiskError> {
        let file = self.open(Operation::Open, path, OpenMode::Overwrite)?;
        file.for_each_chunk(from..u64::MAX, |bytes, offset| file.put(bytes, Some(offset)))?;
        file.sync()
    }

    /// Gives a file another name, replacing a file of that name. Durable only after [`Disk::sync_directory`].
    #[expect(clippy::disallowed_methods, reason = "this is the one place that replaces files")]
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::Rename, from, || match &self.backend {
            Backend::Real => std::fs::rename(from, to),
            Backend::Memory(memory) => memory.rename(from, to),
        })
    }

    /// Gives a file a second name. An error where that is taken, on another file system, or where there are none.
    pub fn link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::Create, to, || match &self.backend {
            Backend::Real => std::fs::hard_link(from, to),
            Backend::Memory(_) => Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// Removes a file. Durable only after [`Disk::sync_directory`].
    pub fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.attempt(Operation::Remove, path, || match &self.backend {
            Backend::Real => std::fs::remove_file(path),
            Backend::Memory(memory) => memory.remove(path),
        })
    }

    /// Makes the entries of a directory durable.
    pub fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        let outcome = self.attempt(Operation::SyncDirectory, path, || match &self.backend {
            Backend::Real => real::sync_directory(path),
            Backend::Memory(memory) => memory.sync_directory(path),
        });
        if let (Err(error), Backend::Memory(memory)) = (&outcome, &self.backend) {
            memory.fail_directory_sync(path, error);
        }
        outcome
    }

    /// The files of a directory, by name; directories in it are left out.
    pub fn list(&self, path: &Path) -> Result<Vec<FileEntry>, DiskError> {
        let listed = self.attempt(Operation::List, path, || match &self.backend {
            Backend::Real => real::list(path),
            Backend::Memory(memory) => memory.list(path),
        });
        let mut entries = listed?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Whether a directory holds nothing but what is named.
    pub fn holds_only(&self, path: &Path, names: &[&str]) -> Result<bool, DiskError> {
        let found = self.attempt(Operation::List, path, || match &self.backend {
            Backend::Real => real::names(path),
            Backend::Memory(memory) => memory.names(path),
        })?;
        Ok(found.iter().all(|name| names.iter().any(|it| name == it)))
    }

    /// Locks `path` (made if needed) against other processes; `None` where another one holds it. The lock goes
    /// with the value, and with the process however it ends. A lock that is there is only read, so that a copy without the
    /// right to write can be read under it.
    pub fn try_lock(&self, path: &Path) -> Result<Option<Lock>, DiskError> {
        let file = match self.open_read(path) {
            Err(error) if error.is_not_found() => self.create_new(path)?,
            outcome => outcome?,
        };
        let is_ours = self.attempt(Operation::Lock, path, || match &file.content {
            Content::Real(file) => real::try_lock(file),
            Content::Memory(file) => file.try_lock(),
        })?;
        Ok(is_ours.then_some(Lock { file }))
    }

    /// Makes a file of `bytes` bytes and allocates its blocks. After an error no file is left.
    pub fn set_aside(&self, path: &Path, bytes: u64) -> Result<(), DiskError> {
        let opened = self.create_new(path)?;
        let reserved = self.attempt(Operation::Reserve, path, || match &opened.content {
            Content::Real(file) => real::allocate(file, bytes),
            Content::Memory(file) => file.allocate(bytes),
        });
        if reserved.is_err() {
            self.remove(path)?;
        }
        reserved
    }

    fn open(&self, operation: Operation, path: &Path, access: OpenMode) -> Result<DiskFile, DiskError> {
        let content = self.attempt(operation, path, || match &self.backend {
            Backend::Real => real::open(path, access).map(Content::Real),
            Backend::Memory(memory) => memory.open(path, access).map(Content::Memory),
        })?;
        Ok(DiskFile { disk: self.clone(), content, path: path.to_owned() })
    }

    fn attempt<T>(
        &self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, DiskError> {
        let outcome = match self.fault(operation, path) {
            None => act(),
            Some(DiskFault::Fail(errno) | DiskFault::Short { errno, .. }) => Err(errno.into()),
        };
        outcome.map_err(|source| DiskError { operation, path: path.to_owned(), source })
    }

    fn fault(&self, operation: Operation, path: &Path) -> Option<DiskFault> {
        self.faults.as_ref().and_then(|plan| plan(operation, path))
    }
}

/// An open file of the data directory. All calls take `&self`, so that one thread can sync while another
/// appends; only one may append or truncate.
#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    content: Content,
    path: PathBuf,
}

#[derive(Debug)]
enum Content {
    Real(File),
    Memory(MemoryFile),
}

impl DiskFile {
    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends all of `bytes`, and goes on after interrupted and short writes. After an error any part of `bytes` may
    /// be in the file.
    pub fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        self.put(bytes, None)
    }

    /// Writes at the end, or over what is there from an offset on.
    fn put(&self, bytes: &[u8], at: Option<u64>) -> Result<(), DiskError> {
        let outcome = match self.disk.fault(Operation::Write, &self.path) {
            None => self.write_all(bytes, at),
            Some(DiskFault::Fail(errno)) => Err(errno.into()),
            Some(DiskFault::Short { bytes: written, errno }) => {
                self.write_all(bytes.get(..written).unwrap_or(bytes), at).and(Err(errno.into()))
            }
        };
        outcome.map_err(|source| DiskError { operation: Operation::Write, path: self.path.clone(), source })
    }

    fn write_all(&self, bytes: &[u8], at: Option<u64>) -> io::Result<()> {
        match (&self.content, at) {
            (Content::Real(file), None) => (&*file).write_all(bytes),
            (Content::Real(file), Some(at)) => file.write_all_at(bytes, at),
            (Content::Memory(file), at) => MemoryWriter { file, at }.write_all(bytes),
        }
    }

    /// Allocates blocks for `bytes` bytes from `from` on, which is the file's end or behind it. The length stays as it is,
    /// and what is read too. Only makes later writes quicker: a disk in memory does nothing.
    pub fn allocate_ahead(&self, from: u64, bytes: u64) -> Result<(), DiskError> {
        self.disk.attempt(Operation::Reserve, &self.path, || match &self.content {
            Content::Real(file) => real::allocate_ahead(file, from, bytes),
            Content::Memory(_) => Ok(()),
        })
    }

    /// Gives the blocks back that were allocated behind the end. Nobody may append meanwhile.
    pub fn give_back_ahead(&self) -> Result<(), DiskError> {
        self.disk.attempt(Operation::Reserve, &self.path, || match &self.content {
            // Cutting a file to the length it has frees what is behind.
            Content::Real(file) => file.set_len(file.metadata()?.len()),
            Content::Memory(_) => Ok(()),
        })
    }

    /// Cuts the file to `bytes` bytes.
    pub fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
        self.disk.attempt(Operation::Truncate, &self.path, || match &self.content {
            Content::Real(file) => file.set_len(bytes),
            Content::Memory(file) => file.truncate(bytes),
        })
    }

    /// Makes the content durable (`fdatasync`). NOTE: after an error any of the unsynced bytes may be lost, and a
    /// second call may succeed without having written them.
    pub fn sync(&self) -> Result<(), DiskError> {
        let outcome = self.disk.attempt(Operation::Sync, &self.path, || match &self.content {
            Content::Real(file) => file.sync_data(),
            Content::Memory(file) => file.sync(),
        });
        if let (Err(_), Content::Memory(file)) = (&outcome, &self.content) {
            file.fail_sync();
        }
        outcome
    }

    /// Length in bytes.
    pub fn length(&self) -> Result<u64, DiskError> {
        self.disk.attempt(Operation::Read, &self.path, || match &self.content {
            Content::Real(file) => file.metadata().map(|metadata| metadata.len()),
            Content::Memory(file) => file.length(),
        })
    }

    /// Reads the bytes in that range, or as many as the file has, and hands them over piece by piece, each with its offset.
    pub fn for_each_chunk(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8], u64) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let (mut buffer, mut offset) = (vec![0; CHUNK_BYTES], range.start);
        while offset < range.end {
            let wanted = narrow(range.end.saturating_sub(offset)).min(CHUNK_BYTES);
            let read = self.read_at(buffer.get_mut(..wanted).unwrap_or_default(), offset)?;
            if read == 0 {
                break;
            }
            take(buffer.get(..read).unwrap_or_default(), offset)?;
            offset = offset.saturating_add(wide(read));
        }
        Ok(())
    }

    /// Reads from byte `offset` on until `buffer` is full or the file ends; returns how many bytes it read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        self.disk.attempt(Operation::Read, &self.path, || {
            let mut filled = 0_usize;
            while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                let position = offset.saturating_add(wide(filled));
                let outcome = match &self.content {
                    Content::Real(file) => file.read_at(rest, position),
                    Content::Memory(file) => file.read_at(rest, position),
                };
                match outcome {
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
    file: DiskFile,
}

/// The name of `path` while it is being written.
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
