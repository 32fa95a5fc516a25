//! TLS for both ports: the certificate with its key, which can be replaced while connections go on, and the handshake. Knows
//! nothing of where the files are, or of what is sent.
//!
//! INVARIANT: a handshake takes at most [`TLS_HANDSHAKE_TIMEOUT`] and [`TLS_HANDSHAKE_BYTES_MAX`] bytes from the peer.
//! INVARIANT: nothing is served before the handshake is over; early data, which could be sent again by anybody, is not taken.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode as _;

use super::socket::RawStream;
use crate::limits::{
    TLS_ANSWER_BYTES_MAX, TLS_HANDSHAKE_BYTES_MAX, TLS_HANDSHAKE_TIMEOUT, TLS_LAST_HANDSHAKE_WAIT,
};
use crate::net::metrics::Listener;

/// The first byte of every TLS connection: a record of a handshake.
const HANDSHAKE_RECORD: u8 = 22;

const SECONDS_PER_DAY: i64 = 86_400;

/// Why a certificate and a key are of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate file is no PEM file of certificates.
    #[error("the certificate file has no certificate that can be read (PEM, `-----BEGIN CERTIFICATE-----`)")]
    Certificate,
    /// The key file is no PEM file of a private key.
    #[error("the key file has no private key that can be read (PEM, `-----BEGIN PRIVATE KEY-----`)")]
    Key,
    /// They do not belong together, or their kind is not known.
    #[error("certificate and key cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// A certificate and its key, as they are used for connections.
#[derive(Clone)]
pub struct TlsIdentity {
    http: Arc<ServerConfig>,
    lines: Arc<ServerConfig>,
    expires_unix_seconds: i64,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expires = self.expires_unix_seconds;
        f.debug_struct("TlsIdentity").field("expires_unix_seconds", &expires).finish_non_exhaustive()
    }
}

impl TlsIdentity {
    /// The identity of a chain of certificates, the server's own first, and of its private key, both PEM.
    ///
    /// # Errors
    /// [`IdentityError`]; never repeats a part of the key.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(IdentityError::Certificate)?;
        // The parser's errors say what the file has instead, which is the key itself at worst.
        let key = PrivateKeyDer::from_pem_slice(key).ok().ok_or(IdentityError::Key)?;
        let expiries: Option<Vec<i64>> =
            chain.iter().map(|certificate| expires_unix_seconds(certificate)).collect();
        let expires_unix_seconds =
            expiries.and_then(|all| all.into_iter().min()).ok_or(IdentityError::Certificate)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // A client that comes back brings its session with it, in a ticket; nothing is kept for it here.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        let lines = config.clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { http: Arc::new(config), lines: Arc::new(lines), expires_unix_seconds })
    }

    /// Whole days until the first certificate of the chain expires; below 0 where one has.
    pub fn expires_in_days(&self, now_unix_seconds: i64) -> i32 {
        let left = self.expires_unix_seconds.saturating_sub(now_unix_seconds);
        i32::try_from(left.div_euclid(SECONDS_PER_DAY)).unwrap_or(i32::MAX)
    }
}

fn expires_unix_seconds(certificate: &[u8]) -> Option<i64> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let expires = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    i64::try_from(expires.as_secs()).ok()
}

/// The identity of new connections. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Tls {
    identity: RwLock<TlsIdentity>,
    handshake_timeout: Duration,
    last_wait: Duration,
}

