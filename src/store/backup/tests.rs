//! Copies by steps, on disks in memory: what they hold, what they leave when they end in the middle, what they refuse.

use std::future::Future as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::limits::{BACKUP_TIME, wide};
use crate::model::batch::erasure::{Erasure, Metrics, Share, Sources};
use crate::model::batch::{
    Batch, BatchIdentity, BatchKey, Change, Definition, Increment, KeyId, KeyRule, KeyedAnswer,
};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::CatalogueLimits;
use crate::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use crate::platform::disk::{Disk, MemoryDisk};
use crate::store::damage::DamageKind;
use crate::store::journal::StoreId;
use crate::store::recover::load_read_only;
use crate::store::recover::testing::State;
use crate::store::verify::{VerifyReport, verify};
use crate::store::{Claimed, Damage, FileError, Fsync, KeyLimits, OpenError, Part, Stepped, StoreOptions};

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

/// What a start finds there, and a reader as well, which changes nothing of the disk itself.
fn start(copies: &MemoryDisk) -> Result<State, OpenError> {
    let image = copies.fork();
    let read = load_read_only(&image.disk(), Path::new(COPY), LIMITS, &mut || ());
    let read = read.map(|read| State::of(&read.catalogue, &read.counters));
    let clock = Clock::manual(1_552_813_200_000_000_000);
    let (store, _) = Stepped::open(&image.disk(), &options(COPY, &clock), StoreId::new(99), &mut || ())?;
    let state = State::of(store.catalogue(), store.counters());
    assert!(read.is_err() || read.is_ok_and(|read| read == state), "a start and a reader differ");
    store.close().expect("it closes");
    // It is a data directory as any other one from then on.
    let (store, _) = Stepped::open(&image.disk(), &options(COPY, &clock), StoreId::new(99), &mut || ())?;
    assert_eq!(State::of(store.catalogue(), store.counters()), state);
    let report = verify_unlocked(&image, store);
    assert!(report.is_sound(), "{report}");
    Ok(state)
}

fn verify_unlocked(image: &MemoryDisk, store: Stepped) -> VerifyReport {
    drop(store);
    verify(&image.disk(), Path::new(COPY), LIMITS, &mut || ()).expect("it can be read")
}

fn is_segment(file: &ListedFile) -> bool {
    file.name.ends_with(".journal")
}

fn is_journal(path: &Path) -> bool {
    path.starts_with("/data/journal")
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
    assert_eq!(house.store.status().figures().snapshots, 3, "nothing is folded for a copy");
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
    for folder in ["/data/snapshot", "/data/journal"] {
        let count =
            |files: &[(PathBuf, u64)]| files.iter().filter(|(path, _)| path.starts_with(folder)).count();
        assert!(count(&left) <= count(&names), "{left:?}");
    }
}

#[test]
fn a_copy_is_the_newest_snapshot_and_the_segments_after_it_or_either_alone() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    let expect = |house: &mut House, segments: &[&str], position: u64| {
        let made = house.copy_to(&copies.disk()).expect("a copy");
        let (journal, snapshot): (Vec<_>, Vec<_>) =
            made.listing.files.iter().partition(|file| is_segment(file));
        let names: Vec<&str> = journal.iter().map(|file| file.name.trim_start_matches('0')).collect();
        assert_eq!((names.as_slice(), made.listing.position), (segments, position));
        assert_eq!(start(&copies).expect("it starts"), house.state());
        assert_sound(&copies);
        snapshot.len()
    };
    assert_eq!(expect(&mut house, &[], 0), 0, "of a store that has nothing");
    house.count();
    house.count();
    assert_eq!(expect(&mut house, &["1.journal"], 2), 0);
    house.count();
    assert_eq!(expect(&mut house, &["1.journal", "3.journal"], 3), 0);
    house.snapshot();
    assert_eq!(expect(&mut house, &[], 3), 2);
    house.count();
    assert_eq!(expect(&mut house, &["4.journal"], 4), 2);
    // A store that was killed goes on in a segment of its own; what it was killed in is copied without what no reader needs.
    house.count();
    house.memory.kill();
    house.store = House::open(&house.memory, &house.clock, 7);
    house.count();
    assert_eq!(expect(&mut house, &["4.journal", "5.journal", "6.journal"], 6), 2);
}

