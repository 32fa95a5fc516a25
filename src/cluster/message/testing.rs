//! What must hold for any bytes that come as a message. Run by `cargo test` and by the targets of `fuzz/`; see
//! [`crate::testing`].
#![expect(clippy::missing_panics_doc, reason = "a check says by panic what does not hold")]

use super::*;
use crate::limits::narrow;

/// Room that may be taken for each byte of a message.
const ROOM_PER_BYTE: usize = 64;

/// Bytes after the checksum are a message that is written and read again the same, and damaged once a bit of it is another; or
/// they are refused in words. Neither takes more room than a small multiple of them.
pub fn log_message(bytes: &[u8]) {
    let Some(([choice, place], rest)) = bytes.split_first_chunk() else { return };
    let mut sealed = vec![if choice % 16 == 15 { *place } else { VERSION }, 0, 0, 0, 0];
    sealed.extend_from_slice(rest);
    // As it is, the sum of random bytes is wrong.
    assert!(matches!(
        Message::decode(bytes),
        Ok(_) | Err(MessageError::Damaged | MessageError::Version(_) | MessageError::Unreadable(_))
    ));
    seal(&mut sealed);
    let message = match Message::decode(&sealed) {
        Ok(message) => message,
        Err(error) => {
            assert_ne!(error, MessageError::Damaged, "the sum is right");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(room(&message) <= ROOM_PER_BYTE * sealed.len(), "{} bytes of {}", room(&message), sealed.len());
    let mut written = message.encode();
    assert!(written.len() <= sealed.len(), "it is longer than it was");
    assert_eq!(Message::decode(&written).as_ref(), Ok(&message));
    if let Body::Batches(parts) = &message.body {
        for part in parts {
            assert_eq!(&again(part), part, "it is not as it would be made");
        }
    }
    let bit = (usize::from(*place) + 256 * usize::from(*choice)) % (8 * written.len());
    if let Some(byte) = written.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    assert_eq!(Message::decode(&written), Err(MessageError::Damaged), "bit {bit} is another");
}

/// Gives bytes the checksum that they should have.
pub(crate) fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes).to_le_bytes();
    for (place, byte) in bytes.iter_mut().skip(1).zip(sum) {
        *place = byte;
    }
}

/// The part as it is made of what it says, its increments turned round.
fn again(part: &Part) -> Part {
    let sum =
        |cell: &part::Cell| part::Sum { series: cell.series, hour: cell.hour, count: cell.count.into() };
    let sums = part.cells().iter().rev().map(sum).collect();
    Part::new(part.key().cloned().map(Box::new), part.changes().to_vec(), part.series(), sums)
}

/// Memory that the message takes, names aside.
fn room(message: &Message) -> usize {
    let Body::Batches(parts) = &message.body else { return 0 };
    let of = |part: &Part| {
        size_of::<Part>()
            + size_of_val(part.changes())
            + size_of_val(part.series())
            + size_of_val(part.cells())
            + part.key().map_or(0, |key| size_of_val(key) + narrow(wide(key.answer.bad_line_bytes())))
    };
    parts.iter().map(of).sum()
}
