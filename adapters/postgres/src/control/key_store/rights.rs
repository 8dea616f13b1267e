//! Rights that can be granted.

use athena_application::ports::{KeyStoreError, PortError, RightRecord, RightStore};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::PostgresKeyStore;
use crate::control::moment::moment;

fn record(row: &PgRow) -> Result<RightRecord, sqlx::Error> {
    Ok(RightRecord {
        id: row.try_get("external_id")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

macro_rules! columns {
    () => {
        "api_key_rights_id::text AS external_id, name, description, created_at, updated_at"
    };
}

#[async_trait::async_trait]
impl RightStore for PostgresKeyStore {
    async fn rights(&self) -> Result<Vec<RightRecord>, PortError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM api_key_rights ORDER BY name COLLATE \"C\"");
        let rows = self.all(sqlx::query(SQL)).await?;
        rows.iter().map(record).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }

    async fn create_right(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<RightRecord, KeyStoreError> {
        const SQL: &str =
            concat!("INSERT INTO api_key_rights (name, description) VALUES ($1, $2) RETURNING ", columns!());
        let row = self.first(sqlx::query(SQL).bind(name).bind(description)).await?;
        let made = row.ok_or(sqlx::Error::RowNotFound).and_then(|row| record(&row));
        made.map_err(|error| self.failed(error).into())
    }

    async fn update_right(
        &self,
        id: &str,
        name: &str,
        description: Option<&str>,
    ) -> Result<Option<RightRecord>, KeyStoreError> {
        const SQL: &str = concat!(
            "UPDATE api_key_rights SET name = $2, description = $3, updated_at = now() \
             WHERE api_key_rights_id::text = lower($1) RETURNING ",
            columns!()
        );
        let row = self.first(sqlx::query(SQL).bind(id).bind(name).bind(description)).await?;
        row.as_ref().map(record).transpose().map_err(|error| self.failed(error).into())
    }

    async fn delete_right(&self, id: &str) -> Result<bool, PortError> {
        let deleted = sqlx::query("DELETE FROM api_key_rights WHERE api_key_rights_id::text = lower($1)");
        self.change(deleted.bind(id)).await
    }
}
