//! One record: how a batch is written, byte by byte, and read back. Pure; knows nothing of files.
//!
//! | part of the header | bytes | |
//! | --- | --- | --- |
//! | magic | 4 | `jrec` |
//! | checksum | 4 | CRC-32 over the store id (8 bytes, not written) and all bytes after this field |
//! | length | 4 | bytes of the payload |
//! | flags | 4 | 1: the payload begins with the batch's key; 2: the end mark of a segment; 4: the payload is a message of a log that several daemons share (see [`log`]); 8: the payload has an erasure, behind the key where there is one; 16: the payload says which hours are dropped, behind the erasure; any other, a section that this version cannot read |
//! | sequence | 8 | |
//! | synced | 8 | the newest record known to be synced when this one was made |
//!
//! Numbers are little-endian. The payload: definitions, changes and increments, each a count and as many items. The
//! increments come last and know nothing of what is before them, so that they can be encoded before the record has its
//! number.
//!
//! The key: its identity, when it was taken, its answer (see `key_bytes`).
//!
//! The erasure: the story's id, a bit for each source (by its code) and for each metric (conversations, paid ones, messages,
//! interactions), a byte each; then as varints the first hour and the one after the last, the number of the share and how many
//! shares there are (see `model/erasure.rs`).
//!
//! Which hours are dropped: the first month that is kept, as a varint of months since 1970-01.
//!
//! A record with a flag that is not known is refused, never read in part.
//!
//! INVARIANT: no input makes decoding panic, or allocate more than a small multiple of the input.

mod log;

use super::segment::take;
use super::{Sequence, StoreId};
use crate::limits::{RECORD_BYTES_MAX, narrow, wide};
use crate::model::batch::erasure::{Erasure, Metrics, Share, Sources};
use crate::model::batch::{Batch, BatchKey, Change, Definition, Increment, SeriesId};
use crate::model::calendar::{Hour, HourRange};
use crate::model::cells::Month;
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};
use crate::model::{key_bytes, varint};
pub use log::{LogEntry, LogSection, LoggedPart, PartFate, StagedPart};

/// Length of a record's header in bytes.
pub(super) const HEADER_BYTES: usize = 32;
/// The header's bytes that the checksum does not cover: magic and checksum.
const UNCHECKED_BYTES: usize = 8;
pub(super) const MAGIC: [u8; 4] = *b"jrec";

/// The payload begins with the batch's key.
pub(super) const FLAG_KEY: u32 = 1;
/// Not a batch but the mark that the segment ends here; the sequence is the next segment's first.
pub(super) const FLAG_SEALED: u32 = 2;
/// The payload is a message of a log.
pub(super) const FLAG_LOG: u32 = 4;
/// The payload has an erasure.
pub(super) const FLAG_ERASURE: u32 = 8;
/// The payload says which hours are dropped.
pub(super) const FLAG_DROPPED: u32 = 16;

/// One batch, or one message of a log, as the journal has it. `batch.deletions` is of one daemon's life and always 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// Its number.
    pub sequence: Sequence,
    /// What it adds; nothing where it is a message of a log.
    pub batch: Batch,
    /// The message of a log that it is.
    pub log: Option<Box<LogSection>>,
}

/// What one record is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Staged<'a> {
    /// The batch's key.
    pub key: Option<&'a BatchKey>,
    /// Its erasure.
    pub erasure: Option<&'a Erasure>,
    /// The first month that is kept, where those before are dropped.
    pub dropped_before: Option<Month>,
    /// Definitions to write.
    pub definitions: &'a [Definition],
    /// Changes to write.
    pub changes: &'a [Change],
    /// The section that [`encode_increments`] made.
    pub increments: &'a [u8],
}

/// The header of a record, its magic and length found good, its checksum not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) checksum: u32,
    /// Of the payload; within [`RECORD_BYTES_MAX`].
    pub(super) length: usize,
    pub(super) flags: u32,
    pub(super) sequence: Sequence,
    pub(super) synced: Sequence,
}

