//! The parser as its callers see it: batches, numbers of lines, definitions, names.
#![expect(clippy::string_slice, reason = "a test that slices wrongly fails, which is what it should do")]

pub(crate) mod random;

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::model::batch::{Change, Definition, Increment};
use crate::model::catalogue::CatalogueLimits;
use crate::model::event::{Metric, ObjectId, SeriesKey, StoryId};

const ARRIVAL: Arrival = Arrival {
    unix_nanos: 1_552_824_000_000_000_000,
    max_future: Duration::from_hours(1),
    dropped_before: None,
};
const STORY: &str = "5b07ffafc2376e30306d9b16";
const NODE: &str = "5b07ffafc2376e30306d9b17";

fn catalogue() -> Arc<Catalogue> {
    Arc::new(Catalogue::new(CatalogueLimits::default()))
}

fn stream(parser: &mut Parser, text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    assert_eq!(
        parser.parse_stream(text.as_bytes(), ARRIVAL, &mut parsed),
        (text.len(), Stop::NeedMore),
        "{text:?}"
    );
    parsed
}

/// All of the stream, its bad lines taken out as often as the parser asks for it; the first of them are kept.
fn take_all(parser: &mut Parser, bytes: &[u8], parsed: &mut Parsed) -> (usize, Stop) {
    let mut taken = 0;
    let mut rejections = std::mem::take(&mut parsed.rejections);
    loop {
        let (more, stop) = parser.parse_stream(&bytes[taken..], ARRIVAL, parsed);
        taken += more;
        rejections.append(&mut parsed.rejections);
        if stop != Stop::BadLines {
            rejections.truncate(LINE_ERRORS_SHOWN_MAX);
            parsed.rejections = rejections;
            return (taken, stop);
        }
    }
}

/// The increments with the names of their series, in a form that does not depend on the order of interning.
fn increments(catalogue: &Catalogue, parsed: &Parsed) -> Vec<(Metric, String, u32, u32)> {
    let named = |increment: &Increment| {
        let SeriesKey { story, source, metric } = catalogue.key(increment.series).expect("interned");
        (metric, format!("{story} {}", source.as_str()), increment.hour.get(), increment.count)
    };
    parsed.batch.increments.iter().map(named).collect()
}

fn line(kind: &str, rest: &str) -> String {
    format!("{kind},storyId={STORY},source=slack{rest}\n")
}

fn errors(parsed: &Parsed) -> Vec<String> {
    parsed.rejections.iter().map(|rejection| format!("{}: {}", rejection.line, rejection.error)).collect()
}

#[test]
fn lines_of_each_kind_become_increments_and_definitions() {
    let catalogue = catalogue();
    let mut parser = Parser::new(catalogue.clone());
    let text = [
        line("conversation", " count=2i,paid=true 1552813200000000001"),
        line("conversation", " count=0i,paid=t"),
        line("message", " count=3 1552813200000000001"),
        line("interaction", &format!(",id={NODE} x=1")),
        line("interaction", ",type=welcome count=0i"),
    ]
    .concat();
    // The second time the series are known.
    for definitions in [5, 5] {
        let parsed = stream(&mut parser, &text);
        let metrics: Vec<_> = increments(&catalogue, &parsed)
            .into_iter()
            .map(|(metric, _, hour, count)| (metric, hour, count))
            .collect();
        let node = crate::model::event::InteractionId(ObjectId::parse(NODE.as_bytes()).expect("an id"));
        assert_eq!(
            metrics,
            [
                (Metric::Conversations, 431_337, 2),
                (Metric::PaidConversations, 431_337, 2),
                (Metric::Conversations, 431_340, 0),
                (Metric::PaidConversations, 431_340, 1),
                (Metric::Messages, 431_337, 3),
                (Metric::Interaction(crate::model::event::Node::Interaction(node)), 431_340, 1),
                (Metric::Interaction(crate::model::event::Node::Welcome), 431_340, 0),
            ]
        );
        assert_eq!(parsed.batch.definitions.len(), definitions);
        assert_eq!(parsed.tally, Tally { conversations: 2, messages: 1, interactions: 2, rejected: 0 });
        assert!(!parsed.all_finer_than_millisecond);
    }
}

