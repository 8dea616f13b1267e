//! Request bodies.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};

use super::{Json, example};

/// What to read.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct FetchBody {
    /// Table or view: `name` or `schema.name`. Required unless `view_name` is given.
    table_name: Option<String>,
    /// View, when `table_name` is absent; both have to say the same.
    view_name: Option<String>,
    /// Schema of an unqualified name.
    table_schema: Option<String>,
    /// Columns to return: an array of strings or one comma-separated string. Each is `column`,
    /// `alias:column`, `column::type` or `*`. Default: every column.
    columns: Json,
    /// Filters, all of which must hold: `{"operator", "column", "value"}` with eq, neq, gt, gte, lt, lte,
    /// like, ilike, is, in, contains, containedBy; `{"operator": "not" | "or", "value": expression}`; or
    /// `{"eq_column", "eq_value"}`.
    conditions: Option<Vec<Value>>,
    /// Most rows. Default 100 for JSON; above `limits.max_rows` is refused.
    limit: Option<u64>,
    /// Page, counted from 1.
    current_page: Option<u64>,
    /// Rows of a page; stands in for `limit`.
    page_size: Option<u64>,
    /// Rows to skip, added to those of the pages before.
    offset: Option<u64>,
    /// Taken and without effect.
    total_pages: Option<u64>,
    /// Reads page by page without skipping or repeating a row, whatever is inserted or deleted meanwhile: `""` asks for the first
    /// page, `next_cursor` of an answer for the next one. Goes with `page_size`; not with `limit`, `offset`,
    /// `current_page`, `group_by`, `head`, NDJSON or CSV. Table, columns, conditions, order and `page_size` stay the
    /// same from page to page.
    cursor: Option<String>,
    /// Order: `{"field" | "column", "direction": "asc" | "desc", "nulls": "first" | "last"}` or an array of
    /// them.
    sort_by: Json,
    /// The same as `sort_by`, which counts where both are given.
    #[oai(rename = "sortBy")]
    sort_by_camel: Json,
    /// Leaves keys with null values out; the header `X-Strip-Nulls` wins.
    strip_nulls: Option<bool>,
    /// Column of the result by which the page is grouped.
    group_by: Option<String>,
    /// `day`, `hour` or `minute`, for a `group_by` column that holds times.
    time_granularity: Option<String>,
    /// Numeric column that is added up within each group.
    aggregation_column: Option<String>,
    /// `cumulative_sum`: a running total over the groups.
    aggregation_strategy: Option<String>,
    /// Whether equal values within a group count once.
    aggregation_dedup: Option<bool>,
    /// `exact`, `planned` or `estimated`: also count every matching row.
    count: Option<String>,
    /// Returns no rows.
    head: Option<bool>,
    /// CQL: how many replicas have to agree: `local_one`, `one`, `two`, `three`, `local_quorum`, `quorum`,
    /// `each_quorum`, `all`. No more than the client's connection URI allows (`max_consistency`).
    consistency: Option<String>,
    /// CQL: milliseconds that one page or one write may take; no more than the client's own time.
    timeout_ms: Option<u64>,
    /// CQL: most rows that the database sends at once, from 1 to what the client's connection URI allows (`page_size`).
    /// It changes nothing in the answer, but how much is waited for and held at a time.
    fetch_size: Option<u64>,
}

impl Example for FetchBody {
    fn example() -> Self {
        example(json!({
            "table_name": "users",
            "columns": ["id", "name", "created_at"],
            "conditions": [{ "operator": "eq", "column": "active", "value": true }],
            "sort_by": { "field": "created_at", "direction": "desc" },
            "limit": 20
        }))
    }
}

