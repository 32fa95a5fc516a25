//! The catalogue: what interning, marking as durable, changing, deleting and evicting do to ids and to what readers see.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::collections::BTreeSet;

use tallyd::model::batch::{Batch, Change, Definition, Increment, SeriesId};
use tallyd::model::calendar::{Hour, HourRange};
use tallyd::model::catalogue::{
    Catalogue, CatalogueFull, CatalogueLimits, FIRST_STORY_SERIES, SERIES_ID_END, total_series,
};
use tallyd::model::counters::{self, Counters};
use tallyd::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

fn object(number: usize) -> ObjectId {
    ObjectId::parse(format!("{number:024x}").as_bytes()).unwrap()
}

fn story(number: usize) -> StoryId {
    StoryId(object(number))
}

fn node(number: usize) -> Node {
    Node::Interaction(InteractionId(object(number)))
}

fn key(of: usize, source: Source, metric: Metric) -> SeriesKey {
    SeriesKey { story: story(of), source, metric }
}

fn small() -> Catalogue {
    Catalogue::new(CatalogueLimits { stories: 2, series: 4, nodes_per_story: 2 })
}

fn make_durable(catalogue: &Catalogue, key: SeriesKey) -> SeriesId {
    let id = catalogue.intern(&key).unwrap();
    catalogue.mark_durable(&Definition { id, key });
    id
}

#[test]
fn reserved_ids_are_the_first_24_and_all_different() {
    let sources = || Source::ALL.into_iter().map(Some).chain([None]);
    let metrics = [Metric::Conversations, Metric::PaidConversations, Metric::Messages];
    let ids: BTreeSet<u32> = metrics
        .into_iter()
        .flat_map(|metric| sources().map(move |source| total_series(metric, source).unwrap().get()))
        .collect();
    assert_eq!(ids, (0..24).collect());
    assert_eq!(FIRST_STORY_SERIES.get(), 24);
    assert_eq!(total_series(Metric::Interaction(Node::Welcome), None), None);
}

#[test]
fn intern_gives_each_key_one_id_and_makes_nothing_known() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let metrics = [
        Metric::Conversations,
        Metric::PaidConversations,
        Metric::Messages,
        Metric::Interaction(node(9)),
        Metric::Interaction(Node::ContextFallback(InteractionId(object(9)))),
        Metric::Interaction(Node::Fallback),
        Metric::Interaction(Node::Welcome),
    ];
    let keys: Vec<SeriesKey> = (0..5)
        .flat_map(|of| metrics.map(|metric| Source::ALL.map(|source| key(of, source, metric))))
        .flatten()
        .collect();
    let ids: Vec<SeriesId> = keys.iter().map(|key| catalogue.intern(key).unwrap()).collect();
    let expected: Vec<u32> = (24..24 + u32::try_from(keys.len()).unwrap()).collect();
    assert_eq!(ids.iter().map(|id| id.get()).collect::<Vec<_>>(), expected);
    for (id, key) in ids.iter().zip(&keys) {
        assert_eq!(catalogue.intern(key), Ok(*id));
        assert_eq!(catalogue.key(*id), Some(*key));
        assert!(!catalogue.is_durable(*id));
    }
    assert_eq!((catalogue.story_count(), catalogue.series_count()), (0, 0));
    assert!(catalogue.stories().is_empty() && catalogue.story(story(0)).is_none());
    assert_eq!(catalogue.key(SeriesId::new(3)), None);
    assert_eq!(catalogue.key(SeriesId::new(999_999)), None);
}

#[test]
fn mark_of_durability_makes_series_story_and_node_known() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let messages = make_durable(&catalogue, key(1, Source::App, Metric::Messages));
    let used = make_durable(&catalogue, key(1, Source::Slack, Metric::Interaction(node(7))));
    let interned = catalogue.intern(&key(1, Source::App, Metric::Interaction(node(8)))).unwrap();

    let known = catalogue.story(story(1)).unwrap();
    assert_eq!(known.series(Metric::Messages, Source::App), Some(messages));
    assert_eq!(known.series(Metric::Messages, Source::Slack), None);
    assert_eq!(known.series(Metric::Interaction(node(7)), Source::Slack), Some(used));
    assert_eq!(known.series(Metric::Interaction(node(8)), Source::App), None, "only interned");
    let mut nodes = Vec::new();
    known.for_each_node(&mut |entry| nodes.push(entry.clone()));
    assert_eq!(nodes.len(), known.node_count());
    assert_eq!((nodes[0].node, nodes[0].series[Source::Slack.index()]), (node(7), Some(used)));
    assert!(catalogue.is_durable(used) && !catalogue.is_durable(interned));
    assert_eq!((catalogue.story_count(), catalogue.series_count()), (1, 2));
    let mut all = Vec::new();
    catalogue.for_each_series(&mut |id, key| all.push((id, *key)));
    assert_eq!(all, [messages, used].map(|id| (id, catalogue.key(id).unwrap())));
}

