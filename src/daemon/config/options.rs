//! The one table of the daemon's options: flags, variables, keys of the file, `--help` and their defaults are
//! all read from here. Knows nothing of what the values mean.
//!
//! INVARIANT: an option has one name. `max-future` is the flag `--max-future`, the variable `TALLYD_MAX_FUTURE`
//! and the key `max-future` of the file.

/// Names one option; a position in [`OPTIONS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the row of each says what it is for")]
pub enum Key {
    HttpListen,
    TcpListen,
    DataDir,
    SnapshotInterval,
    Fsync,
    MaxFuture,
    RetryWindow,
    Retention,
    MemoryLimit,
    TokensFile,
    CorsOrigin,
    TlsCert,
    TlsKey,
    InsecurePlaintext,
    Cluster,
    ClusterName,
    ClusterRole,
    ClusterCredentials,
    ClusterSeed,
    ClusterMaxLag,
    Log,
    LogFormat,
}

/// One option of the daemon.
#[derive(Debug)]
pub struct OptionSpec {
    /// Which one.
    pub key: Key,
    /// Its name as a flag without the dashes, and as a key of the file.
    pub name: &'static str,
    /// What stands for its value in `--help`.
    pub value_name: &'static str,
    /// The value where none is given; `None` where that means "none".
    pub default: Option<&'static str>,
    /// What it takes, in the words of an error message.
    pub takes: &'static str,
    /// What it is for, in one sentence.
    pub help: &'static str,
}

impl OptionSpec {
    /// Whether it may be given repeatedly, and as a list in the file. The values are then joined by commas.
    pub fn is_list(&self) -> bool {
        matches!(self.key, Key::CorsOrigin | Key::Cluster)
    }

    /// Whether the flag may stand without a value, which then is `true`.
    pub fn is_switch(&self) -> bool {
        self.key == Key::InsecurePlaintext
    }

