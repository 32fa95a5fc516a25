//! What is held against a copy of a node's disk while no store is open: `verify`, `export`, and bits inverted at rest.

use std::path::Path;

use tallyd::store::recover::load_read_only;
use tallyd::store::verify::{VerifyReport, verify};
use tallyd::store::{Damage, DamageKind, OpenError, Stepped};

use crate::model::{Contents, Fault, Forgive};
use crate::node::Node;
use crate::workload;

impl Node {
    /// `verify` and `export`, which must find all sound and change nothing. Before the first start there is nothing.
    pub(crate) fn inspect(&mut self) -> Result<(VerifyReport, Option<Contents>), Fault> {
        let image = self.memory.fork();
        image.turn_on();
        image.make_read_only();
        let options = self.options();
        let report = match verify(&image.disk(), &options.data_dir, workload::LIMITS, &mut || ()) {
            Ok(report) => report,
            Err(OpenError::Damaged(Damage { kind: DamageKind::Missing, .. })) if self.model.len() == 0 => {
                return Ok((VerifyReport::default(), None));
            }
            Err(error) => return Err(format!("verify: {error}")),
        };
        self.note(|| format!("verified: {report}"));
        if !report.is_sound() {
            return Err(format!("verify finds damage that nobody did: {report}"));
        }
        let loaded = load_read_only(&image.disk(), &options.data_dir, workload::LIMITS, &mut || ())
            .map_err(|error| format!("export: {error}"))?;
        let contents = Contents::of(&loaded.catalogue, &loaded.counters)?;
        check_totals(&report, &contents)?;
        self.counts.note("verifications");
        self.counts.note("exports");
        Ok((report, Some(contents)))
    }

    /// Inverts a bit of a file at rest, in a copy: a start there is refused with the file's name, or counts right.
    pub(crate) fn invert_a_bit(&mut self) -> Result<(), Fault> {
        let image = self.memory.fork();
        image.turn_on();
        image.limit_room(None);
        let files = image.files();
        let files: Vec<_> = files.iter().filter(|(path, bytes)| is_checked(path) && *bytes > 0).collect();
        // Before the first manifest there is no data directory.
        let is_manifest = |path: &Path| path.file_stem().is_some_and(|name| name == "manifest");
        let manifests = files.iter().filter(|(path, _)| is_manifest(path)).count();
        if manifests == 0 {
            return Ok(());
        }
        let (path, bytes) = files[self.random.index(files.len())];
        let bit = self.random.below(bytes * 8);
        assert!(image.flip_bit(path, bit), "the file has the bit");
        let place = format!("{}, bit {} of byte {}", path.display(), bit % 8, bit / 8);
        self.note(|| format!("a copy with a bit inverted: {place}"));
        self.counts.note("bits inverted");
        let is_journal = path.extension().is_some_and(|extension| extension == "journal");
        let forgive = if is_journal { Forgive::LastRecord } else { Forgive::Nothing };
        let data_dir = self.options().data_dir;
        let report = verify(&image.disk(), &data_dir, workload::LIMITS, &mut || ())
            .map_err(|error| format!("{place}: {error}"))?;
        match Stepped::open(&image.disk(), &self.options(), self.store_id, &mut || ()) {
            Ok((store, _)) => {
                self.counts.note("bits inverted: start counts right");
                let contents = Contents::of(store.catalogue(), store.counters())?;
                self.model
                    .check(&contents, (forgive, self.may_have_lost))
                    .map(drop)
                    .map_err(|fault| format!("{place}: {fault}"))
            }
            // The snapshot before and the journal since then are enough.
            Err(error) if is_manifest(path) && manifests > 1 => Err(format!("{place}: no start: {error}")),
            Err(error) if report.is_sound() => {
                Err(format!("{place}: verify is content, a start says {error}"))
            }
            Err(OpenError::Damaged(error)) if error.kind != DamageKind::Newer => {
                let name = path.file_name().unwrap().to_string_lossy();
                self.counts.note("bits inverted: start refused, file and offset named");
                let is_named = report.faults.iter().any(|fault| fault.file == *path);
                if is_named { Ok(()) } else { Err(format!("{place}: {name} is not named: {report} {error}")) }
            }
            Err(error) => Err(format!("{place}: {error}")),
        }
    }
}

fn is_checked(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name != "reserve" && name != "LOCK")
        && path.extension().is_some_and(|it| it != "tmp")
}

/// What `verify` adds up is what is counted.
pub(crate) fn check_totals(report: &VerifyReport, contents: &Contents) -> Result<(), Fault> {
    use tallyd::model::event::Metric;
    let totals = &report.totals;
    let found = [totals.conversations, totals.paid_conversations, totals.messages, totals.stories];
    let stories = contents.stories.len() as u64;
    let sums =
        [Metric::Conversations, Metric::PaidConversations, Metric::Messages].map(|it| contents.sum(it));
    let due = [sums[0], sums[1], sums[2], stories];
    if found == due { Ok(()) } else { Err(format!("verify adds up {found:?}, the counts are {due:?}")) }
}
