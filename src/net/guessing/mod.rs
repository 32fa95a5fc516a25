//! Slows down whoever guesses tokens. It asks `guesses` what to do with a token, has it checked or not, and counts failures.
//! Knows nothing of HTTP, of the line port, or which tokens there are.
//!
//! A good token must pass at once, whoever guesses beside its owner; and a guess must tell nothing, or there is no end to them. Of
//! a secret that can be guessed both cannot be had, so:
//!
//! - What has the form of the secrets that `tallyd token` makes, 256 random bits, is always checked: to guess one is hopeless.
//! - What was good from the same network lately is always checked. What was wrong there before counts as no further guess: a client
//!   with an old token is no guesser. Anything else is a *guess*.
//! - After some wrong guesses the network *backs off*: it is told to pause, twice as long after each. A hasty guess is
//!   still checked, so that a good token passes, and there are far too few of them to find a secret.
//! - After many of them a guess within the pause is refused unchecked, and so tells nothing, right or wrong.
//!
//! What this cannot do: who shares a network with somebody whose hand-made token was good there can guess at that one token
//! without end; and who has many networks has as many times the guesses.
//!
//! INVARIANT: a token is kept as a keyed hash of 64 bits and never shown.

mod good_tokens;
mod guesses;
mod network;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::auth::{Denied, has_generated_form};
use super::metrics::{AuthFailure, Listener, Metrics};
use crate::limits::GUESSING_LOG_PAUSE;
use crate::platform::clock::Clock;
use guesses::{Guesses, Verdict};
use network::Network;

/// The pause in seconds, after which it is over.
pub(crate) fn whole_seconds(pause: Duration) -> u64 {
    pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0))
}

/// A token and the network that shows it, as a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tag(NonZeroU64);

/// Why there is no access.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NoAccess {
    /// The tokens do not allow it.
    #[error(transparent)]
    Denied(Denied),
    /// The token is wrong, as many before it were, and came within the pause of the peer's network.
    #[error("the token is not known, and too many wrong ones came from this address")]
    Hasty(Duration),
    /// The same, but it was not checked: it may be right.
    #[error("too many wrong tokens came from this address")]
    Unchecked(Duration),
}

/// Who guesses tokens, for both ports.
pub struct Guessing {
    state: Mutex<State>,
    hasher: RandomState,
    metrics: Arc<Metrics>,
    clock: Clock,
}

struct State {
    guesses: Guesses,
    log: Log,
}

/// When the log has last said that a network backs off, and how many have begun to since.
#[derive(Default)]
struct Log {
    said: Option<Duration>,
    unsaid: u64,
}

impl fmt::Debug for Guessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guessing").finish_non_exhaustive()
    }
}

/// Figures for the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuessFigures {
    /// Networks whose guesses are remembered.
    pub networks: u64,
    /// Networks that gave their place to another one while their guesses counted.
    pub displaced: u64,
}

impl Guessing {
    /// Nobody has guessed yet.
    pub fn new(metrics: Arc<Metrics>, clock: Clock) -> Self {
        let state = State { guesses: Guesses::new(), log: Log::default() };
        Self { state: Mutex::new(state), hasher: RandomState::new(), metrics, clock }
    }

    /// How it stands.
    pub fn figures(&self) -> GuessFigures {
        let state = self.state();
        GuessFigures { networks: state.guesses.networks(), displaced: state.guesses.displaced() }
    }

    /// Has the token that the peer shows checked by `check`, unless its network has to wait. `None` is a peer without an
    /// address, such as a proxy on a socket of the file system: it is never held up.
    ///
    /// # Errors
    /// [`NoAccess`], which is counted.
    pub(crate) fn check<T>(
        &self,
        (listener, peer): (Listener, Option<IpAddr>),
        presented: Option<&str>,
        check: impl FnOnce() -> Result<T, Denied>,
    ) -> Result<T, NoAccess> {
        let outcome = match (peer, presented) {
            (Some(peer), Some(token)) => self.check_guess(peer.into(), token, check),
            _ => check().map_err(NoAccess::Denied),
        };
        outcome.inspect_err(|why| {
            let failure = match why {
                NoAccess::Denied(Denied::Missing) => AuthFailure::Missing,
                NoAccess::Denied(Denied::Unknown) => AuthFailure::Unknown,
                NoAccess::Denied(Denied::Scope) => AuthFailure::Scope,
                NoAccess::Hasty(_) | NoAccess::Unchecked(_) => AuthFailure::BackOff,
            };
            self.metrics.auth_failed(listener, failure);
        })
    }

    fn check_guess<T>(
        &self,
        network: Network,
        token: &str,
        check: impl FnOnce() -> Result<T, Denied>,
    ) -> Result<T, NoAccess> {
        if has_generated_form(token) {
            return check().map_err(|why| match why {
                Denied::Unknown => {
                    self.state().wrong(network, self.tag(network, token), self.clock.monotonic())
                }
                Denied::Missing | Denied::Scope => NoAccess::Denied(why),
            });
        }
        let (tag, now) = (self.tag(network, token), self.clock.monotonic());
        // Held until a guess is checked and noted, so that no other of the network slips in.
        let mut state = self.state();
        match state.guesses.judge(network, tag, now) {
            Verdict::Wait(pause) => return Err(NoAccess::Unchecked(pause)),
            Verdict::Good => {
                drop(state);
                return check().map_err(NoAccess::Denied);
            }
            Verdict::Wrong | Verdict::Guess | Verdict::HastyGuess => {}
        }
        let outcome = check();
        if matches!(outcome, Ok(_) | Err(Denied::Scope)) {
            state.guesses.note_good(tag);
        }
        outcome.map_err(|why| match why {
            Denied::Unknown => state.wrong(network, tag, now),
            Denied::Missing | Denied::Scope => NoAccess::Denied(why),
        })
    }

    fn tag(&self, network: Network, token: &str) -> Tag {
        let hash = NonZeroU64::new(self.hasher.hash_one((network, token)));
        Tag(hash.unwrap_or(NonZeroU64::MIN))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a token that is wrong; says what its peer is told. The log names a network once when its back-off begins, and one
    /// network a minute.
    fn wrong(&mut self, network: Network, tag: Tag, now: Duration) -> NoAccess {
        let verdict = self.guesses.judge(network, tag, now);
        let is_hasty = match verdict {
            Verdict::Wait(pause) => return NoAccess::Hasty(pause),
            Verdict::Good | Verdict::Wrong => return NoAccess::Denied(Denied::Unknown),
            Verdict::Guess => false,
            Verdict::HastyGuess => true,
        };
        let noted = self.guesses.note_wrong(network, tag, now);
        if noted.begins
            && let Some(others) = self.log.next(now)
        {
            warn!(%network, others, "an address guesses tokens, and is told to pause");
        }
        if is_hasty { NoAccess::Hasty(noted.pause) } else { NoAccess::Denied(Denied::Unknown) }
    }
}

impl Log {
    /// Whether a network is to be named now: how many were not named since the last one that was.
    fn next(&mut self, now: Duration) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_sub(said) < GUESSING_LOG_PAUSE) {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}
