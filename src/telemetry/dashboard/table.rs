//! Tables as HTML, with at most 200 rows.

use std::fmt::Display;

use super::markup::{Markup, count};

/// Most rows of a table.
const ROWS: usize = 200;

/// Columns of a table; a name that begins with `#` is a column of numbers.
pub(super) type TableColumns = &'static [&'static str];

/// Makes a table, or says that there are no rows.
pub(super) fn table<R>(rows: &[R], columns: TableColumns, none: &str, write: impl Fn(&R, &mut Row<'_>)) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut html = Markup::default();
    html.raw("<table><thead><tr>");
    for column in columns {
        match column.strip_prefix('#') {
            Some(name) => html.raw("<th scope=\"col\" class=\"n\">").text(name).raw("</th>"),
            None if column.is_empty() => html.raw("<td></td>"),
            None => html.raw("<th scope=\"col\">").text(column).raw("</th>"),
        };
    }
    html.raw("</tr></thead><tbody>");
    for row in rows.iter().take(ROWS) {
        write(row, &mut Row { html: &mut html, columns: columns.iter() });
        html.raw("</tr>");
    }
    html.raw("</tbody></table>");
    if rows.len() > ROWS {
        html.raw("<p>").text(count(ROWS as u64)).raw(" of ").text(count(rows.len() as u64));
        html.raw(" rows; the JSON has all of them.</p>");
    }
    html.into_html()
}

/// Row under construction: its cells are named after the columns, for narrow screens.
pub(super) struct Row<'a> {
    html: &'a mut Markup,
    columns: std::slice::Iter<'static, &'static str>,
}

impl Row<'_> {
    /// Begins the row; equal keys of two versions of a table are the same row.
    pub(super) fn begin(&mut self, key: impl Display) {
        self.html.raw("<tr data-key=\"").text(key).raw("\">");
    }

    /// Adds the cell of the next column.
    pub(super) fn cell(&mut self, write: impl FnOnce(&mut Markup)) {
        let column = self.columns.next().copied().unwrap_or_default();
        match column.strip_prefix('#') {
            Some(name) => self.html.raw("<td class=\"n\" data-label=\"").raw(name).raw("\">"),
            None => self.html.raw("<td data-label=\"").raw(column).raw("\">"),
        };
        write(self.html);
        self.html.raw("</td>");
    }

    pub(super) fn text(&mut self, text: impl Display) {
        self.cell(|html| {
            html.text(text);
        });
    }
}
