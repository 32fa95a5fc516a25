//! Opens a data directory: picks the snapshot, loads it, cuts a torn end of the journal, replays what is after it.
//!
//! | found | so |
//! | --- | --- |
//! | no directory, or one without any of our files | a new one: mode 0700, a store id, the empty snapshot |
//! | the newest snapshot sound | load it, replay the journal after it |
//! | the newest damaged, the one before sound | load that one, replay more; a warning each |
//! | no snapshot sound, or files of ours but no manifest | refuse |
//! | a file of a newer version | refuse |
//! | the journal damaged, or lacking records | refuse |
//!
//! Must not know: the sequencer, HTTP, the time. Holds no lock; the caller does.
//! INVARIANT: a refusal has changed nothing on the disk, but for a torn end that was cut.

#[cfg(test)]
mod power_tests;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::damage::{Damage, DamageKind, FileError};
use super::fold::Folder;
use super::layout::JOURNAL_FOLDER;
use super::load::{self, Loaded};
use super::{OpenError, Recovery};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::counters::{self, Counters};
use crate::platform::disk::{Disk, Lock};
use crate::store::journal::{self, SegmentReader, Sequence, StoreId, TornTail};
use crate::store::layout;
use crate::store::snapshot::Generation;
use crate::store::snapshot::manifest::Manifest;

/// What the sequencer goes on from.
#[derive(Debug)]
pub struct Recovered {
    /// Everything that is known.
    pub catalogue: Arc<Catalogue>,
    /// Everything that was counted.
    pub counters: Arc<Counters>,
    /// The writer of those.
    pub writer: counters::Writer,
    /// The number that the next record gets.
    pub next_sequence: Sequence,
    /// The data directory's number.
    pub store_id: StoreId,
    /// Makes the next snapshots.
    pub folder: Folder,
    /// What was found.
    pub report: Recovery,
}

/// Recovers a data directory, or makes a new one with that id. Blocks; `progress` is called now and then.
///
/// # Errors
/// [`OpenError`], with the file and what is wrong with it; nothing on the disk has then been changed.
pub fn recover(
    disk: &Disk,
    data_dir: &Path,
    (new_store_id, limits): (StoreId, CatalogueLimits),
    progress: &mut dyn FnMut(),
) -> Result<Recovered, OpenError> {
    let found = match find(disk, data_dir)? {
        Found::Snapshots(found) => found,
        Found::Nothing => create(disk, data_dir, new_store_id)?,
    };
    // The process that made these names may have died before they were durable.
    disk.sync_directory(&data_dir.join(layout::SNAPSHOT_FOLDER))?;
    let (mut chosen, torn) = open(disk, data_dir, (&found, limits, Mode::Repair), progress)?;
    let store_id = chosen.manifest.store_id;
    if let Some(torn) = &torn {
        chosen.warnings.push(format!(
            "{}: cut a torn end of {} bytes at byte {} ({}); under fsync `always` nothing of it was acknowledged",
            torn.segment.display(),
            torn.bytes,
            torn.offset,
            torn.what,
        ));
    }
    let report = report(&chosen, torn.map_or(0, |torn| torn.bytes));
    let Loaded { catalogue, counters, writer, cleared, replayed } = chosen.loaded;
    let folder = Folder::new(disk, data_dir, (chosen.manifest, cleared), found.last_generation);
    Ok(Recovered {
        catalogue,
        counters,
        writer,
        next_sequence: replayed.next_sequence,
        store_id,
        folder,
        report,
    })
}

/// Catalogue and counters of a data directory that no daemon is using.
#[derive(Debug)]
pub struct Contents {
    /// Stories, interactions, names.
    pub catalogue: Arc<Catalogue>,
    /// Their counts.
    pub counters: Arc<Counters>,
}

