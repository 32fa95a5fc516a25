//! The write routes: one request is one batch. Their responses are chosen so that existing clients keep their data.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use hyper::http::request::Parts;
use tokio::sync::SemaphorePermit;

use super::access::Access;
use super::body::{self, Held};
use super::body_error::BodyError;
use super::failure::{Counts, Detail, Failure};
use super::response::{self, HttpResponse};
use super::routes::{Dialect, Route};
use super::{HttpShared, workers};
use crate::cluster::publish::Refused;
use crate::intake::batching::{BodyPrecision, Parsed, Parser, Tally};
use crate::intake::wire::Precision;
use crate::limits::KEY_BYTES_MAX;
use crate::model::batch::{Batch, BatchIdentity, KeyedAnswer, RejectedLine};
use crate::model::excerpt::Excerpt;
use crate::net::commit::{Claimed, Committed, KeyClaim, NotCounted};
use crate::net::log::door::NotTaken;
use crate::net::metrics::{Bound, Listener};
use crate::net::{commit, idempotency};
use crate::store::{Refusal, WriteError};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Takes the events of a body. One that was counted before is answered as it was then.
pub(super) async fn write(
    shared: &HttpShared,
    (route, mut access): (&Route, Access),
    head: &Parts,
    body: &mut Incoming,
) -> Result<HttpResponse, Failure> {
    let (services, dialect) = (&shared.services, route.dialect);
    let key = idempotency_key(&head.headers)?;
    let query = head.uri.query().unwrap_or_default();
    let precision = precision(dialect, query)?;
    let lines = body::read(shared, route.body.bytes_max, head, body).await?;
    access.renew(&services.auth)?;
    services.metrics.bytes_received(Listener::Http, lines.received_bytes());
    let seed = services.write_handle.key_seed();
    let identity = match key {
        Some(key) => Some(idempotency::of_key(seed, (access.key_owner(), key), (precision, lines.bytes()))),
        None if dialect == Dialect::Own || services.write_handle.retry_window().is_zero() => None,
        None => Some(idempotency::of_content(seed, access.token(), query, lines.bytes())),
    };
    let claim = match identity {
        Some(identity) => match claim(shared, identity).await? {
            Claimed::New(claim) => Some(claim),
            Claimed::Counted(answer) => {
                services.metrics.replayed(Listener::Http, identity.rule, u64::from(answer.accepted));
                return replayed(dialect, &answer);
            }
            Claimed::Conflict => {
                services.metrics.key_conflict(Listener::Http);
                return Err(conflict());
            }
        },
        None => None,
    };
    let mut parsed = parse(shared, (route, &access), lines, precision).await?;
    let bad_lines = parsed.rejections.iter().map(|rejection| idempotency::bad_line(rejection, 0));
    let answer = idempotency::answer(&parsed.tally, bad_lines.collect());
    let mut batch = std::mem::take(&mut parsed.batch);
    // Two honest batches may be equal where a timestamp is coarser.
    let may_recognise = key.is_some() || parsed.all_finer_than_millisecond;
    let claim = claim.filter(|_| may_recognise);
    if let Some(claim) = &claim {
        batch.key = Some(Box::new(commit::key_of(services, claim, answer.clone())));
    }
    if batch.is_empty() {
        commit::count_rejected(services, Listener::Http, parsed.tally);
    } else {
        match submit(shared, (batch, claim), parsed.tally).await? {
            Committed::Counted => {}
            Committed::Repeated(first) => return replayed(dialect, &first),
            Committed::Conflict => return Err(conflict()),
        }
    }
    outcome(dialect, &answer)
}

/// The answer to a batch that was counted before.
fn replayed(dialect: Dialect, answer: &KeyedAnswer) -> Result<HttpResponse, Failure> {
    outcome(dialect, answer)
        .map_or_else(|failure| Err(failure.and_replayed()), |response| Ok(response::replayed(response)))
}

