//! A node's store, driven by the messages of a log: what it counts, what it answers, what is there after a restart.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::digest::of_all;
use super::*;
use crate::cluster::follow::Noted;
use crate::cluster::member::{Event, Member, Read};
use crate::cluster::message::part::{Part, PartKey, Sum};
use crate::cluster::message::{Body, Genesis, Message};
use crate::cluster::publish::{PartOutcome, Ticket};
use crate::limits::{MESSAGE_BYTES_MAX, RETRY_WINDOW, wide};
use crate::model::batch::{Batch, BatchIdentity, Change, Definition, Increment, KeyId, KeyRule, KeyedAnswer};
use crate::model::calendar::Hour;
use crate::model::catalogue::CatalogueLimits;
use crate::model::event::{Metric, Node as StoryNode, SeriesKey};
use crate::platform::clock::Clock;
use crate::platform::disk::{Disk, MemoryDisk};
use crate::store::backup::Target;
use crate::store::journal::{JournalWriter, Sequence, StoreId};
use crate::store::recover::testing::{State, Write, copy, key, node, story};
use crate::store::verify::verify;
use crate::store::{
    Fsync, KeyLimits, LogRead, OpenError, PendingRead, RecordError, Recorded, Refusal, StoreOptions,
    WriteError,
};
use crate::store::{Part as StorePart, Stepped};

const LOG: LogId = LogId::new(0x1099);
const HOUR: u32 = 431_000;
/// 2019-03-17.
const START: u64 = 1_552_813_200;
const FOLDER: &str = "/var/tallyd";

/// A log: its messages and the times that it gave them.
struct Log {
    messages: Vec<(LogStamp, Vec<u8>)>,
    /// The number of the last message of the usual writer.
    last: u64,
}

impl Log {
    /// One that begins with a state of that digest.
    fn new(digest: Digest) -> Self {
        let mut log = Self { messages: Vec::new(), last: 0 };
        let genesis = Genesis { digest, ..Genesis::default() };
        log.push(START, (1, 0), Body::Genesis(genesis));
        log
    }

    fn push(&mut self, seconds: u64, (writer, number): (u64, u64), body: Body) {
        let (writer, number) = (WriterId::new(writer), MessageNumber::new(number));
        let message = Message { log: LOG, writer, number, base: Position::default(), body };
        self.messages.push((LogStamp::new(seconds * 1_000_000_000), message.encode()));
    }

    /// The next message of the usual writer, which counts.
    fn batches(&mut self, seconds: u64, parts: &[Part]) {
        self.last += 1;
        self.push(seconds, (7, self.last), Body::Batches(parts.to_vec()));
    }
}

/// A part without a key.
fn part(changes: Vec<Change>, counts: &[(SeriesKey, u32, u64)]) -> Part {
    keyed(None, changes, counts)
}

fn keyed(key: Option<PartKey>, changes: Vec<Change>, counts: &[(SeriesKey, u32, u64)]) -> Part {
    let series: Vec<SeriesKey> = counts.iter().map(|count| count.0).collect();
    let sums = (0..).zip(counts).map(|(series, (_, hour, count))| Sum {
        series,
        hour: Hour::new(*hour),
        count: *count,
    });
    Part::new(key.map(Box::new), changes, &series, sums.collect())
}

fn messages_of(number: u8) -> SeriesKey {
    key(number, Metric::Messages)
}

fn node_of(number: u8) -> SeriesKey {
    key(number, Metric::Interaction(node(number)))
}

fn delete(number: u8) -> Change {
    Change::DeleteStory { story: story(number) }
}

fn name(number: u8, name: &str) -> Change {
    Change::Story { story: story(number), name: Some(name.into()) }
}

fn batch_key(rule: KeyRule, id: u8, content: u64) -> PartKey {
    let answer = KeyedAnswer { accepted: u32::from(id), ..KeyedAnswer::default() };
    PartKey { identity: BatchIdentity { rule, id: KeyId([id; 16]), content }, answer }
}

