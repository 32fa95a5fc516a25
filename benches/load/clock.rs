//! Batches by the clock over 64 connections: one thread sends each when it is due, whether or not those before are
//! answered, reads the answers and counts each from the moment its batch was due. The thread goes before all others, as a
//! client on a machine of its own would, and looks ten times a millisecond, lest being woken up for each batch and each answer
//! costs the server more of this machine than the batches do. Beside it the closed loop, which tells what the full
//! rate is. Knows nothing of what is in the batches but where a new series is named.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dear::run_at_once;
use super::reports::sorted;

const CONNECTIONS: usize = 64;
pub(crate) const LINES_PER_BATCH: usize = 100;
/// How often the client looks which batches are due, and which answers are there. What it adds to a wait is part of it.
const TICK: Duration = Duration::from_micros(100);
/// How long the full rate is measured for: over two snapshots of those that the open loop is measured over.
const CLOSED_LOOP: Duration = Duration::from_secs(12);
/// New series of a story, before the next story is begun.
const NEW_SERIES_PER_STORY: u64 = 1_000;
/// Digits of the number that names a new series, its story in front.
const NEW_SERIES_DIGITS: usize = 12;

/// How a server is spoken to.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    /// What a connection begins with.
    pub(crate) hello: &'static [u8],
    /// What each answer ends with, and how many answers a batch has.
    pub(crate) end: &'static [u8],
    pub(crate) ends_per_batch: usize,
    /// What is in the answer to a batch that was not taken as it is.
    pub(crate) refusal: &'static [u8],
}

/// The batches, in turn; in each the number of the new series has its place.
pub(crate) struct Feed {
    batches: Vec<Vec<u8>>,
    /// Where in each batch the digits are: those of the story, then of the node.
    places: Vec<Vec<usize>>,
    next: usize,
    new_series: u64,
    is_growing: bool,
}

/// The number of a series that is not named yet.
pub(crate) fn placeholder() -> String {
    format!("{:0NEW_SERIES_DIGITS$}", 987_654_321_098_u64)
}

impl Feed {
    pub(crate) fn new(batches: Vec<Vec<u8>>, is_growing: bool) -> Self {
        let number = placeholder();
        let places = |batch: &Vec<u8>| memchr::memmem::find_iter(batch, number.as_bytes()).collect();
        let places = batches.iter().map(places).collect();
        let mut feed = Self { batches, places, next: 0, new_series: 0, is_growing };
        // Where no series is new, all of these lines are of the first.
        (0..feed.batches.len()).for_each(|index| feed.name_series(index));
        feed
    }

    fn next(&mut self) -> &[u8] {
        let index = self.next;
        self.next = (index + 1) % self.batches.len();
        if self.is_growing {
            self.new_series += 1;
            self.name_series(index);
        }
        &self.batches[index]
    }

    fn name_series(&mut self, index: usize) {
        let story = format!("{:0NEW_SERIES_DIGITS$}", self.new_series / NEW_SERIES_PER_STORY);
        let node = format!("{:0NEW_SERIES_DIGITS$}", self.new_series);
        let batch = &mut self.batches[index];
        for (digits, &place) in [story, node].iter().zip(&self.places[index]) {
            batch[place..place + NEW_SERIES_DIGITS].copy_from_slice(digits.as_bytes());
        }
    }
}

/// When which batch is due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    /// Seconds between two batches.
    interval: f64,
    batches: usize,
}

impl Schedule {
    fn seconds_due(&self, number: usize) -> f64 {
        number as f64 * self.interval
    }

    fn seconds_since(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn sleep_until_tick(&self) {
        let since = self.start.elapsed().as_nanos();
        let left = TICK.as_nanos() - since % TICK.as_nanos();
        std::thread::sleep(Duration::from_nanos(left as u64));
    }
}

/// An answer: when its batch was due, in seconds since the start, and how long after that it came, in ms.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) due: f64,
    pub(crate) ms: f64,
}

