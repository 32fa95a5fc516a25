//! The log loses what was acknowledged, or a node's counters are not what they should be: it is noticed and said, and reports go on.

use super::nodes::{Node, conversations, export, request};
use super::servers::{Servers, init, init_with, tallyd, until, write};
use super::stops::{OpenLog, post};
use super::support::LINE;

#[test]
fn log_that_is_made_anew_stops_its_nodes() {
    let Some(servers) = Servers::start() else { return };
    let log = OpenLog::make(&servers);
    let (one, two) =
        (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &["--cluster-role", "query"]));
    one.ready();
    two.ready();
    for _ in 0..20 {
        post(&one);
    }
    log.ask("$JS.API.STREAM.DELETE.tallyd", "");
    init(&servers);
    for node in [&one, &two] {
        let why = node.stopped();
        assert!(
            ["the log went back", "the log has forked", "begins another log", "has found that the log"]
                .iter()
                .any(|words| why.contains(words)),
            "{why}"
        );
        assert_eq!(conversations(node, None), 20);
    }
}

/// Two of three servers are given an older store, as where their disks were restored: they agree on it, and give the places that are
/// lost to other messages. What the page says to do then brings everything back.
#[test]
fn stores_that_are_put_back_stop_every_node_and_the_counters_move_to_another_log() {
    let Some(mut servers) = Servers::start() else { return };
    init(&servers);
    let urls = servers.urls();
    let mut nodes =
        [Node::start(&urls, &[]), Node::start(&urls, &[]), Node::start(&urls, &["--cluster-role", "query"])];
    nodes.iter().for_each(Node::ready);
    let send = |nodes: &[Node; 3], events: usize| {
        for turn in 0..events {
            until("an event is taken", || {
                let key = format!("{events}-{turn}");
                let reply =
                    request(nodes[turn % 2].http(), "POST", "/events", &[("idempotency-key", &key)], LINE)?;
                (reply.status == 200).then_some(())
            });
        }
    };
    send(&nodes, 40);
    let all = |servers: &mut Servers, is_back| {
        (0..3).for_each(|place| servers.kill(place));
        (0..2).for_each(|place| servers.copy_store(place, is_back));
        let before = servers.elections("tallyd");
        (0..2).for_each(|place| servers.restart(place));
        if is_back {
            // The third one, whose store is newer, could become the leader too, and then nothing would be lost. What the two say
            // of a leader at first may be of the time before.
            until("the two have a leader", || (servers.elections("tallyd") > before).then_some(()));
        }
        servers.restart(2);
    };
    all(&mut servers, false);
    send(&nodes, 60);
    until("all have read all", || nodes.iter().all(|node| conversations(node, None) == 100).then_some(()));
    all(&mut servers, true);
    for node in &nodes {
        let why = node.stopped();
        assert!(["went back", "forked"].iter().any(|words| why.contains(words)), "{why}");
        assert_eq!(conversations(node, None), 100, "reports go on");
    }
    let urls: Vec<String> = nodes.iter().map(|node| format!("http://{}", node.http())).collect();
    let status = tallyd(&["cluster", "status", &urls[0], &urls[1], &urls[2]]);
    assert_eq!(status.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&status.stdout).matches("has stopped").count(), 3, "{status:?}");

    // As the page says: the counters of the node that has read the most, into another log.
    nodes.iter_mut().for_each(Node::stop);
    let kept = export(&nodes[0].data_dir());
    let more = ["--cluster-name", "tallyd-2"];
    init_with(&servers, &more);
    let mut again = Node::start(&servers.urls(), &more);
    again.ready();
    let file = write(again.dir.path(), "events", &kept);
    let imported = tallyd(&["import", "--url", &format!("http://{}", again.http()), file.to_str().unwrap()]);
    assert!(imported.status.success(), "{imported:?}");
    again.stop();
    assert_eq!(export(&again.data_dir()), kept);
}

/// In a record of the journal one event counts as 101 instead of 100, and the record's checksum is that of what it says now.
fn alter_a_counter(node: &Node) {
    let folder = node.data_dir().join("journal");
    let newest = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let store_id: [u8; 8] = bytes[STORE_ID..STORE_ID + 8].try_into().unwrap();
    let mut at = 32;
    let mut altered = 0;
    while bytes[at..].starts_with(b"jrec") {
        let length: [u8; 4] = bytes[at + 8..at + 12].try_into().unwrap();
        let end = at + 32 + usize::try_from(u32::from_le_bytes(length)).unwrap();
        // The increments come last, and the last of them is the count.
        if bytes[end - 1] == 100 {
            bytes[end - 1] = 101;
            let mut sum = crc32fast::Hasher::new();
            sum.update(&store_id);
            sum.update(&bytes[at + 8..end]);
            bytes[at + 4..at + 8].copy_from_slice(&sum.finalize().to_le_bytes());
            altered += 1;
        }
        at = end;
        if at >= bytes.len() {
            break;
        }
    }
    assert_eq!(altered, 1);
    std::fs::write(newest, bytes).unwrap();
}

/// Where a segment's header has the data directory's number.
const STORE_ID: usize = 12;

#[test]
fn node_with_an_altered_counter_is_named() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let (one, mut two) = (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[]));
    one.ready();
    two.ready();
    let reply = request(one.http(), "POST", "/events", &[], &LINE.replace("count=1i", "count=100i")).unwrap();
    let position = reply.header("tallyd-position").unwrap().to_owned();
    assert_eq!(conversations(&two, Some(&position)), 100);
    two.kill();
    alter_a_counter(&two);
    two.restart();
    let why = two.stopped();
    assert!(why.contains("what is counted here has the digest"), "{why}");
    assert_eq!(conversations(&two, None), 101, "reports go on with what there is");
    let urls = [&one, &two].map(|node| format!("http://{}", node.http()));
    let status = tallyd(&["cluster", "status", &urls[0], &urls[1]]);
    let words = String::from_utf8_lossy(&status.stdout).into_owned();
    assert_eq!(status.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("{} has stopped: what is counted here", urls[1])), "{words}");
}
