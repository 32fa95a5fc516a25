//! Good and bad inputs for the checks of [`crate::testing`], taken from the tables, strategies and fixtures of the other
//! tests, so that what these know the fuzz targets begin with. Knows nothing of what must hold.

use std::path::Path;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::cluster::message::tests as messages;
use crate::intake::batching::tests::random;
use crate::store::journal::record::tests as records;
use crate::store::snapshot::tests as snapshots;

const STORY: &str = "5b07ffafc2376e30306d9b16";
const OTHER_STORY: &str = "5b07ff77c2376e30306d9b12";
const WIRE_TESTS: &str = include_str!("intake/wire/tests.rs");
const BATCHING_TESTS: &str = include_str!("intake/batching/tests/mod.rs");
const GRAMMAR_TABLE: &str = include_str!("../tests/line_protocol_table.rs");
const FRAMING_TESTS: &str = include_str!("net/http/framing.rs");
const UPSERT_TESTS: &str = include_str!("net/http/upsert.rs");
const STORY_TESTS: &str = include_str!("../tests/http_port/stories.rs");
const SESSION_TESTS: &str = include_str!("net/tcp/session/tests.rs");
const AUTH_TESTS: &str = include_str!("net/auth/tests.rs");
const QUERY_TESTS: &str = include_str!("report/tests.rs");
const ROUTE_TESTS: &str = include_str!("../tests/report_golden/main.rs");

/// So many values of a strategy, the same each time.
pub(crate) fn samples<T>(strategy: impl Strategy<Value = T>, number: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    let mut sample = || strategy.new_tree(&mut runner).unwrap().current();
    std::iter::repeat_with(&mut sample).take(number).collect()
}

pub(crate) fn line() -> Vec<Vec<u8>> {
    with_choices([0], lines())
}

pub(crate) fn block() -> Vec<Vec<u8>> {
    let mut blocks: Vec<Vec<u8>> = lines().chunks(8).map(|lines| lines.join(&b'\n')).collect();
    blocks.extend(["\u{feff}[[", "\u{feff}{", "\u{feff}\n"].map(|text| text.as_bytes().to_vec()));
    [0, 7].into_iter().flat_map(|choice| with_choices([choice, 12], blocks.clone())).collect()
}

pub(crate) fn json() -> Vec<Vec<u8>> {
    let objects: Vec<Vec<u8>> =
        lines().into_iter().filter(|line| line.trim_ascii_start().starts_with(b"{")).collect();
    let laid_out = |object: &Vec<u8>| String::from_utf8_lossy(object).replace(',', ",\n").into_bytes();
    let documents: Vec<Vec<u8>> = objects.iter().map(laid_out).collect();
    let array = |objects: &[Vec<u8>]| [b"[", objects.join(&b",\n"[..]).as_slice(), b"]"].concat();
    let arrays: Vec<Vec<u8>> = objects.chunks(3).chain(documents.chunks(2)).map(array).collect();
    let inputs = [objects, arrays, documents].concat();
    [0, 7].into_iter().flat_map(|choice| with_choices([choice], inputs.clone())).collect()
}

pub(crate) fn fast_path() -> Vec<Vec<u8>> {
    let blocks: Vec<Vec<u8>> = lines().chunks(3).map(|lines| lines.join(&b'\n')).collect();
    [0, 7].into_iter().flat_map(|choice| with_choices([choice], blocks.clone())).collect()
}

pub(crate) fn body() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = lines().chunks(40).map(|lines| lines.join(&b'\n')).collect();
    bodies.truncate(6);
    let packed = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let repeated = packed(&b"message ".repeat(20_000));
    let zipped = |bytes: &[u8]| {
        let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::default());
        let mut out = Vec::new();
        std::io::copy(&mut encoder, &mut out).unwrap();
        out
    };
    let zip_bomb = zipped(&vec![0; 200_000]);
    let each: Vec<Vec<u8>> = bodies.iter().flat_map(|body| [packed(body), zipped(body)]).collect();
    with_choices([200, 9], [each, bodies, vec![repeated, zip_bomb]].concat())
}

