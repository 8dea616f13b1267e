//! Reading the system catalogs: relations, columns, keys, types. One reading is one consistent snapshot.

mod build;

use std::collections::HashMap;
use std::sync::Arc;

use athena_domain::schema::{ColumnType, Schema};
use sqlx::PgConnection;

/// One reading of the catalogs.
pub struct Catalog {
    /// What planners use.
    pub(crate) schema: Arc<Schema>,
    /// Types by number, for text that has to be taken apart.
    pub(crate) types: HashMap<u32, ColumnType>,
}

impl AsRef<Arc<Schema>> for Catalog {
    fn as_ref(&self) -> &Arc<Schema> {
        &self.schema
    }
}

/// A type as `pg_type` has it.
#[derive(sqlx::FromRow)]
struct TypeRow {
    oid: i64,
    sql: String,
    name: String,
    schema: String,
    kind: String,
    category: String,
    element: i64,
    base: i64,
    variable: bool,
}

/// A field of a composite type.
#[derive(sqlx::FromRow)]
struct FieldRow {
    composite: i64,
    name: String,
    ty: i64,
}

/// A column of a relation.
#[derive(sqlx::FromRow)]
struct ColumnRow {
    relation: i64,
    schema: String,
    table: String,
    number: i16,
    name: String,
    ty: i64,
    nullable: bool,
    writable: bool,
    inherited: bool,
}

/// A unique index.
#[derive(sqlx::FromRow)]
struct IndexRow {
    relation: i64,
    name: String,
    primary: bool,
    total: bool,
    constraint: bool,
    columns: Vec<i16>,
}

/// Of the types of tables' rows only those that a column or a function of somebody's uses, alone or in an array: each
/// table has one, and hardly any is.
const TYPES: &str = "
    SELECT t.oid::int8 AS oid, format_type(t.oid, -1) AS sql, t.typname::text AS name, n.nspname::text AS schema,
           t.typtype::text AS kind, t.typcategory::text AS category, t.typelem::int8 AS element,
           t.typbasetype::int8 AS base, t.typlen = -1 AS variable
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typisdefined AND t.typtype <> 'p' AND (t.typrelid = 0 OR c.relkind = 'c' OR t.oid IN (
      SELECT coalesce(nullif(u.typelem, 0), u.oid) FROM pg_type u WHERE u.oid IN (
        SELECT atttypid FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
        UNION SELECT unnest(proargtypes) FROM pg_proc WHERE oid >= 16384
        UNION SELECT typbasetype FROM pg_type WHERE typtype = 'd')))";

const FIELDS: &str = "
    SELECT t.oid::int8 AS composite, a.attname::text AS name, a.atttypid::int8 AS ty
    FROM pg_type t
    JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE t.oid = ANY($1::int8[]::oid[])
    ORDER BY t.oid, a.attnum";

/// Foreign tables and partitions are relations like others; temporary ones belong to one session. A key of a partitioned
/// table holds for all of its partitions, and one of a table that others inherit from for its own rows only.
const COLUMNS: &str = "
    SELECT c.oid::int8 AS relation, n.nspname::text AS schema, c.relname::text AS table, a.attnum AS number,
           a.attname::text AS name, a.atttypid::int8 AS ty,
           NOT a.attnotnull AS nullable, a.attidentity::text <> 'a' AND a.attgenerated::text = '' AS writable,
           h.inhparent IS NOT NULL AND c.relkind <> 'p' AS inherited
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN (SELECT DISTINCT inhparent FROM pg_inherits) h ON h.inhparent = c.oid
    WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY c.oid, a.attnum";

const INDEXES: &str = "
    SELECT i.indrelid::int8 AS relation, c.relname::text AS name, i.indisprimary AS primary,
           i.indpred IS NULL AS total, k.oid IS NOT NULL AS constraint,
           (string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts] AS columns
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";

impl Catalog {
    /// Reads everything; `conn` is in a transaction that sees one snapshot, so that columns and their types
    /// belong together. A reading is too rare to keep its statements prepared.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) async fn read(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let types: Vec<TypeRow> = sqlx::query_as(TYPES).persistent(false).fetch_all(&mut *conn).await?;
        let composites: Vec<i64> = types.iter().filter(|ty| ty.kind == "c").map(|ty| ty.oid).collect();
        let fields = sqlx::query_as(FIELDS).bind(composites).persistent(false);
        let fields: Vec<FieldRow> = fields.fetch_all(&mut *conn).await?;
        let columns: Vec<ColumnRow> = sqlx::query_as(COLUMNS).persistent(false).fetch_all(&mut *conn).await?;
        let indexes: Vec<IndexRow> = sqlx::query_as(INDEXES).persistent(false).fetch_all(&mut *conn).await?;
        let path: Vec<String> = sqlx::query_scalar("SELECT unnest(current_schemas(false))::text")
            .persistent(false)
            .fetch_all(conn)
            .await?;
        Ok(build::catalog(types, fields, columns, indexes, path))
    }
}
