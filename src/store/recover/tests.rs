//! What a restart makes of what is on disk.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::{Damage, DamageKind, OpenError, verify};
use super::testing::{
    House, State, Write, copy, delete, drop_before, erase, key, messages, node, repair, story,
};
use crate::limits::{LOAD_INLINE_BYTES_MAX, LOAD_STEPS_TOGETHER, NAME_BYTES_MAX};
use crate::model::batch::Change;
use crate::model::batch::erasure::{Erasure, MetricName, Metrics, Share, Sources};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::event::{Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::platform::disk::Disk;

const HOUR: u32 = 431_000;
const MONTH_HOURS: u32 = 744;

fn open(dir: &Path, model: &State) -> House {
    House::open(&Disk::new(), dir, model.clone()).expect("it opens")
}

/// What a restart would load, without one.
fn assert_restart(dir: &Path, model: &State) {
    let recovered = repair(&Disk::new(), dir).expect("it opens");
    assert_eq!(State::of(&recovered.catalogue, &recovered.counters), *model);
}

fn verified(dir: &Path) -> verify::VerifyReport {
    verify::verify(&Disk::new(), dir, CatalogueLimits::default(), &mut || {}).expect("it can be verified")
}

fn assert_sound(dir: &Path) {
    let report = verified(dir);
    assert!(report.is_sound() && report.restart_snapshot.is_some(), "{report}");
}

/// Two snapshots, with a file that only the older needs, one that only the newer needs, and shared ones; a journal
/// that goes on after both.
fn two_snapshots(dir: &Path) -> State {
    let mut house = open(dir, &State::default());
    house.write(&messages(1, HOUR, 3));
    house.write(&messages(2, HOUR - 5 * MONTH_HOURS, 40));
    house.snapshot();
    house.write(&messages(1, HOUR + 1, 500));
    house.write(&Write::Change(Change::Story { story: story(2), name: Some("two".into()) }));
    house.snapshot();
    house.write(&messages(3, HOUR, 6_000));
    house.check();
    house.model
}

fn snapshot_files(dir: &Path) -> Vec<PathBuf> {
    files_of(dir, "snapshot")
}

/// The files of a folder of a data directory, in the order of their names.
fn files_of(dir: &Path, folder: &str) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir.join(folder)).expect("it is there");
    let mut files: Vec<_> = listed.map(|entry| entry.expect("it is there").path()).collect();
    files.sort();
    files
}

#[test]
fn recover_makes_a_new_directory_that_opens_again() {
    let scratch = tempfile::tempdir().expect("there is room");
    let dir = scratch.path().join("a/b");
    let first = repair(&Disk::new(), &dir).expect("it opens");
    assert_eq!(first.next_sequence.get(), 1);
    let again = repair(&Disk::new(), &dir).expect("it opens");
    assert_eq!((again.store_id, again.next_sequence), (first.store_id, first.next_sequence));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&dir).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o700);
}

/// The n-th of very many stories.
fn one_of_many(number: u32) -> StoryId {
    StoryId(ObjectId::parse(format!("5b07ffafc2376e30{number:08x}").as_bytes()).expect("an id"))
}

/// Two series of each of these stories, and a count.
fn two_of_each(stories: Range<u32>, hour: u32) -> Write {
    let key = |story, metric| SeriesKey { story: one_of_many(story), source: Source::Slack, metric };
    let metrics = [Metric::Messages, Metric::Interaction(node(1))];
    let keys = stories.flat_map(|story| metrics.map(|metric| key(story, metric)));
    Write::Add(keys.zip(1..).map(|(key, count)| (key, Hour::new(hour), count)).collect())
}

