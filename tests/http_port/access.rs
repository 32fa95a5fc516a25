//! Who gets in, and what comes before that question.

use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, STORY};

const READ: &str = "tally_read_0123456789";
const WRITE: &str = "tally_write_0123456789";

async fn guarded() -> Port {
    let auth = Auth::from_env_text(&format!("board:read:{READ} bots:write:{WRITE}")).unwrap();
    Port::with(auth, Limits::default()).await
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405_before_any_token() {
    let port = guarded().await;
    for target in ["/settings", "/reports/nonsense", "/api/v2/query", "/stories/"] {
        let reply = port.get(target).await;
        assert_eq!((reply.status, &reply.json()["status"]["code"]), (404, &404.into()), "{target}");
    }
    for (method, target, allow) in [
        ("GET", "/events", "POST"),
        ("GET", "/write", "POST"),
        ("POST", "/reports/conversations", "GET, HEAD"),
        ("PATCH", "/stories/x", "GET, HEAD, PUT, DELETE"),
        ("OPTIONS", "/query", "GET, HEAD, POST"),
    ] {
        let reply = port.ask(method, target, &[], b"").await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {target}");
    }
}

#[tokio::test]
async fn probes_need_no_token_and_everything_else_does() {
    let port = guarded().await;
    for target in ["/", "/ping", "/health", "/ready"] {
        assert!(port.get(target).await.status < 300, "{target}");
    }
    let story = format!("/stories/{STORY}");
    for (method, target) in [
        ("GET", "/metrics"),
        ("GET", "/reports/conversations"),
        ("GET", "/stories"),
        ("GET", "/query?q=show%20databases"),
        ("PUT", story.as_str()),
        ("DELETE", story.as_str()),
        ("POST", "/backup"),
        ("GET", "/cluster/snapshot"),
        ("POST", "/events"),
        ("POST", "/write"),
        ("POST", "/api/v2/write"),
    ] {
        let reply = port.ask(method, target, &[], b"").await;
        assert_eq!(reply.status, 401, "{method} {target}: {reply:?}");
        assert!(reply.header("www-authenticate").is_some(), "{method} {target}");
        let reply = port.ask(method, target, &["authorization: Bearer tally_wrong"], b"").await;
        assert_eq!(reply.status, 401, "{method} {target}: {reply:?}");
    }
}

#[tokio::test]
async fn scopes_are_kept_apart() {
    let port = guarded().await;
    let bearer = |token| format!("authorization: Bearer {token}");
    for (token, method, target, status) in [
        (READ, "GET", "/reports/conversations", 200),
        (READ, "GET", "/stories", 200),
        (READ, "GET", "/metrics", 200),
        (READ, "POST", "/events", 403),
        (READ, "PUT", "/stories/x", 403),
        (READ, "GET", "/query?q=show%20databases", 200),
        (WRITE, "GET", "/reports/conversations", 403),
        (WRITE, "GET", "/query?q=show%20databases", 200),
        (WRITE, "POST", "/events", 200),
        (WRITE, "PUT", "/stories/x", 400),
        (READ, "POST", "/backup", 403),
        (READ, "GET", "/cluster/snapshot", 403),
        (WRITE, "POST", "/backup", 403),
    ] {
        let reply = port.ask(method, target, &[&bearer(token)], b"").await;
        assert_eq!(reply.status, status, "{token} {method} {target}: {reply:?}");
    }
}

#[tokio::test]
async fn influx_clients_may_show_their_token_in_their_ways() {
    use base64::Engine as _;
    let port = guarded().await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("any:{WRITE}"));
    let in_query = format!("/write?u=any&p={WRITE}");
    for (target, header, status) in [
        ("/api/v2/write", format!("Authorization: Token {WRITE}"), 204),
        ("/api/v2/write", format!("authorization: Bearer {WRITE}"), 204),
        ("/write", format!("authorization: Basic {basic}"), 204),
        (in_query.as_str(), "x-none: 1".to_owned(), 204),
        ("/events", format!("authorization: Token {WRITE}"), 401),
        ("/events", format!("authorization: Basic {basic}"), 401),
    ] {
        let reply = port.ask("POST", target, &[&header], LINE.as_bytes()).await;
        assert_eq!(reply.status, status, "{target} {header}: {reply:?}");
        assert!(!reply.body.contains(WRITE));
    }
    let v2 = port.post("/api/v2/write", LINE).await;
    assert_eq!((v2.status, &v2.json()["code"]), (401, &"unauthorized".into()));
    assert!(port.post("/write", LINE).await.json()["error"].is_string());
}

/// What a request to that host is answered.
async fn to_host(port: &Port, method: &str, target: &str, host: &str) -> u16 {
    let mut client = port.client().await;
    client.send(format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
    let reply = client.reply(false).await;
    if reply.status == 421 {
        assert!(reply.body.contains("only requests to `localhost` or to an IP address"), "{reply:?}");
    }
    reply.status
}

#[tokio::test]
async fn without_tokens_a_name_that_somebody_owns_is_421_whatever_is_asked() {
    let (open, guarded) = (Port::open().await, guarded().await);
    let mut routes = open.routes().await;
    routes.extend(
        [("GET", "/nothing"), ("PATCH", "/events"), ("OPTIONS", "/stories")]
            .map(|(m, p)| (m.into(), p.into())),
    );
    for (method, path) in &routes {
        let is_open_to_all = matches!(path.as_str(), "/ping" | "/health");
        for host in ["evil.example", "evil.example:8780", "localhost.evil.example"] {
            let is_refused = to_host(&open, method, path, host).await == 421;
            assert_eq!(is_refused, !is_open_to_all, "{method} {path} {host}");
            assert_ne!(to_host(&guarded, method, path, host).await, 421, "{method} {path} {host}");
        }
        for host in ["localhost", "localhost:8780", "127.0.0.1:8780", "[::1]:8780"] {
            assert_ne!(to_host(&open, method, path, host).await, 421, "{method} {path} {host}");
        }
    }
    // The target wins over the header.
    assert_eq!(to_host(&open, "GET", "http://evil.example/stories", "localhost").await, 421);
    assert_eq!(to_host(&open, "GET", "http://127.0.0.1:8780/stories", "evil.example").await, 200);
}
