//! Which time-zone database is in use: the machine's, or the bundled one where that is newer. Knows nothing of zones.

use std::path::Path;

use tracing::{info, warn};

use crate::model::calendar::{ZoneDatabase, ZoneFile};
use crate::platform::zoneinfo::Zoneinfo;

/// Loads the database. `named` is the directory that the environment names. Blocks, while it reads the machine's
/// files; where they cannot be used, says why in the log.
pub fn load(named: Option<&Path>) -> ZoneDatabase {
    let Some(zoneinfo) = Zoneinfo::find(named) else { return ZoneDatabase::bundled() };
    let directory = zoneinfo.directory.display();
    let Some(version) = zoneinfo.version.as_deref().filter(|version| ZoneDatabase::is_current(version))
    else {
        let version = zoneinfo.version.as_deref().unwrap_or("unknown");
        info!(%directory, version, "the machine's time zones are older than the bundled ones, which are used");
        return ZoneDatabase::bundled();
    };
    match zoneinfo.read() {
        Ok(files) => {
            let files = files.into_iter().map(|(name, tzif)| ZoneFile { name, tzif });
            let (database, damaged) = ZoneDatabase::system(version, files);
            if !damaged.is_empty() {
                warn!(%directory, ?damaged, "time zones with a damaged file keep their bundled rules");
            }
            database
        }
        Err(error) => {
            warn!(%directory, %error, "the machine's time zones cannot be read; the bundled ones are used");
            ZoneDatabase::bundled()
        }
    }
}
