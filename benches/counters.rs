//! What an increment, a read and a load cost, and what memory a cell and a series take.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_for_each,
    reason = "a benchmark may stop and tell"
)]

#[path = "support/random.rs"]
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tallyd::model::batch::{Definition, Increment, SeriesId};
use tallyd::model::calendar::{Hour, HourRange};
use tallyd::model::catalogue::{Catalogue, CatalogueLimits, total_series};
use tallyd::model::cells::{Cell, Month, by_month, encode_frame};
use tallyd::model::counters::{Counters, Writer};
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

use random::Random;

fn main() {
    // Not where the benches are only checked to run.
    if std::env::args().any(|argument| argument == "--bench") {
        print_memory();
    }
    divan::main();
}

/// 2019-01-01.
const START: u32 = 429_528;
const SERIES: u32 = 80_000;
/// Increments of one call: what some reads of sockets give together.
const BATCH: usize = 4_096;
const FIVE_YEARS: u32 = 43_800;

/// A number below `end`, more often a small one, much as stories are.
fn skewed_below(random: &mut Random, end: u32) -> u32 {
    let (a, b) = (u64::from(random.below_u32(end)), u64::from(random.below_u32(end)));
    u32::try_from(a * b / u64::from(end)).unwrap()
}

fn object(number: u32) -> ObjectId {
    ObjectId::parse(format!("{number:024x}").as_bytes()).unwrap()
}

/// Per story: 7 sources, of which each has 3 counters and 20 nodes; a third of the increments feed no total.
fn key(number: u32) -> SeriesKey {
    let (story, rest) = (number / 161, number % 161);
    let metric = match rest / 7 {
        0 => Metric::Conversations,
        1 => Metric::PaidConversations,
        2 => Metric::Messages,
        node => Metric::Interaction(Node::Interaction(InteractionId(object(node)))),
    };
    let source = *Source::ALL.get(usize::try_from(rest % 7).unwrap()).unwrap();
    SeriesKey { story: StoryId(object(story)), source, metric }
}

/// Counters with many series. Two thirds of them feed totals, as two thirds of events do.
fn many() -> (Arc<Counters>, Writer) {
    let (counters, mut writer) = Counters::new();
    for number in 0..SERIES {
        let mut key = key(number);
        if number % 3 > 0 {
            key.metric = Metric::Messages;
        }
        writer.define(SeriesId::new(24 + number), &key);
    }
    (counters, writer)
}

fn batches(hour: impl Fn(&mut Random) -> u32) -> Vec<Vec<Increment>> {
    let mut random = Random::new(1);
    let mut batch = || {
        let increment = |_| Increment {
            series: SeriesId::new(24 + skewed_below(&mut random, SERIES)),
            hour: Hour::new(START + hour(&mut random)),
            count: 1,
        };
        (0..BATCH).map(increment).collect()
    };
    (0..64).map(|_| batch()).collect()
}

fn add(bencher: Bencher<'_, '_>, batches: &[Vec<Increment>]) {
    let (_, mut writer) = many();
    batches.iter().for_each(|batch| {
        writer.add(batch);
    });
    let mut next = batches.iter().cycle();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        writer.add(next.next().unwrap());
    });
}

#[divan::bench]
fn add_live(bencher: Bencher<'_, '_>) {
    add(bencher, &batches(|_| 2_160));
}

#[divan::bench]
fn add_one_in_ten_late(bencher: Bencher<'_, '_>) {
    add(bencher, &batches(|random| if random.below_u32(10) == 0 { random.below_u32(2_160) } else { 2_160 }));
}

/// The same while a report of the totals is asked for without a pause.
#[divan::bench]
fn add_one_in_ten_late_beside_a_reader(bencher: Bencher<'_, '_>) {
    let batches = batches(|random| if random.below_u32(10) == 0 { random.below_u32(2_160) } else { 2_160 });
    let (counters, mut writer) = many();
    batches.iter().for_each(|batch| {
        writer.add(batch);
    });
    let mut next = batches.iter().cycle();
    let total = total_series(Metric::Messages, None).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                black_box(visit_all(&counters, total));
            }
        });
        bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
            writer.add(next.next().unwrap());
        });
        stop.store(true, Ordering::Relaxed);
    });
}

#[divan::bench]
fn add_late(bencher: Bencher<'_, '_>) {
    add(bencher, &batches(|random| random.below_u32(2_160)));
}

/// Every increment is of a new hour of its series: cells are made, and packed at times.
#[divan::bench]
fn add_new_hours(bencher: Bencher<'_, '_>) {
    let (_, mut writer) = many();
    let mut hour = START;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let (round, step) = (hour / 16, hour % 16);
        hour += 1;
        let series = (0..u32::try_from(BATCH).unwrap()).map(|n| SeriesId::new(24 + step * 4_096 + n));
        let batch: Vec<Increment> =
            series.map(|series| Increment { series, hour: Hour::new(START + round), count: 1 }).collect();
        writer.add(&batch);
    });
}

