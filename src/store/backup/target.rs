//! The directory of a copy, made of archives: a first one, or a newer copy in place of an older one.
//!
//! INVARIANT: whenever it ends, the directory is the older copy, or the newer one, or says in `BACKUP` that it is neither.
//! INVARIANT: no file is written to once it has its name: it may have another name in the daemon's own directory.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ListedFile, Listing};
use crate::limits::{BACKUP_CHUNK_BYTES, BACKUP_LIST_BYTES_MAX, narrow, wide};
use crate::platform::disk::{Disk, DiskError, FileEntry, Lock, TEMPORARY_SUFFIX, temporary_path};
use crate::store::damage::FileError;
use crate::store::layout::{
    BACKUP_FILE, JOURNAL_FOLDER, LOCK_FILE, SNAPSHOT_FOLDER, first_of_segment, folder_of, generation_of,
    manifest_generation,
};
use crate::store::listing::{self, Record, Standing};
use crate::store::snapshot::Generation;

/// What a file system of its own may have at its top.
const LOST_AND_FOUND: &str = "lost+found";
/// What a copy that ended before anything of it was there may leave.
const UNBEGUN: &str = "BACKUP.tmp";

/// Why a copy was not made. What was there before is as the top of the file says.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The machine refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has the directory.
    #[error("{} is in use by another tallyd", .0.display())]
    InUse(PathBuf),
    /// The directory holds something else.
    #[error("{} {what}; name a directory of its own for the backup", directory.display())]
    NotACopy {
        /// The directory.
        directory: PathBuf,
        /// What it is.
        what: String,
    },
    /// The archive broke off.
    #[error("the backup broke off; repeat it, and it goes on where it was: {0}")]
    BrokeOff(#[source] io::Error),
    /// The archive is not one.
    #[error("the backup is not one: {0}")]
    Damaged(String),
}

/// A copy that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// What it holds.
    pub listing: Listing,
    /// How many of its files came with the archive.
    pub files: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// A directory that a copy is made in. It is locked.
#[derive(Debug)]
pub struct Target {
    disk: Disk,
    directory: PathBuf,
    /// The copy that is complete.
    complete: Option<Listing>,
    /// Files that need not come.
    stands: Vec<ListedFile>,
    is_begun: bool,
    _lock: Lock,
}

impl Target {
    /// Looks at a directory, which is made if it is not there, and reads the files that it has. Blocks; `progress` is called now
    /// and then.
    ///
    /// # Errors
    /// [`TargetError`], where the directory is none for copies.
    pub fn open(disk: &Disk, directory: &Path, progress: &mut dyn FnMut()) -> Result<Self, TargetError> {
        disk.create_directory(directory)?;
        let record_file = directory.join(BACKUP_FILE);
        let is_begun = disk.length(&record_file)?.is_some();
        if !is_begun && !disk.holds_only(directory, &[LOCK_FILE, UNBEGUN, LOST_AND_FOUND])? {
            return Err(not_a_copy(directory, "is not empty and not a backup"));
        }
        let lock = disk.try_lock(&directory.join(LOCK_FILE))?;
        let lock = lock.ok_or_else(|| TargetError::InUse(directory.to_owned()))?;
        let mut target = Self {
            disk: disk.clone(),
            directory: directory.to_owned(),
            complete: None,
            stands: Vec::new(),
            is_begun,
            _lock: lock,
        };
        if is_begun {
            let record = Record::decode(&disk.read(&record_file)?);
            let record =
                record.map_err(|error| not_a_copy(directory, &format!("has no {BACKUP_FILE}: {error}")))?;
            target.disk.create_directories_in(directory, &[JOURNAL_FOLDER, SNAPSHOT_FOLDER])?;
            target.look_at(&record)?;
            if target.complete.is_some() {
                // The process that made these names may have died before they were durable.
                for folder in [SNAPSHOT_FOLDER, JOURNAL_FOLDER] {
                    disk.sync_directory(&directory.join(folder))?;
                }
                disk.sync_directory(directory)?;
            }
            target.note_standing(progress)?;
        }
        Ok(target)
    }

