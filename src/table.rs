//! Tables for people, as kubectl prints them.

use comfy_table::{ContentArrangement, Table};

/// A table without lines, of these headings. `colours` are for terminals, whose width then counts, too.
pub(crate) fn plain(headings: &[&str], colours: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    if colours {
        table.enforce_styling();
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(headings);
    // As kubectl does: columns apart by blanks behind them, the first at the margin.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// The rows without the blanks that fill them up.
pub(crate) fn text(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}