#[test]
fn mark_of_a_recovered_id_leaves_gaps_and_new_ids_follow_it() {
    let catalogue = small();
    let recovered = key(1, Source::App, Metric::Messages);
    catalogue.mark_durable(&Definition { id: SeriesId::new(26), key: recovered });
    catalogue.mark_durable(&Definition { id: SeriesId::new(26), key: recovered });
    assert_eq!(catalogue.intern(&recovered), Ok(SeriesId::new(26)));
    assert_eq!(catalogue.intern(&key(1, Source::App, Metric::Conversations)), Ok(SeriesId::new(27)));
    assert_eq!(catalogue.series_count(), 1);
    // A key that was deleted and defined anew in another run: the later id holds.
    catalogue.mark_durable(&Definition { id: SeriesId::new(25), key: recovered });
    assert_eq!(catalogue.intern(&recovered), Ok(SeriesId::new(25)));
    assert!(!catalogue.is_durable(SeriesId::new(26)));
    assert_eq!(catalogue.series_count(), 1);
    // What is past the bounds was journalled under others, so it is taken.
    for number in 5..9 {
        let key = key(number, Source::App, Metric::Interaction(node(1)));
        catalogue.mark_durable(&Definition { id: SeriesId::new(u32::try_from(number).unwrap() + 30), key });
    }
    assert_eq!((catalogue.story_count(), catalogue.series_count()), (5, 5));
    for id in [SeriesId::new(23), SERIES_ID_END] {
        catalogue.mark_durable(&Definition { id, key: key(99, Source::App, Metric::Messages) });
    }
    assert!(catalogue.story(story(99)).is_none(), "no series can have such an id");
}

#[test]
fn bounds_refuse_what_is_new_and_let_the_rest_go_on() {
    let catalogue = small();
    let interaction = |of, number| key(of, Source::App, Metric::Interaction(node(number)));
    let first = catalogue.intern(&interaction(1, 1)).unwrap();
    catalogue.intern(&interaction(1, 2)).unwrap();
    assert_eq!(catalogue.intern(&interaction(1, 3)), Err(CatalogueFull::Nodes { story: story(1), max: 2 }));
    catalogue.intern(&interaction(2, 1)).unwrap();
    assert_eq!(catalogue.intern(&interaction(3, 1)), Err(CatalogueFull::Stories(2)));
    catalogue.intern(&interaction(2, 2)).unwrap();
    let more = key(2, Source::App, Metric::Messages);
    assert_eq!(catalogue.intern(&more), Err(CatalogueFull::Series(4)));
    assert_eq!(catalogue.intern(&interaction(1, 1)), Ok(first));

    let change = |of, number| Change::Node { story: story(of), node: node(number), name: None };
    assert_eq!(catalogue.admit(&change(1, 2)), Ok(()));
    assert_eq!(catalogue.admit(&change(1, 3)), Err(CatalogueFull::Nodes { story: story(1), max: 2 }));
    let named = Change::Story { story: story(3), name: None };
    assert_eq!(catalogue.admit(&named), Err(CatalogueFull::Stories(2)));
    assert_eq!(catalogue.admit(&Change::DeleteStory { story: story(3) }), Ok(()));
    assert_eq!(catalogue.story_count(), 0, "admitting makes nothing known");
}

#[test]
fn names_are_the_latest_and_make_known() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let name_story = |name: Option<&str>| Change::Story { story: story(1), name: name.map(Box::from) };
    let name_node =
        |name: Option<&str>| Change::Node { story: story(2), node: node(1), name: name.map(Box::from) };
    for change in [name_story(None), name_node(None)] {
        assert!(catalogue.apply(&change).is_empty());
    }
    assert_eq!(catalogue.story(story(1)).unwrap().name(), None);
    assert_eq!((catalogue.story_count(), catalogue.node_name(story(2), node(1))), (2, None));
    for name in ["one", "two"] {
        catalogue.apply(&name_story(Some(name)));
        catalogue.apply(&name_node(Some(name)));
    }
    catalogue.apply(&name_story(None));
    catalogue.apply(&name_node(None));
    assert_eq!(catalogue.story(story(1)).unwrap().name().as_deref(), Some("two"));
    assert_eq!(catalogue.node_name(story(2), node(1)).as_deref(), Some("two"));
    assert_eq!(catalogue.node_name(story(2), node(2)), None);
    assert!(catalogue.story(story(2)).unwrap().knows_node(node(1)));
    assert_eq!(catalogue.stories().len(), 2);
}

