//! JSON objects of the keys that events have, each once, without spaces or escapes.

use super::head::{self, HeadParts, once};
use super::number::number;
use super::{EventTail, FastEvent, Paid, line_feed};
use crate::intake::wire::time::{Stamp, TimeRules};
use crate::model::event::EventKind;

/// The event of an object and its line feed.
#[inline]
pub(super) fn first_event<'a>(bytes: &'a [u8], times: &TimeRules) -> Option<(FastEvent<'a>, &'a [u8])> {
    let (mut count, mut is_paid, mut units) = (None, None, None);
    let (mut parts, mut rest) = match head_in_usual_order(bytes) {
        Some(found) => found,
        None => (HeadParts::default(), bytes.strip_prefix(b"{")?),
    };
    let rest = loop {
        rest = match rest {
            [b'"', b's', b't', ..] => text(rest.strip_prefix(b"\"storyId")?, head::id, &mut parts.story)?,
            [b'"', b's', ..] => text(rest.strip_prefix(b"\"source")?, head::source, &mut parts.source)?,
            [b'"', b'e', ..] => text(rest.strip_prefix(b"\"event")?, head::kind, &mut parts.kind)?,
            [b'"', b'i', ..] => text(rest.strip_prefix(b"\"id")?, head::id, &mut parts.id)?,
            [b'"', b't', b'y', ..] => {
                text(rest.strip_prefix(b"\"type")?, head::node_type, &mut parts.node_type)?
            }
            [b'"', b'p', b'a', b'r', ..] => {
                text(rest.strip_prefix(b"\"parentId")?, head::id, &mut parts.parent_id)?
            }
            [b'"', b'c', ..] => {
                let (number, after) = json_number(rest.strip_prefix(b"\"count\":")?)?;
                once(&mut count, u32::try_from(number).ok()?)?;
                after
            }
            [b'"', b't', ..] => {
                let (number, after) = json_number(rest.strip_prefix(b"\"timestamp\":")?)?;
                once(&mut units, number)?;
                after
            }
            _ => match rest.strip_prefix(b"\"paid\":")? {
                [b't', b'r', b'u', b'e', after @ ..] => once(&mut is_paid, Paid::Yes).map(|()| after)?,
                after => once(&mut is_paid, Paid::No).and(after.strip_prefix(b"false"))?,
            },
        };
        rest = match rest {
            [b',', after @ ..] => after,
            [b'}', after @ ..] => break after,
            _ => return None,
        };
    };
    let after = line_feed(rest)?;
    let head = parts.join()?;
    if is_paid.is_some() && head.kind != EventKind::Conversation {
        return None;
    }
    let (hour, stamp) = match units {
        Some(units) => times.accept_json(units)?,
        None => (times.arrival_hour?, Stamp::Coarse),
    };
    let tail = EventTail { count: count.unwrap_or(1), paid: is_paid.unwrap_or(Paid::No), hour, stamp };
    let line = bytes.get(..bytes.len() - rest.len())?;
    Some((FastEvent { head, tail, line }, after))
}

/// The head, if its keys come first and in the order in which the contract writes them, and what follows its comma.
#[inline]
fn head_in_usual_order(bytes: &[u8]) -> Option<(HeadParts<'_>, &[u8])> {
    let (kind, rest) = head::kind(bytes.strip_prefix(b"{\"event\":\"")?)?;
    let (story, rest) = head::id(rest.strip_prefix(b"\",\"storyId\":\"")?)?;
    let (source, rest) = head::source(rest.strip_prefix(b"\",\"source\":\"")?)?;
    let (id, rest) = match rest.strip_prefix(b"\",\"id\":\"") {
        Some(rest) => head::id(rest).map(|(id, rest)| (Some(id), rest))?,
        None => (None, rest),
    };
    let parts =
        HeadParts { kind: Some(kind), story: Some(story), source: Some(source), id, ..HeadParts::default() };
    Some((parts, rest.strip_prefix(b"\",")?))
}

/// Reads the text at the front, after a key without its last quote, into a place where there is none yet; what follows.
#[inline]
fn text<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Option<(T, &'a [u8])>,
    place: &mut Option<T>,
) -> Option<&'a [u8]> {
    let (value, rest) = read(bytes.strip_prefix(b"\":\"")?)?;
    once(place, value)?;
    rest.strip_prefix(b"\"")
}

/// A whole number above 0, as JSON spells it.
#[inline]
fn json_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    number(bytes).filter(|_| bytes.first() != Some(&b'0'))
}