pub(crate) fn framing() -> Vec<Vec<u8>> {
    let long = format!("GET /{} HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(500), "b".repeat(500));
    let mut texts = literals(FRAMING_TESTS);
    texts.push(long.into());
    let headers = literals(FRAMING_TESTS).into_iter().filter(|text| text.starts_with(b"Content-Length"));
    texts.extend(headers.map(|header| [b"POST / HTTP/1.1\r\n", header.as_slice(), b"\r\n\r\nab"].concat()));
    with_choices([3, 5], texts)
}

pub(crate) fn stories() -> Vec<Vec<u8>> {
    let cursor = "AQAGk-c1YjA3ZmZhZmMyMzc2ZTMwMzA2ZDliMTY";
    let queries = ["limit=1000", "limit=0&search=%00", "search=a&search=b", "x=1"].map(str::to_owned);
    let mut texts = [UPSERT_TESTS, STORY_TESTS].map(literals).concat();
    let name = |number: u8| format!("{{\"name\":\"n\",\"id\":\"5b07ffafc2376e30306d9b1{number}\"}}");
    texts.push(format!("{{\"interactions\":[{},{}],\"name\":\"\\u00e9\"}}", name(1), name(2)).into_bytes());
    let queries = queries.into_iter().chain([format!("cursor={cursor}&limit=2")]).map(String::into_bytes);
    texts.into_iter().chain(queries).collect()
}

pub(crate) fn session() -> Vec<Vec<u8>> {
    let commands =
        ["!sync", "!batch k", "!end", "!auth 0123456789abcdefghij", "!precision ms", "!batch again"];
    let mut texts: Vec<Vec<u8>> = literals(SESSION_TESTS);
    for (place, block) in lines().chunks(3).enumerate() {
        let mut text = commands[place % commands.len()].as_bytes().to_vec();
        for line in block {
            text.push(b'\n');
            text.extend(line);
        }
        text.extend(if place % 3 == 0 { &b"\n!end\n!sync\n"[..] } else { b"\n!sync\n" });
        texts.push(text);
    }
    (0..4).flat_map(|choice| with_choices([choice, 5], texts.clone())).collect()
}

pub(crate) fn tokens() -> Vec<Vec<u8>> {
    let mut texts = literals(AUTH_TESTS);
    texts.push(b"[[token]]\nname = \"bots\"\nscopes = [\"read\", \"write\"]\nsha256 = \"".to_vec());
    let whole = |digit: &str| {
        let digest = digit.repeat(64);
        format!("[[token]]\nname = \"bots{digit}\"\nscopes = [\"read\", \"write\"]\nsha256 = \"{digest}\"\n")
    };
    texts.extend([whole("a").into(), [whole("a"), whole("b")].concat().into(), whole("a").repeat(2).into()]);
    texts.push(b"bots:write:tally_0123456789abcdef;board:read+admin:tally_0123456789abcdee".to_vec());
    texts
}

pub(crate) fn query() -> Vec<Vec<u8>> {
    let is_query = |text: &Vec<u8>| text.contains(&b'=') && !text.contains(&b' ');
    let queries = literals(QUERY_TESTS).into_iter().chain(literals(ROUTE_TESTS)).filter(is_query);
    let bounds = ["limit=0", "limit=10000&group=source", "offset=-720&dimension=hour&period=last3Months"];
    let queries: Vec<Vec<u8>> = queries.chain(bounds.map(|text| text.as_bytes().to_vec())).collect();
    (0..6).flat_map(|report| with_choices([report, report, 7], queries.clone())).collect()
}

pub(crate) fn journal_record() -> Vec<Vec<u8>> {
    let seed = |(kind, payload): (u8, Vec<u8>)| [&[kind, 9, 4], &*payload].concat();
    records::payloads().into_iter().map(seed).collect()
}

pub(crate) fn journal_segment() -> Vec<Vec<u8>> {
    let payloads: Vec<Vec<u8>> =
        records::payloads().into_iter().filter(|(kind, _)| *kind == 0).map(|(_, payload)| payload).collect();
    let segment = |(number, payloads): (usize, &[Vec<u8>])| {
        let mut bytes = vec![7, 0];
        for (place, payload) in payloads.iter().enumerate() {
            let piece = &payload[..payload.len().min(255)];
            bytes.extend([u8::try_from((number + place) % 4).unwrap(), u8::try_from(piece.len()).unwrap()]);
            bytes.extend(piece);
        }
        // What the end looks like: nothing, garbage, zeros, the mark that another segment follows.
        let ends: [&[u8]; 4] = [&[], &[5, 3, 1, 2, 3], &[6, 2, 0, 0], &[7, 0]];
        bytes.extend(ends[number % ends.len()]);
        bytes
    };
    (0..4).flat_map(|size| payloads.chunks(size + 1).enumerate().map(segment).collect::<Vec<_>>()).collect()
}

pub(crate) fn snapshot_part() -> Vec<Vec<u8>> {
    with_choices(
        [9, 1],
        [fixtures("part"), blocks("2019-03"), blocks("2018-09"), snapshots::parts()].concat(),
    )
}

pub(crate) fn snapshot_dictionary() -> Vec<Vec<u8>> {
    with_choices([9, 1], [fixtures("dictionary"), blocks("dictionary"), snapshots::dictionaries()].concat())
}

pub(crate) fn snapshot_manifest() -> Vec<Vec<u8>> {
    with_choices([9, 1], [fixtures("manifest"), blocks("manifest"), snapshots::manifests()].concat())
}

pub(crate) fn key_piece() -> Vec<Vec<u8>> {
    with_choices([9, 1], snapshots::key_blocks(&records::keys()))
}

pub(crate) fn log_message() -> Vec<Vec<u8>> {
    messages::seeds()
}

/// Lines of every kind: those of the tables, and random ones.
fn lines() -> Vec<Vec<u8>> {
    let tags = format!(",storyId={STORY},source=messenger");
    let members = format!("\"storyId\":\"{STORY}\",\"source\":\"messenger\"");
    let written = [WIRE_TESTS, BATCHING_TESTS, GRAMMAR_TABLE].into_iter().flat_map(literals).map(|text| {
        let text = String::from_utf8_lossy(&text).into_owned();
        let whole = if text.starts_with('{') { members.as_str() } else { &tags };
        text.replace('@', whole).replace("{{", "{").replace("}}", "}").replace("{STORY}", STORY).into()
    });
    let name = r#""a \\\\b \" \\""#;
    let named = [
        format!("interaction{tags},id={STORY} name={name},storyName={name}"),
        format!(
            "{{\"event\":\"interaction\",{members},\"id\":\"{STORY}\",\"name\":{name},\"storyName\":{name}}}"
        ),
    ];
    let returns = ["{\r", "{\r\r", "\r\r"].map(|line| line.as_bytes().to_vec());
    written
        .chain(named.map(String::into_bytes))
        .chain(usual_lines())
        .chain(returns)
        .chain(random::lines())
        .collect()
}

/// Good lines in the spellings that most clients send, about two stories.
fn usual_lines() -> impl Iterator<Item = Vec<u8>> {
    let of_story = |story: &'static str| {
        let tags = format!(",storyId={story},source=slack");
        let json = format!("\"storyId\":\"{story}\",\"source\":\"slack\",\"count\":2");
        [
            format!("message{tags} count=1i 1552813200000000000"),
            format!("conversation{tags} count=3i,paid=true"),
            format!("interaction{tags},id={STORY} count=1i 1552813200000000001"),
            format!("interaction{tags},type=welcome count=1i"),
            format!("{{\"event\":\"message\",{json}}}"),
            format!("{{\"event\":\"conversation\",{json},\"paid\":true,\"timestamp\":1552813200000}}"),
        ]
    };
    [STORY, OTHER_STORY].into_iter().flat_map(of_story).map(String::into_bytes)
}

