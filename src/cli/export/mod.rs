//! `tallyd export`: all counters of a data directory as events. What the events are is in `events`, how they are
//! written in `line`; reading the directory is the store's.

mod events;
pub(crate) mod line;
#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::{Exit, Misuse, input, output};
use crate::daemon::config::place::check_for_reading;
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::counters::Counters;
use crate::platform::disk::Disk;
use crate::store::recover::load_read_only;
use line::Format;

/// Write all counters of a data directory as events, which `tallyd import` and `tallyd push` can send.
///
/// One event holds the count of one hour, so a million messages of an hour are one line. Stories, interactions and
/// names are written too, used or not. The same counters always give the same file. Nothing in the directory is
/// changed; stop the daemon first.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Where to write; `-` or nothing is standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./tallyd-data")]
    pub(crate) data_dir: PathBuf,
    /// `line` for line protocol, `ndjson` for one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "line", value_parser = ["line", "ndjson"])]
    pub(crate) format: String,
}

/// Reads the directory and writes the events. Blocks.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    check_for_reading(&args.data_dir).map_err(Misuse::of)?;
    let spinner = output::spinner("reading");
    let loaded =
        load_read_only(&Disk::new(), &args.data_dir, CatalogueLimits::default(), &mut || spinner.tick());
    spinner.finish_and_clear();
    let loaded = loaded?;
    let (catalogue, counters) = (&*loaded.catalogue, &*loaded.counters);
    let format = if args.format == "ndjson" { Format::Json } else { Format::Line };
    let written = match args.file.as_deref().filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let out = input::create_file(file).map_err(Misuse::of)?;
            let written =
                write((catalogue, counters), format, &out).and_then(|events| out.sync_all().map(|()| events));
            written.with_context(|| format!("cannot write {}", file.display()))?
        }
        None => match write((catalogue, counters), format, io::stdout().lock()) {
            // The reader (`| head`) closed the pipe on purpose.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done.into()),
            other => other.context("cannot write to standard output")?,
        },
    };
    output::note(&format!("{written} events"));
    if let Some(first) = counters.dropped_before() {
        let before = first.rfc3339();
        output::note(&format!("hours before {before} were dropped and are not in it"));
    }
    Ok(Exit::Done.into())
}

/// Writes all events. Returns how many.
fn write(
    (catalogue, counters): (&Catalogue, &Counters),
    format: Format,
    out: impl io::Write,
) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    let mut text = Vec::new();
    let events = events::each(catalogue, counters, &mut |event| {
        text.clear();
        line::write(format, event, &mut text);
        out.write_all(&text)
    })?;
    out.flush()?;
    Ok(events)
}
