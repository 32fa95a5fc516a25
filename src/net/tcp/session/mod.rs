//! What one connection is about: bytes in; batches to submit, answers to write and what to do next out. Every
//! decision of the line port is here, as plain functions. Knows nothing of sockets, waiting or the journal.
//!
//! INVARIANT: every line that was taken is in exactly one of: a batch under way, `accepted`, `rejected`; or it
//! was blank, a comment or a command.

mod keyed;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::answers::Answers;
use super::command::{Command, CommandError};
use crate::intake::batching::{Parsed, Parser, Stop, Tally};
use crate::intake::wire::Arrival;
use crate::limits::LINE_BYTES_MAX;
use crate::model::batch::Batch;
use crate::net::auth::{Auth, Permit, Renewal, Scope};
use crate::net::byte_budget::ByteBudget;
use crate::net::commit::NotCounted;
use crate::net::guessing::{Guessing, NoAccess, whole_seconds};
use crate::net::metrics::Listener;
pub(super) use keyed::KeyedLines;

/// The state of one connection.
pub(super) struct Session {
    parser: Parser,
    auth: Arc<Auth>,
    guessing: Arc<Guessing>,
    peer: Option<IpAddr>,
    access: Access,
    /// Nothing was taken yet, so that a client of another protocol may still show itself.
    at_start: bool,
    /// The number of the last line taken.
    lines: u64,
    /// Lines that went by before the parser saw the first; it counts from the next one.
    lines_before_parser: u64,
    /// The first line of the batch that is being made.
    batch_first_line: u64,
    parsed: Parsed,
    /// How many increments the last batch had; the next one likely has as many.
    increments_expected: usize,
    accepted: u64,
    rejected: u64,
    /// Lines rejected before authentication that are not in the metrics yet.
    rejected_by_access: u64,
    answers: Answers,
    /// The batch with a key that has begun.
    keyed: Option<KeyedLines>,
    memory: ByteBudget,
}

/// Whether the connection may send events.
enum Access {
    Granted(Permit),
    Needed {
        /// The client was told that its lines are not counted, which is said once and not per line.
        told: bool,
        /// The rest of a line that was too long is being skipped.
        skipping: bool,
    },
}

/// The next step after some bytes were processed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// There is no whole line left: read more.
    Read,
    /// There may be more whole lines, and answers: write what can be written, take them.
    Again,
    /// Wait until everything before is settled, call [`Session::synced`] and write the answer; then take the rest.
    Sync,
    /// The same, then count the batch of [`Session::take_keyed`] and write its answer.
    Batch,
    /// Submit what there is, write the answers, close.
    Close,
    /// The same: there is no memory for the batch with a key.
    Overloaded,
}

/// How far [`Session::process`] came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    /// Bytes taken from the front.
    pub(super) consumed: usize,
    pub(super) then: Then,
}

/// The lines of one batch, until its outcome is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BatchLines {
    /// Where in the connection they are; not all of them need be events.
    pub(super) lines: RangeInclusive<u64>,
    /// How many of them are events that the batch counts.
    pub(super) accepted: u64,
}

/// The lines since the last batch: their tally and the batch that they make.
pub(super) struct FinishedBatch {
    pub(super) tally: Tally,
    /// The batch to submit and its lines; `None` where no line was an event.
    pub(super) batch: Option<(Batch, BatchLines)>,
}

impl Session {
    /// A connection that has said nothing yet.
    pub(super) fn new(
        parser: Parser,
        (auth, guessing): (Arc<Auth>, Arc<Guessing>),
        peer: Option<IpAddr>,
        memory: &ByteBudget,
    ) -> Self {
        let access = auth
            .check(None, Scope::Write)
            .map_or(Access::Needed { told: false, skipping: false }, Access::Granted);
        Self {
            parser,
            auth,
            guessing,
            peer,
            access,
            at_start: true,
            lines: 0,
            lines_before_parser: 0,
            batch_first_line: 1,
            parsed: Parsed::default(),
            increments_expected: 0,
            accepted: 0,
            rejected: 0,
            rejected_by_access: 0,
            answers: Answers::new(memory),
            keyed: None,
            memory: memory.clone(),
        }
    }

    /// Takes whole lines from the front of `bytes`, up to and including the first command.
    pub(super) fn process(&mut self, bytes: &[u8], arrival: Arrival) -> Turn {
        if self.at_start
            && let Some(what) = misdirected(bytes)
        {
            self.answers.err(1, what);
            return Turn { consumed: bytes.len(), then: Then::Close };
        }
        if self.is_withdrawn() {
            return Turn { consumed: bytes.len(), then: Then::Close };
        }
        let turn = match self.access {
            Access::Granted(_) if self.keyed.is_some() => self.collect(bytes),
            Access::Granted(_) => self.parse_lines(bytes, arrival),
            Access::Needed { .. } => self.process_unauthenticated(bytes),
        };
        self.at_start &= turn.consumed == 0;
        turn
    }

