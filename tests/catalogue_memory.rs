//! What the catalogue says of its memory against what the process takes. Alone in its file, so that no other test
//! allocates meanwhile.
#![expect(clippy::unwrap_used, reason = "noise in tests")]

use tallyd::model::batch::{Change, Definition};
use tallyd::model::catalogue::{Catalogue, CatalogueLimits};
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

/// Bytes of the process that are in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn object(number: u32) -> ObjectId {
    ObjectId::parse(format!("{number:024x}").as_bytes()).unwrap()
}

/// Makes stories known, each with so many named nodes.
fn fill(catalogue: &Catalogue, stories: std::ops::Range<u32>, nodes: u32, name: &str) {
    for story in stories {
        let id = StoryId(object(story));
        for source in [Source::App, Source::Slack] {
            let key = SeriesKey { story: id, source, metric: Metric::Messages };
            let id = catalogue.intern(&key).unwrap();
            catalogue.mark_durable(&Definition { id, key });
        }
        catalogue.apply(&Change::Story { story: id, name: Some(name.into()) });
        for node in 0..nodes {
            let node = Node::Interaction(InteractionId(object(node)));
            let key = SeriesKey { story: id, source: Source::App, metric: Metric::Interaction(node) };
            let series = catalogue.intern(&key).unwrap();
            catalogue.mark_durable(&Definition { id: series, key });
            catalogue.apply(&Change::Node { story: id, node, name: Some(name.into()) });
        }
    }
}

#[test]
fn memory_bytes_are_within_a_fifth_of_what_the_process_takes() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    fill(&catalogue, 0..1_000, 3, "a name of a usual length");
    let (resident_before, counted_before) = (resident_bytes(), catalogue.memory_bytes());
    let mut end = 1_000;
    for (stories, nodes, name) in [(50_000, 0, 20), (10_000, 12, 30), (100, 500, 200)] {
        fill(&catalogue, end..end + stories, nodes, &"x".repeat(name));
        end += stories;
        let (resident, counted) =
            (resident_bytes() - resident_before, catalogue.memory_bytes() - counted_before);
        assert!(
            counted.abs_diff(resident) * 5 <= resident,
            "{stories} stories: {counted} for {resident} bytes"
        );
    }
    let named = catalogue.memory_bytes();
    for story in 0..end {
        catalogue.apply(&Change::DeleteStory { story: StoryId(object(story)) });
    }
    assert!(catalogue.memory_bytes() + 100 * 500 * 200 < named, "names are given back");
}
