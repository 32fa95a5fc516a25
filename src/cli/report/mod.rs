//! `tallyd report`: asks a running daemon for a report and shows it. What the parameters mean is decided by the
//! daemon, which also writes CSV; [`crate::report`] reads its JSON, `layout` makes tables of it.

mod chart;
mod heat;
mod layout;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::client::{Answer, Call, Client, ConnectionArgs};
use super::looks::Looks;
use super::watch::{self, Picture};
use super::{Exit, explain, output};
use crate::daemon::zones;
use crate::model::calendar::Zone;
use crate::platform::zoneinfo::DIRECTORY_VARIABLE;
use crate::report::{FormatName, GroupBy, Report, ReportName};

/// Show a report of a running daemon in the terminal.
///
/// Without options: the last 30 days, every story and source, in UTC. An option that the report does not have is
/// refused by the daemon, which then says what it takes. On a terminal there are bars, and colours unless `NO_COLOR` is set.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Which report
    #[arg(value_name = "NAME", value_parser = ReportName::ALL.map(ReportName::as_str))]
    pub(crate) name: String,
    /// What to ask for.
    #[command(flatten)]
    pub(crate) query: QueryArgs,
    /// Print the daemon's JSON as it is
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print the daemon's comma-separated values as they are
    #[arg(long)]
    pub(crate) csv: bool,
    /// Ask again every few seconds and show the answer in place of the one before, until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        conflicts_with_all = ["json", "csv"]
    )]
    pub(crate) watch: Option<u64>,
    /// The daemon to ask, and the token to ask with.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// The parameters of reports, as in the URL.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Query")]
pub(crate) struct QueryArgs {
    /// Start: 2019-3-17 (the start of that day), RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub(crate) from: Option<Box<str>>,
    /// End: 2019-3-17 (that day included), RFC 3339 or milliseconds since 1970 (both exclusive)
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub(crate) to: Option<Box<str>>,
    /// today, yesterday, last7days, last30days, thisMonth, lastMonth, last3Months, thisYear or lastYear
    #[arg(long, value_name = "PERIOD")]
    pub(crate) period: Option<Box<str>>,
    /// auto, year, month, day or hour; the four series only
    #[arg(long, value_name = "UNIT")]
    pub(crate) dimension: Option<Box<str>>,
    /// storyId or source; the four series only
    #[arg(long, value_name = "KEY")]
    pub(crate) group: Option<Box<str>>,
    /// previous, year or weekday: beside the period before, the year before, or the last one with the same weekdays; the four
    /// series only
    #[arg(long, value_name = "RANGE")]
    pub(crate) compare: Option<Box<str>>,
    /// Only these sources: messenger, livechat, livechat3, slack, widget, app, custom; repeat it or use commas
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Vec<Box<str>>,
    /// Only these stories; repeat it or use commas; one only for the last two reports
    #[arg(long, value_name = "ID")]
    pub(crate) story_id: Vec<Box<str>>,
    /// Minutes to add to UTC, -720 to 720
    #[arg(long, value_name = "MINUTES", allow_hyphen_values = true)]
    pub(crate) offset: Option<Box<str>>,
    /// A time zone such as Europe/Warsaw
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<Box<str>>,
    /// Most groups or interactions, 1 to 10000
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) limit: Option<Box<str>>,
}

