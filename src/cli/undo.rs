//! `tallyd undo`: takes away what was counted for a story in a range of hours, where an import went wrong or a clock was.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use super::client::{Call, Client, ConnectionArgs};
use super::{Exit, output};
use crate::model::event::StoryId;
use crate::model::excerpt::printable;

/// Take away what was counted for a story in a range of hours.
///
/// Prints the counts by metric and source: with --dry-run those that would go, else those that have gone, as they were just
/// before. The story, its interactions and its names stay known. Events that come later count again, also in these hours. What
/// was taken away does not come back, so look with --dry-run first, and copy the data directory where in doubt.
#[derive(Debug, clap::Args)]
pub(crate) struct UndoArgs {
    /// The story: 24 letters and digits
    #[arg(value_name = "STORYID", value_parser = super::token::story_id)]
    pub(crate) story: StoryId,
    /// Start: 2019-3-17 (the start of that day), RFC 3339, or milliseconds since 1970; the whole hour
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub(crate) from: Box<str>,
    /// End: 2019-3-17 (that day included), RFC 3339 or milliseconds since 1970 (both exclusive, but for the rest of the hour)
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub(crate) to: Box<str>,
    /// Only these sources: messenger, livechat, livechat3, slack, widget, app, custom; repeat it or use commas
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Vec<Box<str>>,
    /// Only counts of conversations, paid (conversations), messages or interactions; repeat it or use commas
    #[arg(long, value_name = "METRIC")]
    pub(crate) metric: Vec<Box<str>>,
    /// Minutes to add to UTC, -720 to 720, for dates
    #[arg(long, value_name = "MINUTES", allow_hyphen_values = true)]
    pub(crate) offset: Option<Box<str>>,
    /// A time zone such as Europe/Warsaw, for dates
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<Box<str>>,
    /// Only say what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The daemon to ask, and the token to ask with.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// The daemon's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Undone {
    from: String,
    to: String,
    dry_run: bool,
    counts: Vec<UndoneCount>,
    dropped_before: Option<String>,
}

#[derive(Deserialize)]
struct UndoneCount {
    metric: String,
    source: String,
    value: u64,
}

/// Asks, and prints the answer. Blocks.
pub(crate) fn run(args: &UndoArgs) -> anyhow::Result<ExitCode> {
    let mut client = Client::new(&args.connection)?;
    let answer = client.call(&Call::delete(path(args)))?;
    if !answer.status.is_success() {
        output::note(&answer.refusal());
        return Ok(Exit::Failed.into());
    }
    let undone: Undone = serde_json::from_slice(&answer.body)
        .with_context(|| format!("the answer of {} is not that of an undo", client.authority()))?;
    output::print(text(&undone).as_bytes())?;
    Ok(Exit::Done.into())
}

fn path(args: &UndoArgs) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("from", &args.from).append_pair("to", &args.to);
    for (name, values) in [("source", &args.source), ("metric", &args.metric)] {
        for value in values {
            pairs.append_pair(name, value);
        }
    }
    for (name, value) in [("offset", &args.offset), ("timezone", &args.timezone)] {
        if let Some(value) = value {
            pairs.append_pair(name, value);
        }
    }
    if args.dry_run {
        pairs.append_pair("dry_run", "true");
    }
    format!("/stories/{}/counts?{}", args.story, pairs.finish())
}

fn text(undone: &Undone) -> String {
    let Undone { from, to, dry_run, counts, dropped_before } = undone;
    let what = if *dry_run { "would go" } else { "gone" };
    let mut text = format!("{what}, from {} to {}:\n", printable(from), printable(to));
    for UndoneCount { metric, source, value } in counts {
        // Writing to a string cannot fail.
        if writeln!(text, "{:<14} {:<10} {value}", printable(metric), printable(source)).is_err() {}
    }
    if counts.is_empty() {
        text.push_str("nothing\n");
    }
    if let Some(first_kept) = dropped_before
        && writeln!(text, "hours before {} were dropped already", printable(first_kept)).is_err()
    {}
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: UndoArgs,
    }

    const STORY: &str = "5b07ffafc2376e30306d9b16";

    fn parsed(arguments: &[&str]) -> Result<UndoArgs, clap::Error> {
        Line::try_parse_from([&["undo"], arguments].concat()).map(|line| line.args)
    }

    #[test]
    fn path_has_what_was_given() {
        let args = parsed(&[STORY, "--from", "2019-3-17", "--to=2019-3-18", "--dry-run"]).unwrap();
        let expected = format!("/stories/{STORY}/counts?from=2019-3-17&to=2019-3-18&dry_run=true");
        assert_eq!(path(&args), expected);
        let more = ["--source=app,slack", "--metric", "paid", "--timezone=Europe/Warsaw"];
        let args = parsed(&[&[STORY, "--from=1", "--to=2"], &more[..]].concat()).unwrap();
        let query = "from=1&to=2&source=app%2Cslack&metric=paid&timezone=Europe%2FWarsaw";
        assert_eq!(path(&args), format!("/stories/{STORY}/counts?{query}"));
    }

    #[test]
    fn both_ends_and_an_id_are_needed() {
        for arguments in [&[STORY, "--from=1"][..], &[STORY, "--to=1"], &["5b07", "--from=1", "--to=2"]] {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn text_says_what_goes() {
        let (from, to) = ("a".to_owned(), "b".to_owned());
        let count = UndoneCount { metric: "messages".to_owned(), source: "app".to_owned(), value: 7 };
        let some = Undone {
            from: from.clone(),
            to: to.clone(),
            dry_run: true,
            counts: vec![count],
            dropped_before: None,
        };
        assert_eq!(text(&some), "would go, from a to b:\nmessages       app        7\n");
        let none =
            Undone { from, to, dry_run: false, counts: Vec::new(), dropped_before: Some("c".to_owned()) };
        let expected = "gone, from a to b:\nnothing\nhours before c were dropped already\n";
        assert_eq!(text(&none), expected);
    }
}
