//! What a cell costs: very many of them through the front door, then memory, disk, snapshot and restart.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::daemon::Tallyd;
use super::growth::{self, Lag};
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
/// Stretches of the hours whose rates are told apart.
const TENTHS: usize = 10;
/// What each pass over the cells is called, and what it sends.
const PASSES: [(&str, &str); 2] =
    [("ingest", "one for each cell"), ("ingest again", "another for each cell")];

/// What is to be measured.
#[derive(Debug, clap::Args)]
#[group(id = "cells_wanted")]
pub(crate) struct Wanted {
    /// Cells of each layout of the part `cells`, and the most of the part `growth`. The figures to reach are for
    /// 100,000,000, which takes 3 GB of disk.
    #[arg(long, default_value_t = 5_000_000)]
    cells: usize,
    /// Time between snapshots in the parts `cells` and `growth`; 24h for none.
    #[arg(long, default_value = "5s")]
    snapshot_interval: String,
    /// How often each cell is counted in the part `cells`: 1 or 2.
    #[arg(long, default_value_t = 2)]
    passes: usize,
}

/// Figures of one layout at one size.
pub(crate) struct Figures {
    pub(crate) cells: f64,
    /// On the first pass.
    pub(crate) events_per_second: f64,
    pub(crate) ingest_cpu_seconds_per_million: f64,
    pub(crate) fold_cpu_seconds_per_million: f64,
    pub(crate) memory_bytes_per_cell: f64,
    pub(crate) disk_bytes_per_cell: f64,
    pub(crate) restart_seconds: f64,
}

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

/// Takes the figures of every layout whose name contains `only`.
pub(crate) fn measure(wanted: &Wanted, only: &str, table: &mut Table) {
    for layout in layouts(wanted.cells).into_iter().filter(|layout| layout.name.contains(only)) {
        measure_one(&layout, wanted, None, table);
    }
}

/// Takes the figures of the first layout whose name contains `only`, with 1 M cells and ten times as many, up to those
/// wanted; each counted once.
pub(crate) fn measure_growth(wanted: &Wanted, only: &str, table: &mut Table, mut take: impl FnMut(&Figures)) {
    let mut small = None;
    let mut cells = 1_000_000;
    while cells <= wanted.cells {
        let layout = layouts(cells).into_iter().find(|layout| layout.name.contains(only)).expect("a layout");
        let wanted = Wanted { cells, passes: 1, snapshot_interval: wanted.snapshot_interval.clone() };
        let (figures, daemon) = measure_one(&layout, &wanted, small.as_ref(), table);
        take(&figures);
        small = small.or(Some(daemon));
        cells *= 10;
    }
}

fn layouts(cells: usize) -> [Layout; 5] {
    let series = (cells / 2_000).max(100);
    let five_years = (HOURS_OF_FIVE_YEARS * series / cells).max(1);
    [
        ("every hour", series, 1),
        ("one hour in 7", series, 7),
        ("over 5 years", series, five_years),
        ("100 hours of 20 × the series", series * 20, 1),
        ("10 hours of 200 × the series", series * 200, 1),
    ]
    .map(|(name, series, stride)| Layout { name, series, stride, cells })
}

/// `small` is a daemon with few cells, whose reports stand beside these.
fn measure_one(
    layout: &Layout,
    wanted: &Wanted,
    small: Option<&Tallyd>,
    table: &mut Table,
) -> (Figures, Tallyd) {
    let interval = wanted.snapshot_interval.as_str();
    let what = |figure: &str| format!("{:.0} M cells, {}: {figure}", layout.cells as f64 / 1e6, layout.name);
    let daemon = Tallyd::start(&["--snapshot-interval", interval]);
    let first_hour = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp() as usize
        / 3_600
        - layout.hours();
    let sent = layout.hours() / layout.stride * layout.series;
    let per_cell = |megabytes: f64| megabytes * 1e6 / sent as f64;
    let mut total = 0;
    let mut taken = Vec::new();
    for (pass, remark) in PASSES.into_iter().take(wanted.passes) {
        let of_pass = ingest_all(layout, (&daemon, interval), first_hour);
        of_pass.tell((&what(pass), remark), sent as f64, table);
        total += of_pass.total;
        taken.push(of_pass);
    }
    let (memory, peak) = (per_cell(daemon.server.memory_mb()), taken[0].peak_memory_mb);
    let remark = format!("peak after one for each {:.2}", per_cell(peak));
    table.row(&what("memory"), format!("{memory:.2}"), "bytes/cell", &remark);
    let disk = per_cell(daemon.disk_mb());
    let remark = format!("of it the snapshot, with the one before, {:.2}", per_cell(daemon.snapshot_mb()));
    table.row(&what("disk"), format!("{disk:.2}"), "bytes/cell", &remark);
    let before = counted(&daemon);
    assert!(before == total, "{total} were sent and {before} are counted");
    if let Some(small) = small {
        growth::compare_reports(small, &daemon, &what("reports"), table);
    }

    let (daemon, killed) = timed(|| daemon.kill_and_restart());
    let memory_then = per_cell(daemon.server.memory_mb());
    assert!(counted(&daemon) == total, "a restart counts something else");
    let (daemon, stopped) = timed(|| daemon.stop().restart());
    assert!(counted(&daemon) == total, "a restart counts something else");
    let remark = format!("stop and restart {stopped:.2} s; memory then {memory_then:.2} bytes/cell");
    table.row(&what("restart after kill -9"), format!("{killed:.2}"), "s", &remark);
    let per_million = |seconds: f64| seconds / sent as f64 * 1e6;
    let figures = Figures {
        cells: sent as f64,
        events_per_second: sent as f64 / taken[0].seconds,
        ingest_cpu_seconds_per_million: per_million(taken[0].ingest_cpu_seconds),
        fold_cpu_seconds_per_million: per_million(taken[0].fold_cpu_seconds),
        memory_bytes_per_cell: memory,
        disk_bytes_per_cell: disk,
        restart_seconds: killed,
    };
    (figures, daemon)
}

