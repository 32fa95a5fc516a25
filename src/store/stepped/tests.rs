//! The store in steps: on files, and on a disk in memory that loses what was not made durable.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::io::Errno;

use super::super::recover::testing::State;
use super::super::{Fsync, PoisonCause, Uncertainty, WriteError};
use super::*;
use crate::limits::{BATCHES_QUEUED_MAX, OUTCOME_WAIT_MAX, QUEUE_WAIT_MAX};
use crate::model::batch::{Change, Definition, Increment};
use crate::model::calendar::Hour;
use crate::model::catalogue::CatalogueLimits;
use crate::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use crate::platform::clock::Clock;
use crate::platform::disk::{DiskFault, MemoryDisk, Operation};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

fn options(folder: &Path, fsync: Fsync, clock: &Clock) -> StoreOptions {
    StoreOptions {
        keys: crate::store::KeyLimits::default(),
        limits: CatalogueLimits::default(),
        data_dir: folder.to_owned(),
        fsync,
        fsync_interval: SECOND,
        snapshot_interval: SECOND,
        clock: clock.clone(),
    }
}

fn open_on(disk: &Disk, folder: &Path, fsync: Fsync, clock: &Clock) -> Result<Stepped, OpenError> {
    Stepped::open(disk, &options(folder, fsync, clock), StoreId::new(7), &mut || ()).map(|(store, _)| store)
}

fn open(folder: &Path, clock: &Clock) -> Stepped {
    open_on(&Disk::new(), folder, Fsync::Always, clock).expect("it opens")
}

