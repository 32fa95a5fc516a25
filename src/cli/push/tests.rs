//! Pushing against a socket that answers by rote.

use std::io::Write as _;

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
        quiet: true,
        connection: ConnectionArgs { url, token: None, token_file: None },
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
fn push_stops_where_an_answer_is_lost_and_says_which_lines() {
    let (result, received) = push("message 1\nmessage 2\n", vec![vec![""]]);
    let error = format!("{:#}", result.expect_err("no answer"));
    assert!(error.contains("lines 1 to 2") && error.contains("may have been counted or not"), "{error}");
    assert_eq!(received.len(), 1);
}

#[test]
fn push_stops_where_the_daemon_does_not_know_and_says_which_lines() {
    let unknown =
        "HTTP/1.1 500 No\r\nContent-Length: 47\r\n\r\n{\"status\":{\"message\":\"the journal is broken\"}} ";
    let (result, received) = push("message 1\nmessage 2\n", vec![vec![unknown]]);
    let error = format!("{:#}", result.expect_err("not known"));
    assert!(error.contains("lines 1 to 2") && error.contains("may have been counted or not"), "{error}");
    assert!(error.contains("the journal is broken"), "{error}");
    assert_eq!(received.len(), 1);
}

#[test]
fn push_stops_where_the_daemon_refuses() {
    let (result, _) = push("message 1\n", vec![vec!["HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"]]);
    let error = format!("{:#}", result.expect_err("refused"));
    assert!(error.contains("401 Unauthorized"), "{error}");
}
