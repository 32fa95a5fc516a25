//! What stories and series cost by their number: the same events over ten times as many stories, again and again, as a
//! table and as a picture; and very many series that each have one event.

use std::path::Path;
use std::time::Instant;

use super::daemon::{Stopped, Tallyd};
use super::http::{self, Connection};
use super::ingest::{self, Pass};
use super::picture::Picture;
use super::random::Random;
use super::reports::{sorted, timed_exchange};
use super::table::{Table, percentile};
use super::workload::{SOURCES, Shape, Text, Workload, story_id};

/// The sweep begins with so many stories.
const STORIES_MIN: usize = 1_000;
const CONNECTIONS: usize = 2;
/// Of each report, whose processor time is taken.
const REQUESTS: usize = 20;
/// The first ones warm up.
const REQUESTS_BEFORE: usize = 3;
/// Series of each story where there are very many of them.
const SERIES_PER_STORY: usize = 10;
const NODES: usize = 3;

/// Takes every figure at 1,000 stories and ten times as many, up to those of `most`.
pub(crate) fn measure(most: Shape, picture: Option<&Path>, table: &mut Table) {
    let mut drawn = Picture::new("What tallyd costs, by the number of stories", "stories");
    let mut stories = STORIES_MIN;
    while stories <= most.stories {
        let workload = Workload::generate(Shape { stories, events: most.events });
        measure_one(&workload, (&mut drawn, table));
        stories *= 10;
    }
    if let Some(path) = picture {
        drawn.write(path);
    }
}

fn measure_one(workload: &Workload, (picture, table): (&mut Picture, &mut Table)) {
    let stories = workload.shape.stories as f64;
    let mut take = |(panel, unit, line): (&str, &str, &str), cost: f64, remark: &str| {
        picture.panel(panel, unit).point(line, (stories, cost));
        let what = format!("{stories:.0} stories: {}, {line}", panel.to_lowercase());
        table.row(&what, format!("{cost:.3}"), unit, remark);
    };
    let daemon = Tallyd::start(&[]);
    for line in ["first pass", "again"] {
        let Pass { events_per_second, cpu_seconds_per_million } =
            ingest::timed(workload, &daemon, || ingest::push_tcp(daemon.tcp, &workload.lines, CONNECTIONS));
        let remark = format!("{:.2} M events/s", events_per_second / 1e6);
        take(("Ingest over TCP", "CPU s per million events", line), cpu_seconds_per_million, &remark);
    }
    let series = series(&daemon);
    let per_series = |daemon: &Tallyd| daemon.server.memory_mb() * 1e6 / series;
    let remark = format!(
        "{series:.0} series, {:.0} MB, peak {:.0} MB",
        daemon.server.memory_mb(),
        daemon.server.peak_memory_mb()
    );
    take(("Memory", "bytes a series", "after ingest"), per_series(&daemon), &remark);
    let (daemon, seconds) = timed(|| daemon.kill_and_restart());
    take(("Restart", "s", "after kill -9"), seconds, "");
    take(("Memory", "bytes a series", "after the restart"), per_series(&daemon), "");
    for (line, path) in targets(workload) {
        let (milliseconds, remark) = report(&daemon, &path);
        take(("Reports and lists", "processor time, ms", line), milliseconds, &remark);
    }
    let stopped = daemon.stop();
    let megabytes = stopped.disk_mb();
    take(("Disk after a stop", "MB, without the reserve", "all files"), megabytes - stopped.reserve_mb(), "");
    let (_daemon, seconds) = timed(|| stopped.restart());
    take(("Restart", "s", "after a stop"), seconds, "");
}

