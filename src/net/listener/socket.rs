//! Listening sockets and what they accept: TCP, or a socket of the file system for a proxy on the same machine. A socket is
//! bound here, or was bound by the service manager. Knows nothing of what is sent.
//!
//! INVARIANT: a socket of the file system has its mode before anybody can connect to it.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};

use crate::limits::{TCP_KEEPALIVE, UNIX_BACKLOG};
use crate::platform::inherited::InheritedSocket;

/// Where to listen, or where is listened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket of the file system.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Who may connect, as the bits of a file's mode; `None` where the service manager decides.
        mode: Option<u32>,
    },
}

impl ListenAddress {
    /// Whether other machines can reach it.
    pub fn is_public(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => false,
        }
    }

    /// Whether both are one place; who may connect there does not matter.
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(address), Self::Tcp(other)) => address == other,
            (Self::Unix { path, .. }, Self::Unix { path: other, .. }) => path == other,
            _ => false,
        }
    }

    /// The address and the port, where it has them.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// Of an address and a port.
    Tcp(TcpListener),
    /// Of the file system.
    Unix(UnixListener, Option<SocketFile>),
}

impl Socket {
    /// Listens there. Must be called within a runtime.
    ///
    /// # Errors
    /// [`io::Error`]; `AddrInUse` where somebody listens there already.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            ListenAddress::Unix { path, mode } => {
                let (listener, file) = SocketFile::bind(path, *mode).await?;
                Ok(Self::Unix(listener, Some(file)))
            }
        }
    }

    /// Takes over a socket that somebody else has bound. Must be called within a runtime.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn inherit(socket: InheritedSocket) -> io::Result<Self> {
        match socket {
            InheritedSocket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            InheritedSocket::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Self::Unix(listener, None))
            }
        }
    }

    /// Where an inherited socket listens.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn address_of(socket: &InheritedSocket) -> io::Result<ListenAddress> {
        match socket {
            InheritedSocket::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            InheritedSocket::Unix(listener) => {
                let path = listener.local_addr()?.as_pathname().unwrap_or(Path::new("unnamed")).to_owned();
                Ok(ListenAddress::Unix { path, mode: None })
            }
        }
    }

    /// Where it listens, with the port that the system chose.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            Self::Unix(_, Some(file)) => Ok(ListenAddress::Unix { path: file.path.clone(), mode: None }),
            Self::Unix(listener, None) => {
                let path = listener.local_addr()?.as_pathname().unwrap_or(Path::new("unnamed")).to_owned();
                Ok(ListenAddress::Unix { path, mode: None })
            }
        }
    }

    /// Whether what it accepts may cross a network, and so can be encrypted.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Waits for the next connection. Gives the address of the peer, where it has one.
    pub(super) async fn accept(&self) -> io::Result<(RawStream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                prepare(&stream);
                Ok((RawStream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix(listener, _) => {
                let (stream, _unnamed) = listener.accept().await?;
                Ok((RawStream::Unix(stream), None))
            }
        }
    }
}

/// Short answers must not wait for more bytes, and keepalive finds peers that vanished.
fn prepare(stream: &TcpStream) {
    let (idle, interval, probes) = TCP_KEEPALIVE;
    let prepared = stream.set_nodelay(true).and_then(|()| {
        rustix::net::sockopt::set_socket_keepalive(stream, true)?;
        rustix::net::sockopt::set_tcp_keepidle(stream, idle)?;
        rustix::net::sockopt::set_tcp_keepintvl(stream, interval)?;
        rustix::net::sockopt::set_tcp_keepcnt(stream, probes)?;
        Ok(())
    });
    if let Err(error) = prepared {
        tracing::debug!(%error, "a connection goes without TCP_NODELAY or keepalive");
    }
}

