//! Reports, probes and metrics.

use std::time::Duration;

use crate::support::{LINE, Port};

#[tokio::test]
async fn reports_answer_under_both_prefixes_and_to_head() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let target = "reports/conversations?from=2019-03-17&to=2019-03-17";
    let reply = port.get(&format!("/{target}")).await;
    assert_eq!(
        reply.body,
        "{\"data\":[{\"date\":\"2019-03-17T00:00:00.000Z\",\"value\":1}],\
         \"summary\":{\"total\":1,\"min\":1,\"max\":1,\"avg\":1}}"
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(port.get(&format!("/v2/{target}")).await.body, reply.body);
    let head = port.ask("HEAD", &format!("/{target}"), &[], b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, reply.header("content-length")));
    for name in [
        "conversations.paid",
        "conversations.messages",
        "conversations.average",
        "busiest-period",
        "interactions.popularity",
    ] {
        let reply = port.get(&format!("/reports/{name}")).await;
        assert_eq!(reply.status, 200, "{name}");
        reply.json();
    }
}

#[tokio::test]
async fn reports_are_tables_where_they_are_asked_for() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let target = "/reports/conversations?from=2019-03-16&to=2019-03-18&timezone=Europe/Warsaw";
    let csv = port.get(&format!("{target}&format=csv")).await;
    // The dates of a sheet are those of the zone.
    let sheet = "date,local,value\r\n2019-03-15T23:00:00.000Z,2019-03-16,0\r\n\
                 2019-03-16T23:00:00.000Z,2019-03-17,1\r\n2019-03-17T23:00:00.000Z,2019-03-18,0\r\n";
    assert_eq!((csv.status, csv.body.as_str()), (200, sheet));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=\"tallyd-conversations-2019-03-16-2019-03-18.csv\"")
    );
    assert_eq!((csv.header("cache-control"), csv.header("x-groups-omitted")), (Some("no-store"), None));
    assert_eq!(port.ask("GET", target, &["Accept: text/csv"], b"").await.body, sheet);
    let json = port.get(target).await.body;
    for (format, accept) in [("", "*/*"), ("", "text/csv, application/json"), ("&format=json", "text/csv")] {
        let reply = port.ask("GET", &format!("{target}{format}"), &[&format!("Accept: {accept}")], b"").await;
        assert_eq!(
            (reply.body.as_str(), reply.header("content-type")),
            (json.as_str(), Some("application/json"))
        );
    }
    let head = port.ask("HEAD", target, &["Accept: text/csv"], b"").await;
    assert_eq!((head.status, head.header("content-type")), (200, csv.header("content-type")));
    assert_eq!(head.header("content-length"), csv.header("content-length"));
    for name in ["conversations.average", "busiest-period", "interactions.popularity"] {
        let rows = port.get(&format!("/v2/reports/{name}?format=rows")).await;
        assert_eq!((rows.status, rows.header("content-type")), (200, Some("application/json")), "{name}");
        assert_eq!(rows.header("content-disposition"), None);
        assert!(rows.json().as_array().is_some_and(|rows| rows[0].is_object()), "{name}");
    }
    assert_eq!(port.get("/reports/conversations?format=xls").await.status, 400);
}

#[tokio::test]
async fn a_table_says_beside_it_what_the_limit_left_out() {
    let port = Port::open().await;
    for source in ["app", "slack", "widget"] {
        let line = LINE.replace("messenger", source);
        assert_eq!(port.post("/events", &line).await.status, 200);
    }
    let target = "/reports/conversations?from=2019-03-17&to=2019-03-17&group=source&limit=1";
    for format in ["csv", "rows"] {
        let reply = port.get(&format!("{target}&format={format}")).await;
        assert_eq!((reply.status, reply.header("x-groups-omitted")), (200, Some("2")), "{format}");
    }
    let json = port.get(target).await;
    assert_eq!((json.header("x-groups-omitted"), &json.json()["groupsOmitted"]), (None, &2.into()));
}

#[tokio::test]
async fn a_large_report_comes_in_chunks_and_whole() {
    let port = Port::open().await;
    let mut client = port.client().await;
    for story in ["5b07ffafc2376e30306d9b16", "5b07ffafc2376e30306d9b17", "5b07ffafc2376e30306d9b18"] {
        let line = format!("conversation,storyId={story},source=app count=5i 1552813200000000000\n");
        assert_eq!(client.ask("POST", "/events", &[], line.as_bytes()).await.status, 200);
    }
    let target = "/reports/conversations?from=2017-1-1&to=2019-3-31&dimension=hour&group=storyId&limit=100";
    let reply = client.ask("GET", target, &[], b"").await;
    assert_eq!((reply.status, reply.header("content-length")), (200, None));
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let json = reply.json();
    assert_eq!(json["summary"]["total"], 15);
    assert_eq!(json["data"].as_array().unwrap().len(), 820 * 24);
    let groups = json["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 3);
    for group in groups {
        assert_eq!((&group["summary"]["total"], &group["summary"]["max"]), (&5.into(), &5.into()));
        assert_eq!(group["data"].as_array().unwrap().len(), 820 * 24);
    }
    // The connection goes on after it, and after the head alone.
    let head = client.ask("HEAD", target, &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(client.ask("GET", "/health", &[], b"").await.status, 200);
}

#[tokio::test]
async fn a_bad_query_is_told_fault_by_fault() {
    let port = Port::open().await;
    let reply = port.get("/reports/conversations?perod=today&dimension=week").await;
    let json = reply.json();
    assert_eq!(reply.status, 400);
    let parameters: Vec<_> = json["status"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| detail["parameter"].as_str().unwrap())
        .collect();
    assert!(parameters.contains(&"perod") && parameters.contains(&"dimension"), "{json}");
}

#[tokio::test]
async fn ping_is_what_influx_clients_expect() {
    let port = Port::open().await;
    for method in ["GET", "HEAD"] {
        let reply = port.ask(method, "/ping", &[], b"").await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""));
        assert!(reply.header("x-influxdb-version").is_some() && reply.header("x-influxdb-build").is_some());
    }
}