/// What a part says, taken plainly.
fn write(state: &mut State, part: &Part) {
    part.changes().iter().for_each(|change| state.write(&Write::Change(change.clone())));
    let known = part.series().iter().map(|key| (*key, Hour::new(HOUR), 0));
    state.write(&Write::Add(known.collect()));
    state.write(&Write::Add(part.increments().map(|(key, hour, count)| (*key, hour, count)).collect()));
}

/// A node: its store, and what it makes of the log.
struct Node {
    store: Stepped,
    handle: crate::store::LogHandle,
    member: Member,
    clock: Clock,
}

fn options(clock: &Clock, folder: &Path, limits: CatalogueLimits) -> StoreOptions {
    StoreOptions {
        limits,
        keys: KeyLimits { retry_window: Duration::ZERO, ..KeyLimits::default() },
        data_dir: folder.to_owned(),
        fsync: Fsync::Always,
        fsync_interval: Duration::from_secs(1),
        snapshot_interval: Duration::from_hours(1),
        clock: clock.clone(),
    }
}

impl Node {
    fn start(disk: &Disk) -> Self {
        Self::try_start(disk, CatalogueLimits::default()).expect("it opens")
    }

    fn try_start(disk: &Disk, limits: CatalogueLimits) -> Option<Self> {
        Self::try_start_in(disk, Path::new(FOLDER), limits)
    }

    fn try_start_in(disk: &Disk, folder: &Path, limits: CatalogueLimits) -> Option<Self> {
        // Long after all that the log says: what a node's clock shows must not matter.
        let clock = Clock::manual(4_000_000_000_000_000_000);
        let options = options(&clock, folder, limits);
        let (store, _) = Stepped::open(disk, &options, StoreId::new(5), &mut || ()).ok()?;
        Some(Self::over(store, clock))
    }

    fn over(store: Stepped, clock: Clock) -> Self {
        let replica = store.log_view().replica();
        let mut member = Member::new(replica, || WriterId::new(99), Duration::ZERO);
        let connected = Event::Connected { message_bytes_max: MESSAGE_BYTES_MAX };
        assert_eq!(member.take(connected, Duration::ZERO), None);
        member.poll(Duration::ZERO);
        Self { handle: store.log_handle(), store, member, clock }
    }

    fn position(&self) -> usize {
        usize::try_from(self.member.replica().position().sequence.get()).unwrap()
    }

    /// What is read of the next message.
    fn read(&mut self, log: &Log) -> Option<LogRead> {
        let position = self.position();
        let mut deliver = |place: usize| {
            let (stamp, bytes) = log.messages.get(place - 1)?;
            let stored = crate::cluster::follow::Stored { stamp: *stamp, bytes };
            let sequence = LogSequence::new(wide(place));
            Some((self.member.take(Event::Delivered(sequence, stored), Duration::ZERO), *stamp))
        };
        if position > 0 {
            deliver(position);
        }
        let (read, stamp) = deliver(position + 1)?;
        let position = self.member.replica().position();
        assert_eq!(self.member.stopped(), None);
        Some(LogRead { read: read.expect("each message is read"), position, stamp })
    }

    fn settle(&mut self) {
        while StorePart::ALL.into_iter().any(|part| self.store.step(part)) {}
    }

    fn outcome(&mut self, mut pending: PendingRead) -> Result<Recorded, RecordError> {
        self.settle();
        pending.try_outcome().expect("it is settled")
    }

    fn record(&mut self, read: LogRead) -> Result<Recorded, RecordError> {
        let pending = self.handle.try_record(read)?;
        self.outcome(pending)
    }

    /// Reads and records all that there is; the outcomes of the parts of what counted.
    fn follow(&mut self, log: &Log) -> Vec<PartOutcome> {
        let mut outcomes = Vec::new();
        while let Some(mut read) = self.read(log) {
            // As if each batch had been taken here.
            if let Read::Applied { message, tickets, .. } = &mut read.read
                && let Body::Batches(parts) = &message.body
            {
                let place = |place| (Ticket(wide(place)), crate::cluster::gather::PartPlace(place));
                *tickets = (0..parts.len()).map(place).collect();
            }
            let recorded = self.record(read).expect("it is recorded");
            outcomes.extend(recorded.outcomes.into_iter().map(|(_, outcome)| outcome));
        }
        self.check();
        outcomes
    }

