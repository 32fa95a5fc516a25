//! One node of those that share a log: what it follows and what it publishes, held together. Pure: events are handed in, what
//! was read comes out to be recorded, and what is wanted of the log and of clients comes out of [`Member::poll`]. What is around it
//! owns the connection and the store, and decides nothing.
//!
//! It has to keep to this: what is read is recorded in the order in which it comes out, each with its place, time and chain in
//! one record, and a client is answered from that record; a consumer that was replaced delivers nothing more; answers to questions
//! that were asked before the log was lost do not come afterwards.

use std::fmt;
use std::time::Duration;

use super::follow::{Follower, Found, LogState, Replica, Server, Skipped, Step, StopCause, Stored};
use super::gather::{NamedBatch, PartPlace};
use super::message::Message;
use super::position::{LogId, LogSequence, LogStamp, WriterId};
use super::publish::{Ack, Answer, Command, Publisher, Refused, Sender, Sending, Ticket, Writers};

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The log can be reached, and takes messages of so many bytes.
    Connected {
        /// The longest.
        message_bytes_max: usize,
    },
    /// It cannot be reached any more: no consumer and no question is left.
    Disconnected,
    /// The consumer has delivered a message.
    Delivered(LogSequence, Stored<'a>),
    /// A message that was asked for, or that there is none; and how far the server that says so reaches.
    Fetched(LogSequence, Option<Stored<'a>>, LogState),
    /// The log's state, which was asked for.
    State(LogState),
    /// What the log says of a sending.
    Acked(&'a Sending, Ack),
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Request {
    /// A consumer that begins at that place takes the place of the one that there is.
    Consume(LogSequence, Server),
    /// The state of the log.
    State,
    /// That message, of the log's leader.
    Fetch(LogSequence),
    /// A message is sent.
    Send(Sending),
    /// A batch that was not read back is answered.
    Answer(Ticket, Answer),
}

/// A message that was read, to be recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// Its batches take effect, at that time of the log. Those that were taken here are answered with the outcomes of their parts.
    Applied {
        /// The message.
        message: Box<Message>,
        /// By which keys grow old.
        time: LogStamp,
        /// Batches of this node, each with its part.
        tickets: Vec<(Ticket, PartPlace)>,
    },
    /// It changes nothing but the position.
    Skipped(Skipped),
    /// The log begins.
    Entered(LogId),
}

/// A node.
pub struct Member {
    follower: Follower,
    /// None before the log is known.
    publisher: Option<Publisher>,
    writers: Option<Writers>,
    /// What the log takes, where it can be reached.
    message_bytes_max: Option<usize>,
    consume: Option<(LogSequence, Server)>,
    fetch: Option<LogSequence>,
    asks_state: bool,
}

impl Member {
    /// A node that goes on from what is kept. `writers` gives an id that no other has at each call.
    pub fn new(replica: Replica, writers: impl FnMut() -> WriterId + Send + 'static, now: Duration) -> Self {
        let mut member = Self {
            follower: Follower::new(replica, now),
            publisher: None,
            writers: Some(Box::new(writers)),
            message_bytes_max: None,
            consume: None,
            fetch: None,
            asks_state: false,
        };
        member.begin_to_publish();
        member
    }

    /// What is known of the log.
    pub fn replica(&self) -> &Replica {
        self.follower.replica()
    }

    /// Why it has stopped, where it has.
    pub fn stopped(&self) -> Option<&StopCause> {
        self.follower.stopped()
    }

    /// Whether the log can be reached.
    pub fn is_connected(&self) -> bool {
        self.message_bytes_max.is_some()
    }

    /// Whether everything that was taken is read back or answered.
    pub fn is_idle(&self) -> bool {
        self.publisher.as_ref().is_none_or(Publisher::is_idle)
    }

    /// Takes a batch; the writer under which it goes out comes back.
    ///
    /// # Errors
    /// [`Refused`]; nothing of it is or will be counted.
    pub fn submit(
        &mut self,
        (ticket, sender): (Ticket, Sender),
        batch: &NamedBatch,
        now: Duration,
    ) -> Result<WriterId, Refused> {
        let publisher = self.publisher.as_mut().ok_or(Refused::Away)?;
        publisher.submit((ticket, sender), batch, now)?;
        Ok(publisher.writer())
    }

    /// Takes what happens; a message that was read has to be recorded before the next event is.
    pub fn take(&mut self, event: Event<'_>, now: Duration) -> Option<Read> {
        match event {
            Event::Connected { message_bytes_max } => {
                self.message_bytes_max = Some(message_bytes_max);
                self.asks_state = true;
                let position = self.replica().position();
                if let Some(publisher) = &mut self.publisher {
                    publisher.connect(position, message_bytes_max);
                }
                self.find(Found::Connected, now)
            }
            Event::Disconnected => {
                (self.message_bytes_max, self.consume, self.fetch, self.asks_state) =
                    (None, None, None, false);
                if let Some(publisher) = &mut self.publisher {
                    publisher.disconnect();
                }
                None
            }
            // Of the consumer that is to be replaced.
            Event::Delivered(..) if self.consume.is_some() => None,
            Event::Delivered(sequence, stored) => self.find(Found::Delivered(sequence, stored), now),
            Event::Fetched(sequence, stored, log) => self.find(Found::Fetched(sequence, stored, log), now),
            Event::State(log) => {
                if let Some(publisher) = &mut self.publisher {
                    publisher.note_end(log.last);
                }
                self.find(Found::State(log), now)
            }
            Event::Acked(sending, ack) => {
                let read = match ack {
                    Ack::Stored(stored) => self.find(Found::Acked { left: sending.left, stored }, now),
                    Ack::Duplicate(_) | Ack::Failed | Ack::Refused => None,
                };
                if let Some(publisher) = self.own(sending.writer) {
                    publisher.acked(sending.number, ack);
                }
                read
            }
        }
    }

    /// What is wanted by now.
    pub fn poll(&mut self, now: Duration) -> Vec<Request> {
        let mut requests = Vec::new();
        if self.is_connected() {
            self.asks_state |= self.follower.is_silent(now);
            requests.extend(self.consume.take().map(|(start, server)| Request::Consume(start, server)));
            requests.extend(self.fetch.take().map(Request::Fetch));
            requests.extend(std::mem::take(&mut self.asks_state).then_some(Request::State));
        }
        let position = self.replica().position();
        if let Some(publisher) = &mut self.publisher {
            let commands = publisher.poll(position, now);
            requests.extend(commands.into_iter().map(|command| match command {
                Command::Send(sending) => Request::Send(sending),
                Command::Answer(ticket, answer) => Request::Answer(ticket, answer),
            }));
        }
        requests
    }

    fn find(&mut self, found: Found<'_>, now: Duration) -> Option<Read> {
        let position = self.replica().position();
        match self.follower.take(found, now) {
            Step::Nothing | Step::Drop | Step::Met => None,
            Step::Challenge(start) => {
                self.consume = Some((start, Server::Any));
                if let Some(publisher) = &mut self.publisher {
                    publisher.challenge(position);
                }
                None
            }
            Step::Begin(start, server) => {
                self.consume = Some((start, server));
                None
            }
            Step::Fetch(sequence) => {
                self.fetch = Some(sequence);
                None
            }
            Step::Apply(message, time) => {
                let tickets = match (self.own(message.writer), found) {
                    (Some(publisher), Found::Delivered(_, stored)) => {
                        publisher.read_back(message.number, stored.bytes)
                    }
                    _ => Vec::new(),
                };
                Some(Read::Applied { message, time, tickets })
            }
            Step::Skip(skipped) => {
                self.skip(&skipped, found);
                Some(Read::Skipped(skipped))
            }
            Step::Enter(log) => {
                self.begin_to_publish();
                Some(Read::Entered(log))
            }
            Step::Stop(cause) => {
                (self.consume, self.fetch, self.asks_state) = (None, None, false);
                if let Some(publisher) = &mut self.publisher {
                    publisher.stop(Refused::Stopped(cause.to_string().into()), cause.alarm(), position);
                }
                None
            }
        }
    }

    /// What a message that changes nothing says of an own one.
    fn skip(&mut self, skipped: &Skipped, found: Found<'_>) {
        let (message, Found::Delivered(_, stored)) = (skipped.message(), found) else { return };
        let Some(message) = message else { return };
        let position = self.replica().position();
        let Some(publisher) = self.own(message.writer) else { return };
        match skipped {
            Skipped::Early(_) => publisher.early(message.number, stored.bytes),
            Skipped::Further(_) => publisher.further(message.number),
            Skipped::Witness(_) => publisher.witnessed(message.base),
            Skipped::Unwelcome(_) => publisher.stop(Refused::Full, None, position),
            Skipped::OtherLog | Skipped::Genesis => {}
        }
    }

    /// What publishes, where that is the writer's.
    fn own(&mut self, writer: WriterId) -> Option<&mut Publisher> {
        self.publisher.as_mut().filter(|publisher| publisher.writer() == writer)
    }

    fn begin_to_publish(&mut self) {
        let Some(log) = self.replica().log() else { return };
        let Some(writers) = self.writers.take() else { return };
        let bytes_max = self.message_bytes_max;
        let mut publisher = Publisher::new(log, bytes_max.unwrap_or_default(), writers);
        if let Some(bytes_max) = bytes_max {
            publisher.connect(self.replica().position(), bytes_max);
        }
        self.publisher = Some(publisher);
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("position", &self.replica().position())
            .field("stopped", &self.stopped())
            .field("publisher", &self.publisher)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::chain::Chain;
    use crate::cluster::digest::Digest;
    use crate::cluster::marks::{LogClock, Marks};
    use crate::cluster::message::{AlarmCause, Body, Genesis};
    use crate::cluster::position::{MessageNumber, Position};
    use crate::model::batch::{Batch, Change};
    use crate::model::event::{ObjectId, StoryId};

    const LOG: LogId = LogId::new(1);
    const BYTES_MAX: usize = 100_000;

    /// A node and what it wanted last.
    struct Bench {
        member: Member,
        consume: Vec<u64>,
        fetch: Vec<u64>,
        asked: usize,
        sent: Vec<Sending>,
        answered: Vec<(Ticket, Answer)>,
    }

    fn writers() -> impl FnMut() -> WriterId + Send + 'static {
        let mut next = 100;
        move || {
            next += 1;
            WriterId::new(next)
        }
    }

    fn batch() -> NamedBatch {
        let story = StoryId(ObjectId::parse(&[b'a'; 24]).unwrap());
        let changes = vec![Change::Story { story, name: None }];
        NamedBatch::new(Batch { changes, ..Batch::default() }, |_| None).unwrap()
    }

    fn at(number: u64) -> LogSequence {
        LogSequence::new(number)
    }

    fn message(writer: u64, number: u64, base: Position, body: Body) -> Vec<u8> {
        let (writer, number) = (WriterId::new(writer), MessageNumber::new(number));
        Message { log: LOG, writer, number, base, body }.encode()
    }

    impl Bench {
        fn new(replica: Replica) -> Self {
            let member = Member::new(replica, writers(), Duration::ZERO);
            let (consume, fetch, sent, answered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let mut bench = Self { member, consume, fetch, asked: 0, sent, answered };
            assert_eq!(bench.take(Event::Connected { message_bytes_max: BYTES_MAX }), None);
            bench.poll();
            bench
        }

        /// A node that has read a genesis and nothing else.
        fn entered() -> Self {
            let mut bench = Self::new(Replica::new(Digest::EMPTY));
            let genesis = message(1, 0, Position::default(), Body::Genesis(Genesis::default()));
            assert_eq!(bench.deliver(1, &genesis), Some(Read::Entered(LOG)));
            bench.poll();
            bench
        }

        fn take(&mut self, event: Event<'_>) -> Option<Read> {
            self.member.take(event, Duration::ZERO)
        }

        fn deliver(&mut self, sequence: u64, bytes: &[u8]) -> Option<Read> {
            self.take(Event::Delivered(at(sequence), Stored { stamp: LogStamp::new(sequence), bytes }))
        }

        fn position(&self) -> Position {
            self.member.replica().position()
        }

        fn poll(&mut self) {
            (self.consume, self.fetch, self.asked) = (Vec::new(), Vec::new(), 0);
            (self.sent, self.answered) = (Vec::new(), Vec::new());
            for request in self.member.poll(Duration::ZERO) {
                match request {
                    Request::Consume(start, _) => self.consume.push(start.get()),
                    Request::State => self.asked += 1,
                    Request::Fetch(sequence) => self.fetch.push(sequence.get()),
                    Request::Send(sending) => self.sent.push(sending),
                    Request::Answer(ticket, answer) => self.answered.push((ticket, answer)),
                }
            }
        }

        fn numbers(&self) -> Vec<u64> {
            self.sent.iter().map(|sending| sending.number.get()).collect()
        }
    }

    #[test]
    fn node_that_reaches_its_log_consumes_asks_and_says_what_it_has_read() {
        let bench = Bench::new(Replica::new(Digest::EMPTY));
        assert_eq!(
            (&bench.consume[..], bench.asked, bench.sent.len()),
            (&[1][..], 1, 0),
            "no log is known yet"
        );
        let mut bench = Bench::entered();
        assert_eq!(bench.numbers(), [0], "the witness");
        bench.take(Event::Disconnected);
        bench.take(Event::Connected { message_bytes_max: BYTES_MAX });
        bench.take(Event::Disconnected);
        bench.poll();
        assert_eq!((bench.consume.len(), bench.asked, bench.sent.len()), (0, 0, 0), "it cannot be reached");
        let replica = bench.member.replica().clone();
        let again = Bench::new(replica);
        assert_eq!((&again.consume[..], again.asked, again.numbers()), (&[1][..], 1, vec![0]));
    }

    #[test]
    fn batch_is_answered_from_the_message_that_is_read_back() {
        let mut early = Bench::new(Replica::new(Digest::EMPTY));
        let refused = early.member.submit((Ticket(1), Sender::REQUEST), &batch(), Duration::ZERO);
        assert_eq!(refused, Err(Refused::Away), "no log is known yet");
        let mut bench = Bench::entered();
        let writer = bench.member.submit((Ticket(1), Sender::REQUEST), &batch(), Duration::ZERO).unwrap();
        bench.poll();
        assert_eq!((bench.numbers(), bench.sent[0].writer), (vec![1], writer));
        let (own, base) = (bench.sent[0].bytes.to_vec(), bench.position());
        let other = message(7, 1, base, Message::decode(&own).unwrap().body);
        let tickets = |read: Option<Read>| match read {
            Some(Read::Applied { tickets, .. }) => tickets,
            other => panic!("{other:?}"),
        };
        assert_eq!(tickets(bench.deliver(2, &other)), []);
        assert_eq!(tickets(bench.deliver(3, &own)), [(Ticket(1), PartPlace(0))]);
        assert!(matches!(bench.deliver(4, &own), Some(Read::Skipped(Skipped::Further(_)))));
        assert_eq!(
            bench.member.submit((Ticket(2), Sender::connection(Some(writer))), &batch(), Duration::ZERO),
            Ok(writer)
        );
    }

    #[test]
    fn what_a_replaced_consumer_delivers_is_not_looked_at() {
        let mut bench = Bench::entered();
        bench.take(Event::Connected { message_bytes_max: BYTES_MAX });
        let genesis = message(1, 0, Position::default(), Body::Genesis(Genesis::default()));
        let next = message(7, 0, bench.position(), Body::Witness);
        assert_eq!(bench.deliver(1, &genesis), None);
        assert_eq!(bench.deliver(2, &next), None);
        bench.poll();
        assert_eq!((&bench.consume[..], bench.position().sequence), (&[1][..], at(1)));
        // Without the position shown again, nothing behind it is read.
        assert_eq!(bench.deliver(2, &next), None);
        bench.poll();
        assert_eq!(bench.fetch, [1]);
        assert_eq!(bench.deliver(1, &genesis), None);
        assert!(matches!(bench.deliver(2, &next), Some(Read::Skipped(Skipped::Witness(_)))));
    }

    #[test]
    fn stopped_node_answers_what_is_under_way_and_says_why_in_the_log() {
        let mut bench = Bench::entered();
        bench.member.submit((Ticket(1), Sender::REQUEST), &batch(), Duration::ZERO).unwrap();
        bench.poll();
        bench.take(Event::Connected { message_bytes_max: BYTES_MAX });
        bench.poll();
        assert_eq!(bench.deliver(1, &message(7, 0, Position::default(), Body::Witness)), None);
        assert_eq!(bench.member.stopped(), Some(&StopCause::Forked(at(1))));
        bench.poll();
        assert_eq!(bench.answered, [(Ticket(1), Answer::Unknown)]);
        assert_eq!(Message::decode(&bench.sent[0].bytes).unwrap().body, Body::Alarm(AlarmCause::Forked));
        let refused =
            bench.member.submit((Ticket(2), Sender::REQUEST), &batch(), Duration::ZERO).unwrap_err();
        assert_eq!(refused.to_string(), StopCause::Forked(at(1)).to_string());
        assert!(bench.member.is_idle());
    }

    #[test]
    fn ack_says_that_the_log_went_back_whoever_writes_by_now() {
        let mut bench = Bench::entered();
        bench.member.submit((Ticket(1), Sender::REQUEST), &batch(), Duration::ZERO).unwrap();
        bench.poll();
        let sending = bench.sent[0].clone();
        bench.take(Event::Acked(&sending, Ack::Duplicate(at(1))));
        assert_eq!(bench.member.stopped(), None, "a duplicate says nothing");
        bench.take(Event::Acked(&sending, Ack::Refused));
        bench.poll();
        assert_eq!(bench.answered, [(Ticket(1), Answer::Unknown)]);
        bench.take(Event::Acked(&sending, Ack::Refused));
        let writer = bench.member.submit((Ticket(2), Sender::REQUEST), &batch(), Duration::ZERO).unwrap();
        assert_ne!(writer, sending.writer);
        bench.poll();
        bench.take(Event::Acked(&sending, Ack::Refused));
        bench.poll();
        assert_eq!(bench.answered, [], "it was another writer's");
        bench.take(Event::Acked(&sending, Ack::Stored(at(1))));
        assert_eq!(bench.member.stopped(), Some(&StopCause::WentBack(at(1))));
    }

    #[test]
    fn writer_that_is_one_too_many_stops_publishing_and_reads_on() {
        let mut chain = Chain::new(9);
        chain.push(LogStamp::new(1), b"genesis");
        let mut bench = Bench::new(Replica::from_kept(LOG, chain, Marks::new(0), LogClock::default()));
        assert_eq!(bench.deliver(1, b"genesis"), None);
        bench.member.submit((Ticket(1), Sender::REQUEST), &batch(), Duration::ZERO).unwrap();
        bench.poll();
        let own = bench.sent.iter().find(|sending| sending.number.get() == 1).unwrap().bytes.to_vec();
        assert!(matches!(bench.deliver(2, &own), Some(Read::Skipped(Skipped::Unwelcome(_)))));
        bench.poll();
        assert_eq!(bench.answered, [(Ticket(1), Answer::Unknown)]);
        let refused = bench.member.submit((Ticket(2), Sender::REQUEST), &batch(), Duration::ZERO);
        assert_eq!((refused, bench.member.stopped()), (Err(Refused::Full), None));
    }
}
