//! Disk faults of a round: which operations fail, how, and whether one has.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;
use tallyd::platform::disk::{Disk, DiskFault, Operation};

use crate::random::Random;

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
}

/// The plan of faults of one disk. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Faults(Arc<Mutex<State>>);

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { random: Random::new(seed), spell: None, hits: 0 })))
    }

    /// The disk, failing as planned.
    pub(crate) fn on(&self, disk: Disk) -> Disk {
        let faults = self.clone();
        disk.failing(move |operation, _: &Path| faults.state().meet(operation))
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
        Some(match self.random.below(3) {
            0 => DiskFault::Fail(errno),
            // Some of a record, or the first of several records and some of the next.
            1 => DiskFault::Short { bytes: self.random.index(80), errno },
            _ => DiskFault::Short { bytes: self.random.index(600), errno },
        })
    }
}
