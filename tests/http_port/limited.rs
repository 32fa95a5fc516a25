//! Tokens that are limited to some stories: whatever is asked with one is answered as by a daemon that only ever had these
//! stories, byte for byte.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use super::support::{Client, LINE, Port, Reply, STORY};

const ALL: &str = "authorization: Bearer tally_all_0123456789";
const SOME: &str = "authorization: Bearer tally_some_0123456789";
const OTHERS: &str = "authorization: Bearer tally_others_0123456789";

/// Stories that things happen to; one more is never known.
const STORIES: usize = 7;
const NODES: [&str; 3] = ["5b07ffafc2376e30306d9b17", "5b07ff77c2376e30306d9b12", "5b07ff77c2376e30306d9b13"];
const SOURCES: [&str; 3] = ["messenger", "slack", "app"];

fn story(number: usize) -> String {
    format!("{:024}", number * 37)
}

/// The entry of a token that may read and write; its stories as the file has them, nothing for all.
fn entry(name: &str, stories: &[String]) -> String {
    use sha2::Digest as _;
    let mut digest = String::new();
    for byte in sha2::Sha256::digest(format!("tally_{name}_0123456789")) {
        write!(digest, "{byte:02x}").unwrap();
    }
    let stories = if stories.is_empty() { String::new() } else { format!("stories = {stories:?}\n") };
    format!("[[token]]\nname = \"{name}\"\nscopes = [\"read\", \"write\"]\n{stories}sha256 = \"{digest}\"\n")
}

fn tokens(some: &[String], others: &[String]) -> Auth {
    let text = [entry("all", &[]), entry("some", some), entry("others", others)].concat();
    Auth::from_file_text(&text).unwrap()
}

async fn guarded(some: &[String], others: &[String]) -> Port {
    Port::with(tokens(some, others), Limits::default()).await
}

/// What can happen to a story.
#[derive(Clone, Debug)]
enum Change {
    Events(Vec<String>),
    Put(String),
    Delete,
    Undo(&'static str),
}

/// Ranges of undos within the three weeks before now.
const RANGES: [&str; 3] = [
    "from=2019-3-16&to=2019-3-17",
    "from=2019-3-1&to=2019-3-31&source=slack",
    "from=2019-3-10&to=2019-3-17&metric=messages",
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => prop::collection::vec(event(), 1..5).prop_map(Change::Events),
        1 => (0..3_usize, "[a-c]{1,2}").prop_map(|(node, name)| {
            let node = NODES[node];
            Change::Put(format!(
                "{{\"name\":\"{name} bot\",\"interactions\":[{{\"id\":\"{node}\",\"name\":\"{name}\"}}]}}"
            ))
        }),
        1 => Just(Change::Delete),
        1 => prop::sample::select(&RANGES[..]).prop_map(Change::Undo),
    ]
}

/// A line with `STORY` in place of its story.
fn event() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just(("conversation", String::new())),
        Just(("message", String::new())),
        (0..3_usize).prop_map(|node| ("interaction", format!(",id={}", NODES[node]))),
        (0..3_usize)
            .prop_map(|node| ("interaction", format!(",type=contextFallback,parentId={}", NODES[node]))),
        Just(("interaction", ",type=fallback".to_owned())),
    ];
    let field = prop_oneof![
        4 => Just(String::new()),
        1 => Just(",paid=true".to_owned()),
        1 => "[a-c]{1,2}".prop_map(|name| format!(",name=\"{name}\"")),
        1 => "[a-c]{1,2}".prop_map(|name| format!(",storyName=\"{name}\"")),
    ];
    // Hours of the three weeks before now.
    let hours_ago = prop_oneof![0..48_i64, 0..500_i64];
    (kind, field, 0..SOURCES.len(), 0..4_u32, hours_ago).prop_map(
        |((kind, tags), field, source, count, ago)| {
            let field = if kind == "conversation" || !field.contains("paid") { field } else { String::new() };
            let field = if kind == "interaction" || !field.contains(",name") { field } else { String::new() };
            let at = (1_552_815_000 - ago * 3_600) * 1_000_000_000 + 1;
            format!("{kind},storyId=STORY,source={}{tags} count={count}i{field} {at}\n", SOURCES[source])
        },
    )
}

