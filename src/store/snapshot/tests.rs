//! The bytes of each kind of file, what damage is found in them, and which files are merged.
#![expect(clippy::as_conversions, clippy::format_collect, reason = "noise in tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::codec::{self, Listed};
use super::dictionary::{self, Cleared};
use super::entries::EntriesWriter;
use super::entry::Entry;
use super::erased::Erased;
use super::manifest::Manifest;
use super::merge::{Sources, files_kept, merge_parts, pieces_kept};
use super::part::PartReader;
use super::{FileRef, Frames, FramesOut, Generation, KeyPiece, SnapshotFolder};
use crate::cluster::digest::Digest;
use crate::cluster::follow::Noted;
use crate::cluster::position::{ChainValue, LogId, LogSequence, LogStamp, MessageNumber, Position, WriterId};
use crate::limits::LANDMARK_EVERY;
use crate::model::batch::{BatchKey, Definition, Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::cells::{self, Cell, Month};
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::platform::disk::Disk;
use crate::store::damage::{Damage, DamageKind, FileError};
use crate::store::journal::{LogEntry, Sequence, StoreId};
use crate::store::layout::{FileName, generation_of, manifest_generation};
use crate::store::log::LogState;
use crate::test_seeds::samples;

const STORE_ID: StoreId = StoreId::new(0x1122_3344_5566_7788);
const HOUR: u32 = 431_000;

fn story(letter: char) -> StoryId {
    StoryId(object(letter))
}

fn object(letter: char) -> ObjectId {
    ObjectId::parse(letter.to_string().repeat(24).as_bytes()).expect("24 letters")
}

fn generation(number: u64) -> Generation {
    Generation::new(number)
}

fn increment(series: u32, hour: u32, count: u32) -> Increment {
    Increment { series: SeriesId::new(series), hour: Hour::new(hour), count }
}

fn month() -> Month {
    Month::containing(Hour::new(HOUR))
}

fn snapshots(folder: &Path) -> SnapshotFolder {
    SnapshotFolder { disk: Disk::new(), path: folder.to_owned(), store_id: STORE_ID }
}

fn write_part(
    folder: &Path,
    number: u64,
    parts: &[FileRef],
    fresh: &[Increment],
    cleared: &Cleared,
) -> FileRef {
    let place = (month(), generation(number));
    let sources = Sources { parts, fresh, cleared, erased: &Erased::default() };
    merge_parts(&snapshots(folder), place, &sources).expect("it can be written")
}

fn read_part(folder: &Path, file: &FileRef) -> Result<Vec<(u32, Cell)>, FileError> {
    let mut reader = PartReader::open(&snapshots(folder), file)?;
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    while reader.next(&mut frames)? {
        for (series, frame) in frames.iter() {
            let mut unpacked = Vec::new();
            cells::decode_frame(frame, &mut unpacked).expect("the frame is one");
            found.extend(unpacked.into_iter().map(|cell| (series.get(), cell)));
        }
    }
    Ok(found)
}

fn entries() -> Vec<Entry> {
    let key = |metric| SeriesKey { story: story('a'), source: Source::Slack, metric };
    let node = Node::Interaction(InteractionId(object('n')));
    vec![
        Entry::Series(Definition { id: SeriesId::new(24), key: key(Metric::Messages) }),
        Entry::Series(Definition { id: SeriesId::new(25), key: key(Metric::Interaction(node)) }),
        Entry::Story { story: story('a'), name: Some("A".into()) },
        Entry::Story { story: story('b'), name: None },
        Entry::Node { story: story('a'), node: Node::Welcome, name: Some("hi".into()) },
        Entry::Deleted { story: story('c'), generation: generation(7) },
    ]
}

fn write_dictionary(folder: &Path, entries: &[Entry]) -> FileRef {
    dictionary::merge(&snapshots(folder), generation(9), (&[], entries.to_vec())).expect("it can be written")
}

fn read_dictionary(folder: &Path, file: &FileRef) -> Result<Vec<Entry>, FileError> {
    let mut found = Vec::new();
    dictionary::read(&snapshots(folder), file, |mut block| {
        found.append(&mut block);
        Ok(())
    })?;
    Ok(found)
}

fn manifest(dictionary: FileRef, part: FileRef) -> Manifest {
    Manifest {
        store_id: STORE_ID,
        generation: generation(10),
        position: Sequence::new(1_234),
        dictionary: vec![dictionary],
        parts: vec![part],
        keys: Vec::new(),
        log: None,
        dropped_before: None,
    }
}

/// Writes one file of each kind and gives their bytes as text.
fn files_of_each_kind(folder: &Path) -> (FileRef, FileRef, Manifest) {
    let fresh = [increment(24, HOUR, 1), increment(24, HOUR + 1, 300), increment(25, HOUR, u32::MAX)];
    let part = write_part(folder, 9, &[], &fresh, &Cleared::default());
    let dictionary = write_dictionary(folder, &entries());
    let manifest = manifest(dictionary, part);
    manifest.commit(&snapshots(folder)).expect("it can be written");
    (dictionary, part, manifest)
}

/// The format is frozen: a change of these bytes needs a new format version. `TALLYD_BLESS=1 cargo test` writes the
/// goldens anew, which is right only while no version with this format has been released.
#[test]
fn files_have_the_bytes_of_format_4() {
    let scratch = tempfile::tempdir().expect("there is room");
    let (dictionary, part, manifest) = files_of_each_kind(scratch.path());
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshot-format-4");
    for (name, golden) in
        [(part.name, "part"), (dictionary.name, "dictionary"), (manifest.name(), "manifest")]
    {
        let bytes = fs::read(scratch.path().join(name.to_string())).expect("it is there");
        let lines: Vec<String> =
            bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        let (found, golden) = (lines.join("\n") + "\n", goldens.join(format!("{golden}.hex")));
        if std::env::var_os("TALLYD_BLESS").is_some() {
            fs::write(&golden, &found).expect("it can be written");
        }
        assert_eq!(found, fs::read_to_string(golden).expect("it is there"), "{name}");
    }
}

#[test]
fn files_of_format_3_are_read() {
    let scratch = tempfile::tempdir().expect("there is room");
    let (dictionary, part, manifest) = files_of_each_kind(scratch.path());
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshot-format-3");
    for (name, golden) in
        [(part.name, "part"), (dictionary.name, "dictionary"), (manifest.name(), "manifest")]
    {
        let text = fs::read_to_string(goldens.join(format!("{golden}.hex"))).expect("it is there");
        let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("two digits");
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        fs::write(scratch.path().join(name.to_string()), bytes).expect("it can be written");
    }
    let read = Manifest::read(&Disk::new(), scratch.path(), manifest.generation).expect("it is sound");
    let ([old_dictionary], [old_part]) = (read.dictionary.as_slice(), read.parts.as_slice()) else {
        panic!("{read:?}")
    };
    assert!(old_dictionary.bytes > dictionary.bytes, "the old one is longer");
    assert_eq!(read_dictionary(scratch.path(), old_dictionary).expect("it is sound"), entries());
    assert_eq!(read_part(scratch.path(), old_part).expect("it is sound").len(), 3);
    // The first merge writes the new format.
    let merged =
        dictionary::merge(&snapshots(scratch.path()), generation(11), (&[*old_dictionary], Vec::new()));
    let merged = merged.expect("it can be written");
    assert_eq!(merged.bytes, dictionary.bytes);
    assert_eq!(read_dictionary(scratch.path(), &merged).expect("it is sound"), entries());
}

/// Series of few stories and many nodes with ids that are alike, as those of one database are.
#[test]
fn dictionary_takes_few_bytes_for_a_series() {
    let scratch = tempfile::tempdir().expect("there is room");
    let id =
        |number: u32| ObjectId::parse(format!("5b07ffafc2376e30{number:08x}").as_bytes()).expect("an id");
    let entries: Vec<Entry> = (0..20_000_u32)
        .map(|number| {
            let story = StoryId(id(number * 7 % 300));
            let node = Node::Interaction(InteractionId(id(number * 31 % 5_000)));
            let key = SeriesKey {
                story,
                source: Source::ALL[number as usize % 7],
                metric: Metric::Interaction(node),
            };
            Entry::Series(Definition { id: SeriesId::new(24 + number), key })
        })
        .collect();
    let file = write_dictionary(scratch.path(), &entries);
    assert!(file.bytes < 20_000 * 10, "{} bytes for 20,000 series", file.bytes);
    assert_eq!(read_dictionary(scratch.path(), &file).expect("it is sound"), entries);
}

#[test]
fn files_read_back_as_written() {
    let scratch = tempfile::tempdir().expect("there is room");
    let (dictionary, part, manifest) = files_of_each_kind(scratch.path());
    let cell = |hour, count| Cell { hour: Hour::new(hour), count };
    let expected = vec![(24, cell(HOUR, 1)), (24, cell(HOUR + 1, 300)), (25, cell(HOUR, u32::MAX))];
    assert_eq!(read_part(scratch.path(), &part).expect("it is sound"), expected);
    assert_eq!(read_dictionary(scratch.path(), &dictionary).expect("it is sound"), entries());
    let read = Manifest::read(&Disk::new(), scratch.path(), manifest.generation).expect("it is sound");
    assert_eq!(read, manifest);
}

/// Every bit of every kind of file: never taken for sound.
#[test]
fn files_with_a_flipped_bit_are_refused() {
    let scratch = tempfile::tempdir().expect("there is room");
    let folder = scratch.path();
    let (dictionary, part, manifest) = files_of_each_kind(folder);
    let check = |name: FileName, read: &dyn Fn() -> Result<(), FileError>| {
        let file = folder.join(name.to_string());
        let sound = fs::read(&file).expect("it is there");
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &flipped).expect("it can be written");
            let refused = read().expect_err("a flipped bit is found");
            let is_damaged = matches!(&refused, FileError::Damage(it) if it.kind == DamageKind::Damaged);
            assert!(is_damaged, "bit {bit} of {name}: {refused}");
        }
        for length in 0..sound.len() {
            fs::write(&file, &sound[..length]).expect("it can be written");
            assert!(read().is_err(), "{name} cut to {length}");
        }
        fs::write(&file, [&sound[..], &sound[36..]].concat()).expect("it can be written");
        assert!(read().is_err(), "{name} with more behind it");
        fs::write(&file, &sound).expect("it can be written");
        read().expect("it is sound");
    };
    check(part.name, &|| read_part(folder, &part).map(drop));
    check(dictionary.name, &|| read_dictionary(folder, &dictionary).map(drop));
    check(manifest.name(), &|| Manifest::read(&Disk::new(), folder, manifest.generation).map(drop));
}

