//! The one table of routes. To add a route, add a row to [`ROUTES`]; a new [`Endpoint`] also needs its arm in `service`.
//! `GET /`, `Allow`, the scopes, the bounds of bodies and the README's table all come from here. Pure.
//! INVARIANT: a path is known or not whoever asks, so that 404 comes before any question of access.

use std::borrow::Cow;
use std::fmt::Write as _;

use hyper::Method;

use crate::limits::{
    BACKUP_STANDS_BYTES_MAX, BODY_BYTES_MAX, BODY_INLINE_BYTES_MAX, STATEMENTS_BYTES_MAX, UPSERT_BYTES_MAX,
    UPSERT_INLINE_BYTES_MAX,
};
use crate::net::auth::Scope;
use crate::page;
use crate::report::ReportName;

/// Whose shape of errors a route speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    Own,
    InfluxV1,
    InfluxV2,
}

/// What handles the requests of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    /// The page or the list, by what is accepted.
    Root,
    PageFile,
    OpenApi,
    ApiPage,
    WriteEvents,
    Report,
    StreamReport,
    ListStories,
    ShowStory,
    PutStory,
    DeleteStory,
    UndoCounts,
    Backup,
    Cluster,
    ClusterSnapshot,
    Health,
    Ready,
    Metrics,
    Ping,
    Statements,
    StatementsInBody,
}

/// What a token that is limited to some stories gets of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LimitedTokens {
    /// What concerns its stories, as if there were no others.
    ItsStories,
    /// `403`: it is about all stories together.
    Refused,
    /// The same as everybody: no story is in it.
    Same,
}

/// Bounds of the body that a route takes, in bytes. Of the other routes no byte is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BodyLimits {
    /// Longest body, after decompression.
    pub(super) bytes_max: usize,
    /// Longest body that is parsed in the connection's task; a worker thread parses a longer one.
    pub(super) inline_bytes_max: usize,
}

const NO_BODY: BodyLimits = BodyLimits { bytes_max: 0, inline_bytes_max: 0 };
const EVENTS: BodyLimits = BodyLimits { bytes_max: BODY_BYTES_MAX, inline_bytes_max: BODY_INLINE_BYTES_MAX };
const UPSERT: BodyLimits =
    BodyLimits { bytes_max: UPSERT_BYTES_MAX, inline_bytes_max: UPSERT_INLINE_BYTES_MAX };
const BACKUP: BodyLimits =
    BodyLimits { bytes_max: BACKUP_STANDS_BYTES_MAX, inline_bytes_max: BACKUP_STANDS_BYTES_MAX };
const STATEMENTS: BodyLimits =
    BodyLimits { bytes_max: STATEMENTS_BYTES_MAX, inline_bytes_max: STATEMENTS_BYTES_MAX };

const OPEN: &[Scope] = &[];
const READ: &[Scope] = &[Scope::Read];
const WRITE: &[Scope] = &[Scope::Write];
const ADMIN: &[Scope] = &[Scope::Admin];
/// Clients that only write make sure of their database first.
const EITHER: &[Scope] = &[Scope::Write, Scope::Read];

/// A row of the table.
#[derive(Debug)]
pub(super) struct Route {
    /// `HEAD` is a `GET` whose body hyper leaves out.
    pub(super) method: &'static str,
    /// The path, up to the segment where it has one.
    path: &'static str,
    /// The name of the last segment, where that is the client's to choose.
    segment: Option<&'static str>,
    /// What follows the segment.
    suffix: &'static str,
    pub(super) endpoint: Endpoint,
    pub(super) dialect: Dialect,
    /// A token needs one of these scopes; none for what everybody may see.
    pub(super) scopes: &'static [Scope],
    pub(super) limited_tokens: LimitedTokens,
    pub(super) body: BodyLimits,
    /// What it is, for the listing and the README.
    pub(super) words: &'static str,
}

