//! Disk faults of a round: which operations fail, how, and whether one has; and what other threads do while the store waits
//! for its disk.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;
use tallyd::model::batch::Batch;
use tallyd::model::catalogue::Catalogue;
use tallyd::model::counters::Counters;
use tallyd::platform::disk::{Disk, DiskFault, Operation};

use crate::counts::Counts;
use crate::model::Write;
use crate::random::Random;
use crate::workload;

const ERRORS: [Errno; 4] = [Errno::IO, Errno::NOSPC, Errno::INTR, Errno::ROFS];
const OPERATIONS: [Operation; 8] = [
    Operation::Create,
    Operation::Write,
    Operation::Write,
    Operation::Truncate,
    Operation::Sync,
    Operation::SyncDirectory,
    Operation::Rename,
    Operation::Remove,
];

/// Operations that fail, counted from the moment of the plan.
#[derive(Clone, Copy, Debug)]
struct Spell {
    /// `None`: operations of any kind.
    only: Option<Operation>,
    /// As many go well before the first that fails.
    after: u64,
    /// As many fail.
    count: u64,
    errno: Errno,
}

#[derive(Debug)]
struct State {
    random: Random,
    spell: Option<Spell>,
    hits: u64,
    /// Where a parser interns while the store writes or syncs.
    parser: Option<(Arc<Catalogue>, Arc<Counters>)>,
    parsed: Vec<(Write, Batch)>,
    counts: Counts,
}

/// The plan of faults of one disk. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Faults(Arc<Mutex<State>>);

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            spell: None,
            hits: 0,
            parser: None,
            parsed: Vec::new(),
            counts: Counts::default(),
        })))
    }

    /// The disk, failing as planned.
    pub(crate) fn on(&self, disk: Disk) -> Disk {
        let faults = self.clone();
        disk.failing(move |operation, _: &Path| {
            let mut state = faults.state();
            state.parse(operation);
            state.meet(operation)
        })
    }

    /// From here on a parser goes on beside the store; `None`: there is none any more.
    pub(crate) fn parse_beside(&self, known: Option<(Arc<Catalogue>, Arc<Counters>)>) {
        self.state().parser = known;
    }

    /// The batches that the parser made meanwhile.
    pub(crate) fn parsed(&self) -> Vec<(Write, Batch)> {
        std::mem::take(&mut self.state().parsed)
    }

    /// How often which operation failed, and how.
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// Plans faults from here on, by chance.
    pub(crate) fn plan(&self) -> String {
        let mut state = self.state();
        let random = &mut state.random;
        let spell = Spell {
            only: if random.one_in(3) { None } else { Some(random.pick(&OPERATIONS)) },
            after: random.below(12),
            count: if random.one_in(3) { 1 + random.below(40) } else { 1 + random.below(2) },
            errno: random.pick(&ERRORS),
        };
        state.spell = Some(spell);
        format!("{spell:?}")
    }

    /// From here on nothing fails.
    pub(crate) fn end(&self) {
        self.state().spell = None;
    }

    /// Operations that have failed so far.
    pub(crate) fn hits(&self) -> u64 {
        self.state().hits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn parse(&mut self, operation: Operation) {
        let Some((catalogue, counters)) = &self.parser else { return };
        if matches!(operation, Operation::Write | Operation::Sync) && self.random.one_in(8) {
            let made = workload::parse((catalogue, counters), &mut self.random, &mut self.counts);
            self.counts.note("batches made while another was written");
            self.parsed.push(made);
        }
    }

    fn meet(&mut self, operation: Operation) -> Option<DiskFault> {
        let spell = self.spell.as_mut()?;
        if spell.only.is_some_and(|only| only != operation) {
            return None;
        }
        if spell.after > 0 {
            spell.after -= 1;
            return None;
        }
        let errno = spell.errno;
        spell.count -= 1;
        if spell.count == 0 {
            self.spell = None;
        }
        self.hits += 1;
        self.counts.note(match errno {
            Errno::INTR => "failed with EINTR",
            Errno::NOSPC => "failed with ENOSPC",
            Errno::ROFS => "failed with EROFS",
            _ => "failed with EIO",
        });
        let bytes = match self.random.below(3) {
            0 => 0,
            // Some of a record, or the first of several records and some of the next.
            1 => self.random.index(80),
            _ => self.random.index(600),
        };
        self.counts.note(match operation {
            Operation::Create => "failed: create",
            Operation::Write if bytes > 0 => "failed: write after some bytes",
            Operation::Write => "failed: write",
            Operation::Truncate => "failed: truncate",
            Operation::Sync => "failed: sync",
            Operation::SyncDirectory => "failed: sync of a directory",
            Operation::Rename => "failed: rename",
            Operation::Remove => "failed: remove",
            _ => "failed: another operation",
        });
        Some(if bytes > 0 { DiskFault::Short { bytes, errno } } else { DiskFault::Fail(errno) })
    }
}