#[test]
fn file_of_another_directory_is_refused() {
    let scratch = tempfile::tempdir().expect("there is room");
    let (_, part, _) = files_of_each_kind(scratch.path());
    let other = SnapshotFolder { store_id: StoreId::new(1), ..snapshots(scratch.path()) };
    let other = PartReader::open(&other, &part);
    let Err(FileError::Damage(Damage { kind, offset, .. })) = other else { panic!("{other:?}") };
    assert_eq!((kind, offset), (DamageKind::Damaged, 0));
}

#[test]
fn names_of_other_files_are_not_ours() {
    for (name, expected) in [
        ("manifest.0000000007", Some(7)),
        ("dictionary.0000000010", Some(10)),
        ("2019-03.0000000003", Some(3)),
        ("12019-03.0000000003", Some(3)),
        ("2019-3.0000000003", None),
        ("manifest", None),
        ("manifest.", None),
        ("manifest.7x", None),
        ("notes.txt", None),
    ] {
        assert_eq!(generation_of(name).map(Generation::get), expected, "{name}");
    }
    assert_eq!(manifest_generation("manifest.0000000007"), Some(generation(7)));
    assert_eq!(manifest_generation("manifest.7"), None);
    assert_eq!(manifest_generation("dictionary.0000000007"), None);
}