/// What to change.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct UpdateBody {
    /// Table: `name` or `schema.name`.
    table_name: String,
    /// Schema of an unqualified name.
    table_schema: Option<String>,
    /// New values by column; a counter of CQL takes `{"increment": 5}`. `data`, `set` and an array of objects in `columns` are taken as well; one of them
    /// is required.
    update_body: Json,
    /// The same as `update_body`.
    data: Json,
    /// The same as `update_body`.
    set: Json,
    /// Columns to return, or an array of objects with new values.
    columns: Json,
    /// Filters as in a fetch; at least one.
    conditions: Vec<Value>,
    /// Leaves keys with null values out; the header `X-Strip-Nulls` wins.
    strip_nulls: Option<bool>,
    /// Column of the result by which the changed rows are grouped.
    group_by: Option<String>,
    /// As in a fetch.
    time_granularity: Option<String>,
    /// As in a fetch.
    aggregation_column: Option<String>,
    /// As in a fetch.
    aggregation_strategy: Option<String>,
    /// As in a fetch.
    aggregation_dedup: Option<bool>,
    /// `exact`, `planned` or `estimated`: also answer how many rows changed.
    count: Option<String>,
    /// Returns no rows.
    head: Option<bool>,
    /// Most rows that may change; more is refused with `too_many_rows` and nothing changes.
    max_affected: Option<u64>,
    /// Undoes everything after it was done.
    dry_run: Option<bool>,
    /// CQL: what the one row that `conditions` name must be, all of it, or the answer says `applied: false` and shows
    /// the row as it is in `current`. Filters as in `conditions`, without `or` and `not`; an empty array asks only that
    /// the row is there.
    #[oai(rename = "if")]
    only_if: Option<Vec<Value>>,
    /// CQL: seconds after which the new values are gone, up to 20 years; 0 keeps them, whatever the table says.
    ttl: Option<u32>,
    /// Refused, with the fix: CQL dates an update by itself.
    timestamp: Option<i64>,
    /// CQL: how many replicas have to agree: `local_one`, `one`, `two`, `three`, `local_quorum`, `quorum`,
    /// `each_quorum`, `all`. No more than the client's connection URI allows (`max_consistency`).
    consistency: Option<String>,
    /// CQL: milliseconds that one page or one write may take; no more than the client's own time.
    timeout_ms: Option<u64>,
}

impl Example for UpdateBody {
    fn example() -> Self {
        example(json!({
            "table_name": "users",
            "update_body": { "name": "Ada Lovelace" },
            "conditions": [{ "operator": "eq", "column": "id", "value": 42 }],
            "columns": ["id", "name"]
        }))
    }
}

/// What to add.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct InsertBody {
    /// Table: `name` or `schema.name`.
    table_name: String,
    /// Schema of an unqualified name.
    table_schema: Option<String>,
    /// The row, or an array of rows.
    insert_body: Value,
    /// What a row that is already there becomes; empty leaves it as it is.
    update_body: Json,
    /// Where a conflict is looked for: columns as a string or array, or
    /// `{"columns" | "constraint", "where"}`.
    on_conflict: Json,
    /// Columns to return.
    columns: Json,
    /// `exact`, `planned` or `estimated`: also answer how many rows were added or changed.
    count: Option<String>,
    /// Returns no rows.
    head: Option<bool>,
    /// For several rows: whether a missing key is NULL (the default) or the column's default.
    default_to_null: Option<bool>,
    /// Taken and without effect.
    strip_nulls: Option<bool>,
    /// Most rows that may change.
    max_affected: Option<u64>,
    /// Undoes everything after it was done.
    dry_run: Option<bool>,
    /// CQL, one row: where a row with this primary key is there already, the answer is no failure: it says
    /// `applied: false` and shows that row in `current`.
    if_not_exists: Option<bool>,
    /// CQL: seconds after which the row is gone, up to 20 years; 0 keeps it, whatever the table says.
    ttl: Option<u32>,
    /// CQL, with `on_conflict`: microseconds since 1970 at which the row counts as written; what was written later
    /// stays.
    timestamp: Option<i64>,
    /// CQL: how many replicas have to agree: `local_one`, `one`, `two`, `three`, `local_quorum`, `quorum`,
    /// `each_quorum`, `all`. No more than the client's connection URI allows (`max_consistency`).
    consistency: Option<String>,
    /// CQL: milliseconds that one page or one write may take; no more than the client's own time.
    timeout_ms: Option<u64>,
}

