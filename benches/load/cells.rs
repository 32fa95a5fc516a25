//! What a cell costs: very many of them through the front door, then memory, disk, snapshot and restart.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::daemon::Tallyd;
use super::http;
use super::ingest;
use super::table::Table;
use super::workload::story_id;

const SOURCES: [&str; 7] = ["messenger", "livechat", "widget", "slack", "app", "livechat3", "custom"];
const KINDS: [&str; 2] = ["conversation", "message"];
const CONNECTIONS: usize = 2;
/// Blocks of lines with different counts that are sent in turn.
const VARIANTS: usize = 8;
const COUNT_MAX: f64 = 300.0;
const HOURS_OF_FIVE_YEARS: usize = 5 * 365 * 24;
/// The interval that stands for no snapshots at all.
const NO_SNAPSHOTS: &str = "24h";
/// Digits of a time stamp in seconds.
const STAMP_BYTES: usize = 10;

/// Which series have a cell in which hour.
struct Layout {
    name: &'static str,
    series: usize,
    /// Every series has a cell each so many hours.
    stride: usize,
    cells: usize,
}

impl Layout {
    fn hours(&self) -> usize {
        self.cells * self.stride / self.series
    }
}

/// Takes the figures of every layout whose name contains `only`, with a snapshot each interval.
pub(crate) fn measure(cells: usize, (interval, only): (&str, &str), table: &mut Table) {
    let series = (cells / 2_000).max(100);
    let five_years = (HOURS_OF_FIVE_YEARS * series / cells).max(1);
    for (name, series, stride) in [
        ("every hour", series, 1),
        ("one hour in 7", series, 7),
        ("over 5 years", series, five_years),
        ("100 hours of 20 × the series", series * 20, 1),
        ("10 hours of 200 × the series", series * 200, 1),
    ] {
        if name.contains(only) {
            measure_one(&Layout { name, series, stride, cells }, interval, table);
        }
    }
}

fn measure_one(layout: &Layout, interval: &str, table: &mut Table) {
    let what = |figure: &str| format!("{:.0} M cells, {}: {figure}", layout.cells as f64 / 1e6, layout.name);
    let daemon = Tallyd::start(&["--snapshot-interval", interval]);
    let first_hour = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp() as usize
        / 3_600
        - layout.hours();
    let sent = layout.hours() / layout.stride * layout.series;
    let mut total = 0;
    let mut peak = 0.0;
    for (pass, remark) in [("ingest", "one for each cell"), ("ingest again", "another for each cell")] {
        let taken = ingest_all(layout, (&daemon, interval), first_hour);
        total += taken.total;
        let rate = format!("{:.2}", sent as f64 / taken.seconds / 1e6);
        table.row(&what(pass), rate, "M events/s", remark);
        let per_million = |seconds: f64| seconds / sent as f64 * 1e6;
        table.row(
            &what(&format!("{pass}: fold")),
            format!("{:.3}", per_million(taken.fold_cpu_seconds)),
            "CPU s/M",
            &format!(
                "{:.2} of what ingest takes, {:.3}; snapshot {:.1} s after the last event",
                taken.fold_cpu_seconds / taken.ingest_cpu_seconds,
                per_million(taken.ingest_cpu_seconds),
                taken.lag_seconds
            ),
        );
        if peak == 0.0 {
            peak = daemon.server.peak_memory_mb();
        }
    }
    let per_cell = |megabytes: f64| format!("{:.2}", megabytes * 1e6 / sent as f64);
    let remark = format!("peak after one for each {}", per_cell(peak));
    table.row(&what("memory"), per_cell(daemon.server.memory_mb()), "bytes/cell", &remark);
    table.row(&what("disk"), per_cell(daemon.snapshot_mb()), "bytes/cell", "");
    let before = counted(&daemon);
    assert!(before == total, "{total} were sent and {before} are counted");

    let (daemon, killed) = timed(|| daemon.kill_and_restart());
    let memory = per_cell(daemon.server.memory_mb());
    assert!(counted(&daemon) == total, "a restart counts something else");
    let (daemon, stopped) = timed(|| daemon.stop().restart());
    assert!(counted(&daemon) == total, "a restart counts something else");
    let remark = format!("stop and restart {stopped:.2} s; memory then {memory} bytes/cell");
    table.row(&what("restart after kill -9"), format!("{killed:.2}"), "s", &remark);
}

/// What it took to send every line once and to have all of them in a snapshot.
struct Taken {
    /// Sum of the counts.
    total: u64,
    seconds: f64,
    /// From the last event to the snapshot that has it.
    lag_seconds: f64,
    fold_cpu_seconds: f64,
    /// Of all other threads.
    ingest_cpu_seconds: f64,
}

