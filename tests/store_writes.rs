//! The write path as its callers see it: what is acknowledged is counted, visible and there after a restart; what
//! is refused is not; and a disk that fails is told apart from one that is full.
#![expect(clippy::unwrap_used, clippy::similar_names, reason = "noise in tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use proptest::prelude::*;
use rustix::io::Errno;
use tallyd::model::batch::{Batch, Change, Definition, Increment};
use tallyd::model::calendar::{Hour, HourRange};
use tallyd::model::catalogue::{Catalogue, CatalogueLimits, total_series};
use tallyd::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use tallyd::platform::clock::Clock;
use tallyd::platform::disk::{Disk, DiskFault, Operation};
use tallyd::store::{
    CloseError, CommitAck, Fsync, KeyLimits, OpenError, PendingCommit, PoisonCause, Refusal, Store,
    StoreOptions,
};
use tallyd::store::{Uncertainty, WriteError, WriteHandle};

const LONG: Duration = Duration::from_hours(1);
const DEADLINE: Duration = Duration::from_mins(1);

/// What the disk shall do with the journal's segments, asked before each operation.
type Plan = Arc<Mutex<Box<dyn FnMut(Operation) -> Option<DiskFault> + Send>>>;

/// A store in a directory of its own, on a disk that can be told to fail.
struct House {
    folder: tempfile::TempDir,
    plan: Plan,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
    fsync: Fsync,
}

impl House {
    fn new(fsync: Fsync) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let clock = Clock::manual(1_552_813_200_000_000_000);
        let plan: Plan = Arc::new(Mutex::new(Box::new(|_| None)));
        Self { folder: tempfile::tempdir().unwrap(), plan, clock, runtime, fsync }
    }

    fn disk(&self) -> Disk {
        let plan = Arc::clone(&self.plan);
        Disk::with_faults(move |operation, path: &Path| {
            // The segments only: names that wait to be renamed, and the snapshot's files, do not end so.
            let segment = path.extension().is_some_and(|extension| extension == "journal");
            if segment { plan.lock().unwrap()(operation) } else { None }
        })
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            limits: CatalogueLimits::default(),
            keys: KeyLimits::default(),
            data_dir: self.folder.path().to_owned(),
            fsync: self.fsync,
            fsync_interval: LONG,
            snapshot_interval: LONG,
            clock: self.clock.clone(),
        }
    }

    fn open(&self) -> Store {
        Store::open_on(&self.disk(), self.options(), &mut || ()).unwrap().0
    }

    /// From now on each of these operations on a segment fails so.
    fn fail(&self, operation: Operation, fault: DiskFault) {
        self.plan(move |asked| (asked == operation).then_some(fault));
    }

    fn fail_both(&self, first: (Operation, DiskFault), second: (Operation, DiskFault)) {
        self.plan(move |asked| [first, second].into_iter().find(|pair| pair.0 == asked).map(|pair| pair.1));
    }

    fn heal(&self) {
        self.plan(|_| None);
    }

    fn plan(&self, plan: impl FnMut(Operation) -> Option<DiskFault> + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }

    fn submit(&self, handle: &WriteHandle, batch: Batch) -> Result<PendingCommit, Refusal> {
        self.runtime.block_on(handle.submit(batch))
    }

    fn outcome(&self, pending: PendingCommit) -> Result<CommitAck, WriteError> {
        self.runtime.block_on(pending.outcome())
    }

    fn write(&self, store: &Store, batch: Batch) -> Result<CommitAck, WriteError> {
        let pending = self.submit(&store.write_handle(), batch)?;
        self.outcome(pending)
    }
}

fn key(story: u8, metric: Metric) -> SeriesKey {
    let id = ObjectId::parse(&[b'a' + story; 24]).unwrap();
    SeriesKey { story: StoryId(id), source: Source::Slack, metric }
}

fn messages(story: u8) -> SeriesKey {
    key(story, Metric::Messages)
}

/// A batch as a parser makes it: with the definitions that it has not seen confirmed.
fn batch(catalogue: &Catalogue, additions: &[(SeriesKey, u32, u32)]) -> Batch {
    let mut batch = Batch { deletions: catalogue.deletions(), ..Batch::default() };
    for (key, hour, count) in additions {
        let id = catalogue.intern(key).unwrap();
        if !catalogue.is_durable(id) {
            batch.definitions.push(Definition { id, key: *key });
        }
        batch.increments.push(Increment { series: id, hour: Hour::new(*hour), count: *count });
    }
    batch
}