impl Header {
    /// The header at the front of `bytes`; `None` where none begins there.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        if take::<4>(&mut bytes)? != MAGIC {
            return None;
        }
        let checksum = u32::from_le_bytes(take(&mut bytes)?);
        let length = usize::try_from(u32::from_le_bytes(take(&mut bytes)?)).ok()?;
        let flags = u32::from_le_bytes(take(&mut bytes)?);
        let sequence = Sequence::new(u64::from_le_bytes(take(&mut bytes)?));
        let synced = Sequence::new(u64::from_le_bytes(take(&mut bytes)?));
        (length <= RECORD_BYTES_MAX).then_some(Self { checksum, length, flags, sequence, synced })
    }

    /// Whether `record`, header and payload, is what was written under this header.
    pub(super) fn matches(&self, store_id: StoreId, record: &[u8]) -> bool {
        record.get(UNCHECKED_BYTES..).is_some_and(|covered| checksum(store_id, covered) == self.checksum)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) store_id: StoreId,
    pub(super) sequence: Sequence,
    pub(super) synced: Sequence,
}

/// Appends a record to `out`. An error is the payload's length, where it is over [`RECORD_BYTES_MAX`]; nothing is
/// then appended.
pub(super) fn encode(place: Place, parts: Staged<'_>, out: &mut Vec<u8>) -> Result<(), usize> {
    let flag = |flag: u32, is_there: bool| if is_there { flag } else { 0 };
    let flags = flag(FLAG_KEY, parts.key.is_some())
        | flag(FLAG_ERASURE, parts.erasure.is_some())
        | flag(FLAG_DROPPED, parts.dropped_before.is_some());
    encode_payload(place, flags, out, |out| {
        if let Some(key) = parts.key {
            encode_key(key, out);
        }
        if let Some(erasure) = parts.erasure {
            encode_erasure(erasure, out);
        }
        if let Some(month) = parts.dropped_before {
            varint::write(u64::from(month.get()), out);
        }
        write_count(parts.definitions.len(), out);
        for definition in parts.definitions {
            encode_definition(definition, out);
        }
        write_count(parts.changes.len(), out);
        for change in parts.changes {
            encode_change(change, out);
        }
        out.extend_from_slice(parts.increments);
    })
}

