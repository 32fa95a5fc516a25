//! A daemon that has counted alone becomes the first of several: the log begins with its counters.

use super::nodes::{Node, conversations, export, request};
use super::servers::{Servers, init, init_with, tallyd};
use super::support::{Daemon, LINE};

#[test]
fn log_begins_with_the_counters_of_a_daemon_that_was_alone() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let more = ["--cluster-name", "grown"];
    let mut one = Node::new(&servers.urls(), &more);
    std::fs::create_dir_all(one.data_dir()).unwrap();
    let alone = Daemon::start(&one.data_dir());
    for _ in 0..3 {
        assert_eq!(request(alone.http, "POST", "/events", &[], LINE).unwrap().status, 200);
    }
    let name = r#"{"name":"Pizza"}"#;
    request(alone.http, "PUT", "/stories/5b07ffafc2376e30306d9b17", &[], name).unwrap();
    assert!(alone.stop().0.success());

    // The log of another beginning does not know these counters.
    let mut elsewhere = Node::new(&servers.urls(), &[]);
    std::mem::swap(&mut one.dir, &mut elsewhere.dir);
    elsewhere.restart();
    let why = elsewhere.stopped();
    assert!(why.contains("begins with other counters than this node has"), "{why}");
    assert_eq!(conversations(&elsewhere, None), 3);
    elsewhere.stop();
    std::mem::swap(&mut one.dir, &mut elsewhere.dir);

    let data = one.data_dir();
    let from = ["--from", data.to_str().unwrap()];
    init_with(&servers, &[&more[..], &from].concat());
    one.restart();
    one.ready();
    let reply = request(one.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let position = reply.header("tallyd-position").unwrap().to_owned();
    // One without these counters is refused, and begins with them by a seed.
    let mut two = Node::start(&servers.urls(), &more);
    let why = two.stopped();
    assert!(why.contains("--cluster-seed"), "{why}");
    two.stop();
    let url = format!("http://{}", one.http());
    let mut two = Node::start(&servers.urls(), &[&more[..], &["--cluster-seed", &url]].concat());
    assert_eq!((conversations(&one, None), conversations(&two, Some(&position))), (4, 4));
    let status = tallyd(&["cluster", "status", &url, &format!("http://{}", two.http())]);
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    one.stop();
    two.stop();
    assert_eq!(export(&one.data_dir()), export(&two.data_dir()));
    // It follows a log now, so that no other can begin with it.
    let urls = servers.urls();
    let again = ["cluster", "init", "--cluster", &urls, "--max-bytes", "1GiB", "--cluster-name", "third"];
    let refused = tallyd(&[&again[..], &from].concat());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("follows a log already"), "{refused:?}");
}
