//! Which log is shared with others, if any, and as what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::Key;
use super::raw::Environment;
use super::tokens::CREDENTIALS_VARIABLE;
use super::{Check, ConfigFault, duration_within, path};
use crate::limits::CLUSTER_MAX_LAG_RANGE;
use crate::net::log::address::{LogAddress, LogName, Servers};
use crate::net::log::credentials::CredentialsFile;
use crate::net::log::state::Role;

/// The name of the credential of systemd.
const CREDENTIAL: &str = "cluster";

/// A log that is shared with others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterConfig {
    /// Where it is.
    pub address: LogAddress,
    /// What the ports are open for.
    pub role: Role,
    /// Where another daemon is, whose snapshot an empty data directory begins with.
    pub seed: Option<String>,
    /// How far behind it the daemon may be and call itself ready.
    pub max_lag: Duration,
}

/// The log that the options name; `None` where they name none, or are wrong.
pub(super) fn check(check: &mut Check<'_>, environment: Environment<'_>) -> Option<ClusterConfig> {
    let is_wanted = check.raw.get(Key::Cluster).is_some();
    let servers = check.value(Key::Cluster, Servers::parse);
    let name = check.value(Key::ClusterName, LogName::parse);
    let role = check.value(Key::ClusterRole, |text| Role::parse(text));
    let (shortest, longest) = CLUSTER_MAX_LAG_RANGE;
    let max_lag = check.value(Key::ClusterMaxLag, |text| duration_within(text, shortest, longest));
    let seed = check.value(Key::ClusterSeed, seed);
    let named = check.value(Key::ClusterCredentials, path);
    if !is_wanted {
        return None;
    }
    if !cfg!(feature = "cluster") {
        let what = "this tallyd was built without its feature `cluster`";
        check.faults.push(ConfigFault::new("--cluster", what));
        return None;
    }
    let credentials = credentials(named, environment, check.faults);
    Some(ClusterConfig {
        address: LogAddress { servers: servers?, name: name?, credentials },
        role: role?,
        seed,
        max_lag: max_lag?,
    })
}

/// An address that a client can ask.
fn seed(text: &str) -> Option<String> {
    let uri: hyper::Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && uri.authority().is_some_and(|authority| !authority.as_str().contains('@')))
        .then(|| text.to_owned())
}

fn credentials(
    named: Option<PathBuf>,
    environment: Environment<'_>,
    faults: &mut Vec<ConfigFault>,
) -> Option<CredentialsFile> {
    let of_systemd = || {
        let found = environment(CREDENTIALS_VARIABLE).map(|dir| Path::new(&dir).join(CREDENTIAL));
        found.filter(|path| path.exists())
    };
    let file = named.or_else(of_systemd)?;
    CredentialsFile::open(&file)
        .map_err(|error| faults.push(ConfigFault::new("--cluster-credentials", error)))
        .ok()
}
