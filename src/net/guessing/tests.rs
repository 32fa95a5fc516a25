//! Guessing against a plain model, floods of networks, and what a client with a good token meets.

use std::cell::Cell;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::limits::{
    GUESS_PAUSE_MAX, GUESS_PAUSE_MIN, GUESSES_CHECKED_MAX, GUESSES_FREE, GUESSES_REMEMBERED,
    GUESSING_NETWORKS_MAX, WRONG_TOKENS_PER_NETWORK_MAX, wide,
};

pub(super) fn tag(number: u64) -> Tag {
    Tag(NonZeroU64::new(number).unwrap())
}

fn v4(number: usize) -> Network {
    Network::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap()))
}

/// Every guess that was checked and wrong, and what was good, with no bound: each verdict is worked out from all of it.
#[derive(Default)]
struct Model {
    wrong: Vec<(Network, u64, Duration)>,
    good: Vec<u64>,
}

impl Model {
    fn judge(&self, network: Network, token: u64, now: Duration) -> Verdict {
        if self.good.contains(&token) {
            return Verdict::Good;
        }
        let mut guesses: Vec<(u64, Duration)> = Vec::new();
        for (_, token, at) in self.wrong.iter().filter(|(of, ..)| *of == network) {
            if guesses.last().is_some_and(|(_, last)| at.saturating_sub(*last) >= GUESSES_REMEMBERED) {
                guesses.clear();
            }
            guesses.push((*token, *at));
        }
        let Some((_, last)) =
            guesses.last().copied().filter(|(_, last)| now.saturating_sub(*last) < GUESSES_REMEMBERED)
        else {
            return Verdict::Guess;
        };
        if guesses.iter().rev().take(WRONG_TOKENS_PER_NETWORK_MAX).any(|(wrong, _)| *wrong == token) {
            return Verdict::Wrong;
        }
        let free = usize::from(GUESSES_FREE);
        let mut pause = GUESS_PAUSE_MIN;
        for _ in free..guesses.len() {
            pause = (pause * 2).min(GUESS_PAUSE_MAX);
        }
        let free_at = last + pause;
        match guesses.len() {
            few if few < free || free_at <= now => Verdict::Guess,
            some if some < usize::from(GUESSES_CHECKED_MAX) => Verdict::HastyGuess,
            _ => Verdict::Wait(free_at.saturating_sub(now)),
        }
    }
}

proptest! {
    #[test]
    fn verdicts_are_those_of_all_that_ever_came(
        before in prop_oneof![Just(0), Just(GUESSES_CHECKED_MAX - 3)],
        shown in prop::collection::vec((0..3_usize, 1..60_u64, prop_oneof![Just(0), 0..3_000_u64, Just(61_000), Just(3_600_000)]), 1..300),
    ) {
        let (mut guesses, mut model, mut now) = (Guesses::new(), Model::default(), Duration::ZERO);
        for token in 1_000..1_000 + u64::from(before) {
            guesses.note_wrong(v4(0), tag(token), now);
            model.wrong.push((v4(0), token, now));
        }
        for (network, token, later_ms) in shown {
            now += Duration::from_millis(later_ms);
            let network = if network == 2 { Network::V6(7) } else { v4(network) };
            let verdict = guesses.judge(network, tag(token), now);
            prop_assert_eq!(verdict, model.judge(network, token, now), "{:?} {} {:?}", network, token, now);
            let is_good = token % 20 == 0;
            match verdict {
                Verdict::Guess | Verdict::HastyGuess | Verdict::Wrong if is_good => {
                    guesses.note_good(tag(token));
                    model.good.push(token);
                }
                Verdict::Guess | Verdict::HastyGuess => {
                    guesses.note_wrong(network, tag(token), now);
                    model.wrong.push((network, token, now));
                }
                Verdict::Good | Verdict::Wrong | Verdict::Wait(_) => {}
            }
        }
    }

    /// Whatever the rhythm, and however many good tokens are shown in between.
    #[test]
    fn a_network_has_its_guesses_and_then_one_a_minute(
        rhythm in prop::collection::vec((prop_oneof![Just(0), 0..2_000_u64, 0..70_000_u64, 3_500_000..3_700_000_u64], 1..300_u32), 1..30),
    ) {
        let (mut guesses, mut now, mut checked) = (Guesses::new(), Duration::ZERO, Vec::new());
        let pauses = rhythm.into_iter().flat_map(|(pause, times)| (0..times).map(move |_| pause));
        for (number, pause) in (1_u64..).zip(pauses) {
            now += Duration::from_millis(pause);
            guesses.note_good(tag(1_000_000));
            if matches!(guesses.judge(v4(1), tag(number), now), Verdict::Guess | Verdict::HastyGuess) {
                guesses.note_wrong(v4(1), tag(number), now);
                checked.push(now);
            }
        }
        let most = u64::from(GUESSES_CHECKED_MAX);
        for (first, from) in checked.iter().enumerate().step_by(97) {
            for (last, to) in checked.iter().enumerate().skip(first).step_by(89) {
                let within = to.saturating_sub(*from);
                // A rest is paid for with an hour.
                let most = most * (1 + within.as_secs() / 3_600) + within.as_secs() / 60 + 1;
                prop_assert!(wide(last - first) < most, "{} guesses from {from:?} to {to:?}", last - first + 1);
            }
        }
    }
}

