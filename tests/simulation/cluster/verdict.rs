//! What must hold in the end: what each node counts is what the messages that it has read say, one by one; what was
//! acknowledged is there, once; all agree, or all have stopped.

use std::collections::{HashMap, HashSet};

use tallyd::cluster::follow::StopCause;
use tallyd::cluster::message::Body;
use tallyd::cluster::position::LogStamp;

use super::clients::{self, Fate, Sent};
use super::node::Kept;
use super::state::{Keys, Noted, look_up};
use super::stores::Running;
use super::world::World;
use crate::model::{Contents, Fault};

/// What the messages of a log come to.
#[derive(Default)]
struct Expected {
    contents: Contents,
    keys: Keys,
    marks: HashMap<u64, u64>,
    time: LogStamp,
    /// Batches whose messages counted, in order.
    applied: Vec<usize>,
}

impl Expected {
    fn of(kept: &Kept, sent: &[Sent]) -> Self {
        let mut expected = Self::default();
        let log = kept.replica.log();
        for entry in &kept.entries {
            let message = &entry.payload.message;
            expected.time = expected.time.max(entry.stamp);
            let mark = expected.marks.entry(message.writer.get()).or_default();
            let is_next = message.number.get() == *mark + 1;
            if Some(message.log) == log && matches!(message.body, Body::Batches(_)) && is_next {
                *mark += 1;
                for batch in &entry.payload.batches {
                    expected.take(*batch, &sent[*batch]);
                }
            }
        }
        expected
    }

    fn take(&mut self, batch: usize, sent: &Sent) {
        self.applied.push(batch);
        let now = self.time.seconds();
        if let Some(key) = sent.key {
            if look_up(&self.keys, key.id, now).is_some() {
                return;
            }
            let noted = Noted { content: key.content, taken: now, accepted: sent.accepted };
            self.keys.insert(key.id.0, noted);
        }
        self.contents.write(&sent.write);
    }
}

impl World {
    /// The verdict on the round.
    pub(super) fn judge(&mut self) -> Result<(), Fault> {
        for node in 0..self.seats.len() {
            self.judge_node(node)?;
        }
        self.judge_agreement()?;
        self.judge_answers()?;
        self.judge_stores()?;
        let processes: Vec<_> = self.seats.iter_mut().filter_map(|seat| seat.process.take()).collect();
        for process in &processes {
            self.add_counts(process);
            self.note_end(process.stopped());
        }
        Ok(())
    }

    /// Real stores have what the nodes have.
    fn judge_stores(&self) -> Result<(), Fault> {
        for (node, seat) in self.seats.iter().enumerate() {
            let running = seat.process.as_ref().and_then(|process| process.running.as_ref());
            running.map_or(Ok(()), Running::check).map_err(|fault| format!("node {node}: {fault}"))?;
        }
        Ok(())
    }

    /// A node counts what it has read, each once, in the order of each connection.
    fn judge_node(&self, node: usize) -> Result<(), Fault> {
        let kept = &self.seats[node].kept;
        let expected = Expected::of(kept, &self.sent);
        let found = Contents {
            cells: kept.state.cells.clone(),
            stories: kept.state.stories.clone(),
            nodes: kept.state.nodes.clone(),
            ..Contents::default()
        };
        if let Some(fault) = found.differs_from(&expected.contents) {
            return Err(format!("node {node}: {fault}"));
        }
        if kept.state.keys != expected.keys {
            return Err(format!(
                "node {node} has the keys {:?}, must have {:?}",
                kept.state.keys, expected.keys
            ));
        }
        if kept.state.digest != kept.state.digest_anew() {
            return Err(format!("the digest of node {node} is not that of what it counts"));
        }
        let mut applied = HashSet::new();
        let mut last: HashMap<u64, usize> = HashMap::new();
        for batch in &expected.applied {
            if !applied.insert(*batch) {
                return Err(format!("batch {batch} takes effect twice at node {node}"));
            }
            let before = last.insert(self.sent[*batch].connection, *batch);
            if before.is_some_and(|before| before > *batch) {
                return Err(format!("batch {batch} comes after {before:?} of its connection at node {node}"));
            }
        }
        // What one connection sent before has not been left out, unless it was refused, or a clone wrote in its place.
        for (connection, last) in last.into_iter().filter(|_| !self.has_clone) {
            let before = self.sent.iter().enumerate().take(last);
            let hole = before
                .filter(|(_, sent)| sent.connection == connection && sent.fate != Fate::Refused)
                .find(|(batch, _)| !applied.contains(batch));
            if let Some((batch, sent)) = hole {
                return Err(format!(
                    "batch {last} is counted at node {node}, {batch} before it, {:?}, is not",
                    sent.fate
                ));
            }
        }
        Ok(())
    }

    /// All have read the same, or all have stopped. A node whose own reading is at fault may stop alone.
    fn judge_agreement(&self) -> Result<(), Fault> {
        let mut stopped = Vec::new();
        let mut going: Vec<usize> = Vec::new();
        for (node, seat) in self.seats.iter().enumerate() {
            match seat.process.as_ref().and_then(|process| process.stopped()) {
                None => going.push(node),
                Some(StopCause::Forked(_) | StopCause::WentBack(_) | StopCause::Alarm(_)) => {
                    stopped.push(node);
                }
                Some(
                    StopCause::Gap(_)
                    | StopCause::AnotherLog { .. }
                    | StopCause::AnotherStart(_)
                    | StopCause::NoGenesis
                    | StopCause::Unreadable { .. },
                ) => {}
            }
        }
        let Some(first) = going.first() else { return Ok(()) };
        let is_of_the_log = |node: &usize| self.seats[*node].kept.replica.log() == Some(self.log.id);
        if !stopped.is_empty() && !self.is_anew {
            return Err(format!("nodes {stopped:?} have stopped, nodes {going:?} go on"));
        }
        for node in &going {
            let (one, other) = (&self.seats[*first].kept, &self.seats[*node].kept);
            if !is_of_the_log(node) {
                return Err(format!("node {node} goes on with a log that is gone"));
            }
            if one.truth != other.truth || one.state != other.state {
                return Err(format!("nodes {first} and {node} go on, and have not read the same"));
            }
            if one.replica.position() != other.replica.position()
                || one.replica.marks() != other.replica.marks()
            {
                return Err(format!("nodes {first} and {node} have read the same, and do not know it"));
            }
        }
        Ok(())
    }

    /// Every batch was answered, and what was acknowledged is there.
    fn judge_answers(&self) -> Result<(), Fault> {
        for (batch, sent) in self.sent.iter().enumerate() {
            if sent.fate == Fate::Pending {
                return Err(format!("batch {batch} has no answer"));
            }
            if sent.fate == Fate::Refused && self.handed_over.contains_key(&batch) {
                return Err(format!("batch {batch} was refused, and is under way"));
            }
            if sent.fate != Fate::Counted {
                continue;
            }
            for (node, seat) in self.seats.iter().enumerate() {
                let is_going = seat.process.as_ref().is_some_and(|process| process.stopped().is_none());
                let must_have =
                    if self.has_lost || !is_going { sent.node == node && !seat.was_emptied } else { true };
                if must_have && seat.kept.state.cells.get(&clients::mark(batch)) != Some(&1) {
                    return Err(format!(
                        "batch {batch} was acknowledged, and node {node} does not count it once"
                    ));
                }
            }
        }
        Ok(())
    }
}
