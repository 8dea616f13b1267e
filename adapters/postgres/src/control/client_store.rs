//! The client catalog in the control database.

use athena_application::ports::{ClientFields, ClientStore, ClientStoreError, NewClient, PortError};
use athena_domain::catalog::{ClientRecord, Seed, Source, TargetTexts};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};

use super::ControlDatabase;
use super::moment::{moment, moment_if_any};
use super::version::{COUNT_CLIENTS, count_first};

/// The client catalog of one control database.
#[derive(Clone)]
pub struct PostgresClientStore {
    database: ControlDatabase,
}

impl PostgresClientStore {
    /// The catalog of `database`.
    pub fn new(database: ControlDatabase) -> Self {
        Self { database }
    }

    fn failed(&self, error: sqlx::Error) -> PortError {
        self.database.error(error)
    }
}

macro_rules! columns {
    () => {
        "athena_client_id::text AS external_id, client_name, description, pg_uri, pg_uri_env_var, \
         config_uri_template, source, is_active, is_frozen, metadata::text AS metadata, \
         last_synced_from_config_at, last_seen_at, created_at, updated_at, deleted_at"
    };
}

fn record(row: &PgRow) -> Result<ClientRecord, sqlx::Error> {
    let source: String = row.try_get("source")?;
    Ok(ClientRecord {
        id: row.try_get("external_id")?,
        name: row.try_get("client_name")?,
        description: row.try_get("description")?,
        target: TargetTexts {
            pg_uri: row.try_get("pg_uri")?,
            pg_uri_env_var: row.try_get("pg_uri_env_var")?,
            config_uri_template: row.try_get("config_uri_template")?,
        },
        source: Source::parse(&source),
        is_active: row.try_get("is_active")?,
        is_frozen: row.try_get("is_frozen")?,
        metadata: row.try_get("metadata")?,
        last_synced_from_config_at: moment_if_any(row, "last_synced_from_config_at")?,
        last_seen_at: moment_if_any(row, "last_seen_at")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
        deleted_at: moment_if_any(row, "deleted_at")?,
    })
}

#[async_trait::async_trait]
impl ClientStore for PostgresClientStore {
    async fn load(&self) -> Result<Vec<ClientRecord>, PortError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM athena_clients");
        let read = self.database.in_time(|connection| {
            Box::pin(async { sqlx::query(SQL).fetch_all(connection).await?.iter().map(record).collect() })
        });
        read.await
    }

    async fn seed(&self, seeds: &[Seed]) -> Result<(), PortError> {
        let seeds = seeds.to_vec();
        let written = self.database.in_time(|connection| {
            Box::pin(async move {
                let mut transaction = connection.begin().await?;
                for seed in &seeds {
                    write(&mut transaction, seed).await?;
                }
                transaction.commit().await
            })
        });
        written.await
    }

    async fn create(&self, client: &NewClient) -> Result<ClientRecord, ClientStoreError> {
        const SQL: &str = concat!(
            "INSERT INTO athena_clients (client_name, description, pg_uri, pg_uri_env_var, source, is_active, metadata) \
             VALUES (btrim($1), $2, $3, $4, 'database', $5, '{\"managed_by\":\"admin_api\"}') RETURNING ",
            columns!()
        );
        let created = sqlx::query(SQL)
            .bind(&client.name)
            .bind(&client.description)
            .bind(&client.target.pg_uri)
            .bind(&client.target.pg_uri_env_var)
            .bind(client.is_active);
        let work = async {
            let mut connection = self.database.hold().await?;
            let row = created.fetch_one(&mut *connection).await?;
            connection.done();
            record(&row)
        };
        let failed = |error: sqlx::Error| match error.as_database_error() {
            Some(refusal) if refusal.is_unique_violation() => ClientStoreError::Duplicate,
            _ => ClientStoreError::Port(self.failed(error)),
        };
        self.database.patiently(async { work.await.map_err(failed) }).await
    }

    async fn update(
        &self,
        key: &str,
        change: &(dyn for<'a> Fn(&'a mut ClientFields) + Send + Sync),
    ) -> Result<Option<ClientRecord>, PortError> {
        const FIND: &str = concat!(
            "SELECT id, ",
            columns!(),
            " FROM athena_clients WHERE lower(btrim(client_name)) = $1 AND deleted_at IS NULL FOR UPDATE"
        );
        const CHANGE: &str = concat!(
            "UPDATE athena_clients SET description = $2, pg_uri = $3, pg_uri_env_var = $4, config_uri_template = $5, \
                    is_active = $6, is_frozen = $7, deleted_at = CASE WHEN $8 THEN now() END, updated_at = now(), \
                    source = CASE WHEN source = 'config' AND (pg_uri IS DISTINCT FROM $3 \
                        OR pg_uri_env_var IS DISTINCT FROM $4) THEN 'merged' ELSE source END \
             WHERE id = $1 RETURNING ",
            columns!()
        );
        let work = async {
            let mut connection = self.database.hold().await?;
            let mut transaction = connection.begin().await?;
            count_first(&mut transaction, COUNT_CLIENTS).await?;
            let Some(row) = sqlx::query(FIND).bind(key).fetch_optional(&mut *transaction).await? else {
                return Ok(None);
            };
            let there = record(&row)?;
            let mut fields = ClientFields {
                description: there.description,
                target: there.target,
                is_active: there.is_active,
                is_frozen: there.is_frozen,
                is_deleted: false,
            };
            change(&mut fields);
            let row = sqlx::query(CHANGE)
                .bind(row.try_get::<i64, _>("id")?)
                .bind(&fields.description)
                .bind(&fields.target.pg_uri)
                .bind(&fields.target.pg_uri_env_var)
                .bind(&fields.target.config_uri_template)
                .bind(fields.is_active)
                .bind(fields.is_frozen)
                .bind(fields.is_deleted)
                .fetch_one(&mut *transaction)
                .await?;
            let record = record(&row)?;
            transaction.commit().await?;
            connection.done();
            Ok(Some(record))
        };
        self.database.patiently(async { work.await.map_err(|error: sqlx::Error| self.failed(error)) }).await
    }
}