#[test]
fn files_kept_are_each_twice_as_large_as_the_next() {
    const KIB: u64 = 1024;
    let file = |kib: u64| FileRef { name: FileName::Dictionary(generation(1)), bytes: kib * KIB, crc32: 0 };
    let check = |files: &[u64], new: u64, expected: usize| {
        let files: Vec<FileRef> = files.iter().map(|kib| file(*kib)).collect();
        assert_eq!(files_kept(&files, new * KIB), expected, "{files:?} and {new} KiB");
    };
    check(&[], 1, 0);
    check(&[100], 1, 0);
    check(&[512], 1, 0);
    check(&[513], 1, 1);
    check(&[10_000, 3_000, 600], 1, 3);
    check(&[10_000, 3_000, 600], 300, 2);
    check(&[10_000, 3_000, 600], 1_000, 1);
    check(&[10_000, 3_000, 600], 2_000, 0);
}

#[test]
fn frames_that_nobody_wrote_are_refused() {
    let frame = [0x10, 0xE0, 0xA9, 0x1A];
    let read = |payload: &[&[u8]]| {
        let mut frames = Frames::default();
        let read = frames.read_with(|block| {
            block.extend_from_slice(&payload.concat());
            Ok::<_, FileError>(true)
        });
        let series: Vec<u32> = frames.iter().map(|(series, _)| series.get()).collect();
        read.expect("it is there").map(|_| series)
    };
    assert_eq!(read(&[&[24], &frame, &[0], &frame, &[0x80, 1], &frame]), Ok(vec![24, 24, 152]));
    assert!(read(&[&[0x98, 0], &frame]).is_err(), "24 in two bytes");
    assert!(read(&[&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], &frame, &[1], &frame]).is_err(), "past 32 bits");
    assert!(read(&[&[24], &frame[..3]]).is_err(), "cut short");
    assert!(read(&[&[24], &frame, &[0]]).is_err(), "a series without a frame");
}