    fn fold(&mut self) {
        let before = self.store.status().figures().snapshots;
        self.store.request_snapshot();
        self.settle();
        assert_eq!(self.store.status().figures().snapshots, before + 1, "a snapshot is made");
    }

    fn state(&self) -> State {
        State::of(self.store.catalogue(), self.store.counters())
    }

    /// The digest is that of what is counted, and the place is that of the member.
    fn check(&self) {
        let view = self.store.log_view();
        let figures = view.figures().expect("a log is followed");
        assert_eq!(figures.digest, of_all(self.store.catalogue(), self.store.counters()));
        assert_eq!(figures.position, self.member.replica().position());
        assert_eq!(view.replica().marks(), self.member.replica().marks());
        assert_eq!(view.replica().chain(), self.member.replica().chain());
        assert_eq!(view.replica().now(), self.member.replica().now());
        let position = LogPosition { log: LOG, sequence: figures.position.sequence };
        assert_eq!(view.position(), Some(position));
    }

    /// The process dies, and starts again.
    fn restart(self, memory: &MemoryDisk) -> Self {
        let (before, position) = (self.state(), self.position());
        drop(self);
        memory.kill();
        let again = Self::start(&memory.disk());
        assert_eq!(again.state(), before);
        assert_eq!(again.position(), position);
        again.check();
        again
    }
}

/// Messages with everything: deletions between and within parts, names, nodes, copies.
fn everything() -> (Log, State) {
    let mut log = Log::new(Digest::EMPTY);
    let parts = [
        part(vec![name(1, "one"), name(2, "two")], &[(messages_of(1), HOUR, 5), (node_of(1), HOUR, 6)]),
        part(vec![delete(1)], &[(messages_of(1), HOUR + 1, 7)]),
        part(vec![], &[(messages_of(1), HOUR, 1 << 33), (node_of(2), HOUR, 1), (messages_of(3), HOUR, 0)]),
        part(
            vec![
                Change::Node { story: story(2), node: StoryNode::Welcome, name: Some("hello".into()) },
                delete(2),
                Change::Node { story: story(2), node: StoryNode::Welcome, name: None },
                name(2, "two again"),
            ],
            &[(messages_of(2), HOUR, 3)],
        ),
    ];
    log.batches(START + 1, &parts);
    log.push(START + 2, (9, 0), Body::Witness);
    let later = [
        part(vec![], &[(messages_of(1), HOUR, 1), (messages_of(4), HOUR, 2)]),
        part(vec![delete(4), delete(3), delete(5)], &[]),
        part(vec![name(4, "four")], &[(node_of(4), HOUR, 9), (messages_of(1), HOUR + 1, 4)]),
    ];
    log.push(START + 3, (8, 1), Body::Batches(later.to_vec()));
    // A further copy, and one that is early.
    log.push(START + 4, (8, 1), Body::Batches(later.to_vec()));
    log.push(START + 5, (8, 3), Body::Batches(later.to_vec()));
    let mut state = State::default();
    parts.iter().chain(&later).for_each(|part| write(&mut state, part));
    (log, state)
}

#[test]
fn parts_count_in_order_and_are_there_after_restarts_and_folds() {
    let (mut log, mut state) = everything();
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    node.follow(&log);
    assert_eq!(node.state(), state);
    let mut node = node.restart(&memory);
    node.fold();
    let mut node = node.restart(&memory);
    let more = part(vec![delete(1), name(1, "once more")], &[(messages_of(1), HOUR, 2)]);
    log.batches(START + 9, std::slice::from_ref(&more));
    write(&mut state, &more);
    node.follow(&log);
    assert_eq!(node.state(), state);
    let mut node = node.restart(&memory);
    node.fold();
    let node = node.restart(&memory);
    assert_eq!(node.state(), state);
}