/// Loads a data directory as a restart would, and changes nothing: a torn tail of the journal is left out, not cut.
/// Blocks; `progress` is called now and then.
///
/// # Errors
/// `Locked` where a daemon has the directory; otherwise what would stop a restart.
pub fn load_read_only(
    disk: &Disk,
    data_dir: &Path,
    limits: CatalogueLimits,
    progress: &mut dyn FnMut(),
) -> Result<Contents, OpenError> {
    let (_held, found) = find_for_reading(disk, data_dir)?;
    let (Chosen { loaded, .. }, _) = open(disk, data_dir, (&found, limits, Mode::ReadOnly), progress)?;
    Ok(Contents { catalogue: loaded.catalogue, counters: loaded.counters })
}

/// Whether the directory may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// A torn tail is cut.
    Repair,
    /// A torn tail is left out.
    ReadOnly,
}

/// Loads the newest sound snapshot, and the journal after it up to a torn tail.
fn open(
    disk: &Disk,
    data_dir: &Path,
    (found, limits, mode): (&Snapshots, CatalogueLimits, Mode),
    progress: &mut dyn FnMut(),
) -> Result<(Chosen, Option<TornTail>), OpenError> {
    let mut chosen = choose(disk, data_dir, (found, limits), progress)?;
    let Chosen { manifest, loaded, .. } = &mut chosen;
    let torn = match mode {
        Mode::Repair => repair(disk, data_dir, manifest.store_id),
        Mode::ReadOnly => journal::find_torn_tail(disk, &data_dir.join(JOURNAL_FOLDER), manifest.store_id),
    };
    let outcome = torn.and_then(|torn| match load::replay(disk, data_dir, manifest, loaded, progress) {
        // The records before a torn tail are loaded; there are none behind it.
        Err(error) if mode == Mode::ReadOnly && is_at_torn_tail(&error, torn.as_ref()) => Ok(torn),
        replayed => replayed.map(|()| torn),
    });
    match outcome {
        Ok(torn) => Ok((chosen, torn)),
        // Where the newest snapshot is damaged and the journal does not help, the snapshot is the first cause.
        Err(error) => Err(chosen.passed_over.map_or_else(|| error.into(), OpenError::Damaged)),
    }
}

/// Whether the error is about the torn tail, which a restart cuts off.
pub(crate) fn is_at_torn_tail(error: &FileError, torn: Option<&TornTail>) -> bool {
    match (error, torn) {
        (FileError::Damage(damage), Some(torn)) => {
            damage.kind == DamageKind::Damaged && damage.file == torn.segment
        }
        _ => false,
    }
}

/// What the snapshot folder holds.
#[derive(Debug)]
pub(crate) enum Found {
    /// Not a data directory yet.
    Nothing,
    /// Snapshots.
    Snapshots(Snapshots),
}

/// The snapshots there are, by their manifests.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// Generations of the manifests, newest first.
    pub(crate) manifests: Vec<Generation>,
    /// The highest generation in any name.
    pub(crate) last_generation: Generation,
}

/// Looks what is there; changes nothing.
pub(crate) fn find(disk: &Disk, data_dir: &Path) -> Result<Found, OpenError> {
    let folder = data_dir.join(layout::SNAPSHOT_FOLDER);
    let snapshot_names = list_if_there(disk, &folder)?;
    let mut manifests: Vec<Generation> =
        snapshot_names.iter().filter_map(|name| layout::manifest_generation(name)).collect();
    manifests.sort_unstable_by(|a, b| b.cmp(a));
    let last_generation = snapshot_names.iter().filter_map(|name| layout::generation_of(name)).max();
    if !manifests.is_empty() {
        return Ok(Found::Snapshots(Snapshots {
            manifests,
            last_generation: last_generation.unwrap_or_default(),
        }));
    }
    let journal_folder = data_dir.join(JOURNAL_FOLDER);
    let has_segments = !list_if_there(disk, &journal_folder)?.is_empty()
        && !journal::segments(disk, &journal_folder)?.is_empty();
    if has_segments || last_generation.is_some() {
        return Err(OpenError::Damaged(no_manifest(&folder)));
    }
    Ok(Found::Nothing)
}