fn conflict() -> Failure {
    let message = "this `Idempotency-Key` was used for another body; give each batch a key of its own";
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}

/// The key that the sender gave the batch.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        (_, Some(_)) => Err(Failure::bad_request("`Idempotency-Key` must be given once")),
        (None, None) => Err(Failure::bad_request(format!(
            "`Idempotency-Key` takes 1 to {KEY_BYTES_MAX} characters of visible ASCII"
        ))),
    }
}

/// Looks a batch up and claims it where it is new; waits for one that is under way.
async fn claim(shared: &HttpShared, identity: BatchIdentity) -> Result<Claimed, Failure> {
    let _waiting = writes_slot(shared)?;
    commit::claim(&shared.services, identity).await.map_err(|error| not_acknowledged(&error.into()))
}

fn writes_slot(shared: &HttpShared) -> Result<SemaphorePermit<'_>, Failure> {
    shared.writes_waiting.try_acquire().map_err(|_none_left| Failure::overloaded(Bound::WritesWaiting))
}

async fn parse(
    shared: &HttpShared,
    (route, access): (&Route, &Access),
    lines: Held,
    precision: BodyPrecision,
) -> Result<Parsed, Failure> {
    let services = &shared.services;
    let arrival = services.arrival();
    let mut parser = Parser::new(Arc::clone(&services.catalogue)).below(Arc::clone(&services.memory));
    parser.set_stories(access.stories().clone());
    let is_short = lines.bytes().len() <= route.body.inline_bytes_max;
    let mut parse = move || parser.parse_body(lines.bytes(), arrival, precision);
    Ok(if is_short { parse() } else { workers::run_body(shared, parse).await.ok_or(BodyError::Worker)? })
}

/// Hands a batch to the store and waits until it is as durable as promised, and visible. 503 where the store refuses
/// it or too many requests wait for it: nothing of it is counted. 500 where it is not known whether it is counted.
pub(super) async fn submit(
    shared: &HttpShared,
    batch: (Batch, Option<KeyClaim>),
    tally: Tally,
) -> Result<Committed, Failure> {
    let _waiting = writes_slot(shared)?;
    let commit = commit::submit(&shared.services, (Listener::Http, None), batch, tally);
    let outcome = match commit.await {
        Ok(pending) => pending.await,
        Err(error) => Err(error),
    };
    outcome.map_err(|error| not_acknowledged(&error))
}

fn not_acknowledged(error: &NotCounted) -> Failure {
    match error {
        NotCounted::Store(WriteError::Refused(refusal)) => Failure::unavailable(refusal_text(refusal)),
        NotCounted::Log(NotTaken::Refused(why @ Refused::TooLarge { .. })) => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{why}; nothing was counted; send fewer events at a time"),
        ),
        NotCounted::Log(why) => {
            Failure::unavailable(format!("{why}; nothing was counted; send the events again"))
        }
        NotCounted::NotInLog => Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this daemon shares its log with others (`cluster`), where counts cannot be undone; nothing was changed",
        ),
        NotCounted::Role => Failure::unavailable(error.to_string()),
        NotCounted::Store(WriteError::Unknown(_)) | NotCounted::LogUnknown => {
            let message = format!("{error}; it is not known whether the events were counted");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message).and_close()
        }
    }
}

/// The message to the client. The cause may name files, so it is only in the log.
fn refusal_text(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::AppendRefused(_) => {
            "the disk does not take the events now; nothing was counted; send them again"
        }
        Refusal::Poisoned(_) => {
            "the disk failed and nothing is counted until an operator restarts the daemon; send the events again"
        }
        Refusal::Busy => "the disk is too slow for what comes in; nothing was counted; send the events again",
        Refusal::Closing => "the daemon is stopping; nothing was counted; send the events again",
        Refusal::FollowsLog => {
            "the daemon must be started with the log that it shares; nothing was counted; send the events again"
        }
        Refusal::Dropped => {
            "hours of these events were dropped just now; nothing was counted; send them again to hear which lines those are"
        }
    }
}