/// A network that has guessed so often that it has to wait.
fn guesser(guesses: &mut Guesses, network: Network, now: Duration) {
    for token in 1..=u64::from(GUESSES_CHECKED_MAX) {
        let is_hasty = token > u64::from(GUESSES_FREE);
        let expected = if is_hasty { Verdict::HastyGuess } else { Verdict::Guess };
        assert_eq!(guesses.judge(network, tag(token), now), expected, "{token}");
        let noted = guesses.note_wrong(network, tag(token), now);
        assert_eq!(noted.begins, token == u64::from(GUESSES_FREE), "{token}");
    }
    assert_eq!(guesses.judge(network, tag(1_000_000), now), Verdict::Wait(GUESS_PAUSE_MAX));
}

#[test]
fn a_flood_of_networks_neither_grows_the_table_nor_frees_a_guesser() {
    let (mut guesses, now) = (Guesses::new(), Duration::from_secs(5));
    guesser(&mut guesses, v4(0), now);
    guesser(&mut guesses, Network::V6(0), now);
    for number in 1..3 * GUESSING_NETWORKS_MAX {
        // Later than the guesser, and nearly as often.
        for token in 1..3 {
            guesses.note_wrong(v4(number), tag(token), now + Duration::from_millis(1));
        }
    }
    assert_eq!(guesses.networks(), wide(GUESSING_NETWORKS_MAX) + 1);
    assert_eq!(guesses.displaced(), 2 * wide(GUESSING_NETWORKS_MAX));
    for network in [v4(0), Network::V6(0)] {
        assert_eq!(guesses.judge(network, tag(1_000_000), now), Verdict::Wait(GUESS_PAUSE_MAX), "{network}");
    }
    assert_eq!(guesses.judge(v4(3 * GUESSING_NETWORKS_MAX - 1), tag(1), now), Verdict::Wrong);
    assert_eq!(guesses.judge(v4(1), tag(1), now), Verdict::Guess, "the first of the flood has made room");
}

#[test]
fn a_network_whose_guesses_count_no_more_makes_room_before_any_other() {
    let (mut guesses, start) = (Guesses::new(), Duration::ZERO);
    guesser(&mut guesses, v4(0), start);
    let later = start + Duration::from_millis(1);
    for number in 1..GUESSING_NETWORKS_MAX {
        guesses.note_wrong(v4(number), tag(1), later);
    }
    let over = start + GUESSES_REMEMBERED;
    guesses.note_wrong(v4(GUESSING_NETWORKS_MAX), tag(1), over);
    assert_eq!((guesses.networks(), guesses.displaced()), (wide(GUESSING_NETWORKS_MAX), 0));
    assert_eq!(guesses.judge(v4(0), tag(1), over), Verdict::Guess);
    assert_eq!(guesses.judge(v4(1), tag(1), over), Verdict::Wrong, "its guess counts for 1 ms more");
}

