//! What is sent and answered, event by event.

use super::*;
use crate::cluster::message::part::Part;
use crate::model::batch::{Batch, BatchIdentity, BatchKey, Increment, KeyId, KeyRule, KeyedAnswer, SeriesId};
use crate::model::calendar::Hour;
use crate::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};

const LOG: LogId = LogId::new(1);
const BYTES_MAX: usize = 1024 * 1024;
const NONE: [u64; 0] = [];

struct Bench {
    publisher: Publisher,
    read: Position,
    now: Duration,
    tickets: u64,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(number: u64) -> LogSequence {
    LogSequence::new(number)
}

fn batch(key: Option<u8>) -> NamedBatch {
    let identity = |key| BatchIdentity { rule: KeyRule::Key, id: KeyId([key; 16]), content: 1 };
    let key = key
        .map(|key| Box::new(BatchKey { identity: identity(key), taken: 0, answer: KeyedAnswer::default() }));
    let story = StoryId(ObjectId::parse(&[b'a'; 24]).unwrap());
    let series = SeriesKey { story, source: Source::Slack, metric: Metric::Messages };
    let increments = vec![Increment { series: SeriesId::new(1), hour: Hour::new(5), count: 1 }];
    NamedBatch::new(Batch { key, increments, ..Batch::default() }, |_| Some(series)).unwrap()
}

impl Bench {
    /// A publisher that has reached its log, and whose witness was read.
    fn new() -> Self {
        let mut next = 100;
        let writers = move || {
            next += 1;
            WriterId::new(next)
        };
        let publisher = Publisher::new(LOG, BYTES_MAX, Box::new(writers));
        let read = Position { sequence: at(10), ..Position::default() };
        let mut bench = Self { publisher, read, now: ms(0), tickets: 0 };
        bench.publisher.connect(read, BYTES_MAX);
        assert_eq!(bench.sent(), [0], "the witness");
        bench.publisher.witnessed(read);
        assert!(bench.publisher.is_idle());
        bench
    }

    fn submit(&mut self) -> Result<u64, Refused> {
        self.tickets += 1;
        self.publisher
            .submit((Ticket(self.tickets), Sender::REQUEST), &batch(None), self.now)
            .map(|()| self.tickets)
    }

    fn poll(&mut self) -> (Vec<Sending>, Vec<(u64, Answer)>) {
        let (mut sent, mut answered) = (Vec::new(), Vec::new());
        for command in self.publisher.poll(self.read, self.now) {
            match command {
                Command::Send(sending) => sent.push(sending),
                Command::Answer(ticket, answer) => answered.push((ticket.0, answer)),
            }
        }
        (sent, answered)
    }

    /// The numbers of what is sent now; nothing is answered.
    fn sent(&mut self) -> Vec<u64> {
        let (sent, answered) = self.poll();
        assert_eq!(answered, []);
        sent.iter().map(|sending| sending.number.get()).collect()
    }

    fn answered(&mut self) -> Vec<(u64, Answer)> {
        let (sent, answered) = self.poll();
        assert!(sent.is_empty(), "{sent:?}");
        answered
    }

    fn bytes(&self, number: u64) -> Arc<[u8]> {
        let mut messages = self.publisher.in_flight.iter();
        Arc::clone(&messages.find(|message| message.number.get() == number).unwrap().bytes)
    }

    /// The message is read back: the batches in it, and their parts.
    fn apply(&mut self, number: u64) -> Vec<(u64, usize)> {
        let bytes = self.bytes(number);
        self.read.sequence = self.read.sequence.next();
        let tickets = self.publisher.read_back(MessageNumber::new(number), &bytes);
        tickets.into_iter().map(|(ticket, place)| (ticket.0, place.0)).collect()
    }

