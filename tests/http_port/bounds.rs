//! Deadlines, limits and the end.

use std::time::Duration;

use tallyd::limits::{STATEMENTS_BYTES_MAX, STATEMENTS_MAX, UPSERT_BYTES_MAX};
use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, STORY};

const SHORT: Duration = Duration::from_millis(60);

async fn limited(limits: Limits) -> Port {
    Port::with(Auth::default(), limits).await
}

#[tokio::test]
async fn one_connection_too_many_is_told_and_closed() {
    let port = limited(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = port.client().await;
    assert_eq!(first.ask("GET", "/ping", &[], b"").await.status, 204);
    let mut second = port.client().await;
    let reply = second.reply(false).await;
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    assert!(reply.header("retry-after").unwrap().ends_with("GMT"));
    assert_eq!(reply.json()["status"]["code"], 503);
    assert_eq!(second.rest().await, 0);
    let metrics = first.ask("GET", "/metrics", &[], b"").await.body;
    assert!(metrics.contains(r#"tallyd_connections_refused_total{listener="http"} 1"#), "{metrics}");
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let port = limited(Limits { head_timeout: SHORT, ..Limits::default() }).await;
    let mut slow = port.client().await;
    slow.send(b"GET /ping HTTP/1.1\r\nhost:").await;
    assert_eq!(slow.rest().await, 0);
    let mut idle = port.client().await;
    assert_eq!(idle.ask("GET", "/ping", &[], b"").await.status, 204);
    assert_eq!(idle.rest().await, 0);
}

#[tokio::test]
async fn slow_bodies_are_503_and_closed_never_408() {
    for limits in [
        Limits { body_pause: SHORT, ..Limits::default() },
        Limits { body_timeout: SHORT, ..Limits::default() },
    ] {
        let port = limited(limits).await;
        let mut slow = port.client().await;
        slow.send(b"POST /write HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n").await;
        slow.send(LINE.as_bytes()).await;
        let reply = slow.reply(false).await;
        assert_eq!((reply.status, reply.header("connection")), (503, Some("close")), "{reply:?}");
        assert_eq!(slow.rest().await, 0);
        assert_eq!(port.conversations().await, 0);
    }
}

#[tokio::test]
async fn a_slow_body_without_events_is_408_and_closed() {
    let port = limited(Limits { body_pause: SHORT, ..Limits::default() }).await;
    let mut slow = port.client().await;
    let head = format!("PUT /stories/{STORY} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{{");
    slow.send(head.as_bytes()).await;
    let reply = slow.reply(false).await;
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")), "{reply:?}");
    assert_eq!(reply.json()["status"]["code"], 408);
    assert_eq!(slow.rest().await, 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_the_others_are_served() {
    let port = limited(Limits { write_timeout: SHORT, ..Limits::default() }).await;
    let mut deaf = port.client().await;
    let target = "/reports/conversations?from=2010-01-01&to=2020-01-01&dimension=hour";
    // Several answers of megabytes, of which the kernels' buffers take only the first part.
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(8);
    deaf.send(request.as_bytes()).await;
    wait_for_the_only_connection(&port).await;
}

/// Asks until the connection that asks is the only one.
async fn wait_for_the_only_connection(port: &Port) {
    let mut other = port.client().await;
    let closed = async {
        loop {
            let metrics = other.ask("GET", "/metrics", &[], b"").await.body;
            if metrics.contains("tallyd_connections{listener=\"http\"} 1\n") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the other client is still there");
    assert_eq!(other.ask("GET", "/ping", &[], b"").await.status, 204);
}

#[tokio::test]
async fn a_large_answer_that_is_not_read_whole_in_time_is_ended_and_its_place_is_free() {
    // Of the deadlines only that of the whole answer can pass.
    let never = Duration::from_hours(1);
    let port =
        limited(Limits { large_answer_timeout: SHORT, write_timeout: never, ..Limits::default() }).await;
    for source in ["messenger", "app", "widget", "slack", "livechat", "custom"] {
        let line = LINE.replace("messenger", source);
        assert_eq!(port.post("/events", &line).await.status, 200);
    }
    let target = "/reports/conversations?from=2010-01-01&to=2020-01-01&dimension=hour&group=source";
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut slow = port.client().await;
    slow.send(request.as_bytes()).await;
    let head = slow.reply(true).await;
    assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")), "{head:?}");
    wait_for_the_only_connection(&port).await;
}

#[tokio::test]
async fn bodies_over_the_shared_budget_are_503() {
    let port = limited(Limits { bodies_held_bytes: LINE.len(), ..Limits::default() }).await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let reply = port.post("/events", &LINE.repeat(2)).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.header("retry-after").is_some());
    assert_eq!(port.post("/events", LINE).await.status, 200, "what was held is given back");
    assert_eq!(port.conversations().await, 2);
}

#[tokio::test]
async fn heads_over_the_limit_are_refused() {
    let port = Port::open().await;
    let headers: Vec<String> = (0..70).map(|number| format!("x-{number}: 1")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(port.ask("GET", "/ping", &headers, b"").await.status, 431);
}

#[tokio::test]
async fn stopping_answers_what_is_under_way_and_takes_nothing_new() {
    let port = Port::open().await;
    let mut idle = port.client().await;
    assert_eq!(idle.ask("GET", "/ping", &[], b"").await.status, 204);
    let mut busy = port.client().await;
    let head = format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        LINE.len()
    );
    busy.send(head.as_bytes()).await;
    // `100 Continue` proves that the request is being handled.
    assert_eq!(busy.reply(true).await.status, 100);
    port.shutdown.fire();
    assert_eq!(idle.rest().await, 0);
    busy.send(LINE.as_bytes()).await;
    let reply = busy.reply(false).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    assert_eq!(busy.rest().await, 0);
    tokio::time::timeout(Duration::from_secs(20), port.served).await.expect("drained").unwrap();
    assert!(tokio::net::TcpStream::connect(port.address).await.is_err());
}

#[tokio::test]
async fn requests_on_their_way_while_the_daemon_stops_are_answered_as_the_last_of_their_connections() {
    let never = Duration::from_hours(1);
    let port = limited(Limits { last_request_wait: never, drain_timeout: never, ..Limits::default() }).await;
    let (mut kept, mut quick, mut new) = (port.client().await, port.client().await, port.client().await);
    assert_eq!(kept.ask("POST", "/events", &[], LINE.as_bytes()).await.status, 200);
    // The last of the three was accepted where the first asks about it.
    while !kept
        .ask("GET", "/metrics", &[], b"")
        .await
        .body
        .contains("tallyd_connections{listener=\"http\"} 3\n")
    {
        assert_eq!(quick.ask("GET", "/ping", &[], b"").await.status, 204);
    }
    port.shutdown.fire();
    for (client, method, target, body) in [
        (&mut kept, "POST", "/events", LINE),
        (&mut quick, "GET", "/health", ""),
        (&mut new, "GET", "/stories", ""),
    ] {
        let mut answers = 0;
        loop {
            let reply = client.ask(method, target, &[], body.as_bytes()).await;
            assert_eq!(reply.status, 200, "{target}: {reply:?}");
            answers += 1;
            if reply.header("connection") == Some("close") {
                break;
            }
            assert!(answers < 100, "the connection to {target} does not hear of the stop");
        }
        assert_eq!(client.rest().await, 0, "{target}");
    }
    tokio::time::timeout(Duration::from_secs(20), port.served).await.expect("drained").unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let port = limited(Limits { drain_timeout: SHORT, ..Limits::default() }).await;
    let mut stuck = port.client().await;
    stuck
        .send(
            b"POST /events HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        )
        .await;
    assert_eq!(stuck.reply(true).await.status, 100);
    port.shutdown.fire();
    tokio::time::timeout(Duration::from_secs(20), port.served).await.expect("drained").unwrap();
    assert_eq!(stuck.rest().await, 0);
}

#[tokio::test]
async fn a_request_with_two_ends_is_refused_and_counts_nothing() {
    let both =
        "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
    let turned =
        "POST /write HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n";
    let coded = "POST /events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{LINE}\r\n0\r\n\r\n", LINE.len());
    for head in [both, turned, coded] {
        let port = Port::open().await;
        let mut client = port.client().await;
        assert_eq!(client.ask("POST", "/events", &[], LINE.as_bytes()).await.status, 200);
        let chunked = ["transfer-encoding: chunked"];
        assert_eq!(client.ask("POST", "/events", &chunked, chunk.as_bytes()).await.status, 200);
        client.send(format!("{head}{chunk}GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await;
        let reply = client.reply(false).await;
        assert_eq!((reply.status, reply.header("connection")), (400, Some("close")), "{head} {reply:?}");
        assert!(reply.body.contains("it is not clear where the body ends"), "{reply:?}");
        assert_eq!(client.rest().await, 0, "{head}");
        assert_eq!(port.conversations().await, 2, "{head}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_closed() {
    let port = Port::open().await;
    let long = "a".repeat(70_000);
    let many = "x: y\r\n".repeat(100);
    for (request, status) in [
        (format!("{LINE}\n"), 400),
        ("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n".to_owned(), 400),
        ("GET /ping HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 414),
        (format!("GET /ping HTTP/1.1\r\n{many}\r\n"), 431),
    ] {
        let mut client = port.client().await;
        client.send(request.as_bytes()).await;
        let reply = client.reply(false).await;
        assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{reply:?}");
        assert_eq!(client.rest().await, 0);
    }
}

#[tokio::test]
async fn a_request_without_its_one_host_is_400_and_closed() {
    let port = Port::open().await;
    for (head, status) in [
        ("GET /ping HTTP/1.1\r\n\r\n", 400),
        ("GET /ping HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET /ping HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n", 204),
        ("GET /ping HTTP/1.0\r\n\r\n", 204),
    ] {
        let mut client = port.client().await;
        client.send(head.as_bytes()).await;
        let reply = client.reply(false).await;
        assert_eq!(reply.status, status, "{head:?}: {reply:?}");
        assert_eq!(client.rest().await, 0, "{head:?}");
    }
}

#[tokio::test]
async fn each_route_has_the_bound_of_its_bodies() {
    let port = Port::open().await;
    let story = format!("/stories/{STORY}");
    let upsert = |bytes: usize| format!("{{\"name\":\"x\"{}}}", " ".repeat(bytes - 12));
    let form = |bytes: usize| format!("q=SHOW+DATABASES{}", ";".repeat(bytes - 16));
    for (method, target, body, status) in [
        ("PUT", story.as_str(), upsert(UPSERT_BYTES_MAX), 200),
        ("PUT", &story, upsert(UPSERT_BYTES_MAX + 1), 413),
        ("POST", "/query", form(STATEMENTS_BYTES_MAX), 200),
        ("POST", "/query", form(STATEMENTS_BYTES_MAX + 1), 413),
        ("POST", "/query", format!("q={}", "SHOW+DATABASES;".repeat(STATEMENTS_MAX)), 200),
        ("POST", "/query", format!("q={}", "SHOW+DATABASES;".repeat(STATEMENTS_MAX + 1)), 400),
    ] {
        let reply = port.ask(method, target, &[], body.as_bytes()).await;
        assert_eq!(reply.status, status, "{method} {target} {}: {reply:?}", body.len());
        assert!(reply.body.len() < STATEMENTS_BYTES_MAX, "the answer is bounded as well");
    }
}

#[tokio::test]
async fn the_last_connections_are_for_those_who_do_not_write() {
    let port = limited(Limits { connections: 2, connections_reserved: 1, ..Limits::default() }).await;
    let mut first = port.client().await;
    assert_eq!(first.ask("POST", "/events", &[], LINE.as_bytes()).await.status, 200);
    for (method, target, status) in [
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/reports/conversations", 200),
        ("POST", "/events", 503),
        ("PUT", "/stories/x", 503),
    ] {
        let mut last = port.client().await;
        let reply = last.ask(method, target, &[], b"").await;
        assert_eq!(
            (reply.status, reply.header("connection")),
            (status, Some("close")),
            "{target}: {reply:?}"
        );
        assert_eq!(last.rest().await, 0, "{target}");
    }
    assert_eq!(first.ask("POST", "/events", &[], LINE.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn long_answers_over_the_shared_budget_are_503_and_counted() {
    let target = "/reports/conversations?from=2018-01-01&to=2018-12-31&dimension=hour";
    let port = limited(Limits { answers_held_bytes: 1_000_000, ..Limits::default() }).await;
    // Each read to its end gives its bytes back.
    for _ in 0..4 {
        let reply = port.get(target).await;
        assert!(reply.status == 200 && reply.body.len() > 300_000, "{}", reply.status);
    }
    let port = limited(Limits { answers_held_bytes: 100_000, ..Limits::default() }).await;
    let reply = port.get(target).await;
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{reply:?}");
    assert_eq!(port.get("/reports/conversations").await.status, 200, "short ones go on");
    let metrics = port.get("/metrics").await.body;
    assert!(metrics.contains("tallyd_overloads_total{bound=\"answers_held\"} 1"), "{metrics}");
}