#[test]
fn delete_forgets_the_story_and_keeps_its_ids_for_a_later_return() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let messages = make_durable(&catalogue, key(1, Source::App, Metric::Messages));
    let used_key = key(1, Source::Slack, Metric::Interaction(node(7)));
    let used = make_durable(&catalogue, used_key);
    let other = make_durable(&catalogue, key(2, Source::App, Metric::Messages));
    let name = Some(Box::from("seven"));
    catalogue.apply(&Change::Node { story: story(1), node: node(7), name });
    let held = catalogue.story(story(1)).unwrap();
    let delete = Change::DeleteStory { story: story(1) };

    assert_eq!(catalogue.apply(&delete), [messages, used]);
    assert_eq!(catalogue.deletions(), 1);
    assert!(catalogue.story(story(1)).is_none() && catalogue.node_name(story(1), node(7)).is_none());
    assert_eq!((held.node_count(), held.series(Metric::Messages, Source::App)), (0, None));
    assert!(!catalogue.is_durable(messages) && !catalogue.is_durable(used) && catalogue.is_durable(other));
    assert_eq!((catalogue.story_count(), catalogue.series_count()), (1, 1));
    assert!(catalogue.apply(&delete).is_empty(), "it is not known any more");
    assert_eq!(catalogue.deletions(), 1);

    assert_eq!(make_durable(&catalogue, used_key), used);
    assert_eq!(catalogue.story(story(1)).unwrap().node_count(), 1);
    assert_eq!(catalogue.node_name(story(1), node(7)), None);
    assert_eq!((catalogue.story_count(), catalogue.series_count()), (2, 2));
}

fn bounded(stories: usize) -> Catalogue {
    Catalogue::new(CatalogueLimits { stories, ..CatalogueLimits::default() })
}

fn messages(of: usize) -> SeriesKey {
    key(of, Source::App, Metric::Messages)
}

#[test]
fn stories_that_were_deleted_give_their_places_to_new_ones() {
    const BOUND: usize = 8;
    let catalogue = bounded(BOUND);
    let mut gone = Vec::new();
    for number in 0..BOUND * 1_000 {
        let used = key(number, Source::Slack, Metric::Interaction(node(1)));
        let ids = [messages(number), used].map(|key| make_durable(&catalogue, key));
        assert_eq!(ids.map(|id| catalogue.key(id)), [Some(messages(number)), Some(used)]);
        gone.push(ids[0]);
        if number + 1 >= BOUND {
            let oldest = number + 1 - BOUND;
            let cleared = catalogue.apply(&Change::DeleteStory { story: story(oldest) });
            assert_eq!((cleared.len(), catalogue.story_count()), (2, BOUND - 1));
            assert!(catalogue.story(story(oldest)).is_none() && catalogue.story(story(number)).is_some());
        }
    }
    let evicted = &gone[..gone.len() - BOUND];
    assert!(evicted.iter().all(|id| !catalogue.is_bound(*id) && catalogue.key(*id).is_none()));
    assert_eq!(gone.iter().collect::<BTreeSet<_>>().len(), gone.len(), "no id is used twice");
    assert_eq!(catalogue.story_numbers_end(), u32::try_from(BOUND).unwrap());
    assert_eq!(catalogue.series_numbered(), 2 * gone.len());
}

#[test]
fn known_stories_keep_their_places_and_one_that_comes_back_its_ids() {
    let catalogue = bounded(2);
    let first = make_durable(&catalogue, messages(1));
    make_durable(&catalogue, messages(2));
    for number in 3..5_000 {
        assert_eq!(catalogue.intern(&messages(number)), Err(CatalogueFull::Stories(2)));
    }
    catalogue.apply(&Change::DeleteStory { story: story(1) });
    assert_eq!(make_durable(&catalogue, messages(1)), first);
    assert_eq!(catalogue.intern(&messages(3)), Err(CatalogueFull::Stories(2)), "it is known again");
    let held = catalogue.story(story(1)).unwrap();
    catalogue.apply(&Change::DeleteStory { story: story(1) });
    let third = make_durable(&catalogue, messages(3));
    assert_eq!((catalogue.key(first), catalogue.key(third)), (None, Some(messages(3))));
    assert_eq!(held.series(Metric::Messages, Source::App), None, "its place is another's");
    assert_eq!(catalogue.stories().iter().map(|story| story.id()).collect::<Vec<_>>(), [story(3), story(2)]);
}

