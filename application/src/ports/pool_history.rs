//! How full the pools have been (contract 19.2).

use super::PortError;

/// How full the pool of one client is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSample {
    /// Lower-case name of the client.
    pub client_name: String,
    /// Connections open.
    pub open: usize,
    /// Connections that wait for work.
    pub idle: usize,
    /// Most connections.
    pub max: usize,
}

/// Keeps samples for whoever wants to see how full the pools have been.
#[async_trait::async_trait]
pub trait PoolHistory: Send + Sync + 'static {
    /// Keeps these samples, all taken now.
    ///
    /// # Errors
    /// When the store fails; the samples are lost then.
    async fn record(&self, samples: &[PoolSample]) -> Result<(), PortError>;
}
