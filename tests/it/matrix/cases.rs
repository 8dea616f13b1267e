//! The requests of the support matrix: every operator on every type, and what else a request can ask for.

mod filters;
mod operators;
mod orders;
mod reading;
mod writing;

pub use operators::{Column, TABLES, Table};
pub use orders::visits;

use serde_json::{Value, json};

/// Rows of `events`, whose key is (`device`, `at`).
pub fn events() -> Vec<String> {
    let mut rows = Vec::new();
    for device in ["a", "b"] {
        for at in 1..=6 {
            let kind = if at % 2 == 0 { "even" } else { "odd" };
            rows.push(
                json!({ "device": device, "at": at, "kind": kind, "amount": at * 10, "note": (at > 3).then_some("late") })
                    .to_string(),
            );
        }
    }
    rows
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Fetch,
    Insert,
    Update,
    Delete,
}

/// One request.
pub struct Case {
    /// Where it stands in the document.
    pub group: &'static str,
    /// Its name there.
    pub name: String,
    /// Route.
    pub route: Route,
    /// Body. Bytes stand in it as PostgreSQL writes them.
    pub body: String,
    /// Whether the answer's rows have an order.
    pub ordered: bool,
    /// Whether the answer is that of the page behind the first one.
    pub second_page: bool,
    /// Whether its count may be any number.
    pub roughly: bool,
    /// Whether CQL has no type for its column.
    pub of_sql_types: bool,
    /// Headers beyond the usual ones.
    pub headers: &'static [(&'static str, &'static str)],
    /// For a write: the fetch that shows what it did.
    pub then: Option<String>,
    /// For what the reference does not do: the answer of a database that does, numbers as text.
    pub own: Option<Value>,
}

impl Case {
    pub(super) fn read(group: &'static str, name: impl Into<String>, body: String) -> Self {
        Self {
            group,
            name: name.into(),
            route: Route::Fetch,
            body,
            ordered: false,
            second_page: false,
            roughly: false,
            of_sql_types: false,
            headers: &[],
            then: None,
            own: None,
        }
    }

    fn ordered(self) -> Self {
        Self { ordered: true, ..self }
    }

    fn second_page(self) -> Self {
        Self { second_page: true, ..self }
    }

    fn roughly(self) -> Self {
        Self { roughly: true, ..self }
    }

    fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    fn write(group: &'static str, name: &str, route: Route, body: Value, then: Value) -> Self {
        Self { route, then: Some(then.to_string()), ..Self::read(group, name, body.to_string()) }
    }
}

/// Every request, in the order of the document.
pub fn all() -> Vec<Case> {
    let mut cases = operators::all();
    cases.extend(filters::all());
    cases.extend(orders::all());
    cases.extend(reading::all());
    cases.extend(writing::all());
    cases.extend(super::own::all());
    cases
}

fn condition(table: &str, condition: &str) -> String {
    format!(r#"{{"table_name":"{table}","conditions":[{condition}]}}"#)
}