/// Asks, and prints the answer. Blocks.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let mut client = Client::new(&args.connection)?;
    let format = args.csv.then_some(FormatName::Csv);
    let call = Call::get(path((&args.name, format), &args.query));
    let table = TableOf::new(args);
    if let Some(seconds) = args.watch {
        let (looks, title) = (table.looks, args.name.clone());
        let ask = move || table.picture(&mut client, &call);
        return watch::run((&title, Duration::from_secs(seconds)), looks, ask);
    }
    // Somebody waits at the terminal, and can ask again.
    let answer = client.call(&call)?;
    if !answer.status.is_success() {
        output::note(&answer.refusal());
        return Ok(Exit::Failed.into());
    }
    let dropped = answer.dropped_before.as_deref().map(layout::dropped);
    // Neither JSON lists nor CSV have a place for it.
    if let Some(words) = dropped.filter(|_| args.json || args.csv) {
        output::note(&words);
    }
    let text = if args.json {
        let mut text = answer.body.to_vec();
        text.push(b'\n');
        text
    } else if args.csv {
        // CSV has no place for it.
        if let Some(words) = layout::omitted(answer.groups_omitted) {
            output::note(&words);
        }
        answer.body.to_vec()
    } else {
        table.text(&client, &answer)?.into_bytes()
    };
    output::print(&text)?;
    Ok(Exit::Done.into())
}

/// How answers become tables.
struct TableOf {
    name: String,
    group: Option<Box<str>>,
    zone: Zone,
    looks: Looks,
}

impl TableOf {
    fn new(args: &ReportArgs) -> Self {
        let (name, group) = (args.name.clone(), args.query.group.clone());
        Self { name, group, zone: zone(&args.query), looks: Looks::of_output() }
    }

    fn text(&self, client: &Client, answer: &Answer) -> anyhow::Result<String> {
        let report = read(&self.name, self.group.as_deref(), &answer.body)
            .with_context(|| format!("the answer of {} is not that report", client.authority()))?;
        let mut text = layout::table(&report, &self.zone, self.looks);
        if let Some(first_kept) = &answer.dropped_before {
            text.push_str(&layout::dropped(first_kept));
            text.push('\n');
        }
        Ok(text)
    }

    /// Asks once. What the daemon refuses today it may answer tomorrow only where it is busy or away.
    fn picture(&self, client: &mut Client, call: &Call) -> Picture {
        match client.call(call) {
            Err(error) => Picture::NotNow(explain(&error.into())),
            Ok(answer) if answer.status.is_success() => match self.text(client, &answer) {
                Ok(text) => Picture::Shown(text),
                Err(error) => Picture::Refused(explain(&error)),
            },
            Ok(answer) if answer.status.is_client_error() => Picture::Refused(answer.refusal()),
            Ok(answer) => Picture::NotNow(answer.refusal()),
        }
    }
}

/// Reads the daemon's answer to a report of that name and grouping.
fn read(name: &str, group: Option<&str>, body: &[u8]) -> anyhow::Result<Report> {
    let name = ReportName::parse(name).context("no report has this name")?;
    let by = group.and_then(GroupBy::parse).unwrap_or(GroupBy::Story);
    Ok(Report::from_json(name, by, body)?)
}

/// The zone in which dates are shown: the one that was asked for, else UTC. UTC also where only the daemon's database
/// has the zone.
fn zone(query: &QueryArgs) -> Zone {
    let named = query.timezone.as_deref().and_then(|name| {
        let directory = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
        zones::load(directory.as_deref()).named(name)
    });
    let fixed = || Zone::fixed(query.offset.as_deref()?.trim().parse().ok()?);
    named.or_else(fixed).unwrap_or_default()
}

fn path((name, format): (&str, Option<FormatName>), query: &QueryArgs) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for (parameter, value) in [
        ("from", &query.from),
        ("to", &query.to),
        ("period", &query.period),
        ("dimension", &query.dimension),
        ("group", &query.group),
        ("compare", &query.compare),
        ("offset", &query.offset),
        ("timezone", &query.timezone),
        ("limit", &query.limit),
    ] {
        if let Some(value) = value {
            pairs.append_pair(parameter, value);
        }
    }
    for (parameter, values) in [("source", &query.source), ("storyId", &query.story_id)] {
        for value in values {
            pairs.append_pair(parameter, value);
        }
    }
    if let Some(format) = format {
        pairs.append_pair("format", format.as_str());
    }
    let pairs = pairs.finish();
    if pairs.is_empty() { format!("/reports/{name}") } else { format!("/reports/{name}?{pairs}") }
}

#[cfg(test)]
mod tests;
