//! `GET /ready` of a node that has missed something: at no moment does it say that it is ready before that is read.

use rustix::process::Signal;

use super::drivers::{Load, Told, Way, moved_on, settle};
use super::nodes::{Node, request};
use super::servers::{Servers, init, last, until};
use super::support::LINE;

/// The place within a log.
pub(crate) fn place(position: &str) -> u64 {
    position.split_once(':').expect("a log and a place").1.parse().expect("a number")
}

/// An event counts; its position.
pub(crate) fn posted(node: &Node) -> String {
    until("events are taken", || try_post(node))
}

/// The position of an event, if it counts.
pub(crate) fn try_post(node: &Node) -> Option<String> {
    let reply = request(node.http(), "POST", "/events", &[], LINE)?;
    (reply.status == 200).then(|| reply.header("tallyd-position").unwrap().to_owned())
}

/// Waits until the node is ready. It may be behind by as much as it was told.
pub(crate) fn is_ready(node: &Node) {
    until("the node is ready", || {
        let reply = request(node.http(), "GET", "/ready", &[], "")?;
        (reply.status == 200).then_some(())
    });
}

/// The same. Whenever it says so it has read as far as that, which others had seconds before.
pub(crate) fn is_ready_with(node: &Node, position: &str) {
    until("the node is ready", || {
        let reply = request(node.http(), "GET", "/ready", &[], "")?;
        if reply.status != 200 {
            return None;
        }
        let read = reply.header("tallyd-position").unwrap();
        assert!(place(read) >= place(position), "ready at {read}, and others had {position} long before");
        Some(())
    });
}

/// Ends a load beside which events were [`posted`]: all nodes, which are stopped, have the same, and it is what the drivers were told.
pub(crate) fn settled(nodes: &mut [&mut Node], load: Load) -> Vec<(Way, Vec<Told>)> {
    let load = load.end();
    let story = "/stories/5b07ffafc2376e30306d9b16";
    until("what was counted beside is deleted", || {
        let gone = request(nodes[0].http(), "DELETE", story, &[], "")?;
        (gone.status == 204).then_some(())
    });
    settle(nodes, &load);
    load
}

#[test]
fn node_that_stood_still_is_not_ready_before_it_has_read_what_it_missed() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let mut one = Node::start(&servers.urls(), &[]);
    let mut two = Node::start(&servers.urls(), &["--cluster-role", "query", "--cluster-max-lag", "3s"]);
    one.ready();
    posted(&one);
    is_ready(&two);
    let load = Load::start(&[&one]);
    for seconds in [1, 4] {
        moved_on(&[&one, &two], 50);
        is_ready(&two);
        two.signal(Signal::STOP);
        last(seconds);
        let position = posted(&one);
        last(3);
        two.signal(Signal::CONT);
        is_ready_with(&two, &position);
    }
    load.end();
    one.stop();
    two.kill();
    drop(servers);
    two.restart();
    let reply = request(two.http(), "GET", "/ready", &[], "").unwrap();
    assert_eq!(
        reply.status, 503,
        "it has not reached the log since it started, so it does not know: {reply:?}"
    );
}

#[test]
fn node_whose_server_leads_nobody_any_more_is_not_ready_though_that_still_answers() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let leader = servers.leader("tallyd");
    let node = Node::start(&servers.url(leader), &["--cluster-role", "query", "--cluster-max-lag", "3s"]);
    is_ready(&node);
    let others = || (0..3).filter(|place| *place != leader);
    others().for_each(|place| servers.signal(place, Signal::STOP));
    until("it is not ready", || {
        let reply = request(node.http(), "GET", "/ready", &[], "")?;
        (reply.status == 503).then_some(())
    });
    assert!(servers.leads(leader, "tallyd"), "it is ready until its server notices that the others are gone");
    assert!(node.cluster()["server"].is_string(), "its server answers");
    others().for_each(|place| servers.signal(place, Signal::CONT));
    is_ready(&node);
}
