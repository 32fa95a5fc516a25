//! What a node of several says of the log that it shares, and what it is asked to have read before it answers.

use hyper::http::request::Parts;
use serde::Serialize;

use super::failure::Failure;
use super::response::{self, HttpResponse, POSITION};
use crate::cluster::position::{LogId, LogSequence};
use crate::limits::LOG_POSITION_WAIT_MAX;
use crate::net::Services;
use crate::net::log::LogServices;
use crate::store::LogPosition;

/// Waits until what the request wants to be read is, but not for long; refuses reports where the role is another.
pub(super) async fn check(services: &Services, log: &LogServices, head: &Parts) -> Result<(), Failure> {
    if !log.role.answers_reports() {
        return Err(Failure::unavailable("this node takes events and answers no reports; ask another one"));
    }
    let Some(wanted) = wanted(head)? else { return Ok(()) };
    let reached = services.clock.timeout(LOG_POSITION_WAIT_MAX, log.view.reached(wanted)).await;
    reached.ok_or_else(|| {
        Failure::unavailable(
            "this node has not read the log as far as `Tallyd-Position` says; ask again, or another one",
        )
    })
}

fn wanted(head: &Parts) -> Result<Option<LogPosition>, Failure> {
    let Some(value) = head.headers.get(POSITION) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse);
    parsed.map(Some).ok_or_else(|| {
        Failure::bad_request("`Tallyd-Position` takes what an answer had in it, such as 0123456789abcdef:42")
    })
}

/// A position as `Tallyd-Position` has it.
pub(super) fn text(position: LogPosition) -> String {
    format!("{}:{}", position.log, position.sequence)
}

fn parse(text: &str) -> Option<LogPosition> {
    let (log, sequence) = text.split_once(':')?;
    let is_plain = log.len() == 16 && sequence.bytes().all(|byte| byte.is_ascii_digit());
    let log = u64::from_str_radix(log, 16).ok().filter(|_| is_plain)?;
    Some(LogPosition { log: LogId::new(log), sequence: LogSequence::new(sequence.parse().ok()?) })
}

/// `GET /cluster`.
#[derive(Serialize)]
struct Cluster {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    last: u64,
    lag_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    digests: Vec<(u64, String)>,
    writers: Vec<(String, u64)>,
}

/// This daemon is alone.
pub(super) fn no_log() -> Failure {
    Failure::not_found("this daemon shares no log with others")
}

/// How far this node has read, and what it made of it. `404` where it shares no log.
pub(super) fn cluster(services: &Services) -> Result<HttpResponse, Failure> {
    let log = services.log.as_ref().ok_or_else(no_log)?;
    let (node, read) = (log.state.figures(), log.view.figures());
    let lag = node.lag(services.clock.monotonic());
    let body = Cluster {
        role: log.role.as_str(),
        log: read.as_ref().map(|read| read.log.to_string()),
        position: read.as_ref().map_or(0, |read| read.position.sequence.get()),
        chain: read.as_ref().map(|read| format!("{:016x}", read.position.chain.get())),
        last: node.last.get(),
        lag_seconds: lag.as_secs_f64(),
        digest: read.as_ref().map(|read| format!("{:032x}", read.digest.get())),
        digests: read
            .iter()
            .flat_map(|read| {
                read.landmarks.iter().map(|(place, digest)| (place.get(), format!("{:032x}", digest.get())))
            })
            .collect(),
        writers: read
            .iter()
            .flat_map(|read| {
                read.marks.iter().map(|(writer, number)| (format!("{:016x}", writer.get()), number.get()))
            })
            .collect(),
        server: node.server,
        away: node.away,
        stopped: node.stopped,
    };
    Ok(response::json(response::to_json(&body)))
}