/// The query string of a report, most of them good.
fn query() -> impl Strategy<Value = String> {
    let one_of = |texts: &'static [&'static str]| prop::sample::select(texts).prop_map(str::to_owned);
    let stories = prop::collection::vec(0..=STORIES, 1..4).prop_map(|numbers| {
        format!("storyId={}", numbers.into_iter().map(story).collect::<Vec<_>>().join(","))
    });
    let none = || Just(String::new());
    let parts = (
        prop_oneof![none(), stories],
        prop_oneof![2 => none(), 3 => one_of(&["group=storyId", "group=source"])],
        prop_oneof![3 => none(), 1 => one_of(&["source=slack", "source=app,messenger", "source[]=widget", "source=bad"])],
        prop_oneof![1 => none(), 2 => one_of(&["dimension=day", "dimension=hour", "dimension=month", "dimension=auto"])],
        one_of(&[
            "period=today",
            "period=last7days",
            "period=thisYear",
            "from=2019-3-1",
            "from=2019-3-1&to=2019-3-10",
            "from=2019-3-10&to=2019-3-1",
            "",
        ]),
        prop_oneof![3 => none(), 1 => one_of(&["limit=1", "limit=2", "limit=0"])],
        prop_oneof![4 => none(), 1 => one_of(&["timezone=Europe/Warsaw", "offset=-90", "format=csv"])],
        prop_oneof![3 => none(), 1 => one_of(&["compare=previous", "compare=weekday", "compare=bad"])],
    );
    parts.prop_map(|(a, b, c, d, e, f, g, h)| {
        [a, b, c, d, e, f, g, h].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&")
    })
}

/// What a client sees of an answer; the date is the machine's, and each daemon has tags of its own.
fn seen(reply: &Reply) -> (u16, Vec<&(String, String)>, &str) {
    let headers = reply.headers.iter().filter(|(name, _)| name != "date" && name != "etag").collect();
    (reply.status, headers, &reply.body)
}

fn path(target: &str) -> String {
    target.split('?').next().unwrap().to_owned()
}

/// How many lines were accepted and rejected.
fn line_counts(reply: &Reply) -> [Option<u64>; 2] {
    let json = reply.json();
    ["accepted", "rejected"].map(|member| json[member].as_u64())
}

/// A daemon with all stories and one that only ever had some, and a connection to each.
struct Pair {
    all: Client,
    some: Client,
    visible: BTreeSet<String>,
    ports: [Port; 2],
    asked: BTreeSet<(String, String)>,
}

impl Pair {
    async fn new(visible: Vec<String>) -> Self {
        let ports = [guarded(&visible, &[story(99)]).await, guarded(&visible, &[story(99)]).await];
        let (all, some) = (ports[0].client().await, ports[1].client().await);
        Self { all, some, visible: visible.into_iter().collect(), ports, asked: BTreeSet::new() }
    }

    /// Does to both daemons what happens to a story, where they know of it.
    async fn apply(&mut self, story: &str, change: &Change) {
        let (method, target, body) = match change {
            Change::Events(lines) => ("POST", "/events".to_owned(), lines.concat().replace("STORY", story)),
            Change::Put(body) => ("PUT", format!("/stories/{story}"), body.clone()),
            Change::Delete => ("DELETE", format!("/stories/{story}"), String::new()),
            Change::Undo(range) => ("DELETE", format!("/stories/{story}/counts?{range}"), String::new()),
        };
        let expected: &[u16] = match change {
            Change::Delete => &[204, 404],
            Change::Undo(_) => &[200, 404],
            Change::Events(_) | Change::Put(_) => &[200],
        };
        let reply = self.all.ask(method, &target, &[ALL], body.as_bytes()).await;
        assert!(expected.contains(&reply.status), "{reply:?} to {body}");
        if self.visible.contains(story) {
            let reply = self.some.ask(method, &target, &[ALL], body.as_bytes()).await;
            assert!(expected.contains(&reply.status), "{reply:?} to {body}");
        }
    }