    /// Whether there is nothing yet in a directory that a daemon could start on: it is empty or not there, or a copy into it broke
    /// off before it was whole.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn is_wanted(disk: &Disk, directory: &Path) -> Result<bool, DiskError> {
        if listing::newest_manifest(disk, directory)?.is_some() {
            return Ok(false);
        }
        if disk.length(&directory.join(BACKUP_FILE))?.is_some() {
            return Ok(true);
        }
        match disk.holds_only(directory, &[LOCK_FILE, UNBEGUN, LOST_AND_FOUND]) {
            Err(error) if error.is_not_found() => Ok(true),
            is_empty => is_empty,
        }
    }

    /// All files come again, whatever stands.
    pub fn forget_standing(&mut self) {
        self.stands.clear();
    }

    /// The files that need not come again.
    pub fn stands(&self) -> &[ListedFile] {
        &self.stands
    }

    /// Gives second names to the files of a daemon's data directory, so that they need not come either; gives how many. One
    /// that cannot be linked is left out: a fold may be removing it, or the file system is another one.
    ///
    /// # Errors
    /// [`TargetError`], where the directory cannot be read.
    pub fn link_from(&mut self, data_dir: &Path, progress: &mut dyn FnMut()) -> Result<u64, TargetError> {
        self.begin()?;
        let folder = data_dir.join(SNAPSHOT_FOLDER);
        let mut linked = 0_u64;
        for entry in self.disk.list(&folder)? {
            let path = self.path_of(&entry.name);
            if is_listed_kind(&entry.name)
                && self.disk.length(&path)?.is_none()
                && self.disk.link(&folder.join(&entry.name), &path).is_ok()
            {
                linked = linked.saturating_add(1);
            }
        }
        self.note_standing(progress)?;
        Ok(linked)
    }

    /// Makes the copy complete with an archive. Blocks; `progress` hears of bytes.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn receive(
        mut self,
        archive: impl Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Copied, TargetError> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().map_err(TargetError::BrokeOff)?;
        let mut copied: Option<Copied> = None;
        let mut missing: HashMap<String, ListedFile> = HashMap::new();
        for entry in entries {
            let mut entry = entry.map_err(TargetError::BrokeOff)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let bytes = entry.size();
            progress(bytes);
            let Some(copied) = &mut copied else {
                let listing = self.begin_with(&path, &mut entry)?;
                let mut listed: HashMap<String, ListedFile> =
                    listing.files.iter().map(|file| (file.name.clone(), file.clone())).collect();
                listed.retain(|_, file| !self.stands.contains(file));
                missing = listed;
                copied = Some(Copied { listing, files: 0, bytes: 0 });
                continue;
            };
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let name = path.split_once('/').filter(|(folder, name)| *folder == folder_of(name));
            let (_, name) = name.ok_or_else(|| TargetError::Damaged(format!("it has a file {path:?}")))?;
            if name != copied.listing.manifest.name {
                let listed = missing.remove(name);
                let listed = listed.ok_or_else(|| TargetError::Damaged(format!("it has a file {path:?}")))?;
                self.put(&listed, &mut entry)?;
                copied.files = copied.files.saturating_add(1);
                copied.bytes = copied.bytes.saturating_add(listed.bytes);
                continue;
            }
            if let Some(name) = missing.keys().next() {
                return Err(TargetError::Damaged(format!("{name} did not come")));
            }
            let listed = copied.listing.manifest.clone();
            // What the manifest relies on is durable before it.
            self.disk.sync_directory(&self.directory.join(JOURNAL_FOLDER))?;
            self.disk.sync_directory(&self.directory.join(SNAPSHOT_FOLDER))?;
            self.put(&listed, &mut entry)?;
            self.disk.sync_directory(&self.directory.join(SNAPSHOT_FOLDER))?;
            self.finish(&copied.listing)?;
            return Ok(copied.clone());
        }
        Err(TargetError::BrokeOff(io::ErrorKind::UnexpectedEof.into()))
    }

    /// What the record and the files say of a directory that is a copy.
    fn look_at(&mut self, record: &Record) -> Result<(), TargetError> {
        self.complete = match record.standing(&self.disk, &self.directory)? {
            Standing::Served => {
                let what = "was a backup, and a daemon has been started on it since";
                return Err(not_a_copy(&self.directory, what));
            }
            Standing::Complete(complete) => Some(complete),
            // A damaged one comes again.
            Standing::NoCopy | Standing::Incomplete | Standing::Damaged => None,
        };
        Ok(())
    }

    /// Reads the files that are there.
    fn note_standing(&mut self, progress: &mut dyn FnMut()) -> Result<(), TargetError> {
        let known: HashSet<String> = self.stands.iter().map(|file| file.name.clone()).collect();
        for entry in self.list()? {
            if !is_listed_kind(&entry.name) || known.contains(&entry.name) {
                continue;
            }
            let file = self.disk.open_read(&self.path_of(&entry.name))?;
            let (mut sum, mut bytes) = (crc32fast::Hasher::new(), 0_u64);
            file.for_each_chunk(0..u64::MAX, |chunk, _| {
                progress();
                sum.update(chunk);
                bytes = bytes.saturating_add(wide(chunk.len()));
                Ok(())
            })?;
            self.stands.push(ListedFile { name: entry.name, bytes, crc32: sum.finalize() });
        }
        Ok(())
    }

    /// Says that the directory is a copy, and not a complete one, before anything of it is there.
    fn begin(&mut self) -> Result<(), TargetError> {
        if !self.is_begun {
            drop(self.disk.replace(&self.directory.join(BACKUP_FILE), &Record::new(None, None).encode())?);
            self.disk.create_directories_in(&self.directory, &[JOURNAL_FOLDER, SNAPSHOT_FOLDER])?;
            self.is_begun = true;
        }
        Ok(())
    }

    /// Reads the list that an archive begins with, and whether it can follow what is there.
    fn begin_with(&mut self, path: &str, entry: &mut impl Read) -> Result<Listing, TargetError> {
        let mut text = Vec::new();
        entry.take(wide(BACKUP_LIST_BYTES_MAX)).read_to_end(&mut text).map_err(TargetError::BrokeOff)?;
        if path != BACKUP_FILE {
            return Err(TargetError::Damaged(format!("it begins with {path:?}")));
        }
        let record = Record::decode(&text).map_err(|error| TargetError::Damaged(error.to_string()))?;
        let listing = record.copy.ok_or_else(|| TargetError::Damaged("it lists nothing".to_owned()))?;
        let names = listing.files.iter().map(|file| &file.name);
        if let Some(name) = names.into_iter().find(|name| !is_listed_kind(name)) {
            return Err(TargetError::Damaged(format!("it lists a file {name:?}")));
        }
        let generation = manifest_generation(&listing.manifest.name);
        if generation != Some(Generation::new(listing.generation)) {
            return Err(TargetError::Damaged("it lists no manifest".to_owned()));
        }
        self.begin()?;
        if let Some(what) = self.complete.as_ref().and_then(|before| why_not_after(before, &listing)) {
            return Err(not_a_copy(&self.directory, what));
        }
        self.forget_arrivals(&listing)?;
        let record = Record::new(Some(listing.clone()), self.complete.clone());
        drop(self.disk.replace(&self.directory.join(BACKUP_FILE), &record.encode())?);
        Ok(listing)
    }

    /// Removes, durably, the segments of an earlier archive that broke off and of which this one has no use: none but those that the
    /// list in `BACKUP` has may be beside the complete copy.
    fn forget_arrivals(&self, listing: &Listing) -> Result<(), TargetError> {
        let is_of_use = |name: &str| {
            self.complete.as_ref().is_some_and(|complete| complete.lists(name))
                || self.stands.iter().any(|file| file.name == name && listing.files.contains(file))
        };
        let folder = self.directory.join(JOURNAL_FOLDER);
        Ok(listing::remove(&self.disk, &folder, |name| first_of_segment(name).is_some() && !is_of_use(name))?)
    }

    /// Writes a file of an archive, and gives it its name once it is durable and what was sent.
    fn put(&self, listed: &ListedFile, entry: &mut impl Read) -> Result<(), TargetError> {
        let path = self.path_of(&listed.name);
        let temporary = temporary_path(&path);
        match self.disk.remove(&temporary) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        let file = self.disk.create_new(&temporary)?;
        let mut sum = crc32fast::Hasher::new();
        let mut chunk = vec![0; BACKUP_CHUNK_BYTES];
        let mut left = listed.bytes;
        while left > 0 {
            let wanted = narrow(left).min(chunk.len());
            let place = chunk.get_mut(..wanted).unwrap_or_default();
            let read = entry.read(place).map_err(TargetError::BrokeOff)?;
            let read = chunk.get(..read).filter(|read| !read.is_empty());
            let read = read.ok_or_else(|| TargetError::Damaged(format!("{} is cut short", listed.name)))?;
            sum.update(read);
            file.append(read)?;
            left = left.saturating_sub(wide(read.len()));
        }
        if sum.finalize() != listed.crc32 {
            return Err(TargetError::Damaged(format!("{} does not match its checksum", listed.name)));
        }
        file.sync()?;
        Ok(self.disk.rename(&temporary, &path)?)
    }

    /// The new copy is complete: what it does not need goes.
    fn finish(&self, listing: &Listing) -> Result<(), TargetError> {
        let record = Record::new(Some(listing.clone()), None);
        drop(self.disk.replace(&self.directory.join(BACKUP_FILE), &record.encode())?);
        let kept: HashSet<&str> = listing.files.iter().map(|file| file.name.as_str()).collect();
        let is_needless = |name: &str| {
            let whole = name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name);
            let ours = generation_of(whole).is_some() || first_of_segment(whole).is_some();
            ours && name != listing.manifest.name && !kept.contains(name)
        };
        let names = self.list()?.into_iter().map(|entry| entry.name);
        let (manifests, files): (Vec<String>, Vec<String>) =
            names.filter(|name| is_needless(name)).partition(|name| manifest_generation(name).is_some());
        // A start must never find a manifest without its files.
        for name in &manifests {
            self.disk.remove(&self.path_of(name))?;
        }
        if !manifests.is_empty() {
            self.disk.sync_directory(&self.directory.join(SNAPSHOT_FOLDER))?;
        }
        Ok(files.iter().try_for_each(|name| self.disk.remove(&self.path_of(name)))?)
    }

    /// What is in the two folders.
    fn list(&self) -> Result<Vec<FileEntry>, DiskError> {
        let mut listed = self.disk.list(&self.directory.join(SNAPSHOT_FOLDER))?;
        listed.extend(self.disk.list(&self.directory.join(JOURNAL_FOLDER))?);
        Ok(listed)
    }

    fn path_of(&self, name: &str) -> PathBuf {
        let folder = folder_of(name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name));
        self.directory.join(folder).join(name)
    }
}

