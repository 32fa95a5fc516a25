//! What the write routes take and answer.

use std::io::Write as _;

use crate::support::{LINE, Port, STORY};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(7) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[tokio::test]
async fn events_are_counted_when_the_answer_says_so() {
    let port = Port::open().await;
    let reply = port.post("/events", &LINE.repeat(3)).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"accepted\":3,\"rejected\":0}"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(port.conversations().await, 3);
    let in_seconds = LINE.replace("1552813200000000001", "1552813200");
    assert_eq!(port.post("/events?precision=s", &in_seconds).await.status, 200);
    assert_eq!(port.post("/events", &in_seconds).await.status, 400, "as nanoseconds that is 1970");
    assert_eq!(port.conversations().await, 4);
}

#[tokio::test]
async fn events_can_be_json() {
    let port = Port::open().await;
    let event = format!("{{\"event\":\"conversation\",\"storyId\":\"{STORY}\",\"source\":\"app\"}}");
    for (body, accepted) in [
        (format!("{event}\n{event}\n"), 2),
        (format!("[\n{event},\n {event},{event}]"), 3),
        (event.replace(',', ",\n"), 1),
        (format!("{event}\n{LINE}"), 2),
    ] {
        let reply = port.post("/events", &body).await;
        assert_eq!(reply.json()["accepted"], accepted, "{body}: {reply:?}");
        assert_eq!(reply.status, 200);
    }
    assert_eq!(port.conversations().await, 8);
}

#[tokio::test]
async fn bad_lines_are_told_and_good_ones_counted() {
    let port = Port::open().await;
    let body = format!("{LINE}nonsense\n{LINE}conversation count=1i\n");
    let reply = port.post("/events", &body).await;
    let json = reply.json();
    assert_eq!(reply.status, 400);
    assert_eq!((&json["accepted"], &json["rejected"]), (&2.into(), &2.into()));
    assert_eq!(json["status"]["code"], 400);
    assert_eq!(json["status"]["type"], "error");
    assert_eq!(json["timestamp"], "2019-03-17T09:30:00.000Z");
    let details = json["status"]["details"].as_array().unwrap();
    assert_eq!(details.len(), 2);
    assert_eq!((&details[0]["line"], &details[1]["line"]), (&2.into(), &4.into()));
    assert!(details[0]["message"].is_string());
    assert_eq!(port.conversations().await, 2);

    let v2 = port.post("/api/v2/write?org=o&bucket=b&precision=ns", &body).await;
    assert_eq!(v2.status, 400);
    assert_eq!((&v2.json()["code"], &v2.json()["line"]), (&"invalid".into(), &2.into()));
    assert!(v2.json()["message"].as_str().unwrap().starts_with("partial write: "), "{v2:?}");

    let v1 = port.post("/write?db=", &body).await;
    assert_eq!(v1.status, 400);
    assert!(v1.json()["error"].as_str().unwrap().starts_with("partial write: "), "{v1:?}");
    assert!(v1.header("x-influxdb-error").unwrap().starts_with("partial write: "));
    assert_eq!(port.conversations().await, 6);
}