    /// Asks the one with a limited token and the other with one that is not; the answer, which must be the same.
    async fn compare(&mut self, method: &str, target: &str) -> Reply {
        let limited = self.all.ask(method, target, &[SOME], b"").await;
        let expected = self.some.ask(method, target, &[ALL], b"").await;
        assert_eq!(seen(&limited), seen(&expected), "{method} {target}");
        self.asked.insert((method.to_owned(), path(target)));
        limited
    }

    /// Walks the pages of the list.
    async fn compare_pages(&mut self, parameters: &str) {
        let mut target = format!("/stories?{parameters}");
        loop {
            let page = self.compare("GET", &target).await.json();
            let Some(next) = page["next"].as_str() else { break };
            target = format!("/stories?{parameters}&cursor={next}");
        }
    }

    async fn compare_all(&mut self, queries: &[String]) {
        let reports = [
            "conversations",
            "conversations.paid",
            "conversations.messages",
            "conversations.average",
            "busiest-period",
            "interactions.popularity",
        ];
        for report in reports {
            for query in queries {
                self.compare("GET", &format!("/reports/{report}?{query}")).await;
            }
            for target in
                ["", "?from=2018-1-1", "?from=2019-3-1&group=storyId", "?from=2018-1-1&group=source"]
            {
                self.compare("GET", &format!("/v2/reports/{report}{target}")).await;
                self.compare("HEAD", &format!("/reports/{report}{target}")).await;
            }
        }
        for parameters in
            ["limit=1", "limit=2", "limit=1000", "search=a", "search=b&limit=1", "search=0000", "limit=0"]
        {
            self.compare_pages(parameters).await;
        }
        // Places of the other daemon's list are places all the same.
        let page = self.all.ask("GET", "/stories?limit=2", &[ALL], b"").await.json();
        if let Some(next) = page["next"].as_str() {
            self.compare_pages(&format!("limit=1&cursor={next}")).await;
        }
        for number in 0..=STORIES {
            let story = story(number);
            self.compare("GET", &format!("/stories/{story}")).await;
            self.compare("GET", &format!("/reports/interactions.popularity?storyId={story}&from=2018-1-1"))
                .await;
            self.compare("GET", &format!("/reports/busiest-period?storyId={story}&from=2018-1-1")).await;
        }
        self.compare("GET", "/stories/short").await;
        let file = format!("/page/{}/app.js", tallyd::page::tag());
        for target in [
            "/health",
            "/ready",
            "/ping",
            "/query?q=show%20databases",
            "/openapi.json",
            "/api",
            "/",
            &file,
            "/nothing",
        ] {
            self.compare("GET", target).await;
        }
        self.compare("POST", "/query?q=show%20databases").await;
        for (method, about_all) in
            [("GET", "/metrics"), ("GET", "/cluster"), ("GET", "/cluster/snapshot"), ("POST", "/backup")]
        {
            let refused = self.all.ask(method, about_all, &[SOME], b"").await;
            assert_eq!(refused.status, 403, "{refused:?}");
            self.asked.insert((method.to_owned(), about_all.to_owned()));
        }
    }

