//! The keys of batches that were taken, so that a batch that is sent again is not counted again: which batches are
//! under way, and how those that counted were answered. The time comes with each call.
//!
//! A batch is claimed before it is parsed, so that of two that come at once one waits for the other. The claim travels with
//! the batch to the sequencer, which notes the key when the batch is counted. A claim that ends otherwise sets the key free.
//!
//! INVARIANT: a key is noted if and only if its batch is in the counters.
//! INVARIANT: of each rule the newest [`KEYS_MAX`] keys are remembered, as long as the rule says, and no others.

mod ring;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::position::{Sequence, StoreId};
use crate::cluster::position::LogId;
use crate::limits::{KEYS_KEPT, KEYS_MAX, RETRY_WINDOW};
use crate::model::batch::{BatchIdentity, BatchKey, KeyId, KeyRule, KeyedAnswer};
use ring::{BadLines, Ring};

/// How many keys are remembered, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyLimits {
    /// Keys of each rule.
    pub keys: usize,
    /// How long a batch without a key is recognised; zero switches that off.
    pub retry_window: Duration,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self { keys: KEYS_MAX, retry_window: RETRY_WINDOW }
    }
}

/// Figures about keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeyFigures {
    /// Keys that are remembered, by [`KeyRule::index`].
    pub held: [u64; 2],
    /// Keys that gave their place to a newer one before their time was up.
    pub displaced: [u64; 2],
}

/// The keys of one data directory.
#[derive(Debug)]
pub(crate) struct KeyTable {
    state: Mutex<State>,
    seed: AtomicU64,
    retry_window: Duration,
}

#[derive(Debug)]
struct State {
    rings: [Ring; 2],
    /// Batches that are under way, and a sender where somebody waits: who does sees it dropped.
    under_way: HashMap<(KeyRule, KeyId), Option<watch::Sender<()>>, foldhash::fast::RandomState>,
    /// Batches of which it is not known whether a restart will count them. The store is poisoned where there is one.
    unknown: HashSet<(KeyRule, KeyId)>,
    bad_lines: BadLines,
}

/// What is known of a batch.
#[derive(Debug)]
pub(super) enum LookUp {
    /// Nothing: the caller has it now.
    New(Claim),
    /// It was counted, by the record of that number.
    Counted(KeyedAnswer, Sequence),
    /// A batch of another content was counted under its key.
    Conflict,
    /// It is under way: look again when the sender is gone.
    UnderWay(watch::Receiver<()>),
    /// A restart may find it counted.
    Unknown,
}

/// What is noted under the key of a batch.
#[derive(Debug)]
pub(super) enum Noted {
    /// It was counted, by the record of that number.
    Counted(KeyedAnswer, Sequence),
    /// A batch of another content was counted.
    Conflict,
}

/// The right to count a batch. Dropped, it sets the key free, unless a panic of the sequencer drops it.
#[derive(Debug)]
pub struct Claim {
    table: Arc<KeyTable>,
    identity: BatchIdentity,
    /// The sequencer has the batch, or will.
    is_handed_over: bool,
}

impl KeyTable {
    pub(super) fn new(limits: KeyLimits, store_id: StoreId) -> Self {
        let kept = |rule| match rule {
            KeyRule::Key => KEYS_KEPT,
            KeyRule::Window => limits.retry_window,
        };
        let rings = KeyRule::ALL.map(|rule| Ring::new(limits.keys, kept(rule)));
        let state = State {
            rings,
            under_way: HashMap::default(),
            unknown: HashSet::new(),
            bad_lines: BadLines::default(),
        };
        let seed = AtomicU64::new(store_id.get());
        Self { state: Mutex::new(state), seed, retry_window: limits.retry_window }
    }

    /// From now on the keys are those of a log that several daemons share: their hashes begin with its id, and how long they are
    /// remembered does not depend on this daemon's options. What was noted before is not found any more.
    pub(super) fn follow(&self, log: LogId) {
        self.seed.store(log.get(), Ordering::Release);
        self.state().ring(KeyRule::Window).keep(RETRY_WINDOW);
    }

