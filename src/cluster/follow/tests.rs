//! Each row of the table of cases.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::unnecessary_wraps,
    reason = "noise in tests"
)]

use super::*;
use crate::cluster::gather::{Gathered, NamedBatch};
use crate::cluster::message::{AlarmCause, Body, Genesis, MessageError};
use crate::cluster::position::{ChainValue, MessageNumber, WriterId};
use crate::limits::DAMAGED_READS_MAX;

const LOG: LogId = LogId::new(1);
const OTHER_LOG: LogId = LogId::new(2);
const WRITER: u64 = 7;

/// A log in memory, and what reads it.
struct Bench {
    stored: Vec<(LogStamp, Vec<u8>)>,
    follower: Follower,
    now: Duration,
}

fn at(number: u64) -> LogSequence {
    LogSequence::new(number)
}

fn bytes(log: LogId, number: u64, base: Position, body: Body) -> Vec<u8> {
    Message { log, writer: WriterId::new(WRITER), number: MessageNumber::new(number), base, body }.encode()
}

fn genesis(log: LogId, digest: Digest) -> Vec<u8> {
    bytes(log, 0, Position::default(), Body::Genesis(Genesis { digest, ..Genesis::default() }))
}

fn batches() -> Body {
    let mut gathered = Gathered::default();
    gathered.join(&NamedBatch::default());
    Body::Batches(gathered.into_parts())
}

impl Bench {
    /// A log of a genesis and messages 1, 2, … of one writer, all read.
    fn new(messages: u64) -> Self {
        let follower = Follower::new(Replica::new(Digest::EMPTY), Duration::ZERO);
        let mut bench = Self { stored: Vec::new(), follower, now: Duration::ZERO };
        bench.store(genesis(LOG, Digest::EMPTY));
        assert_eq!(bench.deliver(1), Step::Enter(LOG));
        for number in 1..=messages {
            bench.send(number);
            let sequence = bench.stored.len() as u64;
            assert!(matches!(bench.deliver(sequence), Step::Apply(..)));
        }
        bench
    }

    fn position(&self) -> Position {
        self.follower.replica().position()
    }

    fn store(&mut self, bytes: Vec<u8>) {
        let stamp = LogStamp::new(1_000 * (1 + self.stored.len() as u64));
        self.stored.push((stamp, bytes));
    }

    /// Stores a message whose sender has read what was read here.
    fn send(&mut self, number: u64) {
        self.store(bytes(LOG, number, self.position(), batches()));
    }

    fn deliver(&mut self, sequence: u64) -> Step {
        let (stamp, bytes) = self.stored[sequence as usize - 1].clone();
        self.take(Found::Delivered(at(sequence), Stored { stamp, bytes: &bytes }))
    }

    fn take(&mut self, found: Found<'_>) -> Step {
        let before = self.follower.replica().clone();
        let step = self.follower.take(found, self.now);
        let moves = matches!(step, Step::Apply(..) | Step::Skip(_) | Step::Enter(_));
        let last = if moves { before.position().sequence.next() } else { before.position().sequence };
        assert_eq!(self.position().sequence, last, "{step:?}");
        assert_eq!(moves, *self.follower.replica() != before, "{step:?}");
        step
    }

    /// The log can be reached, and the consumer has shown what was read last.
    fn connect(&mut self) {
        let last = self.position().sequence;
        assert_eq!(self.take(Found::Connected), Step::Challenge(last));
        assert_eq!(self.deliver(last.get()), Step::Met);
    }

    fn log(&self) -> LogState {
        LogState { first: at(1), last: at(self.stored.len() as u64) }
    }
}

fn silence() -> Duration {
    LOG_SILENCE_MAX
}

#[test]
fn reached_log_is_read_from_the_position_on_and_challenged() {
    let mut bench = Bench::new(3);
    assert_eq!(bench.take(Found::Connected), Step::Challenge(at(4)));
    let mut fresh = Follower::new(Replica::new(Digest::EMPTY), Duration::ZERO);
    assert_eq!(fresh.take(Found::Connected, Duration::ZERO), Step::Challenge(at(1)));
}

#[test]
fn first_message_must_be_the_one_that_was_read_there() {
    let mut bench = Bench::new(3);
    bench.connect();
    bench.send(4);
    assert!(matches!(bench.deliver(5), Step::Apply(..)));

    let mut bench = Bench::new(0);
    bench.take(Found::Connected);
    bench.stored[0].1 = genesis(OTHER_LOG, Digest::EMPTY);
    let cause = StopCause::AnotherLog { at: at(1), log: OTHER_LOG };
    assert_eq!(bench.deliver(1), Step::Stop(cause), "the log was made anew");

    for spoil in [0, 1] {
        let mut bench = Bench::new(3);
        if spoil == 0 {
            bench.stored[3].0 = LogStamp::new(4_001);
        } else {
            bench.stored[3].1 = bytes(LOG, 9, Position::default(), batches());
        }
        bench.take(Found::Connected);
        assert_eq!(bench.deliver(4), Step::Stop(StopCause::Forked(at(4))));
        assert_eq!(bench.follower.stopped(), Some(&StopCause::Forked(at(4))));
        bench.send(4);
        assert_eq!(bench.deliver(5), Step::Nothing, "nothing more is taken");
    }
}

