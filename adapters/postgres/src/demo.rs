//! The sample data for trying the gateway out: a small shop, and a table of every type.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

/// The files in the order they run, with what each one does.
const STEPS: [(&str, &str); 4] = [
    ("make the tables", include_str!("../../../sql/demo/01_schema.sql")),
    ("make the rows", include_str!("../../../sql/demo/02_data.sql")),
    ("make the samples of every type", include_str!("../../../sql/demo/03_type_samples.sql")),
    ("make the indexes", include_str!("../../../sql/demo/04_finish.sql")),
];

/// Stands in the comment of the schema, and says that the data is there.
const MARKER: &str = "Athena sample data, version 1";

/// The tables of the sample data.
const TABLES: [&str; 6] = ["customers", "products", "orders", "order_items", "events", "type_samples"];

/// What [`load`] found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// False when an earlier run had loaded the data already.
    pub fresh: bool,
    /// The tables that are there, with their number of rows.
    pub tables: Vec<(&'static str, u64)>,
}

/// Why the sample data could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} of the sample data; the database is as it was before")]
pub struct DemoError {
    doing: &'static str,
    #[source]
    source: sqlx::Error,
}

/// Loads the sample data into the database at `uri` unless it is there already.
///
/// All of it is one transaction. Rows that were changed or deleted since an
/// earlier load are left as they are.
///
/// # Errors
///
/// When the server refuses, for one because a table of the same name is there
/// that did not come from here.
pub async fn load(uri: &str) -> Result<Loaded, DemoError> {
    let failed = |doing: &'static str| move |source| DemoError { doing, source };
    let mut connection = PgConnectOptions::from_str(uri)
        .map_err(failed("read the address"))?
        // The loading is one long statement; the log needs no word of it.
        .disable_statement_logging()
        .connect()
        .await
        .map_err(failed("connect to the database"))?;
    let mut transaction = connection.begin().await.map_err(failed("begin the loading"))?;
    // Two gateways that start at once load it once. Notices are for people at psql.
    transaction
        .execute(
            "SET LOCAL client_min_messages = warning;
             SET LOCAL search_path = public;
             SET LOCAL synchronous_commit = off;
             SELECT pg_advisory_xact_lock(hashtext('athena sample data'))",
        )
        .await
        .map_err(failed("wait for another loading"))?;
    let marker: Option<String> =
        sqlx::query_scalar("SELECT obj_description('public'::regnamespace, 'pg_namespace')")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("look for the marker"))?;
    let fresh = marker.as_deref() != Some(MARKER);
    if fresh {
        for (doing, sql) in STEPS {
            sqlx::raw_sql(sql).execute(&mut *transaction).await.map_err(failed(doing))?;
        }
        transaction
            .execute(AssertSqlSafe(format!("COMMENT ON SCHEMA public IS '{MARKER}'")))
            .await
            .map_err(failed("set the marker"))?;
    }
    let mut tables = Vec::with_capacity(TABLES.len());
    for name in TABLES {
        let present = sqlx::query_scalar::<_, bool>("SELECT to_regclass($1) IS NOT NULL")
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("look for a table"))?;
        if !present {
            continue; // dropped since
        }
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {name}")))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("count the rows"))?;
        tables.push((name, rows.unsigned_abs()));
    }
    transaction.commit().await.map_err(failed("finish the loading"))?;
    let _ = connection.close().await;
    Ok(Loaded { fresh, tables })
}
