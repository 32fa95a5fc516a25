//! The files that a user names on the command line, plain or compressed, and standard input. Nothing of a data
//! directory is opened here.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Longest first line that is taken for a token, in bytes.
const TOKEN_LINE_BYTES: u64 = 4096;

/// A source of events.
pub(crate) struct Input {
    /// Inflated.
    pub(crate) text: Box<dyn BufRead + Send>,
    /// As messages have it.
    pub(crate) name: String,
}

/// Size of the file on disk, in bytes; `None` for `-` and for anything that has no size.
pub(crate) fn length(path: &Path) -> Option<u64> {
    if is_standard_input(path) {
        return None;
    }
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
}

/// Device and inode of a file, and when it was made, since an inode is soon given again (0 where the file system does not
/// say); `None` for `-` and for anything that is no file, such as a pipe.
pub(crate) fn place(path: &Path) -> io::Result<Option<[u64; 3]>> {
    if is_standard_input(path) {
        return Ok(None);
    }
    let metadata = std::fs::metadata(path)?;
    let made = metadata.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(0, |made| u64::try_from(made.as_nanos()).unwrap_or(0));
    Ok(metadata.is_file().then(|| [metadata.dev(), metadata.ino(), made]))
}

/// Opens a file, or standard input for `-`; gzip and zstd are recognised by their first bytes. `progress` counts the
/// bytes before they are inflated.
pub(crate) fn open(path: &Path, progress: &ProgressBar) -> anyhow::Result<Input> {
    let name = if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() };
    let raw: Box<dyn Read + Send> = if is_standard_input(path) {
        Box::new(progress.wrap_read(io::stdin()))
    } else {
        Box::new(progress.wrap_read(open_file(path)?))
    };
    let text = inflated(raw).with_context(|| format!("cannot read {name}"))?;
    Ok(Input { text, name })
}

/// Whether the file can be read.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    if is_standard_input(path) || std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(());
    }
    open_file(path).map(drop)
}

/// The first line of a file, without its line feed: how tokens are kept in files.
pub(crate) fn first_line(path: &Path) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(open_file(path)?.take(TOKEN_LINE_BYTES))
        .read_line(&mut line)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(line.trim().to_owned())
}

/// Creates or replaces the file that a user named as an output.
#[expect(clippy::disallowed_methods, reason = "a file that the user named, not of a data directory")]
pub(crate) fn create_file(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "a file that the user named, not of a data directory")]
fn open_file(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot open {}", path.display()))
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn inflated(mut raw: Box<dyn Read + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    // A pipe may give less than asked for; `read_to_end` on a `Take` goes on until it has them or there is no more.
    (&mut raw).take(4).read_to_end(&mut head)?;
    let (is_gzip, is_zstd) = (head.starts_with(&GZIP_MAGIC), head.starts_with(&ZSTD_MAGIC));
    let whole = Cursor::new(head).chain(raw);
    let text: Box<dyn Read + Send> = match (is_gzip, is_zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(BufReader::new(whole))),
        (_, true) => Box::new(zstd::Decoder::new(whole)?),
        _ => Box::new(whole),
    };
    Ok(Box::new(BufReader::with_capacity(256 * 1024, text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const TEXT: &[u8] = b"message,storyId=5b07ffafc2376e30306d9b16,source=app\nmessage\n";

    fn check(bytes: Vec<u8>, expected: &[u8]) {
        let mut text = Vec::new();
        inflated(Box::new(Cursor::new(bytes))).expect("opened").read_to_end(&mut text).expect("read");
        assert_eq!(text, expected);
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("written");
        encoder.finish().expect("finished")
    }

    #[test]
    fn plain_gzip_and_zstd_are_told_by_their_first_bytes() {
        check(TEXT.to_vec(), TEXT);
        check(gzip(TEXT), TEXT);
        check(zstd::encode_all(TEXT, 1).expect("encoded"), TEXT);
    }

    #[test]
    fn gzip_of_several_members_is_read_to_its_end() {
        let mut members = gzip(b"a\n");
        members.extend(gzip(b"b\n"));
        check(members, b"a\nb\n");
    }

    #[test]
    fn short_and_empty_inputs_are_plain() {
        check(Vec::new(), b"");
        check(b"ab".to_vec(), b"ab");
    }

    #[test]
    fn truncated_gzip_is_an_error() {
        let mut bytes = gzip(TEXT);
        bytes.truncate(bytes.len() - 6);
        let mut text = Vec::new();
        let mut input = inflated(Box::new(Cursor::new(bytes))).expect("opened");
        assert!(input.read_to_end(&mut text).is_err());
    }

    #[test]
    fn token_is_the_first_line_of_its_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        std::fs::write(&path, "tally_abc \nnext\n").expect("written");
        assert_eq!(first_line(&path).expect("a token"), "tally_abc");
    }
}
