//! What is sent to the log, and again: batches that wait, messages that are under way, the witness, the alarm. Pure: what
//! happens is handed in, what is to be done comes out of [`Publisher::poll`].
//!
//! A message is sent again until it is read back: without an ack after a while, with an ack once the place that it names was
//! read without it, at once when an own message was read early. All that is under way goes again, in order, the same
//! bytes. An ack only puts that off, since it may be false; neither does it end when a client is told that its outcome is unknown.
//!
//! A new writer begins where the old one's messages can never be known to be sent as they are: when a server refuses one, or when
//! somebody else writes under its id. What was under way is unknown then, and what waits is refused: sent by another writer it
//! could overtake what may still be in the log.
//!
//! INVARIANT: a batch gets one answer. What was handed over is never refused; what is refused was not handed over.
//! INVARIANT: under a writer and a number there is one message only, whatever is sent again.

mod answer;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::gather::{Gathered, NamedBatch, PartPlace};
use super::message::{AlarmCause, Body, Message};
use super::position::{LogId, LogSequence, MessageNumber, Position, WriterId};
use crate::limits::{
    ALARM_INTERVAL, GATHERED_BATCHES_MAX, GATHERED_BYTES_MAX, MESSAGES_IN_FLIGHT_MAX, MESSAGES_WAITING_MAX,
    OUTCOME_WAIT_MAX, QUEUE_WAIT_MAX, RESEND_PAUSE_MAX, RESEND_PAUSE_MIN,
};

pub use answer::{Ack, Answer, PartOutcome, Patience, Refused, Sender, Ticket};

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Command {
    /// A message is sent. Its ack comes back with the number and with `left`.
    Send(Sending),
    /// A batch is answered.
    Answer(Ticket, Answer),
}

/// One sending of a message.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Who sends it.
    pub writer: WriterId,
    /// Its number; [`MessageNumber::NONE`] of a witness or an alarm.
    pub number: MessageNumber,
    /// What had been read when it left.
    pub left: LogSequence,
    /// The message.
    pub bytes: Arc<[u8]>,
}

/// Whether the log can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Up,
    Down,
}

/// Where new ids of writers come from.
pub type Writers = Box<dyn FnMut() -> WriterId + Send>;

/// Sends the batches of one daemon.
pub struct Publisher {
    log: LogId,
    writer: WriterId,
    writers: Writers,
    /// The last number that was given.
    last: MessageNumber,
    message_bytes_max: usize,
    link: Link,
    waiting: VecDeque<Waiting>,
    in_flight: VecDeque<InFlight>,
    witness: Option<Probe>,
    alarm: Option<(Arc<[u8]>, Duration)>,
    stopped: Option<Refused>,
    /// All that is under way is sent again as soon as it may be.
    must_resend: bool,
    /// When that may be, and the pause after it.
    resend_from: Duration,
    pause: Duration,
    answers: Vec<(Ticket, Answer)>,
}

/// Batches that wait for their message.
#[derive(Debug)]
struct Waiting {
    gathered: Gathered,
    tickets: Tickets,
    since: Duration,
}

/// A message that was sent and not read back.
#[derive(Debug)]
struct InFlight {
    number: MessageNumber,
    bytes: Arc<[u8]>,
    /// Without those whose clients were told that the outcome is unknown.
    tickets: Tickets,
    handed_over: Duration,
    sent: Duration,
    /// Where it is stored, as the log has said last.
    acked: Option<LogSequence>,
}

/// Batches of a message, each with its part.
#[derive(Debug, Default)]
struct Tickets {
    /// Of those who do not wait for ever.
    bounded: Vec<(Ticket, PartPlace)>,
    unbounded: Vec<(Ticket, PartPlace)>,
}

impl Tickets {
    fn push(&mut self, (ticket, place): (Ticket, PartPlace), patience: Patience) {
        match patience {
            Patience::Bounded => self.bounded.push((ticket, place)),
            Patience::Unbounded => self.unbounded.push((ticket, place)),
        }
    }

    fn len(&self) -> usize {
        self.bounded.len().saturating_add(self.unbounded.len())
    }