/// As [`encode`], for a message of a log.
pub(super) fn encode_log(
    place: Place,
    (entry, parts): (&LogEntry, &[StagedPart<'_>]),
    out: &mut Vec<u8>,
) -> Result<(), usize> {
    encode_payload(place, FLAG_LOG, out, |out| log::encode(entry, parts, out))
}

fn encode_payload(
    place: Place,
    flags: u32,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write(out);
    let length = out.len().saturating_sub(start).saturating_sub(HEADER_BYTES);
    match u32::try_from(length) {
        Ok(written) if length <= RECORD_BYTES_MAX => {
            stamp(place, flags, written, out.get_mut(start..).unwrap_or_default());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(length)
        }
    }
}

/// The mark that ends a segment; `place.sequence` is the next segment's first record.
pub(super) fn seal_mark(place: Place) -> [u8; HEADER_BYTES] {
    let mut mark = [0; HEADER_BYTES];
    stamp(place, FLAG_SEALED, 0, &mut mark);
    mark
}

/// Appends the section of the increments: about five bytes each. Needs nothing of what is before it in a record.
pub fn encode_increments(increments: &[Increment], out: &mut Vec<u8>) {
    // Eight bytes for each is what the short way writes before it cuts back, so it never has to grow.
    out.reserve(increments.len().saturating_mul(8).saturating_add(16));
    write_count(increments.len(), out);
    let mut previous = 0_i64;
    for increment in increments {
        let hour = i64::from(increment.hour.get());
        let step = varint::zigzag(hour.saturating_sub(previous));
        previous = hour;
        let series = u64::from(increment.series.get());
        let count = u64::from(increment.count);
        if series < 1 << 28 && step < 1 << 14 && count < 1 << 14 {
            // At most 4 + 2 + 2 bytes: put together in one word and written at once.
            let (mut word, mut bits) = varint::spread(series);
            for value in [step, count] {
                let (part, part_bits) = varint::spread(value);
                word |= part << bits;
                bits = bits.saturating_add(part_bits);
            }
            let end = out.len().saturating_add(narrow(bits / 8));
            out.extend_from_slice(&word.to_le_bytes());
            out.truncate(end);
        } else {
            varint::write(series, out);
            varint::write(step, out);
            varint::write(count, out);
        }
    }
}

/// Whether a record under those flags has a section that this version does not know.
pub(super) fn has_unknown_section(flags: u32, payload: &[u8]) -> bool {
    let is_known = flags & !(FLAG_KEY | FLAG_ERASURE | FLAG_DROPPED) == 0 || flags == FLAG_LOG;
    !is_known || (flags == FLAG_LOG && log::is_newer(payload))
}

/// Reads a payload, of which the flags say what it begins with, into `record`, whose allocations are used again. The record's
/// sequence is left as it is. After an error `record` holds anything.
pub(super) fn decode(payload: &[u8], flags: u32, record: &mut Record) -> Result<(), &'static str> {
    let mut rest = payload;
    let batch = &mut record.batch;
    batch.deletions = 0;
    batch.key = None;
    batch.erasure = None;
    batch.dropped_before = None;
    record.log = None;
    if flags == FLAG_LOG {
        batch.definitions.clear();
        batch.changes.clear();
        batch.increments.clear();
        record.log = Some(Box::new(log::decode(&mut rest)?));
        return if rest.is_empty() { Ok(()) } else { Err("bytes are left over after the parts") };
    }
    if flags & FLAG_KEY != 0 {
        batch.key = Some(Box::new(decode_key(&mut rest).ok_or("the key cannot be read")?));
    }
    if flags & FLAG_ERASURE != 0 {
        batch.erasure = Some(Box::new(decode_erasure(&mut rest).ok_or("the erasure cannot be read")?));
    }
    if flags & FLAG_DROPPED != 0 {
        let month = decode_month(&mut rest).ok_or("what is dropped cannot be read")?;
        batch.dropped_before = Some(month);
    }

    let count = read_count(&mut rest, DEFINITION_BYTES_MIN).ok_or("the definitions' number is wrong")?;
    batch.definitions.clear();
    batch.definitions.reserve(count);
    for _ in 0..count {
        batch.definitions.push(decode_definition(&mut rest).ok_or("a definition cannot be read")?);
    }

    let count = read_count(&mut rest, CHANGE_BYTES_MIN).ok_or("the changes' number is wrong")?;
    batch.changes.clear();
    batch.changes.reserve(count);
    for _ in 0..count {
        batch.changes.push(decode_change(&mut rest).ok_or("a change cannot be read")?);
    }

    decode_increments(&mut rest, &mut batch.increments).ok_or("the increments cannot be read")?;
    if rest.is_empty() { Ok(()) } else { Err("bytes are left over after the increments") }
}

const DEFINITION_BYTES_MIN: usize = 1 + ObjectId::LEN + 2;
const CHANGE_BYTES_MIN: usize = 1 + ObjectId::LEN;
const INCREMENT_BYTES_MIN: usize = 3;

fn checksum(store_id: StoreId, covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&store_id.get().to_le_bytes());
    hasher.update(covered);
    hasher.finalize()
}

/// Fills in the header at the front of `record`.
fn stamp(place: Place, flags: u32, length: u32, record: &mut [u8]) {
    let fields = length
        .to_le_bytes()
        .into_iter()
        .chain(flags.to_le_bytes())
        .chain(place.sequence.get().to_le_bytes())
        .chain(place.synced.get().to_le_bytes());
    let Some((unchecked, covered)) = record.split_at_mut_checked(UNCHECKED_BYTES) else { return };
    for (place, byte) in covered.iter_mut().zip(fields) {
        *place = byte;
    }
    let front = MAGIC.into_iter().chain(checksum(place.store_id, covered).to_le_bytes());
    for (place, byte) in unchecked.iter_mut().zip(front) {
        *place = byte;
    }
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    varint::write(wide(count), out);
}

