//! `tallyd token`: a new access token. The secret is printed once and kept nowhere.

use std::process::ExitCode;

use super::{Exit, Misuse, output};
use crate::model::event::{ObjectId, StoryId};
use crate::net::auth::{self, GenerateError, Scope};

/// Make a new access token.
///
/// The entry for the tokens file goes to standard output, so that it can be appended with `>> tokens.toml`; the
/// secret goes to standard error and is shown this one time. The file holds only the secret's SHA-256. A daemon
/// that runs takes the file in on SIGHUP.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// What to call the token in logs: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is for: read (reports, stories, metrics), write (events, catalogue) or admin (everything); repeat it
    /// or use commas
    #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',', value_parser = ["read", "write", "admin"])]
    pub(crate) scope: Vec<String>,
    /// A story that it is limited to, all others being as if unknown to it; repeat it or use commas [default: all stories]
    #[arg(long, value_name = "STORYID", value_delimiter = ',', value_parser = story_id)]
    pub(crate) story: Vec<StoryId>,
}

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let scopes: Vec<Scope> = args.scope.iter().filter_map(Scope::parse).collect();
    let (secret, entry) = auth::generate(&args.name, &scopes, &args.story).map_err(|error| match error {
        GenerateError::Random(_) => error.into(),
        _ => Misuse::of(error),
    })?;
    output::note(&format!("the secret of {}, shown only now: {secret}", args.name));
    output::print(entry.as_bytes())?;
    Ok(Exit::Done.into())
}

pub(super) fn story_id(text: &str) -> Result<StoryId, String> {
    let id = ObjectId::parse(text.as_bytes()).map(StoryId);
    id.ok_or_else(|| "a story id must be 24 ASCII letters and digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: TokenArgs,
    }

    #[test]
    fn scopes_are_repeated_or_separated_by_commas() {
        for line in
            [["x", "n", "--scope=read,write"].as_slice(), &["x", "n", "--scope", "read", "--scope", "write"]]
        {
            let args = Line::try_parse_from(line).map(|line| line.args).expect("scopes");
            assert_eq!(args.scope, ["read", "write"]);
        }
    }

    #[test]
    fn token_needs_a_name_and_known_scopes() {
        for line in [["x", "n"].as_slice(), &["x", "--scope=read"], &["x", "n", "--scope=all"]] {
            assert!(Line::try_parse_from(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn stories_are_repeated_or_separated_by_commas_and_must_be_ids() {
        const ONE: &str = "5b07ffafc2376e30306d9b16";
        const OTHER: &str = "5b07ff77c2376e30306d9b12";
        let both = format!("--story={ONE},{OTHER}");
        for line in [["--story", ONE, "--story", OTHER].as_slice(), &[&both]] {
            let line = ["x", "n", "--scope=read"].iter().chain(line);
            let args = Line::try_parse_from(line).map(|line| line.args).expect("stories");
            assert_eq!(args.story.iter().map(StoryId::to_string).collect::<Vec<_>>(), [ONE, OTHER]);
        }
        assert!(Line::try_parse_from(["x", "n", "--scope=read", "--story=5b07"]).is_err());
    }

    #[test]
    fn every_scope_that_the_flag_takes_is_one() {
        for name in ["read", "write", "admin"] {
            assert!(Scope::parse(name).is_some(), "{name}");
        }
    }
}