/// Keys, undos and names, which are in the journal alone.
#[test]
fn whatever_a_batch_brings_is_in_a_copy_of_its_segment() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    house.snapshot();
    house.count();
    let story = StoryId(ObjectId::parse(&[b'b'; 24]).expect("an id"));
    let identity = BatchIdentity { rule: KeyRule::Key, id: KeyId([3; 16]), content: 4 };
    let answer = KeyedAnswer { accepted: 5, rejected: 0, bad_lines: Box::default() };
    let taken = u32::try_from(house.clock.unix_seconds()).expect("it is after 1970");
    let batch = Batch {
        key: Some(Box::new(BatchKey { identity, taken, answer: answer.clone() })),
        erasure: Some(Box::new(Erasure {
            story,
            hours: HourRange { start: Hour::new(430_001), end: Hour::new(430_002) },
            sources: Sources::ALL,
            metrics: Metrics::ALL,
            share: Share::new(0, 1).expect("it is one"),
        })),
        changes: vec![Change::Story { story, name: Some("bee".into()) }],
        ..Batch::default()
    };
    let before = house.state().cells.len();
    drop(house.store.submit(batch).expect("it is taken"));
    house.settle();
    assert_eq!(house.state().cells.len(), before - 1);
    house.copy_to(&copies.disk()).expect("a copy");
    assert_eq!(start(&copies).expect("it starts"), house.state());
    let opened = Stepped::open(&copies.disk(), &options(COPY, &house.clock), StoreId::new(9), &mut || ());
    let handle = opened.expect("it starts").0.write_handle();
    let claimed = pin!(handle.claim(identity)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(claimed, Poll::Ready(Ok(Claimed::Counted(again))) if again == answer));
}

/// A segment that cannot be ended is folded, with the room kept aside; where that is gone as well, the refusal says so.
#[test]
fn a_full_disk_gives_a_copy_or_says_why_not() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    house.memory.limit_room(Some(house.memory.used()));
    house.copy_to(&copies.disk()).expect("a copy of what was folded");
    assert_eq!(house.store.status().figures().snapshots, 1);
    assert_eq!(start(&copies).expect("it starts"), house.state());
    assert_sound(&copies);
    house.memory.limit_room(None);
    house.count();
    house.memory.limit_room(Some(house.memory.used()));
    drop(house.memory.disk().remove(Path::new("/data/reserve")));
    house.memory.limit_room(Some(house.memory.used()));
    let refused = house.begin(&[]).expect_err("there is no room");
    assert!(matches!(refused, BackupError::NotSealed(_)), "{refused}");
    assert!(refused.to_string().starts_with("the journal cannot be sealed: cannot"), "{refused}");
    // The disk of the copy is full.
    house.memory.limit_room(None);
    copies.limit_room(Some(copies.used()));
    let refused = house.copy_to(&copies.disk()).expect_err("there is no room");
    assert!(matches!(&refused, TargetError::Disk(error) if error.is_no_space()), "{refused}");
    copies.limit_room(None);
    assert!(start(&copies).is_ok(), "the copy before is complete");
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
    assert_eq!(first.files, 1, "a segment: {first:?}");
    let again = house.copy_to(&copies.disk()).expect("the same");
    assert_eq!((again.listing.generation, again.files), (first.listing.generation, 0));
    house.count();
    let second = house.copy_to(&copies.disk()).expect("a newer one");
    let new = second.listing.files.iter().filter(|file| !first.listing.files.contains(file)).count();
    assert_eq!(second.files, wide(new));
    assert_eq!(start(&copies).expect("it starts"), house.state());
    assert_sound(&copies);
    let damaged = Path::new(COPY).join("journal").join(&second.listing.files[0].name);
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
    for round in 0..5 {
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
        // One after the other: more of the journal; a snapshot and some of the journal; a snapshot alone; the journal again.
        if matches!(round, 1 | 2) {
            house.snapshot();
        }
        if matches!(round, 1 | 3) {
            house.count();
        }
    }
}

