//! The table of keys against a plain model, and its claims.

use proptest::prelude::*;

use super::*;
use crate::limits::KEY_BAD_LINES_BYTES_MAX;
use crate::model::batch::RejectedLine;

const NOW: u32 = 1_552_813_200;
const DAY: u32 = 86_400;

fn identity(rule: KeyRule, number: u8, content: u64) -> BatchIdentity {
    BatchIdentity { rule, id: KeyId([number; 16]), content }
}

fn table(keys: usize) -> Arc<KeyTable> {
    let limits = KeyLimits { keys, retry_window: Duration::from_mins(10) };
    Arc::new(KeyTable::new(limits, StoreId::new(7)))
}

fn key(identity: BatchIdentity, taken: u32) -> BatchKey {
    let accepted = taken % 1_000;
    BatchKey { identity, taken, answer: KeyedAnswer { accepted, rejected: 0, bad_lines: Box::default() } }
}

fn claim(table: &Arc<KeyTable>, identity: BatchIdentity, now: u32) -> Claim {
    match table.look_up(identity, now) {
        LookUp::New(claim) => claim,
        other => panic!("it is new, not {other:?}"),
    }
}

#[test]
fn key_is_held_from_its_claim_on_and_free_again_where_the_batch_is_not_counted() {
    let table = table(10);
    let one = identity(KeyRule::Key, 1, 5);
    let first = claim(&table, one, NOW);
    let LookUp::UnderWay(waiting) = table.look_up(one, NOW) else { panic!("it is under way") };
    assert!(waiting.has_changed().is_ok());
    // The same number by the other rule is another batch.
    drop(claim(&table, identity(KeyRule::Window, 1, 5), NOW));
    drop(first);
    assert!(waiting.has_changed().is_err(), "who waits is told");

    claim(&table, one, NOW).note(&key(one, NOW), Sequence::new(9));
    let LookUp::Counted(answer, sequence) = table.look_up(one, NOW) else { panic!("it is counted") };
    assert_eq!((answer, sequence), (key(one, NOW).answer, Sequence::new(9)));
    assert!(matches!(table.look_up(identity(KeyRule::Key, 1, 6), NOW), LookUp::Conflict));
}

#[test]
fn batch_whose_outcome_is_unknown_is_not_taken_again() {
    let table = table(10);
    let one = identity(KeyRule::Key, 1, 5);
    claim(&table, one, NOW).lose();
    assert!(matches!(table.look_up(one, NOW), LookUp::Unknown));
}

#[test]
fn key_of_a_batch_that_a_panic_lost_is_not_free() {
    let table = table(10);
    let one = identity(KeyRule::Key, 1, 5);
    let lost = claim(&table, one, NOW).hand_over();
    let sequencer = thread::spawn(move || {
        let _lost = lost;
        panic!("on purpose");
    });
    sequencer.join().unwrap_err();
    assert!(matches!(table.look_up(one, NOW), LookUp::Unknown));
}

#[test]
fn key_is_remembered_for_a_day_and_a_window_for_its_length() {
    for (rule, kept) in [(KeyRule::Key, DAY), (KeyRule::Window, 600)] {
        let table = table(10);
        let one = identity(rule, 1, 5);
        table.note(&key(one, NOW), Sequence::FIRST);
        for now in [NOW - DAY, NOW, NOW + kept - 1] {
            assert!(matches!(table.look_up(one, now), LookUp::Counted(..)), "{rule:?} at {now}");
        }
        drop(claim(&table, one, NOW + kept));
        // Taken anew, it is the newer one that is known.
        table.note(&key(one, NOW + kept), Sequence::FIRST);
        assert!(matches!(table.look_up(one, NOW + kept), LookUp::Counted(..)));
        assert_eq!(table.figures().displaced, [0, 0]);
        assert_eq!(table.figures().held.iter().sum::<u64>(), 1);
    }
}

