//! Answers, packed where their clients ask for it. Knows nothing of what they say.
//!
//! Nothing is packed that would come later for it. On two cores of 2.1 GHz, gzip at level 1 takes 6 µs for a report of 30 days
//! (1.5 kB), 1 ns a byte from 8 kB on and 1.4 at 1.5 MB, and leaves a sixth to an eighth; zstd at level 1 takes 10 µs for its
//! tables, then 0.9 ns a byte, and leaves a tenth. A link of 1 Gbit/s takes 8 ns a byte, so that what is left out
//! saves more time than packing takes, from [`PACKED_BYTES_MIN`] on, and a slower one saves ten times that. Higher levels take two
//! to ten times as long for a fifth less. `cargo bench --bench report -- pack` measures it.

use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;

use super::inflate::Encoding;
use super::response_body::ResponseBody;
use super::{HttpShared, workers};
use crate::limits::{PACKED_BYTES_MIN, PACKED_INLINE_BYTES_MAX, PACKED_ZSTD_BYTES_MIN};

const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// The coding that packs an answer of that many bytes soonest.
pub(super) fn quickest(bytes: usize) -> Encoding {
    if bytes < PACKED_ZSTD_BYTES_MIN { Encoding::Gzip } else { Encoding::Zstd }
}

/// Packs an answer, a long one on a worker thread. `None` where it is better sent as it is: it is short, or would not get shorter,
/// no worker is free, or memory is short.
pub(super) async fn packed(shared: &HttpShared, encoding: Encoding, body: &Bytes) -> Option<ResponseBody> {
    if encoding == Encoding::Identity || body.len() < PACKED_BYTES_MIN {
        return None;
    }
    let text = if body.len() <= PACKED_INLINE_BYTES_MAX {
        pack(encoding, body)
    } else {
        let permit = Arc::clone(&shared.packers).try_acquire_owned().ok()?;
        let mut room = shared.answer_bytes.holder();
        room.reserve(body.len()).ok()?;
        let body = body.clone();
        let work = move || (pack(encoding, &body), room);
        workers::run(&shared.runtimes.requests, permit, work).await?.0
    };
    let mut text = text.inspect_err(|error| tracing::warn!(%error, "an answer cannot be packed")).ok()?;
    text.shrink_to_fit();
    let is_shorter = text.len() < body.len();
    is_shorter.then(|| ResponseBody::held(text, &shared.answer_bytes).ok()).flatten()
}

fn pack(encoding: Encoding, text: &[u8]) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(text.to_vec()),
        Encoding::Gzip => {
            let room = Vec::with_capacity(text.len() / 4);
            let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
            encoder.write_all(text)?;
            encoder.finish()
        }
        Encoding::Zstd => zstd::bulk::compress(text, ZSTD_LEVEL),
    }
}
