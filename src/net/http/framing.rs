//! Follows the raw bytes of a connection to find requests whose end a proxy and hyper could see at different places
//! (request smuggling), and refuses them. It needs the raw bytes because hyper drops a `Content-Length` beside a
//! `Transfer-Encoding` before a service can see it, and accepts codings that it does not decode. Pure; holds at most one
//! short line.
//!
//! INVARIANT: a request whose end is in doubt is refused, and so is everything behind it.

use crate::limits::{narrow, wide};

/// Longest beginning of a header line that is kept. Of the two headers of interest nothing longer is taken.
const LINE_KEPT_BYTES: usize = 64;

/// The part of a request that comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RequestPart {
    /// The request line, or blank lines before it.
    Start,
    Headers,
    /// This many bytes of a body.
    Body(u64),
    ChunkSize,
    /// This many bytes of a chunk, its line ending not among them.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// The end is in doubt: the connection is refused from the last request on.
    Lost,
}

/// What the headers of a request say about its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Said {
    length: Option<u64>,
    is_chunked: bool,
    /// The headers contradict each other, or use a coding that is not known.
    is_doubtful: bool,
}

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Framing {
    next_part: RequestPart,
    /// The beginning of the current line, spaces after its first colon left out.
    line: Vec<u8>,
    said: Said,
    heads: u64,
}

impl Framing {
    /// A connection on which nothing has come.
    pub(super) fn new() -> Self {
        Self { next_part: RequestPart::Start, line: Vec::new(), said: Said::default(), heads: 0 }
    }

    /// Takes what has come. `Some(n)`, once, if the `n`-th request of the connection (from 0) has to be refused.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() {
            bytes = match self.next_part {
                RequestPart::Body(left) => self.skip(bytes, left, RequestPart::Body, RequestPart::Start),
                RequestPart::Chunk(left) => self.skip(bytes, left, RequestPart::Chunk, RequestPart::ChunkEnd),
                RequestPart::Lost => return None,
                RequestPart::Start
                | RequestPart::Headers
                | RequestPart::ChunkSize
                | RequestPart::ChunkEnd
                | RequestPart::Trailers => self.follow_line(bytes),
            };
            if self.next_part == RequestPart::Lost {
                return Some(self.heads.saturating_sub(1));
            }
        }
        None
    }

    /// Passes over `left` bytes, as far as they are there.
    fn skip<'a>(
        &mut self,
        bytes: &'a [u8],
        left: u64,
        within: fn(u64) -> RequestPart,
        behind: RequestPart,
    ) -> &'a [u8] {
        let here = narrow(left).min(bytes.len());
        let left = left.saturating_sub(wide(here));
        self.next_part = if left == 0 { behind } else { within(left) };
        bytes.get(here..).unwrap_or_default()
    }

    /// Consumes a line, or the part of it that has arrived, and moves on by what it says.
    fn follow_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = memchr::memchr(b'\n', bytes);
        let (line, rest) = bytes.split_at_checked(end.map_or(bytes.len(), |end| end + 1)).unwrap_or_default();
        // The first letter tells what most lines are.
        if self.line.is_empty() && end.is_some() && says_no_length(line) {
            match self.next_part {
                RequestPart::Headers => return rest,
                RequestPart::Start => {
                    self.next_part = self.after_start();
                    return rest;
                }
                _ => {}
            }
        }
        for byte in line.iter().take(end.unwrap_or(line.len())) {
            if self.line.len() > LINE_KEPT_BYTES {
                break;
            }
            if !(matches!(byte, b' ' | b'\t') && self.line.last() == Some(&b':')) {
                self.line.push(*byte);
            }
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.next_part = self.after_line(line.trim_ascii_end());
            self.line = line;
            self.line.clear();
        }
        rest
    }

    fn after_line(&mut self, line: &[u8]) -> RequestPart {
        match self.next_part {
            // Blank lines may come before a request; a blank one ends the trailers.
            RequestPart::Start | RequestPart::Trailers if line.is_empty() => RequestPart::Start,
            RequestPart::Start => self.after_start(),
            RequestPart::Headers if line.is_empty() => self.body(),
            RequestPart::Headers => {
                self.said.note(line);
                RequestPart::Headers
            }
            RequestPart::ChunkSize => match chunk_size(line) {
                Some(0) => RequestPart::Trailers,
                Some(size) => RequestPart::Chunk(size),
                None => RequestPart::Lost,
            },
            RequestPart::ChunkEnd if line.is_empty() => RequestPart::ChunkSize,
            RequestPart::ChunkEnd => RequestPart::Lost,
            other => other,
        }
    }

    /// What follows a request line.
    fn after_start(&mut self) -> RequestPart {
        self.heads = self.heads.saturating_add(1);
        self.said = Said::default();
        RequestPart::Headers
    }

    /// What follows the head.
    fn body(&self) -> RequestPart {
        match self.said {
            Said { is_doubtful: true, .. } | Said { length: Some(_), is_chunked: true, .. } => {
                RequestPart::Lost
            }
            Said { is_chunked: true, .. } => RequestPart::ChunkSize,
            Said { length: None | Some(0), .. } => RequestPart::Start,
            Said { length: Some(length), .. } => RequestPart::Body(length),
        }
    }
}