/// What a run of the clock came to.
pub(crate) struct Run {
    pub(crate) waits: Vec<Wait>,
    /// The rate asked for and the rate answered by the end of the schedule, in events a second.
    pub(crate) asked: f64,
    pub(crate) answered: f64,
    /// How late the client itself was with a batch, in ms, sorted.
    pub(crate) late: Vec<f64>,
    /// While what somebody else asked for was under way.
    pub(crate) meanwhile: Option<(f64, f64)>,
}

/// A connection of the sender, with what its socket had no room for.
struct Outlet {
    stream: TcpStream,
    left: VecDeque<u8>,
}

impl Outlet {
    fn send(&mut self, bytes: &[u8]) {
        if !self.flush() {
            self.left.extend(bytes);
            return;
        }
        let sent = write_some(&mut self.stream, bytes);
        self.left.extend(&bytes[sent..]);
    }

    /// Sends what was left; whether nothing is left now.
    fn flush(&mut self) -> bool {
        while !self.left.is_empty() {
            match write_some(&mut self.stream, self.left.as_slices().0) {
                0 => return false,
                sent => drop(self.left.drain(..sent)),
            }
        }
        true
    }
}

/// Writes as much as the socket takes.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) => {
                assert!(error.kind() == ErrorKind::WouldBlock, "the server takes no more: {error}");
                break;
            }
        }
    }
    sent
}

/// Sends each batch at the first tick at which it is due; how late each was, in ms. Between two ticks the thread sleeps, so
/// that of the machine's time the client takes as little as it can; answers are read at each.
async fn send(outlets: &mut [Outlet], feed: &mut Feed, schedule: Schedule) -> Vec<f64> {
    let mut late = Vec::with_capacity(schedule.batches);
    let count = outlets.len();
    let mut number = 0;
    while number < schedule.batches || !outlets.iter_mut().all(Outlet::flush) {
        schedule.sleep_until_tick();
        tokio::task::yield_now().await;
        let now = schedule.seconds_since();
        while number < schedule.batches && schedule.seconds_due(number) <= now {
            late.push((schedule.seconds_since() - schedule.seconds_due(number)) * 1e3);
            outlets[number % count].send(feed.next());
            number += 1;
        }
    }
    late
}

/// Counts the answers in what a server sends.
struct Answers {
    dialect: Dialect,
    /// The end of what came before, which an answer's end may begin in.
    carried: Vec<u8>,
    ends: usize,
}

impl Answers {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, carried: Vec::new(), ends: 0 }
    }

    /// How many batches are answered whole, with these bytes.
    fn take(&mut self, bytes: &[u8]) -> usize {
        self.carried.extend_from_slice(bytes);
        let refusal = memchr::memmem::find(&self.carried, self.dialect.refusal);
        assert!(refusal.is_none(), "the server answered {}", String::from_utf8_lossy(&self.carried));
        let ends = memchr::memmem::find_iter(&self.carried, self.dialect.end);
        let mut past = 0;
        for end in ends {
            self.ends += 1;
            past = end + self.dialect.end.len();
        }
        self.carried.drain(..past);
        self.ends / self.dialect.ends_per_batch
    }
}

/// Reads the answers of one connection, which is the `first` in the schedule's turn.
async fn read(
    stream: TcpStream,
    first: usize,
    (dialect, schedule): (Dialect, Schedule),
    waits: Rc<RefCell<Vec<Wait>>>,
) {
    let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let (mut answers, mut buffer, mut number) = (Answers::new(dialect), vec![0; 64 * 1024], first);
    while number < schedule.batches {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the server closed the connection");
        let now = schedule.seconds_since();
        let answered = answers.take(&buffer[..read]);
        while number < schedule.batches && number < first + answered * CONNECTIONS {
            let due = schedule.seconds_due(number);
            waits.borrow_mut().push(Wait { due, ms: (now - due) * 1e3 });
            number += CONNECTIONS;
        }
    }
}

