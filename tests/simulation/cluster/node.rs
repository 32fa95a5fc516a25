//! A node, simulated: the real decisions (follower, publisher and what they use), stepped, with a plain state in place of the
//! store. What it has read moves to its disk only where it is synced; a death leaves that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tallyd::cluster::follow::{Follower, Found, LogState, Replica, Server, Skipped, Step, StopCause, Stored};
use tallyd::cluster::gather::NamedBatch;
use tallyd::cluster::message::{Body, Message};
use tallyd::cluster::position::{LogSequence, Position, WriterId};
use tallyd::cluster::publish::{Ack, Answer, Command, PartOutcome, Publisher, Refused, Sending, Ticket};
use tallyd::limits::MESSAGE_BYTES_MAX;

use super::log::{Consumer, Entry, Said};
use super::state::State;
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
    pub(crate) follower: Follower,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) live: Kept,
    pub(crate) is_linked: bool,
    /// A consumer that is to be made.
    pub(crate) wanted: Option<(LogSequence, Server)>,
    pub(crate) consumer: Option<Consumer>,
    /// Questions to the log that wait for an answer.
    pub(crate) asks_state: bool,
    pub(crate) asks: Option<LogSequence>,
    /// Answers that wait until what they say is on the disk.
    held: Vec<(Ticket, LogSequence, PartOutcome)>,
    pub(crate) is_synced: bool,
    /// Connections of clients, by what they are called, and under which writer their batches went out.
    pub(crate) connections: Vec<(u64, Option<WriterId>)>,
    pub(crate) closed: Vec<u64>,
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
    /// Starts from what is on the disk.
    pub(crate) fn start(kept: &Kept, life: u64, now_ms: u64, random: Random) -> Self {
        let mut process = Self {
            life,
            born_ms: now_ms,
            follower: Follower::new(kept.replica.clone(), Duration::ZERO),
            publisher: None,
            live: kept.clone(),
            is_linked: false,
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
        };
        if kept.replica.log().is_some() {
            process.publish();
        }
        process
    }

    fn publish(&mut self) {
        let Some(log) = self.follower.replica().log() else { return };
        let mut random = self.random.clone();
        let writers = move || WriterId::new(random.next());
        let mut publisher = Publisher::new(log, MESSAGE_BYTES_MAX, writers);
        if self.is_linked {
            publisher.connect(self.position(), MESSAGE_BYTES_MAX);
        }
        self.publisher = Some(publisher);
    }

    pub(crate) fn position(&self) -> Position {
        self.follower.replica().position()
    }

    pub(crate) fn stopped(&self) -> Option<&StopCause> {
        self.follower.stopped()
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
        let Some(publisher) = &mut self.publisher else { return (connection, Err(Refused::Away)) };
        let outcome = publisher.submit((ticket, after), batch, now);
        if outcome.is_ok() {
            self.connections[place].1 = Some(publisher.writer());
        }
        (connection, outcome)
    }

    /// A client closes its connection, and makes another one.
    pub(crate) fn reconnect(&mut self, connection: u64, next: u64) {
        if let Some(own) = self.connections.iter_mut().find(|own| own.0 == connection) {
            *own = (next, None);
            self.closed.push(connection);
        }
    }

    pub(crate) fn connect(&mut self, now_ms: u64) -> Result<(), Fault> {
        self.is_linked = true;
        let position = self.position();
        if let Some(publisher) = &mut self.publisher {
            publisher.connect(position, MESSAGE_BYTES_MAX);
        }
        self.asks_state = true;
        self.find(Found::Connected, None, now_ms)
    }

    pub(crate) fn disconnect(&mut self) {
        (self.is_linked, self.consumer, self.wanted) = (false, None, None);
        (self.asks_state, self.asks) = (false, None);
        if let Some(publisher) = &mut self.publisher {
            publisher.disconnect();
        }
    }

    /// The consumer delivers a message, which may be damaged on the way.
    pub(crate) fn deliver(
        &mut self,
        sequence: u64,
        entry: &Entry,
        is_damaged: bool,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let mut bytes = entry.payload.bytes.to_vec();
        if is_damaged {
            let bit = self.random.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.note("damaged on the way");
        }
        let stored = Stored { stamp: entry.stamp, bytes: &bytes };
        self.find(Found::Delivered(LogSequence::new(sequence), stored), Some(entry), now_ms)
    }

    /// The log's state comes, which was asked for.
    pub(crate) fn told_state(&mut self, state: LogState, now_ms: u64) -> Result<(), Fault> {
        if let Some(publisher) = &mut self.publisher {
            publisher.note_end(state.last);
        }
        self.find(Found::State(state), None, now_ms)
    }

    /// One message comes, or that there is none.
    pub(crate) fn told_message(
        &mut self,
        sequence: LogSequence,
        (entry, state): (Option<Entry>, LogState),
        now_ms: u64,
    ) -> Result<(), Fault> {
        let stored = entry.as_ref().map(|entry| Stored { stamp: entry.stamp, bytes: &entry.payload.bytes });
        self.find(Found::Fetched(sequence, stored, state), None, now_ms)
    }

    /// What the log says of a sending.
    pub(crate) fn told_ack(&mut self, sending: &Sending, said: Said, now_ms: u64) -> Result<(), Fault> {
        if let Said::Stored(sequence) = said {
            let stored = LogSequence::new(sequence);
            self.find(Found::Acked { left: sending.left, stored }, None, now_ms)?;
        }
        let ack = match said {
            Said::Stored(sequence) | Said::Duplicate(sequence) => Ack::Stored(LogSequence::new(sequence)),
            Said::Failed => Ack::Failed,
            Said::Refused => Ack::Refused,
        };
        if let Some(publisher) =
            self.publisher.as_mut().filter(|publisher| publisher.writer() == sending.writer)
        {
            publisher.acked(sending.number, ack);
        }
        Ok(())
    }

    fn find(&mut self, found: Found<'_>, entry: Option<&Entry>, now_ms: u64) -> Result<(), Fault> {
        let now = self.now(now_ms);
        let step = self.follower.take(found, now);
        let position = self.position();
        match step {
            Step::Nothing | Step::Drop | Step::Met => {}
            Step::Challenge(start) => {
                self.note("challenge");
                self.wanted = Some((start, Server::Any));
                if let Some(publisher) = &mut self.publisher {
                    publisher.challenge(position);
                }
            }
            Step::Begin(start, server) => {
                self.note("consumer made anew");
                self.wanted = Some((start, server));
            }
            Step::Fetch(sequence) => {
                self.note("message asked for");
                self.asks = Some(sequence);
            }
            Step::Apply(message, time) => self.apply(&message, time, (found, entry))?,
            Step::Skip(skipped) => {
                self.note(match &skipped {
                    Skipped::Further(_) => "skipped: further copy",
                    Skipped::Early(_) => "skipped: early",
                    Skipped::Witness(_) => "skipped: witness",
                    Skipped::Unwelcome(_) => "skipped: unwelcome",
                    Skipped::OtherLog => "skipped: of another log",
                    Skipped::Genesis => "skipped: genesis",
                });
                self.skip(&skipped, found);
                self.read(entry);
            }
            Step::Enter(_) => {
                self.read(entry);
                self.publish();
            }
            Step::Stop(cause) => {
                (self.consumer, self.wanted) = (None, None);
                (self.asks_state, self.asks) = (false, None);
                let why = Refused::Stopped(cause.to_string().into());
                if let Some(publisher) = &mut self.publisher {
                    publisher.stop(why, cause.alarm(), position);
                }
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        message: &Message,
        time: tallyd::cluster::position::LogStamp,
        (found, entry): (Found<'_>, Option<&Entry>),
    ) -> Result<(), Fault> {
        self.note("applied");
        let (Body::Batches(parts), Some(entry)) = (&message.body, entry) else {
            return Err(format!("{message:?} is applied"));
        };
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
        self.read(Some(entry));
        let sequence = self.position().sequence;
        if let Some(publisher) =
            self.publisher.as_mut().filter(|publisher| publisher.writer() == message.writer)
            && let Found::Delivered(_, stored) = found
        {
            publisher.applied((message.number, stored.bytes), sequence, &outcomes);
        }
        Ok(())
    }

    fn skip(&mut self, skipped: &Skipped, found: Found<'_>) {
        let (Skipped::Further(message) | Skipped::Early(message) | Skipped::Witness(message)) = skipped
        else {
            return;
        };
        let Some(publisher) =
            self.publisher.as_mut().filter(|publisher| publisher.writer() == message.writer)
        else {
            return;
        };
        match (skipped, found) {
            (Skipped::Early(_), Found::Delivered(_, stored)) => publisher.early(message.number, stored.bytes),
            (Skipped::Further(_), _) => publisher.further(message.number),
            (Skipped::Witness(_), _) => publisher.witnessed(message.base),
            _ => {}
        }
    }

    fn read(&mut self, entry: Option<&Entry>) {
        if let Some(entry) = entry {
            self.live.truth.push(next_truth(*self.live.truth.last().unwrap(), entry));
            self.live.entries.push(entry.clone());
            self.is_synced = false;
        }
    }

    /// What was read moves to the disk.
    pub(crate) fn sync(&mut self, kept: &mut Kept) {
        kept.replica = self.follower.replica().clone();
        kept.state.clone_from(&self.live.state);
        kept.truth.extend(self.live.truth.iter().skip(kept.truth.len()));
        kept.entries.extend(self.live.entries.iter().skip(kept.entries.len()).cloned());
        self.is_synced = true;
    }

    /// What is to be done by now.
    pub(crate) fn poll(&mut self, kept: u64, now_ms: u64) -> Vec<Wish> {
        let now = self.now(now_ms);
        if self.is_linked && self.follower.is_silent(now) {
            self.asks_state = true;
        }
        let position = self.position();
        let mut wishes = Vec::new();
        if let Some(publisher) = &mut self.publisher {
            for command in publisher.poll(position, now) {
                match command {
                    Command::Send(sending) => wishes.push(Wish::Send(sending)),
                    Command::Answer(ticket, Answer::Applied(sequence, outcome)) => {
                        self.held.push((ticket, sequence, outcome));
                    }
                    Command::Answer(ticket, answer) => wishes.push(Wish::Answer(ticket, answer)),
                }
            }
        }
        let (ready, held): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.held).into_iter().partition(|(_, sequence, _)| sequence.get() <= kept);
        self.held = held;
        wishes.extend(
            ready.into_iter().map(|(ticket, at, outcome)| Wish::Answer(ticket, Answer::Applied(at, outcome))),
        );
        wishes
    }

    /// Whether nothing more is to be said or sent.
    pub(crate) fn is_idle(&self) -> bool {
        let is_quiet = self.publisher.as_ref().is_none_or(Publisher::is_idle);
        is_quiet && self.held.is_empty() && self.is_synced
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
