//! A node, simulated: the real decisions, stepped, with a plain state in place of the store. What it has read moves to its disk
//! only where it is synced; a death leaves that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tallyd::cluster::follow::{LogState, Replica, Server, Skipped, StopCause, Stored};
use tallyd::cluster::gather::{NamedBatch, PartPlace};
use tallyd::cluster::member::{Event, Member, Read, Request};
use tallyd::cluster::message::{Body, Message};
use tallyd::cluster::position::{LogSequence, LogStamp, Position, WriterId};
use tallyd::cluster::publish::{Ack, Answer, PartOutcome, Patience, Refused, Sender, Sending, Ticket};
use tallyd::limits::MESSAGE_BYTES_MAX;
use tallyd::store::LogRead;

use super::log::{Consumer, Entry};
use super::state::State;
use super::stores::Running;
use crate::counts::Counts;
use crate::model::Fault;
use crate::random::Random;

/// What a node has on its disk.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) replica: Replica,
    pub(crate) state: State,
    /// For each place of the log that was read, the storings up to there: a hash that is not the chain's.
    pub(crate) truth: Vec<u64>,
    /// What was read, in order.
    pub(crate) entries: Vec<Entry>,
}

/// One life of a node.
pub(crate) struct Process {
    pub(crate) life: u64,
    born_ms: u64,
    pub(crate) member: Member,
    /// What is read, but not on the disk yet; its replica is the member's.
    pub(crate) live: Kept,
    /// The store that it is recorded in, where there is a real one.
    pub(crate) running: Option<Running>,
    /// A consumer that is to be made, and the one that there is.
    pub(crate) wanted: Option<(LogSequence, Server)>,
    pub(crate) consumer: Option<Consumer>,
    /// Questions to the log that wait for an answer.
    pub(crate) asks_state: bool,
    pub(crate) asks: Option<LogSequence>,
    /// Answers that wait until what they say is on the disk.
    held: Vec<(Ticket, LogSequence, PartOutcome)>,
    pub(crate) is_synced: bool,
    /// Connections of clients, by what they are called, and under which writer those of their batches went
    /// out that are not answered.
    pub(crate) connections: Vec<(u64, Option<WriterId>)>,
    closed: Vec<u64>,
    random: Random,
    pub(crate) steps: HashMap<&'static str, u64>,
}

/// What a node wants of the world.
pub(crate) enum Wish {
    Send(Sending),
    Answer(Ticket, Answer),
}

impl Kept {
    pub(crate) fn new() -> Self {
        let state = State::default();
        Self { replica: Replica::new(state.digest), state, truth: vec![0], entries: Vec::new() }
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.replica.position().sequence.get()
    }
}

