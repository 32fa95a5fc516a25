//! Log lines: for people, for the journal of systemd, or as JSON. Knows nothing of their content.
//!
//! INVARIANT: an event is one line: control characters of values are escaped. A place in the code that logs errors or warnings
//! without end has [`LOG_LINES_ALIKE_MAX`](crate::limits::LOG_LINES_ALIKE_MAX) lines in [`LOG_PACE`](crate::limits::LOG_PACE),
//! and the next one says how many were left out.

mod pace;

use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal as _;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::platform::clock::Clock;
use pace::Pace;

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

/// The section of the runbook that a line is about, where it does not name one itself.
pub type Section = fn(&Metadata<'_>) -> Option<&'static str>;

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
    section: Section,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(), LoggingError> {
    let targets: Targets = filter.as_str().parse()?;
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    let pace = Pace::new(Clock::system());
    match format {
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            let builder = builder.map_event_format(|json| Lines { form: json, section, pace });
            tracing::subscriber::set_global_default(builder.finish().with(targets))?;
        }
        LogFormat::Text => {
            let to_journal = environment("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
            let form = if to_journal { Prefix::Priority } else { Prefix::Time };
            let builder = builder.event_format(Lines { form, section, pace });
            tracing::subscriber::set_global_default(builder.finish().with(targets))?;
        }
    }
    Ok(())
}

/// Writes the lines that the pace lets pass, each with the section of the runbook that it is about.
struct Lines<F> {
    form: F,
    section: Section,
    pace: Pace,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN {
            return self.form.format_event(context, writer, event);
        }
        let Some(not_shown) = self.pace.admit(metadata.callsite()) else { return Ok(()) };
        let mut line = String::new();
        self.form.format_event(context, Writer::new(&mut line), event)?;
        let names_one = metadata.fields().field("runbook").is_some();
        let section = if names_one { None } else { (self.section)(metadata) };
        let line = line.trim_end_matches('\n');
        // A line of JSON is an object: what is added belongs before its end.
        let (line, [before, between, end]) = match line.strip_suffix('}').filter(|_| line.starts_with('{')) {
            Some(line) => (line, [",\"", "\":", "}"]),
            None => (line, [" ", "=", ""]),
        };
        write!(writer, "{line}")?;
        if let Some(section) = section {
            write!(writer, "{before}runbook{between}{section:?}")?;
        }
        if not_shown > 0 {
            write!(writer, "{before}not_shown{between}{not_shown}")?;
        }
        writeln!(writer, "{end}")
    }
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
    use crate::limits::{LOG_LINES_ALIKE_MAX, LOG_PACE};
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

    fn section(metadata: &Metadata<'_>) -> Option<&'static str> {
        (*metadata.level() == Level::ERROR).then_some("A full disk")
    }

    fn logged(prefix: Prefix, log: impl FnOnce()) -> String {
        logged_at(Clock::manual(0), prefix, log)
    }

    fn logged_at(clock: Clock, prefix: Prefix, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .event_format(Lines { form: prefix, section, pace: Pace::new(clock) })
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
        assert!(line.ends_with("Z ERROR broken runbook=\"A full disk\"\n"), "{line}");
    }

    #[test]
    fn a_line_that_names_its_section_keeps_it() {
        let line = logged(Prefix::Priority, || tracing::error!(runbook = "TLS", "expired"));
        assert_eq!(line, "<3>expired runbook=\"TLS\"\n");
    }

    #[test]
    fn json_has_the_section_as_a_member() {
        let sink = Sink::default();
        let writer = sink.clone();
        let builder =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).json().flatten_event(true);
        let pace = Pace::new(Clock::manual(0));
        let builder = builder.map_event_format(|json| Lines { form: json, section, pace });
        tracing::subscriber::with_default(builder.finish(), || {
            tracing::error!(left = 3, "broken");
            tracing::info!("whole");
        });
        let bytes = sink.0.lock().expect("one thread").clone();
        let lines: Vec<serde_json::Value> =
            bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        assert_eq!(lines.len(), 2, "{}", String::from_utf8_lossy(&bytes));
        let member = |line: usize, name: &str| lines.get(line).and_then(|line| line.get(name).cloned());
        assert_eq!(member(0, "runbook"), Some("A full disk".into()));
        assert_eq!(member(0, "left"), Some(3.into()));
        assert_eq!(member(1, "runbook"), None);
    }

    #[test]
    fn a_place_that_warns_without_end_is_held_back_and_others_are_not() {
        let clock = Clock::manual(0);
        let lines = logged_at(clock.clone(), Prefix::Priority, || {
            let noise = || tracing::warn!("noise");
            (0..LOG_LINES_ALIKE_MAX + 7).for_each(|_| noise());
            tracing::warn!("news");
            (0..LOG_LINES_ALIKE_MAX + 7).for_each(|_| tracing::info!("told"));
            clock.advance(LOG_PACE);
            noise();
            noise();
        });
        let count = |line: &str| u32::try_from(lines.lines().filter(|found| *found == line).count()).ok();
        assert_eq!(count("<4>noise"), Some(LOG_LINES_ALIKE_MAX + 1), "{lines}");
        assert_eq!(count("<4>noise not_shown=7"), Some(1), "{lines}");
        assert_eq!((count("<4>news"), count("<6>told")), (Some(1), Some(LOG_LINES_ALIKE_MAX + 7)), "{lines}");
    }

    #[test]
    fn values_from_outside_cannot_make_lines_or_move_the_cursor() {
        let name = "a\nERROR forged\r\u{1b}[2J\u{9b}31m";
        let line = logged(Prefix::Priority, || tracing::info!(%name, "story"));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.trim_end().chars().all(|character| !character.is_control()), "{line:?}");
    }
}
