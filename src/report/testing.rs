//! What must hold for any bytes that come as the query string of a report. Run by `cargo test` and by the targets of
//! `fuzz/`; see [`crate::testing`].
#![expect(clippy::missing_panics_doc, reason = "a check says by panic what does not hold")]

use std::sync::{Arc, OnceLock};

use super::query::{Query, QueryError};
use super::{FormatName, ReportFormat, ReportName, roll_up};
use crate::limits::{
    DATA_POINTS_MAX, EXCERPT_BYTES_MAX, GROUPED_POINTS_MAX, QUERY_FAULTS_SHOWN_MAX, REPORT_ROWS_MAX, wide,
};
use crate::model::calendar::{Units, ZoneDatabase};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::counters::Counters;
use crate::model::event::Source;
use crate::model::story_set::StorySet;

const STORIES_KNOWN: usize = 20_000;
/// The present: an end of winter, a leap day, the hour that clocks go back, the first hour, and the last one.
const NOW_MS: [i64; 5] = [1_552_827_600_000, 1_582_977_599_999, 1_572_138_000_000, 0, 5_662_310_399_999];
/// A message has at most three excerpts, each character of which may be spelled out, and the names of what is taken.
const MESSAGE_BYTES: usize = 600 + 3 * EXCERPT_BYTES_MAX;
/// Points of an answer that is also written out, so that a check stays quick.
const POINTS_WRITTEN: u64 = 800;

/// A query string is a query within the bounds, or faults that name their parameter; the same whatever the order of its
/// parameters, and once more in a time zone.
pub fn query(bytes: &[u8]) {
    let Some(([report, now, zone], text)) = bytes.split_first_chunk() else { return };
    let report = ReportName::ALL.get(usize::from(*report) % ReportName::ALL.len());
    let now_ms = NOW_MS.get(usize::from(*now) % NOW_MS.len());
    let (Some(report), Some(now_ms)) = (report, now_ms) else { return };
    let asked = Asked { report: *report, now_ms: *now_ms };
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(text).into_owned().collect();
    let outcome = asked.check(&pairs);

    pairs.reverse();
    let reversed = asked.check(&pairs);
    assert_eq!(reversed.map(|it| shown(&it)).ok(), outcome.as_ref().map(shown).ok(), "the order matters");

    let has_zone = pairs.iter().any(|(name, _)| name == "timezone" || name == "offset");
    if !has_zone {
        pairs.push(("timezone".to_owned(), "UTC".to_owned()));
        let in_utc = asked.check(&pairs);
        assert_eq!(in_utc.map(|it| shown(&it)).ok(), outcome.as_ref().map(shown).ok(), "UTC matters");
        let names = zones().names().count();
        let place = usize::from(u16::from_le_bytes([*zone, *now])) % names.max(1);
        let name = zones().names().nth(place).unwrap_or_default();
        pairs.pop();
        pairs.push(("timezone".to_owned(), name.to_owned()));
        drop(asked.check(&pairs));
    }
}

struct Asked {
    report: ReportName,
    now_ms: i64,
}

impl Asked {
    fn check(&self, pairs: &[(String, String)]) -> Result<Query, Vec<QueryError>> {
        let outcome = Query::parse(self.report, pairs, self.now_ms, (&StorySet::ALL, STORIES_KNOWN), zones());
        match &outcome {
            Ok(query) => self.assert_bounded(query),
            Err(faults) => assert_clear(faults, pairs),
        }
        outcome
    }

    fn assert_bounded(&self, query: &Query) {
        assert_eq!(query.report, self.report);
        assert!(query.range.start() <= query.range.end(), "{query:?}");
        assert!(query.hours().start <= query.hours().end, "{query:?}");
        assert!((1..=REPORT_ROWS_MAX).contains(&query.rows_max));
        assert!(!query.sources.is_empty() && query.sources.len() <= Source::ALL.len());
        assert!(query.sources.is_sorted_by(|one, next| one < next));
        let stories = query.stories.list().into_iter().flatten();
        assert!(stories.is_sorted_by(|one, next| one < next));
        if !self.report.is_series() {
            assert!(query.stories.list().is_none_or(|stories| stories.len() <= 1));
        }
        let points = query.unit.count_in(&query.range);
        if let Some(earlier) = &query.earlier {
            let is_earlier = earlier.is_empty() || earlier.end() <= query.range.end();
            assert!(earlier.start() <= earlier.end() && is_earlier, "{query:?}");
            assert!(query.unit.count_in(earlier) <= wide(DATA_POINTS_MAX), "{query:?}");
        }
        let (catalogue, counters) = nothing_counted();
        if self.report.is_series() {
            assert!(points <= wide(DATA_POINTS_MAX), "{points} points");
            assert!(query.points(catalogue) <= wide(GROUPED_POINTS_MAX + DATA_POINTS_MAX));
        }
        if points > POINTS_WRITTEN {
            return;
        }
        let units = Units::new(query.unit, &query.range);
        assert_eq!(wide(units.len()), points);
        assert!(units.starts().is_sorted_by(|one, next| one < next), "{query:?}");
        assert!(units.bounds().is_sorted(), "{query:?}");
        let report = roll_up(catalogue, counters, query);
        let mut text = Vec::new();
        report.write(ReportFormat::Json, &mut text);
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok(), "the answer is no JSON");
        let table = |name: FormatName| {
            let mut text = Vec::new();
            report.write(query.written_as(name), &mut text);
            text
        };
        let rows = serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&table(FormatName::Rows));
        let lines = table(FormatName::Csv).split(|byte| *byte == b'\n').count();
        let expected = rows.ok().map(|rows| rows.len().saturating_add(2));
        assert_eq!(Some(lines), expected, "the sheet has other rows");
    }
}

/// All that a query says.
fn shown(query: &Query) -> String {
    let Query { report, range, earlier, unit, group, stories, names_stories, sources, rows_max, format } =
        query;
    let (start, end, hours) = (range.start(), range.end(), range.hours());
    let earlier = earlier.as_ref().map(|earlier| (earlier.start(), earlier.end()));
    let about = format!("{earlier:?} {stories:?} {names_stories} {sources:?}");
    format!("{report:?} {start:?} {end:?} {hours:?} {unit:?} {group:?} {about} {rows_max} {format:?}")
}

/// Each fault is one printable line of bounded length that names a parameter.
fn assert_clear(faults: &[QueryError], pairs: &[(String, String)]) {
    assert!((1..=QUERY_FAULTS_SHOWN_MAX).contains(&faults.len()), "{} faults", faults.len());
    for fault in faults {
        let message = fault.to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
        assert!(
            message.len() <= MESSAGE_BYTES
                && !fault.parameter.is_empty() | pairs.iter().any(|(name, _)| name.is_empty()),
            "{message:?}"
        );
        assert!(message.starts_with(&format!("parameter {}", fault.parameter)), "{message:?}");
    }
}

fn nothing_counted() -> &'static (Catalogue, Arc<Counters>) {
    static STORE: OnceLock<(Catalogue, Arc<Counters>)> = OnceLock::new();
    STORE.get_or_init(|| (Catalogue::new(CatalogueLimits::default()), Counters::new().0))
}

fn zones() -> &'static ZoneDatabase {
    static ZONES: OnceLock<ZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(ZoneDatabase::bundled)
}
