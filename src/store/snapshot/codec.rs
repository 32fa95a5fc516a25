//! The only place that knows bincode. Turns the payload of a block into values and back; a payload gets here only
//! after its length and checksum have been found right. The stored types are its own, so that no type elsewhere
//! freezes the format, and another codec could write the same bytes.

use std::sync::Arc;

use bincode::Options;
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::{FileRef, Generation, KeyPiece};
use crate::cluster::digest::Digest;
use crate::cluster::position::{ChainValue, LogId, LogSequence, LogStamp, MessageNumber, WriterId};
use crate::limits::{SNAPSHOT_BLOCK_BYTES_MAX, wide};
use crate::model::batch::{
    BatchIdentity, BatchKey, Definition, KeyId, KeyRule, KeyedAnswer, RejectedLine, SeriesId,
};
use crate::model::cells::Month;
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::store::journal::Sequence;
use crate::store::layout::FileName;
use crate::store::log::{KeptLog, LogState};

/// What is wrong with a payload, in words.
pub(crate) type CodecFault = String;

#[derive(Serialize, Deserialize)]
enum StoredEntry<'a> {
    Series { id: u32, story: [u8; ObjectId::LEN], source: u8, metric: StoredMetric },
    Story { story: [u8; ObjectId::LEN], name: Option<&'a str> },
    Node { story: [u8; ObjectId::LEN], node: StoredNode, name: Option<&'a str> },
    Deleted { story: [u8; ObjectId::LEN], generation: u64 },
}

#[derive(Serialize, Deserialize)]
enum StoredMetric {
    Conversations,
    PaidConversations,
    Messages,
    Interaction(StoredNode),
}

#[derive(Serialize, Deserialize)]
enum StoredNode {
    Interaction([u8; ObjectId::LEN]),
    ContextFallback([u8; ObjectId::LEN]),
    Fallback,
    Welcome,
}

#[derive(Serialize, Deserialize)]
struct StoredManifest {
    /// Flags of the sections that follow: [`SECTION_KEYS`], then [`SECTION_LOG`], then [`SECTION_DROPPED`].
    sections: u32,
    position: u64,
    dictionary: Vec<StoredFile>,
    parts: Vec<StoredFile>,
}

/// The pieces with the keys of batches, a list of [`StoredKeyPiece`], follow.
const SECTION_KEYS: u32 = 1;
/// The place in a log that several daemons read, a [`StoredLog`], follows.
const SECTION_LOG: u32 = 2;
/// The first month that is kept, where those before were dropped, as 32 bits, follows.
const SECTION_DROPPED: u32 = 4;

#[derive(Serialize, Deserialize)]
struct StoredKeyPiece {
    file: StoredFile,
    held: [u64; 2],
    newest: [u32; 2],
}

/// NOTE: another form of it would be another section.
#[derive(Serialize, Deserialize)]
struct StoredLog {
    log: u64,
    time: u64,
    digest: [u8; 16],
    /// Writers, ascending, and the number of the last message of each that was applied.
    marks: Vec<(u64, u64)>,
    /// The place of the first value of the chain; the last one is that of the position.
    chain_first: u64,
    chain: Vec<u64>,
    landmarks: Vec<(u64, [u8; 16])>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey<'a> {
    is_window: bool,
    id: [u8; 16],
    content: u64,
    taken: u32,
    accepted: u32,
    rejected: u32,
    #[serde(borrow)]
    bad_lines: Vec<(u64, &'a str)>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    month: u32,
    generation: u64,
    bytes: u64,
    crc32: u32,
}

fn options() -> impl Options {
    let options = bincode::DefaultOptions::new().with_fixint_encoding();
    options.with_limit(wide(SNAPSHOT_BLOCK_BYTES_MAX)).reject_trailing_bytes()
}

fn fault(error: &bincode::Error) -> CodecFault {
    format!("its content is not of the format: {error}")
}

/// Reads a block of a dictionary of format 3 onto `entries`.
pub(crate) fn decode_entries(payload: &[u8], entries: &mut Vec<Entry>) -> Result<(), CodecFault> {
    let stored: Vec<StoredEntry<'_>> = options().deserialize(payload).map_err(|error| fault(&error))?;
    for entry in stored {
        entries.push(load_entry(entry)?);
    }
    Ok(())
}

/// The payload of a block of keys.
pub(crate) fn encode_keys(keys: &[BatchKey]) -> Result<Vec<u8>, CodecFault> {
    let stored: Vec<StoredKey<'_>> = keys.iter().map(store_key).collect();
    options().serialize(&stored).map_err(|error| fault(&error))
}

fn store_key(key: &BatchKey) -> StoredKey<'_> {
    let BatchKey { identity, taken, answer } = key;
    StoredKey {
        is_window: identity.rule == KeyRule::Window,
        id: identity.id.0,
        content: identity.content,
        taken: *taken,
        accepted: answer.accepted,
        rejected: answer.rejected,
        bad_lines: answer.bad_lines.iter().map(|bad| (bad.line, &*bad.message)).collect(),
    }
}

/// Reads a block of keys.
pub(crate) fn decode_keys(payload: &[u8]) -> Result<Vec<BatchKey>, CodecFault> {
    let stored: Vec<StoredKey<'_>> = options().deserialize(payload).map_err(|error| fault(&error))?;
    let load = |stored: StoredKey<'_>| {
        let rule = if stored.is_window { KeyRule::Window } else { KeyRule::Key };
        let bad_line = |(line, message): (u64, &str)| RejectedLine { line, message: message.into() };
        BatchKey {
            identity: BatchIdentity { rule, id: KeyId(stored.id), content: stored.content },
            taken: stored.taken,
            answer: KeyedAnswer {
                accepted: stored.accepted,
                rejected: stored.rejected,
                bad_lines: stored.bad_lines.into_iter().map(bad_line).collect(),
            },
        }
    };
    Ok(stored.into_iter().map(load).collect())
}

