//! One daemon's store on its own disk: its lives, the steps within each, and what is held against the model when.
//! Knows nothing of other nodes.

use std::fmt::Write as _;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tallyd::model::batch::{Batch, Change};
use tallyd::platform::clock::Clock;
use tallyd::platform::disk::MemoryDisk;
use tallyd::store::journal::StoreId;
use tallyd::store::{CommitAck, Fsync, Part, Refusal, Stepped, StoreOptions, Uncertainty, WriteError};

use crate::copies::Copies;
use crate::counts::Counts;
use crate::faults::Faults;
use crate::inspection::check_totals;
use crate::keys::{self, Keys, Said};
use crate::model::{self, Contents, Fate, Fault, Forgive, Model, Write, ledger};
use crate::random::Random;
use crate::workload;

/// 2019-03-17, after every hour of the workload.
const START_NANOS: i64 = 1_552_813_200_000_000_000;
/// Starts in a row that may be made to fail.
const DISTURBED_STARTS_MAX: u64 = 3;
/// Operations of a start, roughly.
const START_OPERATIONS: u64 = 80;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The process dies; what it wrote is there.
    Killed,
    /// The power goes.
    PowerCut,
    /// In order.
    Closed,
}

/// The outcome of a batch, which is polled now and then.
type Pending = Pin<Box<dyn Future<Output = Result<CommitAck, WriteError>> + Send>>;

pub(crate) struct Node {
    pub(crate) random: Random,
    pub(crate) memory: MemoryDisk,
    faults: Faults,
    clock: Clock,
    pub(crate) store_id: StoreId,
    fsync: Fsync,
    pub(crate) model: Model,
    pub(crate) counts: Counts,
    store: Option<Stepped>,
    pending: Vec<(usize, Pending)>,
    keys: Keys,
    copies: Copies,
    /// Batches that a parser made and has not handed over yet.
    held: Vec<(Write, Batch)>,
    /// Batches that are durable once the snapshot that is being made is.
    in_snapshot: usize,
    lives: u64,
    actions: u64,
    disturbed_starts: u64,
    is_room_limited: bool,
    /// Where the power goes by plan, only the process dies: what it wrote is there.
    only_dies: bool,
    /// The end of the last life may have lost what was acknowledged and not synced.
    pub(crate) may_have_lost: bool,
    trace: Option<String>,
}

impl Node {
    pub(crate) fn new(seed: u64, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let (memory, faults) = (MemoryDisk::new(random.next()), Faults::new(random.next()));
        Self {
            memory,
            faults,
            clock: Clock::manual(START_NANOS),
            store_id: StoreId::new(random.next()),
            fsync: Fsync::Always,
            model: Model::default(),
            counts: Counts::default(),
            store: None,
            pending: Vec::new(),
            keys: Keys::new(seed),
            copies: Copies::new(seed),
            held: Vec::new(),
            in_snapshot: 0,
            lives: 2 + random.below(3),
            actions: 0,
            disturbed_starts: 0,
            is_room_limited: false,
            only_dies: false,
            may_have_lost: false,
            trace: is_traced.then(String::new),
            random,
        }
    }

