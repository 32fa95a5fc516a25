//! The fast path of both grammars: events in the few spellings that most clients send, read without a search and without
//! allocating. Reads the heads of [`head`] with ` count=<digits>[i][,paid=t|T|true|f|F|false][ <digits>]` up to the line
//! feed, and the JSON objects of [`json`]; has no opinion on anything else. Knows no series.
//!
//! INVARIANT: `None` is always right. `Some` is the event that the complete grammar would give for the same line, provided that
//! the ids in it are well formed. That is not checked here, since text that equals a known id is well formed.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "lengths of slices of one another, and digits that were checked"
)]

mod head;
mod json;
mod number;

use super::time::{Stamp, TimeRules};
use crate::model::calendar::Hour;
pub(crate) use head::Head;
use number::{count, number};

/// The event of a whole line.
#[derive(Clone, Copy)]
pub(crate) struct FastEvent<'a> {
    pub(crate) head: Head<'a>,
    /// How often it happened, and when.
    pub(crate) tail: EventTail,
    /// The line without its line ending.
    pub(crate) line: &'a [u8],
}

/// The fields and the timestamp of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTail {
    pub(crate) count: u32,
    pub(crate) paid: Paid,
    pub(crate) hour: Hour,
    pub(crate) stamp: Stamp,
}

/// Whether an event says that its conversation is paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Paid {
    Yes,
    No,
}

/// The event of the first line of `bytes`, if the line is whole and of a spelling that is known here; and the bytes after it.
#[inline]
pub(crate) fn first_event<'a>(bytes: &'a [u8], times: &TimeRules) -> Option<(FastEvent<'a>, &'a [u8])> {
    let Some((head, rest)) = head::of_line(bytes) else { return json::first_event(bytes, times) };
    let (tail, rest) = tail(rest, times)?;
    let line = bytes.get(..bytes.len() - rest.len())?;
    Some((FastEvent { head, tail, line }, line_feed(rest)?))
}

/// Skips the line ending at the front.
#[inline]
fn line_feed(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => Some(after),
        _ => None,
    }
}

/// The fields and the timestamp, up to the line ending.
#[inline]
fn tail<'a>(rest: &'a [u8], times: &TimeRules) -> Option<(EventTail, &'a [u8])> {
    let (count, paid, rest) = match rest.split_first_chunk() {
        Some((b" count=1i ", _)) => (1, Paid::No, rest.get(9..)?),
        _ => fields(rest)?,
    };
    let (hour, stamp, rest) = match rest {
        [b' ', digits @ ..] => {
            let (units, rest) = number(digits)?;
            let (hour, stamp) = times.accept_line(units)?;
            (hour, stamp, rest)
        }
        _ => (times.arrival_hour?, Stamp::Coarse, rest),
    };
    Some((EventTail { count, paid, hour, stamp }, rest))
}

/// `count` and `paid`.
fn fields(rest: &[u8]) -> Option<(u32, Paid, &[u8])> {
    let (count, rest) = count(rest.strip_prefix(b" count=")?)?;
    match rest {
        [b',', rest @ ..] => paid(rest).map(|(paid, rest)| (count, paid, rest)),
        _ => Some((count, Paid::No, rest)),
    }
}

/// `paid=` and a boolean.
#[inline]
fn paid(bytes: &[u8]) -> Option<(Paid, &[u8])> {
    Some(match bytes.strip_prefix(b"paid=")? {
        [b't', b'r', b'u', b'e', rest @ ..] | [b't' | b'T', rest @ ..] => (Paid::Yes, rest),
        [b'f', b'a', b'l', b's', b'e', rest @ ..] | [b'f' | b'F', rest @ ..] => (Paid::No, rest),
        _ => return None,
    })
}
