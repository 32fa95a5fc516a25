//! A round: several nodes, one log, clients, and harm, in an order by chance; then all is well again, and must come to rest.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use tallyd::cluster::digest::Digest;
use tallyd::cluster::follow::{Server, StopCause};
use tallyd::cluster::message::Body;
use tallyd::cluster::position::{ChainValue, LogId, LogStamp, WriterId};
use tallyd::cluster::publish::{Ack, Answer, PartOutcome, Sending, Ticket};
use tallyd::model::batch::BatchIdentity;

use super::clients::{self, Fate, Sent};
use super::log::{Flight, Log, Payload};
use super::node::{Kept, Process, Wish};
use super::stores::{Backing, Running};
use crate::counts::Counts;
use crate::model::Fault;
use crate::random::Random;

/// How a round hurts the log beyond what it must stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Harm {
    None,
    /// It loses its end, so many times.
    Back(u64),
    /// Messages are purged or deleted.
    Gone,
    /// It is deleted, and another one made.
    Anew,
}

/// A node: its disk, and its process if it lives.
pub(super) struct Seat {
    pub(super) kept: Kept,
    /// The disk of a real store, where there is one.
    pub(super) backing: Option<Backing>,
    pub(super) process: Option<Process>,
    /// Its disk is another one than it was at first.
    pub(super) was_emptied: bool,
    /// Messages that were damaged on their way to it.
    pub(super) damaged: u64,
}

/// What two nodes must have in common that have read the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Print {
    chain: ChainValue,
    digest: Digest,
    marks: u64,
    keys: u64,
    time: LogStamp,
}

#[expect(clippy::struct_excessive_bools, reason = "each is something that has happened in the round")]
pub(crate) struct World {
    random: Random,
    counts: Counts,
    pub(super) log: Log,
    pub(super) seats: Vec<Seat>,
    flights: Vec<Flight>,
    acks: Vec<(Flight, Ack)>,
    pub(super) sent: Vec<Sent>,
    /// What was ever sent to the log under each batch.
    pub(super) handed_over: HashMap<usize, u64>,
    prints: HashMap<(u64, u64), Print>,
    truths: HashMap<(u64, ChainValue), u64>,
    now_ms: u64,
    lives: u64,
    connections: u64,
    /// The ids of all lives at first.
    writers: Vec<WriterId>,
    pub(super) has_clone: bool,
    harm: Harm,
    pub(super) has_lost: bool,
    pub(super) has_gap: bool,
    pub(super) is_anew: bool,
    trace: Option<String>,
}

impl World {
    /// With real stores behind the nodes, or without.
    pub(crate) fn new(seed: u64, has_stores: bool, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let nodes = 2 + random.below(2);
        let harm = match random.below(20) {
            0..4 => Harm::Back(1),
            4..6 => Harm::Back(2),
            6..8 => Harm::Gone,
            8 => Harm::Anew,
            _ => Harm::None,
        };
        let mut seat = |_| {
            let backing = has_stores.then(|| Backing::new(&mut random));
            Seat { kept: Kept::new(), backing, process: None, was_emptied: false, damaged: 0 }
        };
        let seats = (0..nodes).map(&mut seat).collect();
        Self {
            counts: Counts::default(),
            log: Log::new(LogId::new(random.next() | 1)),
            seats,
            flights: Vec::new(),
            acks: Vec::new(),
            sent: Vec::new(),
            handed_over: HashMap::new(),
            prints: HashMap::new(),
            truths: HashMap::new(),
            now_ms: 0,
            lives: 0,
            connections: 0,
            writers: Vec::new(),
            has_clone: false,
            harm,
            has_lost: false,
            has_gap: false,
            is_anew: false,
            trace: is_traced.then(String::new),
            random,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    pub(crate) fn trace(&self) -> String {
        self.trace.clone().unwrap_or_default()
    }

    fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            writeln!(trace, "{:>6} {}", self.now_ms, text()).unwrap();
        }
    }

    /// Runs the round.
    pub(crate) fn run(&mut self) -> Result<(), Fault> {
        for node in 0..self.seats.len() {
            self.start(node)?;
        }
        let steps = 150 + self.random.below(250);
        let harm_at: Vec<u64> = match self.harm {
            Harm::None => Vec::new(),
            Harm::Back(times) => (0..times).map(|_| self.random.below(steps)).collect(),
            Harm::Gone | Harm::Anew => vec![self.random.below(steps)],
        };
        for step in 0..steps {
            if harm_at.contains(&step) {
                self.hurt()?;
            }
            self.act()?;
        }
        self.come_to_rest()?;
        self.judge()
    }

