//! Applies what a journal says: the reading thread to the counters, and one beside it to the catalogue, which takes the longest where
//! very many series are new and which the counters do not need.
//!
//! INVARIANT: the catalogue learns what records say in their order; where the reading thread itself looks at the catalogue
//! or changes it, the other one has come as far.

use std::thread::{self, Scope};

use crossbeam::channel::{self, Receiver, Sender};

use super::erase;
use crate::limits::{LOAD_BATCHES_AHEAD, LOAD_STEPS_TOGETHER};
use crate::model::batch::{Batch, Change, Definition};
use crate::model::catalogue::{ActiveHours, Catalogue};
use crate::model::counters;

/// See the top of the file.
pub(crate) struct Beside<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    catalogue: &'scope Catalogue,
    pending: Steps,
    /// Steps that this thread has taken itself. Few are not worth a thread.
    taken: usize,
    thread: Option<Thread>,
}

struct Thread {
    steps: Sender<Steps>,
    /// A message for each that was awaited.
    done: Receiver<()>,
    /// Steps were sent after the last that were awaited.
    is_behind: bool,
}

/// What the catalogue is to learn: the definitions first, then the changes, then the hours.
#[derive(Default)]
struct Steps {
    definitions: Vec<Definition>,
    changes: Vec<Change>,
    active: Vec<ActiveHours>,
    is_awaited: bool,
}

impl Steps {
    fn count(&self) -> usize {
        self.definitions.len().saturating_add(self.changes.len()).saturating_add(self.active.len())
    }

    fn take(self, catalogue: &Catalogue) {
        // Whoever had the place of a series before has no counts: they went when its story was deleted.
        catalogue.mark_all_durable(&self.definitions, &mut |_| ());
        for change in &self.changes {
            catalogue.apply(change);
        }
        catalogue.note_active(&self.active);
    }
}

impl<'scope, 'env> Beside<'scope, 'env> {
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, catalogue: &'scope Catalogue) -> Self {
        Self { scope, catalogue, pending: Steps::default(), taken: 0, thread: None }
    }

    /// Applies a journalled batch, as [`super::apply`] does.
    pub(crate) fn apply(&mut self, writer: &mut counters::Writer, batch: &Batch) {
        if let Some(erasure) = &batch.erasure {
            self.wait();
            erase(self.catalogue, writer, erasure);
        }
        if let Some(month) = batch.dropped_before {
            writer.drop_before(month);
        }
        if !batch.definitions.is_empty() && !self.pending.changes.is_empty() {
            self.send();
        }
        for Definition { id, key } in &batch.definitions {
            writer.define(*id, key);
        }
        self.pending.definitions.extend_from_slice(&batch.definitions);
        for change in &batch.changes {
            if matches!(change, Change::DeleteStory { .. }) {
                self.wait();
                for series in self.catalogue.apply(change) {
                    writer.clear(series);
                }
            } else {
                self.pending.changes.push(change.clone());
            }
        }
        self.pending.active.extend_from_slice(writer.add(&batch.increments));
        if self.pending.count() >= LOAD_STEPS_TOGETHER {
            self.send();
        }
    }

    /// Lets the catalogue learn all that was applied.
    pub(crate) fn wait(&mut self) {
        self.send();
        let Some(thread) = &mut self.thread else { return };
        if std::mem::take(&mut thread.is_behind) {
            let awaited = Steps { is_awaited: true, ..Steps::default() };
            // Where the other thread has panicked, the scope tells.
            drop(thread.steps.send(awaited).map(|()| thread.done.recv()));
        }
    }

    fn send(&mut self) {
        if self.pending.count() == 0 {
            return;
        }
        let steps = std::mem::take(&mut self.pending);
        if self.thread.is_none() && self.taken >= LOAD_STEPS_TOGETHER {
            self.thread = self.start();
        }
        if let Some(thread) = &mut self.thread {
            thread.is_behind = true;
            drop(thread.steps.send(steps));
        } else {
            self.taken = self.taken.saturating_add(steps.count());
            steps.take(self.catalogue);
        }
    }

    /// `None` where the system has no thread to give: then there is none.
    fn start(&self) -> Option<Thread> {
        let (steps, received) = channel::bounded::<Steps>(LOAD_BATCHES_AHEAD);
        let (reached, done) = channel::bounded(1);
        let catalogue = self.catalogue;
        let learn = move || {
            for steps in received {
                let is_awaited = steps.is_awaited;
                steps.take(catalogue);
                if is_awaited && reached.send(()).is_err() {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("loader".to_owned()).spawn_scoped(self.scope, learn);
        started.is_ok().then_some(Thread { steps, done, is_behind: false })
    }
}