fn one(store: &Stepped, letter: u8) -> Batch {
    let key = key(letter);
    let id = store.catalogue().intern(&key).expect("there is room");
    let mut batch = Batch::default();
    batch.definitions.push(Definition { id, key });
    batch.changes.push(Change::Story { story: key.story, name: Some("a story".into()) });
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

/// A store on a disk in memory whose power is cut now and then.
struct Unkind {
    memory: MemoryDisk,
    clock: Clock,
    fsync: Fsync,
    seed: u64,
}

impl Unkind {
    fn new(seed: u64, fsync: Fsync) -> Self {
        Self { memory: MemoryDisk::new(seed), clock: Clock::manual(1_552_813_200_000_000_000), fsync, seed }
    }

    fn open(&self) -> Stepped {
        self.open_failing(None)
    }

    /// Opened on a disk on which this operation on a segment, or on the journal's folder, fails once it is armed.
    fn open_failing(&self, failing: Option<(Operation, &Arc<AtomicBool>)>) -> Stepped {
        let mut disk = self.memory.disk();
        if let Some((failing, armed)) = failing {
            let armed = Arc::clone(armed);
            disk = disk.failing(move |operation, path| {
                let is_journal = path.to_string_lossy().contains("journal");
                let fails = armed.load(Ordering::Relaxed) && operation == failing && is_journal;
                fails.then_some(DiskFault::Fail(Errno::IO))
            });
        }
        open_on(&disk, Path::new("/data"), self.fsync, &self.clock)
            .unwrap_or_else(|error| panic!("seed {}: {error}", self.seed))
    }

    fn write(&self, store: &mut Stepped, letter: u8) -> Result<(), WriteError> {
        let batch = one(store, letter);
        self.submit(store, batch)
    }

    fn submit(&self, store: &mut Stepped, batch: Batch) -> Result<(), WriteError> {
        let mut pending = store.submit(batch)?;
        while Part::ALL.into_iter().any(|part| store.step(part)) {}
        pending.try_outcome().unwrap_or_else(|| panic!("seed {}: no outcome", self.seed)).map(|_| ())
    }

    #[track_caller]
    fn check_counted(&self, store: &Stepped, letters: &str) {
        let state = State::of(store.catalogue(), store.counters());
        let counted: String =
            state.cells.keys().map(|(key, _)| char::from(key.story.0.as_bytes()[0])).collect();
        assert_eq!(counted, letters, "seed {}", self.seed);
        assert!(state.cells.values().all(|count| *count == 1), "seed {}", self.seed);
    }
}

#[test]
fn refused_batch_does_not_come_back_with_a_power_cut() {
    for seed in 0..60 {
        let unkind = Unkind::new(seed, Fsync::Interval);
        let mut store = unkind.open();
        unkind.write(&mut store, b'a').unwrap();
        while store.step(Part::Syncer) {}
        // Room for the first record of a group and some of the second.
        unkind.memory.limit_room(Some(unkind.memory.used() + 150));
        let mut refused = [b'b', b'c'].map(|letter| store.submit(one(&store, letter)).unwrap());
        assert!(store.step(Part::Sequencer));
        for pending in &mut refused {
            assert!(matches!(pending.try_outcome(), Some(Err(WriteError::Refused(_)))), "seed {seed}");
        }
        drop(store);
        unkind.memory.cut_power();
        unkind.memory.limit_room(None);
        let store = unkind.open();
        let state = State::of(store.catalogue(), store.counters());
        let found = state.cells.keys().any(|(key, _)| key.story.0.as_bytes()[0] != b'a');
        assert!(!found, "seed {seed}: a refused batch is counted");
    }
}

#[test]
fn what_a_restart_finds_after_a_failed_sync_is_found_after_a_power_cut() {
    for seed in 0..60 {
        let unkind = Unkind::new(seed, Fsync::Always);
        let armed = Arc::new(AtomicBool::new(false));
        let mut store = unkind.open_failing(Some((Operation::Sync, &armed)));
        unkind.write(&mut store, b'a').unwrap();
        armed.store(true, Ordering::Relaxed);
        let unknown = Uncertainty::Poisoned(PoisonCause::SyncFailed);
        let mut staged = [b'b', b'c'].map(|letter| {
            let pending = store.submit(one(&store, letter)).unwrap();
            assert!(store.step(Part::Sequencer));
            pending
        });
        assert!(store.step(Part::Syncer));
        for pending in &mut staged {
            assert_eq!(pending.try_outcome(), Some(Err(unknown.into())), "seed {seed}");
        }
        drop(store);
        unkind.memory.kill();
        let mut store = unkind.open();
        let before = State::of(store.catalogue(), store.counters());
        unkind.write(&mut store, b'd').unwrap();
        drop(store);
        unkind.memory.cut_power();
        let store = unkind.open();
        let mut after = State::of(store.catalogue(), store.counters());
        let acknowledged =
            after.cells.extract_if(.., |(key, _), _| key.story.0.as_bytes()[0] == b'd').count();
        assert_eq!(acknowledged, 1, "seed {seed}: an acknowledged batch is lost");
        assert_eq!(
            after.cells, before.cells,
            "seed {seed}: the restart had read what the disk does not have"
        );
    }
}

/// What was undone may be back on the disk, and what was there not: a start must not go on from what it reads.
#[test]
fn restart_after_a_failed_sync_of_an_undone_write_never_refuses_to_start() {
    for seed in 0..200 {
        let unkind = Unkind::new(seed, Fsync::Always);
        let armed = Arc::new(AtomicBool::new(false));
        let mut store = unkind.open_failing(Some((Operation::Sync, &armed)));
        unkind.write(&mut store, b'a').unwrap();
        unkind.memory.limit_room(Some(unkind.memory.used() + 150));
        armed.store(true, Ordering::Relaxed);
        let mut staged = [b'b', b'c'].map(|letter| store.submit(one(&store, letter)).unwrap());
        assert!(store.step(Part::Sequencer));
        for pending in &mut staged {
            assert!(matches!(pending.try_outcome(), Some(Err(WriteError::Unknown(_)))), "seed {seed}");
        }
        drop(store);
        unkind.memory.kill();
        unkind.memory.limit_room(None);
        let store = unkind.open();
        let before = State::of(store.catalogue(), store.counters());
        drop(store);
        unkind.memory.cut_power();
        let store = unkind.open();
        assert_eq!(State::of(store.catalogue(), store.counters()), before, "seed {seed}");
    }
}

#[test]
fn segment_that_cannot_be_made_is_no_segment_after_a_power_cut() {
    for operation in [Operation::SyncDirectory, Operation::Rename, Operation::Create, Operation::Sync] {
        for seed in 0..20 {
            let unkind = Unkind::new(seed, Fsync::Always);
            let armed = Arc::new(AtomicBool::new(false));
            let mut store = unkind.open_failing(Some((operation, &armed)));
            unkind.write(&mut store, b'a').unwrap();
            armed.store(true, Ordering::Relaxed);
            store.request_snapshot();
            while Part::ALL.into_iter().any(|part| store.step(part)) {}
            armed.store(false, Ordering::Relaxed);
            let goes_on = unkind.write(&mut store, b'b').is_ok();
            // After a failed sync nobody knows what the disk has.
            let poisons = matches!(operation, Operation::SyncDirectory | Operation::Sync);
            assert_eq!(goes_on, !poisons, "seed {seed}, {operation:?}");
            drop(store);
            unkind.memory.cut_power();
            unkind.check_counted(&unkind.open(), if goes_on { "ab" } else { "a" });
        }
    }
}

#[test]
fn snapshot_whose_manifest_fails_gives_its_room_back() {
    let unkind = Unkind::new(1, Fsync::Always);
    let armed = Arc::new(AtomicBool::new(false));
    let plan = Arc::clone(&armed);
    let disk = unkind.memory.disk().failing(move |operation, path| {
        let is_manifest = path.to_string_lossy().contains("manifest");
        let fails = plan.load(Ordering::Relaxed) && is_manifest && operation == Operation::Write;
        fails.then_some(DiskFault::Fail(Errno::IO))
    });
    let mut store = open_on(&disk, Path::new("/data"), Fsync::Always, &unkind.clock).unwrap();
    unkind.write(&mut store, b'a').unwrap();
    let snapshot_files = || {
        let files = unkind.memory.files();
        files.into_iter().filter(|(path, _)| path.starts_with("/data/snapshot")).collect::<Vec<_>>()
    };
    let before = snapshot_files();
    armed.store(true, Ordering::Relaxed);
    store.request_snapshot();
    while Part::ALL.into_iter().any(|part| store.step(part)) {}
    assert!(store.status().snapshot_failing().is_some());
    assert_eq!(snapshot_files(), before);
}

fn key(letter: u8) -> SeriesKey {
    let story = StoryId(ObjectId::parse(&[letter; 24]).expect("an id"));
    SeriesKey { story, source: Source::Slack, metric: Metric::Messages }
}

#[test]
fn batch_waits_for_the_queue_until_its_deadline_and_is_refused_and_never_counted_after_that() {
    for is_in_time in [true, false] {
        let unkind = Unkind::new(1, Fsync::Always);
        let mut store = unkind.open();
        let queued: Vec<_> =
            (0..BATCHES_QUEUED_MAX).map(|_| store.submit(one(&store, b'a')).unwrap()).collect();
        assert_eq!(store.submit(one(&store, b'a')).unwrap_err(), Refusal::Busy);
        let handle = store.0.write_handle.clone();
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(handle.submit(one(&store, b'b')));
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "the queue is full");
        unkind.clock.advance(QUEUE_WAIT_MAX.saturating_sub(MOMENT));
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "it may still wait");
        if is_in_time {
            assert!(store.step(Part::Sequencer));
        }
        unkind.clock.advance(MOMENT);
        match (waiting.as_mut().poll(&mut context), is_in_time) {
            (Poll::Ready(Ok(_)), true) | (Poll::Ready(Err(Refusal::Busy)), false) => {}
            (outcome, _) => panic!("{outcome:?}"),
        }
        while Part::ALL.into_iter().any(|part| store.step(part)) {}
        for mut pending in queued {
            assert!(pending.try_outcome().unwrap().is_ok());
        }
        drop(store);
        unkind.memory.cut_power();
        let store = unkind.open();
        let mut counted = BTreeMap::from([(key(b'a'), u64::try_from(BATCHES_QUEUED_MAX).unwrap())]);
        counted.extend(is_in_time.then_some((key(b'b'), 1)));
        let state = State::of(store.catalogue(), store.counters());
        assert_eq!(
            state.cells.into_iter().map(|((key, _), count)| (key, count)).collect::<BTreeMap<_, _>>(),
            counted
        );
    }
}