/// The same for a directory that is only read: locked, where there is a file to lock, so that no daemon changes it.
///
/// # Errors
/// `Locked` where a daemon has it, `Missing` where it is no data directory; otherwise as [`find`].
pub(crate) fn find_for_reading(disk: &Disk, data_dir: &Path) -> Result<(Option<Lock>, Snapshots), OpenError> {
    let path = data_dir.join(layout::LOCK_FILE);
    let lock = match disk.length(&path)? {
        Some(_) => {
            Some(disk.try_lock(&path)?.ok_or_else(|| OpenError::Locked { directory: data_dir.to_owned() })?)
        }
        None => None,
    };
    match find(disk, data_dir)? {
        Found::Snapshots(found) => Ok((lock, found)),
        Found::Nothing => {
            Err(OpenError::Damaged(Damage::missing(data_dir, "every file of a data directory")))
        }
    }
}

/// The snapshot that was taken, loaded.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) manifest: Manifest,
    pub(crate) loaded: Loaded,
    pub(crate) warnings: Vec<String>,
    /// Why a newer one was not.
    passed_over: Option<Damage>,
}

/// Loads the newest snapshot that is sound.
pub(crate) fn choose(
    disk: &Disk,
    data_dir: &Path,
    (found, limits): (&Snapshots, CatalogueLimits),
    progress: &mut dyn FnMut(),
) -> Result<Chosen, FileError> {
    let folder = data_dir.join(layout::SNAPSHOT_FOLDER);
    let mut warnings = Vec::new();
    let mut passed_over: Option<Damage> = None;
    for generation in &found.manifests {
        let outcome = Manifest::read(disk, &folder, *generation).and_then(|manifest| {
            let loaded = load::load(disk, data_dir, (&manifest, limits), progress)?;
            Ok((manifest, loaded))
        });
        match outcome {
            Ok((manifest, loaded)) => {
                return Ok(Chosen { manifest, loaded, warnings, passed_over });
            }
            Err(FileError::Damage(damage)) if damage.kind != DamageKind::Newer => {
                warnings.push(format!("snapshot {} is passed over: {damage}", generation.get()));
                passed_over.get_or_insert(damage);
            }
            Err(error) => return Err(error),
        }
    }
    Err(passed_over.unwrap_or_else(|| no_manifest(&folder)).into())
}

fn no_manifest(folder: &Path) -> Damage {
    Damage::missing(folder, "every manifest")
}

/// Cuts a torn end of the journal, unless a segment was written by a newer version or belongs elsewhere.
fn repair(disk: &Disk, data_dir: &Path, store_id: StoreId) -> Result<Option<TornTail>, FileError> {
    let folder = data_dir.join(JOURNAL_FOLDER);
    // The newest is left to the repair, as its header may be what is torn.
    if let Some((_, sealed)) = journal::segments(disk, &folder)?.split_last() {
        for segment in sealed {
            drop(SegmentReader::open(disk, segment, store_id)?);
        }
    }
    journal::repair_tail(disk, &folder, store_id)
}

/// Makes a new data directory with its empty snapshot.
fn create(disk: &Disk, data_dir: &Path, store_id: StoreId) -> Result<Snapshots, OpenError> {
    let folder = data_dir.join(layout::SNAPSHOT_FOLDER);
    disk.create_directory(data_dir)?;
    disk.create_directory(&data_dir.join(JOURNAL_FOLDER))?;
    disk.create_directory(&folder)?;
    let manifest = Manifest::first(store_id);
    manifest.commit(disk, &folder)?;
    Ok(Snapshots { manifests: vec![manifest.generation], last_generation: manifest.generation })
}

fn report(chosen: &Chosen, torn_bytes: u64) -> Recovery {
    let replayed = chosen.loaded.replayed;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Recovery {
        snapshot_generation: chosen.manifest.generation.get(),
        parts: count(chosen.manifest.parts.len()),
        journal_segments: replayed.segments,
        journal_records: replayed.records,
        torn_bytes,
        series: count(chosen.loaded.catalogue.series_count()),
        stories: count(chosen.loaded.catalogue.story_count()),
        warnings: chosen.warnings.clone(),
    }
}

/// Names of the files in a directory; none where there is no directory.
fn list_if_there(disk: &Disk, path: &Path) -> Result<Vec<String>, OpenError> {
    match disk.list(path) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
