//! One statement on the key store, with a deadline of ours: a control database that has fallen silent answers nobody.

use athena_application::ports::{KeyStoreError, PortError, PortErrorKind};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::PostgresKeyStore;
use crate::failure::PORT;

impl PostgresKeyStore {
    /// Every row.
    pub(super) async fn all(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, PortError> {
        let work = async {
            let mut connection = self.database.hold().await?;
            let rows = query.fetch_all(&mut *connection).await?;
            connection.done();
            Ok(rows)
        };
        self.database.patiently(async { work.await.map_err(|error| self.failed(error)) }).await
    }

    /// The first row, with the refusals of the database as they are.
    pub(super) async fn first(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, Refused> {
        let work = async {
            let mut connection = self.database.hold().await?;
            let row = query.fetch_optional(&mut *connection).await?;
            connection.done();
            Ok(row)
        };
        self.database.patiently(work).await
    }

    /// Whether a row was changed.
    pub(super) async fn change(&self, query: Query<'_, Postgres, PgArguments>) -> Result<bool, PortError> {
        let work = async {
            let mut connection = self.database.hold().await?;
            let done = query.execute(&mut *connection).await?;
            connection.done();
            Ok(done.rows_affected() > 0)
        };
        self.database.patiently(async { work.await.map_err(|error| self.failed(error)) }).await
    }
}

/// A refusal of one statement.
pub(super) enum Refused {
    /// What is already there.
    Duplicate,
    /// Anything else.
    Port(PortError),
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(refusal) if refusal.is_unique_violation() => Self::Duplicate,
            _ => Self::Port(crate::control::database::control_error(error)),
        }
    }
}

impl From<Refused> for KeyStoreError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Duplicate => Self::Duplicate,
            Refused::Port(error) => Self::Port(error),
        }
    }
}

/// Where no statement can meet what is already there.
impl From<Refused> for PortError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Duplicate => PortError::new(PORT, PortErrorKind::Conflict),
            Refused::Port(error) => error,
        }
    }
}
