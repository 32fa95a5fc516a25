//! `tallyd verify`: checks a data directory that no daemon is using, and changes nothing in it. What is checked and
//! how is the store's; this file prints it and chooses the exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Exit, Misuse, complain, output};
use crate::daemon::config::place::check_for_reading;
use crate::model::catalogue::CatalogueLimits;
use crate::platform::disk::Disk;
use crate::store::OpenError;
use crate::store::verify::verify;

/// Check a data directory: every checksum, whether the journal is whole, what a restart would load, and the totals.
///
/// Nothing is changed. Stop the daemon first. Exits with 0 where all is well, 65 where something is damaged or
/// missing: each such file is named with the offset and what helps. Where there is no data directory, the path is wrong: 64.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./tallyd-data")]
    pub(crate) data_dir: PathBuf,
}

/// Checks, and prints what was found. Blocks.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    check_for_reading(&args.data_dir).map_err(Misuse::of)?;
    let spinner = output::spinner("checking");
    let checked = verify(&Disk::new(), &args.data_dir, CatalogueLimits::default(), &mut || spinner.tick());
    spinner.finish_and_clear();
    let report = match checked {
        // Without the remedy, which is this command.
        Err(OpenError::Damaged(damage)) => {
            complain(&damage.to_string());
            return Ok(Exit::Damaged.into());
        }
        checked => checked?,
    };
    output::print(report.to_string().as_bytes())?;
    Ok(if report.is_sound() { Exit::Done } else { Exit::Damaged }.into())
}
