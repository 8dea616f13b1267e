//! The client catalog: which databases there are, where they come from, and what follows from that.
//!
//! Nothing here connects to anything or reads the environment; rows, configuration and variables are arguments.

mod reconcile;
mod target;

pub use reconcile::{ConfigClient, Desired, Overruling, Plan, Seed, Standing, Step, reconcile, steps};
pub use target::{BORROWED_PREFIX, TargetTexts, Variables, check_borrowed, redact_uri};

use time::OffsetDateTime;

/// Who says that a client exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    Config,
    /// An administrator.
    Database,
    /// Both.
    Merged,
}

impl Source {
    /// The word in bodies and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Database => "database",
            Self::Merged => "merged",
        }
    }

    /// Reads the word; anything else is taken for an administrator's.
    pub fn parse(text: &str) -> Self {
        match text {
            "config" => Self::Config,
            "merged" => Self::Merged,
            _ => Self::Database,
        }
    }
}

/// A client as the catalog keeps it (contract 16.1).
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRecord {
    /// A UUID as text.
    pub id: String,
    /// Name, as it was written.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Where its database is.
    pub target: TargetTexts,
    /// Who says that it exists.
    pub source: Source,
    /// Whether it may be used.
    pub is_active: bool,
    /// Whether an administrator has stopped it for a while.
    pub is_frozen: bool,
    /// Further fields, a JSON object.
    pub metadata: String,
    /// When the configuration was last compared with it.
    pub last_synced_from_config_at: Option<OffsetDateTime>,
    /// When it last served a request.
    pub last_seen_at: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
    /// When it was deleted.
    pub deleted_at: Option<OffsetDateTime>,
}

impl ClientRecord {
    /// The name that look-ups use.
    pub fn key(&self) -> String {
        self.name.trim().to_lowercase()
    }
}
