//! What the page of several daemons says is so: its commands are run word for word, with addresses of this machine and a size that fits it, and its example of a
//! server's configuration is one.

use std::process::Command;

use super::nodes::{Node, conversations, request};
use super::servers::{Servers, program, write};
use super::support::{Daemon, LINE};

const PAGE: &str = include_str!("../../systemd/CLUSTER.md");
pub(crate) const EXAMPLE: &str = include_str!("../../systemd/nats-server.example.conf");

/// The commands of the blocks of that kind, in order.
fn commands(kind: &str) -> Vec<String> {
    let begin = format!("```{kind}\n");
    let blocks = PAGE.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).map(|line| line.trim_start_matches("$ ").to_owned());
    lines.collect()
}

#[test]
fn commands_of_the_page_do_what_it_says() {
    let Some(servers) = Servers::start() else { return };
    let urls = servers.urls();
    let named: Vec<String> = (1..=3).map(|place| format!("nats://10.0.0.{place}:4222")).collect();
    let command = |text: &str, node: &Node| {
        let text = text.replace(&named.join(","), &urls).replace("200GiB", "500MiB");
        let mut words = text.split(' ');
        assert_eq!(words.next(), Some("tallyd"), "{text}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
        command.env_clear().args(words).current_dir(node.dir.path());
        command.env("TALLYD_DATA_DIR", node.data_dir());
        command.env("TALLYD_HTTP_LISTEN", "127.0.0.1:0").env("TALLYD_TCP_LISTEN", "127.0.0.1:0");
        command.stderr(std::process::Stdio::piped());
        command
    };
    let [init, serve, seeded] = commands("sh").try_into().unwrap();
    let mut one = Node::new(&urls, &[]);
    let made = command(&init, &one).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    one.daemon = Some(Daemon::spawn(&mut command(&serve, &one)));
    one.ready();
    assert_eq!(request(one.http(), "POST", "/events", &[], LINE).unwrap().status, 200);
    let mut two = Node::new(&urls, &[]);
    let seed = seeded.replace("http://node1:8780", &format!("http://{}", one.http()));
    two.daemon = Some(Daemon::spawn(&mut command(&seed, &two)));
    two.ready();
    assert_eq!(conversations(&two, None), 1);
    let status = PAGE.split('`').find(|code| code.starts_with("tallyd cluster status http")).unwrap();
    let status = status.replace("http://node1:8780", &format!("http://{}", one.http()));
    let status = status.replace("http://node2:8780", &format!("http://{}", two.http()));
    let compared = command(&status, &one).output().unwrap();
    assert_eq!(compared.status.code(), Some(0), "{compared:?}");

    // To another log, when this one has lost something.
    two.stop();
    one.stop();
    let [export, init, import] = commands("console").try_into().unwrap();
    let data = one.data_dir();
    let export = export.replace("/var/lib/tallyd", data.to_str().unwrap());
    let exported = command(&export, &one).output().unwrap();
    assert!(exported.status.success(), "{exported:?}");
    let made = command(&init, &one).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let again = Node::start(&urls, &["--cluster-name", "tallyd-2"]);
    again.ready();
    let mut import = command(&import, &one);
    let imported = import.args(["--url", &format!("http://{}", again.http())]).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    assert_eq!(conversations(&again, None), 1);
}

#[test]
fn example_of_a_servers_configuration_is_one() {
    let Some(server) = program() else { return };
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let certificate = write(dir.path(), "server.crt", &made.cert.pem());
    let key = write(dir.path(), "server.key", &made.signing_key.serialize_pem());
    let example = EXAMPLE
        .replace("/var/lib/nats", dir.path().to_str().unwrap())
        .replace("/etc/nats/server.crt", certificate.to_str().unwrap())
        .replace("/etc/nats/server.key", key.to_str().unwrap());
    let file = write(dir.path(), "server.conf", &example);
    let checked = Command::new(server).arg("-t").arg("-c").arg(file).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}
