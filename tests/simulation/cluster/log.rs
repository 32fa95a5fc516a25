//! The log, simulated: one order of messages with the faults that were seen of real ones. It stores twice, late or never what it
//! is sent, says so falsely or not at all, goes back, is purged, jumps with its clock; its servers show older states, and consumers
//! begin too early, skip and stall. Knows nothing of what the messages mean to those who read them.

use std::rc::Rc;
use std::sync::Arc;

use tallyd::cluster::follow::LogState;
use tallyd::cluster::message::{Body, Genesis, Message};
use tallyd::cluster::position::{LogId, LogSequence, LogStamp, MessageNumber, Position, WriterId};
use tallyd::cluster::publish::{Ack, Sending};

use crate::counts::Counts;
use crate::random::Random;

/// Noon of some day, in milliseconds.
const START_MS: u64 = 1_552_824_000_000;

/// A message that was sent once, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) message: Message,
    /// The batches in it, ascending.
    pub(crate) batches: Vec<usize>,
    /// What its sender had truly read, up to the base.
    pub(crate) base_truth: u64,
}

/// A message as it is stored: each storing is another one.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) payload: Rc<Payload>,
    pub(crate) stamp: LogStamp,
    /// Names the storing.
    pub(crate) id: u64,
}

/// One course of the log. The first place is that of sequence 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Branch {
    /// What is before it was purged.
    first: u64,
    entries: Vec<Option<Entry>>,
}

impl Branch {
    pub(crate) fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn state(&self) -> LogState {
        LogState { first: LogSequence::new(self.first.max(1)), last: LogSequence::new(self.last()) }
    }

    pub(crate) fn at(&self, sequence: u64) -> Option<&Entry> {
        if sequence < self.first.max(1) {
            return None;
        }
        self.entries.get(usize::try_from(sequence).unwrap() - 1)?.as_ref()
    }
}

/// Which server a consumer is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    Main,
    /// One that still shows what the others have lost.
    Old,
}

/// A consumer of one reader.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    view: View,
    next: u64,
    is_stalled: bool,
}

/// A message on its way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) sending: Sending,
    pub(crate) payload: Rc<Payload>,
}

pub(crate) struct Log {
    pub(crate) id: LogId,
    pub(crate) main: Branch,
    old: Option<Branch>,
    stored: u64,
    /// Milliseconds that the log's clock is ahead.
    ahead: i64,
    /// The log is as it should be.
    pub(crate) is_healthy: bool,
    /// Messages that may come once more.
    afterlife: Vec<Rc<Payload>>,
    /// The last that anybody was shown, or told to be stored.
    shown: u64,
}

impl Log {
    /// A log that begins.
    pub(crate) fn new(id: LogId) -> Self {
        let mut log = Self {
            id,
            main: Branch::default(),
            old: None,
            stored: 0,
            ahead: 0,
            is_healthy: false,
            afterlife: Vec::new(),
            shown: 1,
        };
        log.begin();
        log
    }

    fn begin(&mut self) {
        let message = Message {
            log: self.id,
            writer: WriterId::new(1),
            number: MessageNumber::NONE,
            base: Position::default(),
            body: Body::Genesis(Genesis::default()),
        };
        let bytes = message.encode().into();
        self.store(&Rc::new(Payload { bytes, message, batches: Vec::new(), base_truth: 0 }), 0);
    }

    fn store(&mut self, payload: &Rc<Payload>, now_ms: u64) -> u64 {
        self.stored += 1;
        let ms = (START_MS + now_ms).saturating_add_signed(self.ahead);
        let stamp = LogStamp::new(ms * 1_000_000 + self.stored);
        self.main.entries.push(Some(Entry { payload: Rc::clone(payload), stamp, id: self.stored }));
        self.main.last()
    }