pub(super) static ROUTES: [Route; 25] = [
    row("POST", "/events", Endpoint::WriteEvents, (WRITE, LimitedTokens::ItsStories))
        .body(EVENTS)
        .words("events as line protocol, NDJSON or a JSON document, told apart by content; ?precision="),
    row("POST", "/api/v2/write", Endpoint::WriteEvents, (WRITE, LimitedTokens::ItsStories))
        .body(EVENTS)
        .dialect(Dialect::InfluxV2)
        .words("the same for InfluxDB 2 clients: 204; ?precision=; org and bucket are ignored"),
    row("POST", "/write", Endpoint::WriteEvents, (WRITE, LimitedTokens::ItsStories))
        .body(EVENTS)
        .dialect(Dialect::InfluxV1)
        .words("the same for InfluxDB 1 clients: 204; ?precision=&u=&p=; db and rp are ignored"),
    row("GET", "/reports/", Endpoint::Report, (READ, LimitedTokens::ItsStories))
        .segment("name")
        .words("a report"),
    row("GET", "/v2/reports/", Endpoint::Report, (READ, LimitedTokens::ItsStories))
        .segment("name")
        .words("the same"),
    row("GET", "/reports/", Endpoint::StreamReport, (READ, LimitedTokens::ItsStories))
        .segment("name")
        .suffix("/stream")
        .words("a report and its changes, as server-sent events; ?duration="),
    row("GET", "/v2/reports/", Endpoint::StreamReport, (READ, LimitedTokens::ItsStories))
        .segment("name")
        .suffix("/stream")
        .words("the same"),
    row("GET", "/stories", Endpoint::ListStories, (READ, LimitedTokens::ItsStories))
        .words("the stories, most recently active first; ?limit=&cursor=&search="),
    row("GET", "/stories/", Endpoint::ShowStory, (READ, LimitedTokens::ItsStories))
        .segment("storyId")
        .words("one story, as in the list"),
    row("PUT", "/stories/", Endpoint::PutStory, (WRITE, LimitedTokens::ItsStories))
        .segment("storyId")
        .body(UPSERT)
        .words("makes a story and its interactions known"),
    row("DELETE", "/stories/", Endpoint::DeleteStory, (WRITE, LimitedTokens::ItsStories))
        .segment("storyId")
        .words("removes a story and its counters: 204"),
    row("DELETE", "/stories/", Endpoint::UndoCounts, (WRITE, LimitedTokens::ItsStories))
        .segment("storyId")
        .suffix("/counts")
        .words(
            "takes away what was counted for a story in a range of hours; ?from=&to=&source=&metric=&dry_run=true only says what",
        ),
    row("POST", "/backup", Endpoint::Backup, (ADMIN, LimitedTokens::Refused))
        .body(BACKUP)
        .words("a copy of the data directory, as a tar archive without the files that the body lists"),
    row("GET", "/cluster", Endpoint::Cluster, (READ, LimitedTokens::Refused))
        .words("how far this node has read the log that it shares with others, and what it made of it"),
    row("GET", "/cluster/snapshot", Endpoint::ClusterSnapshot, (ADMIN, LimitedTokens::Refused))
        .words("what a new node begins with, as a tar archive: the data directory up to a place in the log"),
    row("GET", "/health", Endpoint::Health, (OPEN, LimitedTokens::Same))
        .words("whether ingest, snapshots and reports work"),
    row("GET", "/ready", Endpoint::Ready, (OPEN, LimitedTokens::Same))
        .words("whether requests are answered, and since when"),
    row("GET", "/metrics", Endpoint::Metrics, (READ, LimitedTokens::Refused)).words("Prometheus text"),
    row("GET", "/ping", Endpoint::Ping, (OPEN, LimitedTokens::Same))
        .dialect(Dialect::InfluxV1)
        .words("204, for InfluxDB clients"),
    row("GET", "/query", Endpoint::Statements, (EITHER, LimitedTokens::Same))
        .dialect(Dialect::InfluxV1)
        .words("SHOW DATABASES and CREATE DATABASE for InfluxDB 1 clients, no other statement; ?q="),
    row("POST", "/query", Endpoint::StatementsInBody, (EITHER, LimitedTokens::Same))
        .dialect(Dialect::InfluxV1)
        .body(STATEMENTS)
        .words("the same, with q in the query or in a form"),
    row("GET", "/openapi.json", Endpoint::OpenApi, (OPEN, LimitedTokens::Same))
        .words("all of this for tools, as OpenAPI 3.1"),
    row("GET", "/api", Endpoint::ApiPage, (OPEN, LimitedTokens::Same)).words("the same for people, as HTML"),
    row("GET", "/", Endpoint::Root, (OPEN, LimitedTokens::Same))
        .words("the page for browsers; else this list, as text"),
    row("GET", page::FILES_PATH, Endpoint::PageFile, (OPEN, LimitedTokens::Same))
        .segment("file")
        .words("the files of the page, at a path that changes with them"),
];