#[test]
fn keys_count_once_by_the_time_of_the_log() {
    let key = |id, content| Some(batch_key(KeyRule::Key, id, content));
    let window = |id| Some(batch_key(KeyRule::Window, id, 1));
    let of = |key: Option<PartKey>, count| keyed(key, vec![], &[(messages_of(1), HOUR, count)]);
    let mut log = Log::new(Digest::EMPTY);
    log.batches(START, &[of(key(1, 1), 1), of(key(1, 1), 10), of(key(1, 2), 100), of(window(1), 1_000)]);
    log.batches(START + 1, &[of(key(1, 1), 10), of(key(2, 1), 10_000), of(None, 100_000)]);
    let window_seconds = RETRY_WINDOW.as_secs();
    log.batches(START + window_seconds - 1, &[of(window(1), 10)]);
    // A leader whose clock is behind does not make keys young again.
    log.batches(START + window_seconds, &[of(None, 0)]);
    log.batches(START + 2, &[of(window(1), 1_000_000), of(key(1, 1), 10)]);
    let again = |id: u8| PartOutcome::Repeated(batch_key(KeyRule::Key, id, 1).answer);
    let expected = [
        PartOutcome::Counted,
        again(1),
        PartOutcome::Conflict,
        PartOutcome::Counted,
        again(1),
        PartOutcome::Counted,
        PartOutcome::Counted,
        again(1),
        PartOutcome::Counted,
        PartOutcome::Counted,
        again(1),
    ];
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    assert_eq!(node.follow(&log), expected);
    let count = |node: &Node| node.state().cells[&(messages_of(1), Hour::new(HOUR))];
    assert_eq!(count(&node), 1_111_001);

    // The same where each message is read by another process, and every other one from a snapshot.
    let memory = MemoryDisk::new(2);
    let mut node = Node::start(&memory.disk());
    let mut outcomes = Vec::new();
    for end in 1..=log.messages.len() {
        let shorter = Log { messages: log.messages[..end].to_vec(), last: 0 };
        outcomes.extend(node.follow(&shorter));
        if end % 2 == 0 {
            node.fold();
        }
        node = node.restart(&memory);
    }
    assert_eq!(outcomes, expected);
    assert_eq!(count(&node), 1_111_001);
    let view = node.store.log_view();
    assert_eq!(view.known(batch_key(KeyRule::Key, 1, 1).identity), Some(again(1)));
    assert_eq!(view.known(batch_key(KeyRule::Key, 1, 2).identity), Some(PartOutcome::Conflict));
    assert_eq!(view.known(batch_key(KeyRule::Key, 9, 1).identity), None);
    assert_eq!(node.store.write_handle().key_seed(), LOG.get());
}

#[test]
fn message_that_the_disk_refuses_comes_back_and_those_behind_it_are_out_of_turn() {
    let (log, state) = everything();
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    let genesis = node.read(&log).unwrap();
    node.record(genesis.clone()).unwrap();
    assert!(matches!(node.record(genesis), Err(RecordError::OutOfTurn(_))), "it is recorded already");
    memory.limit_room(Some(memory.used()));
    let reads = [(); 2].map(|()| node.read(&log).unwrap());
    let [first, second] = reads.clone().map(|read| node.handle.try_record(read).unwrap());
    let (first, second) = (node.outcome(first), node.outcome(second));
    let (Err(RecordError::Refused(first, Refusal::AppendRefused(_))), Err(RecordError::OutOfTurn(second))) =
        (first, second)
    else {
        panic!("both are recorded")
    };
    assert_eq!([&*first, &*second], [&reads[0], &reads[1]]);
    memory.limit_room(None);
    node.record(*first).unwrap();
    node.record(*second).unwrap();
    node.follow(&log);
    assert_eq!(node.state(), state);
    assert_eq!(node.restart(&memory).state(), state);
}

#[test]
fn store_that_is_closing_or_poisoned_records_nothing_more() {
    let (log, _) = everything();
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    let mut genesis = node.read(&log).unwrap();
    let applied = node.read(&log).unwrap();
    node.record(genesis.clone()).unwrap();
    node.store.status().poison().set(crate::store::PoisonCause::SyncFailed);
    assert!(matches!(node.record(applied), Err(RecordError::Unknown(_, _))));
    genesis.position.sequence = LogSequence::new(2);
    let Node { store, handle, .. } = node;
    drop(store.close());
    assert!(matches!(handle.try_record(genesis), Err(RecordError::Refused(_, Refusal::Closing))));
}

