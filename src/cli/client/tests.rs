//! The client against a socket that answers by rote.

use super::testing::server;
use super::*;

fn client(url: &str, token: Option<&str>) -> Client {
    let access = AccessArgs { token: token.map(str::to_owned), ..AccessArgs::default() };
    Client::new(&ConnectionArgs { url: url.to_owned(), access }).expect("a client")
}

fn get(path: &str) -> Call {
    Call::get(path)
}

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn connection_is_kept_and_the_token_is_sent() {
    let (url, thread) =
        server(vec![vec![FINE, "HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"]]);
    let mut client = client(&url, Some("tally_x"));
    let first = client.call(&get("/reports/conversations?a=b")).expect("an answer");
    assert_eq!((first.status.as_u16(), &*first.body), (200, b"hi".as_slice()));
    let call = Call::post("/events", Bytes::from_static(b"x"), None);
    let second = client.call(&call).expect("an answer");
    assert_eq!((second.status.as_u16(), second.retry_after.as_deref()), (503, Some("1")));
    let received = thread.join().expect("a server");
    assert!(received[0].starts_with("GET /reports/conversations?a=b HTTP/1.1\r\n"), "{}", received[0]);
    assert!(
        received[0].to_ascii_lowercase().contains("authorization: bearer tally_x\r\n"),
        "{}",
        received[0]
    );
    assert!(received[1].starts_with("POST /events HTTP/1.1\r\n"), "{}", received[1]);
}

#[test]
fn closed_idle_connection_is_replaced() {
    let (url, thread) = server(vec![vec![FINE], vec![FINE]]);
    let mut client = client(&url, None);
    client.call(&get("/a")).expect("an answer");
    client.call(&get("/b")).expect("an answer on a second connection");
    assert_eq!(thread.join().expect("a server").len(), 2);
}

#[test]
fn kept_connection_that_breaks_repeats_only_what_changes_nothing() {
    let (url, thread) = server(vec![vec![FINE, ""], vec![FINE, ""]]);
    let mut client = client(&url, None);
    client.call(&get("/a")).expect("an answer");
    client.call(&get("/b")).expect("an answer on a second connection");
    let write = Call::post("/events", Bytes::from_static(b"x"), None);
    let lost = client.call(&write).expect_err("no answer");
    assert!(matches!(lost, ClientError::AnswerLost { .. }), "{lost:?}");
    let received = thread.join().expect("a server");
    let lines: Vec<&str> = received.iter().filter_map(|request| request.lines().next()).collect();
    assert_eq!(lines, ["GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /b HTTP/1.1", "POST /events HTTP/1.1"]);
}

#[test]
fn lost_answer_is_told_from_a_request_that_was_never_sent() {
    let (url, thread) = server(vec![vec![""]]);
    let lost = client(&url, None).call(&get("/a")).expect_err("no answer");
    assert!(matches!(lost, ClientError::AnswerLost { .. }), "{lost:?}");
    thread.join().expect("a server");
    let unsent = client(&url, None).call(&get("/a")).expect_err("nobody listens");
    assert!(matches!(unsent, ClientError::NotSent { .. }), "{unsent:?}");
}

#[test]
fn token_is_never_shown() {
    let client = client("http://127.0.0.1:1", Some("tally_secret"));
    assert!(!format!("{client:?}").contains("secret"));
    let access = AccessArgs { token: Some("tally_secret\u{1}".to_owned()), ..AccessArgs::default() };
    let args = ConnectionArgs { url: "http://127.0.0.1:1".to_owned(), access };
    assert!(!format!("{args:?}").contains("secret"));
    let error = Client::new(&args).expect_err("a control character");
    assert!(!format!("{error:#}").contains("secret"));
}

#[test]
fn address_takes_names_numbers_ports_and_prefixes() {
    for (url, host, port, prefix) in [
        ("http://127.0.0.1:8780", "127.0.0.1", Some(8780), ""),
        ("http://127.0.0.1:8780/", "127.0.0.1", Some(8780), ""),
        ("http://[::1]:8780", "[::1]", Some(8780), ""),
        ("http://stats.internal", "stats.internal", None, ""),
        ("http://stats.internal/tallyd/", "stats.internal", None, "/tallyd"),
    ] {
        let (_, authority, rest) = parse_url(url).expect(url);
        assert_eq!((authority.host(), authority.port_u16(), rest.as_str()), (host, port, prefix));
    }
}

#[test]
fn address_refuses_what_is_not_a_daemon() {
    for url in
        ["", "127.0.0.1:8780", "/reports", "ftp://127.0.0.1", "http://a:b@127.0.0.1", "http://127.0.0.1/?a=b"]
    {
        assert!(parse_url(url).is_err(), "{url:?}");
    }
}

#[test]
fn address_never_repeats_a_password() {
    let error = parse_url("http://me:secret@127.0.0.1").expect_err("a password");
    assert!(!format!("{error:#}").contains("secret"));
}
