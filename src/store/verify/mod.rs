//! Checks a data directory without changing it: every checksum of every file, whether the journal is whole, and what
//! a restart would load, by loading it with recovery's own steps.
//!
//! Must not know: the sequencer, how the report is shown. Never writes.

mod report;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;

pub use report::{Totals, VerifyReport};

use super::OpenError;
use super::keys::KeyLimits;
use super::layout::JOURNAL_FOLDER;
use super::recover::{self, Found, Mode, Recovered};
use crate::limits::wide;
use crate::model::calendar::HourRange;
use crate::model::catalogue::{CatalogueLimits, total_series};
use crate::model::event::Metric;
use crate::platform::disk::Disk;
use crate::store::damage::FileError;
use crate::store::journal::{self, Record, SegmentReader, Sequence};
use crate::store::layout::{self, FileName};
use crate::store::snapshot::manifest::Manifest;
use crate::store::snapshot::part::PartReader;
use crate::store::snapshot::{FileRef, Frames, Generation, SnapshotFolder, dictionary, keys};

/// Checks the data directory, which no daemon may be using. Blocks; `progress` is called now and then.
///
/// # Errors
/// `Locked` where a daemon has it, `Damaged` where it is no data directory, `Disk` where a directory cannot be listed.
/// Whatever is wrong with a file is in the report instead.
pub fn verify(
    disk: &Disk,
    data_dir: &Path,
    limits: CatalogueLimits,
    progress: &mut dyn FnMut(),
) -> Result<VerifyReport, OpenError> {
    let _held = recover::lock_for_reading(disk, data_dir)?;
    let Found { generations, copy, .. } = recover::look(disk, data_dir)?;
    if generations.is_empty() {
        return Err(OpenError::Damaged(recover::no_data_directory(data_dir)));
    }
    let mut report = VerifyReport::default();
    let manifests = check_snapshots(disk, data_dir, &generations, &mut report)?;
    if let (Some(newest), Some(oldest)) = (manifests.first(), manifests.last()) {
        let needed = oldest.position.next();
        let end = copy.map(|copy| Sequence::new(copy.position));
        check_journal(disk, &data_dir.join(JOURNAL_FOLDER), (newest, needed, end), &mut report)?;
    }
    match recover::open(disk, data_dir, (Mode::ReadOnly, limits, KeyLimits::default()), progress) {
        Ok(recovered) => {
            report.restart_snapshot = Some(recovered.report.snapshot_generation);
            report.restart_records = recovered.report.journal_records;
            report.totals = totals(&recovered);
            report.dropped_before = recovered.counters.dropped_before();
            if let Some(damage) = recovered.wrong_digest(data_dir) {
                report.add(damage);
            }
        }
        // Checksums may be right and the content not; any other reason is in the report already.
        Err(OpenError::Damaged(damage)) => report.add(damage),
        Err(OpenError::Disk(error)) => report.add(FileError::Disk(error)),
        Err(error) => return Err(error),
    }
    Ok(report)
}

/// Reads every file that a manifest lists. Gives the manifests that are readable, newest first.
fn check_snapshots(
    disk: &Disk,
    data_dir: &Path,
    generations: &[Generation],
    report: &mut VerifyReport,
) -> Result<Vec<Manifest>, OpenError> {
    let folder = data_dir.join(layout::SNAPSHOT_FOLDER);
    let mut manifests = Vec::new();
    let mut checked: HashSet<FileName> = HashSet::new();
    for generation in generations {
        checked.insert(FileName::Manifest(*generation));
        let manifest = match Manifest::read(disk, &folder, *generation) {
            Ok(manifest) => manifest,
            Err(error) => {
                report.add(error);
                continue;
            }
        };
        let faults_before = report.faults.len();
        for file in manifest.files() {
            checked.insert(file.name);
            if let Err(error) = check_file(&SnapshotFolder::new(disk, data_dir, manifest.store_id), file) {
                report.add(error);
            }
        }
        if report.faults.len() == faults_before {
            report.snapshots.push(generation.get());
        }
        manifests.push(manifest);
    }
    report.files = wide(checked.len());
    let listed = disk.list(&folder)?;
    let known: HashSet<String> = checked.iter().map(FileName::to_string).collect();
    report.unlisted_files = wide(listed.iter().filter(|entry| !known.contains(&entry.name)).count());
    Ok(manifests)
}

fn check_file(folder: &SnapshotFolder, file: &FileRef) -> Result<(), FileError> {
    if let FileName::Keys(_) = file.name {
        return keys::read(folder, file, |_| Ok(()));
    }
    if file.name.month().is_none() {
        return dictionary::read(folder, file, |_| Ok(()));
    }
    let mut reader = PartReader::open(folder, file)?;
    let mut frames = Frames::default();
    while reader.next(&mut frames)? {}
    Ok(())
}

/// Reads every record of every segment that a snapshot needs, up to where a copy ends. Of those before, any may be there: segments are removed
/// without a sync, and one may end in what was torn if the copy of its last records is removed and it is not.
fn check_journal(
    disk: &Disk,
    folder: &Path,
    (newest, needed, end): (&Manifest, Sequence, Option<Sequence>),
    report: &mut VerifyReport,
) -> Result<(), OpenError> {
    let store_id = newest.store_id;
    if end.is_none() {
        match journal::find_torn_tail(disk, folder, (store_id, newest.position)) {
            Ok(torn) => report.torn = torn,
            Err(error) => report.add(error),
        }
    }
    let mut expected = None;
    let mut segments = journal::segments(disk, folder)?;
    segments.retain(|segment| {
        segment.until.is_none_or(|until| until > needed)
            && end.is_none_or(|end| end >= needed && segment.first_sequence <= end)
    });
    for segment in segments {
        report.segments = report.segments.saturating_add(1);
        if let Some(missing) = expected.filter(|due| *due != segment.first_sequence) {
            report.add(journal::gap(&segment.path, missing, segment.first_sequence));
        }
        let read = SegmentReader::open(disk, &segment, store_id).and_then(|mut reader| {
            let mut record = Record::default();
            while reader.next_into(&mut record)? {
                report.records = report.records.saturating_add(1);
            }
            Ok(reader.next_sequence())
        });
        expected = match read {
            Ok(next) => Some(next),
            Err(error) if recover::is_at_torn_tail(&error, report.torn.as_ref()) => None,
            Err(error) => {
                report.add(error);
                None
            }
        };
    }
    Ok(())
}

fn totals(recovered: &Recovered) -> Totals {
    let Recovered { catalogue, counters, keys, .. } = recovered;
    let total = |metric| total_series(metric, None).map_or(0, |series| counters.sum(series, HourRange::ALL));
    let mut interactions = 0_u64;
    catalogue.for_each_series(&mut |series, key| {
        if let Metric::Interaction(_) = key.metric {
            interactions = interactions.saturating_add(counters.sum(series, HourRange::ALL));
        }
    });
    Totals {
        stories: wide(catalogue.story_count()),
        series: wide(catalogue.series_count()),
        cells: counters.stats().cells,
        conversations: total(Metric::Conversations),
        paid_conversations: total(Metric::PaidConversations),
        messages: total(Metric::Messages),
        interactions,
        keys: keys.figures().held,
    }
}
