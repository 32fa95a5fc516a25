//! A disk in memory, for tests: as unkind as a Linux machine may be, and the same again from the same seed.
//! Knows nothing of faults that are planned by operation; [`super::Disk::failing`] adds those.
//!
//! - Content is durable once its file is synced, a name once its directory is. [`MemoryDisk::cut_power`] keeps, of
//!   everything else, what the seed says: all, nothing, a first part torn at any byte, or any set of sectors and names.
//! - A sync of a file that fails writes some sectors and loses the rest: they are still read, count as clean for the next
//!   sync, and a power cut shows what the disk has instead.
//! - Reads and writes are short or interrupted now and then.
//!
//! INVARIANT: once the power is off, nothing changes any more until [`MemoryDisk::cut_power`] has turned it on.

mod image;
mod inode;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::{Backend, Disk, DiskError, FileEntry, OpenMode};
use crate::limits::{narrow, wide};
use image::Image;
use inode::Number;

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<Image>>);

impl MemoryDisk {
    /// An empty disk, which has a root directory and as much room as is wanted.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Image::new(seed))))
    }

    /// The disk as the code under test takes it.
    pub fn disk(&self) -> Disk {
        Disk { backend: Backend::Memory(self.clone()), faults: None }
    }

    /// A disk that holds the same and goes on by itself.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.image().clone())))
    }

    /// Turns the power off after so many more operations; from then on every operation fails.
    pub fn turn_off_after(&self, operations: u64) {
        let mut image = self.image();
        image.off_at = Some(image.operations.saturating_add(operations));
    }

    /// Turns the power on, or takes back that it will go off, without the loss of a power cut.
    pub fn turn_on(&self) {
        self.image().off_at = None;
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.image().is_off()
    }

    /// Operations so far, those that failed for want of power left out.
    pub fn operations(&self) -> u64 {
        self.image().operations
    }

    /// Cuts the power and turns it on again. What was open is closed, locks are gone, the disk has what was durable and
    /// any part of the rest.
    pub fn cut_power(&self) {
        self.image().cut_power();
    }

    /// Ends the process that has the files open: locks are gone, what was written is all there.
    pub fn kill(&self) {
        self.image().close_all();
    }

    /// Fails writes past so many bytes in all files together with ENOSPC; `None` takes the limit away.
    pub fn limit_room(&self, bytes: Option<u64>) {
        self.image().room = bytes;
    }

    /// Bytes in all files, with what is set aside.
    pub fn used(&self) -> u64 {
        self.image().used()
    }

    /// From now on every change fails with EROFS.
    pub fn make_read_only(&self) {
        self.image().is_read_only = true;
    }

    /// Inverts a bit of a file at rest, in memory and on the disk; `false` where the file does not have it.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        self.image().flip_bit(path, bit)
    }

    /// What the disk did of its own accord since it was made, and how often: kept, lost, tore, interrupted.
    pub fn mishaps(&self) -> BTreeMap<&'static str, u64> {
        self.image().mishaps.clone()
    }

    /// Every file and its length.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.image().files()
    }

    fn image(&self) -> MutexGuard<'_, Image> {
        // A test that panicked meanwhile has failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.image().change()?.make_directory(path)
    }

    pub(super) fn open(&self, path: &Path, access: OpenMode) -> io::Result<MemoryFile> {
        let mut image = self.image();
        let number = match access {
            OpenMode::Read | OpenMode::Append | OpenMode::Overwrite => image.look()?.file_at(path)?,
            OpenMode::CreateNew => image.change()?.create(path)?,
        };
        Ok(MemoryFile { memory: self.clone(), number, life: image.life, handle: image.next_handle() })
    }

    pub(super) fn length(&self, path: &Path) -> io::Result<u64> {
        let mut image = self.image();
        let number = image.look()?.file_at(path)?;
        Ok(image.file(number)?.length())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.image().change()?.rename(from, to)
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.image().change()?.remove(path)
    }

    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.image().change()?.directory_at(path)?.sync();
        Ok(())
    }

    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.image().change()?.sync_all();
        Ok(())
    }

    /// What a failed sync of the directory leaves. One that was not allowed to begin leaves all as it was.
    pub(super) fn fail_directory_sync(&self, path: &Path, error: &DiskError) {
        if error.source.kind() != io::ErrorKind::PermissionDenied {
            self.image().fail_directory_sync(path);
        }
    }

    pub(super) fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.image().look()?.names(path)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        self.image().look()?.list(path)
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct MemoryFile {
    memory: MemoryDisk,
    number: Number,
    /// The life of the disk in which it was opened; it is closed in the next.
    life: u64,
    handle: u64,
}

impl MemoryFile {
    fn image(&self) -> io::Result<MutexGuard<'_, Image>> {
        let image = self.memory.image();
        if image.life == self.life { Ok(image) } else { Err(Errno::BADF.into()) }
    }

    pub(super) fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut image = self.image()?;
        image.change()?.file(self.number)?.truncate(narrow(bytes));
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let mut image = self.image()?;
        image.change()?.file(self.number)?.sync();
        Ok(())
    }

    /// What a failed sync leaves.
    pub(super) fn fail_sync(&self) {
        if let Ok(mut image) = self.image() {
            image.fail_sync(self.number);
        }
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        let mut image = self.image()?;
        Ok(image.look()?.file(self.number)?.length())
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut image = self.image()?;
        let wanted = image.look()?.cut_short(buffer.len())?;
        let offset = narrow(offset);
        let content = image.file(self.number)?.content();
        let found = content.get(offset..).unwrap_or_default();
        let found = found.get(..wanted).unwrap_or(found);
        if let Some(place) = buffer.get_mut(..found.len()) {
            place.copy_from_slice(found);
        }
        Ok(found.len())
    }

    pub(super) fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut image = self.image()?;
        if image.change()?.room_left() < bytes {
            return Err(Errno::NOSPC.into());
        }
        image.file(self.number)?.allocate(bytes);
        Ok(())
    }

    pub(super) fn try_lock(&self) -> io::Result<bool> {
        Ok(self.image()?.look()?.lock(self.number, self.handle))
    }
}

/// Writes to a file: at its end, or over what is there from an offset on.
#[derive(Debug)]
pub(super) struct MemoryWriter<'a> {
    pub(super) file: &'a MemoryFile,
    pub(super) at: Option<u64>,
}

impl Write for MemoryWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut image = self.file.image()?;
        let wanted = image.change()?.cut_short(bytes.len())?;
        if let Some(at) = &mut self.at {
            let written = bytes.get(..wanted).unwrap_or(bytes);
            image.file(self.file.number)?.overwrite(written, narrow(*at));
            *at = at.saturating_add(wide(wanted));
            return Ok(wanted);
        }
        let room = narrow(image.room_left());
        if room == 0 && wanted > 0 {
            return Err(Errno::NOSPC.into());
        }
        let taken = bytes.get(..wanted.min(room)).unwrap_or(bytes);
        image.file(self.file.number)?.append(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if let Ok(mut image) = self.image() {
            image.unlock(self.number, self.handle);
        }
    }
}
