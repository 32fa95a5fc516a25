//! Pages of other origins: what their browsers are told, over every route of the list.

use tallyd::net::auth::Auth;

use crate::support::{LINE, Port, Reply};

const BOARD: &str = "https://board.example.org";
const ORIGINS: &str = "https://board.example.org,http://localhost:3000";
const TOKEN: &str = "tally_0123456789abcdef";

async fn guarded() -> Port {
    let auth = Auth::from_env_text(&format!("all:admin:{TOKEN}")).unwrap();
    Port::for_pages(auth, ORIGINS).await
}

fn list(value: Option<&str>) -> Vec<String> {
    value.unwrap_or_default().split(", ").map(str::to_owned).collect()
}

/// The names of the headers that are about other origins.
fn cross_origin_headers(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[track_caller]
fn assert_marked(reply: &Reply, origin: &str, what: &str) {
    assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{what}: {reply:?}");
    assert!(reply.varies_by("origin"), "{what}: {reply:?}");
    assert_eq!(reply.header("access-control-allow-credentials"), None, "{what}: {reply:?}");
    let wild = cross_origin_headers(reply).into_iter().find(|name| reply.header(name).unwrap().contains('*'));
    assert_eq!(wild, None, "{what}: {reply:?}");
}

#[tokio::test]
async fn a_preflight_of_every_route_says_what_its_path_takes_and_needs_no_token() {
    let port = guarded().await;
    let routes = port.routes().await;
    for (method, path) in &routes {
        let asked = format!("access-control-request-method: {method}");
        let headers = ["access-control-request-headers: authorization", asked.as_str()];
        for origin in [BOARD, "http://localhost:3000"] {
            let from = format!("origin: {origin}");
            let reply = port.ask("OPTIONS", path, &[&from, headers[0], headers[1]], b"").await;
            assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{method} {path}: {reply:?}");
            assert_marked(&reply, origin, path);
            let mut allowed = list(reply.header("access-control-allow-methods"));
            let mut expected: Vec<String> =
                routes.iter().filter(|(_, other)| other == path).map(|(method, _)| method.clone()).collect();
            if expected.iter().any(|method| method == "GET") {
                expected.push("HEAD".to_owned());
            }
            allowed.sort();
            expected.sort();
            assert_eq!(allowed, expected, "{path}");
            let taken = list(reply.header("access-control-allow-headers"));
            for header in ["authorization", "content-type", "content-encoding", "idempotency-key"] {
                assert!(taken.iter().any(|taken| taken == header), "{header}: {reply:?}");
            }
            assert_eq!(reply.header("access-control-max-age"), Some("7200"), "{path}");
        }
        let from_other = ["origin: https://other.example", headers[0], headers[1]];
        let reply = port.ask("OPTIONS", path, &from_other, b"").await;
        assert_eq!((reply.status, cross_origin_headers(&reply)), (405, vec![]), "{path}: {reply:?}");
        assert!(reply.varies_by("origin"), "{reply:?}");
        // Not a preflight: an answer like any other.
        let reply = port.ask("OPTIONS", path, &[&format!("origin: {BOARD}")], b"").await;
        assert_eq!(reply.status, 405, "{path}: {reply:?}");
        assert_marked(&reply, BOARD, path);
    }
}

#[tokio::test]
async fn every_answer_and_every_error_is_marked_for_listed_origins_and_for_no_others() {
    let port = guarded().await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    let mut cases: Vec<(String, String, u16)> = vec![
        ("GET".to_owned(), "/nothing".to_owned(), 404),
        ("PATCH".to_owned(), "/stories".to_owned(), 405),
    ];
    for (method, path) in port.routes().await {
        // Those that do not match what they get, so that there are errors among the answers.
        let status = match (method.as_str(), path.as_str()) {
            ("GET", path) if path.starts_with("/stories/") || path.starts_with("/cluster") => 404,
            ("DELETE", _) => 404,
            ("GET" | "POST", "/query") | ("PUT", _) => 400,
            ("POST", "/events" | "/backup") | ("GET", _) if path != "/ping" => 200,
            _ => 204,
        };
        cases.push((method, path, status));
    }
    for (method, path, status) in &cases {
        let what = format!("{method} {path}");
        let from = format!("origin: {BOARD}");
        let reply = port.ask(method, path, &[&from, &bearer], b"").await;
        assert_eq!(reply.status, *status, "{what}: {reply:?}");
        assert_marked(&reply, BOARD, &what);
        let denied = port.ask(method, path, &[&from], b"").await;
        assert_marked(&denied, BOARD, &what);
        for from in ["origin: https://other.example", "x-none: 1"] {
            let other = port.ask(method, path, &[from, &bearer], b"").await;
            assert_eq!(other.status, *status, "{what}: {other:?}");
            assert_eq!(other.header("content-type"), reply.header("content-type"), "{what}: {other:?}");
            assert_eq!(cross_origin_headers(&other), Vec::<&str>::new(), "{what}: {other:?}");
            assert!(other.varies_by("origin"), "{what}: {other:?}");
        }
    }
    let denied = port.ask("GET", "/stories", &[&format!("origin: {BOARD}")], b"").await;
    assert_eq!(denied.status, 401);
}

#[tokio::test]
async fn an_origin_is_listed_to_the_letter_or_not_at_all() {
    let port = guarded().await;
    for headers in [
        &["origin: null"][..],
        &["origin: *"],
        &["origin:"],
        &["origin: HTTPS://BOARD.EXAMPLE.ORG"],
        &["origin: http://board.example.org"],
        &["origin: https://board.example.org:443"],
        &["origin: https://board.example.org/"],
        &["origin: https://board.example.org.evil.example"],
        &["origin: https://evil-board.example.org"],
        &["origin: https://board.example.org", "origin: https://board.example.org"],
        &["origin: https://board.example.org", "origin: https://evil.example"],
        &["origin: https://board.example.org, https://evil.example"],
    ] {
        for target in ["/health", "/stories", "/nothing"] {
            let reply = port.ask("GET", target, headers, b"").await;
            assert_eq!(cross_origin_headers(&reply), Vec::<&str>::new(), "{headers:?} {target}");
        }
    }
}

/// The status of what is asked with those headers.
async fn asked_with(port: &Port, method: &str, path: &str, headers: &[&str]) -> u16 {
    port.ask(method, path, headers, LINE.as_bytes()).await.status
}

#[tokio::test]
async fn without_tokens_only_listed_pages_and_those_of_its_own_address_may_write() {
    let open = Port::for_pages(Auth::default(), ORIGINS).await;
    let guarded = guarded().await;
    let listed = format!("origin: {BOARD}");
    let foreign = [
        &["origin: https://other.example"][..],
        &["origin: null"],
        &["origin:"],
        &["origin: localhost"],
        &["origin: http://localhost:3001"],
        &["origin: http://localhost:8780.other.example"],
        &["origin: https://board.example.org", "origin: https://other.example"],
    ];
    let mut writes = 0;
    for (method, path) in open.routes().await {
        let is_write = matches!(method.as_str(), "PUT" | "DELETE")
            || path.ends_with("/write")
            || ["/events", "/backup", "/cluster/snapshot"].contains(&path.as_str());
        writes += u64::from(is_write);
        for headers in foreign {
            let before = open.conversations().await;
            let is_refused = asked_with(&open, &method, &path, headers).await == 403;
            assert_eq!(is_refused, is_write, "{method} {path} {headers:?}");
            assert_eq!(open.conversations().await, before, "{method} {path} {headers:?}");
            // What a page wants with tokens is a question of its token.
            assert_ne!(
                asked_with(&guarded, &method, &path, headers).await,
                403,
                "{method} {path} {headers:?}"
            );
        }
        for headers in [&["origin: http://LocalHost"][..], &[&listed], &[]] {
            assert_ne!(asked_with(&open, &method, &path, headers).await, 403, "{method} {path} {headers:?}");
        }
    }
    assert_eq!(writes, 8);
    assert_eq!(asked_with(&open, "POST", "/events", &[&listed]).await, 200);
    assert_eq!(open.conversations().await, 1, "the last of the routes deleted the story");
}

#[tokio::test]
async fn where_no_origin_is_listed_answers_say_nothing_of_origins() {
    let port = Port::open().await;
    let headers = ["origin: https://board.example.org", "access-control-request-method: GET"];
    for (method, target, status) in
        [("OPTIONS", "/stories", 405), ("GET", "/stories", 200), ("GET", "/health", 200)]
    {
        let reply = port.ask(method, target, &headers, b"").await;
        assert_eq!(reply.status, status, "{method} {target}: {reply:?}");
        assert_eq!(cross_origin_headers(&reply), Vec::<&str>::new(), "{method} {target}");
        assert!(!reply.varies_by("origin"), "{method} {target}");
    }
}

#[tokio::test]
async fn a_page_may_read_every_header_that_says_something() {
    let mut port = guarded().await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    let from = format!("origin: {BOARD}");
    let keyed = [from.as_str(), &bearer, "idempotency-key: one"];
    let mut replies = vec![port.ask("GET", "/stories", &[&from], b"").await];
    for _ in 0..2 {
        replies.push(port.ask("POST", "/events", &keyed, LINE.as_bytes()).await);
    }
    assert_eq!(replies[2].header("idempotency-replayed"), Some("true"));
    for (method, target) in [("GET", "/ping"), ("PATCH", "/events"), ("POST", "/write")] {
        replies.push(port.ask(method, target, &[&from, &bearer], b"x").await);
    }
    port.store.take().unwrap().close(std::time::Duration::from_mins(1)).unwrap();
    replies.push(port.ask("POST", "/events", &[&from, &bearer], LINE.as_bytes()).await);
    assert!(replies.last().unwrap().header("retry-after").is_some(), "{replies:?}");
    // Those that need no leave, those that are about the connection, and those that bind the browser itself.
    let known = ["cache-control", "content-length", "content-type", "vary", "date", "connection"];
    let binding = ["x-content-type-options", "content-security-policy"];
    let known = [known.as_slice(), &binding].concat();
    for reply in &replies {
        let shown = list(reply.header("access-control-expose-headers"));
        for (name, _) in &reply.headers {
            let is_shown = known.contains(&name.as_str()) || shown.contains(name);
            assert!(is_shown || name.starts_with("access-control-"), "{name}: {reply:?}");
        }
    }
}
