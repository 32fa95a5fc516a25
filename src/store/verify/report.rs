//! What a check of a data directory found, and how it reads.

use std::fmt;

use crate::model::calendar::Hour;
use crate::store::damage::{Damage, DamageKind};
use crate::store::journal::TornTail;
use crate::store::layout::SNAPSHOT_FOLDER;

/// Sums over everything that a restart would load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Known stories.
    pub stories: u64,
    /// Defined series.
    pub series: u64,
    /// Cells that are not zero, those of the totals over all stories included.
    pub cells: u64,
    /// Conversations, of which some were paid.
    pub conversations: u64,
    /// Paid conversations.
    pub paid_conversations: u64,
    /// Messages.
    pub messages: u64,
    /// Uses of interaction nodes.
    pub interactions: u64,
    /// Idempotency keys that are remembered, and batches without one that the retry window has.
    pub keys: [u64; 2],
}

/// What was found in a data directory. `Display` gives it as lines for a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// Snapshots found sound, by generation, newest first.
    pub snapshots: Vec<u64>,
    /// Snapshot files read, manifests included.
    pub files: u64,
    /// Files in the snapshot folder that no manifest lists; the next snapshot removes them.
    pub unlisted_files: u64,
    /// Segments of the journal.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// The torn tail that a restart would cut off.
    pub torn: Option<TornTail>,
    /// The snapshot that a restart would load; `None` where it would refuse to start.
    pub restart_snapshot: Option<u64>,
    /// Records that a restart would replay on top.
    pub restart_records: u64,
    /// What would then be counted; zeros where it would refuse to start.
    pub totals: Totals,
    /// The first hour that is kept, where those before were dropped.
    pub dropped_before: Option<Hour>,
    /// All that is wrong. A torn tail is not.
    pub faults: Vec<Damage>,
}

impl VerifyReport {
    /// Adds what is wrong, unless it is there already.
    pub(super) fn add(&mut self, damage: impl Into<Damage>) {
        let damage = damage.into();
        if !self.faults.contains(&damage) {
            self.faults.push(damage);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generations: Vec<String> = self.snapshots.iter().map(u64::to_string).collect();
        writeln!(f, "sound snapshots:      {} ({} files)", generations.join(", "), self.files)?;
        writeln!(f, "journal:              {} segments, {} records", self.segments, self.records)?;
        if let Some(torn) = &self.torn {
            let (file, TornTail { bytes, offset, what, .. }) = (torn.segment.display(), torn);
            writeln!(f, "torn tail:            {file}: {bytes} bytes at byte {offset} ({what})")?;
        }
        if self.unlisted_files > 0 {
            writeln!(f, "files not needed:     {}", self.unlisted_files)?;
        }
        if let Some(generation) = self.restart_snapshot {
            let records = self.restart_records;
            writeln!(f, "a restart loads:      snapshot {generation} and {records} records after it")?;
            let t = &self.totals;
            writeln!(f, "stories:              {}", t.stories)?;
            writeln!(f, "series, cells:        {}, {}", t.series, t.cells)?;
            writeln!(f, "conversations (paid): {} ({})", t.conversations, t.paid_conversations)?;
            writeln!(f, "messages:             {}", t.messages)?;
            writeln!(f, "interactions:         {}", t.interactions)?;
            writeln!(f, "keys, window:         {}, {}", t.keys[0], t.keys[1])?;
            if let Some(first_kept) = self.dropped_before {
                let before = first_kept.rfc3339();
                writeln!(f, "dropped:              all hours before {before}")?;
            }
        } else {
            writeln!(f, "a restart:            would be refused")?;
        }
        for fault in &self.faults {
            writeln!(f, "fault: {fault}; {}", help(fault))?;
        }
        Ok(())
    }
}

fn help(damage: &Damage) -> &'static str {
    match damage.kind {
        DamageKind::Incomplete => "repeat `tallyd backup` to this directory, which completes it",
        DamageKind::Newer => "use the newer tallyd that wrote it",
        DamageKind::Unreadable => "see what the machine says about the disk",
        DamageKind::Damaged | DamageKind::Missing => {
            // A file of the folder, or the folder that lacks one.
            if damage.file.ancestors().take(2).any(|place| place.ends_with(SNAPSHOT_FOLDER)) {
                "a restart takes the snapshot before it, if that one and the journal are whole; else restore a backup"
            } else {
                "put the file back from a backup; a restart is refused while it needs these records"
            }
        }
    }
}
