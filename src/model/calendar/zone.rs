//! Time zones: a fixed offset from UTC, or a named one with its clock changes as a table of spans.
//! Knows nothing of units or periods.
//!
//! INVARIANT: the spans of a zone tile all of time, in order; what the local clock shows at their starts ascends.

use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;

use super::moment::{DayNumber, LocalSeconds};
use super::{Hour, UnixSeconds};
use crate::limits::OFFSET_MINUTES_MAX;

/// A stretch of time in which the offset of a zone stays the same: `start` ≤ moment < `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first moment with this offset.
    pub start: UnixSeconds,
    /// The first moment with the next offset.
    pub end: UnixSeconds,
    /// The offset from UTC in seconds; within a day either way.
    pub offset_seconds: i64,
}

impl Span {
    pub(super) fn local(&self, at: UnixSeconds) -> LocalSeconds {
        LocalSeconds::new(at.plus(self.offset_seconds).get())
    }

    pub(super) fn local_start(&self) -> LocalSeconds {
        self.local(self.start)
    }

    /// The moment of this span at which the local clock shows `local`; may lie outside of the span.
    pub(super) fn moment(&self, local: LocalSeconds) -> UnixSeconds {
        UnixSeconds::new(local.get()).plus(self.offset_seconds.saturating_neg())
    }
}

/// A time zone. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Kind);

#[derive(Clone)]
enum Kind {
    Fixed([Span; 1]),
    Named(Arc<Named>),
}

struct Named {
    name: Box<str>,
    spans: Box<[Span]>,
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self::with_offset(0);

    const fn with_offset(offset_seconds: i64) -> Self {
        Self(Kind::Fixed([Span { start: UnixSeconds::MIN, end: UnixSeconds::MAX, offset_seconds }]))
    }

    /// The zone that is `offset_minutes` ahead of UTC all year; `None` outside of −720 … 720.
    pub fn fixed(offset_minutes: i32) -> Option<Self> {
        (-OFFSET_MINUTES_MAX..=OFFSET_MINUTES_MAX)
            .contains(&offset_minutes)
            .then(|| Self::with_offset(i64::from(offset_minutes).saturating_mul(60)))
    }

    /// The zone of an IANA name. `spans` keep the invariant of this file.
    pub(super) fn with_spans(name: &str, spans: Box<[Span]>) -> Self {
        Self(Kind::Named(Arc::new(Named { name: name.into(), spans })))
    }

    /// The stretches of equal offset, in order; never empty.
    #[inline]
    pub fn spans(&self) -> &[Span] {
        match &self.0 {
            Kind::Fixed(spans) => spans,
            Kind::Named(named) => &named.spans,
        }
    }

    /// The stretches of equal offset that the moments from `from` on meet, in order.
    pub(super) fn spans_from(&self, from: UnixSeconds) -> &[Span] {
        let spans = self.spans();
        let first = spans.partition_point(|span| span.end <= from);
        spans.get(first..).unwrap_or_default()
    }

    pub(super) fn span_at(&self, at: UnixSeconds) -> Span {
        let all = Span { start: UnixSeconds::MIN, end: UnixSeconds::MAX, offset_seconds: 0 };
        self.spans_from(at).first().copied().unwrap_or(all)
    }

    /// The offset from UTC at that moment, in seconds.
    pub fn offset_seconds(&self, at: UnixSeconds) -> i64 {
        self.span_at(at).offset_seconds
    }

    /// The date on the local calendar.
    pub fn date(&self, at: UnixSeconds) -> NaiveDate {
        self.day_number(at).date()
    }

    pub(super) fn day_number(&self, at: UnixSeconds) -> DayNumber {
        self.span_at(at).local(at).day()
    }

    /// The start of a local day: the first moment of that date, but for buckets that follow in an earlier date.
    ///
    /// Where the clocks skip midnight, that is the moment they change. Where midnight comes twice, it is the first;
    /// only where they go back into the day before, and a bucket starts there, it is the second (St. John's used to
    /// go back from 00:01 to 23:01), so that each bucket is in the day that its local time names; two nights in history
    /// excepted, Goose Bay in 1988 and Casey in 2010, in which the dates of the buckets themselves ran backwards.
    /// A day that the zone leaves out starts with the next one.
    pub fn start_of(&self, date: NaiveDate) -> UnixSeconds {
        self.day_starts([DayNumber::of(date)].into_iter()).next().unwrap_or(UnixSeconds::MIN)
    }

    /// The starts of local days that ascend. Costs nothing to look up while the offset stays the same.
    pub(super) fn day_starts(
        &self,
        days: impl Iterator<Item = DayNumber>,
    ) -> impl Iterator<Item = UnixSeconds> {
        let spans = self.spans();
        let mut place = None;
        days.map(move |day| {
            let midnight = LocalSeconds::midnight(day);
            let below = |span: &Span| span.local_start() < midnight;
            // The last span that starts before midnight: only there can the date turn for good.
            let mut index = place.unwrap_or_else(|| spans.partition_point(below).saturating_sub(1));
            while spans.get(index.saturating_add(1)).is_some_and(below) {
                index = index.saturating_add(1);
            }
            place = Some(index);
            let before = index.checked_sub(1).and_then(|before| spans.get(before));
            spans.get(index).map_or(UnixSeconds::MIN, |span| turn_of_date(before, span, midnight))
        })
    }

    /// The first moment at which the local clock shows `local`, or the next time that it does show.
    pub(super) fn moment_showing(&self, local: LocalSeconds) -> UnixSeconds {
        // Offsets are within a day either way.
        let before = UnixSeconds::new(local.get().saturating_sub(UnixSeconds::DAY.saturating_mul(2)));
        let span = self.spans_from(before).iter().find(|span| local < span.local(span.end));
        span.map_or(UnixSeconds::MAX, |span| span.moment(local).max(span.start))
    }

    /// The start of the local hour that holds the moment. Local hours start where the clock shows a full hour and
    /// where it changes, so that an hour which comes twice is two hours.
    pub fn hour_start(&self, at: UnixSeconds) -> UnixSeconds {
        let span = self.span_at(at);
        at.plus(span.local(at).second_of_hour().saturating_neg()).max(span.start)
    }

    /// The end of the local hour that holds the moment.
    pub fn hour_end(&self, at: UnixSeconds) -> UnixSeconds {
        let span = self.span_at(at);
        at.plus(Hour::SECONDS.saturating_sub(span.local(at).second_of_hour())).min(span.end)
    }
}

/// The moment at which the date turns at `midnight`, `span` being the last one that starts before it, and `before` the
/// one ahead of that.
fn turn_of_date(before: Option<&Span>, span: &Span, midnight: LocalSeconds) -> UnixSeconds {
    let last = span.moment(midnight).min(span.end);
    match before {
        // The date had turned already when the clocks went back.
        Some(before) if before.moment(midnight) < before.end => {
            let no_bucket_between = before.end.first_hour() >= last.first_hour();
            if no_bucket_between { before.moment(midnight) } else { last }
        }
        _ => last,
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.spans() == other.spans()
    }
}

impl Eq for Zone {}

/// The IANA name, or the offset as `UTC+01:30`.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed([span]) if span.offset_seconds == 0 => f.write_str("UTC"),
            Kind::Fixed([span]) => {
                let sign = if span.offset_seconds < 0 { '-' } else { '+' };
                let minutes = span.offset_seconds.unsigned_abs().div_euclid(60);
                write!(f, "UTC{sign}{:02}:{:02}", minutes.div_euclid(60), minutes.rem_euclid(60))
            }
            Kind::Named(named) => f.write_str(&named.name),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}
