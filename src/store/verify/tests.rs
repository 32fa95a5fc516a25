//! What `verify` says of sound and of damaged directories, and that it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::recover::load_read_only;
use super::super::recover::testing::{House, State, Write, key, messages};
use super::super::{Damage, DamageKind, OpenError};
use super::{VerifyReport, verify};
use crate::model::calendar::Hour;
use crate::model::catalogue::CatalogueLimits;
use crate::model::event::{Metric, Node};
use crate::platform::disk::{Disk, MemoryDisk};

const HOUR: u32 = 431_000;

fn written(dir: &Path) {
    written_on(&Disk::new(), dir);
}

fn written_on(disk: &Disk, dir: &Path) {
    let mut house = House::open(disk, dir, State::default()).expect("it opens");
    let add = |metric, count| Write::Add(vec![(key(1, metric), Hour::new(HOUR), count)]);
    house.write(&messages(1, HOUR, 3));
    house.write(&add(Metric::Conversations, 20));
    house.snapshot();
    house.write(&add(Metric::PaidConversations, 10));
    house.write(&add(Metric::Interaction(Node::Welcome), 400));
    house.snapshot();
    house.write(&messages(2, HOUR, 5_000));
}

/// Every file with its bytes.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    ["snapshot", "journal"]
        .iter()
        .flat_map(|folder| fs::read_dir(dir.join(folder)).expect("it is there").flatten())
        .map(|entry| (entry.path(), fs::read(entry.path()).expect("it is there")))
        .collect()
}

fn check(dir: &Path) -> VerifyReport {
    let before = content(dir);
    let report =
        verify(&Disk::new(), dir, CatalogueLimits::default(), &mut || {}).expect("it can be verified");
    assert_eq!(content(dir), before, "verify changes nothing");
    report
}

#[test]
fn copy_that_cannot_be_written_is_verified_and_exported() {
    let memory = MemoryDisk::new(1);
    let (disk, dir) = (memory.disk(), Path::new("/data"));
    written_on(&disk, dir);
    drop(disk.try_lock(&dir.join("LOCK")).expect("a daemon has been here"));
    memory.make_read_only();
    let report = verify(&disk, dir, CatalogueLimits::default(), &mut || {}).expect("it can be verified");
    assert!(report.is_sound() && report.totals.messages == 5_003, "{report}");
    let contents =
        load_read_only(&disk, dir, CatalogueLimits::default(), &mut || {}).expect("it can be read");
    assert_eq!(contents.catalogue.story_count(), 2);
}

#[test]
fn verify_counts_what_a_restart_loads() {
    let scratch = tempfile::tempdir().expect("there is room");
    written(scratch.path());
    let report = check(scratch.path());
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.snapshots.as_slice(), report.restart_snapshot), (&[3, 2][..], Some(3)));
    assert_eq!((report.records, report.restart_records), (3, 1));
    let totals = report.totals;
    assert_eq!((totals.stories, totals.series, totals.cells), (2, 5, 11));
    assert_eq!((totals.conversations, totals.paid_conversations), (20, 10));
    assert_eq!((totals.messages, totals.interactions), (5_003, 400));
    let text = report.to_string();
    assert!(text.contains("conversations (paid): 20 (10)") && !text.contains("fault"), "{text}");
}

#[test]
fn verify_reports_a_torn_tail_that_is_no_fault() {
    let scratch = tempfile::tempdir().expect("there is room");
    written(scratch.path());
    let newest = content(scratch.path().join("journal").parent().expect("it has one"))
        .into_keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .max()
        .expect("there are segments");
    let whole = fs::read(&newest).expect("it is there");
    fs::write(&newest, &whole[..whole.len() - 3]).expect("it can be written");
    let report = check(scratch.path());
    assert!(report.is_sound() && report.torn.is_some(), "{report}");
    assert_eq!((report.restart_snapshot, report.restart_records, report.totals.messages), (Some(3), 0, 3));
}

#[test]
fn verify_names_every_damaged_file() {
    let scratch = tempfile::tempdir().expect("there is room");
    written(scratch.path());
    for (path, sound) in content(scratch.path()) {
        let mut damaged = sound.clone();
        damaged[20] ^= 1;
        fs::write(&path, &damaged).expect("it can be written");
        let report = check(scratch.path());
        assert!(!report.is_sound(), "{}: {report}", path.display());
        assert!(report.faults.iter().any(|fault| fault.file == path), "{}: {report}", path.display());
        assert!(report.to_string().contains("fault: "), "{report}");
        fs::write(&path, &sound).expect("it can be written");
    }
    assert!(check(scratch.path()).is_sound());
}

#[test]
fn verify_leaves_a_directory_alone_that_a_daemon_has() {
    let scratch = tempfile::tempdir().expect("there is room");
    written(scratch.path());
    let lock = Disk::new().try_lock(&scratch.path().join("LOCK")).expect("it can be made");
    let locked = verify(&Disk::new(), scratch.path(), CatalogueLimits::default(), &mut || {});
    assert!(matches!(locked, Err(OpenError::Locked { .. })), "{locked:?}");
    drop(lock);
    assert!(check(scratch.path()).is_sound());
}

#[test]
fn verify_makes_nothing_where_nothing_is() {
    let scratch = tempfile::tempdir().expect("there is room");
    let missing = verify(&Disk::new(), &scratch.path().join("none"), CatalogueLimits::default(), &mut || {});
    let Err(OpenError::Damaged(Damage { kind, .. })) = missing else { panic!("{missing:?}") };
    assert_eq!(kind, DamageKind::Missing);
    assert!(!scratch.path().join("none").exists());
}
