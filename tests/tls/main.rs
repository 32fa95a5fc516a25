//! Both ports over TLS, as the real program speaks it: versions, the certificate and its change, peers that do it wrong.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests end where they go wrong")]

#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use support::{Daemon, LINE, PATIENCE, command};

/// A certificate for 127.0.0.1 and its key, as files.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().expect("a directory") };
        files.renew();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes another certificate with another key, and returns it.
    fn renew(&self) -> CertificateDer<'static> {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        std::fs::write(self.path("cert.pem"), made.cert.pem()).expect("the certificate");
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).expect("the key");
        made.cert.der().clone()
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("cert.pem")).expect("a certificate")
    }

    fn command(&self) -> Command {
        let mut command = command(&self.path("data"));
        command.arg("--tls-cert").arg(self.path("cert.pem")).arg("--tls-key").arg(self.path("key.pem"));
        command
    }

    fn start(&self) -> Daemon {
        Daemon::spawn(&mut self.command())
    }

    /// Another command of the program, against the daemon.
    fn run(&self, daemon: &Daemon, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
        command.env_clear().args(arguments).arg("--url").arg(format!("https://{}", daemon.http));
        command.arg("--ca-file").arg(self.path("cert.pem")).output().expect("the program can be run")
    }
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A connection that trusts that certificate alone and speaks that version alone.
fn connect(
    address: SocketAddr,
    trusted: CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> Encrypted {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    StreamOwned::new(session, plain(address))
}

fn plain(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends all of it and reads until the end of the answers, which is not cut off.
fn talk(mut stream: Encrypted, text: &str) -> String {
    stream.write_all(text.as_bytes()).expect("it reads");
    stream.conn.send_close_notify();
    stream.flush().expect("it reads");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers that end as TLS ends");
    answers
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn both_ports_speak_both_versions_and_the_command_line_does() {
    let files = Files::new();
    let daemon = files.start();
    for (version, events) in [(&TLS12, 1), (&TLS13, 2)] {
        let lines = connect(daemon.tcp, files.certificate(), version);
        assert_eq!(talk(lines, &format!("{LINE}!sync\n")), "OK 1 0\n");
        let get = "GET /reports/conversations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = talk(connect(daemon.http, files.certificate(), version), get);
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("\"total\":{events}")),
            "{answer}"
        );
    }
    let file = files.path("events.lp");
    std::fs::write(&file, LINE.repeat(3)).expect("a file");
    let pushed = files.run(&daemon, &["push", file.to_str().expect("text")]);
    assert!(pushed.status.success() && text(&pushed).contains('3'), "{}", text(&pushed));
    let report = files.run(&daemon, &["report", "conversations"]);
    assert!(report.status.success() && text(&report).contains('5'), "{}", text(&report));

    let mut metrics = connect(daemon.http, files.certificate(), &TLS13);
    metrics
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    metrics.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("tallyd_tls_certificate_expires_days "), "{answer}");
}

#[test]
fn stranger_is_not_trusted_and_is_sent_nothing() {
    let files = Files::new();
    let daemon = files.start();
    files.renew();
    let report = files.run(&daemon, &["report", "conversations"]);
    assert_eq!(report.status.code(), Some(1), "{}", text(&report));
    assert!(text(&report).contains("cannot be spoken to over TLS"), "{}", text(&report));
    assert!(text(&report).contains("invalid peer certificate"), "{}", text(&report));
}

