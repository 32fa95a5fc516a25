//! Servers that want to know who asks, allow no more than is needed, and speak TLS; by passwords, and by what an operator's accounts
//! have signed.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::nodes::{Node, conversations, request};
use super::page::EXAMPLE;
use super::servers::{Servers, init_with, tallyd, until, write};
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
    assert_counts_with(&one, &two);
    let stranger = start(&wrong);
    assert_not_let_in(&stranger);
    let refused = request(stranger.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
}

/// That an event which one node has taken counts on the other; its position.
fn assert_counts_with(one: &Node, other: &Node) -> String {
    one.ready();
    other.ready();
    let reply = request(one.http(), "POST", "/events", &[], LINE).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let position = reply.header("tallyd-position").unwrap().to_owned();
    assert_eq!(conversations(other, Some(&position)), 1);
    position
}

/// That a node says that the servers do not know it.
fn assert_not_let_in(stranger: &Node) {
    let why = until("it says why it is away", || {
        stranger.cluster()["away"].as_str().filter(|why| why.contains("cannot be reached")).map(str::to_owned)
    });
    assert!(why.to_lowercase().contains("authorization"), "{why}");
}

/// What `by` says of `of`, as NATS has it signed.
fn signed(by: &KeyPair, of: &KeyPair, name: &str, nats: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": by.public_key(), "name": name, "sub": of.public_key(), "nats": nats,
    });
    let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(by.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

/// An operator with one account for the log and one for the servers themselves.
struct Operator {
    account: KeyPair,
    /// What each server's configuration has of it.
    config: String,
}

impl Operator {
    fn new() -> Self {
        let (operator, account, system) =
            (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        let own = signed(&operator, &operator, "operator", &json!({"type": "operator", "version": 2}));
        let all = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1});
        let limits = |is_log: bool| {
            let mut limits = all.clone();
            if is_log {
                for name in ["mem_storage", "disk_storage", "streams", "consumer"] {
                    limits[name] = json!(-1);
                }
            }
            json!({"type": "account", "version": 2, "limits": limits})
        };
        let [log, own_account] = [(&account, "counts", true), (&system, "system", false)]
            .map(|(pair, name, is_log)| signed(&operator, pair, name, &limits(is_log)));
        let config = format!(
            "operator: {own}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{ {account}: {log}, {system}: {own_account} }}",
            account = account.public_key(),
            system = system.public_key(),
        );
        Self { account, config }
    }

    /// The file of credentials of a user, which has the seed of `seed_of`.
    fn credentials(&self, user: &KeyPair, permissions: &Value, seed_of: &KeyPair) -> String {
        let mut nats = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        for (name, allowed) in permissions.as_object().unwrap() {
            nats[name] = json!({"allow": allowed});
        }
        let jwt = signed(&self.account, user, "user", &nats);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEYs are sensitive.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            seed_of.seed().unwrap()
        )
    }
}

/// The subjects that the example of a server's configuration allows the daemons, after that word.
fn allowed(word: &str) -> Vec<&'static str> {
    let rest = EXAMPLE.split_once(&format!("{word}: [")).unwrap().1.split_once(']').unwrap().0;
    rest.split('"').skip(1).step_by(2).collect()
}

#[test]
fn node_follows_as_a_user_whom_an_account_has_signed_and_takes_new_credentials_when_it_connects() {
    let dir = tempfile::tempdir().unwrap();
    let operator = Operator::new();
    let Some(mut servers) = Servers::start_with(|| None, &operator.config, "nats") else { return };
    let (maker, user, other) = (KeyPair::new_user(), KeyPair::new_user(), KeyPair::new_user());
    let permissions = json!({"pub": allowed("publish"), "sub": allowed("subscribe")});
    let file = |name: &str, text: &str| write(dir.path(), name, text).to_str().unwrap().to_owned();
    init_with(
        &servers,
        &["--cluster-credentials", &file("maker", &operator.credentials(&maker, &json!({}), &maker))],
    );

    let good = operator.credentials(&user, &permissions, &user);
    let named = file("credentials", &good);
    let start = |file: &str| Node::start(&servers.urls(), &["--cluster-credentials", file]);
    let (one, two) = (start(&named), start(&named));
    let position = assert_counts_with(&one, &two);

    // Signed for, and with another one's key: words, until the file is another.
    let wrong = file("wrong", &operator.credentials(&user, &permissions, &other));
    let stranger = start(&wrong);
    assert_not_let_in(&stranger);
    file("wrong", &good);
    stranger.ready();
    assert_eq!(conversations(&stranger, Some(&position)), 1);

    // Those that were good stay where the file is no good any more.
    file("credentials", "nothing");
    for place in 0..3 {
        servers.kill(place);
    }
    until("both have lost the log", || {
        [&one, &two].iter().all(|node| node.cluster()["away"].is_string()).then_some(())
    });
    for place in 0..3 {
        servers.restart(place);
    }
    until("events are taken again", || {
        let reply = request(one.http(), "POST", "/events", &[], LINE)?;
        (reply.status == 200).then_some(())
    });
    let mut one = one;
    let (status, log) = one.daemon.take().unwrap().stop();
    assert!(status.success() && log.contains("the credentials for the log stay as they were"), "{log}");
    for secret in [user.seed().unwrap(), other.seed().unwrap()] {
        assert!(!log.contains(&secret), "{log}");
    }
}

#[test]
fn file_that_holds_no_credentials_is_refused_in_words_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let user = KeyPair::new_user();
    let seed = user.seed().unwrap();
    let whole = Operator::new().credentials(&user, &json!({}), &user);
    // One digit of the seed is another.
    let (kept, last) = seed.split_at(57);
    let mistyped = whole.replace(&seed, &format!("{kept}{}", if last == "A" { "B" } else { "A" }));
    let halved = whole.split_once("\n\n").unwrap().0;
    for (text, words) in [
        (seed.as_str(), "takes one line, `user:password`, or NATS credentials"),
        (&mistyped, "what stands there as the seed of the user's key is none"),
        (halved, "has a part of NATS credentials"),
    ] {
        let file = write(dir.path(), "credentials", text);
        let more = ["--cluster", "nats://127.0.0.1:1", "--cluster-credentials", file.to_str().unwrap()];
        let init = tallyd(&[&["cluster", "init", "--max-bytes", "1GiB"], &more[..]].concat());
        // First, since a daemon that takes it would serve.
        assert_eq!(init.status.code(), Some(64), "{init:?}");
        let data_dir = dir.path().join("data");
        let serve = tallyd(&[&["serve", "--data-dir", data_dir.to_str().unwrap()], &more[..]].concat());
        assert_eq!(serve.status.code(), Some(64), "{serve:?}");
        for output in [init, serve] {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(words) && !said.contains(kept), "{said}");
        }
    }
}
