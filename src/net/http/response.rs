//! Responses that are no errors, and the headers that several of them share.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::response_body::ResponseBody;
use crate::model::calendar::http_date;
use crate::platform::clock::Clock;

pub(super) type HttpResponse = Response<ResponseBody>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// No cache may keep an answer; clients may, and ask whether it still holds.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// How far the log was read that an answer stands for, or that one is asked to stand for.
pub(super) const POSITION: HeaderName = HeaderName::from_static("tallyd-position");

/// `200` with JSON that no cache may store.
pub(super) fn json(body: impl Into<ResponseBody>) -> HttpResponse {
    with_json(StatusCode::OK, body)
}

/// JSON with another status.
pub(super) fn with_json(status: StatusCode, body: impl Into<ResponseBody>) -> HttpResponse {
    no_store(with_body(status, JSON, body.into()))
}

/// `200` with another kind of content.
pub(super) fn content(kind: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    with_body(StatusCode::OK, HeaderValue::from_static(kind), ResponseBody::whole(body))
}

/// The same, for no cache to store.
pub(super) fn unstored(kind: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    no_store(content(kind, body))
}

pub(super) fn empty() -> HttpResponse {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn with_body(status: StatusCode, kind: HeaderValue, body: ResponseBody) -> HttpResponse {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn no_store(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// The same, said to be that of the first time.
pub(super) fn replayed(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Our own plain structs cannot fail to serialize; were it otherwise, clients would refuse an empty body.
    serde_json::to_vec(value).unwrap_or_default()
}

/// When to try again, as an HTTP date, since some clients read a number as milliseconds: the first second at which `after` is
/// over.
pub(super) fn retry_after(clock: &Clock, after: Duration) -> String {
    let nanos = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
    http_date(clock.unix_nanos().saturating_add(nanos).saturating_add(999_999_999).div_euclid(1_000_000_000))
}
