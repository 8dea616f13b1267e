//! How a use of a connection begins: without a transaction, in one, or in one that a pooler needs.
//!
//! Behind a transaction pooler everything runs in a transaction, and what else belongs to a session goes
//! with it: its first message sets the session's parameters for this transaction alone and asks which
//! server process it has, in one round trip.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::manager::{Process, can_watch};
use crate::settings::{Pooler, PostgresSettings};

/// How a use of a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Each statement for itself; one transaction behind a pooler.
    Plain,
    /// A transaction.
    Transaction,
    /// A transaction in which the database refuses writes.
    ReadOnly,
    /// The same without a bound on the statement's time.
    Unbounded,
    /// A transaction that reads one state of the database.
    Snapshot,
}

impl Begin {
    /// What begins it on a session of the gateway's own.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Transaction => Some("BEGIN"),
            Self::ReadOnly => Some("BEGIN READ ONLY"),
            Self::Unbounded => Some("BEGIN READ ONLY; SET LOCAL statement_timeout = 0"),
            Self::Snapshot => Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        }
    }

    fn mode(self) -> &'static str {
        match self {
            Self::Plain | Self::Transaction => "BEGIN",
            Self::ReadOnly | Self::Unbounded => "BEGIN READ ONLY",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// The first messages of transactions behind a transaction pooler.
pub(super) struct Opening {
    /// `, set_config('name', 'value', true)` for each parameter but those below.
    parameters: String,
    statement_timeout_ms: u128,
    /// `[bounded, unbounded]`, once it is known whether the server watches its clients.
    texts: OnceLock<[Arc<str>; 2]>,
}

impl Opening {
    /// The messages for these settings; `None` where sessions are the gateway's own.
    pub(super) fn new(settings: &PostgresSettings) -> Option<Self> {
        if settings.pooler == Pooler::Session {
            return None;
        }
        let mut parameters = String::new();
        for (name, value) in settings.parameters() {
            set(&mut parameters, name, value);
        }
        let statement_timeout_ms = settings.statement_timeout.as_millis();
        Some(Self { parameters, statement_timeout_ms, texts: OnceLock::new() })
    }

    /// Begins a transaction and tells where it runs.
    pub(super) async fn begin(
        &self,
        connection: &mut PgConnection,
        begin: Begin,
    ) -> Result<Process, sqlx::Error> {
        let texts = match self.texts.get() {
            Some(texts) => texts,
            None => {
                let watches = watches(connection).await?;
                self.texts.get_or_init(|| [self.text(watches, true), self.text(watches, false)])
            }
        };
        let rest = &texts[usize::from(begin == Begin::Unbounded)];
        let text = format!("{}; {rest}", begin.mode());
        // Safe: written here, of constants and quoted settings.
        let row = sqlx::raw_sql(AssertSqlSafe(text)).fetch_one(&mut *connection).await?;
        Ok(Process { id: row.try_get(0)?, began: Some(row.try_get(1)?) })
    }

    fn text(&self, watches: bool, bounded: bool) -> Arc<str> {
        let mut text = String::from(
            "SELECT pg_backend_pid(), (extract(epoch FROM transaction_timestamp()) * 1000000)::int8",
        );
        text.push_str(&self.parameters);
        let timeout = if bounded { self.statement_timeout_ms } else { 0 };
        set(&mut text, "statement_timeout", &timeout.to_string());
        if watches {
            // The pooler closes the server's connection when ours ends in the midst of a transaction.
            set(&mut text, "client_connection_check_interval", "1s");
        }
        text.into()
    }
}

fn set(text: &mut String, name: &str, value: &str) {
    let value = value.replace('\\', r"\\").replace('\'', "''");
    // Writing to a `String` cannot fail.
    let _ = write!(text, ", set_config('{name}', E'{value}', true)");
}

/// Whether the server can look after its clients; not every version and platform can.
async fn watches(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if !can_watch(connection) {
        return Ok(false);
    }
    let attempt = sqlx::raw_sql("BEGIN; SET LOCAL client_connection_check_interval = '1s'; ROLLBACK")
        .execute(&mut *connection);
    match attempt.await {
        Ok(_) => Ok(true),
        Err(error) if crate::failure::session_survives(&error) => {
            sqlx::raw_sql("ROLLBACK").execute(connection).await.map(|_| false)
        }
        Err(error) => Err(error),
    }
}
