//! `tallyd import`: sends the output of `export` to a daemon, by the same code as `push`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::client::ConnectionArgs;
use super::push::{self, RecognisedBy};

/// Send what `tallyd export` wrote to a daemon.
///
/// What the file holds is added to what the daemon has: into an empty daemon it gives the counters that were exported, names
/// included, and the exports of two daemons into a third give the sum of both. An export is recognised by its content, wherever
/// the file is and however it is packed: within 24 hours it counts once, and an import that was interrupted goes on. What comes
/// from standard input is not recognised. Plain, gzip or zstd.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Files to send, in this order; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The daemon to send to, and the token to send with.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    push::send_files(&args.files, (None, RecognisedBy::Content), &args.connection, None)
}
