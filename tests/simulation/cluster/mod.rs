//! Several nodes that share a log, simulated: the real decisions of `src/cluster/`, on a log that loses, repeats and lies, from a
//! seed; every count held against the batches one by one.
//!
//! ```text
//! TALLYD_SIM_ROUNDS=1000000 TALLYD_SIM_SEED=1 cargo test --release --test simulation -- --nocapture cluster::nodes_agree
//! ```
//! runs so many rounds from that seed on all cores; `TALLYD_SIM_ROUND=SEED` runs one alone. `cluster::stores_agree` is the same with the
//! real store behind each node, on a disk that fills up and loses its power.

mod clients;
mod log;
mod node;
mod state;
mod stores;
mod verdict;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::counts::Counts;
use crate::random::Random;
use crate::{from_environment, run_many};
use world::World;

/// Rounds of `cargo test`, and their seed.
const ROUNDS: u64 = 20_000;
const SEED: u64 = 1;

/// Rounds of `cargo test` with real stores.
const STORE_ROUNDS: u64 = 600;

/// What must have happened in so many of them, beside the rest.
const STORES_EXPECTED: &[&str] = &[
    "keys: conflict",
    "keys: repeated",
    "node: seeds",
    "skipped: further copy",
    "skipped: witness",
    "store: full disks",
    "store: kills",
    "store: live checks",
    "store: more is there than was answered",
    "store: out of turn",
    "store: power cuts",
    "store: recorded",
    "store: refused",
    "store: snapshots",
    "store: starts",
    "store: unknown",
];

/// Rounds that once failed, and why.
const FOUND: [(u64, &str); 0] = [];

/// What must have happened in so many rounds; whatever is missing here is not simulated.
const EXPECTED: &[&str] = &[
    "alarms sent",
    "answers: conflict",
    "answers: counted",
    "answers: refused",
    "answers: repeated",
    "answers: unknown",
    "applied",
    "batches",
    "batches sent to two nodes at once",
    "consumer made",
    "consumer: begins too early",
    "consumer: begins too late",
    "consumer: of the old course",
    "consumer: skipped a message",
    "consumer: stalled",
    "damaged on the way",
    "ends: alarm",
    "ends: another log",
    "ends: forked",
    "ends: gap",
    "ends: going on",
    "ends: went back",
    "keys: conflict",
    "keys: repeated",
    "log: ack lost",
    "log: asked a server that is behind",
    "log: clock jumped",
    "log: false ack",
    "log: false duplicate",
    "log: late copy",
    "log: made anew",
    "log: message deleted",
    "log: message lost",
    "log: message of an earlier life",
    "log: not stored, and said so",
    "log: old state",
    "log: purged",
    "log: refused",
    "log: stored",
    "log: stored twice at once",
    "log: stored, and said to be a duplicate",
    "log: stored, and said to be not",
    "log: unseen messages dropped",
    "log: went back",
    "log: went back, and shown as it was",
    "message asked for",
    "messages of several batches",
    "messages sent",
    "node: cut off",
    "node: deaths",
    "node: seeds",
    "node: starts",
    "node: starts as a clone",
    "skipped: early",
    "skipped: further copy",
    "skipped: of another log",
    "skipped: witness",
    "witnesses sent",
];

/// Whether the nodes of a round have real stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stores {
    Plain,
    Real,
}

/// Runs a round; `Err` with what went wrong, and what happened.
fn run(seed: u64, stores: Stores, is_traced: bool) -> Result<Counts, String> {
    let mut world = World::new(seed, stores == Stores::Real, is_traced);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let fault = match outcome {
        Ok(Ok(())) => return Ok(world.counts()),
        Ok(Err(fault)) => fault,
        Err(_) => "a panic, see above".to_owned(),
    };
    Err(format!("{}{fault}", world.trace()))
}

/// Runs a round, and again with a trace where it fails.
fn round(seed: u64, stores: Stores) {
    let Err(fault) = run(seed, stores, false) else { return };
    let again = run(seed, stores, true).err();
    let again = again.unwrap_or_else(|| "nothing went wrong the second time".to_owned());
    panic!("round {seed}: {fault}\n{again}\nTALLYD_SIM_ROUND={seed} runs it alone");
}

/// Runs rounds, as many as the environment says, and looks whether all happened in them that must.
fn rounds(stores: Stores, usual: u64, expected: &[&'static str]) {
    if let Some(seed) = from_environment("TALLYD_SIM_ROUND") {
        round(seed, stores);
        return;
    }
    let count = from_environment("TALLYD_SIM_ROUNDS").unwrap_or(usual);
    let seed = from_environment("TALLYD_SIM_SEED").unwrap_or(SEED);
    eprintln!("TALLYD_SIM_ROUNDS={count} TALLYD_SIM_SEED={seed}");
    let clock = tallyd::platform::clock::Clock::system();
    let (failed, counts) = run_many((count, seed), |seed| run(seed, stores, false).ok());
    let ms = u64::try_from(clock.monotonic().as_millis()).unwrap().max(1);
    if let Some((number, seed)) = failed {
        eprintln!("round {number} of {count} failed: TALLYD_SIM_ROUND={seed}");
        round(seed, stores);
        panic!("round {seed} does not fail again");
    }
    eprintln!("{count} rounds in {}.{} s, {} a second", ms / 1000, ms % 1000 / 100, count * 1000 / ms);
    eprint!("{counts}");
    let missing = counts.missing(expected);
    assert!(count < usual || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn nodes_agree() {
    rounds(Stores::Plain, ROUNDS, EXPECTED);
}

#[test]
fn stores_agree() {
    rounds(Stores::Real, STORE_ROUNDS, STORES_EXPECTED);
}

#[test]
fn found_faults_are_mended() {
    for (seed, what) in FOUND {
        assert!(catch_unwind(|| round(seed, Stores::Plain)).is_ok(), "again: {what}");
    }
}

#[test]
fn round_is_the_same_from_the_same_seed() {
    let mut seeds = Random::new(3);
    for has_stores in [false, false, true, true] {
        let seed = seeds.next();
        let traces = [(); 2].map(|()| {
            let mut world = World::new(seed, has_stores, true);
            world.run().unwrap_or_else(|fault| panic!("{fault}"));
            world.trace()
        });
        assert_eq!(traces[0], traces[1]);
        assert!(!traces[0].is_empty());
    }
}