    /// The peer closed its side: a rest without a line feed is a line or a command too.
    pub(super) fn finish(&mut self, rest: &[u8], arrival: Arrival) -> Then {
        if !rest.is_empty() && self.is_withdrawn() {
            return Then::Close;
        }
        if self.keyed.is_some() {
            let turn = self.process(&[rest, b"\n"].concat(), arrival);
            return if turn.then == Then::Batch { Then::Batch } else { self.unfinished_keyed() };
        }
        match (&self.access, rest) {
            (_, []) => Then::Close,
            (Access::Needed { .. }, _) => self.process_unauthenticated(&[rest, b"\n"].concat()).then,
            (Access::Granted(_), [b'!', command @ ..]) => {
                self.lines = self.lines.saturating_add(1);
                self.command(&String::from_utf8_lossy(command))
            }
            (Access::Granted(_), _) => {
                self.parser.finish_stream(rest, arrival, &mut self.parsed);
                self.lines = self.lines.saturating_add(1);
                Then::Close
            }
        }
    }

    /// The batch of all lines taken since the last call. Answers the bad ones.
    pub(super) fn finish_batch(&mut self) -> FinishedBatch {
        self.answer_bad_lines();
        let mut parsed = std::mem::take(&mut self.parsed);
        self.rejected = self.rejected.saturating_add(parsed.tally.rejected);
        // Lines without access are in `rejected` already.
        parsed.tally.rejected =
            parsed.tally.rejected.saturating_add(std::mem::take(&mut self.rejected_by_access));

        let lines = self.batch_first_line..=self.lines;
        self.batch_first_line = self.lines.saturating_add(1);
        let accepted = parsed.tally.accepted();
        let batch = (accepted > 0 || !parsed.batch.is_empty()).then(|| {
            self.increments_expected = parsed.batch.increments.len();
            (parsed.batch, BatchLines { lines, accepted })
        });
        FinishedBatch { tally: parsed.tally, batch }
    }

    /// The store has taken the batch of these lines.
    pub(super) fn counted(&mut self, lines: &BatchLines) {
        self.accepted = self.accepted.saturating_add(lines.accepted);
    }

    /// The store has refused the batch of these lines, or it is not known whether it counted them.
    pub(super) fn not_acknowledged(&mut self, lines: &BatchLines, error: &NotCounted) {
        // What may be counted is neither accepted nor rejected.
        let is_refused = error.is_refused();
        if is_refused {
            self.rejected = self.rejected.saturating_add(lines.accepted);
        }
        let (first, last) = (lines.lines.start(), lines.lines.end());
        let one = first == last;
        let outcome = match (is_refused, one) {
            (true, true) => "was not counted",
            (true, false) => "were not counted",
            (false, _) => "not known whether counted",
        };
        if one {
            self.answers.err(*first, format_args!("the line {outcome}: {error}"));
        } else {
            let which = format_args!("lines {first} to {last} (those without an answer of their own)");
            self.answers.err(*first, format_args!("{which} {outcome}: {error}"));
        }
    }

    /// Everything before the last `!sync` is settled.
    pub(super) fn synced(&mut self) {
        self.answers.ok(self.accepted, self.rejected);
    }

    /// The connection is about to be closed from this side; `why` is for the client. Lines from the next one on
    /// are not counted.
    pub(super) fn closing(&mut self, why: &str) {
        let next = self.lines.saturating_add(1);
        self.answers.err(next, format_args!("{why}: line {next} and all after it are not counted"));
    }

    /// Whether the connection has yet to present a token.
    pub(super) fn is_unauthenticated(&self) -> bool {
        matches!(self.access, Access::Needed { .. })
    }

    /// Whether a batch with a key has begun.
    pub(super) fn is_in_batch(&self) -> bool {
        self.keyed.is_some()
    }

    /// Whose key the batch of the connection has.
    pub(super) fn key_owner(&self) -> Option<&str> {
        match &self.access {
            Access::Granted(permit) => permit.key_owner(),
            Access::Needed { .. } => None,
        }
    }

    /// Whether the tokens were replaced by some that do not allow this connection to write any more. Says so then. Where
    /// they allow it other stories than before, these hold from the next line on.
    pub(super) fn is_withdrawn(&mut self) -> bool {
        let Access::Granted(permit) = &mut self.access else { return false };
        match self.auth.renew(permit) {
            Ok(Renewal::Same) => false,
            Ok(Renewal::OtherStories) => {
                self.parser.set_stories(permit.stories().clone());
                false
            }
            Err(_) => {
                let next = self.lines.saturating_add(1);
                self.answers.err(next, "the token was withdrawn; nothing after this is counted");
                true
            }
        }
    }

    pub(super) fn answers(&mut self) -> &mut Answers {
        &mut self.answers
    }

    /// Answers the bad lines that the parser has described since the last call, so that answers come in the order of
    /// their lines.
    fn answer_bad_lines(&mut self) {
        for rejection in self.parsed.rejections.drain(..) {
            let line = rejection.line.saturating_add(self.lines_before_parser);
            self.answers.err(line, &rejection.error);
        }
    }

