//! `tallyd backup` against a real daemon under load, with kills of either side: whatever is complete equals a position, passes
//! `verify` and is started on; whatever is not is refused in words, and completed when the backup is repeated.
//!
//! Two senders each add batch after batch, one hour of one story each for the mark and a second story beside it, so that a copy
//! shows which batches it has, and whether whole. Nothing else is journalled, so a copy has as many batches as its position says.
//!
//! ```text
//! TALLYD_BACKUP_ROUNDS=50 cargo test --test backup -- --nocapture
//! ```
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail by panic"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Daemon, PATIENCE, command};
use tallyd::model::calendar::HourRange;
use tallyd::model::catalogue::CatalogueLimits;
use tallyd::platform::disk::Disk;
use tallyd::store::recover::load_read_only;
use tallyd::store::{Damage, DamageKind, OpenError};

const SENDERS: u64 = 2;
const STORIES: [&str; 2] = ["5b07ffafc2376e30306d9b16", "5b07ffafc2376e30306d9b17"];
/// In 1974; the test ends before the hours come to now.
const FIRST_HOUR: u64 = 36_000;

/// The batches of the senders, over all lives of the daemon.
struct Load {
    address: Arc<Mutex<SocketAddr>>,
    is_over: Arc<AtomicBool>,
    /// Batches that each sender has begun.
    begun: Arc<[AtomicU64; 2]>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let mut load = Self {
            address: Arc::new(Mutex::new(address)),
            is_over: Arc::default(),
            begun: Arc::default(),
            acknowledged: Arc::default(),
            threads: Vec::new(),
        };
        for sender in 0..SENDERS {
            let (address, is_over) = (Arc::clone(&load.address), Arc::clone(&load.is_over));
            let (begun, acknowledged) = (Arc::clone(&load.begun), Arc::clone(&load.acknowledged));
            load.threads.push(std::thread::spawn(move || {
                let (_keep, never) = mpsc::channel::<()>();
                let mut connection = None;
                while !is_over.load(Ordering::Relaxed) {
                    let to = *address.lock().unwrap();
                    let Some(stream) = connection.take().or_else(|| TcpStream::connect(to).ok()) else {
                        assert!(never.recv_timeout(Duration::from_millis(1)).is_err());
                        continue;
                    };
                    // One of unknown outcome is not sent again: it counts once, whole, or never.
                    let number = begun[usize::try_from(sender).unwrap()].fetch_add(1, Ordering::SeqCst);
                    connection = send(stream, &batch(sender, number));
                    acknowledged.fetch_add(u64::from(connection.is_some()), Ordering::SeqCst);
                }
            }));
        }
        load
    }

    fn wait_for_more(&self, batches: u64) {
        let (begun, until) = (Instant::now(), self.acknowledged.load(Ordering::SeqCst) + batches);
        while self.acknowledged.load(Ordering::SeqCst) < until {
            assert!(begun.elapsed() < PATIENCE, "the senders make no headway");
            std::thread::yield_now();
        }
    }

    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Two stories in an hour of its own.
fn batch(sender: u64, number: u64) -> String {
    let hour = FIRST_HOUR + number * SENDERS + sender;
    let line = |story| format!("message,storyId={story},source=app count=1i {}000000000\n", hour * 3_600);
    STORIES.map(line).concat()
}

/// Sends a batch and gives the connection back; `None` where no answer says that it counts.
fn send(mut stream: TcpStream, body: &str) -> Option<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).ok()?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"}") {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&chunk[..read]);
    }
    answer.starts_with(b"HTTP/1.1 200").then_some(stream)
}