    fn act(&mut self) -> Result<(), Fault> {
        let node = self.random.index(self.seats.len());
        match self.random.below(100) {
            0..16 => self.submit(node),
            16..34 => {
                if !self.flights.is_empty() {
                    // Mostly in order.
                    let place = if self.random.one_in(4) { self.random.index(self.flights.len()) } else { 0 };
                    self.arrive(place);
                }
                Ok(())
            }
            34..42 => {
                if self.acks.is_empty() {
                    return Ok(());
                }
                let place = self.random.index(self.acks.len());
                self.acknowledge(place)
            }
            42..68 => self.consume(node).map(drop),
            68..76 => self.ask(node),
            76..88 => self.poll(node),
            88..94 => self.sync(node),
            94..97 => {
                self.now_ms += match self.random.below(60) {
                    0 => 12_000,
                    // Longer than anybody waits.
                    1 => 31_000,
                    _ => 1 + self.random.below(1_200),
                };
                Ok(())
            }
            _ => self.meddle(node),
        }
    }

    /// Rare things that a cluster must stand.
    fn meddle(&mut self, node: usize) -> Result<(), Fault> {
        let Self { random, counts, log, now_ms, .. } = self;
        match random.below(20) {
            0..3 => self.kill(node),
            3 | 4 => {
                if let Some(process) = self.seats[node].process.as_mut().filter(|process| process.is_linked())
                {
                    process.disconnect(*now_ms)?;
                    self.counts.note("node: cut off");
                    self.say(|| format!("node {node} is cut off"));
                }
            }
            5..8 => match &mut self.seats[node].process {
                None => self.start(node)?,
                Some(process) if !process.is_linked() => {
                    process.connect(*now_ms)?;
                    self.say(|| format!("node {node} is connected"));
                }
                Some(_) => {}
            },
            8..12 => log.repeat(*now_ms, (random, counts)),
            12 => {
                if let Some(flight) = self.flights.first() {
                    log.haunt(&flight.payload, *now_ms, counts);
                }
            }
            13 => log.drop_unseen(random, counts),
            14..16 => log.jump(random, counts),
            16 => {
                // Of what is under way nothing comes.
                self.flights.retain(|_| random.one_in(2));
            }
            17 => self.reseed(node)?,
            _ => {
                self.now_ms += self.random.below(4_000);
                self.poll(node)?;
            }
        }
        Ok(())
    }

