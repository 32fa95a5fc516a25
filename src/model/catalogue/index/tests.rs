//! What is put is found, while tables grow and confirmations come and go.

use super::*;
use crate::model::batch::{Change, Definition};
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::event::{ObjectId, Source, StoryId};

fn text(number: usize) -> IdText {
    format!("{number:024}").into_bytes().try_into().unwrap()
}

fn key(story: usize, node: Option<usize>, source: Source) -> SeriesKey {
    let id = |number| ObjectId::parse(&text(number)).unwrap();
    let metric =
        node.map_or(Metric::Messages, |node| Metric::Interaction(Node::Interaction(InteractionId(id(node)))));
    SeriesKey { story: StoryId(id(story)), source, metric }
}

fn put(catalogue: &Catalogue, key: &SeriesKey) -> SeriesId {
    let id = catalogue.intern_indexed(&catalogue.index().rows(), key).unwrap();
    assert_eq!(catalogue.intern(key), Ok(id));
    id
}

fn link<'r>(rows: &'r Rows, key: &SeriesKey) -> Option<&'r Link> {
    let (story, node) = (key.story.0.as_bytes(), node_text(&key.metric));
    let probe = rows.probe(story, node);
    rows.touch(probe);
    let row = rows.story(probe, story)?;
    match node {
        Some(node) => rows.node(probe, row, node)?.link(key.source),
        None => row.link(key.metric, key.source),
    }
}

fn series(rows: &Rows, key: &SeriesKey) -> Option<SeriesId> {
    link(rows, key)?.series().map(|series| series.id)
}

#[test]
fn every_series_is_found_under_its_ids_alone_while_the_tables_grow() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let first = catalogue.index().rows();
    let mut wanted = Vec::new();
    for story in 0..3 * INDEX_SLOTS_MIN {
        // The same nodes in every story, as copies of one have.
        for node in [None, Some(1), Some(2)] {
            for source in [Source::Slack, Source::App] {
                let key = key(story, node, source);
                wanted.push((key, put(&catalogue, &key)));
            }
        }
    }
    let mut rows = Arc::clone(&first);
    catalogue.index().refresh(&mut rows);
    for (key, id) in &wanted {
        assert_eq!(series(&rows, key), Some(*id), "{key:?}");
        assert_eq!(series(&rows, &SeriesKey { source: Source::Custom, ..*key }), None, "{key:?}");
        // What the first tables have is right, though they have not all.
        assert!(series(&first, key).is_none_or(|there| there == *id), "{key:?}");
    }
    assert_eq!(series(&rows, &key(0, Some(3), Source::Slack)), None);
    assert_eq!(series(&rows, &key(3 * INDEX_SLOTS_MIN, None, Source::Slack)), None);
}

#[test]
fn confirmation_is_noted_while_it_holds_and_taken_back_with_the_story() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let keys = [key(1, None, Source::Slack), key(1, Some(2), Source::App), key(3, None, Source::Slack)];
    let ids = keys.map(|key| put(&catalogue, &key));
    let rows = catalogue.index().rows();
    let confirmed = || keys.map(|key| link(&rows, &key).unwrap().series().unwrap().is_confirmed);
    let note = || {
        for (key, id) in keys.iter().zip(ids) {
            catalogue.index_confirmed(link(&rows, key).unwrap(), id);
        }
    };
    note();
    assert_eq!(confirmed(), [false; 3], "nothing has been journalled");
    for (key, id) in keys.into_iter().zip(ids) {
        catalogue.confirm(&Definition { id, key });
    }
    note();
    assert_eq!(confirmed(), [true; 3]);
    catalogue.apply(&Change::DeleteStory { story: keys[0].story });
    assert_eq!(confirmed(), [false, false, true]);
    note();
    assert_eq!(confirmed(), [false, false, true], "who is late changes nothing");
    assert_eq!(ids, keys.map(|key| series(&rows, &key).unwrap()), "the ids stay");
}

#[test]
fn full_table_takes_no_more_rows() {
    let slots: Slots<StoryRow> = Slots::new(8);
    let mut taken = 0;
    while let Some(row) = slots.free(u32::try_from(taken).unwrap() * 3, taken) {
        row.occupy(&text(1), 0);
        taken += 1;
    }
    assert_eq!(taken, 7);
    assert!(slots.find(0, |_| false).is_none(), "a look-up in vain ends");
    assert!(slots.larger(taken, 8, 0).is_none());
    assert!(slots.larger(taken, 16, 0).is_some_and(|larger| larger.free(0, taken).is_some()));
}
