//! What is interned is found, while tables grow, marks come and go, and stories are evicted.

use std::sync::atomic::Ordering;

use super::*;
use crate::model::batch::{Change, Definition};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::event::{InteractionId, ObjectId, SeriesId, Source, StoryId};

fn id(number: usize) -> ObjectId {
    ObjectId::parse(format!("{number:024}").as_bytes()).unwrap()
}

fn key(story: usize, node: Option<Node>, source: Source) -> SeriesKey {
    let metric = node.map_or(Metric::Messages, Metric::Interaction);
    SeriesKey { story: StoryId(id(story)), source, metric }
}

fn interaction(number: usize) -> Node {
    Node::Interaction(InteractionId(id(number)))
}

/// As a parser looks a head up.
fn find(index: &Index, view: &View, key: &SeriesKey) -> Option<Interned> {
    find_counting(index, view, key, &mut 0)
}

/// As [`find`]; counts the keys whose 32 bits of hash another id has, too, of which the row comes first: a parser
/// takes the slower look-up for those.
fn find_counting(index: &Index, view: &View, key: &SeriesKey, shared: &mut usize) -> Option<Interned> {
    let text = key.story.0.as_bytes();
    let counter = StoryCounter::of(key.metric);
    let node = counter.as_ref().err().map(Node::as_text);
    let hashes = index.hash_ids(text, node);
    view.prefetch(hashes);
    let rows = index.candidates(view, hashes);
    let story = rows.story(text);
    let is_row_of_another = match (&story, node) {
        (None, _) => rows.story.is_some(),
        (Some(story), Some(node)) => rows.node.is_some() && rows.node(story, node).is_none(),
        (Some(_), None) => false,
    };
    if is_row_of_another {
        *shared += 1;
        return index.series(view, key);
    }
    let story = story?;
    let found = match node {
        Some(node) => rows.node(&story, node)?.series_on(key.source),
        None => story.series_of(counter.ok()?, key.source),
    };
    assert_eq!(found, index.series(view, key));
    found
}

fn found_id(index: &Index, view: &View, key: &SeriesKey) -> Option<SeriesId> {
    find(index, view, key).map(|series| series.id)
}

#[test]
fn every_series_is_found_under_its_ids_alone_while_the_tables_grow() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let index = catalogue.index();
    let first = catalogue.index().view();
    let mut wanted = Vec::new();
    for story in 0..3 * INDEX_SLOTS_MIN {
        // The same nodes in every story, as copies of one have; nodes of every kind with the same id.
        let context = Node::ContextFallback(InteractionId(id(1)));
        let nodes = [
            None,
            Some(interaction(1)),
            Some(interaction(2)),
            Some(context),
            Some(Node::Fallback),
            Some(Node::Welcome),
        ];
        for node in nodes {
            for source in [Source::Slack, Source::App] {
                let key = key(story, node, source);
                wanted.push((key, catalogue.intern(&key).unwrap()));
            }
        }
    }
    let mut view = catalogue.index().view();
    index.refresh(&mut view);
    let mut shared = 0;
    for (key, id) in &wanted {
        assert_eq!(catalogue.intern(key), Ok(*id));
        let found = find_counting(index, &view, key, &mut shared).map(|series| series.id);
        assert_eq!(found, Some(*id), "{key:?}");
        assert_eq!(found_id(index, &view, &SeriesKey { source: Source::Custom, ..*key }), None, "{key:?}");
        // What the first tables have is right, though they have not all.
        assert!(found_id(index, &first, key).is_none_or(|there| there == *id), "{key:?}");
    }
    // By chance one run in forty has such a pair.
    assert!(shared <= 10, "{shared} of {}", wanted.len());
    assert_eq!(found_id(index, &view, &key(0, Some(interaction(3)), Source::Slack)), None);
    assert_eq!(found_id(index, &view, &key(3 * INDEX_SLOTS_MIN, None, Source::Slack)), None);
}

#[test]
fn mark_of_durability_is_seen_while_it_holds_and_taken_back_with_the_story() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let index = catalogue.index();
    let keys =
        [key(1, None, Source::Slack), key(1, Some(interaction(2)), Source::App), key(3, None, Source::Slack)];
    let ids = keys.map(|key| catalogue.intern(&key).unwrap());
    let view = catalogue.index().view();
    let durable = || keys.map(|key| find(index, &view, &key).unwrap().is_durable);
    assert_eq!(durable(), [false; 3], "nothing has been journalled");
    for (key, id) in keys.into_iter().zip(ids) {
        catalogue.mark_durable(&Definition { id, key });
    }
    assert_eq!(durable(), [true; 3]);
    assert_eq!(catalogue.apply(&Change::DeleteStory { story: keys[0].story }), ids[..2]);
    assert_eq!(durable(), [false, false, true]);
    assert_eq!(ids, keys.map(|key| found_id(index, &view, &key).unwrap()), "the ids stay");
}

#[test]
fn evicted_story_is_found_no_more_and_its_rows_are_given_to_others() {
    let catalogue = Catalogue::new(CatalogueLimits { stories: 1, ..CatalogueLimits::default() });
    let index = catalogue.index();
    let view = catalogue.index().view();
    let rows = |catalogue: &Catalogue| {
        let interning = catalogue.interning.lock().unwrap();
        (
            catalogue.story_numbers_end(),
            catalogue.nodes_end.load(Ordering::Relaxed),
            interning.nodes_free.len(),
        )
    };
    let mut before: Vec<(SeriesKey, SeriesId)> = Vec::new();
    for story in 0..3 * INDEX_SLOTS_MIN {
        let keys = [key(story, None, Source::Slack), key(story, Some(interaction(2)), Source::App)];
        let ids = keys.map(|key| catalogue.intern(&key).unwrap());
        for (key, id) in before {
            assert_eq!(
                (find(index, &view, &key), catalogue.key(id), catalogue.is_bound(id)),
                (None, None, false)
            );
        }
        before = keys.into_iter().zip(ids).collect();
        for (key, id) in &before {
            catalogue.mark_durable(&Definition { id: *id, key: *key });
            assert_eq!((catalogue.key(*id), catalogue.is_durable(*id)), (Some(*key), true));
        }
        assert_eq!(catalogue.apply(&Change::DeleteStory { story: keys[0].story }), ids);
        assert_eq!(rows(&catalogue), (1, 1, 0));
    }
}

#[test]
fn slots_keep_what_is_in_them_over_copies_and_removals() {
    let mut slots = HashTable::new(8);
    let hash = |number: u32| number % 5 * 3;
    let has = |slots: &HashTable, number| {
        slots.find(hash(number), |there| (there == number).then_some(())).is_some()
    };
    let copy = |slots: &HashTable| {
        let copy = HashTable::new(slots.slots_for_more());
        slots.copy_slots(0..slots.slots(), &copy);
        copy
    };
    for number in 0..1_000_u32 {
        if slots.wants_room() {
            slots = copy(&slots);
        }
        slots.insert(hash(number), number);
        if number >= 10 {
            slots.remove(hash(number - 10), number - 10);
        }
        let kept = number.saturating_sub(9)..=number;
        assert!((0..=number).all(|number| has(&slots, number) == kept.contains(&number)), "{number}");
    }
    assert!(!copy(&slots).wants_room(), "what was removed takes no room in a copy");
}
