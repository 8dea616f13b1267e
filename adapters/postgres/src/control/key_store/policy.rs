//! Whether keys are demanded.

use athena_application::ports::{EnforcementStore, PolicyRecord, PortError};
use athena_domain::access::Mode;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::PostgresKeyStore;
use crate::control::moment::moment;

/// The id of the row that holds for everybody (contract 5.3).
const GLOBAL: &str = "00000000-0000-0000-0000-000000000000";

fn record(row: &PgRow) -> Result<PolicyRecord, sqlx::Error> {
    let mode: String = row.try_get("mode")?;
    Ok(PolicyRecord {
        client_name: row.try_get("client_name")?,
        // The column allows three words; a fourth is of a later version, and stricter is safer.
        mode: Mode::parse(&mode).unwrap_or(Mode::Enforce),
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// The policy for everybody and every exception.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<PolicyRecord>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT NULL AS client_name, mode, created_at, updated_at FROM api_key_config \
         WHERE api_key_config_id::text = $1 \
         UNION ALL SELECT client_name, mode, created_at, updated_at FROM api_key_client_config",
    )
    .bind(GLOBAL)
    .fetch_all(connection)
    .await?;
    rows.iter().map(record).collect()
}

#[async_trait::async_trait]
impl EnforcementStore for PostgresKeyStore {
    async fn global(&self) -> Result<PolicyRecord, PortError> {
        let read = sqlx::query(
            "SELECT NULL AS client_name, mode, created_at, updated_at FROM api_key_config \
             WHERE api_key_config_id::text = $1",
        );
        let row = self.first(read.bind(GLOBAL)).await?;
        match row.as_ref().map(record).transpose() {
            Ok(Some(record)) => Ok(record),
            // The row comes with the schema; absent means off.
            Ok(None) => self.set_global(Mode::Off).await,
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn set_global(&self, mode: Mode) -> Result<PolicyRecord, PortError> {
        self.set(
            "INSERT INTO api_key_config (api_key_config_id, mode) VALUES ($1::text::uuid, $2) \
             ON CONFLICT (api_key_config_id) DO UPDATE SET mode = excluded.mode, updated_at = now() \
             RETURNING NULL::text AS client_name, mode, created_at, updated_at",
            GLOBAL,
            mode,
        )
        .await
    }

    async fn clients(&self) -> Result<Vec<PolicyRecord>, PortError> {
        let read = sqlx::query(
            "SELECT client_name, mode, created_at, updated_at FROM api_key_client_config \
             ORDER BY lower(client_name), client_name",
        );
        let rows = self.all(read).await?;
        rows.iter().map(record).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }

    async fn set_client(&self, client_name: &str, mode: Mode) -> Result<PolicyRecord, PortError> {
        self.set(
            "INSERT INTO api_key_client_config (client_name, mode) VALUES (btrim($1), $2) \
             ON CONFLICT (lower(btrim(client_name))) DO UPDATE SET mode = excluded.mode, updated_at = now() \
             RETURNING client_name, mode, created_at, updated_at",
            client_name,
            mode,
        )
        .await
    }

    async fn delete_client(&self, client_name: &str) -> Result<bool, PortError> {
        let deleted = sqlx::query(
            "DELETE FROM api_key_client_config WHERE lower(btrim(client_name)) = lower(btrim($1))",
        );
        self.change(deleted.bind(client_name)).await
    }
}

impl PostgresKeyStore {
    async fn set(&self, sql: &'static str, name: &str, mode: Mode) -> Result<PolicyRecord, PortError> {
        let row = self.first(sqlx::query(sql).bind(name).bind(mode.as_str())).await?;
        let row = row.ok_or(sqlx::Error::RowNotFound);
        row.and_then(|row| record(&row)).map_err(|error| self.failed(error))
    }
}
