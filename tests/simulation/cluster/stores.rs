//! The real store behind a node, stepped, on a disk in memory that loses power: what was read is recorded in it, folded and
//! recovered, and held against the plain state at each place of the log.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use tallyd::cluster::follow::Replica;
use tallyd::cluster::publish::{PartOutcome, Ticket};
use tallyd::model::catalogue::CatalogueLimits;
use tallyd::platform::clock::Clock;
use tallyd::platform::disk::MemoryDisk;
use tallyd::store::journal::StoreId;
use tallyd::store::{
    Fsync, KeyLimits, LogHandle, LogRead, Part, PendingRead, RecordError, Refusal, Stepped, StoreOptions,
};

use super::node::Kept;
use super::state::State;
use crate::counts::Counts;
use crate::model::{Contents, Fault};
use crate::random::Random;

/// A moment long before all that the log says, in nanoseconds since the epoch: a node's clock must not matter.
const CLOCK_NANOS: i64 = 1_000_000_000_000_000_000;
/// Messages that are recorded at the same time, at most.
const UNDER_WAY_MAX: usize = 4;
/// Operations of the disk in a life that ends with the power, at most.
const OPERATIONS_MAX: u64 = 120;

/// What a node must have at a place of the log.
#[derive(Clone)]
pub(crate) struct Place {
    replica: Replica,
    state: State,
}

/// A node's disk, and what must be on it.
#[derive(Clone)]
pub(crate) struct Backing {
    memory: MemoryDisk,
    store_id: StoreId,
    /// By place of the log, as far as anybody of this node has read.
    places: Vec<Place>,
    /// What the last process had read.
    read: Kept,
}

/// The store of one life.
pub(crate) struct Running {
    memory: MemoryDisk,
    store: Stepped,
    handle: LogHandle,
    places: Vec<Place>,
    /// What is to be recorded, in order, and the outcomes that the state gave.
    waiting: VecDeque<(LogRead, Vec<PartOutcome>)>,
    under_way: VecDeque<(PendingRead, Vec<PartOutcome>)>,
    is_room_limited: bool,
    /// The disk was full in this life; what is kept aside may be gone until there is a snapshot.
    was_full: bool,
    /// Something came back: nothing is handed over before all that is under way has.
    is_failing: bool,
}

impl Backing {
    pub(crate) fn new(random: &mut Random) -> Self {
        let read = Kept::new();
        let places = vec![Place { replica: read.replica.clone(), state: read.state.clone() }];
        let (memory, store_id) = (MemoryDisk::new(random.next()), StoreId::new(random.next()));
        Self { memory, store_id, places, read }
    }

    /// A disk that holds what another node's disk does, as it is found after a power cut.
    pub(crate) fn seeded(of: &Self, running: Option<(&Running, &Kept)>) -> Self {
        let (places, read) = match running {
            Some((running, live)) => (&running.places, live),
            None => (&of.places, &of.read),
        };
        let memory = of.memory.fork();
        memory.turn_on();
        memory.cut_power();
        Self { memory, store_id: of.store_id, places: places.clone(), read: read.clone() }
    }

    /// The process is gone; the disk is as the next one finds it.
    pub(crate) fn end(
        &mut self,
        running: Running,
        live: &Kept,
        (random, counts): (&mut Random, &mut Counts),
    ) {
        let Running { mut store, places, .. } = running;
        // It may have gone some steps further than anybody saw.
        while random.one_in(2) && store.step(random.pick(&Part::ALL)) {}
        drop(store);
        (self.places, self.read) = (places, live.clone());
        let was_off = self.memory.is_off();
        self.memory.turn_on();
        self.memory.limit_room(None);
        if was_off || random.one_in(2) {
            self.memory.cut_power();
            counts.note("store: power cuts");
        } else {
            self.memory.kill();
            counts.note("store: kills");
        }
    }

