//! The configuration: from text of three origins to values that are in range. Everything is checked before
//! anything is reported, and everything is reported before anything is bound.
//!
//! INVARIANT: a [`Config`] listens where no other machine connects, or has tokens, and TLS unless plain text was asked for.

mod cluster;
mod listen;
pub mod options;
pub mod place;
mod raw;
mod tls;
mod tokens;
pub(crate) mod units;
mod variables;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{
    MAX_FUTURE_MAX, MEMORY_BESIDE_COUNTERS, MEMORY_FOR_TLS, MEMORY_LIMIT_MIN, RETRY_WINDOW_MAX,
    SNAPSHOT_INTERVAL_RANGE,
};
use crate::model::cells::Retention;
use crate::net::auth::Auth;
use crate::net::http::Origins;
use crate::net::listener::TlsIdentity;
use crate::platform::logging::{LogFilter, LogFormat};
use crate::platform::zoneinfo::DIRECTORY_VARIABLE;
use crate::store::Fsync;
pub use cluster::ClusterConfig;
use listen::ListenSetting;
pub use listen::{InheritedSockets, Listen};
use options::{Key, OPTIONS};
pub use raw::{Environment, Given};
use raw::{OptionValue, Raw};
pub use tls::TlsFiles;
pub use tokens::TokenSources;
pub use variables::CLIENT_TOKEN_VARIABLE;

/// One thing that is wrong with the configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigFault {
    place: String,
    what: String,
}

impl ConfigFault {
    fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }
}

/// Everything that is wrong with the configuration, one fault a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the configuration is wrong\n  {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))]
pub struct ConfigError {
    /// The faults, at least one.
    pub faults: Vec<ConfigFault>,
}

/// How much memory counters, names and stories may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryLimit {
    /// A share of what the machine or the control group has.
    Auto,
    /// That many bytes, at least [`MEMORY_LIMIT_MIN`].
    Bytes(u64),
}

impl MemoryLimit {
    fn parse(text: &str) -> Option<Self> {
        if text == "auto" {
            return Some(Self::Auto);
        }
        units::size(text).filter(|bytes| *bytes >= MEMORY_LIMIT_MIN).map(Self::Bytes)
    }