fn with_choices<const N: usize>(choices: [u8; N], inputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    inputs.into_iter().map(|input| [&choices, input.as_slice()].concat()).collect()
}

/// The payload of each block of the fixture of that name.
fn fixtures(name: &str) -> Vec<Vec<u8>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/snapshot-format-4/{name}.hex"));
    let digits: Vec<u8> = std::fs::read(path).unwrap().into_iter().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    payloads(&digits.chunks(2).map(byte).collect::<Vec<_>>())
}

/// The payload of each block of the fixtures whose name begins so.
fn blocks(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-4/snapshot");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
    files.flat_map(|entry| payloads(&std::fs::read(entry.path()).unwrap())).collect()
}

/// The payloads of the blocks of a snapshot's file.
fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[36..];
    let mut payloads = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (payload, after) = after[4..].split_at(u32::from_le_bytes(*length).try_into().unwrap());
        payloads.push(payload.to_vec());
        rest = after;
    }
    payloads
}

/// The string literals of a source text, their escapes read.
fn literals(source: &str) -> Vec<Vec<u8>> {
    let source = source.replace("'\"'", "");
    let mut found = Vec::new();
    let mut rest = source.as_str();
    while let Some((before, after)) = rest.split_once('"') {
        if before.ends_with("r#")
            && let Some((raw, after)) = after.split_once("\"#")
        {
            found.push(raw.as_bytes().to_vec());
            rest = after;
            continue;
        }
        let mut text = String::new();
        let mut characters = after.char_indices();
        rest = "";
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    rest = after.split_at(at + 1).1;
                    break;
                }
                '\\' => match characters.next().map(|(_, escape)| escape) {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('0') => text.push('\0'),
                    Some('u') => {
                        let digits: String = characters
                            .by_ref()
                            .map(|(_, digit)| digit)
                            .skip(1)
                            .take_while(|digit| *digit != '}')
                            .collect();
                        text.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                    }
                    // The text goes on with the first letter of the next line.
                    Some('\n') => {
                        while characters.as_str().starts_with(' ') {
                            characters.next();
                        }
                    }
                    Some(other) => text.push(other),
                    None => {}
                },
                other => text.push(other),
            }
        }
        found.push(text.into_bytes());
    }
    found
}
