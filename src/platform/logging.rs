//! Log lines: for people, for the journal of systemd, or as JSON. Knows nothing of their content.
//!
//! INVARIANT: an event is one line: control characters of values are escaped.

use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people, and for the journal of systemd.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The format of that name; `None` if there is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The log filter in the syntax of `tracing`. INVARIANT: every directive is valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter of `level` or `part=level`, several separated by commas; `None` where a directive is neither.
    /// `tracing` itself takes a misspelt level for the name of a part, which would silence the log.
    pub fn parse(text: &str) -> Option<Self> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
        };
        let is_valid = text.split(',').all(|directive| match directive.split_once('=') {
            None => LEVELS.contains(&directive),
            Some((part, level)) => is_part(part) && LEVELS.contains(&level),
        });
        is_valid.then(|| Self(text.to_owned()))
    }

    /// The directives, separated by commas.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("the log filter is not understood")]
    Filter(#[from] ParseError),
    /// It was set up before.
    #[error("the log is set up already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Writes an event as one line of text, which begins with:
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prefix {
    /// Time and level, for people.
    Time,
    /// `<4>`: the priority as the journal of systemd takes it, which keeps the time itself.
    Priority,
}

/// Sends log lines to standard error from now on. Once per process. `environment` reads a variable, by which the
/// journal of systemd is recognised.
///
/// # Errors
/// [`LoggingError`].
pub fn init(
    filter: &LogFilter,
    format: LogFormat,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(), LoggingError> {
    let targets: Targets = filter.as_str().parse()?;
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => {
            tracing::subscriber::set_global_default(
                builder.json().flatten_event(true).finish().with(targets),
            )?;
        }
        LogFormat::Text => {
            let to_journal = environment("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
            let prefix = if to_journal { Prefix::Priority } else { Prefix::Time };
            tracing::subscriber::set_global_default(builder.event_format(prefix).finish().with(targets))?;
        }
    }
    Ok(())
}

impl<S, N> FormatEvent<S, N> for Prefix
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Prefix::Priority => write!(writer, "<{}>", priority(level))?,
            Prefix::Time => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " {level:>5} ")?;
            }
        }
        // Only what is below `info` needs its place in the code to be understood.
        if level > Level::INFO {
            write!(writer, "{}: ", event.metadata().target())?;
        }
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        for character in fields.chars() {
            if character.is_control() {
                write!(writer, "{}", character.escape_default())?;
            } else {
                writer.write_char(character)?;
            }
        }
        writeln!(writer)
    }
}

/// The level as syslog numbers it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(prefix: Prefix, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .event_format(prefix)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().expect("one thread").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn filter_takes_each_level_for_all_parts_or_for_one() {
        for level in ["off", "error", "warn", "info", "debug", "trace"] {
            let filter = LogFilter::parse(level).expect(level);
            assert!(filter.as_str().parse::<Targets>().is_ok(), "{level}");
        }
        let filter = LogFilter::parse("warn,tallyd::net=debug").expect("a filter");
        let targets: Targets = filter.as_str().parse().expect("targets");
        assert!(targets.would_enable("tallyd::net::tcp", &Level::DEBUG));
        assert!(targets.would_enable("tallyd::store", &Level::WARN));
        assert!(!targets.would_enable("tallyd::store", &Level::INFO));
    }

    #[test]
    fn lines_for_the_journal_have_a_priority_and_no_time() {
        let line = logged(Prefix::Priority, || tracing::warn!(left = 3, "not finished"));
        assert_eq!(line, "<4>not finished left=3\n");
        let line = logged(Prefix::Priority, || tracing::info!(http = %"127.0.0.1:80", "listening"));
        assert_eq!(line, "<6>listening http=127.0.0.1:80\n");
    }

    #[test]
    fn lines_for_people_have_time_and_level() {
        let line = logged(Prefix::Time, || tracing::error!("broken"));
        assert!(line.ends_with("Z ERROR broken\n"), "{line}");
    }

    #[test]
    fn values_from_outside_cannot_make_lines_or_move_the_cursor() {
        let name = "a\nERROR forged\r\u{1b}[2J\u{9b}31m";
        let line = logged(Prefix::Priority, || tracing::info!(%name, "story"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.trim_end().chars().all(|character| !character.is_control()), "{line:?}");
    }
}
