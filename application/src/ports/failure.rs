//! How a port fails: a kind for the caller, a source for the log.

use std::fmt;
use std::time::Duration;

use athena_domain::breaker::Health;

use super::Obstacle;

/// Why a database refused a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A unique constraint.
    Unique,
    /// An exclusion constraint.
    Exclusion,
    /// A foreign key.
    ForeignKey,
    /// A required value is absent.
    NotNull,
    /// A check constraint.
    Check,
    /// Text that the database's encoding cannot hold.
    Encoding,
    /// An unknown column.
    UndefinedColumn,
    /// An unknown relation.
    UndefinedTable,
    /// An unknown function, or one that takes other arguments.
    UndefinedFunction,
    /// Text that is not SQL.
    Syntax,
    /// The database's own rights.
    Privilege,
    /// A value that is not one of its type.
    BadValue,
    /// An operator or function that the types do not have.
    TypeMismatch,
    /// Text compared with a uuid.
    TextUuid,
    /// Another fault of the statement.
    Statement,
    /// A write where only reads are allowed.
    ReadOnly,
    /// Something this database does not do.
    Unsupported,
    /// An error that the database's own code raised on purpose.
    Raised,
    /// A row, lock or object that others hold or depend on.
    InUse,
    /// More rows than the caller allowed to change; nothing was changed.
    TooManyRows,
    /// More rows or bytes than the configured limit; writes were undone.
    LimitExceeded,
    /// What is known of the database is older than the database: read it again and plan anew.
    Stale,
    /// A written row does not meet what the caller's key demands of rows; the write was undone.
    RowOutOfScope,
    /// What stands before the database refused the request by itself, with this HTTP status.
    Upstream(u16),
    /// A cursor that is no place in what it is to go on in.
    Cursor,
    /// A script ended inside a transaction block, which was rolled back.
    OpenTransaction,
}

/// A refusal by the database, with what it said that a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The database's own code.
    pub sql_state: Option<Box<str>>,
    /// Text chosen for the caller, free of SQL.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    /// The constraint.
    pub constraint: Option<Box<str>>,
    /// The column.
    pub column: Option<Box<str>>,
    /// The relation.
    pub table: Option<Box<str>>,
    /// The schema.
    pub schema: Option<Box<str>>,
    /// The database's detail, free of SQL.
    pub detail: Option<Box<str>>,
    /// Character in the caller's own SQL, counted from 1.
    pub position: Option<u64>,
    /// The limit that was passed: name below `limits.` (or `max_affected`) and value.
    pub limit: Option<(&'static str, u64)>,
    /// Whether code inside the database, such as a trigger, may have chosen these texts and names, whatever the code.
    pub told_by_code: bool,
}

impl Rejection {
    /// A refusal with a reason and a text.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            sql_state: None,
            message: message.into(),
            hint: None,
            constraint: None,
            column: None,
            table: None,
            schema: None,
            detail: None,
            position: None,
            limit: None,
            told_by_code: false,
        }
    }

    /// Leaves out what may quote rows that the caller must not see: every text of the database's own, and names where
    /// code inside the database may have put something else. `own_sql` tells that the statement was the caller's,
    /// who can read with it whatever a message could quote.
    pub fn hide_values(&mut self, own_sql: bool) {
        if self.sql_state.is_none() {
            // These are the gateway's words.
            return;
        }
        // A detail quotes whole rows and keys, of other tables too.
        self.detail = None;
        if self.told_by_code || !own_sql {
            self.message = "the database refused the statement".to_owned();
            self.hint = None;
        }
        if self.told_by_code {
            (self.constraint, self.column, self.table, self.schema) = (None, None, None, None);
        }
    }
}

impl Rejection {
    /// Leaves the column out unless the caller may see it: `sees` is asked with the table's schema and name, where the
    /// database told them, and the column.
    pub fn hide_column(&mut self, sees: impl FnOnce(Option<&str>, Option<&str>, &str) -> bool) {
        let Some(column) = self.column.as_deref() else { return };
        if !sees(self.schema.as_deref(), self.table.as_deref(), column) {
            self.column = None;
        }
    }
}

/// Whose fault it was and what may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortErrorKind {
    /// The caller's.
    Rejected(Box<Rejection>),
    /// Changed under us; trying again may help.
    Conflict,
    /// The statement's time was up, and it was cancelled.
    TimedOut,
    /// No connection became free in time.
    Exhausted,
    /// Too many requests of this client wait already; nothing was sent to the database.
    QueueFull,
    /// Others read their answers slowly, and hold what there is for answers that take long; nothing was kept.
    SlowReaders,
    /// The database is taken to be away, or was taken off by an administrator; nothing was sent to it.
    CircuitOpen {
        /// After which it is worth another try.
        retry_after: Duration,
    },
    /// The database, or what stands before it, asks for fewer requests; nothing was done.
    Throttled {
        /// When it may be asked again, in seconds.
        retry_after: u32,
    },
    /// The database refuses further connections.
    TooManyConnections,
    /// The database cannot be reached; nothing was sent to it, or only a read.
    Unavailable,
    /// The database went away while it worked on a write: whether the write happened is not known.
    Lost,
    /// Whoever answered in the database's place said something that no such database says.
    Unreadable,
    /// Our statement, or our reading of the answer: a bug.
    Internal,
}

/// A failure of a port.
#[derive(Debug)]
pub struct PortError {
    /// The port's name, for the log.
    pub port: &'static str,
    /// What the caller is told.
    pub kind: PortErrorKind,
    /// What the log is told.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What it says about the database, where the kind alone would say more: what one request can bring about by itself
    /// must not turn all others away.
    pub health: Option<Health>,
    /// What kept the gateway from the database, where that is known.
    pub obstacle: Option<Obstacle>,
}

impl PortError {
    /// A failure without a source.
    pub fn new(port: &'static str, kind: PortErrorKind) -> Self {
        Self { port, kind, source: None, health: None, obstacle: None }
    }

    /// A refusal.
    pub fn rejected(port: &'static str, rejection: Rejection) -> Self {
        Self::new(port, PortErrorKind::Rejected(Box::new(rejection)))
    }

    /// The same failure with its source.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        if matches!(self.kind, PortErrorKind::Unavailable | PortErrorKind::Lost) {
            self.obstacle = self.obstacle.or_else(|| Obstacle::of(&*source));
        }
        self.source = Some(source);
        self
    }

    /// The same failure, which met this; one that is known already stays.
    #[must_use]
    pub fn meeting(mut self, obstacle: impl Into<Option<Obstacle>>) -> Self {
        self.obstacle = self.obstacle.or(obstacle.into());
        self
    }

    /// The same failure, which says no more about the database than this.
    #[must_use]
    pub fn saying(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }

    /// Why the database refused, if it did.
    pub fn reason(&self) -> Option<Reason> {
        match &self.kind {
            PortErrorKind::Rejected(rejection) => Some(rejection.reason),
            PortErrorKind::Conflict
            | PortErrorKind::TimedOut
            | PortErrorKind::Exhausted
            | PortErrorKind::QueueFull
            | PortErrorKind::SlowReaders
            | PortErrorKind::CircuitOpen { .. }
            | PortErrorKind::Throttled { .. }
            | PortErrorKind::TooManyConnections
            | PortErrorKind::Unavailable
            | PortErrorKind::Lost
            | PortErrorKind::Unreadable
            | PortErrorKind::Internal => None,
        }
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            PortErrorKind::Rejected(rejection) => write!(f, "{}: {}", self.port, rejection.message),
            kind => write!(f, "{}: {kind:?}", self.port),
        }
    }
}

impl std::error::Error for PortError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