/// What a journal does to a catalogue of more series than one thread takes alone, of which some go while others come.
#[test]
fn journal_of_very_many_series_is_replayed_in_its_order() {
    let scratch = tempfile::tempdir().expect("there is room");
    let dir = scratch.path();
    let mut house = open(dir, &State::default());
    let together = u32::try_from(LOAD_STEPS_TOGETHER).expect("few");
    let name = |story, name: &str| Change::Story { story: one_of_many(story), name: Some(name.into()) };
    for (turn, from) in (0..3 * together).step_by(1024).enumerate() {
        house.write(&two_of_each(from..from + 1024, HOUR));
        let last = from + 1023;
        match turn % 4 {
            0 => house.write(&Write::Change(Change::DeleteStory { story: one_of_many(last) })),
            1 => house.write(&Write::Change(name(last, "of one that has counts"))),
            2 => house.write(&Write::Change(name(last + 1, "of one that has none yet"))),
            _ => {
                let hours = HourRange { start: Hour::new(HOUR), end: Hour::new(HOUR + 1) };
                let (sources, metrics, story) = (Sources::ALL, Metrics::ALL, one_of_many(last));
                house.write(&Write::Erase(Erasure { story, hours, sources, metrics, share: Share::WHOLE }));
            }
        }
        // Those of before are counted once more, also those that were deleted.
        house.write(&two_of_each(last - 7..last + 1, HOUR + 1 + u32::try_from(turn % 3).expect("few")));
        house.write(&Write::Change(Change::DeleteStory { story: one_of_many(last - 2) }));
    }
    house.check();
    let ids = |catalogue: &Catalogue| catalogue.stories().iter().map(|story| story.id()).collect::<Vec<_>>();
    let (model, before) = (house.model.clone(), ids(&house.recovered.catalogue));
    drop(house);
    let mut again = open(dir, &model);
    assert_eq!(ids(&again.recovered.catalogue), before, "stories have the numbers that they had");
    // The same from a snapshot alone, whose dictionary is read by a thread of its own.
    let named = |story| Write::Change(name(story, &"n".repeat(NAME_BYTES_MAX)));
    (0..1100).map(named).for_each(|write| again.write(&write));
    again.snapshot();
    let model = again.model.clone();
    drop(again);
    let dictionary =
        snapshot_files(dir).into_iter().filter(|path| path.to_string_lossy().contains("dictionary"));
    let bytes: u64 = dictionary.map(|path| fs::metadata(path).expect("it is there").len()).sum();
    assert!(bytes > LOAD_INLINE_BYTES_MAX, "{bytes}");
    let last = open(dir, &model);
    let mut stories = ids(&last.recovered.catalogue);
    stories.retain(|story| before.contains(story));
    assert_eq!(stories, before);
}

#[test]
fn recover_gives_what_was_written_with_and_without_snapshots() {
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    drop(open(scratch.path(), &model));
    assert_sound(scratch.path());
    let mut house = open(scratch.path(), &model);
    house.snapshot();
    let model = house.model;
    let recovered = repair(&Disk::new(), scratch.path()).expect("it opens");
    assert_eq!(recovered.report.journal_records, 0);
    assert_eq!(recovered.report.warnings, Vec::<String>::new());
    drop(open(scratch.path(), &model));
}

/// Flips one bit of every byte of every snapshot file in turn: the right numbers, or a refusal. (That every single bit
/// is noticed is tested with the files' formats.)
#[test]
fn recover_with_a_flipped_bit_falls_back_or_refuses() {
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    let (mut fell_back, mut refused) = (0, 0);
    for file in snapshot_files(scratch.path()) {
        let sound = fs::read(&file).expect("it is there");
        for byte in 0..sound.len() {
            let bit = byte * 8 + byte % 8;
            let mut flipped = sound.clone();
            flipped[byte] ^= 1 << (bit % 8);
            fs::write(&file, &flipped).expect("it can be written");
            match repair(&Disk::new(), scratch.path()) {
                Ok(recovered) => {
                    let state = State::of(&recovered.catalogue, &recovered.counters);
                    assert_eq!(state, model, "bit {bit} of {}", file.display());
                    fell_back += usize::from(!recovered.report.warnings.is_empty());
                }
                Err(OpenError::Damaged(Damage {
                    kind: DamageKind::Damaged | DamageKind::Newer,
                    file: named,
                    ..
                })) => {
                    assert_eq!(named, file, "bit {bit}");
                    refused += 1;
                }
                Err(other) => panic!("bit {bit} of {}: {other}", file.display()),
            }
        }
        fs::write(&file, &sound).expect("it can be written");
    }
    assert!(fell_back > 0 && refused > 0, "{fell_back} fell back, {refused} refused");
}

#[test]
fn recover_with_a_missing_or_cut_snapshot_file_falls_back_or_refuses() {
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    let newest = snapshot_files(scratch.path()).pop().expect("there are files");
    for file in snapshot_files(scratch.path()) {
        let sound = fs::read(&file).expect("it is there");
        for kept in (0..sound.len()).chain([sound.len() + 1]) {
            let mut cut = sound.clone();
            cut.resize(kept, 0);
            fs::write(&file, &cut).expect("it can be written");
            if let Ok(recovered) = repair(&Disk::new(), scratch.path()) {
                let state = State::of(&recovered.catalogue, &recovered.counters);
                assert_eq!(state, model, "{} cut to {kept}", file.display());
            }
            let report = verified(scratch.path());
            assert!(!report.is_sound(), "{} cut to {kept}: {report}", file.display());
        }
        fs::remove_file(&file).expect("it can be removed");
        match repair(&Disk::new(), scratch.path()) {
            Ok(recovered) => {
                let state = State::of(&recovered.catalogue, &recovered.counters);
                assert_eq!(state, model, "without {}", file.display());
            }
            Err(OpenError::Damaged(Damage { kind: DamageKind::Missing, .. })) => assert_ne!(file, newest),
            Err(other) => panic!("without {}: {other}", file.display()),
        }
        fs::write(&file, &sound).expect("it can be written");
    }
}

