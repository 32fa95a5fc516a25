//! A network of its own for a test: hosts on one bridge, each in a namespace, and what is lost between them. Nothing of it is left when
//! the test's process ends, since that is in namespaces of its own as well.
//!
//! What is lost is sent to a neighbour who is not there: it needs no module of the kernel, goes one way only, and breaks no connection.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set where a test runs in namespaces of its own.
const INSIDE: &str = "TALLYD_INSIDE_NAMESPACES";

/// Where hosts are named, and the bridge.
const SETUP: &str = "mount -t tmpfs hosts /run && mkdir /run/netns && ip link set lo up && ip link add hub type bridge && \
                     ip addr add 198.18.0.1/24 dev hub && ip link set hub up && ip netns add h0 && \
                     ip link add v0 type veth peer name eth0 netns h0 && ip link set v0 master hub up";

/// Runs the test of that name again in namespaces of its own, unless this is it. Returns whether this is it, and says in words where
/// namespaces cannot be made.
pub(crate) fn is_inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount"]).args(command).stdin(Stdio::null());
        unshare
    };
    let tried = unshare(&["sh", "-c", SETUP]).output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        assert!(std::env::var_os("TALLYD_NAMESPACES_REQUIRED").is_none(), "{tried:?}");
        eprintln!("LEFT OUT: no network namespaces can be made here: {tried:?}");
        return false;
    }
    let this = std::env::current_exe().unwrap();
    let script = format!("{SETUP} && exec \"$@\"");
    let mut inside = unshare(&["sh", "-c", &script, "sh"]);
    let status = inside.arg(this).args(["--exact", name, "--nocapture"]).env(INSIDE, "1").status().unwrap();
    assert!(status.success(), "see above");
    false
}

/// A host. It has an address in the network of the servers, 0, and one in that of each node, from 1 on; nodes are on the bridge itself,
/// which is .1 in each.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    number: u8,
}

/// What is sent by one to another.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    from: Option<u8>,
    to: String,
}

/// The networks of as many nodes as there are in a test.
pub(crate) const NODE_NETWORKS: [u8; 3] = [1, 2, 3];

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

/// The bridge has an address in the network of each node. Once, before there are hosts.
pub(crate) fn make_networks() {
    for network in NODE_NETWORKS {
        ip(&format!("addr add 198.18.{network}.1/24 dev hub"));
    }
}

impl Host {
    /// A new one of that number, which no other has.
    pub(crate) fn new(number: u8) -> Self {
        ip(&format!("netns add h{number}"));
        ip(&format!("link add v{number} type veth peer name eth0 netns h{number}"));
        ip(&format!("link set v{number} master hub up"));
        for network in [0].into_iter().chain(NODE_NETWORKS) {
            ip(&format!("-n h{number} addr add 198.18.{network}.{number}/24 dev eth0"));
        }
        ip(&format!("-n h{number} link set eth0 up"));
        ip(&format!("-n h{number} link set lo up"));
        Self { number }
    }

    /// Its address in a network.
    pub(crate) fn address(&self, network: u8) -> IpAddr {
        IpAddr::from([198, 18, network, self.number])
    }

    /// A command that runs there.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("h{}", self.number)]).arg(program);
        command
    }

    pub(crate) fn to_host(&self, other: &Self) -> Words {
        Words { from: Some(self.number), to: format!("198.18.0.{}", other.number) }
    }

    pub(crate) fn to_node(&self, network: u8) -> Words {
        Words { from: Some(self.number), to: format!("198.18.{network}.1") }
    }

    pub(crate) fn of_node(&self, network: u8) -> Words {
        Words { from: None, to: format!("198.18.{network}.{}", self.number) }
    }
}

impl Words {
    fn neighbour(&self, act: &str, rest: &str) {
        let Self { from, to } = self;
        let (at, device) = from.map_or((String::new(), "hub"), |from| (format!("-n h{from} "), "eth0"));
        ip(&format!("{at}neigh {act} {to}{rest} dev {device}"));
    }

    /// From now on they are lost.
    pub(crate) fn lose(&self) {
        self.neighbour("replace", " lladdr 02:00:00:00:00:99 nud permanent");
    }

    /// From now on they arrive.
    pub(crate) fn deliver(&self) {
        self.neighbour("del", "");
    }
}