/// The first of two left segments that the second has no use for, since a snapshot has their records.
#[test]
fn two_copies_that_end_in_the_middle_leave_the_older_one() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    house.copy_to(&copies.disk()).expect("a copy");
    let older = house.state();
    let broken_off = |house: &mut House, left: &dyn Fn(usize) -> usize| {
        let target = Target::open(&copies.disk(), Path::new(COPY), &mut || ()).expect("it is a copy");
        let archive = house.archive(target.stands());
        let outcome = target.receive(archive.get(..left(archive.len())).expect("a part"), &mut |_| ());
        assert!(matches!(outcome, Err(TargetError::BrokeOff(_) | TargetError::Damaged(_))), "{outcome:?}");
        assert_eq!(start(&copies).expect("it starts"), older);
        assert_sound(&copies);
    };
    house.count();
    broken_off(&mut house, &|whole| whole - 1_600);
    let journal = Path::new(COPY).join("journal");
    let segments = || copies.disk().list(&journal).expect("a folder").len();
    assert_eq!(segments(), 2, "the older one's, and one that came");
    house.snapshot();
    house.count();
    broken_off(&mut house, &|_| 2_048);
    assert_eq!(segments(), 1);
    house.copy_to(&copies.disk()).expect("a newer one");
    assert_eq!(start(&copies).expect("it starts"), house.state());
    assert_sound(&copies);
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
    drop(backup);
    house.count();
    let (path, _) =
        house.memory.files().into_iter().rfind(|(path, bytes)| is_journal(path) && *bytes > 32).expect("one");
    assert!(house.memory.flip_bit(&path, 8 * 32 + 300));
    let refused = house.begin(&[]).expect_err("its segment is damaged");
    assert!(
        matches!(&refused, BackupError::File(FileError::Damage(damage)) if damage.file == path),
        "{refused}"
    );
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

/// The archives that releases have sent.
const ARCHIVES: [&[u8]; 2] = [
    include_bytes!("../../../tests/fixtures/backup-1.tar"),
    include_bytes!("../../../tests/fixtures/backup-2.tar"),
];

/// What `tar x` makes of an archive.
fn unpack(archive: &[u8], (disk, directory): (&Disk, &Path)) {
    disk.create_directory(directory).expect("a directory");
    for entry in tar::Archive::new(archive).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = directory.join(entry.path().expect("a path"));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        if entry.header().entry_type().is_dir() {
            disk.create_directory(&path).expect("a folder");
        } else {
            drop(disk.replace(&path, &content).expect("a file"));
        }
    }
}

/// Each of these archives has three batches: two of counts, of which the second has a key, and an undo.
#[test]
fn archives_of_each_version_make_copies_that_start_and_are_repeated() {
    for (version, archive) in (1..).zip(ARCHIVES) {
        let text = String::from_utf8_lossy(archive);
        assert!(text.contains(&format!("{{\"version\":{version},")), "{version}");
        let (received, unpacked) = (MemoryDisk::new(2), MemoryDisk::new(3));
        let target = Target::open(&received.disk(), Path::new(COPY), &mut || ()).expect("it is vacant");
        let copied = target.receive(archive, &mut |_| ()).expect("it is whole");
        assert_eq!(copied.listing.position, 3);
        unpack(archive, (&unpacked.disk(), Path::new(COPY)));
        let state = start(&unpacked).expect("it starts");
        assert_eq!(state, start(&received).expect("it starts"));
        assert_eq!(state.cells.values().copied().collect::<Vec<_>>(), [2, 4]);
        assert_sound(&received);
        assert_sound(&unpacked);
        // A daemon that was started on it is copied into both.
        let (memory, clock) = (MemoryDisk::new(1), Clock::manual(1_552_813_200_000_000_000));
        unpack(archive, (&memory.disk(), Path::new(DATA)));
        let store = House::open(&memory, &clock, 8);
        let mut house = House { memory, clock, store, batches: 0 };
        for copies in [&received, &unpacked] {
            house.count();
            let again = house.copy_to(&copies.disk()).expect("it is repeated");
            assert!(again.files < wide(again.listing.files.len()) || version == 2, "{again:?}");
            assert_eq!(start(copies).expect("it starts"), house.state());
            assert_sound(copies);
        }
    }
}

