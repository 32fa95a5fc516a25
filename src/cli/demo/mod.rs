//! `tallyd demo`: the daemon and a simulated bot platform, which sends its events to the line port as a real one
//! would. `platform` makes the events, `sender` sends them.

mod platform;
mod sender;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::{Exit, complain, explain, output};
use crate::daemon::config::options::Key;
use crate::daemon::config::{Config, Given};
use crate::daemon::{self, Running, runbook};
use crate::platform::clock::Clock;
use crate::platform::logging;
use platform::STORIES;
use sender::EventSender;

/// Run the daemon with a simulated bot platform, to have something to look at in a minute.
///
/// First a history of some weeks is sent, then live events until Ctrl-C. Everything is kept in a new directory that is
/// removed at the end, unless --data-dir names one. No tokens, no configuration file, no variables.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where to listen for HTTP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8780")]
    pub(crate) http_listen: String,
    /// Where to listen for lines of events over TCP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8781")]
    pub(crate) tcp_listen: String,
    /// Keep everything here; where there is something already, no history is sent
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Days of history to send first
    #[arg(long, value_name = "DAYS", default_value_t = 45, value_parser = clap::value_parser!(u32).range(0..=730))]
    pub(crate) days: u32,
    /// Where the numbers begin; the same seed gives the same history
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A directory that is removed with the demo.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn create(clock: &Clock) -> anyhow::Result<Self> {
        let name = format!("tallyd-demo-{}-{}", std::process::id(), clock.unix_ms());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            complain(&format!("{} is left behind: {error}", self.0.display()));
        }
    }
}

/// Runs daemon and platform until a signal stops them. Blocks.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let scratch = args.data_dir.is_none().then(|| Scratch::create(&clock)).transpose()?;
    let directory = match (&args.data_dir, &scratch) {
        (Some(directory), _) => directory.clone(),
        (None, Some(scratch)) => scratch.0.join("data"),
        (None, None) => anyhow::bail!("there is no directory to keep the demo in"),
    };
    let days = if is_used(&directory) { 0 } else { args.days };
    let given = Given {
        options: vec![
            (Key::HttpListen, args.http_listen.clone()),
            (Key::TcpListen, args.tcp_listen.clone()),
            (Key::DataDir, directory.display().to_string()),
            (Key::Log, "warn".to_owned()),
        ],
        ..Given::default()
    };
    let config = Config::read(&given, &|_| None)?;
    logging::init(&config.log, config.log_format, runbook::section, &|_| None)?;
    let mut running = daemon::start(config)?;
    let platform = PlatformThread::start(&running, days, args.seed, clock);
    let ended = running.until_signal();
    output::note("stopping");
    let stopped = running.stop();
    platform.join();
    stopped.and(ended)?;
    Ok(Exit::Done.into())
}

/// Whether there is anything in the directory.
fn is_used(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// The platform's thread; it ends when the daemon closes its connection.
#[derive(Debug)]
struct PlatformThread(Option<std::thread::JoinHandle<()>>);

impl PlatformThread {
    fn start(running: &Running, days: u32, seed: u64, clock: Clock) -> Self {
        let (Some(http), Some(lines)) = (running.http_address(), running.tcp_address()) else {
            output::note("the demo needs both listeners to show something");
            return Self(None);
        };
        let work = move || {
            let outcome = EventSender::connect(lines, seed, clock).and_then(|mut sender| {
                let sent = sender.send_history(days)?;
                introduce(&http.to_string(), &lines.to_string(), days, sent);
                sender.send_live()
            });
            if let Err(error) = outcome {
                complain(&format!("the simulated platform has stopped: {}", explain(&error)));
            }
        };
        let thread = std::thread::Builder::new().name("demo-platform".to_owned()).spawn(work);
        if let Err(error) = &thread {
            complain(&format!("the simulated platform cannot start: {error}"));
        }
        Self(thread.ok())
    }

    fn join(self) {
        if let Some(thread) = self.0
            && thread.join().is_err()
        {
            complain("the simulated platform ended with a panic");
        }
    }
}

/// Prints the addresses, the stories and some commands to try.
fn introduce(http: &str, lines: &str, days: u32, sent: sender::History) {
    let story = STORIES.first().map_or("", |story| story.id);
    let history = if days == 0 {
        "no history was sent".to_owned()
    } else {
        format!("{days} days of history: {} lines in {:.1} s", sent.lines, sent.took.as_secs_f64())
    };
    // The path by which the program was called, so that the commands work where it is not on the `PATH`.
    let program = std::env::args().next().unwrap_or_else(|| "tallyd".to_owned());
    let names: Vec<&str> = STORIES.iter().map(|story| story.name).collect();
    output::note(&format!(
        "A simulated bot platform is pushing events to {lines}; {history}.\n\
         Its stories: {}.\n\n  \
         Look at it: http://{http}/\n\n\
         Or try:\n\n  \
         curl 'http://{http}/stories'\n  \
         curl 'http://{http}/reports/conversations?period=today&dimension=hour'\n  \
         curl 'http://{http}/reports/interactions.popularity?storyId={story}'\n  \
         curl 'http://{http}/metrics'\n  \
         {program} report --url http://{http} conversations --group source\n  \
         {program} report --url http://{http} busiest-period --timezone Europe/Warsaw\n\n\
         Ctrl-C stops everything.",
        names.join(", ")
    ));
}
