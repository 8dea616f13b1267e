//! Athena as a library: one client over any supported database, or over a gateway that runs elsewhere.
//!
//! [`AthenaClient`] holds a whole gateway in its process, or speaks to one over HTTP. Both take the same requests and
//! give the same answers and errors; nothing here writes SQL.
//!
//! ```no_run
//! use athena_rs::AthenaClient;
//! use athena_rs::client::query_builder::OrderDirection;
//!
//! # async fn example() -> Result<(), athena_rs::AthenaError> {
//! let athena = AthenaClient::new("postgres://shop:secret@localhost:5432/shop", "").await?;
//! let paid = athena
//!     .select("orders")
//!     .columns(["id", "total"])
//!     .where_eq("status", "paid")
//!     .where_gt("total", 100)
//!     .order_by("total", OrderDirection::Desc)
//!     .limit(10)
//!     .execute()
//!     .await?;
//! for row in &paid.rows {
//!     println!("{} {}", row["id"], row["total"]);
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod config;
mod error;
mod health;
pub mod query_builder;
mod remote;
mod rows;
mod rpc;
mod supabase;
mod target;
mod transport;

use std::time::Duration;

pub use builder::AthenaClientBuilder;
pub use config::{BackendType, ClientConfig, ConnectionConfig, HealthConfig, PoolConfig};
pub use error::{AthenaError, ErrorKind};
pub use remote::RemoteGateway;
pub use rows::{QueryResult, Rows};
pub use rpc::Rpc;
pub use supabase::SupabaseBackend;

pub use query_builder::{Attempt, Page, Pages};
use query_builder::{Delete, Insert, Query, Select, Update};
use serde_json::{Value, json};
use transport::{Form, Transport};

/// A client of one database. Clones share its connections.
#[derive(Clone)]
pub struct AthenaClient {
    config: ClientConfig,
    transport: Transport,
}

/// How a database is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered.
    Healthy,
    /// It did not, or too many requests in a row have failed: worth another try after this time.
    Offline {
        /// Time until then.
        retry_after: Duration,
    },
}