    fn stored(&mut self, number: u64, sequence: u64) {
        self.publisher.acked(MessageNumber::new(number), Ack::Stored(at(sequence)));
    }
}

#[test]
fn idle_a_batch_is_sent_at_once_and_answered_when_it_is_read_back() {
    let mut bench = Bench::new();
    bench.submit().unwrap();
    let (sent, _) = bench.poll();
    let message = Message::decode(&sent[0].bytes).unwrap();
    assert_eq!((message.number.get(), message.base, message.log), (1, bench.read, LOG));
    assert_eq!((sent[0].left, sent[0].writer), (at(10), message.writer));
    bench.stored(1, 11);
    assert_eq!(bench.answered(), [], "an ack is no answer");
    assert_eq!(bench.apply(1), [(1, 0)]);
    assert!(bench.publisher.is_idle());
}

#[test]
fn batches_gather_while_four_messages_are_under_way() {
    let mut bench = Bench::new();
    for number in 1..=4 {
        bench.submit().unwrap();
        assert_eq!(bench.sent(), [number]);
    }
    for _ in 0..3 {
        bench.submit().unwrap();
    }
    assert_eq!(bench.sent(), NONE);
    assert_eq!(bench.apply(1), [(1, 0)]);
    let (sent, _) = bench.poll();
    let Body::Batches(parts) = Message::decode(&sent[0].bytes).unwrap().body else { panic!("batches") };
    let counts: Vec<u32> = parts.iter().flat_map(Part::cells).map(|cell| cell.count).collect();
    assert_eq!((sent.len(), counts), (1, vec![3]), "three batches in one message");
    let tickets: Vec<u64> =
        (2..=5).flat_map(|number| bench.apply(number)).map(|(ticket, _)| ticket).collect();
    assert_eq!(tickets, [2, 3, 4, 5, 6, 7]);
}

#[test]
fn batch_is_answered_from_its_own_part() {
    let mut bench = Bench::new();
    for (ticket, key) in [(1, None), (2, Some(1)), (3, Some(2)), (4, None)] {
        bench.publisher.submit((Ticket(ticket), Sender::REQUEST), &batch(key), bench.now).unwrap();
    }
    bench.sent();
    assert_eq!(bench.apply(1), [(1, 0), (2, 1), (3, 2), (4, 0)]);
}

#[test]
fn all_under_way_goes_again_in_order_where_one_has_no_ack_in_time() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.submit().unwrap();
        assert_eq!(bench.sent(), [number]);
    }
    let before = [1, 2, 3].map(|number| bench.bytes(number));
    bench.stored(1, 11);
    bench.stored(2, 12);
    bench.now = ms(1_999);
    assert_eq!(bench.sent(), NONE);
    bench.now = ms(2_000);
    let (sent, _) = bench.poll();
    let sent: Vec<Arc<[u8]>> = sent.into_iter().map(|sending| sending.bytes).collect();
    assert_eq!(sent, before, "the same bytes");
    assert_eq!(bench.sent(), NONE);
}

#[test]
fn ack_puts_the_next_sending_off_until_its_place_was_read() {
    let mut bench = Bench::new();
    bench.submit().unwrap();
    assert_eq!(bench.sent(), [1]);
    bench.stored(1, 12);
    bench.now = ms(20_000);
    assert_eq!(bench.sent(), NONE);
    bench.read.sequence = at(11);
    assert_eq!(bench.sent(), NONE);
    bench.read.sequence = at(12);
    assert_eq!(bench.sent(), [1], "something else was there");
    // Or until the log says that it does not reach so far.
    bench.stored(1, 15);
    bench.publisher.note_end(at(15));
    bench.now = ms(29_000);
    assert_eq!(bench.sent(), NONE);
    bench.publisher.note_end(at(14));
    assert_eq!(bench.sent(), [1]);
}

#[test]
fn early_own_message_has_all_sent_again_at_once_and_then_ever_more_slowly() {
    let mut bench = Bench::new();
    bench.submit().unwrap();
    bench.sent();
    bench.submit().unwrap();
    bench.sent();
    let second = bench.bytes(2);
    let early = |bench: &mut Bench| bench.publisher.early(MessageNumber::new(2), &second);
    early(&mut bench);
    assert_eq!(bench.sent(), [1, 2]);
    let mut sent_at = Vec::new();
    for now in 0..1_000 {
        bench.now = ms(now);
        early(&mut bench);
        if bench.sent() == [1, 2] {
            sent_at.push(now);
        }
    }
    assert_eq!(sent_at, [100, 300, 700]);
    bench.apply(1);
    bench.now = ms(5_000);
    early(&mut bench);
    assert_eq!(bench.sent(), [2]);
    early(&mut bench);
    bench.now += RESEND_PAUSE_MIN;
    assert_eq!(bench.sent(), [2], "what was read back shortens the pause");
}

