//! The sequencer alone, fed with batches that are ready: their increments are encoded, as connections do it, and wait in
//! the queue. What is timed is what one thread does for all connections: staging (header, checksum, copy), one write, the
//! counters, the acks. The disk is memory, so that no other thread and no device is part of it:
//! `taskset -c 1 cargo bench --bench sequencer`.
#![expect(clippy::unwrap_used, clippy::as_conversions, reason = "noise in benches")]
#![expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "noise in benches")]

#[path = "support/random.rs"]
mod random;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use tallyd::model::batch::{Batch, Definition, Increment, SeriesId};
use tallyd::model::calendar::Hour;
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};
use tallyd::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};
use tallyd::platform::clock::Clock;
use tallyd::platform::disk::MemoryDisk;
use tallyd::store::journal::StoreId;
use tallyd::store::{Fsync, KeyLimits, Part, PendingCommit, Stepped, StoreOptions};

use random::Random;

fn main() {
    divan::main();
}

/// Batches that wait, which make one group.
const BATCHES: usize = 64;
/// What one read of a busy connection gives.
const INCREMENTS: usize = 2_700;
const SERIES: u32 = 100_000;
const HOUR: u32 = 431_000;

/// What each sample feeds.
#[derive(Clone, Copy)]
enum Feed {
    /// Series at random, in the present hour, one of sixteen in the hour before.
    Known,
    /// Every increment makes a cell: no series comes twice in an hour, and each sample has hours of its own.
    NewCells,
}

/// A store with [`SERIES`] series, and batches in its queue.
struct Fed {
    store: Stepped,
    ids: Vec<SeriesId>,
    random: Random,
    next_hour: u32,
}

impl Fed {
    fn new() -> Self {
        let options = StoreOptions {
            limits: CatalogueLimits::default(),
            keys: KeyLimits::default(),
            data_dir: Path::new("/data").to_owned(),
            fsync: Fsync::Never,
            fsync_interval: Duration::from_hours(1),
            snapshot_interval: Duration::from_hours(1),
            clock: Clock::manual(1_552_813_200_000_000_000),
        };
        let disk = MemoryDisk::new(1).disk();
        let (store, _) = Stepped::open(&disk, &options, StoreId::new(1), &mut || ()).unwrap();
        let (ids, definitions) = define(store.catalogue());
        let mut fed = Self { store, ids, random: Random::new(1), next_hour: HOUR };
        // Within the bound of a record.
        for part in definitions.chunks(10_000) {
            let pending = fed.submit(Batch { definitions: part.to_vec(), ..Batch::default() });
            fed.commit(&mut [pending]);
        }
        // Each series has a cell, as those of a daemon that has run for a while do.
        let increments: Vec<Increment> = fed.ids.iter().map(|&series| increment(series, HOUR)).collect();
        let pending = fed.submit(Batch { increments, ..Batch::default() });
        fed.commit(&mut [pending]);
        fed
    }

    fn submit(&self, batch: Batch) -> PendingCommit {
        let deletions = self.store.catalogue().deletions();
        self.store.submit(Batch { deletions, ..batch }).unwrap()
    }

    /// Puts a group of batches into the queue.
    fn feed(&mut self, feed: Feed) -> Vec<PendingCommit> {
        let increments = match feed {
            Feed::Known => self.known(),
            Feed::NewCells => self.new_cells(),
        };
        increments
            .chunks(INCREMENTS)
            .map(|part| self.submit(Batch { increments: part.to_vec(), ..Batch::default() }))
            .collect()
    }

    fn known(&mut self) -> Vec<Increment> {
        let one = |_| {
            let series = self.ids[self.random.below_u32(SERIES) as usize];
            increment(series, HOUR - u32::from(self.random.below(16) == 0))
        };
        (0..BATCHES * INCREMENTS).map(one).collect()
    }

    fn new_cells(&mut self) -> Vec<Increment> {
        let mut increments = Vec::with_capacity(BATCHES * INCREMENTS);
        while increments.len() < BATCHES * INCREMENTS {
            self.next_hour += 1;
            // In an order that no cache can foresee.
            for last in (1..self.ids.len()).rev() {
                self.ids.swap(last, self.random.below(last as u64 + 1) as usize);
            }
            let left = BATCHES * INCREMENTS - increments.len();
            increments.extend(self.ids.iter().take(left).map(|&series| increment(series, self.next_hour)));
        }
        increments
    }

    /// Commits what waits, which is one group.
    fn commit(&mut self, pending: &mut [PendingCommit]) {
        assert!(self.store.step(Part::Sequencer));
        for pending in pending {
            pending.try_outcome().unwrap().unwrap();
        }
    }
}

fn increment(series: SeriesId, hour: u32) -> Increment {
    Increment { series, hour: Hour::new(hour), count: 1 }
}

fn define(catalogue: &Catalogue) -> (Vec<SeriesId>, Vec<Definition>) {
    let one = |number: u32| {
        let story = StoryId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap());
        let key = SeriesKey { story, source: Source::Slack, metric: Metric::Messages };
        let id = catalogue.intern(&key).unwrap();
        (id, Definition { id, key })
    };
    (0..SERIES).map(one).unzip()
}

fn measure(bencher: Bencher<'_, '_>, feed: Feed) {
    let sequencer = RefCell::new(Fed::new());
    bencher
        .counter(ItemsCount::new(BATCHES * INCREMENTS))
        .with_inputs(|| sequencer.borrow_mut().feed(feed))
        .bench_local_refs(|pending| sequencer.borrow_mut().commit(pending));
}

#[divan::bench(sample_count = 100, sample_size = 1)]
fn known_series(bencher: Bencher<'_, '_>) {
    measure(bencher, Feed::Known);
}

#[divan::bench(sample_count = 100, sample_size = 1)]
fn new_cells(bencher: Bencher<'_, '_>) {
    measure(bencher, Feed::NewCells);
}
