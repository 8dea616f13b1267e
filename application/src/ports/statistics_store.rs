//! How much every client has asked for (contract 16.5).

use time::OffsetDateTime;

use super::PortError;

/// Counts of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatistics {
    /// Lower-case name.
    pub client_name: String,
    /// Requests.
    pub total_requests: i64,
    /// Requests answered with 200–399.
    pub successful_requests: i64,
    /// Requests answered with 400 and above.
    pub failed_requests: i64,
    /// Requests answered out of a cache.
    pub total_cached_requests: i64,
    /// Operations on its database.
    pub total_operations: i64,
    /// Latest request.
    pub last_request_at: Option<OffsetDateTime>,
    /// Latest operation.
    pub last_operation_at: Option<OffsetDateTime>,
    /// When the counts last changed.
    pub updated_at: OffsetDateTime,
}

/// Counts of one operation on one table of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatistics {
    /// Lower-case name of the client.
    pub client_name: String,
    /// The table, as callers write it.
    pub table_name: String,
    /// Name of the operation.
    pub operation: String,
    /// How often.
    pub total_operations: i64,
    /// How often in vain.
    pub error_operations: i64,
    /// Latest one.
    pub last_operation_at: Option<OffsetDateTime>,
    /// When the counts last changed.
    pub updated_at: OffsetDateTime,
}

/// Reads and rebuilds the counts that a [`super::LogStore`] keeps.
#[async_trait::async_trait]
pub trait StatisticsStore: Send + Sync + 'static {
    /// Every client's counts, by requests descending, then name.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn list(&self) -> Result<Vec<ClientStatistics>, PortError>;

    /// One client's counts, whatever the case of the name, and those of its tables by operations
    /// descending, then table, then operation. `None` when nothing is counted of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn of_client(
        &self,
        client_name: &str,
    ) -> Result<Option<(ClientStatistics, Vec<TableStatistics>)>, PortError>;

    /// Counts everything anew from what the logs hold now.
    ///
    /// - MUST do all of it or nothing.
    /// - MUST come to the numbers that writing came to, as long as no log row has been deleted.
    ///
    /// # Errors
    /// When the store cannot do it; nothing has changed then.
    async fn refresh(&self) -> Result<(), PortError>;
}
