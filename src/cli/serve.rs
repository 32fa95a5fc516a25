//! `tallyd serve`: the flags of the daemon, made from the table of its options, and the way to `daemon`.
//! Knows nothing of what the values mean.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use tracing::warn;

use super::{Exit, complain, output, seed};
use crate::daemon::config::options::{CONFIG_VARIABLE, OPTIONS, TOKENS_VARIABLE};
use crate::daemon::config::{Config, Given, InheritedSockets};
use crate::daemon::{self, Running, runbook};
use crate::platform::{inherited, logging};

/// What the command line says about the daemon. Values are still text: they are checked together with those of
/// the environment and the file, so that every fault is reported in one run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ServeArgs {
    pub(crate) given: Given,
    pub(crate) check_config: bool,
}

impl clap::FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for option in &OPTIONS {
            if let Some(values) = matches.get_many::<String>(option.name) {
                let values: Vec<&str> = values.map(String::as_str).collect();
                self.given.options.retain(|(key, _)| *key != option.key);
                self.given.options.push((option.key, values.join(",")));
            }
        }
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            self.given.config = Some(path.clone());
        }
        self.check_config |= matches.contains_id("check-config");
        if let Some(path) = matches.get_one::<PathBuf>("check-config") {
            if let Some(other) = self.given.config.as_ref().filter(|other| *other != path) {
                let text = format!(
                    "--check-config names {} and --config {}; one file is read\n",
                    path.display(),
                    other.display()
                );
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
            }
            self.given.config = Some(path.clone());
        }
        Ok(())
    }
}

impl clap::Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let mut command = command;
        for option in &OPTIONS {
            let default = option.default.map_or(String::new(), |default| format!(" [default: {default}]"));
            let help = format!("{}{default} [env: {}]", option.help, option.variable());
            let action = if option.is_list() { ArgAction::Append } else { ArgAction::Set };
            let mut arg = Arg::new(option.name).long(option.name).value_name(option.value_name);
            arg = match option.value_name {
                "FILE" => arg.value_hint(ValueHint::FilePath),
                "DIR" => arg.value_hint(ValueHint::DirPath),
                _ => arg,
            };
            if option.is_switch() {
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
            command = command.arg(arg.help(help).action(action));
        }
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "A TOML file with any of the options above, by the same names; a flag wins over a variable, a \
                 variable over the file [env: {CONFIG_VARIABLE}]"
            ));
        let check = Arg::new("check-config")
            .long("check-config")
            .value_name("FILE")
            .num_args(0..=1)
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "Report every fault of the configuration, all other flags included, and stop; FILE as by --config. Tokens may also \
                 come from the variable {TOKENS_VARIABLE} and from the systemd credential `tokens`"
            ));
        command.arg(config).arg(check)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Runs the daemon until a signal stops it. Blocks.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let environment = |name: &str| std::env::var_os(name);
    let inherited = InheritedSockets::new(inherited::take());
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let given = Given { variables: names.collect(), ..args.given.clone() };
    let config = Config::read_with(inherited, &given, &environment)?;
    if args.check_config {
        for warning in &config.warnings {
            output::note(&format!("warning: {warning}"));
        }
        output::note("the configuration is good");
        return Ok(Exit::Done.into());
    }
    logging::init(&config.log, config.log_format, runbook::section, &environment)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    if let Some(why) = seed::fill(&config)? {
        complain(&why);
        return Ok(Exit::TryLater.into());
    }
    daemon::run(config, greet)?;
    Ok(Exit::Done.into())
}

/// Tells a person at a terminal how to go on. The log has the same facts in its own form.
fn greet(running: &Running) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    output::note(&format!("tallyd {} is ready; stop it with Ctrl-C", env!("CARGO_PKG_VERSION")));
    if let Some(address) = running.http_listener() {
        let scheme = if address.tcp().is_some() { "http://" } else { "" };
        output::note(&format!(
            "  page:  {scheme}{address}  (for a browser; POST /events, GET /reports/…, GET /health)"
        ));
    }
    if let Some(address) = running.line_listener() {
        output::note(&format!("  lines: {address}  (line protocol or NDJSON)"));
    }
}
