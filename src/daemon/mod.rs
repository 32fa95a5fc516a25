//! The life of the daemon as two lists beside each other: [`start`] and [`Running::stop`]. The only part that knows
//! every room; each step is a file of its own.
//!
//! INVARIANT: no port is open before everything is recovered; nothing is closed before its users have finished, or
//! their deadline has passed and was logged.

pub mod config;
mod error;
mod memory;
mod node;
mod ports;
mod probe;
mod recovery;
mod reload;
mod retention;
pub mod runbook;
mod runtimes;
mod signals;
mod stop;
mod tasks;
mod watch;
pub mod zones;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::limits::STOP_MAX;
use crate::model::calendar::Zones;
use crate::net::Services;
use crate::net::condition::Conditions;
use crate::net::guessing::Guessing;
use crate::net::listener::{ListenAddress, Tls};
use crate::net::metrics::Metrics;
use crate::platform::clock::Clock;
use crate::platform::shutdown::{self, Trigger};
use crate::platform::{descriptors, systemd};
use crate::store::{CloseError, Store};
use config::Config;
pub use error::DaemonError;
use node::LogNode;
use ports::{Addresses, PortKind};
use probe::Probe;
use reload::Reload;
use retention::Dropping;
use runtimes::Runtimes;
use signals::{Signal, Signals};
use stop::Patience;
use tasks::Tasks;

/// The daemon, while it runs. Dropping it without [`stop`](Self::stop) is like the daemon's death: what was
/// acknowledged is safe, what was under way may not be.
#[derive(Debug)]
pub struct Running {
    runtimes: Runtimes,
    store: Store,
    addresses: Addresses,
    tasks: Tasks,
    node: LogNode,
    trigger: Trigger,
    reload: Reload,
    /// Those that end the daemon or have it read its files anew, once something listens for them.
    signals: Option<Signals>,
}

/// Runs the daemon until a signal stops it or a part of it ends. Blocks. `ready` is called once, when everything is
/// up.
///
/// # Errors
/// [`DaemonError`].
pub fn run(config: Config, ready: impl FnOnce(&Running)) -> Result<(), DaemonError> {
    let runtimes = Runtimes::build().map_err(DaemonError::Runtime)?;
    // A start may take long, and SIGHUP must not end it: it is heard once everything is up.
    let hang_ups = listen(&runtimes, signals::hang_ups)?;
    let mut running = assemble(config, runtimes)?;
    running.signals = Some(listen(&running.runtimes, || Signals::listen(hang_ups))?);
    running.announce();
    ready(&running);
    let ended = running.until_signal();
    if let Err(error) = &ended {
        error!(%error, runbook = "TallydRestarting", "the daemon cannot go on");
    }
    running.stop().and(ended)
}

/// Starts the daemon: recovers the data directory, listens, says that it is ready. Blocks until then.
///
/// # Errors
/// [`DaemonError`]; nothing is left running then.
pub fn start(config: Config) -> Result<Running, DaemonError> {
    let runtimes = Runtimes::build().map_err(DaemonError::Runtime)?;
    let running = assemble(config, runtimes)?;
    running.announce();
    Ok(running)
}

/// The first list: lock and recover, bind, spawn.
fn assemble(mut config: Config, runtimes: Runtimes) -> Result<Running, DaemonError> {
    let zones = zones::load(config.zone_dir.as_deref());
    info!(
        version = env!("CARGO_PKG_VERSION"),
        data_dir = %config.data_dir.display(),
        fsync = ?config.fsync,
        tokens = config.auth.token_count(),
        tzdata = %zones,
        "tallyd starts"
    );
    let descriptors = descriptors::raise_limit();
    let clock = Clock::system();
    let store = recovery::open(&config, &clock)?;
    let is_public = config.is_public();
    if config.is_plaintext_public() {
        warn!(
            runbook = "TLS",
            "other machines connect WITHOUT TLS: whoever is on the way can read tokens and events, and change them"
        );
    }
    let listens = [(PortKind::Http, config.http_listen.take()), (PortKind::Lines, config.tcp_listen.take())];
    let ports = ports::bind(listens, &runtimes)?;
    let addresses = ports::addresses(&ports);

    let metrics = Arc::new(Metrics::default());
    metrics.zones_loaded(&zones);
    let tls = config.tls.clone().map(|identity| Arc::new(Tls::new(identity)));
    if let Some(tls) = &tls {
        reload::log_expiry(tls.expires_in_days(clock.unix_seconds()));
    }
    let conditions = Arc::new(Conditions::new(clock.clone()));
    let (node, log) = LogNode::start(&config, &store, &runtimes, &clock).map_err(DaemonError::Runtime)?;
    let services = Services {
        log,
        write_handle: store.write_handle(),
        backups: store.backups(),
        catalogue: Arc::clone(store.catalogue()),
        counters: Arc::clone(store.counters()),
        memory: memory::ceiling(&config, &store),
        store_status: store.status(),
        conditions: Arc::clone(&conditions),
        auth: Arc::clone(&config.auth),
        guessing: Arc::new(Guessing::new(Arc::clone(&metrics), clock.clone())),
        origins: Arc::clone(&config.origins),
        tls,
        metrics,
        clock: clock.clone(),
        zones: Arc::new(Zones::new(zones)),
        max_future: config.max_future,
    };
    let dropping = Dropping {
        retention: config.retention,
        write_handle: store.write_handle(),
        counters: Arc::clone(store.counters()),
        clock: clock.clone(),
    };
    let reload = Reload::new(config, is_public, &services);

    let (trigger, watch) = shutdown::channel();
    let mut tasks = Tasks::new(watch);
    ports::serve(ports, &services, descriptors, &runtimes, &mut tasks);
    // The store's threads report a panic of theirs; the probe notices what they cannot report.
    tasks.spawn(&runtimes.requests, "a thread of the store", store_failure(&store, &tasks));
    let watching = watch::over(conditions, store.status(), tasks.watch());
    tasks.spawn(&runtimes.requests, "the watch over the parts", watching);
    tasks.spawn(&runtimes.requests, "the dropping of hours", dropping.run(tasks.watch()));
    let probe = Probe::new(store.write_handle(), Arc::clone(store.counters()), clock);
    tasks.spawn(&runtimes.requests, "the journal", probe.run(systemd::watchdog(), tasks.watch()));
    node.watch(&mut tasks, &runtimes);
    Ok(Running { runtimes, store, addresses, tasks, node, trigger, reload, signals: None })
}

