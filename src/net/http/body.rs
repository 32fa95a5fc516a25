//! Bodies: read with deadlines, inflated with a limit, held within a budget that all connections share.
//! INVARIANT: no more than `BODY_BYTES_MAX` of a body are held as sent, nor inflated, and every held byte has a
//! permit, so that the sum over all connections is bounded as well.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::answer::Failure;
use crate::limits::{
    BODY_BYTES_MAX, BODY_INLINE_BYTES_MAX, HTTP_DISCARD_BYTES_MAX, HTTP_DISCARD_TIMEOUT, ZSTD_WINDOW_LOG_MAX,
};

/// Why a body was not read. Nothing of it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {BODY_BYTES_MAX} bytes after decompression; send it in parts")]
    TooLong,
    #[error("the content encoding is not known; gzip, zstd and identity are")]
    Encoding,
    #[error("the body is not whole, valid gzip; nothing of it was counted")]
    Gzip,
    #[error("the body is not whole, valid zstd with a window of at most 8 MiB; nothing of it was counted")]
    Zstd,
    #[error("too many bodies are being read at the moment; nothing was counted")]
    Busy,
    #[error("the body did not come in time; nothing was counted")]
    TooSlow,
    #[error("the body ended early; nothing was counted")]
    Cut,
    #[error("a worker thread ended by a panic")]
    Worker,
}

impl BodyError {
    /// The failure where the body holds no events: whoever makes a story known gives up on a 408 and loses nothing.
    pub(super) fn of_no_events(self) -> Failure {
        match self {
            Self::TooSlow => Failure::new(StatusCode::REQUEST_TIMEOUT, self.to_string()).and_close(),
            other => other.into(),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let failure = |status| Self::new(status, error.to_string());
        match error {
            BodyError::TooLong => failure(StatusCode::PAYLOAD_TOO_LARGE),
            BodyError::Encoding => failure(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            BodyError::Gzip | BodyError::Zstd => failure(StatusCode::BAD_REQUEST),
            BodyError::Cut => failure(StatusCode::BAD_REQUEST).and_close(),
            BodyError::Busy => failure(StatusCode::SERVICE_UNAVAILABLE),
            // NOTE: never 408 here. Clients that exist give up on it and lose what they had to say.
            BodyError::TooSlow => failure(StatusCode::SERVICE_UNAVAILABLE).and_close(),
            BodyError::Worker => Self::internal(),
        }
    }
}

/// How a body is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        let name = value.to_str().map_err(|_not_ascii| BodyError::Encoding)?.trim().to_ascii_lowercase();
        match (name.as_str(), values.next()) {
            ("" | "identity", None) => Ok(Self::Identity),
            ("gzip" | "x-gzip", None) => Ok(Self::Gzip),
            ("zstd", None) => Ok(Self::Zstd),
            _ => Err(BodyError::Encoding),
        }
    }
}

/// Bytes, and the permits for holding them.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Bytes,
    _budget: Budget,
    received: usize,
}

impl Held {
    /// The body, inflated.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length of the body as it was sent.
    pub(super) fn received_bytes(&self) -> u64 {
        u64::try_from(self.received).unwrap_or(u64::MAX)
    }
}

/// Permits for bytes, given back when dropped.
#[derive(Debug)]
struct Budget {
    all: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    fn new(all: &Arc<Semaphore>) -> Self {
        Self { all: Arc::clone(all), permit: None }
    }

    /// Never waits: two half-read bodies that wait for each other's bytes would wait for ever.
    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_too_many| BodyError::TooLong)?;
        let more =
            Arc::clone(&self.all).try_acquire_many_owned(bytes).map_err(|_none_left| BodyError::Busy)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

/// Reads and inflates a body.
///
/// # Errors
/// [`BodyError`]; what was not read of the body is still in it.
pub(super) async fn read(shared: &Shared, head: &Parts, body: &mut Incoming) -> Result<Held, BodyError> {
    let limits = &shared.context.limits;
    let encoding = Encoding::of(&head.headers)?;
    if body.size_hint().lower() > u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLong);
    }
    let mut budget = Budget::new(&shared.body_bytes);
    let sent = collect(body, (limits.body_pause, limits.body_timeout), &mut budget).await?;
    let received = sent.len();
    if encoding == Encoding::Identity || sent.is_empty() {
        return Ok(Held { bytes: sent, _budget: budget, received });
    }
    let (bytes, budget) = inflate_somewhere(shared, encoding, sent).await?;
    Ok(Held { bytes, _budget: budget, received })
}

