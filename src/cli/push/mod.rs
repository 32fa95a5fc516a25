//! `tallyd push`: sends files or standard input to a daemon in batches of whole lines, and prints the outcome.
//! `batches` cuts the input, `identity` gives each batch its key, `outcome` interprets the answers.
//!
//! INVARIANT: batches are sent one after the other, and none is sent after a batch of unknown outcome.

mod batches;
mod identity;
mod interrupt;
mod outcome;

use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::client::{Call, Client, ClientError, ConnectionArgs, retry};
use super::{Exit, Misuse, input, output};
use crate::limits::wide;
use crate::model::excerpt::printable;
use crate::platform::clock::Clock;
use batches::{Batches, LineBatch};
use identity::InputKeys;
pub(crate) use identity::RecognisedBy;
use interrupt::Interrupt;
use outcome::BatchOutcome;

/// Send files, or standard input, to a daemon: line protocol or NDJSON, plain, gzip or zstd.
///
/// Lines go in batches of up to 5,000 lines or 4 MiB, each counted as a whole or not at all. A daemon that is not
/// there yet or asks to try again later is asked again for about a minute. Bad lines are printed with their
/// line number in the file; the good ones count all the same, and the exit code is 1.
///
/// Each batch has a key, from the file and its place in it, so pushing is safe to repeat: within 24 hours the same file counts
/// once, and a push that was interrupted goes on where it was. A file that has changed since is refused at the
/// first batch that differs; --again counts all of it. Standard input is recognised within one run only.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PushArgs {
    /// Files to send, in this order; `-` or none is standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Unit of the timestamps: ns, us, ms or s; otherwise ns in line protocol and ms in JSON
    #[arg(long, value_name = "UNIT", value_parser = ["ns", "us", "ms", "s"])]
    pub(crate) precision: Option<String>,
    /// Count the files although they may have been pushed before
    #[arg(long)]
    pub(crate) again: bool,
    /// Show no progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Which daemon, and as whom.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// The message for a batch of unknown outcome.
const UNKNOWN: &str = "may have been counted or not, nothing after that was sent";
/// The remedy, where the file is recognised.
const REPEAT: &str = "push the file again: what is counted already is not counted again";

/// Lines that were counted and lines that were not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LineTotals {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// Of the accepted, those that were counted already under the same keys.
    pub(crate) repeated: u64,
}

impl fmt::Display for LineTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, rejected, repeated } = self;
        write!(f, "{accepted} accepted, {rejected} rejected")?;
        if *repeated > 0 { write!(f, "; {repeated} of the accepted were counted already") } else { Ok(()) }
    }
}

/// Sends the files. Blocks.
pub(crate) fn run(args: &PushArgs) -> anyhow::Result<ExitCode> {
    let bar = args.quiet.then(ProgressBar::hidden);
    let by = if args.again { RecognisedBy::Nothing } else { RecognisedBy::File };
    send_files(&args.files, (args.precision.as_deref(), by), &args.connection, bar)
}

/// Sends the files in order, or standard input where none is named, and prints the totals. `bar` replaces the
/// progress bar. Blocks.
pub(crate) fn send_files(
    files: &[PathBuf],
    (precision, recognised): (Option<&str>, RecognisedBy),
    connection: &ConnectionArgs,
    bar: Option<ProgressBar>,
) -> anyhow::Result<ExitCode> {
    let standard_input = [PathBuf::from("-")];
    let files = if files.is_empty() { &standard_input } else { files };
    // Before anything is sent: a file that is missing would be found after others were counted.
    for file in files {
        input::check(file).map_err(Misuse::of)?;
    }
    let bar = bar.unwrap_or_else(|| progress_bar(files));
    let mut sender = FileSender {
        client: Client::new(connection)?,
        clock: Clock::system(),
        path: precision.map_or("/events".to_owned(), |unit| format!("/events?precision={unit}")),
        bar,
        totals: LineTotals::default(),
        recognised,
        interrupt: Interrupt::watch()?,
    };
    let result = files.iter().try_for_each(|file| sender.send_file(file));
    sender.bar.finish_and_clear();
    let totals = sender.totals;
    output::print(format!("{totals}\n").as_bytes())?;
    result?;
    Ok(if totals.rejected == 0 { Exit::Done.into() } else { Exit::Failed.into() })
}

