//! The store, simulated: its real code, stepped, on disks in memory that crash and fail as Linux may, from a seed;
//! every count held against a plain model.
//!
//! ```text
//! TALLYD_SIM_ROUNDS=1000000 TALLYD_SIM_SEED=1 cargo test --release --test simulation -- --nocapture rounds
//! ```
//! runs so many rounds from that seed on all cores, and prints rounds per second and how often each thing happened in them.
//! Of the rounds that fail the first prints its own seed and what happened in it; `TALLYD_SIM_ROUND=SEED` runs it alone.
//! `tests/simulation/breakages.sh` shows that it can fail. `cluster/` simulates several nodes and the log that they share, in
//! the same way: its rounds are `cluster::nodes_agree`.
#![expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail by panic, and prints its seed"
)]

mod cluster;
mod copies;
mod counts;
mod faults;
mod inspection;
mod keys;
mod model;
mod node;
mod random;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use counts::Counts;
use random::Random;
use world::World;

/// Rounds of `cargo test`, and their seed.
const ROUNDS: u64 = 3_000;
const SEED: u64 = 1;

/// Rounds that once failed, and why. A seed stands for another round once the workload changes, so each fault has a test
/// of its own, too, in `src/store/recover/power_tests.rs` or beside the code that was mended.
const FOUND: [(u64, &str); 16] = [
    (15_897_925_802_583_272_582, "a start after a failed sync believed the page cache"),
    (8_918_304_299_997_121_426, "a refused batch came back: its undoing was not synced"),
    (
        16_490_264_502_457_544_819,
        "a seal mark that crossed a sector and was written in part refused the start",
    ),
    (1_398_114_882_862_688_953, "a hole that began within a sector refused the start"),
    (11_877_382_311_623_396_833, "a start relied on a manifest whose name was not durable"),
    (12_297_473_015_843_030_252, "verify reported a gap among segments that nothing needs"),
    (17_130_845_986_160_858_921, "a parent directory that two refused starts made was never durable"),
    (16_553_844_963_790_290_576, "a start cut a damaged record that the snapshot had, then lacked it"),
    (
        17_169_398_424_326_936_320,
        "a write was undone, the sync of that failed, and it came back to refuse the start",
    ),
    (
        5_897_904_395_890_798_592,
        "a start put a story into the totals that was deleted, evicted and deleted again",
    ),
    (
        222_002_427_754_960_968,
        "a start wrote over unsynced records in place, could not sync them, and the power cut left a part",
    ),
    (
        17_780_534_972_219_500_928,
        "a start on a full disk wrote over unsynced records in place, though it had its reserve, and the power cut left a part",
    ),
    (15_228_651_383_756_428_813, "verify found damage behind the end of a segment that nothing needs"),
    (
        17_575_417_609_082_374_187,
        "a start asked for the header of a segment that nothing needs; verify did not",
    ),
    (
        7_590_761_046_794_105_770,
        "a start went on though the name of the copied records was not durable, as the disk was full",
    ),
    (
        10_504_737_105_245_621_660,
        "a copy that was asked for and left lying told of a missing file, not of its time",
    ),
];

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Runs a round; `Err` with what went wrong.
fn run(seed: u64, nodes: u64, is_traced: bool) -> Result<World, (World, String)> {
    let mut world = World::new(seed, nodes, is_traced);
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(Ok(())) => Ok(world),
        Ok(Err(fault)) => Err((world, fault)),
        Err(_) => Err((world, "a panic, see above".to_owned())),
    }
}

/// Runs a round, and again with a trace where it fails.
fn round(seed: u64, nodes: u64) {
    let Err((_, fault)) = run(seed, nodes, false) else { return };
    let again = match run(seed, nodes, true) {
        Ok(_) => "nothing went wrong the second time".to_owned(),
        Err((world, again)) => {
            let traces = world.nodes().iter().map(|node| format!("--- a node\n{}", node.trace()));
            format!("{}{again}", traces.collect::<String>())
        }
    };
    panic!("round {seed}: {fault}\n{again}\nTALLYD_SIM_ROUND={seed} runs it alone");
}

#[test]
fn rounds() {
    if let Some(seed) = from_environment("TALLYD_SIM_ROUND") {
        round(seed, 1);
        return;
    }
    let count = from_environment("TALLYD_SIM_ROUNDS").unwrap_or(ROUNDS);
    let seed = from_environment("TALLYD_SIM_SEED").unwrap_or(SEED);
    eprintln!("TALLYD_SIM_ROUNDS={count} TALLYD_SIM_SEED={seed}");
    let clock = tallyd::platform::clock::Clock::system();
    let (failed, counts) =
        run_many((count, seed), |seed| run(seed, 1, false).ok().map(|world| world.counts()));
    let ms = u64::try_from(clock.monotonic().as_millis()).unwrap().max(1);
    if let Some((number, seed)) = failed {
        eprintln!("round {number} of {count} failed: TALLYD_SIM_ROUND={seed}");
        round(seed, 1);
        panic!("round {seed} does not fail again");
    }
    eprintln!("{count} rounds in {}.{} s, {} a second", ms / 1000, ms % 1000 / 100, count * 1000 / ms);
    eprint!("{counts}");
    let missing = counts.missing(&counts::EXPECTED);
    assert!(count < ROUNDS || missing.is_empty(), "never happened: {missing:?}");
}

/// Runs rounds on all cores until one fails; the first that does, by number and seed, and what happened in the others.
/// `run` gives what happened in a round, and nothing where it fails.
fn run_many(
    (count, seed): (u64, u64),
    run: impl Fn(u64) -> Option<Counts> + Sync,
) -> (Option<(u64, u64)>, Counts) {
    let handed_out = Mutex::new((0, Random::new(seed)));
    let outcome = Mutex::new((None, Counts::default()));
    let next = || {
        let mut handed_out = handed_out.lock().unwrap();
        let is_last = handed_out.0 == count || outcome.lock().unwrap().0.is_some();
        handed_out.0 += u64::from(!is_last);
        (!is_last).then(|| (handed_out.0, handed_out.1.next()))
    };
    let work = || {
        while let Some((number, seed)) = next() {
            let ran = run(seed);
            let mut outcome = outcome.lock().unwrap();
            match ran {
                Some(counts) => outcome.1.add(&counts),
                // Every round of a lower number was handed out before, and is run to its end.
                None => {
                    outcome.0 = Some(outcome.0.map_or((number, seed), |first| (number, seed).min(first)));
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    outcome.into_inner().unwrap()
}

#[test]
fn found_faults_are_mended() {
    for (seed, what) in FOUND {
        assert!(catch_unwind(|| round(seed, 1)).is_ok(), "again: {what}");
    }
}

#[test]
fn two_nodes_live_in_one_run() {
    let mut seeds = Random::new(2);
    for _ in 0..10 {
        round(seeds.next(), 2);
    }
}

#[test]
fn round_is_the_same_from_the_same_seed() {
    let mut seeds = Random::new(3);
    for _ in 0..4 {
        let seed = seeds.next();
        let [one, two] = [(); 2].map(|()| run(seed, 2, true).unwrap_or_else(|(_, fault)| panic!("{fault}")));
        for (a, b) in one.nodes().iter().zip(two.nodes()) {
            assert_eq!(a.trace(), b.trace());
            assert_eq!(a.disk().files(), b.disk().files());
        }
    }
}
