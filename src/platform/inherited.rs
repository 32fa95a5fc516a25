//! Listening sockets that the service manager has bound, so that connections wait while the daemon restarts. Knows nothing of
//! what they are for.
//!
//! Source: `sd_listen_fds(3)`: `LISTEN_FDS` sockets from descriptor 3 on, meant for the process `LISTEN_PID`, with the names of
//! `LISTEN_FDNAMES` between colons.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// A socket that is listening already.
#[derive(Debug)]
pub enum InheritedSocket {
    /// Of an address and a port.
    Tcp(TcpListener),
    /// Of the file system.
    Unix(UnixListener),
}

/// The sockets that were passed to this process, with their names, or why one is of no use; a socket without a name is called
/// `unknown`. To be called once, before there are threads, as it takes the variables out of the environment.
pub fn take() -> Vec<(String, io::Result<InheritedSocket>)> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut names = names.split(':');
    let mut taken = Vec::new();
    for index in 0..sockets.len() {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
        if let Some(socket) = listening(&mut sockets, index).transpose() {
            taken.push((name, socket));
        }
    }
    taken
}

/// The socket at that place, which must be listening for connections; `None` where there is none.
fn listening(sockets: &mut ListenFd, index: usize) -> io::Result<Option<InheritedSocket>> {
    let not_listening = || io::Error::new(io::ErrorKind::InvalidInput, "it does not listen for connections");
    let (socket, is_listening) = match sockets.take_unix_listener(index) {
        Ok(None) => return Ok(None),
        Ok(Some(socket)) => {
            let is_listening = socket_acceptconn(&socket)?;
            (InheritedSocket::Unix(socket), is_listening)
        }
        Err(_not_unix) => match sockets.take_tcp_listener(index).map_err(|_not_tcp| not_listening())? {
            None => return Ok(None),
            Some(socket) => {
                let is_listening = socket_acceptconn(&socket)?;
                (InheritedSocket::Tcp(socket), is_listening)
            }
        },
    };
    if is_listening { Ok(Some(socket)) } else { Err(not_listening()) }
}