fn ingest_all(layout: &Layout, (daemon, interval): (&Tallyd, &str), first_hour: usize) -> Taken {
    let cpu = || [daemon.server.cpu_nanoseconds(), daemon.server.fold_cpu_nanoseconds()];
    let (before, start) = (cpu(), Instant::now());
    let total = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|part| scope.spawn(move || Sender::new(layout, part).send(daemon.tcp, first_hour)))
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let (sent, seconds) = (Instant::now(), start.elapsed().as_secs_f64());
    if interval != NO_SNAPSHOTS {
        wait_for_snapshot(daemon);
    }
    let lag_seconds = sent.elapsed().as_secs_f64();
    let after = cpu();
    let [all, fold] = [0, 1].map(|of| (after[of] - before[of]) / 1e9);
    Taken { total, seconds, lag_seconds, fold_cpu_seconds: fold, ingest_cpu_seconds: all - fold }
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let outcome = run();
    (outcome, start.elapsed().as_secs_f64())
}

/// All conversations and messages that the daemon tells, one probe left out.
fn counted(daemon: &Tallyd) -> u64 {
    ["conversations", "conversations.messages"]
        .map(|report| {
            let target = format!("/reports/{report}?from=1974-01-01&dimension=year");
            let answer = http::get_text(daemon.http, &target);
            let total = answer.split_once("\"total\":").expect("a summary").1;
            total.split([',', '}']).next().unwrap().parse::<u64>().unwrap()
        })
        .iter()
        .sum()
}

/// Waits until everything that was sent so far is in a snapshot.
fn wait_for_snapshot(daemon: &Tallyd) {
    // One may be under way that lacks the end, so the one that counts is the one after. It needs something new.
    for number in 0..2 {
        let before = snapshots(daemon);
        let line = format!("interaction,storyId={},source=app,type=welcome count=1i", story_id(number));
        let request = http::post("/events", None, line.as_bytes());
        assert_eq!(http::Connection::open(daemon.http).exchange(&request).0 / 100, 2);
        while snapshots(daemon) == before {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

fn snapshots(daemon: &Tallyd) -> u64 {
    let text = http::get_text(daemon.http, "/metrics");
    let line = text.lines().find(|line| line.starts_with("tallyd_snapshots_total ")).expect("a known figure");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Lines of one hour, all but the hour itself.
struct Block {
    bytes: Vec<u8>,
    /// Where the time stamps are.
    stamps: Vec<usize>,
    /// Sum of the counts.
    total: u64,
}

/// One connection's share of the series.
struct Sender<'a> {
    layout: &'a Layout,
    /// By the remainder of the hour, then by variant.
    blocks: Vec<Vec<Block>>,
}

impl<'a> Sender<'a> {
    fn new(layout: &'a Layout, part: usize) -> Self {
        let mut seed = part as u64 + 1;
        let mut share = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1_u64 << 53) as f64
        };
        let blocks = (0..layout.stride).map(|class| {
            (0..VARIANTS)
                .map(|_| {
                    let mut block = Block { bytes: Vec::new(), stamps: Vec::new(), total: 0 };
                    let of_part = (part..layout.series).step_by(CONNECTIONS);
                    for series in of_part.filter(|series| series / CONNECTIONS % layout.stride == class) {
                        let kind = KINDS[series / SOURCES.len() % KINDS.len()];
                        let source = SOURCES[series % SOURCES.len()];
                        let story = story_id(series / SOURCES.len() / KINDS.len());
                        // Small counts are the most frequent.
                        let count = COUNT_MAX.powf(share()) as u64;
                        write!(block.bytes, "{kind},storyId={story},source={source} count={count}i ")
                            .unwrap();
                        block.stamps.push(block.bytes.len());
                        block.bytes.extend_from_slice(&[b'0'; STAMP_BYTES]);
                        block.bytes.push(b'\n');
                        block.total += count;
                    }
                    block
                })
                .collect()
        });
        Self { layout, blocks: blocks.collect() }
    }

    /// Sends the lines hour by hour; gives the sum of their counts once they are acknowledged.
    fn send(mut self, address: SocketAddr, first_hour: usize) -> u64 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"!precision s\n").unwrap();
        let mut total = 0;
        for hour in 0..self.layout.hours() / self.layout.stride * self.layout.stride {
            let block = &mut self.blocks[hour % self.layout.stride][hour / self.layout.stride % VARIANTS];
            let stamp = format!("{:0STAMP_BYTES$}", (first_hour + hour) * 3_600);
            for &place in &block.stamps {
                block.bytes[place..place + STAMP_BYTES].copy_from_slice(stamp.as_bytes());
            }
            stream.write_all(&block.bytes).unwrap();
            total += block.total;
        }
        ingest::acknowledge(stream);
        total
    }
}
