//! How a node that shares a log is, for whoever asks: whether the log can be reached, how far the node is behind it, why it has stopped,
//! what it has sent. Knows nothing of how that comes about.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::follow::{Skipped, StopCause};
use crate::cluster::position::LogSequence;
use crate::cluster::publish::{Ack, Refused};
use crate::limits::LOG_SILENCE_MAX;
use crate::model::named::named_enum;

named_enum! {
    /// What a node of several is open for. Behind its doors each is the same.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub enum Role {
        /// Events and reports.
        All = "all",
        /// Events only.
        Ingest = "ingest",
        /// Reports only.
        Query = "query",
    }
}

impl Role {
    /// Whether its ports take events.
    pub fn takes_events(self) -> bool {
        self != Self::Query
    }

    /// Whether its ports answer reports.
    pub fn answers_reports(self) -> bool {
        self != Self::Ingest
    }
}

/// What the log says of a message that was sent: stored, there already, not stored, not taken.
pub const OUTCOMES: [&str; 4] = ["stored", "duplicate", "failed", "refused"];

/// Why a message that was read changes nothing.
pub const SKIPS: [&str; 6] = Skipped::ALL;

/// The store takes nothing more.
pub const STOPPED_BY_STORE: &str = "store";

/// What is counted is not what the log came to.
pub const STOPPED_BY_DIGEST: &str = "digest";

/// Why a node follows the log no longer: the log's causes and its own.
pub fn stops() -> impl Iterator<Item = &'static str> {
    StopCause::ALL.into_iter().chain([STOPPED_BY_STORE, STOPPED_BY_DIGEST])
}

/// How a node is. Shared by all who ask.
#[derive(Debug, Default)]
pub struct NodeState(Mutex<NodeFigures>);

/// The same at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeFigures {
    /// The server that is connected to, by its name and version.
    pub server: Option<String>,
    /// Why there is none.
    pub away: Option<String>,
    /// Why nothing is read or published any more.
    pub stopped: Option<String>,
    /// A word for that, of [`stops`].
    pub stopped_by: Option<&'static str>,
    /// The last message that the log is known to have.
    pub last: LogSequence,
    /// The last one that was read here.
    pub read: LogSequence,
    /// When both were the same, as far as is known.
    pub caught_up: Duration,
    /// Messages that were sent, by what the log said of them.
    pub published: BTreeMap<&'static str, u64>,
    /// Their bytes.
    pub published_bytes: u64,
    /// Messages that were read and changed nothing, by why.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl NodeFigures {
    /// How long this node has been behind the log, as far as it knows; zero where it is not.
    pub fn lag(&self, now: Duration) -> Duration {
        let since = now.saturating_sub(self.caught_up);
        let is_up_to_date = self.server.is_some() && self.stopped.is_none() && self.read >= self.last;
        // Where nothing comes the log is asked after some silence, and takes a while to answer.
        let is_heard = since <= LOG_SILENCE_MAX.saturating_mul(3);
        if is_up_to_date && is_heard { Duration::ZERO } else { since }
    }
}

impl NodeState {
    /// A node that has read so much, and has not reached the log yet.
    pub fn new(read: LogSequence, now: Duration) -> Self {
        let away = Some("it is being connected to".to_owned());
        Self(Mutex::new(NodeFigures { away, read, caught_up: now, ..NodeFigures::default() }))
    }

    /// How it is now.
    pub fn figures(&self) -> NodeFigures {
        self.lock().clone()
    }

    /// Why a batch would be refused at once; `None` where it may be taken.
    pub fn refusal(&self) -> Option<Refused> {
        let figures = self.lock();
        match &figures.stopped {
            Some(why) => Some(Refused::Stopped(why.as_str().into())),
            None => figures.server.is_none().then_some(Refused::Away),
        }
    }

    /// The log can be reached.
    pub fn connected(&self, server: &str) {
        let mut figures = self.lock();
        (figures.server, figures.away) = (Some(server.to_owned()), None);
    }

    /// It cannot. Returns whether that is new, or for another reason than before.
    pub fn away(&self, why: &str) -> bool {
        let mut figures = self.lock();
        figures.server = None;
        let is_new = figures.away.as_deref() != Some(why);
        figures.away = Some(why.to_owned());
        is_new
    }

    /// Nothing more is read. Returns whether that is new.
    pub fn stopped(&self, (by, why): (&'static str, &str)) -> bool {
        let mut figures = self.lock();
        let is_new = figures.stopped.is_none();
        if is_new {
            (figures.stopped, figures.stopped_by) = (Some(why.to_owned()), Some(by));
        }
        is_new
    }

    /// The log has at least so much, and so much was read.
    pub fn moved(&self, last: Option<LogSequence>, read: LogSequence, now: Duration) {
        let mut figures = self.lock();
        if let Some(last) = last {
            figures.last = last;
        }
        figures.read = read;
        if read >= figures.last && (last.is_some() || figures.server.is_some()) {
            figures.caught_up = now;
        }
    }

    /// The log has said something of a message that was sent.
    pub fn acked(&self, ack: Ack, bytes: u64) {
        let mut figures = self.lock();
        let [stored, duplicate, failed, refused] = OUTCOMES;
        let outcome = match ack {
            Ack::Stored(_) => stored,
            Ack::Duplicate(_) => duplicate,
            Ack::Failed => failed,
            Ack::Refused => refused,
        };
        let count = figures.published.entry(outcome).or_default();
        *count = count.saturating_add(1);
        figures.published_bytes = figures.published_bytes.saturating_add(bytes);
    }

    /// A message was read that changes nothing.
    pub fn skipped(&self, why: &'static str) {
        let mut figures = self.lock();
        let count = figures.skipped.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, NodeFigures> {
        // Nothing that is done under it can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn lag_is_none_while_the_log_is_heard_and_read_to_its_end() {
        let state = NodeState::new(LogSequence::new(4), seconds(100));
        let lag = |now: u64| state.figures().lag(seconds(now));
        assert_eq!(lag(103), seconds(3), "it is not connected to");
        state.connected("s0 2.15.1");
        state.moved(Some(LogSequence::new(4)), LogSequence::new(4), seconds(104));
        assert_eq!((lag(104), lag(110), lag(120)), (seconds(0), seconds(0), seconds(16)));
        state.moved(Some(LogSequence::new(9)), LogSequence::new(5), seconds(121));
        assert_eq!(lag(122), seconds(18));
        state.moved(None, LogSequence::new(9), seconds(123));
        assert_eq!(lag(124), seconds(0));
        state.away("gone");
        assert_eq!(lag(125), seconds(2));
    }

    #[test]
    fn batches_are_refused_while_the_log_is_away_and_for_good_once_stopped() {
        let state = NodeState::new(LogSequence::START, Duration::ZERO);
        assert_eq!(state.refusal(), Some(Refused::Away));
        state.connected("s0 2.15.1");
        assert_eq!(state.refusal(), None);
        assert!(state.away("one") && !state.away("one") && state.away("another"));
        assert!(state.stopped(("gap", "a gap")) && !state.stopped((STOPPED_BY_STORE, "something else")));
        assert_eq!(state.figures().stopped_by, Some("gap"));
        state.connected("s0 2.15.1");
        assert_eq!(state.refusal(), Some(Refused::Stopped("a gap".into())));
    }
}
