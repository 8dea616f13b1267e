//! Reading `system_schema`: tables, views, columns, indexes and types of the client's keyspace.

mod build;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use athena_application::ports::PortError;
use athena_application::schema_keeper::{SchemaKeeper, SchemaSource};
use athena_domain::schema::{CqlRules, Dialect, Schema};
use scylla::DeserializeRow;
use scylla::response::query_result::QueryResult;
use scylla::statement::Statement;
use tokio::time::Instant;

use crate::failure::{Intent, PORT, failed};
use crate::session::{Link, Session};

/// Knows one keyspace's schema.
pub type ScyllaSchema = SchemaKeeper<ScyllaSource>;

/// The schema tables of one keyspace.
pub struct ScyllaSource {
    link: Arc<Link>,
}

/// One reading.
pub struct Catalog(Arc<Schema>);

impl AsRef<Arc<Schema>> for Catalog {
    fn as_ref(&self) -> &Arc<Schema> {
        &self.0
    }
}

/// A table, or with `base` a view.
#[derive(DeserializeRow)]
struct TableRow {
    table_name: String,
    flags: Option<Vec<String>>,
}

#[derive(DeserializeRow)]
struct ViewRow {
    view_name: String,
}

#[derive(DeserializeRow)]
struct ColumnRow {
    table_name: String,
    column_name: String,
    clustering_order: String,
    kind: String,
    position: i32,
    r#type: String,
}

#[derive(DeserializeRow)]
struct IndexRow {
    table_name: String,
    index_name: String,
    kind: String,
    options: Option<HashMap<String, String>>,
}

#[derive(DeserializeRow)]
struct TypeRow {
    type_name: String,
    field_names: Vec<String>,
    field_types: Vec<String>,
}

impl ScyllaSource {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

#[async_trait::async_trait]
impl SchemaSource for ScyllaSource {
    type Catalog = Catalog;

    async fn read(&self, deadline: Instant) -> Result<Catalog, PortError> {
        let session = self.link.session(deadline).await?;
        let _running = self.link.running();
        let outcome = self.read_by(&session).await;
        self.link.learn(&outcome);
        let settings = self.link.settings();
        let rules = CqlRules {
            allow_filtering: settings.allow_filtering,
            database_order: settings.database_order,
            max_filtered_rows: settings.max_filtered_rows,
            max_consistency: settings.max_consistency.unwrap_or(settings.consistency),
            max_timeout: settings.timeout(),
            max_fetch_size: settings.page_size.unsigned_abs(),
        };
        outcome.map(|schema| Catalog(Arc::new(schema.speaking(Dialect::Cql(rules)))))
    }
}

impl ScyllaSource {
    async fn read_by(&self, session: &Session) -> Result<Schema, PortError> {
        let rows = async |columns: &str, table: &str| -> Result<QueryResult, PortError> {
            let text = format!("SELECT {columns} FROM system_schema.{table} WHERE keyspace_name = ?");
            let mut statement = Statement::new(text);
            statement.set_is_idempotent(true);
            let keyspace = (&self.link.settings().keyspace,);
            let answer = session.driver().query_unpaged(statement, keyspace).await;
            answer.map_err(|error| failed(error, Intent::Read))
        };
        let columns = "table_name, column_name, clustering_order, kind, position, type";
        let (tables, views, columns, indexes, types) = tokio::try_join!(
            rows("table_name, flags", "tables"),
            rows("view_name", "views"),
            rows(columns, "columns"),
            rows("table_name, index_name, kind, options", "indexes"),
            rows("type_name, field_names, field_types", "types"),
        )?;
        Ok(build::schema(
            &self.link.settings().keyspace,
            build::Rows {
                tables: read(tables)?,
                views: read(views)?,
                columns: read(columns)?,
                indexes: read(indexes)?,
                types: read(types)?,
            },
        ))
    }
}

/// Rows of one of the tables.
fn read<R>(result: QueryResult) -> Result<Vec<R>, PortError>
where
    R: for<'a> scylla::deserialize::row::DeserializeRow<'a, 'a>,
{
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
        PortError::new(PORT, athena_application::ports::PortErrorKind::Internal).caused_by(error)
    };
    let rows = result.into_rows_result().map_err(|error| unreadable(error.into()))?;
    let rows = rows.rows::<R>().map_err(|error| unreadable(error.into()))?;
    rows.collect::<Result<_, _>>().map_err(|error| unreadable(error.into()))
}