    fn hurt(&mut self) -> Result<(), Fault> {
        let Self { random, counts, log, now_ms, .. } = self;
        match self.harm {
            Harm::None => {}
            Harm::Back(_) => {
                self.has_lost |= log.go_back(random, counts);
                // What took the log's servers down may take a node along.
                if self.random.one_in(2) {
                    let node = self.random.index(self.seats.len());
                    self.kill(node);
                }
            }
            Harm::Gone => {
                self.has_gap = true;
                if random.one_in(2) { log.purge(random, counts) } else { log.delete(random, counts) }
            }
            Harm::Anew => {
                log.make_anew(counts);
                (self.has_lost, self.is_anew) = (true, true);
                // A log that is deleted takes its consumers along.
                for process in self.seats.iter_mut().filter_map(|seat| seat.process.as_mut()) {
                    process.disconnect(*now_ms)?;
                }
            }
        }
        let last = self.log.main.last();
        let harm = self.harm;
        self.say(|| format!("{harm:?}: the log ends at {last} now"));
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<(), Fault> {
        self.lives += 1;
        let random = Random::new(self.random.next());
        // A machine that was cloned, awake or asleep, writes under an id that another has.
        let writer = if !self.writers.is_empty() && self.random.one_in(15) {
            self.has_clone = true;
            self.counts.note("node: starts as a clone");
            self.random.pick(&self.writers)
        } else {
            WriterId::new(self.random.next())
        };
        self.writers.push(writer);
        let is_healthy = self.log.is_healthy;
        let seat = &mut self.seats[node];
        let mut running = None;
        if let Some(backing) = &mut seat.backing {
            let of = (&mut self.random, &mut self.counts);
            let started = backing.start(&seat.kept, is_healthy, of);
            let (store, kept) = started.map_err(|fault| format!("node {node}: {fault}"))?;
            (running, seat.kept) = (Some(store), kept);
        }
        let mut process = Process::start(&seat.kept, self.lives, self.now_ms, (writer, random));
        process.running = running;
        for _ in 0..2 {
            self.connections += 1;
            process.connections.push((self.connections, None));
        }
        process.connect(self.now_ms)?;
        let at = seat.kept.sequence();
        seat.process = Some(process);
        self.counts.note("node: starts");
        self.say(|| format!("node {node} starts at {at}"));
        Ok(())
    }

    fn kill(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        let Some(mut process) = seat.process.take() else { return };
        if let (Some(backing), Some(running)) = (&mut seat.backing, process.running.take()) {
            backing.end(running, &process.live, (&mut self.random, &mut self.counts));
        }
        self.add_counts(&process);
        self.counts.note("node: deaths");
        for sent in &mut self.sent {
            if process.is_of(sent.connection) && sent.fate == Fate::Pending {
                sent.fate = Fate::Dead;
            }
        }
        self.say(|| format!("node {node} dies"));
    }

    pub(super) fn note_end(&mut self, stopped: Option<&StopCause>) {
        self.counts.note(match stopped {
            None => "ends: going on",
            Some(StopCause::Forked(_)) => "ends: forked",
            Some(StopCause::WentBack(_)) => "ends: went back",
            Some(StopCause::Alarm(_)) => "ends: alarm",
            Some(StopCause::Gap(_)) => "ends: gap",
            Some(StopCause::AnotherLog { .. }) => "ends: another log",
            Some(StopCause::AnotherStart(_) | StopCause::NoGenesis) => "ends: no such log",
            Some(StopCause::Unreadable { .. }) => "ends: unreadable",
        });
    }

    pub(super) fn add_counts(&mut self, process: &Process) {
        for (what, times) in &process.steps {
            self.counts.note_many(what, *times);
        }
    }

    /// A node that has lost its place begins again with what another has.
    fn reseed(&mut self, node: usize) -> Result<(), Fault> {
        let has_gap = self.seats[node]
            .process
            .as_ref()
            .is_some_and(|process| matches!(process.stopped(), Some(StopCause::Gap(_))));
        if self.has_lost || !(has_gap || self.random.one_in(3)) {
            return Ok(());
        }
        let seed = self.random.index(self.seats.len());
        if seed == node
            || self.seats[seed].process.as_ref().is_some_and(|process| process.stopped().is_some())
        {
            return Ok(());
        }
        self.kill(node);
        let Seat { kept, backing, process, .. } = &self.seats[seed];
        let live = process.as_ref().and_then(|process| Some((process.running.as_ref()?, &process.live)));
        let backing = backing.as_ref().map(|backing| Backing::seeded(backing, live));
        let kept = kept.clone();
        let seat = &mut self.seats[node];
        (seat.kept, seat.backing, seat.was_emptied) = (kept, backing, true);
        self.counts.note("node: seeds");
        self.say(|| format!("node {node} begins again with what node {seed} has"));
        self.start(node)
    }

    fn submit(&mut self, node: usize) -> Result<(), Fault> {
        if self.seats[node].process.is_none() {
            return Ok(());
        }
        let key = clients::key(&mut self.random, &self.sent);
        let accepted = u32::try_from(self.random.below(1_000)).unwrap();
        self.hand_over(node, key, accepted)?;
        // The same key may go to another node at the same moment.
        if key.is_some() && self.random.one_in(4) {
            self.counts.note("batches sent to two nodes at once");
            let other = self.random.index(self.seats.len());
            return self.hand_over(other, key, accepted);
        }
        Ok(())
    }

    fn hand_over(&mut self, node: usize, key: Option<BatchIdentity>, accepted: u32) -> Result<(), Fault> {
        let Some(process) = &mut self.seats[node].process else { return Ok(()) };
        let batch = self.sent.len();
        let write = clients::write(&mut self.random, batch);
        let place = self.random.index(process.connections.len());
        let mut sent = Sent { write, key, accepted, connection: 0, node, fate: Fate::Pending };
        let ticket = Ticket(batch as u64);
        let (connection, outcome) = process.submit((ticket, place), &clients::named(&sent), self.now_ms);
        sent.connection = connection;
        self.sent.push(sent);
        self.counts.note("batches");
        self.say(|| format!("node {node} takes batch {batch} of {connection}: {outcome:?}, {key:?}"));
        match outcome {
            Ok(()) => Ok(()),
            Err(why) => self.answer(node, ticket, &Answer::Refused(why)),
        }
    }

    fn poll(&mut self, node: usize) -> Result<(), Fault> {
        let seat = &mut self.seats[node];
        let kept = seat.kept.sequence();
        let Some(process) = &mut seat.process else { return Ok(()) };
        let life = process.life;
        for wish in process.poll(kept, self.now_ms) {
            match wish {
                Wish::Send(sending) => self.send(node, life, sending)?,
                Wish::Answer(ticket, answer) => self.answer(node, ticket, &answer)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, node: usize, life: u64, sending: Sending) -> Result<(), Fault> {
        let Some(process) = &self.seats[node].process else { return Ok(()) };
        let known = self.flights.iter().chain(self.acks.iter().map(|(flight, _)| flight));
        let known = known.map(|flight| &flight.payload).find(|payload| *payload.bytes == *sending.bytes);
        let payload = if let Some(known) = known {
            Rc::clone(known)
        } else {
            let (message, base_truth) = process.base_truth(&sending.bytes)?;
            let mut batches = Vec::new();
            if let Body::Batches(parts) = &message.body {
                for part in parts {
                    batches.extend(clients::marked(part.increments()));
                }
            }
            batches.sort_unstable();
            Rc::new(Payload { bytes: sending.bytes.clone(), message, batches, base_truth })
        };
        self.counts.note(match payload.message.body {
            Body::Batches(_) => "messages sent",
            Body::Witness => "witnesses sent",
            Body::Alarm(_) => "alarms sent",
            Body::Genesis(_) => "genesis sent",
        });
        if payload.batches.len() > 1 {
            self.counts.note("messages of several batches");
        }
        let name = u64::from(crc32fast::hash(&payload.bytes));
        for batch in &payload.batches {
            if *self.handed_over.entry(*batch).or_insert(name) != name {
                return Err(format!("batch {batch} is in two messages"));
            }
        }
        let (number, base, batches) =
            (sending.number, payload.message.base.sequence, payload.batches.clone());
        self.say(|| format!("node {node} sends {number:?} of base {base} with {batches:?}"));
        self.flights.push(Flight { node, life, sending, payload });
        Ok(())
    }

    fn arrive(&mut self, place: usize) {
        let flight = self.flights.remove(place);
        let Self { random, counts, log, now_ms, .. } = self;
        let said = log.receive(&flight, *now_ms, (random, counts));
        let last = log.main.last();
        let (node, number) = (flight.node, flight.sending.number);
        self.say(|| format!("log gets {number:?} of node {node}, ends at {last}: {said:?}"));
        if let Some(said) = said {
            self.acks.push((flight, said));
        }
    }

    fn acknowledge(&mut self, place: usize) -> Result<(), Fault> {
        let (flight, said) = self.acks.remove(place);
        let process = self.seats[flight.node].process.as_mut();
        if let Some(process) = process.filter(|process| process.life == flight.life && process.is_linked()) {
            process.told_ack(&flight.sending, said, self.now_ms)?;
            let node = flight.node;
            self.say(|| format!("node {node} is told {said:?} of {:?}", flight.sending.number));
            self.observe(node)?;
        }
        Ok(())
    }

    /// Delivers a message to a node; whether there was one.
    fn consume(&mut self, node: usize) -> Result<bool, Fault> {
        let Self { random, counts, log, now_ms, .. } = self;
        let is_healthy = log.is_healthy;
        let Some(process) = self.seats[node].process.as_mut().filter(|process| process.is_linked()) else {
            return Ok(false);
        };
        if let Some((start, server)) = process.wanted.take() {
            let mut consumer = log.consume(start.get(), (random, counts));
            if server == Server::Another && Log::is_old(&consumer) {
                consumer = log.consume(start.get(), (random, counts));
            }
            process.consumer = Some(consumer);
        }
        let Some(consumer) = &mut process.consumer else { return Ok(false) };
        let Some((sequence, entry)) = log.next(consumer, (random, counts)) else { return Ok(false) };
        let is_damaged = !is_healthy && random.one_in(100);
        process.deliver(sequence, (&entry, is_damaged), *now_ms)?;
        self.seats[node].damaged += u64::from(is_damaged);
        let id = entry.id;
        self.say(|| format!("node {node} reads {sequence}, which is storing {id}"));
        self.observe(node)?;
        Ok(true)
    }

    fn ask(&mut self, node: usize) -> Result<(), Fault> {
        let Self { random, counts, log, now_ms, .. } = self;
        let Some(process) = self.seats[node].process.as_mut().filter(|process| process.is_linked()) else {
            return Ok(());
        };
        if let Some(sequence) = process.asks.take() {
            let found = log.fetch(sequence.get(), (random, counts));
            process.told_message(sequence, found, *now_ms)?;
        } else if std::mem::take(&mut process.asks_state) {
            process.told_state(log.state((random, counts)), *now_ms)?;
        } else {
            return Ok(());
        }
        self.say(|| format!("node {node} is told what it asked"));
        self.observe(node)
    }

    fn sync(&mut self, node: usize) -> Result<(), Fault> {
        let is_healthy = self.log.is_healthy;
        let seat = &mut self.seats[node];
        let Some(process) = &mut seat.process else { return Ok(()) };
        if process.is_synced && process.running.is_none() {
            return Ok(());
        }
        let synced = process.sync(&mut seat.kept, is_healthy, (&mut self.random, &mut self.counts));
        synced.map_err(|fault| format!("node {node}: {fault}"))?;
        if process.running.as_ref().is_some_and(Running::is_off) {
            self.kill(node);
            return Ok(());
        }
        self.poll(node)
    }

    /// Looks at a node that may have moved or stopped.
    fn observe(&mut self, node: usize) -> Result<(), Fault> {
        let Some(process) = &self.seats[node].process else { return Ok(()) };
        if let Some(cause) = process.stopped().cloned() {
            let is_due = match &cause {
                StopCause::Forked(_) | StopCause::WentBack(_) | StopCause::Alarm(_) => self.has_lost,
                StopCause::Gap(_) => self.has_gap,
                StopCause::AnotherLog { .. } | StopCause::AnotherStart(_) | StopCause::NoGenesis => {
                    self.is_anew
                }
                StopCause::Unreadable { .. } => self.seats[node].damaged >= 3,
            };
            if !is_due {
                return Err(format!("node {node} stops, and nothing has happened: {cause}"));
            }
            self.say(|| format!("node {node} has stopped: {cause}"));
            return Ok(());
        }
        let replica = process.member.replica();
        let position = replica.position();
        let sequence = position.sequence.get();
        let truth = *process.live.truth.last().unwrap();
        if sequence + 1 != process.live.truth.len() as u64 {
            return Err(format!(
                "node {node} is at {sequence} and has read {}",
                process.live.truth.len() - 1
            ));
        }
        let mut keys = DefaultHasher::new();
        process.live.state.keys.hash(&mut keys);
        let print = Print {
            chain: position.chain,
            digest: process.live.state.digest,
            marks: replica.marks().hash(),
            keys: keys.finish(),
            time: replica.now(),
        };
        let known = *self.prints.entry((sequence, truth)).or_insert(print);
        if known != print {
            return Err(format!("node {node} differs at {sequence}: {print:?}, another had {known:?}"));
        }
        if *self.truths.entry((sequence, position.chain)).or_insert(truth) != truth {
            return Err(format!(
                "node {node} has the chain of another at {sequence}, and has read another log"
            ));
        }
        Ok(())
    }

    fn answer(&mut self, node: usize, Ticket(ticket): Ticket, answer: &Answer) -> Result<(), Fault> {
        self.say(|| format!("node {node} answers {ticket}: {answer:?}"));
        let batch = usize::try_from(ticket).unwrap();
        let fate = clients::fate_of(answer);
        let before = std::mem::replace(&mut self.sent[batch].fate, fate);
        if before != Fate::Pending {
            return Err(format!("batch {batch} was {before:?}, and is answered {answer:?}"));
        }
        self.counts.note(match fate {
            Fate::Counted => "answers: counted",
            Fate::Repeated => "answers: repeated",
            Fate::Conflict => "answers: conflict",
            Fate::Unknown => "answers: unknown",
            _ => "answers: refused",
        });
        let sent = &self.sent[batch];
        let kept = &self.seats[node].kept;
        let is_counted = kept.state.cells.get(&clients::mark(batch)) == Some(&1);
        // Keys may have grown old since, and have been noted anew.
        let noted =
            kept.state.ever_noted.iter().filter(|noted| sent.key.is_some_and(|key| key.id == noted.0));
        let content = sent.key.map_or(0, |key| key.content);
        let is_true = match answer {
            Answer::Applied(_, PartOutcome::Counted) => is_counted,
            Answer::Applied(_, PartOutcome::Repeated(answer)) => {
                !is_counted && noted.into_iter().any(|noted| (noted.1, noted.2) == (content, answer.accepted))
            }
            Answer::Applied(_, PartOutcome::Conflict) => {
                !is_counted && noted.into_iter().any(|noted| noted.1 != content)
            }
            Answer::Refused(_) => !self.handed_over.contains_key(&batch),
            Answer::Unknown => true,
        };
        if !is_true {
            return Err(format!(
                "batch {batch} is answered {answer:?}, and that is not on the disk of node {node}"
            ));
        }
        let connection = sent.connection;
        let is_quiet =
            !self.sent.iter().any(|sent| sent.connection == connection && sent.fate == Fate::Pending);
        if let Some(process) = self.seats[node].process.as_mut().filter(|_| is_quiet) {
            process.quiet(connection);
        }
        if fate == Fate::Unknown {
            // Its connection is closed, and the client makes another one.
            self.connections += 1;
            let next = self.connections;
            if let Some(process) = &mut self.seats[node].process {
                process.reconnect(connection, next);
            }
        }
        Ok(())
    }

    /// All is well again: everybody is connected, and everything that is to come comes.
    fn come_to_rest(&mut self) -> Result<(), Fault> {
        self.log.heal();
        for node in 0..self.seats.len() {
            let running = self.seats[node].process.as_mut().and_then(|process| process.running.as_mut());
            if let Some(running) = running {
                running.heal();
                if running.is_off() {
                    self.kill(node);
                }
            }
            if self.seats[node].process.is_none() {
                self.start(node)?;
            }
            let must_reconnect = self.has_lost;
            let now_ms = self.now_ms;
            if let Some(process) = &mut self.seats[node].process {
                if must_reconnect || !process.is_linked() {
                    process.disconnect(now_ms)?;
                    process.connect(now_ms)?;
                }
                if process.consumer.as_ref().is_some_and(Log::is_old) {
                    process.wanted = None;
                    process.disconnect(now_ms)?;
                    process.connect(now_ms)?;
                }
            }
        }
        self.say(|| "all is well again".to_owned());
        // So long that an alarm is said again.
        self.settle(if self.has_lost { 24 } else { 0 })?;
        // And what is sent now is counted.
        let first = self.sent.len();
        for node in 0..self.seats.len() {
            self.hand_over(node, None, 0)?;
        }
        self.settle(0)?;
        for (batch, sent) in self.sent.iter().enumerate().skip(first) {
            let process = self.seats[sent.node].process.as_ref();
            let is_going = process.is_some_and(|process| process.stopped().is_none());
            // Of two that write under one id the later one learns it so.
            let is_due = sent.fate == Fate::Counted || (self.has_clone && sent.fate == Fate::Unknown);
            if is_going && !is_due {
                return Err(format!("all is well, and batch {batch} is {:?}", sent.fate));
            }
        }
        Ok(())
    }

    /// Lets everything happen that is to, for so many turns at least, until nothing is left.
    fn settle(&mut self, least: usize) -> Result<(), Fault> {
        for turn in 0..400 {
            self.now_ms += 500;
            let mut is_at_rest = true;
            for node in 0..self.seats.len() {
                self.poll(node)?;
                while !self.flights.is_empty() {
                    self.arrive(0);
                }
                while !self.acks.is_empty() {
                    self.acknowledge(0)?;
                }
                self.ask(node)?;
                while self.consume(node)? {}
                self.sync(node)?;
                self.poll(node)?;
                is_at_rest &= self.is_at_rest(node);
            }
            if is_at_rest && turn >= least && self.flights.is_empty() {
                let all_read = (0..self.seats.len()).all(|node| self.is_at_rest(node));
                if all_read {
                    return Ok(());
                }
            }
        }
        let mut ends = String::new();
        for (node, seat) in self.seats.iter().enumerate() {
            let Some(process) = &seat.process else { continue };
            let (at, is_idle) = (process.position().sequence, process.is_idle());
            let (why, consumer) = (process.stopped(), &process.consumer);
            write!(ends, "; node {node} is at {at}, idle: {is_idle}, {why:?}, {consumer:?}").unwrap();
        }
        Err(format!("it does not come to rest: the log is {:?}{ends}", self.log.main.state()))
    }

    fn is_at_rest(&self, node: usize) -> bool {
        let Some(process) = &self.seats[node].process else { return false };
        let has_read =
            process.stopped().is_some() || process.position().sequence.get() == self.log.main.last();
        has_read && process.is_idle()
    }
}