impl AthenaClient {
    /// A client of the PostgreSQL database at `url`. An empty `key` is none.
    ///
    /// Connects when it is first used: a database that is away is an error of the request that needs it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub async fn new(url: impl Into<String>, key: impl Into<String>) -> Result<Self, AthenaError> {
        Self::new_with_backend(url, key, BackendType::Native).await
    }

    /// A client of a database of a given kind.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub async fn new_with_backend(
        url: impl Into<String>,
        key: impl Into<String>,
        backend: BackendType,
    ) -> Result<Self, AthenaError> {
        Self::builder().backend(backend).url(url).key(key).build().await
    }

    /// The same with the kind by its name; a name that none has stands for [`BackendType::Native`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub async fn new_with_backend_name(
        url: impl Into<String>,
        key: impl Into<String>,
        backend: &str,
    ) -> Result<Self, AthenaError> {
        Self::new_with_backend(url, key, BackendType::named(backend)).await
    }

    /// Sets what the other constructors leave at its default.
    pub fn builder() -> AthenaClientBuilder {
        AthenaClientBuilder::default()
    }

    /// As [`AthenaClientBuilder::build`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub async fn build(builder: AthenaClientBuilder) -> Result<Self, AthenaError> {
        builder.build().await
    }

    /// A client of a gateway that runs elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub fn remote(gateway: RemoteGateway) -> Result<Self, AthenaError> {
        let (config, transport) = gateway.open()?;
        Ok(Self { config, transport })
    }

    /// A client whose gateway runs in this process.
    pub(crate) fn embedded(config: ClientConfig, transport: Transport) -> Self {
        Self { config, transport }
    }

    /// What it was made of.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Reads rows of a table or view.
    pub fn select(&self, table: impl Into<String>) -> Query<'_, Select> {
        Query::new(self, table.into())
    }

    /// Adds rows to a table.
    pub fn insert(&self, table: impl Into<String>) -> Query<'_, Insert> {
        Query::new(self, table.into())
    }

    /// Changes rows: the one whose `id` is given, or those that the filters name. With neither it is refused.
    pub fn update(&self, table: impl Into<String>, id: Option<Value>) -> Query<'_, Update> {
        Query::new(self, table.into()).by_id(id)
    }

    /// Removes rows: the one whose `id` is given, or those that the filters name. With neither it is refused.
    pub fn delete(&self, table: impl Into<String>, id: Option<Value>) -> Query<'_, Delete> {
        Query::new(self, table.into()).by_id(id)
    }

    /// Runs SQL of yours, one statement.
    ///
    /// # Errors
    /// What the database says; see [`ErrorKind`].
    pub async fn execute_sql(&self, sql: &str) -> Result<QueryResult, AthenaError> {
        self.execute_sql_with(sql, Vec::new()).await
    }

    /// Runs SQL of yours with bound parameters, `$1` and so on.
    ///
    /// # Errors
    /// As [`AthenaClient::execute_sql`].
    pub async fn execute_sql_with(&self, sql: &str, params: Vec<Value>) -> Result<QueryResult, AthenaError> {
        self.raw(sql, params).await
    }

    /// Runs CQL of yours, one statement, on a ScyllaDB or Cassandra.
    ///
    /// # Errors
    /// As [`AthenaClient::execute_sql`]; [`ErrorKind::Invalid`] for a database of another kind.
    pub async fn execute_cql(&self, cql: &str) -> Result<QueryResult, AthenaError> {
        self.execute_cql_with(cql, Vec::new()).await
    }

    /// Runs CQL of yours with bound parameters, `?`.
    ///
    /// # Errors
    /// As [`AthenaClient::execute_cql`].
    pub async fn execute_cql_with(&self, cql: &str, params: Vec<Value>) -> Result<QueryResult, AthenaError> {
        if self.config.backend != BackendType::Scylla {
            return Err(AthenaError::new(ErrorKind::Invalid, "this client's database does not speak CQL"));
        }
        self.raw(cql, params).await
    }

    async fn raw(&self, text: &str, params: Vec<Value>) -> Result<QueryResult, AthenaError> {
        let mut body = json!({
            "query": text,
            "driver": self.config.backend.driver(),
            "db_name": self.transport.client_name(),
        });
        if !params.is_empty() {
            body["params"] = params.into();
        }
        let reply = self.transport.send(("POST", "/query/sql"), &body, Form::Envelope).await?;
        QueryResult::of_raw_query(&reply.whole().await?)
    }

    /// Calls a function of the database, `name` or `schema.name`, with an object of arguments by name or null for none.
    ///
    /// ```no_run
    /// # async fn example(athena: athena_rs::AthenaClient) -> Result<(), athena_rs::AthenaError> {
    /// let most = serde_json::json!({ "most": 3 });
    /// let names: Vec<String> = athena.rpc("top_customers", most).read_only().execute_as().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rpc(&self, function: impl Into<String>, arguments: Value) -> Rpc<'_> {
        Rpc::new(self, function.into(), arguments)
    }

    /// Asks the database whether it answers.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], [`ErrorKind::Denied`].
    pub async fn health_check(&self) -> Result<Health, AthenaError> {
        match self.ping().await {
            Ok(()) => Ok(Health::Healthy),
            Err(error) => match error.kind {
                ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Connection => {
                    Ok(Health::Offline { retry_after: error.retry_after.unwrap_or_default() })
                }
                ErrorKind::Configuration
                | ErrorKind::Invalid
                | ErrorKind::Denied
                | ErrorKind::Conflict
                | ErrorKind::Row
                | ErrorKind::Other => Err(error),
            },
        }
    }

    async fn ping(&self) -> Result<(), AthenaError> {
        let probe = match self.config.backend {
            BackendType::Scylla => "SELECT key FROM system.local",
            BackendType::Supabase | BackendType::Postgrest => return self.transport.ping().await,
            BackendType::Native | BackendType::Neon | BackendType::PostgreSQL => "SELECT 1",
        };
        self.raw(probe, Vec::new()).await.map(drop)
    }
}