#[test]
fn definitions_stop_once_durable_and_come_back_after_a_deletion() {
    let catalogue = catalogue();
    let mut parser = Parser::new(catalogue.clone());
    let text = line("message", " count=1i");
    let first = stream(&mut parser, &text);
    assert_eq!(first.batch.definitions.len(), 1);
    let again = stream(&mut parser, &text);
    assert_eq!(again.batch.definitions, first.batch.definitions, "still not durable");
    catalogue.mark_durable(&first.batch.definitions[0]);
    assert!(stream(&mut parser, &text).batch.definitions.is_empty());
    // Deleted between two calls that fill one batch: the older count stays, and the definition comes.
    let mut parsed = stream(&mut parser, &text);
    let before = parsed.batch.deletions;
    let story = first.batch.definitions[0].key.story;
    catalogue.apply(&Change::DeleteStory { story });
    parser.parse_stream(text.as_bytes(), ARRIVAL, &mut parsed);
    parser.parse_stream(text.as_bytes(), ARRIVAL, &mut parsed);
    assert_eq!((parsed.batch.deletions, parsed.batch.definitions.len()), (before, 1));
    assert_eq!(parsed.batch.increments.len(), 3);
    // The next batch is of the new count and may leave the definition out once the series is durable again.
    let next = stream(&mut parser, &text);
    assert_eq!((next.batch.deletions, next.batch.definitions.len()), (before + 1, 1));
    catalogue.mark_durable(&next.batch.definitions[0]);
    assert!(stream(&mut parser, &text).batch.definitions.is_empty());
}

#[test]
fn definitions_follow_a_batch_that_was_taken_out() {
    let mut parser = Parser::new(catalogue());
    let text = line("message", " count=1i");
    let mut parsed = stream(&mut parser, &text);
    let taken = std::mem::take(&mut parsed.batch);
    parser.parse_stream(text.as_bytes(), ARRIVAL, &mut parsed);
    assert_eq!(parsed.batch.definitions, taken.definitions);
}

#[test]
fn names_become_changes_unless_sent_and_shown() {
    let catalogue = catalogue();
    let mut parser = Parser::new(catalogue.clone());
    let named =
        |name: &str| line("interaction", &format!(",id={NODE} count=1i,name=\"{name}\",storyName=\"s\""));
    let first = stream(&mut parser, &named("bar"));
    assert_eq!(first.batch.changes.len(), 2);
    // Sent, but not shown yet.
    assert_eq!(stream(&mut parser, &named("bar")).batch.changes, first.batch.changes);
    catalogue.mark_durable(&first.batch.definitions[0]);
    for change in &first.batch.changes {
        assert!(catalogue.apply(change).is_empty());
    }
    assert!(stream(&mut parser, &named("bar")).batch.changes.is_empty());
    // Renamed and back before the first of them is shown.
    let back = stream(&mut parser, &[named("foo"), named("bar")].concat());
    assert_eq!(back.batch.changes.len(), 2);
    assert_eq!(back.batch.changes.last(), first.batch.changes.last());
    // A name in a tag is in the head, and is not lost when the head repeats.
    let tagged = line("interaction", &format!(",id={NODE},name=baz count=1i"));
    for _ in 0..2 {
        assert_eq!(stream(&mut parser, &tagged).batch.changes.len(), 1, "a name in a tag");
    }
}

