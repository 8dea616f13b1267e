//! Bodies of the admin routes.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};

use super::{Json, example};

/// The answer of an admin route.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminAnswer {
    /// `success`
    status: String,
    /// What was done.
    message: String,
    /// What was read, made or changed; named by the operation.
    data: Value,
}

impl Example for AdminAnswer {
    fn example() -> Self {
        example(json!({ "status": "success", "message": "Listed API keys", "data": { "api_keys": [] } }))
    }
}

/// A key. In a change, an absent field stays and `null` clears it.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct KeyBody {
    /// Name for people. Required for a new key.
    name: Option<String>,
    /// Description.
    description: Option<String>,
    /// The client it is bound to; none means every one.
    client_name: Option<String>,
    /// Further clients it is bound to.
    clients: Option<Vec<String>>,
    /// From when on it may not be used: RFC 3339.
    expires_at: Option<String>,
    /// Whether it may be used.
    is_active: Option<bool>,
    /// Names of its rights; replaces them all.
    rights: Option<Vec<String>>,
    /// What it may be used for: fetch, insert, update, delete, query, rpc, schema. A key with any of the following
    /// limits needs `query` named here to run SQL of its own.
    operations: Option<Vec<String>>,
    /// Tables it may touch: `public.users`, `audit.*`, `users` in the default schema, `*`.
    tables: Option<Vec<String>>,
    /// Columns it may see and name, by table; tables that are not named are not limited.
    columns: Json,
    /// Conditions, as in a fetch, that every row it reads, changes or writes must meet, by table.
    row_filters: Json,
    /// How much it may do: `requests_per_second`, `burst`, `concurrent`, `rows_per_minute`, `bytes_per_minute`.
    budget: Json,
}

impl Example for KeyBody {
    fn example() -> Self {
        example(json!({
            "name": "dashboard", "client_name": "demo", "rights": ["gateway.read"],
            "tables": ["public.orders"], "expires_at": "2030-01-01T00:00:00Z",
            "row_filters": { "public.orders": [{ "eq_column": "status", "eq_value": "paid" }] },
            "budget": { "requests_per_second": 50, "burst": 100 }
        }))
    }
}

/// A right.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RightBody {
    /// `resource.action`, such as `users.read`, or `*`.
    name: String,
    /// Description; absent clears it.
    description: Option<String>,
}

impl Example for RightBody {
    fn example() -> Self {
        example(json!({ "name": "users.read", "description": "Read the table users" }))
    }
}

/// How strictly keys are demanded; one of the two is required.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct PolicyBody {
    /// true is `enforce`, false is `off`.
    enforce_api_keys: Option<bool>,
    /// `off`, `warn` (nobody is refused; what would be is counted and logged) or `enforce`. Wins.
    mode: Option<String>,
}

impl Example for PolicyBody {
    fn example() -> Self {
        example(json!({ "mode": "enforce" }))
    }
}

/// A rotation.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RotateBody {
    /// How long the old secret still works, in seconds: 0 to 604800. Default 3600.
    overlap_secs: Option<u64>,
}

impl Example for RotateBody {
    fn example() -> Self {
        example(json!({ "overlap_secs": 3600 }))
    }
}

/// A client. In a change, an absent field stays and `null` clears it.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ClientBody {
    /// Name by which callers select it. Required for a new client; without effect in a change.
    client_name: Option<String>,
    /// Description.
    description: Option<String>,
    /// Connection URI. Answers show it without its password. `uri` means the same.
    pg_uri: Option<String>,
    /// Environment variable of the server that holds the URI. `uri_env_var` means the same.
    pg_uri_env_var: Option<String>,
    /// Another name of `pg_uri`.
    uri: Option<String>,
    /// Another name of `pg_uri_env_var`.
    uri_env_var: Option<String>,
    /// Whether it may be used.
    is_active: Option<bool>,
}

impl Example for ClientBody {
    fn example() -> Self {
        example(json!({
            "client_name": "reporting", "description": "Read replica", "pg_uri_env_var": "PG_REPORTING_URI"
        }))
    }
}

/// Whether a client is stopped.
#[derive(Debug, Object)]
#[oai(example)]
pub struct FreezeBody {
    /// true stops it: callers are told that there is no such client.
    is_frozen: bool,
}

impl Example for FreezeBody {
    fn example() -> Self {
        example(json!({ "is_frozen": true }))
    }
}

/// For how long a client's database is taken off.
#[derive(Debug, Object)]
#[oai(example)]
pub struct OfflineBody {
    /// Seconds: 1 to 604800.
    for_secs: u64,
}

impl Example for OfflineBody {
    fn example() -> Self {
        example(json!({ "for_secs": 600 }))
    }
}

/// Names of clients.
#[derive(Debug, Object)]
#[oai(example)]
pub struct ClientNames {
    /// Names, as they are shown.
    clients: Vec<String>,
}

impl Example for ClientNames {
    fn example() -> Self {
        example(json!({ "clients": ["demo", "reporting"] }))
    }
}

/// A database to be provisioned.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct ProvisionBody {
    /// Connection URI of any PostgreSQL database; instead of `client_name`.
    uri: Option<String>,
    /// A registered client; instead of `uri`.
    client_name: Option<String>,
    /// Whether the database at `uri` becomes a client.
    register: Option<bool>,
    /// The name of that client. Default `provisioned`.
    register_name: Option<String>,
}

impl Example for ProvisionBody {
    fn example() -> Self {
        example(json!({ "client_name": "reporting" }))
    }
}