#[test]
fn stories_of_refused_batches_do_not_use_up_the_bound() {
    let catalogue = bounded(2);
    make_durable(&catalogue, messages(1));
    for number in 2..100 {
        let id = catalogue.intern(&messages(number)).unwrap();
        assert_eq!(
            catalogue.intern(&messages(1_000)),
            Err(CatalogueFull::Stories(2)),
            "the batch may come yet"
        );
        let definitions = vec![Definition { id, key: messages(number) }];
        catalogue.release(&Batch { definitions, ..Batch::default() });
    }
    assert_eq!(catalogue.story_count(), 1);
    assert_eq!(catalogue.stories()[0].id(), story(1));
}

#[test]
fn stories_whose_batches_never_came_do_not_use_up_the_bound_for_ever() {
    let catalogue = bounded(2);
    catalogue.intern(&messages(1)).unwrap();
    catalogue.intern(&messages(2)).unwrap();
    let refused = (3..5_000).position(|number| catalogue.intern(&messages(number)).is_ok()).unwrap();
    assert_eq!(refused, usize::try_from(tallyd::limits::STORIES_REFUSED_PER_RELEASE).unwrap());
}

#[test]
fn ids_of_series_are_bounded_for_life() {
    let catalogue = Catalogue::new(CatalogueLimits { stories: 2, series: 4, nodes_per_story: 2 });
    for number in 0..4 {
        make_durable(&catalogue, messages(number));
        catalogue.apply(&Change::DeleteStory { story: story(number) });
    }
    assert_eq!(catalogue.intern(&messages(9)), Err(CatalogueFull::Series(4)));
    assert_eq!((catalogue.series_numbered(), catalogue.series_count()), (4, 0));
}

/// What the sequencer does, and a restart once more, with a batch.
fn write(catalogue: &Catalogue, writer: &mut counters::Writer, batch: &Batch) {
    for definition in &batch.definitions {
        catalogue.mark_durable(definition);
        writer.define(definition.id, &definition.key);
    }
    for series in batch.changes.iter().flat_map(|change| catalogue.apply(change)) {
        writer.clear(series);
    }
    writer.add(&batch.increments);
}

#[test]
fn replay_of_what_was_journalled_while_stories_were_evicted_gives_the_same_counts() {
    let running = bounded(3);
    let (counters, mut writer) = Counters::new();
    let mut journal = Vec::new();
    for number in 0..500_usize {
        let mut batch = Batch { deletions: running.deletions(), ..Batch::default() };
        let keys = [
            messages(number % 7),
            messages(number % 2),
            key(number % 7, Source::App, Metric::Interaction(node(3))),
        ];
        for key in keys {
            let Ok(id) = running.intern(&key) else { continue };
            if !running.is_durable(id) {
                batch.definitions.push(Definition { id, key });
            }
            let count = u32::try_from(number).unwrap();
            batch.increments.push(Increment { series: id, hour: Hour::new(431_000), count });
        }
        write(&running, &mut writer, &batch);
        journal.push(batch);
        let changes = vec![Change::DeleteStory { story: story(number * 5 % 7) }];
        let batch = Batch { changes, ..Batch::default() };
        write(&running, &mut writer, &batch);
        journal.push(batch);
    }
    let state = |catalogue: &Catalogue, counters: &Counters| {
        let mut state = Vec::new();
        catalogue.for_each_series(&mut |id, key| state.push((*key, counters.sum(id, HourRange::ALL))));
        state.sort_unstable();
        state
    };
    let wanted = state(&running, &counters);
    assert!(wanted.iter().any(|(_, sum)| *sum > 0));
    assert!(running.series_numbered() > 100, "stories have been evicted");
    for restarted in [bounded(3), Catalogue::new(CatalogueLimits::default())] {
        let (counters, mut writer) = Counters::new();
        for batch in &journal {
            write(&restarted, &mut writer, batch);
        }
        assert_eq!(state(&restarted, &counters), wanted);
        assert_eq!(restarted.story_count(), running.story_count());
    }
}

#[test]
fn threads_that_intern_the_same_keys_agree() {
    let catalogue = Catalogue::new(CatalogueLimits::default());
    let keys: Vec<SeriesKey> =
        (0..2_000).map(|n| key(n % 50, Source::ALL[n % 7], Metric::Interaction(node(n % 40)))).collect();
    let ids: Vec<Vec<SeriesId>> = std::thread::scope(|scope| {
        let intern = || keys.iter().map(|key| catalogue.intern(key).unwrap()).collect();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(intern)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    let distinct_keys: std::collections::HashSet<SeriesKey> = keys.iter().copied().collect();
    let distinct: BTreeSet<SeriesId> = ids[0].iter().copied().collect();
    assert_eq!(distinct.len(), distinct_keys.len());
    assert_eq!(distinct.last().unwrap().index() + 1, 24 + distinct.len(), "no number is left out");
    assert!(keys.iter().zip(&ids[0]).all(|(key, id)| catalogue.key(*id) == Some(*key)));
}
