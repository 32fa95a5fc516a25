//! What is known of the log that a store follows, for everybody to read. Never waits for the disk.

use std::sync::Arc;

use crate::cluster::follow::Replica;
use crate::cluster::publish::PartOutcome;
use crate::model::batch::BatchIdentity;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::store::keys::{KeyTable, Noted};
use crate::store::log::{LogFigures, LogPosition, LogState, SharedLog, digest};

/// What is known of the log that a store follows: of messages that are counted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogView {
    log: Arc<SharedLog>,
    keys: Arc<KeyTable>,
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
}

impl LogView {
    pub(in crate::store) fn new(
        log: Arc<SharedLog>,
        keys: Arc<KeyTable>,
        (catalogue, counters): (Arc<Catalogue>, Arc<Counters>),
    ) -> Self {
        Self { log, keys, catalogue, counters }
    }

    /// The last message that is counted; `None` before the log's beginning was read.
    pub fn position(&self) -> Option<LogPosition> {
        *self.log.watch().borrow()
    }

    /// Waits until that message is counted, or the store follows another log. Ends by itself only so.
    pub async fn reached(&self, position: LogPosition) {
        let is_met = |known: LogPosition| known.log != position.log || known.sequence >= position.sequence;
        let mut positions = self.log.watch();
        // It fails where nobody can send another position any more, and this view could.
        drop(positions.wait_for(|known| known.is_some_and(is_met)).await);
    }

    /// What a member goes on from. Where no log is followed yet, that is a state of the digest of all that is counted, for which every
    /// counter is read. Meanwhile nothing may be recorded or counted.
    pub fn replica(&self) -> Replica {
        let followed = self.log.state().as_ref().map(|state| state.replica().clone());
        followed.unwrap_or_else(|| Replica::new(digest::of_all(&self.catalogue, &self.counters)))
    }

    /// What is wrong, if what is counted is not what the messages of the log came to. Every counter is read. Meanwhile nothing may be
    /// recorded or counted.
    pub fn wrong_digest(&self) -> Option<String> {
        let expected = self.log.state().as_ref().map(LogState::digest)?;
        let found = digest::of_all(&self.catalogue, &self.counters);
        (found != expected).then(|| {
            format!(
                "what is counted here has the digest {found}, and the messages of the log came to {expected}: empty this node's data \
                 directory and start it with another node as its --cluster-seed"
            )
        })
    }

    /// All that is known of the log at one place of it; `None` before the log's beginning was read.
    pub fn figures(&self) -> Option<LogFigures> {
        self.log.state().as_ref().map(LogState::figures)
    }

    /// What a batch with a key would come to, if it were the next; `None` where it would be counted, or no log is followed.
    pub fn known(&self, identity: BatchIdentity) -> Option<PartOutcome> {
        let time = self.log.state().as_ref().map(|state| state.replica().now())?;
        Some(match self.keys.noted(identity, time.seconds())? {
            Noted::Counted(answer, _) => PartOutcome::Repeated(answer),
            Noted::Conflict => PartOutcome::Conflict,
        })
    }
}
