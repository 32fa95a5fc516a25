//! Copies by steps, on disks in memory: what they hold, what they leave when they end in the middle, what they refuse.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::limits::{BACKUP_TIME, wide};
use crate::model::batch::{Batch, Definition, Increment};
use crate::model::calendar::Hour;
use crate::model::catalogue::CatalogueLimits;
use crate::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use crate::platform::disk::{Disk, MemoryDisk};
use crate::store::damage::DamageKind;
use crate::store::journal::StoreId;
use crate::store::recover::testing::State;
use crate::store::verify::verify;
use crate::store::{Damage, Fsync, KeyLimits, OpenError, Part, Stepped, StoreOptions};

const LIMITS: CatalogueLimits = CatalogueLimits { stories: 10, series: 100, nodes_per_story: 10 };
const DATA: &str = "/data";
const COPY: &str = "/copies/one";

fn options(data_dir: &str, clock: &Clock) -> StoreOptions {
    StoreOptions {
        keys: KeyLimits::default(),
        limits: LIMITS,
        data_dir: data_dir.into(),
        fsync: Fsync::Always,
        fsync_interval: Duration::from_secs(1),
        snapshot_interval: Duration::from_hours(100),
        clock: clock.clone(),
    }
}

/// A store, and how far it has counted.
struct House {
    memory: MemoryDisk,
    clock: Clock,
    store: Stepped,
    batches: u32,
}

impl House {
    fn new(store_id: u64) -> Self {
        let (memory, clock) = (MemoryDisk::new(1), Clock::manual(1_552_813_200_000_000_000));
        let store = Self::open(&memory, &clock, store_id);
        Self { memory, clock, store, batches: 0 }
    }

    fn open(memory: &MemoryDisk, clock: &Clock, store_id: u64) -> Stepped {
        let opened = Stepped::open(&memory.disk(), &options(DATA, clock), StoreId::new(store_id), &mut || ());
        opened.expect("it opens").0
    }

    fn settle(&mut self) {
        while Part::ALL.into_iter().any(|part| self.store.step(part)) {}
    }

    /// One batch more, of many series, so that the parts of a month are merged now and then.
    fn count(&mut self) {
        self.batches += 1;
        let mut batch = Batch::default();
        for letter in b'a'..=b'e' {
            let story = StoryId(ObjectId::parse(&[letter; 24]).expect("an id"));
            let key = SeriesKey { story, source: Source::Slack, metric: Metric::Messages };
            let id = self.store.catalogue().intern(&key).expect("there is room");
            batch.definitions.push(Definition { id, key });
            batch.increments.push(Increment {
                series: id,
                hour: Hour::new(430_000 + self.batches),
                count: 1,
            });
        }
        drop(self.store.submit(batch).expect("it is taken"));
        self.settle();
    }

    fn snapshot(&mut self) {
        self.store.request_snapshot();
        self.settle();
    }

    fn state(&self) -> State {
        State::of(self.store.catalogue(), self.store.counters())
    }

    fn begin(&mut self, stands: &[ListedFile]) -> Result<Backup, BackupError> {
        let pending = self.store.request_backup();
        self.settle();
        pending.try_begin(stands).map(|backup| backup.expect("the snapshot is made"))
    }

    fn archive(&mut self, stands: &[ListedFile]) -> Vec<u8> {
        rest_of(self.begin(stands).expect("it begins"))
    }

    /// Makes or renews the copy on that disk.
    fn copy_to(&mut self, copies: &Disk) -> Result<Copied, TargetError> {
        let target = Target::open(copies, Path::new(COPY), &mut || ())?;
        let archive = self.archive(target.stands());
        target.receive(archive.as_slice(), &mut |_| ())
    }
}

fn rest_of(mut backup: Backup) -> Vec<u8> {
    let mut archive = Vec::new();
    while let Some(chunk) = backup.next_chunk().expect("it can be read") {
        archive.extend_from_slice(&chunk);
    }
    archive
}