const fn row(
    method: &'static str,
    path: &'static str,
    endpoint: Endpoint,
    (scopes, limited_tokens): (&'static [Scope], LimitedTokens),
) -> Route {
    let (segment, suffix, dialect, body, words) = (None, "", Dialect::Own, NO_BODY, "");
    Route { method, path, segment, suffix, endpoint, dialect, scopes, limited_tokens, body, words }
}

impl Route {
    const fn segment(self, name: &'static str) -> Self {
        Self { segment: Some(name), ..self }
    }

    const fn suffix(self, suffix: &'static str) -> Self {
        Self { suffix, ..self }
    }

    const fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    const fn body(self, body: BodyLimits) -> Self {
        Self { body, ..self }
    }

    const fn words(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    /// The segment that the client chose, or nothing; `None` if the path is another one.
    fn matched<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path)?.strip_suffix(self.suffix)?;
        let is_match = match (self.segment, self.endpoint) {
            (None, _) => rest.is_empty(),
            (Some(_), Endpoint::Report | Endpoint::StreamReport) => ReportName::parse(rest).is_some(),
            (Some(_), Endpoint::PageFile) => page::file(rest).is_some(),
            (Some(_), _) => !rest.is_empty() && !rest.contains('/'),
        };
        is_match.then_some(rest)
    }

    fn takes(&self, method: &Method) -> bool {
        self.method == method.as_str() || (self.method == "GET" && method == Method::HEAD)
    }

    /// Whether it waits for the store.
    pub(super) fn is_write(&self) -> bool {
        matches!(
            self.endpoint,
            Endpoint::WriteEvents
                | Endpoint::PutStory
                | Endpoint::DeleteStory
                | Endpoint::UndoCounts
                | Endpoint::Backup
                | Endpoint::ClusterSnapshot
        )
    }

    /// Whether it is answered to whatever name it is sent, also without tokens: it tells nothing.
    pub(super) fn answers_any_host(&self) -> bool {
        matches!(self.endpoint, Endpoint::Health | Endpoint::Ping)
    }

    /// Whether the segment of its path is the name of a report.
    pub(super) fn is_about_report(&self) -> bool {
        matches!(self.endpoint, Endpoint::Report | Endpoint::StreamReport)
    }

    /// Whether it is answered from the counters or the catalogue.
    pub(super) fn is_about_counters(&self) -> bool {
        matches!(
            self.endpoint,
            Endpoint::Report | Endpoint::StreamReport | Endpoint::ListStories | Endpoint::ShowStory
        )
    }

    /// Whether its answer has no end of its own.
    pub(super) fn is_stream(&self) -> bool {
        self.endpoint == Endpoint::StreamReport
    }

    /// Whether it takes no time, whatever is asked.
    fn is_quick(&self) -> bool {
        matches!(self.endpoint, Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::Ping)
    }

    /// Whether its answers have tags, by which clients ask whether the one that they have still holds.
    pub(super) fn has_tags(&self) -> bool {
        matches!(
            self.endpoint,
            Endpoint::Report | Endpoint::ListStories | Endpoint::ShowStory | Endpoint::OpenApi
        )
    }

    /// Method and path as people write them.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.method, self.path_of(None))
    }

    /// The path, with the name of a report for its segment, or with the segment's own name.
    pub(super) fn path_of(&self, report: Option<ReportName>) -> String {
        let name = || self.segment.map(|name| format!("{{{name}}}")).unwrap_or_default();
        let segment = report.map_or_else(name, |report| report.as_str().to_owned());
        format!("{}{segment}{}", self.path, self.suffix)
    }
}

