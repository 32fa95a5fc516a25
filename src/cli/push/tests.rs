//! Pushing against a socket that answers by rote.

use std::io::Write as _;

use crate::cli::client::AccessArgs;
use crate::cli::client::testing::server;

use super::*;

const PARTIAL: &str = "HTTP/1.1 400 Bad\r\nContent-Length: 98\r\n\r\n\
    {\"accepted\":1,\"rejected\":1,\"status\":{\"code\":400,\"details\":[{\"line\":2,\"message\":\"no such kind\"}]}} ";
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"accepted\":2,\"rejected\":0}";
const LATER: &str = "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n";

fn push(text: &str, connections: Vec<Vec<&'static str>>) -> (anyhow::Result<ExitCode>, Vec<String>) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let (url, thread) = server(connections);
    let args = PushArgs {
        files: vec![file.path().to_owned()],
        precision: Some("ms".to_owned()),
        again: false,
        quiet: true,
        connection: ConnectionArgs { url, access: AccessArgs::default() },
    };
    let result = run(&args);
    (result, thread.join().expect("a server"))
}

fn code(result: &anyhow::Result<ExitCode>) -> String {
    format!("{:?}", result.as_ref().expect("an exit code"))
}

#[test]
fn push_ends_with_0_where_every_line_counts() {
    let (result, received) = push("message 1\nmessage 2\n", vec![vec![FINE]]);
    assert_eq!(code(&result), format!("{:?}", ExitCode::from(0)));
    assert!(received[0].starts_with("POST /events?precision=ms HTTP/1.1\r\n"), "{}", received[0]);
    assert!(received[0].ends_with("\r\n\r\nmessage 1\nmessage 2\n"), "{}", received[0]);
}

#[test]
fn push_ends_with_1_where_a_line_does_not_count() {
    let (result, _) = push("message 1\nbad\n", vec![vec![PARTIAL]]);
    assert_eq!(code(&result), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn push_sends_a_batch_again_that_the_daemon_did_not_take() {
    let (result, received) = push("message 1\nmessage 2\n", vec![vec![LATER, FINE]]);
    assert_eq!(code(&result), format!("{:?}", ExitCode::from(0)));
    assert_eq!(received.len(), 2);
}

#[test]
fn push_sends_a_batch_again_under_its_key_where_the_outcome_is_not_known() {
    let unknown = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    let (result, received) = push("message 1\nmessage 2\n", vec![vec![""], vec![unknown, FINE]]);
    assert_eq!(code(&result), format!("{:?}", ExitCode::from(0)));
    let keys: Vec<&str> = received
        .iter()
        .map(|request| {
            request.lines().find(|line| line.starts_with("idempotency-key: push-")).expect("a key")
        })
        .collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[test]
fn push_says_that_a_file_has_changed() {
    let conflict = "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n";
    let (result, _) = push("message 1\n", vec![vec![conflict]]);
    let error = format!("{:#}", result.expect_err("it differs"));
    assert!(error.contains("line 1 of") && error.contains("--again"), "{error}");
}

#[test]
fn push_sends_nothing_where_a_file_is_missing() {
    let (url, thread) = server(Vec::new());
    let file = tempfile::NamedTempFile::new().expect("a file");
    let args = PushArgs {
        files: vec![file.path().to_owned(), PathBuf::from("/nonexistent/events")],
        precision: None,
        again: false,
        quiet: true,
        connection: ConnectionArgs { url, access: AccessArgs::default() },
    };
    let error = format!("{:#}", run(&args).expect_err("it is missing"));
    assert!(error.contains("/nonexistent/events"), "{error}");
    assert_eq!(thread.join().expect("a server"), Vec::<String>::new());
}

#[test]
fn push_stops_where_the_daemon_refuses() {
    let (result, _) = push("message 1\n", vec![vec!["HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"]]);
    let error = format!("{:#}", result.expect_err("refused"));
    assert!(error.contains("401 Unauthorized"), "{error}");
}
