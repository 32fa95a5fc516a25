//! Tags of answers, and what a client is told that has the answer already.

use crate::support::{LINE, Port, Reply, STORY};

const DAY: &str = "/reports/conversations?from=2019-03-17&to=2019-03-17";
const OTHER_DAY: &str = "/reports/conversations?from=2019-03-16&to=2019-03-16";
/// Large enough to be made while it is read.
const LARGE: &str =
    "/reports/conversations?from=2017-1-1&to=2019-3-31&dimension=hour&group=storyId&limit=100";

fn tag(reply: &Reply) -> String {
    let tag = reply.header("etag").unwrap_or_else(|| panic!("no tag: {reply:?}")).to_owned();
    let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tag}");
    tag
}

#[tokio::test]
async fn a_tag_changes_when_the_answer_does_and_not_before() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let one = format!("/stories/{STORY}");
    let targets = [
        DAY,
        "/reports/conversations.paid",
        "/reports/conversations.messages",
        "/reports/conversations.average",
        "/reports/busiest-period",
        "/reports/interactions.popularity",
        "/stories",
        one.as_str(),
        "/openapi.json",
    ];
    for target in targets {
        let reply = port.get(target).await;
        assert_eq!(tag(&reply), tag(&port.get(target).await), "{target}");
        let head = port.ask("HEAD", target, &[], b"").await;
        assert_eq!(tag(&head), tag(&reply), "{target}");
        assert_eq!(reply.header("vary"), Some("Accept, Accept-Encoding, Authorization"), "{target}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{target}");
    }
    assert_eq!(tag(&port.get(&format!("/v2{DAY}")).await), tag(&port.get(DAY).await));

    let before = [DAY, "/stories", one.as_str(), OTHER_DAY];
    let mut tags = Vec::new();
    for target in before {
        tags.push(tag(&port.get(target).await));
    }
    assert_eq!(port.post("/events", LINE.replace("count=1i", "count=2i").as_str()).await.status, 200);
    for (target, before) in before.into_iter().zip(tags) {
        let is_same = tag(&port.get(target).await) == before;
        assert_eq!(is_same, target == OTHER_DAY, "{target}");
    }
}

#[tokio::test]
async fn who_has_the_answer_is_told_so_in_few_bytes() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let mut client = port.client().await;
    let whole = client.ask("GET", DAY, &[], b"").await;
    let tag = tag(&whole);
    for list in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"x\", {tag}"),
        format!("{}-gzip\"", tag.trim_end_matches('"')),
        format!("{}-zstd\"", tag.trim_end_matches('"')),
        "*".to_owned(),
    ] {
        let header = format!("if-none-match: {list}");
        for method in ["GET", "HEAD"] {
            let reply = client.ask(method, DAY, &[&header], b"").await;
            assert_eq!((reply.status, reply.body.as_str()), (304, ""), "{method} {list}");
            assert_eq!(reply.header("etag"), Some(tag.as_str()), "{method} {list}");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            assert_eq!(reply.header("vary"), Some("Accept, Accept-Encoding, Authorization"));
            assert_eq!((reply.header("content-type"), reply.header("content-length")), (None, None));
            assert!(reply.bytes < whole.bytes, "{} bytes rather than {}", reply.bytes, whole.bytes);
        }
    }
    // The connection goes on, and another tag gets the answer.
    let other = client.ask("GET", DAY, &["if-none-match: \"0123456789abcdef\""], b"").await;
    assert_eq!((other.status, &other.body), (200, &whole.body));
    // The tag stands for the answer, and so for none that has changed since.
    assert_eq!(client.ask("POST", "/events", &[], LINE.replace("=1i", "=2i").as_bytes()).await.status, 200);
    let header = format!("if-none-match: {tag}");
    let changed = client.ask("GET", DAY, &[&header], b"").await;
    assert_eq!((changed.status, changed.json()["summary"]["total"].as_u64()), (200, Some(3)));
    let metrics = client.ask("GET", "/metrics", &[], b"").await;
    assert!(metrics.body.contains("tallyd_http_responses_total{status=\"304\"} 12\n"), "{}", metrics.body);
}

#[tokio::test]
async fn what_has_no_tag_is_sent_whole_whatever_the_client_has() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let line = LINE.replace("b16", "b17");
    assert_eq!(port.post("/events", &line).await.status, 200);
    for (target, status) in [
        (LARGE, 200),
        ("/health", 200),
        ("/metrics", 200),
        ("/reports/conversations?perod=today", 400),
        ("/stories/000000000000000000000000", 404),
    ] {
        let reply = port.ask("GET", target, &["if-none-match: *"], b"").await;
        assert_eq!((reply.status, reply.header("etag")), (status, None), "{target}");
        assert!(!reply.body.is_empty(), "{target}");
    }
    // What is written is not asked for: no condition holds it back.
    let body = LINE.as_bytes();
    assert_eq!(port.ask("POST", "/events", &["if-none-match: *"], body).await.status, 200);
    assert_eq!(port.conversations().await, 3);
}
