//! The counters against an obvious model: whatever is added, loaded or cleared, in whatever order, every read
//! gives the model's numbers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_for_each,
    reason = "test code: it may stop"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;
use tallyd::limits::{HOURS_MAX, TOTALS};
use tallyd::model::batch::{Increment, SeriesId};
use tallyd::model::calendar::{Hour, HourRange};
use tallyd::model::catalogue::total_series;
use tallyd::model::cells::{Cell, FrameError, Month, by_month, encode_frame};
use tallyd::model::counters::{CheckedFrames, Counters, Writer};
use tallyd::model::event::{Metric, Node, ObjectId, SeriesKey, Source, StoryId};

const METRICS: [Metric; 4] =
    [Metric::Conversations, Metric::PaidConversations, Metric::Messages, Metric::Interaction(Node::Welcome)];
const SERIES: usize = 8;
/// 2019-01-01.
const START: u32 = 429_528;
/// The first hour that no event can have: 2149-06-07T00:00Z.
const FAR: u32 = 1_572_864;

fn key(index: usize) -> SeriesKey {
    let story = StoryId(ObjectId::parse(b"5b07ffafc2376e30306d9b16").unwrap());
    SeriesKey { story, source: Source::ALL[index / 4 * 3], metric: METRICS[index % 4] }
}

fn id(index: usize) -> SeriesId {
    SeriesId::new(24 + 3 * u32::try_from(index).unwrap())
}

fn increment(series: usize, hour: u32, count: u32) -> Increment {
    Increment { series: id(series), hour: Hour::new(hour), count }
}

fn defined() -> (std::sync::Arc<Counters>, Writer) {
    let (counters, mut writer) = Counters::new();
    (0..SERIES).for_each(|index| writer.define(id(index), &key(index)));
    (counters, writer)
}

/// What the counters must say, series by series, the totals among them.
#[derive(Default)]
struct Model(BTreeMap<u32, BTreeMap<u32, u64>>);

impl Model {
    fn fed_by(index: usize) -> impl Iterator<Item = u32> {
        let key = key(index);
        let totals = [total_series(key.metric, Some(key.source)), total_series(key.metric, None)];
        totals.into_iter().flatten().map(SeriesId::get).chain([id(index).get()])
    }

    fn add(&mut self, index: usize, hour: u32, count: u64) {
        if count > 0 {
            Self::fed_by(index)
                .for_each(|id| *self.0.entry(id).or_default().entry(hour).or_default() += count);
        }
    }

    fn erase(&mut self, index: usize, range: HourRange) {
        for (hour, count) in self.0.get(&id(index).get()).cloned().unwrap_or_default() {
            for fed in Self::fed_by(index).filter(|_| range.contains(Hour::new(hour))) {
                let cells = self.0.get_mut(&fed).unwrap();
                *cells.get_mut(&hour).unwrap() -= count;
                cells.retain(|_, count| *count > 0);
            }
        }
    }

    /// How many cells there are, those of the totals among them.
    fn cells(&self, counters: &Counters) -> u64 {
        let mut cells = 0;
        for index in 0..SERIES {
            counters.visit(id(index), HourRange::ALL, &mut |slice| cells += slice.len());
        }
        let of_totals = self.0.iter().filter(|(series, _)| **series < 24).map(|(_, hours)| hours.len());
        u64::try_from(cells + of_totals.sum::<usize>()).unwrap()
    }

    fn check(&self, counters: &Counters, range: HourRange) {
        let nothing = BTreeMap::new();
        for series in (0..24).chain((0..SERIES).map(|index| id(index).get())) {
            let cells = self.0.get(&series).unwrap_or(&nothing);
            let of_range: BTreeMap<u32, u64> = cells
                .iter()
                .filter(|(hour, _)| range.contains(Hour::new(**hour)))
                .map(|(h, c)| (*h, *c))
                .collect();
            let mut seen: BTreeMap<u32, u64> = BTreeMap::new();
            counters.visit(SeriesId::new(series), range, &mut |slice| {
                assert!(!slice.is_empty() && slice.is_sorted_by_key(|cell| cell.hour));
                for cell in slice {
                    *seen.entry(cell.hour.get()).or_default() += u64::from(cell.count);
                }
            });
            assert_eq!(seen, of_range, "series {series} in {range:?}");
            check_dense(counters, SeriesId::new(series), range, &of_range);
            if series >= 24 {
                let mut held = 0;
                counters.visit(SeriesId::new(series), HourRange::ALL, &mut |slice| held += slice.len());
                let counted = counters.cells_within(SeriesId::new(series), HourRange::ALL);
                let held = u64::try_from(held).unwrap();
                // Those of dropped hours may take memory yet.
                let is_exact = counters.dropped_before().is_none();
                assert!(counted == held || !is_exact && counted > held, "cells of series {series}");
            }
            let some = cells.keys().step_by(cells.len() / 50 + 1);
            let around = some.flat_map(|hour| [hour - 1, *hour, hour + 1]);
            for hour in around.chain([0, range.start.get(), u32::MAX - 1]).map(Hour::new) {
                let expected = cells.contains_key(&hour.get());
                assert_eq!(counters.has_cell(SeriesId::new(series), hour), expected, "{series} {hour:?}");
            }
            assert_eq!(counters.sum(SeriesId::new(series), range), of_range.values().sum::<u64>());
            let span = cells.keys().next().zip(cells.keys().last());
            let span = span.map(|(first, last)| (Hour::new(*first), Hour::new(*last)));
            assert_eq!(counters.span(SeriesId::new(series)), span);
        }
        assert_eq!(counters.stats().undefined, 0);
    }
}