/// Why a copy cannot take the place of another one.
fn why_not_after(before: &Listing, next: &Listing) -> Option<&'static str> {
    if before.store_id != next.store_id {
        return Some("is a backup of another data directory");
    }
    let is_older = before.generation > next.generation || before.position > next.position;
    let is_other = before.generation == next.generation && before.manifest != next.manifest;
    if is_older || is_other {
        return Some("is a backup of a later state, or of another life of the data directory");
    }
    let listed: HashMap<&str, &ListedFile> =
        next.files.iter().map(|file| (file.name.as_str(), file)).collect();
    let differs = |file: &ListedFile| listed.get(file.name.as_str()).is_some_and(|other| *other != file);
    let is_forked = before.files.iter().any(differs);
    is_forked.then_some("is a backup of another life of the data directory")
}

/// Whether a copy may list a file of that name, beside its manifest.
fn is_listed_kind(name: &str) -> bool {
    first_of_segment(name).is_some() || (generation_of(name).is_some() && manifest_generation(name).is_none())
}

fn not_a_copy(directory: &Path, what: &str) -> TargetError {
    TargetError::NotACopy { directory: directory.to_owned(), what: what.to_owned() }
}

impl From<FileError> for TargetError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Disk(error) => Self::Disk(error),
            FileError::Damage(damage) => Self::Damaged(damage.to_string()),
        }
    }
}
