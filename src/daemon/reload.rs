//! What SIGHUP reads anew: access tokens and time zones. Faults change nothing and are logged.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{error, info};

use super::config::{Config, TokenSources};
use super::zones;
use crate::model::calendar::Zones;
use crate::net::auth::Auth;
use crate::net::metrics::Metrics;

/// Where to read, and what to replace.
#[derive(Debug)]
pub(super) struct Reload {
    auth: Arc<Auth>,
    token_sources: TokenSources,
    is_public: bool,
    zones: Arc<Zones>,
    zone_dir: Option<PathBuf>,
    metrics: Arc<Metrics>,
}

impl Reload {
    pub(super) fn new(config: Config, is_public: bool, zones: Arc<Zones>, metrics: Arc<Metrics>) -> Self {
        let Config { auth, token_sources, zone_dir, .. } = config;
        Self { auth, token_sources, is_public, zones, zone_dir, metrics }
    }

    /// Reads everything anew. Blocks, while it reads files. The log says so once the new values are in use.
    pub(super) fn run(&self) {
        self.read_tokens();
        let database = zones::load(self.zone_dir.as_deref());
        let version = database.to_string();
        self.metrics.zones_loaded(&database);
        self.zones.replace(database);
        info!(tzdata = version, "time zones read again");
    }

    /// An empty set of tokens is no fault, but it would open a daemon to everybody that was not open before.
    fn read_tokens(&self) {
        match self.token_sources.load() {
            Ok(tokens) if tokens.is_open() && (self.is_public || !self.auth.is_open()) => {
                error!("no access tokens are configured any more; those from before stay");
            }
            Ok(tokens) => {
                self.auth.replace(&tokens);
                info!(tokens = self.auth.token_count(), "tokens read again");
            }
            Err(faults) => {
                for fault in faults {
                    error!(%fault, "the tokens stay as they were");
                }
            }
        }
    }
}