#[tokio::test]
async fn at_most_a_hundred_bad_lines_are_described() {
    let port = Port::open().await;
    let reply = port.post("/events", &"nonsense\n".repeat(250)).await;
    assert_eq!(reply.json()["rejected"], 250);
    assert_eq!(reply.json()["status"]["details"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn influx_routes_answer_204_exactly() {
    let port = Port::open().await;
    let mut client = port.client().await;
    for target in ["/api/v2/write?org=o&bucket=b", "/write?db=db&rp=&precision=n", "/write"] {
        for body in [LINE, ""] {
            let reply = client.ask("POST", target, &[], body.as_bytes()).await;
            assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{target}: {reply:?}");
            assert_eq!(reply.header("content-length"), None);
        }
    }
    assert_eq!(port.conversations().await, 3);
    let empty = port.post("/events", "").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, "{\"accepted\":0,\"rejected\":0}"));
}

#[tokio::test]
async fn a_bogus_precision_is_refused_in_every_dialect() {
    let port = Port::open().await;
    let own = port.post("/events?precision=bogus", LINE).await;
    assert_eq!((own.status, own.message().contains("`bogus`")), (400, true));
    assert_eq!(own.json()["status"]["details"][0]["parameter"], "precision");
    let v1 = port.post("/write?precision=bogus", LINE).await;
    assert!(v1.status == 400 && v1.json()["error"].is_string(), "{v1:?}");
    let v2 = port.post("/api/v2/write?precision=h", LINE).await;
    assert!(v2.status == 400 && v2.json()["code"] == "invalid", "{v2:?}");
    assert_eq!(port.post("/events?precison=s", LINE).await.status, 400);
    assert_eq!(port.conversations().await, 0);
}

#[tokio::test]
async fn packed_bodies_count_like_plain_ones() {
    let port = Port::open().await;
    let lines = LINE.repeat(50);
    let gzipped = gzip(lines.as_bytes());
    let mut client = port.client().await;
    let gzip_header = "content-encoding: gzip";
    let reply = client.ask("POST", "/events", &[gzip_header], &gzipped).await;
    assert_eq!(reply.json()["accepted"], 50, "{reply:?}");
    let headers = [gzip_header, "transfer-encoding: chunked"];
    let reply = client.ask("POST", "/api/v2/write", &headers, &chunked(&gzipped)).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    let members = [gzipped.clone(), gzipped.clone()].concat();
    let reply = client.ask("POST", "/events", &[gzip_header], &members).await;
    assert_eq!(reply.json()["accepted"], 100, "{reply:?}");
    let zstd = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    let reply = client.ask("POST", "/events", &["content-encoding: zstd"], &zstd).await;
    assert_eq!(reply.json()["accepted"], 50, "{reply:?}");
    let plain =
        client.ask("POST", "/write?db=b", &["transfer-encoding: chunked"], &chunked(lines.as_bytes())).await;
    assert_eq!(plain.status, 204, "{plain:?}");
    assert_eq!(port.conversations().await, 300);
    // A client that is used to sending gzip says so on requests without a body, too.
    assert_eq!(client.ask("GET", "/ping", &[gzip_header], b"").await.status, 204);
    assert_eq!(client.ask("GET", "/query?q=show%20databases", &[gzip_header], b"").await.status, 200);
}

#[tokio::test]
async fn damaged_bodies_count_nothing() {
    let port = Port::open().await;
    let gzipped = gzip(LINE.repeat(2_000).as_bytes());
    let header = "content-encoding: gzip";
    for damaged in
        [&gzipped[..gzipped.len() - 3], &gzipped[..gzipped.len() / 2], b"nonsense", LINE.as_bytes()]
    {
        let reply = port.ask("POST", "/events", &[header], damaged).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(reply.json()["status"]["details"].as_array().unwrap().len(), 0);
    }
    let reply = port.ask("POST", "/events", &["content-encoding: br"], LINE.as_bytes()).await;
    assert_eq!(reply.status, 415, "{reply:?}");
    assert_eq!(port.conversations().await, 0);
}

#[tokio::test]
async fn bodies_over_the_limit_are_413_whatever_way_they_come() {
    let port = Port::open().await;
    let max = tallyd::limits::BODY_BYTES_MAX;
    let long = vec![b'#'; max + 1];
    for (headers, body) in [
        (vec![], long.clone()),
        (vec!["content-encoding: gzip"], gzip(&long)),
        (vec!["content-encoding: zstd"], zstd::encode_all(long.as_slice(), 1).unwrap()),
    ] {
        let reply = port.ask("POST", "/api/v2/write", &headers, &body).await;
        assert_eq!(reply.status, 413, "{headers:?}: {reply:?}");
        assert_eq!(reply.json()["code"], "request too large");
    }
}

#[tokio::test]
async fn a_large_body_is_one_batch() {
    let port = Port::open().await;
    let lines = 20_000;
    let body = LINE.repeat(lines);
    assert!(body.len() > tallyd::limits::BODY_INLINE_BYTES_MAX);
    let reply = port.post("/events", &body).await;
    assert_eq!(reply.json()["accepted"], lines, "{:?}", reply.status);
    let reply = port.ask("POST", "/events", &["content-encoding: gzip"], &gzip(body.as_bytes())).await;
    assert_eq!(reply.json()["accepted"], lines);
    assert_eq!(port.conversations().await, 2 * u64::try_from(lines).unwrap());
}

#[tokio::test]
async fn smuggled_lengths_are_refused() {
    let port = Port::open().await;
    for framing in [
        &["content-length: 5", "content-length: 6"][..],
        &["content-length: +5"],
        &["transfer-encoding: chunked, identity"],
    ] {
        let mut client = port.client().await;
        let reply = client.ask("POST", "/events", framing, b"").await;
        assert_eq!(reply.status, 400, "{framing:?}: {reply:?}");
        client.rest().await;
    }
    assert_eq!(port.conversations().await, 0);
}

#[tokio::test]
async fn a_closed_store_means_503_with_a_date() {
    let mut port = Port::open().await;
    let store = port.store.take().unwrap();
    tokio::task::spawn_blocking(move || store.close(std::time::Duration::from_secs(5)))
        .await
        .unwrap()
        .unwrap();
    for target in ["/events", "/write", "/api/v2/write"] {
        let reply = port.post(target, LINE).await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_eq!(reply.header("retry-after"), Some("Sun, 17 Mar 2019 09:30:03 GMT"));
    }
    assert_eq!(port.conversations().await, 0, "reports go on");
    let metrics = port.get("/metrics").await.body;
    let refused = r#"tallyd_events_total{listener="http",kind="unknown",outcome="refused"} 3"#;
    assert!(metrics.contains(refused), "{metrics}");
}
