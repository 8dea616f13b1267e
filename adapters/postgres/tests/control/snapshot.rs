//! What a database consists of, in a form that can be compared.

use std::collections::{BTreeMap, BTreeSet};

use athena_postgres::control::{ControlDatabase, migrate};
use athena_test_support::TestDatabase;
use sqlx::{AssertSqlSafe, PgPool};

/// A control database of a test's own.
pub struct Control {
    /// Keeps the database alive.
    pub server: TestDatabase,
    pub database: ControlDatabase,
}

impl Control {
    /// Without any table.
    pub async fn empty() -> Self {
        Self::with("").await
    }

    /// With what `sql` makes.
    pub async fn with(sql: &str) -> Self {
        let server = TestDatabase::with(sql).await;
        let database = ControlDatabase::open(&server.uri()).unwrap();
        Self { server, database }
    }

    /// With the current schema.
    pub async fn migrated() -> Self {
        let control = Self::empty().await;
        migrate(&control.database).await.unwrap();
        control
    }

    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Runs any number of statements.
    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool()).await.unwrap();
    }

    /// One value.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(self.pool()).await.unwrap()
    }

    async fn lines(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_all(self.pool()).await.unwrap()
    }

    /// Every column, constraint, index, trigger and function of `public`, one a line.
    pub async fn catalog(&self) -> BTreeSet<String> {
        self.lines(CATALOG).await.into_iter().collect()
    }

    /// Names of the tables in `public`, except for the bookkeeping of the migrations.
    pub async fn tables(&self) -> Vec<String> {
        self.lines(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace \
             AND relkind = 'r' AND relname <> '_sqlx_migrations' ORDER BY 1",
        )
        .await
    }

    /// Every row of every table as JSON, with the transaction that wrote it when `stamped`.
    pub async fn rows(&self, stamped: bool) -> BTreeMap<String, Vec<String>> {
        let mut rows = BTreeMap::new();
        for table in self.tables().await {
            let stamp = if stamped { "xmin::text || " } else { "" };
            let sql = format!("SELECT {stamp}to_jsonb(kept)::text FROM public.{table} AS kept ORDER BY 1");
            rows.insert(table, self.lines(&sql).await);
        }
        rows
    }
}

/// Says what differs, which a comparison of whole sets would drown.
pub fn same_catalog(found: &BTreeSet<String>, expected: &BTreeSet<String>, after: &str) {
    let missing: Vec<_> = expected.difference(found).collect();
    let more: Vec<_> = found.difference(expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "{after}: missing {missing:#?}, unexpected {more:#?}");
}

const CATALOG: &str = "
    SELECT format('column %s.%s %s%s default %s identity %s', relname, attname, format_type(atttypid, atttypmod),
                  CASE WHEN attnotnull THEN ' not null' ELSE '' END,
                  coalesce(pg_get_expr(adbin, adrelid), '-'), attidentity)
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
      AND relname <> '_sqlx_migrations'
    UNION ALL
    SELECT format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> '_sqlx_migrations'
    UNION ALL
    SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'
    UNION ALL
    SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace";