#[test]
fn directory_that_follows_a_log_takes_nothing_else() {
    let batch = |node: &Node| {
        let key = messages_of(1);
        let id = node.store.catalogue().intern(&key).unwrap();
        let mut batch = Batch::default();
        batch.definitions.push(Definition { id, key });
        batch.increments.push(Increment { series: id, hour: Hour::new(HOUR), count: 3 });
        batch
    };
    let submit = |node: &mut Node, batch: Batch| {
        let mut pending = node.store.submit(batch).unwrap();
        node.settle();
        pending.try_outcome().unwrap()
    };
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    let first = batch(&node);
    submit(&mut node, first).unwrap();
    // A single daemon that goes on as one of several: the log begins with what it counts.
    let Node { store, clock, .. } = node;
    let mut node = Node::over(store, clock);
    let digest = of_all(node.store.catalogue(), node.store.counters());
    assert_ne!(digest, Digest::EMPTY);
    let mut log = Log::new(digest);
    log.batches(START, &[part(vec![], &[(messages_of(1), HOUR, 4)])]);
    node.follow(&log);
    assert_eq!(node.state().cells[&(messages_of(1), Hour::new(HOUR))], 7);
    for _ in 0..2 {
        let next = batch(&node);
        assert_eq!(submit(&mut node, next), Err(WriteError::Refused(Refusal::FollowsLog)));
        submit(&mut node, Batch::default()).expect("a barrier says nothing");
        node.check();
        node = node.restart(&memory);
    }
    node.fold();
    node.restart(&memory);
}

/// A story may lose its place to another between the moments at which its series get their numbers and are recorded.
#[test]
fn story_that_is_evicted_under_way_counts_all_the_same() {
    let limits = CatalogueLimits { stories: 2, ..CatalogueLimits::default() };
    let memory = MemoryDisk::new(1);
    let mut node = Node::try_start(&memory.disk(), limits).unwrap();
    let mut log = Log::new(Digest::EMPTY);
    let parts = [
        part(vec![], &[(messages_of(1), HOUR, 1), (messages_of(2), HOUR, 2)]),
        part(vec![delete(1)], &[]),
        part(vec![], &[(messages_of(1), HOUR, 3), (node_of(1), HOUR, 4)]),
    ];
    for part in &parts {
        log.batches(START, std::slice::from_ref(part));
    }
    let reads = [(); 4].map(|()| node.read(&log).unwrap());
    let mut pending = reads.map(|read| node.handle.try_record(read).unwrap());
    for _ in 0..3 {
        assert!(node.store.step(StorePart::Sequencer));
    }
    let before = node.store.catalogue().intern(&messages_of(1));
    assert!(
        node.store.catalogue().intern(&messages_of(3)).is_ok(),
        "it takes the place of the deleted story"
    );
    node.settle();
    assert!(pending.iter_mut().all(|pending| matches!(pending.try_outcome(), Some(Ok(_)))));
    assert!(before.is_ok());
    node.check();
    let mut state = State::default();
    for part in &parts {
        write(&mut state, part);
    }
    assert_eq!(node.state(), state);
    node.restart(&memory);
}

#[test]
fn reader_waits_for_a_position_and_no_longer() {
    let (log, _) = everything();
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    let view = node.store.log_view();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let position = LogPosition { log: LOG, sequence: LogSequence::new(2) };
    let mut reached = std::pin::pin!(view.reached(position));
    assert!(Future::poll(reached.as_mut(), &mut context).is_pending());
    let genesis = node.read(&log).unwrap();
    node.record(genesis).unwrap();
    assert!(Future::poll(reached.as_mut(), &mut context).is_pending());
    node.follow(&log);
    assert!(Future::poll(reached.as_mut(), &mut context).is_ready());
    let mut other = std::pin::pin!(view.reached(LogPosition { log: LogId::new(4), ..position }));
    assert!(Future::poll(other.as_mut(), &mut context).is_ready(), "of an earlier life");
}

