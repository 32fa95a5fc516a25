//! A small blocking HTTP client for the commands that talk to a daemon: one connection, kept alive, HTTP/1.1, with TLS where the
//! URL says https. Knows nothing of the requests. `retry` decides which failures are retried.
//!
//! INVARIANT: the daemon sees a request with a body at most once per call. On a kept connection the client repeats what was
//! certainly not sent and what changes nothing; `retry` repeats others where they have an idempotency key.

pub(crate) mod retry;
pub(crate) mod streamed;
mod trust;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Misuse;
use crate::daemon::config::CLIENT_TOKEN_VARIABLE;
use crate::limits::CLIENT_ANSWER_BYTES_MAX;
use crate::model::excerpt::printable;

/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for a whole answer; a report over everything may take its time.
const ANSWER_WAIT: Duration = Duration::from_mins(2);
/// Times that a call yields to the runtime before it sends, so that the connection's task sees that the peer closed it.
const CONNECTION_LOOKS: u32 = 3;

/// The daemon's address and the access token. Part of every command that talks to a daemon.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Daemon")]
pub(crate) struct ConnectionArgs {
    /// Where the daemon listens for HTTP: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8780")]
    pub(crate) url: String,
    /// As whom.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// The access token, and whom a daemon is trusted by. The token is never shown.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct AccessArgs {
    /// The access token itself.
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "token_file",
        help = "Access token; other users of this machine can read it in the list of processes, so prefer \
                --token-file [env: TALLYD_TOKEN]"
    )]
    pub(crate) token: Option<String>,
    /// File whose first line is the access token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file of the certificates that an https daemon is trusted by, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for AccessArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessArgs")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("token_file", &self.token_file)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// A connection to one daemon, opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    daemon: DaemonUrl,
    /// The value of `Authorization`; marked as sensitive, so that it is never printed.
    credentials: Option<HeaderValue>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// Where a daemon is.
#[derive(Debug)]
struct DaemonUrl {
    authority: Authority,
    /// What stands before every path, without a slash at its end; mostly empty.
    prefix: String,
    /// Whom it is trusted by; `None` where it is spoken to in plain text.
    tls: Option<Arc<ClientConfig>>,
}

/// A request: built once, sent as often as needed.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `GET` changes nothing, so it may be made again.
    pub(crate) method: Method,
    /// What is sent with it.
    pub(crate) body: Option<Bytes>,
    /// Path and query, beginning with `/`.
    pub(crate) path: String,
    /// The idempotency key.
    pub(crate) key: Option<String>,
}

/// An answer with any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The value of `Retry-After`, where it is there and text.
    pub(crate) retry_after: Option<String>,
    /// It was given before, under the same key.
    pub(crate) is_replayed: bool,
    /// How many groups the limit left out, where a table says so.
    pub(crate) groups_omitted: usize,
    /// The first moment that is kept, where a report is about one that was dropped.
    pub(crate) dropped_before: Option<String>,
    pub(crate) body: Bytes,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// There is no connection, or it closed before anything was sent.
    #[error("no connection to {address}")]
    NotSent {
        address: String,
        #[source]
        source: BoxError,
    },
    /// The peer cannot prove who it is, or does not speak TLS. Nothing was sent.
    #[error("{address} cannot be spoken to over TLS")]
    NotTrusted {
        address: String,
        #[source]
        source: BoxError,
    },
    /// The request was sent, at least in part, and no whole answer came.
    #[error("the answer of {address} was lost")]
    AnswerLost {
        address: String,
        #[source]
        source: BoxError,
    },
    /// The request was sent and no answer came in time.
    #[error("{address} did not answer within {} s", ANSWER_WAIT.as_secs())]
    AnswerLate { address: String },
    /// The answer is longer than is taken.
    #[error("the answer of {address} is longer than {CLIENT_ANSWER_BYTES_MAX} bytes")]
    AnswerTooLong { address: String },
    /// The path or the token cannot be part of a request.
    #[error("the request cannot be written")]
    Request(#[from] hyper::http::Error),
}

