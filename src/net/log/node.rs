//! The node of a daemon that shares a log: one task that holds the member, the connection to the log and the way to the store. It
//! decides nothing: what happens goes to the member, what the member wants is done, what was read is recorded in order, and clients are
//! answered from what was recorded.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, error, info, warn};
use twox_hash::XxHash3_64;

use super::door::{SenderId, Submitted};
use super::link::{Link, Order, Report};
use super::state::{NodeState, STOPPED_BY_DIGEST, STOPPED_BY_STORE};
use crate::cluster::follow::Stored;
use crate::cluster::member::{Event, Member, Read, Request};
use crate::cluster::position::WriterId;
use crate::cluster::publish::{Answer, Sender, Ticket};
use crate::limits::{LOG_LOOK_INTERVAL, LOG_READS_UNDER_WAY_MAX, LOG_RECORD_PAUSE, LOG_TICK, wide};
use crate::platform::clock::Clock;
use crate::platform::shutdown::Watch;
use crate::store::{LogHandle, LogRead, LogView, RecordError, Recorded};

type Outcome = Result<Recorded, RecordError>;

/// A node, until it runs.
pub struct Node<L> {
    member: Member,
    link: L,
    store: LogHandle,
    view: LogView,
    state: Arc<NodeState>,
    clock: Clock,
    queue: mpsc::Receiver<Submitted>,
    /// What was handed to the store, in order.
    under_way: FuturesOrdered<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    waiting: HashMap<Ticket, Waiting>,
    senders: HashMap<SenderId, Unanswered>,
    tickets: u64,
    /// When the log was asked how far it reaches.
    looked: Option<Duration>,
    /// Nothing more is read, for a reason of the store.
    is_halted: bool,
}

/// Who waits for the answer to a batch.
struct Waiting {
    reply: oneshot::Sender<Answer>,
    sender: Option<SenderId>,
}

/// Batches of one connection that are not answered.
struct Unanswered {
    /// Under which they went out.
    writer: WriterId,
    count: usize,
}

impl<L> fmt::Debug for Node<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("member", &self.member)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<L: Link> Node<L> {
    /// A node that goes on from what the store has.
    pub fn new(
        (view, store): (LogView, LogHandle),
        link: L,
        (state, queue): (Arc<NodeState>, mpsc::Receiver<Submitted>),
        writers: impl FnMut() -> WriterId + Send + 'static,
        clock: Clock,
    ) -> Self {
        let member = Member::new(view.replica(), writers, clock.monotonic());
        Self {
            member,
            link,
            store,
            view,
            state,
            clock,
            queue,
            under_way: FuturesOrdered::new(),
            waiting: HashMap::new(),
            senders: HashMap::new(),
            tickets: 0,
            looked: None,
            is_halted: false,
        }
    }

