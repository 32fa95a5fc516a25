//! What TLS costs: lines over encrypted connections beside plain ones, in turn, and the memory of connections that do nothing.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::daemon::Tallyd;
use super::ingest::{self, timed};
use super::table::{Table, median};
use super::workload::Workload;

/// One connection cannot keep a core of the daemon busy, two and their daemon share two cores.
const CONNECTIONS: [usize; 2] = [1, 4];
/// To each port.
const IDLE_CONNECTIONS: usize = 5_000;

/// A certificate for the daemon, as files, and a client that trusts it.
struct Trust {
    files: tempfile::TempDir,
    config: Arc<ClientConfig>,
}

impl Trust {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(files.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { files, config: Arc::new(config) }
    }

    fn start(&self) -> Tallyd {
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| self.files.path().join(name));
        let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
        Tallyd::start(&["--tls-cert", certificate, "--tls-key", key])
    }

    fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut session = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream).unwrap();
        }
        StreamOwned::new(session, stream)
    }
}

pub(crate) fn measure(workload: &Workload, runs: usize, table: &mut Table) {
    let trust = Trust::new();
    for connections in CONNECTIONS {
        let (plain, encrypted) = (Tallyd::start(&[]), trust.start());
        let push_plain = || ingest::push_tcp(plain.tcp, &workload.lines, connections);
        let push_encrypted = || {
            std::thread::scope(|scope| {
                for part in workload.lines.split(connections) {
                    let trust = &trust;
                    let address = encrypted.tcp;
                    scope.spawn(move || ingest::send_lines(trust.connect(address), part));
                }
            });
        };
        push_plain();
        push_encrypted();
        let (mut rates, mut ratios, mut cpu) = (vec![], vec![], vec![]);
        for run in 0..2 * runs {
            // Each as often first as the other.
            let first = run.is_multiple_of(2).then(|| timed(workload, &plain, push_plain));
            let over_tls = timed(workload, &encrypted, push_encrypted);
            let without = first.unwrap_or_else(|| timed(workload, &plain, push_plain));
            rates.push(over_tls.events_per_second);
            ratios.push(over_tls.events_per_second / without.events_per_second);
            cpu.push(over_tls.cpu_seconds_per_million / without.cpu_seconds_per_million);
        }
        table.row(
            &format!("lines over TLS 1.3, {connections} connections, every series known"),
            format!("{:.2}", median(&mut rates) / 1e6),
            "M/s",
            &format!("{:.2} of plain TCP; CPU {:.2} ×", median(&mut ratios), median(&mut cpu)),
        );
    }
    measure_idle(&trust, table);
}

fn measure_idle(trust: &Trust, table: &mut Table) {
    raise_descriptors();
    let daemon = trust.start();
    let mut open = vec![];
    for (address, port) in [(daemon.tcp, "line port"), (daemon.http, "HTTP port")] {
        // Threads and their stacks are there after the first ones.
        open.extend((0..64).map(|_| trust.connect(address)));
        let before = daemon.server.memory_mb();
        open.extend((64..IDLE_CONNECTIONS).map(|_| trust.connect(address)));
        let bytes = (daemon.server.memory_mb() - before) * 1e6;
        table.row(
            &format!("memory of an idle connection with TLS, {port}"),
            format!("{:.1}", bytes / (IDLE_CONNECTIONS - 64) as f64 / 1_024.0),
            "KiB",
            &format!("{} are open, {:.0} MB in all", open.len(), daemon.server.memory_mb()),
        );
    }
}

/// As many as the system allows this process.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