fn busy(hours: u32, settle: bool) -> (Arc<Counters>, Writer) {
    let (counters, mut writer) = Counters::new();
    writer.define(SeriesId::new(24), &key(0));
    let cells: Vec<Cell> =
        (0..hours).map(|n| Cell { hour: Hour::new(START + n), count: n * 7_919 % 200 + 1 }).collect();
    if settle {
        for (_, of_month) in by_month(&cells) {
            let mut frame = Vec::new();
            encode_frame(of_month, &mut frame);
            writer.load(SeriesId::new(24), &frame).unwrap();
        }
    } else {
        for cell in cells {
            writer.add(&[Increment { series: SeriesId::new(24), hour: cell.hour, count: cell.count }]);
        }
    }
    (counters, writer)
}

fn visit_all(counters: &Counters, series: SeriesId) -> u64 {
    let mut sum = 0;
    counters.visit(series, HourRange::ALL, &mut |cells| {
        sum += cells.iter().map(|cell| u64::from(cell.count)).sum::<u64>();
    });
    sum
}

#[divan::bench]
fn visit_packed_five_years(bencher: Bencher<'_, '_>) {
    let (counters, _writer) = busy(FIVE_YEARS, true);
    let counter = ItemsCount::new(FIVE_YEARS);
    bencher.counter(counter).bench_local(|| visit_all(&counters, black_box(SeriesId::new(24))));
}

#[divan::bench]
fn visit_total(bencher: Bencher<'_, '_>) {
    let (counters, _writer) = busy(7_000, false);
    let total = total_series(Metric::Conversations, None).unwrap();
    let range = HourRange { start: Hour::MIN, end: Hour::new(START + 7_000) };
    bencher.counter(ItemsCount::new(7_000_u32)).bench_local(|| {
        let mut sum = 0;
        counters.total(black_box(total)).unwrap().visit(range, &mut |_, counts| sum += counts.sum());
        sum
    });
}

#[divan::bench]
fn sum_packed_five_years(bencher: Bencher<'_, '_>) {
    let (counters, _writer) = busy(FIVE_YEARS, true);
    let counter = ItemsCount::new(FIVE_YEARS);
    bencher.counter(counter).bench_local(|| counters.sum(black_box(SeriesId::new(24)), HourRange::ALL));
}

/// The last 30 days of five years: what it costs to get past the rest.
#[divan::bench]
fn visit_last_month_of_five_years(bencher: Bencher<'_, '_>) {
    let (counters, _writer) = busy(FIVE_YEARS, true);
    let end = Hour::new(START + FIVE_YEARS);
    let range = HourRange { start: Hour::new(START + FIVE_YEARS - 720), end };
    bencher.counter(ItemsCount::new(720_u32)).bench_local(|| {
        let mut sum = 0;
        counters.visit(black_box(SeriesId::new(24)), range, &mut |cells| {
            sum += cells.iter().map(|cell| u64::from(cell.count)).sum::<u64>();
        });
        sum
    });
}

/// Frames of a year, month by month over all series, `of_month` cells in each.
#[divan::bench(args = [4, 60, 700], sample_count = 5, sample_size = 1)]
fn load(bencher: Bencher<'_, '_>, of_month: u32) {
    const MONTHS: u32 = 12;
    let series = 1_000_000 / of_month / MONTHS;
    let mut random = Random::new(2);
    let mut frames = Vec::new();
    for month in 0..MONTHS {
        let start = START + month * 744;
        for series in 0..series {
            let mut cells: Vec<Cell> = (0..of_month)
                .map(|n| Cell {
                    hour: Hour::new(start + n * 744 / of_month),
                    count: random.below_u32(200) + 1,
                })
                .collect();
            cells.retain(|cell| Month::containing(cell.hour).range().start.get() <= start + 23);
            for (_, of_month) in by_month(&cells) {
                let mut frame = Vec::new();
                encode_frame(of_month, &mut frame);
                frames.push((SeriesId::new(24 + series), frame, of_month.len()));
            }
        }
    }
    let cells: usize = frames.iter().map(|(.., cells)| cells).sum();
    bencher
        .counter(ItemsCount::new(cells))
        .with_inputs(|| {
            let (_, mut writer) = Counters::new();
            // Every seventh key of a story feeds totals; here they all do.
            for number in 0..series {
                let key = SeriesKey { metric: Metric::Messages, ..key(number) };
                writer.define(SeriesId::new(24 + number), &key);
            }
            writer
        })
        .bench_local_values(|mut writer| {
            for (series, frame, _) in &frames {
                writer.load(*series, frame).unwrap();
            }
            writer
        });
}

