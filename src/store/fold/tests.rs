//! Folds that are interrupted, that merge, and that must take several turns.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::recover::testing::{House, State, Write, copy, delete, drop_before, erase, key, messages};
use super::super::verify;
use super::gather::Gather;
use crate::limits::wide;
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::catalogue::CatalogueLimits;
use crate::model::cells::Month;
use crate::model::event::Metric;
use crate::platform::disk::{Disk, DiskFault, Operation};

const HOUR: u32 = 431_000;
const MONTH_HOURS: u32 = 744;

fn open(dir: &Path, model: &State) -> House {
    House::open(&Disk::new(), dir, model.clone()).expect("it opens")
}

/// A disk that, once armed, lets so many changes through and then none, as if the daemon had died there.
fn dying_disk(left: &Arc<AtomicI64>, short_bytes: usize) -> Disk {
    let left = Arc::clone(left);
    Disk::with_faults(move |operation, _| {
        if matches!(operation, Operation::Read | Operation::Open | Operation::List) {
            return None;
        }
        let before = left.fetch_sub(1, Ordering::Relaxed);
        match before {
            1.. => None,
            0 => Some(DiskFault::Short { bytes: short_bytes, errno: rustix::io::Errno::IO }),
            _ => Some(DiskFault::Fail(rustix::io::Errno::IO)),
        }
    })
}

/// Stops a fold after each of its operations in turn, and cuts the write at hand short in several places.
#[test]
fn fold_interrupted_anywhere_costs_nothing() {
    let base = tempfile::tempdir().expect("there is room");
    let mut house = open(base.path(), &State::default());
    house.write(&messages(1, HOUR, 1));
    house.write(&messages(2, HOUR - 3 * MONTH_HOURS, 20));
    house.snapshot();
    house.write(&messages(1, HOUR, 300));
    house.write(&messages(3, HOUR - 3 * MONTH_HOURS, 9));
    house.snapshot();
    house.write(&delete(2));
    house.write(&erase(1, HOUR..HOUR + 1));
    house.write(&messages(1, HOUR, 6));
    house.write(&messages(2, HOUR, 4_000));
    house.write(&drop_before(HOUR - 2 * MONTH_HOURS));
    house.write(&messages(3, HOUR - MONTH_HOURS, 50_000));
    let model = house.model;
    let mut stops = 0;
    for short_bytes in [0, 7, 60] {
        for let_through in 0.. {
            stops += 1;
            if fold_stopped_after(base.path(), &model, let_through, short_bytes) {
                break;
            }
        }
    }
    assert!(stops > 40, "{stops} stops");
}

/// Whether the fold came to its end.
fn fold_stopped_after(base: &Path, model: &State, let_through: i64, short_bytes: usize) -> bool {
    let scratch = tempfile::tempdir().expect("there is room");
    copy(base, scratch.path());
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let disk = dying_disk(&left, short_bytes);
    let mut house = House::open(&disk, scratch.path(), model.clone()).expect("it opens");
    house.write(&messages(4, HOUR, 7));
    let through = house.seal();
    left.store(let_through, Ordering::Relaxed);
    let outcome = house.recovered.folder.fold(through);
    let is_complete = matches!(&outcome, Ok(done) if done.leftovers.is_none());
    left.store(i64::MAX, Ordering::Relaxed);
    let model = house.model.clone();
    // Without a restart the next fold goes through.
    if let_through % 3 == 0 {
        house.write(&messages(5, HOUR, 9));
        house.snapshot();
        drop(open(scratch.path(), &house.model));
        return is_complete;
    }
    drop(house);
    let report = verify::verify(&Disk::new(), scratch.path(), CatalogueLimits::default(), &mut || {})
        .expect("it can be verified");
    assert!(report.is_sound(), "stopped after {let_through}, {short_bytes}: {report}");
    let mut again = open(scratch.path(), &model);
    assert_eq!(again.recovered.report.warnings, Vec::<String>::new(), "stopped after {let_through}");
    again.write(&messages(5, HOUR, 9));
    again.snapshot();
    let report = verify::verify(&Disk::new(), scratch.path(), CatalogueLimits::default(), &mut || {})
        .expect("it can be verified");
    assert!(report.is_sound() && report.unlisted_files == 0, "stopped after {let_through}: {report}");
    drop(open(scratch.path(), &again.model));
    is_complete
}

