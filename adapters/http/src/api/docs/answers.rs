//! Answers.

use std::collections::HashMap;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};

use super::{Json, example};

/// Rows of a fetch.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct FetchAnswer {
    /// `success`
    status: String,
    /// `Fetched {n} rows`, the rows on this page.
    message: String,
    /// The rows and what belongs to them.
    data: RowsData,
}

impl Example for FetchAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "message": "Fetched 1 rows",
            "data": { "rows": [{ "id": 42, "name": "Ada", "created_at": "2024-01-01T00:00:00+00:00" }] }
        }))
    }
}

/// Rows of a fetch or update.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct RowsData {
    /// The rows, column by column.
    rows: Vec<Value>,
    /// Matching or changed rows, when `count` was asked for.
    count: Option<u64>,
    /// The cursor to the next page, when `cursor` was given; null behind the last page.
    next_cursor: Option<String>,
    /// `true` when a CQL database looked at rows that are not in the answer, which its owner has allowed.
    filtered: Option<bool>,
    /// Whether the write was carried out, when `if` was given; the bare array has it in `X-Athena-Applied`.
    applied: Option<bool>,
    /// The row as it is, when `applied` is `false`; null where there is none.
    current: Json,
    /// `{"grouped": [{"label", "rows", "aggregation"}]}`, when `group_by` was given.
    post_processing: Json,
}

/// Changed rows.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct UpdateAnswer {
    /// `success`
    status: String,
    /// `Updated {n} rows`
    message: String,
    /// The changed rows.
    data: RowsData,
}

impl Example for UpdateAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "message": "Updated 1 rows",
            "data": { "rows": [{ "id": 42, "name": "Ada Lovelace" }] }
        }))
    }
}

/// Added rows.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct InsertAnswer {
    /// `success`
    status: String,
    /// `true`
    success: bool,
    /// `Data inserted successfully`
    message: String,
    /// The new row, or the new rows for an array.
    data: Value,
    /// Id of the new row; null for an array and where the table has no single id column.
    resource_id: Option<String>,
    /// Ids of the new rows, for an array.
    resource_ids: Option<Vec<Value>>,
    /// The table.
    table_name: String,
    /// Whether the write was carried out, when `if_not_exists` was given; the bare array has it in `X-Athena-Applied`.
    applied: Option<bool>,
    /// The row as it is, when `applied` is `false`; null where there is none.
    current: Json,
    /// Rows added or changed, when `count` was asked for.
    count: Option<u64>,
    /// `true` when everything was undone.
    dry_run: Option<bool>,
}

impl Example for InsertAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "success": true, "message": "Data inserted successfully",
            "data": { "id": 42, "name": "Ada", "email": "ada@example.com" },
            "resource_id": "42", "table_name": "users"
        }))
    }
}

/// Removed rows.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct DeleteAnswer {
    /// `success`
    status: String,
    /// `true`
    success: bool,
    /// `Data deleted successfully`
    message: String,
    /// The removed row or null; an array where conditions were given.
    data: Json,
    /// Rows removed.
    deleted_count: u64,
    /// The table.
    table_name: String,
    /// The id that was asked for.
    resource_id: Option<String>,
    /// The client.
    client: String,
    /// Whether the write was carried out, when `if` was given; the bare array has it in `X-Athena-Applied`.
    applied: Option<bool>,
    /// The row as it is, when `applied` is `false`; null where there is none.
    current: Json,
    /// Rows removed, when `count` was asked for.
    count: Option<u64>,
    /// `true` when everything was undone.
    dry_run: Option<bool>,
}

impl Example for DeleteAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "success": true, "message": "Data deleted successfully",
            "data": { "id": 42, "name": "Ada" }, "deleted_count": 1,
            "table_name": "users", "resource_id": "42", "client": "postgres_main"
        }))
    }
}

/// Result of a query.
#[derive(Debug, Object)]
#[oai(example)]
pub struct QueryAnswer {
    /// `success`
    status: String,
    /// `Successfully executed query`
    message: String,
    /// The rows.
    data: Vec<Value>,
    /// What was done.
    meta: QueryMeta,
}

/// What a query did.
#[derive(Debug, Object)]
pub struct QueryMeta {
    /// What ran it.
    backend: String,
    /// Statements run.
    statement_count: u64,
    /// Rows that commands inserted, changed or removed.
    rows_affected: u64,
    /// Rows in `data`.
    returned_row_count: u64,
}

impl Example for QueryAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "message": "Successfully executed query",
            "data": [{ "id": 42, "name": "Ada" }],
            "meta": { "backend": "sqlx", "statement_count": 1, "rows_affected": 0, "returned_row_count": 1 }
        }))
    }
}

/// Result of a call.
#[derive(Debug, Object)]
#[oai(example)]
pub struct CallAnswer {
    /// `success`
    status: String,
    /// `Successfully called the function`
    message: String,
    /// What it gave.
    data: CallData,
}

