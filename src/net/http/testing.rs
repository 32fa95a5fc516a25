//! What must hold for any bytes that come on a connection of HTTP: packed bodies, and where requests end. Run by
//! `cargo test` and by the targets of `fuzz/`; see [`crate::testing`].
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a check says by panic what does not hold"
)]

use std::io::Write as _;

use serde_json::Value;

use super::body_error::BodyError;
use super::failure::Detail;
use super::framing::Framing;
use super::inflate::{Encoding, inflate};
use super::listing::{ListPlace, Selection};
use super::{stories, upsert};
use crate::limits::{
    EXCERPT_BYTES_MAX, FAULTS_SHOWN_MAX, NAME_BYTES_MAX, NODES_PER_STORY_MAX, STORIES_LISTED_MAX,
};
use crate::model::batch::Change;
use crate::model::event::{InteractionId, Node, ObjectId, StoryId};
use crate::net::byte_budget::ByteBudget;

/// A message has at most two excerpts, each character of which may be spelled out.
const MESSAGE_BYTES: usize = 200 + 2 * EXCERPT_BYTES_MAX;
/// Longest body that is taken here, in bytes.
const BODY_BYTES: usize = 64 * 1024;
/// As much as an inflated body may hold of the budget: its bytes, and one that tells it from a longer one.
const BUDGET_BYTES: usize = 2 * BODY_BYTES;

/// A packed body is inflated within its limit and its budget, or refused; and what is packed here comes back, unless a
/// byte of it is gone or it is one too long.
pub fn body(bytes: &[u8]) {
    let Some(([choice, cut], sent)) = bytes.split_first_chunk() else { return };
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        let max = usize::from(*choice).saturating_mul(BODY_BYTES / 255);
        if encoding != Encoding::Identity {
            drop(within_bounds(encoding, sent, max));
        }
        let Some(packed) = pack(encoding, sent) else { continue };
        assert_eq!(within_bounds(encoding, &packed, sent.len()).as_deref(), Ok(sent), "{encoding:?}");
        if encoding == Encoding::Identity || sent.is_empty() {
            continue;
        }
        let too_long = within_bounds(encoding, &packed, sent.len().saturating_sub(1));
        assert_eq!(too_long, Err(BodyError::TooLong(sent.len().saturating_sub(1))), "{encoding:?}");
        let left = packed.len().saturating_sub(1).min(usize::from(*cut)).max(1);
        let refused = within_bounds(encoding, packed.get(..left).unwrap_or_default(), BODY_BYTES);
        assert!(matches!(refused, Err(BodyError::Gzip | BodyError::Zstd)), "{left} bytes: {refused:?}");
    }
}

/// What a connection holds is told the same however its bytes are cut; and a request whose end is beyond doubt is never
/// refused, one behind it whose end is in doubt always.
///
/// The first bytes say how the rest is cut, the rest is what a client sends, or the body of a request in chunks.
pub fn framing(bytes: &[u8]) {
    let Some(([step, chunk], text)) = bytes.split_first_chunk() else { return };
    let (step, chunk) = (usize::from(*step).saturating_add(1), usize::from(*chunk).saturating_add(1));
    let whole = refused(text.chunks(text.len().max(1)));
    assert!(whole.len() <= 1, "refused twice: {whole:?}");
    assert_eq!(refused(text.chunks(step)), whole, "in pieces of {step} bytes");
    assert_eq!(refused(text.chunks(1)), whole, "byte by byte");

    let mut sent = b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in text.chunks(chunk) {
        sent.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        sent.extend_from_slice(part);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    sent.extend_from_slice(format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", text.len()).as_bytes());
    sent.extend_from_slice(text);
    assert_eq!(refused(sent.chunks(step)), Vec::<u64>::new(), "a good request is refused");
    sent.extend_from_slice(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    sent.extend_from_slice(text);
    assert_eq!(refused(sent.chunks(step)), [2], "a request of two ends is let in");
}

/// The body that describes a story makes the changes that it says, or faults; and a query string for the
/// list of stories is a part of that list, or faults. Each fault is one printable line and names its field.
pub fn stories(bytes: &[u8]) {
    let story = StoryId(ObjectId::parse(&[b's'; ObjectId::LEN]).expect("letters"));
    match upsert::parse(bytes) {
        Ok(upsert) => {
            let changes = upsert.into_changes(story);
            assert!(changes.len() <= NODES_PER_STORY_MAX.saturating_add(1), "{} changes", changes.len());
            let body: Value = serde_json::from_slice(bytes).expect("what was taken is JSON");
            assert_eq!(changes, wanted(story, &body));
        }
        Err(faults) => assert_clear(&faults),
    }
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    match stories::selection(query) {
        Ok(Selection { after, limit, .. }) => {
            assert!((1..=STORIES_LISTED_MAX).contains(&limit), "{limit} stories");
            let again = after.map(|place| ListPlace::from_cursor(&place.to_cursor()));
            assert_eq!(again, after.map(Some), "another place");
        }
        Err(failure) => assert_clear(&failure.details),
    }
}

/// The changes that a good body asks for.
fn wanted(story: StoryId, body: &Value) -> Vec<Change> {
    let name = |value: &Value| -> Option<Box<str>> {
        let name = value.get("name")?.as_str()?;
        assert!(
            (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control),
            "{name:?}"
        );
        Some(name.into())
    };
    let id = |value: &Value| ObjectId::parse(value.get("id")?.as_str()?.as_bytes()).map(InteractionId);
    let interactions = body.get("interactions").and_then(Value::as_array).into_iter().flatten();
    let nodes = interactions.map(|value| {
        let node = Node::Interaction(id(value).expect("each has an id"));
        Change::Node { story, node, name: name(value) }
    });
    std::iter::once(Change::Story { story, name: name(body) }).chain(nodes).collect()
}

fn assert_clear(faults: &[Detail]) {
    assert!((1..=FAULTS_SHOWN_MAX).contains(&faults.len()), "{} faults", faults.len());
    for fault in faults {
        let Detail::Parameter { parameter, message } = fault else { panic!("{fault:?}") };
        assert!(!parameter.chars().chain(message.chars()).any(char::is_control), "{fault:?}");
        assert!(parameter.len().max(message.len()) <= MESSAGE_BYTES, "{fault:?}");
    }
}

fn refused<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u64> {
    let mut framing = Framing::new();
    pieces.filter_map(|piece| framing.follow(piece)).collect()
}

fn within_bounds(encoding: Encoding, sent: &[u8], max: usize) -> Result<Vec<u8>, BodyError> {
    let all = ByteBudget::new(BUDGET_BYTES);
    let mut budget = all.holder();
    let outcome = inflate(encoding, sent, max, &mut budget);
    if encoding != Encoding::Identity {
        assert!(budget.bytes() <= max.saturating_add(1), "{} bytes are held", budget.bytes());
        if let Ok(body) = &outcome {
            assert!(body.len() <= max && body.capacity() <= budget.bytes(), "{} bytes", body.capacity());
        }
    }
    drop(budget);
    let mut everything = all.holder();
    assert_eq!(everything.reserve(BUDGET_BYTES), Ok(()), "bytes are not given back");
    outcome
}

fn pack(encoding: Encoding, bytes: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Identity => Some(bytes.to_vec()),
        Encoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).ok()?;
            encoder.finish().ok()
        }
        Encoding::Zstd => zstd::encode_all(bytes, 1).ok(),
    }
}
