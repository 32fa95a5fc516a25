//! Opens a data directory: loads the newest sound snapshot, cuts a torn tail of the journal, replays what is after the
//! snapshot. The only place that does: a start, `verify` and `export` all go through [`open`].
//!
//! | found | so |
//! | --- | --- |
//! | no directory, or one without any of our files | a new one: mode 0700, a store id, the empty snapshot |
//! | the newest snapshot sound | load it, replay the journal after it |
//! | the newest damaged, the one before sound | load that one, replay more; a warning each |
//! | no snapshot sound, or files of ours but no manifest | refuse |
//! | a copy (`backup`) that is complete | load its snapshot, replay its journal up to its position, and nothing else that is there |
//! | a copy that is not complete | refuse |
//! | a file of a newer version | refuse |
//! | the journal damaged, or lacking records | refuse |
//!
//! Must not know: the sequencer, HTTP, the time.
//! INVARIANT: a refusal has changed no record on the disk; a torn tail may be left out, its neighbours copied.

#[cfg(test)]
mod power_tests;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::damage::{Damage, DamageKind, FileError};
use super::fold::Folder;
use super::keys::{KeyLimits, KeyTable};
use super::layout::{self, JOURNAL_FOLDER, LOCK_FILE, SNAPSHOT_FOLDER};
use super::listing::{self, Listing, Standing};
use super::load::{self, Beside, Loaded, Sweep};
use super::log::{LogBeginning, LogState, digest};
use super::{OpenError, Recovery};
use crate::cluster::follow::Noted;
use crate::cluster::position::Origin;
use crate::limits::wide;
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::counters::{self, Counters};
use crate::platform::disk::{Disk, DiskError, Lock};
use crate::store::journal::{
    self, LogSection, Record, Replay, SegmentInfo, SegmentReader, Sequence, StoreId, TornTail,
};
use crate::store::reserve::Reserve;
use crate::store::snapshot::manifest::Manifest;
use crate::store::snapshot::{Generation, SnapshotFolder};

/// Records between two reports of progress.
const RECORDS_PER_PROGRESS: u64 = 1024;

/// A data directory as it was found: what the sequencer goes on from.
#[derive(Debug)]
pub struct Recovered {
    /// Everything that is known.
    pub catalogue: Arc<Catalogue>,
    /// Everything that was counted.
    pub counters: Arc<Counters>,
    /// The writer of those.
    pub writer: counters::Writer,
    /// The keys of the batches that count.
    pub(super) keys: Arc<KeyTable>,
    /// The number that the next record gets.
    pub next_sequence: Sequence,
    /// The data directory's number.
    pub store_id: StoreId,
    /// The place in the log that the directory follows, if it follows one.
    pub(super) log: Option<LogState>,
    /// Makes the next snapshots.
    pub folder: Folder,
    /// What was found.
    pub report: Recovery,
}

/// Whether the directory may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A torn tail is cut. Where there is no data directory, one is made.
    Repair {
        /// The id of a new directory.
        new_store_id: StoreId,
    },
    /// A torn tail is left out, and nothing is written.
    ReadOnly,
}

