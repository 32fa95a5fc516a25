//! The least HTTP client that can measure a server without costing much itself.

use std::io::{self, Read, Write};
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
        self.try_exchange(request).expect("the server answers")
    }

    /// The same, where the server may close the connection.
    pub(crate) fn try_exchange(&mut self, request: &[u8]) -> io::Result<(u16, usize)> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            if let Some(head) = parse_head(&self.buffer[..filled]) {
                break head;
            }
        };
        match head.body_length {
            Some(length) => {
                let mut left = (head.length + length).saturating_sub(filled);
                while left > 0 {
                    left = left.saturating_sub(self.read(0)?);
                }
                Ok((head.status, length))
            }
            None => Ok((head.status, self.read_chunks(head.length, filled)?)),
        }
    }

    /// Reads a body in chunks to its end, of which `start..end` of the buffer is there; gives its length.
    fn read_chunks(&mut self, start: usize, end: usize) -> io::Result<usize> {
        let mut chunks = Chunks::default();
        let mut done = chunks.take(&self.buffer[start..end]);
        while !done {
            let read = self.read(0)?;
            done = chunks.take(&self.buffer[..read]);
        }
        Ok(chunks.length)
    }

    fn read(&mut self, from: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[from..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// How far the reading of a body in chunks has come.
#[derive(Default)]
struct Chunks {
    /// Bytes of the body so far.
    length: usize,
    /// Bytes of the present chunk that are still to come, its line end included.
    left: usize,
    /// Digits of the next chunk's length.
    size: usize,
    is_last: bool,
}

impl Chunks {
    /// Takes more bytes; whether the body is at its end. There are no trailers.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let here = self.left.min(bytes.len());
            self.left -= here;
            bytes = &bytes[here..];
            match bytes.split_first() {
                None => return self.is_last && self.left == 0,
                Some((b'\n', rest)) => {
                    bytes = rest;
                    self.length += self.size;
                    self.is_last = self.size == 0;
                    self.left = self.size + 2;
                    self.size = 0;
                }
                Some((b'\r', rest)) => bytes = rest,
                Some((digit, rest)) => {
                    self.size = self.size * 16 + char::from(*digit).to_digit(16).expect("a digit") as usize;
                    bytes = rest;
                }
            }
        }
    }
}

pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: usize,
    /// `None` where the body comes in chunks.
    pub(crate) body_length: Option<usize>,
}

/// Status and lengths, once the whole head is there.
pub(crate) fn parse_head(bytes: &[u8]) -> Option<Head> {
    let length = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..length]).expect("a text head");
    let status = text[9..12].parse().expect("a status");
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let body_length = match value("transfer-encoding") {
        Some(_) => None,
        None => Some(value("content-length").map_or(0, |value| value.parse().expect("a length"))),
    };
    Some(Head { status, length, body_length })
}

pub(crate) fn get(target: &str) -> Vec<u8> {
    get_with(target, "")
}

/// A request with more headers, each with its line end.
pub(crate) fn get_with(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// The body of the answer to one request on a connection of its own.
pub(crate) fn get_text(address: SocketAddr, target: &str) -> String {
    get_whole(address, target).1
}

/// A header of the answer to one request on a connection of its own.
pub(crate) fn get_header(address: SocketAddr, target: &str, wanted: &str) -> String {
    let (head, _) = get_whole(address, target);
    let named = |line: &str| Some(line.split_once(": ").filter(|(name, _)| *name == wanted)?.1.to_owned());
    head.lines().find_map(named).expect("an answer with the header")
}

/// Head and body of the answer to one request on a connection of its own.
fn get_whole(address: SocketAddr, target: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream
        .write_all(
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 20"), "{target}: {answer}");
    (head.to_owned(), body.to_owned())
}

pub(crate) fn post(target: &str, encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let encoding = encoding.map(|name| format!("Content-Encoding: {name}\r\n")).unwrap_or_default();
    post_with(target, &encoding, body)
}

/// A request with more headers, each with its line end.
pub(crate) fn post_with(target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