fn tallyd(arguments: &[&str], path: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command.env_clear().args(arguments).arg(path).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn backup(daemon: &Daemon, copy: &Path) -> Child {
    let url = format!("http://{}", daemon.http);
    tallyd(&["backup", "--url", &url], copy).spawn().unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The position of a complete copy, which the copy equals; `None` where the copy is not complete, and says so.
fn position_of(copy: &Path) -> Option<u64> {
    let limits = CatalogueLimits::default();
    let loaded = match load_read_only(&Disk::new(), copy, limits, &mut || ()) {
        Ok(loaded) => loaded,
        Err(OpenError::Damaged(Damage { kind: DamageKind::Incomplete | DamageKind::Missing, .. })) => {
            return None;
        }
        Err(error) => panic!("{}: {error}", copy.display()),
    };
    let mut hours: BTreeMap<u64, u64> = BTreeMap::new();
    loaded.catalogue.for_each_series(&mut |series, _| {
        loaded.counters.visit(series, HourRange::ALL, &mut |cells| {
            for cell in cells.iter().filter(|cell| cell.count > 0) {
                assert_eq!(cell.count, 1, "a batch is counted twice");
                *hours.entry(u64::from(cell.hour.get())).or_default() += 1;
            }
        });
    });
    assert!(hours.values().all(|stories| *stories == 2), "half a batch: {hours:?}");
    let position = loaded.next_sequence.previous().get();
    assert_eq!(u64::try_from(hours.len()).unwrap(), position, "batches of a position");
    Some(position)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kill {
    Nobody,
    Backup,
    Daemon,
}

/// A random number below `most`, from where the address space lies.
fn random(most: u64) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish() % most
}

/// What `verify` and a start say of a copy.
fn check_by_command(copy: &Path, is_complete: bool, round: u64) {
    let verified = tallyd(&["verify", "--data-dir"], copy).output().unwrap();
    assert_eq!(verified.status.success(), is_complete, "round {round}: {}", words(&verified));
    if !is_complete && copy.join("BACKUP").exists() {
        let refused =
            tallyd(&["serve", "--http-listen", "127.0.0.1:0", "--tcp-listen", "off", "--data-dir"], copy)
                .output()
                .unwrap();
        assert!(
            words(&refused).contains("is a copy that is not complete; repeat `tallyd backup`"),
            "{}",
            words(&refused)
        );
    }
}

#[test]
fn copies_under_load_equal_a_position_whoever_is_killed() {
    let rounds: u64 =
        std::env::var("TALLYD_BACKUP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let start = || {
        Daemon::spawn(command(&data).args(["--snapshot-interval", "1s", "--log", "warn,tallyd::daemon=info"]))
    };
    let mut daemon = start();
    let load = Load::start(daemon.http);
    let mut complete: Option<u64> = None;
    let (mut copies, mut broken) = (0, 0);
    for round in 0..rounds {
        load.wait_for_more(20);
        let kill = [Kill::Backup, Kill::Nobody, Kill::Daemon][usize::try_from(round % 3).unwrap()];
        let before = load.acknowledged.load(Ordering::SeqCst);
        let mut child = backup(&daemon, &copy);
        let (_keep, never) = mpsc::channel::<()>();
        if kill != Kill::Nobody {
            let waited = never.recv_timeout(Duration::from_millis(random(200)));
            assert!(waited.is_err());
        }
        match kill {
            Kill::Nobody => {}
            Kill::Backup => child.kill().unwrap(),
            Kill::Daemon => {
                daemon.signal(Signal::KILL);
                drop(daemon.wait());
                daemon = start();
                *load.address.lock().unwrap() = daemon.http;
            }
        }
        let output = child.wait_with_output().unwrap();
        let found = if copy.exists() { position_of(&copy) } else { None };
        if output.status.success() {
            let told = format!("position {},", found.expect("it was called complete"));
            assert!(words(&output).contains(&told), "round {round}: {}", words(&output));
            copies += 1;
        } else {
            assert_ne!(kill, Kill::Nobody, "round {round}: {}", words(&output));
            broken += 1;
        }
        assert!(found >= complete, "round {round}: {complete:?} has become {found:?}");
        if kill == Kill::Nobody {
            assert!(found.unwrap() >= before, "what was acknowledged before is in it");
        }
        complete = found;
        check_by_command(&copy, found.is_some(), round);
    }
    let output = backup(&daemon, &copy).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    load.end();
    let position = position_of(&copy).unwrap();
    let restored = Daemon::start(&copy);
    let report: serde_json::Value =
        serde_json::from_str(&restored.get("/reports/conversations.messages?from=1974-1-1&dimension=year"))
            .unwrap();
    assert_eq!(report["summary"]["total"].as_u64(), Some(2 * position));
    assert!(restored.stop().0.success());
    eprintln!(
        "backup: {rounds} rounds, {copies} copies, {broken} ended in the middle, the last of position {position}"
    );
}

#[test]
fn files_are_linked_where_the_data_directory_is_at_hand() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let daemon = Daemon::spawn(command(&data).args([
        "--snapshot-interval",
        "1s",
        "--log",
        "warn,tallyd::daemon=info",
    ]));
    assert!(send(support::connect(daemon.http), &batch(0, 0)).is_some());
    let begun = Instant::now();
    while !daemon.get("/metrics").contains("tallyd_snapshots_total 1\n") {
        assert!(begun.elapsed() < PATIENCE, "no snapshot is made");
        std::thread::yield_now();
    }
    let url = format!("http://{}", daemon.http);
    let output =
        tallyd(&["backup", "--url", &url, "--data-dir", data.to_str().unwrap()], &copy).output().unwrap();
    assert!(words(&output).contains("0 files of 0 bytes came now, 2 were linked"), "{}", words(&output));
    assert_eq!(position_of(&copy), Some(1));
    let part = std::fs::read_dir(copy.join("snapshot"))
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("dictionary"));
    assert_eq!(part.unwrap().metadata().unwrap().nlink(), 2);
    // What is linked stays as it was when both go on by themselves.
    assert!(send(support::connect(daemon.http), &batch(0, 1)).is_some());
    assert!(daemon.stop().0.success());
    assert_eq!(position_of(&copy), Some(1));
}

#[test]
fn other_directories_and_a_full_disk_are_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&folder.path().join("data"));
    assert!(send(support::connect(daemon.http), &batch(0, 0)).is_some());
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("letter"), "dear").unwrap();
    let output = backup(&daemon, &mine).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(words(&output).contains("is not empty and not a backup"), "{}", words(&output));
    let output = backup(&daemon, &folder.path().join("data")).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", words(&output));
    // No file may grow, as on a full disk.
    let copy = folder.path().join("copy");
    let url = format!("http://{}", daemon.http);
    let mut full = Command::new("/bin/sh");
    full.args([
        "-c",
        "ulimit -f 0; trap '' XFSZ; exec \"$0\" backup --url \"$1\" \"$2\"",
        env!("CARGO_BIN_EXE_tallyd"),
        &url,
    ]);
    let output = full.arg(&copy).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("cannot write to"), "{}", words(&output));
    let output = backup(&daemon, &copy).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(position_of(&copy), Some(1));
}
