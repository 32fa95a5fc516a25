//! Which networks guess tokens, and how long each has to wait. Pure: it is handed the time and tags of tokens, and decides;
//! it knows nothing of tokens, connections or which token is right.
//!
//! INVARIANT: of a network that guesses all the time at most [`GUESSES_FREE`] guesses are checked before it has to wait, and
//! then one after each pause: [`GUESS_PAUSE_MIN`], twice as long each time, up to [`GUESS_PAUSE_MAX`].
//! INVARIANT: a good token changes nothing of that, so that nobody gains guesses by showing one in between.
//! INVARIANT: where the table is full, the network with the fewest guesses gives its place, of those the one that has guessed
//! for the last time first: whoever wants a place of many guesses for another network has to make as many from as many networks.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::Tag;
use super::good_tokens::GoodTokens;
use super::network::Network;
use crate::limits::{
    GUESS_PAUSE_MAX, GUESS_PAUSE_MIN, GUESSES_FREE, GUESSES_REMEMBERED, GUESSING_NETWORKS_MAX,
    WRONG_TOKENS_PER_NETWORK_MAX, wide,
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
            Some(guesser) if guesser.free_at() > now => Verdict::Wait(guesser.free_at().saturating_sub(now)),
            Some(_) | None => Verdict::Guess,
        }
    }

    /// A token that the network has shown is good.
    pub(super) fn note_good(&mut self, tag: Tag) {
        self.good.note(tag);
    }

    /// A guess of the network was wrong. Says whether it has to wait from now on, and did not before.
    pub(super) fn note_wrong(&mut self, network: Network, tag: Tag, now: Duration) -> bool {
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

/// The networks that have guessed lately; at most [`GUESSING_NETWORKS_MAX`].
#[derive(Debug, Default)]
struct Guessers {
    by_network: HashMap<Network, Guesser>,
    /// By guesses, then by the time of the last.
    order: BTreeSet<(u8, Duration, Network)>,
    displaced: u64,
}

/// What a network has guessed.
#[derive(Clone, Copy, Debug, Default)]
struct Guesser {
    /// Wrong guesses that count, up to 255.
    guesses: u8,
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

    /// When the next guess may be checked.
    fn free_at(&self) -> Duration {
        let Some(doublings) = self.guesses.checked_sub(GUESSES_FREE) else { return Duration::ZERO };
        let pause =
            2_u32.checked_pow(u32::from(doublings)).and_then(|times| GUESS_PAUSE_MIN.checked_mul(times));
        self.last.saturating_add(pause.map_or(GUESS_PAUSE_MAX, |pause| pause.min(GUESS_PAUSE_MAX)))
    }
}

impl Guessers {
    fn note_wrong(&mut self, network: Network, tag: Tag, now: Duration) -> bool {
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
        self.order.insert((guesser.guesses, guesser.last, network));
        self.by_network.insert(network, guesser);
        guesser.guesses == GUESSES_FREE
    }

    fn take(&mut self, network: Network) -> Option<Guesser> {
        let guesser = self.by_network.remove(&network)?;
        self.order.remove(&(guesser.guesses, guesser.last, network));
        Some(guesser)
    }

    /// Forgets a network whose guesses count no more, else the one with the fewest, of those the one that rests for longest.
    fn make_room(&mut self, now: Duration) {
        let mut fewest: Option<(u8, Duration, Network)> = None;
        let mut next = self.order.first().copied();
        // The first of each number of guesses is the one that rests for longest, and there are few numbers.
        while let Some(first) = next {
            let (guesses, last, _) = first;
            if now.saturating_sub(last) >= GUESSES_REMEMBERED {
                self.take(first.2);
                return;
            }
            fewest = fewest.or(Some(first));
            let above = (guesses.saturating_add(1), Duration::ZERO, LOWEST);
            next = if guesses == u8::MAX { None } else { self.order.range(above..).next().copied() };
        }
        if let Some((_, _, network)) = fewest {
            self.take(network);
            self.displaced = self.displaced.saturating_add(1);
        }
    }
}

/// Before all other networks.
const LOWEST: Network = Network::V4(std::net::Ipv4Addr::UNSPECIFIED);
