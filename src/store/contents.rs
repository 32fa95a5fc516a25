//! What a restart would load, for reading only: the way to the counters of a data directory that no daemon is using.
//! Must not know: what becomes of them. Never writes.

use std::path::Path;
use std::sync::Arc;

use super::OpenError;
use super::fold::JOURNAL_FOLDER;
use super::recover::{self, Chosen};
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::platform::disk::Disk;
use crate::store::journal::{self, JournalError};

/// Everything that is counted and known.
#[derive(Debug)]
pub struct Contents {
    /// Stories, interactions, names.
    pub catalogue: Arc<Catalogue>,
    /// Their counts.
    pub counters: Arc<Counters>,
}

/// Loads a data directory as a restart would, and changes nothing: a torn end of the journal is left out, not cut.
/// Blocks; `progress` is called now and then.
///
/// # Errors
/// `Locked` where a daemon has the directory; otherwise what would stop a restart.
pub fn load_read_only(
    disk: &Disk,
    data_dir: &Path,
    progress: &mut dyn FnMut(),
) -> Result<Contents, OpenError> {
    let (_held, found) = recover::find_for_reading(disk, data_dir)?;
    let Chosen { manifest, mut loaded, .. } = recover::choose(disk, data_dir, &found, progress)?;
    let torn = journal::find_torn_tail(disk, &data_dir.join(JOURNAL_FOLDER), manifest.store_id)?;
    match super::load::replay(disk, data_dir, &manifest, &mut loaded, progress) {
        Ok(()) => {}
        // The records before a torn end are loaded; there are none behind it.
        Err(JournalError::Damaged { segment, .. }) if torn.is_some_and(|torn| torn.segment == segment) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Contents { catalogue: loaded.catalogue, counters: loaded.counters })
}
