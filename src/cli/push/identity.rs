//! What the batches of one input are recognised by: keys from the file's identity and a batch's place in it.

use std::io;
use std::path::Path;

use twox_hash::XxHash3_128;

use crate::cli::input;

/// Longest part of the first line that tells one file from another, in bytes.
const FIRST_LINE_BYTES: usize = 4096;

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
    /// Keys by which a later run with the same file is recognised: its device, its inode, when it was made and its first line, so
    /// that a file that was renamed is the same and one that took another's place is not.
    pub(super) fn of(path: &Path, is_new: bool) -> io::Result<Self> {
        let place = if is_new { None } else { input::place(path)? };
        let identity = match place {
            Some([device, inode, made]) => [0, device, inode, made],
            None => [1, random()?, random()?, 0],
        };
        Ok(Self { identity, prefix: None, is_lasting: place.is_some() })
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

fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &Path, is_new: bool, line: u64, text: &str) -> String {
        InputKeys::of(path, is_new).expect("it is there").of_batch(line, text.as_bytes())
    }

    #[test]
    fn keys_tell_files_and_places_apart_and_last_where_there_is_a_file() {
        let scratch = tempfile::tempdir().expect("there is room");
        let [one, two] = ["one", "two"].map(|name| scratch.path().join(name));
        std::fs::write(&one, "a\nb\n").expect("written");
        std::fs::write(&two, "a\nb\n").expect("written");
        let first = key(&one, false, 1, "a\nb\n");
        assert_eq!(first, key(&one, false, 1, "a\nmore"), "a file that has grown is the same");
        assert_ne!(first, key(&one, false, 3, "a\nb\n"));
        assert_ne!(first, key(&one, false, 1, "c\nb\n"), "another file in its place");
        assert_ne!(first, key(&two, false, 1, "a\nb\n"));
        assert_ne!(key(&one, true, 1, "a\n"), key(&one, true, 1, "a\n"));
        let input = Path::new("-");
        assert_ne!(key(input, false, 1, "a\n"), key(input, false, 1, "a\n"));
        std::fs::hard_link(&one, scratch.path().join("three")).expect("linked");
        assert_eq!(first, key(&scratch.path().join("three"), false, 1, "a\n"));
    }

    #[test]
    fn file_that_was_made_anew_is_another_although_it_has_the_inode_of_the_old_one() {
        let scratch = tempfile::tempdir().expect("there is room");
        let path = scratch.path().join("batch");
        let made = || {
            std::fs::write(&path, "a\n").expect("written");
            let place = input::place(&path).expect("there").expect("a file");
            let key = key(&path, false, 1, "a\n");
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
