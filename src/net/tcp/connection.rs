//! One connection: reads while it may, submits batches, settles their outcomes, writes answers. A loop that waits
//! and carries out what [`Session`] decides. Knows nothing of line syntax.
//!
//! INVARIANT: at most [`TCP_BATCHES_UNDER_WAY_MAX`] batches are under way; at that many nothing is read, which is
//! how a slow journal slows its senders.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::Context;
use super::buffer::ReadBuffer;
use super::session::{Counted, Session, Then};
use crate::intake::batching::{Parser, Tally};
use crate::intake::wire::Arrival;
use crate::limits::{
    TCP_AUTH_TICKS_MAX, TCP_BATCHES_UNDER_WAY_MAX, TCP_LINGER, TCP_QUIET_TICKS_MAX, TCP_TICK,
    TCP_WRITE_TIMEOUT,
};
use crate::net::metrics::Entrance;
use crate::platform::shutdown::Watch;
use crate::store::{Receipt, Refusal};

/// Serves one connection until it ends.
pub(super) async fn run(stream: TcpStream, context: Arc<Context>, shutdown: Watch) {
    context.metrics.connection_opened(Entrance::Tcp);
    let _closed = Closed(&context);
    let session = Session::new(Parser::new(Arc::clone(&context.catalogue)), Arc::clone(&context.auth));
    let mut connection = Connection {
        stream,
        context: &context,
        session,
        buffer: ReadBuffer::default(),
        under_way: VecDeque::new(),
        writable: true,
    };
    let end = connection.serve(shutdown).await;
    connection.end(end).await;
}

/// Counts the connection as closed, also where its task is cut off.
struct Closed<'a>(&'a Context);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.metrics.connection_closed(Entrance::Tcp);
    }
}

type Outcome = Pin<Box<dyn Future<Output = Result<Receipt, Refusal>> + Send>>;

struct Connection<'a> {
    stream: TcpStream,
    context: &'a Context,
    session: Session,
    buffer: ReadBuffer,
    /// In the order in which they were submitted.
    under_way: VecDeque<(Counted, Outcome)>,
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
    /// Nothing came for long.
    Quiet,
    /// No token came in time.
    Stranger,
    /// The daemon stops.
    Stopping,
}

/// What a wait came to.
enum Woken {
    Stop,
    Settled(Result<Receipt, Refusal>),
    Readable,
    Writable,
    Tick,
    Broken,
}

