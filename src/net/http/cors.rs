//! Pages of other origins that may ask, and the headers by which their browsers let them read the answers (CORS). Knows
//! nothing of routes or tokens: a listed page needs a token as everybody does.
//!
//! INVARIANT: an origin that is not listed gets no such header, and nobody gets `*` or `Access-Control-Allow-Credentials`:
//! tallyd takes no cookies, and a page sends its token in `Authorization`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};

use super::response::{self, HttpResponse};
use crate::limits::{ORIGINS_MAX, PREFLIGHT_AGE};

/// The headers of a request that a page may set, beside those that need no leave.
const HEADERS_TAKEN: HeaderValue = HeaderValue::from_static(
    "authorization, content-encoding, content-type, idempotency-key, if-none-match, last-event-id",
);
/// The headers of an answer that a page may read, beside those that need no leave.
const HEADERS_SHOWN: HeaderValue = HeaderValue::from_static(
    "allow, content-disposition, etag, idempotency-replayed, retry-after, www-authenticate, x-dropped-before, x-groups-omitted, \
     x-influxdb-build, x-influxdb-error, x-influxdb-version",
);
const ORIGIN: HeaderValue = HeaderValue::from_static("origin");

/// The origins whose pages may ask, each as browsers send it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins(Box<[HeaderValue]>);

impl Origins {
    /// The origins of a list that commas separate. Letter case and a default port are made those of browsers. `None` where
    /// one is not `scheme://host[:port]`, or there are none or more than [`ORIGINS_MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        let origins: Option<Vec<HeaderValue>> = text.split(',').map(|origin| parse(origin.trim())).collect();
        let mut origins = origins?;
        origins.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        origins.dedup();
        (origins.len() <= ORIGINS_MAX).then(|| Self(origins.into()))
    }

    /// The origin of the page that asks, where it is listed.
    fn listed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let mut given = headers.get_all(header::ORIGIN).iter();
        let (origin, None) = (given.next()?, given.next()) else { return None };
        self.0.contains(origin).then_some(origin)
    }

    /// Whether a page asks that is neither listed nor of the daemon's own address, which is `host`. Browsers name the origin
    /// with all that writes; other clients name none.
    pub(super) fn is_foreign(&self, headers: &HeaderMap, host: Option<&[u8]>) -> bool {
        let is_own = |origin: &HeaderValue| {
            let authority = memchr::memmem::find(origin.as_bytes(), b"://")
                .and_then(|end| origin.as_bytes().get(end.saturating_add(3)..));
            authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
        };
        headers.get_all(header::ORIGIN).iter().any(|origin| !self.0.contains(origin) && !is_own(origin))
    }

    /// Whether the browser of a listed page asks beforehand what the path takes.
    pub(super) fn is_preflight(&self, head: &Parts) -> bool {
        head.method == Method::OPTIONS
            && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.listed(&head.headers).is_some()
    }

    /// Adds to any answer what the browser of a listed page needs to hand it over. Caches are told that answers differ by
    /// origin whoever asks, once any is listed.
    pub(super) fn mark<B>(&self, asked: &HeaderMap, response: &mut Response<B>) {
        if self.0.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        headers.append(header::VARY, ORIGIN);
        if let Some(origin) = self.listed(asked) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HEADERS_SHOWN);
        }
    }
}

/// What a preflight of a path that takes these methods is answered: `204`.
pub(super) fn preflight(methods: &str) -> HttpResponse {
    let mut response = response::empty();
    let headers = response.headers_mut();
    if let Ok(methods) = HeaderValue::try_from(methods) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS_TAKEN);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_AGE.as_secs()));
    response
}