#[test]
fn whom_to_trust_is_told_where_nothing_can_be_read() {
    let files = Files::new();
    let (gone, key) = (files.path("gone.pem"), files.path("key.pem"));
    for (variable, flags, code, words) in [
        (&gone, &[][..], 1, ["this system has no certificates to trust", "gone.pem"]),
        (&key, &[], 1, ["this system has no certificates to trust", "give --ca-file"]),
        (&key, &[gone.as_os_str()], 64, ["gone.pem: no certificates can be read", "No such file"]),
        (&key, &[key.as_os_str()], 64, ["key.pem: there is no certificate that can be used", ""]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
        command.env_clear().env("SSL_CERT_FILE", variable).args([
            "report",
            "conversations",
            "--url",
            "https://[::1]:1",
        ]);
        let output = command
            .args(flags.iter().flat_map(|file| ["--ca-file".as_ref(), *file]))
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(words.iter().all(|words| text(&output).contains(words)), "{}", text(&output));
    }
}

#[test]
fn plain_text_is_told_what_would_be_right() {
    let files = Files::new();
    let daemon = files.start();
    for (address, sent, begins) in [
        (daemon.http, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        (daemon.tcp, LINE, "ERR 0 "),
    ] {
        let mut stream = plain(address);
        stream.write_all(sent.as_bytes()).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        // What was sent has been read, so that no reset comes behind the answer.
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end");
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with(begins) && answer.contains("this port speaks TLS"), "{answer}");
        assert!(!answer.contains("retry-after"), "it will not help: {answer}");
    }
}

#[test]
fn versions_before_1_2_are_refused() {
    let files = Files::new();
    let daemon = files.start();
    let answer_to = |minor: u8| {
        let mut stream = plain(daemon.http);
        stream.write_all(&client_hello(minor)).expect("it reads");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("an answer");
        answer
    };
    for minor in [0, 1, 2] {
        // A fatal alert: protocol_version (RFC 5246, section 7.2).
        let answer = answer_to(minor);
        assert_eq!((answer[0], answer[5], answer[6]), (21, 2, 70), "3.{minor}: {answer:?}");
    }
    // The same message of TLS 1.2 is answered by a server's hello, so that it is the version which the others lack.
    let answer = answer_to(3);
    assert_eq!((answer[0], answer[5]), (22, 2), "{answer:?}");
}

/// The first message of SSL 3.0 (3.0), TLS 1.0 (3.1), TLS 1.1 (3.2) or TLS 1.2 (3.3), by RFC 5246, section 7.4.1.2.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    // No session; ECDHE-ECDSA with AES-GCM, and with AES-CBC as the versions before had it; no compression.
    hello.extend([0, 0, 6, 0xc0, 0x2b, 0xc0, 0x09, 0xc0, 0x0a, 1, 0]);
    // Signatures by ECDSA with SHA-256, the curve P-256, its points uncompressed, and RFC 7627's master secret.
    let extensions: [u8; 26] =
        [0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 23, 0, 0];
    hello.extend([0, 26]);
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).expect("a short message");
    let mut record = vec![22, 3, minor.min(1), 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

#[test]
fn new_certificate_is_for_new_connections_and_a_bad_one_for_none() {
    let files = Files::new();
    let before = files.certificate();
    let mut daemon = files.start();
    let mut open = connect(daemon.tcp, before.clone(), &TLS13);
    open.write_all(format!("{LINE}!sync\n").as_bytes()).expect("it reads");
    let mut answer = [0; 7];
    open.read_exact(&mut answer).expect("an answer");

    std::fs::write(files.path("key.pem"), "no key").expect("the key");
    daemon.signal(rustix::process::Signal::HUP);
    let line = daemon.wait_for_log("the certificate stays as it was");
    assert!(line.contains("key.pem"), "{line}");
    assert_eq!(talk(connect(daemon.tcp, before.clone(), &TLS13), "!sync\n"), "OK 0 0\n");

    let after = files.renew();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_for_log("the certificate is read");
    assert_eq!(talk(connect(daemon.tcp, after.clone(), &TLS13), &format!("{LINE}!sync\n")), "OK 1 0\n");
    let mut refusing = connect(daemon.tcp, before, &TLS13);
    assert!(
        refusing
            .write_all(b"!sync\n")
            .and_then(|()| refusing.flush())
            .and_then(|()| refusing.read(&mut answer))
            .is_err()
    );
    assert_eq!(talk(open, &format!("{LINE}!sync\n")), "OK 2 0\n");
}

#[test]
fn stream_that_is_cut_off_loses_only_the_line_that_is_not_whole() {
    let files = Files::new();
    let daemon = files.start();
    let whole = LINE.trim_end();
    let mut cut = connect(daemon.tcp, files.certificate(), &TLS13);
    cut.write_all(format!("{LINE}!sync\n{whole}").as_bytes()).expect("it reads");
    let mut answer = [0; 7];
    cut.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"OK 1 0\n");
    // The end of the connection without the end of the session: anybody on the way can make it.
    cut.sock.shutdown(Shutdown::Write).expect("open");
    let mut rest = String::new();
    cut.read_to_string(&mut rest).expect_err("this side ends without a word, too");
    // A client that ends its session has said all it meant to say.
    assert_eq!(talk(connect(daemon.tcp, files.certificate(), &TLS13), &format!("{LINE}{whole}")), "");
    assert_eq!(talk(connect(daemon.tcp, files.certificate(), &TLS13), "!sync\n"), "OK 0 0\n");
    let report = files.run(&daemon, &["report", "conversations", "--json"]);
    assert!(text(&report).contains("\"total\":3"), "{}", text(&report));
}

#[test]
fn records_of_a_byte_each_are_counted_as_if_they_were_whole() {
    let files = Files::new();
    let daemon = files.start();
    let mut lines = connect(daemon.tcp, files.certificate(), &TLS13);
    let text = format!("{}!sync\n", LINE.repeat(50));
    for byte in text.as_bytes() {
        lines.write_all(&[*byte]).expect("it reads");
    }
    lines.flush().expect("it reads");
    let mut answer = [0; 8];
    lines.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"OK 50 0\n");
}

#[test]
fn handshakes_that_stall_hold_up_nobody() {
    let files = Files::new();
    let daemon = files.start();
    let hello = client_hello(3);
    let stalled: Vec<TcpStream> = (0..500)
        .map(|number| {
            let mut stream = plain(if number % 2 == 0 { daemon.http } else { daemon.tcp });
            // Half of them say nothing, and half of them half of what they have to say.
            stream.write_all(&hello[..if number % 4 < 2 { 0 } else { hello.len() / 2 }]).expect("room");
            stream
        })
        .collect();
    assert_eq!(talk(connect(daemon.tcp, files.certificate(), &TLS13), &format!("{LINE}!sync\n")), "OK 1 0\n");
    let report = files.run(&daemon, &["report", "conversations", "--json"]);
    assert!(text(&report).contains("\"total\":1"), "{}", text(&report));
    drop(stalled);
}

#[test]
fn half_a_pair_and_a_pair_that_does_not_fit_end_with_64() {
    let files = Files::new();
    let other = Files::new();
    let refuse = |arguments: &[(&str, &Path)], words: &str| {
        let mut command = command(&files.path("data"));
        for (flag, path) in arguments {
            command.arg(flag).arg(path);
        }
        let output = command.output().expect("the program can be run");
        assert_eq!(output.status.code(), Some(64), "{}", text(&output));
        assert!(text(&output).contains(words), "{}", text(&output));
    };
    let (certificate, key, stranger) = (files.path("cert.pem"), files.path("key.pem"), other.path("key.pem"));
    refuse(&[("--tls-cert", &certificate)], "--tls-key names its key");
    refuse(&[("--tls-key", &key)], "--tls-cert names its certificate");
    refuse(&[("--tls-cert", &certificate), ("--tls-key", &stranger)], "cannot be used together");
    refuse(&[("--tls-cert", &files.path("none.pem")), ("--tls-key", &key)], "cannot be read");
}
