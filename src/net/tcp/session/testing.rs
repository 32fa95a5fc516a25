//! A session without a socket, and what must hold for any bytes that it is given. The check is run by `cargo test` and by the
//! target of `fuzz/`; see [`crate::testing`].
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a check says by panic what does not hold"
)]

use std::sync::Arc;
use std::time::Duration;

use super::{Session, Then};
use crate::intake::batching::{Parsed, Parser};
use crate::intake::wire::Arrival;
use crate::limits::LINE_MEMORY_BYTES_MAX;
use crate::model::batch::{KeyedAnswer, RejectedLine};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::net::auth::Auth;
use crate::net::byte_budget::ByteBudget;
use crate::net::commit::NotCounted;
use crate::net::guessing::Guessing;
use crate::platform::clock::Clock;
use crate::store::Refusal;

#[cfg(test)]
pub(super) const LINE: &str = "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i\n";
pub(super) const TOKEN: &str = "0123456789abcdefghij";

/// Longest text of answers that a client reads at once here: more might be dropped.
const ANSWERS_BYTES: usize = 48 * 1024;

/// A connection answers the same however its bytes are cut, with nothing but answers; without a token it makes nothing known;
/// it tells of each line what became of it; and lines count under a key as they do without.
///
/// The first byte says whether a token is needed and whether the store takes batches, the second how the rest is cut.
pub fn session(bytes: &[u8]) {
    let Some(([choice, step], text)) = bytes.split_first_chunk() else { return };
    let needs_token = choice % 2 == 1;
    let store = if choice % 4 < 2 { StoreAnswer::Takes } else { StoreAnswer::Refuses };
    let start = || Driven::new(if needs_token { tokens() } else { Auth::default() }, store);
    let mut whole = start();
    whole.give(text);
    let mut pieces = start();
    let step = usize::from(*step).saturating_add(1);
    text.chunks(step).for_each(|piece| pieces.give(piece));
    let whole = whole.ended();
    let pieces = pieces.ended();
    for answers in [&whole, &pieces] {
        answers.assert_told(text);
        if needs_token && !text.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()) {
            assert_eq!((answers.taken, answers.stories), (0, 0), "a stranger made something known");
        }
    }
    // Where a batch ends, and so which lines a refusal is about, depends on the reads.
    if matches!(store, StoreAnswer::Takes) && whole.out.len() < ANSWERS_BYTES {
        assert_eq!(pieces.out, whole.out, "in pieces of {step} bytes");
    }
    keyed(text);
}

/// The lines that are no commands count as many under a key as without one.
fn keyed(text: &[u8]) {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"!"));
    let lines: Vec<u8> = lines.flat_map(|line| [line, b"\n"].concat()).collect();
    let last_ok = |before: &[u8], behind: &[u8]| {
        let mut driven = Driven::new(Auth::default(), StoreAnswer::Takes);
        driven.give(&[before, &lines, behind].concat());
        let ended = driven.ended();
        ended.out.lines().rfind(|line| line.starts_with("OK ")).map(str::to_owned)
    };
    // A blank line, so that no other protocol is seen in the first bytes.
    let without = last_ok(b"\n", b"!sync\n");
    assert!(without.is_some(), "no answer to !sync");
    assert_eq!(last_ok(b"!batch k\n", b"!end\n"), without, "under a key");
}

/// What a connection was answered in all, and what the store and the catalogue had of it.
struct Ended {
    out: String,
    taken: u64,
    stories: usize,
}

impl Ended {
    /// Every answer is one, and about a line that there is or the one behind the last.
    fn assert_told(&self, text: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', text).count().saturating_add(2);
        for answer in self.out.lines() {
            let mut words = answer.split(' ');
            let (kind, mut number) =
                (words.next(), || words.next().and_then(|word| word.parse::<usize>().ok()));
            match kind {
                Some("ERR") => {
                    assert!(number().is_some_and(|line| (1..=lines).contains(&line)), "{answer:?}");
                }
                // What was answered to a batch then is not about these lines.
                Some("DUP") => assert!(number().is_some() && number().is_some(), "{answer:?}"),
                Some("OK") => {
                    let (accepted, rejected) = (number().unwrap_or(lines), number().unwrap_or(lines));
                    assert!(accepted.saturating_add(rejected) < lines, "{answer:?} of {lines} lines");
                }
                _ => panic!("{answer:?}"),
            }
            assert!(!answer.chars().any(char::is_control), "{answer:?}");
        }
    }
}

pub(super) fn tokens() -> Auth {
    Auth::from_env_text(&format!("bots:write:{TOKEN};board:read:{TOKEN}-read")).expect("tokens")
}

