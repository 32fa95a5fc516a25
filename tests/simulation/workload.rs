//! Batches by chance: increments, names, deletions, as parsers and the stories' routes make them.

use tallyd::model::batch::{Batch, Change, Definition, Increment};
use tallyd::model::calendar::Hour;
use tallyd::model::catalogue::Catalogue;
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

use crate::model::Write;
use crate::random::Random;

const STORIES: u64 = 4;
const NODES: u64 = 3;
/// Two hours of one month, and one of each of two others.
const HOURS: [u32; 4] = [420_000, 420_001, 421_000, 425_000];

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

/// A batch without its mark.
pub(crate) fn write(random: &mut Random) -> Write {
    let mut write = Write::default();
    match random.below(8) {
        0 => {
            let story = story(random);
            write.changes.push(Change::DeleteStory { story });
        }
        1 => {
            let story = story(random);
            write.changes.push(Change::Story { story, name: name(random) });
            for _ in 0..random.below(3) {
                write.changes.push(Change::Node { story, node: node(random), name: name(random) });
            }
        }
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

/// The batch as a parser makes it: with the definitions that it has not seen durable.
pub(crate) fn batch(catalogue: &Catalogue, write: &Write) -> Batch {
    let mut batch =
        Batch { deletions: catalogue.deletions(), changes: write.changes.clone(), ..Batch::default() };
    for (key, hour, count) in &write.adds {
        let id = catalogue.intern(key).expect("the limits are far away");
        let is_defined = batch.definitions.iter().any(|definition| definition.id == id);
        if !catalogue.is_durable(id) && !is_defined {
            batch.definitions.push(Definition { id, key: *key });
        }
        batch.increments.push(Increment { series: id, hour: *hour, count: *count });
    }
    batch
}