#[test]
fn recover_refuses_when_no_manifest_is_left() {
    let scratch = tempfile::tempdir().expect("there is room");
    two_snapshots(scratch.path());
    for file in snapshot_files(scratch.path()) {
        if file.to_string_lossy().contains("manifest") {
            fs::remove_file(file).expect("it can be removed");
        }
    }
    let refused = repair(&Disk::new(), scratch.path());
    let missing = matches!(&refused, Err(OpenError::Damaged(it)) if it.kind == DamageKind::Missing);
    assert!(missing, "{refused:?}");
}

#[test]
fn recover_refuses_a_newer_snapshot_and_changes_nothing() {
    let scratch = tempfile::tempdir().expect("there is room");
    two_snapshots(scratch.path());
    for file in snapshot_files(scratch.path()) {
        let sound = fs::read(&file).expect("it is there");
        let mut newer = sound.clone();
        newer[8] = 99;
        let crc = crc32fast::hash(&newer[..32]).to_le_bytes();
        newer[32..36].copy_from_slice(&crc);
        fs::write(&file, &newer).expect("it can be written");
        if let Err(error) = repair(&Disk::new(), scratch.path()) {
            assert!(matches!(&error, OpenError::Damaged(it) if it.kind == DamageKind::Newer), "{error}");
            assert!(error.to_string().contains("format 99"), "{error}");
        }
        assert_eq!(fs::read(&file).expect("it is there"), newer);
        fs::write(&file, &sound).expect("it can be written");
    }
}

#[test]
fn fold_after_falling_back_makes_the_directory_sound_again() {
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    let newest = snapshot_files(scratch.path()).pop().expect("there are files");
    fs::write(&newest, b"nothing of use").expect("it can be written");
    let mut house = open(scratch.path(), &model);
    assert_eq!(house.recovered.report.warnings.len(), 1);
    house.snapshot();
    assert!(!newest.exists());
    assert_sound(scratch.path());
    let recovered = repair(&Disk::new(), scratch.path()).expect("it opens");
    assert_eq!(recovered.report.warnings, Vec::<String>::new());
    drop(open(scratch.path(), &model));
}

#[test]
fn recover_refuses_a_lost_segment_unless_the_snapshot_has_it() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    house.write(&messages(1, HOUR, 1));
    house.snapshot();
    house.write(&messages(1, HOUR, 10));
    house.snapshot();
    house.write(&messages(1, HOUR, 100));
    let model = house.model;
    let damaged = tempfile::tempdir().expect("there is room");
    copy(scratch.path(), damaged.path());
    let segments = files_of(damaged.path(), "journal");
    // The older one only serves to fall back.
    fs::remove_file(&segments[0]).expect("it can be removed");
    let recovered = repair(&Disk::new(), damaged.path()).expect("it opens");
    assert_eq!(State::of(&recovered.catalogue, &recovered.counters), model);
    fs::remove_file(&segments[segments.len() - 1]).expect("it can be removed");
    assert!(repair(&Disk::new(), damaged.path()).is_err());
}

/// The simulator found that a start cut such a record off and was then refused for want of it.
#[test]
fn recover_refuses_a_flipped_bit_in_the_last_record_where_the_snapshot_has_it_and_cuts_nothing() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    house.write(&messages(1, HOUR, 1));
    house.snapshot();
    drop(house);
    let mut segments = files_of(scratch.path(), "journal");
    let first = segments.remove(0);
    for later in segments {
        fs::remove_file(later).expect("it can be removed");
    }
    let mut content = fs::read(&first).expect("it is there");
    // The mark at the end is not synced, so that a crash may leave it out; the record before it is another matter.
    content.truncate(content.len() - 32);
    content[60] ^= 1;
    fs::write(&first, &content).expect("it can be written");
    let report = verified(scratch.path());
    assert!(report.faults.iter().any(|fault| fault.file == first), "{report}");
    for _ in 0..2 {
        let refused = repair(&Disk::new(), scratch.path());
        let Err(OpenError::Damaged(Damage { kind: DamageKind::Damaged, file, offset, what })) = refused
        else {
            panic!("{refused:?}")
        };
        assert!(file == first && offset > 0 && what.contains("the snapshot has it"), "{offset}: {what}");
        assert_eq!(fs::read(&first).expect("it is there"), content);
    }
}

