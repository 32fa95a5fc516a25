//! Variables of the environment that look like tallyd's and are none. One that is nearly one of them is a fault, as the option that
//! it means would silently keep its default. Any other is only warned of: the environment is shared, and a cluster puts
//! variables such as `TALLYD_PORT` there for a service of that name.

use super::ConfigFault;
use super::options::{CONFIG_VARIABLE, OPTIONS, TOKENS_VARIABLE};

/// What the names of all variables begin with.
const PREFIX: &str = "TALLYD_";
/// The access token of the commands that talk to a daemon. The daemon takes no notice of it.
pub const CLIENT_TOKEN_VARIABLE: &str = "TALLYD_TOKEN";
/// A name that differs in one letter of so many is nearly the other name.
const LETTERS_PER_SLIP: usize = 4;

/// Adds a fault for each variable that is misspelt, and gives warnings of those that are nothing like one of tallyd's.
pub(super) fn check(names: &[String], faults: &mut Vec<ConfigFault>) -> Vec<String> {
    let known: Vec<String> = OPTIONS
        .iter()
        .map(super::options::OptionSpec::variable)
        .chain([CONFIG_VARIABLE, TOKENS_VARIABLE, CLIENT_TOKEN_VARIABLE].map(str::to_owned))
        .collect();
    let mut warnings = Vec::new();
    for name in names.iter().filter(|name| name.starts_with(PREFIX) && !known.contains(name)) {
        match nearest(
            name.trim_start_matches(PREFIX),
            known.iter().map(|known| known.trim_start_matches(PREFIX)),
        ) {
            Some(meant) => {
                faults.push(ConfigFault::new(
                    name,
                    format_args!("is no variable of tallyd's; is {PREFIX}{meant} meant?"),
                ));
            }
            None => warnings
                .push(format!("the variable {} is none of tallyd's and has no effect", name.escape_debug())),
        }
    }
    warnings
}

/// The name that `word` is nearly: with a letter wrong, missing, too many or two changed about, in about every fourth.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = names.map(|name| (distance(word, name), name));
    let near = measured.filter(|(slips, name)| *slips <= (name.len() / LETTERS_PER_SLIP).max(1));
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// How many letters have to be put in, taken out, replaced, or changed about with their neighbour, to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // Rows of the table of the distances of all beginnings: of the letter before the last, of the last, and of this one.
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i.saturating_add(1)];
        for (j, opposite) in other.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, j).saturating_add(usize::from(letter != opposite));
            let inserted = at(&row, j).saturating_add(1);
            let removed = at(&last, j.saturating_add(1)).saturating_add(1);
            let is_swap = i > 0
                && j > 0
                && one.get(i.saturating_sub(1)) == Some(opposite)
                && other.get(j.saturating_sub(1)) == Some(letter);
            let swapped =
                if is_swap { at(&before, j.saturating_sub(1)).saturating_add(1) } else { usize::MAX };
            row.push(replaced.min(inserted).min(removed).min(swapped));
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips() {
        for (one, other, slips) in [
            ("LOG", "LOG", 0),
            ("", "ab", 2),
            ("FSNYC", "FSYNC", 1),
            ("LGO", "LOG", 1),
            ("INTERVALL", "INTERVAL", 1),
            ("PORT", "LOG", 3),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
            assert_eq!(distance(other, one), slips, "{other} {one}");
        }
    }

    #[test]
    fn misspelt_variables_are_faults_and_strangers_are_warned_of() {
        let check = |name: &str| {
            let mut faults = Vec::new();
            let warnings = check(&[name.to_owned()], &mut faults);
            (faults.iter().map(ToString::to_string).collect::<Vec<_>>(), warnings)
        };
        for (name, meant) in [
            ("TALLYD_SNAPSHOT_INTERVALL", "is TALLYD_SNAPSHOT_INTERVAL meant?"),
            ("TALLYD_TOKEN_FILE", "is TALLYD_TOKENS_FILE meant?"),
            ("TALLYD_DATADIR", "is TALLYD_DATA_DIR meant?"),
            ("TALLYD_FSNYC", "is TALLYD_FSYNC meant?"),
            ("TALLYD_CONFG", "is TALLYD_CONFIG meant?"),
        ] {
            let (faults, warnings) = check(name);
            assert!(
                faults.len() == 1 && faults[0].contains(meant) && warnings.is_empty(),
                "{faults:?} {warnings:?}"
            );
        }
        for name in ["TALLYD_PORT", "TALLYD_SERVICE_HOST", "TALLYD_PORT_8780_TCP_ADDR", "TALLYD_TEST_SEED"] {
            let (faults, warnings) = check(name);
            assert!(
                faults.is_empty() && warnings.len() == 1 && warnings[0].contains(name),
                "{faults:?} {warnings:?}"
            );
        }
        for name in ["TALLYD_FSYNC", "TALLYD_TOKEN", "TALLYD_TOKENS", "TALLYD_CONFIG", "PATH", "TALLY"] {
            assert_eq!(check(name), (vec![], vec![]), "{name}");
        }
    }
}
