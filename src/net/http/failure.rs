//! The one error of HTTP, and its responses in the three dialects that clients expect.
//! INVARIANT: every 503 and 429 carries `Retry-After` as an HTTP date, every 401 `WWW-Authenticate`, every 405 `Allow`; a 500
//! that leaves the outcome unknown carries no `Retry-After` and closes the connection.

use std::borrow::Cow;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use serde::Serialize;

use super::response::{self, HttpResponse, retry_after, to_json, with_json};
use super::routes::Dialect;
use crate::limits::{HEADER_TEXT_CHARS_MAX, LINES_IN_MESSAGE_MAX, RETRY_AFTER, wide};
use crate::model::calendar::rfc3339;
use crate::net::metrics::Bound;
use crate::platform::clock::Clock;

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const INFLUX_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// One thing that was wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Detail {
    /// A line of a body.
    Line { line: u64, message: String },
    /// A parameter of the query or a field of the body.
    Parameter {
        parameter: String,
        /// What it got and what it takes.
        message: String,
    },
}

impl Detail {
    fn message(&self) -> &str {
        match self {
            Self::Line { message, .. } | Self::Parameter { message, .. } => message,
        }
    }
}

/// Lines of a body by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
}

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub(super) struct Failure {
    status: StatusCode,
    message: Cow<'static, str>,
    pub(super) details: Vec<Detail>,
    counts: Option<Counts>,
    allow: Option<String>,
    /// The bound that was reached, if it was one.
    pub(super) bound: Option<Bound>,
    /// The connection is closed after it, so that the rest of the body need not be read.
    pub(super) closes: bool,
    is_replayed: bool,
    /// How far in the future `Retry-After` lies, where there is one.
    retry_after: Duration,
}

#[derive(Serialize)]
struct Envelope<'a> {
    timestamp: String,
    status: EnvelopeStatus<'a>,
    #[serde(flatten)]
    counts: Option<Counts>,
}

#[derive(Serialize)]
struct EnvelopeStatus<'a> {
    code: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    details: &'a [Detail],
}

#[derive(Serialize)]
struct InfluxV1<'a> {
    error: &'a str,
    #[serde(flatten)]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [Detail],
}