#[test]
fn message_that_was_read_before_is_dropped_whatever_it_is() {
    let mut bench = Bench::new(3);
    bench.connect();
    bench.stored[1].1 = vec![1, 2, 3];
    bench.stored[3].1 = genesis(OTHER_LOG, Digest::EMPTY);
    for sequence in 1..=4 {
        assert_eq!(bench.deliver(sequence), Step::Drop);
    }
    // Nor is what comes before the overlap looked at.
    bench.take(Found::Connected);
    assert_eq!(bench.deliver(2), Step::Drop);
}

#[test]
fn next_message_is_applied_or_skipped_by_its_number() {
    type Row = (u64, fn(&Step) -> bool);
    let mut bench = Bench::new(2);
    bench.connect();
    let cases: [Row; 4] = [
        (3, |step| matches!(step, Step::Apply(..))),
        (1, |step| matches!(step, Step::Skip(Skipped::Further(_)))),
        (5, |step| matches!(step, Step::Skip(Skipped::Early(_)))),
        (4, |step| matches!(step, Step::Apply(..))),
    ];
    for (number, is_expected) in cases {
        bench.send(number);
        let last = bench.stored.len() as u64;
        let step = bench.deliver(last);
        assert!(is_expected(&step), "{number}: {step:?}");
    }
    bench.store(bytes(LOG, 0, bench.position(), Body::Witness));
    assert!(matches!(bench.deliver(8), Step::Skip(Skipped::Witness(_))));
    assert_eq!(bench.follower.replica().marks().of(WriterId::new(WRITER)), MessageNumber::new(4));
}

#[test]
fn time_of_what_is_applied_is_the_largest_of_the_log() {
    let mut bench = Bench::new(1);
    bench.connect();
    for (number, stamp, expected) in [(2, 9_000, 9_000), (3, 4_000, 9_000), (4, 9_001, 9_001)] {
        bench.send(number);
        let last = bench.stored.len();
        bench.stored[last - 1].0 = LogStamp::new(stamp);
        let Step::Apply(_, time) = bench.deliver(last as u64) else { panic!("it is new") };
        assert_eq!(
            (time, bench.follower.replica().now()),
            (LogStamp::new(expected), LogStamp::new(expected))
        );
    }
}

#[test]
fn base_that_was_not_read_here_is_a_fork() {
    let other = |bench: &Bench| Position {
        sequence: at(2),
        chain: ChainValue::new(bench.position().chain.get() ^ 1),
    };
    let own_place = |bench: &Bench| Position { sequence: at(5), ..bench.position() };
    let bases: [fn(&Bench) -> Position; 2] = [other, own_place];
    for base in bases {
        for body in [batches(), Body::Witness] {
            let mut bench = Bench::new(3);
            bench.connect();
            let number = u64::from(body != Body::Witness) * 4;
            let base = base(&bench);
            bench.store(bytes(LOG, number, base, body));
            assert_eq!(bench.deliver(5), Step::Stop(StopCause::Forked(base.sequence)));
        }
    }
    // Of an older one than is kept nothing can be said.
    let mut bench = Bench::new(0);
    let old = Position { sequence: at(0), chain: ChainValue::new(99) };
    let kept = Chain::from_values(at(1), [bench.position().chain], 5).unwrap();
    bench.follower =
        Follower::new(Replica::from_kept(LOG, kept, Marks::new(9), LogClock::default()), Duration::ZERO);
    bench.connect();
    bench.store(bytes(LOG, 1, old, batches()));
    assert!(matches!(bench.deliver(2), Step::Apply(..)));
}

#[test]
fn missing_message_is_asked_for_and_is_a_gap_only_where_the_log_says_so() {
    let mut bench = Bench::new(1);
    bench.connect();
    let number = bench.position();
    for n in 2..=4 {
        bench.store(bytes(LOG, n, number, batches()));
    }
    assert_eq!(bench.deliver(5), Step::Fetch(at(3)));
    let log = bench.log();
    let (stamp, missing) = bench.stored[2].clone();
    let there = Some(Stored { stamp, bytes: &missing });
    assert_eq!(bench.take(Found::Fetched(at(3), there, log)), Step::Begin(at(2), Server::Any));
    // A server that does not reach so far knows nothing.
    let behind = LogState { first: at(1), last: at(2) };
    assert_eq!(bench.take(Found::Fetched(at(3), None, behind)), Step::Challenge(at(2)));
    assert_eq!(bench.deliver(2), Step::Met);
    // An answer to an earlier question.
    assert_eq!(bench.take(Found::Fetched(at(9), None, log)), Step::Nothing);
    for log in [log, LogState { first: at(5), last: at(4) }] {
        let mut bench = Bench::new(1);
        bench.connect();
        assert_eq!(bench.take(Found::Fetched(at(3), None, log)), Step::Stop(StopCause::Gap(at(3))));
    }
}

