//! Copies that are made while a store counts, and fails, on a disk of their own that fails, too: whatever is complete holds
//! what the model has at the stated position; nothing else is taken for a copy.

use std::path::Path;

use tallyd::platform::disk::MemoryDisk;
use tallyd::store::backup::{Backup, BackupError, ListedFile, Listing, PendingBackup, Target};
use tallyd::store::journal::StoreId;
use tallyd::store::recover::load_read_only;
use tallyd::store::{Damage, DamageKind, OpenError, Stepped, StoreOptions};

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
    /// Something may keep the copy that is being read from being made.
    is_disturbed: bool,
    /// Why the last one was not made, where only a disturbance explains that.
    refusal: Option<String>,
    /// What the complete copy holds.
    complete: Option<Contents>,
    /// By batch: the place in the journal that its ack told.
    places: Vec<Option<u64>>,
}

impl Copies {
    pub(crate) fn new(seed: u64) -> Self {
        let memory = MemoryDisk::new(seed);
        memory.disk().create_directory(Path::new(COPY)).unwrap();
        let (pending, reading, complete) = (None, None, None);
        Self { memory, pending, reading, is_disturbed: false, refusal: None, complete, places: Vec::new() }
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
        self.refusal = None;
    }

    /// The disk of the store fails, is full or has been turned off, or the store takes nothing.
    pub(crate) fn disturb(&mut self) {
        self.is_disturbed = true;
    }

    /// Whether there was a reason where a copy was not made.
    pub(crate) fn explain(&mut self) -> Result<(), Fault> {
        match self.refusal.take().filter(|_| !self.is_disturbed) {
            Some(refusal) => Err(format!("a copy is not made, and nothing has failed: {refusal}")),
            None => Ok(()),
        }
    }

    /// Whether a copy waits for its seal.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Asks for a copy, reads some of it, or makes it.
    pub(crate) fn act(
        &mut self,
        store: &mut Stepped,
        (model, random, options): (&Model, &mut Random, &StoreOptions),
        counts: &mut Counts,
    ) -> Result<(), Fault> {
        if let Some(pending) = self.pending.take() {
            match pending.try_begin(&self.stands()?) {
                Ok(Some(backup)) => self.reading = Some((backup, Vec::new())),
                Ok(None) => self.pending = Some(pending),
                Err(error) => self.refused(&error, "copies without a seal", counts),
            }
        } else if self.reading.is_none() {
            self.is_disturbed = false;
            self.pending = Some(store.request_backup());
        }
        let Some((mut backup, mut archive)) = self.reading.take() else { return Ok(()) };
        while !random.one_in(12) {
            match backup.next_chunk() {
                Ok(Some(chunk)) => archive.extend_from_slice(&chunk),
                Ok(None) => {
                    return self.receive((backup.listing(), &archive), (model, random, options), counts);
                }
                Err(error) => {
                    self.refused(&error, "copies that could not be read", counts);
                    return Ok(());
                }
            }
        }
        self.reading = Some((backup, archive));
        Ok(())
    }

    fn refused(&mut self, error: &BackupError, what: &'static str, counts: &mut Counts) {
        if !matches!(error, BackupError::TooSlow) {
            self.refusal = Some(error.to_string());
        }
        counts.note(what);
    }

    fn stands(&self) -> Result<Vec<ListedFile>, Fault> {
        // The lock goes with it, so that the disk may crash in between.
        let target = Target::open(&self.memory.disk(), Path::new(COPY), &mut || ());
        Ok(target.map_err(|error| format!("the copy's directory: {error}"))?.stands().to_vec())
    }

    fn receive(
        &mut self,
        (listing, archive): (&Listing, &[u8]),
        (model, random, options): (&Model, &mut Random, &StoreOptions),
        counts: &mut Counts,
    ) -> Result<(), Fault> {
        let position = listing.position;
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
        // What was found after a death of the process alone is durable once somebody has looked at it.
        self.stands()?;
        self.complete = match self.contents(options)? {
            Some(found) if Some(&found) == before.as_ref() && received.is_err() => {
                counts.note("copies that stayed as they were");
                Some(found)
            }
            Some(found) => {
                model.check_copy(&found, &|batch| {
                    self.places.get(batch).copied().flatten().map(|place| place <= position)
                })?;
                counts.note("copies");
                counts.note_many("copies in place of an older one", u64::from(before.is_some()));
                let has_journal = listing.files.iter().any(|file| file.name.ends_with(".journal"));
                counts.note_many("copies with a journal", u64::from(has_journal));
                Some(found)
            }
            None if before.is_none() && received.is_err() => None,
            None => return Err("a copy that was complete is none any more".to_owned()),
        };
        Ok(())
    }

    /// What a reader of the copy finds, and a start on it; `None` where it is not complete.
    fn contents(&self, options: &StoreOptions) -> Result<Option<Contents>, Fault> {
        let found = self.read()?;
        if let Some(found) = &found {
            let options = StoreOptions { data_dir: COPY.into(), ..options.clone() };
            let opened = Stepped::open(&self.memory.fork().disk(), &options, StoreId::new(0), &mut || ());
            let (store, _) = opened.map_err(|error| format!("a start on the copy: {error}"))?;
            if let Some(fault) = Contents::of(store.catalogue(), store.counters())?.differs_from(found) {
                return Err(format!("a start on the copy, in place of reading it: {fault}"));
            }
        }
        Ok(found)
    }

    fn read(&self) -> Result<Option<Contents>, Fault> {
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
