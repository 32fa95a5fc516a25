//! How a node begins: by the snapshot of a seed or by reading the log from its beginning, while events come; and which directories take none.

use super::drivers::{Load, moved_on, settle};
use super::nodes::{Node, request};
use super::servers::{Servers, init, tallyd};
use super::support::{Daemon, command};

#[test]
fn node_begins_by_a_seed_or_by_the_log_under_load_and_has_the_same() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let (mut one, mut two) = (Node::start(&servers.urls(), &[]), Node::start(&servers.urls(), &[]));
    one.ready();
    two.ready();
    let load = Load::start(&[&one, &two]);
    moved_on(&[&one, &two], 300);
    let url = format!("http://{}", one.http());
    let mut seeded = Node::start(&servers.urls(), &["--cluster-role", "query", "--cluster-seed", &url]);
    let log = &seeded.daemon.as_ref().unwrap().log;
    assert!(log.contains("the snapshot of the seed is copied"), "{log}");
    let mut replayed = Node::start(&servers.urls(), &["--cluster-role", "query"]);
    for node in [&seeded, &replayed] {
        node.ready();
    }
    moved_on(&[&one, &two, &seeded, &replayed], 300);
    // It has something now, and asks for nothing more.
    seeded.kill();
    seeded.restart();
    let log = &seeded.daemon.as_ref().unwrap().log;
    assert!(log.contains("the data directory is not empty: the seed is not asked"), "{log}");
    seeded.ready();
    moved_on(&[&one, &two, &seeded, &replayed], 100);
    settle(&mut [&mut one, &mut two, &mut seeded, &mut replayed], &load.end());
}

#[test]
fn seed_that_has_no_snapshot_to_give_is_an_error_in_words_and_nothing_is_begun() {
    let Some(servers) = Servers::start() else { return };
    init(&servers);
    let alone = tempfile::tempdir().unwrap();
    let alone = Daemon::start(alone.path());
    let reply = request(alone.http, "GET", "/cluster/snapshot", &[], "").unwrap();
    assert_eq!(reply.status, 404, "{reply:?}");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let refused = |url: &str| {
        let urls = servers.urls();
        let output = command(&data).args(["--cluster", &urls, "--cluster-seed", url]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, words) = refused(&format!("http://{}", alone.http));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("this daemon shares no log with others"), "{words}");
    let (code, words) = refused("http://127.0.0.1:1");
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("no snapshot can be copied from http://127.0.0.1:1"), "{words}");
    let (code, words) = refused("127.0.0.1:1");
    assert_eq!(code, Some(64), "{words}");
    assert!(
        tallyd(&["verify", "--data-dir", data.to_str().unwrap()]).status.code() != Some(0),
        "nothing is there to start on"
    );
    assert!(alone.stop().0.success());
}