#[test]
fn stream_numbers_its_lines_and_stops_at_commands() {
    let mut parser = Parser::new(catalogue());
    let good = line("message", " count=1i");
    let text = format!("{good}\n# c\nbad\n!sync\r\n{good}mess\n!a b");
    let mut parsed = Parsed::default();
    let (taken, stop) = parser.parse_stream(text.as_bytes(), ARRIVAL, &mut parsed);
    assert_eq!(stop, Stop::Command("sync".to_owned()));
    let (more, stop) = parser.parse_stream(&text.as_bytes()[taken..], ARRIVAL, &mut parsed);
    assert_eq!((stop, &text[taken + more..]), (Stop::NeedMore, "!a b"));
    let numbers: Vec<u64> = parsed.rejections.iter().map(|rejection| rejection.line).collect();
    assert_eq!((numbers, parsed.tally.accepted()), (vec![4, 7], 2));
    parser.finish_stream(b"message", ARRIVAL, &mut parsed);
    assert_eq!(parsed.rejections.last().map(|rejection| rejection.line), Some(8));
}

#[test]
fn stream_stops_before_there_are_more_bad_lines_than_it_can_describe() {
    let mut parser = Parser::new(catalogue());
    let good = line("message", " count=1i");
    let text = format!("{}{good}!sync\n", "bad\n".repeat(1_000));
    let mut parsed = Parsed::default();
    let mut numbers = Vec::new();
    let mut taken = 0;
    let stop = loop {
        let (more, stop) = parser.parse_stream(&text.as_bytes()[taken..], ARRIVAL, &mut parsed);
        taken += more;
        numbers.extend(parsed.rejections.drain(..).map(|rejection| rejection.line));
        if stop != Stop::BadLines {
            break stop;
        }
    };
    assert_eq!((stop, taken), (Stop::Command("sync".to_owned()), text.len()));
    assert_eq!(numbers, (1..=1_000).collect::<Vec<u64>>());
    assert_eq!((parsed.tally.accepted(), parsed.tally.rejected), (1, 1_000));
}

#[test]
fn line_that_ends_within_an_id_costs_its_neighbours_nothing() {
    let good = line("message", " count=1i 1552813201000000000");
    let cut = &NODE[..16];
    for (bad, lines) in [
        (format!("interaction,id={cut}\n"), 1),
        (format!("message,storyId={cut}\n"), 1),
        (format!("{{\"event\":\"message\",\"storyId\":\"{cut}\n"), 1),
        (format!("interaction,storyId={STORY},source=slack,id={cut}\n#comment count=1i\n"), 2),
    ] {
        let text = format!("{bad}{good}bad\n");
        let mut parser = Parser::new(catalogue());
        let streamed = stream(&mut parser, &text);
        let whole = Parser::new(catalogue()).parse_body(text.as_bytes(), ARRIVAL, None);
        for parsed in [streamed, whole] {
            let numbers: Vec<u64> = parsed.rejections.iter().map(|rejection| rejection.line).collect();
            assert_eq!((parsed.tally.accepted(), numbers), (1, vec![1, lines + 2]), "{bad:?}");
        }
        assert_eq!(parser.lines(), lines + 2);
    }
}

#[test]
fn line_that_is_too_long_for_its_zeros_is_refused_as_any_other() {
    let mut parser = Parser::new(catalogue());
    let text = line("message", &format!(" count={}1i", "0".repeat(LINE_BYTES_MAX)));
    assert_eq!(errors(&stream(&mut parser, &text)), ["1: the line is longer than 65536 bytes"]);
    let text = line("message", " count=0000000000000000007i");
    assert_eq!(stream(&mut parser, &text).batch.increments[0].count, 7);
}

