//! The wiring: what happens when the daemon starts and when it stops, as two lists. The only file that knows
//! every room.
//!
//! INVARIANT: nothing is listened for before everything is recovered; nothing is closed before those who use it
//! have finished, or their deadline has passed and was logged.

pub mod config;
mod probe;
mod signals;
pub mod zones;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use crate::daemon::config::{Config, TokenSources};
use crate::limits::{
    BLOCKING_THREADS_MAX, FSYNC_INTERVAL, HTTP_DRAIN, HTTP_POLLS_PER_LOOK, RUNTIME_STOP, START_EXTENSION,
    STORE_CLOSE, STORE_CLOSE_HURRIED, TCP_CONNECTIONS_MAX, TCP_DRAIN, TCP_POLLS_PER_LOOK,
};
use crate::model::calendar::Zones;
use crate::net::auth::Auth;
use crate::net::metrics::Metrics;
use crate::net::{Services, http, tcp};
use crate::platform::clock::Clock;
use crate::platform::shutdown::{self, Trigger, Watch};
use crate::platform::systemd;
use crate::store::{CloseError, OpenError, Recovery, Store, StoreOptions};
use signals::{Signal, Signals};

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The machine gives no threads or signals.
    #[error("the daemon's threads cannot be started")]
    Runtime(#[source] io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("{address} cannot be listened on for {port}")]
    Bind {
        /// Which port: `HTTP` or `lines`.
        port: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A part of the daemon ended by itself.
    #[error(
        "{part} has ended by itself, which is a bug; acknowledged events are safe and a restart reads them"
    )]
    Ended {
        /// Which part.
        part: &'static str,
    },
    /// The store could not be closed as it should; what was acknowledged is in the journal.
    #[error("the data directory was not closed in order")]
    Close(#[from] CloseError),
}

/// The daemon, while it runs. Dropping it without [`stop`](Self::stop) is like the daemon's death: what was
/// acknowledged is safe, what was under way may not be.
#[derive(Debug)]
pub struct Running {
    runtimes: Runtimes,
    store: Store,
    trigger: Trigger,
    /// The listeners and the probe, each by its name in messages.
    parts: JoinSet<&'static str>,
    http: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    auth: Arc<Auth>,
    metrics: Arc<Metrics>,
    zones: Arc<Zones>,
    zone_dir: Option<PathBuf>,
    token_sources: TokenSources,
    is_public: bool,
}

/// What several parts of the daemon share.
struct Common {
    auth: Arc<Auth>,
    metrics: Arc<Metrics>,
    clock: Clock,
    zones: Arc<Zones>,
    max_future: Duration,
    watch: Watch,
}

/// Runs the daemon until a signal stops it or a part of it ends. Blocks. `ready` is called once, when everything is
/// up.
///
/// # Errors
/// [`AppError`].
pub fn run(config: Config, ready: impl FnOnce(&Running)) -> Result<(), AppError> {
    let mut running = assemble(config)?;
    let mut signals = running.listen_for_signals()?;
    running.announce();
    ready(&running);
    let ended = running.wait(&mut signals);
    if let Err(error) = &ended {
        error!(%error, "the daemon cannot go on");
    }
    running.finish(Some(signals)).and(ended)
}

/// Starts the daemon: recovers the data directory, listens, says that it is ready. Blocks until then.
///
/// # Errors
/// [`AppError`]; nothing is left running then.
pub fn start(config: Config) -> Result<Running, AppError> {
    let running = assemble(config)?;
    running.announce();
    Ok(running)
}

/// Everything up to being ready: lock and recover, bind, spawn.
fn assemble(config: Config) -> Result<Running, AppError> {
    let zones = zones::load(config.zone_dir.as_deref());
    info!(
        version = env!("CARGO_PKG_VERSION"),
        data_dir = %config.data_dir.display(),
        fsync = ?config.fsync,
        tokens = config.auth.token_count(),
        tzdata = %zones,
        "tallyd starts"
    );
    raise_descriptor_limit();
    let clock = Clock::system();
    let store = open_store(&config, &clock)?;
    let runtimes = Runtimes::build().map_err(AppError::Runtime)?;
    let http = bind(&runtimes.requests, "HTTP", config.http_listen)?;
    let tcp = bind(&runtimes.lines, "lines", config.tcp_listen)?;
    let (trigger, watch) = shutdown::channel();
    let metrics = Arc::new(Metrics::new());
    metrics.zones_loaded(&zones);
    let zones = Arc::new(Zones::new(zones));
    let mut running = Running {
        http: http.as_ref().map(|(_, address)| *address),
        tcp: tcp.as_ref().map(|(_, address)| *address),
        auth: Arc::clone(&config.auth),
        is_public: config.is_public(),
        parts: JoinSet::new(),
        runtimes,
        store,
        trigger,
        metrics: Arc::clone(&metrics),
        zones: Arc::clone(&zones),
        zone_dir: config.zone_dir,
        token_sources: config.token_sources,
    };
    let common = Common { auth: config.auth, metrics, clock, zones, max_future: config.max_future, watch };
    if let Some((listener, _)) = http {
        running.spawn_http(listener, &common);
    }
    if let Some((listener, _)) = tcp {
        running.spawn_tcp(listener, &common);
    }
    running.spawn_probe(&common);
    Ok(running)
}