/// A total is also read as counts of consecutive hours.
fn check_dense(counters: &Counters, series: SeriesId, range: HourRange, of_range: &BTreeMap<u32, u64>) {
    let mut seen: BTreeMap<u32, u64> = BTreeMap::new();
    let mut sum = 0;
    assert_eq!(FAR, HOURS_MAX);
    assert_eq!(counters.total(series).is_some(), series.index() < TOTALS);
    if let Some(total) = counters.total(series) {
        total.visit(range, &mut |first, counts| {
            sum += counts.sum();
            let hours = (first.get()..).zip(counts.iter());
            assert!(seen.keys().all(|hour| *hour < first.get()), "hours ascend");
            seen.extend(hours.filter(|(_, count)| *count > 0));
        });
        assert_eq!(&seen, of_range);
        assert_eq!(sum, of_range.values().sum::<u64>());
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// (series, hours after the start, count)
    Add(Vec<(usize, u32, u32)>),
    Load(usize, u32, Vec<(u32, u32)>),
    Clear(usize),
    /// (series, hours after the start, how many)
    Erase(usize, u32, u32),
    /// (months after 2019-01, whether the memory is given back)
    Drop(u32, bool),
    /// One series, hour by hour from there.
    Run(usize, u32, u32),
    Check(u32, u32),
}

fn hours() -> impl Strategy<Value = u32> {
    // Mostly the present, now and then late, seldom long ago.
    let far = FAR - START;
    prop_oneof![12 => 9_000..9_003_u32, 6 => 7_000..9_000_u32, 2 => 0..20_000_u32, 1 => far - 5..far]
}

fn counts() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 8 => 1..300_u32, 1 => (u32::MAX - 400)..=u32::MAX]
}

fn steps() -> impl Strategy<Value = Step> {
    let frame = prop::collection::vec((0..650_u32, counts()), 1..80);
    prop_oneof![
        8 => prop::collection::vec((0..SERIES, hours(), counts()), 0..200).prop_map(Step::Add),
        3 => (0..SERIES, 0..24_u32, frame).prop_map(|(series, month, cells)| Step::Load(series, month, cells)),
        1 => (0..SERIES).prop_map(Step::Clear),
        3 => (0..SERIES, hours(), prop_oneof![1..3_u32, 1..900_u32, 1..30_000_u32])
            .prop_map(|(series, from, length)| Step::Erase(series, from, length)),
        2 => (0..SERIES, hours(), 1..900_u32).prop_map(|(series, from, n)| Step::Run(series, from.min(FAR - START - n), n)),
        1 => (0..14_u32, any::<bool>()).prop_map(|(month, is_swept)| Step::Drop(month, is_swept)),
        2 => (hours(), 0..5_000_u32).prop_map(|(from, length)| Step::Check(from, length)),
    ]
}

fn drop_before(
    (counters, writer, model): (&Counters, &mut Writer, &mut Model),
    (month, first_kept): (Month, u32),
    is_swept: bool,
) {
    writer.drop_before(month);
    let gone = HourRange { start: Hour::MIN, end: Hour::new(first_kept) };
    (0..SERIES).for_each(|index| model.erase(index, gone));
    assert_eq!(counters.dropped_before(), Some(Hour::new(first_kept)));
    model.check(counters, HourRange::ALL);
    if is_swept {
        (0..SERIES).for_each(|index| writer.give_back_dropped(id(index)));
        assert_eq!(counters.stats().cells, model.cells(counters), "cells that are kept");
    }
}

