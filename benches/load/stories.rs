//! What touches every story: the list of stories, a search in their names, and the reports over all of them or by story.
//! Every story has a name and an event of its own somewhere in the last 30 days, then the workload comes on top.

use std::time::Instant;

use super::daemon::Tallyd;
use super::http::{self, Connection};
use super::ingest;
use super::reports::sorted;
use super::table::{Table, percentile};
use super::workload::{Text, Workload, story_id};

const REQUESTS: usize = 200;
/// The first ones warm up.
const REQUESTS_BEFORE: usize = 20;
const CUT_OFF_MAX: usize = 3;
/// Hours that the stories' own events are spread over.
const OWN_EVENT_HOURS: usize = 30 * 24;
/// What stories are called, beside a number.
const NAMES: [&str; 5] =
    ["Pizza orders", "Support Bot", "Zażółć gęślą", "Newsletter sign-up", "FAQ: Returns"];

pub(crate) fn measure(workload: &Workload, table: &mut Table) {
    let daemon = Tallyd::start(&[]);
    ingest::push_tcp(daemon.tcp, &every_story(workload), 1);
    ingest::push_tcp(daemon.tcp, &workload.lines, 2);
    for (what, path) in targets(workload) {
        let mut asking = Asking { daemon: &daemon, connection: Connection::open(daemon.http), cut_off: 0 };
        let request = http::get(&path);
        for _ in 0..REQUESTS_BEFORE {
            asking.timed(&request);
        }
        let cpu_before = daemon.server.cpu_nanoseconds();
        let taken = sorted((0..REQUESTS).map(|_| asking.timed(&request)).collect());
        let cpu = (daemon.server.cpu_nanoseconds() - cpu_before) / taken.len() as f64 / 1e6;
        table.row(
            what,
            format!("{:.3}", percentile(&taken, 0.5)),
            "ms p50",
            &format!(
                "p99 {:.3}, max {:.3} of {}; CPU {cpu:.3} ms a request; peak {:.0} MB{}",
                percentile(&taken, 0.99),
                percentile(&taken, 1.0),
                taken.len(),
                daemon.server.peak_memory_mb(),
                if asking.cut_off > 0 {
                    format!("; {} answers cut off", asking.cut_off)
                } else {
                    String::new()
                }
            ),
        );
    }
}

/// A client whose answers may be cut off: where a machine stands still for longer than the daemon waits for a reader
/// (`HTTP_WRITE_TIMEOUT`), it gives up the answer that was on its way.
struct Asking<'d> {
    daemon: &'d Tallyd,
    connection: Connection,
    cut_off: usize,
}

impl Asking<'_> {
    /// Milliseconds of a request and its whole answer.
    fn timed(&mut self, request: &[u8]) -> f64 {
        loop {
            let start = Instant::now();
            match self.connection.try_exchange(request) {
                Ok((status, _)) => {
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(request));
                    return start.elapsed().as_secs_f64() * 1e3;
                }
                Err(error) => {
                    self.cut_off += 1;
                    assert!(self.cut_off <= CUT_OFF_MAX, "answers are cut off: {error}");
                    self.connection = Connection::open(self.daemon.http);
                }
            }
        }
    }
}

fn targets(workload: &Workload) -> Vec<(&'static str, String)> {
    let range = |days: u64| format!("from={}&to={}", workload.now_ms - days * 86_400_000, workload.now_ms);
    vec![
        ("list of stories, page of 50", "/stories?limit=50".to_owned()),
        ("search in stories, many found", "/stories?limit=50&search=support%20bot".to_owned()),
        ("search in stories, few found", "/stories?limit=50&search=ORDERS%20777".to_owned()),
        ("search in stories, nothing found", "/stories?limit=50&search=no%20such%20story".to_owned()),
        (
            "interactions.popularity, 90 days, all stories",
            format!("/reports/interactions.popularity?{}", range(90)),
        ),
        ("conversations, 90 days, by story", format!("/reports/conversations?{}&group=storyId", range(90))),
        (
            "conversations.average, 5 years, by story",
            format!("/reports/conversations.average?{}&group=storyId", range(1_826)),
        ),
    ]
}

/// A conversation of each story, which names it.
fn every_story(workload: &Workload) -> Text {
    let mut text = Text::default();
    for number in 0..workload.shape.stories {
        let (story, name) = (story_id(number), NAMES[number % NAMES.len()]);
        let stamp = workload.now_ms - (number * 7 % OWN_EVENT_HOURS) as u64 * 3_600_000;
        text.push(&format!(
            "conversation,storyId={story},source=app count=1i,storyName=\"{name} {number}\" {stamp}"
        ));
    }
    text
}