impl Running {
    /// Where HTTP is listened for, with the real port.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where lines over TCP are listened for, with the real port.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Both addresses as `http=… tcp=…`, `off` for one that is not listened on.
    pub fn addresses(&self) -> String {
        let text =
            |address: Option<SocketAddr>| address.map_or("off".to_owned(), |address| address.to_string());
        format!("http={} tcp={}", text(self.http), text(self.tcp))
    }

    /// Blocks until SIGTERM or SIGINT. For a caller that has something to do beside the daemon; [`run`] is for all
    /// others.
    ///
    /// # Errors
    /// [`AppError::Ended`], where a part of the daemon ends by itself first; [`AppError::Runtime`].
    pub fn until_signal(&mut self) -> Result<(), AppError> {
        let mut signals = self.listen_for_signals()?;
        self.wait(&mut signals)
    }

    /// Stops the daemon: accepts nothing more, finishes what was read, makes a last snapshot. Blocks until all is
    /// done or its deadlines have passed.
    ///
    /// # Errors
    /// [`AppError::Close`].
    pub fn stop(self) -> Result<(), AppError> {
        self.finish(None)
    }

    fn spawn_http(&mut self, listener: TcpListener, common: &Common) {
        let serving =
            http::serve(listener, self.services(common), http::Limits::default(), common.watch.clone());
        spawn(&mut self.parts, &self.runtimes.requests, "the HTTP port", serving);
    }

    fn spawn_tcp(&mut self, listener: TcpListener, common: &Common) {
        let serving = tcp::serve(listener, self.services(common), TCP_CONNECTIONS_MAX, common.watch.clone());
        spawn(&mut self.parts, &self.runtimes.lines, "the line port", serving);
    }

    fn services(&self, common: &Common) -> Services {
        Services {
            write_handle: self.store.write_handle(),
            catalogue: Arc::clone(self.store.catalogue()),
            counters: Arc::clone(self.store.counters()),
            store_status: self.store.status(),
            auth: Arc::clone(&common.auth),
            metrics: Arc::clone(&common.metrics),
            clock: common.clock.clone(),
            zones: Arc::clone(&common.zones),
            max_future: common.max_future,
        }
    }

    /// The store's threads tell of a panic of theirs; the probe notices whatever they do not.
    fn spawn_probe(&mut self, common: &Common) {
        let failed = self.store.failed();
        let mut watch = common.watch.clone();
        let watching = async move {
            tokio::select! {
                () = failed => {}
                () = watch.stopping() => {}
            }
        };
        spawn(&mut self.parts, &self.runtimes.requests, "a thread of the store", watching);
        let probe = probe::Probe::new(
            self.store.write_handle(),
            Arc::clone(self.store.counters()),
            common.clock.clone(),
        );
        let probing = probe.run(systemd::watchdog(), common.watch.clone());
        spawn(&mut self.parts, &self.runtimes.requests, "the journal", probing);
    }

    fn listen_for_signals(&self) -> Result<Signals, AppError> {
        let _within = self.runtimes.requests.enter();
        Signals::listen().map_err(AppError::Runtime)
    }

    fn announce(&self) {
        let addresses = self.addresses();
        info!("listening {addresses}");
        systemd::ready(&format!("listening {addresses}"));
    }

    /// Waits until the daemon is to stop, and reads the tokens again where it is told to.
    fn wait(&mut self, signals: &mut Signals) -> Result<(), AppError> {
        let Self { runtimes, parts, auth, metrics, zones, zone_dir, token_sources, is_public, .. } = self;
        runtimes.requests.block_on(async {
            loop {
                tokio::select! {
                    signal = signals.next() => match signal {
                        Signal::Stop => return Ok(()),
                        Signal::Reload => {
                            reload_tokens(auth, token_sources, *is_public);
                            let database = zones::load(zone_dir.as_deref());
                            info!(tzdata = %database, "time zones read again");
                            metrics.zones_loaded(&database);
                            zones.replace(database);
                        }
                    },
                    Some(ended) = parts.join_next() => {
                        return Err(AppError::Ended { part: ended.unwrap_or("a listener") });
                    }
                }
            }
        })
    }

