//! A table as a JSON list of objects, one a row. Knows nothing of reports.

use super::cell::Cell;
use super::json::write_text;
use super::number::write_figure;

/// Writes a row; the list is begun and ended elsewhere.
pub(super) fn write_row(is_first: bool, columns: &[&str], cells: &[Cell<'_>], text: &mut Vec<u8>) {
    if !is_first {
        text.push(b',');
    }
    text.push(b'{');
    for (place, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if place > 0 {
            text.push(b',');
        }
        text.push(b'"');
        text.extend_from_slice(column.as_bytes());
        text.extend_from_slice(b"\":");
        match cell {
            Cell::Missing => text.extend_from_slice(b"null"),
            Cell::Plain(plain) => {
                text.push(b'"');
                text.extend_from_slice(plain);
                text.push(b'"');
            }
            Cell::Text(words) => write_text(words, text),
            Cell::Number(figure) => write_figure(*figure, text),
        }
    }
    text.push(b'}');
}