#[test]
fn deleted_stories_stay_deleted_and_can_come_back() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    house.write(&messages(1, HOUR, 1));
    house.write(&messages(2, HOUR, 20));
    house.snapshot();
    house.write(&messages(1, HOUR, 300));
    house.write(&delete(1));
    house.write(&messages(1, HOUR, 4_000));
    house.snapshot();
    assert_restart(scratch.path(), &house.model);
    house.write(&delete(1));
    house.snapshot();
    assert_restart(scratch.path(), &house.model);
    house.write(&messages(1, HOUR, 50_000));
    house.snapshot();
    house.check();
    assert_restart(scratch.path(), &house.model);
    assert_sound(scratch.path());
}

/// What a newer tallyd adds is refused, and an older snapshot is not taken for the whole.
#[test]
fn recover_refuses_a_section_that_it_does_not_know() {
    let scratch = tempfile::tempdir().expect("there is room");
    two_snapshots(scratch.path());
    let newest = snapshot_files(scratch.path()).into_iter().filter(|file| is_manifest(file)).max();
    let newest = newest.expect("there is a manifest");
    let mut content = fs::read(&newest).expect("it is there");
    let block = 36;
    content[block + 8] = 8;
    let crc = crc32fast::hash(&[&content[block..block + 4], &content[block + 8..]].concat());
    content[block + 4..block + 8].copy_from_slice(&crc.to_le_bytes());
    fs::write(&newest, &content).expect("it can be written");
    let refused = repair(&Disk::new(), scratch.path());
    let Err(OpenError::Damaged(Damage { kind: DamageKind::Newer, file, what, .. })) = refused else {
        panic!()
    };
    assert!(file == newest && what.contains("section"), "{what}");
    assert_eq!(fs::read(&newest).expect("it is there"), content);
}

fn is_manifest(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("manifest."))
}

/// A data directory as each format has it. `TALLYD_BLESS=1 cargo test` writes that of the newest one anew, which is right
/// only while no version with this format has been released.
#[test]
fn recover_reads_the_directories_of_formats_3_and_4() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    if std::env::var_os("TALLYD_BLESS").is_some() {
        let newest = fixtures.join("format-4");
        if newest.exists() {
            fs::remove_dir_all(&newest).expect("it can be removed");
        }
        copy(scratch.path(), &newest);
    }
    for format in ["format-3", "format-4"] {
        let old = tempfile::tempdir().expect("there is room");
        copy(&fixtures.join(format), old.path());
        assert_sound(old.path());
        let mut house = open(old.path(), &model);
        assert_eq!(house.recovered.report.warnings, Vec::<String>::new());
        house.write(&messages(1, HOUR, 1));
        house.snapshot();
        assert_restart(old.path(), &house.model);
    }
}

/// A data directory whose journal has undos that no snapshot has yet. `TALLYD_BLESS=1 cargo test` writes it anew, which is right
/// only while no version that writes them has been released.
#[test]
fn recover_reads_the_undos_that_were_released() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/undo-1");
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    let mut house = open(scratch.path(), &model);
    house.write(&erase(1, HOUR..HOUR + 1));
    house.write(&messages(1, HOUR, 2));
    let (sources, metrics) = (Sources::of(&[Source::Slack]), Metrics::of(&[MetricName::Messages]));
    let hours = HourRange { start: Hour::new(HOUR - 6 * MONTH_HOURS), end: Hour::new(HOUR) };
    let share = Share::new(0, 2).expect("it is one");
    house.write(&Write::Erase(Erasure { story: story(2), hours, sources, metrics, share }));
    assert_released(house, scratch.path(), &fixture);
}

/// That a fixture opens as what is in the house, whose directory it was made of. Where `TALLYD_BLESS` is set, it is made anew.
fn assert_released(mut house: House, dir: &Path, fixture: &Path) {
    house.seal();
    let model = house.model.clone();
    drop(house);
    if std::env::var_os("TALLYD_BLESS").is_some() {
        if fixture.exists() {
            fs::remove_dir_all(fixture).expect("it can be removed");
        }
        copy(dir, fixture);
    }
    let old = tempfile::tempdir().expect("there is room");
    copy(fixture, old.path());
    assert_sound(old.path());
    let mut house = open(old.path(), &model);
    assert_eq!(house.recovered.report.warnings, Vec::<String>::new());
    house.snapshot();
    assert_restart(old.path(), &house.model);
}

