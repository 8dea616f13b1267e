//! The order of changes: whoever changes keys or clients counts their version up before anything else is locked.
//!
//! Statements that change a table do so by its triggers. A transaction that locks a row before it changes it would
//! take the two locks the other way round: two gateways could lock each other out. As the version is held to the end,
//! a later change is never to be seen before an earlier one.

use sqlx::PgConnection;

/// Counts a change of keys, rights or policy, and changes nothing else.
pub(super) const COUNT_KEYS: &str = "UPDATE api_keys SET name = name WHERE false";

/// Counts a change of clients, and changes nothing else.
pub(super) const COUNT_CLIENTS: &str = "UPDATE athena_clients SET client_name = client_name WHERE false";

/// Counts a change at the beginning of a transaction. It goes by the triggers, as the role of a gateway need not have
/// the right to write versions itself.
///
/// # Errors
/// What the driver says.
pub(super) async fn count_first(
    connection: &mut PgConnection,
    count: &'static str,
) -> Result<(), sqlx::Error> {
    sqlx::query(count).execute(connection).await.map(drop)
}
