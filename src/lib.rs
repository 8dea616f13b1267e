//! Athena, a database gateway.
