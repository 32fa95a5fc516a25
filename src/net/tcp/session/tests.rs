//! The session without a socket: bytes in, answers out.
#![expect(clippy::string_slice, reason = "tests end where they go wrong")]

use proptest::prelude::*;
use sha2::Digest as _;

use super::testing::{Driven, LINE, StoreAnswer, TOKEN, tokens};
use super::*;
use crate::limits::LINE_ERRORS_SHOWN_MAX;
use crate::model::event::{ObjectId, StoryId};

/// A token that may write to the stories, none for all.
fn token_for(stories: &[&str]) -> Auth {
    let stories: Vec<_> = stories.iter().map(|id| StoryId(ObjectId::parse(id.as_bytes()).unwrap())).collect();
    let (_, entry) = crate::net::auth::generate("bakery", &[Scope::Write], &stories).unwrap();
    let digest = format!("{:x}", sha2::Sha256::digest(TOKEN));
    let entry = entry.split("sha256").next().unwrap().to_owned();
    Auth::from_file_text(&format!("{entry}sha256 = \"{digest}\"\n")).unwrap()
}

const OTHER: &str = "5b07ff77c2376e30306d9b12";

#[test]
fn limited_token_writes_to_its_stories_alone() {
    let mine = "5b07ffafc2376e30306d9b16";
    let other = LINE.replace(mine, OTHER);
    let named = other.trim_end().to_owned() + ",storyName=\"x\"\n";
    let refused = format!("this token may not write to story {OTHER}");
    let text =
        format!("!auth {TOKEN}\n{LINE}{other}{LINE}{named}!sync\n!batch k\n{other}{LINE}!end\n!sync\n");
    let errors = [3, 5, 8].map(|line| format!("ERR {line} {refused}"));
    check_with(
        token_for(&[mine]),
        StoreAnswer::Takes,
        &[&text],
        &[&errors[0], &errors[1], "OK 2 2", &errors[2], "OK 1 1", "OK 3 3"],
    );
}

#[test]
fn key_of_a_limited_token_is_its_own() {
    for (stories, owner) in [([].as_slice(), None), (&[OTHER], Some("bakery"))] {
        let mut driven = Driven::new(token_for(stories), StoreAnswer::Takes);
        assert_eq!(driven.session.key_owner(), None);
        driven.give(format!("!auth {TOKEN}\n").as_bytes());
        assert_eq!(driven.session.key_owner(), owner);
    }
}

#[test]
fn new_list_of_stories_holds_from_the_next_line_and_a_withdrawn_token_from_the_next_look() {
    let mine = "5b07ffafc2376e30306d9b16";
    let auth = Arc::new(token_for(&[]));
    let mut driven = Driven::sharing(Arc::clone(&auth), StoreAnswer::Takes);
    driven.give(format!("!auth {TOKEN}\n{LINE}").as_bytes());
    auth.replace(&token_for(&[OTHER]));
    driven.give(LINE.as_bytes());
    auth.replace(&token_for(&[OTHER, mine]));
    driven.give(format!("{LINE}!sync\n").as_bytes());
    assert!(!driven.session.is_withdrawn());
    auth.replace(&Auth::from_env_text("other:write:0123456789abcdefghik").unwrap());
    assert!(driven.session.is_withdrawn());
    let out = driven.finish();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("ERR 3 this token may not"), "{out}");
    assert_eq!(
        lines[1..],
        ["OK 2 1", "ERR 6 the token was withdrawn; nothing after this is counted"],
        "{out}"
    );
}

fn answers(auth: Auth, store: StoreAnswer, pieces: &[&str]) -> String {
    let mut driven = Driven::new(auth, store);
    for piece in pieces {
        driven.give(piece.as_bytes());
    }
    driven.finish()
}

/// Each answer must begin with what is expected at its place.
#[track_caller]
fn check_with(auth: Auth, store: StoreAnswer, pieces: &[&str], expected: &[&str]) {
    let out = answers(auth, store, pieces);
    let lines: Vec<&str> = out.lines().collect();
    let fits = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
    assert!(fits, "{lines:#?} instead of {expected:#?}");
}

#[track_caller]
fn check(pieces: &[&str], expected: &[&str]) {
    check_with(Auth::default(), StoreAnswer::Takes, pieces, expected);
}

#[test]
fn good_lines_are_silent_and_sync_counts_them() {
    check(&[LINE, LINE], &[]);
    check(&[LINE, LINE, "!sync\n"], &["OK 2 0"]);
    check(&["!sync\n", LINE, "!sync\r\n", "\n# a comment\n", LINE, "!sync"], &["OK 0 0", "OK 1 0", "OK 2 0"]);
}