/// What it took to send every line once and to have all of them in a snapshot.
struct Taken {
    /// Sum of the counts.
    total: u64,
    seconds: f64,
    /// Of each tenth of the hours.
    seconds_of_tenths: Vec<f64>,
    /// From the last event to the snapshot that has it.
    after_seconds: f64,
    /// The longest that the newest snapshot was behind while lines were sent, in intervals; `None` where there is none.
    lag_intervals: Option<f64>,
    fold_cpu_seconds: f64,
    /// Of all other threads.
    ingest_cpu_seconds: f64,
    peak_memory_mb: f64,
}

impl Taken {
    fn tell(&self, (what, remark): (&str, &str), sent: f64, table: &mut Table) {
        table.row(what, format!("{:.2}", sent / self.seconds / 1e6), "M events/s", remark);
        let rates: Vec<f64> =
            self.seconds_of_tenths.iter().map(|seconds| sent / TENTHS as f64 / seconds / 1e6).collect();
        if let (Some(first), Some(last)) = (rates.first(), rates.last()) {
            table.row(
                &format!("{what}: last tenth"),
                format!("{last:.2}"),
                "M events/s",
                &format!("{:.2} of the first; each: {rates:.2?}", last / first),
            );
        }
        let per_million = |seconds: f64| seconds / sent * 1e6;
        let behind =
            self.lag_intervals.map_or_else(String::new, |lag| format!(", {lag:.1} intervals at most"));
        table.row(
            &format!("{what}: fold"),
            format!("{:.3}", per_million(self.fold_cpu_seconds)),
            "CPU s/M",
            &format!(
                "{:.2} of what ingest takes, {:.3}; snapshot {:.1} s after the last event{behind}",
                self.fold_cpu_seconds / self.ingest_cpu_seconds,
                per_million(self.ingest_cpu_seconds),
                self.after_seconds
            ),
        );
    }
}

fn ingest_all(layout: &Layout, (daemon, interval): (&Tallyd, &str), first_hour: usize) -> Taken {
    let cpu = || [daemon.server.cpu_nanoseconds(), daemon.server.fold_cpu_nanoseconds()];
    let has_snapshots = interval != NO_SNAPSHOTS;
    let senders: Vec<_> = (0..CONNECTIONS).map(|part| Sender::new(layout, part)).collect();
    let lag = has_snapshots.then(|| Lag::watch(daemon.http, interval));
    let (before, start) = (cpu(), Instant::now());
    let sent_by_all: Vec<Sent> = std::thread::scope(|scope| {
        let senders: Vec<_> = senders
            .into_iter()
            .map(|sender| scope.spawn(move || sender.send(daemon.tcp, first_hour)))
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let (sent, seconds) = (Instant::now(), start.elapsed().as_secs_f64());
    let lag_intervals = lag.map(Lag::end);
    if has_snapshots {
        wait_for_snapshot(daemon);
    }
    let after_seconds = sent.elapsed().as_secs_f64();
    let after = cpu();
    let [all, fold] = [0, 1].map(|of| (after[of] - before[of]) / 1e9);
    let mut seconds_of_tenths = Vec::new();
    let mut since = start;
    for tenth in 0..TENTHS {
        let Some(end) = sent_by_all.iter().map(|sent| sent.tenths.get(tenth).copied()).max().flatten() else {
            break;
        };
        seconds_of_tenths.push((end - since).as_secs_f64());
        since = end;
    }
    Taken {
        total: sent_by_all.iter().map(|sent| sent.total).sum(),
        seconds,
        seconds_of_tenths,
        after_seconds,
        lag_intervals,
        fold_cpu_seconds: fold,
        ingest_cpu_seconds: all - fold,
        peak_memory_mb: daemon.server.peak_memory_mb(),
    }
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

/// What a connection has sent.
struct Sent {
    /// Sum of the counts.
    total: u64,
    /// When each tenth of the hours was sent, the last one acknowledged as well; empty where there are too few hours.
    tenths: Vec<Instant>,
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

    /// Sends the lines hour by hour; returns once they are acknowledged.
    fn send(mut self, address: SocketAddr, first_hour: usize) -> Sent {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"!precision s\n").unwrap();
        let (mut total, mut tenths) = (0, Vec::new());
        let hours = self.layout.hours() / self.layout.stride * self.layout.stride;
        for hour in 0..hours {
            let block = &mut self.blocks[hour % self.layout.stride][hour / self.layout.stride % VARIANTS];
            let stamp = format!("{:0STAMP_BYTES$}", (first_hour + hour) * 3_600);
            for &place in &block.stamps {
                block.bytes[place..place + STAMP_BYTES].copy_from_slice(stamp.as_bytes());
            }
            stream.write_all(&block.bytes).unwrap();
            total += block.total;
            if hours >= TENTHS && (hour + 1) * TENTHS / hours > tenths.len() {
                tenths.push(Instant::now());
            }
        }
        ingest::acknowledge(stream);
        if let Some(end) = tenths.last_mut() {
            *end = Instant::now();
        }
        Sent { total, tenths }
    }
}