/// As version 1 left it: `BACKUP` says which of two snapshots was there before, and the newest manifest is the copy.
#[test]
fn a_copy_of_version_1_that_ended_in_the_middle_is_the_one_whose_manifest_is_there() {
    let copies = MemoryDisk::new(2);
    let disk = copies.disk();
    unpack(ARCHIVES[0], (&disk, Path::new(COPY)));
    let (record, state) = (Path::new(COPY).join("BACKUP"), start(&copies).expect("it starts"));
    let mut value: serde_json::Value =
        serde_json::from_slice(&disk.read(&record).expect("one")).expect("JSON");
    let before = value["copy"]["manifest"].clone();
    value["before"] = before;
    value["copy"]["generation"] = 9.into();
    value["copy"]["manifest"]["name"] = "manifest.0000000009".into();
    drop(disk.replace(&record, value.to_string().as_bytes()).expect("it is written"));
    assert_eq!(start(&copies).expect("the older one"), state);
    assert_sound(&copies);
    value["before"]["name"] = "manifest.0000000001".into();
    drop(disk.replace(&record, value.to_string().as_bytes()).expect("it is written"));
    let refused = start(&copies).expect_err("it is neither");
    assert!(matches!(refused, OpenError::Damaged(_)), "{refused}");
}

#[test]
fn a_copy_of_a_newer_version_is_refused_untouched() {
    let copies = MemoryDisk::new(2);
    let disk = copies.disk();
    unpack(ARCHIVES[1], (&disk, Path::new(COPY)));
    drop(disk.replace(&Path::new(COPY).join("BACKUP"), b"{\"version\":3}").expect("it is written"));
    let files = copies.files();
    let refused = start(&copies).expect_err("it is newer");
    assert!(refused.to_string().contains("format 3, this tallyd reads up to 2"), "{refused}");
    let target = Target::open(&disk, Path::new(COPY), &mut || ());
    assert!(matches!(target, Err(TargetError::NotACopy { .. })), "{target:?}");
    assert_eq!(copies.files().len(), files.len() + 1, "a lock");
}

/// A record that comes back takes nothing from what a daemon has counted since.
#[test]
fn a_record_that_comes_back_under_a_daemon_is_not_believed() {
    let (mut house, copies) = (House::new(7), MemoryDisk::new(2));
    house.count();
    house.copy_to(&copies.disk()).expect("a copy");
    let record = copies.disk().read(&Path::new(COPY).join("BACKUP")).expect("a copy has one");
    let store = Stepped::open(&copies.disk(), &options(COPY, &house.clock), StoreId::new(9), &mut || ());
    let mut restored = House {
        memory: copies.fork(),
        clock: house.clock.clone(),
        store: store.expect("it starts").0,
        batches: 5,
    };
    restored.count();
    let state = restored.state();
    assert_ne!(state, house.state());
    drop(restored);
    copies.kill();
    drop(copies.disk().replace(&Path::new(COPY).join("BACKUP"), &record).expect("it is written"));
    assert_eq!(start(&copies).expect("it starts"), state);
}