fn run(steps: &[Step]) {
    let (counters, mut writer) = defined();
    let mut model = Model::default();
    let mut first_kept = 0;
    for step in steps {
        match step {
            Step::Drop(month, is_swept) => {
                let month = Month::new(588 + month);
                first_kept = first_kept.max(month.range().start.get());
                drop_before((&counters, &mut writer, &mut model), (month, first_kept), *is_swept);
            }
            Step::Add(of) => {
                let of = of.iter().copied();
                let of: Vec<_> = of.filter(|(_, hour, _)| START + hour >= first_kept).collect();
                let batch: Vec<Increment> =
                    of.iter().map(|&(s, hour, n)| increment(s, START + hour, n)).collect();
                writer.add(&batch);
                of.iter().for_each(|&(s, hour, n)| model.add(s, START + hour, u64::from(n)));
            }
            Step::Load(series, month, of) => {
                let start = Month::new(588 + month).range().start.get();
                let kept = of.iter().filter(|(hour, _)| start + hour >= first_kept);
                let mut cells: Vec<Cell> =
                    kept.map(|&(hour, count)| Cell { hour: Hour::new(start + hour), count }).collect();
                cells.sort_unstable_by_key(|cell| cell.hour);
                if cells.is_empty() {
                    continue;
                }
                let mut frame = Vec::new();
                encode_frame(&cells, &mut frame);
                assert_eq!(writer.load(id(*series), &frame), Ok(()));
                cells.iter().for_each(|cell| model.add(*series, cell.hour.get(), u64::from(cell.count)));
                frame.push(0);
                assert_eq!(writer.load(id(*series), &frame), Err(FrameError::TrailingBytes));
            }
            Step::Clear(series) => {
                writer.clear(id(*series));
                model.erase(*series, HourRange::ALL);
            }
            Step::Erase(series, from, length) => {
                let start = START + from;
                let range = HourRange { start: Hour::new(start), end: Hour::new(start + length) };
                writer.erase(id(*series), range);
                model.erase(*series, range);
                model.check(&counters, HourRange::ALL);
            }
            Step::Run(series, from, length) => {
                let hours = first_kept.max(START + from)..START + from + length;
                let batch: Vec<Increment> =
                    hours.clone().map(|hour| increment(*series, hour, hour % 9)).collect();
                batch.chunks(50).for_each(|part| {
                    writer.add(part);
                });
                hours.for_each(|hour| model.add(*series, hour, u64::from(hour % 9)));
            }
            Step::Check(from, length) => {
                let start = START + from;
                let range = HourRange { start: Hour::new(start), end: Hour::new(start + length) };
                model.check(&counters, range);
            }
        }
    }
    model.check(&counters, HourRange::ALL);
    (0..SERIES).for_each(|index| writer.clear(id(index)));
    Model::default().check(&counters, HourRange::ALL);
    assert_eq!(counters.stats().cells, 0, "every cell that came has gone");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn counters_equal_the_model_after_any_steps(steps in prop::collection::vec(steps(), 1..40)) {
        run(&steps);
    }
}

#[test]
fn counts_past_32_bits_add_up_in_the_present_hour_and_in_a_late_one() {
    let (counters, mut writer) = defined();
    let mut model = Model::default();
    for round in 0..50 {
        for (hour, count) in [(START + 900, u32::MAX - round), (START + 5, u32::MAX), (START + 5, 3 + round)]
        {
            writer.add(&[increment(0, hour, count)]);
            model.add(0, hour, u64::from(count));
        }
    }
    model.check(&counters, HourRange::ALL);
    assert!(counters.stats().cells < 3 * 220, "cells are filled up before there is another");
}

#[test]
fn define_is_idempotent_and_leaves_the_reserved_ids_alone() {
    let (counters, mut writer) = defined();
    assert_eq!(counters.stats().series, 24 + 8);
    writer.define(id(0), &key(0));
    writer.define(SeriesId::new(0), &key(3));
    assert_eq!(counters.stats().series, 24 + 8);
    assert_eq!(counters.sum(SeriesId::new(4_000_000), HourRange::ALL), 0);
    assert_eq!(counters.span(SeriesId::new(4_000_000)), None);
}

#[test]
fn memory_stays_small_for_few_cells_and_for_many() {
    let (counters, mut writer) = defined();
    let fixed = counters.stats().bytes;
    writer.add(&[0, 1, 2, 3].map(|hour| increment(3, START + hour, 9)));
    assert!(counters.stats().bytes - fixed <= 32, "four cells: {}", counters.stats().bytes - fixed);
    for hour in 0..5_000 {
        writer.add(&[increment(7, START + hour * 3, hour % 200)]);
    }
    let stats = counters.stats();
    let bytes_per_cell = (stats.bytes - fixed) * 10 / stats.cells;
    assert!(bytes_per_cell <= 35, "{bytes_per_cell} tenths of a byte per cell");
}