#[test]
fn outcome_that_does_not_come_in_time_is_unknown_and_its_batch_is_counted_whole_or_not_at_all() {
    let mut found = BTreeMap::new();
    for seed in 0..60 {
        let unkind = Unkind::new(seed, Fsync::Always);
        let mut store = unkind.open();
        let mut pending = ['a', 'b'].map(|letter| {
            let batch = one(&store, u8::try_from(letter).unwrap());
            Box::pin(store.submit(batch).unwrap().outcome())
        });
        let mut poll = |which: usize| pending[which].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll(0).is_pending() && poll(1).is_pending());
        assert!(store.step(Part::Sequencer), "both are journalled, and no sync comes");
        unkind.clock.advance(OUTCOME_WAIT_MAX.saturating_sub(MOMENT));
        assert!(poll(0).is_pending() && poll(1).is_pending(), "they may still come");
        unkind.clock.advance(MOMENT);
        assert_eq!(poll(0), Poll::Ready(Err(Uncertainty::Late.into())), "seed {seed}");
        let goes_on = seed % 3 == 0;
        if goes_on {
            assert!(store.step(Part::Syncer));
            assert!(matches!(poll(1), Poll::Ready(Ok(_))), "an outcome that is there is given, even late");
        }
        drop(store);
        unkind.memory.cut_power();
        let store = unkind.open();
        let state = State::of(store.catalogue(), store.counters());
        let counted: Vec<_> = state.cells.keys().map(|(key, _)| key.story).collect();
        let named: Vec<_> = state.stories.keys().copied().collect();
        assert_eq!(counted, named, "seed {seed}: a batch is not whole");
        assert!(!goes_on || counted.len() == 2, "seed {seed}: synced batches are lost");
        *found.entry((goes_on, counted.len())).or_insert(0) += 1;
    }
    assert!(found.contains_key(&(false, 0)) && found.contains_key(&(false, 2)), "{found:?}");
}