fn found(stamp: LogStamp, bytes: &[u8]) -> Option<Stored<'_>> {
    Some(Stored { stamp, bytes })
}

#[test]
fn consumer_that_does_not_show_the_position_first_is_not_believed() {
    let mut bench = Bench::new(1);
    bench.take(Found::Connected);
    bench.send(2);
    assert_eq!(bench.deliver(3), Step::Fetch(at(2)));
    let log = bench.log();
    let (stamp, own) = bench.stored[1].clone();
    // It is there, and is what was read: the log itself has shown it.
    assert_eq!(bench.take(Found::Fetched(at(2), found(stamp, &own), log)), Step::Begin(at(3), Server::Any));
    assert!(matches!(bench.deliver(3), Step::Apply(..)));

    for (other, expected) in [
        (Some(bytes(LOG, 9, Position::default(), batches())), Step::Stop(StopCause::Forked(at(2)))),
        (Some(vec![1, 2, 3, 4, 5, 6, 7]), Step::Begin(at(2), Server::Another)),
        (None, Step::Begin(at(3), Server::Any)),
    ] {
        let mut bench = Bench::new(1);
        bench.take(Found::Connected);
        let stored = other.as_ref().and_then(|bytes| found(stamp, bytes));
        assert_eq!(bench.take(Found::Fetched(at(2), stored, log)), expected);
    }
    let mut bench = Bench::new(1);
    bench.take(Found::Connected);
    let behind = LogState { first: at(1), last: at(1) };
    assert_eq!(bench.take(Found::Fetched(at(2), None, behind)), Step::Challenge(at(2)));
}

#[test]
fn log_that_ends_before_the_position_is_challenged_and_one_that_begins_behind_it_asked() {
    let mut bench = Bench::new(3);
    bench.connect();
    let state = |first, last| Found::State(LogState { first: at(first), last: at(last) });
    assert_eq!(bench.take(state(1, 3)), Step::Challenge(at(4)));
    assert_eq!(bench.deliver(4), Step::Met);
    assert_eq!(bench.take(state(6, 9)), Step::Fetch(at(5)));
    assert_eq!(bench.take(state(5, 9)), Step::Nothing);
    assert_eq!(bench.take(state(1, 4)), Step::Nothing);
}

#[test]
fn next_message_is_asked_for_after_a_silence_where_the_log_goes_on() {
    let mut bench = Bench::new(3);
    bench.connect();
    let state = |last| Found::State(LogState { first: at(1), last: at(last) });
    bench.now = Duration::from_millis(1_999);
    assert!(!bench.follower.is_silent(bench.now));
    assert_eq!(bench.take(state(9)), Step::Nothing, "it has not been silent for long");
    bench.now = silence();
    assert!(bench.follower.is_silent(bench.now));
    assert!(!bench.follower.is_silent(bench.now), "it is asked once");
    assert_eq!(bench.take(state(4)), Step::Nothing, "there is nothing to say");
    assert_eq!(bench.take(state(9)), Step::Fetch(at(5)));
    assert!(!bench.follower.is_silent(bench.now + silence() / 2));
    let next = Some(Stored { stamp: LogStamp::new(1), bytes: &[] });
    let log = LogState { first: at(1), last: at(9) };
    assert_eq!(bench.take(Found::Fetched(at(5), next, log)), Step::Begin(at(4), Server::Any));
    // The new one has not even shown the position.
    bench.now += silence();
    assert_eq!(bench.take(state(9)), Step::Fetch(at(4)));
    assert_eq!(bench.take(state(4)), Step::Begin(at(4), Server::Any));
}

#[test]
fn ack_for_a_place_that_was_read_before_is_a_log_that_went_back() {
    let mut bench = Bench::new(3);
    assert_eq!(bench.take(Found::Acked { left: at(3), stored: at(4) }), Step::Nothing);
    assert_eq!(
        bench.take(Found::Acked { left: at(3), stored: at(3) }),
        Step::Stop(StopCause::WentBack(at(3)))
    );
}

