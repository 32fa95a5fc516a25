//! `tallyd import`: sends the output of `export` to a daemon, by the same code as `push`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::client::ConnectionArgs;
use super::push;

/// Send what `tallyd export` wrote to a daemon.
///
/// What the file holds is added to what the daemon has, so import into an empty daemon. The result then equals the counters that
/// were exported, names included. As with `push`, importing the same file again within 24 hours counts nothing twice, and
/// an import that was interrupted goes on. Plain, gzip or zstd.
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
    push::send_files(&args.files, (None, false), &args.connection, None)
}