    fn parse_lines(&mut self, bytes: &[u8], arrival: Arrival) -> Turn {
        if self.parsed.batch.increments.is_empty() {
            self.parsed.batch.increments.reserve(self.increments_expected);
        }
        let (consumed, stop) = self.parser.parse_stream(bytes, arrival, &mut self.parsed);
        self.lines = self.lines_before_parser.saturating_add(self.parser.lines());
        let then = match stop {
            Stop::NeedMore => Then::Read,
            Stop::Command(text) => self.command(&text),
            Stop::BadLines => {
                self.answer_bad_lines();
                Then::Again
            }
        };
        Turn { consumed, then }
    }

    /// Takes one line at a time until there is access. Nothing of it reaches the parser, so that a stranger can
    /// make nothing known and costs no more than a search for line feeds.
    fn process_unauthenticated(&mut self, bytes: &[u8]) -> Turn {
        let Access::Needed { told, skipping } = self.access else {
            return Turn { consumed: 0, then: Then::Again };
        };
        let Some(length) = memchr::memchr(b'\n', bytes) else {
            let too_long = skipping || bytes.len() > LINE_BYTES_MAX;
            self.access = Access::Needed { told, skipping: too_long };
            return Turn { consumed: if too_long { bytes.len() } else { 0 }, then: Then::Read };
        };
        self.access = Access::Needed { told, skipping: false };
        self.lines = self.lines.saturating_add(1);
        self.lines_before_parser = self.lines;
        self.batch_first_line = self.lines.saturating_add(1);
        let line = bytes.get(..length).unwrap_or_default().trim_ascii();
        let then = match (skipping, line) {
            (false, [] | [b'#', ..]) => Then::Again,
            (false, [b'!', command @ ..]) => match std::str::from_utf8(command) {
                Ok(text) => self.command(text),
                // No command is spelt with other bytes, and no token either.
                Err(_) => self.command(""),
            },
            _ => {
                self.reject_unauthenticated();
                Then::Again
            }
        };
        Turn { consumed: length.saturating_add(1), then }
    }

    /// An event without access: not counted, and said so once.
    fn reject_unauthenticated(&mut self) {
        self.rejected = self.rejected.saturating_add(1);
        self.rejected_by_access = self.rejected_by_access.saturating_add(1);
        if matches!(self.access, Access::Needed { told: false, .. }) {
            let line = self.lines;
            self.answers.err(
                line,
                "authentication required: send `!auth TOKEN` first; nothing is counted until then",
            );
            self.access = Access::Needed { told: true, skipping: false };
        }
    }

    /// Does the command of the line that was taken last.
    fn command(&mut self, text: &str) -> Then {
        self.answer_bad_lines();
        let line = self.lines;
        match Command::parse(text) {
            Err(error) => {
                self.answers.err(line, error);
                // The lines of a batch would count without its key, and twice when they are sent again with another.
                if error == CommandError::Batch { Then::Close } else { Then::Again }
            }
            Ok(Command::Auth(token)) => {
                let (auth, peer) = (&self.auth, (Listener::Tcp, self.peer));
                let checked =
                    self.guessing.check(peer, Some(token), || auth.check(Some(token), Scope::Write));
                let why = match checked {
                    Ok(permit) => {
                        self.parser.set_stories(permit.stories().clone());
                        self.access = Access::Granted(permit);
                        return Then::Again;
                    }
                    Err(NoAccess::Denied(_)) => "the token is not known or may not write".to_owned(),
                    Err(error @ (NoAccess::Hasty(pause) | NoAccess::Unchecked(pause))) => {
                        format!("{error}; try again in {} s", whole_seconds(pause))
                    }
                };
                self.answers.err(line, format_args!("{why}; nothing after this is counted"));
                Then::Close
            }
            Ok(_) if self.is_unauthenticated() => {
                self.answers.err(line, "authentication required: send `!auth TOKEN` first");
                Then::Again
            }
            Ok(Command::Precision(precision)) => {
                self.parser.set_precision(precision);
                Then::Again
            }
            Ok(Command::Sync) => Then::Sync,
            Ok(Command::Batch(key)) => {
                self.keyed = Some(KeyedLines::begin(key, line, self.memory.holder()));
                Then::Again
            }
            Ok(Command::End) => {
                self.answers.err(line, "no batch has begun: `!batch KEY` begins one");
                Then::Again
            }
        }
    }
}

/// What to tell a client of another protocol, as its first bytes show it; `None` while they may be lines.
fn misdirected(bytes: &[u8]) -> Option<&'static str> {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ", b"CONNECT "];
    if let [0x16, 0x03, ..] = bytes {
        return Some("this is TLS, but this port takes plain lines of events");
    }
    let line = bytes.get(..memchr::memchr(b'\n', bytes)?)?.trim_ascii_end();
    let version = line.len().checked_sub(b"HTTP/1.1".len()).and_then(|start| line.get(start..))?;
    let is_request = METHODS.iter().any(|method| line.starts_with(method));
    (is_request && version.starts_with(b"HTTP/")).then_some(
        "this is an HTTP request, but this port takes lines of events; HTTP is on the port of --http-listen",
    )
}
