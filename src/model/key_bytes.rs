//! How what a batch is recognised by, and how it was answered, are written: in the journal and in messages of the log. Pure.
//!
//! | of | bytes | |
//! | --- | --- | --- |
//! | identity | 16, 8, 1 | id, content, rule (0 a key, 1 the retry window) |
//! | answer | varints | lines accepted and rejected; a count of bad lines, each its number, a length and the message |
//!
//! NOTE: never give them another meaning: files and logs of every version have them.

use super::batch::{BatchIdentity, KeyId, KeyRule, KeyedAnswer, RejectedLine};
use super::varint;
use crate::limits::wide;

/// The shortest bad line: its number, no message.
pub(crate) const SHORTEST_BAD_LINE_BYTES: usize = 2;

/// Appends an identity to `out`.
pub(crate) fn write_identity(identity: &BatchIdentity, out: &mut Vec<u8>) {
    out.extend_from_slice(&identity.id.0);
    out.extend_from_slice(&identity.content.to_le_bytes());
    out.push(match identity.rule {
        KeyRule::Key => 0,
        KeyRule::Window => 1,
    });
}

/// Takes an identity from the front of `rest`.
pub(crate) fn read_identity(rest: &mut &[u8]) -> Option<BatchIdentity> {
    let id = KeyId(take(rest)?);
    let content = u64::from_le_bytes(take(rest)?);
    let rule = match take(rest)? {
        [0] => KeyRule::Key,
        [1] => KeyRule::Window,
        _ => return None,
    };
    Some(BatchIdentity { rule, id, content })
}

/// Appends an answer to `out`.
pub(crate) fn write_answer(answer: &KeyedAnswer, out: &mut Vec<u8>) {
    let KeyedAnswer { accepted, rejected, bad_lines } = answer;
    varint::write(u64::from(*accepted), out);
    varint::write(u64::from(*rejected), out);
    varint::write(wide(bad_lines.len()), out);
    for RejectedLine { line, message } in bad_lines {
        varint::write(*line, out);
        varint::write(wide(message.len()), out);
        out.extend_from_slice(message.as_bytes());
    }
}

/// Takes an answer from the front of `rest`.
pub(crate) fn read_answer(rest: &mut &[u8]) -> Option<KeyedAnswer> {
    let (accepted, rejected) = (varint::read_u32(rest)?, varint::read_u32(rest)?);
    let count = usize::try_from(varint::read(rest)?).ok()?;
    let mut bad_lines = Vec::with_capacity((count <= rest.len() / SHORTEST_BAD_LINE_BYTES).then_some(count)?);
    for _ in 0..count {
        let line = varint::read(rest)?;
        let bytes = usize::try_from(varint::read(rest)?).ok()?;
        let (message, after) = rest.split_at_checked(bytes)?;
        *rest = after;
        bad_lines.push(RejectedLine { line, message: std::str::from_utf8(message).ok()?.into() });
    }
    Some(KeyedAnswer { accepted, rejected, bad_lines: bad_lines.into() })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*front)
}
