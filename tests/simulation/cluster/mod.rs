//! Several nodes that share a log, simulated: the real decisions of `src/cluster/`, on a log that loses, repeats and lies, from a
//! seed; every count held against the batches one by one.
//!
//! ```text
//! TALLYD_SIM_ROUNDS=1000000 TALLYD_SIM_SEED=1 cargo test --release --test simulation -- --nocapture cluster::nodes_agree
//! ```
//! runs so many rounds from that seed on all cores; `TALLYD_SIM_ROUND=SEED` runs one alone.

mod clients;
mod log;
mod node;
mod state;
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

/// Runs a round; `Err` with what went wrong, and what happened.
fn run(seed: u64, is_traced: bool) -> Result<Counts, String> {
    let mut world = World::new(seed, is_traced);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let fault = match outcome {
        Ok(Ok(())) => return Ok(world.counts()),
        Ok(Err(fault)) => fault,
        Err(_) => "a panic, see above".to_owned(),
    };
    Err(format!("{}{fault}", world.trace()))
}

/// Runs a round, and again with a trace where it fails.
fn round(seed: u64) {
    let Err(fault) = run(seed, false) else { return };
    let again = run(seed, true).err().unwrap_or_else(|| "nothing went wrong the second time".to_owned());
    panic!("round {seed}: {fault}\n{again}\nTALLYD_SIM_ROUND={seed} runs it alone");
}

#[test]
fn nodes_agree() {
    if let Some(seed) = from_environment("TALLYD_SIM_ROUND") {
        round(seed);
        return;
    }
    let count = from_environment("TALLYD_SIM_ROUNDS").unwrap_or(ROUNDS);
    let seed = from_environment("TALLYD_SIM_SEED").unwrap_or(SEED);
    eprintln!("TALLYD_SIM_ROUNDS={count} TALLYD_SIM_SEED={seed}");
    let clock = tallyd::platform::clock::Clock::system();
    let (failed, counts) = run_many((count, seed), |seed| run(seed, false).ok());
    let ms = u64::try_from(clock.monotonic().as_millis()).unwrap().max(1);
    if let Some((number, seed)) = failed {
        eprintln!("round {number} of {count} failed: TALLYD_SIM_ROUND={seed}");
        round(seed);
        panic!("round {seed} does not fail again");
    }
    eprintln!("{count} rounds in {}.{} s, {} a second", ms / 1000, ms % 1000 / 100, count * 1000 / ms);
    eprint!("{counts}");
    let missing = counts.missing(EXPECTED);
    assert!(count < ROUNDS || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn found_faults_are_mended() {
    for (seed, what) in FOUND {
        assert!(catch_unwind(|| round(seed)).is_ok(), "again: {what}");
    }
}

#[test]
fn round_is_the_same_from_the_same_seed() {
    let mut seeds = Random::new(3);
    for _ in 0..4 {
        let seed = seeds.next();
        let traces = [(); 2].map(|()| {
            let mut world = World::new(seed, true);
            world.run().unwrap_or_else(|fault| panic!("{fault}"));
            world.trace()
        });
        assert_eq!(traces[0], traces[1]);
        assert!(!traces[0].is_empty());
    }
}
