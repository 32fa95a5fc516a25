//! Whether and when a request is sent again. Pure decisions; the sending and the waiting are in [`call`].
//!
//! INVARIANT: without an idempotency key a request is never repeated once the daemon may have seen it, unless the daemon itself
//! said that it did nothing (503): any other answer is final, a 500 too, as it may have been counted. With a key it is repeated
//! until the outcome is known.

use std::time::Duration;

use chrono::DateTime;
use hyper::StatusCode;

use super::{Answer, Call, Client, ClientError};
use crate::limits::{CLIENT_ATTEMPTS_MAX, CLIENT_BACKOFF_MS_MAX};
use crate::platform::clock::Clock;

/// The first wait; it doubles with every attempt.
const FIRST_WAIT_MS: u64 = 250;

/// How long to wait before the next attempt; `None` = give up. `attempts` have been made, at least one.
fn next_wait(retry_after: Option<&str>, attempts: u32, now_unix_seconds: i64) -> Option<Duration> {
    if attempts >= CLIENT_ATTEMPTS_MAX {
        return None;
    }
    let doubled = FIRST_WAIT_MS.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let asked = retry_after.and_then(|text| retry_after_ms(text, now_unix_seconds)).unwrap_or(0);
    Some(Duration::from_millis(doubled.max(asked).min(CLIENT_BACKOFF_MS_MAX)))
}

/// Milliseconds from now until the instant that `Retry-After` names: an HTTP date, or a number of seconds.
fn retry_after_ms(text: &str, now_unix_seconds: i64) -> Option<u64> {
    let seconds = if let Ok(seconds) = text.trim().parse::<u64>() {
        seconds
    } else {
        let at = DateTime::parse_from_rfc2822(text.trim()).ok()?;
        u64::try_from(at.timestamp().saturating_sub(now_unix_seconds)).unwrap_or(0)
    };
    Some(seconds.saturating_mul(1_000))
}

/// Sends a request, again and again while nothing comes of it, and waits in between. `waiting` is called before each
/// wait. Blocks. The error is the last attempt's.
pub(crate) fn call(
    client: &mut Client,
    call: &Call,
    clock: &Clock,
    waiting: &dyn Fn(Duration, &str),
) -> Result<Answer, ClientError> {
    let mut attempts = 0_u32;
    loop {
        attempts = attempts.saturating_add(1);
        let outcome = client.call(call);
        let is_keyed = call.key.is_some();
        let (retry_after, why) = match &outcome {
            Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                (answer.retry_after.as_deref(), "the daemon asks to try again later".to_owned())
            }
            Ok(answer) if is_keyed && answer.status.is_server_error() => {
                (None, "it is not known whether the batch was counted".to_owned())
            }
            Err(error @ ClientError::NotSent { .. }) => (None, error.to_string()),
            Err(error @ (ClientError::AnswerLost { .. } | ClientError::AnswerLate { .. })) if is_keyed => {
                (None, error.to_string())
            }
            _ => return outcome,
        };
        let Some(wait) = next_wait(retry_after, attempts, clock.unix_seconds()) else { return outcome };
        waiting(wait, &why);
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-06T08:49:30Z.
    const NOW: i64 = 1_793_954_970;

    fn check(retry_after: Option<&str>, attempts: u32, expected_ms: Option<u64>) {
        assert_eq!(
            next_wait(retry_after, attempts, NOW),
            expected_ms.map(Duration::from_millis),
            "{retry_after:?} {attempts}"
        );
    }

    #[test]
    fn wait_doubles_and_ends() {
        check(None, 1, Some(250));
        check(None, 2, Some(500));
        check(None, 7, Some(16_000));
        check(None, CLIENT_ATTEMPTS_MAX, None);
    }

    #[test]
    fn retry_after_is_honoured_within_the_bound() {
        for (text, expected_ms) in [
            ("Fri, 06 Nov 2026 08:49:37 GMT", 7_000),
            ("Fri, 06 Nov 2026 08:49:00 GMT", 250),
            ("Sat, 06 Nov 2027 08:49:37 GMT", CLIENT_BACKOFF_MS_MAX),
            ("3", 3_000),
            ("soon", 250),
        ] {
            check(Some(text), 1, Some(expected_ms));
        }
    }
}