/// Five years of as many stories, an event in each hour of each.
const STORIES: u32 = 1_000;

fn five_years_of_stories() -> Writer {
    let (_, mut writer) = Counters::new();
    let cells: Vec<Cell> =
        (0..FIVE_YEARS).map(|n| Cell { hour: Hour::new(START + n), count: n * 7_919 % 200 + 1 }).collect();
    let mut frames = Vec::new();
    for (_, of_month) in by_month(&cells) {
        let mut frame = Vec::new();
        encode_frame(of_month, &mut frame);
        frames.push(frame);
    }
    for number in 0..STORIES {
        let story = StoryId(object(number));
        writer.define(
            SeriesId::new(24 + number),
            &SeriesKey { story, source: Source::App, metric: Metric::Messages },
        );
        frames.iter().for_each(|frame| writer.load(SeriesId::new(24 + number), frame).unwrap());
    }
    writer
}

/// Four of them are dropped: the moment itself, for which batches wait.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn drop_four_of_five_years(bencher: Bencher<'_, '_>) {
    let month = Month::containing(Hour::new(START + FIVE_YEARS * 4 / 5));
    bencher.with_inputs(five_years_of_stories).bench_local_values(|mut writer| {
        writer.drop_before(month);
        writer
    });
}

/// The memory of what was dropped, series by series; the store does some at a time.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn give_back_four_of_five_years(bencher: Bencher<'_, '_>) {
    let month = Month::containing(Hour::new(START + FIVE_YEARS * 4 / 5));
    let dropped = || {
        let mut writer = five_years_of_stories();
        writer.drop_before(month);
        writer
    };
    bencher.counter(ItemsCount::new(STORIES)).with_inputs(dropped).bench_local_values(|mut writer| {
        (0..STORIES).for_each(|number| writer.give_back_dropped(SeriesId::new(24 + number)));
        writer
    });
}

/// A day of each of those stories, which is little to read: what a report pays for asking where it starts to be kept, beside it.
#[divan::bench]
fn visit_a_day_of_each_story(bencher: Bencher<'_, '_>) {
    let writer = five_years_of_stories();
    let counters = writer.counters();
    let end = Hour::new(START + FIVE_YEARS);
    let range = HourRange { start: Hour::new(START + FIVE_YEARS - 24), end };
    bencher.counter(ItemsCount::new(STORIES)).bench_local(|| {
        let mut sum = 0;
        for number in 0..STORIES {
            counters.visit(black_box(SeriesId::new(24 + number)), range, &mut |cells| {
                sum += cells.iter().map(|cell| u64::from(cell.count)).sum::<u64>();
            });
        }
        sum
    });
}

#[divan::bench]
fn intern_known(bencher: Bencher<'_, '_>) {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let mut random = Random::new(3);
    let keys: Vec<SeriesKey> = (0..BATCH).map(|_| key(random.below_u32(SERIES))).collect();
    for number in 0..SERIES {
        catalogue.intern(&key(number)).unwrap();
    }
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for key in &keys {
            black_box(catalogue.intern(key).unwrap());
        }
    });
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn print_memory() {
    let per = |what: &str, bytes: u64, number: u64| {
        let tenths = bytes * 10 / number;
        println!("{what}: {}.{} bytes each of {number}", tenths / 10, tenths % 10);
    };
    let before = resident_bytes();
    let catalogue = Catalogue::new(CatalogueLimits::default());
    for number in 0..1_000_000 {
        let key = key(number);
        let id = catalogue.intern(&key).unwrap();
        catalogue.mark_durable(&Definition { id, key });
    }
    per("catalogue, series confirmed", resident_bytes() - before, 1_000_000);

    let mut random = Random::new(4);
    let mut kept = Vec::new();
    for (hours, every) in [(8_760_u32, 7_u32), (8_760, 1), (1_000, 1), (4, 1)] {
        let before = resident_bytes();
        let (counters, mut writer) = Counters::new();
        let series = 8_000_000 / (hours / every).max(1);
        (0..series).for_each(|series| writer.define(SeriesId::new(24 + series), &key(series)));
        let mut cells = 0;
        for hour in 0..hours {
            let of_hour = (0..series).filter(|_| random.below_u32(every) == 0).map(|series| Increment {
                series: SeriesId::new(24 + series),
                hour: Hour::new(START + hour),
                count: 1 + series % 150,
            });
            let batch: Vec<Increment> = of_hour.collect();
            writer.add(&batch);
            cells += u64::try_from(batch.len()).unwrap();
        }
        let what = format!("counters, {hours} hours, one in {every} has a cell: accounted");
        per(&what, counters.stats().bytes, cells);
        per("    resident", resident_bytes().saturating_sub(before), cells);
        kept.push(counters);
    }
}