/// What a start finds there, which changes nothing of the disk itself.
fn start(copies: &MemoryDisk) -> Result<State, OpenError> {
    let image = copies.fork();
    let clock = Clock::manual(1_552_813_200_000_000_000);
    let (store, _) = Stepped::open(&image.disk(), &options(COPY, &clock), StoreId::new(99), &mut || ())?;
    Ok(State::of(store.catalogue(), store.counters()))
}

/// Whether nothing of a copy is there.
fn is_vacant(copies: &MemoryDisk) -> bool {
    copies.files().iter().all(|(path, _)| path.ends_with("LOCK") || path.ends_with("BACKUP.tmp"))
}

fn assert_sound(copies: &MemoryDisk) {
    let report = verify(&copies.disk(), Path::new(COPY), LIMITS, &mut || ());
    let report = report.expect("it can be read");
    assert!(report.is_sound() && report.unlisted_files == 0, "{report}");
}

#[test]
fn a_copy_holds_its_position_though_the_store_counts_and_folds_while_it_is_read() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    for _ in 0..3 {
        house.count();
        house.snapshot();
    }
    house.count();
    let before = house.state();
    let mut backup = house.begin(&[]).expect("it begins");
    assert_eq!(backup.listing().position, 4);
    let mut archive = backup.next_chunk().expect("it can be read").expect("there is some");
    let names: Vec<_> = house.memory.files();
    for _ in 0..6 {
        house.count();
        house.snapshot();
    }
    archive.extend(rest_of(backup));
    let target = Target::open(&copies.disk(), Path::new(COPY), &mut || ()).expect("it is vacant");
    let whole = target.receive(archive.as_slice(), &mut |_| ()).expect("it is whole");
    assert_eq!((whole.listing.position, whole.files), (4, wide(whole.listing.files.len())));
    assert_eq!(start(&copies).expect("it starts"), before);
    assert_sound(&copies);
    let figures = house.store.status().figures();
    assert_eq!((figures.backups, figures.backups_broken_off, figures.last_backup_position), (1, 0, 4));
    // What was kept for the copy alone goes with the next fold.
    house.count();
    house.snapshot();
    let left = house.memory.files();
    let of_snapshots = |files: &[(std::path::PathBuf, u64)]| {
        files.iter().filter(|(path, _)| path.starts_with("/data/snapshot")).count()
    };
    assert!(of_snapshots(&left) <= of_snapshots(&names), "{left:?}");
}