/// The storings up to one more.
fn next_truth(before: u64, entry: &Entry) -> u64 {
    Random::new(before ^ entry.id.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next()
}

impl Process {
    /// Starts from what is on the disk. It writes under that id at first.
    pub(crate) fn start(kept: &Kept, life: u64, now_ms: u64, (writer, random): (WriterId, Random)) -> Self {
        let (mut first, mut others) = (Some(writer), random.clone());
        let writers = move || first.take().unwrap_or_else(|| WriterId::new(others.next()));
        Self {
            life,
            born_ms: now_ms,
            member: Member::new(kept.replica.clone(), writers, Duration::ZERO),
            live: kept.clone(),
            running: None,
            wanted: None,
            consumer: None,
            asks_state: false,
            asks: None,
            held: Vec::new(),
            is_synced: true,
            connections: Vec::new(),
            closed: Vec::new(),
            random,
            steps: HashMap::new(),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.member.replica().position()
    }

    pub(crate) fn stopped(&self) -> Option<&StopCause> {
        self.member.stopped()
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.member.is_connected()
    }

    /// Whether a connection is or was one of this life.
    pub(crate) fn is_of(&self, connection: u64) -> bool {
        self.connections.iter().any(|own| own.0 == connection) || self.closed.contains(&connection)
    }

    fn now(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms - self.born_ms)
    }

    fn note(&mut self, what: &'static str) {
        *self.steps.entry(what).or_default() += 1;
    }

    /// A client's batch on one of the connections, which is named; an error is the batch's answer.
    pub(crate) fn submit(
        &mut self,
        (ticket, place): (Ticket, usize),
        batch: &NamedBatch,
        now_ms: u64,
    ) -> (u64, Result<(), Refused>) {
        let now = self.now(now_ms);
        let (connection, after) = self.connections[place];
        // Every second connection waits as long as it takes.
        let patience = if place.is_multiple_of(2) { Patience::Bounded } else { Patience::Unbounded };
        let outcome = self.member.submit((ticket, Sender { after, patience }), batch, now);
        let outcome = outcome.map(|writer| self.connections[place].1 = Some(writer));
        (connection, outcome)
    }

    /// All that a connection has sent is answered.
    pub(crate) fn quiet(&mut self, connection: u64) {
        if let Some(own) = self.connections.iter_mut().find(|own| own.0 == connection) {
            own.1 = None;
        }
    }

    /// A client closes its connection, and makes another one.
    pub(crate) fn reconnect(&mut self, connection: u64, next: u64) {
        if let Some(own) = self.connections.iter_mut().find(|own| own.0 == connection) {
            *own = (next, None);
            self.closed.push(connection);
        }
    }

    pub(crate) fn connect(&mut self, now_ms: u64) -> Result<(), Fault> {
        self.take(Event::Connected { message_bytes_max: MESSAGE_BYTES_MAX }, None, now_ms)
    }

    pub(crate) fn disconnect(&mut self, now_ms: u64) -> Result<(), Fault> {
        (self.consumer, self.wanted) = (None, None);
        (self.asks_state, self.asks) = (false, None);
        self.take(Event::Disconnected, None, now_ms)
    }

    /// The consumer delivers a message, which may be damaged on the way.
    pub(crate) fn deliver(
        &mut self,
        sequence: u64,
        (entry, is_damaged): (&Entry, bool),
        now_ms: u64,
    ) -> Result<(), Fault> {
        let mut bytes = entry.payload.bytes.to_vec();
        if is_damaged {
            let bit = self.random.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.note("damaged on the way");
        }
        let stored = Stored { stamp: entry.stamp, bytes: &bytes };
        self.take(Event::Delivered(LogSequence::new(sequence), stored), Some(entry), now_ms)
    }

    /// The log's state comes, which was asked for.
    pub(crate) fn told_state(&mut self, state: LogState, now_ms: u64) -> Result<(), Fault> {
        self.take(Event::State(state), None, now_ms)
    }

    /// One message comes, or that there is none.
    pub(crate) fn told_message(
        &mut self,
        sequence: LogSequence,
        (entry, state): (Option<Entry>, LogState),
        now_ms: u64,
    ) -> Result<(), Fault> {
        let stored = entry.as_ref().map(|entry| Stored { stamp: entry.stamp, bytes: &entry.payload.bytes });
        self.take(Event::Fetched(sequence, stored, state), None, now_ms)
    }

    /// What the log says of a sending.
    pub(crate) fn told_ack(&mut self, sending: &Sending, ack: Ack, now_ms: u64) -> Result<(), Fault> {
        self.take(Event::Acked(sending, ack), None, now_ms)
    }

    fn take(&mut self, event: Event<'_>, entry: Option<&Entry>, now_ms: u64) -> Result<(), Fault> {
        let Some(read) = self.member.take(event, self.now(now_ms)) else { return Ok(()) };
        let entry = entry.ok_or("something is read that was not delivered")?;
        let mut copy = self.running.is_some().then(|| read.clone());
        let mut outcomes = Vec::new();
        match read {
            Read::Applied { message, time, tickets } => {
                outcomes = self.apply((&message, time), tickets, entry)?;
            }
            Read::Entered(_) => {}
            Read::Skipped(skipped) => self.note(match skipped {
                Skipped::Further(_) => "skipped: further copy",
                Skipped::Early(_) => "skipped: early",
                Skipped::Witness(_) => "skipped: witness",
                Skipped::Unwelcome(_) => "skipped: unwelcome",
                Skipped::OtherLog => "skipped: of another log",
                Skipped::Genesis => "skipped: genesis",
            }),
        }
        self.live.truth.push(next_truth(*self.live.truth.last().unwrap(), entry));
        self.live.entries.push(entry.clone());
        self.is_synced = false;
        if let (Some(running), Some(mut read)) = (&mut self.running, copy.take()) {
            // The store says what each part came to.
            if let Read::Applied { tickets, .. } = &mut read {
                *tickets =
                    (0..outcomes.len()).map(|place| (Ticket(place as u64), PartPlace(place))).collect();
            }
            let replica = self.member.replica();
            let read = LogRead { read, position: replica.position(), stamp: entry.stamp };
            running.take(read, outcomes, &self.live, replica);
        }
        Ok(())
    }

    fn apply(
        &mut self,
        (message, time): (&Message, LogStamp),
        tickets: Vec<(Ticket, PartPlace)>,
        entry: &Entry,
    ) -> Result<Vec<PartOutcome>, Fault> {
        self.note("applied");
        let Body::Batches(parts) = &message.body else { return Err(format!("{message:?} is applied")) };
        let base = message.base.sequence.get();
        let read = usize::try_from(base).ok().and_then(|base| self.live.truth.get(base)).copied();
        if read != Some(entry.payload.base_truth) {
            let at = self.live.truth.len();
            return Err(format!(
                "a message is applied at {at} whose sender had read another log up to {base}"
            ));
        }
        let outcomes: Vec<PartOutcome> = parts.iter().map(|part| self.live.state.apply(part, time)).collect();
        for outcome in &outcomes {
            match outcome {
                PartOutcome::Counted => {}
                PartOutcome::Repeated(_) => self.note("keys: repeated"),
                PartOutcome::Conflict => self.note("keys: conflict"),
            }
        }
        let sequence = self.position().sequence;
        let answers = tickets.into_iter().map(|(ticket, part)| (ticket, sequence, outcomes[part.0].clone()));
        self.held.extend(answers);
        Ok(outcomes)
    }

    /// What was read moves to the disk, as far as the real store is with it, where there is one.
    pub(crate) fn sync(
        &mut self,
        kept: &mut Kept,
        is_healthy: bool,
        (random, counts): (&mut Random, &mut Counts),
    ) -> Result<(), Fault> {
        let Some(running) = &mut self.running else {
            self.sync_plainly(kept);
            return Ok(());
        };
        loop {
            if let Some(at) = running.go_on(is_healthy, (random, counts))? {
                let (replica, state) = running.place(at);
                (kept.replica, kept.state) = (replica.clone(), state.clone());
                let at = usize::try_from(at).unwrap();
                kept.truth.extend(&self.live.truth[kept.truth.len()..=at]);
                kept.entries.extend_from_slice(&self.live.entries[kept.entries.len()..at]);
            }
            if !is_healthy || running.is_idle() {
                break;
            }
        }
        self.is_synced = running.is_idle();
        Ok(())
    }

    fn sync_plainly(&mut self, kept: &mut Kept) {
        kept.replica = self.member.replica().clone();
        kept.state.clone_from(&self.live.state);
        kept.truth.extend(self.live.truth.iter().skip(kept.truth.len()));
        kept.entries.extend(self.live.entries.iter().skip(kept.entries.len()).cloned());
        self.is_synced = true;
    }

    /// What is to be done by now. `kept` is how far the disk is.
    pub(crate) fn poll(&mut self, kept: u64, now_ms: u64) -> Vec<Wish> {
        let now = self.now(now_ms);
        let mut wishes = Vec::new();
        for request in self.member.poll(now) {
            match request {
                Request::Consume(start, server) => {
                    self.note("consumer made");
                    (self.wanted, self.consumer) = (Some((start, server)), None);
                }
                Request::Fetch(sequence) => {
                    self.note("message asked for");
                    self.asks = Some(sequence);
                }
                Request::State => self.asks_state = true,
                Request::Send(sending) => wishes.push(Wish::Send(sending)),
                Request::Answer(ticket, answer) => wishes.push(Wish::Answer(ticket, answer)),
            }
        }
        let (ready, held): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|(_, sequence, _)| sequence.get() <= kept);
        self.held = held;
        let ready = ready.into_iter();
        wishes.extend(ready.map(|(ticket, at, outcome)| Wish::Answer(ticket, Answer::Applied(at, outcome))));
        wishes
    }

    /// Whether nothing more is to be said or sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.member.is_idle() && self.held.is_empty() && self.is_synced
    }

    /// What the sender of these bytes had truly read.
    pub(crate) fn base_truth(&self, bytes: &Arc<[u8]>) -> Result<(Message, u64), Fault> {
        let message =
            Message::decode(bytes).map_err(|error| format!("a node sent what cannot be read: {error}"))?;
        let base = usize::try_from(message.base.sequence.get()).unwrap();
        let truth = self.live.truth.get(base).ok_or("a node says to have read what it has not")?;
        Ok((message, *truth))
    }
}
