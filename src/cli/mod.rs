//! The command line: names the commands and dispatches to them. Each command's arguments and work are in the file of
//! its name. Knows nothing of how the daemon works inside.
//!
//! INVARIANT: every command ends in an exit code of [`Exit`], so that scripts and systemd can tell them apart.

mod backup;
mod client;
mod cluster;
mod completions;
mod demo;
mod exit;
pub(crate) mod export;
mod import;
mod input;
mod looks;
mod man;
mod output;
mod push;
mod report;
mod seed;
mod serve;
mod token;
mod top;
mod undo;
mod verify;
mod version;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

pub(crate) use exit::{Exit, Misuse};

/// Counts what chat bots do: events in over TCP or HTTP, hourly counters, six reports out, nothing lost.
///
/// Without a command tallyd serves, as `tallyd serve` does.
#[derive(Debug, Parser)]
#[command(name = "tallyd", version, after_help = exit::help(), args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<CliCommand>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the daemon (the default)
    #[command(after_help = exit::help())]
    Serve(serve::ServeArgs),
    /// Run the daemon with a simulated bot platform, to have something to look at in a minute
    #[command(after_help = exit::help())]
    Demo(demo::DemoArgs),
    /// Send files or standard input to a daemon
    #[command(after_help = exit::help())]
    Push(push::PushArgs),
    /// Show a report in the terminal
    #[command(after_help = exit::help())]
    Report(report::ReportArgs),
    /// Take away what was counted for a story in a range of hours
    #[command(after_help = exit::help())]
    Undo(undo::UndoArgs),
    /// Show what a running daemon does: rates, memory, journal, snapshots, slow reports
    #[command(after_help = exit::help())]
    Top(top::TopArgs),
    /// Copy the data directory of a running daemon
    #[command(after_help = exit::help())]
    Backup(backup::BackupArgs),
    /// Check a data directory: every checksum, totals, what a restart would load
    #[command(after_help = exit::help())]
    Verify(verify::VerifyArgs),
    /// Write all counters of a data directory as events
    #[command(after_help = exit::help())]
    Export(export::ExportArgs),
    /// Send what `export` wrote to a daemon
    #[command(after_help = exit::help())]
    Import(import::ImportArgs),
    /// Make the log that several daemons share, and compare them
    #[command(after_help = exit::help(), disable_help_subcommand = true)]
    Cluster(cluster::ClusterArgs),
    /// Make a new access token
    #[command(after_help = exit::help())]
    Token(token::TokenArgs),
    /// Write the manual pages
    #[command(after_help = exit::help())]
    Man(man::ManArgs),
    /// Write completions for a shell to standard output
    #[command(after_help = exit::help())]
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the arguments ask for. `arguments` begins with the name of the program. Blocks until
/// the command is done, which for `serve` is when the daemon stops.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return print_version(),
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Misused } else { Exit::Done };
            // The help was asked for, so a closed output does not change the exit code.
            return if error.print().is_ok() { exit.into() } else { Exit::Failed.into() };
        }
    };
    match dispatch(cli.command.unwrap_or(CliCommand::Serve(cli.serve))) {
        Ok(code) => code,
        Err(error) => {
            let exit = Exit::of(&error);
            let section = exit.section().map_or(String::new(), |section| format!(" runbook={section:?}"));
            complain(&format!("{}{section}", explain(&error)));
            exit.into()
        }
    }
}

/// The version of the program, what it is built from, and the time zones that its reports are in.
fn print_version() -> ExitCode {
    output::print(version::text().as_bytes()).map_or(Exit::Failed, |()| Exit::Done).into()
}

fn dispatch(command: CliCommand) -> anyhow::Result<ExitCode> {
    match command {
        CliCommand::Serve(args) => serve::run(&args),
        CliCommand::Demo(args) => demo::run(&args),
        CliCommand::Push(args) => push::run(&args),
        CliCommand::Report(args) => report::run(&args),
        CliCommand::Undo(args) => undo::run(&args),
        CliCommand::Top(args) => top::run(&args),
        CliCommand::Backup(args) => backup::run(&args),
        CliCommand::Verify(args) => verify::run(&args),
        CliCommand::Export(args) => export::run(&args),
        CliCommand::Import(args) => import::run(&args),
        CliCommand::Cluster(args) => cluster::run(&args),
        CliCommand::Token(args) => token::run(&args),
        CliCommand::Man(args) => man::run(&args),
        CliCommand::Completions(args) => completions::run(&args),
    }
}

/// Writes an error message to standard error, after the name of the program.
pub(crate) fn complain(message: &str) {
    output::note(&format!("tallyd: {message}"));
}

/// An error and its causes on one line. A cause is left out where the text before it already ends with it.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn explain_names_each_cause_once() {
        let cause = || anyhow::anyhow!("file exists");
        assert_eq!(explain(&cause().context("cannot make x: file exists")), "cannot make x: file exists");
        assert_eq!(explain(&cause().context("cannot make x")), "cannot make x: file exists");
        assert_eq!(explain(&cause()), "file exists");
    }

    #[test]
    fn commands_are_defined_without_conflicts() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve_with_the_same_flags() {
        let bare = Cli::try_parse_from(["tallyd", "--http-listen", "127.0.0.1:0"]).expect("flags of serve");
        assert!(bare.command.is_none());
        let named = Cli::try_parse_from(["tallyd", "serve", "--http-listen", "127.0.0.1:0"]).expect("serve");
        let Some(CliCommand::Serve(args)) = named.command else { panic!("serve was asked for") };
        assert_eq!(args, bare.serve);
    }

    #[test]
    fn check_config_takes_a_file_or_none() {
        for (line, file) in [
            (vec!["tallyd", "--check-config"], None),
            (vec!["tallyd", "--check-config", "a.toml"], Some("a.toml")),
        ] {
            let cli = Cli::try_parse_from(line).expect("a check");
            assert!(cli.serve.check_config);
            assert_eq!(cli.serve.given.config.as_deref(), file.map(std::path::Path::new));
        }
    }

    #[test]
    fn unknown_flags_are_refused() {
        assert!(Cli::try_parse_from(["tallyd", "--no-such-flag"]).is_err());
        assert!(Cli::try_parse_from(["tallyd", "serve", "--no-such-flag"]).is_err());
    }
}
