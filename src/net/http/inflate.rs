//! Packed bodies: inflated with a limit, inline where they are short, on a worker thread where they are not.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use hyper::{HeaderMap, header};

use super::body_error::BodyError;
use super::{HttpShared, workers};
use crate::limits::{BODY_INLINE_BYTES_MAX, ZSTD_WINDOW_LOG_MAX, wide};
use crate::net::byte_budget::ReservedBytes;

/// How a body is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// As `Content-Encoding` has it; `None` where it is left out.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    pub(super) fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
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

/// Inflates here what turns out short, on a worker thread what does not, so that no task holds up the others.
pub(super) async fn inflate_somewhere(
    shared: &HttpShared,
    encoding: Encoding,
    sent: Bytes,
    bytes_max: usize,
) -> Result<(Bytes, ReservedBytes), BodyError> {
    if sent.len() <= BODY_INLINE_BYTES_MAX / 4 {
        let mut budget = shared.body_bytes.holder();
        let inline_max = bytes_max.min(BODY_INLINE_BYTES_MAX);
        match inflate(encoding, &sent, inline_max, &mut budget) {
            Ok(bytes) => return Ok((bytes.into(), budget)),
            Err(BodyError::TooLong(_)) if inline_max < bytes_max => {}
            Err(error) => return Err(error),
        }
    }
    let mut budget = shared.body_bytes.holder();
    workers::run_body(shared, move || {
        let bytes = inflate(encoding, &sent, bytes_max, &mut budget)?;
        Ok((bytes.into(), budget))
    })
    .await
    .ok_or(BodyError::Worker)?
}

pub(super) fn inflate(
    encoding: Encoding,
    sent: &[u8],
    max: usize,
    budget: &mut ReservedBytes,
) -> Result<Vec<u8>, BodyError> {
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
    budget: &mut ReservedBytes,
    corrupt: BodyError,
) -> Result<Vec<u8>, BodyError> {
    const STEP_MIN: usize = 16 * 1024;
    let mut out = Vec::new();
    loop {
        // One more than allowed, so that a body of exactly `max` is told from a longer one.
        let room = max.saturating_add(1).saturating_sub(out.len());
        let step = out.len().max(STEP_MIN).min(room);
        budget.reserve(step)?;
        out.reserve_exact(step);
        let read = reader.by_ref().take(wide(step)).read_to_end(&mut out).map_err(|_what| corrupt)?;
        if out.len() > max {
            return Err(BodyError::TooLong(max));
        }
        if read < step {
            return Ok(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::net::byte_budget::ByteBudget;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn check(encoding: Encoding, sent: &[u8], expected: Result<&[u8], BodyError>) {
        let mut budget = ByteBudget::new(1 << 20).holder();
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
        check(Encoding::Gzip, &gzip(&vec![b'a'; 100_001]), Err(BodyError::TooLong(100_000)));
        check(Encoding::Gzip, &gzip(&vec![b'a'; 50_000_000]), Err(BodyError::TooLong(100_000)));
        let bomb = zstd::encode_all(vec![0_u8; 50_000_000].as_slice(), 3).unwrap();
        check(Encoding::Zstd, &bomb, Err(BodyError::TooLong(100_000)));
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
        let all = ByteBudget::new(20_000);
        let mut budget = all.holder();
        let outcome = inflate(Encoding::Gzip, &gzip(&vec![b'a'; 90_000]), 100_000, &mut budget);
        assert_eq!(outcome, Err(BodyError::Busy));
        drop(budget);
        assert_eq!(all.left(), 20_000);
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
