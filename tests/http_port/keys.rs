//! Batches that are sent again: with a key, and within the retry window.

use std::time::Duration;

use tallyd::limits::KEY_BYTES_MAX;
use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use super::support::{LINE, Port, Reply, STORY};

const WRITES: [&str; 3] = ["/events", "/write", "/api/v2/write"];

async fn keyed(port: &Port, target: &str, key: &str, body: &str) -> Reply {
    port.ask("POST", target, &[&format!("idempotency-key: {key}")], body.as_bytes()).await
}

fn is_replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == Some("true")
}

#[tokio::test]
async fn batch_with_a_key_counts_once_and_is_answered_alike_each_time() {
    let port = Port::open().await;
    for (number, target) in WRITES.into_iter().enumerate() {
        let key = format!("key of {target}");
        let first = keyed(&port, target, &key, LINE).await;
        assert!(!is_replayed(&first));
        for _ in 0..3 {
            let again = keyed(&port, target, &key, LINE).await;
            assert!(is_replayed(&again), "{again:?}");
            assert_eq!((again.status, &again.body), (first.status, &first.body));
        }
        assert_eq!(port.conversations().await, u64::try_from(number).unwrap() + 1);
    }
    // Another key is another batch; the same body without one is, too.
    assert!(!is_replayed(&keyed(&port, "/events", "another", LINE).await));
    assert!(!is_replayed(&port.post("/events", LINE).await));
    assert_eq!(port.conversations().await, 5);
    let metrics = port.get("/metrics").await.body;
    for line in [
        "tallyd_replayed_batches_total{listener=\"http\",rule=\"key\"} 9",
        "tallyd_replayed_lines_total{listener=\"http\",rule=\"key\"} 9",
        "tallyd_keys 4",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn bad_lines_are_named_again() {
    let port = Port::open().await;
    let body = format!("{LINE}bogus\n{LINE}more\n");
    for target in WRITES {
        let first = keyed(&port, target, target, &body).await;
        let again = keyed(&port, target, target, &body).await;
        assert_eq!((first.status, again.status), (400, 400));
        assert!(is_replayed(&again) && !is_replayed(&first));
        assert_eq!(first.body, again.body);
    }
    assert_eq!(port.conversations().await, 6);
    // Where nothing counts there is nothing to repeat, and the answer is the same.
    let first = keyed(&port, "/events", "none good", "bogus\n").await;
    let again = keyed(&port, "/events", "none good", "bogus\n").await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
}

#[tokio::test]
async fn key_of_another_batch_is_refused() {
    let port = Port::open().await;
    keyed(&port, "/events", "one", LINE).await;
    let longer = LINE.repeat(2);
    // A unit of the timestamps is part of what a batch says.
    for (target, body) in [("/events", longer.as_str()), ("/write", &longer), ("/events?precision=ns", LINE)]
    {
        let reply = keyed(&port, target, "one", body).await;
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(reply.body.contains("used for another body"), "{reply:?}");
    }
    assert_eq!(port.conversations().await, 1);
    assert!(port.get("/metrics").await.body.contains("tallyd_key_conflicts_total{listener=\"http\"} 3"));
}

#[tokio::test]
async fn keys_have_a_length_and_are_given_once() {
    let port = Port::open().await;
    let longest = "k".repeat(KEY_BYTES_MAX);
    assert_eq!(keyed(&port, "/events", &longest, LINE).await.status, 200);
    for headers in [
        &[format!("idempotency-key: {longest}k")][..],
        &["idempotency-key:".to_owned()],
        &["idempotency-key: schl\u{fc}ssel".to_owned()],
        &["idempotency-key: a".to_owned(), "idempotency-key: b".to_owned()],
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let reply = port.ask("POST", "/events", &headers, LINE.as_bytes()).await;
        assert_eq!(reply.status, 400, "{headers:?}: {reply:?}");
        assert!(reply.message().contains("`Idempotency-Key`"), "{reply:?}");
    }
    assert_eq!(port.conversations().await, 1);
}

#[tokio::test]
async fn flood_of_keys_displaces_the_oldest_and_the_metric_says_so() {
    let port = Port::with_few_keys(100).await;
    let mut client = port.client().await;
    let mut send = async |number: u32| {
        let key = format!("idempotency-key: {number}");
        let reply = client.ask("POST", "/events", &[&key], LINE.as_bytes()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        is_replayed(&reply)
    };
    for number in 0..250 {
        assert!(!send(number).await);
    }
    let metrics = port.get("/metrics").await.body;
    for line in ["tallyd_keys 100", "tallyd_keys_displaced_total 150"] {
        assert!(metrics.lines().any(|other| other == line), "{line} in {metrics}");
    }
    // The newest are known, and the youngest that is not counts again.
    assert!(send(249).await && send(150).await && !send(149).await);
    assert_eq!(port.conversations().await, 251);
}

#[tokio::test]
async fn of_many_equal_batches_at_once_one_counts() {
    let port = Port::open().await;
    let body = LINE.repeat(2_000);
    let clients = (0..64).map(|_| keyed(&port, "/events", "one for all", &body));
    let replies = futures_of(clients).await;
    let fresh = replies.iter().filter(|reply| !is_replayed(reply)).count();
    assert_eq!(fresh, 1);
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.json()["accepted"] == 2_000));
    assert_eq!(port.conversations().await, 2_000);
}

/// Waits for all, which run at the same time.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut waiting {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if waiting.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn clients_without_keys_are_recognised_within_the_window() {
    let port = Port::open().await;
    for (number, target) in ["/write?db=a", "/api/v2/write?org=o&bucket=b"].into_iter().enumerate() {
        let first = port.post(target, LINE).await;
        let again = port.post(target, LINE).await;
        assert_eq!((first.status, again.status), (204, 204));
        assert!(is_replayed(&again) && !is_replayed(&first));
        assert_eq!(port.conversations().await, u64::try_from(number).unwrap() + 1);
    }
    // Another query, another body: other batches.
    assert!(!is_replayed(&port.post("/write?db=b", LINE).await));
    assert!(!is_replayed(&port.post("/write?db=a", &LINE.repeat(2)).await));
    assert!(port.get("/metrics").await.body.contains("rule=\"window\"} 2"));
}