const HOME: &str = "192.0.2.7";
const HAND_MADE: &str = "correct-horse-battery";

fn generate(name: &str) -> String {
    crate::net::auth::generate(name, &[crate::net::auth::Scope::Read], &[]).unwrap().0
}

/// A port and its tokens: `HAND_MADE`, and one that was generated.
struct Door {
    guessing: Guessing,
    metrics: Arc<Metrics>,
    clock: Clock,
    generated: String,
    checks: Cell<u32>,
}

impl Door {
    fn new() -> Self {
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::manual(0));
        let generated = generate("x");
        let guessing = Guessing::new(Arc::clone(&metrics), clock.clone());
        Self { guessing, metrics, clock, generated, checks: Cell::new(0) }
    }

    fn show(&self, from: &str, token: &str) -> Result<(), NoAccess> {
        let peer = Some(from.parse().unwrap());
        self.guessing.check((Listener::Http, peer), Some(token), || {
            self.checks.set(self.checks.get() + 1);
            let is_good = token == HAND_MADE || token == self.generated;
            is_good.then_some(()).ok_or(Denied::Unknown)
        })
    }

    /// Makes so many guesses at once; the answers.
    fn guess(&self, from: &str, guesses: std::ops::Range<u16>) -> Vec<NoAccess> {
        guesses.map(|number| self.show(from, &format!("guess-{number}")).unwrap_err()).collect()
    }

    /// Makes all guesses that are checked as they come.
    fn guess_until_unchecked(&self, from: &str) {
        let told = self.guess(from, 0..GUESSES_CHECKED_MAX);
        assert_eq!(told.last(), Some(&NoAccess::Hasty(GUESS_PAUSE_MAX)));
    }
}

const WRONG: NoAccess = NoAccess::Denied(Denied::Unknown);

#[test]
fn who_guesses_is_told_to_pause_longer_each_time_and_a_good_token_passes_all_the_same() {
    let door = Door::new();
    let seconds = |seconds| NoAccess::Hasty(Duration::from_secs(seconds));
    assert_eq!(door.guess(HOME, 0..GUESSES_FREE), [WRONG; 10]);
    assert_eq!(door.guess(HOME, 10..18), [2, 4, 8, 16, 32, 60, 60, 60].map(seconds));
    assert_eq!(door.show(HOME, HAND_MADE), Ok(()), "which was never shown before");
    door.clock.advance(GUESS_PAUSE_MAX);
    assert_eq!(door.guess(HOME, 18..20), [WRONG, seconds(60)]);
    assert_eq!(door.guess("192.0.2.8", 0..1), [WRONG], "another address");
    door.clock.advance(GUESSES_REMEMBERED);
    assert_eq!(door.guess(HOME, 20..30), [WRONG; 10]);
    assert_eq!(door.guess(HOME, 30..31), [seconds(2)]);
}

#[test]
fn after_very_many_guesses_one_within_the_pause_is_not_checked_and_one_after_it_is() {
    let door = Door::new();
    door.guess_until_unchecked(HOME);
    let checks = door.checks.get();
    for _ in 0..1_000 {
        assert_eq!(door.show(HOME, HAND_MADE), Err(NoAccess::Unchecked(GUESS_PAUSE_MAX)));
        assert_eq!(
            door.show(HOME, "one-more"),
            Err(NoAccess::Unchecked(GUESS_PAUSE_MAX)),
            "it looks the same"
        );
    }
    assert_eq!(door.checks.get(), checks);
    door.clock.advance(GUESS_PAUSE_MAX);
    assert_eq!(door.show(HOME, "one-more"), Err(WRONG));
    assert_eq!(door.show(HOME, HAND_MADE), Err(NoAccess::Unchecked(GUESS_PAUSE_MAX)));
    door.clock.advance(GUESS_PAUSE_MAX);
    assert_eq!(door.show(HOME, HAND_MADE), Ok(()));
}

