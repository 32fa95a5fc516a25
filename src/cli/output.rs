//! Standard output and standard error of the commands. Knows nothing of what is printed.

use std::io::{self, IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressDrawTarget};

/// Writes to standard output. A reader that has gone away (`| head`) is not an error.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    print_while_read(bytes).map(|_is_read| ())
}

/// The same; whether there still is a reader.
pub(crate) fn print_while_read(bytes: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

/// Writes a line to standard error, and ignores that it is closed.
pub(crate) fn note(line: &str) {
    if writeln!(io::stderr().lock(), "{line}").is_err() {}
}

/// A spinner on a terminal; hidden elsewhere.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    spinner.set_message(what);
    spinner
}
