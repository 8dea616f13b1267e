//! What the gateways of one control database tell each other.

/// How often what is kept in memory of the control database has changed, and whether the database answers.
///
/// Numbers are compared for equality only: a database that was restored from a backup counts from before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Versions {
    /// Keys, rights, grants and policy. 0 until the database has been read once.
    pub keys: u64,
    /// The client catalog. 0 until the database has been read once.
    pub clients: u64,
    /// Whether the database answered when it was asked last. The numbers stay while it does not.
    pub reachable: bool,
}
