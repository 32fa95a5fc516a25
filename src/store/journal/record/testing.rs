//! What must hold for any bytes that come as the payload of a record. Run by `cargo test` and by the targets of `fuzz/`;
//! see [`crate::testing`].
#![expect(clippy::missing_panics_doc, clippy::panic, reason = "a check says by panic what does not hold")]

use super::*;

const STORE_ID: StoreId = StoreId::new(0x0123_4567_89ab_cdef);

/// A payload is a batch, or a message of a log, that is written and read again the same, and refused once a byte of it is another; or
/// it is refused. Neither takes more room than the payload can fill.
pub fn journal_record(bytes: &[u8]) {
    let Some(([choice, place, flip], payload)) = bytes.split_first_chunk() else { return };
    let mut record = Record { sequence: Sequence::new(7), ..Record::default() };
    let flags = match choice % 7 {
        0 => 0,
        1 => FLAG_KEY,
        2 => FLAG_LOG,
        3 => FLAG_ERASURE,
        4 => FLAG_KEY | FLAG_ERASURE,
        5 => FLAG_DROPPED,
        _ => FLAG_KEY | FLAG_ERASURE | FLAG_DROPPED,
    };
    let outcome = decode(payload, flags, &mut record);
    check_room(&record.batch, payload);
    for part in record.log.iter().flat_map(|section| &section.parts) {
        check_room(&part.batch, payload);
    }
    if let Err(what) = outcome {
        assert!(!what.is_empty());
        return;
    }
    assert_eq!(record.log.is_some(), flags == FLAG_LOG);
    let written = encoded(&record, 0);
    assert!(written.len() <= payload.len().saturating_add(HEADER_BYTES), "it is longer than it was");
    // Into one that holds something already.
    let mut again = record.clone();
    again.batch.increments.extend_from_within(..);
    assert_eq!(read(&written, &mut again), Some(()));
    assert_eq!(again, record);

    let mut flipped = written;
    let place = usize::from(u16::from_le_bytes([*place, *choice])) % flipped.len();
    if let Some(byte) = flipped.get_mut(place) {
        *byte ^= flip | 1;
    }
    assert_eq!(read(&flipped, &mut again), None, "byte {place} is another");
}

fn check_room(batch: &Batch, payload: &[u8]) {
    let Batch { definitions, changes, increments, key, .. } = batch;
    // A vector that is not empty has room for four.
    let room = |items: usize, bytes_min: usize| items <= (payload.len() / bytes_min).max(4);
    assert!(room(definitions.capacity(), DEFINITION_BYTES_MIN), "room for {}", definitions.capacity());
    assert!(room(changes.capacity(), CHANGE_BYTES_MIN), "room for {}", changes.capacity());
    assert!(room(increments.capacity(), INCREMENT_BYTES_MIN), "room for {}", increments.capacity());
    let shortest_bad_line = key_bytes::SHORTEST_BAD_LINE_BYTES;
    assert!(key.iter().all(|key| room(key.answer.bad_lines.len(), shortest_bad_line)), "bad lines");
}

/// The record as bytes; `synced` is what it says of others.
pub(super) fn encoded(record: &Record, synced: u64) -> Vec<u8> {
    let place = Place { store_id: STORE_ID, sequence: record.sequence, synced: Sequence::new(synced) };
    let mut out = Vec::new();
    let section_of = |batch: &Batch| {
        let mut increments = Vec::new();
        encode_increments(&batch.increments, &mut increments);
        increments
    };
    let outcome = if let Some(section) = &record.log {
        let increments: Vec<Vec<u8>> = section.parts.iter().map(|part| section_of(&part.batch)).collect();
        let mut parts = Vec::new();
        for (part, increments) in section.parts.iter().zip(&increments) {
            let Batch { key, definitions, changes, .. } = &part.batch;
            let key = key.as_deref();
            parts.push(StagedPart { fate: part.fate, key, changes, definitions, increments });
        }
        encode_log(place, (&section.entry, &parts), &mut out)
    } else {
        let Batch { key, erasure, dropped_before, definitions, changes, .. } = &record.batch;
        let increments = section_of(&record.batch);
        let (key, erasure) = (key.as_deref(), erasure.as_deref());
        let dropped_before = *dropped_before;
        let parts = Staged { key, erasure, dropped_before, definitions, changes, increments: &increments };
        encode(place, parts, &mut out)
    };
    if let Err(bytes) = outcome {
        panic!("a payload of {bytes} bytes");
    }
    out
}

fn read(bytes: &[u8], record: &mut Record) -> Option<()> {
    let header = Header::parse(bytes)?;
    let whole = bytes.get(..HEADER_BYTES.saturating_add(header.length))?;
    let payload = whole.get(HEADER_BYTES..)?;
    if !header.matches(STORE_ID, whole) || has_unknown_section(header.flags, payload) {
        return None;
    }
    record.sequence = header.sequence;
    decode(payload, header.flags, record).ok()
}