#[test]
fn who_has_a_good_token_is_not_held_up_by_who_guesses_beside_however_much() {
    let door = Door::new();
    assert_eq!(door.show(HOME, HAND_MADE), Ok(()));
    door.guess_until_unchecked(HOME);
    let generated = door.generated.clone();
    for _ in 0..3 {
        // Known to be good here, and never shown before, but nobody guesses it.
        assert_eq!(door.show(HOME, HAND_MADE), Ok(()));
        assert_eq!(door.show(HOME, &generated), Ok(()));
        assert_eq!(door.show("::ffff:192.0.2.7", HAND_MADE), Ok(()));
        assert_eq!(door.show(HOME, "one-more"), Err(NoAccess::Unchecked(GUESS_PAUSE_MAX)));
    }
    let others = generate("y");
    let checks = door.checks.get();
    assert_eq!(door.show(HOME, &others), Err(NoAccess::Hasty(GUESS_PAUSE_MAX)), "wrong is wrong");
    assert_eq!(door.checks.get(), checks + 1, "but it was checked");
}

#[test]
fn a_client_with_an_old_token_is_no_guesser() {
    let door = Door::new();
    for _ in 0..1_000 {
        for token in ["of-last-year", "of-another-one"] {
            assert_eq!(door.show(HOME, token), Err(NoAccess::Denied(Denied::Unknown)));
        }
    }
    assert_eq!(door.show(HOME, HAND_MADE), Ok(()));
}

#[test]
fn all_addresses_of_an_ipv6_network_are_one_guesser() {
    let door = Door::new();
    for number in 0..GUESSES_FREE {
        assert_eq!(door.show(&format!("2001:db8:0:1::{number}"), &format!("guess-{number}")), Err(WRONG));
    }
    let seconds = Duration::from_secs(2);
    assert_eq!(door.show("2001:db8:0:1:ffff::", "one-more"), Err(NoAccess::Hasty(seconds)));
    assert_eq!(door.show("2001:db8:0:2::", "one-more"), Err(WRONG));
}

#[test]
fn a_peer_without_an_address_never_waits_and_a_missing_token_is_no_guess() {
    let door = Door::new();
    let refuse = || Err::<(), _>(Denied::Unknown);
    for number in 0..100 {
        let outcome = door.guessing.check((Listener::Tcp, None), Some(&format!("guess-{number}")), refuse);
        assert_eq!(outcome, Err(NoAccess::Denied(Denied::Unknown)));
        let peer = Some(HOME.parse().unwrap());
        let missing = door.guessing.check((Listener::Tcp, peer), None, || Err::<(), _>(Denied::Missing));
        assert_eq!(missing, Err(NoAccess::Denied(Denied::Missing)));
    }
    assert_eq!(door.guessing.figures(), GuessFigures { networks: 0, displaced: 0 });
    assert_eq!(door.show(HOME, HAND_MADE), Ok(()));
}

#[test]
fn a_token_without_the_scope_is_a_good_one() {
    let door = Door::new();
    let show = || {
        let peer = Some(HOME.parse().unwrap());
        door.guessing.check((Listener::Http, peer), Some(HAND_MADE), || Err::<(), _>(Denied::Scope))
    };
    assert_eq!(show(), Err(NoAccess::Denied(Denied::Scope)));
    door.guess_until_unchecked(HOME);
    assert_eq!(show(), Err(NoAccess::Denied(Denied::Scope)));
}

#[test]
fn failures_are_counted_by_reason() {
    let door = Door::new();
    door.guess(HOME, 0..GUESSES_FREE + 1);
    let text = door.metrics.render(0, Vec::new());
    for (reason, count) in [("unknown", 10), ("back_off", 1), ("missing", 0), ("scope", 0)] {
        let line = format!("tallyd_auth_failures_total{{listener=\"http\",reason=\"{reason}\"}} {count}");
        assert!(text.lines().any(|shown| shown == line), "no line `{line}` in\n{text}");
    }
}

#[test]
fn the_log_names_one_network_a_minute_and_how_many_more_there_were() {
    let mut log = Log::default();
    let at = Duration::from_secs;
    assert_eq!(log.next(at(5)), Some(0));
    assert_eq!((log.next(at(5)), log.next(at(64))), (None, None));
    assert_eq!(log.next(at(65)), Some(2));
    assert_eq!((log.next(at(66)), log.next(at(500))), (None, Some(1)));
}
