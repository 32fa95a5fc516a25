//! The store without threads, for a simulator: the same core, of which the caller steps one part at a time. Nothing
//! happens between two steps, the time is the clock's alone, and a new directory's id is the caller's, so a run on a
//! disk in memory is the same each time. Several stores can be open at once.
//!
//! ```
//! use tallyd::platform::{clock::Clock, disk::Disk};
//! use tallyd::store::{Fsync, Part, Stepped, StoreOptions, journal::StoreId};
//! # let folder = tempfile::tempdir()?;
//! let options = StoreOptions {
//!     data_dir: folder.path().to_owned(),
//!     fsync: Fsync::Always,
//!     fsync_interval: std::time::Duration::from_secs(1),
//!     snapshot_interval: std::time::Duration::from_secs(60),
//!     clock: Clock::manual(1_552_813_200_000_000_000),
//! };
//! let (mut store, _recovery) = Stepped::open(&Disk::new(), &options, StoreId::new(7), &mut || ())?;
//! let mut pending = store.submit(tallyd::model::batch::Batch::default())?;
//! assert!(store.step(Part::Sequencer));
//! assert_eq!(pending.try_outcome(), None, "the sync is yet to come");
//! assert!(store.step(Part::Syncer));
//! assert!(pending.try_outcome().is_some());
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use super::core::Core;
use super::error::{CloseError, OpenError, Refusal};
use super::journal::StoreId;
use super::status::Status;
use super::write_handle::PendingCommit;
use super::{Recovery, StoreOptions};
use crate::model::batch::Batch;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::platform::disk::Disk;

/// A part of the store that is stepped by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Commits one group, or seals the journal. Waits while the syncer's queue is full.
    Sequencer,
    /// Syncs what waits for it, or what is due by the clock, and acknowledges.
    Syncer,
    /// Asks for a seal when a snapshot is due by the clock or was requested; makes the snapshot once there is one.
    Snapshotter,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sequencer, Self::Syncer, Self::Snapshotter];
}

/// A store that does nothing unless it is stepped. Dropping it is the death of the process: nothing more is written.
pub struct Stepped(Core);

impl Stepped {
    /// Locks the directory and recovers it; a new one gets `store_id`. `progress` is called now and then.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        disk: &Disk,
        options: &StoreOptions,
        store_id: StoreId,
        progress: &mut dyn FnMut(),
    ) -> Result<(Self, Recovery), OpenError> {
        Core::open(disk, options, store_id, progress).map(|(core, recovery)| (Self(core), recovery))
    }

    /// Hands a batch over, without waiting.
    ///
    /// # Errors
    /// As [`WriteHandle::submit`](super::WriteHandle::submit); `Busy` where the queue is full now.
    pub fn submit(&self, batch: Batch) -> Result<PendingCommit, Refusal> {
        self.0.write_handle.try_submit(batch)
    }

    /// Lets a part do one thing; `false` where it had nothing to do.
    pub fn step(&mut self, part: Part) -> bool {
        match part {
            Part::Sequencer => self.0.sequencer.step(),
            Part::Syncer => self.0.syncer.step(),
            Part::Snapshotter => self.0.snapshotter.step(),
        }
    }

    /// Has the snapshotter make a snapshot at its next steps.
    pub fn request_snapshot(&mut self) {
        self.0.snapshotter.request();
    }

    /// What is known.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.0.catalogue
    }

    /// What is counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Live figures and reasons.
    pub fn status(&self) -> &Arc<Status> {
        &self.0.status
    }

    /// Commits what is in the queue, seals, syncs, makes a last snapshot.
    ///
    /// # Errors
    /// As [`Store::close`](super::Store::close).
    pub fn close(self) -> Result<(), CloseError> {
        let Core { write_handle, mut sequencer, mut syncer, mut snapshotter, .. } = self.0;
        write_handle.close();
        while sequencer.step() || syncer.step() {}
        let sealed = sequencer.seal();
        while syncer.step() {}
        let snapshot = snapshotter.snapshot_through(sealed.as_ref().copied().unwrap_or_default());
        sealed.map_err(CloseError::NotSealed)?;
        snapshot.map_err(CloseError::SnapshotFailed)
    }
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepped").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::time::Duration;

    use super::super::Fsync;
    use super::super::recover::testing::State;
    use super::*;
    use crate::model::batch::{Change, Definition, Increment};
    use crate::model::calendar::Hour;
    use crate::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
    use crate::platform::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn open(folder: &Path, clock: &Clock) -> Stepped {
        let options = StoreOptions {
            data_dir: folder.to_owned(),
            fsync: Fsync::Always,
            fsync_interval: SECOND,
            snapshot_interval: SECOND,
            clock: clock.clone(),
        };
        Stepped::open(&Disk::new(), &options, StoreId::new(7), &mut || ()).expect("it opens").0
    }

    fn one(store: &Stepped, letter: u8) -> Batch {
        let story = StoryId(ObjectId::parse(&[letter; 24]).expect("an id"));
        let key = SeriesKey { story, source: Source::Slack, metric: Metric::Messages };
        let id = store.catalogue().intern(&key).expect("there is room");
        let mut batch = Batch::default();
        batch.definitions.push(Definition { id, key });
        batch.changes.push(Change::Story { story, name: Some("a story".into()) });
        batch.increments.push(Increment { series: id, hour: Hour::new(431_000), count: 1 });
        batch
    }

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for part in ["journal", "snapshot"] {
            for entry in std::fs::read_dir(folder.join(part)).expect("a folder").map(Result::unwrap) {
                let name = entry.file_name().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(entry.path()).expect("a file"));
            }
        }
        found
    }

    /// Two stores at once, the same steps of both: nothing but the steps makes a difference.
    #[test]
    fn same_steps_give_the_same_files_and_a_dropped_store_leaves_what_was_written() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let clock = Clock::manual(1_552_813_200_000_000_000);
        let mut stores = folders.each_ref().map(|folder| open(folder.path(), &clock));
        for letter in b'a'..=b'f' {
            for store in &mut stores {
                let mut pending = store.submit(one(store, letter)).unwrap();
                assert!(!store.step(Part::Syncer), "nothing is written yet");
                assert!(store.step(Part::Sequencer));
                assert_eq!(pending.try_outcome(), None, "acknowledged before its sync");
                assert!(store.step(Part::Syncer));
                assert!(pending.try_outcome().unwrap().is_ok());
                assert!(!Part::ALL.into_iter().any(|part| store.step(part)), "nothing is left to do");
            }
            if letter == b'd' {
                clock.advance(SECOND);
                for store in &mut stores {
                    assert!(store.step(Part::Snapshotter), "a seal is asked for");
                    assert!(!store.step(Part::Snapshotter), "the seal is yet to come");
                    assert!(store.step(Part::Sequencer) && store.step(Part::Snapshotter));
                    assert_eq!(store.status().figures().snapshots, 1);
                }
            }
        }
        let states = stores.each_ref().map(|store| State::of(store.catalogue(), store.counters()));
        assert_eq!(states[0].cells.len(), 6);
        drop(stores);
        assert_eq!(files(folders[0].path()), files(folders[1].path()));
        let [store, other] = folders.each_ref().map(|folder| open(folder.path(), &clock));
        assert_eq!(State::of(store.catalogue(), store.counters()), states[1]);
        store.close().unwrap();
        let reopened = open(folders[0].path(), &clock);
        assert_eq!(State::of(reopened.catalogue(), reopened.counters()), states[0]);
        drop(other);
    }
}
