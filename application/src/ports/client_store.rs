//! The client catalog, where it is kept.

use athena_domain::catalog::{ClientRecord, Seed, TargetTexts};

use super::PortError;

/// A client that an administrator adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewClient {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Where its database is.
    pub target: TargetTexts,
    /// Whether it may be used.
    pub is_active: bool,
}

/// What an administrator may change of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFields {
    /// Description.
    pub description: Option<String>,
    /// Where its database is.
    pub target: TargetTexts,
    /// Whether it may be used.
    pub is_active: bool,
    /// Whether it is stopped for a while.
    pub is_frozen: bool,
    /// Whether it is gone.
    pub is_deleted: bool,
}

/// Why a change of the catalog was not made.
#[derive(Debug, thiserror::Error)]
pub enum ClientStoreError {
    /// A client of that name is already there.
    #[error("already there")]
    Duplicate,
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The client catalog, where it is kept. Names meet without case and margins.
#[async_trait::async_trait]
pub trait ClientStore: Send + Sync + 'static {
    /// Every row, deleted ones included, in no particular order.
    ///
    /// - MUST fail when the store says nothing for long: whoever follows its changes waits for this.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load(&self) -> Result<Vec<ClientRecord>, PortError>;

    /// Writes what the configuration says, all or nothing.
    ///
    /// - MUST insert only where no row, deleted or not, has the name, and refresh only rows that came from the
    ///   configuration and are not deleted: another gateway may have been faster.
    /// - MUST fail when the store says nothing for long.
    ///
    /// # Errors
    /// When the store fails.
    async fn seed(&self, seeds: &[Seed]) -> Result<(), PortError>;

    /// Adds a client; one that was deleted under the same name stays in the record.
    ///
    /// # Errors
    /// [`ClientStoreError::Duplicate`].
    async fn create(&self, client: &NewClient) -> Result<ClientRecord, ClientStoreError>;

    /// Changes a client that is not deleted; `None` when there is none.
    ///
    /// - MUST apply `change` to the fields as they are at that moment, under a lock on the row.
    ///
    /// # Errors
    /// When the store fails.
    async fn update(
        &self,
        key: &str,
        change: &(dyn for<'a> Fn(&'a mut ClientFields) + Send + Sync),
    ) -> Result<Option<ClientRecord>, PortError>;
}