    /// A message comes; what the log says to that, if anything.
    pub(crate) fn receive(
        &mut self,
        flight: &Flight,
        now_ms: u64,
        (random, counts): (&mut Random, &mut Counts),
    ) -> Option<Ack> {
        let at = LogSequence::new;
        let payload = &flight.payload;
        if !self.is_healthy && random.one_in(3) {
            self.afterlife.push(Rc::clone(payload));
        }
        let fate = if self.is_healthy { 0 } else { random.below(100) };
        let is_silent = (70..80).contains(&fate);
        let (what, said) = match fate {
            70..76 => ("log: ack lost", Ack::Stored(at(self.store(payload, now_ms)))),
            76..80 => ("log: message lost", Ack::Failed),
            80..83 => ("log: not stored, and said so", Ack::Failed),
            83..86 => {
                self.store(payload, now_ms);
                ("log: stored, and said to be not", Ack::Failed)
            }
            86..89 => ("log: false duplicate", Ack::Duplicate(at(1 + random.below(self.main.last() + 1)))),
            89..91 => ("log: false ack", Ack::Stored(at(self.main.last() + 1))),
            91..93 => {
                self.store(payload, now_ms);
                ("log: stored twice at once", Ack::Stored(at(self.store(payload, now_ms) - 1)))
            }
            93..95 => {
                ("log: stored, and said to be a duplicate", Ack::Duplicate(at(self.store(payload, now_ms))))
            }
            95 => ("log: refused", Ack::Refused),
            _ => ("log: stored", Ack::Stored(at(self.store(payload, now_ms)))),
        };
        counts.note(what);
        if let Ack::Stored(sequence) = said
            && !is_silent
        {
            self.shown = self.shown.max(sequence.get().min(self.main.last()));
        }
        (!is_silent).then_some(said)
    }

    /// Something that was sent some time comes once more.
    pub(crate) fn repeat(&mut self, now_ms: u64, (random, counts): (&mut Random, &mut Counts)) {
        if !self.afterlife.is_empty() {
            let payload = Rc::clone(&self.afterlife[random.index(self.afterlife.len())]);
            self.store(&payload, now_ms);
            counts.note("log: late copy");
        }
    }

    /// Something that an earlier log was sent comes to this one.
    pub(crate) fn haunt(&mut self, from: &Payload, now_ms: u64, counts: &mut Counts) {
        let message = Message { log: LogId::new(self.id.get() ^ 1), ..from.message.clone() };
        let bytes = message.encode().into();
        let payload = Payload { bytes, message, batches: from.batches.clone(), base_truth: from.base_truth };
        self.store(&Rc::new(payload), now_ms);
        counts.note("log: message of an earlier life");
    }

    /// Another leader: what nobody was shown is not there.
    pub(crate) fn drop_unseen(&mut self, random: &mut Random, counts: &mut Counts) {
        if self.main.last() > self.shown {
            let kept = self.shown + random.below(self.main.last() - self.shown + 1);
            self.main.entries.truncate(usize::try_from(kept).unwrap());
            counts.note("log: unseen messages dropped");
        }
    }

    /// The log loses its end, which somebody may have read. One server may go on showing it.
    pub(crate) fn go_back(&mut self, random: &mut Random, counts: &mut Counts) -> bool {
        let last = self.main.last();
        let first = self.main.first.max(2);
        if last < first {
            return false;
        }
        let kept = first - 1 + random.below(last - first + 1);
        if random.one_in(2) {
            self.old = Some(self.main.clone());
            counts.note("log: went back, and shown as it was");
        }
        self.main.entries.truncate(usize::try_from(kept).unwrap());
        self.shown = self.shown.min(kept);
        counts.note("log: went back");
        true
    }

    /// The log is deleted, and another one made.
    pub(crate) fn make_anew(&mut self, counts: &mut Counts) {
        self.id = LogId::new(self.id.get() + 2);
        (self.main, self.old, self.shown) = (Branch::default(), None, 1);
        self.begin();
        counts.note("log: made anew");
    }

