//! A range of time as reports ask for it, widened to whole local hours. Knows nothing of units or parameters.

use super::{HourRange, UnixSeconds, Zone};

/// Where a range ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeEnd {
    /// With the local hour that holds this moment, the present one.
    Now(UnixSeconds),
    /// Before this moment; the local hour that it cuts is included whole.
    Before(UnixSeconds),
}

impl RangeEnd {
    /// The moment that was named.
    pub fn moment(self) -> UnixSeconds {
        match self {
            Self::Now(at) | Self::Before(at) => at,
        }
    }
}

/// A half-open range of moments of a zone.
/// INVARIANT: both ends are ends of local hours, and `start` ≤ `end`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalRange {
    zone: Zone,
    start: UnixSeconds,
    end: UnixSeconds,
}

impl LocalRange {
    /// The whole local hours that the range from `from` to `end` meets; empty where `end` is at or before `from`.
    pub fn widened(zone: Zone, from: UnixSeconds, end: RangeEnd) -> Self {
        let start = zone.hour_start(from);
        let end = match end {
            RangeEnd::Now(now) => zone.hour_end(now),
            RangeEnd::Before(at) if zone.hour_start(at) == at => at,
            RangeEnd::Before(at) => zone.hour_end(at),
        };
        Self { zone, start, end: end.max(start) }
    }

    /// The zone whose hours they are.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first moment of the range.
    pub fn start(&self) -> UnixSeconds {
        self.start
    }

    /// The first moment after the range.
    pub fn end(&self) -> UnixSeconds {
        self.end
    }

    /// Whether there is no moment in it.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// The buckets that start in the range.
    pub fn hours(&self) -> HourRange {
        HourRange { start: self.start.first_hour(), end: self.end.first_hour() }
    }
}
