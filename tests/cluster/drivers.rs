//! Load on daemons that share a log, and what must hold behind it whatever was done meanwhile: all have the same, and exactly what was
//! acknowledged, and of what is unknown each batch whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::nodes::{Node, Reply, export, request};
use super::servers::{pause, until};
use super::support::PATIENCE;

/// What a driver was told of a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Told {
    Counted,
    Unknown,
    Refused,
}

/// How a driver sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    Http,
    /// With a key, the same batch again until it is counted, to whichever node.
    Keyed,
    Tcp,
    /// As [`Way::Keyed`].
    KeyedTcp,
    /// As a client of `InfluxDB`, which knows no keys and sends again what was not answered.
    Stock,
    /// A process of `tallyd push` for each try, which may be killed at any moment.
    Push,
    /// Without a key; the client is gone before it is answered, at times before it has sent all.
    Broken,
}

impl Way {
    /// Whether the same batch is sent until it is known to be counted.
    fn repeats(self) -> bool {
        matches!(self, Self::Keyed | Self::KeyedTcp | Self::Stock | Self::Push)
    }
}

/// Lines of a batch; each counts for another series, so that a part of one would show.
const LINES: [&str; 3] = ["source=app count=1i", "source=messenger count=2i", "source=slack count=4i"];
const FIRST_HOUR: u64 = 300_000;

pub(crate) fn story(driver: usize) -> String {
    format!("{:024}", driver + 1)
}

/// A batch of that driver: its hour is no other's.
fn batch(driver: usize, number: u64) -> String {
    // Finer than a millisecond, so that a batch without a key is recognised as well.
    let nanoseconds = (FIRST_HOUR + number) * 3_600_000_000_000 + 1;
    let line = |rest: &&str| {
        let (source, count) = rest.split_once(' ').unwrap();
        format!("conversation,storyId={},{source} {count} {nanoseconds}\n", story(driver))
    };
    LINES.iter().map(line).collect()
}

/// Where nodes are, which changes as they start again; each with its ports.
type Addresses = Arc<Mutex<Vec<(SocketAddr, SocketAddr)>>>;

fn drive(driver: usize, way: Way, addresses: &Addresses, over: &AtomicBool) -> Vec<Told> {
    let mut told = Vec::new();
    let dir = tempfile::tempdir().unwrap();
    while !over.load(Ordering::Relaxed) {
        let number = u64::try_from(told.len()).unwrap();
        let lines = batch(driver, number);
        let name = format!("driver-{driver}-{number}");
        let mut turn = driver;
        let outcome = loop {
            let (http, tcp) = {
                let addresses = addresses.lock().unwrap();
                addresses[turn % addresses.len()]
            };
            let outcome = match way {
                Way::Http => post(http, None, &lines),
                Way::Keyed => post(http, Some(&name), &lines),
                Way::Tcp => send(tcp, &format!("{lines}!sync\n")),
                Way::KeyedTcp => send(tcp, &format!("!batch {name}\n{lines}!end\n")),
                Way::Stock => write(http, &lines),
                Way::Push => push(http, &super::servers::write(dir.path(), &name, &lines), turn - driver),
                Way::Broken => send_in_part(http, &lines, told.len()),
            };
            if !way.repeats() || outcome == Told::Counted {
                break outcome;
            }
            turn += 1;
            pause();
        };
        if outcome != Told::Counted {
            pause();
        }
        told.push(outcome);
    }
    told
}

fn post(address: SocketAddr, key: Option<&str>, lines: &str) -> Told {
    let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
    told_by(request(address, "POST", "/events", &headers, lines))
}

fn write(address: SocketAddr, lines: &str) -> Told {
    told_by(request(address, "POST", "/api/v2/write?org=o&bucket=b", &[], lines))
}

fn told_by(reply: Option<Reply>) -> Told {
    match reply {
        Some(reply) if [200, 204].contains(&reply.status) => Told::Counted,
        Some(reply) if reply.status == 503 => Told::Refused,
        Some(reply) => {
            assert_eq!(reply.status, 500, "{reply:?}");
            Told::Unknown
        }
        None => Told::Unknown,
    }
}

