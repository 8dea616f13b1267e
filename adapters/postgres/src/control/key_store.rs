//! API keys, rights and policy in the control database.

mod policy;
mod rights;
mod statement;

use athena_application::ports::{
    KeyFields, KeyRecord, KeyStore, KeyStoreError, LoadedKey, PolicyRecord, PortError, StoredSecret,
};
use athena_domain::access::NewCredential;
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::{Connection as _, Decode, Postgres, Row as _};

use self::statement::Refused;
use super::ControlDatabase;
use super::moment::{Moment, moment, moment_if_any};
use super::version::{COUNT_KEYS, count_first};

/// API keys, rights and policy of one control database.
#[derive(Clone)]
pub struct PostgresKeyStore {
    database: ControlDatabase,
}

impl PostgresKeyStore {
    /// The keys of `database`.
    pub fn new(database: ControlDatabase) -> Self {
        Self { database }
    }

    fn failed(&self, error: sqlx::Error) -> PortError {
        self.database.error(error)
    }
}

/// Every column of a record; JSON as text, so that it leaves as it is kept.
macro_rules! record_columns {
    () => {
        "k.id, k.api_keys_id::text AS external_id, k.public_id, k.name, k.description, k.client_name, k.clients, \
         k.expires_at, k.is_active, k.operations, k.tables, k.columns::text AS columns, \
         k.row_filters::text AS row_filters, k.budget::text AS budget, k.last_used_at, k.previous_valid_until, \
         k.created_at, k.updated_at, \
         ARRAY(SELECT r.name FROM api_key_right_grants g JOIN api_key_rights r ON r.id = g.right_id \
               WHERE g.api_key_id = k.id ORDER BY r.name COLLATE \"C\") AS rights"
    };
}

fn record(row: &PgRow) -> Result<KeyRecord, sqlx::Error> {
    Ok(KeyRecord {
        internal_id: row.try_get("id")?,
        id: row.try_get("external_id")?,
        public_id: row.try_get("public_id")?,
        fields: KeyFields {
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            client_name: row.try_get("client_name")?,
            clients: words(row.try_get("clients")),
            expires_at: moment_if_any(row, "expires_at")?,
            is_active: row.try_get("is_active")?,
            operations: words(row.try_get("operations")),
            tables: words(row.try_get("tables")),
            columns: row.try_get("columns")?,
            row_filters: row.try_get("row_filters")?,
            budget: row.try_get("budget")?,
        },
        rights: row.try_get("rights")?,
        last_used_at: moment_if_any(row, "last_used_at")?,
        previous_valid_until: moment_if_any(row, "previous_valid_until")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// A list of words. A NULL in it, and a list of lists, which only somebody's own statement can have written, are no
/// words: they name nothing, and permit nothing.
fn words(list: Result<Option<Vec<Option<String>>>, sqlx::Error>) -> Option<Vec<String>> {
    match list {
        Ok(list) => list.map(|words| words.into_iter().flatten().collect()),
        Err(error) => {
            tracing::warn!(%error, "a list in the row of an API key cannot be read; it permits nothing");
            Some(Vec::new())
        }
    }
}

/// Takes the columns of a row one after the other. They are not compared with the types that are asked for, nor looked up
/// by their names: the statement fixes both, by its order and its casts, and there may be many thousands of rows.
struct InOrder<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> InOrder<'r> {
    fn take<T: Decode<'r, Postgres>>(&mut self) -> Result<T, sqlx::Error> {
        let value = self.row.try_get_unchecked(self.next);
        self.next += 1;
        value
    }
}

/// Reads a row of [`LOAD`].
fn loaded(row: &PgRow) -> Result<LoadedKey, sqlx::Error> {
    let mut columns = InOrder { row, next: 0 };
    let (internal_id, id, public_id) =
        (columns.take()?, columns.take::<Uuid>()?.to_string(), columns.take()?);
    let fields = KeyFields {
        client_name: columns.take()?,
        clients: words(columns.take()),
        expires_at: columns.take::<Option<Moment>>()?.map(|moment| moment.0),
        is_active: columns.take()?,
        operations: words(columns.take()),
        tables: words(columns.take()),
        columns: columns.take()?,
        row_filters: columns.take()?,
        budget: columns.take()?,
        ..KeyFields::default()
    };
    let mut rights: Vec<String> = columns.take::<Option<_>>()?.unwrap_or_default();
    // By their bytes, which is done sooner here than by a sort of the database for every key.
    rights.sort_unstable();
    let secret = StoredSecret { salt: columns.take()?, hash: columns.take()? };
    let previous: (Option<String>, Option<String>, Option<Moment>) =
        (columns.take()?, columns.take()?, columns.take()?);
    let previous = match previous {
        (Some(salt), Some(hash), Some(Moment(until))) => Some((StoredSecret { salt, hash }, until)),
        _ => None,
    };
    Ok(LoadedKey { internal_id, id, public_id, fields, rights, secret, previous })
}

/// A key whose row cannot be read: known by its ids, off, and with a secret that nothing fits. It must not keep the
/// others from being read.
fn unreadable(row: &PgRow, error: &sqlx::Error) -> Result<LoadedKey, sqlx::Error> {
    let mut columns = InOrder { row, next: 0 };
    let (internal_id, id, public_id) =
        (columns.take()?, columns.take::<Uuid>()?.to_string(), columns.take::<String>()?);
    tracing::warn!(public_id, %error, "the row of an API key cannot be read; the key permits nothing");
    Ok(LoadedKey {
        internal_id,
        id,
        public_id,
        fields: KeyFields { is_active: false, ..KeyFields::default() },
        rights: Vec::new(),
        secret: StoredSecret { salt: String::new(), hash: String::new() },
        previous: None,
    })
}

/// Every key, for [`loaded`]. The rights of all keys are gathered once, not key by key.
const LOAD: &str = "\
    SELECT k.id::bigint, k.api_keys_id::uuid, k.public_id::text, k.client_name::text, k.clients::text[], \
           k.expires_at::timestamptz, k.is_active::boolean, k.operations::text[], k.tables::text[], k.columns::text, \
           k.row_filters::text, k.budget::text, g.rights, k.key_salt::text, k.key_hash::text, \
           k.previous_key_salt::text, k.previous_key_hash::text, k.previous_valid_until::timestamptz \
    FROM api_keys k LEFT JOIN ( \
        SELECT g.api_key_id, array_agg(r.name::text) AS rights \
        FROM api_key_right_grants g JOIN api_key_rights r ON r.id = g.right_id GROUP BY g.api_key_id \
    ) g ON g.api_key_id = k.id \
    WHERE k.archived_at IS NULL";

/// Binds what an operator sets, in the order of the columns from `name` to `budget`.
fn with_fields<'q>(
    query: Query<'q, Postgres, PgArguments>,
    fields: &'q KeyFields,
) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(&fields.name)
        .bind(&fields.description)
        .bind(&fields.client_name)
        .bind(&fields.clients)
        .bind(fields.expires_at)
        .bind(fields.is_active)
        .bind(&fields.operations)
        .bind(&fields.tables)
        .bind(&fields.columns)
        .bind(&fields.row_filters)
        .bind(&fields.budget)
}