#[test]
fn failed_sending_is_tried_again_and_a_refused_one_makes_another_writer() {
    let mut bench = Bench::new();
    let writer = bench.publisher.writer();
    for _ in 0..5 {
        bench.submit().unwrap();
        bench.poll();
    }
    bench.publisher.acked(MessageNumber::new(2), Ack::Failed);
    assert_eq!(bench.sent(), [1, 2, 3, 4]);
    bench.publisher.acked(MessageNumber::new(9), Ack::Refused);
    assert_eq!(bench.publisher.writer(), writer, "what is not under way is not refused");
    bench.publisher.acked(MessageNumber::new(3), Ack::Refused);
    let unknown = [1, 2, 3, 4].map(|ticket| (ticket, Answer::Unknown));
    let refused = (5, Answer::Refused(Refused::Renewed));
    assert_eq!(bench.answered(), [unknown.to_vec(), vec![refused]].concat());
    assert_ne!(bench.publisher.writer(), writer);
    // A connection that does not know yet must not overtake what may still be in the log.
    let late = bench.publisher.submit((Ticket(6), Sender::connection(Some(writer))), &batch(None), bench.now);
    assert_eq!(late, Err(Refused::Renewed));
    let now = bench.publisher.writer();
    bench.publisher.submit((Ticket(7), Sender::connection(Some(now))), &batch(None), bench.now).unwrap();
    assert_eq!(bench.sent(), [1], "its row begins anew, and nothing old is sent again");
}

#[test]
fn own_number_with_other_bytes_makes_another_writer() {
    let ways: [fn(&mut Publisher); 5] = [
        |publisher| assert_eq!(publisher.read_back(MessageNumber::new(1), b"other"), []),
        |publisher| assert_eq!(publisher.read_back(MessageNumber::new(2), b"other"), []),
        |publisher| publisher.early(MessageNumber::new(3), b"other"),
        |publisher| publisher.further(MessageNumber::new(2)),
        |publisher| publisher.further(MessageNumber::new(1)),
    ];
    for way in ways {
        let mut bench = Bench::new();
        let writer = bench.publisher.writer();
        bench.submit().unwrap();
        bench.sent();
        way(&mut bench.publisher);
        assert_ne!(bench.publisher.writer(), writer);
        assert_eq!(bench.answered(), [(1, Answer::Unknown)]);
    }
    let mut bench = Bench::new();
    let writer = bench.publisher.writer();
    bench.submit().unwrap();
    bench.sent();
    bench.apply(1);
    bench.publisher.further(MessageNumber::new(1));
    assert_eq!(bench.publisher.writer(), writer, "a copy of what has counted is nothing new");
}

#[test]
fn log_that_is_away_refuses_what_was_not_handed_over_and_loses_the_rest_after_a_while() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.submit().unwrap();
        bench.poll();
    }
    bench.publisher.disconnect();
    assert_eq!(bench.answered(), [(5, Answer::Refused(Refused::Away))]);
    assert_eq!(bench.submit(), Err(Refused::Away));
    bench.now = ms(29_999);
    assert_eq!(bench.answered(), []);
    bench.now = OUTCOME_WAIT_MAX;
    assert_eq!(bench.answered(), [1, 2, 3, 4].map(|ticket| (ticket, Answer::Unknown)));
    // They are sent on, and told nothing more.
    bench.publisher.connect(bench.read, BYTES_MAX);
    assert_eq!(bench.sent(), [0, 1, 2, 3, 4]);
    assert_eq!(bench.apply(1), []);
    assert_eq!(bench.answered(), []);
}

