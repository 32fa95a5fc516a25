//! One connection: reads while it may, submits batches, settles their outcomes, writes answers. A loop that waits
//! and carries out what [`Session`] decides. Knows nothing of line syntax.
//!
//! INVARIANT: at most [`TCP_BATCHES_UNDER_WAY_MAX`] batches are under way; at that many nothing is read, which is
//! how a slow journal slows its senders.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncWriteExt as _, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::TcpShared;
use super::answers::Answers;
use super::buffer::{ReadBuffer, ReadRoom};
use super::session::{BatchLines, FinishedBatch, Session, Then};
use crate::intake::batching::{Parsed, Parser, Tally};
use crate::intake::wire::Arrival;
use crate::limits::{
    TCP_AUTH_TICKS_MAX, TCP_BATCH_QUIET_TICKS_MAX, TCP_BATCHES_UNDER_WAY_MAX, TCP_LINGER,
    TCP_QUIET_TICKS_MAX, TCP_READ_BYTES_MIN, TCP_TICK, TCP_WRITE_TIMEOUT, wide,
};
use crate::net::Services;
use crate::net::commit::{Claimed, Committed, NotCounted};
use crate::net::listener::{self, Stream};
use crate::net::log::door::SenderId;
use crate::net::metrics::{Bound, Listener};
use crate::net::{commit, idempotency};
use crate::platform::shutdown::Watch;

/// Serves one connection until it ends.
pub(super) async fn run<S: Stream>(stream: S, shared: &TcpShared, peer: Option<IpAddr>, shutdown: Watch) {
    let services = &shared.services;
    let parser = Parser::new(Arc::clone(&services.catalogue)).below(Arc::clone(&services.memory));
    let doors = (Arc::clone(&services.auth), Arc::clone(&services.guessing));
    let session = Session::new(parser, doors, peer, &shared.memory);
    let buffer = ReadBuffer::new(&shared.memory);
    let sender = services.log.as_ref().map(|log| log.door.sender());
    let mut connection = Connection {
        stream,
        services,
        session,
        buffer,
        under_way: VecDeque::new(),
        sender,
        has_unknown: false,
        writable: true,
    };
    let end = connection.serve(shutdown).await;
    connection.end(end).await;
}

type CommitFuture = Pin<Box<dyn Future<Output = Result<Committed, NotCounted>> + Send>>;

struct Connection<'a, S> {
    stream: S,
    services: &'a Services,
    session: Session,
    buffer: ReadBuffer,
    /// In the order in which they were submitted.
    under_way: VecDeque<(BatchLines, CommitFuture)>,
    /// By which a log keeps the order of what this connection sends.
    sender: Option<SenderId>,
    /// The log has not said in time what became of something: what followed it could overtake it there.
    has_unknown: bool,
    /// The peer can still be written to. Where it cannot, it may yet be read from.
    writable: bool,
}

/// Why a connection ends.
enum End {
    /// The peer has sent all it had.
    Finished,
    /// The connection broke, or the peer does not read what it asked for.
    Lost,
    /// The session has had enough.
    Refused,
    /// The log has not said in time what became of a batch.
    Unknown,
    /// A line or a batch is long, and the budget for them is spent.
    Overloaded,
    /// Nothing came for long.
    Quiet,
    /// No token came in time.
    Unauthenticated,
    /// The daemon stops.
    Stopping,
}

/// What ended a wait.
enum Woken {
    Stop,
    Settled(Result<Committed, NotCounted>),
    /// So many bytes came; 0 at the end of the stream.
    Read(usize),
    Tick,
    Broken(io::Error),
}