/// A bar over the bytes of all files, on a terminal only; a spinner where a length is not known.
fn progress_bar(files: &[PathBuf]) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length: Option<u64> = files.iter().map(|file| input::length(file)).sum();
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = if length.is_some() {
        "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left, {msg}"
    } else {
        "{spinner} {bytes} {bytes_per_sec}, {msg}"
    };
    // A template that cannot be read leaves the bar in its default look.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Sends files and adds up the answers.
#[derive(Debug)]
struct FileSender {
    client: Client,
    clock: Clock,
    path: String,
    bar: ProgressBar,
    totals: LineTotals,
    recognised: RecognisedBy,
    interrupt: Interrupt,
}

impl FileSender {
    fn send_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let source = input::open(file, &self.bar)?;
        let mut keys = InputKeys::of(file, self.recognised)
            .with_context(|| format!("cannot tell {} from others", source.name))?;
        let mut batches = Batches::new(source.text);
        while let Some(batch) = batches
            .next_batch()
            .with_context(|| format!("cannot read {} after line {}", source.name, batches.lines_read))?
        {
            self.send_batch(&source.name, &mut keys, batch)?;
            self.bar.set_message(format!("{} events", self.totals.accepted));
        }
        Ok(())
    }

    fn send_batch(&mut self, name: &str, keys: &mut InputKeys, batch: LineBatch) -> anyhow::Result<()> {
        let lines = batch.line_range();
        let remedy = if keys.is_lasting() { REPEAT } else { "nothing tells which" };
        if self.interrupt.is_asked() {
            let rest = if keys.is_lasting() { REPEAT } else { "the lines before are counted" };
            anyhow::bail!("interrupted before {lines} of {name}; {rest}");
        }
        let key = Some(keys.of_batch(batch.first_line, &batch.text));
        let call = Call::post(self.path.clone(), batch.text, key);
        let answer = retry::call(&mut self.client, &call, &self.clock, &|wait, why| {
            self.bar.suspend(|| output::note(&format!("{why}; trying again in {:.1} s", wait.as_secs_f32())));
        })
        .map_err(|error| {
            let counted = match error {
                ClientError::NotSent { .. } => "were not sent".to_owned(),
                _ => format!("{UNKNOWN}; {remedy}"),
            };
            anyhow::Error::new(error).context(format!("{lines} of {name} {counted}"))
        })?;
        match outcome::read(&answer) {
            BatchOutcome::Counted { accepted, rejected, bad_lines } => {
                self.totals.accepted = self.totals.accepted.saturating_add(accepted);
                self.totals.rejected = self.totals.rejected.saturating_add(rejected);
                let repeated = if answer.is_replayed { accepted } else { 0 };
                self.totals.repeated = self.totals.repeated.saturating_add(repeated);
                let unnamed = rejected.saturating_sub(wide(bad_lines.len()));
                self.bar.suspend(|| {
                    for bad in bad_lines {
                        let line = batch.first_line.saturating_add(bad.line).saturating_sub(1);
                        output::note(&format!("{name}:{line}: {}", printable(&bad.message)));
                    }
                    if unnamed > 0 {
                        output::note(&format!("{name}: {unnamed} more bad lines in {lines}"));
                    }
                });
                Ok(())
            }
            BatchOutcome::Conflict => anyhow::bail!(
                "{lines} of {name}, or --precision, differ from what was pushed from there within the last 24 hours, and are not counted; \
                 --again counts all of the file"
            ),
            BatchOutcome::Refused(why) => {
                let daemon = self.client.authority();
                anyhow::bail!("{daemon} refused {lines} of {name}: {}", printable(&why))
            }
            BatchOutcome::Unknown(why) => {
                anyhow::bail!("{lines} of {name} {UNKNOWN}: {}; {remedy}", printable(&why))
            }
        }
    }
}

#[cfg(test)]
mod tests;