/// Wherever the power goes, what is there is what the log says up to a place, all of it and no more.
#[test]
fn power_cut_at_every_operation_leaves_what_the_log_says_up_to_a_place() {
    let (log, _) = everything();
    let states: Vec<State> = (1..=log.messages.len())
        .map(|end| {
            let mut node = Node::start(&MemoryDisk::new(1).disk());
            node.follow(&Log { messages: log.messages[..end].to_vec(), last: 0 });
            node.state()
        })
        .collect();
    let mut positions = HashSet::new();
    for run in 0.. {
        // Twice each, since what a cut keeps is by chance.
        let operations = run / 2;
        let memory = MemoryDisk::new(run);
        memory.turn_off_after(operations);
        let mut acknowledged = 0;
        if let Some(mut node) = Node::try_start(&memory.disk(), CatalogueLimits::default()) {
            for place in 0..log.messages.len() {
                let read = node.read(&log).unwrap();
                if node.record(read).is_err() {
                    break;
                }
                acknowledged = place + 1;
                if place == 2 {
                    node.store.request_snapshot();
                    node.settle();
                }
            }
        }
        let is_over = !memory.is_off();
        memory.cut_power();
        memory.turn_on();
        let mut node = Node::start(&memory.disk());
        let position = node.position();
        assert!(position >= acknowledged, "after {operations} operations: {position}, not {acknowledged}");
        positions.insert(position);
        if let Some(place) = position.checked_sub(1) {
            assert_eq!(node.state(), states[place], "after {operations} operations, at {position}");
            node.check();
        }
        node.follow(&log);
        assert_eq!(Some(&node.state()), states.last());
        if is_over {
            break;
        }
    }
    assert_eq!(positions.len(), log.messages.len() + 1, "each message was the last one once");
}

/// What a node leaves that has read the log, with one more record in its journal.
fn with_a_record(log: &Log, entry: impl FnOnce(LogFigures) -> LogEntry) -> MemoryDisk {
    let memory = MemoryDisk::new(1);
    let mut node = Node::start(&memory.disk());
    node.follow(log);
    let figures = node.store.log_view().figures().unwrap();
    drop(node);
    memory.kill();
    let folder = Path::new(FOLDER).join("journal");
    let next = Sequence::new(wide(log.messages.len()) + 1);
    let mut journal = JournalWriter::create(&memory.disk(), &folder, StoreId::new(5), next).unwrap();
    journal.stage_log(&entry(figures), &[]).unwrap();
    journal.commit().unwrap();
    memory
}

/// The same with a record of the next message, skipped, whose digest is as much past the right one as given.
fn with_a_skipped(log: &Log, past: u64) -> MemoryDisk {
    with_a_record(log, |LogFigures { position, digest, time: stamp, .. }| {
        let position = Position { sequence: position.sequence.next(), chain: ChainValue::new(3) };
        let digest = digest.plus(Digest::new(u128::from(past)));
        LogEntry { log: LOG, position, stamp, digest, noted: Noted::Skipped }
    })
}

#[test]
fn verify_finds_counters_that_are_not_those_of_the_log() {
    let (log, _) = everything();
    for wrong in [0_u64, 1] {
        let memory = with_a_skipped(&log, wrong);
        let report = verify(&memory.disk(), Path::new(FOLDER), CatalogueLimits::default(), &mut || ());
        let faults = report.unwrap().faults;
        assert_eq!(wide(faults.len()), wrong, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.what.contains("digest")), "{faults:?}");
    }
}

