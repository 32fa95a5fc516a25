//! Batches by chance: increments, names, deletions, as parsers and the stories' routes make them.

use tallyd::model::batch::erasure::{Erasure, MetricName, Metrics, Share, Sources};
use tallyd::model::batch::{Batch, Change, Definition, Increment};
use tallyd::model::calendar::{Hour, HourRange};
use tallyd::model::catalogue::{Catalogue, CatalogueFull, CatalogueLimits};
use tallyd::model::cells::Month;
use tallyd::model::counters::Counters;
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

use crate::counts::Counts;
use crate::model::Write;
use crate::random::Random;

/// Fewer stories than the batches are about, so that some are refused, and evicted once others were deleted. One is the
/// story of the marks.
pub(crate) const LIMITS: CatalogueLimits = CatalogueLimits { stories: 5, series: 4096, nodes_per_story: 10 };
const STORIES: u64 = 6;
const NODES: u64 = 3;
/// Two hours of one month, and one of each of two others.
const HOURS: [u32; 4] = [420_000, 420_001, 421_000, 425_000];
/// The first months that may be kept: all before the one of the last of these hours, and far before those of the marks.
const DROPPED: [u32; 3] = [575, 577, 581];

fn id(first: u8, number: u64) -> ObjectId {
    let mut text = [first; 24];
    text[23] = b'0' + u8::try_from(number).unwrap();
    ObjectId::parse(&text).unwrap()
}

fn story(random: &mut Random) -> StoryId {
    StoryId(id(b's', random.below(STORIES)))
}

fn node(random: &mut Random) -> Node {
    let interaction = InteractionId(id(b'n', random.below(NODES)));
    random.pick(&[
        Node::Interaction(interaction),
        Node::ContextFallback(interaction),
        Node::Fallback,
        Node::Welcome,
    ])
}

fn name(random: &mut Random) -> Option<Box<str>> {
    (!random.one_in(3)).then(|| format!("name {}", random.below(50)).into())
}

/// An undo of an hour, of a month, of several, or of all.
fn erasure(random: &mut Random) -> Erasure {
    let start = random.pick(&[HOURS[0], HOURS[1], HOURS[2], HOURS[2] - 500, 0]);
    let end = start + random.pick(&[1, 2, 1_000, 500_000]);
    let hours = HourRange { start: Hour::new(start), end: Hour::new(end) };
    let sources = random.pick(&[Sources::ALL, Sources::of(&[Source::Slack])]);
    let metrics =
        random.pick(&[Metrics::ALL, Metrics::of(&[MetricName::Messages, MetricName::Interactions])]);
    let of = random.pick(&[1, 1, 2]);
    let share = Share::new(u32::try_from(random.below(u64::from(of))).unwrap(), of).unwrap();
    Erasure { story: story(random), hours, sources, metrics, share }
}

fn write(random: &mut Random) -> Write {
    let mut write = Write::default();
    match random.below(36) {
        0..=3 => {
            let story = story(random);
            write.changes.push(Change::DeleteStory { story });
        }
        4..=7 => {
            let story = story(random);
            write.changes.push(Change::Story { story, name: name(random) });
            for _ in 0..random.below(3) {
                write.changes.push(Change::Node { story, node: node(random), name: name(random) });
            }
        }
        8..=11 => write.erasure = Some(erasure(random)),
        12 => write.dropped_before = Some(Month::new(random.pick(&DROPPED))),
        _ => {
            // Now and then as many as make a record longer than several sectors.
            let count = if random.one_in(8) { 200 } else { 1 + random.below(5) };
            for _ in 0..count {
                let metric = match random.below(4) {
                    0 => Metric::Conversations,
                    1 => Metric::PaidConversations,
                    2 => Metric::Messages,
                    _ => Metric::Interaction(node(random)),
                };
                let source = random.pick(&[Source::Slack, Source::Widget]);
                let key = SeriesKey { story: story(random), source, metric };
                let count = u32::try_from(1 + random.below(300)).unwrap();
                write.adds.push((key, Hour::new(random.pick(&HOURS)), count));
            }
        }
    }
    write
}

/// A batch as a parser makes it, without its mark: with the definitions that it has not seen durable. What the
/// catalogue's bounds refuse is left out of both.
pub(crate) fn parse(
    (catalogue, counters): (&Catalogue, &Counters),
    random: &mut Random,
    counts: &mut Counts,
) -> (Write, Batch) {
    let mut write = write(random);
    let mut batch = Batch { deletions: catalogue.deletions(), ..Batch::default() };
    let wanted = write.changes.len() + write.adds.len();
    write.changes.retain(|change| catalogue.admit(change).is_ok());
    // What was dropped since then by a batch that waits is for the store to refuse.
    let (dropped_before, wanted_adds) = (counters.dropped_before(), write.adds.len());
    write.adds.retain(|(_, hour, _)| dropped_before <= Some(*hour));
    counts
        .note_many("events refused since their hours were dropped", (wanted_adds - write.adds.len()) as u64);
    let wanted = wanted - (wanted_adds - write.adds.len());
    write.adds.retain(|(key, hour, count)| add(catalogue, &mut batch, key, *hour, *count).is_ok());
    batch.changes.clone_from(&write.changes);
    batch.erasure = write.erasure.map(Box::new);
    batch.dropped_before = write.dropped_before;
    let refused = wanted - write.changes.len() - write.adds.len();
    counts.note_many("events refused at a bound", refused as u64);
    (write, batch)
}

/// Adds to a cell, as a parser does it.
pub(crate) fn add(
    catalogue: &Catalogue,
    batch: &mut Batch,
    key: &SeriesKey,
    hour: Hour,
    count: u32,
) -> Result<(), CatalogueFull> {
    let series = catalogue.intern(key)?;
    let is_defined = batch.definitions.iter().any(|definition| definition.id == series);
    if !catalogue.is_durable(series) && !is_defined {
        batch.definitions.push(Definition { id: series, key: *key });
    }
    batch.increments.push(Increment { series, hour, count });
    Ok(())
}
