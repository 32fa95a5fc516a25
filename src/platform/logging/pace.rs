//! How often one place in the code may write to the log. Knows nothing of what it writes.
//!
//! INVARIANT: what there is at a time is as long as the program's list of such places, which does not grow.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;

use crate::limits::{LOG_LINES_ALIKE_MAX, LOG_PACE};
use crate::platform::clock::Clock;

/// Lets so many lines of one place pass in a while, and counts the others.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    places: Mutex<HashMap<Identifier, Place>>,
}

#[derive(Debug, Default)]
struct Place {
    began: Duration,
    shown: u32,
    not_shown: u64,
}

impl Pace {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, places: Mutex::default() }
    }

    /// Whether the line may be written: `Some` with how many before it were not.
    pub(super) fn admit(&self, place: Identifier) -> Option<u64> {
        let now = self.clock.monotonic();
        // A panic cannot leave it half written: nothing in it belongs together.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(place).or_insert(Place { began: now, ..Place::default() });
        if now.saturating_sub(place.began) >= LOG_PACE {
            (place.began, place.shown) = (now, 0);
        }
        if place.shown >= LOG_LINES_ALIKE_MAX {
            place.not_shown = place.not_shown.saturating_add(1);
            return None;
        }
        place.shown = place.shown.saturating_add(1);
        Some(std::mem::take(&mut place.not_shown))
    }
}
