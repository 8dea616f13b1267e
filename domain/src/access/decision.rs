//! The decision about a credential: contract 5.4, row by row, before the body is known.

use std::sync::Arc;
use std::time::SystemTime;

use super::credential::Credential;
use super::key::{ApiKey, Keys};
use super::policy::Mode;

/// What is known of keys and policy.
#[derive(Debug, Clone, Default)]
pub enum AccessState {
    /// No store is configured: keys are never demanded.
    #[default]
    NotConfigured,
    /// A store is configured, and nothing has been read from it yet.
    Unavailable,
    /// As last read.
    Loaded(Arc<Keys>),
}

/// Why a request was taken or refused; the text is what the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthReason {
    /// No store is configured.
    StoreNotConfigured,
    /// A store is configured, and nothing is known of its keys.
    PolicyUnavailable,
    /// No credential.
    MissingKey,
    /// A credential of another form.
    InvalidFormat,
    /// No key of that id.
    UnknownKey,
    /// Another secret.
    InvalidSecret,
    /// The key is switched off.
    Inactive,
    /// The key's time is over.
    Expired,
    /// The key is bound to other clients.
    ClientMismatch,
    /// A right is missing.
    MissingRights,
    /// The key's scope does not hold the operation.
    OperationOutOfScope,
    /// The key's scope does not hold the table.
    TableOutOfScope,
    /// The key's scope does not hold a column.
    ColumnOutOfScope,
    /// A row to be written does not meet the key's row filter.
    RowOutOfScope,
    /// The gateway's own tables are for keys that name its client.
    ControlDatabase,
    /// The key's budget is used up.
    BudgetExceeded,
    /// The key is good.
    Authenticated,
}

impl AuthReason {
    /// The name in answers and metrics.
    pub const fn name(self) -> &'static str {
        self.names().0
    }

    /// The name in the log; that of a failure for which nobody is refused says so.
    pub const fn logged(self, mode: Mode) -> &'static str {
        match (self, mode) {
            // The one name that is older than the rule. Where the mode warns, whoever sends none is to be found.
            (Self::MissingKey, Mode::Off) => "api_key_not_enforced",
            (_, Mode::Off | Mode::Warn) => self.names().1,
            (_, Mode::Enforce) => self.names().0,
        }
    }

    /// The name where requests are refused, and where they are not.
    const fn names(self) -> (&'static str, &'static str) {
        macro_rules! failure {
            ($name:literal) => {
                ($name, concat!($name, "_unenforced"))
            };
        }
        const fn always(name: &'static str) -> (&'static str, &'static str) {
            (name, name)
        }
        match self {
            Self::StoreNotConfigured => always("api_key_store_not_configured"),
            Self::PolicyUnavailable => always("api_key_policy_lookup_failed"),
            Self::MissingKey => failure!("missing_api_key"),
            Self::InvalidFormat => failure!("invalid_api_key_format"),
            Self::UnknownKey => failure!("unknown_api_key"),
            Self::InvalidSecret => failure!("invalid_api_key_secret"),
            Self::Inactive => failure!("inactive_api_key"),
            Self::Expired => failure!("expired_api_key"),
            Self::ClientMismatch => failure!("api_key_client_mismatch"),
            Self::MissingRights => failure!("missing_api_key_rights"),
            Self::OperationOutOfScope => failure!("api_key_operation_out_of_scope"),
            Self::TableOutOfScope => failure!("api_key_table_out_of_scope"),
            Self::ColumnOutOfScope => failure!("api_key_column_out_of_scope"),
            Self::RowOutOfScope => failure!("api_key_row_out_of_scope"),
            Self::ControlDatabase => always("control_database_shielded"),
            Self::BudgetExceeded => failure!("api_key_budget_exceeded"),
            Self::Authenticated => always("api_key_authenticated"),
        }
    }

    /// Whether it is a success, or there was nothing to check.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Authenticated | Self::StoreNotConfigured)
    }

    /// Whether a request ends with it; two reasons ask for no mode.
    pub const fn refuses(self, mode: Mode) -> bool {
        !self.is_good()
            && (mode.enforces() || matches!(self, Self::PolicyUnavailable | Self::ControlDatabase))
    }
}

/// A credential as it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// None.
    Nothing,
    /// A text, of the right form or not.
    Text(&'a str),
}

/// What follows from a credential.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// How strictly keys are demanded for the client.
    pub mode: Mode,
    /// Why.
    pub reason: AuthReason,
    /// The key whose secret was presented, good or not.
    pub key: Option<Arc<ApiKey>>,
}

impl Judgement {
    /// Whether the request goes no further.
    pub fn refuses(&self) -> bool {
        self.reason.refuses(self.mode)
    }

    /// Whether the caller is who it says it is.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.reason, AuthReason::Authenticated | AuthReason::ClientMismatch)
    }
}

/// Judges a credential for a client, by its lower-case name.
pub fn judge(
    state: &AccessState,
    presented: Presented<'_>,
    client_key: Option<&str>,
    now: SystemTime,
) -> Judgement {
    let keys = match state {
        AccessState::NotConfigured => {
            return Judgement { mode: Mode::Off, reason: AuthReason::StoreNotConfigured, key: None };
        }
        AccessState::Unavailable => {
            return Judgement { mode: Mode::Enforce, reason: AuthReason::PolicyUnavailable, key: None };
        }
        AccessState::Loaded(keys) => keys,
    };
    let mode = keys.policy.mode(client_key);
    let without = |reason| Judgement { mode, reason, key: None };
    let Presented::Text(text) = presented else { return without(AuthReason::MissingKey) };
    let Some(credential) = Credential::parse(text) else { return without(AuthReason::InvalidFormat) };
    let Some(key) = keys.find(credential.public_id) else {
        // The answer is known to be no; only the time counts.
        credential.fits([None, None]);
        return without(AuthReason::UnknownKey);
    };
    if !key.fits(credential, now) {
        return without(AuthReason::InvalidSecret);
    }
    let reason = if !key.is_active {
        AuthReason::Inactive
    } else if key.expires_at.is_some_and(|end| now >= end) {
        AuthReason::Expired
    } else if !key.is_for(client_key) {
        AuthReason::ClientMismatch
    } else {
        AuthReason::Authenticated
    };
    Judgement { mode, reason, key: Some(key.clone()) }
}

#[cfg(test)]
mod tests;
