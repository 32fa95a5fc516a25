//! What `tallyd --version` says: the version, what it is built from, and the time zones in use. `build.rs` knows the former.

use std::path::PathBuf;

use crate::daemon::zones;
use crate::model::calendar::ZoneDatabase;
use crate::platform::zoneinfo::DIRECTORY_VARIABLE;

/// The commit that the program is built from, or `unknown`.
pub(crate) const COMMIT: &str = env!("TALLYD_BUILT_COMMIT");

/// Everything, a line each. Blocks, while it reads the machine's time zones.
pub(crate) fn text() -> String {
    let directory = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
    format!(
        "tallyd {}\ncommit:     {COMMIT}\nfeatures:   {}\nbuilt for:  {}, {}\ntime zones: tzdata {}; built in: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("TALLYD_BUILT_FEATURES"),
        env!("TALLYD_BUILT_TARGET"),
        env!("TALLYD_BUILT_PROFILE"),
        zones::load(directory.as_deref()),
        ZoneDatabase::bundled().version(),
    )
}