fn delete(catalogue: &Catalogue, story: u8) -> Batch {
    let changes = vec![Change::DeleteStory { story: messages(story).story }];
    Batch { deletions: catalogue.deletions(), changes, ..Batch::default() }
}

fn one(store: &Store, story: u8, count: u32) -> Batch {
    batch(store.catalogue(), &[(messages(story), 431_000, count)])
}

fn count(store: &Store, story: u8) -> u64 {
    let known = store.catalogue().story(messages(story).story);
    let series = known.and_then(|story| story.series(Metric::Messages, Source::Slack));
    series.map_or(0, |series| store.counters().sum(series, HourRange::ALL))
}

fn total(store: &Store) -> u64 {
    store.counters().sum(total_series(Metric::Messages, None).unwrap(), HourRange::ALL)
}

const SYNC_FAILED: Uncertainty = Uncertainty::Poisoned(PoisonCause::SyncFailed);
const UNDO_FAILED: Uncertainty = Uncertainty::Poisoned(PoisonCause::WriteFailed);
const NO_SPACE: DiskFault = DiskFault::Fail(Errno::NOSPC);
const BROKEN: DiskFault = DiskFault::Fail(Errno::IO);

#[test]
fn accepted_batches_are_visible_at_once_and_there_after_a_restart() {
    for fsync in [Fsync::Always, Fsync::Interval, Fsync::Never] {
        let house = House::new(fsync);
        let store = house.open();
        for number in 1..=5 {
            let ack = house.write(&store, one(&store, 0, number)).unwrap();
            assert_eq!(ack.sequence, u64::from(number));
            assert_eq!(count(&store, 0), u64::from(number * (number + 1) / 2));
        }
        let figures = store.status().figures();
        assert_eq!((figures.batches, figures.increments, figures.last_sequence), (5, 5, 5));
        store.close(DEADLINE).unwrap();
        for _ in 0..2 {
            let store = house.open();
            assert_eq!((count(&store, 0), total(&store)), (15, 15), "{fsync:?}");
            store.close(DEADLINE).unwrap();
        }
    }
}

