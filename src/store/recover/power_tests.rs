//! What a power cut leaves of a directory that a process wrote to: a start is never refused, and verify finds no damage.

use std::path::Path;

use super::super::reserve::Reserve;
use super::super::verify;
use super::testing::{House, State, messages, repair};
use crate::model::catalogue::CatalogueLimits;
use crate::platform::disk::{Disk, DiskFault, MemoryDisk, Operation};

const HOUR: u32 = 431_000;
const SEEDS: u64 = 100;

fn dir() -> &'static Path {
    Path::new("/data")
}

fn start(disk: &Disk) -> State {
    let recovered = repair(disk, dir()).expect("nothing is damaged");
    State::of(&recovered.catalogue, &recovered.counters)
}

fn verified(disk: &Disk) {
    let report =
        verify::verify(disk, dir(), CatalogueLimits::default(), &mut || {}).expect("it can be verified");
    assert!(report.is_sound(), "{report}");
}

/// Records that begin within sectors, seal marks that cross them, and any of those sectors not written.
#[test]
fn sectors_that_were_not_written_are_a_torn_tail_and_no_damage() {
    for seed in 0..SEEDS {
        let memory = MemoryDisk::new(seed);
        let mut house = House::open(&memory.disk(), dir(), State::default()).expect("it opens");
        for number in 0..seed % 40 {
            house.write(&messages(u8::try_from(number % 4).expect("it is small"), HOUR, 1));
            if number == seed % 23 {
                house.seal();
            }
        }
        drop(house);
        memory.cut_power();
        verified(&memory.disk());
        let first = start(&memory.disk());
        assert_eq!(start(&memory.disk()), first, "a second start finds the same");
    }
}

#[test]
fn manifest_whose_name_was_not_synced_is_made_durable_by_the_next_start() {
    for seed in 0..SEEDS {
        let memory = MemoryDisk::new(seed);
        let dying = memory.disk().failing(|operation, path: &Path| {
            let is_last = operation == Operation::SyncDirectory && path.ends_with("snapshot");
            is_last.then_some(DiskFault::Fail(rustix::io::Errno::IO))
        });
        repair(&dying, dir()).expect_err("the manifest's name is not synced");
        let mut house = House::open(&memory.disk(), dir(), State::default()).expect("it opens");
        house.write(&messages(1, HOUR, 5));
        house.seal();
        let model = house.model;
        memory.cut_power();
        assert_eq!(start(&memory.disk()), model, "seed {seed}");
    }
}

#[test]
fn segments_whose_removal_was_lost_are_no_damage() {
    for seed in 0..SEEDS {
        let memory = MemoryDisk::new(seed);
        let mut house = House::open(&memory.disk(), dir(), State::default()).expect("it opens");
        for _ in 0..3 {
            for _ in 0..3 {
                house.write(&messages(1, HOUR, 1));
                house.seal();
            }
            house.write(&messages(2, HOUR, 1));
            house.snapshot();
        }
        let model = house.model;
        memory.cut_power();
        verified(&memory.disk());
        assert_eq!(start(&memory.disk()), model, "seed {seed}");
    }
}

/// The copy of unsynced records takes the reserve's room, so that a start that fails, or a power cut, leaves what was there.
#[test]
fn start_on_a_full_disk_writes_nothing_over_in_place() {
    let memory = MemoryDisk::new(1);
    let mut house = House::open(&memory.disk(), dir(), State::default()).expect("it opens");
    Reserve::new(&memory.disk(), dir()).keep();
    for number in 0..9 {
        house.write(&messages(number % 4, HOUR, 1));
    }
    let model = house.model;
    memory.kill();
    memory.limit_room(Some(memory.used()));
    let of_segments = memory.disk().failing(|operation, path: &Path| {
        let is_in_place =
            operation == Operation::Write && path.extension().is_some_and(|end| end == "journal");
        is_in_place.then_some(DiskFault::Fail(rustix::io::Errno::IO))
    });
    assert_eq!(start(&of_segments), model);
    memory.cut_power();
    assert_eq!(start(&memory.disk()), model, "the copy is durable");
}
