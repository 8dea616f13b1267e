//! Making a database into a control database.

use super::PortError;

/// What provisioning did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// Statements that were executed.
    pub statements: usize,
    /// The tables that a control database has, sorted by name.
    pub tables: Vec<String>,
}

/// Which tables of a control database are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionStatus {
    /// Expected and present, in the order in which they are expected.
    pub present: Vec<String>,
    /// Expected and absent, in the order in which they are expected.
    pub missing: Vec<String>,
}

impl ProvisionStatus {
    /// Whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Why a database was not provisioned.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionFailure {
    /// The URI cannot be read; the text holds no part of it.
    #[error("{0}")]
    InvalidTarget(String),
    /// The database cannot be reached, or does not let us in. The text may be shown: it holds neither a
    /// password nor an address.
    #[error("failed to connect to Postgres: {message}")]
    Connect {
        /// What went wrong, for the caller.
        message: String,
        /// What the log is told.
        #[source]
        source: PortError,
    },
    /// A statement was refused. Nothing has changed.
    #[error("statement {number}/{total} failed: {message}")]
    Statement {
        /// Its number, counted from 1.
        number: usize,
        /// Statements that there are.
        total: usize,
        /// What the database said, for the caller.
        message: String,
        /// What the log is told.
        #[source]
        source: PortError,
    },
}

/// Creates the tables of a control database anywhere.
#[async_trait::async_trait]
pub trait Provisioner: Send + Sync + 'static {
    /// Brings the database that `uri` names to the schema of this gateway.
    ///
    /// - MUST do all of it or nothing.
    /// - MUST be safe to repeat, and to call from several gateways at once.
    /// - MUST neither print nor answer any part of `uri`.
    ///
    /// # Errors
    /// [`ProvisionFailure`].
    async fn provision(&self, uri: &str) -> Result<Provisioned, ProvisionFailure>;

    /// Tells which of the tables are there, looking into the schema `public` only.
    ///
    /// - MUST change nothing.
    ///
    /// # Errors
    /// [`ProvisionFailure::InvalidTarget`], [`ProvisionFailure::Connect`].
    async fn status(&self, uri: &str) -> Result<ProvisionStatus, ProvisionFailure>;
}
