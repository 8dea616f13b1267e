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
    /// The name in the log; `enforced` tells whether a failure refused the request.
    pub const fn text(self, enforced: bool) -> &'static str {
        macro_rules! name {
            ($name:literal) => {
                if enforced { $name } else { concat!($name, "_unenforced") }
            };
        }
        match self {
            Self::StoreNotConfigured => "api_key_store_not_configured",
            Self::PolicyUnavailable => "api_key_policy_lookup_failed",
            Self::MissingKey if enforced => "missing_api_key",
            // The one name that is older than the rule.
            Self::MissingKey => "api_key_not_enforced",
            Self::InvalidFormat => name!("invalid_api_key_format"),
            Self::UnknownKey => name!("unknown_api_key"),
            Self::InvalidSecret => name!("invalid_api_key_secret"),
            Self::Inactive => name!("inactive_api_key"),
            Self::Expired => name!("expired_api_key"),
            Self::ClientMismatch => name!("api_key_client_mismatch"),
            Self::MissingRights => name!("missing_api_key_rights"),
            Self::OperationOutOfScope => name!("api_key_operation_out_of_scope"),
            Self::TableOutOfScope => name!("api_key_table_out_of_scope"),
            Self::ColumnOutOfScope => name!("api_key_column_out_of_scope"),
            Self::RowOutOfScope => name!("api_key_row_out_of_scope"),
            Self::ControlDatabase => "control_database_shielded",
            Self::BudgetExceeded => name!("api_key_budget_exceeded"),
            Self::Authenticated => "api_key_authenticated",
        }
    }

    /// Whether it is a success, or there was nothing to check.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Authenticated | Self::StoreNotConfigured)
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
        !self.reason.is_good() && (self.mode.enforces() || self.reason == AuthReason::PolicyUnavailable)
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
