//! Requests that take no time: answered while all others wait, on connections that may ask for anything else next.

use std::sync::mpsc;

use tokio::runtime::Builder;

use crate::support::{LINE, Port};

#[tokio::test]
async fn health_is_answered_while_the_threads_of_all_other_requests_are_busy() {
    let busy = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (release, released) = mpsc::sync_channel::<()>(1);
    busy.spawn(async move { released.recv() });
    let port = Port::beside(busy.handle().clone()).await;
    let mut client = port.client().await;
    for path in ["/health", "/ready", "/metrics", "/health?verbose"] {
        assert_eq!(client.ask("GET", path, &[], b"").await.status, 200, "{path}");
    }
    assert_eq!(port.ask("HEAD", "/ping", &[], b"").await.status, 204);
    client.send(b"OPTIONS /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(client.reply(false).await.status, 405);
    // The same connection goes on where the others are served.
    client.send(b"GET /reports/conversations HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(port.get("/health").await.status, 200);
    release.send(()).unwrap();
    assert_eq!(client.reply(false).await.status, 200);
    busy.shutdown_background();
}

#[tokio::test]
async fn a_connection_may_mix_quick_requests_with_any_others() {
    let port = Port::open().await;
    let mut client = port.client().await;
    for _ in 0..2 {
        assert_eq!(client.ask("GET", "/health", &[], b"").await.status, 200);
        assert_eq!(client.ask("POST", "/events", &[], LINE.as_bytes()).await.status, 200);
    }
    assert_eq!(port.conversations().await, 2);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let port = Port::open().await;
    let mut client = port.client().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let with_body = "GET /ping HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nGET /ping";
    let all = [&get("/ping"), &get("/health"), with_body, &get("/ping"), &get("/nothing"), &get("/ready")];
    client.send(all.concat().as_bytes()).await;
    for status in [204, 200, 204, 204, 404, 200] {
        assert_eq!(client.reply(false).await.status, status);
    }
}

#[tokio::test]
async fn a_quick_request_in_pieces_is_answered() {
    let port = Port::open().await;
    let mut client = port.client().await;
    assert_eq!(client.ask("GET", "/ping", &[], b"").await.status, 204);
    for piece in ["GET /he", "alth HTTP/1.1\r\nhost: loc", "alhost\r\n\r\n"] {
        client.send(piece.as_bytes()).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply(false).await.status, 200);
}
