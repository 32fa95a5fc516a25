//! What a new node of several begins with: a copy of another one's data directory, taken before the daemon starts on it. What a copy is,
//! and that it is whole, is the store's.

use anyhow::Context as _;
use tracing::info;

use super::backup::{Received, receive};
use super::client::{AccessArgs, Call, Client, ConnectionArgs};
use crate::daemon::config::Config;
use crate::platform::clock::Clock;
use crate::platform::disk::Disk;
use crate::platform::systemd::Extensions;
use crate::store::backup::{Target, TargetError};

/// Fills an empty data directory, where the configuration names a seed. Gives why that cannot be done now; the same again may work, and
/// begins anew. Blocks.
pub(super) fn fill(config: &Config) -> anyhow::Result<Option<String>> {
    let Some(url) = config.cluster.as_ref().and_then(|cluster| cluster.seed.as_ref()) else {
        return Ok(None);
    };
    let (disk, directory) = (Disk::new(), &config.data_dir);
    if !Target::is_wanted(&disk, directory)? {
        info!(data_dir = %directory.display(), "the data directory is not empty: the seed is not asked");
        return Ok(None);
    }
    let mut target = match Target::open(&disk, directory, &mut || {}) {
        Err(error @ TargetError::InUse(_)) => return Ok(Some(error.to_string())),
        opened => opened?,
    };
    target.forget_standing();
    info!(seed = url, data_dir = %directory.display(), "the data directory is empty: a snapshot is copied from the seed");
    let (clock, mut extensions) = (Clock::system(), Extensions::default());
    let mut progress =
        |_bytes| extensions.still_starting(clock.monotonic(), "copying a snapshot from the seed");
    progress(0);
    let connection = ConnectionArgs { url: url.clone(), access: AccessArgs::default() };
    let mut client = Client::new(&connection)?;
    let call = Call::get("/cluster/snapshot");
    let received = receive(&mut client, &call, target, &mut progress);
    match received.with_context(|| format!("no snapshot can be copied from {url}"))? {
        Received::Copied(copied) => {
            info!(files = copied.files, bytes = copied.bytes, "the snapshot of the seed is copied");
            Ok(None)
        }
        Received::TryLater(why) => Ok(Some(why)),
    }
}