    /// The second list: stop accepting, finish sessions, close the store.
    fn finish(self, signals: Option<Signals>) -> Result<(), AppError> {
        let Self { runtimes, store, trigger, mut parts, .. } = self;
        info!("stopping: finishing what was read");
        let at_most = HTTP_DRAIN.max(TCP_DRAIN).saturating_add(STORE_CLOSE);
        systemd::stopping(at_most);
        trigger.fire();
        let patience = runtimes.requests.block_on(drain(&mut parts, signals));
        // What did not finish is cut off here, so that nothing holds a write handle any more.
        runtimes.requests.block_on(parts.shutdown());
        let closed = store.close(match &patience {
            Patience::Normal => STORE_CLOSE,
            Patience::Short => STORE_CLOSE_HURRIED,
        });
        runtimes.lines.shutdown_timeout(RUNTIME_STOP);
        runtimes.requests.shutdown_timeout(RUNTIME_STOP);
        match (closed, patience) {
            (Err(CloseError::Late { name }), Patience::Short) => {
                warn!(
                    thread = name,
                    "stopped in a hurry; a restart reads the journal instead of a last snapshot"
                );
            }
            (closed, _) => {
                closed?;
                info!("stopped");
            }
        }
        Ok(())
    }
}

/// How long the last steps may take.
enum Patience {
    Normal,
    /// A second signal came.
    Short,
}

/// Waits until the listeners have finished their sessions, or a second signal comes.
async fn drain(parts: &mut JoinSet<&'static str>, signals: Option<Signals>) -> Patience {
    let deadline = HTTP_DRAIN.max(TCP_DRAIN).saturating_add(RUNTIME_STOP);
    let again = async {
        match signals {
            Some(mut signals) => while signals.next().await != Signal::Stop {},
            None => std::future::pending().await,
        }
    };
    let patience = tokio::select! {
        drained = tokio::time::timeout(deadline, async { while parts.join_next().await.is_some() {} }) => {
            if drained.is_ok() {
                return Patience::Normal;
            }
            Patience::Normal
        }
        () = again => Patience::Short,
    };
    warn!(parts_left = parts.len(), "not everything had finished when the daemon stopped");
    patience
}

fn open_store(config: &Config, clock: &Clock) -> Result<Store, AppError> {
    let options = StoreOptions {
        data_dir: config.data_dir.clone(),
        fsync: config.fsync,
        fsync_interval: FSYNC_INTERVAL,
        snapshot_interval: config.snapshot_interval,
        clock: clock.clone(),
    };
    let mut told_last = None;
    let mut progress = || {
        let now = clock.monotonic();
        let is_due = told_last.is_none_or(|last: Duration| now.saturating_sub(last) > START_EXTENSION / 4);
        if is_due {
            told_last = Some(now);
            systemd::still_starting();
        }
    };
    progress();
    let (store, recovery) = Store::open(options, &mut progress)?;
    tell(&recovery, clock.monotonic());
    Ok(store)
}

fn tell(recovery: &Recovery, took: Duration) {
    for warning in &recovery.warnings {
        warn!("{warning}");
    }
    info!(
        snapshot = recovery.snapshot_generation,
        parts = recovery.parts,
        journal_segments = recovery.journal_segments,
        journal_records = recovery.journal_records,
        torn_bytes = recovery.torn_bytes,
        stories = recovery.stories,
        series = recovery.series,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "recovered"
    );
}

/// The threads that serve the ports: those of each port for themselves. A sender that is never done keeps a thread of
/// the line port busy for a millisecond at a time, and a report that waited for such threads would wait for many such
/// times; as it is, the system shares the cores out, and wakes first whoever used them least.
#[derive(Debug)]
struct Runtimes {
    /// HTTP, and all that is not a line connection.
    requests: Runtime,
    lines: Runtime,
}

impl Runtimes {
    fn build() -> io::Result<Self> {
        Ok(Self {
            requests: runtime("tallyd-http", HTTP_POLLS_PER_LOOK)?,
            lines: runtime("tallyd-lines", TCP_POLLS_PER_LOOK)?,
        })
    }
}

fn runtime(threads: &str, polls_per_look: u32) -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .event_interval(polls_per_look)
        .thread_name(threads)
        .enable_all()
        .build()
}

fn spawn(
    parts: &mut JoinSet<&'static str>,
    runtime: &Runtime,
    part: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let named = async move {
        work.await;
        part
    };
    parts.spawn_on(named, runtime.handle());
}

fn bind(
    runtime: &Runtime,
    port: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, AppError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |source| AppError::Bind { port, address, source };
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    Ok(Some((listener, real)))
}

/// Takes over the tokens as they are now. Faulty ones change nothing, and nor does an empty set where that would
/// open the daemon to everybody.
fn reload_tokens(auth: &Auth, sources: &TokenSources, is_public: bool) {
    match sources.load() {
        Ok(tokens) if tokens.is_open() && (is_public || !auth.is_open()) => {
            error!("no access tokens are configured any more; those from before stay");
        }
        Ok(tokens) => {
            auth.replace(&tokens);
            info!(tokens = auth.token_count(), "tokens read again");
        }
        Err(faults) => {
            for fault in faults {
                error!(%fault, "the tokens stay as they were");
            }
        }
    }
}

/// Every connection is a descriptor, and what is usually allowed at first is far fewer than may be had.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // A hardened unit may forbid it; the accept loops live with fewer.
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            debug!(%error, ?current, "the limit of open descriptors stays");
        }
    }
}