/// Reads a body with no longer pause than the first duration, and in no longer time than the second.
async fn collect(
    body: &mut Incoming,
    (pause_max, time_max): (Duration, Duration),
    budget: &mut Budget,
) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut deadline = None;
    while !body.is_end_stream() {
        // One timer for both, since most bodies are there already and a timer costs as much as reading them.
        let now = Instant::now();
        let end = *deadline.get_or_insert(now + time_max);
        let frame = timeout_at(end.min(now + pause_max), body.frame());
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
        if length > BODY_BYTES_MAX {
            return Err(BodyError::TooLong);
        }
        budget.take(data.len())?;
        // Most bodies come as one frame, which is then handed on as it is.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            whole.reserve(length.saturating_add(announced).min(BODY_BYTES_MAX));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Inflates here what turns out short, on a worker thread what does not, so that no task holds up the others.
async fn inflate_somewhere(
    shared: &Shared,
    encoding: Encoding,
    sent: Bytes,
) -> Result<(Bytes, Budget), BodyError> {
    if sent.len() <= BODY_INLINE_BYTES_MAX / 4 {
        let mut budget = Budget::new(&shared.body_bytes);
        match inflate(encoding, &sent, BODY_INLINE_BYTES_MAX, &mut budget) {
            Ok(bytes) => return Ok((bytes.into(), budget)),
            Err(BodyError::TooLong) => {}
            Err(error) => return Err(error),
        }
    }
    let mut budget = Budget::new(&shared.body_bytes);
    on_worker(shared, move || {
        let bytes = inflate(encoding, &sent, BODY_BYTES_MAX, &mut budget)?;
        Ok((bytes.into(), budget))
    })
    .await?
}

/// Runs work on a body on a worker thread, when it is its turn. The number of those that wait is bounded by the
/// budget of bytes that they hold.
pub(super) async fn on_worker<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BodyError> {
    let turn = Arc::clone(&shared.body_workers).acquire_owned().await.map_err(|_closed| BodyError::Busy)?;
    let job = tokio::task::spawn_blocking(move || {
        let outcome = work();
        drop(turn);
        outcome
    });
    job.await.map_err(|error| {
        tracing::error!(%error, "work on a body ended by a panic");
        BodyError::Worker
    })
}

fn inflate(encoding: Encoding, sent: &[u8], max: usize, budget: &mut Budget) -> Result<Vec<u8>, BodyError> {
    match encoding {
        Encoding::Identity => Ok(sent.to_vec()),
        Encoding::Gzip => read_all(flate2::bufread::MultiGzDecoder::new(sent), max, budget, BodyError::Gzip),
        Encoding::Zstd => {
            let decoder = zstd_decoder(sent).map_err(|_setup| BodyError::Zstd)?;
            read_all(decoder, max, budget, BodyError::Zstd)
        }
    }
}

fn zstd_decoder<R: BufRead>(sent: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(sent)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Reads to the end, which also checks checksums, in growing steps that are each paid for before they are read.
fn read_all(
    mut reader: impl Read,
    max: usize,
    budget: &mut Budget,
    corrupt: BodyError,
) -> Result<Vec<u8>, BodyError> {
    const STEP_MIN: usize = 16 * 1024;
    let mut out = Vec::new();
    loop {
        // One more than allowed, so that a body of exactly `max` is told from a longer one.
        let room = max.saturating_add(1).saturating_sub(out.len());
        let step = out.len().max(STEP_MIN).min(room);
        budget.take(step)?;
        out.reserve_exact(step);
        let limit = u64::try_from(step).unwrap_or(u64::MAX);
        let read = reader.by_ref().take(limit).read_to_end(&mut out).map_err(|_what| corrupt)?;
        if out.len() > max {
            return Err(BodyError::TooLong);
        }
        if read < step {
            return Ok(out);
        }
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
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    });
    if all.await.is_err() {
        tracing::debug!("the body of a refused request was not read to its end");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn check(encoding: Encoding, sent: &[u8], expected: Result<&[u8], BodyError>) {
        let mut budget = Budget::new(&Arc::new(Semaphore::new(1 << 20)));
        let got = inflate(encoding, sent, 100_000, &mut budget);
        assert_eq!(got.as_deref().map_err(|error| *error), expected);
    }

    #[test]
    fn inflate_takes_whole_members_and_refuses_everything_else() {
        let lines = b"message,storyId=5b07ffafc2376e30306d9b16,source=app\n".repeat(50);
        let packed = gzip(&lines);
        check(Encoding::Gzip, &packed, Ok(&lines));
        check(Encoding::Gzip, &[packed.clone(), packed.clone()].concat(), Ok(&lines.repeat(2)));
        check(Encoding::Gzip, &gzip(b""), Ok(b""));
        check(Encoding::Gzip, b"not gzip", Err(BodyError::Gzip));
        check(Encoding::Gzip, &[packed.as_slice(), b"trailing"].concat(), Err(BodyError::Gzip));
        for cut in 1..packed.len() {
            check(Encoding::Gzip, &packed[..cut], Err(BodyError::Gzip));
        }
        let mut flipped = packed.clone();
        let crc = flipped.len() - 8;
        flipped[crc] ^= 1;
        check(Encoding::Gzip, &flipped, Err(BodyError::Gzip));

        let packed = zstd::encode_all(lines.as_slice(), 3).unwrap();
        check(Encoding::Zstd, &packed, Ok(&lines));
        check(Encoding::Zstd, &[packed.clone(), packed.clone()].concat(), Ok(&lines.repeat(2)));
        check(Encoding::Zstd, b"not zstd", Err(BodyError::Zstd));
        for cut in 1..packed.len() {
            check(Encoding::Zstd, &packed[..cut], Err(BodyError::Zstd));
        }
    }

    #[test]
    fn inflate_stops_at_the_limit() {
        let exact = vec![b'a'; 100_000];
        check(Encoding::Gzip, &gzip(&exact), Ok(&exact));
        check(Encoding::Gzip, &gzip(&vec![b'a'; 100_001]), Err(BodyError::TooLong));
        check(Encoding::Gzip, &gzip(&vec![b'a'; 50_000_000]), Err(BodyError::TooLong));
        let bomb = zstd::encode_all(vec![0_u8; 50_000_000].as_slice(), 3).unwrap();
        check(Encoding::Zstd, &bomb, Err(BodyError::TooLong));
    }

    #[test]
    fn inflate_refuses_a_zstd_window_above_the_cap() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(24).unwrap();
        // Without a known content size the frame announces the whole window.
        encoder.write_all(b"message").unwrap();
        let packed = encoder.finish().unwrap();
        check(Encoding::Zstd, &packed, Err(BodyError::Zstd));
    }

    #[test]
    fn inflate_is_refused_when_the_budget_is_spent() {
        let all = Arc::new(Semaphore::new(20_000));
        let mut budget = Budget::new(&all);
        let outcome = inflate(Encoding::Gzip, &gzip(&vec![b'a'; 90_000]), 100_000, &mut budget);
        assert_eq!(outcome, Err(BodyError::Busy));
        drop(budget);
        assert_eq!(all.available_permits(), 20_000);
    }

    #[test]
    fn encoding_is_one_of_three() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
            }
            Encoding::of(&headers)
        };
        assert_eq!(of(&[]), Ok(Encoding::Identity));
        assert_eq!(of(&["identity"]), Ok(Encoding::Identity));
        assert_eq!(of(&[" GZip "]), Ok(Encoding::Gzip));
        assert_eq!(of(&["zstd"]), Ok(Encoding::Zstd));
        assert_eq!(of(&["br"]), Err(BodyError::Encoding));
        assert_eq!(of(&["gzip, gzip"]), Err(BodyError::Encoding));
        assert_eq!(of(&["gzip", "gzip"]), Err(BodyError::Encoding));
    }
}