/// A number of items, of which each is at least `item_bytes_min` long: more than can follow is refused.
fn read_count(rest: &mut &[u8], item_bytes_min: usize) -> Option<usize> {
    let count = usize::try_from(varint::read(rest)?).ok()?;
    (count <= rest.len() / item_bytes_min).then_some(count)
}

#[inline]
fn decode_increments(rest: &mut &[u8], increments: &mut Vec<Increment>) -> Option<()> {
    let count = read_count(rest, INCREMENT_BYTES_MIN)?;
    increments.clear();
    increments.reserve(count);
    let mut hour = 0_i64;
    for _ in 0..count {
        let (series, step, count) = match decode_short_increment(rest) {
            Some(short) => short,
            None => (varint::read_u32(rest)?, varint::read(rest)?, varint::read_u32(rest)?),
        };
        let series = SeriesId::new(series);
        hour = hour.checked_add(varint::unzigzag(step))?;
        increments.push(Increment { series, hour: Hour::checked(u32::try_from(hour).ok()?)?, count });
    }
    Some(())
}

/// Series, step and count where they are in the first eight bytes, at most 4 + 2 + 2 of them: without a branch that
/// depends on how many bytes each has. Otherwise `rest` stays as it is.
#[inline]
fn decode_short_increment(rest: &mut &[u8]) -> Option<(u32, u64, u32)> {
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    let (series, series_bits) = varint::gather(word, 4)?;
    let word = word >> series_bits;
    let (step, step_bits) = varint::gather(word, 2)?;
    let (count, count_bits) = varint::gather(word >> step_bits, 2)?;
    *rest = rest.get(narrow((series_bits + step_bits + count_bits) / 8)..)?;
    Some((u32::try_from(series).ok()?, step, u32::try_from(count).ok()?))
}

fn encode_key(key: &BatchKey, out: &mut Vec<u8>) {
    let BatchKey { identity, taken, answer } = key;
    key_bytes::write_identity(identity, out);
    varint::write(u64::from(*taken), out);
    key_bytes::write_answer(answer, out);
}

fn decode_key(rest: &mut &[u8]) -> Option<BatchKey> {
    let identity = key_bytes::read_identity(rest)?;
    let taken = varint::read_u32(rest)?;
    Some(BatchKey { identity, taken, answer: key_bytes::read_answer(rest)? })
}

fn encode_erasure(erasure: &Erasure, out: &mut Vec<u8>) {
    let Erasure { story, hours, sources, metrics, share } = erasure;
    out.extend_from_slice(story.0.as_bytes());
    out.extend_from_slice(&[sources.bits(), metrics.bits()]);
    for number in [hours.start.get(), hours.end.get(), share.number(), share.of()] {
        varint::write(u64::from(number), out);
    }
}

fn decode_erasure(rest: &mut &[u8]) -> Option<Erasure> {
    let story = take_story(rest)?;
    let [sources, metrics] = take(rest)?;
    let (sources, metrics) = (Sources::of_bits(sources)?, Metrics::of_bits(metrics)?);
    let mut number = || varint::read_u32(rest);
    let hours = HourRange { start: Hour::new(number()?), end: Hour::new(number()?) };
    let share = Share::new(number()?, number()?)?;
    Some(Erasure { story, hours, sources, metrics, share })
}

fn decode_month(rest: &mut &[u8]) -> Option<Month> {
    let month = Month::new(varint::read_u32(rest)?);
    (month <= Month::containing(Hour::END)).then_some(month)
}