/// The route for a request's method and path.
#[derive(Debug)]
pub(super) enum RouteMatch<'p> {
    /// A route, and the segment that the client chose.
    Route(&'static Route, &'p str),
    /// A known path, one of its routes, and the methods that it takes, as `Allow` has them.
    OtherMethods(&'static Route, String),
    NoRoute,
}

/// Looks a request up.
pub(super) fn find<'p>(method: &Method, path: &'p str) -> RouteMatch<'p> {
    let mut others: Option<&'static Route> = None;
    for route in &ROUTES {
        match route.matched(path) {
            Some(segment) if route.takes(method) => return RouteMatch::Route(route, segment),
            Some(_) => others = others.or(Some(route)),
            None => {}
        }
    }
    let Some(route) = others else { return RouteMatch::NoRoute };
    let of_path = ROUTES.iter().filter(|route| route.matched(path).is_some());
    let methods = of_path.map(|route| match route.method {
        "GET" => "GET, HEAD",
        other => other,
    });
    RouteMatch::OtherMethods(route, methods.collect::<Vec<_>>().join(", "))
}

/// A path with the characters that it spells by percent signs. One with a `/` spelled so is left as it is: decoded it would be
/// another path.
pub(super) fn decoded(path: &str) -> Cow<'_, str> {
    let has_slash = || path.as_bytes().windows(3).any(|bytes| bytes.eq_ignore_ascii_case(b"%2f"));
    if !path.contains('%') || has_slash() {
        return Cow::Borrowed(path);
    }
    percent_encoding::percent_decode_str(path).decode_utf8().unwrap_or(Cow::Borrowed(path))
}

/// The length of the head that the bytes begin with, where it is the whole of a request that takes no time.
pub(super) fn quick_head(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let mut lines = bytes.get(..end)?.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.split(|byte| matches!(byte, b' ' | b'?'));
    let (method, path) = (words.next()?, words.next()?);
    let method = Method::from_bytes(method).ok()?;
    let takes_no_time = match find(&method, std::str::from_utf8(path).ok()?) {
        RouteMatch::Route(route, _) => route.is_quick(),
        // What a path takes is known without asking anything.
        RouteMatch::OtherMethods(..) => method == Method::OPTIONS,
        RouteMatch::NoRoute => false,
    };
    let announces_body = |line: &[u8]| {
        let begins =
            |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        begins(b"content-length") || begins(b"transfer-encoding")
    };
    (takes_no_time && !lines.any(announces_body)).then(|| end.saturating_add(4))
}

