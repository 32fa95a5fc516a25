//! How fast one line becomes an event by the complete grammar, without a cache: plain, with escapes, JSON.

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use tallyd::wire::{Arrival, TimeRules, line};

const ARRIVAL: Arrival =
    Arrival { unix_nanos: 1_552_824_000_000_000_000, max_future: Duration::from_hours(1) };

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
