//! Which networks guess tokens, and how long each has to wait. Pure: it is handed the time and tags of tokens, and decides;
//! it knows nothing of tokens, connections or which token is right.
//!
//! INVARIANT: of a network at most [`GUESSES_CHECKED_MAX`] guesses are checked as they come, and then one after each
//! [`GUESS_PAUSE_MAX`], until it has rested for [`GUESSES_REMEMBERED`].
//! INVARIANT: a good token changes nothing of that, so that nobody gains guesses by showing one in between.
//! INVARIANT: where the table is full, the network with the fewest guesses, to a power of two, gives its place, of those the one
//! that rests for longest: whoever wants the place of another network that has guessed a lot has to guess nearly as much from as
//! many networks as there are places.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::Tag;
use super::good_tokens::GoodTokens;
use super::network::Network;
use crate::limits::{
    GUESS_PAUSE_MAX, GUESS_PAUSE_MIN, GUESSES_CHECKED_MAX, GUESSES_FREE, GUESSES_REMEMBERED,
    GUESSING_NETWORKS_MAX, WRONG_TOKENS_PER_NETWORK_MAX, wide,
};

/// What to do with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It was good when the network showed it before.
    Good,
    /// It was wrong when the network showed it before: to check it again is no guess.
    Wrong,
    /// A guess that may be checked.
    Guess,
    /// The same, within a pause.
    HastyGuess,
    /// A guess that must not be checked, for so long.
    Wait(Duration),
}

/// Those who guess, and what was good.
#[derive(Debug)]
pub(super) struct Guesses {
    /// Apart, since it is cheap to have very many IPv6 networks.
    v4: Guessers,
    v6: Guessers,
    good: GoodTokens,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self { v4: Guessers::default(), v6: Guessers::default(), good: GoodTokens::new() }
    }

    /// What to do with a token that the network shows.
    pub(super) fn judge(&mut self, network: Network, tag: Tag, now: Duration) -> Verdict {
        if self.good.shown(tag) {
            return Verdict::Good;
        }
        let guesser = self.of(network).by_network.get(&network).filter(|guesser| !guesser.is_over(now));
        match guesser {
            Some(guesser) if guesser.wrong.contains(&Some(tag)) => Verdict::Wrong,
            Some(guesser) if guesser.free_at() <= now => Verdict::Guess,
            Some(guesser) if guesser.guesses < GUESSES_CHECKED_MAX => Verdict::HastyGuess,
            Some(guesser) => Verdict::Wait(guesser.free_at().saturating_sub(now)),
            None => Verdict::Guess,
        }
    }

    /// A token that the network has shown is good.
    pub(super) fn note_good(&mut self, tag: Tag) {
        self.good.note(tag);
    }

    /// A guess of the network was wrong.
    pub(super) fn note_wrong(&mut self, network: Network, tag: Tag, now: Duration) -> Noted {
        self.of(network).note_wrong(network, tag, now)
    }

    /// How many networks are remembered.
    pub(super) fn networks(&self) -> u64 {
        wide(self.v4.by_network.len()).saturating_add(wide(self.v6.by_network.len()))
    }

    /// How many networks gave their place to another one while their guesses counted.
    pub(super) fn displaced(&self) -> u64 {
        self.v4.displaced.saturating_add(self.v6.displaced)
    }

    fn of(&mut self, network: Network) -> &mut Guessers {
        match network {
            Network::V4(_) => &mut self.v4,
            Network::V6(_) => &mut self.v6,
        }
    }
}

/// What a wrong guess leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Noted {
    /// The network's first pause begins.
    pub(super) begins: bool,
    /// The pause from now on.
    pub(super) pause: Duration,
}

/// The networks that have guessed lately; at most [`GUESSING_NETWORKS_MAX`].
#[derive(Debug, Default)]
struct Guessers {
    by_network: HashMap<Network, Guesser>,
    /// By the power of two of the guesses, then by the time of the last.
    order: BTreeSet<(u32, Duration, Network)>,
    displaced: u64,
}

/// What a network has guessed.
#[derive(Clone, Copy, Debug, Default)]
struct Guesser {
    /// Wrong guesses that count.
    guesses: u16,
    /// When the last was made.
    last: Duration,
    /// The last ones.
    wrong: [Option<Tag>; WRONG_TOKENS_PER_NETWORK_MAX],
}

impl Guesser {
    /// Its guesses count no more.
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) >= GUESSES_REMEMBERED
    }

    /// From when on the next guess is not hasty.
    fn free_at(&self) -> Duration {
        self.last.saturating_add(self.pause())
    }

    fn pause(&self) -> Duration {
        let Some(doublings) = self.guesses.checked_sub(GUESSES_FREE) else { return Duration::ZERO };
        let pause =
            2_u32.checked_pow(u32::from(doublings)).and_then(|times| GUESS_PAUSE_MIN.checked_mul(times));
        pause.map_or(GUESS_PAUSE_MAX, |pause| pause.min(GUESS_PAUSE_MAX))
    }

    /// Its place in the order.
    fn rank(&self, network: Network) -> (u32, Duration, Network) {
        (self.guesses.checked_ilog2().unwrap_or(0), self.last, network)
    }
}

impl Guessers {
    fn note_wrong(&mut self, network: Network, tag: Tag, now: Duration) -> Noted {
        let mut guesser = match self.take(network) {
            Some(guesser) if !guesser.is_over(now) => guesser,
            Some(_) => Guesser::default(),
            None => {
                if self.by_network.len() >= GUESSING_NETWORKS_MAX {
                    self.make_room(now);
                }
                Guesser::default()
            }
        };
        guesser.guesses = guesser.guesses.saturating_add(1);
        guesser.last = now;
        guesser.wrong.rotate_right(1);
        if let Some(first) = guesser.wrong.first_mut() {
            *first = Some(tag);
        }
        self.order.insert(guesser.rank(network));
        self.by_network.insert(network, guesser);
        Noted { begins: guesser.guesses == GUESSES_FREE, pause: guesser.pause() }
    }

    fn take(&mut self, network: Network) -> Option<Guesser> {
        let guesser = self.by_network.remove(&network)?;
        self.order.remove(&guesser.rank(network));
        Some(guesser)
    }

    /// Forgets a network whose guesses count no more, else the one with the fewest, of those the one that rests for longest.
    fn make_room(&mut self, now: Duration) {
        let mut fewest: Option<(u32, Duration, Network)> = None;
        let mut next = self.order.first().copied();
        // The first of each power is the one that rests for longest, and there are few powers.
        while let Some(first) = next {
            let (power, last, network) = first;
            if now.saturating_sub(last) >= GUESSES_REMEMBERED {
                self.take(network);
                return;
            }
            fewest = fewest.or(Some(first));
            let above = (power.saturating_add(1), Duration::ZERO, LOWEST);
            next = self.order.range(above..).next().copied();
        }
        if let Some((_, _, network)) = fewest {
            self.take(network);
            self.displaced = self.displaced.saturating_add(1);
        }
    }
}

/// Before all other networks.
const LOWEST: Network = Network::V4(std::net::Ipv4Addr::UNSPECIFIED);
