//! The network between nodes and servers of the log, or between the servers, loses what is sent, one way or both: nothing that was
//! acknowledged is lost, whoever is cut off says so, and catches up.

use std::time::Duration;

use super::drivers::{Load, moved_on};
use super::hosts::{Host, NODE_NETWORKS, Words, is_inside, make_networks};
use super::nodes::{Node, request};
use super::ready::{is_ready, is_ready_with, place, posted, settled, try_post};
use super::servers::{Servers, init, last, program, until, within};
use super::support::LINE;

/// How long events are tried while the leader is cut off.
const CUT: Duration = Duration::from_secs(20);
/// How far behind the third node may be and still be ready, in seconds.
const MAX_LAG: u64 = 3;

/// Which words are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lost {
    Own,
    Others,
    All,
}

const WAYS: [Lost; 3] = [Lost::Own, Lost::Others, Lost::All];

/// Of the words of a pair, those that are lost: what the first one says to the other, and what that one says to it.
fn lost_of([own, others]: [Words; 2], lost: Lost) -> Vec<Words> {
    match lost {
        Lost::Own => vec![own],
        Lost::Others => vec![others],
        Lost::All => vec![own, others],
    }
}

/// Three servers, each on a host, two nodes that take events and one that does not.
struct Network {
    hosts: Vec<Host>,
    nodes: [Node; 3],
    servers: Servers,
}

impl Network {
    fn start() -> Option<Self> {
        make_networks();
        let hosts: Vec<Host> = (2..5).map(Host::new).collect();
        let servers = Servers::start_on(&hosts)?;
        init(&servers);
        let max_lag = format!("{MAX_LAG}s");
        let query = ["--cluster-role", "query", "--cluster-max-lag", &max_lag];
        let arguments: [&[&str]; 3] = [&[], &[], &query];
        let node = |place: usize| Node::start(&servers.urls_in(NODE_NETWORKS[place]), arguments[place]);
        let nodes = [0, 1, 2].map(node);
        nodes.iter().for_each(Node::ready);
        Some(Self { hosts, nodes, servers })
    }

    fn nodes(&self) -> [&Node; 3] {
        self.nodes.each_ref()
    }

    fn load(&self) -> Load {
        Load::start(&[&self.nodes[0], &self.nodes[1]])
    }
}

#[test]
fn node_that_is_cut_off_from_the_log_refuses_is_not_ready_and_catches_up() {
    if program().is_none()
        || !is_inside("cuts::node_that_is_cut_off_from_the_log_refuses_is_not_ready_and_catches_up")
    {
        return;
    }
    let Some(mut network) = Network::start() else { return };
    let load = network.load();
    for lost in WAYS {
        moved_on(&network.nodes(), 50);
        let [one, two, three] = network.nodes();
        is_ready(three);
        let pairs = network.hosts.iter().flat_map(|host| {
            NODE_NETWORKS[1..].iter().map(|node| [host.of_node(*node), host.to_node(*node)])
        });
        let words: Vec<Words> = pairs.flat_map(|pair| lost_of(pair, lost)).collect();
        words.iter().for_each(Words::lose);
        until("it is not ready", || {
            let reply = request(three.http(), "GET", "/ready", &[], "")?;
            (reply.status == 503).then_some(())
        });
        until("it refuses events", || {
            let reply = request(two.http(), "GET", "/cluster", &[], "")?;
            reply.body.contains("\"away\"").then_some(())
        });
        let refused = request(two.http(), "POST", "/events", &[], LINE).unwrap();
        assert!(refused.status == 503 && refused.header("retry-after").is_some(), "{lost:?}: {refused:?}");
        for node in [two, three] {
            assert_eq!(
                request(node.http(), "GET", "/stories", &[], "").unwrap().status,
                200,
                "reports go on"
            );
        }
        let position = posted(one);
        last(2);
        words.iter().for_each(Words::deliver);
        is_ready_with(three, &position);
    }
    moved_on(&network.nodes(), 400);
    settled(&mut network.nodes.each_mut(), load);
}

#[test]
fn log_whose_leader_is_cut_off_from_the_other_servers_loses_nothing() {
    if program().is_none()
        || !is_inside("cuts::log_whose_leader_is_cut_off_from_the_other_servers_loses_nothing")
    {
        return;
    }
    let Some(mut network) = Network::start() else { return };
    let load = network.load();
    for lost in WAYS {
        moved_on(&network.nodes(), 50);
        let cut = network.servers.leader("tallyd");
        let leader = &network.hosts[cut];
        let others = (0..3).filter(|other| *other != cut).map(|other| &network.hosts[other]);
        let pairs = others.map(|other| [leader.to_host(other), other.to_host(leader)]);
        let words: Vec<Words> = pairs.flat_map(|pair| lost_of(pair, lost)).collect();
        words.iter().for_each(Words::lose);
        last(2);
        // How long the servers take to agree on another leader has no bound: one that is heard and does not hear disturbs them.
        let taken = within(CUT, || try_post(&network.nodes[0]));
        eprintln!("{lost:?}: events are taken meanwhile: {taken:?}");
        // Whichever server the third node asks: beyond its lag it has read that, or says that it is not ready.
        if let Some(position) = taken {
            last(MAX_LAG + 1);
            let reply = request(network.nodes[2].http(), "GET", "/ready", &[], "").unwrap();
            let read = place(reply.header("tallyd-position").unwrap());
            assert!(
                reply.status == 503 || read >= place(&position),
                "{lost:?}: {reply:?}, and others have {position}"
            );
        }
        words.iter().for_each(Words::deliver);
        posted(&network.nodes[0]);
        is_ready(&network.nodes[2]);
    }
    moved_on(&network.nodes(), 400);
    settled(&mut network.nodes.each_mut(), load);
}
