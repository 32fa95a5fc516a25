//! The table by weekday and hour in colours: five classes by rank, so that one peak does not make all others pale. Pure.

use crate::report::BusiestReport;

pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// Background and text of the five classes, as numbers of the 256 colours.
const COLOURS: [(u8, u8); 5] = [(189, 16), (111, 16), (69, 16), (26, 231), (18, 231)];
/// Percentiles of the hours with conversations at which the classes are cut.
const CUTS: [usize; 4] = [25, 50, 75, 92];

/// The greatest value of each class but the last.
struct Classes(Vec<u64>);

impl Classes {
    fn of(report: &BusiestReport) -> Self {
        let mut values: Vec<u64> = report.days().flatten().copied().filter(|value| *value > 0).collect();
        values.sort_unstable();
        let at =
            |percent: &usize| values.get(values.len().saturating_mul(*percent).div_ceil(100).checked_sub(1)?);
        let mut bounds: Vec<u64> = CUTS.iter().filter_map(at).map(|value| two_digits(*value)).collect();
        bounds.dedup();
        Self(bounds)
    }

    fn colours(&self, value: u64) -> (u8, u8) {
        let class = self.0.iter().filter(|bound| **bound < value).count();
        // The darkest is for the last class, however few there are.
        let skipped = COLOURS.len().saturating_sub(self.0.len().saturating_add(1));
        COLOURS.get(class.saturating_add(skipped)).copied().unwrap_or((18, 231))
    }

    fn legend(&self) -> String {
        let mut text = "none ·".to_owned();
        let mut first = 1_u64;
        for bound in &self.0 {
            let words = format!(" {first}–{bound} ");
            text.push(' ');
            text.push_str(&painted(&words, self.colours(*bound)));
            first = bound.saturating_add(1);
        }
        let words = format!(" over {} ", first.saturating_sub(1));
        text.push(' ');
        text.push_str(&painted(&words, self.colours(u64::MAX)));
        text
    }
}

/// The number with zeros behind its first two digits, rounded.
fn two_digits(value: u64) -> u64 {
    let digits = value.checked_ilog10().unwrap_or(0);
    let step = 10_u64.saturating_pow(digits.saturating_sub(1));
    value.saturating_add(step / 2).checked_div(step).unwrap_or(0).saturating_mul(step)
}

fn painted(text: &str, (background, letters): (u8, u8)) -> String {
    format!("\u{1b}[48;5;{background};38;5;{letters}m{text}\u{1b}[0m")
}

/// The table, one row a weekday, with what its colours mean; each line ends in a line feed.
pub(super) fn map(report: &BusiestReport) -> String {
    let classes = Classes::of(report);
    let greatest = report.days().flatten().copied().max().unwrap_or(0);
    let width = greatest.to_string().len().max(2).saturating_add(1);
    let name_width = WEEKDAYS.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = " ".repeat(name_width);
    text.extend((0..24).map(|hour: u32| format!("{hour:>width$}", hour = format!("{hour:02}"))));
    text.push('\n');
    for (weekday, hours) in WEEKDAYS.iter().zip(report.days()) {
        text.extend([format!("{weekday:<name_width$}")]);
        for value in hours {
            if *value == 0 {
                text.extend([format!("{:>width$}", "·")]);
            } else {
                text.push_str(&painted(&format!("{value:>width$}"), classes.colours(*value)));
            }
        }
        text.push('\n');
    }
    if greatest > 0 {
        text.push_str(&classes.legend());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::report::{GroupBy, ReportName};

    fn report(value: impl Fn(usize, usize) -> u64) -> BusiestReport {
        let days: Vec<Vec<serde_json::Value>> = (0..7)
            .map(|day| (0..24).map(|hour| serde_json::json!({"day": day, "hour": hour, "value": value(day, hour), "usage": 0})).collect())
            .collect();
        let json = serde_json::to_vec(&days).unwrap();
        match Report::from_json(ReportName::BusiestPeriod, GroupBy::Story, &json) {
            Ok(Report::Busiest(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn classes_are_cut_by_rank_and_named_in_the_legend() {
        // 1 … 100 once each, and one far above them all.
        let of = |place: usize| u64::try_from(place).unwrap();
        let report = report(|day, hour| match day * 24 + hour {
            place @ 1..=100 => of(place),
            101 => 123_456,
            _ => 0,
        });
        let map = map(&report);
        let lines: Vec<&str> = map.lines().collect();
        assert_eq!(lines.len(), 9);
        assert!(lines[0].starts_with("              00     01"), "{map}");
        assert!(lines[1].starts_with("Sunday         ·\u{1b}[48;5;189;38;5;16m      1\u{1b}[0m"), "{map:?}");
        assert!(lines[5].contains("\u{1b}[48;5;18;38;5;231m 123456\u{1b}[0m"), "{map:?}");
        let legend = [" 1–26 ", " 27–51 ", " 52–76 ", " 77–93 ", " over 93 "];
        let expected: Vec<String> =
            legend.iter().zip(COLOURS).map(|(words, colours)| painted(words, colours)).collect();
        assert_eq!(lines[8], format!("none · {}", expected.join(" ")));
    }

    #[test]
    fn nothing_counted_has_no_colours_and_one_value_the_darkest() {
        assert!(!map(&report(|_, _| 0)).contains('\u{1b}'));
        let one = map(&report(|day, hour| u64::from((day, hour) == (3, 14))));
        assert!(one.contains("\u{1b}[48;5;26;38;5;231m  1\u{1b}[0m"), "{one:?}");
    }

    #[test]
    fn bounds_are_rounded_to_two_digits() {
        for (value, rounded) in [(1, 1), (99, 99), (123, 120), (125, 130), (996, 1_000), (12_345, 12_000)] {
            assert_eq!(two_digits(value), rounded);
        }
    }
}
