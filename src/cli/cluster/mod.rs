//! `tallyd cluster`: what is done to a log that several daemons share, from outside of them.

mod init;
mod status;

use std::process::ExitCode;

use clap::Subcommand;

use super::exit;

/// Make the log that several daemons share, and compare them.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make the log, once, before the first daemon uses it
    #[command(after_help = exit::help())]
    Init(init::InitArgs),
    /// Compare nodes that share a log
    #[command(after_help = exit::help())]
    Status(status::StatusArgs),
}

/// Does it. Blocks.
pub(crate) fn run(args: &ClusterArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        ClusterCommand::Init(args) => init::run(args),
        ClusterCommand::Status(args) => status::run(args),
    }
}
