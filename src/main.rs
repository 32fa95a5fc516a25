//! tallyd counts what chat bots do. The program is the library's command line and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    tallyd::cli::run(std::env::args_os())
}