    /// Sends lines of all stories by the limited token: those of its stories count, the others are bad lines that are told
    /// alike whether their story is known or not.
    async fn write_limited(&mut self, route: usize, lines: &[(String, String)]) {
        // The same batch by two routes is one of the retry window, unless it is written to another database.
        let target = ["/events", "/write?db=a", "/api/v2/write?bucket=b"][route];
        let mut allowed = String::new();
        let (mut expected, mut counts) = (Vec::new(), [0_u64; 2]);
        for (at, (story, line)) in lines.iter().enumerate() {
            let is_allowed = self.visible.contains(story);
            counts[usize::from(!is_allowed)] += 1;
            if is_allowed {
                allowed.push_str(&line.replace("STORY", story));
            } else {
                let message = format!("this token may not write to story {story}");
                expected.push(serde_json::json!({"line": at + 1, "message": message}));
            }
        }
        let body: String = lines.iter().map(|(story, line)| line.replace("STORY", story)).collect();
        let reply = self.all.ask("POST", target, &[SOME], body.as_bytes()).await;
        if expected.is_empty() {
            assert_eq!(reply.status, if route == 0 { 200 } else { 204 }, "{reply:?}");
        } else {
            assert_eq!(reply.status, 400, "{reply:?}");
            let json = reply.json();
            let details = if route == 0 { &json["status"]["details"] } else { &json["details"] };
            assert_eq!(details, &serde_json::Value::Array(expected), "{reply:?}");
            assert_eq!(line_counts(&reply), counts.map(Some), "{reply:?}");
        }
        if !allowed.is_empty() {
            let reply = self.some.ask("POST", "/events", &[ALL], allowed.as_bytes()).await;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        self.asked.insert(("POST".to_owned(), path(target)));
    }

    /// Changes a story by the limited token.
    async fn change_limited(&mut self, number: usize, change: &Change) {
        let story = story(number);
        let target = format!("/stories/{story}");
        match change {
            Change::Events(_) => {}
            Change::Delete => {
                self.compare("DELETE", &target).await;
            }
            Change::Undo(range) => {
                self.compare("DELETE", &format!("{target}/counts?{range}")).await;
            }
            Change::Put(body) => {
                let limited = self.all.ask("PUT", &target, &[SOME], body.as_bytes()).await;
                if self.visible.contains(&story) {
                    let expected = self.some.ask("PUT", &target, &[ALL], body.as_bytes()).await;
                    assert_eq!(seen(&limited), seen(&expected), "PUT {target}");
                } else {
                    assert_eq!(limited.status, 403, "{limited:?}");
                    assert_eq!(limited.message(), format!("this token may not write to story {story}"));
                }
                self.asked.insert(("PUT".to_owned(), target));
            }
        }
    }

    /// All that is told of the stories that the limited token may not know of.
    async fn others(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for story in (0..=STORIES).map(story).filter(|story| !self.visible.contains(story)) {
            for target in [
                format!("/stories/{story}"),
                format!("/reports/conversations.average?from=2018-1-1&storyId={story}"),
                format!("/reports/interactions.popularity?from=2018-1-1&storyId={story}"),
            ] {
                told.push(self.all.ask("GET", &target, &[ALL], b"").await.body);
            }
        }
        told
    }

    /// Every route of the list must have been asked, so that a new one is not forgotten here.
    async fn check_routes(&mut self) {
        let listing = self.all.ask("GET", "/", &[], b"").await.body;
        let mut routes = 0;
        for line in listing.lines() {
            let mut words = line.split_whitespace();
            let (Some(method), Some(path)) = (words.next(), words.next()) else { continue };
            if !path.starts_with('/') {
                continue;
            }
            let stem = path.split('{').next().unwrap();
            let is_asked = |(by, at): &(String, String)| {
                by == method && if stem == path { at == path } else { at.starts_with(stem) }
            };
            assert!(self.asked.iter().any(is_asked), "nothing asked {method} {path}");
            routes += 1;
        }
        assert!(routes >= 16, "{listing}");
    }
}

fn cases() -> u32 {
    let scale = std::env::var("TALLYD_TEST_SCALE").map_or(1, |scale| scale.parse().unwrap());
    24 * scale
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limited_token_is_answered_as_where_there_are_no_other_stories(
        visible in prop::collection::btree_set(0..=STORIES, 1..STORIES),
        history in prop::collection::vec((0..STORIES, change()), 10..40),
        own_lines in prop::collection::vec((0..=STORIES, event()), 1..12),
        own_changes in prop::collection::vec((0..=STORIES, change()), 4..12),
        queries in prop::collection::vec(query(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::new(visible.into_iter().map(story).collect()).await;
            for (number, change) in &history {
                pair.apply(&story(*number), change).await;
            }
            pair.compare_all(&queries).await;
            let before = pair.others().await;
            let lines: Vec<_> = own_lines.into_iter().map(|(number, line)| (story(number), line)).collect();
            for route in 0..3 {
                pair.write_limited(route, &lines).await;
            }
            for (number, change) in &own_changes {
                pair.change_limited(*number, change).await;
            }
            for change in [Change::Put("{}".to_owned()), Change::Undo(RANGES[0]), Change::Delete] {
                pair.change_limited(0, &change).await;
            }
            pair.compare_all(&queries).await;
            pair.check_routes().await;
            let after = pair.others().await;
            prop_assert_eq!(before, after, "what the limited token did has touched another story");
            drop(pair.ports);
            Ok(())
        })?;
    }
}

/// An answer that would be too large with all stories is not with those of the token.
#[tokio::test]
async fn sizes_of_answers_are_those_of_the_stories_of_the_token() {
    let port = guarded(&[story(1)], &[]).await;
    for number in 1..=25 {
        let reply = port.ask("PUT", &format!("/stories/{}", story(number)), &[ALL], b"{}").await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let target = "/reports/conversations?from=2008-1-1&dimension=hour&group=storyId";
    let refused = port.ask("HEAD", target, &[ALL], b"").await;
    assert_eq!(refused.status, 400);
    let reply = port.ask("HEAD", target, &[SOME], b"").await;
    assert_eq!(reply.status, 200);
}

fn line(story: &str) -> String {
    LINE.replace(STORY, story)
}

async fn keyed(port: &Port, token: &str, key: &str, body: &str) -> Reply {
    port.ask("POST", "/events", &[token, &format!("idempotency-key: {key}")], body.as_bytes()).await
}

#[tokio::test]
async fn keys_of_limited_tokens_tell_nothing_of_what_others_sent() {
    let port = guarded(&[story(1)], &[story(2)]).await;
    let both = line(&story(1)) + &line(&story(2));
    let first = keyed(&port, ALL, "one", &both).await;
    assert_eq!((first.status, first.body.as_str()), (200, "{\"accepted\":2,\"rejected\":0}"));
    // The same batch under the same key is another one of a token that may not write all of it.
    for (token, place, other) in [(SOME, 2, story(2)), (OTHERS, 1, story(1))] {
        let reply = keyed(&port, token, "one", &both).await;
        assert_eq!((reply.status, reply.header("idempotency-replayed")), (400, None), "{reply:?}");
        let detail = &reply.json()["status"]["details"][0];
        assert_eq!(detail["line"], place, "{reply:?}");
        assert_eq!(detail["message"], format!("this token may not write to story {other}"));
        // Its own is repeated.
        let again = keyed(&port, token, "one", &both).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (400, Some("true")), "{again:?}");
        assert_eq!(again.body, reply.body);
        // Another body under its own key is a conflict, under one of another's it is not.
        assert_eq!(keyed(&port, token, "one", LINE).await.status, 422);
    }
    assert_eq!(keyed(&port, ALL, "two", &line(&story(3))).await.status, 200);
    assert_eq!(keyed(&port, SOME, "two", &line(&story(1))).await.status, 200);
    let total = port.ask("GET", "/reports/conversations?period=today", &[ALL], b"").await.json();
    // Two of the first, one of each limited token, the last two.
    assert_eq!(total["summary"]["total"], 6);
}

#[tokio::test]
async fn json_in_every_layout_is_limited_too() {
    let port = guarded(&[story(1)], &[]).await;
    let event = |number: usize| {
        format!(
            "{{\"event\":\"message\",\"storyId\":\"{}\",\"source\":\"app\",\"storyName\":\"x\"}}",
            story(number)
        )
    };
    for (body, accepted, rejected) in [
        (event(2), 0, 1),
        (event(1), 1, 0),
        (format!("{}\n{}\n{}\n", event(1), event(2), event(1)), 2, 1),
        (format!("[{},\n{},{}]", event(2), event(1), event(3)), 1, 2),
    ] {
        let reply = port.ask("POST", "/events", &[SOME], body.as_bytes()).await;
        assert_eq!(line_counts(&reply), [Some(accepted), Some(rejected)], "{reply:?}");
    }
    let list = port.ask("GET", "/stories", &[ALL], b"").await.json();
    assert_eq!(list["stories"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["stories"][0]["messages"], 4);
}
