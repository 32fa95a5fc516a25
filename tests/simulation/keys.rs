//! Batches with keys: what was sent under which key, and what a store may say when it is sent again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tallyd::model::batch::{BatchIdentity, KeyId, KeyRule, KeyedAnswer, RejectedLine};
use tallyd::store::{Claim, Claimed, KeyLimits, WriteError, WriteHandle};

use crate::model::Fault;
use crate::random::Random;

/// Few keys, so that some give their place to newer ones.
pub(crate) const LIMITS: KeyLimits = KeyLimits { keys: 6, retry_window: Duration::from_mins(10) };
const DAY: u32 = 86_400;
const WINDOW: u32 = 600;

type Claiming = Pin<Box<dyn Future<Output = Result<Claimed, WriteError>> + Send>>;

/// All keys ever sent, and the look-ups that wait.
pub(crate) struct Keys {
    /// Of its own, so that what happens without keys stays as it was from a seed.
    random: Random,
    sent: Vec<BatchIdentity>,
    notes: Vec<Note>,
    waiting: Vec<(BatchIdentity, Claiming)>,
    /// Claims whose batches are still being parsed.
    claims: Vec<Claim>,
}

/// A batch that was handed over with a key.
struct Note {
    identity: BatchIdentity,
    batch: usize,
    answer: KeyedAnswer,
    taken: u32,
}

/// What a store says of a batch with a key.
pub(crate) enum Said {
    /// It is new, and is to be handed over some time.
    New,
    /// The batch of that number was counted under its key, and is as durable as an ack promises.
    Counted(usize),
    /// Another one was counted.
    Conflict,
    /// That its outcome is not known.
    Unknown,
}

impl Keys {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::new(seed ^ 0x6b65_7973);
        Self { random, sent: Vec::new(), notes: Vec::new(), waiting: Vec::new(), claims: Vec::new() }
    }

    /// Now and then sends a batch with a new key, or one again: the same, or by mistake another under its key.
    pub(crate) fn send_some(&mut self, handle: &WriteHandle) {
        let Self { random, .. } = self;
        if !random.one_in(9) {
            return;
        }
        let identity = if self.sent.is_empty() || random.one_in(3) {
            let rule = random.pick(&KeyRule::ALL);
            let mut id = [0; 16];
            id[..8].copy_from_slice(&random.next().to_le_bytes());
            let identity = BatchIdentity { rule, id: KeyId(id), content: 1 };
            self.sent.push(identity);
            identity
        } else {
            let recent = self.sent.len().saturating_sub(8);
            let again = self.sent[recent + random.index(self.sent.len() - recent)];
            BatchIdentity { content: again.content + u64::from(random.one_in(8)), ..again }
        };
        let handle = handle.clone();
        self.waiting.push((identity, Box::pin(async move { handle.claim(identity).await })));
    }

    /// What was said since the last call. `is_counted` asks the store whether it counts the batch of a number.
    pub(crate) fn said(
        &mut self,
        now: u32,
        is_counted: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<(Said, bool)>, Fault> {
        let mut context = Context::from_waker(Waker::noop());
        let mut said = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut fault = None;
        waiting.retain_mut(|(identity, claiming)| {
            let Poll::Ready(outcome) = claiming.as_mut().poll(&mut context) else { return true };
            let has_rejected = matches!(&outcome, Ok(Claimed::Counted(answer)) if answer.rejected > 0);
            match self.judge(*identity, outcome, (now, is_counted)) {
                Ok(what) => said.push((what, has_rejected)),
                Err(what) => fault = Some(what),
            }
            false
        });
        self.waiting = waiting;
        fault.map_or(Ok(said), Err)
    }

    fn judge(
        &mut self,
        identity: BatchIdentity,
        outcome: Result<Claimed, WriteError>,
        (now, is_counted): (u32, &dyn Fn(usize) -> bool),
    ) -> Result<Said, Fault> {
        let remembered = self.remembered(identity, now, is_counted);
        match (outcome, remembered) {
            (Err(WriteError::Unknown(_)), _) => Ok(Said::Unknown),
            (Ok(Claimed::New(claim)), None) => {
                self.claims.push(claim);
                Ok(Said::New)
            }
            (Ok(Claimed::New(_)), Some(note)) => {
                Err(format!("batch {} is counted, and its key is taken as new", note.batch))
            }
            (Ok(Claimed::Counted(answer)), Some(note)) if note.identity == identity => {
                if answer == note.answer {
                    Ok(Said::Counted(note.batch))
                } else {
                    Err(format!("batch {} was answered {:?}, and again {answer:?}", note.batch, note.answer))
                }
            }
            (Ok(Claimed::Conflict), Some(note)) if note.identity != identity => Ok(Said::Conflict),
            (said, note) => {
                let note = note.map(|note| note.batch);
                Err(format!("{said:?} is said of a key of which batch {note:?} is counted"))
            }
        }
    }

    /// The batch that must be known under the key: counted, not too old, and not displaced by newer ones.
    fn remembered(
        &self,
        identity: BatchIdentity,
        now: u32,
        is_counted: &dyn Fn(usize) -> bool,
    ) -> Option<&Note> {
        let kept = if identity.rule == KeyRule::Key { DAY } else { WINDOW };
        let of_rule = self.notes.iter().rev().filter(|note| note.identity.rule == identity.rule);
        of_rule
            .filter(|note| is_counted(note.batch))
            .take(LIMITS.keys)
            .find(|note| note.identity.id == identity.id)
            .filter(|note| now - note.taken < kept)
    }

    /// A claim whose batch is parsed by now, and how it will be answered.
    pub(crate) fn parsed(&mut self) -> Option<(Claim, KeyedAnswer)> {
        let Self { random, .. } = self;
        if self.claims.is_empty() || random.one_in(3) {
            return None;
        }
        let claim = self.claims.swap_remove(random.index(self.claims.len()));
        let rejected = u32::try_from(random.below(3)).unwrap();
        let bad_line = |line| RejectedLine { line: u64::from(line), message: format!("bad {line}").into() };
        let answer = KeyedAnswer {
            accepted: u32::try_from(random.below(1_000)).unwrap(),
            rejected,
            bad_lines: (0..rejected).map(bad_line).collect(),
        };
        Some((claim, answer))
    }

    /// A batch is handed over with a key.
    pub(crate) fn hand_over(
        &mut self,
        batch: usize,
        (identity, answer, taken): (BatchIdentity, KeyedAnswer, u32),
    ) {
        self.notes.push(Note { identity, batch, answer, taken });
    }

    /// The process ends.
    pub(crate) fn end(&mut self) {
        self.waiting.clear();
        self.claims.clear();
    }
}
