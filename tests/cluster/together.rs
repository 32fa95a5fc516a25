//! The same is sent to two nodes at the same moment, or by somebody else: it counts once, in one order.

use std::sync::{Arc, Barrier};

use tallyd::cluster::message::Message;
use tallyd::cluster::position::{MessageNumber, WriterId};

use super::drivers::all_read;
use super::nodes::{Node, Reply, conversations, export, request};
use super::servers::{Servers, init, until};
use super::stops::{OpenLog, metric, post};
use super::support::LINE;

const STORY: &str = "/stories/5b07ffafc2376e30306d9b16";

fn pair(servers: &Servers) -> [Node; 2] {
    init(servers);
    let nodes = [Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[])];
    nodes.iter().for_each(Node::ready);
    nodes
}

/// Asks both at the same moment, time after time; gives the answers of each.
fn at_once(
    nodes: &[Node; 2],
    times: usize,
    ask: fn(usize, std::net::SocketAddr, usize) -> Reply,
) -> [Vec<Reply>; 2] {
    let barrier = Arc::new(Barrier::new(2));
    let asked = [0, 1].map(|place| {
        let (barrier, address) = (Arc::clone(&barrier), nodes[place].http());
        std::thread::spawn(move || {
            let one = |time| {
                barrier.wait();
                ask(place, address, time)
            };
            (0..times).map(one).collect::<Vec<_>>()
        })
    });
    asked.map(|thread| thread.join().unwrap())
}

#[test]
fn one_key_to_two_nodes_at_once_counts_once_and_both_have_the_first_answer() {
    let Some(servers) = Servers::start() else { return };
    let mut nodes = pair(&servers);
    let [one, two] = at_once(&nodes, 50, |_, address, time| {
        request(address, "POST", "/events", &[("idempotency-key", &format!("key-{time}"))], LINE).unwrap()
    });
    for (one, two) in one.iter().zip(&two) {
        assert_eq!((one.status, two.status, &one.body), (200, 200, &two.body));
        let replayed = [one, two].map(|reply| reply.header("idempotency-replayed").is_some());
        assert_ne!(replayed[0], replayed[1], "one of them was first");
    }
    all_read(&nodes.each_ref());
    assert_eq!(conversations(&nodes[0], None), 50);

    // Messages that somebody else publishes: a copy of one that has counted, and a writer's second before its first.
    let log = OpenLog::of(&servers);
    let place = post(&nodes[0]);
    let message = log.message(place);
    log.publish(message.encode());
    let of_another = |number| {
        let (writer, number) = (WriterId::new(99), MessageNumber::new(number));
        Message { writer, number, ..log.message(place) }.encode()
    };
    for number in [2, 1, 1, 2] {
        log.publish(of_another(number));
    }
    until("both have skipped what does not count", || {
        let skipped = |why| {
            nodes.each_ref().map(|node| metric(node, &format!("log_copies_skipped_total{{why=\"{why}\"}}")))
        };
        (skipped("further") == [2, 2] && skipped("early") == [1, 1]).then_some(())
    });
    all_read(&nodes.each_ref());
    assert_eq!(nodes.each_ref().map(|node| conversations(node, None)), [53, 53]);
    // The writer whose message was copied goes on.
    post(&nodes[0]);
    all_read(&nodes.each_ref());

    // Names, deletions and events of one story on both.
    let answers = at_once(&nodes, 60, |place, address, time| {
        let (method, path, body) = match (time + place) % 4 {
            0 => (
                "PUT",
                STORY,
                r#"{"name":"Pizza","interactions":{"c2f4b4b4-8bf4-4b4b-9b4b-4b4b4b4b4b4b":"Yes"}}"#,
            ),
            1 => ("DELETE", STORY, ""),
            _ => ("POST", "/events", LINE),
        };
        request(address, method, path, &[], body).unwrap()
    });
    for reply in answers.iter().flatten() {
        assert!([200, 204, 404, 400].contains(&reply.status), "{reply:?}");
    }
    all_read(&nodes.each_ref());
    let stories = nodes.each_ref().map(|node| request(node.http(), "GET", "/stories", &[], "").unwrap().body);
    assert_eq!(stories[0], stories[1]);
    nodes.iter_mut().for_each(Node::stop);
    let exports = nodes.each_ref().map(|node| export(&node.data_dir()));
    assert_eq!(exports[0], exports[1]);
}
