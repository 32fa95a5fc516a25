//! Conversations by local weekday and hour. Knows nothing of output formats.

use super::query::Query;
use super::roll_up::series_of;
use super::summary::{Figure, percent_hundredths, sum};
use crate::limits::narrow;
use crate::model::calendar::{Hour, Span};
use crate::model::catalogue::Catalogue;
use crate::model::cells::Cell;
use crate::model::counters::{Counters, HourlyCounts};
use crate::model::event::Metric;

/// Hours of a week.
const SLOTS: u32 = 7 * 24;
/// 1970-01-01 was a Thursday; 0 is Sunday.
const EPOCH_SLOT: i64 = 4 * 24;

/// Conversations by weekday (0 = Sunday) and hour of the local clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BusiestReport {
    slots: Vec<u64>,
    total: u64,
}

impl BusiestReport {
    pub(super) fn of(slots: Vec<u64>) -> Self {
        let total = sum(&slots);
        Self { slots, total }
    }

    /// The seven days from Sunday on, each with the counts of its 24 hours.
    pub fn days(&self) -> impl Iterator<Item = &[u64]> {
        self.slots.chunks(24)
    }

    /// The share that `value` is of the total, in percent.
    pub fn usage(&self, value: u64) -> Figure {
        Figure::Hundredths(percent_hundredths(value, self.total))
    }
}

pub(super) fn roll_up(catalogue: &Catalogue, counters: &Counters, query: &Query) -> BusiestReport {
    let mut slots = vec![0; 7 * 24];
    let zone = query.range.zone();
    for series in series_of(catalogue, query, Metric::Conversations) {
        match counters.total(series) {
            Some(total) => total.visit(query.hours(), &mut |first, counts| {
                add_hours((first, counts), zone.spans(), &mut slots);
            }),
            None => {
                counters
                    .visit(series, query.hours(), &mut |cells| add_cells(cells, zone.spans(), &mut slots));
            }
        }
    }
    BusiestReport::of(slots)
}

/// Adds the counts of the hours from `first` on to the hours of the week that their starts are in.
fn add_hours((first, counts): (Hour, HourlyCounts<'_>), spans: &[Span], slots: &mut [u64]) {
    let start = spans.partition_point(|span| span.end.get() <= first.unix_seconds());
    let (mut at, mut rest) = (first.get(), counts);
    for span in spans.get(start..).unwrap_or_default() {
        if rest.is_empty() {
            return;
        }
        let end = span.end.first_hour().get();
        let (mut of_span, later) = rest.split_at(narrow(end.saturating_sub(at)));
        let mut slot = narrow(at.wrapping_add(slot_shift(span)) % SLOTS);
        while !of_span.is_empty() {
            let slots = slots.get_mut(slot..).unwrap_or_default();
            let (of_week, next) = of_span.split_at(slots.len().max(1));
            for (value, count) in slots.iter_mut().zip(of_week.iter()) {
                *value = value.saturating_add(count);
            }
            (of_span, slot) = (next, 0);
        }
        (at, rest) = (end, later);
    }
}

/// Adds a slice of cells that ascends by hour to the hours of the week that their starts are in.
fn add_cells(cells: &[Cell], spans: &[Span], slots: &mut [u64]) {
    let Some(first) = cells.first() else { return };
    let start = spans.partition_point(|span| span.end.get() <= first.hour.unix_seconds());
    let mut rest = cells;
    for span in spans.get(start..).unwrap_or_default() {
        if rest.is_empty() {
            return;
        }
        let shift = slot_shift(span);
        let end = span.end.first_hour();
        let (now, later) = rest.split_at(rest.partition_point(|cell| cell.hour < end));
        for cell in now {
            let slot = narrow(cell.hour.get().wrapping_add(shift) % SLOTS);
            if let Some(value) = slots.get_mut(slot) {
                *value = value.saturating_add(u64::from(cell.count));
            }
        }
        rest = later;
    }
}

/// The number that, added to an hour, gives its place in the week modulo a week.
fn slot_shift(span: &Span) -> u32 {
    let shift = EPOCH_SLOT + span.offset_seconds.div_euclid(Hour::SECONDS);
    u32::try_from(shift.rem_euclid(i64::from(SLOTS))).unwrap_or(0)
}
