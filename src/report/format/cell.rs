//! The content of a cell of a table. Knows nothing of columns, nor of how it is spelled.

use crate::report::summary::Figure;

/// The content of a cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Missing,
    /// Letters, digits and what dates have: the same in every spelling.
    Plain(&'a [u8]),
    /// Text of clients.
    Text(&'a str),
    Number(Figure),
}
