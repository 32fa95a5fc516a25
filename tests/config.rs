//! The configuration as an operator meets it: origins, precedence, faults. Nothing is bound or started.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that goes wrong ends")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tallyd::daemon::config::options::{Key, OPTIONS};
use tallyd::daemon::config::{Config, ConfigError, Given, Listen};
use tallyd::net::http::Origins;
use tallyd::net::listener::ListenAddress;
use tallyd::platform::logging::LogFormat;
use tallyd::store::Fsync;

/// What a run of the program would find.
#[derive(Default)]
struct Setting {
    given: Given,
    environment: HashMap<String, OsString>,
    dir: Option<tempfile::TempDir>,
}

impl Setting {
    fn flag(mut self, key: Key, value: &str) -> Self {
        self.given.options.push((key, value.to_owned()));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.write("tallyd.toml", text);
        self.given.config = Some(path);
        self
    }

    fn write(&mut self, name: &str, text: &str) -> PathBuf {
        let dir = self.dir.get_or_insert_with(|| tempfile::tempdir().expect("a directory"));
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn read(&self) -> Result<Config, ConfigError> {
        Config::read(&self.given, &|name| self.environment.get(name).cloned())
    }

    fn good(&self) -> Config {
        self.read().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The faults, which must be as many as `expected`, each with the words that stand at its place.
    #[track_caller]
    fn check_faults(&self, expected: &[&[&str]]) {
        let Err(error) = self.read() else { panic!("there are faults in it") };
        let faults: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for words in expected {
            let is_told = faults.iter().any(|fault| words.iter().all(|word| fault.contains(word)));
            assert!(is_told, "{words:?} is not in {faults:#?}");
        }
    }
}

fn address(text: &str) -> ListenAddress {
    ListenAddress::Tcp(text.parse().expect("an address"))
}

fn listens_at(listen: Option<&Listen>) -> Option<ListenAddress> {
    listen.map(|listen| listen.address().clone())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Setting::default().good();
    assert_eq!(listens_at(config.http_listen.as_ref()), Some(address("127.0.0.1:8780")));
    assert_eq!(listens_at(config.tcp_listen.as_ref()), Some(address("127.0.0.1:8781")));
    assert_eq!(config.data_dir, Path::new("./tallyd-data"));
    assert_eq!(config.snapshot_interval, Duration::from_mins(1));
    assert_eq!(config.fsync, Fsync::Interval);
    assert_eq!(config.max_future, Duration::from_hours(1));
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!(config.log.as_str(), "info");
    assert!(config.auth.is_open());
    assert!(!config.is_public());
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let file = "fsync = 'never'\nmax-future = '10m'\nsnapshot-interval = 30\n";
    let setting =
        Setting::default().file(file).variable("TALLYD_FSYNC", "always").variable("TALLYD_MAX_FUTURE", "20m");
    let config = setting.flag(Key::MaxFuture, "30m").good();
    assert_eq!(config.max_future, Duration::from_mins(30));
    assert_eq!(config.fsync, Fsync::Always);
    assert_eq!(config.snapshot_interval, Duration::from_secs(30));
}

#[test]
fn an_empty_variable_counts_as_none() {
    let config = Setting::default().variable("TALLYD_FSYNC", "").good();
    assert_eq!(config.fsync, Fsync::Interval);
}

#[test]
fn a_file_may_be_named_by_a_variable() {
    let mut setting = Setting::default();
    let path = setting.write("other.toml", "fsync = 'always'");
    let config = setting.variable("TALLYD_CONFIG", path.to_str().expect("text")).good();
    assert_eq!(config.fsync, Fsync::Always);
}

#[test]
fn listeners_take_addresses_and_off() {
    let check = |text: &str, expected: Option<ListenAddress>| {
        let config = Setting::default().flag(Key::TcpListen, text).good();
        assert_eq!(listens_at(config.tcp_listen.as_ref()), expected, "{text}");
    };
    let socket = |path: &str, mode| Some(ListenAddress::Unix { path: path.into(), mode: Some(mode) });
    check("unix:/run/tallyd/http.sock", socket("/run/tallyd/http.sock", 0o660));
    check("unix:/run/tallyd/http.sock,mode=0600", socket("/run/tallyd/http.sock", 0o600));
    check("unix:/run/a,b,mode=666", socket("/run/a,b", 0o666));
    check("127.0.0.1:0", Some(address("127.0.0.1:0")));
    check("[::1]:9000", Some(address("[::1]:9000")));
    check("localhost:9000", Some(address("127.0.0.1:9000")));
    check("off", None);
    check("none", None);
}

#[test]
fn bad_values_are_refused_with_what_would_be_right() {
    let check = |key: Key, name: &str, values: &[&str], takes: &str| {
        for value in values {
            Setting::default().flag(key, value).check_faults(&[&[
                &format!("--{name}: "),
                takes,
                &format!("`{value}`"),
            ]]);
        }
    };
    check(
        Key::HttpListen,
        "http-listen",
        &[
            "",
            "8780",
            "127.0.0.1",
            "example.org:80",
            ":1",
            "unix:",
            "unix:http.sock",
            "unix:/",
            "unix:/run/s,mode=9",
            "unix:/run/s,mode=1777",
        ],
        "an address and a port",
    );
    check(
        Key::SnapshotInterval,
        "snapshot-interval",
        &["", "0", "999ms", "25h", "1w", "-1s"],
        "from 1s to 24h",
    );
    check(Key::MaxFuture, "max-future", &["367d", "soon"], "up to 366d");
    check(Key::Fsync, "fsync", &["", "Always", "sometimes"], "`always`, `interval` or `never`");
    check(Key::Log, "log", &["", "loud", "info,tallyd=loud", "info,", "=info", "a b=info"], "`error`");
    check(Key::LogFormat, "log-format", &["xml"], "`text` or `json`");
    check(Key::DataDir, "data-dir", &[""], "the path of a directory");
    check(
        Key::CorsOrigin,
        "cors-origin",
        &["", "*", "null", "https://a/", "https://a,b"],
        "scheme, host and port",
    );
}

#[test]
fn every_fault_is_told_in_one_run_with_its_place() {
    let setting = Setting::default()
        .file("fsync = 'sometimes'\nfrobnicate = 1\nmax_future = '1h'\nlog = true\n")
        .variable("TALLYD_SNAPSHOT_INTERVAL", "1w")
        .flag(Key::HttpListen, "nowhere");
    setting.check_faults(&[
        &["--http-listen", "`nowhere`"],
        &["TALLYD_SNAPSHOT_INTERVAL", "`1w`"],
        &["tallyd.toml, line 1, fsync", "`sometimes`"],
        &["tallyd.toml, line 2", "unknown key `frobnicate`", "max-future"],
        &["tallyd.toml, line 3", "unknown key `max_future`", "spelt `max-future`"],
        &["tallyd.toml, line 4", "`log` takes"],
    ]);
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    Setting::default().file("fsync = \nlog = 'info'").check_faults(&[&["tallyd.toml, line 1"]]);
    let mut setting = Setting::default();
    setting.given.config = Some(PathBuf::from("/nonexistent/tallyd.toml"));
    setting.check_faults(&[&["/nonexistent/tallyd.toml", "cannot be read"]]);
}

#[test]
fn origins_are_a_text_with_commas_or_a_list_of_the_file() {
    let expected = Origins::parse("https://a,http://b:8080").expect("origins");
    let read = |setting: Setting| (*setting.good().origins).clone();
    assert_eq!(read(Setting::default()), Origins::default());
    assert_eq!(read(Setting::default().flag(Key::CorsOrigin, "http://b:8080,https://a")), expected);
    assert_eq!(
        read(Setting::default().variable("TALLYD_CORS_ORIGIN", "https://a:443, http://b:8080")),
        expected
    );
    assert_eq!(read(Setting::default().file("cors-origin = ['https://a', 'http://b:8080']")), expected);
    assert_eq!(read(Setting::default().file("cors-origin = 'https://a,http://b:8080'")), expected);
    for text in ["[]", "['https://a', 1]", "['*']", "true"] {
        Setting::default()
            .file(&format!("cors-origin = {text}"))
            .check_faults(&[&["line 1", "scheme, host"]]);
    }
    Setting::default().file("fsync = ['never']").check_faults(&[&["line 1", "as a string"]]);
}

#[test]
fn listeners_must_have_something_to_do_and_places_of_their_own() {
    let both =
        |http: &str, tcp: &str| Setting::default().flag(Key::HttpListen, http).flag(Key::TcpListen, tcp);
    both("off", "off").check_faults(&[&["both listeners are off"]]);
    both("127.0.0.1:9000", "127.0.0.1:9000").check_faults(&[&["--tcp-listen", "addresses of their own"]]);
    both("unix:/run/s,mode=0600", "unix:/run/s").check_faults(&[&["--tcp-listen", "addresses of their own"]]);
    both("127.0.0.1:0", "127.0.0.1:0").good();
    assert!(!both("unix:/run/http.sock", "unix:/run/lines.sock").good().is_public());
}

#[test]
fn without_tokens_other_machines_are_refused() {
    let open =
        || Setting::default().flag(Key::HttpListen, "0.0.0.0:8780").flag(Key::TcpListen, "192.0.2.1:8781");
    open().flag(Key::InsecurePlaintext, "true").check_faults(&[
        &["--http-listen", "0.0.0.0:8780", "no access tokens"],
        &["--tcp-listen", "192.0.2.1:8781", "tallyd token"],
    ]);
    let with_tokens = || open().variable("TALLYD_TOKENS", "bots:write:0123456789abcdefghij");
    with_tokens().check_faults(&[
        &["--http-listen", "0.0.0.0:8780", "without TLS", "--tls-cert"],
        &["--tcp-listen", "192.0.2.1:8781", "--insecure-plaintext"],
    ]);
    let config = with_tokens().flag(Key::InsecurePlaintext, "true").good();
    assert!(config.is_public());
    assert!(!config.auth.is_open());
}

#[test]
fn tokens_come_from_file_credential_and_variable_together() {
    let entry = |name: &str, digit: char| {
        let digest = digit.to_string().repeat(64);
        format!("[[token]]\nname = \"{name}\"\nscopes = [\"read\"]\nsha256 = \"{digest}\"\n")
    };
    let mut setting = Setting::default();
    let file = setting.write("mine.toml", &entry("from-file", 'a'));
    let credential = setting.write("tokens", &entry("from-credential", 'b'));
    let directory = credential.parent().and_then(Path::to_str).expect("text").to_owned();
    let config = setting
        .flag(Key::TokensFile, file.to_str().expect("text"))
        .variable("CREDENTIALS_DIRECTORY", &directory)
        .variable("TALLYD_TOKENS", "bots:write:0123456789abcdefghij")
        .good();
    assert_eq!(config.auth.token_count(), 3);
    assert!(config.auth.check(Some("0123456789abcdefghij"), tallyd::net::auth::Scope::Write).is_ok());
}

#[test]
fn faulty_tokens_are_faults_of_the_configuration_and_are_not_shown() {
    let secret = "0123456789abcdefghij";
    let setting = Setting::default().variable("TALLYD_TOKENS", &format!("bots:fly:{secret}"));
    let Err(error) = setting.read() else { panic!("there is no such scope") };
    assert!(error.to_string().contains("TALLYD_TOKENS"), "{error}");
    assert!(!error.to_string().contains(secret), "{error}");
    Setting::default()
        .flag(Key::TokensFile, "/nonexistent/tokens.toml")
        .check_faults(&[&["/nonexistent/tokens.toml", "cannot be read"]]);
}

#[test]
fn a_credentials_directory_without_tokens_is_no_fault() {
    let dir = tempfile::tempdir().expect("a directory");
    let config =
        Setting::default().variable("CREDENTIALS_DIRECTORY", dir.path().to_str().expect("text")).good();
    assert!(config.auth.is_open());
}

#[test]
fn the_example_file_has_every_option_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/tallyd.example.toml");
    let text = std::fs::read_to_string(&path).expect("the example");
    for option in &OPTIONS {
        let line = option
            .default
            .map_or(format!("# {} = ", option.name), |default| format!("{} = {default:?}", option.name));
        assert!(text.lines().any(|found| found.starts_with(&line)), "{line} is missing");
    }
    let mut setting = Setting::default();
    setting.given.config = Some(path);
    let (example, default) = (setting.good(), Setting::default().good());
    assert_eq!(listens_at(example.http_listen.as_ref()), listens_at(default.http_listen.as_ref()));
    assert_eq!(listens_at(example.tcp_listen.as_ref()), listens_at(default.tcp_listen.as_ref()));
    assert_eq!(example.snapshot_interval, default.snapshot_interval);
    assert_eq!(example.fsync, default.fsync);
    assert_eq!(example.max_future, default.max_future);
    assert_eq!(example.log, default.log);
}

#[test]
fn the_file_of_the_package_has_every_option_that_the_unit_leaves_to_it_and_sets_none() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/debian/tallyd.toml");
    let text = std::fs::read_to_string(&path).expect("the file");
    for option in OPTIONS.iter().filter(|option| option.key != Key::DataDir) {
        let line = option
            .default
            .map_or(format!("# {} = ", option.name), |default| format!("# {} = {default:?}", option.name));
        assert!(text.lines().any(|found| found.starts_with(&line)), "{line} is missing");
    }
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    // Each line that shows an option is one, but for the paths, where nothing is yet.
    let names = |line: &&str| OPTIONS.iter().any(|option| line.starts_with(&format!("{} = ", option.name)));
    let set = text.lines().filter_map(|line| line.strip_prefix("# ")).filter(names);
    let is_built = |line: &&str| cfg!(feature = "cluster") || !line.starts_with("cluster = ");
    // It does not go together with a cluster.
    let set = set.filter(|line| !line.starts_with("retention = "));
    let set: Vec<&str> = set.filter(|line| !line.contains("/var/lib/tallyd/")).filter(is_built).collect();
    assert!(set.len() >= 10, "{set:?}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), set.join("\n")).expect("a file");
    let mut setting = Setting::default();
    setting.given.config = Some(file.path().to_path_buf());
    assert_eq!(setting.good().snapshot_interval, Setting::default().good().snapshot_interval);
}

#[test]
fn the_debug_form_of_a_configuration_shows_no_secret() {
    let secret = "0123456789abcdefghij";
    let config = Setting::default().variable("TALLYD_TOKENS", &format!("bots:write:{secret}")).good();
    assert!(!format!("{config:?}").contains(secret));
}

#[test]
fn words_of_options_have_no_gap_of_a_lost_line_end() {
    for option in &OPTIONS {
        for words in [option.help, option.takes] {
            assert!(!words.contains("  "), "--{}: {words}", option.name);
        }
    }
}

#[test]
fn retention_is_a_span_and_not_together_with_a_log() {
    use tallyd::model::cells::Retention;

    assert_eq!(Setting::default().good().retention, None);
    assert_eq!(Setting::default().flag(Key::Retention, "5y").good().retention, Some(Retention::Months(60)));
    let words =
        &["--retention", "years, months or days", "at least 1y, 3mo or 90d, at most 100y", "got `60s`"];
    Setting::default().flag(Key::Retention, "60s").check_faults(&[words]);
    let together =
        Setting::default().flag(Key::Retention, "400d").flag(Key::Cluster, "nats://127.0.0.1:4222");
    if cfg!(feature = "cluster") {
        together.check_faults(&[&["--retention", "cannot be given together with --cluster"]]);
    }
}
