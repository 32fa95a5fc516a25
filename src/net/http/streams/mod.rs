//! `GET /reports/{name}/stream`: a report, and then what changes of it, as server-sent events. [`live`] makes them, in the
//! [`pace`] that is right, each told as a [`patch`] where it can be.
//!
//! INVARIANT: a stream holds the state that its client was told last, and no queue: what a slow client has not read is told by
//! the next change, made then.

mod event;
mod live;
mod pace;
mod patch;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;

use super::HttpShared;
use super::access::Access;
use super::client_stream::Exchange;
use super::event_stream::{EventStream, Following};
use super::failure::{Detail, Failure};
use super::response::{HttpResponse, NO_STORE};
use super::response_body::ResponseBody;
use crate::limits::STREAM_SECONDS_MAX;
use crate::model::excerpt::Excerpt;
use crate::net::metrics::{Bound, Metrics};
use crate::report::ReportName;
use live::LiveReport;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Proxies that keep answers back until they are whole take this for a word not to.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /reports/{name}/stream`.
pub(super) async fn stream(
    shared: &Arc<HttpShared>,
    (access, exchange): (Access, &Arc<Exchange>),
    name: ReportName,
    query: &str,
) -> Result<HttpResponse, Failure> {
    let asked = Asked::parse(name, query)?;
    let slot = Slot::take(shared)?;
    let mut live = LiveReport::new(shared, (access, exchange), asked, slot);
    let parts = live.begin().await?;
    let events = EventStream::new(Following { parts, next: Some(Box::new(live).next()) });
    let mut response = HttpResponse::new(ResponseBody::Events(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What a stream is asked for.
#[derive(Debug)]
struct Asked {
    name: ReportName,
    /// The report's own part of the query string.
    query: String,
    /// How long it lasts, where it is to end by itself.
    lasts: Option<Duration>,
}

impl Asked {
    /// Takes the stream's parameters out of a query string; all others are the report's.
    fn parse(name: ReportName, query: &str) -> Result<Self, Failure> {
        let mut lasts = None;
        let mut faults = Vec::new();
        let mut report = form_urlencoded::Serializer::new(String::new());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let fault = match key.as_ref() {
                // A parameter without a value is one that is not given.
                "duration" | "format" if value.is_empty() => None,
                "duration" if lasts.is_some() => Some("given more than once, takes one value".to_owned()),
                "duration" => {
                    lasts = seconds(&value);
                    let got = Excerpt::quoted(&value);
                    let takes = || format!("got {got}, takes whole seconds from 1 to {STREAM_SECONDS_MAX}");
                    lasts.is_none().then(takes)
                }
                "format" => Some("a stream has one format, events with JSON".to_owned()),
                _ => {
                    report.append_pair(&key, &value);
                    None
                }
            };
            faults.extend(fault.map(|message| fault_of(key, &message)));
        }
        if !faults.is_empty() {
            return Err(Failure::faults(faults));
        }
        Ok(Self { name, query: report.finish(), lasts })
    }

    fn pairs(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query.as_bytes()).collect()
    }
}

fn fault_of(key: Cow<'_, str>, message: &str) -> Detail {
    Detail::Parameter { message: format!("parameter {key}: {message}"), parameter: key.into_owned() }
}

fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|seconds| digits && (1..=STREAM_SECONDS_MAX).contains(seconds));
    seconds.map(Duration::from_secs)
}

/// One of the streams that there may be at a time.
#[derive(Debug)]
struct Slot {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// 503 where there are as many already.
    fn take(shared: &HttpShared) -> Result<Self, Failure> {
        let permit = Arc::clone(&shared.streams).try_acquire_owned();
        let permit = permit.map_err(|_none_left| Failure::overloaded(Bound::Streams))?;
        let metrics = Arc::clone(&shared.services.metrics);
        metrics.stream_opened();
        Ok(Self { metrics, _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.stream_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<(&str, Option<u64>), &str>) {
        let asked = Asked::parse(ReportName::Conversations, query);
        let shown =
            asked.as_ref().map(|asked| (asked.query.as_str(), asked.lasts.map(|lasts| lasts.as_secs())));
        let shown = shown.map_err(ToString::to_string);
        assert_eq!(shown, expected.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn the_parameters_of_a_stream_are_its_own_and_the_others_the_reports() {
        check("", Ok(("", None)));
        check("duration=1", Ok(("", Some(1))));
        check("period=today&duration=86400&source=app", Ok(("period=today&source=app", Some(86_400))));
        check("storyId=a%26b&timezone=Europe/Warsaw", Ok(("storyId=a%26b&timezone=Europe%2FWarsaw", None)));
        for bad in ["0", "86401", "x", "1.5", "-1", "99999999999999999999"] {
            let told = format!(
                "400 Bad Request: parameter duration: got \"{bad}\", takes whole seconds from 1 to 86400"
            );
            check(&format!("duration={bad}"), Err(&told));
        }
        check("duration=&format=&duration=5", Ok(("", Some(5))));
        let twice = "400 Bad Request: parameter duration: given more than once, takes one value";
        check("duration=1&duration=2", Err(twice));
        check(
            "format=csv",
            Err("400 Bad Request: parameter format: a stream has one format, events with JSON"),
        );
        check("format=json&duration=0", Err("400 Bad Request: the request has 2 faults"));
    }
}
