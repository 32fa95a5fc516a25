//! Streams of reports: what clients are told, when, and where a stream ends. The clock of the requests stands still but where a test
//! moves it; each wait is for something to come.

use std::time::Duration;

use serde_json::Value;
use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use crate::support::{Client, LINE, Port, STORY};

const TODAY: &str = "conversations?period=today";
/// So long that a change is shorter.
const MONTH: &str = "conversations?period=last30days";
const OTHER_STORY: &str = "5b07ffafc2376e30306d9b17";
const SECOND: Duration = Duration::from_secs(1);
const READER: &str = "authorization: Bearer tally_0123456789abcdef";
const WRITER: &str = "authorization: Bearer tally_fedcba9876543210";

/// One event, as it was written.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: String,
}

/// A stream as a client follows it.
struct Follower {
    client: Client,
    text: String,
    /// The report, by the events up to now.
    state: Value,
    /// Names of the events that came.
    seen: Vec<String>,
}

impl Follower {
    /// Asks for a stream and takes its first event.
    async fn open(port: &Port, report: &str, headers: &[&str]) -> Self {
        let mut follower = Self::of(port.client().await, report, headers).await;
        assert_eq!(follower.block().await.unwrap(), "retry: 3000");
        assert_eq!(follower.event().await.name, "report");
        follower
    }

    async fn of(mut client: Client, report: &str, headers: &[&str]) -> Self {
        let (name, query) = report.split_once('?').unwrap_or((report, ""));
        let mut request = format!("GET /reports/{name}/stream?{query} HTTP/1.1\r\nhost: localhost\r\n");
        request.extend(headers.iter().flat_map(|header| [*header, "\r\n"]));
        client.send(format!("{request}\r\n").as_bytes()).await;
        let head = client.head().await;
        assert_eq!(head.status, 200, "{head:?}");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(head.header(name), Some(value), "{name}");
        }
        Self { client, text: String::new(), state: Value::Null, seen: Vec::new() }
    }

    /// The lines up to the next empty one; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            self.text.push_str(std::str::from_utf8(&self.client.chunk().await?).unwrap());
        }
    }

    /// The next event, which is applied to the state.
    async fn event(&mut self) -> Event {
        let block = self.block().await.expect("no event, but the end");
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            lines.collect::<Vec<_>>().join("\n")
        };
        let event = Event { name: field("event"), id: field("id"), data: field("data") };
        let data: Value =
            serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {block}"));
        match event.name.as_str() {
            "report" => self.state = data,
            "change" => apply(&mut self.state, &data),
            "end" | "dropped" => {}
            other => panic!("{other}: {block}"),
        }
        self.seen.push(event.name.clone());
        event
    }

    /// The next event, after which the state is what a client is told that asks now.
    async fn event_as(&mut self, port: &Port, report: &str, name: &str) -> Event {
        let event = self.event().await;
        let reply = port.get(&format!("/reports/{report}")).await;
        assert_eq!(event.name, name, "{event:?}");
        assert_eq!(self.state, reply.json(), "{event:?}");
        assert_eq!(Some(format!("\"{}\"", event.id).as_str()), reply.header("etag"), "{event:?}");
        event
    }
}

fn apply(state: &mut Value, patch: &Value) {
    for operation in patch.as_array().unwrap() {
        let (place, value) = (operation["path"].as_str().unwrap(), operation["value"].clone());
        match operation["op"].as_str().unwrap() {
            "replace" => *state.pointer_mut(place).unwrap() = value,
            "add" => {
                let list = place.strip_suffix("/-").expect("only at the end of a list");
                state.pointer_mut(list).unwrap().as_array_mut().unwrap().push(value);
            }
            other => panic!("{other}"),
        }
    }
}

fn limits() -> Limits {
    Limits { stream_tick: Duration::from_millis(5), ..Limits::default() }
}

async fn port() -> Port {
    Port::with(Auth::default(), limits()).await
}

async fn count(port: &Port, story: &str, conversations: u32) {
    let line = LINE.replace(STORY, story).replace("count=1i", &format!("count={conversations}i"));
    assert_eq!(port.post("/events", &line).await.status, 200);
}

/// Waits until a line is in the metrics.
async fn until_metric(port: &Port, line: &str) {
    let shown = async {
        while !port.get("/metrics").await.body.lines().any(|shown| shown == line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), shown).await.unwrap_or_else(|_| panic!("never `{line}`"));
}

