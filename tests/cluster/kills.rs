//! Round after round nodes, servers of the log and clients are killed at random under load. Each round ends with all nodes at the same
//! place with the same digest and the same counters, which are what the drivers were told: all that was acknowledged, and of what is
//! unknown each batch whole or not at all. What has a key, or comes from a client that repeats what was not answered, counts once.
//!
//! ```text
//! TALLYD_CLUSTER_ROUNDS=500 TALLYD_CLUSTER_SEED=1 TALLYD_LOG_SERVER=… cargo test --test cluster kills -- --nocapture
//! ```

use std::collections::BTreeMap;

use super::drivers::{Load, Told, Way, all_read, check, moved_on, story};
use super::nodes::{Node, export, request};
use super::servers::{Servers, init, pause, until};
use super::support::LINE;

/// What a node does with its journal; each node has another one, and the next one after each round.
const POLICIES: [&str; 3] = ["always", "interval", "never"];

/// How each driver sends, two of those that may be told that an outcome is unknown.
const WAYS: [Way; 8] =
    [Way::Http, Way::Http, Way::Keyed, Way::Tcp, Way::KeyedTcp, Way::Stock, Way::Push, Way::Broken];

/// What is killed, and started again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Victim {
    Node(usize),
    AllNodes,
    Leader,
    Server(usize),
    TwoServers(usize),
    AllServers,
}

/// Numbers from a seed.
struct Random(u64);

impl Random {
    /// One below `most`.
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn place(&mut self) -> usize {
        usize::try_from(self.below(3)).expect("it is small")
    }

    fn victim(&mut self) -> Victim {
        match self.below(10) {
            0..=3 => Victim::Node(self.place()),
            4 => Victim::AllNodes,
            5 => Victim::Leader,
            6 | 7 => Victim::Server(self.place()),
            8 => Victim::TwoServers(self.place()),
            _ => Victim::AllServers,
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct Fleet {
    servers: Servers,
    nodes: [Node; 3],
    random: Random,
    killed: BTreeMap<Victim, u64>,
    told: BTreeMap<(Way, Told), usize>,
}

impl Fleet {
    fn nodes(&self) -> [&Node; 3] {
        self.nodes.each_ref()
    }

    /// Kills one and starts it again; servers and nodes need a while until they take anything.
    fn kill(&mut self, victim: Victim, load: &Load) {
        *self.killed.entry(victim).or_default() += 1;
        let servers: Vec<usize> = match victim {
            Victim::Leader => vec![self.servers.leader("tallyd")],
            Victim::Server(place) => vec![place],
            Victim::TwoServers(place) => vec![place, (place + 1) % 3],
            Victim::AllServers => vec![0, 1, 2],
            Victim::Node(_) | Victim::AllNodes => Vec::new(),
        };
        let nodes: Vec<usize> = match victim {
            Victim::Node(place) => vec![place],
            Victim::AllNodes => vec![0, 1, 2],
            _ => Vec::new(),
        };
        for place in &servers {
            self.servers.kill(*place);
        }
        for place in &nodes {
            self.nodes[*place].kill();
        }
        (0..self.random.below(8)).for_each(|_| pause());
        for place in &servers {
            self.servers.restart(*place);
        }
        for place in &nodes {
            self.nodes[*place].restart();
        }
        load.send_to(&self.nodes());
    }

    /// Waits until a batch that each node takes now has counted: then so has all that it sent before, if ever.
    fn settle(&self) {
        for node in &self.nodes {
            until("the node takes events", || {
                let reply = request(node.http(), "POST", "/events", &[], LINE)?;
                (reply.status == 200).then_some(())
            });
        }
        all_read(&self.nodes());
    }

    fn round(&mut self, round: u64) {
        let first = usize::try_from(round).expect("it is small") * WAYS.len();
        let load = Load::of(&WAYS, first, &self.nodes());
        moved_on(&self.nodes(), 10);
        for _ in 0..=self.random.below(3) {
            let victim = self.random.victim();
            self.kill(victim, &load);
            // At times the next one falls while this one is still on its way back.
            if self.random.below(2) == 0 {
                moved_on(&self.nodes(), 10);
            }
        }
        moved_on(&self.nodes(), 20);
        let load = load.end();
        self.settle();
        // As they were killed half of the time; the rest is folded by a stop.
        let is_killed = self.random.below(2) == 0;
        let exports = self.nodes.each_mut().map(|node| {
            if is_killed {
                node.kill();
            } else {
                node.stop();
            }
            export(&node.data_dir())
        });
        assert!(exports.iter().all(|export| *export == exports[0]), "exports differ");
        check(&exports[0], first, &load);
        for (way, told) in &load {
            for told in told {
                *self.told.entry((*way, *told)).or_default() += 1;
            }
        }
        let turn = usize::try_from(round).expect("it is small") + 1;
        for (place, node) in self.nodes.iter_mut().enumerate() {
            node.set("--fsync", POLICIES[(place + turn) % 3]);
            node.restart();
        }
        self.nodes.iter().for_each(Node::ready);
        // So that what a round has to look at does not grow. Of what was unknown some may come behind this, and stays.
        for driver in first..first + WAYS.len() {
            until("a story is deleted", || {
                let path = format!("/stories/{}", story(driver));
                let reply = request(self.nodes[0].http(), "DELETE", &path, &[], "")?;
                [204, 404].contains(&reply.status).then_some(())
            });
        }
    }
}

#[test]
fn whatever_is_killed_all_nodes_count_what_was_acknowledged_once() {
    let Some(servers) = Servers::start_beside() else { return };
    init(&servers);
    let (rounds, seed) =
        (setting("TALLYD_CLUSTER_ROUNDS", 3), setting("TALLYD_CLUSTER_SEED", u64::from(std::process::id())));
    eprintln!("TALLYD_CLUSTER_ROUNDS={rounds} TALLYD_CLUSTER_SEED={seed}");
    let nodes = POLICIES.map(|policy| Node::start(&servers.urls(), &["--fsync", policy]));
    nodes.iter().for_each(Node::ready);
    let (killed, told) = (BTreeMap::new(), BTreeMap::new());
    let mut fleet = Fleet { servers, nodes, random: Random(seed), killed, told };
    for round in 0..rounds {
        fleet.round(round);
        if round % 10 == 9 {
            eprintln!("{} rounds", round + 1);
        }
    }
    eprintln!("{rounds} rounds: killed {:?}; batches {:?}", fleet.killed, fleet.told);
}