/// What `GET /` says.
pub(super) fn listing() -> String {
    let mut text = "tallyd counts what chat bots do.\n\n".to_owned();
    for route in &ROUTES {
        let title = route.title();
        // Writing to a string cannot fail.
        if writeln!(text, "{title:<30} {}", route.words).is_err() {}
    }
    let reports = ReportName::ALL.map(ReportName::as_str).join(", ");
    text + "\nreports: " + &reports + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, path: &str, expected: Option<Endpoint>) {
        let found = match find(method, path) {
            RouteMatch::Route(route, _) => Some(route.endpoint),
            RouteMatch::OtherMethods(..) | RouteMatch::NoRoute => None,
        };
        assert_eq!(found, expected, "{method} {path}");
    }

    #[test]
    fn find_knows_the_paths_and_no_others() {
        for (path, expected) in [
            ("/", Some(Endpoint::Root)),
            ("/page/", None),
            ("/page/app.js", None),
            ("/page/0123456789ab/app.js", None),
            ("/ping", Some(Endpoint::Ping)),
            ("/query", Some(Endpoint::Statements)),
            ("/health", Some(Endpoint::Health)),
            ("/stories", Some(Endpoint::ListStories)),
            ("/stories/5b07", Some(Endpoint::ShowStory)),
            ("/reports/conversations.paid", Some(Endpoint::Report)),
            ("/v2/reports/conversations.paid", Some(Endpoint::Report)),
            ("/reports/conversations.paid/stream", Some(Endpoint::StreamReport)),
            ("/v2/reports/busiest-period/stream", Some(Endpoint::StreamReport)),
            ("/reports/stream", None),
            ("/reports//stream", None),
            ("/reports/nonsense/stream", None),
            ("/reports/conversations/stream/", None),
            ("/reports/conversations/x", None),
            ("/settings", None),
            ("/events/", None),
            ("/stories/", None),
            ("/stories/a/b", None),
            ("/api/v2", None),
            ("/api/v2/write/x", None),
            ("//events", None),
            ("/reports", None),
            ("*", None),
            ("", None),
        ] {
            check(&Method::GET, path, expected);
            check(&Method::HEAD, path, expected);
        }
        check(&Method::GET, &format!("/page/{}/app.js", page::tag()), Some(Endpoint::PageFile));
        check(&Method::GET, &format!("/page/{}/other.js", page::tag()), None);
        for path in ["/events", "/write", "/api/v2/write"] {
            check(&Method::POST, path, Some(Endpoint::WriteEvents));
            check(&Method::GET, path, None);
        }
        check(&Method::PUT, "/stories/x", Some(Endpoint::PutStory));
        check(&Method::DELETE, "/stories/x", Some(Endpoint::DeleteStory));
        check(&Method::DELETE, "/stories/x/counts", Some(Endpoint::UndoCounts));
        check(&Method::DELETE, "/stories//counts", None);
    }

    #[test]
    fn paths_are_known_however_they_are_spelled() {
        for (path, expected) in [
            ("/reports/conversations%2Epaid", Some(Endpoint::Report)),
            ("/reports/conversations%2epaid", Some(Endpoint::Report)),
            ("/%76%32/reports/busiest%2Dperiod", Some(Endpoint::Report)),
            ("/stories/%35b07", Some(Endpoint::ShowStory)),
            ("/%6dealth", None),
            ("/%68ealth", Some(Endpoint::Health)),
            ("/reports%2Fconversations", None),
            ("/reports/%2e%2e%2Fstories", None),
            ("/reports/conversations%252Epaid", None),
            ("/reports/conversations%", None),
            ("/reports/conversations%00", None),
            ("/reports/%ff", None),
        ] {
            check(&Method::GET, &decoded(path), expected);
        }
    }

    #[test]
    fn find_names_the_methods_of_a_known_path() {
        for (path, expected) in [
            ("/events", "POST"),
            ("/stories/x", "GET, HEAD, PUT, DELETE"),
            ("/query", "GET, HEAD, POST"),
            ("/reports/conversations", "GET, HEAD"),
        ] {
            let found = find(&Method::PATCH, path);
            assert!(
                matches!(&found, RouteMatch::OtherMethods(_, allow) if allow == expected),
                "{path}: {found:?}"
            );
        }
        assert!(matches!(find(&Method::PATCH, "/reports/nonsense"), RouteMatch::NoRoute));
    }

    /// The rows of the README's table.
    fn readme_row(route: &Route) -> String {
        let scopes: Vec<_> = route.scopes.iter().map(|scope| scope.as_str()).collect();
        let scopes = if scopes.is_empty() { "–".to_owned() } else { scopes.join(" or ") };
        let body = match route.body.bytes_max {
            0 => "–".to_owned(),
            bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
            bytes => format!("{} KiB", bytes >> 10),
        };
        let limited = match route.limited_tokens {
            LimitedTokens::ItsStories => "its stories",
            LimitedTokens::Refused => "403",
            LimitedTokens::Same => "the same",
        };
        format!("| `{}` | {} | {scopes} | {limited} | {body} |", route.title(), route.words)
    }

    #[test]
    fn a_route_that_anybody_may_ask_is_about_no_story() {
        for route in ROUTES.iter().filter(|route| route.scopes.is_empty()) {
            assert_eq!(route.limited_tokens, LimitedTokens::Same, "{}", route.title());
        }
    }

    #[test]
    fn readme_has_the_table_as_it_is() {
        let readme = include_str!("../../../README.md");
        let expected: Vec<String> = ROUTES.iter().map(readme_row).collect();
        assert!(readme.contains(&expected.join("\n")), "README.md must have:\n{}", expected.join("\n"));
        for route in &ROUTES {
            assert!(listing().contains(&route.title()) && !route.words.is_empty());
        }
    }
}