#[test]
fn a_bad_line_is_answered_by_its_number_and_costs_nobody_else() {
    check(&[LINE, "bogus\n", LINE, "!sync\n"], &["ERR 2 ", "OK 2 1"]);
    check(&["bogus\n!what\nbogus\n!sync\n"], &["ERR 1 ", "ERR 2 ", "ERR 3 ", "OK 0 2"]);
    check(&["\n\n# c\nbogus\n"], &["ERR 4 "]);
}

#[test]
fn the_last_line_needs_no_line_feed() {
    check(&[LINE.trim_end()], &[]);
    check(&[LINE, "bogus"], &["ERR 2 "]);
    check(&[LINE, "!sync"], &["OK 1 0"]);
}

#[test]
fn commands_that_are_wrong_are_answered_and_the_connection_goes_on() {
    check(
        &["!precision s\n!precision h\n!nonsense\n!sync\n"],
        &["ERR 2 !precision", "ERR 3 unknown", "OK 0 0"],
    );
}

#[test]
fn precision_holds_for_the_timestamps_that_follow() {
    let stamped = |time: &str| format!("{} {time}\n", LINE.trim_end());
    check(
        &[&stamped("1552813200"), "!precision s\n", &stamped("1552813200"), "!sync\n"],
        &["ERR 1 ", "OK 1 1"],
    );
}

#[test]
fn batches_with_keys_are_answered_once_each() {
    check(
        &[LINE, "!batch k\n", LINE, "bad\n", LINE, "!end\n", LINE, "!sync\n"],
        &["ERR 4 ", "OK 2 1", "OK 4 1"],
    );
    // In pieces, and with lines of all lengths.
    let text = format!("!batch k\n{LINE}{}\n{LINE}!end\nbad\n", "x".repeat(LINE_BYTES_MAX + 10));
    for cut in [1, 9, 10, 100, text.len() - 6, text.len() - 5, text.len() - 1] {
        check(&[&text[..cut], &text[cut..]], &["ERR 3 ", "OK 2 1", "ERR 6 "]);
    }
    check(&["!batch k\n", LINE, "!end"], &["OK 1 0"]);
    check(&["!batch k\n!end\n"], &["OK 0 0"]);
}

#[test]
fn batches_that_were_counted_before_are_not_parsed_again() {
    check(
        &[LINE, "!batch again\n", LINE, LINE, "!end\nbad\n!sync\n"],
        &["ERR 3 bad", "DUP 5 1", "ERR 6 ", "OK 1 1"],
    );
    check(&["!batch other\n", LINE, "!end\nbad\n!sync\n"], &["ERR 1 this key was used", "ERR 4 ", "OK 0 1"]);
}

#[test]
fn batch_with_a_key_that_the_memory_does_not_hold_ends_the_connection_as_overloaded() {
    let mut driven = Driven::new(Auth::default(), StoreAnswer::Takes);
    let mut others = driven.session.memory.holder();
    others.reserve(driven.session.memory.left()).expect("there is as much");
    driven.give(b"!batch k\n");
    let turn = driven.session.process(LINE.as_bytes(), Driven::arrival());
    assert_eq!(turn, Turn { consumed: LINE.len(), then: Then::Overloaded });
}

#[test]
fn batches_with_keys_that_do_not_end_are_not_counted() {
    check(&["!batch k\n", LINE], &["ERR 1 the batch has no `!end`"]);
    check(&["!batch k\n", LINE, "!sync\n", LINE], &["ERR 1 within a batch"]);
    check(&["!end\n", LINE, "!sync\n"], &["ERR 1 no batch has begun", "OK 1 0"]);
    check(&["!batch\n", LINE, "!sync\n"], &["ERR 1 !batch takes one key"]);
    check_with(
        Auth::default(),
        StoreAnswer::Refuses,
        &["!batch k\n", LINE, "!end\n!sync\n"],
        &["ERR 1 lines 1 to 3 (those without an answer of their own) were not counted", "OK 0 1"],
    );
}

#[test]
fn clients_of_another_protocol_are_told_so_and_sent_away() {
    check(&["GET / HTTP/1.1\r\nHost: a\r\n\r\n", LINE], &["ERR 1 this is an HTTP request"]);
    check(&["\u{16}\u{3}\u{1}", LINE], &["ERR 1 this is TLS"]);
    check(&[LINE, "GET / HTTP/1.1\r\n", "!sync\n"], &["ERR 2 ", "OK 1 1"]);
}

#[test]
fn a_line_that_is_too_long_is_one_bad_line_however_long() {
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    check(&[&long, &long, "\n", LINE, "!sync\n"], &["ERR 1 ", "OK 1 1"]);
}

