//! Rows and their groups, rendered.

use athena_domain::rows::{CellRef, ColumnHead, JsonRows, RowSink, RowStyle, escape_into};
use athena_domain::shape::{Cell, Grouping, RowSet, group};
use bytes::Bytes;

use crate::error::Error;

/// A page of rows and its groups, as JSON.
#[derive(Debug)]
pub struct Grouped {
    /// `[row, …]`
    pub rows: Bytes,
    /// `[{"label": …, "rows": […], "aggregation": …}, …]`
    pub groups: Bytes,
    /// Rows on the page.
    pub row_count: u64,
    /// Matching rows, when they were counted.
    pub count: Option<u64>,
    /// Whether the database looked at rows that it did not return.
    pub filtered: bool,
}

impl Grouped {
    /// Groups on the values as they are and strips nulls from what is shown (contract 6.7).
    ///
    /// # Errors
    /// [`Error::Grouping`].
    pub fn build(
        rows: RowSet,
        grouping: &Grouping,
        style: RowStyle,
        count: Option<u64>,
    ) -> Result<Self, Error> {
        let groups = group(&rows, grouping)?;
        let mut writer = JsonRows::new(style);
        let heads: Vec<ColumnHead> = rows
            .columns()
            .iter()
            .map(|name| ColumnHead { label: name.as_ref().into(), hidden: false })
            .collect();
        writer.columns(&heads);
        // Where each row lies in the buffer, its comma left out.
        let mut places = Vec::with_capacity(rows.len());
        for row in rows.rows() {
            let start = writer.buffer.len() + usize::from(!places.is_empty());
            for cell in row {
                writer.cell(borrow(cell));
            }
            writer.end_row();
            places.push(start..writer.buffer.len());
        }
        let page = writer.buffer;
        let mut out = Vec::with_capacity(page.len() + 64 * groups.len() + 2);
        out.push(b'[');
        for (index, group) in groups.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",{\"label\":\"" } else { b"{\"label\":\"" });
            escape_into(&group.label, &mut out);
            out.extend_from_slice(b"\",\"rows\":[");
            for (nth, &row) in group.rows.iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&page[places[row].clone()]);
            }
            out.extend_from_slice(b"],\"aggregation\":");
            out.extend_from_slice(group.aggregation.as_deref().unwrap_or("null").as_bytes());
            out.push(b'}');
        }
        out.push(b']');
        let mut array = Vec::with_capacity(page.len() + 2);
        array.push(b'[');
        array.extend_from_slice(&page);
        array.push(b']');
        let row_count = rows.len() as u64;
        Ok(Self { rows: array.into(), groups: out.into(), row_count, count, filtered: false })
    }
}

fn borrow(cell: &Cell) -> CellRef<'_> {
    match cell {
        Cell::Null => CellRef::Null,
        Cell::Bool(flag) => CellRef::Bool(*flag),
        Cell::Number(text) => CellRef::Number(text),
        Cell::Text(text) => CellRef::Text(text),
        Cell::Json(text) => CellRef::Json(text),
    }
}
