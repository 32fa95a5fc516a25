//! What a batch is recognised by: hashes of its key, or of all that makes it up. They are seeded with a number of the data
//! directory, so that nobody outside can make two batches look alike.

use twox_hash::{XxHash3_64, XxHash3_128};

use crate::intake::batching::{Rejection, Tally};
use crate::intake::wire::Precision;
use crate::limits::wide;
use crate::model::batch::{BatchIdentity, KeyId, KeyRule, KeyedAnswer, RejectedLine};

/// A batch that its sender gave a key. The unit of its timestamps is part of the content. Keys of different owners are
/// different; `None` owns those that most tokens share.
pub(super) fn of_key(
    seed: u64,
    (owner, key): (Option<&str>, &str),
    (precision, content): (Option<Precision>, &[u8]),
) -> BatchIdentity {
    let id = owner.map_or_else(
        || XxHash3_128::oneshot_with_seed(seed, key.as_bytes()),
        |owner| {
            let mut hasher = XxHash3_128::with_seed(seed);
            // The length has a zero among its bytes, which no key has.
            write_part(&mut hasher, owner);
            hasher.write(key.as_bytes());
            hasher.finish_128()
        },
    );
    let id = KeyId(id.to_le_bytes());
    let unit = precision.map_or(0, |precision| 1 + precision.index());
    let content = XxHash3_64::oneshot_with_seed(seed ^ unit, content);
    BatchIdentity { rule: KeyRule::Key, id, content }
}

/// A batch whose sender can give no key: who sent it, what the request asked for, and the content.
pub(super) fn of_content(seed: u64, token: &str, query: &str, content: &[u8]) -> BatchIdentity {
    let mut hasher = XxHash3_128::with_seed(seed);
    for part in [token, query] {
        write_part(&mut hasher, part);
    }
    hasher.write(content);
    let id = KeyId(hasher.finish_128().to_le_bytes());
    BatchIdentity { rule: KeyRule::Window, id, content: 0 }
}

/// Adds a text with its length, so that what follows cannot be taken for a part of it.
fn write_part(hasher: &mut XxHash3_128, part: &str) {
    hasher.write(&wide(part.len()).to_le_bytes());
    hasher.write(part.as_bytes());
}

/// What the sender of a parsed batch is answered.
pub(super) fn answer(tally: &Tally, bad_lines: Vec<RejectedLine>) -> KeyedAnswer {
    let count = |lines: u64| u32::try_from(lines).unwrap_or(u32::MAX);
    KeyedAnswer {
        accepted: count(tally.accepted()),
        rejected: count(tally.rejected),
        bad_lines: bad_lines.into(),
    }
}

/// A bad line as the answer has it. `lines_before` of the stream are not the batch's.
pub(super) fn bad_line(Rejection { line, error }: &Rejection, lines_before: u64) -> RejectedLine {
    RejectedLine { line: line.saturating_sub(lines_before), message: error.to_string().into() }
}