#[tokio::test]
async fn databases_can_be_shown_and_created_and_nothing_else() {
    let port = Port::open().await;
    let shown = r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["tallyd"]]}]}]}"#;
    assert_eq!(port.get("/query?q=SHOW%20DATABASES").await.body, shown);
    assert_eq!(port.post("/query?q=SHOW+DATABASES", "").await.body, shown);
    let created = r#"{"results":[{"statement_id":0}]}"#;
    assert_eq!(port.post("/query", "q=CREATE+DATABASE+%22bots%22&db=").await.body, created);
    for reply in [port.get("/query?q=SELECT%201").await, port.get("/query").await] {
        assert!(reply.status == 400 && reply.json()["error"].is_string(), "{reply:?}");
    }
}

#[tokio::test]
async fn health_serves_people_and_influx_clients() {
    let port = Port::open().await;
    let reply = port.get("/health").await;
    let json = reply.json();
    assert_eq!(reply.status, 200);
    for (member, value) in [
        ("status", "pass"),
        ("ingest", "pass"),
        ("snapshots", "pass"),
        ("reports", "pass"),
        ("name", "tallyd"),
    ] {
        assert_eq!(json[member], value, "{json}");
    }
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    for (index, part) in ["ingest", "snapshots", "reports"].into_iter().enumerate() {
        let check = &json["checks"][index];
        assert_eq!(
            (&check["name"], &check["status"], &check["message"]),
            (&part.into(), &"pass".into(), &"".into())
        );
        assert_eq!(
            check["since"],
            tallyd::model::calendar::rfc3339(crate::support::NOW_UNIX_NANOS / 1_000_000),
            "{json}"
        );
    }
    assert_eq!(port.get("/ready").await.json()["status"], "ready");
}

#[tokio::test]
async fn the_root_lists_the_routes() {
    let port = Port::open().await;
    let reply = port.get("/").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    for route in ["/events", "/api/v2/write", "/reports/{name}", "/stories", "/health", "/metrics"] {
        assert!(reply.body.contains(route), "{route}");
    }
}

#[tokio::test]
async fn browsers_get_the_page_at_the_root() {
    let port = Port::open().await;
    let browser = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    let page = port.ask("GET", "/", &[browser], b"").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.headers.iter().any(|(name, value)| name == "vary" && value.contains("accept")));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"]
    {
        assert!(policy.contains(part) && !policy.contains("unsafe"), "{policy}");
    }
    let etag = page.header("etag").unwrap();
    let again = port.ask("GET", "/", &[browser, &format!("If-None-Match: {etag}")], b"").await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(etag)));
    assert!(again.header("content-security-policy").is_some());
}

#[tokio::test]
async fn files_of_the_page_are_kept_for_ever_and_packed_where_asked() {
    let port = Port::open().await;
    let target = format!("/page/{}/app.js", tallyd::page::tag());
    let plain = port.get(&target).await;
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(plain.header("content-encoding"), None);
    let packed = port.ask("HEAD", &target, &["Accept-Encoding: gzip, zstd"], b"").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_ne!(packed.header("content-length"), plain.header("content-length"));
    assert_ne!(packed.header("etag"), plain.header("etag"));
    let other = port.get("/page/0123456789ab/app.js").await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn no_answer_may_be_framed_or_guessed_at() {
    let port = Port::open().await;
    for target in [
        "/",
        "/health",
        "/reports/conversations",
        "/reports/nothing",
        "/stories?limit=x",
        "/metrics",
        "/ping",
    ] {
        let reply = port.get(target).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{target}");
        let policy = reply.header("content-security-policy");
        assert_eq!(policy, Some("default-src 'none'; frame-ancestors 'none'"), "{target}");
    }
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let port = Port::open().await;
    let mut client = port.client().await;
    let body = format!("{LINE}nonsense\n");
    assert_eq!(client.ask("POST", "/events", &[], body.as_bytes()).await.status, 400);
    assert_eq!(client.ask("GET", "/reports/conversations", &[], b"").await.status, 200);
    let reply = client.ask("GET", "/metrics", &[], b"").await;
    assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"tallyd_events_total{listener="http",kind="conversation",outcome="accepted"} 1"#,
        r#"tallyd_events_total{listener="http",kind="unknown",outcome="rejected"} 1"#,
        r#"tallyd_http_responses_total{status="400"} 1"#,
        r#"tallyd_report_duration_seconds_count{report="conversations"} 1"#,
        r#"tallyd_connections{listener="http"} 1"#,
        "tallyd_stories 1",
    ] {
        assert!(reply.body.lines().any(|shown| shown == line), "no `{line}` in\n{}", reply.body);
    }
}

#[tokio::test]
async fn the_start_stays_while_time_passes() {
    let port = Port::open().await;
    for _ in 0..2 {
        assert_eq!(port.get("/ready").await.json()["started"], "2019-03-17T09:30:00.000Z");
        let metrics = port.get("/metrics").await.body;
        let is_start = |line: &str| line == "process_start_time_seconds 1552815000.0";
        assert!(metrics.lines().any(is_start), "{metrics}");
        port.clock.advance(Duration::from_hours(1));
    }
}
