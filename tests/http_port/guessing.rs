//! Who guesses tokens over HTTP, and who does not.

use std::time::Duration;

use tallyd::limits::{GUESSES_CHECKED_MAX, GUESSES_FREE};
use tallyd::net::auth::{Auth, Scope};
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, Reply};

const BOARD: &str = "board-horse-battery";
const BOTS: &str = "bots-horse-battery";

/// A port that has seen so many guesses from the address of the tests, and a token that was generated.
async fn guessed_at(guesses: u16) -> (Port, String) {
    let (generated, _) = tallyd::net::auth::generate("machine", &[Scope::Admin], &[]).unwrap();
    let tokens = format!("board:read:{BOARD};bots:write:{BOTS};machine:admin:{generated}");
    let port = Port::with(Auth::from_env_text(&tokens).unwrap(), Limits::default()).await;
    assert_eq!(show(&port, "GET", "/stories", BOARD).await.status, 200);
    let mut client = port.client().await;
    for number in 0..guesses {
        let token = format!("authorization: Bearer guess-{number}");
        let reply = client.ask("GET", "/stories", &[&token], b"").await;
        assert_eq!(reply.status, if number < GUESSES_FREE { 401 } else { 429 }, "{number}: {reply:?}");
    }
    (port, generated)
}

async fn show(port: &Port, method: &str, target: &str, token: &str) -> Reply {
    let body = if method == "POST" { LINE } else { "" };
    port.ask(method, target, &[&format!("authorization: Bearer {token}")], body.as_bytes()).await
}

#[tokio::test]
async fn a_wrong_token_within_the_pause_is_429_and_says_when_to_come_back() {
    let (port, _) = guessed_at(GUESSES_FREE).await;
    for (number, target, seconds) in [
        (10, "/stories", "02"),
        (11, "/metrics", "04"),
        (12, "/query?q=show%20databases", "08"),
        (13, "/reports/conversations", "16"),
    ] {
        let token = format!("guess-{number}");
        let reply = show(&port, "GET", target, &token).await;
        assert_eq!(reply.status, 429, "{target}: {reply:?}");
        let date = format!("Sun, 17 Mar 2019 09:30:{seconds} GMT");
        assert_eq!(reply.header("retry-after"), Some(date.as_str()), "{target}");
        assert!(reply.body.contains("too many wrong ones came from this address"), "{reply:?}");
        assert!(!reply.body.contains(&token));
    }
    for target in ["/events", "/write", "/api/v2/write"] {
        assert_eq!(show(&port, "POST", target, "guess-14").await.status, 401, "{target}");
    }
    // It was never shown before.
    assert_eq!(show(&port, "POST", "/events", BOTS).await.status, 200);
    port.clock.advance(Duration::from_mins(1));
    assert_eq!(show(&port, "GET", "/stories", "guess-15").await.status, 401);
}

#[tokio::test]
async fn after_very_many_wrong_tokens_only_known_and_generated_ones_are_checked() {
    let (port, generated) = guessed_at(GUESSES_CHECKED_MAX).await;
    let at = Some("Sun, 17 Mar 2019 09:31:00 GMT");
    for target in ["/events", "/write", "/api/v2/write"] {
        let reply = show(&port, "POST", target, BOTS).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, at), "{target}: {reply:?}");
        assert!(reply.body.contains("nothing was counted"), "{reply:?}");
    }
    assert_eq!(port.post(&format!("/write?u=x&p={BOTS}"), LINE).await.status, 503);
    for token in [BOTS, "guess"] {
        let reply = show(&port, "GET", "/query?q=show%20databases", token).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, at), "{reply:?}");
    }
    let report = show(&port, "GET", "/reports/conversations?period=today", BOARD).await;
    assert_eq!(report.json()["summary"]["total"], 0);
    assert_eq!(show(&port, "POST", "/events", &generated).await.status, 200);
    assert_eq!(show(&port, "POST", "/events", BOARD).await.status, 403);
    assert_eq!(show(&port, "GET", "/health", "guess").await.status, 200, "it is open");
    assert_eq!(show(&port, "GET", "/nothing", "guess").await.status, 404);
    assert_eq!(port.get("/stories").await.status, 401, "no token is no guess");
    let metrics = show(&port, "GET", "/metrics", BOARD).await.body;
    for line in [
        r#"tallyd_auth_failures_total{listener="http",reason="unknown"} 10"#,
        r#"tallyd_auth_failures_total{listener="http",reason="back_off"} 996"#,
        r#"tallyd_auth_failures_total{listener="http",reason="missing"} 1"#,
        r#"tallyd_auth_failures_total{listener="http",reason="scope"} 1"#,
        r#"tallyd_http_responses_total{status="429"} 992"#,
        "tallyd_guessing_addresses 1",
        "tallyd_guessing_addresses_displaced_total 0",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "no line {line}");
    }
    port.clock.advance(Duration::from_mins(1));
    assert_eq!(show(&port, "POST", "/events", BOTS).await.status, 200);
}
