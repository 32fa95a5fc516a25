//! Where the daemon listens: the addresses of the configuration, or sockets that the service manager has bound. Knows
//! nothing of tokens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::ConfigFault;
use crate::net::listener::{ListenAddress, Socket};
use crate::platform::inherited::InheritedSocket;

/// Who may connect to a socket of the file system where nothing else is said: its owner and its group.
const SOCKET_MODE: u32 = 0o660;
/// Where an inherited socket comes from, for faults.
pub(super) const INHERITED_ORIGIN: &str = "the service manager's sockets";
/// The names that the service manager gives to the sockets, HTTP first.
const SOCKET_NAMES: [&str; 2] = ["http", "lines"];

/// Where a port is to listen.
#[derive(Debug)]
pub enum Listen {
    /// A socket that is to be bound.
    At(ListenAddress),
    /// A socket that is listening already, and where.
    Inherited(InheritedSocket, ListenAddress),
}

impl Listen {
    /// Where that is.
    pub fn address(&self) -> &ListenAddress {
        match self {
            Self::At(address) | Self::Inherited(_, address) => address,
        }
    }

    /// Whether both would need the same address.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let is_chosen_by_system = self.address().tcp().is_some_and(|address| address.port() == 0);
        self.address().is_same_place(other.address()) && !is_chosen_by_system
    }
}

/// The sockets that the service manager has bound, at most one a port.
#[derive(Debug, Default)]
pub struct InheritedSockets(Vec<(String, io::Result<InheritedSocket>)>);

impl InheritedSockets {
    /// The sockets by their names, `http` and `lines`, or why one is of no use.
    pub fn new(sockets: Vec<(String, io::Result<InheritedSocket>)>) -> Self {
        Self(sockets)
    }

    /// For each port, HTTP first, its socket or else what the configuration says.
    pub(super) fn instead_of(
        self,
        addresses: [Option<ListenAddress>; 2],
        faults: &mut Vec<ConfigFault>,
    ) -> [Option<Listen>; 2] {
        let mut listens = addresses.map(|address| address.map(Listen::At));
        for (name, socket) in self.0 {
            let place = SOCKET_NAMES.iter().zip(&mut listens).find(|(known, _)| **known == name);
            let listen = socket.and_then(|socket| {
                let address = Socket::address_of(&socket)?;
                Ok(Listen::Inherited(socket, address))
            });
            match (place, listen) {
                (None, _) => faults.push(ConfigFault::new(
                    INHERITED_ORIGIN,
                    format!(
                        "a socket is called `{}`; FileDescriptorName= takes http or lines",
                        name.escape_debug()
                    ),
                )),
                (Some((_, Some(Listen::Inherited(..)))), _) => faults.push(ConfigFault::new(
                    INHERITED_ORIGIN,
                    format!("two sockets are called `{name}`; a port has one"),
                )),
                (Some(_), Err(error)) => {
                    faults.push(ConfigFault::new(
                        INHERITED_ORIGIN,
                        format!("`{name}` cannot be used: {error}"),
                    ));
                }
                (Some((_, place)), Ok(listen)) => *place = Some(listen),
            }
        }
        listens
    }
}

/// What the value of a listener means.
pub(super) enum ListenSetting {
    Off,
    On(ListenAddress),
}

impl ListenSetting {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if matches!(text, "off" | "none") {
            return Some(Self::Off);
        }
        if let Some(place) = text.strip_prefix("unix:") {
            return parse_unix(place).map(Self::On);
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?));
            return Some(Self::On(ListenAddress::Tcp(address)));
        }
        text.parse().ok().map(|address| Self::On(ListenAddress::Tcp(address)))
    }

    pub(super) fn address(self) -> Option<ListenAddress> {
        match self {
            Self::Off => None,
            Self::On(address) => Some(address),
        }
    }
}

/// `/run/tallyd/http.sock` or `/run/tallyd/http.sock,mode=0660`.
fn parse_unix(place: &str) -> Option<ListenAddress> {
    let (path, mode) = match place.rsplit_once(",mode=") {
        Some((path, digits)) => (path, u32::from_str_radix(digits, 8).ok()?),
        None => (place, SOCKET_MODE),
    };
    let path = PathBuf::from(path);
    let is_good = path.is_absolute() && path.file_name().is_some() && mode <= 0o777 && !place.contains('\0');
    is_good.then_some(ListenAddress::Unix { path, mode: Some(mode) })
}