    /// Opens the store; what it has, which is not less than `kept` and nothing that was not read.
    pub(crate) fn start(
        &mut self,
        kept: &Kept,
        is_healthy: bool,
        (random, counts): (&mut Random, &mut Counts),
    ) -> Result<(Running, Kept), Fault> {
        let options = StoreOptions {
            limits: CatalogueLimits::default(),
            keys: KeyLimits { retry_window: Duration::ZERO, ..KeyLimits::default() },
            data_dir: PathBuf::from("/var/tallyd"),
            fsync: Fsync::Always,
            fsync_interval: Duration::from_secs(1),
            snapshot_interval: Duration::from_hours(1),
            clock: Clock::manual(CLOCK_NANOS),
        };
        let (store, _) = Stepped::open(&self.memory.disk(), &options, self.store_id, &mut || ())
            .map_err(|error| format!("a start is refused: {error}"))?;
        let replica = store.log_view().replica();
        let at = usize::try_from(replica.position().sequence.get()).unwrap();
        if replica.position().sequence.get() < kept.sequence() {
            return Err(format!("a start finds message {at}, {} was recorded", kept.sequence()));
        }
        if replica.position().sequence.get() > kept.sequence() {
            counts.note("store: more is there than was answered");
        }
        let Some(place) = self.places.get(at) else {
            return Err(format!("a start finds message {at}, which nobody has read"));
        };
        if let Some(fault) = place_differs(&store, place) {
            return Err(format!("a start at {at}: {fault}"));
        }
        self.places.truncate(at + 1);
        let Kept { truth, entries, .. } = &self.read;
        let kept = Kept {
            replica,
            state: self.places[at].state.clone(),
            truth: truth[..=at].to_vec(),
            entries: entries[..at].to_vec(),
        };
        counts.note("store: starts");
        if !is_healthy && !random.one_in(3) {
            self.memory.turn_off_after(random.below(OPERATIONS_MAX));
        }
        let running = Running {
            memory: self.memory.clone(),
            handle: store.log_handle(),
            store,
            places: self.places.clone(),
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            is_room_limited: false,
            was_full: false,
            is_failing: false,
        };
        Ok((running, kept))
    }
}

/// In what the store is not as it must be at that place.
fn place_differs(store: &Stepped, place: &Place) -> Option<Fault> {
    let contents = match Contents::of(store.catalogue(), store.counters()) {
        Ok(contents) => contents,
        Err(fault) => return Some(fault),
    };
    let State { cells, stories, nodes, digest, keys, .. } = &place.state;
    let expected = Contents {
        cells: cells.clone(),
        stories: stories.clone(),
        nodes: nodes.clone(),
        ..Contents::default()
    };
    if let Some(fault) = contents.differs_from(&expected) {
        return Some(fault);
    }
    let view = store.log_view();
    let replica = view.replica();
    let of = |replica: &Replica| (replica.log(), replica.position(), replica.now());
    if of(&replica) != of(&place.replica) {
        return Some(format!("it is at {:?}, must be at {:?}", of(&replica), of(&place.replica)));
    }
    if replica.marks() != place.replica.marks() {
        return Some(format!("marks are {:?}, must be {:?}", replica.marks(), place.replica.marks()));
    }
    if replica.chain() != place.replica.chain() {
        return Some("the chain is not the one that was read".to_owned());
    }
    let found = view.figures().map(|figures| figures.digest).unwrap_or_default();
    if found != *digest {
        return Some(format!("the digest is {found}, must be {digest}"));
    }
    let seconds = place.replica.now().seconds();
    for (id, noted) in keys {
        let identity = tallyd::model::batch::BatchIdentity {
            rule: tallyd::model::batch::KeyRule::Key,
            id: tallyd::model::batch::KeyId(*id),
            content: noted.content,
        };
        let is_due = super::state::look_up(keys, identity.id, seconds).is_some();
        let known = view.known(identity);
        if is_due != matches!(known, Some(PartOutcome::Repeated(_))) {
            return Some(format!("a key is {known:?} at {seconds}, must be known: {is_due}"));
        }
    }
    None
}

impl Running {
    /// Takes what was read, and what it must come to.
    pub(crate) fn take(&mut self, read: LogRead, outcomes: Vec<PartOutcome>, live: &Kept, replica: &Replica) {
        self.waiting.push_back((read, outcomes));
        self.places.push(Place { replica: replica.clone(), state: live.state.clone() });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Whether the disk has no power, so that the process must end.
    pub(crate) fn is_off(&self) -> bool {
        self.memory.is_off()
    }

    /// What the node must have at a place that was read.
    pub(crate) fn place(&self, at: u64) -> (&Replica, &State) {
        let Place { replica, state } = &self.places[usize::try_from(at).unwrap()];
        (replica, state)
    }

    /// The disk takes everything again, and keeps its power, if it still has it.
    pub(crate) fn heal(&mut self) {
        self.memory.limit_room(None);
        self.is_room_limited = false;
        if !self.is_off() {
            self.memory.turn_on();
        }
    }

    /// Whether the store is as it must be, where all that was read is recorded.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        place_differs(&self.store, self.places.last().unwrap()).map_or(Ok(()), Err)
    }