#[tokio::test]
async fn a_stream_tells_the_report_and_then_what_changes() {
    let port = port().await;
    count(&port, STORY, 1).await;
    let mut follower = Follower::of(port.client().await, MONTH, &[]).await;
    assert_eq!(follower.block().await.unwrap(), "retry: 3000");
    let first = follower.event_as(&port, MONTH, "report").await;
    assert_eq!(first.data, port.get(&format!("/reports/{MONTH}")).await.body);
    for conversations in [2, 30, 400] {
        count(&port, STORY, conversations).await;
        port.clock.advance(SECOND);
        follower.event_as(&port, MONTH, "change").await;
    }
    assert_eq!(follower.state["summary"]["total"], 433);
    until_metric(&port, "tallyd_stream_events_total{event=\"report\"} 1").await;
    until_metric(&port, "tallyd_stream_events_total{event=\"change\"} 3").await;
}

#[tokio::test]
async fn all_six_reports_can_be_followed_under_both_prefixes() {
    let port = port().await;
    count(&port, STORY, 1).await;
    let reports = [
        "conversations?period=today&dimension=hour&group=source",
        "conversations.paid?period=today",
        "conversations.messages?period=last30days",
        "conversations.average?period=today",
        "busiest-period?period=today",
        "interactions.popularity",
    ];
    let mut followers = Vec::new();
    for report in reports {
        followers.push(Follower::open(&port, report, &[]).await);
    }
    let mut v2 = port.client().await;
    v2.send(b"GET /v2/reports/busiest-period/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(v2.head().await.header("content-type"), Some("text/event-stream"));
    until_metric(&port, "tallyd_streams 7").await;
    let body = [
        LINE.to_owned(),
        LINE.replace("count=1i", "count=1i,paid=true"),
        LINE.replace("conversation,", "message,"),
        "interaction,storyId=5b07ffafc2376e30306d9b16,source=app,id=5b07ffafc2376e30306d9b16 count=1i \
         1552813200000000000\n"
            .to_owned(),
    ];
    let reply = port.post("/events", &body.concat()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    port.clock.advance(SECOND);
    for (report, follower) in reports.into_iter().zip(&mut followers) {
        follower.event().await;
        assert_eq!(follower.state, port.get(&format!("/reports/{report}")).await.json(), "{report}");
    }
}

#[tokio::test]
async fn a_later_hour_adds_a_point_and_a_later_day_is_told_whole() {
    let port = port().await;
    count(&port, STORY, 1).await;
    let hours = "conversations?from=2019-03-16&dimension=hour&timezone=Asia/Kolkata";
    let days = "conversations?period=today&timezone=Asia/Kolkata";
    let mut by_hour = Follower::open(&port, hours, &[]).await;
    let mut today = Follower::open(&port, days, &[]).await;
    // It is 15:00 there.
    port.clock.advance(Duration::from_hours(1));
    let event = by_hour.event_as(&port, hours, "change").await;
    assert!(
        event.data.contains(r#"{"op":"add","path":"/data/-","value":{"date":"2019-03-17T10:30:00.000Z""#)
    );
    port.clock.advance(Duration::from_hours(8));
    today.event_as(&port, days, "report").await;
    assert_eq!(today.state["data"][0]["date"], "2019-03-17T18:30:00.000Z");
}

/// 490 kB, and told whole each time that the name of the story changes.
const BY_STORY: &str = "conversations?from=2018-08-22&to=2019-03-17&dimension=hour&group=storyId";
/// So many of them are more than the kernel keeps for a client that does not read.
const ROUNDS: usize = 16;

/// Has the report change whole, time and again, until a quick client knows it.
async fn rename_again_and_again(port: &Port, quick: &mut Follower) {
    for round in 0..ROUNDS {
        let name = format!(r#"{{"name":"round {round}"}}"#);
        assert_eq!(port.ask("PUT", &format!("/stories/{STORY}"), &[], name.as_bytes()).await.status, 200);
        port.clock.advance(SECOND);
        quick.event_as(port, BY_STORY, "report").await;
    }
}

#[tokio::test]
async fn a_slow_client_is_told_the_newest_state_alone() {
    let port = port().await;
    count(&port, STORY, 1).await;
    let mut slow = Follower::of(port.slow_client().await, BY_STORY, &[]).await;
    let mut quick = Follower::open(&port, BY_STORY, &[]).await;
    rename_again_and_again(&port, &mut quick).await;
    assert_eq!(slow.block().await.unwrap(), "retry: 3000");
    // What had been written before, and then at once the newest.
    while slow.state["groups"][0]["name"] != format!("round {}", ROUNDS - 1) {
        slow.event().await;
    }
    assert_eq!(slow.state, quick.state);
    assert!(slow.seen.len() < ROUNDS, "{} events for {ROUNDS} rounds", slow.seen.len());
    count(&port, STORY, 5).await;
    port.clock.advance(SECOND);
    slow.event_as(&port, BY_STORY, "change").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let limits = Limits { write_timeout: SECOND, ..limits() };
    let port = Port::with(Auth::default(), limits).await;
    count(&port, STORY, 1).await;
    let _silent = Follower::of(port.slow_client().await, BY_STORY, &[]).await;
    let mut quick = Follower::open(&port, BY_STORY, &[]).await;
    rename_again_and_again(&port, &mut quick).await;
    until_metric(&port, "tallyd_streams 1").await;
}

#[tokio::test]
async fn what_changes_nothing_is_not_told_and_silence_is_broken_in_time() {
    let port = port().await;
    count(&port, STORY, 1).await;
    let report = format!("{MONTH}&storyId={STORY}");
    let mut follower = Follower::open(&port, &report, &[]).await;
    count(&port, OTHER_STORY, 7).await;
    port.clock.advance(Duration::from_secs(15));
    assert_eq!(follower.block().await.unwrap(), ": 2019-03-17T09:30:15.000Z");
    count(&port, STORY, 2).await;
    port.clock.advance(SECOND);
    follower.event_as(&port, &report, "change").await;
}

#[tokio::test]
async fn a_stream_ends_by_its_duration_and_the_connection_goes_on() {
    let port = port().await;
    let mut follower = Follower::open(&port, "conversations?period=today&duration=2", &[]).await;
    port.clock.advance(2 * SECOND);
    let end = follower.event().await;
    assert_eq!((end.name.as_str(), end.data.as_str()), ("end", r#"{"reason":"duration"}"#));
    assert_eq!(follower.block().await, None);
    assert_eq!(follower.client.ask("GET", "/stories", &[], b"").await.status, 200);
    until_metric(&port, "tallyd_streams 0").await;
    until_metric(&port, "tallyd_stream_events_total{event=\"end\"} 1").await;
}

#[tokio::test]
async fn a_stream_ends_when_the_daemon_stops() {
    let port = port().await;
    let mut follower = Follower::open(&port, TODAY, &[]).await;
    port.shutdown.fire();
    let end = follower.event().await;
    assert_eq!((end.name.as_str(), end.data.as_str()), ("end", r#"{"reason":"stopping"}"#));
    assert_eq!(follower.block().await, None);
    assert_eq!(follower.client.rest().await, 0);
    port.served.await.unwrap();
}

/// The token of [`READER`], for some stories, and that of [`WRITER`].
fn tokens(stories: &str) -> Auth {
    let (reader, writer) = (
        "472fad7fc5406d017905e3e5fde61a713d00f63bfb66c42bda0bcf3ac695145e",
        "323f2c5d8f220f0bb9058610098676cfe4f42da9fd8221066bb59f4137676ec2",
    );
    let reader =
        format!("name = \"board\"\nscopes = [\"read\"]\nsha256 = \"{reader}\"\nstories = [\"{stories}\"]");
    let writer = format!("name = \"bots\"\nscopes = [\"write\"]\nsha256 = \"{writer}\"");
    Auth::from_file_text(&format!("[[token]]\n{reader}\n[[token]]\n{writer}\n")).unwrap()
}

#[tokio::test]
async fn a_stream_is_about_the_stories_of_its_token_and_ends_with_it() {
    let port = Port::with(tokens(STORY), limits()).await;
    let mut follower = Follower::open(&port, MONTH, &[READER]).await;
    let count = async |story: &str| {
        let line = LINE.replace(STORY, story);
        assert_eq!(port.ask("POST", "/events", &[WRITER], line.as_bytes()).await.status, 200);
        port.clock.advance(SECOND);
    };
    for _ in 0..3 {
        count(OTHER_STORY).await;
    }
    count(STORY).await;
    follower.event().await;
    assert_eq!(follower.state["summary"]["total"], 1);
    // The same tokens, read anew, change nothing.
    port.auth.replace(&tokens(STORY));
    count(STORY).await;
    assert_eq!(follower.event().await.name, "change");
    port.auth.replace(&tokens(OTHER_STORY));
    let end = follower.event().await;
    assert_eq!((end.name.as_str(), end.data.as_str()), ("end", r#"{"reason":"token"}"#));
    assert_eq!(follower.block().await, None);
    let mut follower = Follower::open(&port, MONTH, &[READER]).await;
    assert_eq!(follower.state["summary"]["total"], 3);
    let without = Auth::from_env_text("other:read:tally_00000000000000000000").unwrap();
    port.auth.replace(&without);
    assert_eq!(follower.event().await.data, r#"{"reason":"token"}"#);
    assert_eq!(follower.block().await, None);
    assert_eq!(follower.client.ask("GET", "/stories", &[READER], b"").await.status, 401);
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let port = Port::with(Auth::default(), Limits { streams: 1, ..limits() }).await;
    let target = "/reports/conversations/stream?period=today&duration=1";
    let mut follower = Follower::open(&port, "conversations?duration=5", &[]).await;
    let refused = port.get(target).await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (503, "too many reports are streamed at the moment")
    );
    assert!(refused.header("retry-after").is_some());
    until_metric(&port, "tallyd_streams_refused_total 1").await;
    until_metric(&port, "tallyd_overloads_total{bound=\"streams\"} 1").await;
    port.clock.advance(5 * SECOND);
    assert_eq!(follower.event().await.name, "end");
    until_metric(&port, "tallyd_streams 0").await;
    // The head alone takes no place for longer than it takes to write.
    let head = port.ask("HEAD", target, &[], b"").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    until_metric(&port, "tallyd_streams 0").await;
    Follower::open(&port, TODAY, &[]).await;
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused_with_what_can() {
    let port = port().await;
    count(&port, STORY, 1).await;
    count(&port, OTHER_STORY, 1).await;
    for (target, status, message) in [
        (
            "/reports/conversations/stream?from=2017-1-1&to=2019-3-17&dimension=hour",
            400,
            "parameter dimension: got hour, which makes 19344 data points over this range, takes at most 10000; \
             dimension=day fits",
        ),
        (
            "/reports/conversations/stream?from=2018-8-1&to=2019-3-17&dimension=hour&group=storyId",
            400,
            "parameter dimension: got hour, which makes 16488 data points over this range, takes at most 10000; \
             dimension=day fits",
        ),
        (
            "/reports/conversations/stream?from=2018-12-1&to=2019-3-17&dimension=hour&group=source",
            400,
            "parameter dimension: got hour, which makes 20544 data points over this range, takes at most 10000; \
             dimension=day or limit=2 fits",
        ),
        (
            "/reports/conversations/stream?duration=0",
            400,
            "parameter duration: got \"0\", takes whole seconds from 1 to 86400",
        ),
        (
            "/reports/conversations/stream?format=json",
            400,
            "parameter format: a stream has one format, events with JSON",
        ),
    ] {
        let reply = port.get(target).await;
        assert_eq!((reply.status, reply.message().as_str()), (status, message), "{target}");
    }
    assert_eq!(port.get("/reports/nonsense/stream").await.status, 404);
    let reply = port.post("/reports/conversations/stream", "").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn stream_tells_which_hours_its_report_lacks() {
    use tallyd::model::batch::Batch;
    use tallyd::model::calendar::Hour;
    use tallyd::model::cells::Month;

    let port = port().await;
    count(&port, STORY, 1).await;
    let drop_before = async |unix_seconds: i64| {
        let month = Month::containing(Hour::containing(unix_seconds).unwrap());
        let batch = Batch { dropped_before: Some(month), ..Batch::default() };
        let write_handle = port.store.as_ref().unwrap().write_handle();
        write_handle.submit(batch).await.unwrap().outcome().await.unwrap();
    };
    // 2019-01.
    drop_before(1_546_300_800).await;
    let (list, series) = ("busiest-period?from=2018-1-1", "conversations?from=2018-1-1&dimension=year");
    let mut of_list = Follower::of(port.client().await, list, &[]).await;
    assert_eq!(of_list.block().await.unwrap(), "retry: 3000");
    let told = of_list.event().await;
    assert_eq!(
        (told.name.as_str(), told.data.as_str()),
        ("dropped", r#"{"droppedBefore":"2019-01-01T00:00:00.000Z"}"#)
    );
    assert_eq!(of_list.event().await.name, "report");
    let mut of_series = Follower::open(&port, series, &[]).await;
    assert_eq!(of_series.state["droppedBefore"], "2019-01-01T00:00:00.000Z");
    // 2019-02, of which the list's counts are none.
    drop_before(1_548_979_200).await;
    port.clock.advance(SECOND);
    let told = of_list.event().await;
    assert_eq!(
        (told.name.as_str(), told.data.as_str()),
        ("dropped", r#"{"droppedBefore":"2019-02-01T00:00:00.000Z"}"#)
    );
    assert_eq!(of_series.event().await.name, "report");
    assert_eq!(of_series.state["droppedBefore"], "2019-02-01T00:00:00.000Z");
}