    /// The limit in bytes, given the memory of the machine or the control group. By default four fifths of it, less
    /// what is `beside` them; on a small machine a quarter.
    pub fn of_available(self, available: u64, beside: u64) -> u64 {
        match self {
            Self::Auto => (available / 5 * 4).saturating_sub(beside).max(available / 4).max(MEMORY_LIMIT_MIN),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The daemon's configuration; every value is in its range.
#[derive(Debug)]
pub struct Config {
    /// Where to listen for HTTP; `None` for not at all.
    pub http_listen: Option<Listen>,
    /// Where to listen for lines over TCP; `None` for not at all.
    pub tcp_listen: Option<Listen>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How often a snapshot is made, within [`SNAPSHOT_INTERVAL_RANGE`].
    pub snapshot_interval: Duration,
    /// What an acknowledged event survives.
    pub fsync: Fsync,
    /// How far ahead of the clock an event may be, up to [`MAX_FUTURE_MAX`].
    pub max_future: Duration,
    /// How long a batch without a key is recognised, up to [`RETRY_WINDOW_MAX`].
    pub retry_window: Duration,
    /// How long counts are kept; `None` for ever.
    pub retention: Option<Retention>,
    /// Most memory of counters, names and stories.
    pub memory_limit: MemoryLimit,
    /// The tokens as they were when the configuration was read.
    pub auth: Arc<Auth>,
    /// Where to read the tokens again.
    pub token_sources: TokenSources,
    /// The other origins whose pages may ask.
    pub origins: Arc<Origins>,
    /// The certificate of both ports as it was when the configuration was read; `None` where they speak no TLS.
    pub tls: Option<TlsIdentity>,
    /// Where to read it again.
    pub tls_files: Option<TlsFiles>,
    /// The log that is shared with others; `None` where this daemon is alone.
    pub cluster: Option<ClusterConfig>,
    /// The directory of time-zone files that the environment names.
    pub zone_dir: Option<PathBuf>,
    /// What is logged.
    pub log: LogFilter,
    /// How it is logged.
    pub log_format: LogFormat,
    /// What is no fault, but worth telling.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks the configuration. Blocks, while it reads files.
    ///
    /// # Errors
    /// Every fault of every origin.
    pub fn read(given: &Given, environment: Environment<'_>) -> Result<Self, ConfigError> {
        Self::read_with(InheritedSockets::default(), given, environment)
    }

    /// The same for a process that has listening sockets already, which stand for the addresses of the configuration.
    ///
    /// # Errors
    /// Every fault of every origin.
    pub fn read_with(
        inherited: InheritedSockets,
        given: &Given,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let raw = Raw::collect(given, environment, &mut faults);
        let mut warnings = variables::check(&given.variables, &mut faults);
        let mut check = Check { raw: &raw, faults: &mut faults };
        let http_address =
            check.value(Key::HttpListen, ListenSetting::parse).and_then(ListenSetting::address);
        let tcp_address = check.value(Key::TcpListen, ListenSetting::parse).and_then(ListenSetting::address);
        let (data_dir, tokens_file) = (check.value(Key::DataDir, path), check.value(Key::TokensFile, path));
        let (shortest, longest) = SNAPSHOT_INTERVAL_RANGE;
        let snapshot_interval =
            check.value(Key::SnapshotInterval, |text| duration_within(text, shortest, longest));
        let fsync = check.value(Key::Fsync, |text| Fsync::parse(text));
        let max_future = check.value(Key::MaxFuture, up_to(MAX_FUTURE_MAX));
        let retry_window = check.value(Key::RetryWindow, up_to(RETRY_WINDOW_MAX));
        let retention = retention(&mut check);
        let memory_limit = check.value(Key::MemoryLimit, MemoryLimit::parse);
        let origins = check.value(Key::CorsOrigin, Origins::parse);
        let (tls_cert, tls_key) = (check.value(Key::TlsCert, path), check.value(Key::TlsKey, path));
        let is_plaintext_allowed = check.value(Key::InsecurePlaintext, |text| text.parse::<bool>().ok());
        let cluster = cluster::check(&mut check, environment);
        let log = check.value(Key::Log, LogFilter::parse);
        let log_format = check.value(Key::LogFormat, LogFormat::parse);

        match data_dir.as_deref().map(place::check_for_writing) {
            Some(Ok(warning)) => warnings.extend(warning),
            Some(Err(wrong)) => {
                let origin = raw.get(Key::DataDir).map_or("--data-dir", |value| &value.origin);
                faults.push(ConfigFault::new(origin, wrong));
            }
            None => {}
        }
        let token_sources = TokenSources::find(tokens_file.as_deref(), environment, &mut faults);
        let auth = token_sources.load().unwrap_or_else(|more| {
            faults.extend(more);
            Auth::default()
        });
        let tls_files = TlsFiles::find(tls_cert, tls_key, &mut faults);
        let tls = tls_files.as_ref().and_then(|files| files.load().map_err(|fault| faults.push(fault)).ok());
        let [http_listen, tcp_listen] = inherited.instead_of([http_address, tcp_address], &mut faults);
        // Where the tokens or addresses are wrong themselves, what they would mean together is guesswork.
        if faults.is_empty() {
            let listeners = [(Key::HttpListen, http_listen.as_ref()), (Key::TcpListen, tcp_listen.as_ref())];
            let protection = Protection {
                has_tokens: !auth.is_open(),
                is_readable: tls.is_none() && is_plaintext_allowed != Some(true),
            };
            check_listeners(&raw, listeners, &protection, &mut faults);
        }
        let complete = (|| {
            Some(Self {
                http_listen,
                tcp_listen,
                data_dir: data_dir?,
                snapshot_interval: snapshot_interval?,
                fsync: fsync?,
                max_future: max_future?,
                retry_window: retry_window?,
                retention,
                memory_limit: memory_limit?,
                auth: Arc::new(auth),
                token_sources,
                origins: Arc::new(origins.unwrap_or_default()),
                tls,
                tls_files,
                cluster,
                zone_dir: environment(DIRECTORY_VARIABLE).map(PathBuf::from),
                log: log?,
                log_format: log_format?,
                warnings,
            })
        })();
        complete.filter(|_| faults.is_empty()).ok_or(ConfigError { faults })
    }

    /// Memory, in bytes, that all but counters, names and stories can take.
    pub fn memory_beside_counters(&self) -> u64 {
        MEMORY_BESIDE_COUNTERS + if self.tls.is_some() { MEMORY_FOR_TLS } else { 0 }
    }

    /// Whether other machines can connect, and whoever is on the way can read what they send.
    pub fn is_plaintext_public(&self) -> bool {
        self.is_public() && self.tls.is_none()
    }

    /// Whether a listener can be reached from other machines.
    pub fn is_public(&self) -> bool {
        [&self.http_listen, &self.tcp_listen].into_iter().flatten().any(|listen| listen.address().is_public())
    }
}

/// Parses the values and collects their faults.
struct Check<'a> {
    raw: &'a Raw,
    faults: &'a mut Vec<ConfigFault>,
}

impl Check<'_> {
    /// What the option's value means; `None` where there is no value or it is wrong.
    fn value<T>(&mut self, key: Key, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let OptionValue { text, origin } = self.raw.get(key)?;
        let parsed = parse(text);
        if parsed.is_none() {
            let takes = OPTIONS.iter().find(|option| option.key == key).map_or("", |option| option.takes);
            let range = range_of(key);
            let what = format!("takes {takes}{range}; got `{}`", text.escape_debug());
            self.faults.push(ConfigFault::new(origin, what));
        }
        parsed
    }
}

/// The range of an option, in the words of an error message.
fn range_of(key: Key) -> &'static str {
    match key {
        Key::SnapshotInterval => ", from 1s to 24h",
        Key::MaxFuture => ", up to 366d",
        Key::RetryWindow => ", up to 1h",
        Key::Retention => ", at least 1y, 3mo or 90d, at most 100y",
        Key::ClusterMaxLag => ", from 1s to 1h",
        Key::MemoryLimit => ", at least 64MiB",
        _ => "",
    }
}

