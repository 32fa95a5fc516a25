//! Servers or nodes are away for a while under load, and come back: nothing is lost, little is unknown, and who was away catches up.

use std::net::SocketAddr;

use rustix::process::Signal;

use super::drivers::{Load, Told, Way, moved_on, settle, told};
use super::nodes::{Node, request};
use super::ready::{is_ready_with, posted, settled};
use super::servers::{Servers, init, last, until};
use super::support::LINE;

fn status(address: SocketAddr, path: &str, position: Option<&str>) -> u16 {
    let headers: Vec<(&str, &str)> = position.iter().map(|position| ("tallyd-position", *position)).collect();
    request(address, "GET", path, &headers, "").unwrap().status
}

#[test]
fn leader_that_stands_still_is_waited_for_and_a_node_that_did_catches_up() {
    let Some(servers) = Servers::start_beside() else { return };
    init(&servers);
    let (mut one, mut two) = (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[]));
    let mut three = Node::start(&servers.urls(), &["--cluster-role", "query", "--cluster-max-lag", "3s"]);
    for node in [&one, &two, &three] {
        node.ready();
    }
    let load = Load::start(&[&one, &two]);
    moved_on(&[&one, &two, &three], 100);
    let leader = servers.leader("tallyd");
    servers.signal(leader, Signal::STOP);
    three.signal(Signal::STOP);
    last(10);
    let position = posted(&one);
    last(2);
    three.signal(Signal::CONT);
    is_ready_with(&three, &position);
    let address = three.http();
    until("it has read as far as that", || {
        (status(address, "/stories", Some(&position)) == 200).then_some(())
    });
    let (log, sequence) = position.split_once(':').unwrap();
    let ahead = format!("{log}:{}", sequence.parse::<u64>().unwrap() + 1_000_000_000);
    let late = request(address, "GET", "/stories", &[("tallyd-position", &ahead)], "").unwrap();
    assert_eq!((late.status, late.header("retry-after").is_some()), (503, true), "{late:?}");
    servers.signal(leader, Signal::CONT);
    moved_on(&[&one, &two, &three], 100);
    assert_eq!(told(&settled(&mut [&mut one, &mut two, &mut three], load), Told::Unknown), 0);
}

#[test]
fn all_servers_are_away_for_forty_seconds_and_only_what_was_on_its_way_is_unknown() {
    let Some(mut servers) = Servers::start_beside() else { return };
    init(&servers);
    let (mut one, mut two) = (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[]));
    one.ready();
    two.ready();
    let load = Load::start(&[&one, &two]);
    for seconds in [3, 40] {
        moved_on(&[&one, &two], 400);
        (0..3).for_each(|place| servers.kill(place));
        for node in [&one, &two] {
            until("events are refused", || {
                let reply = request(node.http(), "POST", "/events", &[], "")?;
                // An empty batch is not handed over, so what the node knows decides.
                let state = node.cluster();
                (reply.status != 0 && state["away"].is_string()).then_some(())
            });
            let refused = request(node.http(), "POST", "/events", &[], LINE).unwrap();
            assert!(refused.status == 503 && refused.header("retry-after").is_some(), "{refused:?}");
            assert_eq!(status(node.http(), "/stories", None), 200, "reports go on");
        }
        last(seconds);
        if seconds > 10 {
            assert_eq!(status(one.http(), "/ready", None), 503);
        }
        (0..3).for_each(|place| servers.restart(place));
    }
    moved_on(&[&one, &two], 400);
    let load = load.end();
    for (way, told) in &load {
        let unknown = told.iter().filter(|told| **told == Told::Unknown).count();
        // Each driver has one batch on its way when the servers go; lines wait as long as it takes.
        let most = if *way == Way::Http { 2 } else { 0 };
        assert!(unknown <= most, "{way:?}: {unknown} unknown");
    }
    settle(&mut [&mut one, &mut two], &load);
}