#[tokio::test]
async fn honest_batches_that_are_equal_count_each() {
    let port = Port::open().await;
    let line = |stamp: &str| format!("conversation,storyId={STORY},source=app count=1i{stamp}\n");
    let coarse = [
        ("/write", line(" 1552813200000000000")),
        ("/write?precision=ms", line(" 1552813200001")),
        ("/write?precision=s", line(" 1552813200")),
        ("/api/v2/write", line("")),
        ("/api/v2/write", format!("{}{}", line(" 1552813200000000001"), line(" 1552813200001000000"))),
    ];
    let mut counted = 0;
    for (target, body) in coarse {
        for _ in 0..2 {
            let reply = port.post(target, &body).await;
            assert!(reply.status == 204 && !is_replayed(&reply), "{target} {body}: {reply:?}");
            counted += u64::try_from(body.lines().count()).unwrap();
        }
    }
    assert_eq!(port.conversations().await, counted);
}

#[tokio::test]
async fn window_can_be_switched_off() {
    let port = Port::with_window(Duration::ZERO).await;
    for _ in 0..2 {
        assert!(!is_replayed(&port.post("/write", LINE).await));
    }
    assert_eq!(port.conversations().await, 2);
}

#[tokio::test]
async fn batches_of_two_tokens_are_two() {
    let tokens =
        "one:write:0123456789abcdefghij;two:write:abcdefghij0123456789;all:admin:0123456789zzzzzzzzzz";
    let port = Port::with(Auth::from_env_text(tokens).unwrap(), Limits::default()).await;
    let mut replayed = 0;
    for secret in ["0123456789abcdefghij", "abcdefghij0123456789", "0123456789abcdefghij"] {
        let token = format!("authorization: Token {secret}");
        let reply = port.ask("POST", "/write", &[&token], LINE.as_bytes()).await;
        assert_eq!(reply.status, 204);
        replayed += usize::from(is_replayed(&reply));
    }
    assert_eq!(replayed, 1);
}
