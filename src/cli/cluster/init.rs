//! `tallyd cluster init`: makes the log. What a log is made of is the business of `net/log`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Misuse, output};
use crate::daemon::config::place::check_for_reading;
use crate::daemon::config::units;
use crate::model::catalogue::CatalogueLimits;
use crate::net::log::address::{LogAddress, LogName, Servers};
use crate::net::log::credentials::CredentialsFile;
use crate::platform::disk::Disk;
use crate::store::LogBeginning;
use crate::store::recover::load_read_only;

/// Make the log that several daemons share: a stream of NATS `JetStream` on three servers, and its first message.
///
/// A log is made once: where there is one of that name, nothing is changed and the exit code is 1. One that was made in part, since
/// the connection broke, is made whole by the same command.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Servers of the log, `nats://HOST:PORT` or `tls://HOST:PORT`; repeat it or use commas
    #[arg(long, value_name = "URLS", required = true, value_delimiter = ',')]
    pub(crate) cluster: Vec<String>,
    /// The log's name: letters, digits, - and _
    #[arg(long, value_name = "NAME", default_value = "tallyd")]
    pub(crate) cluster_name: String,
    /// A file by which the servers know us: one line, `user:password`, or NATS credentials (a user's JWT and seed)
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster_credentials: Option<PathBuf>,
    /// The data directory of a stopped daemon that has counted alone: the log begins with its counters, and it joins first
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// How much the log may take on each server's disk, such as 200GiB; what is older is forgotten then, as it is after three days
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_bytes: u64,
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = units::size(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "takes a whole number and a unit such as 200GiB".to_owned())
}

/// Makes it. Blocks.
pub(crate) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let address = address(args)?;
    let beginning = args.from.as_deref().map(beginning).transpose()?.unwrap_or_default();
    make(&address, args.max_bytes, beginning)
}

/// What the directory has.
fn beginning(data_dir: &Path) -> anyhow::Result<LogBeginning> {
    check_for_reading(data_dir).map_err(Misuse::of)?;
    let spinner = output::spinner("reading");
    let loaded = load_read_only(&Disk::new(), data_dir, CatalogueLimits::default(), &mut || spinner.tick());
    spinner.finish_and_clear();
    loaded?.beginning().ok_or_else(|| {
        anyhow::anyhow!("{} follows a log already, so that no other can begin with it", data_dir.display())
    })
}

fn address(args: &InitArgs) -> anyhow::Result<LogAddress> {
    let servers = Servers::parse(&args.cluster.join(","));
    let servers = servers.ok_or_else(|| {
        Misuse::of(anyhow::anyhow!(
            "--cluster takes servers such as nats://a:4222,nats://b:4222, without a user in them"
        ))
    })?;
    let name = LogName::parse(&args.cluster_name);
    let name =
        name.ok_or_else(|| Misuse::of(anyhow::anyhow!("--cluster-name takes up to 64 of A-Z a-z 0-9 - _")))?;
    let credentials =
        args.cluster_credentials.as_deref().map(CredentialsFile::open).transpose().map_err(Misuse::of)?;
    Ok(LogAddress { servers, name, credentials })
}

#[cfg(feature = "cluster")]
fn make(address: &LogAddress, max_bytes: u64, beginning: LogBeginning) -> anyhow::Result<ExitCode> {
    use crate::cli::Exit;
    use crate::net::log::genesis;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(genesis::make(address, max_bytes, beginning))?;
    for warning in &made.connected.warnings {
        output::note(&format!("warning: {warning}"));
    }
    output::note(
        "whether the servers write to disk before they acknowledge cannot be asked over this connection: give all of them \
         `sync_interval: always`, or a power cut of all may cost what was acknowledged in the last two minutes",
    );
    output::print(format!("{} {}\n", address.name, made.log).as_bytes())?;
    Ok(Exit::Done.into())
}

#[cfg(not(feature = "cluster"))]
fn make(_address: &LogAddress, _max_bytes: u64, _beginning: LogBeginning) -> anyhow::Result<ExitCode> {
    Err(Misuse::of(anyhow::anyhow!("this tallyd was built without its feature `cluster`")))
}