#[test]
fn alarm_stops_with_its_cause_and_is_handed_on() {
    for cause in AlarmCause::ALL {
        let mut bench = Bench::new(1);
        bench.connect();
        // Its base has left the chain here; that it is an alarm is enough.
        bench.store(bytes(LOG, 0, Position { sequence: at(77), ..Position::default() }, Body::Alarm(cause)));
        assert_eq!(bench.deliver(3), Step::Stop(StopCause::Alarm(cause)));
        assert_eq!(StopCause::Alarm(cause).alarm(), Some(cause));
    }
    assert_eq!(StopCause::Forked(at(1)).alarm(), Some(AlarmCause::Forked));
    assert_eq!(StopCause::WentBack(at(1)).alarm(), Some(AlarmCause::WentBack));
    assert_eq!(StopCause::Gap(at(1)).alarm(), None);
}

#[test]
fn message_of_another_log_is_skipped_and_its_genesis_stops() {
    let mut bench = Bench::new(1);
    bench.connect();
    let far = Position { sequence: at(99), ..Position::default() };
    bench.store(bytes(OTHER_LOG, 1, far, batches()));
    bench.store(bytes(OTHER_LOG, 0, far, Body::Alarm(AlarmCause::Forked)));
    bench.store(genesis(LOG, Digest::EMPTY));
    bench.store(genesis(OTHER_LOG, Digest::EMPTY));
    assert_eq!(bench.deliver(3), Step::Skip(Skipped::OtherLog));
    assert_eq!(bench.deliver(4), Step::Skip(Skipped::OtherLog));
    assert_eq!(bench.deliver(5), Step::Skip(Skipped::Genesis));
    assert_eq!(bench.deliver(6), Step::Stop(StopCause::AnotherLog { at: at(6), log: OTHER_LOG }));
}

#[test]
fn log_must_begin_with_a_genesis_of_the_state_that_is_there() {
    let cases = [
        (genesis(LOG, Digest::EMPTY), Step::Enter(LOG)),
        (genesis(LOG, Digest::new(5)), Step::Stop(StopCause::AnotherStart(LOG))),
        (bytes(LOG, 1, Position::default(), batches()), Step::Stop(StopCause::NoGenesis)),
    ];
    for (first, expected) in cases {
        let mut follower = Follower::new(Replica::new(Digest::EMPTY), Duration::ZERO);
        let stored = Stored { stamp: LogStamp::new(1), bytes: &first };
        assert_eq!(follower.take(Found::Delivered(at(1), stored), Duration::ZERO), expected);
    }
}

#[test]
fn damaged_message_is_read_again_elsewhere_and_then_stops() {
    let damage = |bench: &mut Bench, sequence: usize| *bench.stored[sequence - 1].1.last_mut().unwrap() ^= 1;
    let mut bench = Bench::new(1);
    bench.connect();
    bench.send(2);
    damage(&mut bench, 3);
    for _ in 1..DAMAGED_READS_MAX {
        assert_eq!(bench.deliver(3), Step::Begin(at(2), Server::Another));
        assert_eq!(bench.deliver(2), Step::Met);
    }
    let error = MessageError::Damaged;
    assert_eq!(bench.deliver(3), Step::Stop(StopCause::Unreadable { at: at(3), error }));

    // What is damaged at the position is no fork, and sound elsewhere it is met.
    let mut bench = Bench::new(1);
    bench.take(Found::Connected);
    damage(&mut bench, 2);
    assert_eq!(bench.deliver(2), Step::Begin(at(2), Server::Another));
    damage(&mut bench, 2);
    assert_eq!(bench.deliver(2), Step::Met);
    bench.send(2);
    assert!(matches!(bench.deliver(3), Step::Apply(..)));
    bench.send(3);
    damage(&mut bench, 4);
    assert_eq!(bench.deliver(4), Step::Begin(at(3), Server::Another), "the count began anew");

    let mut bench = Bench::new(0);
    bench.connect();
    let mut unknown = bytes(LOG, 1, bench.position(), batches());
    unknown[0] = 9;
    crate::cluster::message::testing::seal(&mut unknown);
    bench.store(unknown);
    let error = MessageError::Version(9);
    assert_eq!(bench.deliver(2), Step::Stop(StopCause::Unreadable { at: at(2), error }));
}

#[test]
fn every_cause_says_what_helps() {
    let causes = [
        StopCause::Forked(at(1)),
        StopCause::WentBack(at(1)),
        StopCause::Alarm(AlarmCause::Forked),
        StopCause::Gap(at(1)),
        StopCause::AnotherLog { at: at(1), log: LOG },
        StopCause::AnotherStart(LOG),
        StopCause::NoGenesis,
        StopCause::Unreadable { at: at(1), error: MessageError::Version(2) },
    ];
    for cause in causes {
        let words = cause.to_string();
        assert!(["stop", "start", "make it", "update"].iter().any(|help| words.contains(help)), "{words}");
    }
    assert_eq!(Skipped::OtherLog.as_str(), "other log");
}
