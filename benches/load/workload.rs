//! The events that everything is measured with: Zipf-popular stories, skewed sources, mostly live, some late.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::random::Random;

pub(crate) const SOURCES: [(&str, u64); 7] = [
    ("messenger", 40),
    ("livechat", 20),
    ("widget", 15),
    ("slack", 10),
    ("app", 8),
    ("livechat3", 5),
    ("custom", 2),
];
const NODES_PER_STORY: u64 = 20;
const ZIPF_EXPONENT: f64 = 1.1;
const LATE_DAYS: u64 = 90;

#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) events: usize,
    pub(crate) stories: usize,
}

/// The events, written in each format, with where each line ends.
pub(crate) struct Workload {
    pub(crate) shape: Shape,
    pub(crate) lines: Text,
    /// The same events as NDJSON.
    pub(crate) json: Text,
    distinct_heads: usize,
    /// Instant of the newest event, in milliseconds since the epoch.
    pub(crate) now_ms: u64,
}

/// Lines in one buffer.
#[derive(Default)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    /// End of each line, its line feed included.
    pub(crate) ends: Vec<usize>,
}

impl Text {
    pub(crate) fn push(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
        self.ends.push(self.bytes.len());
    }

    /// The bytes of the lines `first … first + count - 1`.
    pub(crate) fn lines(&self, first: usize, count: usize) -> &[u8] {
        let start = if first == 0 { 0 } else { self.ends[first - 1] };
        &self.bytes[start..self.ends[(first + count).min(self.ends.len()) - 1]]
    }

    /// The lines in `parts` runs of about equal length.
    pub(crate) fn split(&self, parts: usize) -> Vec<&[u8]> {
        let per_part = self.ends.len().div_ceil(parts);
        (0..parts).map(|part| self.lines(part * per_part, per_part)).collect()
    }

    /// The lines in runs of `count`.
    pub(crate) fn batches(&self, count: usize) -> Vec<&[u8]> {
        (0..self.ends.len()).step_by(count).map(|first| self.lines(first, count)).collect()
    }
}

/// The id of the n-th story.
pub(crate) fn story_id(number: usize) -> String {
    format!("5b07{number:020x}")
}

impl Workload {
    /// Always the same events for a shape, but for the present time that they end at.
    pub(crate) fn generate(shape: Shape) -> Self {
        let mut random = Random::new(42);
        let popularity = zipf(shape.stories);
        let now_ms = u64::try_from(
            chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_millis(),
        )
        .expect("the clock stands after 1970");
        let (mut lines, mut json) = (Text::default(), Text::default());
        let mut heads = HashSet::new();
        let (mut line, mut object) = (String::new(), String::new());
        for number in 0..shape.events {
            let chance = random.share();
            let story = story_id(popularity.partition_point(|sum| *sum < chance).min(shape.stories - 1));
            let source = source(&mut random);
            let (kind, node) = match random.below(10) {
                0 => ("conversation", None),
                1..=6 => ("message", None),
                _ => ("interaction", Some(random.below(NODES_PER_STORY))),
            };
            let stamp = if random.below(10) == 0 {
                now_ms - random.below(LATE_DAYS * 86_400_000)
            } else {
                now_ms - 3_600_000 + 3_600_000 * number as u64 / shape.events as u64
            };
            line.clear();
            object.clear();
            write!(line, "{kind},storyId={story},source={source}").unwrap();
            write!(object, r#"{{"event":"{kind}","storyId":"{story}","source":"{source}""#).unwrap();
            if let Some(node) = node {
                write!(line, ",id={}{node:02x}", &story[..22]).unwrap();
                write!(object, r#","id":"{}{node:02x}""#, &story[..22]).unwrap();
            }
            heads.insert(hash(line.as_bytes()));
            write!(line, " count=1i {stamp}").unwrap();
            write!(object, r#","count":1,"timestamp":{stamp}}}"#).unwrap();
            lines.push(&line);
            json.push(&object);
        }
        Self { shape, lines, json, distinct_heads: heads.len(), now_ms }
    }

    pub(crate) fn describe(&self) -> String {
        format!(
            "{} events, {} stories, {:.1} bytes a line, {} distinct heads",
            self.shape.events,
            self.shape.stories,
            self.lines.bytes.len() as f64 / self.shape.events as f64,
            self.distinct_heads
        )
    }
}

/// Running sums of the stories' shares.
fn zipf(stories: usize) -> Vec<f64> {
    let weights = (1..=stories).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
    let total: f64 = weights.clone().sum();
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight / total;
            Some(*sum)
        })
        .collect()
}

fn source(random: &mut Random) -> &'static str {
    let mut left = random.below(SOURCES.iter().map(|(_, weight)| weight).sum());
    for (name, weight) in SOURCES {
        if left < weight {
            return name;
        }
        left -= weight;
    }
    SOURCES[0].0
}

/// FNV-1a with a final mix; only for counting distinct heads and for the ceilings' tables.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut state = 0x51_7c_c1_b7_27_22_0a_95_u64 ^ bytes.len() as u64;
    let mut mix = |word: u64| {
        let product = u128::from(state ^ word) * 0x9e37_79b9_7f4a_7c15_f39c_0c93_u128;
        state = product as u64 ^ (product >> 64) as u64;
    };
    for word in words.by_ref() {
        mix(u64::from_le_bytes(word.try_into().unwrap()));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(u64::from_le_bytes(last));
    state
}