    /// A number of the data directory, or of the log that it follows, which stays the same.
    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Ordering::Acquire)
    }

    /// How long a batch without a key is recognised.
    pub(super) fn retry_window(&self) -> Duration {
        self.retry_window
    }

    /// Looks a batch up, and claims it where it is new. `now` is in seconds since the epoch.
    pub(super) fn look_up(self: &Arc<Self>, identity: BatchIdentity, now: u32) -> LookUp {
        let BatchIdentity { rule, id, .. } = identity;
        let mut state = self.state();
        match state.noted(identity, now) {
            Some(Noted::Counted(answer, sequence)) => return LookUp::Counted(answer, sequence),
            Some(Noted::Conflict) => return LookUp::Conflict,
            None => {}
        }
        if state.unknown.contains(&(rule, id)) {
            return LookUp::Unknown;
        }
        if let Some(waited_for) = state.under_way.get_mut(&(rule, id)) {
            return LookUp::UnderWay(waited_for.get_or_insert_default().subscribe());
        }
        state.under_way.insert((rule, id), None);
        LookUp::New(Claim { table: Arc::clone(self), identity, is_handed_over: false })
    }

    /// What is noted of a batch.
    pub(super) fn noted(&self, identity: BatchIdentity, now: u32) -> Option<Noted> {
        self.state().noted(identity, now)
    }

    /// Notes the key of a batch that is counted.
    pub(super) fn note(&self, key: &BatchKey, sequence: Sequence) {
        self.state().note(key, sequence);
    }

    pub(super) fn figures(&self) -> KeyFigures {
        let state = self.state();
        let of = |figure: fn(&Ring) -> u64| [figure(&state.rings[0]), figure(&state.rings[1])];
        KeyFigures { held: of(Ring::held), displaced: of(Ring::displaced) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No call leaves the state half changed, whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ring(&mut self, rule: KeyRule) -> &mut Ring {
        let [key, window] = &mut self.rings;
        match rule {
            KeyRule::Key => key,
            KeyRule::Window => window,
        }
    }

    fn noted(&mut self, BatchIdentity { rule, id, content }: BatchIdentity, now: u32) -> Option<Noted> {
        let entry = self.ring(rule).find(id, now)?;
        if entry.content != content {
            return Some(Noted::Conflict);
        }
        let (accepted, rejected, sequence) = (entry.accepted, entry.rejected, entry.sequence);
        let bad_lines = if rejected == 0 { Box::default() } else { self.bad_lines.get(rule, id) };
        Some(Noted::Counted(KeyedAnswer { accepted, rejected, bad_lines }, sequence))
    }

    fn note(&mut self, key: &BatchKey, sequence: Sequence) {
        let BatchIdentity { rule, id, .. } = key.identity;
        self.ring(rule).push(key, sequence);
        if !key.answer.bad_lines.is_empty() {
            self.bad_lines.insert((rule, id), &key.answer);
        }
    }

    fn lose(&mut self, BatchIdentity { rule, id, .. }: BatchIdentity) {
        self.unknown.insert((rule, id));
    }
}

impl Claim {
    /// What was claimed.
    pub fn identity(&self) -> BatchIdentity {
        self.identity
    }

    /// The batch is the sequencer's from now on.
    pub(super) fn hand_over(mut self) -> Self {
        self.is_handed_over = true;
        self
    }

    /// The batch is counted, by the record of that number.
    pub(super) fn note(self, key: &BatchKey, sequence: Sequence) {
        self.table.note(key, sequence);
    }

    /// The batch may be found counted after a restart.
    pub(super) fn lose(self) {
        self.table.state().lose(self.identity);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.table.state();
        // Its record may have been written.
        if self.is_handed_over && thread::panicking() {
            state.lose(self.identity);
        }
        state.under_way.remove(&(self.identity.rule, self.identity.id));
    }
}