/// What a manifest lists, the journal position, the place in a log, and the first month that is kept.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) position: Sequence,
    pub(crate) dictionary: Vec<FileRef>,
    pub(crate) parts: Vec<FileRef>,
    pub(crate) keys: Vec<KeyPiece>,
    pub(crate) log: Option<Arc<LogState>>,
    pub(crate) dropped_before: Option<Month>,
}

/// The payload of the one block of a manifest.
pub(crate) fn encode_manifest(listed: &Listed) -> Result<Vec<u8>, CodecFault> {
    let store = |files: &[FileRef]| files.iter().map(store_file).collect();
    let section = |flag: u32, is_there: bool| if is_there { flag } else { 0 };
    let stored = StoredManifest {
        sections: section(SECTION_KEYS, !listed.keys.is_empty())
            | section(SECTION_LOG, listed.log.is_some())
            | section(SECTION_DROPPED, listed.dropped_before.is_some()),
        position: listed.position.get(),
        dictionary: store(&listed.dictionary),
        parts: store(&listed.parts),
    };
    let mut payload = options().serialize(&stored).map_err(|error| fault(&error))?;
    if !listed.keys.is_empty() {
        let store = |KeyPiece { file, held, newest }: &KeyPiece| StoredKeyPiece {
            file: store_file(file),
            held: *held,
            newest: *newest,
        };
        let pieces: Vec<StoredKeyPiece> = listed.keys.iter().map(store).collect();
        options().serialize_into(&mut payload, &pieces).map_err(|error| fault(&error))?;
    }
    if let Some(log) = &listed.log {
        options().serialize_into(&mut payload, &store_log(log)).map_err(|error| fault(&error))?;
    }
    if let Some(month) = listed.dropped_before {
        options().serialize_into(&mut payload, &month.get()).map_err(|error| fault(&error))?;
    }
    Ok(payload)
}

fn store_log(log: &LogState) -> StoredLog {
    let KeptLog { log, time, digest, marks, chain_first, chain, landmarks } = log.to_kept();
    StoredLog {
        log: log.get(),
        time: time.get(),
        digest: digest.get().to_le_bytes(),
        marks: marks.into_iter().map(|(writer, mark)| (writer.get(), mark.get())).collect(),
        chain_first: chain_first.get(),
        chain: chain.into_iter().map(ChainValue::get).collect(),
        landmarks: landmarks.into_iter().map(|(at, digest)| (at.get(), digest.get().to_le_bytes())).collect(),
    }
}

fn load_log(stored: StoredLog) -> Result<LogState, CodecFault> {
    let digest = |bytes: [u8; 16]| Digest::new(u128::from_le_bytes(bytes));
    let marks = stored.marks.into_iter();
    let landmarks = stored.landmarks.into_iter();
    let kept = KeptLog {
        log: LogId::new(stored.log),
        time: LogStamp::new(stored.time),
        digest: digest(stored.digest),
        marks: marks.map(|(writer, mark)| (WriterId::new(writer), MessageNumber::new(mark))).collect(),
        chain_first: LogSequence::new(stored.chain_first),
        chain: stored.chain.into_iter().map(ChainValue::new).collect(),
        landmarks: landmarks.map(|(at, bytes)| (LogSequence::new(at), digest(bytes))).collect(),
    };
    LogState::from_kept(kept).ok_or_else(|| "it has no chain of its log".to_owned())
}

