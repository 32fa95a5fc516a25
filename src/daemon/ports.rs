//! The listening sockets: one row per port, bound together, then served. Knows nothing of the protocols.

use tokio::runtime::Runtime;
use tracing::info;

use super::config::Listen;
use super::error::DaemonError;
use super::runtimes::Runtimes;
use super::tasks::Tasks;
use crate::limits::{DESCRIPTORS_RESERVED, HTTP_CONNECTIONS_MAX, TCP_CONNECTIONS_MAX};
use crate::net::listener::{ListenAddress, Socket};
use crate::net::{Services, http, tcp};

/// The protocol of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PortKind {
    Http,
    Lines,
}

impl PortKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Lines => "lines",
        }
    }

    /// The runtime that accepts its connections.
    const fn runtime(self, runtimes: &Runtimes) -> &Runtime {
        match self {
            Self::Http => &runtimes.quick,
            Self::Lines => &runtimes.lines,
        }
    }
}

/// A bound port.
#[derive(Debug)]
pub(super) struct Port {
    protocol: PortKind,
    socket: Socket,
    address: ListenAddress,
}

/// Where each port is, with the port number that the system chose.
pub(super) type Addresses = Vec<(PortKind, ListenAddress)>;

/// Binds the ports that are to be bound.
pub(super) fn bind(
    wanted: [(PortKind, Option<Listen>); 2],
    runtimes: &Runtimes,
) -> Result<Vec<Port>, DaemonError> {
    let wanted = wanted.into_iter().filter_map(|(protocol, listen)| Some((protocol, listen?)));
    wanted
        .map(|(protocol, listen)| {
            let wanted_at = listen.address().clone();
            let bound = protocol.runtime(runtimes).block_on(async {
                let socket = match listen {
                    Listen::At(address) => Socket::bind(&address).await?,
                    Listen::Inherited(socket, _) => Socket::inherit(socket)?,
                };
                let address = socket.address()?;
                Ok(Port { protocol, socket, address })
            });
            bound.map_err(|source| DaemonError::Bind { port: protocol.as_str(), address: wanted_at, source })
        })
        .collect()
}

/// The addresses of bound ports.
pub(super) fn addresses(ports: &[Port]) -> Addresses {
    ports.iter().map(|port| (port.protocol, port.address.clone())).collect()
}

/// Serves the ports, as tasks of the daemon. `descriptors` is how many the process may have open.
pub(super) fn serve(
    ports: Vec<Port>,
    services: &Services,
    descriptors: usize,
    runtimes: &Runtimes,
    tasks: &mut Tasks,
) {
    let affordable = affordable_connections(descriptors, ports.len());
    for Port { protocol, socket, .. } in ports {
        let (services, watch) = (services.clone(), tasks.watch());
        match protocol {
            PortKind::Http => {
                let connections = at_most(affordable, HTTP_CONNECTIONS_MAX, protocol);
                let limits = http::Limits { connections, ..http::Limits::default() };
                let [requests, heavy] =
                    [&runtimes.requests, &runtimes.heavy].map(|runtime| runtime.handle().clone());
                let serving =
                    http::serve(socket, services, limits, http::Runtimes { requests, heavy }, watch);
                tasks.spawn(protocol.runtime(runtimes), "the HTTP port", serving);
            }
            PortKind::Lines => {
                let connections = at_most(affordable, TCP_CONNECTIONS_MAX, protocol);
                let serving = tcp::serve(socket, services, connections, watch);
                tasks.spawn(protocol.runtime(runtimes), "the line port", serving);
            }
        }
    }
}

/// Connections that each of that many ports can have without taking a descriptor that the store may need.
fn affordable_connections(descriptors: usize, ports: usize) -> usize {
    (descriptors.saturating_sub(DESCRIPTORS_RESERVED) / ports.max(1)).max(1)
}

fn at_most(affordable: usize, wanted: usize, protocol: PortKind) -> usize {
    if affordable < wanted {
        info!(
            port = protocol.as_str(),
            connections = affordable,
            wanted,
            "the limit of open descriptors (ulimit -n, LimitNOFILE=) allows fewer connections"
        );
    }
    affordable.min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_store_its_descriptors() {
        for (descriptors, ports, connections) in [
            (DESCRIPTORS_RESERVED + 20_000, 2, 10_000),
            (1_024, 1, 1_024 - DESCRIPTORS_RESERVED),
            (DESCRIPTORS_RESERVED + 3, 2, 1),
            (16, 2, 1),
        ] {
            assert_eq!(affordable_connections(descriptors, ports), connections, "{descriptors} {ports}");
        }
    }
}
