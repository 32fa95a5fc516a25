//! Snapshots whose months are in several parts, and that have more parts than are read side by side.

use std::collections::BTreeMap;

use super::*;
use crate::limits::{LOAD_PARTS_MAX, wide};
use crate::model::batch::Increment;
use crate::model::calendar::{Hour, HourRange};
use crate::model::cells::Month;
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::store::journal::{Sequence, StoreId};
use crate::store::snapshot::FileRef;
use crate::store::snapshot::erased::Erased;
use crate::store::snapshot::merge::{Sources, merge_parts};

const STORE_ID: StoreId = StoreId::new(7);
type Counts = BTreeMap<(SeriesId, Hour), u64>;

/// A directory with a snapshot that is put together part by part.
struct House {
    scratch: tempfile::TempDir,
    folder: SnapshotFolder,
    manifest: Manifest,
    counts: Counts,
}

impl House {
    /// With series of every kind, from that id on.
    fn new(series: &[u32]) -> Self {
        let scratch = tempfile::tempdir().expect("there is room");
        let folder = SnapshotFolder::new(&Disk::new(), scratch.path(), STORE_ID);
        std::fs::create_dir_all(&folder.path).expect("there is room");
        let object = ObjectId::parse(b"5b0700000000000000000001").expect("an id");
        let definition = |(number, id): (usize, &u32)| {
            let metric = match number % 3 {
                0 => Metric::Messages,
                1 => Metric::Conversations,
                _ => Metric::Interaction(Node::Interaction(InteractionId(object))),
            };
            let source = Source::ALL[number / 3 % Source::ALL.len()];
            let key = SeriesKey { story: StoryId(object), source, metric };
            Entry::Series(Definition { id: SeriesId::new(*id), key })
        };
        let entries = series.iter().enumerate().map(definition).collect();
        let mut manifest = Manifest { generation: Generation::new(900), ..Manifest::first(STORE_ID) };
        manifest.position = Sequence::new(1);
        let piece = dictionary::merge(&folder, manifest.generation, (&[], entries));
        manifest.dictionary.push(piece.expect("it can be written"));
        Self { scratch, folder, manifest, counts: Counts::new() }
    }

    /// Adds a part with these counts, which are in order and of one month.
    fn part(&mut self, counts: &[(u32, Hour, u32)]) -> FileRef {
        let fresh: Vec<Increment> = counts
            .iter()
            .map(|&(series, hour, count)| Increment { series: SeriesId::new(series), hour, count })
            .collect();
        let month = Month::containing(fresh.first().expect("a count").hour);
        let generation = Generation::new(wide(self.manifest.parts.len()) + 1);
        let (cleared, erased) = (&Cleared::default(), &Erased::default());
        let sources = Sources { parts: &[], fresh: &fresh, cleared, erased };
        let part = merge_parts(&self.folder, (month, generation), &sources).expect("it can be written");
        self.manifest.parts.push(part);
        for one in fresh {
            *self.counts.entry((one.series, one.hour)).or_default() += u64::from(one.count);
        }
        part
    }

    fn load(&self) -> Result<Loaded, FileError> {
        let wanted = (&self.manifest, CatalogueLimits::default(), KeyLimits::default());
        load(&Disk::new(), self.scratch.path(), wanted, &mut || {})
    }

    /// Loads it and compares every count, the totals as well.
    fn check(mut self) {
        // As a fold leaves them.
        self.manifest.parts.sort_by_key(|part| (part.name.month(), part.name.generation()));
        let loaded = self.load().expect("it is sound");
        let mut found = Counts::new();
        let series: Vec<SeriesId> = self.counts.keys().map(|(series, _)| *series).collect();
        for series in series.into_iter().collect::<std::collections::BTreeSet<_>>() {
            loaded.counters.visit(series, HourRange::ALL, &mut |cells| {
                for cell in cells {
                    *found.entry((series, cell.hour)).or_default() += u64::from(cell.count);
                }
            });
        }
        assert_eq!(found, self.counts);
        let total: u64 = [Metric::Messages, Metric::Conversations]
            .map(|metric| crate::model::catalogue::total_series(metric, None).expect("it has one"))
            .iter()
            .map(|total| loaded.counters.sum(*total, HourRange::ALL))
            .sum();
        let mut expected = 0;
        loaded.catalogue.for_each_series(&mut |series, key| {
            if !matches!(key.metric, Metric::Interaction(_)) {
                let of_series = self.counts.iter().filter(|((of, _), _)| *of == series);
                expected += of_series.map(|(_, count)| count).sum::<u64>();
            }
        });
        assert_eq!(total, expected);
        assert_eq!(loaded.counters.stats().undefined, 0);
    }
}

/// So many hours after the start of a month that has 31 days.
fn hour(past: u32) -> Hour {
    Hour::new(start(588).get() + past)
}

fn start(month: u32) -> Hour {
    Month::new(month).range().start
}

#[test]
fn parts_of_a_month_add_up_whether_they_follow_each_other_or_overlap() {
    let mut house = House::new(&[24, 25, 26, 88, 89, 5_000]);
    house.part(&[(24, hour(0), 1), (24, hour(1), 300), (25, hour(9), 2), (88, hour(0), u32::MAX)]);
    house.part(&[(24, hour(2), 70_000), (25, hour(9), 3), (26, hour(4), 1), (89, hour(743), 9)]);
    house.part(&[(24, hour(30), 1), (25, hour(2), 4), (88, hour(0), 5), (5_000, hour(7), 8)]);
    house.part(&[(24, hour(31), 1), (24, hour(32), 1), (25, hour(9), 5), (25, hour(40), 1)]);
    house.part(&[(24, hour(744), 6), (24, hour(800), 1), (26, hour(744), 1), (5_000, hour(744), 2)]);
    house.part(&(0..600).map(|past| (25, hour(744 + past), past + 1)).collect::<Vec<_>>());
    house.part(&(0..600).map(|past| (25, hour(744 + past), 300 - past % 300)).collect::<Vec<_>>());
    house.check();
}

#[test]
fn more_parts_than_are_read_side_by_side_add_up() {
    let mut house = House::new(&[24, 25, 26]);
    let months = u32::try_from(LOAD_PARTS_MAX).expect("few") / 2 + 20;
    for month in 0..months {
        let start = start(400 + month);
        let later = Hour::new(start.get() + 5);
        house.part(&[(24, start, 1 + month), (25, start, 2), (25, later, 3)]);
        house.part(&[(24, later, 1), (25, later, 4), (26, start, month + 1)]);
    }
    for _ in 0..LOAD_PARTS_MAX {
        house.part(&[(24, hour(5), 1), (26, hour(7), 1)]);
    }
    house.check();
}

#[test]
fn frame_of_a_series_that_is_not_defined_is_damage_of_its_part() {
    let mut house = House::new(&[24]);
    house.part(&[(24, hour(0), 1)]);
    house.load().expect("it is sound");
    let part = house.part(&[(24, hour(3), 1), (25, hour(0), 1)]);
    match house.load() {
        Err(FileError::Damage(damage)) => {
            assert!(damage.file.ends_with(part.name.to_string()), "{damage}");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}
