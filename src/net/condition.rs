//! How ingest, snapshots and reports are, and since when; one line of the log where one of them changes. Knows nothing of HTTP, nor of
//! why the store fails.
//!
//! INVARIANT: of a part that fails and recovers over and over the log has two lines per [`CONDITION_SETTLED`] at most: it has
//! recovered once it has been well for that long.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::limits::CONDITION_SETTLED;
use crate::model::calendar::rfc3339;
use crate::platform::clock::Clock;
use crate::store::Status;

/// A part of the daemon that can fail while the others go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Ingest,
    Snapshots,
    Reports,
}

impl Part {
    const ALL: [Self; 3] = [Self::Ingest, Self::Snapshots, Self::Reports];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Snapshots => "snapshots",
            Self::Reports => "reports",
        }
    }

    /// What the log says where it fails, and where it works again.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Ingest => ["events are refused", "events are taken again"],
            Self::Snapshots => ["snapshots fail", "snapshots are made again"],
            Self::Reports => ["reports are refused", "reports are given again"],
        }
    }

    /// The section of the runbook that has what to do where it fails.
    const fn section(self) -> &'static str {
        match self {
            Self::Ingest => "TallydIngestRefused",
            Self::Snapshots => "TallydSnapshotFailing",
            Self::Reports => "TallydReportsSlow",
        }
    }
}

/// How a part is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Condition {
    pub(crate) part: Part,
    /// What is wrong, without the name of a file; `None` where nothing is.
    pub(crate) fault: Option<String>,
    /// Since when it has been well, or not, in milliseconds since 1970.
    pub(crate) since_unix_ms: i64,
}

/// The parts as they were seen last.
#[derive(Debug)]
pub struct Conditions {
    clock: Clock,
    seen: Mutex<[Seen; Part::ALL.len()]>,
}

#[derive(Debug)]
struct Seen {
    is_failing: bool,
    since_unix_ms: i64,
    /// The same by the clock that never goes back.
    since: Duration,
    /// The log has said that it fails, and not yet that it has recovered: when it began.
    told: Option<i64>,
}

impl Conditions {
    /// All is well, since now.
    pub fn new(clock: Clock) -> Self {
        let (since_unix_ms, since) = (clock.unix_ms(), clock.monotonic());
        let seen = || Seen { is_failing: false, since_unix_ms, since, told: None };
        Self { seen: Mutex::new(Part::ALL.map(|_part| seen())), clock }
    }

    /// How the parts are now. Quick; the log hears of a change.
    pub(crate) fn look(&self, status: &Status) -> [Condition; Part::ALL.len()] {
        self.note(&[
            status.ingest_refused(),
            // The reason names a file; the log has it.
            status.snapshot_failing().map(|_reason| "the last snapshot failed; the log says why".to_owned()),
            // They need nothing that fails; if their threads hang, the watchdog restarts the daemon.
            None,
        ])
    }

    fn note(&self, faults: &[Option<String>; Part::ALL.len()]) -> [Condition; Part::ALL.len()] {
        let (now_unix_ms, now) = (self.clock.unix_ms(), self.clock.monotonic());
        // A panic cannot leave it half written: nothing in it belongs together.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = 0;
        Part::ALL.map(|part| {
            let (seen, fault) = (seen.get_mut(index), faults.get(index).cloned().flatten());
            index += 1;
            let since_unix_ms = seen.map_or(now_unix_ms, |seen| {
                if seen.is_failing != fault.is_some() {
                    (seen.is_failing, seen.since_unix_ms, seen.since) = (fault.is_some(), now_unix_ms, now);
                }
                seen.tell(part, fault.as_deref(), now);
                seen.since_unix_ms
            });
            Condition { part, fault, since_unix_ms }
        })
    }
}

impl Seen {
    fn tell(&mut self, part: Part, fault: Option<&str>, now: Duration) {
        let since = rfc3339(self.since_unix_ms);
        let [fails, works] = part.words();
        match (fault, self.told) {
            (Some(reason), None) => {
                self.told = Some(self.since_unix_ms);
                tracing::error!(reason, %since, runbook = part.section(), "{fails}");
            }
            (None, Some(began)) if now.saturating_sub(self.since) >= CONDITION_SETTLED => {
                self.told = None;
                let began = rfc3339(began);
                tracing::info!(%began, ended = %since, "{works}");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONDITION_INTERVAL;
    use std::io::{self, Write};
    use std::sync::Arc;

    const DISK_FULL: &str = "the disk is full";

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the log has after `work`.
    fn log_of(work: impl FnOnce()) -> Vec<String> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(subscriber.finish(), work);
        let bytes = sink.0.lock().expect("one thread").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }

    fn faults(ingest: Option<&str>) -> [Option<String>; 3] {
        [ingest.map(str::to_owned), None, None]
    }

    #[test]
    fn each_part_has_the_moment_since_which_it_is_as_it_is() {
        let clock = Clock::manual(1_552_813_201_000_000_000);
        let conditions = Conditions::new(clock.clone());
        let began = clock.unix_ms();
        clock.advance(Duration::from_mins(2));
        let [ingest, snapshots, reports] = conditions.note(&faults(Some(DISK_FULL)));
        assert_eq!((ingest.part, ingest.fault.as_deref()), (Part::Ingest, Some(DISK_FULL)));
        assert_eq!(ingest.since_unix_ms, began + 120_000);
        assert_eq!((snapshots.fault, snapshots.since_unix_ms), (None, began));
        assert_eq!((reports.fault, reports.since_unix_ms), (None, began));
        // Another reason is the same trouble.
        clock.advance(Duration::from_mins(3));
        let [ingest, ..] = conditions.note(&faults(Some("the disk failed in a sync")));
        assert_eq!(ingest.since_unix_ms, began + 120_000);
        let [ingest, ..] = conditions.note(&faults(None));
        assert_eq!((ingest.fault, ingest.since_unix_ms), (None, began + 300_000));
    }

    #[test]
    fn the_log_has_a_line_for_a_failure_and_one_for_its_end() {
        let clock = Clock::manual(1_552_813_201_000_000_000);
        let conditions = Conditions::new(clock.clone());
        let lines = log_of(|| {
            for _ in 0..100 {
                clock.advance(CONDITION_INTERVAL);
                conditions.note(&faults(Some(DISK_FULL)));
            }
            for _ in 0..100 {
                clock.advance(CONDITION_INTERVAL);
                conditions.note(&faults(None));
            }
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        for (line, words) in lines.iter().zip([
            "ERROR tallyd::net::condition: events are refused reason=\"the disk is full\" since=2019-03-17T09:00:02.000Z \
             runbook=\"TallydIngestRefused\"",
            "INFO tallyd::net::condition: events are taken again began=2019-03-17T09:00:02.000Z ended=2019-03-17T09:01:42.000Z",
        ]) {
            assert!(line.contains(words), "{line}\n{words}");
        }
    }

    #[test]
    fn a_part_that_comes_and_goes_has_one_line() {
        let clock = Clock::manual(0);
        let conditions = Conditions::new(clock.clone());
        let lines = log_of(|| {
            for round in 0..1_000 {
                clock.advance(CONDITION_INTERVAL);
                conditions.note(&faults((round % 2 == 0).then_some(DISK_FULL)));
            }
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}