#[test]
fn accepted_batches_are_there_when_the_daemon_dies() {
    let house = House::new(Fsync::Interval);
    let store = house.open();
    house.write(&store, one(&store, 0, 3)).unwrap();
    house.write(&store, one(&store, 1, 4)).unwrap();
    // What is in the directory now is what a killed daemon leaves.
    let mut left = House::new(Fsync::Interval);
    copy(house.folder.path(), left.folder.path());
    left.clock = Clock::manual(0);
    let reopened = left.open();
    assert_eq!((count(&reopened, 0), count(&reopened, 1)), (3, 4));
    house.write(&store, one(&store, 0, 1)).unwrap();
    assert_eq!(left.write(&reopened, one(&reopened, 0, 1)).unwrap().sequence, 3);
    reopened.close(DEADLINE).unwrap();
    store.close(DEADLINE).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else if entry.file_name() != "reserve" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn open_refuses_a_directory_in_use() {
    let house = House::new(Fsync::Never);
    let store = house.open();
    let second = Store::open_on(&house.disk(), house.options(), &mut || ());
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    store.close(DEADLINE).unwrap();
    house.open().close(DEADLINE).unwrap();
}

#[test]
fn door_refuses_after_close_and_close_takes_what_was_handed_over() {
    let house = House::new(Fsync::Always);
    let store = house.open();
    let write_handle = store.write_handle();
    let pending: Vec<PendingCommit> =
        (0..20).map(|_| house.submit(&write_handle, one(&store, 0, 1)).unwrap()).collect();
    let late = one(&store, 0, 1);
    store.close(DEADLINE).unwrap();
    for pending in pending {
        house.outcome(pending).unwrap();
    }
    assert_eq!(house.submit(&write_handle, late).unwrap_err(), Refusal::Closing);
    let store = house.open();
    assert_eq!(count(&store, 0), 20);
    store.close(DEADLINE).unwrap();
}

#[test]
fn full_disk_refuses_batches_until_there_is_room_and_leaves_nothing_of_them() {
    let house = House::new(Fsync::Interval);
    let store = house.open();
    house.write(&store, one(&store, 0, 1)).unwrap();
    for fault in [NO_SPACE, DiskFault::Short { bytes: 40, errno: Errno::NOSPC }, BROKEN] {
        house.fail(Operation::Write, fault);
        let before = count(&store, 0);
        let refusal = house.write(&store, one(&store, 0, 10)).unwrap_err();
        assert!(matches!(refusal, WriteError::Refused(Refusal::AppendRefused(_))), "{refusal:?}");
        assert!(store.status().ingest_refused().is_some());
        // A barrier has nothing to write.
        house.write(&store, Batch::default()).unwrap();
        assert!(store.status().ingest_refused().is_some());
        assert_eq!(count(&store, 0), before);
        house.heal();
        house.write(&store, one(&store, 0, 1)).unwrap();
        assert_eq!(store.status().ingest_refused(), None);
    }
    assert_eq!(store.status().figures().append_failures, 3);
    store.close(DEADLINE).unwrap();
    let store = house.open();
    assert_eq!((count(&store, 0), store.status().figures().last_sequence), (4, 4));
    store.close(DEADLINE).unwrap();
}

#[test]
fn write_that_cannot_be_undone_is_final_and_reports_go_on() {
    let house = House::new(Fsync::Interval);
    let store = house.open();
    house.write(&store, one(&store, 0, 1)).unwrap();
    house.fail_both(
        (Operation::Write, DiskFault::Short { bytes: 39, errno: Errno::NOSPC }),
        (Operation::Truncate, BROKEN),
    );
    assert_eq!(house.write(&store, one(&store, 0, 1)), Err(UNDO_FAILED.into()));
    house.heal();
    let poisoned = Refusal::Poisoned(PoisonCause::WriteFailed);
    assert_eq!(house.write(&store, one(&store, 0, 1)), Err(poisoned.into()));
    assert_eq!(store.status().figures().journal_sync_failures, 0, "no sync failed");
    assert_eq!(count(&store, 0), 1);
    assert!(matches!(store.close(DEADLINE), Err(CloseError::NotSealed(_))));
    let (store, recovery) = Store::open_on(&house.disk(), house.options(), &mut || ()).unwrap();
    assert_eq!((count(&store, 0), recovery.torn_bytes), (1, 39));
    store.close(DEADLINE).unwrap();
}

#[test]
fn progress_is_told_while_a_journal_is_replayed_and_while_a_snapshot_is_loaded() {
    let house = House::new(Fsync::Interval);
    let reopened = || {
        let mut told = 0;
        let (store, recovery) = Store::open_on(&house.disk(), house.options(), &mut || told += 1).unwrap();
        (store, recovery, told)
    };
    let (store, _, told) = reopened();
    assert_eq!(told, 0, "there is nothing to read");
    house.write(&store, one(&store, 0, 1)).unwrap();
    // It ends without a snapshot.
    house.fail(Operation::Sync, BROKEN);
    assert!(store.close(DEADLINE).is_err());
    house.heal();
    let (store, recovery, told) = reopened();
    assert_eq!((recovery.journal_records, told), (1, 1));
    store.close(DEADLINE).unwrap();
    let (store, recovery, told) = reopened();
    assert_eq!((recovery.journal_records, recovery.parts), (0, 1));
    assert!(told >= 2, "for the dictionary and for its only part: {told}");
    store.close(DEADLINE).unwrap();
}

#[test]
fn failed_sync_is_final_although_the_next_would_succeed() {
    let house = House::new(Fsync::Always);
    let store = house.open();
    house.write(&store, one(&store, 0, 1)).unwrap();
    house.fail(Operation::Sync, BROKEN);
    assert_eq!(house.write(&store, one(&store, 0, 1)), Err(SYNC_FAILED.into()));
    house.heal();
    let poisoned = WriteError::from(Refusal::Poisoned(PoisonCause::SyncFailed));
    assert_eq!(house.write(&store, one(&store, 0, 1)), Err(poisoned.clone()));
    assert_eq!(house.write(&store, Batch::default()), Err(poisoned));
    assert!(store.status().ingest_refused().is_some());
    assert_eq!(store.status().figures().journal_sync_failures, 1);
    assert!(count(&store, 0) >= 1, "reports go on");
    assert!(matches!(store.close(DEADLINE), Err(CloseError::NotSealed(_))));
    let store = house.open();
    // The second batch was written, and its outcome was unknown; the third was refused.
    assert_eq!(count(&store, 0), 2);
    store.close(DEADLINE).unwrap();
}

#[test]
fn batches_that_wait_share_one_sync_and_none_is_answered_before_it() {
    let house = House::new(Fsync::Always);
    let store = house.open();
    let (entered, syncing) = mpsc::sync_channel(100);
    let (release, released) = mpsc::sync_channel(100);
    house.plan(move |operation| {
        if operation == Operation::Sync {
            entered.send(()).unwrap();
            released.recv().unwrap();
        }
        None
    });
    let write_handle = store.write_handle();
    let first = house.submit(&write_handle, one(&store, 0, 1)).unwrap();
    let mut first = Box::pin(first.outcome());
    syncing.recv().unwrap();
    // The plan is being asked under its lock: nothing can be written meanwhile, but handed over.
    let rest: Vec<PendingCommit> =
        (0..50).map(|_| house.submit(&write_handle, one(&store, 0, 1)).unwrap()).collect();
    let barrier = house.submit(&write_handle, Batch::default()).unwrap();
    let waited = house.runtime.block_on(async {
        tokio::select! {
            biased;
            outcome = &mut first => Some(outcome),
            () = std::future::ready(()) => None,
        }
    });
    assert_eq!(waited, None, "answered before its sync");
    for _ in 0..100 {
        release.send(()).unwrap();
    }
    house.runtime.block_on(first).unwrap();
    for pending in rest {
        house.outcome(pending).unwrap();
    }
    assert_eq!(house.outcome(barrier).unwrap().sequence, 51);
    let syncs = store.status().figures().journal_syncs;
    assert!((2..20).contains(&syncs), "{syncs} syncs for 51 batches");
    house.heal();
    store.close(DEADLINE).unwrap();
}

#[test]
fn interval_syncs_what_was_written() {
    let house = House::new(Fsync::Interval);
    let options = StoreOptions { fsync_interval: Duration::from_millis(1), ..house.options() };
    let store = Store::open_on(&house.disk(), options, &mut || ()).unwrap().0;
    let (synced, syncs) = mpsc::sync_channel(100);
    house.plan(move |operation| {
        if operation == Operation::Sync {
            synced.send(()).unwrap();
        }
        None
    });
    for _ in 0..3 {
        house.write(&store, one(&store, 0, 1)).unwrap();
        syncs.recv_timeout(DEADLINE).unwrap();
    }
    house.heal();
    store.close(DEADLINE).unwrap();
}

#[test]
fn never_syncs_nothing_but_when_a_segment_ends() {
    let house = House::new(Fsync::Never);
    let store = house.open();
    house.fail(Operation::Sync, BROKEN);
    house.write(&store, one(&store, 0, 1)).unwrap();
    house.write(&store, one(&store, 0, 1)).unwrap();
    house.heal();
    store.close(DEADLINE).unwrap();
}

#[test]
fn new_series_of_two_batches_is_defined_once_whichever_comes_first() {
    for first_refused in [false, true] {
        let house = House::new(Fsync::Interval);
        let store = house.open();
        let (one_batch, other) = (one(&store, 0, 1), one(&store, 0, 2));
        assert_eq!((one_batch.definitions.len(), other.definitions.len()), (1, 1));
        // Made after the other, sequenced before it.
        let (first, second) = (other, one_batch);
        if first_refused {
            house.fail(Operation::Write, NO_SPACE);
        }
        let outcome = house.write(&store, first);
        assert_eq!(outcome.is_err(), first_refused);
        house.heal();
        house.write(&store, second).unwrap();
        let expected = if first_refused { 1 } else { 3 };
        assert_eq!((count(&store, 0), total(&store)), (expected, expected));
        assert!(one(&store, 0, 1).definitions.is_empty(), "it is confirmed now");
        store.close(DEADLINE).unwrap();
        let store = house.open();
        assert_eq!((count(&store, 0), total(&store)), (expected, expected));
        store.close(DEADLINE).unwrap();
    }
}

#[test]
fn batch_made_before_a_deletion_makes_its_story_known_again() {
    for together in [false, true] {
        let house = House::new(Fsync::Interval);
        let store = house.open();
        house
            .write(&store, batch(store.catalogue(), &[(messages(0), 1_000, 5), (messages(1), 1_000, 7)]))
            .unwrap();
        let under_way = one(&store, 0, 2);
        assert!(under_way.definitions.is_empty());
        let deletion = delete(store.catalogue(), 0);
        if together {
            let write_handle = store.write_handle();
            let pending = [deletion, under_way].map(|batch| house.submit(&write_handle, batch).unwrap());
            for pending in pending {
                house.outcome(pending).unwrap();
            }
        } else {
            house.write(&store, deletion).unwrap();
            assert_eq!((count(&store, 0), total(&store)), (0, 7));
            assert!(store.catalogue().story(messages(0).story).is_none());
            house.write(&store, under_way).unwrap();
        }
        assert_eq!((count(&store, 0), count(&store, 1), total(&store)), (2, 7, 9));
        store.close(DEADLINE).unwrap();
        let store = house.open();
        assert_eq!((count(&store, 0), count(&store, 1), total(&store)), (2, 7, 9));
        store.close(DEADLINE).unwrap();
    }
}

#[test]
fn snapshot_is_made_on_request_and_not_without_anything_new() {
    let house = House::new(Fsync::Interval);
    let store = house.open();
    house.write(&store, one(&store, 0, 4)).unwrap();
    store.request_snapshot();
    wait_until(|| store.status().figures().snapshots == 1);
    assert_eq!(store.status().figures().last_snapshot_unix_seconds, 1_552_813_200);
    house.write(&store, one(&store, 0, 1)).unwrap();
    store.close(DEADLINE).unwrap();
    let (store, recovery) = Store::open_on(&house.disk(), house.options(), &mut || ()).unwrap();
    assert_eq!((recovery.journal_records, count(&store, 0)), (0, 5));
    let status = store.status();
    store.close(DEADLINE).unwrap();
    assert_eq!(status.figures().snapshots, 0, "nothing new was written");
}

#[test]
fn snapshot_that_fails_leaves_ingest_alone_and_is_tried_again() {
    let house = House::new(Fsync::Interval);
    let fail = Arc::new(Mutex::new(true));
    let failing = Arc::clone(&fail);
    let disk = Disk::with_faults(move |operation, path: &Path| {
        let snapshot = path.parent().is_some_and(|folder| folder.ends_with("snapshot"));
        (operation == Operation::Write && snapshot && *failing.lock().unwrap()).then_some(BROKEN)
    });
    *fail.lock().unwrap() = false;
    let store = Store::open_on(&disk, house.options(), &mut || ()).unwrap().0;
    *fail.lock().unwrap() = true;
    house.write(&store, one(&store, 0, 4)).unwrap();
    store.request_snapshot();
    wait_until(|| store.status().snapshot_failing().is_some());
    house.write(&store, one(&store, 0, 1)).unwrap();
    assert_eq!(store.status().ingest_refused(), None);
    *fail.lock().unwrap() = false;
    store.request_snapshot();
    wait_until(|| store.status().snapshot_failing().is_none());
    assert_eq!(store.status().figures().snapshot_failures, 1);
    store.close(DEADLINE).unwrap();
    let store = house.open();
    assert_eq!(count(&store, 0), 5);
    store.close(DEADLINE).unwrap();
}

#[test]
fn snapshot_on_a_full_disk_gets_the_room_that_is_kept_aside() {
    let house = House::new(Fsync::Interval);
    let reserve = house.folder.path().join("reserve");
    let kept = reserve.clone();
    // The disk is full as long as the reserve is there, once there is something to write.
    let full = Arc::new(Mutex::new(false));
    let is_full = Arc::clone(&full);
    let disk = Disk::with_faults(move |operation, path: &Path| {
        let wants_room = operation == Operation::Write && !path.ends_with("LOCK");
        (wants_room && *is_full.lock().unwrap() && kept.exists()).then_some(NO_SPACE)
    });
    let store = Store::open_on(&disk, house.options(), &mut || ()).unwrap().0;
    assert!(reserve.exists());
    house.write(&store, one(&store, 0, 4)).unwrap();
    house.write(&store, one(&store, 0, 4)).unwrap();
    *full.lock().unwrap() = true;
    assert!(house.write(&store, one(&store, 0, 1)).is_err());
    store.request_snapshot();
    wait_until(|| store.status().figures().snapshots + store.status().figures().snapshot_failures > 0);
    *full.lock().unwrap() = false;
    store.close(DEADLINE).unwrap();
    assert!(reserve.exists(), "the room is kept aside again");
    let store = house.open();
    assert_eq!(count(&store, 0), 8);
    store.close(DEADLINE).unwrap();
}

#[test]
fn panic_in_a_thread_is_told_and_nothing_is_taken_after_it() {
    let house = House::new(Fsync::Interval);
    let store = house.open();
    let failed = store.failed();
    house.plan(|operation| {
        assert_ne!(operation, Operation::Write, "a bug, made for this test");
        None
    });
    assert_eq!(house.write(&store, one(&store, 0, 1)), Err(Uncertainty::Lost.into()));
    house.runtime.block_on(failed);
    assert!(store.status().ingest_refused().is_some());
    assert!(matches!(store.close(DEADLINE), Err(CloseError::Panicked { name: "sequencer" })));
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

/// One thing that happens to a store.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, u32, u32)>),
    WriteRefused(Vec<(u8, u32, u32)>),
    Delete(u8),
    Snapshot,
    Reopen,
    Die,
}

fn any_step() -> impl Strategy<Value = Step> {
    let additions = || prop::collection::vec((0_u8..5, 1_000_u32..3_000, 0_u32..4), 1..6);
    prop_oneof![
        8 => additions().prop_map(Step::Write),
        2 => additions().prop_map(Step::WriteRefused),
        2 => (0_u8..5).prop_map(Step::Delete),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
        1 => Just(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn store_equals_a_model_through_refusals_deletions_snapshots_and_deaths(
        steps in prop::collection::vec(any_step(), 1..25),
    ) {
        let mut house = House::new(Fsync::Never);
        let mut store = house.open();
        let mut model: BTreeMap<u8, u64> = BTreeMap::new();
        let made = |store: &Store, additions: &[(u8, u32, u32)]| {
            let additions: Vec<_> =
                additions.iter().map(|(story, hour, count)| (messages(*story), *hour, *count)).collect();
            batch(store.catalogue(), &additions)
        };
        for step in steps {
            match step {
                Step::Write(additions) => {
                    house.write(&store, made(&store, &additions)).unwrap();
                    for (story, _, count) in additions {
                        *model.entry(story).or_default() += u64::from(count);
                    }
                }
                Step::WriteRefused(additions) => {
                    house.fail(Operation::Write, DiskFault::Short { bytes: 50, errno: Errno::NOSPC });
                    prop_assert!(house.write(&store, made(&store, &additions)).is_err());
                    house.heal();
                }
                Step::Delete(story) => {
                    house.write(&store, delete(store.catalogue(), story)).unwrap();
                    model.remove(&story);
                }
                Step::Snapshot => store.request_snapshot(),
                Step::Reopen => {
                    store.close(DEADLINE).unwrap();
                    store = house.open();
                }
                Step::Die => {
                    // A copy of a directory in which a fold is at work would be of many moments.
                    store.close(DEADLINE).unwrap();
                    let store_again = house.open();
                    house.write(&store_again, made(&store_again, &[(0, 1_000, 1)])).unwrap();
                    *model.entry(0).or_default() += 1;
                    let next = House::new(Fsync::Never);
                    copy(house.folder.path(), next.folder.path());
                    store_again.close(DEADLINE).unwrap();
                    house = next;
                    store = house.open();
                }
            }
            for story in 0..5 {
                prop_assert_eq!(count(&store, story), model.get(&story).copied().unwrap_or(0));
                let known = store.catalogue().story(messages(story).story).is_some();
                prop_assert_eq!(known, model.contains_key(&story));
            }
            prop_assert_eq!(total(&store), model.values().sum::<u64>());
        }
        store.close(DEADLINE).unwrap();
    }
}