fn send(address: SocketAddr, text: &str) -> Told {
    let talk = || -> std::io::Result<Vec<String>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(text.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        BufReader::new(stream).lines().collect()
    };
    let Ok(answers) = talk() else { return Told::Unknown };
    match answers.last().map(String::as_str) {
        Some("OK 3 0" | "DUP 3 0") => Told::Counted,
        Some(_) if answers.iter().any(|answer| answer.contains("not known whether counted")) => Told::Unknown,
        Some(_) if answers.iter().any(|answer| answer.contains("not counted")) => Told::Refused,
        _ => Told::Unknown,
    }
}

/// Runs a client, and kills it where it takes long, which is longer at each try.
fn push(address: SocketAddr, file: &Path, tries: usize) -> Told {
    let url = format!("http://{address}");
    let mut client = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    client.env_clear().args(["push", "--quiet", "--url", &url]).arg(file);
    let mut client = client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..=tries {
        if client.try_wait().unwrap().is_some() {
            break;
        }
        pause();
    }
    // It may have ended by itself, which is as good.
    client.kill().unwrap();
    if client.wait().unwrap().success() { Told::Counted } else { Told::Unknown }
}

/// Sends the whole request or a part of it, and is gone.
fn send_in_part(address: SocketAddr, lines: &str, turn: usize) -> Told {
    let text =
        format!("POST /events HTTP/1.1\r\nHost: localhost\r\ncontent-length: {}\r\n\r\n{lines}", lines.len());
    let end = if turn.is_multiple_of(2) { text.len() } else { turn * 37 % text.len() };
    if let Ok(mut stream) = TcpStream::connect(address)
        && stream.write_all(&text.as_bytes()[..end]).is_ok()
        && turn.is_multiple_of(4)
    {
        pause();
    }
    Told::Unknown
}

/// The counts of each story and hour, one for each line of a batch.
fn counts(export: &str) -> HashMap<(String, u64), BTreeMap<String, u64>> {
    let mut counts: HashMap<(String, u64), BTreeMap<String, u64>> = HashMap::new();
    for line in export.lines().filter(|line| line.starts_with("conversation,")) {
        let fields: Vec<&str> = line.split(' ').collect();
        // What only makes a story known has no time.
        if fields.len() < 3 {
            continue;
        }
        let tag =
            |name: &str| fields[0].split(',').find_map(|tag| tag.strip_prefix(name)).unwrap().to_owned();
        let count = fields[1].strip_prefix("count=").unwrap().trim_end_matches('i').parse().unwrap();
        let time: u64 = fields[2].parse().unwrap();
        counts.entry((tag("storyId="), time / 3_600_000_000_000)).or_default().insert(tag("source="), count);
    }
    counts
}

/// Holds a directory's counters against what the drivers were told, the first of which has that number; gives how many hours of other
/// stories are counted.
pub(crate) fn check(export: &str, first: usize, drivers: &[(Way, Vec<Told>)]) -> usize {
    let counts = counts(export);
    let whole: BTreeMap<String, u64> =
        [("app", 1), ("messenger", 2), ("slack", 4)].map(|(source, count)| (source.to_owned(), count)).into();
    let mut seen = 0;
    for (driver, (way, told)) in (first..).zip(drivers) {
        for (number, told) in (0_u64..).zip(told) {
            let counted = counts.get(&(story(driver), FIRST_HOUR + number));
            seen += usize::from(counted.is_some());
            let is_good = match (told, counted) {
                (Told::Counted | Told::Unknown, Some(counted)) => *counted == whole,
                (Told::Unknown | Told::Refused, None) => true,
                (Told::Counted, None) | (Told::Refused, Some(_)) => false,
            };
            assert!(
                is_good,
                "{way:?}: batch {number} of driver {driver} was {told:?}, and counts {counted:?}"
            );
        }
    }
    let stories: Vec<String> = (first..).take(drivers.len()).map(story).collect();
    let own = counts.keys().filter(|(story, _)| stories.contains(story)).count();
    assert_eq!(seen, own, "no other batch of theirs is counted");
    counts.len() - own
}

