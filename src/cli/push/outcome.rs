//! The outcome of a batch, read from the daemon's answer to `POST /events`. Pure.

use hyper::StatusCode;
use serde::Deserialize;

use crate::cli::client::Answer;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BatchOutcome {
    /// The good lines count.
    Counted {
        accepted: u64,
        rejected: u64,
        /// The first of the bad lines.
        bad_lines: Vec<BadLine>,
    },
    /// Its key was used for other lines.
    Conflict,
    /// Nothing of it counts, and sending it again would not help. Holds why.
    Refused(String),
    /// The daemon, or a proxy before it, does not know whether it counts. Holds why.
    Unknown(String),
}

/// A line that does not count.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct BadLine {
    /// Its number within the batch, from 1.
    pub(crate) line: u64,
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Body {
    accepted: u64,
    rejected: u64,
    #[serde(default)]
    status: BodyStatus,
}

#[derive(Deserialize, Default)]
struct BodyStatus {
    #[serde(default)]
    details: Vec<BadLine>,
}

pub(crate) fn read(answer: &Answer) -> BatchOutcome {
    let is_counted = answer.status.is_success() || answer.status == StatusCode::BAD_REQUEST;
    if is_counted && let Ok(body) = serde_json::from_slice::<Body>(&answer.body) {
        return BatchOutcome::Counted {
            accepted: body.accepted,
            rejected: body.rejected,
            bad_lines: body.status.details,
        };
    }
    if answer.status.is_server_error() && answer.status != StatusCode::SERVICE_UNAVAILABLE {
        return BatchOutcome::Unknown(answer.explanation());
    }
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
        return BatchOutcome::Conflict;
    }
    BatchOutcome::Refused(answer.explanation())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn check(status: u16, body: &'static str, expected: &BatchOutcome) {
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            retry_after: None,
            is_replayed: false,
            groups_omitted: 0,
            dropped_before: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        assert_eq!(read(&answer), *expected);
    }

    #[test]
    fn counted_batches_give_their_numbers_and_bad_lines() {
        check(
            200,
            r#"{"accepted":3,"rejected":0}"#,
            &BatchOutcome::Counted { accepted: 3, rejected: 0, bad_lines: vec![] },
        );
        check(
            400,
            r#"{"timestamp":"2026-11-06T08:49:37Z","accepted":2,"rejected":1,"status":{"code":400,
               "type":"error","message":"1 of 3 lines was not counted","details":[{"line":2,"message":"bad"}]}}"#,
            &BatchOutcome::Counted {
                accepted: 2,
                rejected: 1,
                bad_lines: vec![BadLine { line: 2, message: "bad".to_owned() }],
            },
        );
    }

    #[test]
    fn server_errors_leave_it_unknown_but_for_503() {
        check(
            500,
            r#"{"status":{"code":500,"type":"error","message":"it is not known whether the events were counted"}}"#,
            &BatchOutcome::Unknown("500: it is not known whether the events were counted".to_owned()),
        );
        check(502, "bad gateway", &BatchOutcome::Unknown("502 Bad Gateway".to_owned()));
    }

    #[test]
    fn other_answers_are_refusals_with_their_message() {
        check(
            401,
            r#"{"status":{"code":401,"type":"error","message":"a token is needed","details":[]}}"#,
            &BatchOutcome::Refused("401: a token is needed".to_owned()),
        );
        check(
            400,
            r#"{"status":{"code":400,"type":"error","message":"precision","details":["x: takes ns"]}}"#,
            &BatchOutcome::Refused("400: precision\n  x: takes ns".to_owned()),
        );
        check(503, "later", &BatchOutcome::Refused("503 Service Unavailable".to_owned()));
        check(404, "not here", &BatchOutcome::Refused("404 Not Found".to_owned()));
    }
}