/// Whether the payload is a manifest with a section that is not known.
pub(crate) fn has_unknown_section(payload: &[u8]) -> bool {
    const KNOWN: u32 = SECTION_KEYS | SECTION_LOG | SECTION_DROPPED;
    payload.first_chunk().is_some_and(|sections| u32::from_le_bytes(*sections) & !KNOWN != 0)
}

/// What the manifest in the payload lists; its store id and generation are in the header.
pub(crate) fn decode_manifest(payload: &[u8]) -> Result<Listed, CodecFault> {
    let mut rest = payload;
    let stored: StoredManifest = options().deserialize_from(&mut rest).map_err(|error| fault(&error))?;
    let pieces: Vec<StoredKeyPiece> = if stored.sections & SECTION_KEYS == 0 {
        Vec::new()
    } else {
        options().deserialize_from(&mut rest).map_err(|error| fault(&error))?
    };
    let log = if stored.sections & SECTION_LOG == 0 {
        None
    } else {
        let stored: StoredLog = options().deserialize_from(&mut rest).map_err(|error| fault(&error))?;
        Some(Arc::new(load_log(stored)?))
    };
    let dropped_before = if stored.sections & SECTION_DROPPED == 0 {
        None
    } else {
        Some(Month::new(options().deserialize_from(&mut rest).map_err(|error| fault(&error))?))
    };
    if stored.parts.iter().any(|part| dropped_before.is_some_and(|kept| Month::new(part.month) < kept)) {
        return Err("it lists a part of a month that was dropped".to_owned());
    }
    if !rest.is_empty() {
        return Err("bytes are left over".to_owned());
    }
    let load = |files: &[StoredFile], name: fn(&StoredFile) -> FileName| -> Vec<FileRef> {
        files.iter().map(|file| load_file(file, name(file))).collect()
    };
    let generation = |file: &StoredFile| Generation::new(file.generation);
    let piece = |StoredKeyPiece { file, held, newest }| KeyPiece {
        file: load_file(&file, FileName::Keys(generation(&file))),
        held,
        newest,
    };
    Ok(Listed {
        position: Sequence::new(stored.position),
        dictionary: load(&stored.dictionary, |file| FileName::Dictionary(Generation::new(file.generation))),
        parts: load(&stored.parts, |file| {
            FileName::Part(Month::new(file.month), Generation::new(file.generation))
        }),
        keys: pieces.into_iter().map(piece).collect(),
        log,
        dropped_before,
    })
}

fn load_file(file: &StoredFile, name: FileName) -> FileRef {
    FileRef { name, bytes: file.bytes, crc32: file.crc32 }
}

fn store_file(file: &FileRef) -> StoredFile {
    StoredFile {
        month: file.name.month().map_or(0, Month::get),
        generation: file.name.generation().get(),
        bytes: file.bytes,
        crc32: file.crc32,
    }
}

fn load_entry(stored: StoredEntry<'_>) -> Result<Entry, CodecFault> {
    Ok(match stored {
        StoredEntry::Series { id, story, source, metric } => {
            let source =
                Source::ALL.get(usize::from(source)).ok_or_else(|| format!("{source} is no source"))?;
            let key =
                SeriesKey { story: load_story(&story)?, source: *source, metric: load_metric(&metric)? };
            Entry::Series(Definition { id: SeriesId::new(id), key })
        }
        StoredEntry::Story { story, name } => {
            Entry::Story { story: load_story(&story)?, name: name.map(Box::from) }
        }
        StoredEntry::Node { story, node, name } => {
            Entry::Node { story: load_story(&story)?, node: load_node(&node)?, name: name.map(Box::from) }
        }
        StoredEntry::Deleted { story, generation } => {
            Entry::Deleted { story: load_story(&story)?, generation: Generation::new(generation) }
        }
    })
}

fn load_metric(stored: &StoredMetric) -> Result<Metric, CodecFault> {
    Ok(match stored {
        StoredMetric::Conversations => Metric::Conversations,
        StoredMetric::PaidConversations => Metric::PaidConversations,
        StoredMetric::Messages => Metric::Messages,
        StoredMetric::Interaction(node) => Metric::Interaction(load_node(node)?),
    })
}

fn load_node(stored: &StoredNode) -> Result<Node, CodecFault> {
    Ok(match stored {
        StoredNode::Interaction(id) => Node::Interaction(InteractionId(load_id(id)?)),
        StoredNode::ContextFallback(id) => Node::ContextFallback(InteractionId(load_id(id)?)),
        StoredNode::Fallback => Node::Fallback,
        StoredNode::Welcome => Node::Welcome,
    })
}

fn load_story(text: &[u8]) -> Result<StoryId, CodecFault> {
    load_id(text).map(StoryId)
}

fn load_id(text: &[u8]) -> Result<ObjectId, CodecFault> {
    ObjectId::parse(text).ok_or_else(|| "an id is not of letters and digits".to_owned())
}