    /// What is before some message goes.
    pub(crate) fn purge(&mut self, random: &mut Random, counts: &mut Counts) {
        self.main.first = self.main.first.max(2 + random.below(self.main.last()));
        counts.note("log: purged");
    }

    /// A message in the middle goes.
    pub(crate) fn delete(&mut self, random: &mut Random, counts: &mut Counts) {
        let place = random.index(self.main.entries.len());
        self.main.entries[place] = None;
        self.shown = self.shown.max(place as u64 + 1);
        counts.note("log: message deleted");
    }

    /// The clock of another leader.
    pub(crate) fn jump(&mut self, random: &mut Random, counts: &mut Counts) {
        let hour = 3_600_000;
        self.ahead =
            random.pick(&[-25 * hour, -hour, -1_000, 0, 1_000, hour, 23 * hour, 25 * hour, 50 * hour]);
        counts.note("log: clock jumped");
    }

    /// All servers show the same from now on, and do as they should.
    pub(crate) fn heal(&mut self) {
        (self.old, self.is_healthy) = (None, true);
        self.afterlife.clear();
    }

    pub(crate) fn consume(&self, start: u64, (random, counts): (&mut Random, &mut Counts)) -> Consumer {
        let mut consumer = Consumer { view: View::Main, next: start, is_stalled: false };
        if self.is_healthy {
            return consumer;
        }
        if self.old.is_some() && random.one_in(2) {
            consumer.view = View::Old;
            counts.note("consumer: of the old course");
        }
        match random.below(12) {
            0 => {
                consumer.next = 1 + random.below(start);
                counts.note("consumer: begins too early");
            }
            1 => {
                consumer.next = start + 1 + random.below(2);
                counts.note("consumer: begins too late");
            }
            2 => {
                consumer.is_stalled = true;
                counts.note("consumer: stalled");
            }
            _ => {}
        }
        consumer
    }

    /// The next message for a consumer.
    pub(crate) fn next(
        &mut self,
        consumer: &mut Consumer,
        (random, counts): (&mut Random, &mut Counts),
    ) -> Option<(u64, Entry)> {
        let branch = match (consumer.view, &self.old) {
            (View::Old, Some(old)) => old,
            _ => &self.main,
        };
        if consumer.is_stalled {
            return None;
        }
        if !self.is_healthy && random.one_in(60) && consumer.next < branch.last() {
            consumer.next += 1;
            counts.note("consumer: skipped a message");
        }
        let mut next = consumer.next.max(branch.first).max(1);
        while next <= branch.last() && branch.at(next).is_none() {
            next += 1;
        }
        let entry = branch.at(next)?.clone();
        consumer.next = next + 1;
        if consumer.view == View::Main {
            self.shown = self.shown.max(next);
        }
        Some((next, entry))
    }

    /// Whether a consumer is at a server that shows what the others have lost.
    pub(crate) fn is_old(consumer: &Consumer) -> bool {
        consumer.view == View::Old
    }

    /// The state as some server says it: it may be behind.
    pub(crate) fn state(&self, (random, counts): (&mut Random, &mut Counts)) -> LogState {
        let state = self.main.state();
        if self.is_healthy || !random.one_in(4) {
            return state;
        }
        counts.note("log: old state");
        let last = random.below(state.last.get() + 1);
        LogState {
            first: LogSequence::new(1 + random.below(state.first.get())),
            last: LogSequence::new(last),
        }
    }

    /// One message as some server has it, and how far that reaches.
    pub(crate) fn fetch(
        &self,
        sequence: u64,
        (random, counts): (&mut Random, &mut Counts),
    ) -> (Option<Entry>, LogState) {
        let mut state = self.main.state();
        if !self.is_healthy && random.one_in(5) {
            counts.note("log: asked a server that is behind");
            state.last = LogSequence::new(random.below(state.last.get() + 1));
        }
        let found = self.main.at(sequence).filter(|_| sequence <= state.last.get());
        (found.cloned(), state)
    }
}