/// How long counts are kept, which is for ever where they are shared.
fn retention(check: &mut Check<'_>) -> Option<Retention> {
    let retention = check.value(Key::Retention, units::span);
    if let (Some(_), Some(OptionValue { origin, .. })) =
        (check.raw.get(Key::Cluster), check.raw.get(Key::Retention))
    {
        let what = "cannot be given together with --cluster: daemons that share a log have the same counts, and drop none";
        check.faults.push(ConfigFault::new(origin, what));
    }
    retention
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| Path::new(text).to_owned())
}

fn duration_within(text: &str, shortest: Duration, longest: Duration) -> Option<Duration> {
    units::duration(text).filter(|duration| (shortest..=longest).contains(duration))
}

fn up_to(longest: Duration) -> impl Fn(&str) -> Option<Duration> {
    move |text| duration_within(text, Duration::ZERO, longest)
}

/// What stands between the listeners and other machines.
struct Protection {
    has_tokens: bool,
    /// There is no TLS, and nobody has asked for that.
    is_readable: bool,
}

/// Faults of the two listeners together, and with what protects them.
fn check_listeners(
    raw: &Raw,
    listeners: [(Key, Option<&Listen>); 2],
    protection: &Protection,
    faults: &mut Vec<ConfigFault>,
) {
    let origin = |key, listen: &Listen| match listen {
        Listen::At(_) => raw.get(key).map_or_else(String::new, |value| value.origin.clone()),
        Listen::Inherited(..) => listen::INHERITED_ORIGIN.to_owned(),
    };
    match listeners {
        [(key, None), (_, None)] => {
            let origin = raw.get(key).map_or_else(String::new, |value| value.origin.clone());
            faults.push(ConfigFault::new(origin, "both listeners are off, so there is nothing to do"));
        }
        [(_, Some(http)), (key, Some(tcp))] if http.is_same_place(tcp) => {
            let what = format!(
                "{} is where HTTP is listened for; the two need addresses of their own",
                tcp.address()
            );
            faults.push(ConfigFault::new(origin(key, tcp), what));
        }
        _ => {}
    }
    for (key, listen) in listeners {
        let Some(listen) = listen.filter(|listen| listen.address().is_public()) else { continue };
        let address = listen.address();
        if !protection.has_tokens {
            let what = format!(
                "{address} can be reached from other machines, and no access tokens are configured, so anybody \
                 could read and write; make a token with `tallyd token` and give --tokens-file, or listen on \
                 127.0.0.1"
            );
            faults.push(ConfigFault::new(origin(key, listen), what));
        }
        if protection.is_readable {
            let what = format!(
                "{address} can be reached from other machines without TLS, so whoever is on the way could read tokens \
                 and events; give --tls-cert and --tls-key, or listen on 127.0.0.1 or a unix: socket behind a proxy, \
                 or say --insecure-plaintext where the network itself is encrypted"
            );
            faults.push(ConfigFault::new(origin(key, listen), what));
        }
    }
}
