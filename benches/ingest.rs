//! How fast bytes become batches: the fast path (heads known), heads found by
//! their bytes, new heads, the slow path (names), JSON by both paths. Each bench says
//! lines per second; the input is generated, of the shape of a real bot platform's traffic: 10 % conversations, 60 %
//! messages, 30 % uses of 20 nodes a story; 1,000 stories (or 100,000) by Zipf; 90 % live, 10 % spread over 90 days.
#![expect(clippy::expect_used, clippy::as_conversions, clippy::cast_possible_truncation, reason = "a bench")]
#![expect(clippy::cast_precision_loss, clippy::indexing_slicing, reason = "a bench")]

#[path = "support/random.rs"]
mod random;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use tallyd::intake::batching::{Parsed, Parser};
use tallyd::intake::wire::Arrival;
use tallyd::limits::BLOCK_BYTES_MAX;
use tallyd::model::batch::Batch;
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};

use random::Random;

const LINES: usize = 400_000;
const STORIES: usize = 1_000;
const NOW_MS: u64 = 1_552_824_000_000;
const ARRIVAL: Arrival = Arrival {
    unix_nanos: NOW_MS.cast_signed() * 1_000_000,
    max_future: Duration::from_hours(1),
    dropped_before: None,
};

fn main() {
    divan::main();
}

/// How lines are spelled.
#[derive(Clone, Copy, PartialEq)]
enum Spelling {
    /// As most clients send them.
    Plain,
    /// With a tag that is none of ours, so that the head is found by its bytes.
    Hosted,
    /// With names, which the fast path does not know.
    Named,
    Json,
    /// With a key that is none of ours, which the fast path does not know.
    JsonHosted,
}

fn workload(spelling: Spelling, stories: usize) -> String {
    let mut random = Random::new(7);
    let weights: Vec<f64> = (1..=stories)
        .scan(0.0, |sum, rank| {
            *sum += 1.0 / (rank as f64).powf(1.1);
            Some(*sum)
        })
        .collect();
    let total = weights.last().copied().expect("there are stories");
    let sources = [
        "messenger",
        "messenger",
        "messenger",
        "livechat",
        "livechat",
        "slack",
        "widget",
        "widget",
        "app",
        "custom",
    ];
    let mut text = String::new();
    for line in 0..LINES {
        let aim = random.share() * total;
        let story = weights.partition_point(|weight| *weight < aim);
        let source = sources[random.below(10) as usize];
        let time_ms = if random.below(10) == 0 {
            NOW_MS - random.below(90 * 86_400_000)
        } else {
            NOW_MS - 3_600_000 + (line as u64 * 3_600_000) / LINES as u64
        };
        let (kind, id) = match random.below(10) {
            0 => ("conversation", None),
            1..=6 => ("message", None),
            _ => ("interaction", Some(story as u64 * 1_000 + random.below(20))),
        };
        let written = match spelling {
            Spelling::Json | Spelling::JsonHosted => {
                let host = if spelling == Spelling::JsonHosted { ",\"host\":\"a\"" } else { "" };
                let id = id.map(|id| format!(",\"id\":\"5b07ffaf{id:016x}\"")).unwrap_or_default();
                writeln!(
                    text,
                    "{{\"event\":\"{kind}\",\"storyId\":\"5b07ffaf{story:016x}\",\"source\":\"{source}\"{id}{host},\"timestamp\":{time_ms}}}"
                )
            }
            Spelling::Plain | Spelling::Hosted | Spelling::Named => {
                let host = if spelling == Spelling::Hosted { ",host=a" } else { "" };
                let id = id.map(|id| format!(",id=5b07ffaf{id:016x}")).unwrap_or_default();
                let name = if spelling == Spelling::Named { ",storyName=\"a story\"" } else { "" };
                writeln!(
                    text,
                    "{kind},storyId=5b07ffaf{story:016x},source={source}{id}{host} count=1i{name} {time_ms}000000"
                )
            }
        };
        written.expect("a string can be written to");
    }
    text
}

/// Parses the text as a connection would read it; returns how many events were accepted.
fn connection(parser: &mut Parser, text: &str, mut batch: impl FnMut(&Batch)) -> u64 {
    let mut rest = text.as_bytes();
    let mut accepted = 0;
    while !rest.is_empty() {
        let mut parsed = Parsed::default();
        let block = &rest[..rest.len().min(BLOCK_BYTES_MAX)];
        let (taken, _stop) = parser.parse_stream(block, ARRIVAL, &mut parsed);
        rest = &rest[taken..];
        accepted += parsed.tally.accepted();
        batch(&parsed.batch);
    }
    accepted
}

fn catalogue() -> Arc<Catalogue> {
    Arc::new(Catalogue::new(CatalogueLimits::default()))
}

/// A parser that has seen the text once, with every series confirmed.
fn seasoned(text: &str) -> Parser {
    let catalogue = catalogue();
    let mut parser = Parser::new(catalogue.clone());
    for _ in 0..2 {
        connection(&mut parser, text, |batch| {
            for definition in &batch.definitions {
                catalogue.mark_durable(definition);
            }
            for change in &batch.changes {
                catalogue.apply(change);
            }
        });
    }
    parser
}

fn again(bencher: Bencher<'_, '_>, spelling: Spelling, stories: usize) {
    let text = workload(spelling, stories);
    let mut parser = seasoned(&text);
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let accepted = connection(&mut parser, &text, |batch| _ = divan::black_box(batch.increments.len()));
        assert_eq!(accepted, LINES as u64);
    });
}

#[divan::bench]
fn fast_path(bencher: Bencher<'_, '_>) {
    again(bencher, Spelling::Plain, STORIES);
}

/// Rows and slots of the index are in no cache of the core's own.
#[divan::bench]
fn known_series_of_many_stories(bencher: Bencher<'_, '_>) {
    again(bencher, Spelling::Plain, 100 * STORIES);
}

#[divan::bench]
fn other_tags_by_their_bytes(bencher: Bencher<'_, '_>) {
    again(bencher, Spelling::Hosted, STORIES);
}

#[divan::bench]
fn names_slow_path(bencher: Bencher<'_, '_>) {
    again(bencher, Spelling::Named, STORIES);
}

#[divan::bench]
fn json(bencher: Bencher<'_, '_>) {
    again(bencher, Spelling::Json, STORIES);
}

#[divan::bench]
fn json_slow_path(bencher: Bencher<'_, '_>) {
    again(bencher, Spelling::JsonHosted, STORIES);
}

#[divan::bench]
fn new_connection_to_an_empty_catalogue(bencher: Bencher<'_, '_>) {
    let text = workload(Spelling::Plain, STORIES);
    bencher.counter(ItemsCount::new(LINES)).with_inputs(|| Parser::new(catalogue())).bench_local_values(
        |mut parser| {
            assert_eq!(connection(&mut parser, &text, |_| {}), LINES as u64);
            parser
        },
    );
}

#[divan::bench]
fn one_body(bencher: Bencher<'_, '_>) {
    let text = workload(Spelling::Plain, STORIES);
    let mut parser = seasoned(&text);
    let body = &text.as_bytes()[..text.len().min(30 << 20)];
    bencher
        .counter(ItemsCount::new(LINES))
        .bench_local(|| parser.parse_body(body, ARRIVAL, None).tally.accepted());
}