/// Writes one seed, where it still holds.
async fn write(connection: &mut PgConnection, seed: &Seed) -> Result<(), sqlx::Error> {
    let (sql, client) = match seed {
        // Two gateways that start at once both come here; the index lets one through.
        Seed::Insert(client) => (
            "INSERT INTO athena_clients (client_name, config_uri_template, source, metadata, \
                                         last_synced_from_config_at) \
             SELECT btrim($1), $2, 'config', '{\"seeded_from\":\"config.yaml\"}', now() \
             WHERE NOT EXISTS (SELECT FROM athena_clients WHERE lower(btrim(client_name)) = lower(btrim($1))) \
             ON CONFLICT DO NOTHING",
            client,
        ),
        Seed::Refresh(client) => (
            // What only repeated the old template goes with it; what somebody chose makes the row `merged`, and stays.
            "UPDATE athena_clients c SET \
                    pg_uri = CASE WHEN seeded THEN NULL ELSE c.pg_uri END, \
                    pg_uri_env_var = CASE WHEN seeded THEN NULL ELSE c.pg_uri_env_var END, \
                    source = CASE WHEN c.source = 'config' AND NOT seeded THEN 'merged' ELSE c.source END, \
                    config_uri_template = $2, last_synced_from_config_at = now(), updated_at = now() \
             FROM (SELECT id, source = 'config' AND (pg_uri IS NULL OR pg_uri IS NOT DISTINCT FROM config_uri_template) \
                       AND (pg_uri_env_var IS NULL \
                            OR config_uri_template IS NOT DISTINCT FROM '${' || pg_uri_env_var || '}') AS seeded \
                   FROM athena_clients WHERE lower(btrim(client_name)) = lower(btrim($1)) FOR UPDATE) s \
             WHERE s.id = c.id AND lower(btrim(c.client_name)) = lower(btrim($1)) AND c.deleted_at IS NULL \
               AND c.source IN ('config', 'merged')",
            client,
        ),
    };
    sqlx::query(sql).bind(&client.name).bind(&client.target.config_uri_template).execute(connection).await?;
    Ok(())
}
