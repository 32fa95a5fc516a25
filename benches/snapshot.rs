//! What a fold costs per increment, and how fast a restart loads cells.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may stop")]

use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use tallyd::model::batch::{Change, Definition, Increment};
use tallyd::model::calendar::Hour;
use tallyd::model::catalogue::CatalogueLimits;
use tallyd::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use tallyd::platform::disk::Disk;
use tallyd::store::KeyLimits;
use tallyd::store::journal::{self, Sequence, StoreId, record};
use tallyd::store::recover::{self, Mode, Recovered};
use tempfile::TempDir;

const SERIES: u32 = 80_000;
const HOUR: u32 = 431_000;

fn main() {
    divan::main();
}

fn key(number: u32) -> SeriesKey {
    let metrics = [Metric::Conversations, Metric::PaidConversations, Metric::Messages];
    let id = ObjectId::parse(format!("5b07ffafc2376e30{:08x}", number / 21).as_bytes()).expect("24 digits");
    let index = usize::try_from(number % 21).expect("it is small");
    SeriesKey { story: StoryId(id), source: Source::ALL[index % 7], metric: metrics[index / 7] }
}

fn open(dir: &Path) -> Recovered {
    let mode = Mode::Repair { new_store_id: StoreId::new(1) };
    recover::open(&Disk::new(), dir, (mode, CatalogueLimits::default(), KeyLimits::default()), &mut || {})
        .expect("it opens")
}

/// Writes batches of a thousand increments, with the definitions first; gives the last record.
fn write(dir: &Path, recovered: &Recovered, increments: impl Iterator<Item = Increment>) -> Sequence {
    let folder = dir.join("journal");
    let (store_id, next) = (recovered.store_id, recovered.next_sequence);
    let mut writer =
        journal::JournalWriter::create(&Disk::new(), &folder, store_id, next).expect("it is made");
    let definitions: Vec<Definition> = (0..SERIES)
        .map(key)
        .map(|key| Definition { id: recovered.catalogue.intern(&key).expect("there is room"), key })
        .collect();
    let mut stage = |definitions: &[Definition], increments: &[Increment]| {
        let mut section = Vec::new();
        record::encode_increments(increments, &mut section);
        let no_changes: &[Change] = &[];
        let parts = journal::Staged {
            key: None,
            erasure: None,
            dropped_before: None,
            definitions,
            changes: no_changes,
            increments: &section,
        };
        writer.stage(parts).expect("it fits");
        writer.commit().expect("the disk takes it");
    };
    stage(&definitions, &[]);
    let mut batch = Vec::new();
    for increment in increments {
        batch.push(Increment { series: definitions[increment.series.index()].id, ..increment });
        if batch.len() == 1_000 {
            stage(&[], &batch);
            batch.clear();
        }
    }
    stage(&[], &batch);
    writer.seal().expect("the disk takes it")
}

fn random(count: u32) -> impl Iterator<Item = u32> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).expect("31 bits")
    })
}

fn increment(series: u32, hour: u32) -> Increment {
    Increment { series: tallyd::model::batch::SeriesId::new(series), hour: Hour::new(hour), count: 1 }
}

/// A minute at full speed in one hour, as it mostly is.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn fold_live(bencher: Bencher<'_, '_>) {
    const COUNT: u32 = 20_000_000;
    fold(bencher, COUNT, || Box::new(random(COUNT).map(|r| increment(r % SERIES, HOUR))));
}

/// Old events in any order over 90 days.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn fold_late(bencher: Bencher<'_, '_>) {
    const COUNT: u32 = 4_000_000;
    fold(bencher, COUNT, || {
        Box::new(random(COUNT).map(|r| increment(r % SERIES, HOUR - r / SERIES % 2_160)))
    });
}

fn fold(bencher: Bencher<'_, '_>, count: u32, increments: fn() -> Box<dyn Iterator<Item = Increment>>) {
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| {
            let dir = TempDir::new().expect("there is room");
            let recovered = open(dir.path());
            let through = write(dir.path(), &recovered, increments());
            (dir, recovered, through)
        })
        .bench_local_values(|(dir, mut recovered, through)| {
            recovered.folder.fold(through).expect("it folds");
            (dir, recovered)
        });
}

/// A year of hourly counts of 1,600 series: 14 M cells.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn load(bencher: Bencher<'_, '_>) {
    const HOURS: u32 = 8_760;
    const BUSY: u32 = 1_600;
    let dir = TempDir::new().expect("there is room");
    let mut recovered = open(dir.path());
    let increments =
        (0..HOURS).flat_map(|hour| (0..BUSY).map(move |series| increment(series, HOUR - HOURS + hour)));
    let through = write(dir.path(), &recovered, increments);
    recovered.folder.fold(through).expect("it folds");
    bencher.counter(ItemsCount::new(HOURS * BUSY)).bench_local(|| open(dir.path()));
}