impl ClientError {
    /// Whether the call may be made again on a new connection: it was not sent, or it changes nothing.
    fn allows_repeat(&self, call: &Call) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::AnswerLost { .. } => call.method == Method::GET,
            Self::NotTrusted { .. }
            | Self::AnswerLate { .. }
            | Self::AnswerTooLong { .. }
            | Self::Request(_) => false,
        }
    }
}

impl Call {
    /// Asks for what is at the path.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, body: None, path: path.into(), key: None }
    }

    /// Sends a body to the path.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Bytes>, key: Option<String>) -> Self {
        Self { method: Method::POST, body: Some(body.into()), path: path.into(), key }
    }

    /// Takes away what is at the path.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, body: None, path: path.into(), key: None }
    }
}

impl Answer {
    /// What the daemon says against a request. Details are separated by line feeds; all other control characters are escaped.
    pub(crate) fn refusal(&self) -> String {
        self.explanation().lines().map(printable).collect::<Vec<_>>().join("\n")
    }

    /// The status and, where the body is the daemon's own error, its message with one line per detail.
    pub(crate) fn explanation(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let message = body.pointer("/status/message").and_then(Value::as_str);
        let mut text = match message {
            Some(message) => format!("{}: {message}", self.status.as_u16()),
            None => self.status.to_string(),
        };
        for detail in body.pointer("/status/details").and_then(Value::as_array).into_iter().flatten() {
            let words = detail.as_str().or_else(|| detail.get("message").and_then(Value::as_str));
            let words = words.map_or_else(|| Cow::Owned(detail.to_string()), Cow::Borrowed);
            // A single fault may be the message itself.
            if message != Some(&*words) {
                text.extend(["\n  ", &words]);
            }
        }
        text
    }
}

impl Client {
    /// A client for the daemon that the arguments name. Nothing is connected yet.
    pub(crate) fn new(args: &ConnectionArgs) -> anyhow::Result<Self> {
        let (scheme, authority, prefix) = parse_url(&args.url).map_err(Misuse::of)?;
        let tls = match (scheme, &args.access.ca_file) {
            (Scheme::Https, None) => Some(trust::config(None)?),
            (Scheme::Https, file) => Some(trust::config(file.as_deref()).map_err(Misuse::of)?),
            (Scheme::Http, None) => None,
            (Scheme::Http, Some(_)) => {
                return Err(Misuse::of(anyhow::anyhow!(
                    "--ca-file is for a daemon that is spoken to by https"
                )));
            }
        };
        let token = match (&args.access.token, &args.access.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(super::input::first_line(path).map_err(Misuse::of)?),
            (None, None) => std::env::var(CLIENT_TOKEN_VARIABLE).ok(),
        };
        let credentials = token
            .filter(|token| !token.trim().is_empty())
            .map(|token| HeaderValue::from_str(&format!("Bearer {}", token.trim())))
            .transpose()
            .context("the token has characters that no token can have")
            .map_err(Misuse::of)?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, daemon: DaemonUrl { authority, prefix, tls }, credentials, connection: None })
    }

    /// Host and port, for messages.
    pub(crate) fn authority(&self) -> &str {
        self.daemon.authority.as_str()
    }

    /// Sends a request and waits for its whole answer, within a bound. Blocks. A status of 400 or 503 is an answer,
    /// not an error.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Answer, ClientError> {
        let request = self.request(call)?;
        let Self { runtime, daemon, connection, .. } = self;
        let authority = &daemon.authority;
        runtime.block_on(async {
            // The runtime stands still between calls. Let it notice first whether the daemon closed the connection meanwhile.
            for _ in 0..CONNECTION_LOOKS {
                tokio::task::yield_now().await;
            }
            let (answer, sender) = match connection.take() {
                // The daemon may close an idle connection at any time, also while a request is on its way; that says
                // nothing about a new one.
                Some(sender) => match exchange(sender, request.clone(), authority).await {
                    Err(error) if error.allows_repeat(call) => {
                        exchange(connect(daemon).await?, request, authority).await?
                    }
                    other => other?,
                },
                None => exchange(connect(daemon).await?, request, authority).await?,
            };
            *connection = Some(sender);
            Ok(answer)
        })
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.daemon.prefix, call.path))
            .header(header::HOST, self.authority())
            .header(header::USER_AGENT, concat!("tallyd/", env!("CARGO_PKG_VERSION")));
        if let Some(value) = &self.credentials {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        Ok(request.body(Full::new(call.body.clone().unwrap_or_default()))?)
    }
}