/// Why a connection did not become an encrypted one.
#[derive(Debug)]
pub(super) enum HandshakeError {
    /// The peer does not speak TLS; nothing of what it sent has been read.
    Plaintext(RawStream),
    /// The peer went away, sent what is no handshake, or took too long.
    Failed(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// A connection after its handshake.
pub(super) type EncryptedStream = TlsStream<HandshakeBound>;

impl Tls {
    /// With that identity to begin with.
    pub fn new(identity: TlsIdentity) -> Self {
        let (handshake_timeout, last_wait) = (TLS_HANDSHAKE_TIMEOUT, TLS_LAST_HANDSHAKE_WAIT);
        Self { identity: RwLock::new(identity), handshake_timeout, last_wait }
    }

    /// How long a handshake may still take when the daemon stops.
    pub(super) fn last_wait(&self) -> Duration {
        self.last_wait
    }

    /// Takes another identity for connections that are accepted from now on; those that are open keep theirs.
    pub fn replace(&self, identity: TlsIdentity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// As [`TlsIdentity::expires_in_days`].
    pub fn expires_in_days(&self, now_unix_seconds: i64) -> i32 {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).expires_in_days(now_unix_seconds)
    }

    /// Waits for the peer's part of the handshake, and does ours.
    pub(super) async fn handshake(
        &self,
        listener: Listener,
        stream: RawStream,
    ) -> Result<EncryptedStream, HandshakeError> {
        let shaken = timeout(self.handshake_timeout, async {
            if let Some(first) = first_byte(&stream).await?
                && first != HANDSHAKE_RECORD
            {
                return Err(HandshakeError::Plaintext(stream));
            }
            let stream = HandshakeBound { stream, left: Some(TLS_HANDSHAKE_BYTES_MAX) };
            let bounded = |session: &mut rustls::ServerConnection| {
                session.set_buffer_limit(Some(TLS_ANSWER_BYTES_MAX));
            };
            let mut stream = TlsAcceptor::from(self.config(listener)).accept_with(stream, bounded).await?;
            stream.get_mut().0.left = None;
            Ok(stream)
        });
        shaken.await.unwrap_or_else(|_late| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    fn config(&self, listener: Listener) -> Arc<ServerConfig> {
        let identity = self.identity.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(match listener {
            Listener::Http => &identity.http,
            Listener::Tcp => &identity.lines,
        })
    }
}

/// The byte that comes next; it is not taken. `None` at the end.
async fn first_byte(stream: &RawStream) -> io::Result<Option<u8>> {
    let mut room = [0];
    let mut seen = ReadBuf::new(&mut room);
    poll_fn(|cx| stream.poll_peek(cx, &mut seen)).await?;
    Ok(seen.filled().first().copied())
}

/// A connection that can be read from only so far until its handshake is over.
#[derive(Debug)]
pub(super) struct HandshakeBound {
    stream: RawStream,
    /// Bytes that may yet be read; `None` after the handshake.
    left: Option<usize>,
}

impl AsyncRead for HandshakeBound {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(left) = &mut this.left else { return Pin::new(&mut this.stream).poll_read(cx, buf) };
        if *left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake is too long")));
        }
        let room = buf.remaining().min(*left);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        *left = left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HandshakeBound {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    impl Tls {
        pub(in super::super) fn with_last_wait(self, last_wait: Duration) -> Self {
            Self { last_wait, ..self }
        }
    }

    /// The TLS of a port, and a client that trusts it.
    pub(in super::super) fn pair() -> (Tls, TlsConnector) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let tls = Tls::new(TlsIdentity::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (tls, TlsConnector::from(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    use super::*;

    fn identity() -> TlsIdentity {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        TlsIdentity::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes())
            .unwrap()
    }

    fn tls() -> Tls {
        testing::pair().0
    }

    fn pair() -> (UnixStream, RawStream) {
        let (client, server) = UnixStream::pair().unwrap();
        (client, RawStream::Unix(server))
    }

    #[test]
    fn identity_that_is_no_pair_is_refused_without_its_key() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (certificate, key, words) in [
            (certificate.as_str(), other.as_str(), "together"),
            (certificate.as_str(), certificate.as_str(), "key file"),
            (key.as_str(), key.as_str(), "certificate file"),
            ("", key.as_str(), "certificate file"),
        ] {
            let error = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
            let secret = key.lines().nth(1).unwrap_or("-");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {error:?}").contains(secret), "{error}");
        }
        assert!(!format!("{:?}", identity()).contains("key"));
    }

    #[test]
    fn days_to_expiry_are_those_of_the_chain_and_can_be_below_0() {
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let first = parameters.self_signed(&key).unwrap().pem();
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let second = parameters.self_signed(&key).unwrap().pem();
        let chain = format!("{first}{second}");
        let identity = TlsIdentity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        // 2026-12-31T23:00:00Z.
        let an_hour_before = 1_798_758_000;
        assert_eq!(identity.expires_in_days(an_hour_before), 0);
        assert_eq!(identity.expires_in_days(an_hour_before + 2 * 3_600), -1);
        assert_eq!(identity.expires_in_days(an_hour_before - 86_400), 1);
    }

    #[tokio::test]
    async fn handshake_that_stalls_ends_by_its_deadline() {
        let tls = Tls { handshake_timeout: Duration::from_millis(1), ..tls() };
        for begun in [b"".as_slice(), b"\x16\x03\x01\x02\x00"] {
            let (mut client, server) = pair();
            client.write_all(begun).await.unwrap();
            let error = tls.handshake(Listener::Tcp, server).await.unwrap_err();
            let HandshakeError::Failed(error) = error else { panic!("{error:?}") };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn handshake_that_never_ends_is_cut_at_its_bound() {
        // A client hello of 60,000 bytes by its own word, in records of 16 KiB.
        let mut hello = vec![22, 3, 1, 0x40, 0, 1, 0, 0xea, 0x60];
        hello.resize(5 + 0x4000, 0);
        let (mut client, server) = pair();
        let sending = async { while client.write_all(&hello).await.is_ok() {} };
        let tls = tls();
        let shaken = tls.handshake(Listener::Http, server);
        let error = tokio::select! {
            shaken = shaken => shaken.unwrap_err(),
            () = sending => panic!("it goes on for as long as it is read"),
        };
        let HandshakeError::Failed(error) = error else { panic!("{error:?}") };
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[tokio::test]
    async fn plain_text_is_told_from_a_handshake_and_is_not_read() {
        let (mut client, server) = pair();
        client.write_all(b"GET /").await.unwrap();
        drop(client);
        let error = tls().handshake(Listener::Http, server).await.unwrap_err();
        let HandshakeError::Plaintext(mut stream) = error else { panic!("{error:?}") };
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"GET /");
    }
}
