//! What the batches of one input are recognised by: keys from the file's identity, or its content, and a batch's place in it.

use std::io::{self, Read as _};
use std::path::Path;

use indicatif::ProgressBar;
use twox_hash::XxHash3_128;

use crate::cli::input;

/// Longest part of the first line that tells one file from another, in bytes.
const FIRST_LINE_BYTES: usize = 4096;
/// Bytes of the text that are hashed at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// By what a later run recognises an input that is a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecognisedBy {
    /// The file itself, also where it has grown since.
    File,
    /// All of its text, wherever the file is and however it is packed.
    Content,
    /// Nothing: it counts once more.
    Nothing,
}

/// The keys of one input's batches.
#[derive(Debug)]
pub(super) struct InputKeys {
    /// Hashed together with the first line.
    identity: [u64; 4],
    prefix: Option<String>,
    /// Whether another run gives the same keys.
    is_lasting: bool,
}

impl InputKeys {
    /// Keys by which a later run with the same input is recognised. A file by its device, its inode, when it was made and its first
    /// line, so that a file that was renamed is the same and one that took another's place is not; a content by its hash. What is no
    /// file is recognised by nothing.
    pub(super) fn of(path: &Path, by: RecognisedBy) -> anyhow::Result<Self> {
        let identity = match (by, input::place(path)?) {
            (RecognisedBy::File, Some([device, inode, made])) => [0, device, inode, made],
            (RecognisedBy::Content, Some(_)) => {
                let [low, high] = hash_of_text(path)?;
                [2, low, high, 0]
            }
            (RecognisedBy::Nothing, _) | (_, None) => [1, random()?, random()?, 0],
        };
        Ok(Self { identity, prefix: None, is_lasting: identity[0] != 1 })
    }

    /// Whether sending the input again counts it only once.
    pub(super) fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// The key of the batch that begins with that line. The first call must be for the first batch.
    pub(super) fn of_batch(&mut self, first_line: u64, text: &[u8]) -> String {
        let prefix = self.prefix.get_or_insert_with(|| {
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let mut hasher = XxHash3_128::new();
            for number in self.identity {
                hasher.write(&number.to_le_bytes());
            }
            hasher.write(line.get(..FIRST_LINE_BYTES).unwrap_or(line));
            format!("push-{:032x}", hasher.finish_128())
        });
        format!("{prefix}-{first_line}")
    }
}

/// The hash of an input's text, both halves.
fn hash_of_text(path: &Path) -> anyhow::Result<[u64; 2]> {
    let mut text = input::open(path, &ProgressBar::hidden())?.text;
    let (mut hasher, mut chunk) = (XxHash3_128::new(), vec![0; CHUNK_BYTES]);
    loop {
        match text.read(&mut chunk)? {
            0 => break,
            read => hasher.write(chunk.get(..read).unwrap_or_default()),
        }
    }
    let hash = hasher.finish_128().to_le_bytes();
    let (halves, _) = hash.as_chunks();
    Ok([0, 1].map(|half| halves.get(half).copied().map_or(0, u64::from_le_bytes)))
}

fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &Path, by: RecognisedBy, line: u64, text: &str) -> String {
        InputKeys::of(path, by).expect("it is there").of_batch(line, text.as_bytes())
    }

    #[test]
    fn keys_tell_files_and_places_apart_and_last_where_there_is_a_file() {
        let scratch = tempfile::tempdir().expect("there is room");
        let [one, two] = ["one", "two"].map(|name| scratch.path().join(name));
        std::fs::write(&one, "a\nb\n").expect("written");
        std::fs::write(&two, "a\nb\n").expect("written");
        let first = key(&one, RecognisedBy::File, 1, "a\nb\n");
        assert_eq!(first, key(&one, RecognisedBy::File, 1, "a\nmore"), "a file that has grown is the same");
        assert_ne!(first, key(&one, RecognisedBy::File, 3, "a\nb\n"));
        assert_ne!(first, key(&one, RecognisedBy::File, 1, "c\nb\n"), "another file in its place");
        assert_ne!(first, key(&two, RecognisedBy::File, 1, "a\nb\n"));
        assert_ne!(key(&one, RecognisedBy::Nothing, 1, "a\n"), key(&one, RecognisedBy::Nothing, 1, "a\n"));
        let input = Path::new("-");
        assert_ne!(key(input, RecognisedBy::File, 1, "a\n"), key(input, RecognisedBy::File, 1, "a\n"));
        std::fs::hard_link(&one, scratch.path().join("three")).expect("linked");
        assert_eq!(first, key(&scratch.path().join("three"), RecognisedBy::File, 1, "a\n"));
    }

    #[test]
    fn content_is_recognised_wherever_it_is_and_however_it_is_packed() {
        let scratch = tempfile::tempdir().expect("there is room");
        let of = |name: &str, bytes: &[u8]| {
            let path = scratch.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            key(&path, RecognisedBy::Content, 1, "a\n")
        };
        let first = of("one", b"a\nb\n");
        assert_eq!(first, of("two", b"a\nb\n"));
        assert_eq!(first, of("packed", &zstd::encode_all(&b"a\nb\n"[..], 1).expect("encoded")));
        assert_ne!(first, of("longer", b"a\nb\nc\n"), "the same first batch of another export");
        assert_ne!(first, key(&scratch.path().join("one"), RecognisedBy::File, 1, "a\n"));
    }

    #[test]
    fn file_that_was_made_anew_is_another_although_it_has_the_inode_of_the_old_one() {
        let scratch = tempfile::tempdir().expect("there is room");
        let path = scratch.path().join("batch");
        let made = || {
            std::fs::write(&path, "a\n").expect("written");
            let place = input::place(&path).expect("there").expect("a file");
            let key = key(&path, RecognisedBy::File, 1, "a\n");
            std::fs::remove_file(&path).expect("removed");
            (place, key)
        };
        let ([_, inode, born], first) = made();
        // Until the clock of the file system has gone on; it may also never give an inode again.
        let mut later = (0..10_000).map(|_| made());
        if let Some((_, key)) = later.find(|([_, again, later], _)| *again == inode && *later != born) {
            assert_ne!(key, first);
        }
    }
}
