//! Servers that want to know who asks, allow no more than is needed, and speak TLS.

use std::process::Command;

use super::nodes::{Node, conversations, request};
use super::page::EXAMPLE;
use super::servers::{Servers, until, write};
use super::support::{Daemon, LINE, command};

#[test]
fn node_follows_over_tls_with_a_password_and_no_more_than_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = write(dir.path(), "cert.pem", &pair.cert.pem());
    let key = write(dir.path(), "key.pem", &pair.signing_key.serialize_pem());
    // The example's own parts, from where it says how clients are known.
    let more = EXAMPLE
        .split_once("\ntls {")
        .map(|(_, rest)| format!("tls {{{rest}"))
        .unwrap()
        .replace("/etc/nats/server.crt", certificate.to_str().unwrap())
        .replace("/etc/nats/server.key", key.to_str().unwrap())
        .replace("CHANGE-ME-TOO", "counts:once")
        .replace("CHANGE-ME", "makes");
    let Some(servers) = Servers::start_with(|| None, &more, "tls") else { return };
    let credentials = |name: &str, text: &str| write(dir.path(), name, text).to_str().unwrap().to_owned();
    let (maker, tallyd, wrong) = (
        credentials("maker", "maker:makes\n"),
        credentials("tallyd", "tallyd:counts:once\n"),
        credentials("wrong", "tallyd:guesses\n"),
    );
    let mut init = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    init.env_clear().env("SSL_CERT_FILE", &certificate);
    init.args(["cluster", "init", "--cluster", &servers.urls(), "--max-bytes", "1GiB"]);
    let made = init.args(["--cluster-credentials", &maker]).output().unwrap();
    assert!(made.status.success(), "{made:?}");

    let start = |credentials: &str| {
        let mut node = Node::new(&servers.urls(), &[]);
        let mut command = command(&node.data_dir());
        command.env("SSL_CERT_FILE", &certificate);
        command.args(["--cluster", &servers.urls(), "--cluster-credentials", credentials]);
        node.daemon = Some(Daemon::spawn(&mut command));
        node
    };
    let (one, two) = (start(&tallyd), start(&tallyd));
    one.ready();
    two.ready();
    let reply = request(one.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let position = reply.header("tallyd-position").unwrap().to_owned();
    assert_eq!(conversations(&two, Some(&position)), 1);
    let stranger = start(&wrong);
    let why = until("it says why it is away", || {
        stranger.cluster()["away"].as_str().filter(|why| why.contains("cannot be reached")).map(str::to_owned)
    });
    assert!(why.to_lowercase().contains("authorization"), "{why}");
    let refused = request(stranger.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
}