/// One thread writes, two read: a sum never goes down, never exceeds what was begun, never misses what was done.
#[test]
fn readers_beside_the_writer_see_every_count_once() {
    const ROUNDS: u32 = 3_000;
    let (counters, mut writer) = defined();
    let (begun, done, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let total = total_series(Metric::Conversations, None).unwrap();
    std::thread::scope(|scope| {
        for series in [id(0), total] {
            let (counters, begun, done, stop) = (&counters, &begun, &done, &stop);
            scope.spawn(move || {
                let mut last = 0;
                while !stop.load(Ordering::Acquire) {
                    let known = done.load(Ordering::Acquire);
                    let mut visited = 0;
                    counters.visit(series, HourRange::ALL, &mut |cells| {
                        visited += cells.iter().map(|cell| u64::from(cell.count)).sum::<u64>();
                    });
                    let sum = counters.sum(series, HourRange::ALL);
                    let most = begun.load(Ordering::Acquire);
                    assert!(
                        known <= visited && visited <= sum && sum <= most,
                        "{known} {visited} {sum} {most}"
                    );
                    assert!(last <= visited);
                    last = sum;
                }
            });
        }
        for round in 0..ROUNDS {
            // The present hour moves on; late hours jump about, so that everything is reorganised all the time.
            let late = START + round.wrapping_mul(2_654_435_761) % 4_000;
            let batch = [(START + 4_000 + round / 4, 3), (late, 2), (late + 1, 1)];
            begun.fetch_add(6, Ordering::AcqRel);
            writer.add(&batch.map(|(hour, count)| increment(0, hour, count)));
            done.fetch_add(6, Ordering::AcqRel);
        }
        stop.store(true, Ordering::Release);
    });
    assert_eq!(counters.sum(id(0), HourRange::ALL), u64::from(ROUNDS) * 6);
    assert_eq!(counters.sum(total, HourRange::ALL), u64::from(ROUNDS) * 6);
}

/// A series with one cell is read without a lock: none is missed while it gets its second one.
#[test]
fn a_reader_beside_the_writer_sees_the_first_cell_of_a_series_that_gets_another() {
    const MANY: usize = 60_000;
    let (counters, mut writer) = defined();
    let (at, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    (0..MANY).for_each(|index| writer.define(id(index), &key(3)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                let series = usize::try_from(at.load(Ordering::Acquire)).unwrap();
                let sum = counters.sum(id(series), HourRange::ALL);
                let mut visited = 0;
                counters.visit(id(series), HourRange::ALL, &mut |cells| {
                    visited += cells.iter().map(|cell| u64::from(cell.count)).sum::<u64>();
                });
                assert!([0, 7, 8].contains(&sum) && [0, 7, 8].contains(&visited), "{sum}, then {visited}");
                assert!(sum <= visited);
            }
        });
        for series in 0..MANY {
            at.store(u64::try_from(series).unwrap(), Ordering::Release);
            writer.add(&[increment(series, START, 7)]);
            writer.add(&[increment(series, START + 1, 1)]);
        }
        stop.store(true, Ordering::Release);
    });
}

#[test]
fn frames_of_many_months_load_in_any_order() {
    for order in [vec![0, 1, 2, 3], vec![3, 2, 1, 0], vec![2, 0, 3, 1, 2]] {
        let (counters, mut writer) = defined();
        let mut model = Model::default();
        for part in order {
            let cells: Vec<Cell> = (0..900)
                .map(|n| Cell { hour: Hour::new(START + part * 1_000 + n), count: n % 5 + 1 })
                .collect();
            for (_, of_month) in by_month(&cells) {
                let mut frame = Vec::new();
                encode_frame(of_month, &mut frame);
                writer.load(id(1), &frame).unwrap();
            }
            cells.iter().for_each(|cell| model.add(1, cell.hour.get(), u64::from(cell.count)));
        }
        model.check(&counters, HourRange::ALL);
    }
}

#[test]
fn frames_of_many_series_and_months_load_together() {
    let (counters, mut writer) = defined();
    let mut model = Model::default();
    let mut frames = CheckedFrames::default();
    for round in 0..2 {
        for (month, index) in (588..591).flat_map(|month| (0..SERIES).map(move |index| (month, index))) {
            let hours = Month::new(month).range();
            let step = index + round + 1;
            // Large ones that add up past 32 bits, and every now and then a 0.
            let count = |hour: u32| if hour.is_multiple_of(11) { 0 } else { u32::MAX - hour % 3 };
            let of_month = (hours.start.get()..hours.end.get()).step_by(step);
            let cells: Vec<Cell> =
                of_month.map(|hour| Cell { hour: Hour::new(hour), count: count(hour) }).collect();
            let mut frame = Vec::new();
            encode_frame(&cells, &mut frame);
            counters.check(id(index), &frame, &mut frames).unwrap();
            frame.pop();
            assert_eq!(counters.check(id(index), &frame, &mut frames), Err(FrameError::Truncated));
            cells.iter().for_each(|cell| model.add(index, cell.hour.get(), u64::from(cell.count)));
        }
        writer.load_checked(&mut frames);
        model.check(&counters, HourRange::ALL);
    }
    writer.load_checked(&mut frames);
    model.check(&counters, HourRange::ALL);
}