#[test]
fn stream_skips_an_over_long_line_with_one_rejection() {
    let good = line("message", " count=1i");
    let exact = format!("{}{}\r\n", &good[..good.len() - 1], " ".repeat(LINE_BYTES_MAX - good.len() + 1));
    assert_eq!(exact.len(), LINE_BYTES_MAX + 2);
    let mut parser = Parser::new(catalogue());
    assert_eq!(stream(&mut parser, &exact).tally.accepted(), 1);
    assert_eq!(
        errors(&stream(&mut parser, &format!(" {exact}"))),
        ["2: the line is longer than 65536 bytes"]
    );
    // In pieces, without a line feed for long.
    let mut parsed = Parsed::default();
    let piece = vec![b'x'; LINE_BYTES_MAX];
    assert_eq!(parser.parse_stream(&piece, ARRIVAL, &mut parsed), (0, Stop::NeedMore));
    for _ in 0..5 {
        let piece = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(parser.parse_stream(&piece, ARRIVAL, &mut parsed), (piece.len(), Stop::NeedMore));
    }
    let tail = format!("xx\n{good}!{}\n{good}", "x".repeat(LINE_BYTES_MAX));
    assert_eq!(parser.parse_stream(tail.as_bytes(), ARRIVAL, &mut parsed), (tail.len(), Stop::NeedMore));
    let numbers: Vec<u64> = parsed.rejections.iter().map(|rejection| rejection.line).collect();
    assert_eq!((numbers, parsed.tally.accepted()), (vec![3, 5], 2));
    // A handshake is seen without a line feed.
    let (taken, _) = parser.parse_stream(&[0x16, 0x03, 0x01], ARRIVAL, &mut parsed);
    assert_eq!((taken, parsed.rejections[2].error.is_tls()), (3, true));
}

#[test]
fn body_tells_lines_objects_and_arrays_apart() {
    let mut parser = Parser::new(catalogue());
    let object =
        format!("{{\"event\":\"message\",\"storyId\":\"{STORY}\",\"source\":\"app\",\"n\":[1,{{}}]}}");
    let pretty = object.replace(',', ",\n  ");
    let lines = line("message", " count=1i,x=\"a\nb\" 1552813200000000001");
    for (body, accepted, wanted) in [
        (format!("{object}\n{lines}\r\n{object}"), 3, vec![]),
        (format!("\n \n{pretty}\n"), 1, vec![]),
        (format!("\u{feff}{object}\n{lines}"), 2, vec![]),
        (format!("\u{feff}{lines}\u{feff}{lines}"), 1, vec![(3, "got `\u{feff}message`")]),
        (format!("\u{feff}[{object}]"), 1, vec![]),
        (format!("[{object} ,\n{pretty}\n]\n"), 2, vec![]),
        ("[]".to_owned(), 0, vec![]),
        (String::new(), 0, vec![]),
        (
            format!("{object}\n{{\"event\":1}}\nx"),
            1,
            vec![(2, "`event` must be a string in double quotes; got 1"), (3, "fields")],
        ),
        (
            format!("[{object},\n\n7,{{\"event\":\"x\"}}]"),
            1,
            vec![(3, "element 2: an event"), (3, "element 3: the event must")],
        ),
        (format!("[{object},\n{object}"), 0, vec![(2, "not valid JSON")]),
        (format!("bad\n{lines}bad"), 1, vec![(1, "fields"), (4, "fields")]),
    ] {
        let parsed = parser.parse_body(body.as_bytes(), ARRIVAL, None);
        assert_eq!(
            (parsed.tally.accepted(), parsed.rejections.len()),
            (accepted, wanted.len()),
            "{body}\n{parsed:?}"
        );
        for (rejection, (line, words)) in parsed.rejections.iter().zip(wanted) {
            assert_eq!(rejection.line, line, "{body}");
            assert!(rejection.error.to_string().contains(words), "{} of {body}", rejection.error);
        }
    }
}

