//! Messages of the log: how they are written, byte by byte, and read back. Pure; knows nothing of who sends them.
//!
//! | part of a message | bytes | |
//! | --- | --- | --- |
//! | version | 1 | 1 |
//! | checksum | 4 | CRC-32 over the version and all bytes after this field, in every version there will be |
//! | kind | 1 | 0 batches, 1 witness, 2 alarm, 3 genesis |
//! | log id | 8 | |
//! | writer | 8 | |
//! | number | varint | of the message among those of its writer; 0 where it has no batches |
//! | base | varint, 8 | the sequence that its sender had read, and the chain there |
//!
//! Then, of batches, the number of parts and the parts (see [`part`]); of an alarm, its cause (1); of a genesis, the digest (16) and the
//! hash of the marks (8) of the state that the log begins with, and the directory (8) that has it. Numbers are little-endian.
//!
//! The time of a message is not in it: the log gives it, the same to all who read it.
//!
//! INVARIANT: no input makes decoding panic, or allocate more than 64 times the input.
//! INVARIANT: a message that was read is written again as the same bytes, or as fewer where a writer did not write it so.

pub mod part;
mod table;

use super::digest::Digest;
use super::position::{ChainValue, LogId, LogSequence, MessageNumber, Origin, Position, WriterId};
use crate::limits::wide;
use crate::model::named::named_enum;
use crate::model::varint;
use part::Part;
pub use table::id_bytes;

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// Bytes of a message before its body, at most.
pub const LONGEST_HEAD_BYTES: usize = 1 + 4 + 1 + 8 + 8 + 10 + 10 + 8 + 10;
/// The bytes before those that the checksum covers, the version aside.
const UNCHECKED_BYTES: usize = 5;

const KIND_BATCHES: u8 = 0;
const KIND_WITNESS: u8 = 1;
const KIND_ALARM: u8 = 2;
const KIND_GENESIS: u8 = 3;

/// A message. Self-contained: it names what it counts, since the numbers of series are each daemon's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The log that it was written for.
    pub log: LogId,
    /// Who wrote it.
    pub writer: WriterId,
    /// Its number among the writer's; [`MessageNumber::NONE`] unless it has batches.
    pub number: MessageNumber,
    /// What its writer had read of the log.
    pub base: Position,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Batches, which take effect together or not at all, part by part.
    Batches(Vec<Part>),
    /// That its sender has read the log up to the base.
    Witness,
    /// That its sender has stopped, and all have to.
    Alarm(AlarmCause),
    /// That a log begins.
    Genesis(Genesis),
}

named_enum! {
    /// Why all have to stop.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub enum AlarmCause {
        /// Two have read different messages at the same place.
        Forked = "forked",
        /// The log has lost what somebody had read.
        WentBack = "went back",
    }
}

/// What a log begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Genesis {
    /// The digest of that state.
    pub digest: Digest,
    /// The hash of its marks.
    pub marks: u64,
    /// Who has it.
    pub origin: Origin,
}

