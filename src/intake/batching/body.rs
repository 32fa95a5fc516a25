//! Whole request bodies: lines, or one JSON object or array. The content decides which.

use super::{Parsed, Parser};
use crate::intake::wire::block::LineRule;
use crate::intake::wire::json::{self, BodyKind};
use crate::intake::wire::{LineError, LineErrorKind, TimeRules};
use crate::limits::{LINE_BYTES_MAX, wide};

/// What some editors and shells put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) fn parse(parser: &mut Parser, body: &[u8], times: &TimeRules, parsed: &mut Parsed) {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    match json::body_kind(body) {
        BodyKind::Lines => lines(parser, body, times, parsed),
        BodyKind::Object => object(parser, body, times, parsed),
        BodyKind::Array => array(parser, body, times, parsed),
    }
}

fn lines(parser: &mut Parser, body: &[u8], times: &TimeRules, parsed: &mut Parsed) {
    let mut batcher = parser.batcher(*times, parsed);
    batcher.lines = 0;
    let mut rule = LineRule::body(body.len());
    // With the rule for bodies, every byte belongs to a line.
    let taken = batcher.add_lines(body, &mut rule);
    debug_assert_eq!(taken, body.len(), "a body is taken whole");
    batcher.finish();
}

fn object(parser: &mut Parser, body: &[u8], times: &TimeRules, parsed: &mut Parsed) {
    let before = body.len() - body.trim_ascii_start().len();
    let line = line_of(body, before);
    let mut batcher = parser.batcher(*times, parsed);
    if let Err(error) = json::event(body, times).and_then(|reading| batcher.builder.add_event(reading)) {
        batcher.builder.parsed().reject(line, error);
    }
    batcher.finish();
}

fn array(parser: &mut Parser, body: &[u8], times: &TimeRules, parsed: &mut Parsed) {
    let elements = match json::elements(body) {
        Ok(elements) => elements,
        Err((line, error)) => return parsed.reject(line, error),
    };
    let mut batcher = parser.batcher(*times, parsed);
    for element in elements {
        let outcome = if LINE_BYTES_MAX < element.text.len() {
            Err(LineError::whole(LineErrorKind::TooLong))
        } else {
            json::event(element.text, times).and_then(|reading| batcher.builder.add_event(reading))
        };
        if let Err(error) = outcome {
            batcher.builder.parsed().reject(element.line, error.in_element(element.number));
        }
    }
    batcher.finish();
}

/// The number, from 1, of the line that the offset is on.
fn line_of(body: &[u8], offset: usize) -> u64 {
    let before = body.get(..offset).unwrap_or_default();
    wide(memchr::memchr_iter(b'\n', before).count()).saturating_add(1)
}