/// What parsers may intern while the first batch of a story is being written, where there is room for two stories: it may
/// lose its place, and be interned anew under other ids.
#[test]
fn story_that_is_evicted_while_its_first_batch_is_written_loses_no_count() {
    for interned in ["", "d", "da", "dad", "dae", "ad"] {
        let unkind = Unkind::new(1, Fsync::Always);
        let limits = CatalogueLimits { stories: 2, ..CatalogueLimits::default() };
        let catalogue: Arc<OnceLock<Arc<Catalogue>>> = Arc::default();
        let (beside, taken) = (Arc::clone(&catalogue), AtomicBool::new(false));
        let disk = unkind.memory.disk().failing(move |operation, path| {
            let is_journal = operation == Operation::Write && path.to_string_lossy().contains("journal");
            if let (true, Some(catalogue)) = (is_journal, beside.get())
                && !taken.swap(true, Ordering::Relaxed)
            {
                for letter in interned.bytes() {
                    // Refused where both places are taken.
                    let outcome = catalogue.intern(&key(letter));
                    assert!(outcome.is_ok() || letter == b'e', "{outcome:?}");
                }
            }
            None
        });
        let options = StoreOptions { limits, ..options(Path::new("/data"), Fsync::Always, &unkind.clock) };
        let (mut store, _) = Stepped::open(&disk, &options, StoreId::new(7), &mut || ()).unwrap();
        // Both stories are new and their first batch was refused: they may be evicted.
        for letter in [b'a', b'c'] {
            let batch = one(&store, letter);
            store.catalogue().release(&batch);
        }
        let first = one(&store, b'a');
        let first_id = first.increments[0].series;
        catalogue.set(Arc::clone(store.catalogue())).unwrap();
        assert_eq!(unkind.submit(&mut store, first), Ok(()), "{interned}");
        unkind.check_counted(&store, "a");
        let anew = one(&store, b'a');
        assert_eq!(
            anew.increments[0].series, first_id,
            "{interned}: the id that has the counts is the story's"
        );
        assert_eq!(unkind.submit(&mut store, anew), Ok(()), "{interned}");
        let state = State::of(store.catalogue(), store.counters());
        assert_eq!(state.cells.values().copied().collect::<Vec<_>>(), [2], "{interned}");
        drop(store);
        unkind.memory.cut_power();
        let (store, _) = Stepped::open(&disk, &options, StoreId::new(7), &mut || ()).unwrap();
        assert_eq!(State::of(store.catalogue(), store.counters()), state, "{interned}");
    }
}

/// The dictionary keeps only the last deletion of a story, whose series may have other ids by then.
#[test]
fn story_that_was_deleted_evicted_and_deleted_again_stays_out_of_the_totals_after_a_restart() {
    let unkind = Unkind::new(1, Fsync::Always);
    let limits = CatalogueLimits { stories: 1, ..CatalogueLimits::default() };
    let options = StoreOptions { limits, ..options(Path::new("/data"), Fsync::Always, &unkind.clock) };
    let open = || Stepped::open(&unkind.memory.disk(), &options, StoreId::new(7), &mut || ()).unwrap().0;
    let mut store = open();
    let delete =
        || Batch { changes: vec![Change::DeleteStory { story: key(b'a').story }], ..Batch::default() };
    let snapshot = |store: &mut Stepped| {
        let before = store.status().figures().snapshots;
        store.request_snapshot();
        while Part::ALL.into_iter().any(|part| store.step(part)) {}
        assert_eq!(store.status().figures().snapshots, before + 1);
    };
    let first = one(&store, b'a');
    let first_id = first.increments[0].series;
    assert_eq!(unkind.submit(&mut store, first), Ok(()));
    snapshot(&mut store);
    assert_eq!(unkind.submit(&mut store, delete()), Ok(()));
    let evicting = one(&store, b'b');
    store.catalogue().release(&evicting);
    let mut anew = one(&store, b'a');
    assert_ne!(anew.increments[0].series, first_id);
    // Of another month, so that no fold touches the part with the first counts.
    anew.increments[0].hour = Hour::new(440_000);
    assert_eq!(unkind.submit(&mut store, anew), Ok(()));
    snapshot(&mut store);
    assert_eq!(unkind.submit(&mut store, delete()), Ok(()));
    snapshot(&mut store);
    drop(store);
    let store = open();
    // Which also asserts that the totals are the sums of the series.
    assert_eq!(State::of(store.catalogue(), store.counters()), State::default());
}