/// Reads one record, wherever the row stands in its transaction.
async fn read(connection: &mut PgConnection, internal_id: i64) -> Result<KeyRecord, sqlx::Error> {
    const SQL: &str = concat!("SELECT ", record_columns!(), " FROM api_keys k WHERE k.id = $1");
    record(&sqlx::query(SQL).bind(internal_id).fetch_one(connection).await?)
}

/// Replaces the rights of a key, all or none.
async fn grant(connection: &mut PgConnection, key: i64, rights: &[String]) -> Result<(), KeyStoreError> {
    let port = super::database::control_error;
    // Locked, so that nobody removes or renames one between this look and the grant.
    let known: Vec<String> =
        sqlx::query_scalar("SELECT name FROM api_key_rights WHERE name = ANY($1::text[]) FOR SHARE")
            .bind(rights)
            .fetch_all(&mut *connection)
            .await
            .map_err(port)?;
    let mut unknown: Vec<String> = rights.iter().filter(|name| !known.contains(name)).cloned().collect();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        unknown.dedup();
        return Err(KeyStoreError::UnknownRights(unknown));
    }
    sqlx::query(
        "DELETE FROM api_key_right_grants g USING api_key_rights r \
         WHERE g.api_key_id = $1 AND r.id = g.right_id AND r.name <> ALL($2::text[])",
    )
    .bind(key)
    .bind(rights)
    .execute(&mut *connection)
    .await
    .map_err(port)?;
    sqlx::query(
        "INSERT INTO api_key_right_grants (api_key_id, right_id) \
         SELECT $1, r.id FROM api_key_rights r WHERE r.name = ANY($2::text[]) ON CONFLICT DO NOTHING",
    )
    .bind(key)
    .bind(rights)
    .execute(connection)
    .await
    .map_err(port)?;
    Ok(())
}