#[test]
fn pieces_kept_are_few_of_each_size() {
    for (alike_max, files_max, rewritten_max) in [(8, 4 * 7 + 1, 5), (4, 6 * 3 + 1, 8)] {
        let mut files: Vec<FileRef> = Vec::new();
        let (mut rewritten, mut added) = (0_u64, 0_u64);
        for round in 0..5_000_u64 {
            let new = (1 + round % 3) * 100 * 1024;
            let kept = pieces_kept(&files, new, alike_max);
            let merged: u64 = files.drain(kept..).map(|file| file.bytes).sum();
            let name = FileName::Dictionary(generation(round));
            files.push(FileRef { name, bytes: merged + new, crc32: 0 });
            (rewritten, added) = (rewritten + merged, added + new);
            assert!(files.len() <= files_max, "{} files after {round}, {alike_max}", files.len());
        }
        assert!(rewritten < rewritten_max * added, "{rewritten} of {added}, {alike_max}");
        // What is larger takes all that is smaller with it.
        assert_eq!(pieces_kept(&files, added, alike_max), 0);
    }
}

#[test]
fn merge_leaves_out_cleared_series_of_earlier_generations() {
    let scratch = tempfile::tempdir().expect("there is room");
    let folder = scratch.path();
    let mut cleared = Cleared::default();
    let old = write_part(folder, 1, &[], &[increment(24, HOUR, 1), increment(25, HOUR, 2)], &cleared);
    let new = write_part(folder, 2, &[], &[increment(24, HOUR, 30), increment(26, HOUR, 4)], &cleared);
    cleared.clear(SeriesId::new(24), generation(2));
    let merged = write_part(folder, 3, &[old, new], &[increment(25, HOUR, 500)], &cleared);
    let cell = |count| Cell { hour: Hour::new(HOUR), count };
    let expected = vec![(24, cell(30)), (25, cell(502)), (26, cell(4))];
    assert_eq!(read_part(folder, &merged).expect("it is sound"), expected);
    cleared.forget_unneeded(&[old, merged]);
    assert!(!cleared.counts(SeriesId::new(24), generation(1)));
    cleared.forget_unneeded(&[merged]);
    assert!(cleared.counts(SeriesId::new(24), generation(1)));
}

