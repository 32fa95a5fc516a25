//! Who guesses tokens over HTTP, and who does not.

use std::time::Duration;

use tallyd::net::auth::{Auth, Scope};
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, Reply};

const BOARD: &str = "board-horse-battery";
const BOTS: &str = "bots-horse-battery";

/// A port whose address of the tests has made its free guesses, and a token that was generated.
async fn guessed_at() -> (Port, String) {
    let (generated, _) = tallyd::net::auth::generate("machine", &[Scope::Admin], &[]).unwrap();
    let tokens = format!("board:read:{BOARD};bots:write:{BOTS};machine:admin:{generated}");
    let port = Port::with(Auth::from_env_text(&tokens).unwrap(), Limits::default()).await;
    assert_eq!(show(&port, "GET", "/stories", BOARD).await.status, 200);
    for number in 0..10 {
        let reply = show(&port, "GET", "/stories", &format!("guess-{number}")).await;
        assert_eq!(reply.status, 401, "{reply:?}");
    }
    (port, generated)
}

async fn show(port: &Port, method: &str, target: &str, token: &str) -> Reply {
    let body = if method == "POST" { LINE } else { "" };
    port.ask(method, target, &[&format!("authorization: Bearer {token}")], body.as_bytes()).await
}

#[tokio::test]
async fn a_guess_within_the_pause_is_429_and_says_when_to_come_back() {
    let (port, _) = guessed_at().await;
    for token in ["guess-10", BOTS] {
        for target in ["/stories", "/metrics", "/query?q=show%20databases", "/reports/conversations"] {
            let reply = show(&port, "GET", target, token).await;
            assert_eq!(reply.status, 429, "{target}: {reply:?}");
            assert_eq!(reply.header("retry-after"), Some("Sun, 17 Mar 2019 09:30:01 GMT"), "{target}");
            assert!(reply.body.contains("too many wrong tokens came from this address"), "{reply:?}");
            assert!(!reply.body.contains(token));
        }
    }
    port.clock.advance(Duration::from_secs(1));
    assert_eq!(show(&port, "GET", "/query?q=show%20databases", BOTS).await.status, 200);
    assert_eq!(show(&port, "GET", "/stories", "guess-10").await.status, 401);
    let reply = show(&port, "GET", "/stories", "guess-11").await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("Sun, 17 Mar 2019 09:30:03 GMT")));
}

#[tokio::test]
async fn the_routes_of_events_say_503_so_that_clients_keep_their_events() {
    let (port, generated) = guessed_at().await;
    for target in ["/events", "/write", "/api/v2/write"] {
        let reply = show(&port, "POST", target, BOTS).await;
        assert_eq!(reply.status, 503, "{target}: {reply:?}");
        assert_eq!(reply.header("retry-after"), Some("Sun, 17 Mar 2019 09:30:01 GMT"), "{target}");
    }
    let in_query = port.post(&format!("/write?u=x&p={BOTS}"), LINE).await;
    assert_eq!(in_query.status, 503, "{in_query:?}");
    let report = show(&port, "GET", "/reports/conversations?period=today", BOARD).await;
    assert_eq!(report.json()["summary"]["total"], 0);
    assert_eq!(show(&port, "POST", "/events", &generated).await.status, 200);
    port.clock.advance(Duration::from_secs(1));
    assert_eq!(show(&port, "POST", "/events", BOTS).await.status, 200);
}

#[tokio::test]
async fn others_of_the_address_go_on_with_their_good_tokens() {
    let (port, generated) = guessed_at().await;
    for number in 10..50 {
        assert_eq!(show(&port, "GET", "/stories", &format!("guess-{number}")).await.status, 429);
        assert_eq!(show(&port, "GET", "/stories", BOARD).await.status, 200);
        assert_eq!(show(&port, "GET", "/stories", &generated).await.status, 200);
        assert_eq!(show(&port, "GET", "/health", "guess").await.status, 200, "it is open");
        assert_eq!(show(&port, "GET", "/nothing", "guess").await.status, 404);
        assert_eq!(show(&port, "POST", "/events", BOARD).await.status, 403);
        assert_eq!(port.get("/stories").await.status, 401, "no token is no guess");
    }
    let metrics = show(&port, "GET", "/metrics", BOARD).await.body;
    for line in [
        r#"tallyd_auth_failures_total{listener="http",reason="unknown"} 10"#,
        r#"tallyd_auth_failures_total{listener="http",reason="back_off"} 40"#,
        r#"tallyd_auth_failures_total{listener="http",reason="missing"} 40"#,
        r#"tallyd_auth_failures_total{listener="http",reason="scope"} 40"#,
        r#"tallyd_http_responses_total{status="429"} 40"#,
        "tallyd_guessing_addresses 1",
        "tallyd_guessing_addresses_displaced_total 0",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "no line {line}");
    }
}