#[test]
fn connection_waits_for_what_was_sent_as_long_as_it_takes() {
    let mut bench = Bench::new();
    bench.submit().unwrap();
    bench.publisher.submit((Ticket(9), Sender::connection(None)), &batch(None), bench.now).unwrap();
    assert_eq!(bench.sent(), [1], "both in one message");
    bench.publisher.disconnect();
    bench.now = 100 * OUTCOME_WAIT_MAX;
    assert_eq!(bench.answered(), [(1, Answer::Unknown)]);
    bench.publisher.connect(bench.read, BYTES_MAX);
    assert_eq!(bench.sent(), [0, 1]);
    assert_eq!(bench.apply(1), [(9, 0)]);
}

#[test]
fn batch_that_waits_too_long_is_refused_and_so_is_one_too_many() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        bench.submit().unwrap();
        bench.sent();
    }
    let waiting = bench.submit().unwrap();
    bench.stored(1, 99);
    (2..=4).for_each(|number| bench.stored(number, 99));
    bench.now = QUEUE_WAIT_MAX;
    assert_eq!(bench.answered(), [(waiting, Answer::Refused(Refused::Busy))]);
    let taken = (0..2 * MESSAGES_WAITING_MAX * GATHERED_BATCHES_MAX).take_while(|_| bench.submit().is_ok());
    assert_eq!(taken.count(), MESSAGES_WAITING_MAX * GATHERED_BATCHES_MAX);
    assert_eq!(bench.submit(), Err(Refused::Busy));
}

#[test]
fn batch_that_fits_no_message_is_refused_with_both_sizes() {
    let mut bench = Bench::new();
    let bytes = batch(None).message_bytes();
    bench.publisher.connect(bench.read, bytes);
    assert!(bench.submit().is_ok());
    bench.publisher.connect(bench.read, bytes - 1);
    assert_eq!(bench.submit(), Err(Refused::TooLarge { bytes, bytes_max: bytes - 1 }));
}

#[test]
fn witness_is_sent_until_it_is_read_back() {
    let mut bench = Bench::new();
    bench.publisher.challenge(bench.read);
    assert_eq!(bench.sent(), [0]);
    bench.publisher.challenge(bench.read);
    assert_eq!(bench.sent(), NONE, "one at a time");
    bench.now = RESEND_PAUSE_MAX;
    assert_eq!(bench.sent(), [0]);
    bench.stored(0, 12);
    bench.now += RESEND_PAUSE_MAX;
    assert_eq!(bench.sent(), NONE, "an ack puts it off");
    bench.publisher.note_end(at(12));
    assert_eq!(bench.sent(), NONE);
    bench.publisher.note_end(at(11));
    assert_eq!(bench.sent(), [0], "the log does not reach so far");
    bench.stored(0, 12);
    bench.now += RESEND_PAUSE_MAX;
    let base = bench.read;
    bench.read.sequence = at(12);
    assert_eq!(bench.sent(), [0]);
    bench.publisher.witnessed(Position { sequence: at(9), ..base });
    assert!(!bench.publisher.is_idle(), "an older one was read");
    bench.publisher.witnessed(base);
    assert!(bench.publisher.is_idle());
}

#[test]
fn stopped_publisher_answers_all_and_says_its_alarm_again_and_again() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.submit().unwrap();
        bench.poll();
    }
    bench.publisher.challenge(bench.read);
    let why = Refused::Stopped("it went back".into());
    bench.publisher.stop(why.clone(), Some(AlarmCause::WentBack), bench.read);
    bench.publisher.stop(Refused::Busy, None, bench.read);
    let (sent, answered) = bench.poll();
    let unknown = [1, 2, 3, 4].map(|ticket| (ticket, Answer::Unknown));
    assert_eq!(answered, [vec![(5, Answer::Refused(why.clone()))], unknown.to_vec()].concat());
    assert_eq!(Message::decode(&sent[0].bytes).unwrap().body, Body::Alarm(AlarmCause::WentBack));
    assert_eq!((sent.len(), bench.submit()), (1, Err(why)));
    bench.now = ms(9_999);
    assert_eq!(bench.sent(), NONE);
    bench.now = ALARM_INTERVAL;
    assert_eq!(bench.sent(), [0]);
    let mut quiet = Bench::new();
    quiet.publisher.stop(Refused::Busy, None, quiet.read);
    quiet.publisher.challenge(quiet.read);
    assert_eq!(quiet.sent(), NONE);
}
