//! Copies that are made while a store counts, and fails, on a disk of their own that fails, too: whatever is complete holds
//! what the model has at the stated position; nothing else is taken for a copy.

use std::path::Path;

use tallyd::platform::disk::MemoryDisk;
use tallyd::store::backup::{Backup, ListedFile, PendingBackup, Target};
use tallyd::store::recover::load_read_only;
use tallyd::store::{Damage, DamageKind, OpenError, Stepped};

use crate::counts::Counts;
use crate::model::{Contents, Fault, Model};
use crate::random::Random;
use crate::workload;

const COPY: &str = "/copies/one";

/// The copies of one node.
pub(crate) struct Copies {
    memory: MemoryDisk,
    pending: Option<PendingBackup>,
    /// What is being read, and what was read of it.
    reading: Option<(Backup, Vec<u8>)>,
    /// What the complete copy holds.
    complete: Option<Contents>,
    /// By batch: the place in the journal that its ack told.
    places: Vec<Option<u64>>,
}

impl Copies {
    pub(crate) fn new(seed: u64) -> Self {
        let memory = MemoryDisk::new(seed);
        memory.disk().create_directory(Path::new(COPY)).unwrap();
        Self { memory, pending: None, reading: None, complete: None, places: Vec::new() }
    }

    /// A batch was acknowledged.
    pub(crate) fn note(&mut self, batch: usize, place: u64) {
        if self.places.len() <= batch {
            self.places.resize(batch + 1, None);
        }
        self.places[batch] = Some(place);
    }

    /// The store's process ends, and with it what it was reading out.
    pub(crate) fn end(&mut self) {
        self.pending = None;
        self.reading = None;
    }

    /// Asks for a copy, reads some of it, or makes it.
    pub(crate) fn act(
        &mut self,
        store: &mut Stepped,
        (model, random): (&Model, &mut Random),
        counts: &mut Counts,
    ) -> Result<(), Fault> {
        if let Some((mut backup, mut archive)) = self.reading.take() {
            match backup.next_chunk() {
                Ok(Some(chunk)) => {
                    archive.extend_from_slice(&chunk);
                    self.reading = Some((backup, archive));
                }
                Ok(None) => {
                    return self.receive((backup.listing().position, &archive), (model, random), counts);
                }
                Err(_) => counts.note("copies that could not be read"),
            }
        } else if let Some(pending) = self.pending.take() {
            match pending.try_begin(&self.stands()?) {
                Ok(Some(backup)) => self.reading = Some((backup, Vec::new())),
                Ok(None) => self.pending = Some(pending),
                Err(_) => counts.note("copies without a snapshot"),
            }
        } else {
            self.pending = Some(store.request_backup());
        }
        Ok(())
    }

    fn stands(&self) -> Result<Vec<ListedFile>, Fault> {
        // The lock goes with it, so that the disk may crash in between.
        let target = Target::open(&self.memory.disk(), Path::new(COPY), &mut || ());
        Ok(target.map_err(|error| format!("the copy's directory: {error}"))?.stands().to_vec())
    }

    fn receive(
        &mut self,
        (position, archive): (u64, &[u8]),
        (model, random): (&Model, &mut Random),
        counts: &mut Counts,
    ) -> Result<(), Fault> {
        let (is_cut, before) = (random.one_in(2), self.complete.take());
        if random.one_in(2) {
            self.memory.turn_off_after(random.below(60));
        }
        let received = Target::open(&self.memory.disk(), Path::new(COPY), &mut || ())
            .and_then(|target| target.receive(archive, &mut |_| ()));
        let is_off = self.memory.is_off();
        if is_off {
            counts.note("copies that ended in the middle");
        } else if let Err(error) = &received {
            return Err(format!("the copy was not made: {error}"));
        }
        self.memory.turn_on();
        if is_cut {
            self.memory.cut_power();
        } else {
            self.memory.kill();
        }
        self.complete = match self.contents()? {
            Some(found) if Some(&found) == before.as_ref() && received.is_err() => Some(found),
            Some(found) => {
                model.check_copy(&found, &|batch| {
                    self.places.get(batch).copied().flatten().map(|place| place <= position)
                })?;
                counts.note("copies");
                Some(found)
            }
            None if before.is_none() && received.is_err() => None,
            None => return Err("a copy that was complete is none any more".to_owned()),
        };
        Ok(())
    }

    /// What a start on the copy finds; `None` where it is not complete.
    fn contents(&self) -> Result<Option<Contents>, Fault> {
        let image = self.memory.fork();
        image.make_read_only();
        match load_read_only(&image.disk(), Path::new(COPY), workload::LIMITS, &mut || ()) {
            Ok(loaded) => Contents::of(&loaded.catalogue, &loaded.counters).map(Some),
            Err(OpenError::Damaged(Damage {
                kind: DamageKind::Incomplete | DamageKind::Missing, ..
            })) => Ok(None),
            Err(error) => Err(format!("the copy: {error}")),
        }
    }
}