/// One origin, as browsers send it.
fn parse(text: &str) -> Option<HeaderValue> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let mut letters = scheme.bytes();
    let is_scheme = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port_number(port)?)),
        _ => (authority, None),
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => format!("[{}]", rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
        None => is_host_name(host).then(|| host.to_owned())?,
    };
    let port = port.filter(|port| !matches!((scheme, port), ("http", 80) | ("https", 443)));
    let port = port.map_or(String::new(), |port| format!(":{port}"));
    HeaderValue::try_from(format!("{scheme}://{host}{port}")).ok().filter(|_| is_scheme)
}

fn port_number(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0)
}

/// Whether browsers can send it: a name of ASCII (they send others as `xn--…`), or an IPv4 address of four numbers.
fn is_host_name(host: &str) -> bool {
    let is_text = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let looks_numeric = host.rsplit('.').next().is_some_and(|last| last.parse::<u64>().is_ok());
    is_text && (!looks_numeric || host.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let parsed = Origins::parse(text);
        let shown =
            parsed.as_ref().map(|origins| origins.0.iter().map(|one| one.to_str().unwrap()).collect());
        let expected = (!expected.is_empty()).then(|| expected.to_vec());
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        check("https://board.example.org", &["https://board.example.org"]);
        check("HTTPS://Board.Example.ORG:443", &["https://board.example.org"]);
        check("http://board.example.org:80", &["http://board.example.org"]);
        check("http://board.example.org:443", &["http://board.example.org:443"]);
        check("http://127.0.0.1:3000", &["http://127.0.0.1:3000"]);
        check("http://[0:0::1]:3000", &["http://[::1]:3000"]);
        check("http://[::1]", &["http://[::1]"]);
        check("tauri://localhost", &["tauri://localhost"]);
        check("http://a,  http://b ,http://a:80", &["http://a", "http://b"]);
    }

    #[test]
    fn a_page_is_foreign_unless_it_is_listed_or_has_the_address_that_it_asks() {
        let origins = Origins::parse("https://board.example.org").unwrap();
        for (origin, host, expected) in [
            ("http://127.0.0.1:8780", "127.0.0.1:8780", false),
            ("https://[::1]:8780", "[::1]:8780", false),
            ("http://localhost", "LOCALHOST", false),
            ("https://board.example.org", "localhost:8780", false),
            ("http://127.0.0.1:8781", "127.0.0.1:8780", true),
            ("http://127.0.0.1", "127.0.0.1:8780", true),
            ("http://localhost:8780", "127.0.0.1:8780", true),
            ("https://board.example.org:8443", "localhost:8780", true),
            ("null", "null", true),
            ("", "", true),
        ] {
            let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            assert_eq!(origins.is_foreign(&headers, Some(host.as_bytes())), expected, "{origin} {host}");
            assert!(!origins.is_foreign(&HeaderMap::new(), Some(host.as_bytes())));
        }
        let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("http://localhost"))]);
        assert!(origins.is_foreign(&headers, None));
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        for text in [
            "",
            ",",
            "http://a,",
            "*",
            "null",
            "https://*",
            "https://*.example.org",
            "https://board.example.org/",
            "https://board.example.org/path",
            "https://board.example.org?x",
            "https://board.example.org#x",
            "https://user@board.example.org",
            "board.example.org",
            "//board.example.org",
            "https:board.example.org",
            "https://",
            "https://:443",
            "https://board.example.org:",
            "https://board.example.org:0",
            "https://board.example.org:+1",
            "https://board.example.org:65536",
            "https://a:1:2",
            "https://1.2.3",
            "https://1.2.3.256",
            "https://[::1",
            "https://[::g]",
            "https://::1",
            "https://bücher.example",
            "1http://a",
            "http://a http://b",
            "http://a;http://b",
        ] {
            check(text, &[]);
        }
        let many = |count: usize| (0..count).map(|n| format!("http://host{n}")).collect::<Vec<_>>().join(",");
        assert!(Origins::parse(&many(ORIGINS_MAX)).is_some());
        assert!(Origins::parse(&many(ORIGINS_MAX + 1)).is_none());
    }
}