impl Example for InsertBody {
    fn example() -> Self {
        example(json!({
            "table_name": "users",
            "insert_body": { "name": "Ada", "email": "ada@example.com" },
            "columns": "*"
        }))
    }
}

/// What to remove.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct DeleteBody {
    /// Table: `name` or `schema.name`.
    table_name: String,
    /// Schema of an unqualified name.
    table_schema: Option<String>,
    /// Id of the row: a string or a number. Required unless `conditions` is given.
    resource_id: Json,
    /// Filters as in a fetch.
    conditions: Option<Vec<Value>>,
    /// Columns to return.
    columns: Json,
    /// `exact`, `planned` or `estimated`: also answer how many rows went.
    count: Option<String>,
    /// Returns no rows.
    head: Option<bool>,
    /// Taken and without effect.
    strip_nulls: Option<bool>,
    /// Most rows that may go.
    max_affected: Option<u64>,
    /// Undoes everything after it was done.
    dry_run: Option<bool>,
    /// CQL: as in an update.
    #[oai(rename = "if")]
    only_if: Option<Vec<Value>>,
    /// CQL: microseconds since 1970; what was written later stays. Rows are named by their keys only.
    timestamp: Option<i64>,
    /// CQL: how many replicas have to agree: `local_one`, `one`, `two`, `three`, `local_quorum`, `quorum`,
    /// `each_quorum`, `all`. No more than the client's connection URI allows (`max_consistency`).
    consistency: Option<String>,
    /// CQL: milliseconds that one page or one write may take; no more than the client's own time.
    timeout_ms: Option<u64>,
}

impl Example for DeleteBody {
    fn example() -> Self {
        example(json!({ "table_name": "users", "resource_id": "42" }))
    }
}

/// SQL to run.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct QueryBody {
    /// One statement, or several separated by semicolons.
    query: String,
    /// Values bound as `$1…`; for one statement only.
    params: Option<Vec<Value>>,
    /// Lets the database refuse every write.
    read_only: Option<bool>,
    /// Most rows to return; more is refused. Default `limits.max_rows`.
    max_rows: Option<u64>,
}

impl Example for QueryBody {
    fn example() -> Self {
        example(json!({ "query": "SELECT id, name FROM users WHERE active = $1", "params": [true] }))
    }
}

/// One statement to run, and the database it is meant for.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct SqlBody {
    /// One statement.
    query: String,
    /// Kind of the client's database: `native`, `postgres`, `postgresql` and `neon` are PostgreSQL, `scylla` and
    /// `athena` CQL, `supabase` and `postgrest` Supabase.
    driver: String,
    /// The database's name: that of the client where `X-Athena-Client` is absent. Answered again.
    db_name: String,
    /// Values bound as `$1…`.
    params: Option<Vec<Value>>,
    /// Lets the database refuse every write.
    read_only: Option<bool>,
    /// Most rows to return; more is refused. Default `limits.max_rows`.
    max_rows: Option<u64>,
}

impl Example for SqlBody {
    fn example() -> Self {
        example(json!({
            "query": "SELECT id, name FROM users WHERE active = $1", "params": [true],
            "driver": "postgresql", "db_name": "postgres_main"
        }))
    }
}

/// A function to call.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct CallBody {
    /// Function: `name`, of the client's default schema, or `schema.name`.
    function: String,
    /// Arguments by name, an object; none when absent.
    args: Json,
    /// Lets the database refuse every write.
    read_only: Option<bool>,
}

impl Example for CallBody {
    fn example() -> Self {
        example(json!({ "function": "top_customers", "args": { "most": 3 }, "read_only": true }))
    }
}