/// A start on a copy, without some of its files, finds the same.
fn check_copy(dir: &Path, house: &House, removed: &[&str]) {
    let scratch = tempfile::tempdir().expect("there is room");
    copy(dir, scratch.path());
    for file in removed {
        std::fs::remove_file(scratch.path().join(file)).expect("it is there");
    }
    drop(open(scratch.path(), &house.model));
}

/// From the middle of a month to the middle of the second after it: of the month between everything goes.
#[test]
fn undo_takes_counts_out_of_parts_and_nothing_brings_them_back() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    for number in 1..3 {
        for hour in (HOUR - 3 * MONTH_HOURS..HOUR).step_by(100) {
            house.write(&messages(number, hour, hour));
        }
        house.snapshot();
    }
    for month in 0..3 {
        house.write(&messages(1, HOUR - month * MONTH_HOURS, 3));
    }
    let range = HOUR - 2 * MONTH_HOURS - 300..HOUR - 300;
    house.write(&erase(1, range.clone()));
    // Counted behind it.
    house.write(&messages(1, range.start, 5));
    house.check();
    let of_story = |house: &House| {
        let cells = house.model.cells.iter().filter(|((of, _), _)| *of == key(1, Metric::Messages));
        cells.map(|((_, hour), count)| (hour.get(), *count)).collect::<Vec<_>>()
    };
    assert!(of_story(&house).contains(&(range.start, 5)) && of_story(&house).len() > 5);
    check_copy(scratch.path(), &house, &[]);
    let before = house.recovered.folder.generation();
    house.snapshot();
    check_copy(scratch.path(), &house, &[]);
    // The one before, and the journal after it.
    let newest = house.recovered.folder.generation();
    assert_eq!(newest, before.next());
    check_copy(scratch.path(), &house, &[&format!("snapshot/manifest.{:010}", newest.get())]);
    let report = verify::verify(&Disk::new(), scratch.path(), CatalogueLimits::default(), &mut || {})
        .expect("it can be verified");
    assert!(report.is_sound(), "{report}");

    // All of it, and nothing else is written anew.
    house.write(&erase(1, 0..2 * HOUR));
    house.snapshot();
    assert_eq!(of_story(&house), []);
    check_copy(scratch.path(), &house, &[]);
    house.write(&erase(2, HOUR..HOUR + 1));
    assert_eq!(house.snapshot().files_written, 1);
    check_copy(scratch.path(), &house, &[]);
}

#[test]
fn folds_of_a_month_are_merged_into_few_parts() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    for round in 0..40 {
        house.write(&messages(1, HOUR + round, 1));
        house.snapshot();
    }
    house.check();
    let recovered = open(scratch.path(), &house.model);
    assert!(recovered.recovered.report.parts <= 3, "{} parts", recovered.recovered.report.parts);
    let files = std::fs::read_dir(scratch.path().join("snapshot")).expect("it is there").count();
    assert!(files <= 10, "{files} files");
    let segments = std::fs::read_dir(scratch.path().join("journal")).expect("it is there").count();
    assert!(segments <= 4, "{segments} segments");
}

#[test]
fn fold_that_does_not_fit_in_memory_takes_several_turns() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    house.recovered.folder.cells_max = 10;
    for round in 0..30_u32 {
        let counts = (0..3).map(|hour| (key(1, Metric::Messages), Hour::new(HOUR + hour * 31 + round), 1));
        house.write(&Write::Add(counts.collect()));
    }
    let before = house.recovered.folder.generation();
    house.snapshot();
    assert!(house.recovered.folder.generation().get() > before.get() + 3);
    drop(open(scratch.path(), &house.model));
}

#[test]
fn fold_of_nothing_new_writes_nothing() {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut house = open(scratch.path(), &State::default());
    house.write(&messages(1, HOUR, 1));
    house.snapshot();
    let generation = house.recovered.folder.generation();
    assert_eq!(house.snapshot().files_written, 0);
    assert_eq!(house.recovered.folder.generation(), generation);
}

/// Counts of 3,000 series, 20,000 in all: in the order of their hours or in none, in one month or several, in a log that is
/// settled often or not before the end, with a series forgotten now and then.
#[test]
fn gather_sums_up_what_a_plain_map_sums_up() {
    for (hours, is_in_order) in
        [(1, true), (400, true), (400, false), (5 * MONTH_HOURS, true), (5 * MONTH_HOURS, false)]
    {
        for cells_max in [700, 15_000, 1_000_000] {
            check_gather(hours, is_in_order, cells_max);
        }
    }
}

