//! A table: what is known of it, and its rows.

use std::sync::Arc;

use athena_application::ports::PortError;
use athena_domain::plan::bind::bind;
use athena_domain::query::JsonText;
use athena_domain::schema::{Column, Relation};

use crate::reject;
use crate::value::Stored;

/// One row, a value a column.
pub(crate) type Row = Arc<[Stored]>;

/// What a column gets when an insert leaves it out.
#[derive(Debug, Clone)]
pub(crate) enum Default {
    Value(Stored),
    /// One more than the greatest number so far.
    Serial,
}

/// A fixture that does not fit its own table.
#[derive(Debug, thiserror::Error)]
#[error("{table}: {fault}")]
pub struct BadFixture {
    table: Arc<str>,
    fault: String,
}

/// A table and its rows.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) relation: Arc<Relation>,
    pub(crate) rows: Arc<Vec<Row>>,
    pub(crate) defaults: Vec<Default>,
    pub(crate) not_null: Vec<bool>,
}

impl Table {
    /// An empty table whose primary key refuses null.
    pub fn new(relation: Relation) -> Self {
        let not_null = (0..relation.columns.len()).map(|column| relation.primary_key.contains(&column));
        Self {
            not_null: not_null.collect(),
            defaults: vec![Default::Value(Stored::Null); relation.columns.len()],
            rows: Arc::default(),
            relation: Arc::new(relation),
        }
    }

    /// Adds rows, given as a JSON array of objects; an absent key takes the column's default.
    ///
    /// # Errors
    /// When the text is no such array or a row does not fit the table.
    pub fn with_rows(mut self, json: &str) -> Result<Self, BadFixture> {
        let entries = JsonText::parse(json.as_bytes()).and_then(|text| text.expect_array("rows"));
        let mut rows = Arc::unwrap_or_clone(std::mem::take(&mut self.rows));
        for entry in entries.map_err(|fault| self.bad(&fault))? {
            let fields = entry.expect_object("row").map_err(|fault| self.bad(&fault))?.rest();
            let mut row = self.fresh(&rows);
            for (name, value) in fields {
                let column = self.column(&name)?;
                row[column] = self.value(column, value)?;
            }
            rows.push(row.into());
        }
        self.rows = Arc::new(rows);
        Ok(self)
    }

    /// Gives a column a default, written as JSON.
    ///
    /// # Errors
    /// When there is no such column or the value is not one of its type.
    pub fn with_default(mut self, column: &str, json: &str) -> Result<Self, BadFixture> {
        let column = self.column(column)?;
        let text = JsonText::parse(json.as_bytes()).map_err(|fault| self.bad(&fault))?;
        self.defaults[column] = Default::Value(self.value(column, text)?);
        Ok(self)
    }

    /// Numbers the rows by themselves in an integer column.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn with_serial(mut self, column: &str) -> Result<Self, BadFixture> {
        let column = self.column(column)?;
        self.defaults[column] = Default::Serial;
        Ok(self)
    }

    /// Makes a column refuse null.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn with_not_null(mut self, column: &str) -> Result<Self, BadFixture> {
        let column = self.column(column)?;
        self.not_null[column] = true;
        Ok(self)
    }

    /// Adds a column behind the others, null in every row.
    pub(crate) fn add_column(&mut self, column: Column) {
        Arc::make_mut(&mut self.relation).columns.push(column);
        self.defaults.push(Default::Value(Stored::Null));
        self.not_null.push(false);
        let widened = self.rows.iter().map(|row| row.iter().cloned().chain([Stored::Null]).collect());
        self.rows = Arc::new(widened.collect());
    }

    /// Checks that the columns a plan counts on are still where it saw them.
    pub(crate) fn still_fits(&self, planned: &Relation) -> Result<(), PortError> {
        let live = &self.relation;
        if let Some(gone) = planned.columns.iter().find(|column| live.position(&column.name).is_none()) {
            return Err(reject::undefined_column(live, &gone.name));
        }
        let same = planned.columns.iter().zip(&live.columns).all(|(a, b)| a.name == b.name && a.ty == b.ty);
        if same { Ok(()) } else { Err(reject::stale(live)) }
    }

    /// A row of defaults, to stand behind `rows`.
    pub(crate) fn fresh(&self, rows: &[Row]) -> Vec<Stored> {
        let value = |(column, default): (usize, &Default)| match default {
            Default::Value(value) => value.clone(),
            Default::Serial => {
                let numbers = rows.iter().filter_map(|row| match row[column] {
                    Stored::Int(number) => Some(number),
                    _ => None,
                });
                Stored::Int(numbers.max().unwrap_or(0).saturating_add(1))
            }
        };
        self.defaults.iter().enumerate().map(value).collect()
    }

    fn value(&self, column: usize, text: JsonText<'_>) -> Result<Stored, BadFixture> {
        let Column { name, ty, .. } = &self.relation.columns[column];
        let bound = text.value(name).and_then(|value| bind(&value, ty, name));
        let bound = bound.map_err(|fault| self.bad(&fault))?;
        Stored::from_bind(&bound).map_err(|fault| self.bad(&fault))
    }

    fn column(&self, name: &str) -> Result<usize, BadFixture> {
        self.relation.position(name).ok_or_else(|| self.bad(&format!("there is no column '{name}'")))
    }

    fn bad(&self, fault: &dyn std::fmt::Display) -> BadFixture {
        BadFixture { table: self.relation.name.clone(), fault: fault.to_string() }
    }
}