    /// Follows and publishes until the watch says so. By then the ports are closed, so that nobody waits for an answer.
    pub async fn run(mut self, mut stop: Watch) {
        self.check_digest().await;
        let mut ticks = interval(LOG_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_stopping() {
            self.carry_out();
            let may_read = self.under_way.len() < LOG_READS_UNDER_WAY_MAX && !self.is_halted;
            let Self { link, queue, under_way, .. } = &mut self;
            tokio::select! {
                () = stop.stopping() => {}
                report = link.next(), if may_read => self.report(report).await,
                Some(outcome) = under_way.next(), if !under_way.is_empty() => self.recorded(outcome, &stop).await,
                Some(submitted) = queue.recv() => self.submit(submitted),
                _ = ticks.tick() => self.look(),
            }
        }
        // What was read is recorded; what was sent is in the log, or not.
        while let Some(outcome) = self.under_way.next().await {
            if let Ok(recorded) = outcome {
                self.answer_all(recorded);
            }
        }
    }

    /// Follows nothing where what is counted is not what the log came to: it adds up every counter.
    async fn check_digest(&mut self) {
        let view = self.view.clone();
        let Ok(wrong) = tokio::task::spawn_blocking(move || view.wrong_digest()).await else { return };
        if let Some(why) = wrong {
            self.halt((STOPPED_BY_DIGEST, &why));
        }
    }

    /// Does what the member wants.
    fn carry_out(&mut self) {
        if self.is_halted {
            return;
        }
        for request in self.member.poll(self.clock.monotonic()) {
            match request {
                Request::Consume(start, server) => self.link.order(Order::Consume(start, server)),
                Request::State => self.link.order(Order::State),
                Request::Fetch(sequence) => self.link.order(Order::Fetch(sequence)),
                Request::Send(sending) => self.link.order(Order::Send(sending)),
                Request::Answer(ticket, answer) => self.answer(ticket, answer),
            }
        }
    }

    /// Asks how far the log reaches. What comes by itself does not say so: it may have been on its way for long.
    fn look(&mut self) {
        let now = self.clock.monotonic();
        let is_due = self.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOG_LOOK_INTERVAL);
        if is_due && self.member.is_connected() {
            self.looked = Some(now);
            self.link.order(Order::Look(now));
        }
    }

    async fn report(&mut self, report: Report) {
        let (read, stamp) = match &report {
            Report::Connected(connected) => {
                info!(server = connected.server, "the log is reached");
                for warning in &connected.warnings {
                    warn!("{warning}");
                }
                self.state.connected(&connected.server);
                (self.take(Event::Connected { message_bytes_max: connected.message_bytes_max }), None)
            }
            Report::Disconnected(why) => {
                self.state.away(&why.to_string());
                warn!(%why, "the log cannot be reached; events are refused until it is");
                (self.take(Event::Disconnected), None)
            }
            Report::Away(why) => {
                if self.state.away(&why.to_string()) {
                    warn!(%why, "the log cannot be reached");
                }
                (None, None)
            }
            Report::Delivered(sequence, stored, end) => {
                self.state.reaches(*end);
                let stored = Stored { stamp: stored.stamp, bytes: &stored.bytes };
                (self.take(Event::Delivered(*sequence, stored)), Some(stored.stamp))
            }
            Report::Fetched(sequence, stored, log) => {
                self.state.reaches(log.last);
                let stored =
                    stored.as_ref().map(|stored| Stored { stamp: stored.stamp, bytes: &stored.bytes });
                (self.take(Event::Fetched(*sequence, stored, *log)), None)
            }
            Report::State(log) => {
                self.state.reaches(log.last);
                (self.take(Event::State(*log)), None)
            }
            Report::Looked(asked, log) => {
                self.state.looked(*asked, log.last);
                (None, None)
            }
            Report::Acked(sending, ack) => {
                self.state.acked(*ack, wide(sending.bytes.len()));
                (self.take(Event::Acked(sending, *ack)), None)
            }
        };
        let position = self.member.replica().position();
        if let Some(cause) = self.member.stopped()
            && self.state.stopped((cause.as_str(), &cause.to_string()))
        {
            error!(%cause, "this node follows the log no longer; reports go on with what it has");
        }
        if let (Some(read), Some(stamp)) = (read, stamp) {
            if let Read::Skipped(skipped) = &read {
                self.state.skipped(skipped.as_str());
            }
            self.record(LogRead { read, position, stamp }).await;
        }
    }

    fn take(&mut self, event: Event<'_>) -> Option<Read> {
        self.member.take(event, self.clock.monotonic())
    }

    async fn record(&mut self, read: LogRead) {
        match self.store.record(read).await {
            Ok(pending) => self.under_way.push_back(Box::pin(pending.outcome())),
            // In its turn, behind what was handed over before it.
            Err(error) => self.under_way.push_back(Box::pin(std::future::ready(Err(error)))),
        }
    }

