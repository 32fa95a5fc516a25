//! How often each thing happened in the rounds, so that a reader sees what they were about.

use std::collections::BTreeMap;
use std::fmt;

/// What must have happened in a few thousand rounds; whatever is missing here is not simulated.
pub(crate) const EXPECTED: [&str; 70] = [
    // What is written.
    "batches",
    "batches acknowledged",
    "batches made while another was written",
    "batches of more than one sector",
    "batches refused",
    "batches refused for an evicted story",
    "batches refused since their hours were dropped",
    "batches unknown: late",
    "batches unknown: poisoned",
    "batches without an outcome",
    "barriers",
    "deletions",
    "undos",
    "months dropped",
    "names given",
    "batches with a key",
    "keys: new",
    "keys: counted before",
    "keys: counted before, with bad lines",
    "keys: used for another batch",
    "keys: outcome unknown",
    "events refused at a bound",
    "events refused since their hours were dropped",
    // Lives.
    "closes",
    "closes that failed",
    "deaths within an operation",
    "kills",
    "power cuts",
    "starts",
    "starts refused for a fault of the disk",
    "starts that ended with the power or the process",
    "torn tails cut",
    // Snapshots and reading.
    "snapshots",
    "snapshots that failed",
    "exports",
    "verifications",
    "live checks",
    "copies",
    "copies that could not be read",
    "copies that ended in the middle",
    "copies that stayed as they were",
    "copies in place of an older one",
    "copies with a journal",
    // Damage at rest.
    "bits inverted",
    "bits inverted: start refused, file and offset named",
    "bits inverted: start counts right",
    // Faults by plan.
    "failed with EINTR",
    "failed with EIO",
    "failed with ENOSPC",
    "failed with EROFS",
    "failed: create",
    "failed: remove",
    "failed: rename",
    "failed: sync",
    "failed: sync of a directory",
    "failed: truncate",
    "failed: write",
    "failed: write after some bytes",
    "full disks",
    // Of the disk's own accord.
    "content kept",
    "content lost",
    "content torn at a byte",
    "content of mixed sectors",
    "truncation undone",
    "creation lost",
    "removal lost",
    "rename lost",
    "name kept",
    "EINTR",
    "short count",
];

/// Things by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn note(&mut self, what: &'static str) {
        self.note_many(what, 1);
    }

    pub(crate) fn note_many(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.note_many(what, *times);
        }
    }

    /// What ought to have happened and did not.
    pub(crate) fn missing(&self, expected: &[&'static str]) -> Vec<&'static str> {
        expected.iter().copied().filter(|what| !self.0.contains_key(what)).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, times)| writeln!(f, "{times:12} {what}"))
    }
}