#[test]
fn merge_gives_an_hour_several_cells_past_32_bits() {
    let scratch = tempfile::tempdir().expect("there is room");
    let folder = scratch.path();
    let cleared = Cleared::default();
    let full = [increment(24, HOUR, u32::MAX)];
    let parts = [write_part(folder, 1, &[], &full, &cleared), write_part(folder, 2, &[], &full, &cleared)];
    let merged = write_part(folder, 3, &parts, &[increment(24, HOUR, 5)], &cleared);
    let found = read_part(folder, &merged).expect("it is sound");
    assert_eq!(found.iter().map(|(_, cell)| u64::from(cell.count)).sum::<u64>(), 2 * u64::from(u32::MAX) + 5);
    assert_eq!(found.len(), 3);
}

/// What a catalogue makes of the entries: what is known of each story, and which definitions there are.
fn meaning(entries: &[Entry]) -> impl PartialEq + std::fmt::Debug + use<> {
    let (mut names, mut defined, mut cleared) = (
        std::collections::BTreeMap::new(),
        std::collections::BTreeMap::new(),
        std::collections::BTreeMap::new(),
    );
    for entry in entries {
        match entry {
            Entry::Series(definition) => drop(defined.insert(definition.id, (definition.key, true))),
            Entry::Story { story, name } => {
                let known = names.entry((*story, None)).or_insert(None);
                *known = name.clone().or(known.take());
            }
            Entry::Node { story, node, name } => {
                let known = names.entry((*story, Some(*node))).or_insert(None);
                *known = name.clone().or(known.take());
            }
            Entry::Deleted { story, generation } => {
                names.retain(|(of, _), _| of != story);
                for (id, (key, is_confirmed)) in &mut defined {
                    if key.story == *story {
                        *is_confirmed = false;
                        cleared.insert(*id, *generation);
                    }
                }
            }
        }
    }
    (names, defined, cleared)
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let letter = prop::sample::select(vec!['a', 'b', 'c']);
    let name = prop::option::of("[a-z]{1,3}".prop_map(String::into_boxed_str));
    prop_oneof![
        3 => (letter.clone(), 0..3_u32).prop_map(|(letter, number)| {
            let source = Source::ALL[number as usize];
            let key = SeriesKey { story: story(letter), source, metric: Metric::Messages };
            Entry::Series(Definition { id: SeriesId::new(u32::from(letter) * 10 + number), key })
        }),
        2 => (letter.clone(), name.clone()).prop_map(|(letter, name)| Entry::Story { story: story(letter), name }),
        2 => (letter.clone(), name)
            .prop_map(|(letter, name)| Entry::Node { story: story(letter), node: Node::Welcome, name }),
        1 => letter.prop_map(|letter| Entry::Deleted { story: story(letter), generation: generation(0) }),
    ]
}

/// Blocks of parts for the fuzz targets.
pub(crate) fn parts() -> Vec<Vec<u8>> {
    let cell = (0_u32..3, prop_oneof![0_u32..3, any::<u32>()]);
    let frame = prop::collection::vec(cell, 1..40);
    let blocks = samples(prop::collection::vec((0_u32..50, frame), 0..6), 20);
    let block = |mut frames_of: Vec<(u32, Vec<(u32, u32)>)>| {
        frames_of.sort();
        let mut frames = FramesOut::default();
        for (series, of_series) in frames_of {
            let mut hour = HOUR;
            let cells: Vec<Cell> = of_series
                .iter()
                .map(|(step, count)| {
                    hour += step;
                    Cell { hour: Hour::new(hour), count: *count }
                })
                .collect();
            frames.push_with(SeriesId::new(series), |out| cells::encode_frame(&cells, out));
        }
        frames.payload().to_vec()
    };
    blocks.into_iter().map(block).collect()
}