impl Running {
    /// Blocks until SIGTERM or SIGINT; on SIGHUP does what [`Reload`] says.
    ///
    /// # Errors
    /// [`DaemonError::Ended`], where a part of the daemon ends by itself first; [`DaemonError::Runtime`].
    pub fn until_signal(&mut self) -> Result<(), DaemonError> {
        let mut signals = match self.signals.take() {
            Some(signals) => signals,
            None => listen(&self.runtimes, || Signals::listen(signals::hang_ups()?))?,
        };
        let outcome = loop {
            let next = self.runtimes.requests.block_on(async {
                tokio::select! {
                    signal = signals.next() => Ok(signal),
                    Some(part) = self.tasks.next_ended() => Err(DaemonError::Ended { part }),
                }
            });
            match next {
                Ok(Signal::Stop) => break Ok(()),
                Ok(Signal::Reload) => {
                    systemd::reloading();
                    self.reload.run();
                    systemd::ready(&self.status());
                }
                Err(ended) => break Err(ended),
            }
        };
        self.signals = Some(signals);
        outcome
    }

    /// The second list: accept nothing more, finish what was read, make a last snapshot. Blocks until all is done or
    /// its deadlines have passed, at most [`STOP_MAX`]; a second signal makes it hurry.
    ///
    /// # Errors
    /// [`DaemonError::Close`].
    pub fn stop(self) -> Result<(), DaemonError> {
        let Self { runtimes, store, mut tasks, node, trigger, signals, .. } = self;
        info!("stopping: finishing what was read");
        systemd::stopping(STOP_MAX);
        trigger.fire();
        let mut patience = Patience::new(signals);
        runtimes.requests.block_on(stop::drain(&mut tasks, &mut patience));
        runtimes.requests.block_on(node.stop());
        let closed = runtimes.requests.block_on(stop::close(store, &mut patience));
        runtimes.stop();
        match closed {
            Err(CloseError::Late { name }) if patience.is_over() => {
                warn!(
                    late = name,
                    "stopped in a hurry; a restart reads the journal instead of a last snapshot"
                );
            }
            closed => {
                closed?;
                info!("stopped");
            }
        }
        Ok(())
    }

    /// The address where HTTP is listened for, with the real port; `None` also for a socket of the file system.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_listener().and_then(ListenAddress::tcp)
    }

    /// The address where lines are listened for, likewise.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.line_listener().and_then(ListenAddress::tcp)
    }

    /// Where HTTP is listened for.
    pub fn http_listener(&self) -> Option<&ListenAddress> {
        self.address(PortKind::Http)
    }

    /// Where lines are listened for.
    pub fn line_listener(&self) -> Option<&ListenAddress> {
        self.address(PortKind::Lines)
    }

    fn address(&self, protocol: PortKind) -> Option<&ListenAddress> {
        self.addresses.iter().find(|(spoken, _)| *spoken == protocol).map(|(_, address)| address)
    }

    /// Tells log and service manager that everything is up.
    fn announce(&self) {
        let status = self.status();
        info!("{status}");
        systemd::ready(&status);
    }

    /// Both addresses, `off` for one that is not listened on.
    fn status(&self) -> String {
        let text = |address: Option<&ListenAddress>| address.map_or("off".to_owned(), ToString::to_string);
        format!("listening http={} tcp={}", text(self.http_listener()), text(self.line_listener()))
    }
}

/// Has signals handled, for which a runtime is needed.
fn listen<T>(runtimes: &Runtimes, listen: impl FnOnce() -> io::Result<T>) -> Result<T, DaemonError> {
    let _within = runtimes.requests.enter();
    listen().map_err(DaemonError::Runtime)
}

/// Ends when a thread of the store has failed, or the daemon stops.
fn store_failure(store: &Store, tasks: &Tasks) -> impl Future<Output = ()> + Send + 'static {
    let (failed, mut watch) = (store.failed(), tasks.watch());
    async move {
        tokio::select! {
            () = failed => {}
            () = watch.stopping() => {}
        }
    }
}