/// Opens a data directory, which the caller has made and locked. Blocks; `progress` is called now and then.
///
/// # Errors
/// [`OpenError`], with the file and what is wrong with it.
pub fn open(
    disk: &Disk,
    data_dir: &Path,
    (mode, limits, keys): (Mode, CatalogueLimits, KeyLimits),
    progress: &mut dyn FnMut(),
) -> Result<Recovered, OpenError> {
    let Found { mut generations, mut last, copy } = look(disk, data_dir)?;
    if let Mode::Repair { new_store_id } = mode {
        if generations.is_empty() {
            last = create(disk, data_dir, new_store_id)?;
            generations.push(last);
        } else {
            if let Some(copy) = &copy {
                listing::settle(disk, data_dir, copy)?;
            }
            // The process that made these names may have died before they were durable.
            disk.sync_directory(&data_dir.join(SNAPSHOT_FOLDER))?;
        }
    }
    let mut warnings = Vec::new();
    let mut first_damage = None;
    for generation in generations {
        let place = (generation, last);
        match load_snapshot(disk, data_dir, (place, limits, keys), progress) {
            Ok(mut recovered) => {
                recovered.report.warnings = warnings;
                let read = match &copy {
                    Some(copy) => recovered.read_copy(disk, data_dir, copy, progress),
                    None => recovered.read_journal(disk, data_dir, mode, progress),
                };
                recovered.report.series = wide(recovered.catalogue.series_count());
                recovered.report.stories = wide(recovered.catalogue.story_count());
                return match read {
                    Ok(()) => Ok(recovered),
                    // Where the newest snapshot is damaged and the journal does not help, the snapshot is the first cause.
                    Err(error) => Err(first_damage.map_or_else(|| error.into(), OpenError::Damaged)),
                };
            }
            Err(FileError::Damage(damage)) if damage.kind != DamageKind::Newer => {
                let number = generation.get();
                warnings.push(format!("snapshot {number} is left out, the one before it is tried: {damage}"));
                first_damage.get_or_insert(damage);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(OpenError::Damaged(first_damage.unwrap_or_else(|| no_data_directory(data_dir))))
}

/// What is wrong with a place that has no file of a data directory.
pub(super) fn no_data_directory(place: &Path) -> Damage {
    Damage::missing(place, "every file of a data directory")
}

/// Opens a data directory that no daemon is using, and changes nothing. Blocks; `progress` is called now and then.
///
/// # Errors
/// `Locked` where a daemon has the directory; otherwise what would stop a restart.
pub fn load_read_only(
    disk: &Disk,
    data_dir: &Path,
    limits: CatalogueLimits,
    progress: &mut dyn FnMut(),
) -> Result<Recovered, OpenError> {
    let _held = lock_for_reading(disk, data_dir)?;
    open(disk, data_dir, (Mode::ReadOnly, limits, KeyLimits::default()), progress)
}

/// Locks a directory that is only read, where there is a file to lock, so that no daemon changes it.
pub(super) fn lock_for_reading(disk: &Disk, data_dir: &Path) -> Result<Option<Lock>, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    if disk.length(&path)?.is_none() {
        return Ok(None);
    }
    let lock = disk.try_lock(&path)?.ok_or_else(|| OpenError::Locked { directory: data_dir.to_owned() })?;
    Ok(Some(lock))
}

/// Which snapshots there are.
pub(super) struct Found {
    /// Generations of their manifests, newest first; none where there is no file of a data directory. In a complete copy its own alone.
    pub(super) generations: Vec<Generation>,
    /// The highest generation in any name.
    pub(super) last: Generation,
    /// What it holds, where the directory is a complete copy.
    pub(super) copy: Option<Listing>,
}

/// Looks for snapshots. `Damaged` where there are files of a data directory but no manifest, or a copy is not complete.
pub(super) fn look(disk: &Disk, data_dir: &Path) -> Result<Found, OpenError> {
    let folder = data_dir.join(SNAPSHOT_FOLDER);
    let names = list_if_there(disk, &folder)?;
    let mut found: Vec<Generation> =
        names.iter().filter_map(|name| layout::manifest_generation(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    let last = names.iter().filter_map(|name| layout::generation_of(name)).max();
    let copy = match listing::standing(disk, data_dir)? {
        Standing::Incomplete => return Err(OpenError::Damaged(Damage::incomplete_copy(data_dir))),
        Standing::Complete(copy) => {
            found = vec![Generation::new(copy.generation)];
            Some(copy)
        }
        Standing::NoCopy | Standing::Damaged | Standing::Served => None,
    };
    let is_segment = |name: &String| layout::first_of_segment(name).is_some();
    if found.is_empty()
        && (last.is_some() || list_if_there(disk, &data_dir.join(JOURNAL_FOLDER))?.iter().any(is_segment))
    {
        return Err(OpenError::Damaged(Damage::missing(folder, "a manifest")));
    }
    Ok(Found { generations: found, last: last.unwrap_or_default(), copy })
}

/// Whether the error is about the torn tail, which a restart cuts off.
pub(super) fn is_at_torn_tail(error: &FileError, torn: Option<&TornTail>) -> bool {
    match (error, torn) {
        (FileError::Damage(damage), Some(torn)) => {
            damage.kind == DamageKind::Damaged && damage.file == torn.segment && damage.offset >= torn.offset
        }
        _ => false,
    }
}

fn load_snapshot(
    disk: &Disk,
    data_dir: &Path,
    ((generation, last), limits, keys): ((Generation, Generation), CatalogueLimits, KeyLimits),
    progress: &mut dyn FnMut(),
) -> Result<Recovered, FileError> {
    let manifest = Manifest::read(disk, &data_dir.join(SNAPSHOT_FOLDER), generation)?;
    let Loaded { catalogue, counters, writer, cleared, keys } =
        load::load(disk, data_dir, (&manifest, limits, keys), progress)?;
    let report = Recovery {
        snapshot_generation: generation.get(),
        parts: wide(manifest.parts.len()),
        ..Recovery::default()
    };
    Ok(Recovered {
        catalogue,
        counters,
        writer,
        keys,
        next_sequence: manifest.position.next(),
        store_id: manifest.store_id,
        log: manifest.log.as_deref().cloned(),
        folder: Folder::new(disk, data_dir, (manifest, cleared), last),
        report,
    })
}

impl Recovered {
    /// Cuts a torn tail of the journal, or leaves it out, and replays what is after the snapshot.
    fn read_journal(
        &mut self,
        disk: &Disk,
        data_dir: &Path,
        mode: Mode,
        progress: &mut dyn FnMut(),
    ) -> Result<(), FileError> {
        let journal = data_dir.join(JOURNAL_FOLDER);
        let place = (self.store_id, self.folder.position());
        let torn = match mode {
            Mode::Repair { .. } => {
                // Nothing is changed where a newer tallyd wrote, or where a file belongs elsewhere. The newest is left to the
                // repair, as its header may be what is torn.
                let needed =
                    |segment: &SegmentInfo| segment.until.is_some_and(|until| until > place.1.next());
                for segment in journal::segments(disk, &journal)?.into_iter().filter(needed) {
                    drop(SegmentReader::open(disk, &segment, self.store_id)?);
                }
                journal::repair_tail(disk, &journal, place, || Reserve::new(disk, data_dir).give_up())?
            }
            Mode::ReadOnly => journal::find_torn_tail(disk, &journal, place)?,
        };
        match self.replay(disk, (&journal, None), progress) {
            // The records before a torn tail are loaded; there are none behind it.
            Err(error) if mode == Mode::ReadOnly && is_at_torn_tail(&error, torn.as_ref()) => {}
            replayed => replayed?,
        }
        if let Some(TornTail { segment, bytes, offset, what, .. }) = torn {
            self.report.torn_bytes = bytes;
            let done = if mode == Mode::ReadOnly { "left out" } else { "cut" };
            self.report.warnings.push(format!(
                "{}: {done} a torn tail of {bytes} bytes at byte {offset} ({what}); under fsync `always` nothing of it \
                 was acknowledged",
                segment.display(),
            ));
        }
        Ok(())
    }

    /// Replays the journal of a copy, whose files were copied whole: there is no torn tail, and no end but its position.
    fn read_copy(
        &mut self,
        disk: &Disk,
        data_dir: &Path,
        copy: &Listing,
        progress: &mut dyn FnMut(),
    ) -> Result<(), FileError> {
        let end = Sequence::new(copy.position);
        if end > self.folder.position() {
            self.replay(disk, (&data_dir.join(JOURNAL_FOLDER), Some(end)), progress)?;
        }
        // That they belong together is seen here.
        self.wrong_digest(data_dir).map_or(Ok(()), |damage| Err(damage.into()))
    }

    /// Replays the records after the snapshot, up to `end` where there is one; where one cannot be read, those before it are applied.
    fn replay(
        &mut self,
        disk: &Disk,
        (journal, end): (&Path, Option<Sequence>),
        progress: &mut dyn FnMut(),
    ) -> Result<(), FileError> {
        let mut replay = Replay::open(disk, journal, self.store_id, self.folder.position())?;
        let (catalogue, dropped_before) = (Arc::clone(&self.catalogue), self.counters.dropped_before());
        thread::scope(|scope| {
            let mut beside = Beside::new(scope, &catalogue);
            let replayed = self.replay_records(&mut replay, end, &mut beside, progress);
            beside.wait();
            replayed
        })?;
        if self.counters.dropped_before() > dropped_before {
            let mut sweep = Sweep::default();
            while sweep.step(&self.catalogue, &mut self.writer) {
                progress();
            }
        }
        Ok(())
    }

    fn replay_records(
        &mut self,
        replay: &mut Replay,
        end: Option<Sequence>,
        beside: &mut Beside<'_, '_>,
        progress: &mut dyn FnMut(),
    ) -> Result<(), FileError> {
        let mut record = Record::default();
        while end.is_none_or(|end| self.next_sequence <= end) {
            if !replay.next_into(&mut record)? {
                match end {
                    Some(_) => return Err(replay.ends()),
                    None => break,
                }
            }
            if let Some(section) = &record.log {
                beside.wait();
                if !self.apply_logged(section, record.sequence) {
                    return Err(replay.out_of_turn(record.sequence));
                }
            } else {
                beside.apply(&mut self.writer, &record.batch);
                if let Some(key) = &record.batch.key {
                    self.keys.note(key, record.sequence);
                }
            }
            if self.report.journal_records.is_multiple_of(RECORDS_PER_PROGRESS) {
                progress();
            }
            self.report.journal_records = self.report.journal_records.saturating_add(1);
            self.report.journal_segments = replay.segments_read();
            self.next_sequence = record.sequence.next();
        }
        self.report.journal_segments = replay.segments_read();
        Ok(())
    }

    /// What a log would begin with, of which this is the first directory; `None` where it follows one. Reads every counter.
    pub fn beginning(&self) -> Option<LogBeginning> {
        let digest = digest::of_all(&self.catalogue, &self.counters);
        self.log.is_none().then(|| LogBeginning { digest, origin: Origin::new(self.store_id.get()) })
    }

    /// Where a log is followed: what is wrong, if what is counted is not what its messages came to. Reads every counter.
    pub(super) fn wrong_digest(&self, data_dir: &Path) -> Option<Damage> {
        let expected = self.log.as_ref()?.digest();
        let found = digest::of_all(&self.catalogue, &self.counters);
        let what =
            format!("what is counted has the digest {found}, the messages of the log came to {expected}");
        (found != expected).then(|| Damage::damaged(data_dir, 0, what))
    }

    /// Applies a message of a log, where it is the next one; whether it is.
    fn apply_logged(&mut self, section: &LogSection, record: Sequence) -> bool {
        let entry = &section.entry;
        let log = self.log.get_or_insert_with(|| LogState::before(None, entry));
        if !log.take(entry) {
            return false;
        }
        if entry.noted == Noted::Entered {
            self.keys.follow(entry.log);
        }
        for batch in section.counted() {
            load::apply_logged(&self.catalogue, &mut self.writer, batch);
            if let Some(key) = &batch.key {
                self.keys.note(key, record);
            }
        }
        true
    }
}

/// Makes an empty directory a data directory with its empty snapshot. A start waits for each sync, so there are no more
/// than it takes: both folders are durable before the manifest that relies on them is written.
fn create(disk: &Disk, data_dir: &Path, store_id: StoreId) -> Result<Generation, FileError> {
    disk.create_directories_in(data_dir, &[JOURNAL_FOLDER, SNAPSHOT_FOLDER])?;
    let manifest = Manifest::first(store_id);
    manifest.commit(&SnapshotFolder::new(disk, data_dir, store_id))?;
    Ok(manifest.generation)
}

/// Names of the files in a directory; none where there is no directory.
fn list_if_there(disk: &Disk, path: &Path) -> Result<Vec<String>, DiskError> {
    match disk.list(path) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