/// Blocks of dictionaries for the fuzz targets.
pub(crate) fn dictionaries() -> Vec<Vec<u8>> {
    let lists = samples(prop::collection::vec(any_entry(), 0..12), 20).into_iter().chain([entries()]);
    let payload = |entries: Vec<Entry>| {
        let mut writer = EntriesWriter::default();
        for entry in &entries {
            writer.push(entry);
        }
        writer.payload().to_vec()
    };
    lists.map(payload).collect()
}

/// A place in a log after so many messages.
fn place_in_log(messages: u64) -> LogState {
    let log = LogId::new(0x1234);
    let entry = |number: u64| LogEntry {
        log,
        position: Position { sequence: LogSequence::new(number), chain: ChainValue::new(number << 40) },
        stamp: LogStamp::new(1_552_813_200_000_000_000 + number),
        digest: Digest::new(u128::from(number) << 100),
        noted: match number {
            1 => Noted::Entered,
            2 => Noted::Skipped,
            _ => Noted::Applied(WriterId::new(number % 2), MessageNumber::new((number - 1) / 2)),
        },
    };
    let mut state = LogState::before(None, &entry(1));
    for number in 1..=messages {
        assert!(state.take(&entry(number)), "message {number}");
    }
    state
}

#[test]
fn manifest_keeps_the_place_in_a_log() {
    let folder = tempfile::tempdir().expect("there is room");
    let (_, _, manifest) = files_of_each_kind(folder.path());
    for messages in [1, 7, LANDMARK_EVERY + 3] {
        let log = place_in_log(messages);
        assert_eq!(log.to_kept().landmarks.len(), usize::from(messages > LANDMARK_EVERY));
        let generation = generation(20 + messages);
        let manifest = Manifest { generation, log: Some(Arc::new(log)), ..manifest.clone() };
        manifest.commit(&snapshots(folder.path())).expect("it can be written");
        let found = Manifest::read(&Disk::new(), &snapshots(folder.path()).path, generation);
        assert_eq!(found.expect("it is sound"), manifest);
    }
}

#[test]
fn manifest_keeps_which_months_were_dropped_and_lists_no_part_of_them() {
    let folder = tempfile::tempdir().expect("there is room");
    let (_, _, manifest) = files_of_each_kind(folder.path());
    let read = |generation| Manifest::read(&Disk::new(), &snapshots(folder.path()).path, generation);
    let commit = |number, dropped_before| {
        let manifest = Manifest { generation: generation(number), dropped_before, ..manifest.clone() };
        manifest.commit(&snapshots(folder.path())).expect("it can be written");
        manifest
    };
    let kept = commit(20, Some(month()));
    assert_eq!(read(generation(20)).expect("it is sound"), kept);
    commit(21, Some(Month::new(month().get() + 1)));
    let refused = read(generation(21)).expect_err("it lists a part of the month before").to_string();
    assert!(refused.contains("a month that was dropped"), "{refused}");
}

/// Manifests for the fuzz targets.
pub(crate) fn manifests() -> Vec<Vec<u8>> {
    let file = |name| FileRef { name, bytes: 100, crc32: 7 };
    let listed = |number: u64| {
        let generations = || (1..=number).map(generation);
        let piece = |generation| KeyPiece {
            file: file(FileName::Keys(generation)),
            held: [3, number],
            newest: [1_552_813_200, 1_552_813_200],
        };
        Listed {
            position: Sequence::new(number),
            dictionary: generations().map(|generation| file(FileName::Dictionary(generation))).collect(),
            parts: generations().map(|generation| file(FileName::Part(month(), generation))).collect(),
            keys: generations().skip(1).map(piece).collect(),
            log: (number % 2 == 1).then(|| Arc::new(place_in_log(number))),
            dropped_before: (number % 3 == 1).then_some(month()),
        }
    };
    (0..6).map(|number| codec::encode_manifest(&listed(number)).expect("it is small")).collect()
}