/// A node begins with a copy only where its counters are those of the log at its place.
#[test]
fn copy_whose_counters_are_not_those_of_the_log_is_not_started_on() {
    let (log, _) = everything();
    for wrong in [0_u64, 1] {
        let memory = with_a_skipped(&log, wrong);
        let mut seed = Node::start(&memory.disk());
        let pending = seed.store.request_backup();
        seed.settle();
        let mut archive = Vec::new();
        let mut backup = pending.try_begin(&[]).unwrap().expect("the snapshot is made");
        while let Some(chunk) = backup.next_chunk().unwrap() {
            archive.extend_from_slice(&chunk);
        }
        let copies = MemoryDisk::new(2);
        let (disk, folder) = (copies.disk(), Path::new(FOLDER));
        assert!(Target::is_wanted(&disk, folder).unwrap());
        Target::open(&disk, folder, &mut || ()).unwrap().receive(&archive[..], &mut |_| ()).unwrap();
        assert!(!Target::is_wanted(&disk, folder).unwrap());
        let options = options(&Clock::manual(1), folder, CatalogueLimits::default());
        let opened = Stepped::open(&disk, &options, StoreId::new(6), &mut || ());
        let damage = match opened {
            Ok(_) => None,
            Err(OpenError::Damaged(damage)) => Some(damage.what),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(damage.is_some(), wrong == 1, "{damage:?}");
        assert!(damage.is_none_or(|what| what.contains("digest")));
    }
}

/// A journal whose messages are not in a row is refused, by a start and by a fold.
#[test]
fn record_that_is_not_of_the_next_message_is_damage() {
    let (log, _) = everything();
    let memory = with_a_record(&log, |LogFigures { position, digest, time: stamp, .. }| {
        let noted = Noted::Applied(WriterId::new(7), MessageNumber::new(9));
        LogEntry { log: LOG, position, stamp, digest, noted }
    });
    let options = options(&Clock::manual(1), Path::new(FOLDER), CatalogueLimits::default());
    let refused = Stepped::open(&memory.disk(), &options, StoreId::new(5), &mut || ());
    let Err(OpenError::Damaged(damage)) = refused else { panic!("it opens") };
    assert!(damage.what.contains("next message"), "{damage}");
}

/// A data directory as the first version with a log has it. `TALLYD_BLESS=1 cargo test` writes it anew, which is right only
/// while no such version has been released.
#[test]
fn directory_of_a_node_of_a_log_is_read_as_it_was_written() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log-directory-1");
    let (log, mut state) = everything();
    let last = part(vec![name(6, "six")], &[(messages_of(1), HOUR + 2, 8)]);
    let scratch = tempfile::tempdir().unwrap();
    let write_anew = || {
        let mut log = everything().0;
        let limits = CatalogueLimits::default();
        let mut node = Node::try_start_in(&Disk::new(), scratch.path(), limits).unwrap();
        node.follow(&log);
        node.fold();
        let key = batch_key(KeyRule::Key, 1, 1);
        log.batches(START + 9, &[keyed(Some(key), vec![], &[]), last.clone()]);
        node.follow(&log);
        if fixture.exists() {
            std::fs::remove_dir_all(&fixture).unwrap();
        }
        copy(scratch.path(), &fixture);
        for name in ["LOCK", "reserve"] {
            std::fs::remove_file(fixture.join(name)).unwrap();
        }
    };
    if std::env::var_os("TALLYD_BLESS").is_some() {
        write_anew();
    }
    let old = tempfile::tempdir().unwrap();
    copy(&fixture, old.path());
    let node = Node::try_start_in(&Disk::new(), old.path(), CatalogueLimits::default()).unwrap();
    write(&mut state, &last);
    assert_eq!(node.state(), state);
    assert_eq!(node.position(), log.messages.len() + 1);
    node.check();
    let view = node.store.log_view();
    let again = PartOutcome::Repeated(batch_key(KeyRule::Key, 1, 1).answer);
    assert_eq!(view.known(batch_key(KeyRule::Key, 1, 1).identity), Some(again));
}

/// What was read of the log since the last snapshot is in a copy as the journal has it, and a node on the copy goes on from there.
#[test]
fn copy_of_a_node_has_the_messages_after_its_snapshot() {
    let (mut log, mut state) = everything();
    let (memory, copies) = (MemoryDisk::new(1), MemoryDisk::new(2));
    let mut node = Node::start(&memory.disk());
    node.follow(&log);
    node.fold();
    let last = part(vec![name(6, "six")], &[(messages_of(1), HOUR + 2, 8)]);
    let key = batch_key(KeyRule::Key, 1, 1);
    log.batches(START + 9, &[keyed(Some(key.clone()), vec![], &[]), last.clone()]);
    write(&mut state, &last);
    node.follow(&log);
    let pending = node.store.request_backup();
    node.settle();
    let mut backup = pending.try_begin(&[]).unwrap().expect("the journal is sealed");
    assert!(backup.listing().files.iter().any(|file| file.name.ends_with(".journal")));
    let mut archive = Vec::new();
    while let Some(chunk) = backup.next_chunk().unwrap() {
        archive.extend_from_slice(&chunk);
    }
    let target = Target::open(&copies.disk(), Path::new(FOLDER), &mut || ()).unwrap();
    target.receive(archive.as_slice(), &mut |_| ()).unwrap();
    let mut second = Node::start(&copies.disk());
    assert_eq!((second.state(), second.position()), (state.clone(), node.position()));
    second.check();
    assert_eq!(second.store.log_view().known(key.identity), Some(PartOutcome::Repeated(key.answer)));
    log.batches(START + 10, std::slice::from_ref(&last));
    write(&mut state, &last);
    second.follow(&log);
    assert_eq!(second.state(), state);
    second.check();
}

