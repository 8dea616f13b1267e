//! How full the pools have been, in the control database.

use athena_application::ports::{PoolHistory, PoolSample, PortError};

use sqlx::types::Uuid;

use super::ControlDatabase;

/// Samples of one gateway.
#[derive(Clone)]
pub struct PostgresPoolHistory {
    database: ControlDatabase,
    host: String,
    instance_id: Uuid,
}

impl PostgresPoolHistory {
    /// Samples of the gateway on `host`, which has this id.
    pub fn new(database: ControlDatabase, host: String, instance_id: Uuid) -> Self {
        Self { database, host, instance_id }
    }
}

#[async_trait::async_trait]
impl PoolHistory for PostgresPoolHistory {
    async fn record(&self, samples: &[PoolSample]) -> Result<(), PortError> {
        let column = |number: fn(&PoolSample) -> usize| -> Vec<i32> {
            samples.iter().map(|sample| i32::try_from(number(sample)).unwrap_or(i32::MAX)).collect()
        };
        let names: Vec<&str> = samples.iter().map(|sample| &*sample.client_name).collect();
        let recorded = sqlx::query(
            "INSERT INTO client_connections (client_name, host, instance_id, pool_size, idle_connections, \
                 active_connections, max_connections) \
             SELECT name, $1, $2, size, idle, size - idle, most \
             FROM unnest($3::text[], $4::int[], $5::int[], $6::int[]) AS sample (name, size, idle, most)",
        )
        .bind(&self.host)
        .bind(self.instance_id)
        .bind(names)
        .bind(column(|sample| sample.open))
        .bind(column(|sample| sample.idle.min(sample.open)))
        .bind(column(|sample| sample.max));
        let work = async {
            let mut connection = self.database.hold().await?;
            recorded.execute(&mut *connection).await?;
            connection.done();
            Ok(())
        };
        self.database.patiently(async { work.await.map_err(|error| self.database.error(error)) }).await
    }
}
