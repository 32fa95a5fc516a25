//! The page over HTTP: its files, who gets it at `/`, and the headers that bind browsers. Must not know what is in the
//! files.
//!
//! INVARIANT: every answer forbids browsers to guess its kind; the page, its files and `/api` carry the page's policy, and all
//! other answers one under which nothing of them can run or be framed.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::accept::takes_html;
use super::accept_encoding;
use super::entity_tag::EntityTag;
use super::inflate::Encoding;
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
    let mut response = if takes_html(asked) {
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
    let tag = EntityTag::of_hash(page::hash());
    let is_packed = !file.gzip.is_empty() && accept_encoding::wanted(asked, Encoding::Gzip) == Encoding::Gzip;
    let encoding = if is_packed { Encoding::Gzip } else { Encoding::Identity };
    let bytes = if is_packed { &file.gzip } else { &file.bytes };
    let mut response = response::content(file.kind, Bytes::from_static(bytes));
    if tag.is_held(asked) {
        response = response::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if let Some(name) = encoding.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(tag) = tag.to_header(encoding) {
        headers.insert(header::ETAG, tag);
    }
    bound_as_page(response)
}

/// `GET /api`: other HTML in the style of the page.
pub(super) fn document(html: Bytes) -> HttpResponse {
    bound_as_page(response::content("text/html; charset=utf-8", html))
}

fn bound_as_page(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    headers.extend(PAGE_HEADERS.map(|(name, value)| (Some(name), value)));
    response
}