/// Blocks of keys for the fuzz targets.
pub(crate) fn key_blocks(keys: &[BatchKey]) -> Vec<Vec<u8>> {
    keys.chunks(3).chain([&[][..]]).map(|keys| codec::encode_keys(keys).expect("it is small")).collect()
}

fn any_id() -> impl Strategy<Value = ObjectId> {
    let text = prop_oneof![
        "5b07ffafc2376e306d9b16[0-9a-f]{2}",
        "5b07[0-9a-f]{20}",
        "5b07ffafc2376e306d9b16[0-9A-Z]{2}",
        "[0-9a-zA-Z]{24}",
    ];
    text.prop_map(|text| ObjectId::parse(text.as_bytes()).expect("an id"))
}

/// Entries of every kind, with ids that share their fronts or not.
fn any_wide_entry() -> impl Strategy<Value = Entry> {
    let node = prop_oneof![
        4 => any_id().prop_map(|id| Node::Interaction(InteractionId(id))),
        1 => any_id().prop_map(|id| Node::ContextFallback(InteractionId(id))),
        1 => Just(Node::Fallback),
        1 => Just(Node::Welcome),
    ];
    let metric = prop_oneof![
        Just(Metric::Conversations),
        Just(Metric::PaidConversations),
        Just(Metric::Messages),
        node.clone().prop_map(Metric::Interaction),
    ];
    let series = prop_oneof![0..4_u32, 24..200_u32, any::<u32>()];
    let name = prop::option::of(".{0,9}".prop_map(String::into_boxed_str));
    let story = || any_id().prop_map(StoryId);
    let definition =
        (series, story(), 0..Source::ALL.len(), metric).prop_map(|(id, story, source, metric)| {
            let key = SeriesKey { story, source: Source::ALL[source], metric };
            Entry::Series(Definition { id: SeriesId::new(id), key })
        });
    prop_oneof![
        4 => definition,
        1 => (story(), name.clone()).prop_map(|(story, name)| Entry::Story { story, name }),
        1 => (story(), node, name).prop_map(|(story, node, name)| Entry::Node { story, node, name }),
        1 => (story(), any::<u64>()).prop_map(|(story, at)| Entry::Deleted { story, generation: generation(at) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn block_of_entries_reads_back_as_written(entries in prop::collection::vec(any_wide_entry(), 0..60), again in 0..60_usize) {
        // The same ids again, far from where they were new.
        let all: Vec<Entry> = entries.iter().chain(entries.iter().rev().take(again)).cloned().collect();
        let mut writer = EntriesWriter::default();
        // What was written before must not show.
        for entry in &entries {
            writer.push(entry);
        }
        writer.clear();
        for entry in &all {
            writer.push(entry);
        }
        let mut found = Vec::new();
        prop_assert_eq!(super::entries::decode(writer.payload(), &mut found), Ok(()));
        prop_assert_eq!(found, all);
        // No front of it is taken for the whole without an entry less, nor does any stop the reader.
        for length in 0..writer.payload().len() {
            let mut fewer = Vec::new();
            if super::entries::decode(&writer.payload()[..length], &mut fewer).is_ok() {
                prop_assert!(fewer.len() < writer.entries());
            }
        }
    }

    #[test]
    fn compact_keeps_the_meaning(mut entries in prop::collection::vec(any_entry(), 0..40), at in 0..40_usize) {
        for (place, entry) in entries.iter_mut().enumerate() {
            if let Entry::Deleted { generation, .. } = entry {
                *generation = Generation::new(1 + place as u64);
            }
        }
        let compacted = dictionary::compact(entries.clone());
        prop_assert_eq!(meaning(&compacted), meaning(&entries));
        prop_assert!(compacted.len() <= entries.len());
        // In pieces as well, as merges do it.
        let (first, second) = entries.split_at(at.min(entries.len()));
        let mut pieces = dictionary::compact(first.to_vec());
        pieces.extend(dictionary::compact(second.to_vec()));
        prop_assert_eq!(meaning(&dictionary::compact(pieces)), meaning(&entries));
    }
}
