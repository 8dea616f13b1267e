//! What every database holds when the suite begins: the same rows as SQL and as JSON.

use std::sync::Arc;

use athena_domain::schema::{Column, ColumnType, Relation, TypeKind, UniqueIndex};

const ITEMS: &str = include_str!("items.json");
const PLACES: &str = include_str!("places.json");

/// Creates and fills the tables of [`fixture`] in the first schema of the search path.
///
/// A script of several statements that may run twice.
pub const FIXTURE_SQL: &str = concat!(
    include_str!("fixture.sql"),
    "INSERT INTO contract_items SELECT * FROM json_populate_recordset(NULL::contract_items, $rows$",
    include_str!("items.json"),
    "$rows$);\n",
    "INSERT INTO contract_places SELECT * FROM json_populate_recordset(NULL::contract_places, $rows$",
    include_str!("places.json"),
    "$rows$);\n",
);

/// A table of the fixture.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// What a schema reader must say of it.
    pub relation: Relation,
    /// Its rows, as a JSON array of objects.
    pub rows: &'static str,
    /// Columns with a default, and the default as JSON.
    pub defaults: Vec<(&'static str, &'static str)>,
    /// Columns outside the primary key that refuse null.
    pub not_null: Vec<&'static str>,
}

/// The tables that [`FIXTURE_SQL`] creates, rows included.
pub fn fixture() -> Vec<TableSpec> {
    let text = || ColumnType::new("text", TypeKind::Text);
    let bigint = || ColumnType::new("bigint", TypeKind::Int(64));
    let items = relation(
        "contract_items",
        vec![
            ("id", bigint()),
            ("name", text()),
            ("qty", ColumnType::new("integer", TypeKind::Int(32))),
            ("price", ColumnType::new("numeric(12,2)", TypeKind::Numeric)),
            ("tags", ColumnType::new("text[]", TypeKind::Array(Arc::new(text())))),
            ("meta", ColumnType::new("jsonb", TypeKind::Jsonb)),
            ("active", ColumnType::new("boolean", TypeKind::Bool)),
            ("born", ColumnType::new("date", TypeKind::Date)),
            ("seen", ColumnType::new("timestamp with time zone", TypeKind::TimestampTz)),
        ],
        &[],
        vec![unique("contract_items_pkey", &[0]), unique("contract_items_name_key", &[1])],
    );
    let places = relation(
        "contract_places",
        vec![("land", text()), ("town", text()), ("people", bigint()), ("note", text())],
        &["people"],
        vec![unique("contract_places_pkey", &[0, 1])],
    );
    vec![
        TableSpec { relation: items, rows: ITEMS, defaults: vec![("active", "true")], not_null: vec![] },
        TableSpec {
            relation: places,
            rows: PLACES,
            defaults: vec![("people", "0")],
            not_null: vec!["people"],
        },
    ]
}

/// A table whose first unique index is its primary key.
fn relation(
    name: &str,
    columns: Vec<(&str, ColumnType)>,
    not_null: &[&str],
    unique: Vec<UniqueIndex>,
) -> Relation {
    let key = unique.first().map(|index| index.columns.clone()).unwrap_or_default();
    let column = |(place, (name, ty)): (usize, (&str, ColumnType))| Column {
        name: name.into(),
        ty,
        nullable: !key.contains(&place) && !not_null.contains(&name),
        writable: true,
    };
    Relation {
        schema: "public".into(),
        name: name.into(),
        columns: columns.into_iter().enumerate().map(column).collect(),
        primary_key: key,
        unique,
        inherited: false,
        cql: None,
    }
}

fn unique(name: &str, columns: &[usize]) -> UniqueIndex {
    UniqueIndex { name: name.into(), columns: columns.into(), total: true, constraint: true }
}