fn check_gather(hours: u32, is_in_order: bool, cells_max: usize) {
    let mut gather = Gather::new(cells_max);
    let mut model: BTreeMap<(SeriesId, Hour), u64> = BTreeMap::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..20_000_u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = u32::try_from(random >> 40).expect("24 bits") % 3_000;
        // Few of the series have numbers of more than 16 bits.
        let series = SeriesId::new(if number % 97 == 0 { number << 12 } else { number });
        let past = if is_in_order {
            round * hours / 20_000
        } else {
            u32::try_from((random >> 20) & 0xFFFF).expect("16 bits") % hours
        };
        let hour = Hour::new(HOUR + past);
        let count = if round % 97 == 0 { u32::MAX } else { round % 5 };
        gather.add(&[Increment { series, hour, count }]);
        if count > 0 {
            *model.entry((series, hour)).or_default() += u64::from(count);
        }
        if round % 1_000 == 999 {
            gather.forget(series);
            model.retain(|(of, _), _| *of != series);
        }
        if round % 700 == 699 {
            let distinct = model.len();
            assert!(!gather.is_full() || distinct > cells_max / 3, "full with {distinct} of {cells_max}");
        }
    }
    let gathered = gather.finish();
    let order = |one: &Increment| (Month::containing(one.hour), one.series, one.hour);
    assert!(gathered.is_sorted_by_key(order), "{hours}, {is_in_order}, {cells_max}");
    let cells = gathered.chunk_by(|a, b| (a.series, a.hour) == (b.series, b.hour));
    let found = cells.map(|of_cell| {
        let sum = of_cell.iter().map(|one| u64::from(one.count)).sum::<u64>();
        assert!(
            wide(of_cell.len()) <= sum / (u64::from(u32::MAX) / 2) + 1,
            "{} for a sum of {sum}",
            of_cell.len()
        );
        ((of_cell[0].series, of_cell[0].hour), sum)
    });
    assert_eq!(found.collect::<BTreeMap<_, _>>(), model, "{hours}, {is_in_order}, {cells_max}");
}

/// Bytes of parts by month, of the snapshots that there are.
fn bytes_by_month(dir: &Path) -> BTreeMap<String, u64> {
    let mut bytes = BTreeMap::new();
    for entry in std::fs::read_dir(dir.join("snapshot")).expect("it is there") {
        let entry = entry.expect("it is there");
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((month, _)) = name.split_once('.').filter(|(month, _)| month.contains('-')) {
            *bytes.entry(month.to_owned()).or_default() += entry.metadata().expect("it has some").len();
        }
    }
    bytes
}

#[test]
fn dropped_months_leave_the_disk_with_the_second_snapshot_after_and_others_stay() {
    let scratch = tempfile::tempdir().expect("there is room");
    // The 23rd, so that 31 days before are of the month before.
    let present = HOUR + 480;
    let mut house = open(scratch.path(), &State::default());
    for months in 0..6 {
        house.write(&messages(1, present - months * MONTH_HOURS, 100 + months));
        house.snapshot();
    }
    assert_eq!(bytes_by_month(scratch.path()).len(), 6);
    // What the records before the drop have is dropped, too, and what is in a part of a month that stays is not written anew.
    house.write(&messages(2, present - 5 * MONTH_HOURS, 7));
    house.write(&drop_before(present - 2 * MONTH_HOURS));
    assert_eq!(house.snapshot().files_written, 1, "the definition alone");
    assert_eq!(house.recovered.folder.current().parts.len(), 3);
    assert_eq!(bytes_by_month(scratch.path()).len(), 6, "the snapshot before needs them");
    house.write(&messages(1, present, 1));
    house.snapshot();
    let months = bytes_by_month(scratch.path());
    assert_eq!(months.keys().map(String::as_str).collect::<Vec<_>>(), ["2019-01", "2019-02", "2019-03"]);
    // It never moves back.
    house.write(&drop_before(present - 5 * MONTH_HOURS));
    house.snapshot();
    let reopened = open(scratch.path(), &house.model);
    let first = Month::containing(Hour::new(present - 2 * MONTH_HOURS)).range().start;
    assert_eq!(reopened.recovered.counters.dropped_before(), Some(first));
}