fn outcome(dialect: Dialect, answer: &KeyedAnswer) -> Result<HttpResponse, Failure> {
    let counts = Counts { accepted: u64::from(answer.accepted), rejected: u64::from(answer.rejected) };
    if counts.rejected > 0 {
        let detail = |bad: &RejectedLine| Detail::Line { line: bad.line, message: bad.message.to_string() };
        return Err(Failure::partial(counts, answer.bad_lines.iter().map(detail).collect()));
    }
    Ok(match dialect {
        Dialect::Own => response::json(response::to_json(&counts)),
        Dialect::InfluxV1 | Dialect::InfluxV2 => response::empty(),
    })
}

/// The unit of a request's timestamps; `None` where it does not say. On `/events` nothing but `precision` is taken;
/// the `InfluxDB` routes ignore the parameters that mean something only to `InfluxDB`.
fn precision(dialect: Dialect, query: &str) -> Result<BodyPrecision, Failure> {
    let mut found = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == "precision" {
            let precision = precision_named(dialect, &value)?;
            if found.is_some() {
                return Err(Failure::parameter("precision", "`precision` must be given once"));
            }
            found = Some(precision);
        } else if dialect == Dialect::Own {
            let key = Excerpt::new(&key).to_string();
            let message = format!("`{key}` is not known; this path takes `precision`");
            return Err(Failure::parameter(key, message));
        }
    }
    Ok(found.flatten())
}

/// The unit of that name; `None` for the empty name that some clients send.
fn precision_named(dialect: Dialect, name: &str) -> Result<BodyPrecision, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    let (parsed, takes) = match dialect {
        Dialect::InfluxV2 => (Precision::parse_v2(name), "ns, us, ms or s"),
        Dialect::Own | Dialect::InfluxV1 => (Precision::parse_v1(name), "n, ns, u, us, ms, s, m or h"),
    };
    let bad = || {
        let message = format!("`precision` must be {takes}; got `{}`", Excerpt::new(name));
        Failure::parameter("precision", message)
    };
    parsed.ok_or_else(bad).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_follows_the_dialect() {
        let named = |dialect, query: &str| precision(dialect, query).map_err(|failure| failure.to_string());
        let all = [Dialect::Own, Dialect::InfluxV1, Dialect::InfluxV2];
        for dialect in all {
            assert_eq!(named(dialect, ""), Ok(None));
            assert_eq!(named(dialect, "precision="), Ok(None));
            assert_eq!(named(dialect, "precision=ns"), Ok(Some(Precision::Nanoseconds)));
            assert_eq!(named(dialect, "precision=us"), Ok(Some(Precision::Microseconds)));
            assert_eq!(named(dialect, "precision=ms"), Ok(Some(Precision::Milliseconds)));
            assert_eq!(named(dialect, "precision=s"), Ok(Some(Precision::Seconds)));
            assert!(named(dialect, "precision=bogus").unwrap_err().contains("got `bogus`"));
            assert!(named(dialect, "precision=s&precision=s").is_err());
        }
        for (query, expected) in [
            ("precision=n", Precision::Nanoseconds),
            ("precision=u", Precision::Microseconds),
            ("precision=%C2%B5", Precision::Microseconds),
            ("precision=m", Precision::Minutes),
            ("precision=h", Precision::Hours),
        ] {
            assert_eq!(named(Dialect::InfluxV1, query), Ok(Some(expected)));
            assert!(named(Dialect::InfluxV2, query).is_err());
        }
        assert_eq!(named(Dialect::InfluxV1, "db=&rp=&u=a&p=b&precision=s"), Ok(Some(Precision::Seconds)));
        assert_eq!(named(Dialect::InfluxV2, "org=o&bucket=b"), Ok(None));
        assert!(named(Dialect::Own, "precison=s").unwrap_err().contains("`precison` is not known"));
    }
}