    fn into_all(mut self) -> Vec<(Ticket, PartPlace)> {
        self.bounded.append(&mut self.unbounded);
        self.bounded
    }
}

/// A witness that was not read back.
#[derive(Debug)]
struct Probe {
    bytes: Arc<[u8]>,
    base: Position,
    sent: Option<Duration>,
    acked: Option<LogSequence>,
}

impl Publisher {
    /// A publisher to a log that cannot be reached yet.
    pub fn new(log: LogId, message_bytes_max: usize, mut writers: Writers) -> Self {
        Self {
            log,
            writer: writers(),
            writers,
            last: MessageNumber::NONE,
            message_bytes_max,
            link: Link::Down,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            witness: None,
            alarm: None,
            stopped: None,
            must_resend: false,
            resend_from: Duration::ZERO,
            pause: RESEND_PAUSE_MIN,
            answers: Vec::new(),
        }
    }

    /// Who writes.
    pub fn writer(&self) -> WriterId {
        self.writer
    }

    /// Whether everything that was taken is read back, the witness too.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty() && self.witness.is_none()
    }

    /// Takes a batch, whose answer comes from [`Publisher::poll`]. One of a sender cannot overtake one that is unknown by now.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is or will be counted.
    pub fn submit(
        &mut self,
        (ticket, sender): (Ticket, Sender),
        batch: &NamedBatch,
        now: Duration,
    ) -> Result<(), Refused> {
        if let Some(why) = &self.stopped {
            return Err(why.clone());
        }
        if self.link == Link::Down {
            return Err(Refused::Away);
        }
        if sender.after.is_some_and(|after| after != self.writer) {
            return Err(Refused::Renewed);
        }
        let bytes_max = GATHERED_BYTES_MAX.min(self.message_bytes_max);
        let has_room = |waiting: &&mut Waiting| {
            waiting.tickets.len() < GATHERED_BATCHES_MAX
                && waiting.gathered.bytes_max().saturating_add(batch.bytes_max()) <= bytes_max
        };
        if let Some(waiting) = self.waiting.back_mut().filter(has_room) {
            let place = waiting.gathered.join(batch);
            waiting.tickets.push((ticket, place), sender.patience);
            return Ok(());
        }
        let mut gathered = Gathered::default();
        let place = gathered.join(batch);
        if gathered.bytes_max() > self.message_bytes_max {
            let bytes = batch.message_bytes();
            if bytes > self.message_bytes_max {
                return Err(Refused::TooLarge { bytes, bytes_max: self.message_bytes_max });
            }
        }
        if self.waiting.len() >= MESSAGES_WAITING_MAX {
            return Err(Refused::Busy);
        }
        let mut tickets = Tickets::default();
        tickets.push((ticket, place), sender.patience);
        self.waiting.push_back(Waiting { gathered, tickets, since: now });
        Ok(())
    }

    /// The log can be reached: all that is under way is sent again, behind a witness of what was read.
    pub fn connect(&mut self, base: Position, message_bytes_max: usize) {
        self.link = Link::Up;
        self.message_bytes_max = message_bytes_max;
        self.must_resend = true;
        self.resend_from = Duration::ZERO;
        self.witness = None;
        self.challenge(base);
    }

    /// The log cannot be reached: what was not handed over is refused.
    pub fn disconnect(&mut self) {
        self.link = Link::Down;
        self.refuse_waiting(&Refused::Away);
    }

    /// Asks the log itself whether it still has what was read.
    pub fn challenge(&mut self, base: Position) {
        if self.witness.is_none() && self.stopped.is_none() {
            let bytes = self.message(MessageNumber::NONE, base, Body::Witness);
            self.witness = Some(Probe { bytes, base, sent: None, acked: None });
        }
    }

    /// What the log says of a sending of this writer.
    pub fn acked(&mut self, number: MessageNumber, ack: Ack) {
        match ack {
            Ack::Stored(place) | Ack::Duplicate(place) if number == MessageNumber::NONE => {
                if let Some(witness) = &mut self.witness {
                    witness.acked = Some(place);
                }
            }
            Ack::Stored(place) | Ack::Duplicate(place) => {
                if let Some(message) = self.in_flight.iter_mut().find(|message| message.number == number) {
                    message.acked = Some(place);
                }
            }
            Ack::Failed => self.must_resend |= self.in_flight.iter().any(|message| message.number == number),
            // A witness or an alarm is tried again; a message never is.
            Ack::Refused if number == MessageNumber::NONE => {}
            Ack::Refused => {
                if self.in_flight.iter().any(|message| message.number == number) {
                    self.renew();
                }
            }
        }
    }

    /// The log's state: what was acknowledged behind its end is not there.
    pub fn note_end(&mut self, last: LogSequence) {
        let is_gone = |acked: Option<LogSequence>| acked.is_some_and(|acked| acked > last);
        self.must_resend |= self.in_flight.iter().any(|message| is_gone(message.acked));
        if let Some(witness) = self.witness.as_mut().filter(|witness| is_gone(witness.acked)) {
            (witness.sent, witness.acked) = (None, None);
        }
    }

    /// An own message was read, and is applied: whose batches it holds, each with its part. They are answered with the outcomes of
    /// those, and not from here any more.
    pub fn read_back(&mut self, number: MessageNumber, bytes: &[u8]) -> Vec<(Ticket, PartPlace)> {
        match self.in_flight.front() {
            Some(front) if front.number == number && *front.bytes == *bytes => {
                self.pause = RESEND_PAUSE_MIN;
                self.in_flight.pop_front().map(|message| message.tickets.into_all()).unwrap_or_default()
            }
            _ => {
                self.renew();
                Vec::new()
            }
        }
    }

    /// An own message was read before one that should come first, which must have been lost.
    pub fn early(&mut self, number: MessageNumber, bytes: &[u8]) {
        match self.in_flight.iter().find(|message| message.number == number) {
            Some(message) if *message.bytes == *bytes => self.must_resend = true,
            _ => self.renew(),
        }
    }

    /// A message was read under an own number that had counted before. One that is under way has not: another one has.
    pub fn further(&mut self, number: MessageNumber) {
        if number > self.last || self.in_flight.iter().any(|message| message.number == number) {
            self.renew();
        }
    }

    /// An own witness was read, of that base.
    pub fn witnessed(&mut self, base: Position) {
        if self.witness.as_ref().is_some_and(|witness| witness.base == base) {
            self.witness = None;
        }
    }

    /// Nothing more is sent, but an alarm where there is one. What is under way is unknown.
    pub fn stop(&mut self, why: Refused, alarm: Option<AlarmCause>, base: Position) {
        if self.stopped.is_some() {
            return;
        }
        self.refuse_waiting(&why);
        self.stopped = Some(why);
        self.lose_in_flight();
        self.witness = None;
        self.alarm =
            alarm.map(|cause| (self.message(MessageNumber::NONE, base, Body::Alarm(cause)), Duration::ZERO));
    }

    /// What is to be done by now. `read` is what was read of the log and applied.
    pub fn poll(&mut self, read: Position, now: Duration) -> Vec<Command> {
        self.give_up(now);
        let mut commands = Vec::new();
        if self.link == Link::Up {
            let left = read.sequence;
            self.send_probes(left, now, &mut commands);
            self.resend(left, now, &mut commands);
            while self.stopped.is_none() && self.in_flight.len() < MESSAGES_IN_FLIGHT_MAX {
                let Some(waiting) = self.waiting.pop_front() else { break };
                let message = self.hand_over(waiting, read, now);
                commands.push(self.sending(message.number, left, &message.bytes));
                self.in_flight.push_back(message);
            }
        }
        let answers = std::mem::take(&mut self.answers);
        commands.extend(answers.into_iter().map(|(ticket, answer)| Command::Answer(ticket, answer)));
        commands
    }

    fn hand_over(&mut self, waiting: Waiting, base: Position, now: Duration) -> InFlight {
        self.last = self.last.next();
        let number = self.last;
        let bytes = self.message(number, base, Body::Batches(waiting.gathered.into_parts()));
        InFlight { number, bytes, tickets: waiting.tickets, handed_over: now, sent: now, acked: None }
    }

    fn send_probes(&mut self, left: LogSequence, now: Duration, commands: &mut Vec<Command>) {
        let writer = self.writer;
        let mut send = |bytes: &Arc<[u8]>| {
            let bytes = Arc::clone(bytes);
            commands.push(Command::Send(Sending { writer, number: MessageNumber::NONE, left, bytes }));
        };
        if let Some(witness) = &mut self.witness {
            let is_late = witness.sent.is_none_or(|sent| now.saturating_sub(sent) >= RESEND_PAUSE_MAX);
            if is_late && witness.acked.is_none_or(|acked| left >= acked) {
                send(&witness.bytes);
                (witness.sent, witness.acked) = (Some(now), None);
            }
        }
        if let Some((bytes, due)) = &mut self.alarm
            && now >= *due
        {
            send(bytes);
            *due = now.saturating_add(ALARM_INTERVAL);
        }
    }

    /// Sends all that is under way once more, where some of it must be.
    fn resend(&mut self, left: LogSequence, now: Duration, commands: &mut Vec<Command>) {
        let is_missing = |message: &InFlight| match message.acked {
            Some(acked) => left >= acked,
            None => now.saturating_sub(message.sent) >= RESEND_PAUSE_MAX,
        };
        self.must_resend |= self.in_flight.iter().any(is_missing);
        if !self.must_resend || now < self.resend_from {
            return;
        }
        self.must_resend = false;
        if self.in_flight.is_empty() {
            return;
        }
        for message in &mut self.in_flight {
            (message.sent, message.acked) = (now, None);
        }
        let again = self.in_flight.iter().map(|message| self.sending(message.number, left, &message.bytes));
        commands.extend(again);
        self.resend_from = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(RESEND_PAUSE_MAX);
    }

    /// Answers those who have waited too long and do not wait for ever. What is under way is sent on.
    fn give_up(&mut self, now: Duration) {
        for message in &mut self.in_flight {
            if now.saturating_sub(message.handed_over) >= OUTCOME_WAIT_MAX {
                let told = message.tickets.bounded.drain(..).map(|(ticket, _)| (ticket, Answer::Unknown));
                self.answers.extend(told);
            }
        }
        while self.waiting.front().is_some_and(|waiting| now.saturating_sub(waiting.since) >= QUEUE_WAIT_MAX)
        {
            let Some(waiting) = self.waiting.pop_front() else { break };
            let told = waiting
                .tickets
                .into_all()
                .into_iter()
                .map(|(ticket, _)| (ticket, Answer::Refused(Refused::Busy)));
            self.answers.extend(told);
        }
    }

    /// Goes on as another writer.
    fn renew(&mut self) {
        self.writer = (self.writers)();
        self.last = MessageNumber::NONE;
        self.lose_in_flight();
        self.refuse_waiting(&Refused::Renewed);
        if let Some(witness) = self.witness.take() {
            self.challenge(witness.base);
        }
    }

    fn lose_in_flight(&mut self) {
        let lost = self.in_flight.drain(..).flat_map(|message| message.tickets.into_all());
        self.answers.extend(lost.map(|(ticket, _)| (ticket, Answer::Unknown)));
    }

    fn refuse_waiting(&mut self, why: &Refused) {
        let refused = self.waiting.drain(..).flat_map(|waiting| waiting.tickets.into_all());
        self.answers.extend(refused.map(|(ticket, _)| (ticket, Answer::Refused(why.clone()))));
    }

    fn message(&self, number: MessageNumber, base: Position, body: Body) -> Arc<[u8]> {
        Message { log: self.log, writer: self.writer, number, base, body }.encode().into()
    }

    fn sending(&self, number: MessageNumber, left: LogSequence, bytes: &Arc<[u8]>) -> Command {
        Command::Send(Sending { writer: self.writer, number, left, bytes: Arc::clone(bytes) })
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("writer", &self.writer)
            .field("in_flight", &self.in_flight.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
