//! What SIGHUP reads anew: access tokens, the certificate and time zones. Faults change nothing and are logged.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::config::{Config, TlsFiles, TokenSources};
use super::zones;
use crate::limits::TLS_EXPIRY_WARNING_DAYS;
use crate::model::calendar::Zones;
use crate::net::Services;
use crate::net::auth::Auth;
use crate::net::listener::Tls;
use crate::net::metrics::Metrics;
use crate::platform::clock::Clock;

/// Where to read, and what to replace.
#[derive(Debug)]
pub(super) struct Reload {
    auth: Arc<Auth>,
    token_sources: TokenSources,
    is_public: bool,
    tls: Option<(TlsFiles, Arc<Tls>)>,
    zones: Arc<Zones>,
    zone_dir: Option<PathBuf>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Reload {
    /// Replaces what the services use.
    pub(super) fn new(config: Config, is_public: bool, services: &Services) -> Self {
        let Config { token_sources, tls_files, zone_dir, .. } = config;
        let Services { auth, tls, zones, metrics, clock, .. } = services.clone();
        Self { auth, token_sources, is_public, tls: tls_files.zip(tls), zones, zone_dir, metrics, clock }
    }

    /// Reads everything anew. Blocks, while it reads files. The log says so once the new values are in use.
    pub(super) fn run(&self) {
        self.read_tokens();
        self.read_certificate();
        let database = zones::load(self.zone_dir.as_deref());
        let version = database.to_string();
        self.metrics.zones_loaded(&database);
        self.zones.replace(database);
        info!(tzdata = version, "time zones read again");
    }

    /// Connections that are open keep the certificate that they began with.
    fn read_certificate(&self) {
        let Some((files, tls)) = &self.tls else { return };
        let now = self.clock.unix_seconds();
        match files.load() {
            Ok(identity) if identity.expires_in_days(now) < 0 => {
                error!(runbook = "TLS", "the new certificate has expired; the one from before stays");
            }
            Ok(identity) => {
                tls.replace(identity);
                log_expiry(tls.expires_in_days(now));
            }
            Err(fault) => error!(%fault, runbook = "TLS", "the certificate stays as it was"),
        }
    }

    /// An empty set of tokens is no fault, but it would open a daemon to everybody that was not open before.
    fn read_tokens(&self) {
        match self.token_sources.load() {
            Ok(tokens) if tokens.is_open() && (self.is_public || !self.auth.is_open()) => {
                error!(
                    runbook = "Access",
                    "no access tokens are configured any more; those from before stay"
                );
            }
            Ok(tokens) => {
                self.auth.replace(&tokens);
                info!(tokens = self.auth.token_count(), "tokens read again");
            }
            Err(faults) => {
                for fault in faults {
                    error!(%fault, runbook = "Access", "the tokens stay as they were");
                }
            }
        }
    }
}

/// Says for how long the certificate is good, the louder the shorter it is.
pub(super) fn log_expiry(days: i32) {
    match days {
        ..0 => error!(days, runbook = "TLS", "the certificate has expired, so clients refuse it"),
        0..TLS_EXPIRY_WARNING_DAYS => warn!(days, runbook = "TLS", "the certificate expires soon"),
        _ => info!(days, "the certificate is read"),
    }
}
