//! What must hold whatever bytes come from outside: one function for each kind of input, which panics where it does not.
//! Each is run by a property test here and by the target of its name in `fuzz/`. It stands beside the code that it checks;
//! this is the list. Not part of what tallyd is built of.

pub use crate::cluster::message::testing::log_message;
pub use crate::intake::batching::testing::{block, fast_path, json, line};
pub use crate::net::http::testing::{body, framing, stories};
pub use crate::net::tcp::testing::session;
pub use crate::net::testing::tokens;
pub use crate::report::testing::query;
pub use crate::store::journal::record::testing::journal_record;
pub use crate::store::journal::testing::journal_segment;
pub use crate::store::snapshot::testing::{key_piece, snapshot_dictionary, snapshot_manifest, snapshot_part};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::TestRunner;

    use crate::test_seeds as seeds;

    /// An input for a check: a seed that is changed here and there, or any bytes.
    fn any_input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
        let change = (any::<Index>(), any::<Index>(), any::<u8>(), 0_u8..6);
        let seed = prop::sample::select(seeds);
        let changed = (seed.clone(), seed, prop::collection::vec(change, 0..4)).prop_map(
            |(mut bytes, other, changes)| {
                for (from, to, byte, kind) in changes {
                    let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
                    let (from, to) = (from.min(to), from.max(to));
                    match kind {
                        0 => bytes.truncate(to),
                        1 => bytes.insert(from, byte),
                        2 => drop(bytes.splice(from..to, other.iter().copied())),
                        3 => drop(bytes.drain(from..to)),
                        4 => bytes.extend_from_within(from..to),
                        _ => bytes.iter_mut().skip(from).take(1).for_each(|place| *place ^= byte),
                    }
                }
                bytes
            },
        );
        prop_oneof![9 => changed, 1 => prop::collection::vec(any::<u8>(), 0..200)]
    }

    /// The check holds for every seed, and for what can be made of them. With `TALLYD_FUZZ_SEEDS` the seeds are also
    /// written to a folder of the check's name, for the fuzz targets.
    fn check(name: &str, run: fn(&[u8]), seeds: Vec<Vec<u8>>) {
        if let Some(folder) = std::env::var_os("TALLYD_FUZZ_SEEDS") {
            let folder = Path::new(&folder).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for seed in &seeds {
                std::fs::write(folder.join(format!("{:08x}", crc32fast::hash(seed))), seed).unwrap();
            }
        }
        assert!(seeds.len() > 5, "{name} has only {} seeds", seeds.len());
        for seed in &seeds {
            run(seed);
        }
        let config = ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() };
        let outcome = TestRunner::new(config).run(&any_input(seeds), |bytes| {
            run(&bytes);
            Ok(())
        });
        outcome.unwrap();
    }

    macro_rules! checks {
        ($($name:ident,)+) => {
            const NAMES: [&str; [$(stringify!($name)),+].len()] = [$(stringify!($name)),+];
            $(
                #[test]
                fn $name() {
                    check(stringify!($name), super::$name, seeds::$name());
                }
            )+
        };
    }

    checks! {
        line,
        block,
        json,
        fast_path,
        body,
        framing,
        stories,
        session,
        tokens,
        query,
        journal_record,
        journal_segment,
        snapshot_part,
        snapshot_dictionary,
        snapshot_manifest,
        key_piece,
        log_message,
    }

    #[test]
    fn each_check_has_a_fuzz_target() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let files: BTreeSet<String> = std::fs::read_dir(folder.join("targets"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(files, NAMES.iter().map(|name| format!("{name}.rs")).collect());
        let manifest: toml::Table =
            toml::from_str(&std::fs::read_to_string(folder.join("Cargo.toml")).unwrap()).unwrap();
        let targets: BTreeSet<&str> = manifest["bin"]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| target["name"].as_str().unwrap())
            .collect();
        assert_eq!(targets, NAMES.into());
        for name in NAMES {
            let text = std::fs::read_to_string(folder.join(format!("targets/{name}.rs"))).unwrap();
            assert!(text.contains(&format!("tallyd::testing::{name}(bytes)")), "{name}: {text}");
        }
    }
}