#[test]
fn every_bad_line_is_answered_by_its_number_however_many_come_at_once() {
    let many = "bogus\n".repeat(3 * LINE_ERRORS_SHOWN_MAX + 5);
    let out = answers(Auth::default(), StoreAnswer::Takes, &[&many, "!sync\n"]);
    let numbers = out.lines().filter_map(|line| line.strip_prefix("ERR ")?.split(' ').next()?.parse().ok());
    assert_eq!(numbers.collect::<Vec<u64>>(), (1..=305).collect::<Vec<u64>>(), "{out}");
    assert!(out.ends_with("OK 0 305\n"), "{out}");
}

#[test]
fn a_refused_batch_is_told_by_its_lines_and_counts_as_rejected() {
    let refuses = |pieces: &[&str], expected: &[&str]| {
        check_with(Auth::default(), StoreAnswer::Refuses, pieces, expected);
    };
    refuses(&[LINE, "!sync\n"], &["ERR 1 the line was not counted: the disk is full", "OK 0 1"]);
    let two = LINE.repeat(2);
    refuses(&[LINE, &two, "!sync\n"], &["ERR 1 the line", "ERR 2 lines 2 to 3 ", "OK 0 3"]);
}

#[test]
fn without_a_token_nothing_counts_and_that_is_said_once() {
    let check =
        |pieces: &[&str], expected: &[&str]| check_with(tokens(), StoreAnswer::Takes, pieces, expected);
    check(&[LINE, LINE, LINE], &["ERR 1 authentication required"]);
    check(&["# hello\n\n", LINE], &["ERR 3 authentication required"]);
    check(&["!sync\n"], &["ERR 1 authentication required"]);
    let auth = format!("!auth {TOKEN}\n");
    check(&[&auth, LINE, "!sync\n"], &["OK 1 0"]);
    check(
        &[LINE, LINE, &auth, LINE, "bogus\n!sync\n"],
        &["ERR 1 authentication required", "ERR 5 ", "OK 1 3"],
    );
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    check(&[&long, "y\n", &auth, LINE, "!sync\n"], &["ERR 1 authentication required", "OK 1 1"]);
}

#[test]
fn a_token_that_may_not_write_ends_the_connection() {
    let check =
        |pieces: &[&str], expected: &[&str]| check_with(tokens(), StoreAnswer::Takes, pieces, expected);
    check(&["!auth wrong\n", LINE, "!sync\n"], &["ERR 1 the token is not known"]);
    check(&[&format!("!auth {TOKEN}-read\n"), LINE], &["ERR 1 the token is not known"]);
    check(&["!auth\n", "!auth a b\n"], &["ERR 1 !auth takes one", "ERR 2 !auth takes one"]);
    let out = answers(tokens(), StoreAnswer::Takes, &["!auth secret-and-wrong\n"]);
    assert!(!out.contains("secret"), "{out}");
}

#[test]
fn a_token_where_none_are_needed_is_taken() {
    check(&["!auth whatever\n", LINE, "!sync\n"], &["OK 1 0"]);
}

#[test]
fn the_last_words_name_the_first_line_that_is_not_counted() {
    let mut driven = Driven::new(Auth::default(), StoreAnswer::Takes);
    driven.give(LINE.as_bytes());
    driven.give(b"conversation,sto");
    driven.session.closing("tallyd is stopping");
    driven.settle();
    assert_eq!(driven.out, "ERR 2 tallyd is stopping: line 2 and all after it are not counted\n");
}

/// Pieces of a stream that a client could send.
fn stream() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => Just(LINE),
        2 => Just("bogus\n"),
        1 => Just("\n"),
        1 => Just("# comment\r\n"),
        1 => Just("!sync\n"),
        1 => Just("!precision us\n"),
        1 => Just("!precision x\n"),
        1 => Just("{\"event\":\"message\",\"storyId\":\"5b07ffafc2376e30306d9b16\",\"source\":\"app\"}\n"),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is answered does not depend on how the network cuts the stream.
    #[test]
    fn answers_are_the_same_however_the_stream_is_cut(
        stream in stream(),
        cuts in proptest::collection::vec(0_usize..2_000, 0..20),
    ) {
        let whole = answers(Auth::default(), StoreAnswer::Takes, &[&stream]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().chain([stream.len()]) {
            pieces.push(&stream[start..cut]);
            start = cut;
        }
        prop_assert_eq!(answers(Auth::default(), StoreAnswer::Takes, &pieces), whole);
    }

    /// Whatever the bytes are: no panic, and every answer is one line that begins as an answer does.
    #[test]
    fn any_bytes_give_only_answers(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut driven = Driven::new(Auth::default(), StoreAnswer::Takes);
        driven.give(&bytes);
        let out = driven.finish();
        prop_assert!(out.lines().all(|line| line.starts_with("ERR ") || line.starts_with("OK ")), "{}", out);
    }
}
