//! A table as comma-separated values (RFC 4180). Names come from clients, so no text begins like a formula of a sheet, and
//! control characters are spelled out. Knows nothing of reports.

use super::cell::Cell;
use super::number::write_figure;
use crate::model::excerpt::printable;

pub(super) fn write_heading(columns: &[&str], text: &mut Vec<u8>) {
    text.extend_from_slice(columns.join(",").as_bytes());
    text.extend_from_slice(b"\r\n");
}

pub(super) fn write_row(cells: &[Cell<'_>], text: &mut Vec<u8>) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        match cell {
            Cell::Missing => {}
            Cell::Plain(plain) => text.extend_from_slice(plain),
            Cell::Text(words) => write_text(words, text),
            Cell::Number(figure) => write_figure(*figure, text),
        }
    }
    text.extend_from_slice(b"\r\n");
}

/// Writes a text that came from outside.
fn write_text(words: &str, text: &mut Vec<u8>) {
    let shown = printable(words);
    let guard = if is_like_formula(words) { "'" } else { "" };
    // No carriage return or line feed is left in it.
    if shown.contains([',', '"']) || shown.starts_with(' ') || shown.ends_with(' ') {
        text.push(b'"');
        text.extend_from_slice(guard.as_bytes());
        text.extend_from_slice(shown.replace('"', "\"\"").as_bytes());
        text.push(b'"');
    } else {
        text.extend_from_slice(guard.as_bytes());
        text.extend_from_slice(shown.as_bytes());
    }
}

/// Whether a sheet may take the text for a formula.
fn is_like_formula(words: &str) -> bool {
    const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    words.starts_with(['\t', '\r']) || words.trim_start().starts_with(SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_formulas_are_guarded_and_what_separates_is_quoted() {
        for (words, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠a", "'＠a"),
            (" =1", "\"' =1\""),
            ("\u{a0}=1", "'\u{a0}=1"),
            ("\tx", "'\\u{9}x"),
            ("\rx", "'\\u{d}x"),
            ("\n=x", "'\\u{a}=x"),
            ("a=1", "a=1"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a ", "\"a \""),
            ("a b", "a b"),
            ("@shop, \"main\"", "\"'@shop, \"\"main\"\"\""),
            ("a\nb\u{202e}", "a\\u{a}b\\u{202e}"),
        ] {
            let mut text = Vec::new();
            write_text(words, &mut text);
            assert_eq!(std::str::from_utf8(&text), Ok(expected));
        }
    }

    #[test]
    fn numbers_are_never_touched_and_missing_cells_are_empty() {
        use crate::report::summary::Figure;
        let cells = [
            Cell::Missing,
            Cell::Number(Figure::Whole(9_019_431_319_500_000)),
            Cell::Number(Figure::Hundredths(250)),
            Cell::Missing,
        ];
        let mut text = Vec::new();
        write_row(&cells, &mut text);
        assert_eq!(text, b",9019431319500000,2.5,\r\n");
    }
}