/// Why bytes are no message that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// They are not what was written.
    #[error("the message does not match its checksum")]
    Damaged,
    /// They are of a version that this program does not know.
    #[error("the message has version {0}, which this version of tallyd cannot read: update it")]
    Version(u8),
    /// They were written so, and make no sense.
    #[error("the message cannot be read: {0}")]
    Unreadable(&'static str),
}

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, 0, 0, 0, 0];
        out.push(match self.body {
            Body::Batches(_) => KIND_BATCHES,
            Body::Witness => KIND_WITNESS,
            Body::Alarm(_) => KIND_ALARM,
            Body::Genesis(_) => KIND_GENESIS,
        });
        out.extend_from_slice(&self.log.get().to_le_bytes());
        out.extend_from_slice(&self.writer.get().to_le_bytes());
        varint::write(self.number.get(), &mut out);
        varint::write(self.base.sequence.get(), &mut out);
        out.extend_from_slice(&self.base.chain.get().to_le_bytes());
        match &self.body {
            Body::Batches(parts) => {
                write_count(parts.len(), &mut out);
                for part in parts {
                    part.encode(&mut out);
                }
            }
            Body::Witness => {}
            Body::Alarm(cause) => out.push(match cause {
                AlarmCause::Forked => 0,
                AlarmCause::WentBack => 1,
            }),
            Body::Genesis(genesis) => {
                out.extend_from_slice(&genesis.digest.get().to_le_bytes());
                out.extend_from_slice(&genesis.marks.to_le_bytes());
                out.extend_from_slice(&genesis.origin.get().to_le_bytes());
            }
        }
        let sum = checksum(&out).to_le_bytes();
        for (place, byte) in out.iter_mut().skip(1).zip(sum) {
            *place = byte;
        }
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let (version, sum) = match bytes {
            [version, a, b, c, d, ..] => (*version, u32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(MessageError::Damaged),
        };
        if checksum(bytes) != sum {
            return Err(MessageError::Damaged);
        }
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let mut rest = bytes.get(UNCHECKED_BYTES..).unwrap_or_default();
        let (kind, head) =
            Head::read(&mut rest).ok_or(MessageError::Unreadable("it ends within its head"))?;
        let body = read_body(kind, &mut rest).map_err(MessageError::Unreadable)?;
        if !rest.is_empty() {
            return Err(MessageError::Unreadable("bytes are left over"));
        }
        if matches!(body, Body::Batches(_)) == (head.number == MessageNumber::NONE) {
            return Err(MessageError::Unreadable("its kind does not go with its number"));
        }
        let Head { log, writer, number, base } = head;
        Ok(Self { log, writer, number, base, body })
    }
}

/// What every message begins with, the kind aside.
struct Head {
    log: LogId,
    writer: WriterId,
    number: MessageNumber,
    base: Position,
}

impl Head {
    fn read(rest: &mut &[u8]) -> Option<(u8, Self)> {
        let [kind] = take(rest)?;
        let log = LogId::new(u64::from_le_bytes(take(rest)?));
        let writer = WriterId::new(u64::from_le_bytes(take(rest)?));
        let number = MessageNumber::new(varint::read(rest)?);
        let sequence = LogSequence::new(varint::read(rest)?);
        let chain = ChainValue::new(u64::from_le_bytes(take(rest)?));
        Some((kind, Self { log, writer, number, base: Position { sequence, chain } }))
    }
}

fn read_body(kind: u8, rest: &mut &[u8]) -> Result<Body, &'static str> {
    match kind {
        KIND_BATCHES => {
            let count = read_count(rest, part::SHORTEST_PART_BYTES).ok_or("the number of parts is wrong")?;
            let mut parts = Vec::with_capacity(count);
            for _ in 0..count {
                parts.push(Part::decode(rest)?);
            }
            Ok(Body::Batches(parts))
        }
        KIND_WITNESS => Ok(Body::Witness),
        KIND_ALARM => match take(rest) {
            Some([0]) => Ok(Body::Alarm(AlarmCause::Forked)),
            Some([1]) => Ok(Body::Alarm(AlarmCause::WentBack)),
            _ => Err("the cause of the alarm is not known"),
        },
        KIND_GENESIS => read_genesis(rest).map(Body::Genesis).ok_or("it ends within a genesis"),
        _ => Err("its kind is not known"),
    }
}

fn read_genesis(rest: &mut &[u8]) -> Option<Genesis> {
    let digest = Digest::new(u128::from_le_bytes(take(rest)?));
    let marks = u64::from_le_bytes(take(rest)?);
    let origin = Origin::new(u64::from_le_bytes(take(rest)?));
    Some(Genesis { digest, marks, origin })
}

/// Over all but the place of the checksum itself.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..1).unwrap_or_default());
    hasher.update(bytes.get(UNCHECKED_BYTES..).unwrap_or_default());
    hasher.finalize()
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    varint::write(wide(count), out);
}

/// A number of items, of which each is at least `item_bytes_min` long: more than can follow is refused.
fn read_count(rest: &mut &[u8], item_bytes_min: usize) -> Option<usize> {
    let count = usize::try_from(varint::read(rest)?).ok()?;
    (count <= rest.len() / item_bytes_min).then_some(count)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*front)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
