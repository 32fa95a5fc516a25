//! A node that finds what must not be stops, says why, refuses events and goes on answering reports; so it does after a restart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tallyd::cluster::message::{Body, Genesis, Message};
use tallyd::cluster::position::{LogId, MessageNumber, Position, WriterId};

use super::nodes::{Node, request};
use super::servers::{Servers, until};
use super::support::LINE;

/// A log from which messages may be deleted, as an operator might have made it, and the way to ask its servers.
pub(crate) struct OpenLog {
    runtime: tokio::runtime::Runtime,
    client: async_nats::Client,
}

impl OpenLog {
    pub(crate) fn make(servers: &Servers) -> Self {
        let log = Self::of(servers);
        let config = r#"{"name":"tallyd","subjects":["tallyd.0"],"retention":"limits","storage":"file","discard":"old","num_replicas":3}"#;
        log.ask("$JS.API.STREAM.CREATE.tallyd", config);
        let (log_id, writer, body) = (LogId::new(1), WriterId::new(1), Body::Genesis(Genesis::default()));
        let genesis =
            Message { log: log_id, writer, number: MessageNumber::NONE, base: Position::default(), body };
        log.publish(genesis.encode());
        log
    }

    /// A way to the servers of a log that is there.
    pub(crate) fn of(servers: &Servers) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = servers.urls().split(',').next().unwrap().to_owned();
        let client = until("a server answers", || runtime.block_on(async_nats::connect(&url)).ok());
        Self { runtime, client }
    }

    /// The message at a place.
    pub(crate) fn message(&self, sequence: u64) -> Message {
        let request = format!("{{\"seq\":{sequence}}}");
        let asked = self.client.request("$JS.API.STREAM.MSG.GET.tallyd", request.into());
        let answer: Value = serde_json::from_slice(&self.runtime.block_on(asked).unwrap().payload).unwrap();
        let bytes = STANDARD.decode(answer["message"]["data"].as_str().unwrap()).unwrap();
        Message::decode(&bytes).unwrap()
    }

    /// Asks until there is an answer that is no error.
    pub(crate) fn ask(&self, subject: &str, body: &str) {
        until(subject, || {
            let answer = self
                .runtime
                .block_on(self.client.request(subject.to_owned(), body.to_owned().into()))
                .ok()?;
            let answer = String::from_utf8_lossy(&answer.payload).into_owned();
            let is_good = !answer.contains("\"error\"");
            if !is_good {
                eprintln!("{subject}: {answer}");
            }
            is_good.then_some(())
        });
    }

    pub(crate) fn publish(&self, bytes: Vec<u8>) {
        let answer = self.runtime.block_on(self.client.request("tallyd.0", bytes.into())).unwrap();
        assert!(!String::from_utf8_lossy(&answer.payload).contains("\"error\""), "{answer:?}");
    }
}

pub(crate) fn post(node: &Node) -> u64 {
    let reply = request(node.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let position = reply.header("tallyd-position").unwrap();
    position.split_once(':').unwrap().1.parse().unwrap()
}

pub(crate) fn metric(node: &Node, name: &str) -> u64 {
    let metrics = request(node.http(), "GET", "/metrics", &[], "").unwrap().body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("tallyd_")?.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

/// The node stops with such words, now and after a restart.
fn stops(node: &mut Node, words: &str) {
    for _ in 0..2 {
        let reason = until("the node stops", || node.cluster()["stopped"].as_str().map(str::to_owned));
        assert!(reason.contains(words), "{reason}");
        let health = request(node.http(), "GET", "/health", &[], "").unwrap();
        assert_eq!(health.status, 503, "{health:?}");
        assert!(health.body.contains("\"log\":\"fail\"") && health.body.contains(words), "{health:?}");
        let refused = request(node.http(), "POST", "/events", &[], LINE).unwrap();
        assert_eq!(refused.status, 503, "{refused:?}");
        let report = request(node.http(), "GET", "/reports/conversations", &[], "").unwrap();
        assert_eq!(report.status, 200, "{report:?}");
        assert_eq!(metric(node, "log_stopped{why=\"gap\"}"), 1);
        assert_eq!(metric(node, "log_stopped{why=\"forked\"}"), 0);
        node.stop();
        node.restart();
    }
}

#[test]
fn node_stops_where_a_message_is_deleted_or_purged_before_it_was_read() {
    let Some(servers) = Servers::start() else { return };
    let log = OpenLog::make(&servers);
    let (one, mut two) = (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[]));
    let mut three = Node::start(&servers.urls(), &["--cluster-role", "query"]);
    for node in [&one, &two, &three] {
        node.ready();
    }
    let refused = request(three.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!((refused.status, refused.body.contains("takes no events")), (503, true), "{refused:?}");

    two.stop();
    let deleted = post(&one);
    post(&one);
    log.ask("$JS.API.STREAM.MSG.DELETE.tallyd", &format!("{{\"seq\":{deleted}}}"));
    two.restart();
    stops(&mut two, &format!("message {deleted} is gone from the log before this node has read it"));

    three.stop();
    post(&one);
    log.ask("$JS.API.STREAM.PURGE.tallyd", "");
    three.restart();
    stops(&mut three, "is gone from the log before this node has read it");
    // Who has read it goes on.
    post(&one);
    assert!(one.cluster()["stopped"].is_null());
    assert!(metric(&one, "log_published_total{outcome=\"stored\"}") >= 4);
    assert_eq!(metric(&one, "log_copies_skipped_total{why=\"early\"}"), 0);
}