/// What a random test does.
#[derive(Clone, Debug)]
enum Act {
    Message(Vec<Part>),
    Skipped,
    Restart,
    Fold,
}

fn any_part() -> impl Strategy<Value = Part> {
    let metric = prop_oneof![
        Just(Metric::Messages),
        (0..3_u8).prop_map(|number| Metric::Interaction(node(number))),
        Just(Metric::Interaction(StoryNode::Fallback)),
    ];
    let count = prop_oneof![4 => 0..9_u64, 1 => Just(1 << 33)];
    let counts = prop::collection::vec((0..3_u8, metric, HOUR..HOUR + 2, count), 0..5);
    let named = prop::option::of("[a-z]{1,3}".prop_map(String::into_boxed_str));
    let change = (0..3_u8, 0..5_u8, named).prop_map(|(number, kind, name)| match kind {
        0 => delete(number),
        1 | 2 => Change::Node { story: story(number), node: node(kind), name },
        _ => Change::Story { story: story(number), name },
    });
    let known = prop::option::weighted(0.3, (0..3_u8, 0..2_u64));
    (known, prop::collection::vec(change, 0..3), counts).prop_map(|(known, changes, counts)| {
        let known = known.map(|(id, content)| batch_key(KeyRule::Key, id, content));
        let counts: Vec<(SeriesKey, u32, u64)> = counts
            .into_iter()
            .map(|(number, metric, hour, count)| (key(number, metric), hour, count))
            .collect();
        keyed(known, changes, &counts)
    })
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::collection::vec(any_part(), 1..5).prop_map(Act::Message),
        1 => Just(Act::Skipped),
        1 => Just(Act::Restart),
        1 => Just(Act::Fold),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_log_says_is_counted_so(acts in prop::collection::vec(any_act(), 1..14)) {
        let memory = MemoryDisk::new(1);
        let mut node = Node::start(&memory.disk());
        let (mut log, mut state) = (Log::new(Digest::EMPTY), State::default());
        let mut keys = std::collections::HashMap::new();
        node.follow(&log);
        for act in acts {
            match act {
                Act::Message(parts) => {
                    log.batches(START, &parts);
                    let outcomes = node.follow(&log);
                    for (part, outcome) in parts.iter().zip(outcomes) {
                        let expected = match part.key() {
                            None => PartOutcome::Counted,
                            Some(key) => match keys.get(&key.identity.id) {
                                None => {
                                    keys.insert(key.identity.id, key.identity.content);
                                    PartOutcome::Counted
                                }
                                Some(content) if *content == key.identity.content => {
                                    PartOutcome::Repeated(key.answer.clone())
                                }
                                Some(_) => PartOutcome::Conflict,
                            },
                        };
                        if outcome == PartOutcome::Counted {
                            write(&mut state, part);
                        }
                        prop_assert_eq!(outcome, expected);
                    }
                }
                Act::Skipped => {
                    log.push(START, (9, 0), Body::Witness);
                    node.follow(&log);
                }
                Act::Restart => node = node.restart(&memory),
                Act::Fold => {
                    // Where nothing is new there is no snapshot to make.
                    node.store.request_snapshot();
                    node.settle();
                }
            }
            prop_assert_eq!(&node.state(), &state);
            node.check();
        }
        let node = node.restart(&memory);
        prop_assert_eq!(node.state(), state);
    }
}
