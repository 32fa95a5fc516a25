//! The connection to one server: who we are to it, and whether it is one that may be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;
use tracing::warn;

use super::super::address::LogAddress;
use super::super::credentials::{Credentials, CredentialsFile};
use super::super::link::{Connected, LogError};
use crate::limits::{LOG_COMMANDS_MAX, LOG_CONNECT_TIMEOUT, LOG_PING_INTERVAL, MESSAGE_BYTES_MAX};

/// The oldest version that is taken.
const VERSION_MIN_MAJOR: i64 = 2;
const VERSION_MIN_MINOR: i64 = 12;
/// From this minor version on a server with a failing disk stops instead of going on.
const VERSION_ADVISED_MINOR: i64 = 14;
/// How long the client waits before it connects again by itself. By then it was dropped, and ends.
const CLIENT_PAUSE: Duration = Duration::from_secs(2);

/// Connects to the server of that turn; and what says that the connection is lost, and the server's address.
///
/// # Errors
/// [`LogError::Unreachable`].
pub(super) async fn connect(
    address: &LogAddress,
    turn: usize,
) -> Result<(Client, watch::Receiver<bool>, String), LogError> {
    let server = address.servers.at(turn).to_owned();
    let (losing, lost) = watch::channel(false);
    let (losing, is_again) = (Arc::new(losing), AtomicBool::new(false));
    let mut options = ConnectOptions::new()
        .name("tallyd")
        .connection_timeout(LOG_CONNECT_TIMEOUT)
        .ping_interval(LOG_PING_INTERVAL)
        .client_capacity(LOG_COMMANDS_MAX)
        .ignore_discovered_servers()
        .max_reconnects(1)
        .reconnect_delay_callback(move |_attempt| {
            if is_again.swap(true, Ordering::Relaxed) { CLIENT_PAUSE } else { Duration::ZERO }
        })
        .event_callback(move |event| {
            let losing = Arc::clone(&losing);
            async move {
                match event {
                    Event::Disconnected | Event::Closed | Event::LameDuckMode => {
                        losing.send_replace(true);
                    }
                    Event::ServerError(error) => warn!(%error, "a server of the log refuses something"),
                    Event::Connected | Event::Draining | Event::SlowConsumer(_) | Event::ClientError(_) => {}
                }
            }
        });
    let unreachable = |why| LogError::Unreachable { server: server.clone(), why };
    if let Some(file) = address.credentials.clone() {
        options = known_by(options, file).await.map_err(unreachable)?;
    }
    match options.connect(server.as_str()).await {
        Ok(client) => Ok((client, lost, server)),
        Err(error) => Err(unreachable(error.to_string())),
    }
}

/// Shows who we are, as the file says now. One that is no good any more changes nothing and is logged.
async fn known_by(options: ConnectOptions, file: CredentialsFile) -> Result<ConnectOptions, String> {
    let read = tokio::task::spawn_blocking(move || file.read()).await;
    let (credentials, fault) = read.map_err(|error| error.to_string())?;
    if let Some(fault) = fault {
        warn!(%fault, "the credentials for the log stay as they were");
    }
    match credentials {
        Credentials::Password { user, password } => Ok(options.user_and_password(user, password)),
        Credentials::Signed { jwt, seed } => {
            let text = format!(
                "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            );
            options.credentials(&text).map_err(|_secret| "the credentials are not understood".to_owned())
        }
    }
}

/// What is known of a server by its own words.
///
/// # Errors
/// [`LogError::TooOld`].
pub(super) fn check_server(client: &Client, server: &str) -> Result<Connected, LogError> {
    let info = client.server_info();
    if !client.is_server_compatible(VERSION_MIN_MAJOR, VERSION_MIN_MINOR, 0) {
        return Err(LogError::TooOld { server: server.to_owned(), version: info.version });
    }
    let mut warnings = Vec::new();
    if !client.is_server_compatible(VERSION_MIN_MAJOR, VERSION_ADVISED_MINOR, 0) {
        warnings.push(format!(
            "{server} runs nats-server {}; 2.14 or later is advised, which stops where its disk fails instead of going on",
            info.version
        ));
    }
    let message_bytes_max = client.max_payload().min(MESSAGE_BYTES_MAX);
    Ok(Connected { server: format!("{} {}", info.server_name, info.version), message_bytes_max, warnings })
}
