//! When a stream makes its report anew, says that it is still there, and ends. Pure: the time is handed in.
//!
//! INVARIANT: a report is made only where something may have changed, and so seldom that a stream takes at most a fiftieth of a
//! core.

use std::time::Duration;

use crate::limits::{STREAM_COMMENT_EVERY, STREAM_PAUSE_MIN, STREAM_PAUSE_TIMES, STREAM_TICK};
use crate::model::calendar::UnixSeconds;

/// What a report depends on, beside what was asked: while it stays the same, so does the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Basis {
    /// The newest record of the journal.
    pub(super) sequence: u64,
    /// When the present local hour began.
    pub(super) hour: UnixSeconds,
}

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Nothing,
    /// Make the report anew.
    Report,
    /// Say that the stream is still there.
    Comment,
    /// End: the time that was asked for is over.
    End,
}

/// The pace of one stream. Times are those of one clock that never goes back.
#[derive(Debug)]
pub(super) struct Pace {
    ends_at: Option<Duration>,
    /// What the last report was made from.
    made_from: Option<Basis>,
    next_report: Duration,
    last_written: Duration,
}

impl Pace {
    pub(super) fn new(now: Duration, lasts: Option<Duration>) -> Self {
        let ends_at = lasts.map(|lasts| now.saturating_add(lasts));
        Self { ends_at, made_from: None, next_report: now, last_written: now }
    }

    pub(super) fn due(&self, now: Duration, basis: Basis) -> Due {
        if self.ends_at.is_some_and(|end| now >= end) {
            return Due::End;
        }
        if now >= self.next_report && self.made_from != Some(basis) {
            return Due::Report;
        }
        // Not later than it must be, though it is looked at only once a tick.
        let silent = now.saturating_sub(self.last_written).saturating_add(STREAM_TICK);
        if silent >= STREAM_COMMENT_EVERY { Due::Comment } else { Due::Nothing }
    }

    /// The report was made, which took that long.
    pub(super) fn made(&mut self, basis: Basis, now: Duration, took: Duration) {
        self.made_from = Some(basis);
        self.next_report = now.saturating_add(took.saturating_mul(STREAM_PAUSE_TIMES).max(STREAM_PAUSE_MIN));
    }

    /// The report could not be made, since others are at work.
    pub(super) fn put_off(&mut self, now: Duration) {
        self.next_report = now.saturating_add(STREAM_PAUSE_MIN);
    }

    /// Something was written to the client.
    pub(super) fn wrote(&mut self, now: Duration) {
        self.last_written = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn basis(sequence: u64, hour: i64) -> Basis {
        Basis { sequence, hour: UnixSeconds::new(hour) }
    }

    const START: Duration = Duration::from_secs(1_000);

    fn at(ms: u64) -> Duration {
        START + Duration::from_millis(ms)
    }

    #[test]
    fn a_report_is_made_where_sequence_or_hour_has_moved_and_not_sooner_than_a_second() {
        let mut pace = Pace::new(START, None);
        assert_eq!(pace.due(START, basis(7, 0)), Due::Report);
        pace.made(basis(7, 0), at(0), Duration::from_millis(1));
        pace.wrote(at(0));
        assert_eq!(pace.due(at(5_000), basis(7, 0)), Due::Nothing);
        assert_eq!(pace.due(at(999), basis(8, 0)), Due::Nothing);
        assert_eq!(pace.due(at(1_000), basis(8, 0)), Due::Report);
        assert_eq!(pace.due(at(1_000), basis(7, 3_600)), Due::Report);
        assert_eq!(pace.due(at(1_000), basis(7, -3_600)), Due::Report);
    }

    #[test]
    fn a_report_that_takes_long_is_made_less_often() {
        let mut pace = Pace::new(START, None);
        pace.made(basis(7, 0), at(100), Duration::from_millis(100));
        assert_eq!(pace.due(at(5_099), basis(8, 0)), Due::Nothing);
        assert_eq!(pace.due(at(5_100), basis(8, 0)), Due::Report);
        pace.put_off(at(5_100));
        assert_eq!(pace.due(at(6_099), basis(8, 0)), Due::Nothing);
        assert_eq!(pace.due(at(6_100), basis(8, 0)), Due::Report);
    }

    #[test]
    fn a_quiet_stream_says_within_fifteen_seconds_that_it_is_there() {
        let mut pace = Pace::new(START, None);
        pace.made(basis(7, 0), at(0), Duration::ZERO);
        pace.wrote(at(0));
        let tick = u64::try_from(STREAM_TICK.as_millis()).unwrap();
        let mut said = Vec::new();
        for ms in (0..60_000).step_by(usize::try_from(tick).unwrap()) {
            if pace.due(at(ms), basis(7, 0)) == Due::Comment {
                said.push(ms);
                pace.wrote(at(ms));
            }
        }
        let last = std::iter::once(0).chain(said.iter().copied());
        assert!(last.zip(&said).all(|(last, at)| at - last <= 15_000 - tick), "{said:?}");
        assert!((4..=5).contains(&said.len()), "{said:?}");
    }

    #[test]
    fn a_stream_ends_when_it_was_asked_to() {
        let pace = Pace::new(START, Some(Duration::from_secs(2)));
        assert_eq!(pace.due(at(1_999), basis(7, 0)), Due::Report);
        assert_eq!(pace.due(at(2_000), basis(7, 0)), Due::End);
    }
}
