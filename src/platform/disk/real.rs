//! The files of the operating system, one system call a function. Knows nothing of the order of calls.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FallocateFlags;

use super::{FileEntry, OpenMode};

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        outcome => outcome,
    }
}

pub(super) fn open(path: &Path, access: OpenMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    match access {
        OpenMode::Read => options.read(true),
        OpenMode::Overwrite => options.read(true).write(true),
        OpenMode::Append => options.read(true).append(true),
        OpenMode::CreateNew => options.append(true).create_new(true),
    };
    options.mode(FILE_MODE).open(path)
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    open(path, OpenMode::Read)?.sync_all()
}

/// Makes everything durable that was written to the file system which holds `path`.
pub(super) fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(open(path, OpenMode::Read)?)?)
}

pub(super) fn list(path: &Path) -> io::Result<Vec<FileEntry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(FileEntry { name, bytes: metadata.len() });
        }
    }
    Ok(entries)
}

/// The names of all that is in a directory.
pub(super) fn names(path: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)?)
}

/// Allocates blocks behind the end of a file, whose length stays as it is.
pub(super) fn allocate_ahead(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes)?)
}
