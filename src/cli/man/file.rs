//! The page of the configuration file, tallyd.toml(5), from the table of the daemon's options.

use std::io;

use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{NO_DATE, source};
use crate::daemon::config::options::{CONFIG_VARIABLE, OPTIONS};

const DESCRIPTION: &str = "tallyd reads one TOML file, which --config or the variable TALLYD_CONFIG names. A key is the name of a flag: \
     max-future is the flag --max-future and the variable TALLYD_MAX_FUTURE. A flag wins over a variable, a variable over the file. Every \
     fault is reported at once, with its line, before anything is bound or opened; tallyd serve --check-config FILE only does that. A \
     change takes effect with the next start; the files that tokens-file, tls-cert and tls-key name are read again on SIGHUP.";

const TOKENS: &str = "The file that tokens-file names has a table for each token, as tallyd-token(1) prints it: its name, its scopes (read, \
     write, admin), the SHA-256 of its secret, and, where it is limited to some stories, their ids.";

const TOKENS_EXAMPLE: [&str; 5] = [
    "[[token]]",
    "name = \"bakery\"",
    "scopes = [\"read\"]",
    "stories = [\"5b07ffafc2376e30306d9b16\"]",
    "sha256 = \"…64 digits…\"",
];

const EXAMPLE: [&str; 4] = [
    "data-dir = \"/srv/tallyd\"",
    "fsync = \"always\"",
    "tokens-file = \"/etc/tallyd/tokens.toml\"",
    "cors-origin = [\"https://board.example.org\"]",
];

/// The page.
pub(super) fn page() -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", ["TALLYD.TOML", "5", NO_DATE, &source(), "File Formats"]);
    roff.control("SH", ["NAME"]).text([roman("tallyd.toml - configuration of tallyd")]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(DESCRIPTION)]);
    roff.control("SH", ["KEYS"]);
    for option in &OPTIONS {
        let default = option.default.map_or_else(|| "none".to_owned(), |default| format!("{default:?}"));
        roff.control("TP", []).text([bold(option.name), roman(" = "), italic(option.value_name)]);
        roff.text([roman(format!("{}.", option.help))]);
        let list = if option.is_list() { ", or a list of strings" } else { "" };
        roff.control("RS", []).control("PP", []);
        roff.text([roman(format!("Takes {}{list}. Default: {default}.", option.takes))]).control("RE", []);
    }
    roff.control("SH", ["TOKENS"]).text([roman(TOKENS)]);
    example(&mut roff, &TOKENS_EXAMPLE);
    roff.control("SH", ["EXAMPLE"]);
    example(&mut roff, &EXAMPLE);
    roff.control("SH", ["ENVIRONMENT"]);
    roff.control("TP", []).text([bold(CONFIG_VARIABLE)]).text([roman("the file, where --config names none")]);
    roff.control("SH", ["FILES"]);
    let installed =
        "The file of the service under systemd, which hands it over, so that it may belong to root alone.";
    roff.control("TP", []).text([bold("/etc/tallyd/tallyd.toml")]).text([roman(installed)]);
    roff.control("SH", ["SEE ALSO"]).text([roman("tallyd(1), tallyd-serve(1), tallyd-token(1)")]);
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}

fn example(roff: &mut Roff, lines: &[&str]) {
    roff.control("PP", []).control("RS", ["4"]).control("nf", []);
    for line in lines {
        roff.text([roman(*line)]);
    }
    roff.control("fi", []).control("RE", []);
}
