//! Answers that are packed, and those that are not.

use std::io::Read as _;

use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, Reply};

/// 1.5 kB.
const MONTH: &str = "/reports/conversations?from=2019-03-01&to=2019-03-31";
/// 39 kB.
const HOURS: &str = "/reports/conversations?from=2019-03-01&to=2019-03-31&dimension=hour";
/// 440 kB: packed on a worker thread.
const YEAR_OF_HOURS: &str = "/reports/conversations?from=2018-03-01&to=2019-03-31&dimension=hour";
const DAY: &str = "/reports/conversations?from=2019-03-17&to=2019-03-17";
/// Made while it is read.
const LARGE: &str =
    "/reports/conversations?from=2017-1-1&to=2019-3-31&dimension=hour&group=storyId&limit=100";

fn unpacked(reply: &Reply) -> String {
    let mut text = String::new();
    match reply.header("content-encoding") {
        Some("gzip") => {
            flate2::read::GzDecoder::new(reply.packed.as_slice()).read_to_string(&mut text).unwrap();
        }
        Some("zstd") => text = String::from_utf8(zstd::decode_all(reply.packed.as_slice()).unwrap()).unwrap(),
        _ => panic!("not packed: {reply:?}"),
    }
    text
}

async fn asked(port: &Port, target: &str, codings: &str) -> Reply {
    port.ask("GET", target, &[&format!("accept-encoding: {codings}")], b"").await
}

#[tokio::test]
async fn an_answer_is_packed_as_its_client_asks() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    for (target, codings, expected) in [
        (MONTH, "gzip", "gzip"),
        (MONTH, "zstd", "zstd"),
        (MONTH, "gzip, deflate, br, zstd", "gzip"),
        (HOURS, "gzip, deflate, br, zstd", "zstd"),
        (HOURS, "gzip;q=1.0, zstd;q=0.5", "gzip"),
        (YEAR_OF_HOURS, "gzip", "gzip"),
        (YEAR_OF_HOURS, "gzip, zstd", "zstd"),
    ] {
        let whole = port.get(target).await;
        assert_eq!(whole.header("content-encoding"), None, "{target}");
        let reply = asked(&port, target, codings).await;
        assert_eq!(reply.header("content-encoding"), Some(expected), "{target} {codings}");
        assert_eq!(unpacked(&reply), whole.body, "{target} {codings}");
        assert_eq!(reply.header("content-length"), Some(reply.packed.len().to_string().as_str()));
        assert!(reply.packed.len() * 5 < whole.body.len(), "{} of {}", reply.packed.len(), whole.body.len());
        assert_eq!(reply.header("vary"), Some("Accept, Accept-Encoding, Authorization"));
        let tag = whole.header("etag").unwrap().trim_end_matches('"');
        assert_eq!(reply.header("etag"), Some(format!("{tag}-{expected}\"").as_str()), "{target}");
        let headers = [format!("accept-encoding: {codings}"), format!("if-none-match: {tag}-{expected}\"")];
        let again = port.ask("GET", target, &headers.each_ref().map(String::as_str), b"").await;
        assert_eq!((again.status, again.bytes < reply.bytes), (304, true), "{target}");
        let head = port.ask("HEAD", target, &[&headers[0]], b"").await;
        assert_eq!(head.header("content-encoding"), Some(expected), "{target}");
    }
}

#[tokio::test]
async fn an_answer_is_sent_as_it_is_where_packing_would_not_help() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    assert_eq!(port.post("/events", &LINE.replace("b16", "b17")).await.status, 200);
    for (target, codings) in [
        (DAY, "gzip"),
        (MONTH, "br, deflate"),
        (MONTH, "gzip;q=0"),
        (MONTH, "identity, gzip;q=0.9"),
        (LARGE, "gzip, zstd"),
        ("/metrics", "gzip"),
        ("/reports/conversations?perod=today", "gzip"),
    ] {
        let reply = asked(&port, target, codings).await;
        assert_eq!(reply.header("content-encoding"), None, "{target} {codings}");
        assert!(!reply.body.is_empty(), "{target} {codings}");
    }
}

#[tokio::test]
async fn an_answer_for_which_there_is_no_room_to_pack_it_is_sent_as_it_is() {
    // The answer alone fits, but not what packing might make of it.
    let limits = Limits { answers_held_bytes: 600 * 1024, ..Limits::default() };
    let port = Port::with(Auth::default(), limits).await;
    let whole = port.get(YEAR_OF_HOURS).await;
    assert!((301 * 1024..600 * 1024).contains(&whole.body.len()), "{}", whole.body.len());
    let reply = asked(&port, YEAR_OF_HOURS, "gzip").await;
    assert_eq!((reply.header("content-encoding"), reply.body == whole.body), (None, true));
}