/// The name of a socket in the file system; removed when it is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Binds under a name of its own, sets the mode, listens, then gives it the name that is asked for. A name that a dead
    /// process left is taken over; one that somebody listens at is not.
    async fn bind(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, Self)> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => make_sure_nobody_listens(path).await?,
            Ok(_) => {
                let what = "there is a file of that name which is no socket";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let socket = UnixSocket::new_stream()?;
        socket.bind(&new)?;
        let listening = Self::listen(socket, (&new, path), mode);
        if listening.is_err()
            && let Err(error) = fs::remove_file(&new)
        {
            tracing::warn!(%error, path = %new.display(), "a socket file is left behind");
        }
        listening
    }

    /// Nobody can connect to a socket that does not listen yet, so its mode is there before them.
    fn listen(
        socket: UnixSocket,
        (new, path): (&Path, &Path),
        mode: Option<u32>,
    ) -> io::Result<(UnixListener, Self)> {
        if let Some(mode) = mode {
            fs::set_permissions(new, Permissions::from_mode(mode))?;
        }
        let listener = socket.listen(UNIX_BACKLOG)?;
        let inode = fs::symlink_metadata(new)?.ino();
        rename(new, path)?;
        Ok((listener, Self { path: path.to_owned(), inode }))
    }
}

/// A process that is dead refuses connections; one that lives may be too busy to take them.
async fn make_sure_nobody_listens(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the name of a socket need not outlast a power loss")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a socket file is left behind");
        }
    }
}

/// An accepted connection as it comes from the kernel.
#[derive(Debug)]
pub(crate) enum RawStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The same, bound to no runtime.
#[derive(Debug)]
pub(crate) enum DetachedStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl RawStream {
    /// Takes it from its runtime.
    pub(crate) fn detach(self) -> io::Result<DetachedStream> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(DetachedStream::Tcp),
            Self::Unix(stream) => stream.into_std().map(DetachedStream::Unix),
        }
    }

    /// Gives it to the runtime of the caller.
    pub(crate) fn attach(stream: DetachedStream) -> io::Result<Self> {
        match stream {
            DetachedStream::Tcp(stream) => TcpStream::from_std(stream).map(Self::Tcp),
            DetachedStream::Unix(stream) => UnixStream::from_std(stream).map(Self::Unix),
        }
    }

    /// Looks at the next bytes, without taking them. 0 at the end.
    pub(crate) fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(cx, buf),
            Self::Unix(stream) => loop {
                ready!(stream.poll_read_ready(cx))?;
                let peeked = stream.try_io(Interest::READABLE, || {
                    let (seen, _) = rustix::net::recv(stream, buf.initialize_unfilled(), RecvFlags::PEEK)?;
                    Ok(seen)
                });
                match peeked {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(seen) => {
                        buf.advance(seen);
                        return Poll::Ready(Ok(seen));
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            },
        }
    }
}

impl AsyncRead for RawStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net as std_unix;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn at(path: &Path) -> ListenAddress {
        ListenAddress::Unix { path: path.to_owned(), mode: Some(0o640) }
    }

    #[tokio::test]
    async fn socket_file_has_its_mode_and_goes_with_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let socket = Socket::bind(&at(&path)).await.unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(socket.address().unwrap().to_string(), format!("unix:{}", path.display()));
        drop(socket);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn name_that_a_dead_process_left_is_taken_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        drop(std_unix::UnixListener::bind(&path).unwrap());
        let first = Socket::bind(&at(&path)).await.unwrap();
        let refused = Socket::bind(&at(&path)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        fs::write(&path, "a file").unwrap();
        let refused = Socket::bind(&at(&path)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }

    #[tokio::test]
    async fn name_of_one_that_is_too_busy_to_answer_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let busy = UnixSocket::new_stream().unwrap();
        busy.bind(&path).unwrap();
        let busy = busy.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(client) = UnixStream::connect(&path).await {
            waiting.push(client);
        }
        let refused = Socket::bind(&at(&path)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(busy);
        Socket::bind(&at(&path)).await.unwrap();
    }

    #[tokio::test]
    async fn name_of_a_socket_of_another_kind_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let _datagrams = std_unix::UnixDatagram::bind(&path).unwrap();
        Socket::bind(&at(&path)).await.unwrap_err();
        assert!(path.exists());
    }

    #[tokio::test]
    async fn peeked_bytes_are_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let socket = Socket::bind(&at(&path)).await.unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut stream, peer) = socket.accept().await.unwrap();
        assert_eq!(peer, None);
        let (peeked, written) = tokio::join!(
            async {
                let mut room = [0; 8];
                let mut seen = ReadBuf::new(&mut room);
                std::future::poll_fn(|cx| stream.poll_peek(cx, &mut seen)).await.unwrap();
                seen.filled().to_vec()
            },
            client.write_all(b"GET"),
        );
        written.unwrap();
        assert_eq!(peeked, b"GET");
        drop(client);
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"GET");
    }
}
