//! The programs of `README.md` that push without a client, as they are written there but for the daemon's address: each sends its batch again where the
//! first answer is lost, counts it once however often it is run, and prints the report. Languages that are not installed are not asked.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests end where they go wrong"
)]
#![expect(clippy::print_stderr, reason = "a test that cannot check anything says so")]

mod support;

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use support::Daemon;

const SECRET: &str = "0123456789abcdefghij";

/// The block of that language in the section.
fn snippet(language: &str) -> String {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the page");
    let section = page.split("\n### Without a client\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    let block = section
        .split(&format!("\n```{language}\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("{language} is not there"));
    block.split("\n```\n").next().expect("its end").to_owned()
}

/// A proxy that takes the first request whole, passes it on, and closes the connection where the answer should come.
fn losing_the_first_answer(daemon: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (mut client, mut server) =
                (client.expect("a client"), TcpStream::connect(daemon).expect("the daemon"));
            let (mut from, mut to) =
                (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            if number == 0 {
                let mut answer = [0; 1];
                server.read_exact(&mut answer).expect("an answer");
                client.shutdown(std::net::Shutdown::Both).expect("it is open");
            } else {
                thread::spawn(move || {
                    let copied = std::io::copy(&mut server, &mut client);
                    // Some wait for the end of the connection, some have closed it by then.
                    copied.is_ok() && client.shutdown(std::net::Shutdown::Both).is_ok()
                });
            }
        }
    });
    address
}

fn run(language: &str, file: &str, program: &[&str]) {
    let (name, arguments) = program.split_first().expect("a program");
    let is_installed = Command::new(name).arg("--help").stdin(Stdio::null()).output().is_ok();
    if !is_installed {
        eprintln!("{name} is not installed: the program in {language} is not run");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = support::command(&dir.path().join("data"));
    let daemon = Daemon::spawn(command.env("TALLYD_TOKENS", format!("snippets:read+write:{SECRET}")));
    let path = dir.path().join(file);
    let text = snippet(language);
    assert_eq!(text.matches("127.0.0.1:8780").count(), 1, "{text}");
    let write = |address: SocketAddr| {
        std::fs::write(&path, text.replace("127.0.0.1:8780", &address.to_string())).expect("a file");
    };
    // The first time its answer is lost, the second time all is well.
    for address in [losing_the_first_answer(daemon.http), daemon.http] {
        write(address);
        let output = Command::new(name)
            .args(arguments)
            .arg(&path)
            .env("TALLYD_TOKEN", SECRET)
            .env("GOCACHE", dir.path())
            .env("GOFLAGS", "-mod=mod")
            .output()
            .expect("it runs");
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{language}: {told}");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains(r#""summary":{"total":1,"#), "{language}: {told}");
    }
    write(daemon.http);
    let refused = Command::new(name)
        .args(arguments)
        .arg(&path)
        .env("TALLYD_TOKEN", "wrong-wrong-wrong-wrong")
        .env("GOCACHE", dir.path())
        .output()
        .expect("it runs");
    assert!(!refused.status.success(), "{language}: a wrong token goes unnoticed");
}

#[test]
fn bash() {
    run("bash", "push.sh", &["bash"]);
}

#[test]
fn python() {
    run("python", "push.py", &["python3"]);
}

#[test]
fn node() {
    run("js", "push.mjs", &["node"]);
}

#[test]
fn php() {
    run("php", "push.php", &["php"]);
}

#[test]
fn go() {
    run("go", "push.go", &["go", "run"]);
}
