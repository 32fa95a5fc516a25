//! Numbers drawn with block characters, and changes in words. Pure.

use crate::report::Figure;

/// Characters of the longest bar.
const BAR_WIDTH: u64 = 30;
/// Parts of one eighth, from one to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar as long as `value` is of `max`; empty for 0, else at least the thinnest.
pub(super) fn bar(value: Figure, max: Figure) -> String {
    let (value, max) = (value.value(), max.value().max(1));
    if value == 0 {
        return String::new();
    }
    let eighths = u128::from(value).saturating_mul(u128::from(BAR_WIDTH) * 8).div_ceil(u128::from(max));
    let eighths = usize::try_from(eighths.min(u128::from(BAR_WIDTH) * 8)).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend((eighths % 8).checked_sub(1).and_then(|part| EIGHTHS.get(part)));
    bar
}

/// The values as a line of at most `width` characters, each the mean of those in its place; empty where there are fewer than
/// two or nothing but zeros.
pub(super) fn sparkline(values: impl Iterator<Item = u64>, width: usize) -> String {
    let values: Vec<u64> = values.collect();
    let per_place = values.len().div_ceil(width.max(1)).max(1);
    let means: Vec<u128> = values
        .chunks(per_place)
        .map(|chunk| {
            let sum: u128 = chunk.iter().copied().map(u128::from).sum();
            sum.saturating_mul(1_000).checked_div(chunk.iter().map(|_| 1_u128).sum()).unwrap_or(0)
        })
        .collect();
    let max = means.iter().copied().max().unwrap_or(0);
    if values.len() < 2 || max == 0 {
        return String::new();
    }
    let level = |mean: &u128| {
        let level = mean.saturating_mul(7).div_ceil(max);
        usize::try_from(level).ok().and_then(|level| LEVELS.get(level)).unwrap_or(&' ')
    };
    means.iter().map(level).collect()
}

/// How a number differs from the one before: `▲ 12 %`, `▼ 3.1 %`, `new` where there was none, `–` where there is none either.
pub(super) fn change(now: Figure, before: Figure) -> String {
    let (now, before) = (now.value(), before.value());
    let sign = match (now, before) {
        (0, 0) => return "–".to_owned(),
        (_, 0) => return "new".to_owned(),
        _ if now == before => return "0 %".to_owned(),
        _ if now > before => '▲',
        _ => '▼',
    };
    let difference = u128::from(now.abs_diff(before));
    let before = u128::from(before);
    let rounded = |times: u128| (difference * times + before / 2).checked_div(before).unwrap_or(0);
    match rounded(1_000) {
        tenths @ 0..100 => format!("{sign} {}.{} %", tenths / 10, tenths % 10),
        _ => format!("{sign} {} %", rounded(100)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_values_and_none_for_zero() {
        for (value, max, expected) in [
            (0, 7, String::new()),
            (7, 7, "█".repeat(30)),
            (1, 2, "█".repeat(15)),
            (1, 60, "▌".to_owned()),
            (1, u64::MAX, "▏".to_owned()),
            (u64::MAX, u64::MAX, "█".repeat(30)),
            (0, 0, String::new()),
        ] {
            assert_eq!(bar(Figure::Whole(value), Figure::Whole(max)), expected, "{value} of {max}");
        }
    }

    #[test]
    fn sparklines_show_the_shape_in_the_width_that_there_is() {
        let line = |values: &[u64], width| sparkline(values.iter().copied(), width);
        assert_eq!(line(&[0, 1, 2, 3, 4, 5, 6, 7], 60), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&[0, 0, 7, 7], 2), "▁█");
        assert_eq!(line(&[0, 0, 1], 2), "▁█");
        assert_eq!(line(&[5], 60), "");
        assert_eq!(line(&[0, 0], 60), "");
        assert_eq!(line(&[], 60), "");
        assert_eq!(line(&[u64::MAX; 100], 10), "█".repeat(10));
    }

    #[test]
    fn changes_are_said_in_percent_of_what_was_before() {
        for (now, before, expected) in [
            (112, 100, "▲ 12 %"),
            (969, 1000, "▼ 3.1 %"),
            (1, 0, "new"),
            (0, 0, "–"),
            (5, 5, "0 %"),
            (0, 5, "▼ 100 %"),
            (10_999, 10_000, "▲ 10 %"),
            (10_994, 10_000, "▲ 9.9 %"),
            (10_001, 10_000, "▲ 0.0 %"),
            (u64::MAX, 1, "▲ 1844674407370955161400 %"),
        ] {
            assert_eq!(change(Figure::Whole(now), Figure::Whole(before)), expected);
        }
    }
}