impl<S: Stream> Connection<'_, S> {
    async fn serve(&mut self, mut shutdown: Watch) -> End {
        let mut stopping = pin!(shutdown.stopping());
        let mut ticks = ticks();
        let mut quiet = Quiet::default();
        loop {
            let may_read = self.under_way.len() < TCP_BATCHES_UNDER_WAY_MAX;
            if may_read {
                match self.buffer.make_room() {
                    ReadRoom::Some => {}
                    // A whole block without a line: the parser would have skipped it.
                    ReadRoom::Full => return End::Lost,
                    ReadRoom::BudgetSpent => return End::Overloaded,
                }
            }
            let Self { stream, session, buffer, under_way, writable, .. } = self;
            let received = poll_fn(|cx| {
                let received = if may_read { poll_fill(stream, buffer, cx) } else { Poll::Pending };
                if received.is_pending() {
                    // Reading may have made TLS answer by itself. Where the peer does not take all answers now, it is asked
                    // again when it has room.
                    write_answers(stream, session.answers(), writable, cx);
                }
                received
            });
            let woken = tokio::select! {
                () = &mut stopping => Woken::Stop,
                outcome = oldest(under_way), if !under_way.is_empty() => Woken::Settled(outcome),
                received = received => received.map_or_else(Woken::Broken, Woken::Read),
                _ = ticks.tick() => Woken::Tick,
            };
            let end = match woken {
                Woken::Stop => Some(End::Stopping),
                Woken::Broken(error) => {
                    debug!(%error, "a connection of the line port broke");
                    Some(End::Lost)
                }
                Woken::Settled(outcome) => {
                    self.settle_oldest(outcome);
                    None
                }
                Woken::Read(0) => Some(End::Finished),
                Woken::Read(bytes) => {
                    quiet.something_came();
                    self.services.metrics.bytes_received(Listener::Tcp, wide(bytes));
                    self.process().await
                }
                Woken::Tick => self.tick(&mut quiet),
            };
            self.write_some();
            let end = end.or_else(|| self.has_unknown.then_some(End::Unknown));
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Processes the whole lines that are there, and submits them. Yields wherever nothing is waited for: a sender of
    /// nothing but bad lines, comments or commands never has to wait for the store.
    async fn process(&mut self) -> Option<End> {
        let arrival = self.arrival();
        loop {
            let turn = self.session.process(self.buffer.waiting(), arrival);
            self.buffer.consume(turn.consumed);
            match turn.then {
                Then::Again => {
                    self.write_some();
                    yield_now().await;
                }
                Then::Read => {
                    if !self.submit().await {
                        yield_now().await;
                    }
                    return None;
                }
                Then::Close => return Some(End::Refused),
                Then::Overloaded => return Some(End::Overloaded),
                Then::Sync | Then::Batch => {
                    self.submit().await;
                    self.settle_all().await;
                    if self.has_unknown {
                        return Some(End::Unknown);
                    }
                    match turn.then {
                        Then::Batch => self.count_keyed(arrival).await,
                        _ => self.session.synced(),
                    }
                    if !self.write_all().await {
                        return Some(End::Lost);
                    }
                }
            }
        }
    }

    fn tick(&mut self, quiet: &mut Quiet) -> Option<End> {
        if self.session.is_withdrawn() {
            return Some(End::Refused);
        }
        match quiet.tick(self.session.is_in_batch()) {
            _ if self.session.is_unauthenticated() && quiet.age > TCP_AUTH_TICKS_MAX => {
                return Some(End::Unauthenticated);
            }
            QuietFor::ATick => self.buffer.shrink(),
            QuietFor::Long => return Some(End::Quiet),
            QuietFor::NotYet => {}
        }
        None
    }

    /// Settles everything and says the last words.
    async fn end(mut self, end: End) {
        let mut then = Then::Close;
        match end {
            End::Finished => {
                let arrival = self.arrival();
                then = self.session.finish(self.buffer.waiting(), arrival);
            }
            End::Quiet => self.session.closing("nothing came for a long time, so the connection is closed"),
            End::Unauthenticated => {
                self.session.closing("no token came in time, so the connection is closed");
            }
            End::Overloaded => {
                self.services.metrics.overloaded(Bound::LineMemory);
                self.session.closing(Bound::LineMemory.message());
            }
            End::Unknown => {
                self.session
                    .closing("what became of earlier lines is not known, so the connection is closed");
            }
            End::Stopping => self.session.closing("tallyd is stopping"),
            End::Refused | End::Lost => {}
        }
        self.submit().await;
        self.settle_all().await;
        match then {
            Then::Sync => self.session.synced(),
            Then::Batch => self.count_keyed(self.arrival()).await,
            Then::Read | Then::Again | Then::Close | Then::Overloaded => {}
        }
        let written = self.write_all().await;
        match end {
            End::Finished if written => self.close().await,
            End::Finished | End::Lost => {}
            _ if written => self.linger().await,
            _ => {}
        }
    }

    /// Hands over the lines taken so far, waiting for room in the store's queue. Returns whether there was a batch.
    async fn submit(&mut self) -> bool {
        let FinishedBatch { tally, batch } = self.session.finish_batch();
        let Some((batch, lines)) = batch else {
            if tally != Tally::default() {
                commit::count_rejected(self.services, Listener::Tcp, tally);
            }
            return false;
        };
        while self.under_way.len() >= TCP_BATCHES_UNDER_WAY_MAX {
            self.settle_next().await;
        }
        let from = (Listener::Tcp, self.sender, self.has_unknown);
        match commit::submit_after(self.services, from, batch, tally).await {
            Ok(commit) => self.under_way.push_back((lines, Box::pin(commit))),
            Err(error) => self.session.not_acknowledged(&lines, &error),
        }
        true
    }

    /// Counts a batch with a key, unless it was counted before, and answers it.
    async fn count_keyed(&mut self, arrival: Arrival) {
        let services = self.services;
        let Some(mut lines) = self.session.take_keyed() else { return };
        let handle = &services.write_handle;
        let content = (self.session.precision(), lines.content());
        let identity =
            idempotency::of_key(handle.key_seed(), (self.session.key_owner(), &lines.key), content);
        let claim = match commit::claim(services, identity).await {
            Ok(Claimed::New(claim)) => claim,
            Ok(Claimed::Counted(answer)) => {
                services.metrics.replayed(Listener::Tcp, identity.rule, u64::from(answer.accepted));
                self.session.skip_keyed(&lines);
                self.session.keyed_replayed(&lines, &answer);
                return;
            }
            Ok(Claimed::Conflict) => {
                services.metrics.key_conflict(Listener::Tcp);
                self.session.skip_keyed(&lines);
                self.session.keyed_conflict(&lines);
                return;
            }
            Err(error) => {
                self.session.skip_keyed(&lines);
                self.session.keyed_failed(&lines, (0, &error.into()));
                return;
            }
        };
        let mut parsed = Parsed::default();
        while self.session.parse_keyed(&mut lines, arrival, &mut parsed) {
            self.write_some();
            yield_now().await;
        }
        let answer = lines.answer(&parsed.tally);
        let mut batch = parsed.batch;
        batch.key = Some(Box::new(commit::key_of(services, &claim, answer.clone())));
        let from = (Listener::Tcp, self.sender);
        let outcome = match commit::submit(services, from, (batch, Some(claim)), parsed.tally).await {
            Ok(commit) => commit.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Committed::Counted) => self.session.keyed_counted(&answer),
            Ok(Committed::Repeated(first)) => self.session.keyed_repeated(&first),
            Ok(Committed::Conflict) => self.session.keyed_conflict(&lines),
            Err(error) => {
                self.session.note_rejected(&answer);
                self.session.keyed_failed(&lines, (u64::from(answer.accepted), &error));
            }
        }
    }

    async fn settle_all(&mut self) {
        while !self.under_way.is_empty() {
            self.settle_next().await;
        }
    }

    async fn settle_next(&mut self) {
        let outcome = oldest(&mut self.under_way).await;
        self.settle_oldest(outcome);
    }

    fn settle_oldest(&mut self, outcome: Result<Committed, NotCounted>) {
        if let Some((lines, _)) = self.under_way.pop_front() {
            self.settle(&lines, outcome);
        }
    }

    fn settle(&mut self, lines: &BatchLines, outcome: Result<Committed, NotCounted>) {
        match outcome {
            Ok(_) => self.session.counted(lines),
            Err(error) => {
                self.has_unknown |= error == NotCounted::LogUnknown;
                self.session.not_acknowledged(lines, &error);
            }
        }
    }

    /// Writes what the socket takes at once. Never waits.
    fn write_some(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        write_answers(&mut self.stream, self.session.answers(), &mut self.writable, &mut cx);
        let dropped = self.session.answers().take_dropped();
        if dropped > 0 {
            self.services.metrics.answers_dropped(dropped);
        }
    }

    /// Writes everything, waiting for the peer to read, but not for long. Returns whether it did.
    async fn write_all(&mut self) -> bool {
        self.write_some();
        let Self { stream, session, writable, .. } = self;
        let written = timeout(TCP_WRITE_TIMEOUT, async {
            poll_fn(|cx| {
                let is_done = write_answers(stream, session.answers(), writable, cx);
                if is_done { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            *writable
        });
        written.await.unwrap_or(false)
    }

    /// Ends the answers, so that a peer with TLS knows that nothing was cut off.
    async fn close(&mut self) {
        if !matches!(timeout(TCP_LINGER, self.stream.shutdown()).await, Ok(Ok(()))) {
            debug!("a peer of the line port went away before the end of its answers");
        }
    }

    /// Ends the answers and lets the peer read them. The last answer said that lines after it are not counted.
    async fn linger(&mut self) {
        if !matches!(timeout(TCP_LINGER, listener::end(&mut self.stream)).await, Ok(Ok(()))) {
            debug!("a peer of the line port goes on sending after the last answer");
        }
    }

    fn arrival(&self) -> Arrival {
        self.services.arrival()
    }
}

/// Waits for the outcome of the oldest batch under way, and leaves it in its place. For ever where there is none.
async fn oldest(under_way: &mut VecDeque<(BatchLines, CommitFuture)>) -> Result<Committed, NotCounted> {
    match under_way.front_mut() {
        Some((_, outcome)) => outcome.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Writes answers as far as the peer takes them. Returns whether none is left, or the peer is gone; otherwise the task
/// is woken when there is room.
fn write_answers<S: Stream>(
    stream: &mut S,
    answers: &mut Answers,
    writable: &mut bool,
    cx: &mut Context<'_>,
) -> bool {
    while *writable && !answers.waiting().is_empty() {
        match Pin::new(&mut *stream).poll_write(cx, answers.waiting()) {
            Poll::Ready(Ok(bytes)) if bytes > 0 => answers.advance(bytes),
            Poll::Ready(_) => *writable = false,
            Poll::Pending => return false,
        }
    }
    if !*writable {
        answers.advance(answers.waiting().len());
        return true;
    }
    // An encrypted stream takes more than it has sent.
    match Pin::new(stream).poll_flush(cx) {
        Poll::Ready(Ok(())) => true,
        Poll::Ready(Err(_gone)) => {
            *writable = false;
            true
        }
        Poll::Pending => false,
    }
}

/// Reads into the buffer. A quiet connection has none: what comes first is read on the stack.
fn poll_fill<S: Stream>(
    stream: &mut S,
    buffer: &mut ReadBuffer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.is_unallocated() {
        let mut first = [0; TCP_READ_BYTES_MIN];
        let mut read = ReadBuf::new(&mut first);
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        buffer.append(read.filled());
        return Poll::Ready(Ok(read.filled().len()));
    }
    let mut read = ReadBuf::new(buffer.room());
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    let bytes = read.filled().len();
    buffer.read(bytes);
    Poll::Ready(Ok(bytes))
}

fn ticks() -> Interval {
    let mut ticks = interval(TCP_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// For how long nothing has come.
#[derive(Default)]
struct Quiet {
    /// Ticks since something came.
    ticks: u32,
    /// Ticks since the connection began.
    age: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum QuietFor {
    NotYet,
    ATick,
    Long,
}

impl Quiet {
    fn something_came(&mut self) {
        self.ticks = 0;
    }

    /// Another tick has passed.
    fn tick(&mut self, is_in_batch: bool) -> QuietFor {
        self.age = self.age.saturating_add(1);
        self.ticks = self.ticks.saturating_add(1);
        let most = if is_in_batch { TCP_BATCH_QUIET_TICKS_MAX } else { TCP_QUIET_TICKS_MAX };
        match self.ticks {
            // The first tick may follow a byte at once; by the second a whole one was quiet.
            2 => QuietFor::ATick,
            ticks if ticks > most => QuietFor::Long,
            _ => QuietFor::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_connection_gives_its_buffer_back_once_and_is_closed_in_the_end() {
        let mut quiet = Quiet::default();
        assert_eq!(quiet.tick(false), QuietFor::NotYet);
        quiet.something_came();
        assert_eq!(quiet.tick(false), QuietFor::NotYet);
        assert_eq!(quiet.tick(false), QuietFor::ATick);
        for _ in 2..TCP_QUIET_TICKS_MAX {
            assert_eq!(quiet.tick(false), QuietFor::NotYet);
        }
        assert_eq!(quiet.tick(false), QuietFor::Long);
        assert_eq!(quiet.age, TCP_QUIET_TICKS_MAX + 2);
    }

    #[test]
    fn a_batch_that_does_not_go_on_is_not_held_for_long() {
        let mut quiet = Quiet::default();
        let ends = (1..=TCP_QUIET_TICKS_MAX).find(|_| quiet.tick(true) == QuietFor::Long);
        assert_eq!(ends, Some(TCP_BATCH_QUIET_TICKS_MAX + 1));
    }
}