/// What the store does with every batch.
#[derive(Clone, Copy)]
pub(super) enum StoreAnswer {
    Takes,
    Refuses,
}

/// A session driven as a connection does it, without a socket.
pub(super) struct Driven {
    pub(super) session: Session,
    catalogue: Arc<Catalogue>,
    store: StoreAnswer,
    waiting: Vec<u8>,
    pub(super) out: String,
    /// Events of the batches that the store took.
    taken: u64,
    closed: bool,
}

impl Driven {
    pub(super) fn new(auth: Auth, store: StoreAnswer) -> Self {
        Self::sharing(Arc::new(auth), store)
    }

    pub(super) fn sharing(auth: Arc<Auth>, store: StoreAnswer) -> Self {
        let catalogue =
            Arc::new(Catalogue::new(CatalogueLimits { stories: 64, series: 1024, nodes_per_story: 64 }));
        let memory = ByteBudget::new(LINE_MEMORY_BYTES_MAX);
        let guessing = Guessing::new(Arc::default(), Clock::manual(0));
        let doors = (auth, Arc::new(guessing));
        let session = Session::new(Parser::new(Arc::clone(&catalogue)), doors, None, &memory);
        Self { session, catalogue, store, waiting: Vec::new(), out: String::new(), taken: 0, closed: false }
    }

    pub(super) fn arrival() -> Arrival {
        Arrival {
            unix_nanos: 1_552_813_200_000_000_000,
            max_future: Duration::from_hours(1),
            dropped_before: None,
        }
    }

    pub(super) fn give(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        self.waiting.extend_from_slice(bytes);
        loop {
            let turn = self.session.process(&self.waiting, Self::arrival());
            self.waiting.drain(..turn.consumed);
            match turn.then {
                Then::Again => {}
                Then::Read => break,
                Then::Sync => {
                    self.settle();
                    self.session.synced();
                }
                Then::Batch => {
                    self.settle();
                    self.keyed();
                }
                Then::Close | Then::Overloaded => {
                    self.closed = true;
                    break;
                }
            }
        }
        self.settle();
    }

    /// Counts a batch with a key; the key `again` was counted before.
    fn keyed(&mut self) {
        let mut lines = self.session.take_keyed().expect("a batch is whole");
        match (lines.key.as_str(), self.store) {
            ("again", _) => {
                self.session.skip_keyed(&lines);
                let bad_lines = [RejectedLine { line: 1, message: "bad".into() }].into();
                self.session.keyed_replayed(&lines, &KeyedAnswer { accepted: 5, rejected: 1, bad_lines });
            }
            ("other", _) => {
                self.session.skip_keyed(&lines);
                self.session.keyed_conflict(&lines);
            }
            (_, store) => {
                let mut parsed = Parsed::default();
                while self.session.parse_keyed(&mut lines, Self::arrival(), &mut parsed) {}
                let answer = lines.answer(&parsed.tally);
                let full = NotCounted::from(Refusal::AppendRefused("the disk is full".to_owned()));
                match store {
                    StoreAnswer::Takes => {
                        self.taken = self.taken.saturating_add(u64::from(answer.accepted));
                        self.session.keyed_counted(&answer);
                    }
                    StoreAnswer::Refuses => {
                        self.session.note_rejected(&answer);
                        self.session.keyed_failed(&lines, (u64::from(answer.accepted), &full));
                    }
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn finish(self) -> String {
        self.ended().out
    }

    fn ended(mut self) -> Ended {
        if !self.closed {
            let then = self.session.finish(&self.waiting, Self::arrival());
            self.settle();
            match then {
                Then::Sync => self.session.synced(),
                Then::Batch => self.keyed(),
                Then::Read | Then::Again | Then::Close | Then::Overloaded => {}
            }
        }
        self.settle();
        let Self { out, taken, catalogue, .. } = self;
        Ended { out, taken, stories: catalogue.story_count() }
    }

    pub(super) fn settle(&mut self) {
        if let Some((_, lines)) = self.session.finish_batch().batch {
            match self.store {
                StoreAnswer::Takes => {
                    self.taken = self.taken.saturating_add(lines.accepted);
                    self.session.counted(&lines);
                }
                StoreAnswer::Refuses => {
                    let full = Refusal::AppendRefused("the disk is full".to_owned());
                    self.session.not_acknowledged(&lines, &full.into());
                }
            }
        }
        let waiting = self.session.answers().waiting().to_vec();
        self.session.answers().advance(waiting.len());
        self.out.push_str(std::str::from_utf8(&waiting).expect("answers are text"));
    }
}
