//! `tallyd man`: the manual pages, made of the same tables as `--help`, and of what help has no room for. `sections` has that
//! text, `file` the page of the configuration file. Knows nothing of where pages are installed.
//!
//! INVARIANT: the same program writes the same pages; no clock is read.

mod file;
mod sections;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::exit::EXITS;
use super::{Cli, Exit, Misuse, input, output};
use crate::daemon::config::CLIENT_TOKEN_VARIABLE;
use crate::daemon::config::options::{CONFIG_VARIABLE, OPTIONS, TOKENS_VARIABLE};
use sections::{Section, sections_of};

/// Write the manual pages.
///
/// One page for tallyd, one for each command, and tallyd.toml(5), which has every key of the configuration file. Read one with
/// `man -l DIR/tallyd.1`, or install them below /usr/share/man.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The directory to write to; it is made where it does not exist
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

/// The place of the date at the foot of a page, empty and in quotes of its own, as what follows it would else take its place.
const NO_DATE: &str = "\"\"";

/// A page: the name of its file and its text.
pub(super) type Page = (String, Vec<u8>);

pub(crate) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let pages = pages().context("the pages cannot be made")?;
    std::fs::create_dir_all(&args.dir)
        .with_context(|| format!("cannot make {}", args.dir.display()))
        .map_err(Misuse::of)?;
    for (name, text) in &pages {
        let path = args.dir.join(name);
        let mut out = input::create_file(&path).map_err(Misuse::of)?;
        out.write_all(text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::note(&format!("{} pages", pages.len()));
    Ok(Exit::Done.into())
}

/// All pages, that of tallyd first.
pub(super) fn pages() -> io::Result<Vec<Page>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = vec![page(&program)?];
    for command in program.get_subcommands() {
        pages.push(page(command)?);
        for inner in command.get_subcommands() {
            pages.push(page(inner)?);
        }
    }
    pages.push(("tallyd.toml.5".to_owned(), file::page()?));
    Ok(pages)
}

fn page(command: &Command) -> io::Result<Page> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section("1")
        .date(NO_DATE)
        .source(source())
        .manual("User Commands");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    for section in sections_of(command.get_name()) {
        write_section(section, &mut text)?;
    }
    write_environment(command, &mut text)?;
    write_exit_codes(&mut text)?;
    write_see_also(&name, &mut text)?;
    Ok((format!("{name}.1"), text))
}

/// The foot of every page.
fn source() -> String {
    format!("tallyd {}", env!("CARGO_PKG_VERSION"))
}

/// A section of terms and what they are, or of examples.
fn write_section(section: &Section, out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [section.heading]);
    for (term, words) in section.rows {
        if section.is_examples {
            roff.control("PP", []).text([roman(*words)]);
            roff.control("PP", []).control("RS", ["4"]).control("nf", []);
            roff.text([bold(*term)]);
            roff.control("fi", []).control("RE", []);
        } else {
            roff.control("TP", []).text([bold(*term)]).text([roman(*words)]);
        }
    }
    roff.to_writer(out)
}

fn write_environment(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let has = |name: &str| command.get_arguments().any(|arg| arg.get_id() == name);
    let mut rows: Vec<(String, String)> = Vec::new();
    if has("check-config") {
        rows.extend(OPTIONS.iter().map(|option| (option.variable(), format!("as --{}", option.name))));
        rows.push((CONFIG_VARIABLE.to_owned(), "as --config".to_owned()));
        let tokens = "access tokens themselves, as NAME:SCOPE+SCOPE:SECRET, several separated by semicolons";
        rows.push((TOKENS_VARIABLE.to_owned(), tokens.to_owned()));
        rows.push(("TZDIR".to_owned(), "the directory of the machine's time zones".to_owned()));
    }
    if has("token_file") {
        rows.push((CLIENT_TOKEN_VARIABLE.to_owned(), "the access token, where no flag gives one".to_owned()));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for (variable, words) in rows {
        roff.control("TP", []).text([bold(variable)]).text([roman(words)]);
    }
    roff.to_writer(out)
}

fn write_exit_codes(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (_, code, meaning) in EXITS {
        roff.control("TP", []).text([bold(code.to_string())]).text([roman(meaning)]);
    }
    roff.to_writer(out)
}

fn write_see_also(name: &str, out: &mut Vec<u8>) -> io::Result<()> {
    let mut pages: Vec<String> = vec!["tallyd.toml(5)".to_owned()];
    if name == "tallyd" {
        let commands = Cli::command()
            .get_subcommands()
            .map(|command| format!("tallyd-{}(1)", command.get_name()))
            .collect::<Vec<_>>();
        pages.splice(0..0, commands);
    } else {
        pages.insert(0, "tallyd(1)".to_owned());
    }
    let words = format!("{}. The sources have README.md and systemd/README.md.", pages.join(", "));
    Roff::new().control("SH", ["SEE ALSO"]).text([roman(words)]).to_writer(out)
}

#[cfg(test)]
mod tests;