fn encode_definition(definition: &Definition, out: &mut Vec<u8>) {
    varint::write(u64::from(definition.id.get()), out);
    out.extend_from_slice(definition.key.story.0.as_bytes());
    out.push(definition.key.source.code());
    match definition.key.metric {
        Metric::Conversations => out.push(0),
        Metric::PaidConversations => out.push(1),
        Metric::Messages => out.push(2),
        Metric::Interaction(node) => encode_node(node, out),
    }
}

fn decode_definition(rest: &mut &[u8]) -> Option<Definition> {
    let id = SeriesId::new(varint::read_u32(rest)?);
    let story = take_story(rest)?;
    let [source, metric] = take(rest)?;
    let source = Source::of_code(source)?;
    let metric = match metric {
        0 => Metric::Conversations,
        1 => Metric::PaidConversations,
        2 => Metric::Messages,
        code => Metric::Interaction(decode_node(code, rest)?),
    };
    Some(Definition { id, key: SeriesKey { story, source, metric } })
}

/// Nodes share one space of codes with the other metrics.
fn encode_node(node: Node, out: &mut Vec<u8>) {
    match node {
        Node::Interaction(id) => {
            out.push(3);
            out.extend_from_slice(id.0.as_bytes());
        }
        Node::ContextFallback(id) => {
            out.push(4);
            out.extend_from_slice(id.0.as_bytes());
        }
        Node::Fallback => out.push(5),
        Node::Welcome => out.push(6),
    }
}

fn decode_node(code: u8, rest: &mut &[u8]) -> Option<Node> {
    match code {
        3 => Some(Node::Interaction(InteractionId(take_id(rest)?))),
        4 => Some(Node::ContextFallback(InteractionId(take_id(rest)?))),
        5 => Some(Node::Fallback),
        6 => Some(Node::Welcome),
        _ => None,
    }
}

fn encode_change(change: &Change, out: &mut Vec<u8>) {
    match change {
        Change::Story { story, name } => {
            out.push(0);
            out.extend_from_slice(story.0.as_bytes());
            encode_name(name.as_deref(), out);
        }
        Change::Node { story, node, name } => {
            out.push(1);
            out.extend_from_slice(story.0.as_bytes());
            encode_node(*node, out);
            encode_name(name.as_deref(), out);
        }
        Change::DeleteStory { story } => {
            out.push(2);
            out.extend_from_slice(story.0.as_bytes());
        }
    }
}

fn decode_change(rest: &mut &[u8]) -> Option<Change> {
    let [kind] = take(rest)?;
    let story = take_story(rest)?;
    match kind {
        0 => Some(Change::Story { story, name: decode_name(rest)? }),
        1 => {
            let [code] = take(rest)?;
            let node = decode_node(code, rest)?;
            Some(Change::Node { story, node, name: decode_name(rest)? })
        }
        2 => Some(Change::DeleteStory { story }),
        _ => None,
    }
}

/// 0 is no name; else the length and one, then the name.
fn encode_name(name: Option<&str>, out: &mut Vec<u8>) {
    write_count(name.map_or(0, |name| name.len().saturating_add(1)), out);
    out.extend_from_slice(name.unwrap_or_default().as_bytes());
}

#[expect(clippy::option_option, reason = "whether it can be read, and whether there is a name")]
fn decode_name(rest: &mut &[u8]) -> Option<Option<Box<str>>> {
    match usize::try_from(varint::read(rest)?).ok()?.checked_sub(1) {
        None => Some(None),
        Some(bytes) => Some(Some(take_text(rest, bytes)?)),
    }
}

fn take_text(rest: &mut &[u8], bytes: usize) -> Option<Box<str>> {
    let (text, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(std::str::from_utf8(text).ok()?.into())
}

fn take_story(rest: &mut &[u8]) -> Option<StoryId> {
    Some(StoryId(take_id(rest)?))
}

fn take_id(rest: &mut &[u8]) -> Option<ObjectId> {
    ObjectId::parse(&take::<{ ObjectId::LEN }>(rest)?)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
