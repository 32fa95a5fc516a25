//! The keys of batches, oldest first, in pieces that follow each other: each fold adds a piece with what is new. Small
//! pieces are merged like those of the dictionary, and the oldest go once nothing in them is remembered any more.
//!
//! Must not know the keys in memory, nor the time: the newest key says what time it is.

#[cfg(test)]
mod tests;

use super::{FileRef, KeyPiece, SnapshotFolder, codec};
use crate::limits::{
    KEY_BAD_LINES_BYTES_MAX, KEYS_KEPT, KEYS_MAX, RETRY_WINDOW_MAX, SNAPSHOT_BLOCK_BYTES, wide,
};
use crate::model::batch::{BatchIdentity, BatchKey, KeyRule};
use crate::store::damage::FileError;
use crate::store::layout::FileName;

/// Bytes of the keys in a file, roughly.
pub(crate) fn bytes_of(keys: &[BatchKey]) -> u64 {
    wide(keys.iter().map(bytes_of_one).sum())
}

fn bytes_of_one(key: &BatchKey) -> usize {
    64_usize.saturating_add(key.answer.bad_line_bytes())
}

/// Writes and syncs the piece that takes the place of `merged`, with the `fresh` keys behind theirs, but without those that are
/// not remembered any more: the oldest ones of too many, too old ones, and the oldest lists of bad lines. Holds a block
/// of the merged ones at a time. Returns what the manifest must say of it.
pub(crate) fn merge(
    folder: &SnapshotFolder,
    name: FileName,
    (merged, fresh): (&[KeyPiece], &[BatchKey]),
) -> Result<KeyPiece, FileError> {
    let mut trim = Trim::default();
    let for_each = |take: &mut dyn FnMut(&BatchKey) -> Result<(), FileError>| {
        for piece in merged {
            read(folder, &piece.file, |block| block.iter().try_for_each(&mut *take))?;
        }
        fresh.iter().try_for_each(take)
    };
    for_each(&mut |key| {
        trim.look(key);
        Ok(())
    })?;
    let mut out = folder.create(name)?;
    let (mut block, mut bytes) = (Vec::new(), 0_usize);
    let (mut held, mut newest) = ([0_u64; 2], [0_u32; 2]);
    let mut put = |block: &mut Vec<BatchKey>| {
        out.block(&codec::encode_keys(block).map_err(|what| out.unwritable(what))?)?;
        block.clear();
        Ok::<_, FileError>(())
    };
    for_each(&mut |key| {
        let Some(key) = trim.keep(key) else { return Ok(()) };
        let rule = key.identity.rule.index();
        if let (Some(held), Some(newest)) = (held.get_mut(rule), newest.get_mut(rule)) {
            *held = held.saturating_add(1);
            *newest = key.taken.max(*newest);
        }
        bytes = bytes.saturating_add(bytes_of_one(&key));
        block.push(key);
        if bytes >= SNAPSHOT_BLOCK_BYTES {
            bytes = 0;
            put(&mut block)?;
        }
        Ok(())
    })?;
    if !block.is_empty() {
        put(&mut block)?;
    }
    Ok(KeyPiece { file: out.finish()?, held, newest })
}

/// Which keys are left out of a piece: all are looked at once before any is kept.
#[derive(Debug, Default)]
struct Trim {
    now: u32,
    /// Keys of each rule that are still to come.
    left: [usize; 2],
    /// Bytes of the lists of bad lines that are still to come.
    bad_line_bytes_left: usize,
}

impl Trim {
    fn look(&mut self, key: &BatchKey) {
        self.now = key.taken.max(self.now);
        if let Some(left) = self.left.get_mut(key.identity.rule.index()) {
            *left = left.saturating_add(1);
        }
        self.bad_line_bytes_left = self.bad_line_bytes_left.saturating_add(key.answer.bad_line_bytes());
    }

    fn keep(&mut self, key: &BatchKey) -> Option<BatchKey> {
        let BatchIdentity { rule, .. } = key.identity;
        let left = self.left.get_mut(rule.index())?;
        let is_one_of_many = *left > KEYS_MAX;
        *left = left.saturating_sub(1);
        let has_room = self.bad_line_bytes_left <= KEY_BAD_LINES_BYTES_MAX;
        self.bad_line_bytes_left = self.bad_line_bytes_left.saturating_sub(key.answer.bad_line_bytes());
        if is_one_of_many || is_past(rule, key.taken, self.now) {
            return None;
        }
        let mut kept = key.clone();
        if !has_room {
            kept.answer.bad_lines = Box::default();
        }
        Some(kept)
    }
}

/// Reads a piece, handing over its keys block by block, oldest first.
pub(crate) fn read(
    folder: &SnapshotFolder,
    file: &FileRef,
    mut take: impl FnMut(Vec<BatchKey>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut reader = folder.open(file)?;
    let mut payload = Vec::new();
    while reader.next(&mut payload)? {
        take(codec::decode_keys(&payload).map_err(|what| reader.damaged(what))?)?;
    }
    Ok(())
}

/// The pieces that still have a key that is remembered.
pub(crate) fn needed(pieces: &[KeyPiece]) -> Vec<KeyPiece> {
    let now = pieces.iter().flat_map(|piece| piece.newest).max().unwrap_or(0);
    let mut after = [0_u64; 2];
    let mut kept: Vec<KeyPiece> = Vec::new();
    for piece in pieces.iter().rev() {
        let is_needed = KeyRule::ALL.iter().any(|rule| {
            let [held, newest, after] = [piece.held, piece.newest.map(u64::from), after]
                .map(|by_rule| by_rule.get(rule.index()).copied().unwrap_or(0));
            let newest = u32::try_from(newest).unwrap_or(u32::MAX);
            held > 0 && after < wide(KEYS_MAX) && !is_past(*rule, newest, now)
        });
        for (after, held) in after.iter_mut().zip(piece.held) {
            *after = after.saturating_add(held);
        }
        if is_needed {
            kept.push(*piece);
        }
    }
    kept.reverse();
    kept
}

fn is_past(rule: KeyRule, taken: u32, now: u32) -> bool {
    let kept = match rule {
        KeyRule::Key => KEYS_KEPT,
        KeyRule::Window => RETRY_WINDOW_MAX,
    };
    u64::from(now.saturating_sub(taken)) >= kept.as_secs()
}
