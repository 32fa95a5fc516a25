//! How a node that shares a log is, for whoever asks: whether the log can be reached, how far the node is behind it, why it has stopped,
//! what it has sent. Knows nothing of how that comes about.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::follow::{Skipped, StopCause};
use crate::cluster::position::LogSequence;
use crate::cluster::publish::{Ack, Refused};
use crate::limits::LOG_LOOK_AGE_MAX;
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
#[derive(Debug)]
pub struct NodeState(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    figures: NodeFigures,
    /// How far the log was said to reach, where not all of that is read: the first time, and the last one.
    ahead: VecDeque<Look>,
}

/// How far the log reached, at that moment or later.
#[derive(Clone, Copy, Debug)]
struct Look {
    asked: Duration,
    last: LogSequence,
}

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
    /// The last one that was read and recorded here.
    pub read: LogSequence,
    /// The last moment of which is known that everything that the log had then is read here; `None` where the log has not said
    /// since the start.
    pub caught_up: Option<Duration>,
    /// Messages that were sent, by what the log said of them.
    pub published: BTreeMap<&'static str, u64>,
    /// Their bytes.
    pub published_bytes: u64,
    /// Messages that were read and changed nothing, by why.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl NodeFigures {
    /// For how long this node may have been behind the log; zero where it is not, as far as can be known. Until the log has said
    /// how far it reaches, since the start.
    pub fn lag(&self, now: Duration) -> Duration {
        let since = now.saturating_sub(self.caught_up.unwrap_or_default());
        let is_up_to_date = self.server.is_some() && self.stopped.is_none() && self.read >= self.last;
        if is_up_to_date && self.caught_up.is_some() && since <= LOG_LOOK_AGE_MAX {
            Duration::ZERO
        } else {
            since
        }
    }

    /// Whether this node is further behind the log than that, or does not know.
    pub fn is_behind(&self, now: Duration, most: Duration) -> bool {
        self.caught_up.is_none() || self.lag(now) > most
    }
}

impl Known {
    fn meet(&mut self) {
        let figures = &mut self.figures;
        while let Some(look) = self.ahead.pop_front_if(|look| look.last <= figures.read) {
            if figures.stopped.is_none() {
                figures.caught_up = figures.caught_up.max(Some(look.asked));
            }
        }
    }
}

impl NodeState {
    /// A node that has read so much, and has not reached the log yet.
    pub fn new(read: LogSequence) -> Self {
        let away = Some("it is being connected to".to_owned());
        let figures = NodeFigures { away, read, ..NodeFigures::default() };
        Self(Mutex::new(Known { figures, ahead: VecDeque::new() }))
    }

    /// How it is now.
    pub fn figures(&self) -> NodeFigures {
        self.lock().figures.clone()
    }

    /// Why a batch would be refused at once; `None` where it may be taken.
    pub fn refusal(&self) -> Option<Refused> {
        let figures = &self.lock().figures;
        match &figures.stopped {
            Some(why) => Some(Refused::Stopped(why.as_str().into())),
            None => figures.server.is_none().then_some(Refused::Away),
        }
    }

    /// The log can be reached.
    pub fn connected(&self, server: &str) {
        let figures = &mut self.lock().figures;
        (figures.server, figures.away) = (Some(server.to_owned()), None);
    }

    /// It cannot. Returns whether that is new, or for another reason than before.
    pub fn away(&self, why: &str) -> bool {
        let figures = &mut self.lock().figures;
        figures.server = None;
        let is_new = figures.away.as_deref() != Some(why);
        figures.away = Some(why.to_owned());
        is_new
    }

    /// Nothing more is read. Returns whether that is new.
    pub fn stopped(&self, (by, why): (&'static str, &str)) -> bool {
        let figures = &mut self.lock().figures;
        let is_new = figures.stopped.is_none();
        if is_new {
            (figures.stopped, figures.stopped_by) = (Some(why.to_owned()), Some(by));
        }
        is_new
    }

    /// The log has so much, or had when it said so.
    pub fn reaches(&self, last: LogSequence) {
        self.lock().figures.last = last;
    }

    /// At that moment the log had so much at most; `None` where who says so may have been left by the other servers.
    pub fn looked(&self, asked: Option<Duration>, last: LogSequence) {
        let mut known = self.lock();
        known.figures.last = last;
        let Some(asked) = asked else { return };
        // The first one stays until it is met, so that a node that is always a little behind is not taken for one that stands.
        known.ahead.truncate(1);
        known.ahead.push_back(Look { asked, last });
        known.meet();
    }

    /// So much was read and recorded here.
    pub fn read(&self, read: LogSequence) {
        let mut known = self.lock();
        known.figures.read = read;
        known.meet();
    }

    /// The log has said something of a message that was sent.
    pub fn acked(&self, ack: Ack, bytes: u64) {
        let figures = &mut self.lock().figures;
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
        let figures = &mut self.lock().figures;
        let count = figures.skipped.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
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
    fn lag_is_known_as_of_the_moment_when_the_log_was_asked() {
        let at = LogSequence::new;
        let state = NodeState::new(at(4));
        let lag = |now: u64| state.figures().lag(seconds(now));
        let is_behind = |now: u64| state.figures().is_behind(seconds(now), seconds(10));
        assert!(lag(3) == seconds(3) && is_behind(3), "the log has said nothing yet");
        state.connected("s0 2.15.1");
        state.read(at(4));
        assert!(is_behind(4), "what was read says nothing of what there is");
        state.looked(None, at(4));
        assert!(is_behind(4), "nobody knows whether that was the log");
        state.looked(Some(seconds(104)), at(4));
        assert_eq!(
            (lag(104), lag(107), lag(108), lag(120)),
            (seconds(0), seconds(0), seconds(4), seconds(16))
        );
        assert!(!is_behind(114) && is_behind(115));
        // What comes by itself may have been on its way since then.
        state.reaches(at(5));
        state.read(at(5));
        assert!(lag(120) == seconds(16) && is_behind(120));
        state.looked(Some(seconds(121)), at(9));
        assert_eq!(lag(122), seconds(18));
        state.read(at(9));
        assert_eq!((lag(124), lag(125)), (seconds(0), seconds(4)));
        // An answer that is late is of the moment when it was asked for.
        state.looked(Some(seconds(110)), at(9));
        assert_eq!(lag(125), seconds(4));
        state.away("gone");
        assert_eq!(lag(122), seconds(1));
    }

    #[test]
    fn node_that_is_always_a_little_behind_has_a_little_lag() {
        let state = NodeState::new(LogSequence::START);
        state.connected("s0 2.15.1");
        for turn in 1..100 {
            state.looked(Some(seconds(turn)), LogSequence::new(10 * turn));
            state.read(LogSequence::new(10 * turn - 10));
        }
        assert_eq!(state.figures().lag(seconds(100)), seconds(2));
        state.stopped(("gap", "a gap"));
        state.read(LogSequence::new(10_000));
        assert_eq!(state.figures().lag(seconds(100)), seconds(2), "it follows no longer");
    }

    #[test]
    fn batches_are_refused_while_the_log_is_away_and_for_good_once_stopped() {
        let state = NodeState::new(LogSequence::START);
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
