//! Listening sockets that the service manager has bound, so that connections wait while the daemon restarts. Knows nothing of
//! what they are for.
//!
//! Source: `sd_listen_fds(3)`: `LISTEN_FDS` sockets from descriptor 3 on, meant for the process `LISTEN_PID`, with the names of
//! `LISTEN_FDNAMES` between colons.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// A socket that is listening already.
#[derive(Debug)]
pub enum InheritedSocket {
    /// Of an address and a port.
    Tcp(TcpListener),
    /// Of the file system.
    Unix(UnixListener),
}

/// The sockets that were passed to this process, with their names; a socket without a name is called `unknown`. To be
/// called once, before there are threads, as it takes the variables out of the environment.
///
/// # Errors
/// [`io::Error`], where one is no listening socket for a stream.
pub fn take() -> io::Result<Vec<(String, InheritedSocket)>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut names = names.split(':');
    let mut taken = Vec::new();
    for index in 0..sockets.len() {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
        let socket = match sockets.take_unix_listener(index) {
            Ok(Some(socket)) => InheritedSocket::Unix(socket),
            Ok(None) => continue,
            Err(_not_unix) => match sockets.take_tcp_listener(index)? {
                Some(socket) => InheritedSocket::Tcp(socket),
                None => continue,
            },
        };
        taken.push((name, socket));
    }
    Ok(taken)
}
