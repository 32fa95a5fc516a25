//! What the journal costs: encoding per increment, writing records to a file, and the whole way through the store.
#![expect(clippy::unwrap_used, clippy::as_conversions, reason = "noise in benches")]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tallyd::model::batch::{Batch, Definition, Increment, SeriesId};
use tallyd::model::calendar::Hour;
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};
use tallyd::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use tallyd::platform::clock::Clock;
use tallyd::platform::disk::Disk;
use tallyd::store::journal::{JournalWriter, Record, Replay, Sequence, Staged, StoreId, record};
use tallyd::store::{Fsync, KeyLimits, Store, StoreOptions};

fn main() {
    divan::main();
}

const INCREMENTS: usize = 2_700;
const STORE_ID: StoreId = StoreId::new(1);

/// As one read of a busy connection gives them: many series, the same hour or one of two before.
fn increments() -> Vec<Increment> {
    let mut state = 1_u64;
    (0..INCREMENTS)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Increment {
                series: SeriesId::new((state >> 40) as u32 % 100_000),
                hour: Hour::new(431_000 + u32::from(state >> 60 == 0)),
                count: 1 + (state >> 62) as u32,
            }
        })
        .collect()
}

fn encoded() -> Vec<u8> {
    let mut out = Vec::new();
    record::encode_increments(&increments(), &mut out);
    out
}

fn parts(increments: &[u8]) -> Staged<'_> {
    Staged { key: None, erasure: None, dropped_before: None, definitions: &[], changes: &[], increments }
}

#[divan::bench]
fn encode_increments(bencher: Bencher<'_, '_>) {
    let increments = increments();
    bencher.counter(ItemsCount::new(INCREMENTS)).bench_local(|| {
        let mut out = Vec::new();
        record::encode_increments(divan::black_box(&increments), &mut out);
        out
    });
}

/// Staging (copy, header, checksum) and one write of 32 records, not synced.
#[divan::bench]
fn append_32_records(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(&Disk::new(), folder.path(), STORE_ID, Sequence::FIRST).unwrap();
    let encoded = encoded();
    bencher.counter(BytesCount::new(32 * encoded.len())).bench_local(|| {
        for _ in 0..32 {
            writer.stage(parts(&encoded)).unwrap();
        }
        let bytes = writer.commit().unwrap();
        if writer.segment_bytes() > 64 * 1024 * 1024 {
            writer.seal().unwrap();
        }
        bytes
    });
}

/// 64 batches through handle, sequencer, journal and counters, all under way at once, not synced.
#[divan::bench]
fn store_64_batches(bencher: Bencher<'_, '_>) {
    const BATCHES: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        limits: CatalogueLimits::default(),
        keys: KeyLimits::default(),
        data_dir: folder.path().to_owned(),
        fsync: Fsync::Never,
        fsync_interval: std::time::Duration::from_hours(1),
        snapshot_interval: std::time::Duration::from_hours(1),
        clock: Clock::system(),
    };
    let (store, _) = Store::open(options, &mut || ()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = store.write_handle();
    let defined = define(store.catalogue());
    runtime.block_on(async { handle.submit(defined).await.unwrap().outcome().await.unwrap() });
    let first = tallyd::model::catalogue::FIRST_STORY_SERIES.get();
    let mut batch = Batch { deletions: store.catalogue().deletions(), ..Batch::default() };
    batch.increments = increments();
    for increment in &mut batch.increments {
        increment.series = SeriesId::new(first + increment.series.get());
    }
    bencher.counter(ItemsCount::new(BATCHES * INCREMENTS)).bench_local(|| {
        runtime.block_on(async {
            let mut pending = Vec::with_capacity(BATCHES);
            for _ in 0..BATCHES {
                pending.push(handle.submit(batch.clone()).await.unwrap());
            }
            for pending in pending {
                pending.outcome().await.unwrap();
            }
        });
    });
    store.close(std::time::Duration::from_mins(1)).unwrap();
}

/// Every series that `increments` has.
fn define(catalogue: &Catalogue) -> Batch {
    let definitions = (0..100_000_u32)
        .map(|number| {
            let story = StoryId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap());
            let key = SeriesKey { story, source: Source::Slack, metric: Metric::Messages };
            Definition { id: catalogue.intern(&key).unwrap(), key }
        })
        .collect();
    Batch { deletions: catalogue.deletions(), definitions, ..Batch::default() }
}

/// Reading a journal back, checked and decoded.
#[divan::bench]
fn replay_1000_records(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = JournalWriter::create(&Disk::new(), folder.path(), STORE_ID, Sequence::FIRST).unwrap();
    let encoded = encoded();
    for _ in 0..1000 {
        writer.stage(parts(&encoded)).unwrap();
    }
    writer.commit().unwrap();
    bencher.counter(ItemsCount::new(1000 * INCREMENTS)).bench_local(|| {
        let mut replay = Replay::open(&Disk::new(), folder.path(), STORE_ID, Sequence::START).unwrap();
        let mut record = Record::default();
        let mut increments = 0;
        while replay.next_into(&mut record).unwrap() {
            increments += record.batch.increments.len();
        }
        assert_eq!(increments, 1000 * INCREMENTS);
    });
}
