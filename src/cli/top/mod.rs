//! `tallyd top`: what a running daemon does, from its metrics, its health and its reports. `reading` is what it says at a moment,
//! `sheet` what two readings come to, in figures and as text.

mod reading;
mod sheet;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::client::{Call, Client, ClientError, ConnectionArgs};
use super::looks::Looks;
use super::watch::{self, Picture};
use super::{Exit, explain, output};
use crate::model::calendar::Hour;
use crate::platform::clock::Clock;
use reading::{Fault, GROUPS, Reading, SERIES};
use sheet::Sheet;

/// How long before the first picture the first reading is taken.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// What is counted for hours before or after these of the first reading is in no rate of a source or story.
const HOURS: [i64; 2] = [-1, 366 * 24];

/// Show what a running daemon does.
///
/// Events a second by kind, source and story, memory, journal, snapshots and slow reports, anew every few seconds on a terminal. Elsewhere,
/// and with --once or --json, a sheet with the rates of one such while. Rates of sources and stories are of events that are dated since the hour before.
/// Needs a token with the scope read that is not limited to stories, where there are tokens.
#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    /// Seconds between two readings
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) every: u64,
    /// Print one sheet and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one sheet as JSON and end
    #[arg(long)]
    pub(crate) json: bool,
    /// The daemon to ask, and the token to ask with.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Looks, and prints what it sees. Blocks.
pub(crate) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let mut observer = Observer::new(Client::new(&args.connection)?);
    let every = Duration::from_secs(args.every);
    let looks = Looks::of_output();
    if looks == Looks::Plain || args.once || args.json {
        return match observer.sheet(every) {
            Ok(sheet) => {
                let text = if args.json { sheet.to_json()? } else { sheet.text() };
                output::print(text.as_bytes())?;
                Ok(Exit::Done.into())
            }
            Err(LookError::Refused { words, .. }) => {
                output::note(&words);
                Ok(Exit::Failed.into())
            }
            Err(error) => Err(error.into()),
        };
    }
    let title = format!("tallyd top of {}", observer.client.authority());
    watch::run((&title, every), looks, move || observer.picture())
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
enum LookError {
    /// The daemon did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It answered that it will not, or not now.
    #[error("{words}")]
    Refused { words: String, is_for_good: bool },
    /// It answered something else than tallyd does.
    #[error(transparent)]
    Foreign(#[from] Fault),
}

/// Takes readings of a daemon.
struct Observer {
    client: Client,
    clock: Clock,
    /// The reports that are asked for, with the range of the first reading.
    reports: [[Call; GROUPS.len()]; SERIES.len()],
    last: Option<Reading>,
}

impl Observer {
    fn new(client: Client) -> Self {
        let clock = Clock::system();
        let reports = SERIES
            .map(|series| GROUPS.map(|group| Call::get(report_path(series, group, clock.unix_seconds()))));
        Self { client, clock, reports, last: None }
    }

    /// What has happened since the last reading, or in the time of `first` where there is none.
    fn sheet(&mut self, first: Duration) -> Result<Sheet, LookError> {
        let before = if let Some(before) = self.last.take() {
            before
        } else {
            let before = self.read()?;
            thread::sleep(first);
            before
        };
        let now = self.read()?;
        let sheet = Sheet::between(&before, &now);
        self.last = Some(now);
        Ok(sheet)
    }

    fn picture(&mut self) -> Picture {
        match self.sheet(FIRST_LOOK) {
            Ok(sheet) => Picture::Shown(sheet.text()),
            Err(LookError::Refused { words, is_for_good: true }) => Picture::Refused(words),
            Err(error) => Picture::NotNow(explain(&error.into())),
        }
    }

    fn read(&mut self) -> Result<Reading, LookError> {
        let metrics = self.ask("/metrics")?;
        let health = self.ask("/health")?;
        let at = self.clock.monotonic();
        let mut reading = Reading::new((at, self.clock.unix_seconds()), &metrics, &health)?;
        for (series, calls) in self.reports.clone().iter().enumerate() {
            for (group, call) in calls.iter().enumerate() {
                let answer = self.call(call)?;
                reading.add_groups((series, group), &answer)?;
            }
        }
        Ok(reading)
    }

    fn ask(&mut self, path: &str) -> Result<Bytes, LookError> {
        self.call(&Call::get(path))
    }

    fn call(&mut self, call: &Call) -> Result<Bytes, LookError> {
        let answer = self.client.call(call)?;
        // Where events are refused, health is an answer all the same.
        if answer.status.is_success() || call.path == "/health" {
            return Ok(answer.body);
        }
        Err(LookError::Refused { words: answer.refusal(), is_for_good: answer.status.is_client_error() })
    }
}

/// A report in as few points as it can have, of the hours around the time.
fn report_path(series: &str, group: &str, now: i64) -> String {
    let hour = now.div_euclid(Hour::SECONDS);
    let [from, to] = HOURS.map(|hours| hour.saturating_add(hours).saturating_mul(1_000 * Hour::SECONDS));
    format!("/reports/{series}?from={from}&to={to}&dimension=year&group={group}")
}