/// What a function gave.
#[derive(Debug, Object)]
pub struct CallData {
    /// A value, an object for a row, an array for a set, `null` for nothing.
    result: Value,
}

impl Example for CallAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "message": "Successfully called the function",
            "data": { "result": [{ "id": 42, "name": "Ada" }] }
        }))
    }
}

/// Result of one statement.
#[derive(Debug, Object)]
#[oai(example)]
pub struct SqlAnswer {
    /// `success`
    status: String,
    /// `Successfully executed query`
    message: String,
    /// The rows and what was done.
    data: SqlData,
}

/// Rows of one statement.
#[derive(Debug, Object)]
pub struct SqlData {
    /// The rows. For a statement of CQL without rows, one that says so: `{"status", "message"}`.
    rows: Vec<Value>,
    /// Names of the columns, in order, also where there is no row.
    columns: Vec<String>,
    /// As in the request.
    db_name: String,
    /// Milliseconds until the database was done.
    duration_ms: u64,
    /// Statements run.
    statement_count: u64,
    /// Rows inserted, changed or removed.
    rows_affected: u64,
    /// Rows in `rows`.
    returned_row_count: u64,
}

impl Example for SqlAnswer {
    fn example() -> Self {
        example(json!({
            "status": "success", "message": "Successfully executed query",
            "data": {
                "rows": [{ "id": 42, "name": "Ada" }], "columns": ["id", "name"], "db_name": "postgres_main",
                "duration_ms": 3, "statement_count": 1, "rows_affected": 0, "returned_row_count": 1
            }
        }))
    }
}

/// A failure.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ErrorEnvelope {
    /// `error`
    status: String,
    /// Machine-readable reason, such as `unknown_client`, `invalid_field`, `unique_violation`.
    code: Option<String>,
    /// Title.
    message: String,
    /// Detail; the same as the title where there is no more to say.
    error: String,
    /// The HTTP status again.
    status_code: Option<u16>,
    /// Name of the request, as in `X-Request-Id` and in the log.
    trace_id: Option<String>,
    /// `category` and `trace_id`, and what is known: `field`, `limit`, `sql_state`, `constraint`, `column`,
    /// `table`, `schema`, `detail`, `position`, `context`, `client`.
    details: Json,
    /// What to try.
    hint: Option<String>,
    /// `false`, on insert.
    success: Option<bool>,
}

impl Example for ErrorEnvelope {
    fn example() -> Self {
        example(json!({
            "status": "error", "code": "undefined_column",
            "message": "The specified column does not exist",
            "error": "The specified column does not exist",
            "status_code": 400, "trace_id": "order-page-42",
            "details": { "category": "query_syntax", "trace_id": "order-page-42", "column": "nmae" },
            "hint": "Please verify the column name and try again."
        }))
    }
}

/// State of the server.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Root {
    /// `athena is online`
    message: String,
    /// Version.
    version: String,
    /// Version, again.
    cargo_toml_version: String,
    /// `online`
    athena_api: String,
    /// Whether at least one client's database has answered.
    athena_deadpool: String,
    /// Whether a Scylla cluster is connected.
    athena_scylladb: String,
    /// Clients by the state of their circuit breakers: `closed`, `half_open`, `open`.
    circuit_breakers: HashMap<String, u64>,
    /// What this server can do: `{available, detail}` by name.
    capabilities: HashMap<String, Value>,
    /// What this server serves: `{path, methods, summary}`.
    routes: Vec<Value>,
}

impl Example for Root {
    fn example() -> Self {
        example(json!({
            "message": "athena is online", "version": "2.9.0", "cargo_toml_version": "2.9.0",
            "athena_api": "online", "athena_deadpool": "online", "athena_scylladb": "offline",
            "circuit_breakers": { "closed": 2, "half_open": 0, "open": 0 },
            "capabilities": { "gateway_fetch": { "available": true, "detail": "POST /gateway/fetch" } },
            "routes": [{ "path": "/gateway/fetch", "methods": ["POST"], "summary": "Read rows" }]
        }))
    }
}

/// Answer to a probe.
#[derive(Debug, Object)]
#[oai(example, rename = "ProbeAnswer", skip_serializing_if_is_none)]
pub struct Probe {
    /// `ok`, or `draining` once the server has been told to stop.
    status: String,
    /// With the admin key only: `{client_name, connected, circuit_breaker}` of every client. No database decides
    /// whether this process takes requests.
    clients: Option<Vec<Value>>,
    /// With the admin key only: `{host, circuit_breaker}` of every host that requests for `custom_supabase` have named lately.
    hosts: Option<Vec<Value>>,
}

impl Example for Probe {
    fn example() -> Self {
        example(json!({ "status": "ok" }))
    }
}
