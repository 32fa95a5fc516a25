//! The section of a record that says what was read of a log that several daemons share: one message, whatever was made of it. Pure.
//!
//! | in order | bytes | |
//! | --- | --- | --- |
//! | version | 1 | 1 |
//! | log | 8 | its id |
//! | sequence | varint | of the message in the log |
//! | chain | 8 | the chain there |
//! | stamp | 8 | the time that the log gave it |
//! | digest | 16 | of all that is counted after it |
//! | kind | 1 | 0 the log begins, 1 skipped, 2 applied |
//! | writer, number | 8, varint | of what is applied: whose mark moves, and to which number |
//! | parts | varint | a count; then the parts of the message |
//!
//! A part: flags (1: a key), its outcome (0 counted, 1 repeated, 2 conflict), its key as every record has it, and where it is counted its
//! changes, definitions and increments as every record has them. Changes come first, since a story that is deleted and counted in one
//! part is counted in behind its deletion.
//!
//! INVARIANT: one message is one record, so position, marks and counters move together or not at all.

use super::{
    CHANGE_BYTES_MIN, DEFINITION_BYTES_MIN, decode_change, decode_definition, decode_increments, decode_key,
    encode_change, encode_definition, encode_key, read_count, take, write_count,
};
use crate::cluster::digest::Digest;
use crate::cluster::follow::Noted;
use crate::cluster::position::{ChainValue, LogId, LogSequence, LogStamp, MessageNumber, Position, WriterId};
use crate::model::batch::{Batch, BatchKey, Change, Definition};
use crate::model::varint;

const VERSION: u8 = 1;

const KIND_ENTERED: u8 = 0;
const KIND_SKIPPED: u8 = 1;
const KIND_APPLIED: u8 = 2;

const FLAG_KEY: u8 = 1;
const COUNTED: u8 = 0;
const REPEATED: u8 = 1;
const CONFLICT: u8 = 2;

/// The shortest part: flags and outcome.
pub(super) const SHORTEST_PART_BYTES: usize = 2;

/// What a record says of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The log.
    pub log: LogId,
    /// Which message was read, and the chain there.
    pub position: Position,
    /// The time that the log gave it.
    pub stamp: LogStamp,
    /// Of all that is counted after it.
    pub digest: Digest,
    /// What was made of it.
    pub noted: Noted,
}

/// A message of the log as the journal has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSection {
    /// Which it is, and what was made of it.
    pub entry: LogEntry,
    /// What it says.
    pub parts: Vec<LoggedPart>,
}

/// A part of a message as the journal has it. Of a batch that does not count there is the key alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedPart {
    /// What it came to.
    pub fate: PartFate,
    /// Changes apply first here, then definitions.
    pub batch: Batch,
}

/// What a part came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartFate {
    /// It counts.
    Counted,
    /// It was counted before, under its key.
    Repeated,
    /// Another batch was counted under its key.
    Conflict,
}

/// What one part of a record is made of.
#[derive(Clone, Copy, Debug)]
pub struct StagedPart<'a> {
    /// What it came to.
    pub fate: PartFate,
    /// Its key.
    pub key: Option<&'a BatchKey>,
    /// Changes to write.
    pub changes: &'a [Change],
    /// Definitions to write.
    pub definitions: &'a [Definition],
    /// The section that [`encode_increments`](super::encode_increments) made.
    pub increments: &'a [u8],
}

impl LogSection {
    /// The parts that count, in order.
    pub fn counted(&self) -> impl Iterator<Item = &Batch> {
        self.parts.iter().filter(|part| part.fate == PartFate::Counted).map(|part| &part.batch)
    }

    /// The same, to take something out of them.
    pub fn counted_mut(&mut self) -> impl Iterator<Item = &mut Batch> {
        self.parts.iter_mut().filter(|part| part.fate == PartFate::Counted).map(|part| &mut part.batch)
    }
}

/// Whether a payload that begins with such a section has one that a newer version wrote.
pub(in crate::store::journal) fn is_newer(payload: &[u8]) -> bool {
    payload.first().is_some_and(|version| *version > VERSION)
}