    /// What happened, line by line.
    pub(crate) fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
    }

    /// How often each thing happened.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.add(&self.faults.counts());
        for (what, times) in self.memory.mishaps() {
            counts.note_many(what, times);
        }
        counts
    }

    /// All files, for comparing two runs.
    pub(crate) fn disk(&self) -> &MemoryDisk {
        &self.memory
    }

    /// Does one thing; `false` once the last life has ended.
    pub(crate) fn act(&mut self) -> Result<bool, Fault> {
        match self.store.take() {
            None if self.lives == 0 => {
                self.finish()?;
                return Ok(false);
            }
            None => self.start()?,
            Some(store) if self.actions == 0 || self.memory.is_off() => {
                let ends = [End::Killed, End::PowerCut, End::PowerCut, End::Closed];
                let only_dies = self.memory.is_off() && self.only_dies;
                let end = if only_dies { End::Killed } else { self.random.pick(&ends) };
                self.end(store, end)?;
            }
            Some(store) => {
                self.actions -= 1;
                let hits = self.faults.hits();
                let store = self.store.insert(store);
                match self.random.below(40) {
                    0..=9 => self.submit(),
                    10..=16 => self.step(Part::Sequencer),
                    17..=21 => self.step(Part::Syncer),
                    22..=25 => self.step(Part::Snapshotter),
                    26..=28 => store.request_snapshot(),
                    29 => self.advance(),
                    30 => self.plan_faults(),
                    31 => self.plan_power_cut(),
                    32 => self.limit_room(),
                    33..=34 => self.end_faults(),
                    36..=39 => self.copy()?,
                    _ => {
                        self.counts.note("live checks");
                        self.check_live(self.store.as_ref().unwrap())?;
                    }
                }
                self.explain_copies(hits)?;
                self.held.extend(self.faults.parsed());
                self.note_outcomes();
                self.note_keys()?;
            }
        }
        Ok(true)
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let operations = self.memory.operations();
            writeln!(trace, "{operations:6} {}", line()).unwrap();
        }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        StoreOptions {
            limits: workload::LIMITS,
            keys: keys::LIMITS,
            data_dir: PathBuf::from("/var/tallyd"),
            fsync: self.fsync,
            fsync_interval: Duration::from_secs(1),
            snapshot_interval: Duration::from_mins(1),
            clock: self.clock.clone(),
        }
    }

    // --- a life ---

    fn submit(&mut self) {
        let store = self.store.as_ref().unwrap();
        if self.random.one_in(16) {
            // A barrier, whose outcome says nothing of any count.
            self.counts.note("barriers");
            drop(store.submit(Batch::default()));
            return;
        }
        let known = (&**store.catalogue(), &**store.counters());
        self.held.push(workload::parse(known, &mut self.random, &mut self.counts));
        if self.held.len() < 3 && self.random.one_in(3) {
            return;
        }
        let (mut write, mut batch) = self.held.swap_remove(self.random.index(self.held.len()));
        let (key, hour, count) = self.model.next_mark();
        if workload::add(store.catalogue(), &mut batch, &key, hour, count).is_err() {
            self.counts.note("events refused at a bound");
            return;
        }
        write.adds.push((key, hour, count));
        self.counts.note_many("undos", u64::from(write.erasure.is_some()));
        self.counts.note_many("months dropped", u64::from(write.dropped_before.is_some()));
        for change in &write.changes {
            let is_deletion = matches!(change, Change::DeleteStory { .. });
            self.counts.note(if is_deletion { "deletions" } else { "names given" });
        }
        self.counts.note("batches");
        if write.adds.len() > 100 {
            self.counts.note("batches of more than one sector");
        }
        let claimed = self.keys.parsed();
        let taken = u32::try_from(self.clock.unix_seconds()).unwrap();
        let key = claimed.as_ref().map(|(claim, answer)| (claim.identity(), answer.clone(), taken));
        let outcome = match claimed {
            None => store.submit(batch),
            Some((claim, answer)) => {
                self.counts.note("batches with a key");
                batch.key = Some(Box::new(store.write_handle().key_of(&claim, answer)));
                store.submit_claimed(batch, claim)
            }
        };
        let words = if self.trace.is_some() { write.to_string() } else { String::new() };
        let number = self.model.hand_over(write);
        if let Some(key) = key {
            self.keys.hand_over(number, key);
        }
        self.note(|| format!("batch {number}: {words}: {:?}", outcome.as_ref().err()));
        if let Ok(pending) = outcome {
            self.pending.push((number, Box::pin(pending.outcome())));
        } else {
            self.counts.note("batches refused");
            self.model.decide(number, Fate::Never);
        }
    }

    fn copy(&mut self) -> Result<(), Fault> {
        let options = self.options();
        let store = self.store.as_mut().unwrap();
        let told = self.copies.act(store, (&self.model, &mut self.random, &options), &mut self.counts);
        told.map_err(|fault| format!("a copy: {fault}"))?;
        // So that most copies have their seal before the life is over.
        for part in [Part::Snapshotter, Part::Sequencer, Part::Snapshotter] {
            if self.copies.is_waiting() && !self.random.one_in(4) {
                self.step(part);
            }
        }
        Ok(())
    }

    /// `hits` is how often the disk had failed before.
    fn explain_copies(&mut self, hits: u64) -> Result<(), Fault> {
        let is_refused = self.store.as_ref().is_some_and(|store| store.status().ingest_refused().is_some());
        let has_failed = self.faults.hits() > hits || self.memory.is_off();
        if has_failed || is_refused || self.is_room_limited {
            self.copies.disturb();
        }
        self.copies.explain()
    }

    fn step(&mut self, part: Part) {
        let store = self.store.as_mut().unwrap();
        let snapshots = store.status().figures().snapshots;
        let was_failing = store.status().snapshot_failing().is_some();
        let has_acted = store.step(part);
        let is_sound = store.status().ingest_refused().is_none() && !self.memory.is_off();
        let has_snapshot = store.status().figures().snapshots > snapshots;
        if has_snapshot {
            self.counts.note("snapshots");
        } else if !was_failing && store.status().snapshot_failing().is_some() {
            self.counts.note("snapshots that failed");
        }
        self.note(|| format!("step {part:?}: {has_acted}, sound {is_sound}, snapshot {has_snapshot}"));
        if !has_acted {
            return;
        }
        self.note_outcomes();
        match part {
            Part::Syncer if is_sound && self.fsync == Fsync::Interval => {
                self.model.make_durable(self.model.len());
            }
            Part::Snapshotter if has_snapshot => self.model.make_durable(self.in_snapshot),
            Part::Snapshotter => self.in_snapshot = self.model.len(),
            _ => {}
        }
    }

    fn advance(&mut self) {
        let seconds = self.random.pick(&[0, 1, 2, 61, 3_600, 100_000]);
        self.note(|| format!("{seconds} s later"));
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn plan_faults(&mut self) {
        let spell = self.faults.plan();
        self.note(|| spell);
    }

    fn plan_power_cut(&mut self) {
        let operations = self.random.below(40);
        self.turn_off_after(operations);
    }

    fn turn_off_after(&mut self, operations: u64) {
        self.only_dies = self.random.one_in(2);
        let only_dies = self.only_dies;
        self.note(|| format!("the power goes after {operations} operations, the process alone: {only_dies}"));
        self.memory.turn_off_after(operations);
    }

    fn limit_room(&mut self) {
        let room = self.memory.used() + self.random.below(3_000);
        self.note(|| format!("the disk has room for {room} bytes"));
        self.memory.limit_room(Some(room));
        self.counts.note("full disks");
        self.is_room_limited = true;
    }

    fn end_faults(&mut self) {
        if !self.memory.is_off() {
            self.memory.turn_on();
        }
        self.faults.end();
        self.memory.limit_room(None);
        self.is_room_limited = false;
    }

    fn note_outcomes(&mut self) {
        let mut waiting = std::mem::take(&mut self.pending);
        let mut context = Context::from_waker(Waker::noop());
        waiting.retain_mut(|(batch, pending)| {
            let Poll::Ready(outcome) = pending.as_mut().poll(&mut context) else { return true };
            self.note(|| format!("batch {batch}: {outcome:?}"));
            if let Ok(ack) = &outcome {
                self.copies.note(*batch, ack.sequence);
            }
            let (fate, what) = match outcome {
                Ok(_) if self.fsync == Fsync::Always => (Fate::Durable, "batches acknowledged"),
                Ok(_) => (Fate::Acknowledged, "batches acknowledged"),
                Err(WriteError::Refused(Refusal::AppendRefused(why))) if why.contains("its place") => {
                    (Fate::Never, "batches refused for an evicted story")
                }
                Err(WriteError::Refused(Refusal::Dropped)) => {
                    (Fate::Never, "batches refused since their hours were dropped")
                }
                Err(WriteError::Refused(_)) => (Fate::Never, "batches refused"),
                Err(WriteError::Unknown(Uncertainty::Late)) => (Fate::Late, "batches unknown: late"),
                Err(WriteError::Unknown(_)) => (Fate::Unknown, "batches unknown: poisoned"),
            };
            self.model.decide(*batch, fate);
            self.counts.note(what);
            false
        });
        self.pending = waiting;
    }

    /// What is said of batches that were sent again.
    fn note_keys(&mut self) -> Result<(), Fault> {
        let store = self.store.as_ref().unwrap();
        self.keys.send_some(&store.write_handle());
        let (catalogue, counters) = (store.catalogue(), store.counters());
        let is_counted = |batch| model::is_counted(catalogue, counters, batch);
        let now = u32::try_from(self.clock.unix_seconds()).unwrap();
        for (said, has_rejected) in self.keys.said(now, &is_counted)? {
            self.counts.note(match said {
                Said::New => "keys: new",
                Said::Counted(_) if has_rejected => "keys: counted before, with bad lines",
                Said::Counted(_) => "keys: counted before",
                Said::Conflict => "keys: used for another batch",
                Said::Unknown => "keys: outcome unknown",
            });
            if let Said::Counted(batch) = said {
                self.note(|| format!("batch {batch}: answered again"));
                // As good as an ack.
                let fate = if self.fsync == Fsync::Always { Fate::Durable } else { Fate::Acknowledged };
                self.model.acknowledge(batch, fate);
            }
        }
        Ok(())
    }

    /// What is acknowledged is visible, what is refused is not, though nothing has been restarted.
    fn check_live(&self, store: &Stepped) -> Result<(), Fault> {
        let contents = Contents::of(store.catalogue(), store.counters())?;
        let checked = self.model.check(&contents, (Forgive::Nothing, false));
        checked.map(drop).map_err(|fault| format!("live: {fault}"))
    }

    fn end(&mut self, mut store: Stepped, end: End) -> Result<(), Fault> {
        self.check_live(&store)?;
        let is_off = self.memory.is_off();
        let is_sound = store.status().ingest_refused().is_none();
        self.note(|| format!("the life ends: {end:?}, power off: {is_off}, sound: {is_sound}"));
        self.may_have_lost |= is_off || !is_sound || end == End::PowerCut;
        self.faults.parse_beside(None);
        if end == End::Closed && !is_off {
            self.counts.note("closes");
            let hits = self.faults.hits();
            let outcome = store.close();
            self.note(|| format!("closed: {outcome:?}"));
            self.note_outcomes();
            match outcome {
                Ok(()) => self.model.make_durable(self.model.len()),
                Err(_) if self.faults.hits() > hits || self.memory.is_off() || self.is_room_limited => {
                    self.counts.note("closes that failed");
                    self.may_have_lost = true;
                }
                Err(_) if !is_sound => {}
                Err(error) => return Err(format!("closing failed without a fault: {error}")),
            }
        } else {
            // A thread may have gone some steps further than anybody saw.
            while self.random.one_in(3) && store.step(self.random.pick(&Part::ALL)) {
                self.note_outcomes();
            }
            drop(store);
            if end == End::Killed && !is_off {
                self.counts.note("kills");
            }
        }
        self.counts.note_many("batches without an outcome", self.pending.len() as u64);
        self.pending.clear();
        self.keys.end();
        self.copies.end();
        self.held.clear();
        drop(self.faults.parsed());
        self.in_snapshot = 0;
        self.lives -= 1;
        self.power_cycle(end == End::PowerCut);
        if !self.random.one_in(4) {
            self.end_faults();
        }
        Ok(())
    }

    /// The disk as the next process finds it.
    fn power_cycle(&mut self, is_cut: bool) {
        let is_dead = self.memory.is_off() && self.only_dies;
        if is_dead {
            self.counts.note("deaths within an operation");
            self.memory.turn_on();
        }
        if is_cut || self.memory.is_off() {
            self.may_have_lost = true;
            self.memory.cut_power();
            self.counts.note("power cuts");
            self.note(|| "the power is back".to_owned());
        } else {
            self.memory.kill();
        }
    }

    // --- a start ---

    fn start(&mut self) -> Result<(), Fault> {
        self.fsync = self.random.pick(&[Fsync::Always, Fsync::Always, Fsync::Interval, Fsync::Never]);
        let hits = self.faults.hits();
        if self.disturbed_starts < DISTURBED_STARTS_MAX {
            if self.random.one_in(4) {
                let operations = self.random.below(START_OPERATIONS);
                self.turn_off_after(operations);
            } else if self.random.one_in(8) {
                self.plan_faults();
            }
        } else {
            self.end_faults();
        }
        let inspected = if self.random.one_in(4) { Some(self.inspect()?) } else { None };
        if self.random.one_in(6) {
            self.invert_a_bit()?;
        }
        let disk = self.faults.on(self.memory.disk());
        match Stepped::open(&disk, &self.options(), self.store_id, &mut || ()) {
            Ok((store, recovery)) => {
                let fsync = self.fsync;
                self.note(|| format!("open, {fsync:?}: {recovery:?}"));
                self.counts.note("starts");
                self.counts.note_many("torn tails cut", u64::from(recovery.torn_bytes > 0));
                let contents = Contents::of(store.catalogue(), store.counters())?;
                let counted = self.model.check(&contents, (Forgive::Nothing, self.may_have_lost))?;
                if let Some((report, Some(before))) = inspected {
                    if before != contents {
                        return Err("an export before the start has other counts".to_owned());
                    }
                    check_totals(&report, &contents)?;
                }
                self.model.settle(&counted);
                self.may_have_lost = false;
                self.disturbed_starts = 0;
                // So that it has a place before others take all.
                store.catalogue().intern(&ledger()).map_err(|error| error.to_string())?;
                let known = (Arc::clone(store.catalogue()), Arc::clone(store.counters()));
                self.faults.parse_beside(Some(known));
                self.store = Some(store);
                self.actions = if self.random.one_in(6) { 0 } else { 10 + self.random.below(60) };
                Ok(())
            }
            Err(error) => {
                self.note(|| format!("no start: {error}"));
                let is_disturbed = self.memory.is_off() || self.faults.hits() > hits || self.is_room_limited;
                if !is_disturbed {
                    return Err(format!("a start is refused without damage: {error}"));
                }
                self.disturbed_starts += 1;
                self.counts.note(if self.memory.is_off() {
                    "starts that ended with the power or the process"
                } else {
                    "starts refused for a fault of the disk"
                });
                let is_cut = self.random.one_in(2);
                self.power_cycle(is_cut);
                Ok(())
            }
        }
    }

    /// The last start finds what was promised, and so does the one after.
    fn finish(&mut self) -> Result<(), Fault> {
        self.power_cycle(false);
        self.end_faults();
        for _ in 0..2 {
            let (store, _) = Stepped::open(&self.memory.disk(), &self.options(), self.store_id, &mut || ())
                .map_err(|error| format!("the last start is refused without damage: {error}"))?;
            let contents = Contents::of(store.catalogue(), store.counters())?;
            let counted = self.model.check(&contents, (Forgive::Nothing, self.may_have_lost))?;
            self.model.settle(&counted);
            self.may_have_lost = false;
            store.close().map_err(|error| format!("the last close failed: {error}"))?;
        }
        let (report, _) = self.inspect()?;
        if report.torn.is_some() {
            return Err(format!("a closed store has a torn end: {report}"));
        }
        Ok(())
    }
}
