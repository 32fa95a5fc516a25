//! Bodies of requests: read with deadlines, within the bound of their route, held within a budget that all connections
//! share.
//! INVARIANT: every byte of a body that is held, as sent or inflated, has a permit, so that their sum is bounded.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header;
use hyper::http::request::Parts;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::body_error::BodyError;
use super::inflate::{Encoding, inflate_somewhere};
use super::{HttpShared, Limits};
use crate::limits::{BODY_BYTES_PER_TURN, HTTP_DISCARD_BYTES_MAX, HTTP_DISCARD_TIMEOUT, narrow, wide};
use crate::net::byte_budget::ReservedBytes;

/// Bytes, and the permits for holding them.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Bytes,
    _budget: ReservedBytes,
    received: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length of the body as it was sent.
    pub(super) fn received_bytes(&self) -> u64 {
        wide(self.received)
    }
}

/// Reads and inflates a body. After an error, what was not read of the body is still in it.
pub(super) async fn read(
    shared: &HttpShared,
    bytes_max: usize,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Held, BodyError> {
    let encoding = Encoding::of(&head.headers)?;
    if body.size_hint().lower() > wide(bytes_max) {
        return Err(BodyError::TooLong(bytes_max));
    }
    let mut budget = shared.body_bytes.holder();
    let sent = collect(body, bytes_max, &shared.limits, &mut budget).await?;
    let received = sent.len();
    if encoding == Encoding::Identity || sent.is_empty() {
        return Ok(Held { bytes: sent, _budget: budget, received });
    }
    let (bytes, budget) = inflate_somewhere(shared, encoding, sent, bytes_max).await?;
    Ok(Held { bytes, _budget: budget, received })
}

/// Reads a body as it is sent, within its deadlines.
async fn collect(
    body: &mut Incoming,
    bytes_max: usize,
    limits: &Limits,
    budget: &mut ReservedBytes,
) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut deadline = None;
    while !body.is_end_stream() {
        // One timer for both, since most bodies are there already and a timer costs as much as reading them.
        let now = Instant::now();
        let end = *deadline.get_or_insert(now + limits.body_timeout);
        let frame = timeout_at(end.min(now + limits.body_pause), body.frame());
        let frame = frame.await.map_err(|_elapsed| BodyError::TooSlow)?;
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(BodyError::Cut),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                // Trailers say nothing that is of use here.
                Err(_) => continue,
            },
        };
        let length = first.len().saturating_add(whole.len()).saturating_add(data.len());
        if length > bytes_max {
            return Err(BodyError::TooLong(bytes_max));
        }
        budget.reserve(data.len())?;
        end_turn(length - data.len(), length).await;
        // Most bodies come as one frame, which is then handed on as it is.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            let announced = narrow(body.size_hint().lower());
            whole.reserve(length.saturating_add(announced).min(bytes_max));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Lets other tasks have the thread where a body has come past a multiple of [`BODY_BYTES_PER_TURN`]: a fast client
/// could keep it busy with megabytes.
async fn end_turn(bytes_before: usize, bytes_now: usize) {
    if bytes_before / BODY_BYTES_PER_TURN != bytes_now / BODY_BYTES_PER_TURN {
        yield_now().await;
    }
}

/// Reads and throws away what a refused request still sends, within bounds: a close with unread bytes would make
/// the client's kernel throw the answer away. A client that waits for `100 Continue` has sent nothing yet.
pub(super) async fn discard(head: &Parts, body: &mut Incoming) {
    if body.is_end_stream() || head.headers.contains_key(header::EXPECT) {
        return;
    }
    let all = timeout(HTTP_DISCARD_TIMEOUT, async {
        let mut left = HTTP_DISCARD_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let before = left;
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
            end_turn(before, left).await;
        }
    });
    if all.await.is_err() {
        tracing::debug!("the body of a refused request was not read to its end");
    }
}