fn connect(address: SocketAddr, dialect: Dialect) -> Vec<TcpStream> {
    let connection = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(dialect.hello).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    (0..CONNECTIONS).map(connection).collect()
}

fn single_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Events a second with a batch under way on each connection, the next one sent as soon as it is answered.
pub(crate) fn closed_loop(address: SocketAddr, dialect: Dialect, feed: Feed) -> f64 {
    let (feed, start) = (Rc::new(RefCell::new(feed)), Instant::now());
    let sent: usize = single_threaded().block_on(async {
        let local = tokio::task::LocalSet::new();
        let streams = connect(address, dialect).into_iter();
        let all: Vec<_> = streams
            .map(|stream| local.spawn_local(in_turn(stream, dialect, Rc::clone(&feed), start)))
            .collect();
        local.await;
        let mut sent = 0;
        for one in all {
            sent += one.await.unwrap();
        }
        sent
    });
    (sent * LINES_PER_BATCH) as f64 / start.elapsed().as_secs_f64()
}

/// Sends a batch and reads its answer, again and again; how often.
async fn in_turn(stream: TcpStream, dialect: Dialect, feed: Rc<RefCell<Feed>>, start: Instant) -> usize {
    let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let (mut answers, mut buffer, mut sent) = (Answers::new(dialect), vec![0; 64 * 1024], 0);
    while start.elapsed() < CLOSED_LOOP {
        let batch = feed.borrow_mut().next().to_vec();
        stream.write_all(&batch).await.unwrap();
        sent += 1;
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            if answers.take(&buffer[..read]) == sent {
                break;
            }
        }
    }
    sent
}

/// Sends batches by the clock for so many seconds at so many events a second; meanwhile, half-way, does something else.
pub(crate) fn by_the_clock(
    (address, dialect): (SocketAddr, Dialect),
    feed: Feed,
    (rate, seconds): (f64, f64),
    half_way: Option<&(dyn Fn() + Sync)>,
) -> Run {
    let interval = LINES_PER_BATCH as f64 / rate;
    let streams = connect(address, dialect);
    let start = Instant::now() + Duration::from_millis(100);
    let schedule = Schedule { start, interval, batches: (seconds / interval) as usize };
    let ((waits, late), meanwhile) = std::thread::scope(|scope| {
        let client = scope.spawn(|| send_and_read(streams, feed, (dialect, schedule)));
        let other = half_way.map(|act| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_secs_f64(seconds / 2.0));
                let began = schedule.seconds_since();
                act();
                (began, schedule.seconds_since())
            })
        });
        (client.join().unwrap(), other.map(|other| other.join().unwrap()))
    });
    let in_time = waits.iter().filter(|wait| wait.due + wait.ms / 1e3 <= seconds).count();
    let answered = (in_time * LINES_PER_BATCH) as f64 / seconds;
    Run { waits, asked: rate, answered, late: sorted(late), meanwhile }
}

/// All that the client does, on one thread; the waits, and how late each batch was.
fn send_and_read(
    streams: Vec<TcpStream>,
    mut feed: Feed,
    (dialect, schedule): (Dialect, Schedule),
) -> (Vec<Wait>, Vec<f64>) {
    run_at_once();
    let outlet = |stream: &TcpStream| Outlet { stream: stream.try_clone().unwrap(), left: VecDeque::new() };
    let mut outlets: Vec<Outlet> = streams.iter().map(outlet).collect();
    let waits = Rc::new(RefCell::new(Vec::with_capacity(schedule.batches)));
    let late = single_threaded().block_on(async {
        let local = tokio::task::LocalSet::new();
        for (first, stream) in streams.into_iter().enumerate() {
            local.spawn_local(read(stream, first, (dialect, schedule), Rc::clone(&waits)));
        }
        let late = local.run_until(send(&mut outlets, &mut feed, schedule)).await;
        local.await;
        late
    });
    (waits.take(), late)
}
