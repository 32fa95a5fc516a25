//! The one table that a run prints.

use comfy_table::{Cell, CellAlignment};

/// Rows of (what, figure, unit, remark), in the order in which they were measured.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(["what", "figure", "unit", "remark"]);
        Self(table)
    }

    pub(crate) fn row(&mut self, what: &str, figure: String, unit: &str, remark: &str) {
        eprintln!("{what}: {figure} {unit} {remark}");
        self.0.add_row([
            Cell::new(what),
            Cell::new(figure).set_alignment(CellAlignment::Right),
            Cell::new(unit),
            Cell::new(remark),
        ]);
    }

    pub(crate) fn render(&self) -> String {
        self.0.to_string()
    }
}

/// The middle value.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value that the given share (0 … 1) of the sorted values does not exceed.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
