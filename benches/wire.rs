//! How fast one line becomes an event by the complete grammar, without a cache: plain, with escapes, JSON; and how fast
//! a block is split into lines, on a stream and in a body.

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use tallyd::intake::wire::block::{LineRule, first_line};
use tallyd::intake::wire::{Arrival, TimeRules, line};

const ARRIVAL: Arrival = Arrival {
    unix_nanos: 1_552_824_000_000_000_000,
    max_future: Duration::from_hours(1),
    dropped_before: None,
};

const PLAIN: &str = "interaction,storyId=5b07ffafc2376e30306d9b16,source=messenger,id=5b07ffafc2376e30306d9b17 count=1i 1552813201000000000";
const NAMED: &str = "interaction,host=a\\ b,storyId=5b07ffafc2376e30306d9b16,source=messenger,id=5b07ffafc2376e30306d9b17 count=1i,name=\"a \\\"b\\\"\" 1552813201000000000";
const JSON: &str = "{\"event\":\"conversation\",\"storyId\":\"5b07ffafc2376e30306d9b16\",\"source\":\"messenger\",\"paid\":true,\"count\":1,\"timestamp\":\"2019-03-17T09:00:00Z\"}";
const BAD: &str = "message,storyId=5b07ffafc2376e30306d9b16,source=mesenger count=1i 1552813201000000000";

fn main() {
    divan::main();
}

#[divan::bench(args = [("plain", PLAIN), ("escapes", NAMED), ("json", JSON), ("bad", BAD)])]
fn event(bencher: Bencher<'_, '_>, (name, text): (&str, &str)) {
    let times = TimeRules::new(ARRIVAL, None);
    assert_eq!(line::event(text.as_bytes(), &times).is_ok(), name != "bad", "{text}");
    bencher
        .counter(ItemsCount::new(1_usize))
        .counter(BytesCount::new(text.len()))
        .bench_local(|| black_box(line::event(black_box(text.as_bytes()), &times)).is_ok());
}

/// A thousand lines of a kind, one by one, with both rules.
#[divan::bench(args = [("plain", PLAIN), ("escapes", NAMED), ("json", JSON)])]
fn split_block_of_a_stream(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    split(bencher, text, |_| LineRule::Stream);
}

#[divan::bench(args = [("plain", PLAIN), ("escapes", NAMED), ("json", JSON)])]
fn split_body(bencher: Bencher<'_, '_>, (_, text): (&str, &str)) {
    split(bencher, text, LineRule::body);
}

fn split(bencher: Bencher<'_, '_>, text: &str, rule: impl Fn(usize) -> LineRule + Sync) {
    const LINES: usize = 1_000;
    let block = format!("{text}\n").repeat(LINES);
    bencher.counter(ItemsCount::new(LINES)).counter(BytesCount::new(block.len())).bench_local(|| {
        let (mut rest, mut rule, mut lines) = (block.as_bytes(), rule(block.len()), 0);
        while let Some(extent) = first_line(black_box(rest), &mut rule) {
            rest = rest.get(extent.consumed..).unwrap_or_default();
            lines += 1;
        }
        assert_eq!(lines, LINES);
    });
}
