//! A socket that answers by rote, for the tests of every command that talks to a daemon.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Answers one request after the other, each with its bytes, on as many connections as are asked for. An answer
/// without bytes closes the connection instead. Returns what was received.
pub(crate) fn server(connections: Vec<Vec<&'static str>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let mut received = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().expect("a connection");
            for answer in answers {
                received.push(read_request(&mut stream));
                stream.write_all(answer.as_bytes()).expect("written");
            }
        }
        received
    });
    (url, thread)
}

fn read_request(stream: &mut std::net::TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        let seen = String::from_utf8_lossy(&text).to_ascii_lowercase();
        if let Some(end) = seen.find("\r\n\r\n") {
            let length = seen
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next())
                .map_or(0, |digits| digits.parse::<usize>().expect("a number"));
            if text.len() >= end + 4 + length {
                return String::from_utf8(text).expect("text");
            }
        }
        let read = stream.read(&mut buffer).expect("bytes");
        assert!(read > 0, "the request ended early: {seen}");
        text.extend_from_slice(&buffer[..read]);
    }
}