#[test]
fn start_on_an_empty_directory_waits_for_six_syncs() {
    let syncs = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&syncs);
    let disk = MemoryDisk::new(1).disk().failing(move |operation, path| {
        if matches!(operation, Operation::Sync | Operation::SyncDirectory) {
            seen.lock().unwrap().push(path.to_owned());
        }
        None
    });
    let clock = Clock::manual(1_552_813_200_000_000_000);
    drop(open_on(&disk, Path::new("/data"), Fsync::Interval, &clock).expect("it opens"));
    let expected = [
        "/",                                              // the entry of the data directory
        "/data",                                          // the entries of its two folders
        "/data/snapshot/manifest.0000000001.tmp",         // the empty snapshot
        "/data/snapshot",                                 // its name
        "/data/journal/00000000000000000001.journal.tmp", // the first segment
        "/data/journal",                                  // its name
    ];
    assert_eq!(*syncs.lock().unwrap(), expected.map(Path::new));
}

/// Three snapshots with batches before, between and after them; the last batches are in the journal alone.
fn store_to_close(disk: &Unkind) -> Stepped {
    let mut store = disk.open();
    for letter in b'a'..=b'i' {
        disk.write(&mut store, letter).unwrap();
        if matches!(letter, b'c' | b'e' | b'g') {
            store.request_snapshot();
            while Part::ALL.into_iter().any(|part| store.step(part)) {}
        }
    }
    store
}

#[test]
fn closed_store_leaves_one_snapshot_and_no_record_of_the_journal() {
    let disk = Unkind::new(1, Fsync::Always);
    let count = |folder: &str, what: &str| {
        let is_one = |path: &Path| path.starts_with(folder) && path.to_string_lossy().contains(what);
        disk.memory
            .files()
            .into_iter()
            .filter(|(path, _)| is_one(path))
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
    };
    let store = store_to_close(&disk);
    assert_eq!(count("/data/snapshot", "manifest").len(), 2, "the newest and the one before");
    store.close().unwrap();
    assert_eq!(count("/data/snapshot", "manifest").len(), 1);
    assert_eq!(count("/data/journal", "journal"), [32], "only the header of the segment that comes next");
    for _ in 0..2 {
        let store = disk.open();
        disk.check_counted(&store, "abcdefghi");
        store.close().unwrap();
    }
    let mut store = disk.open();
    disk.write(&mut store, b'j').unwrap();
    store.request_snapshot();
    while Part::ALL.into_iter().any(|part| store.step(part)) {}
    assert_eq!(count("/data/snapshot", "manifest").len(), 2, "a store at work keeps two again");
}

/// Whatever the moment at which the process dies or the power goes while a store is closed, nothing is lost.
#[test]
fn power_cut_at_any_operation_of_closing_loses_nothing() {
    for operations in 0.. {
        let mut was_off = true;
        for (seed, is_cut) in [(1, false), (2, true), (3, true), (4, true)] {
            let disk = Unkind::new(seed, Fsync::Always);
            let store = store_to_close(&disk);
            disk.memory.turn_off_after(operations);
            let outcome = store.close();
            was_off = disk.memory.is_off();
            assert!(outcome.is_ok() || was_off, "{outcome:?} after {operations} operations");
            disk.memory.turn_on();
            if is_cut {
                disk.memory.cut_power();
            } else {
                disk.memory.kill();
            }
            let store = disk.open();
            disk.check_counted(&store, "abcdefghi");
            store.close().unwrap();
            disk.check_counted(&disk.open(), "abcdefghi");
        }
        if !was_off {
            assert!(operations > 20, "closing takes more than {operations} operations");
            break;
        }
    }
}
