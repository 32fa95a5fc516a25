//! One daemon's store on its own disk: its lives, the steps within each, and what is held against the model when.
//! Knows nothing of other nodes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tallyd::model::batch::{Batch, Definition, Increment};
use tallyd::platform::clock::Clock;
use tallyd::platform::disk::MemoryDisk;
use tallyd::store::journal::StoreId;
use tallyd::store::recover::load_read_only;
use tallyd::store::verify::{VerifyReport, verify};
use tallyd::store::{
    Damage, DamageKind, Fsync, OpenError, Part, PendingCommit, Stepped, StoreOptions, WriteError,
};

use crate::faults::Faults;
use crate::model::{Contents, Fate, Fault, Forgive, Model, Write};
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

pub(crate) struct Node {
    random: Random,
    memory: MemoryDisk,
    faults: Faults,
    clock: Clock,
    store_id: StoreId,
    fsync: Fsync,
    model: Model,
    store: Option<Stepped>,
    pending: Vec<(usize, PendingCommit)>,
    /// Batches that a parser made and has not handed over yet.
    held: Vec<(Write, Batch)>,
    /// Batches that are durable once the snapshot that is being made is.
    in_snapshot: usize,
    lives: u64,
    actions: u64,
    disturbed_starts: u64,
    is_room_limited: bool,
    /// The end of the last life may have lost what was acknowledged and not synced.
    may_have_lost: bool,
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
            store: None,
            pending: Vec::new(),
            held: Vec::new(),
            in_snapshot: 0,
            lives: 2 + random.below(3),
            actions: 0,
            disturbed_starts: 0,
            is_room_limited: false,
            may_have_lost: false,
            trace: is_traced.then(String::new),
            random,
        }
    }

    /// What happened, line by line.
    pub(crate) fn trace(&self) -> &str {
        self.trace.as_deref().unwrap_or_default()
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
                let end = self.random.pick(&[End::Killed, End::PowerCut, End::PowerCut, End::Closed]);
                self.end(store, end)?;
            }
            Some(store) => {
                self.actions -= 1;
                let store = self.store.insert(store);
                match self.random.below(32) {
                    0..=9 => self.submit(),
                    10..=16 => self.step(Part::Sequencer),
                    17..=21 => self.step(Part::Syncer),
                    22..=24 => self.step(Part::Snapshotter),
                    25 => store.request_snapshot(),
                    26 => self.advance(),
                    27 => self.plan_faults(),
                    28 => self.plan_power_cut(),
                    29 => self.limit_room(),
                    30 => self.end_faults(),
                    _ => self.check_live(self.store.as_ref().unwrap())?,
                }
                self.note_outcomes();
            }
        }
        Ok(true)
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let operations = self.memory.operations();
            writeln!(trace, "{operations:6} {}", line()).unwrap();
        }
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
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
            drop(store.submit(Batch::default()));
            return;
        }
        let write = workload::write(&mut self.random);
        let batch = workload::batch(store.catalogue(), &write);
        self.held.push((write, batch));
        if self.held.len() < 3 && self.random.one_in(3) {
            return;
        }
        let (mut write, mut batch) = self.held.swap_remove(self.random.index(self.held.len()));
        let (key, hour, count) = self.model.next_mark();
        let series = store.catalogue().intern(&key).unwrap();
        if !store.catalogue().is_durable(series) {
            batch.definitions.push(Definition { id: series, key });
        }
        batch.increments.push(Increment { series, hour, count });
        write.adds.push((key, hour, count));
        let outcome = store.submit(batch);
        let words = if self.trace.is_some() { write.to_string() } else { String::new() };
        let number = self.model.hand_over(write);
        self.note(|| format!("batch {number}: {words}: {:?}", outcome.as_ref().err()));
        match outcome {
            Ok(pending) => self.pending.push((number, pending)),
            Err(_) => self.model.decide(number, Fate::Never),
        }
    }

    fn step(&mut self, part: Part) {
        let store = self.store.as_mut().unwrap();
        let snapshots = store.status().figures().snapshots;
        let has_acted = store.step(part);
        let is_sound = store.status().ingest_refused().is_none() && !self.memory.is_off();
        let has_snapshot = store.status().figures().snapshots > snapshots;
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
        self.note(|| format!("the power goes after {operations} operations"));
        self.memory.turn_off_after(operations);
    }

    fn limit_room(&mut self) {
        let room = self.memory.used() + self.random.below(3_000);
        self.note(|| format!("the disk has room for {room} bytes"));
        self.memory.limit_room(Some(room));
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
        waiting.retain_mut(|(batch, pending)| {
            let Some(outcome) = pending.try_outcome() else { return true };
            self.note(|| format!("batch {batch}: {outcome:?}"));
            let fate = match outcome {
                Ok(_) if self.fsync == Fsync::Always => Fate::Durable,
                Ok(_) => Fate::Acknowledged,
                Err(WriteError::Refused(_)) => Fate::Never,
                Err(WriteError::Unknown(_)) => Fate::Unknown,
            };
            self.model.decide(*batch, fate);
            false
        });
        self.pending = waiting;
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
        if end == End::Closed && !is_off {
            let hits = self.faults.hits();
            let outcome = store.close();
            self.note(|| format!("closed: {outcome:?}"));
            self.note_outcomes();
            match outcome {
                Ok(()) => self.model.make_durable(self.model.len()),
                Err(_) if self.faults.hits() > hits || self.memory.is_off() || self.is_room_limited => {
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
        }
        self.pending.clear();
        self.held.clear();
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
        if is_cut || self.memory.is_off() {
            self.may_have_lost = true;
            self.memory.cut_power();
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
                self.note(|| format!("the power goes after {operations} operations of the start"));
                self.memory.turn_off_after(operations);
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
                let is_cut = self.random.one_in(2);
                self.power_cycle(is_cut);
                Ok(())
            }
        }
    }

    /// `verify` and `export`, which must find all sound and change nothing. Before the first start there is nothing.
    fn inspect(&mut self) -> Result<(VerifyReport, Option<Contents>), Fault> {
        let image = self.memory.fork();
        image.turn_on();
        image.make_read_only();
        let options = self.options();
        let report = match verify(&image.disk(), &options.data_dir, &mut || ()) {
            Ok(report) => report,
            Err(OpenError::Damaged(Damage { kind: DamageKind::Missing, .. })) if self.model.len() == 0 => {
                return Ok((VerifyReport::default(), None));
            }
            Err(error) => return Err(format!("verify: {error}")),
        };
        self.note(|| format!("verified: {report}"));
        if !report.is_sound() {
            return Err(format!("verify finds damage that nobody did: {report}"));
        }
        let loaded = load_read_only(&image.disk(), &options.data_dir, &mut || ())
            .map_err(|error| format!("export: {error}"))?;
        let contents = Contents::of(&loaded.catalogue, &loaded.counters)?;
        check_totals(&report, &contents)?;
        Ok((report, Some(contents)))
    }

    /// Inverts a bit of a file at rest, in a copy: a start there is refused with the file's name, or counts right.
    fn invert_a_bit(&mut self) -> Result<(), Fault> {
        let image = self.memory.fork();
        image.turn_on();
        let files = image.files();
        let files: Vec<_> = files.iter().filter(|(path, bytes)| is_checked(path) && *bytes > 0).collect();
        // Before the first manifest there is no data directory.
        let is_manifest = |path: &Path| path.file_stem().is_some_and(|name| name == "manifest");
        let manifests = files.iter().filter(|(path, _)| is_manifest(path)).count();
        if manifests == 0 {
            return Ok(());
        }
        let (path, bytes) = files[self.random.index(files.len())];
        let bit = self.random.below(bytes * 8);
        assert!(image.flip_bit(path, bit), "the file has the bit");
        let place = format!("{}, bit {} of byte {}", path.display(), bit % 8, bit / 8);
        self.note(|| format!("a copy with a bit inverted: {place}"));
        let is_journal = path.extension().is_some_and(|extension| extension == "journal");
        let forgive = if is_journal { Forgive::LastRecord } else { Forgive::Nothing };
        let data_dir = self.options().data_dir;
        let report =
            verify(&image.disk(), &data_dir, &mut || ()).map_err(|error| format!("{place}: {error}"))?;
        match Stepped::open(&image.disk(), &self.options(), self.store_id, &mut || ()) {
            Ok((store, _)) => {
                let contents = Contents::of(store.catalogue(), store.counters())?;
                self.model
                    .check(&contents, (forgive, self.may_have_lost))
                    .map(drop)
                    .map_err(|fault| format!("{place}: {fault}"))
            }
            // The snapshot before and the journal since then are enough.
            Err(error) if is_manifest(path) && manifests > 1 => Err(format!("{place}: no start: {error}")),
            Err(error) if report.is_sound() => {
                Err(format!("{place}: verify is content, a start says {error}"))
            }
            Err(OpenError::Damaged(error)) if error.kind != DamageKind::Newer => {
                let name = path.file_name().unwrap().to_string_lossy();
                let is_named = report.faults.iter().any(|fault| fault.damage.file == *path);
                if is_named { Ok(()) } else { Err(format!("{place}: {name} is not named: {report} {error}")) }
            }
            Err(error) => Err(format!("{place}: {error}")),
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

fn is_checked(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name != "reserve" && name != "LOCK")
        && path.extension().is_some_and(|it| it != "tmp")
}

/// What `verify` adds up is what is counted.
fn check_totals(report: &VerifyReport, contents: &Contents) -> Result<(), Fault> {
    use tallyd::model::event::Metric;
    let totals = &report.totals;
    let found = [totals.conversations, totals.paid_conversations, totals.messages, totals.stories];
    let stories = contents.stories.len() as u64;
    let sums =
        [Metric::Conversations, Metric::PaidConversations, Metric::Messages].map(|it| contents.sum(it));
    let due = [sums[0], sums[1], sums[2], stories];
    if found == due { Ok(()) } else { Err(format!("verify adds up {found:?}, the counts are {due:?}")) }
}
