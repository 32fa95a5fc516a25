//! All files and directories of a memory disk, its power, its room and its dice. Knows no locks and no open files but
//! by number.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::super::FileEntry;
use super::inode::{DirectoryInode, FileInode, Inode, NameChange, Number};
use crate::platform::random::SeededRandom;

const ROOT: Number = 0;
/// One in so many reads and writes is interrupted, as many are short.
const INTERRUPTED_ONE_IN: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Image {
    inodes: Vec<Inode>,
    random: SeededRandom,
    pub(super) operations: u64,
    /// The number of operations after which the power is off.
    pub(super) off_at: Option<u64>,
    pub(super) room: Option<u64>,
    pub(super) is_read_only: bool,
    /// Counts power cuts and deaths of the process: files opened before are closed.
    pub(super) life: u64,
    handles: u64,
    /// What the disk did of its own accord, and how often.
    pub(super) mishaps: BTreeMap<&'static str, u64>,
    /// The handle that holds the lock of a file.
    locks: BTreeMap<Number, u64>,
}

impl Image {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            inodes: vec![Inode::Directory(DirectoryInode::default())],
            random: SeededRandom::new(seed),
            operations: 0,
            off_at: None,
            room: None,
            is_read_only: false,
            life: 0,
            handles: 0,
            mishaps: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.off_at.is_some_and(|at| self.operations >= at)
    }

    /// Begins an operation that changes nothing.
    pub(super) fn look(&mut self) -> io::Result<&mut Self> {
        if self.is_off() {
            return Err(Errno::IO.into());
        }
        self.operations = self.operations.saturating_add(1);
        Ok(self)
    }

    /// Begins an operation that changes something.
    pub(super) fn change(&mut self) -> io::Result<&mut Self> {
        if self.is_read_only {
            return Err(Errno::ROFS.into());
        }
        self.look()
    }

    /// How many of so many bytes a read or write takes at once.
    pub(super) fn cut_short(&mut self, bytes: usize) -> io::Result<usize> {
        if bytes == 0 {
            return Ok(0);
        }
        match self.random.below(INTERRUPTED_ONE_IN) {
            0 => {
                note(&mut self.mishaps, "EINTR");
                Err(Errno::INTR.into())
            }
            1 => {
                let taken = self.random.below(bytes).saturating_add(1);
                if taken < bytes {
                    note(&mut self.mishaps, "short count");
                }
                Ok(taken)
            }
            _ => Ok(bytes),
        }
    }

    pub(super) fn next_handle(&mut self) -> u64 {
        self.handles = self.handles.saturating_add(1);
        self.handles
    }

    pub(super) fn lock(&mut self, number: Number, handle: u64) -> bool {
        *self.locks.entry(number).or_insert(handle) == handle
    }

    pub(super) fn unlock(&mut self, number: Number, handle: u64) {
        if self.locks.get(&number) == Some(&handle) {
            self.locks.remove(&number);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.life = self.life.saturating_add(1);
        self.locks.clear();
    }

    pub(super) fn cut_power(&mut self) {
        self.close_all();
        self.off_at = None;
        let Self { inodes, random, mishaps, .. } = self;
        for inode in inodes {
            match inode {
                Inode::File(file) => file.cut_power(random, &mut |what| note(mishaps, what)),
                Inode::Directory(directory) => directory.cut_power(random, &mut |what| note(mishaps, what)),
            }
        }
        let mut reached = BTreeSet::new();
        self.walk(ROOT, &mut PathBuf::new(), &mut |_, number, _| {
            reached.insert(number);
        });
        for (number, inode) in self.inodes.iter_mut().enumerate() {
            if matches!(inode, Inode::File(_)) && !reached.contains(&number) {
                *inode = Inode::File(FileInode::default());
            }
        }
    }

    pub(super) fn file(&mut self, number: Number) -> io::Result<&mut FileInode> {
        match self.inodes.get_mut(number) {
            Some(Inode::File(file)) => Ok(file),
            _ => Err(Errno::ISDIR.into()),
        }
    }

    fn directory(&self, number: Number) -> io::Result<&DirectoryInode> {
        match self.inodes.get(number) {
            Some(Inode::Directory(directory)) => Ok(directory),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn directory_mut(&mut self, number: Number) -> io::Result<&mut DirectoryInode> {
        match self.inodes.get_mut(number) {
            Some(Inode::Directory(directory)) => Ok(directory),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<Number> {
        let mut at = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    at = *self.directory(at)?.entries.get(name).ok_or(Errno::NOENT)?;
                }
                Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL.into()),
            }
        }
        Ok(at)
    }

    /// The directory of a path, and the name in it.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(Number, &'a OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name))
    }

    pub(super) fn file_at(&mut self, path: &Path) -> io::Result<Number> {
        let number = self.find(path)?;
        self.file(number).map(|_| number)
    }

    pub(super) fn directory_at(&mut self, path: &Path) -> io::Result<&mut DirectoryInode> {
        let number = self.find(path)?;
        self.directory_mut(number)
    }

    fn add(&mut self, path: &Path, inode: Inode) -> io::Result<Number> {
        let (parent, name) = self.place(path)?;
        if self.directory(parent)?.entries.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        let number = self.inodes.len();
        self.inodes.push(inode);
        let added = Some((name.to_owned(), number));
        self.directory_mut(parent)?.change(NameChange { removed: None, added });
        Ok(number)
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Number> {
        self.add(path, Inode::File(FileInode::default()))
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        if self.find(path).and_then(|number| self.directory(number).map(drop)).is_ok() {
            return Ok(());
        }
        self.add(path, Inode::Directory(DirectoryInode::default())).map(drop)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.file_at(from)?;
        let ((parent, name), (target, new_name)) = (self.place(from)?, self.place(to)?);
        let (removed, added) = (Some(name.to_owned()), Some((new_name.to_owned(), number)));
        if parent == target {
            self.directory_mut(parent)?.change(NameChange { removed, added });
        } else {
            self.directory_mut(target)?.change(NameChange { removed: None, added });
            self.directory_mut(parent)?.change(NameChange { removed, added: None });
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file_at(path)?;
        let (parent, name) = self.place(path)?;
        self.directory_mut(parent)?.change(NameChange { removed: Some(name.to_owned()), added: None });
        Ok(())
    }

    pub(super) fn sync_all(&mut self) {
        for inode in &mut self.inodes {
            match inode {
                Inode::File(file) => file.sync(),
                Inode::Directory(directory) => directory.sync(),
            }
        }
    }

    /// Nothing happens to a file while the power is off: what a power cut leaves is decided once.
    pub(super) fn fail_sync(&mut self, number: Number) {
        let is_off = self.is_off();
        let Self { inodes, random, mishaps, .. } = self;
        if let (false, Some(Inode::File(file))) = (is_off, inodes.get_mut(number)) {
            file.fail_sync(random, &mut |what| note(mishaps, what));
        }
    }

    pub(super) fn fail_directory_sync(&mut self, path: &Path) {
        let Ok(number) = self.find(path) else { return };
        let is_off = self.is_off();
        let Self { inodes, random, mishaps, .. } = self;
        if let (false, Some(Inode::Directory(directory))) = (is_off, inodes.get_mut(number)) {
            directory.fail_sync(random, &mut |what| note(mishaps, what));
        }
    }

    /// The names of all that is in a directory.
    pub(super) fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.directory(self.find(path)?)?.entries.keys().cloned().collect())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        let directory = self.directory(self.find(path)?)?;
        let files = directory.entries.iter().filter_map(|(name, number)| match self.inodes.get(*number) {
            Some(Inode::File(file)) => {
                Some(FileEntry { name: name.to_string_lossy().into_owned(), bytes: file.length() })
            }
            _ => None,
        });
        Ok(files.collect())
    }

    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        self.walk(ROOT, &mut PathBuf::from("/"), &mut |path, _, file| {
            files.push((path.to_owned(), file.length()));
        });
        files
    }

    pub(super) fn used(&self) -> u64 {
        let mut used = 0_u64;
        self.walk(ROOT, &mut PathBuf::new(), &mut |_, _, file| used = used.saturating_add(file.length()));
        used
    }

    pub(super) fn room_left(&self) -> u64 {
        self.room.map_or(u64::MAX, |room| room.saturating_sub(self.used()))
    }

    pub(super) fn flip_bit(&mut self, path: &Path, bit: u64) -> bool {
        let Ok(number) = self.find(path) else { return false };
        self.file(number).is_ok_and(|file| file.flip_bit(bit))
    }

    /// Calls `f` for every file below a directory, by name.
    fn walk(&self, from: Number, path: &mut PathBuf, f: &mut dyn FnMut(&Path, Number, &FileInode)) {
        let Ok(directory) = self.directory(from) else { return };
        for (name, number) in &directory.entries {
            path.push(name);
            match self.inodes.get(*number) {
                Some(Inode::File(file)) => f(path, *number, file),
                _ => self.walk(*number, path, f),
            }
            path.pop();
        }
    }
}

fn note(mishaps: &mut BTreeMap<&'static str, u64>, what: &'static str) {
    let times = mishaps.entry(what).or_default();
    *times = times.saturating_add(1);
}