#[derive(Serialize)]
struct InfluxV2<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [Detail],
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            details: Vec::new(),
            counts: None,
            allow: None,
            bound: None,
            closes: false,
            is_replayed: false,
            retry_after: RETRY_AFTER,
        }
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// `400` about one parameter or field.
    pub(super) fn parameter(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self::faults(vec![Detail::Parameter { parameter: parameter.into(), message: message.into() }])
    }

    /// `400` with everything that is wrong; the message is the fault itself if there is only one.
    pub(super) fn faults(details: Vec<Detail>) -> Self {
        let message = match details.as_slice() {
            [only] => Cow::Owned(only.message().to_owned()),
            more => Cow::Owned(format!("the request has {} faults", more.len())),
        };
        Self { details, ..Self::bad_request(message) }
    }

    /// `400` of a body of which some lines, or all, were not counted.
    pub(super) fn partial(counts: Counts, details: Vec<Detail>) -> Self {
        let Counts { accepted, rejected } = counts;
        let lines = if rejected == 1 { "line was" } else { "lines were" };
        let others = if accepted == 1 { "line was" } else { "lines were" };
        let mut message = format!("{rejected} {lines} rejected, {accepted} {others} counted");
        if wide(details.len()) < rejected {
            message.extend(["; details has the first ", &details.len().to_string()]);
        }
        Self { details, counts: Some(counts), ..Self::bad_request(message) }
    }

    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn method_not_allowed(allow: String) -> Self {
        let message = format!("this path takes {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    /// `503`: to be tried again later.
    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// `503`: a bound that all clients share was reached.
    pub(super) fn overloaded(bound: Bound) -> Self {
        Self { bound: Some(bound), ..Self::unavailable(bound.message()) }
    }

    /// `500`: a bug of ours, which the log describes.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the daemon's log")
    }

    /// The same, and the connection is closed after it.
    pub(super) fn and_close(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The same, to be tried again after that time.
    pub(super) fn after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// The same, as the answer that the batch got the first time.
    pub(super) fn and_replayed(self) -> Self {
        Self { is_replayed: true, ..self }
    }

    /// The response in the shape that the route's clients expect.
    pub(super) fn to_response(&self, dialect: Dialect, clock: &Clock) -> HttpResponse {
        let body = match dialect {
            Dialect::Own => self.own(clock),
            Dialect::InfluxV1 => {
                let error = self.influx_message();
                to_json(&InfluxV1 { error: &error, counts: self.counts, details: &self.details })
            }
            Dialect::InfluxV2 => self.influx_v2(),
        };
        let mut response = with_json(self.status, body);
        let headers = response.headers_mut();
        if dialect == Dialect::InfluxV1 {
            headers.insert(INFLUX_ERROR, header_text(&self.influx_message()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = if dialect == Dialect::InfluxV1 {
                "Basic realm=\"tallyd\""
            } else {
                "Bearer realm=\"tallyd\""
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        if let Some(at) = self.retry_at(clock) {
            headers.insert(header::RETRY_AFTER, header_text(&at));
        }
        if let Some(allow) = &self.allow {
            headers.insert(header::ALLOW, header_text(allow));
        }
        if self.closes {
            headers.insert(header::CONNECTION, CLOSE);
        }
        if self.is_replayed { response::replayed(response) } else { response }
    }

    /// The whole of the last response of a connection that no task serves, as bytes.
    pub(super) fn to_bytes(&self, clock: &Clock) -> Vec<u8> {
        let body = self.own(clock);
        let retry = self.retry_at(clock).map_or(String::new(), |at| format!("retry-after: {at}\r\n"));
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncache-control: no-store\r\n{retry}\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            self.status,
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    /// When to try again, where that helps.
    fn retry_at(&self, clock: &Clock) -> Option<String> {
        let helps = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status);
        helps.then(|| retry_after(clock, self.retry_after))
    }

    fn own(&self, clock: &Clock) -> Vec<u8> {
        to_json(&Envelope {
            timestamp: rfc3339(clock.unix_ms()),
            status: EnvelopeStatus {
                code: self.status.as_u16(),
                kind: "error",
                message: &self.message,
                details: &self.details,
            },
            counts: self.counts,
        })
    }

    fn influx_v2(&self) -> Vec<u8> {
        let line = self.details.iter().find_map(|detail| match detail {
            Detail::Line { line, .. } => Some(*line),
            Detail::Parameter { .. } => None,
        });
        to_json(&InfluxV2 {
            code: influx_code(self.status),
            message: &self.influx_message(),
            line,
            counts: self.counts,
            details: &self.details,
        })
    }

    /// The message, with `partial write:` and the first bad lines where lines were rejected: the clients show
    /// nothing else of the answer.
    fn influx_message(&self) -> Cow<'_, str> {
        if self.counts.is_none() {
            return Cow::Borrowed(&self.message);
        }
        let mut text = format!("partial write: {}", self.message);
        for detail in self.details.iter().take(LINES_IN_MESSAGE_MAX) {
            if let Detail::Line { line, message } = detail {
                text.extend(["; line ", &line.to_string(), ": ", message]);
            }
        }
        Cow::Owned(text)
    }
}

fn influx_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        413 => "request too large",
        415 => "unsupported media type",
        421 => "misdirected request",
        422 => "unprocessable entity",
        429 => "too many requests",
        503 => "unavailable",
        500 => "internal error",
        _ => "invalid",
    }
}

/// A text as a header's value: visible ASCII, shortened.
fn header_text(text: &str) -> HeaderValue {
    let visible: String = text
        .chars()
        .take(HEADER_TEXT_CHARS_MAX)
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect();
    HeaderValue::try_from(visible).unwrap_or_else(|_invalid| HeaderValue::from_static("error"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn shown(failure: &Failure, dialect: Dialect) -> (hyper::HeaderMap, String) {
        let clock = Clock::manual(1_552_813_200_123_000_000);
        let (head, body) = failure.to_response(dialect, &clock).into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body.collect()).unwrap().to_bytes();
        (head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    fn partial() -> Failure {
        let details = vec![Detail::Line { line: 2, message: "no `source` in é".to_owned() }];
        Failure::partial(Counts { accepted: 3, rejected: 1 }, details)
    }

    #[test]
    fn a_partial_write_is_reported_in_each_dialect() {
        let (_, own) = shown(&partial(), Dialect::Own);
        assert_eq!(
            own,
            "{\"timestamp\":\"2019-03-17T09:00:00.123Z\",\"status\":{\"code\":400,\"type\":\"error\",\
             \"message\":\"1 line was rejected, 3 lines were counted\",\
             \"details\":[{\"line\":2,\"message\":\"no `source` in é\"}]},\"accepted\":3,\"rejected\":1}"
        );
        let (headers, v1) = shown(&partial(), Dialect::InfluxV1);
        assert!(v1.starts_with("{\"error\":\"partial write: 1 line was rejected"), "{v1}");
        assert!(headers["x-influxdb-error"].to_str().unwrap().ends_with("line 2: no `source` in ?"));
        let (_, v2) = shown(&partial(), Dialect::InfluxV2);
        assert!(v2.starts_with("{\"code\":\"invalid\",\"message\":\"partial write: "), "{v2}");
        assert!(v2.contains("\"line\":2,\"accepted\":3,\"rejected\":1"), "{v2}");
    }

    #[test]
    fn a_503_says_when_to_come_back_as_a_date() {
        for dialect in [Dialect::Own, Dialect::InfluxV1, Dialect::InfluxV2] {
            let (headers, _) = shown(&Failure::unavailable("busy"), dialect);
            assert_eq!(headers["retry-after"], "Sun, 17 Mar 2019 09:00:04 GMT");
        }
        let guessed =
            Failure::new(StatusCode::TOO_MANY_REQUESTS, "guessed").after(Duration::from_millis(7_877));
        assert_eq!(shown(&guessed, Dialect::Own).0["retry-after"], "Sun, 17 Mar 2019 09:00:08 GMT");
        let raw = String::from_utf8(Failure::unavailable("full").to_bytes(&Clock::manual(0))).unwrap();
        assert!(raw.contains("retry-after: Thu, 01 Jan 1970 00:00:03 GMT\r\n"), "{raw}");
    }

    #[test]
    fn a_405_says_what_is_allowed_and_a_401_how_to_authenticate() {
        let (headers, _) = shown(&Failure::method_not_allowed("GET, HEAD".to_owned()), Dialect::Own);
        assert_eq!(headers["allow"], "GET, HEAD");
        let denied = Failure::new(StatusCode::UNAUTHORIZED, "authentication required");
        assert_eq!(shown(&denied, Dialect::Own).0["www-authenticate"], "Bearer realm=\"tallyd\"");
        assert_eq!(shown(&denied, Dialect::InfluxV1).0["www-authenticate"], "Basic realm=\"tallyd\"");
    }

    #[test]
    fn faults_show_the_only_one_as_the_message() {
        let one = Failure::parameter("limit", "`limit` got x");
        assert_eq!(one.message, "`limit` got x");
        let detail = Detail::Parameter { parameter: "a".to_owned(), message: "b".to_owned() };
        assert_eq!(Failure::faults(vec![detail.clone(), detail]).message, "the request has 2 faults");
    }
}