#[test]
fn retry_window_asks_for_a_fine_stamp_on_every_line() {
    let mut parser = Parser::new(catalogue());
    let fine = line("message", " count=1i 1552813200000000001");
    let whole = line("message", " count=1i 1552813200001000000");
    let absent = line("message", " count=1i");
    for (text, wanted) in [
        (fine.clone(), true),
        (format!("{fine}bad\n\n{fine}"), true),
        (format!("{fine}{whole}"), false),
        (format!("{absent}{fine}"), false),
        ("bad\n".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(stream(&mut parser, &text).all_finer_than_millisecond, wanted, "{text}");
    }
    let mut parsed = stream(&mut parser, &whole);
    parser.parse_stream(fine.as_bytes(), ARRIVAL, &mut parsed);
    assert!(!parsed.all_finer_than_millisecond, "one coarse call is enough");
}

#[test]
fn full_catalogue_refuses_what_is_new_and_counts_what_is_known() {
    let limits = CatalogueLimits { stories: 1, ..CatalogueLimits::default() };
    let mut parser = Parser::new(Arc::new(Catalogue::new(limits)));
    let known = line("message", " count=1i");
    let text = format!("{known}{}{known}", known.replace(STORY, NODE));
    let parsed = stream(&mut parser, &text);
    assert_eq!((parsed.tally.accepted(), parsed.rejections.len()), (2, 1));
    assert!(matches!(parsed.rejections[0].error.kind(), LineErrorKind::CatalogueFull { .. }));
}

#[test]
fn index_grows_with_the_lines_that_came_and_stays_right() {
    let catalogue = catalogue();
    let mut parser = Parser::new(catalogue.clone());
    let mut text = String::new();
    for round in 0..3 {
        text.clear();
        for story in 0..5_000 {
            writeln!(text, "message,storyId={story:024},source=app count={story}i").expect("a string");
        }
        let parsed = stream(&mut parser, &text);
        let got = increments(&catalogue, &parsed);
        for (story, (_, name, _, count)) in got.iter().enumerate() {
            assert_eq!(
                (name, usize::try_from(*count)),
                (&format!("{story:024} app"), Ok(story)),
                "round {round}"
            );
        }
    }
}

/// What the sequencer does with a batch, as far as the catalogue is concerned.
fn journal(catalogue: &Catalogue, batch: &Batch) {
    for definition in &batch.definitions {
        catalogue.mark_durable(definition);
    }
    for increment in &batch.increments {
        let id = increment.series;
        if batch.deletions != catalogue.deletions() && !catalogue.is_durable(id) {
            catalogue.mark_durable(&Definition { id, key: catalogue.key(id).expect("interned") });
        }
        assert!(catalogue.is_durable(id), "a batch lacks a definition of {id:?}");
    }
}

#[test]
fn parsers_of_several_threads_define_what_is_not_durable_while_the_index_grows_and_stories_go() {
    const STORIES_MORE_EACH_ROUND: usize = 40;
    let catalogue = catalogue();
    let order = std::sync::Mutex::new(());
    let work = |seed: usize| {
        let mut parser = Parser::new(catalogue.clone());
        for round in 1..120 {
            let (mut text, mut wanted) = (String::new(), Vec::new());
            for step in 0..200 {
                let story = (seed + step * (7 + round)) % (round * STORIES_MORE_EACH_ROUND);
                let head = match step % 3 {
                    0 => format!("message,storyId={story:024},source=app"),
                    node => format!("interaction,storyId={story:024},source=app,id={node:024}"),
                };
                writeln!(text, "{head} count=1i").expect("a string");
                let story = ObjectId::parse(format!("{story:024}").as_bytes()).expect("an id");
                wanted.push((StoryId(story), step % 3 == 0));
            }
            let parsed = stream(&mut parser, &text);
            let _turn = order.lock().expect("no thread has panicked");
            journal(&catalogue, &parsed.batch);
            let key = |id| catalogue.key(id).expect("interned");
            let got = parsed.batch.increments.iter().map(|increment| key(increment.series));
            let got: Vec<_> = got.map(|key| (key.story, key.metric == Metric::Messages)).collect();
            assert_eq!(got, wanted, "thread {seed}, round {round}");
            if round % 4 == 0 {
                catalogue.apply(&Change::DeleteStory { story: wanted[round % 200].0 });
            }
        }
    };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || work(seed));
        }
    });
}
