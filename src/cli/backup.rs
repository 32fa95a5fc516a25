//! `tallyd backup`: a copy of a running daemon's data directory. What a copy is, and how it is made of what the daemon sends,
//! is the store's (`store/backup`); this file asks for it and prints what came.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::HumanBytes;

use super::client::streamed::Streamed;
use super::client::{Call, Client, ConnectionArgs};
use super::{Exit, Misuse, complain, output};
use crate::limits::BACKUP_COMMAND_NICENESS;
use crate::model::excerpt::printable;
use crate::platform::disk::Disk;
use crate::store::backup::{Copied, ListedFile, Target, TargetError};

/// Copy the data directory of a running daemon, which goes on counting.
///
/// The copy is a data directory that `tallyd serve` starts on: all that was counted up to a position of the journal, which is
/// printed, and nothing after it, with the keys of batches. Its token needs the scope admin. Into a directory with an older copy of
/// the same daemon only new files come, and that copy stays complete until the new one is. Where a backup breaks off, repeat it: it
/// goes on where it was. It consists of the last snapshot and the journal after it, so the daemon makes no snapshot for it.
/// The command runs at a nice value of 10, so that it does not compete with the daemon. Configuration, tokens and certificates are not in it.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The directory of the copy, made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// The daemon's data directory, where it is on the same file system as the copy: files of the snapshot get a second name instead of being sent
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The daemon to copy, and the token to ask with.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// The request's body.
#[derive(serde::Serialize)]
struct Wanted<'a> {
    stands: &'a [ListedFile],
}

/// Makes the copy. Blocks.
pub(crate) fn run(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    give_way();
    let mut client = Client::new(&args.connection)?;
    let spinner = output::spinner("reading what stands");
    let copied = copy(args, &mut client, &spinner);
    spinner.finish_and_clear();
    match copied? {
        Outcome::Copied(copied, linked) => {
            output::print(describe(args, &copied, linked).as_bytes())?;
            Ok(Exit::Done.into())
        }
        Outcome::TryLater(why) => {
            complain(&why);
            Ok(Exit::TryLater.into())
        }
    }
}

/// Lets the daemon go first, and all else on this machine. Every thread that starts later takes the value over.
fn give_way() {
    // Without a process it is about the calling thread alone. Who was given less already keeps it.
    let given = rustix::process::getpriority_process(None).and_then(|nice| {
        if nice < BACKUP_COMMAND_NICENESS {
            rustix::process::setpriority_process(None, BACKUP_COMMAND_NICENESS)
        } else {
            Ok(())
        }
    });
    if let Err(error) = given {
        complain(&format!("the nice value stays, so the copy competes with the daemon: {error}"));
    }
}

enum Outcome {
    /// A copy, and how many of its files were linked.
    Copied(Copied, u64),
    /// Why there is none now.
    TryLater(String),
}

fn copy(args: &BackupArgs, client: &mut Client, spinner: &indicatif::ProgressBar) -> anyhow::Result<Outcome> {
    let mut target = match Target::open(&Disk::new(), &args.directory, &mut || spinner.tick()) {
        Err(error @ TargetError::InUse(_)) => return Ok(Outcome::TryLater(error.to_string())),
        Err(error @ TargetError::NotACopy { .. }) => return Err(Misuse::of(error)),
        opened => opened?,
    };
    let linked = match &args.data_dir {
        Some(data_dir) => target
            .link_from(data_dir, &mut || spinner.tick())
            .with_context(|| format!("cannot link files of {}", data_dir.display()))?,
        None => 0,
    };
    let body = serde_json::to_vec(&Wanted { stands: target.stands() })?;
    let call = Call::post("/backup", body, None);
    spinner.set_message("waiting for the journal's seal");
    let mut bytes = 0_u64;
    let received = receive(client, &call, target, &mut |more| {
        bytes = bytes.saturating_add(more);
        spinner.set_message(format!("copying: {}", HumanBytes(bytes)));
        spinner.tick();
    });
    Ok(match received? {
        Received::Copied(copied) => Outcome::Copied(copied, linked),
        Received::TryLater(why) => Outcome::TryLater(why),
    })
}

/// What came of asking for an archive.
pub(super) enum Received {
    Copied(Copied),
    /// Why there is none now.
    TryLater(String),
}

/// Asks a daemon for an archive, and makes the copy of it. Blocks.
pub(super) fn receive(
    client: &mut Client,
    call: &Call,
    target: Target,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Received> {
    let authority = client.authority().to_owned();
    match client.stream(call)? {
        Streamed::Body(body) => Ok(Received::Copied(target.receive(body, progress)?)),
        Streamed::Refused(answer) => {
            let why = format!("{authority} refused the backup: {}", printable(&answer.explanation()));
            if answer.status == hyper::StatusCode::SERVICE_UNAVAILABLE {
                return Ok(Received::TryLater(why));
            }
            anyhow::bail!(why)
        }
    }
}

fn describe(args: &BackupArgs, copied: &Copied, linked: u64) -> String {
    let listing = &copied.listing;
    let bytes = listing.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    format!(
        "{} is complete: position {}, snapshot {}, data directory {}\n\
         {} files of {bytes} bytes; {} files of {} bytes came now, {linked} were linked\n",
        args.directory.display(),
        listing.position,
        listing.generation,
        listing.store_id,
        listing.files.len(),
        copied.files,
        copied.bytes,
    )
}