impl Said {
    /// Notes what a header line says.
    fn note(&mut self, line: &[u8]) {
        let Some((name, value)) = memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon))
        else {
            return;
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        let is_cut = line.len() > LINE_KEPT_BYTES;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            self.is_doubtful |=
                is_cut || length.is_none() || self.length.is_some_and(|_| self.length != length);
            self.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_doubtful |= is_cut || self.is_chunked || !value.eq_ignore_ascii_case(b"chunked");
            self.is_chunked = true;
        }
    }
}

/// Whether a whole line begins with a letter that neither of the two headers of interest begins with.
fn says_no_length(line: &[u8]) -> bool {
    line.first()
        .is_some_and(|first| first.is_ascii_alphabetic() && !matches!(first, b'c' | b'C' | b't' | b'T'))
}

/// The size that the line before a chunk says.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusals of a connection, the same however its bytes are cut.
    fn check(text: &str, expected: Option<u64>) {
        let whole = Framing::new().follow(text.as_bytes());
        assert_eq!(whole, expected, "{text:?}");
        let mut framing = Framing::new();
        let singly: Vec<u64> = text.bytes().filter_map(|byte| framing.follow(&[byte])).collect();
        assert_eq!(singly, Vec::from_iter(expected), "byte by byte: {text:?}");
    }

    #[test]
    fn requests_with_one_end_pass_however_they_follow_each_other() {
        let get = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
        let sized = "POST /events HTTP/1.1\r\ncontent-length:   7\r\n\r\nA: b\r\n\n";
        let same = "POST /events HTTP/1.1\nContent-Length: 2\nContent-Length: 2\n\nab";
        let chunked = "POST /events HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       a;x=y\r\nContent-Le\r\n1\r\n:\r\n0\r\nContent-Length: 5\r\n\r\n";
        check(get, None);
        check(&[get, sized, chunked, "\r\n", same, chunked, sized, get].concat(), None);
        let long = format!("GET /{} HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(500), "b".repeat(500));
        check(&[long.as_str(), chunked].concat(), None);
    }

    #[test]
    fn a_request_with_two_ends_is_named_whatever_came_before_it() {
        let both = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let turned = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH:0\r\n\r\n0\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\r\n";
        for bad in [both, turned] {
            check(bad, Some(0));
            check(&[sized, sized, bad, sized].concat(), Some(2));
        }
    }

    #[test]
    fn a_request_whose_length_is_not_understood_is_named() {
        let far = format!("Content-Length: {}5", "0".repeat(100));
        for headers in [
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Content-Length: 5, 5",
            "Content-Length: -1",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 99999999999999999999",
            &far,
        ] {
            check(&format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n"), Some(0));
        }
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["x\r\n", "1\r\nab\r\n", "-1\r\n", "11111111111111111\r\n"] {
            check(&[chunked, body].concat(), Some(0));
        }
    }
}