async fn connect(daemon: &DaemonUrl) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let address = || daemon.authority.to_string();
    let opened = timeout(CONNECT_WAIT, async {
        let host = daemon.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = daemon.authority.port_u16().unwrap_or(if daemon.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        match &daemon.tls {
            None => speak_http(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())?;
                let connector = TlsConnector::from(Arc::clone(tls));
                speak_http(connector.connect(name, stream).await?).await
            }
        }
    });
    let opened = opened.await.map_err(BoxError::from).and_then(|opened| opened);
    opened.map_err(|source| {
        if trust::is_about_tls(&*source) {
            ClientError::NotTrusted { address: address(), source }
        } else {
            ClientError::NotSent { address: address(), source }
        }
    })
}

async fn speak_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, BoxError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // The request that waits on the connection gets the error.
        if connection.await.is_err() {}
    });
    Ok(sender)
}

async fn exchange(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    authority: &Authority,
) -> Result<(Answer, SendRequest<Full<Bytes>>), ClientError> {
    let whole = async {
        let response = send(&mut sender, request, authority).await?;
        Ok((collect(response, authority).await?, sender))
    };
    timeout(ANSWER_WAIT, whole)
        .await
        .unwrap_or_else(|_elapsed| Err(ClientError::AnswerLate { address: authority.to_string() }))
}

/// Sends a request; gives the head of its answer, and its body as it comes.
async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    authority: &Authority,
) -> Result<Response<Incoming>, ClientError> {
    let not_sent =
        |source: hyper::Error| ClientError::NotSent { address: authority.to_string(), source: source.into() };
    sender.ready().await.map_err(not_sent)?;
    sender.send_request(request).await.map_err(|error| {
        // Cancelled: the connection closed before it took the request.
        if error.is_canceled() { not_sent(error) } else { lost(authority, error.into()) }
    })
}

/// The whole of an answer.
async fn collect(response: Response<Incoming>, authority: &Authority) -> Result<Answer, ClientError> {
    let status = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let is_replayed = response.headers().contains_key("idempotency-replayed");
    let omitted = response.headers().get("x-groups-omitted").and_then(|value| value.to_str().ok());
    let groups_omitted = omitted.and_then(|value| value.parse().ok()).unwrap_or(0);
    let dropped_before = response.headers().get("x-dropped-before").and_then(|value| value.to_str().ok());
    let dropped_before = dropped_before.map(str::to_owned);
    let body = Limited::new(response.into_body(), CLIENT_ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|source| {
        if source.is::<LengthLimitError>() {
            ClientError::AnswerTooLong { address: authority.to_string() }
        } else {
            lost(authority, source)
        }
    })?;
    Ok(Answer { status, retry_after, is_replayed, groups_omitted, dropped_before, body: body.to_bytes() })
}

fn lost(authority: &Authority, source: BoxError) -> ClientError {
    ClientError::AnswerLost { address: authority.to_string(), source }
}

/// How a daemon is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Http,
    Https,
}

/// Where the daemon of a URL listens, such as `http://127.0.0.1:8780` or `https://[::1]:8780/behind/a/proxy`, and what
/// stands there before every path.
fn parse_url(url: &str) -> anyhow::Result<(Scheme, Authority, String)> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => bail!("{url:?} is not a URL of the form http://HOST:PORT or https://HOST:PORT"),
    };
    ensure!(uri.query().is_none(), "{url:?}: the address of a daemon has no query");
    let authority = uri.authority().with_context(|| format!("{url:?} names no host"))?;
    ensure!(!authority.as_str().contains('@'), "the URL holds a user or a password; use --token-file");
    Ok((scheme, authority.clone(), uri.path().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
