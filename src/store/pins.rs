//! Files of a snapshot and segments that a copy is being made of: no fold removes them meanwhile. One copy at a time, and each for
//! a bounded time, so that a slow reader keeps no file for ever: what is kept so is never more than that copy. Knows only names; the time is an argument.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The files that are pinned. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// How many pins there have been.
    given: u64,
}

#[derive(Debug)]
struct Held {
    number: u64,
    files: HashSet<String>,
    until: Duration,
}

/// Keeps files from being removed until it is dropped, or its time is up.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Pins,
    number: u64,
}

impl Pins {
    /// Pins files until then; `None` while others are pinned.
    pub(super) fn take(&self, files: HashSet<String>, until: Duration) -> Option<Pin> {
        let mut state = self.state();
        if state.held.is_some() {
            return None;
        }
        state.given = state.given.saturating_add(1);
        let number = state.given;
        state.held = Some(Held { number, files, until });
        drop(state);
        Some(Pin { pins: self.clone(), number })
    }

    /// Lets go of what has been pinned for too long.
    pub(super) fn end_late(&self, now: Duration) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| held.until <= now) {
            state.held = None;
        }
    }

    pub(super) fn holds(&self, file: &str) -> bool {
        self.state().held.as_ref().is_some_and(|held| held.files.contains(file))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pin {
    /// Whether its time is not up.
    pub(super) fn is_held(&self) -> bool {
        self.pins.state().held.as_ref().is_some_and(|held| held.number == self.number)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.is_held() {
            self.pins.state().held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn files(name: &str) -> HashSet<String> {
        HashSet::from([name.to_owned()])
    }

    #[test]
    fn one_pin_at_a_time_holds_its_files_until_it_is_dropped() {
        let pins = Pins::default();
        let pin = pins.take(files("a"), MINUTE).expect("nothing is pinned");
        assert!(pins.holds("a") && !pins.holds("b") && pin.is_held());
        assert!(pins.take(files("b"), MINUTE).is_none());
        drop(pin);
        assert!(!pins.holds("a"));
        assert!(pins.take(files("b"), MINUTE).is_some());
    }

    #[test]
    fn a_pin_ends_when_its_time_is_up_and_does_not_end_the_next() {
        let pins = Pins::default();
        let late = pins.take(files("a"), MINUTE).expect("nothing is pinned");
        pins.end_late(MINUTE.saturating_sub(Duration::from_secs(1)));
        assert!(late.is_held());
        pins.end_late(MINUTE);
        assert!(!late.is_held() && !pins.holds("a"));
        let next = pins.take(files("b"), MINUTE).expect("the late one has ended");
        drop(late);
        assert!(next.is_held() && pins.holds("b"));
    }
}