/// A data directory with a snapshot and a journal after it that have dropped months. `TALLYD_BLESS=1 cargo test` writes it anew,
/// which is right only while no version that writes them has been released.
#[test]
fn recover_reads_the_drops_that_were_released() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/retention-1");
    let scratch = tempfile::tempdir().expect("there is room");
    let model = two_snapshots(scratch.path());
    let mut house = open(scratch.path(), &model);
    house.write(&messages(1, HOUR - 4 * MONTH_HOURS, 9));
    house.write(&drop_before(HOUR - 3 * MONTH_HOURS));
    house.snapshot();
    house.write(&messages(1, HOUR - MONTH_HOURS, 8));
    house.write(&drop_before(HOUR - MONTH_HOURS));
    house.write(&messages(2, HOUR, 7));
    assert_released(house, scratch.path(), &fixture);
}

/// What a random test does to a data directory.
#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    Snapshot,
    Reopen,
}

fn any_key() -> impl Strategy<Value = SeriesKey> {
    let metric = prop_oneof![
        Just(Metric::Conversations),
        Just(Metric::PaidConversations),
        Just(Metric::Messages),
        (0..3_u8).prop_map(|number| Metric::Interaction(node(number))),
        Just(Metric::Interaction(Node::Fallback)),
    ];
    (0..4_u8, metric, 0..2_usize)
        .prop_map(|(story, metric, source)| SeriesKey { source: Source::ALL[source], ..key(story, metric) })
}

fn any_write() -> impl Strategy<Value = Write> {
    let count = prop_oneof![8 => 0..100_u32, 1 => Just(u32::MAX)];
    let hour = prop_oneof![4 => HOUR..HOUR + 3, 1 => HOUR - 3 * MONTH_HOURS..HOUR];
    let counts = prop::collection::vec((any_key(), hour.prop_map(Hour::new), count), 1..30);
    let name = prop::option::of("[a-z]{1,5}".prop_map(String::into_boxed_str));
    let named =
        (0..4_u8, name.clone()).prop_map(|(number, name)| Change::Story { story: story(number), name });
    let node_named = (0..4_u8, 0..3_u8, name).prop_map(|(number, which, name)| Change::Node {
        story: story(number),
        node: node(which),
        name,
    });
    prop_oneof![
        8 => counts.prop_map(Write::Add),
        2 => named.prop_map(Write::Change),
        2 => node_named.prop_map(Write::Change),
        1 => (0..4_u8).prop_map(delete),
        2 => any_erasure().prop_map(Write::Erase),
        1 => (HOUR - 4 * MONTH_HOURS..HOUR + 3).prop_map(drop_before),
    ]
}

fn any_erasure() -> impl Strategy<Value = Erasure> {
    let start = prop_oneof![HOUR - 1..HOUR + 3, HOUR - 3 * MONTH_HOURS..HOUR];
    let length = prop_oneof![1..4_u32, 1..4 * MONTH_HOURS, Just(2 * HOUR)];
    let hours = (start, length)
        .prop_map(|(start, length)| HourRange { start: Hour::new(start), end: Hour::new(start + length) });
    let sources = prop::sample::select(vec![Sources::ALL, Sources::of(&[Source::Messenger])]);
    let metrics = prop::sample::select(vec![
        Metrics::ALL,
        Metrics::of(&[MetricName::Messages, MetricName::Paid]),
        Metrics::of(&[MetricName::Interactions]),
    ]);
    let share = (0..2_u32, 1..3_u32).prop_map(|(number, of)| Share::new(number % of, of).expect("it is one"));
    (0..4_u8, hours, sources, metrics, share).prop_map(|(number, hours, sources, metrics, share)| Erasure {
        story: story(number),
        hours,
        sources,
        metrics,
        share,
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![6 => any_write().prop_map(Step::Write), 3 => Just(Step::Snapshot), 1 => Just(Step::Reopen)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was written, folded and reopened: a restart, and one more, give what the model says.
    #[test]
    fn recover_equals_the_model_after_any_steps(steps in prop::collection::vec(any_step(), 1..40)) {
        let scratch = tempfile::tempdir().expect("there is room");
        let mut house = open(scratch.path(), &State::default());
        for step in &steps {
            match step {
                Step::Write(write) => house.write(write),
                Step::Snapshot => drop(house.snapshot()),
                Step::Reopen => house = open(scratch.path(), &house.model),
            }
        }
        house.check();
        let model = house.model;
        drop(open(scratch.path(), &model));
        drop(open(scratch.path(), &model));
        assert_sound(scratch.path());
    }
}
