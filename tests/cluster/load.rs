//! Servers and daemons are killed under load: nothing is lost or counted twice.

use super::drivers::{Load, moved_on, settle};
use super::nodes::Node;
use super::servers::{Servers, init};

/// What is killed, and started again.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Leader,
    Follower,
    Node(usize),
    AllServers,
}

#[test]
fn nothing_is_lost_or_counted_twice_while_servers_and_nodes_are_killed() {
    let Some(mut servers) = Servers::start() else { return };
    init(&servers);
    let mut nodes = [Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[])];
    for node in &nodes {
        node.ready();
    }
    let load = Load::start(&nodes.each_ref());
    let victims = [
        Victim::Leader,
        Victim::Node(0),
        Victim::Follower,
        Victim::Node(1),
        Victim::AllServers,
        Victim::Node(0),
    ];
    for victim in victims {
        moved_on(&nodes.each_ref(), 300);
        let leader = servers.leader("tallyd");
        match victim {
            Victim::Leader => replace(&mut servers, &[leader]),
            Victim::Follower => replace(&mut servers, &[(leader + 1) % 3]),
            Victim::AllServers => replace(&mut servers, &[0, 1, 2]),
            Victim::Node(place) => {
                nodes[place].kill();
                nodes[place].restart();
                nodes[place].ready();
                load.send_to(&nodes.each_ref());
            }
        }
    }
    moved_on(&nodes.each_ref(), 300);
    settle(&mut nodes.each_mut(), &load.end());
}

fn replace(servers: &mut Servers, places: &[usize]) {
    for place in places {
        servers.kill(*place);
    }
    for place in places {
        servers.restart(*place);
    }
}
