//! What parsers keep between calls: of connections that have sent very much and are idle now, next to nothing.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tallyd::intake::batching::{Parsed, Parser};
use tallyd::intake::wire::Arrival;
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};

const CONNECTIONS: usize = 40;
const SERIES: usize = 5_000;
const BYTES_OF_ONE_MAX: usize = 64 * 1024;

/// Bytes of memory that the process has.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn idle_connections_keep_next_to_nothing_of_what_they_sent() {
    let catalogue = Arc::new(Catalogue::new(CatalogueLimits::default()));
    let mut text = String::new();
    for series in 0..SERIES {
        // Heads that are long and all different; names that every line repeats.
        let (tags, field) = if series % 2 == 0 {
            (",host=chat-worker.example.org", "")
        } else {
            ("", ",storyName=\"a story of this name\"")
        };
        writeln!(text, "message,storyId={series:024},source=app{tags} count=1i{field}").unwrap();
    }
    let arrival = Arrival {
        unix_nanos: 1_552_824_000_000_000_000,
        max_future: Duration::from_hours(1),
        dropped_before: None,
    };
    let connect = || {
        let mut parser = Parser::new(Arc::clone(&catalogue));
        let mut parsed = Parsed::default();
        parser.parse_stream(text.as_bytes(), arrival, &mut parsed);
        assert_eq!(parsed.tally.accepted(), u64::try_from(SERIES).unwrap());
        parser
    };
    // What all have in common is there after the first.
    let mut idle = vec![connect()];
    let before = resident_bytes();
    idle.extend((0..CONNECTIONS).map(|_| connect()));
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= CONNECTIONS * BYTES_OF_ONE_MAX, "{} bytes of each", grown / CONNECTIONS);
}