/// Drivers that send to nodes until they are told to end, and note what they were told.
pub(crate) struct Load {
    addresses: Addresses,
    over: Arc<AtomicBool>,
    drivers: Vec<(Way, JoinHandle<Vec<Told>>)>,
}

impl Load {
    /// Two drivers of each way, to each of the nodes in turn.
    pub(crate) fn start(nodes: &[&Node]) -> Self {
        Self::of(&[Way::Http, Way::Http, Way::Keyed, Way::Keyed, Way::Tcp, Way::Tcp], 0, nodes)
    }

    /// A driver of each of these ways, the first of that number.
    pub(crate) fn of(ways: &[Way], first: usize, nodes: &[&Node]) -> Self {
        let (addresses, over): (Addresses, Arc<AtomicBool>) = Default::default();
        let load = Self { addresses, over, drivers: Vec::new() };
        load.send_to(nodes);
        let spawn = |(driver, way): (usize, Way)| {
            let (addresses, over) = (Arc::clone(&load.addresses), Arc::clone(&load.over));
            (way, std::thread::spawn(move || drive(first + driver, way, &addresses, &over)))
        };
        let drivers = ways.iter().copied().enumerate().map(spawn).collect();
        Self { drivers, ..load }
    }

    /// From now on to these.
    pub(crate) fn send_to(&self, nodes: &[&Node]) {
        *self.addresses.lock().unwrap() = nodes.iter().map(|node| (node.http(), node.tcp())).collect();
    }

    /// Ends it; gives what each driver was told.
    pub(crate) fn end(self) -> Vec<(Way, Vec<Told>)> {
        self.over.store(true, Ordering::Relaxed);
        self.drivers.into_iter().map(|(way, driver)| (way, driver.join().unwrap())).collect()
    }
}

/// How many batches were told so.
pub(crate) fn told(load: &[(Way, Vec<Told>)], wanted: Told) -> usize {
    load.iter().flat_map(|(_, told)| told).filter(|told| **told == wanted).count()
}

/// Waits until so many messages more are read by all.
pub(crate) fn moved_on(nodes: &[&Node], messages: u64) {
    let position = |node: &Node| node.cluster()["position"].as_u64().unwrap();
    let goals: Vec<u64> = nodes.iter().map(|node| position(node) + messages).collect();
    until("all nodes go on", || {
        nodes.iter().zip(&goals).all(|(node, goal)| position(node) >= *goal).then_some(())
    });
}

/// Waits until all have read the log to its end, and the same.
pub(crate) fn all_read(nodes: &[&Node]) {
    until("all nodes have read the same to the end", || {
        let found: Vec<_> = nodes.iter().map(|node| node.cluster()).collect();
        assert!(found.iter().all(|one| one["stopped"].is_null()), "{found:?}");
        let is_same = |name: &str| found.iter().all(|one| one[name] == found[0][name]);
        let all = ["log", "position", "last", "chain", "digest", "writers"].into_iter().all(is_same);
        (all && found[0]["position"] == found[0]["last"]).then_some(())
    });
}

/// What must hold behind a load: all nodes, which are stopped, have the same, and it is what the drivers were told.
pub(crate) fn settle(nodes: &mut [&mut Node], load: &[(Way, Vec<Told>)]) {
    all_read(&nodes.iter().map(|node| &**node).collect::<Vec<_>>());
    let mut exports = Vec::new();
    for node in nodes {
        node.stop();
        exports.push(export(&node.data_dir()));
    }
    assert!(exports.iter().all(|export| *export == exports[0]), "exports differ");
    assert_eq!(check(&exports[0], 0, load), 0, "nothing else is counted");
    for (way, told) in load {
        let of = |wanted: Told| told.iter().filter(|told| **told == wanted).count();
        let (counted, unknown, refused) = (of(Told::Counted), of(Told::Unknown), of(Told::Refused));
        eprintln!("{way:?}: {counted} counted, {unknown} unknown, {refused} refused");
        assert!(counted >= 50, "too little was sent to say anything");
    }
}