#[test]
fn one_copy_is_read_at_a_time_and_not_for_ever() {
    let mut house = House::new(7);
    house.count();
    let mut first = house.begin(&[]).expect("it begins");
    assert!(matches!(house.begin(&[]), Err(BackupError::UnderWay)));
    house.clock.advance(BACKUP_TIME);
    let refused = loop {
        match first.next_chunk() {
            Ok(chunk) => assert!(chunk.is_some(), "it was read to its end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, BackupError::TooSlow), "{refused}");
    let second = house.begin(&[]).expect("the late one is over");
    drop(first);
    assert!(matches!(house.begin(&[]), Err(BackupError::UnderWay)), "the late one ends no other");
    drop(second);
    house.archive(&[]);
    assert_eq!(house.store.status().figures().backups_broken_off, 2);
}

#[test]
fn a_copy_that_is_repeated_takes_only_what_is_new_and_mends_what_is_damaged() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    let first = house.copy_to(&copies.disk()).expect("a copy");
    assert!(first.files >= 2, "{first:?}");
    let again = house.copy_to(&copies.disk()).expect("the same");
    assert_eq!((again.listing.generation, again.files), (first.listing.generation, 0));
    house.count();
    let second = house.copy_to(&copies.disk()).expect("a newer one");
    let new = second.listing.files.iter().filter(|file| !first.listing.files.contains(file)).count();
    assert_eq!(second.files, wide(new));
    assert_eq!(start(&copies).expect("it starts"), house.state());
    assert_sound(&copies);
    let damaged = Path::new(COPY).join("snapshot").join(&second.listing.files[0].name);
    assert!(copies.flip_bit(&damaged, 99));
    assert!(start(&copies).is_err());
    assert_eq!(house.copy_to(&copies.disk()).expect("mended").files, 1);
    assert_eq!(start(&copies).expect("it starts"), house.state());
}

/// After every operation, with the process alone or with the power.
#[test]
fn a_copy_that_ends_in_the_middle_is_the_older_one_or_the_newer_or_refused_and_goes_on_when_it_is_repeated() {
    let mut house = House::new(7);
    house.count();
    let vacant = MemoryDisk::new(2);
    vacant.disk().create_directory(Path::new(COPY)).expect("a directory");
    let mut older: Option<State> = None;
    let mut at = vacant;
    for _ in 0..3 {
        let (now, mut refused, mut ended) = (house.state(), 0, false);
        for operations in 0.. {
            assert!(operations < 800, "it never comes to its end");
            let is_cut = operations % 2 == 0;
            let copies = at.fork();
            copies.turn_off_after(operations / 2);
            let outcome = house.copy_to(&copies.disk());
            let (is_done, is_off) = (outcome.is_ok(), copies.is_off());
            assert!(is_done || is_off, "{outcome:?}");
            copies.turn_on();
            if is_cut {
                copies.cut_power();
            } else {
                copies.kill();
            }
            let found = start(&copies);
            match (&found, &older) {
                (Ok(state), _) if *state == now => {}
                (Ok(state), Some(older)) if state == older && !is_done => {}
                // Nothing but an empty directory, as it was before.
                (Ok(state), None) if *state == State::default() && is_vacant(&copies) => {}
                (Err(OpenError::Damaged(Damage { kind: DamageKind::Incomplete, .. })), None) => refused += 1,
                _ => panic!("after {operations}: {found:?}"),
            }
            house.copy_to(&copies.disk()).expect("it goes on");
            assert_eq!(start(&copies).expect("it starts"), now);
            assert_sound(&copies);
            if !is_off {
                ended = true;
                at = copies;
                break;
            }
        }
        assert!(ended && (older.is_some() || refused > 10), "{refused}");
        older = Some(now);
        house.count();
        house.snapshot();
        house.count();
    }
}

fn refusal(outcome: Result<Copied, TargetError>) -> String {
    match outcome {
        Err(TargetError::NotACopy { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_that_is_something_else_is_refused_untouched() {
    let (mut house, mut other) = (House::new(7), House::new(8));
    house.count();
    other.count();
    for name in ["file", "journal"] {
        let copies = MemoryDisk::new(2);
        copies.disk().create_directory(&Path::new(COPY).join(name)).expect("a directory");
        assert_eq!(refusal(house.copy_to(&copies.disk())), "is not empty and not a backup");
    }
    // A data directory, though its daemon has ended.
    let of_daemon = Target::open(&house.memory.fork().disk(), Path::new(DATA), &mut || ());
    assert!(matches!(of_daemon, Err(TargetError::NotACopy { .. })), "{of_daemon:?}");

    let copies = MemoryDisk::new(2);
    house.copy_to(&copies.disk()).expect("a copy");
    let files = copies.files();
    assert_eq!(refusal(other.copy_to(&copies.disk())), "is a backup of another data directory");
    assert_eq!(copies.files(), files);
    let held = copies.disk().try_lock(&Path::new(COPY).join("LOCK")).expect("a lock").expect("it is free");
    assert!(matches!(house.copy_to(&copies.disk()), Err(TargetError::InUse(_))));
    drop(held);

    // A daemon that was started on the copy goes on from there: it is no copy any more.
    let restored = copies.fork();
    let clock = Clock::manual(1_552_813_200_000_000_000);
    let opened = Stepped::open(&restored.disk(), &options(COPY, &clock), StoreId::new(9), &mut || ());
    drop(opened.expect("it starts"));
    restored.kill();
    assert_eq!(refusal(house.copy_to(&restored.disk())), "is not empty and not a backup");
    // Nor is it where the start was ended in the middle.
    let content = copies.disk().read(&Path::new(COPY).join("BACKUP")).expect("a copy has one");
    drop(restored.disk().replace(&Path::new(COPY).join("BACKUP"), &content).expect("it is written"));
    let refused = refusal(house.copy_to(&restored.disk()));
    assert_eq!(refused, "was a backup, and a daemon has been started on it since");
}

#[test]
fn a_copy_of_another_life_or_an_earlier_state_takes_no_place() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    let earlier = house.archive(&[]);
    let fork = house.memory.fork();
    house.count();
    house.copy_to(&copies.disk()).expect("a copy");
    let target = Target::open(&copies.disk(), Path::new(COPY), &mut || ()).expect("it is a copy");
    assert!(
        refusal(target.receive(earlier.as_slice(), &mut |_| ())).starts_with("is a backup of a later state")
    );
    // The same generations again, with other content.
    fork.kill();
    let clock = house.clock.clone();
    let store = House::open(&fork, &clock, 7);
    let mut forked = House { memory: fork, clock, store, batches: 50 };
    forked.count();
    assert!(refusal(forked.copy_to(&copies.disk())).contains("another life"));
    assert_eq!(start(&copies).expect("it starts"), house.state());
}

#[test]
fn an_archive_that_is_cut_or_changed_anywhere_makes_no_copy() {
    let mut house = House::new(7);
    house.count();
    let archive = house.archive(&[]);
    let receive = |archive: &[u8]| {
        let copies = MemoryDisk::new(2);
        let target = Target::open(&copies.disk(), Path::new(COPY), &mut || ()).expect("it is vacant");
        (target.receive(archive, &mut |_| ()), copies)
    };
    for length in (0..archive.len().saturating_sub(1_600)).step_by(97) {
        let (outcome, copies) = receive(archive.get(..length).expect("a part"));
        assert!(
            matches!(outcome, Err(TargetError::BrokeOff(_) | TargetError::Damaged(_))),
            "{length}: {outcome:?}"
        );
        assert!(start(&copies).is_err() || is_vacant(&copies));
    }
    for place in (0..archive.len()).step_by(61) {
        let mut changed = archive.clone();
        changed[place] ^= 1;
        // What differs is without meaning, such as padding; or it is noticed.
        if let (Ok(_), copies) = receive(&changed) {
            assert_eq!(start(&copies).expect("it starts"), house.state(), "{place}");
        }
    }
}

#[test]
fn a_file_of_the_store_that_is_damaged_is_not_copied() {
    let mut house = House::new(7);
    house.count();
    house.snapshot();
    let (path, _) = house
        .memory
        .files()
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().contains("/dictionary"))
        .expect("one");
    assert!(house.memory.flip_bit(&path, 300));
    let mut backup = house.begin(&[]).expect("it begins");
    let refused = loop {
        match backup.next_chunk() {
            Ok(chunk) => assert!(chunk.is_some(), "it was read to its end"),
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("checksum"), "{refused}");
}

#[test]
fn a_copy_that_has_counted_does_not_start_without_its_journal() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    house.copy_to(&copies.disk()).expect("a copy");
    let clock = Clock::manual(1_552_813_200_000_000_000);
    let opened = Stepped::open(&copies.disk(), &options(COPY, &clock), StoreId::new(9), &mut || ());
    opened.expect("it starts").0.close().expect("a clean end");
    for (path, _) in copies.files() {
        if path.starts_with(Path::new(COPY).join("journal")) {
            copies.disk().remove(&path).expect("it is there");
        }
    }
    let refused = start(&copies);
    let is_missed = matches!(&refused, Err(OpenError::Damaged(damage)) if damage.kind == DamageKind::Missing);
    assert!(is_missed, "{refused:?}");
}