#[test]
fn lists_of_bad_lines_have_their_bound_and_counts_stay() {
    let table = table(1_000);
    let message: Box<str> = "x".repeat(1024 * 1024).into();
    for number in 0..20 {
        let mut key = key(identity(KeyRule::Key, number, 0), NOW);
        key.answer.rejected = 1;
        key.answer.bad_lines = [RejectedLine { line: 3, message: message.clone() }].into();
        table.note(&key, Sequence::FIRST);
    }
    let lists: Vec<usize> = (0..20)
        .map(|number| match table.look_up(identity(KeyRule::Key, number, 0), NOW) {
            LookUp::Counted(answer, _) => {
                assert_eq!(answer.rejected, 1);
                answer.bad_lines.len()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let kept = KEY_BAD_LINES_BYTES_MAX / (1024 * 1024 + 100);
    assert_eq!(lists, [vec![0; 20 - kept], vec![1; kept]].concat());
}

#[test]
fn key_takes_less_than_64_bytes() {
    let keys = KEYS_MAX;
    let mut ring = Ring::new(keys, Duration::from_hours(24));
    for number in 0..keys {
        let mut id = [0; 16];
        id[..8].copy_from_slice(
            &(u64::try_from(number).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes(),
        );
        let identity = BatchIdentity { rule: KeyRule::Key, id: KeyId(id), content: 0 };
        ring.push(&key(identity, NOW), Sequence::FIRST);
    }
    assert_eq!(ring.held(), 1_000_000);
    let bytes = ring.memory_bytes();
    assert!(bytes < 64 * keys, "{bytes} bytes");
}

#[test]
fn flood_of_keys_displaces_the_oldest_and_says_so() {
    const FLOOD: usize = 50_000;
    let table = table(KEYS_MAX);
    let numbered = |number: usize| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(
            &u64::try_from(number).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(),
        );
        BatchIdentity { rule: KeyRule::Key, id: KeyId(id), content: 0 }
    };
    let add =
        |number| claim(&table, numbered(number), NOW).note(&key(numbered(number), NOW), Sequence::FIRST);
    (0..KEYS_MAX).for_each(add);
    assert_eq!((table.figures().held, table.figures().displaced), ([1_000_000, 0], [0, 0]));
    (KEYS_MAX..KEYS_MAX + FLOOD).for_each(add);
    assert_eq!((table.figures().held, table.figures().displaced), ([1_000_000, 0], [50_000, 0]));
    for (number, is_known) in [(0, false), (FLOOD - 1, false), (FLOOD, true), (KEYS_MAX + FLOOD - 1, true)] {
        let found = table.look_up(numbered(number), NOW);
        assert_eq!(matches!(found, LookUp::Counted(..)), is_known, "{number}");
    }
}

proptest! {
    /// Against a list of all keys ever noted.
    #[test]
    fn table_remembers_the_newest_keys(
        keys in prop::collection::vec((0_u8..12, 0_u32..3, 0_u32..40_000), 1..60),
        keys_max in 1_usize..8,
    ) {
        let table = table(keys_max);
        let mut noted: Vec<BatchKey> = Vec::new();
        let mut now = NOW;
        for (number, content, later) in keys {
            now += later;
            let identity = identity(KeyRule::Key, number, u64::from(content));
            let is_young = |key: &&BatchKey| now - key.taken < DAY;
            let newest = noted.iter().rev().take(keys_max).filter(is_young);
            let known = newest.clone().find(|key| key.identity.id == identity.id);
            match (table.look_up(identity, now), known) {
                (LookUp::New(claim), None) => {
                    let key = key(identity, now);
                    claim.note(&key, Sequence::FIRST);
                    noted.push(key);
                }
                (LookUp::Counted(answer, _), Some(known)) => prop_assert_eq!(&answer, &known.answer),
                (LookUp::Conflict, Some(known)) => prop_assert_ne!(known.identity, identity),
                (found, known) => prop_assert!(false, "{:?} where {:?} is known", found, known),
            }
        }
    }
}