    async fn recorded(&mut self, outcome: Outcome, stop: &Watch) {
        let (mut again, why) = match outcome {
            Ok(recorded) => return self.answer_all(recorded),
            Err(RecordError::Refused(read, why)) => (VecDeque::from([read]), why),
            Err(error) => return self.halt((STOPPED_BY_STORE, &error.to_string())),
        };
        warn!(%why, "what was read of the log cannot be recorded; it is tried again");
        // What was handed over behind it comes back in order.
        while let Some(outcome) = self.under_way.next().await {
            match outcome {
                Ok(recorded) => self.answer_all(recorded),
                Err(RecordError::Refused(read, _) | RecordError::OutOfTurn(read)) => again.push_back(read),
                Err(error) => return self.halt((STOPPED_BY_STORE, &error.to_string())),
            }
        }
        while let Some(read) = again.pop_front() {
            let outcome = match self.store.record(*read).await {
                Ok(pending) => pending.outcome().await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(recorded) => self.answer_all(recorded),
                Err(RecordError::Refused(read, why)) => {
                    if stop.is_stopping() {
                        return;
                    }
                    debug!(%why, "what was read of the log still cannot be recorded");
                    again.push_front(read);
                    sleep(LOG_RECORD_PAUSE).await;
                }
                Err(error) => return self.halt((STOPPED_BY_STORE, &error.to_string())),
            }
        }
    }

    fn answer_all(&mut self, recorded: Recorded) {
        self.state.read(recorded.sequence);
        for (ticket, outcome) in recorded.outcomes {
            self.answer(ticket, Answer::Applied(recorded.sequence, outcome));
        }
    }

    /// Nothing more is taken that is read of the log: what waits may be counted by others, and is not here.
    fn halt(&mut self, (by, cause): (&'static str, &str)) {
        if self.state.stopped((by, cause)) {
            error!(cause, "this node follows the log no longer; reports go on with what it has");
        }
        self.is_halted = true;
        self.under_way = FuturesOrdered::new();
        for (_, waiting) in self.waiting.drain() {
            reply(waiting.reply, Answer::Unknown);
        }
        self.senders.clear();
    }

    fn submit(&mut self, submitted: Submitted) {
        let Submitted { batch, sender, reply: to } = submitted;
        if let Some(why) = self.state.refusal().filter(|_| self.is_halted) {
            return reply(to, Answer::Refused(why));
        }
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        let after = sender.and_then(|sender| self.senders.get(&sender)).map(|unanswered| unanswered.writer);
        let from = if sender.is_some() { Sender::connection(after) } else { Sender::REQUEST };
        match self.member.submit((ticket, from), &batch, self.clock.monotonic()) {
            Ok(writer) => {
                if let Some(sender) = sender {
                    let unanswered = self.senders.entry(sender).or_insert(Unanswered { writer, count: 0 });
                    unanswered.count = unanswered.count.saturating_add(1);
                }
                self.waiting.insert(ticket, Waiting { reply: to, sender });
            }
            Err(why) => reply(to, Answer::Refused(why)),
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let Some(Waiting { reply: to, sender }) = self.waiting.remove(&ticket) else { return };
        if let Some(sender) = sender
            && let Some(unanswered) = self.senders.get_mut(&sender)
        {
            unanswered.count = unanswered.count.saturating_sub(1);
            if unanswered.count == 0 {
                self.senders.remove(&sender);
            }
        }
        reply(to, answer);
    }
}

/// Whoever waited may have gone, which changes nothing about the batch.
fn reply(to: oneshot::Sender<Answer>, answer: Answer) {
    drop(to.send(answer));
}

/// Ids of writers, which no other has.
///
/// # Errors
/// The machine gives no random numbers.
pub fn writers() -> io::Result<impl FnMut() -> WriterId + Send + 'static> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed)?;
    let mut count = 0_u64;
    Ok(move || {
        count = count.wrapping_add(1);
        WriterId::new(XxHash3_64::oneshot_with_seed(count, &seed))
    })
}