    fn harm(&mut self, (random, counts): (&mut Random, &mut Counts)) {
        match random.below(24) {
            0 => self.store.request_snapshot(),
            1 if !self.is_room_limited => {
                self.memory.limit_room(Some(self.memory.used() + random.below(2_000)));
                (self.is_room_limited, self.was_full) = (true, true);
                counts.note("store: full disks");
            }
            2..6 => {
                self.memory.limit_room(None);
                self.is_room_limited = false;
            }
            _ => {}
        }
    }

    /// Lets the store go on a little. Up to which message all is recorded and synced, where it is known of more.
    pub(crate) fn go_on(
        &mut self,
        is_healthy: bool,
        (random, counts): (&mut Random, &mut Counts),
    ) -> Result<Option<u64>, Fault> {
        if !is_healthy {
            self.harm((random, counts));
        }
        self.is_failing &= !self.under_way.is_empty();
        while !self.is_failing && self.under_way.len() < UNDER_WAY_MAX && !random.one_in(3) {
            let Some((read, outcomes)) = self.waiting.pop_front() else { break };
            match self.handle.try_record(read) {
                Ok(pending) => self.under_way.push_back((pending, outcomes)),
                Err(error) => {
                    self.take_back(error, outcomes, counts)?;
                    break;
                }
            }
        }
        for _ in 0..=random.below(5) {
            let snapshots = self.store.status().figures().snapshots;
            self.store.step(random.pick(&Part::ALL));
            let made = self.store.status().figures().snapshots - snapshots;
            counts.note_many("store: snapshots", made);
        }
        let mut recorded = None;
        let mut back = Vec::new();
        while let Some((pending, expected)) = self.under_way.front_mut() {
            let Some(outcome) = pending.try_outcome() else { break };
            let expected = std::mem::take(expected);
            self.under_way.pop_front();
            match outcome {
                Ok(done) if back.is_empty() => {
                    let wrong = done.outcomes.iter().find(|(Ticket(place), outcome)| {
                        expected.get(usize::try_from(*place).unwrap()) != Some(outcome)
                    });
                    if let Some(wrong) = wrong {
                        return Err(format!("a part came to {wrong:?}, must be of {expected:?}"));
                    }
                    if done.outcomes.len() != expected.len() {
                        return Err(format!("{} outcomes of {expected:?}", done.outcomes.len()));
                    }
                    counts.note("store: recorded");
                    recorded = Some(done.sequence.get());
                }
                Ok(done) => return Err(format!("{} is recorded, one before it is not", done.sequence)),
                Err(error) => back.push((error, expected)),
            }
        }
        for (error, expected) in back.into_iter().rev() {
            self.take_back(error, expected, counts)?;
        }
        if self.is_idle() && !self.is_off() && random.one_in(8) {
            self.check().map_err(|fault| format!("live: {fault}"))?;
            counts.note("store: live checks");
        }
        Ok(recorded)
    }

    /// Those that come back do so one by one, and are handed over again in order.
    fn wait_again(&mut self, read: LogRead, outcomes: Vec<PartOutcome>) {
        let place =
            self.waiting.partition_point(|(other, _)| other.position.sequence < read.position.sequence);
        self.waiting.insert(place, (read, outcomes));
    }

    fn take_back(
        &mut self,
        error: RecordError,
        outcomes: Vec<PartOutcome>,
        counts: &mut Counts,
    ) -> Result<(), Fault> {
        self.is_failing = true;
        match error {
            RecordError::Refused(read, Refusal::AppendRefused(_)) if self.was_full || self.is_off() => {
                counts.note("store: refused");
                self.store.request_snapshot();
                self.wait_again(*read, outcomes);
            }
            RecordError::OutOfTurn(read) => {
                counts.note("store: out of turn");
                self.wait_again(*read, outcomes);
            }
            // The process ends before anything else is said.
            RecordError::Unknown(..) if self.is_off() => counts.note("store: unknown"),
            error => return Err(format!("the store fails without a fault: {error}")),
        }
        Ok(())
    }
}
