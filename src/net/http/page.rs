//! The page over HTTP: its files, who gets it at `/`, and the headers that bind browsers. Must not know what is in the
//! files.
//!
//! INVARIANT: every answer forbids browsers to guess its kind; the page and its files carry the page's policy, and all
//! other answers one under which nothing of them can run or be framed.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::response::{self, HttpResponse};
use crate::page::{self, PageFile};

const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);
const OTHER_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// What else binds the browser that shows the page.
const PAGE_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
    ),
];
/// The browser asks each time whether it is still the same.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// The path changes with the bytes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// `GET /`: the page where HTML is accepted by name, which only browsers do; else the list of routes.
pub(super) fn root(asked: &HeaderMap, listing: impl FnOnce() -> String) -> HttpResponse {
    let mut response = if takes(asked, &header::ACCEPT, "text/html") {
        sent(page::index(), asked, ASK_AGAIN)
    } else {
        response::content("text/plain; charset=utf-8", listing())
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// `GET /page/{tag}/{name}`, of a file that there is.
pub(super) fn file(file: &'static PageFile, asked: &HeaderMap) -> HttpResponse {
    sent(file, asked, FOR_EVER)
}

/// Adds to any answer what binds browsers.
pub(super) fn bind(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(OTHER_POLICY);
}

fn sent(file: &'static PageFile, asked: &HeaderMap, caching: HeaderValue) -> HttpResponse {
    let is_packed = !file.gzip.is_empty() && takes(asked, &header::ACCEPT_ENCODING, "gzip");
    let tag = page::tag();
    let etag = if is_packed { format!("\"{tag}-gzip\"") } else { format!("\"{tag}\"") };
    let bytes = if is_packed { &file.gzip } else { &file.bytes };
    let mut response = response::content(file.kind, Bytes::from_static(bytes));
    if has_tag(asked, tag) {
        response = response::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if is_packed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // A tag of hexadecimal digits in quotes is always a value.
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    headers.extend(PAGE_HEADERS.map(|(name, value)| (Some(name), value)));
    response
}

/// Whether a header that lists what is taken has the item, by name and not with the weight 0.
fn takes(asked: &HeaderMap, header: &HeaderName, item: &str) -> bool {
    let lists = asked.get_all(header).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let is_item = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(item));
        let is_refused = parts.filter_map(|part| part.split_once('=')).any(|(name, weight)| {
            name.trim().eq_ignore_ascii_case("q")
                && weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
        });
        is_item && !is_refused
    })
}

/// Whether the client has a form of what it asks for already.
fn has_tag(asked: &HeaderMap, tag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|known| {
        let known = known.trim();
        let known = known.strip_prefix("W/").unwrap_or(known).trim_matches('"');
        known == "*" || known.strip_suffix("-gzip").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &'static str, expected: bool) {
        let asked = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(list))]);
        assert_eq!(takes(&asked, &header::ACCEPT, "text/html"), expected, "{list}");
    }

    #[test]
    fn html_is_taken_where_it_is_named() {
        check("text/html", true);
        check("application/xhtml+xml, Text/HTML;q=0.9 , */*;q=0.8", true);
        check("text/html; level=1", true);
        check("*/*", false);
        check("text/*", false);
        check("text/html;q=0", false);
        check("text/html; Q=0.000", false);
        check("text/htmlx", false);
        check("", false);
    }

    #[test]
    fn tag_is_found_in_every_form() {
        for (value, expected) in [
            ("\"ab12\"", true),
            ("\"x\", W/\"ab12-gzip\"", true),
            ("*", true),
            ("\"ab13\"", false),
            ("", false),
        ] {
            let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
            assert_eq!(has_tag(&asked, "ab12"), expected, "{value}");
        }
    }
}