    /// The environment variable of the option.
    pub fn variable(&self) -> String {
        format!("TALLYD_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

/// The environment variable that names the configuration file, as `--config` does.
pub const CONFIG_VARIABLE: &str = "TALLYD_CONFIG";
/// The environment variable that holds tokens themselves; see `auth`.
pub const TOKENS_VARIABLE: &str = "TALLYD_TOKENS";

const ADDRESS: &str = "an address and a port such as 127.0.0.1:8780 or [::1]:8780 (port 0 takes a free one), a socket such as \
     unix:/run/tallyd/http.sock or unix:/run/tallyd/http.sock,mode=0660, or `off`";
const DURATION: &str = "a whole number and a unit such as 500ms, 60s, 5m or 1h; without a unit it is seconds";

/// Every option, in the order of [`Key`] and of `--help`.
pub const OPTIONS: [OptionSpec; 22] = [
    OptionSpec {
        key: Key::HttpListen,
        name: "http-listen",
        value_name: "ADDRESS",
        default: Some("127.0.0.1:8780"),
        takes: ADDRESS,
        help: "Where to listen for HTTP: an address and a port, `unix:PATH[,mode=MODE]` for a socket of the file \
               system, or `off` for not at all; a socket named `http` from the service manager goes before it",
    },
    OptionSpec {
        key: Key::TcpListen,
        name: "tcp-listen",
        value_name: "ADDRESS",
        default: Some("127.0.0.1:8781"),
        takes: ADDRESS,
        help: "Where to listen for lines of events, in the same forms; the service manager's socket is named `lines`",
    },
    OptionSpec {
        key: Key::DataDir,
        name: "data-dir",
        value_name: "DIR",
        default: Some("./tallyd-data"),
        takes: "the path of a directory; it is made where it does not exist",
        help: "Where journal and snapshots are kept",
    },
    OptionSpec {
        key: Key::SnapshotInterval,
        name: "snapshot-interval",
        value_name: "DURATION",
        default: Some("60s"),
        takes: DURATION,
        help: "How often a snapshot is made, 1s to 24h; a restart replays the journal since the last one",
    },
    OptionSpec {
        key: Key::Fsync,
        name: "fsync",
        value_name: "WHEN",
        default: Some("interval"),
        takes: "`always`, `interval` or `never`",
        help: "What an acknowledged event survives: power loss (always), the daemon's death and power loss but \
               for the last second (interval), the daemon's death (never)",
    },
    OptionSpec {
        key: Key::MaxFuture,
        name: "max-future",
        value_name: "DURATION",
        default: Some("1h"),
        takes: DURATION,
        help: "How far ahead of this machine's clock an event may be, 0s to 366d",
    },
    OptionSpec {
        key: Key::RetryWindow,
        name: "retry-window",
        value_name: "DURATION",
        default: Some("10m"),
        takes: DURATION,
        help: "How long the InfluxDB routes recognise a batch without a key that is sent again, 0s (not at all) to 1h",
    },
    OptionSpec {
        key: Key::Retention,
        name: "retention",
        value_name: "SPAN",
        default: None,
        takes: "a whole number of years, months or days such as 5y, 18mo or 400d",
        help: "How long counts are kept, at least 1y, 3mo or 90d, at most 100y: whole months (UTC) before that are dropped, for \
               good; without it nothing is. Not together with --cluster",
    },
    OptionSpec {
        key: Key::MemoryLimit,
        name: "memory-limit",
        value_name: "SIZE",
        default: Some("auto"),
        takes: "a whole number and a unit such as 512MiB or 8GiB, or `auto`",
        help: "Memory of counters, names and stories past which new counters are refused while known ones go on, at \
               least 64MiB; `auto` for 80 % of the machine's or the control group's memory, less 2.25 GiB, but at \
               least a quarter of it",
    },
    OptionSpec {
        key: Key::TokensFile,
        name: "tokens-file",
        value_name: "FILE",
        default: None,
        takes: "the path of a file of access tokens, as `tallyd token` prints them",
        help: "The access tokens, read again on SIGHUP; without any, no other machine can connect",
    },
    OptionSpec {
        key: Key::CorsOrigin,
        name: "cors-origin",
        value_name: "ORIGINS",
        default: None,
        takes: "origins as browsers send them, such as https://board.example.org, separated by commas: scheme, host \
                and port, without a path; `*` and `null` are none",
        help: "Other origins whose pages may ask over HTTP, separated by commas or given repeatedly",
    },
    OptionSpec {
        key: Key::TlsCert,
        name: "tls-cert",
        value_name: "FILE",
        default: None,
        takes: "the path of a PEM file: the certificate, then those that lead to its authority",
        help: "The certificate of both ports, which then speak TLS 1.3 and 1.2, read again on SIGHUP; sockets of the \
               file system stay as they are",
    },
    OptionSpec {
        key: Key::TlsKey,
        name: "tls-key",
        value_name: "FILE",
        default: None,
        takes: "the path of a PEM file: the private key of the certificate",
        help: "The private key of the certificate, read again with it",
    },
    OptionSpec {
        key: Key::InsecurePlaintext,
        name: "insecure-plaintext",
        value_name: "BOOL",
        default: Some("false"),
        takes: "`true` or `false`",
        help: "Let other machines connect without TLS, so that whoever is on the way can read tokens and events; for a \
               network that is encrypted otherwise",
    },
    OptionSpec {
        key: Key::Cluster,
        name: "cluster",
        value_name: "URLS",
        default: None,
        takes: "servers of a log such as nats://a:4222 or tls://b:4222, separated by commas, without a user in them",
        help: "Servers of NATS JetStream whose log this daemon shares with others, so that all count the same; repeat it \
               or use commas. `tallyd cluster init` makes the log",
    },
    OptionSpec {
        key: Key::ClusterName,
        name: "cluster-name",
        value_name: "NAME",
        default: Some("tallyd"),
        takes: "up to 64 letters, digits, - and _",
        help: "The name of that log",
    },
    OptionSpec {
        key: Key::ClusterRole,
        name: "cluster-role",
        value_name: "ROLE",
        default: Some("all"),
        takes: "`all`, `ingest` or `query`",
        help: "What the ports are open for: events and reports (all), events (ingest), reports (query). Behind them each daemon has all",
    },
    OptionSpec {
        key: Key::ClusterCredentials,
        name: "cluster-credentials",
        value_name: "FILE",
        default: None,
        takes: "the path of a file: one line, `user:password`, or NATS credentials, a user's JWT and seed",
        help: "By what the servers of the log know this daemon, read anew for each connection: one line, `user:password`, or NATS \
               credentials (a user's JWT and seed); also the systemd credential `cluster`",
    },
    OptionSpec {
        key: Key::ClusterSeed,
        name: "cluster-seed",
        value_name: "URL",
        default: None,
        takes: "where another daemon listens for HTTP: http://HOST:PORT or https://HOST:PORT",
        help: "A daemon that shares the log, from which an empty data directory copies its first snapshot, with the token of \
               TALLYD_TOKEN (scope admin); one that is not empty goes on from what it has",
    },
    OptionSpec {
        key: Key::ClusterMaxLag,
        name: "cluster-max-lag",
        value_name: "DURATION",
        default: Some("10s"),
        takes: DURATION,
        help: "How far behind the log this daemon may be and still answer `/ready` with 200, 1s to 1h; reports go on",
    },
    OptionSpec {
        key: Key::Log,
        name: "log",
        value_name: "FILTER",
        default: Some("info"),
        takes: "`error`, `warn`, `info`, `debug` or `trace`, also by part: `warn,tallyd::net::tcp=debug`",
        help: "What is logged to standard error",
    },
    OptionSpec {
        key: Key::LogFormat,
        name: "log-format",
        value_name: "FORMAT",
        default: Some("text"),
        takes: "`text` or `json`",
        help: "How it is logged",
    },
];

/// The option of that name.
pub fn by_name(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.name == name)
}
