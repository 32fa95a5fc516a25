//! The least HTTP client that can measure a server without costing much itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 1 << 20] }
    }

    /// Sends the request and reads the whole answer; gives its status and the length of its body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> (u16, usize) {
        self.stream.write_all(request).unwrap();
        let mut filled = 0;
        let head = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if let Some(head) = parse_head(&self.buffer[..filled]) {
                break head;
            }
        };
        let mut left = (head.length + head.body_length).saturating_sub(filled);
        while left > 0 {
            let read = self.stream.read(&mut self.buffer).unwrap();
            assert!(read > 0, "the server closed the connection");
            left = left.saturating_sub(read);
        }
        (head.status, head.body_length)
    }
}

pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: usize,
    pub(crate) body_length: usize,
}

/// Status and lengths, once the whole head is there.
pub(crate) fn parse_head(bytes: &[u8]) -> Option<Head> {
    let length = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..length]).expect("a text head");
    let status = text[9..12].parse().expect("a status");
    let body_length = text
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
        })
        .unwrap_or(0);
    Some(Head { status, length, body_length })
}

pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: tallyd\r\n\r\n").into_bytes()
}

pub(crate) fn post(target: &str, encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let encoding = encoding.map(|name| format!("Content-Encoding: {name}\r\n")).unwrap_or_default();
    let mut request =
        format!("POST {target} HTTP/1.1\r\nHost: tallyd\r\n{encoding}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    request.extend_from_slice(body);
    request
}