#[async_trait::async_trait]
impl KeyStore for PostgresKeyStore {
    async fn load(&self, take: &mut (dyn FnMut(LoadedKey) + Send)) -> Result<Vec<PolicyRecord>, PortError> {
        let work = async {
            let mut held = self.database.hold().await?;
            let mut transaction = held.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            {
                let mut rows = sqlx::query(LOAD).fetch(&mut *transaction);
                while let Some(row) = rows.try_next().await? {
                    take(loaded(&row).or_else(|error| unreadable(&row, &error))?);
                }
            }
            let policy = policy::all(&mut transaction).await?;
            transaction.commit().await?;
            held.done();
            Ok(policy)
        };
        self.database.patiently(async { work.await.map_err(|error: sqlx::Error| self.failed(error)) }).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, PortError> {
        const SQL: &str = concat!(
            "SELECT ",
            record_columns!(),
            " FROM api_keys k WHERE k.archived_at IS NULL ORDER BY k.created_at DESC, k.id DESC"
        );
        let rows = self.all(sqlx::query(SQL)).await?;
        rows.iter().map(record).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }

    async fn key(&self, id: &str) -> Result<Option<KeyRecord>, PortError> {
        const SQL: &str = concat!(
            "SELECT ",
            record_columns!(),
            " FROM api_keys k WHERE k.api_keys_id::text = lower($1) AND k.archived_at IS NULL"
        );
        let row = self.first(sqlx::query(SQL).bind(id)).await?;
        row.as_ref().map(record).transpose().map_err(|error| self.failed(error))
    }

    async fn create(
        &self,
        credential: &NewCredential,
        fields: &KeyFields,
        rights: &[String],
    ) -> Result<KeyRecord, KeyStoreError> {
        let port = |error| KeyStoreError::Port(self.failed(error));
        let work = async {
            let mut held = self.database.hold().await.map_err(port)?;
            let mut transaction = held.begin().await.map_err(port)?;
            let inserted = sqlx::query(
                "INSERT INTO api_keys (public_id, key_salt, key_hash, name, description, client_name, clients, expires_at, \
                                       is_active, operations, tables, columns, row_filters, budget) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13::text::jsonb, $14::text::jsonb) \
                 RETURNING id",
            )
            .bind(&credential.public_id)
            .bind(&credential.salt)
            .bind(&credential.hash);
            let row = with_fields(inserted, fields).fetch_one(&mut *transaction).await;
            let id = row.and_then(|row| row.try_get("id")).map_err(Refused::from)?;
            grant(&mut transaction, id, rights).await?;
            let record = read(&mut transaction, id).await.map_err(port)?;
            transaction.commit().await.map_err(port)?;
            held.done();
            Ok(record)
        };
        self.database.patiently(work).await
    }

    async fn update(
        &self,
        id: &str,
        change: &(dyn for<'a> Fn(&'a mut KeyFields) + Send + Sync),
        rights: Option<&[String]>,
    ) -> Result<Option<KeyRecord>, KeyStoreError> {
        let port = |error| KeyStoreError::Port(self.failed(error));
        let work = async {
            let mut held = self.database.hold().await.map_err(port)?;
            let mut transaction = held.begin().await.map_err(port)?;
            count_first(&mut transaction, COUNT_KEYS).await.map_err(port)?;
            let Some(internal) = locked(&mut transaction, id).await.map_err(port)? else { return Ok(None) };
            let mut fields = read(&mut transaction, internal).await.map_err(port)?.fields;
            change(&mut fields);
            let updated = sqlx::query(
                "UPDATE api_keys SET name = $2, description = $3, client_name = $4, clients = $5, expires_at = $6, \
                        is_active = $7, operations = $8, tables = $9, columns = $10::text::jsonb, \
                        row_filters = $11::text::jsonb, budget = $12::text::jsonb, updated_at = now() WHERE id = $1",
            )
            .bind(internal);
            with_fields(updated, &fields).execute(&mut *transaction).await.map_err(port)?;
            if let Some(rights) = rights {
                grant(&mut transaction, internal, rights).await?;
            }
            let record = read(&mut transaction, internal).await.map_err(port)?;
            transaction.commit().await.map_err(port)?;
            held.done();
            Ok(Some(record))
        };
        self.database.patiently(work).await
    }

    async fn rotate(
        &self,
        id: &str,
        credential: &NewCredential,
        overlap_secs: u64,
    ) -> Result<Option<KeyRecord>, KeyStoreError> {
        let port = |error| KeyStoreError::Port(self.failed(error));
        let work = async {
            let mut held = self.database.hold().await.map_err(port)?;
            let mut transaction = held.begin().await.map_err(port)?;
            count_first(&mut transaction, COUNT_KEYS).await.map_err(port)?;
            let Some(internal) = locked(&mut transaction, id).await.map_err(port)? else { return Ok(None) };
            sqlx::query(
                "UPDATE api_keys SET previous_key_salt = key_salt, previous_key_hash = key_hash, \
                        previous_valid_until = now() + make_interval(secs => $2), key_salt = $3, key_hash = $4, \
                        updated_at = now() WHERE id = $1",
            )
            .bind(internal)
            .bind(overlap_secs as f64)
            .bind(&credential.salt)
            .bind(&credential.hash)
            .execute(&mut *transaction)
            .await
            .map_err(port)?;
            let record = read(&mut transaction, internal).await.map_err(port)?;
            transaction.commit().await.map_err(port)?;
            held.done();
            Ok(Some(record))
        };
        self.database.patiently(work).await
    }

    async fn archive(&self, id: &str) -> Result<bool, PortError> {
        let archived = sqlx::query(
            "UPDATE api_keys SET archived_at = now(), is_active = false, updated_at = now() \
             WHERE api_keys_id::text = lower($1) AND archived_at IS NULL",
        );
        self.change(archived.bind(id)).await
    }
}

/// Locks the row of a key that is not archived; its number.
async fn locked(connection: &mut PgConnection, id: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM api_keys WHERE api_keys_id::text = lower($1) AND archived_at IS NULL FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
}