fn targets(workload: &Workload) -> [(&'static str, String); 3] {
    let range = format!("from={}&to={}", workload.now_ms - 90 * 86_400_000, workload.now_ms);
    [
        ("page of 50 stories", "/stories?limit=50".to_owned()),
        ("popularity, all", format!("/reports/interactions.popularity?{range}")),
        ("by story", format!("/reports/conversations?{range}&group=storyId")),
    ]
}

/// Processor time of an answer in milliseconds, and how long one took.
fn report(daemon: &Tallyd, path: &str) -> (f64, String) {
    let (mut connection, request) = (Connection::open(daemon.http), http::get(path));
    for _ in 0..REQUESTS_BEFORE {
        timed_exchange(&mut connection, &request);
    }
    let before = daemon.server.cpu_nanoseconds();
    let taken = sorted((0..REQUESTS).map(|_| timed_exchange(&mut connection, &request)).collect());
    let milliseconds = (daemon.server.cpu_nanoseconds() - before) / 1e6 / REQUESTS as f64;
    (milliseconds, format!("p50 {:.3} ms", percentile(&taken, 0.5)))
}

/// One event of each of ten series of every story, in no order, and another one: rate, memory, disk, restarts.
pub(crate) fn measure_series(stories: usize, table: &mut Table) {
    let text = every_series(stories);
    let events = text.ends.len() as f64;
    let what = |figure: &str| format!("{:.0} M series of {stories} stories: {figure}", events / 1e6);
    let daemon = Tallyd::start(&[]);
    let per_series = |daemon: &Tallyd| format!("{:.1}", daemon.server.memory_mb() * 1e6 / events);
    for pass in ["first pass", "again"] {
        let cpu = daemon.server.cpu_nanoseconds();
        let ((), seconds) = timed(|| ingest::push_tcp(daemon.tcp, &text, CONNECTIONS));
        let cpu = (daemon.server.cpu_nanoseconds() - cpu) / 1e9 / events * 1e6;
        let remark = format!(
            "CPU s/M {cpu:.2}; memory {} bytes a series, peak {:.0} MB",
            per_series(&daemon),
            daemon.server.peak_memory_mb()
        );
        table.row(&what(pass), format!("{:.2}", events / seconds / 1e6), "M events/s", &remark);
    }
    assert!(series(&daemon) >= events, "each line has a series of its own");
    let (daemon, seconds) = timed(|| daemon.kill_and_restart());
    let remark = format!("memory then {} bytes a series", per_series(&daemon));
    table.row(&what("restart after kill -9"), format!("{seconds:.2}"), "s", &remark);
    let stopped: Stopped = daemon.stop();
    let bytes = (stopped.disk_mb() - stopped.reserve_mb()) * 1e6 / events;
    table.row(&what("disk after a stop, without the reserve"), format!("{bytes:.1}"), "bytes a series", "");
    let (daemon, seconds) = timed(|| stopped.restart());
    let remark = format!("memory then {} bytes a series", per_series(&daemon));
    table.row(&what("restart after a stop"), format!("{seconds:.2}"), "s", &remark);
}

/// A line for each of the series.
fn every_series(stories: usize) -> Text {
    let mut random = Random::new(42);
    let now_ms =
        chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_millis() as u64;
    let mut order: Vec<u32> = (0..(stories * SERIES_PER_STORY) as u32).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last as u64 + 1) as usize);
    }
    let mut text = Text::default();
    for number in order {
        let (story, which) =
            (story_id(number as usize / SERIES_PER_STORY), number as usize % SERIES_PER_STORY);
        let stamp = now_ms - random.below(3_600_000);
        if which < NODES {
            let (source, node) = (SOURCES[0].0, &story[..22]);
            text.push(&format!(
                "interaction,storyId={story},source={source},id={node}{which:02x} count=1i {stamp}"
            ));
        } else {
            let source = SOURCES[which - NODES].0;
            text.push(&format!("message,storyId={story},source={source} count=1i {stamp}"));
        }
    }
    text
}

/// How many series the daemon says it has.
fn series(daemon: &Tallyd) -> f64 {
    let metrics = http::get_text(daemon.http, "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("tallyd_series "));
    line.expect("a metric of that name").parse().unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    (work(), start.elapsed().as_secs_f64())
}