impl Connection<'_> {
    async fn serve(&mut self, mut shutdown: Watch) -> End {
        let mut stopping = pin!(shutdown.stopping());
        let mut ticks = ticks();
        let mut quiet = Quiet::default();
        loop {
            let has_answers = self.writable && !self.session.answers().waiting().is_empty();
            let may_read = self.under_way.len() < TCP_BATCHES_UNDER_WAY_MAX;
            let woken = tokio::select! {
                () = &mut stopping => Woken::Stop,
                outcome = oldest(&mut self.under_way), if !self.under_way.is_empty() => Woken::Settled(outcome),
                ready = self.stream.readable(), if may_read => ready.map_or(Woken::Broken, |()| Woken::Readable),
                ready = self.stream.writable(), if has_answers => ready.map_or(Woken::Broken, |()| Woken::Writable),
                _ = ticks.tick() => Woken::Tick,
            };
            let end = match woken {
                Woken::Stop => Some(End::Stopping),
                Woken::Broken => Some(End::Lost),
                Woken::Settled(outcome) => {
                    self.settle_oldest(outcome);
                    None
                }
                Woken::Readable => self.read(&mut quiet).await,
                Woken::Writable => None,
                Woken::Tick => self.tick(&mut quiet),
            };
            self.write_some();
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Reads what there is and takes its whole lines.
    async fn read(&mut self, quiet: &mut Quiet) -> Option<End> {
        let room = self.buffer.room();
        if room.is_empty() {
            // A whole block without a line: the parser would have skipped it.
            return Some(End::Lost);
        }
        match self.stream.try_read(room) {
            Ok(0) => Some(End::Finished),
            Ok(bytes) => {
                self.buffer.read(bytes);
                quiet.something_came();
                self.context.metrics.bytes_received(Entrance::Tcp, u64::try_from(bytes).unwrap_or(0));
                self.take().await
            }
            Err(error) if is_not_ready(&error) => None,
            Err(error) => {
                debug!(%error, "a connection of the line port broke");
                Some(End::Lost)
            }
        }
    }

    /// Takes the whole lines that are there, and submits them. Lets others have a turn wherever nothing is waited for:
    /// a sender of nothing but bad lines, comments or commands never has to wait for the store.
    async fn take(&mut self) -> Option<End> {
        let arrival = self.arrival();
        loop {
            let turn = self.session.take(self.buffer.waiting(), arrival);
            self.buffer.take(turn.consumed);
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
                Then::Sync => {
                    self.submit().await;
                    self.settle_all().await;
                    self.session.synced();
                    if !self.write_all().await {
                        return Some(End::Lost);
                    }
                }
            }
        }
    }

    fn tick(&mut self, quiet: &mut Quiet) -> Option<End> {
        match quiet.tick() {
            _ if self.session.is_stranger() && quiet.age > TCP_AUTH_TICKS_MAX => return Some(End::Stranger),
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
            End::Stranger => self.session.closing("no token came in time, so the connection is closed"),
            End::Stopping => self.session.closing("tallyd is stopping"),
            End::Refused | End::Lost => {}
        }
        self.submit().await;
        self.settle_all().await;
        if then == Then::Sync {
            self.session.synced();
        }
        let written = self.write_all().await;
        if written && !matches!(end, End::Finished | End::Lost) {
            self.linger().await;
        }
    }

    /// Hands over the lines taken so far, waiting for room in the store's queue. Returns whether there was a batch.
    async fn submit(&mut self) -> bool {
        let gathered = self.session.gather();
        if gathered.tally != Tally::default() {
            self.context.metrics.events(Entrance::Tcp, &gathered.tally);
        }
        let Some((batch, lines)) = gathered.batch else { return false };
        while self.under_way.len() >= TCP_BATCHES_UNDER_WAY_MAX {
            self.settle_next().await;
        }
        match self.context.door.submit(batch).await {
            Ok(pending) => self.under_way.push_back((lines, Box::pin(pending.outcome()))),
            Err(refusal) => self.settle(&lines, Err(refusal)),
        }
        true
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

    fn settle_oldest(&mut self, outcome: Result<Receipt, Refusal>) {
        if let Some((lines, _)) = self.under_way.pop_front() {
            self.settle(&lines, outcome);
        }
    }

    fn settle(&mut self, lines: &Counted, outcome: Result<Receipt, Refusal>) {
        match outcome {
            Ok(_) => self.session.counted(lines),
            Err(refusal) => {
                self.context.metrics.events_refused(Entrance::Tcp, lines.accepted);
                self.session.refused(lines, &refusal);
            }
        }
    }

    /// Writes what the socket takes at once. Never waits.
    fn write_some(&mut self) {
        while self.writable && !self.session.answers().waiting().is_empty() {
            match self.stream.try_write(self.session.answers().waiting()) {
                Ok(bytes) => self.session.answers().advance(bytes),
                Err(error) if is_not_ready(&error) => break,
                Err(_) => self.writable = false,
            }
        }
        if !self.writable {
            let lost = self.session.answers().waiting().len();
            self.session.answers().advance(lost);
        }
        let dropped = self.session.answers().take_dropped();
        if dropped > 0 {
            self.context.metrics.answers_dropped(dropped);
        }
    }

    /// Writes everything, waiting for the peer to read, but not for long. Returns whether it did.
    async fn write_all(&mut self) -> bool {
        let written = timeout(TCP_WRITE_TIMEOUT, async {
            loop {
                self.write_some();
                if self.session.answers().waiting().is_empty() {
                    return self.writable;
                }
                if self.stream.writable().await.is_err() {
                    return false;
                }
            }
        });
        written.await.unwrap_or(false)
    }

    /// Ends the answers and lets the peer read them: closing a socket with unread bytes in it would throw away
    /// what is on its way to the peer. What comes now was said not to be counted.
    async fn linger(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let unread = timeout(TCP_LINGER, async {
            loop {
                if self.stream.readable().await.is_err() {
                    return;
                }
                let room = self.buffer.room();
                let room_bytes = room.len();
                match self.stream.try_read(room) {
                    Ok(0) => return,
                    Ok(_) if room_bytes > 0 => {}
                    Err(error) if is_not_ready(&error) => {}
                    Ok(_) | Err(_) => return,
                }
            }
        });
        if unread.await.is_err() {
            debug!("a peer of the line port goes on sending after the last answer");
        }
    }

    fn arrival(&self) -> Arrival {
        Arrival { unix_nanos: self.context.clock.unix_nanos(), max_future: self.context.max_future }
    }
}

/// Waits for the outcome of the oldest batch under way, and leaves it in its place. For ever where there is none.
async fn oldest(under_way: &mut VecDeque<(Counted, Outcome)>) -> Result<Receipt, Refusal> {
    match under_way.front_mut() {
        Some((_, outcome)) => outcome.as_mut().await,
        None => std::future::pending().await,
    }
}

fn is_not_ready(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
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
    fn tick(&mut self) -> QuietFor {
        self.age = self.age.saturating_add(1);
        self.ticks = self.ticks.saturating_add(1);
        match self.ticks {
            // The first tick may follow a byte at once; by the second a whole one was quiet.
            2 => QuietFor::ATick,
            ticks if ticks > TCP_QUIET_TICKS_MAX => QuietFor::Long,
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
        assert_eq!(quiet.tick(), QuietFor::NotYet);
        quiet.something_came();
        assert_eq!(quiet.tick(), QuietFor::NotYet);
        assert_eq!(quiet.tick(), QuietFor::ATick);
        for _ in 2..TCP_QUIET_TICKS_MAX {
            assert_eq!(quiet.tick(), QuietFor::NotYet);
        }
        assert_eq!(quiet.tick(), QuietFor::Long);
        assert_eq!(quiet.age, TCP_QUIET_TICKS_MAX + 2);
    }
}