pub(super) fn encode(entry: &LogEntry, parts: &[StagedPart<'_>], out: &mut Vec<u8>) {
    let LogEntry { log, position, stamp, digest, noted } = entry;
    out.push(VERSION);
    out.extend_from_slice(&log.get().to_le_bytes());
    varint::write(position.sequence.get(), out);
    out.extend_from_slice(&position.chain.get().to_le_bytes());
    out.extend_from_slice(&stamp.get().to_le_bytes());
    out.extend_from_slice(&digest.get().to_le_bytes());
    match noted {
        Noted::Entered => out.push(KIND_ENTERED),
        Noted::Skipped => out.push(KIND_SKIPPED),
        Noted::Applied(writer, number) => {
            out.push(KIND_APPLIED);
            out.extend_from_slice(&writer.get().to_le_bytes());
            varint::write(number.get(), out);
        }
    }
    write_count(parts.len(), out);
    for part in parts {
        encode_part(part, out);
    }
}

fn encode_part(part: &StagedPart<'_>, out: &mut Vec<u8>) {
    out.push(if part.key.is_some() { FLAG_KEY } else { 0 });
    out.push(match part.fate {
        PartFate::Counted => COUNTED,
        PartFate::Repeated => REPEATED,
        PartFate::Conflict => CONFLICT,
    });
    if let Some(key) = part.key {
        encode_key(key, out);
    }
    if part.fate == PartFate::Counted {
        write_count(part.changes.len(), out);
        part.changes.iter().for_each(|change| encode_change(change, out));
        write_count(part.definitions.len(), out);
        part.definitions.iter().for_each(|definition| encode_definition(definition, out));
        out.extend_from_slice(part.increments);
    }
}

/// Takes a section from the front of `rest`.
pub(super) fn decode(rest: &mut &[u8]) -> Result<LogSection, &'static str> {
    let entry = decode_entry(rest).ok_or("the place in the log cannot be read")?;
    let count = read_count(rest, SHORTEST_PART_BYTES).ok_or("the parts' number is wrong")?;
    if count > 0 && !matches!(entry.noted, Noted::Applied(..)) {
        return Err("a message that changes nothing has parts");
    }
    let mut parts = Vec::new();
    for _ in 0..count {
        parts.push(decode_part(rest)?);
    }
    Ok(LogSection { entry, parts })
}

fn decode_entry(rest: &mut &[u8]) -> Option<LogEntry> {
    let [version] = take(rest)?;
    if version != VERSION {
        return None;
    }
    let log = LogId::new(u64::from_le_bytes(take(rest)?));
    let sequence = LogSequence::new(varint::read(rest)?);
    let chain = ChainValue::new(u64::from_le_bytes(take(rest)?));
    let stamp = LogStamp::new(u64::from_le_bytes(take(rest)?));
    let digest = Digest::new(u128::from_le_bytes(take(rest)?));
    let noted = match take(rest)? {
        [KIND_ENTERED] => Noted::Entered,
        [KIND_SKIPPED] => Noted::Skipped,
        [KIND_APPLIED] => {
            let writer = WriterId::new(u64::from_le_bytes(take(rest)?));
            Noted::Applied(writer, MessageNumber::new(varint::read(rest)?))
        }
        _ => return None,
    };
    Some(LogEntry { log, position: Position { sequence, chain }, stamp, digest, noted })
}

fn decode_part(rest: &mut &[u8]) -> Result<LoggedPart, &'static str> {
    let [flags, outcome] = take(rest).ok_or("a part cannot be read")?;
    let fate = match (flags, outcome) {
        (0 | FLAG_KEY, COUNTED) => PartFate::Counted,
        (FLAG_KEY, REPEATED) => PartFate::Repeated,
        (FLAG_KEY, CONFLICT) => PartFate::Conflict,
        _ => return Err("the outcome of a part is not known"),
    };
    let mut batch = Batch::default();
    if flags == FLAG_KEY {
        batch.key = Some(Box::new(decode_key(rest).ok_or("the key cannot be read")?));
    }
    if fate == PartFate::Counted {
        let count = read_count(rest, CHANGE_BYTES_MIN).ok_or("the changes' number is wrong")?;
        batch.changes.reserve(count);
        for _ in 0..count {
            batch.changes.push(decode_change(rest).ok_or("a change cannot be read")?);
        }
        let count = read_count(rest, DEFINITION_BYTES_MIN).ok_or("the definitions' number is wrong")?;
        batch.definitions.reserve(count);
        for _ in 0..count {
            batch.definitions.push(decode_definition(rest).ok_or("a definition cannot be read")?);
        }
        decode_increments(rest, &mut batch.increments).ok_or("the increments cannot be read")?;
    }
    Ok(LoggedPart { fate, batch })
}
