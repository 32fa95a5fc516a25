//! The page that people see at `/`: the name, bytes, kind and packed bytes of each of its files, and the tag of them all.
//! Knows nothing of HTTP, reports or who asks; the files themselves ask over HTTP as any client does.
//!
//! INVARIANT: the tag is of all files, and stands in the path of each, so that a path never gets other bytes.
//! INVARIANT: nothing is built: what is sent is what stands in `files/` and `vendor/`, but for the paths in `index.html`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Below this path the files are served, each under tag and name.
pub const FILES_PATH: &str = "/page/";
/// What stands in `index.html` for the path of the files.
const FILES_MARK: &str = "FILES/";
/// What stands in `index.html` for the links by which a browser loads all modules at once, once it has drawn a first frame.
const PRELOADS_MARK: &str = "<!-- preloads -->";
/// Hexadecimal digits of the hash that make the tag.
const TAG_DIGITS: usize = 12;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

static INDEX: &str = include_str!("files/index.html");

/// The files of the page by name, with their kinds.
macro_rules! files {
    ($($kind:expr, $folder:literal: $($name:literal)+;)+) => {
        static FILES: &[(&str, &str, &[u8])] =
            &[$($(($name, $kind, include_bytes!(concat!($folder, $name)))),+),+];
    };
}

files! {
    SCRIPT, "files/":
        "api.js" "app.js" "breakdown.js" "chart.js" "compare.js" "csv.js" "dom.js" "figures.js" "format.js" "heat.js"
        "interactions.js" "json.js" "keys.js" "live.js" "load.js" "menus.js" "model.js" "notices.js" "paint.js" "patch.js"
        "picker.js" "popup.js" "session.js" "show.js" "signin.js" "sse.js" "start.js" "table.js" "time.js" "tooltip.js" "trouble.js"
        "view.js";
    SCRIPT, "vendor/uplot-1.6.32/": "uPlot.iife.min.js";
    STYLE, "files/": "api.css" "page.css" "parts.css";
    STYLE, "vendor/uplot-1.6.32/": "uPlot.min.css";
    "image/svg+xml", "files/": "icon.svg";
    "application/manifest+json", "files/": "manifest.json";
    "text/plain; charset=utf-8", "vendor/uplot-1.6.32/": "LICENSE" "ORIGIN";
}

/// A file as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageFile {
    /// The last part of its path.
    pub name: &'static str,
    /// Its `Content-Type`.
    pub kind: &'static str,
    /// What stands in it.
    pub bytes: Vec<u8>,
    /// The same bytes, packed by gzip.
    pub gzip: Vec<u8>,
}

impl PageFile {
    fn new(name: &'static str, kind: &'static str, bytes: Vec<u8>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to a vector cannot fail; were it otherwise, the bytes would be sent as they are.
        let gzip = encoder.write_all(&bytes).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { name, kind, bytes, gzip }
    }
}

struct Page {
    tag: String,
    hash: u64,
    index: PageFile,
    files: Vec<PageFile>,
}

/// Packed once, when the page is first asked for.
static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let digest = digest(INDEX, FILES);
    let tag = tag_of(&digest);
    let hash = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let index = index_html(&tag).into_bytes();
    let files = FILES.iter().map(|(name, kind, bytes)| PageFile::new(name, kind, bytes.to_vec()));
    Page {
        index: PageFile::new("index.html", "text/html; charset=utf-8", index),
        files: files.collect(),
        tag,
        hash,
    }
});

/// The hash of all names and bytes.
fn digest(index: &str, files: &[(&str, &str, &[u8])]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, bytes) in
        files.iter().map(|(name, _, bytes)| (*name, *bytes)).chain([("index.html", index.as_bytes())])
    {
        // With lengths, so that no two sets of files make the same input.
        for part in [name.as_bytes(), bytes] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

fn tag_of(digest: &[u8]) -> String {
    let mut tag = hex(digest);
    tag.truncate(TAG_DIGITS);
    tag
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        if write!(text, "{byte:02x}").is_err() {}
    }
    text
}

/// `index.html` with the paths of the files in it.
fn index_html(tag: &str) -> String {
    let path = format!("{FILES_PATH}{tag}/");
    let modules = FILES.iter().filter(|(name, kind, _)| *kind == SCRIPT && !name.contains(".iife."));
    let preloads =
        modules.map(|(name, ..)| format!("<link rel=\"modulepreload\" href=\"{FILES_MARK}{name}\">"));
    let preloads = preloads.collect::<Vec<_>>().join("\n");
    INDEX.replace(PRELOADS_MARK, &preloads).replace(FILES_MARK, &path)
}

/// The page itself.
pub fn index() -> &'static PageFile {
    &PAGE.index
}

/// The file at a path of tag and name; `None` with the tag of another version.
pub fn file(path: &str) -> Option<&'static PageFile> {
    let name = path.strip_prefix(tag())?.strip_prefix('/')?;
    PAGE.files.iter().find(|file| file.name == name)
}

/// The path under which a file of a name is served.
pub fn path_of(name: &str) -> String {
    format!("{FILES_PATH}{}/{name}", tag())
}

/// What all files together are known by: it changes whenever one of them does.
pub fn tag() -> &'static str {
    &PAGE.tag
}

/// The same as a number of more digits.
pub fn hash() -> u64 {
    PAGE.hash
}

#[cfg(test)]
mod tests;
