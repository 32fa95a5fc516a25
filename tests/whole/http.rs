//! The least HTTP/1.1 client that the tests need: one keep-alive connection, bodies by Content-Length.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// One connection; reconnects where the daemon has closed it.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// A status, the headers in lower case, and the body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").unwrap_or_else(|error| panic!("GET {target}: {error}"))
    }

    pub(crate) fn post(&mut self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("POST", target, headers, body).unwrap_or_else(|error| panic!("POST {target}: {error}"))
    }

    /// Sends one request; an error means that no answer came.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_mins(1)))?;
            BufReader::new(stream)
        };
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        connection.get_ref().write_all(&bytes)?;
        self.read_answer(connection, method)
    }

    fn read_answer(&mut self, mut connection: BufReader<TcpStream>, method: &str) -> std::io::Result<Answer> {
        let status_line = read_line(&mut connection)?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut headers = Vec::new();
        loop {
            let line = read_line(&mut connection)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length: usize = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if method != "HEAD" && status != 204 {
            answer.body.resize(length, 0);
            connection.read_exact(&mut answer.body)?;
        }
        if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn read_line(connection: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
