//! What a handler tells of a request besides its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_application::Trail;
use athena_application::budgets::Spending;
use athena_application::ports::AuthObservation;
use athena_domain::ClientName;
use athena_domain::access::AuthReason;

use crate::error::Route;

/// What a handler knows of a request.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The client, once it is read.
    pub client: Option<ClientName>,
    /// Whether the client exists.
    pub client_known: bool,
    /// What the credential came to.
    pub auth: Option<AuthObservation>,
    /// What the request takes from its key's budget.
    pub spending: Option<Arc<Spending>>,
    /// `fetch` and the like.
    pub operation: Option<&'static str>,
    /// The table, as the caller wrote it.
    pub table: Option<Box<str>>,
    /// What the use case noted.
    pub trail: Option<Arc<Trail>>,
    /// Whether the answer is to tell where the time went.
    pub wants_timing: bool,
    /// Reading and decoding the body.
    pub decode: Duration,
    /// Credential and budget.
    pub auth_time: Duration,
    /// Machine-readable reason of a failure.
    pub code: Option<&'static str>,
    /// What the failure's answer said.
    pub message: Option<Box<str>>,
}

/// Where a handler leaves its record: when it has answered, and also when it is dropped before that.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Option<Record>>>);

impl Notes {
    /// Leaves the record.
    pub fn leave(&self, record: Record) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    /// What was left; once.
    pub fn take(&self) -> Option<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Record {
    /// Completes what the credential came to, once the rights that were needed are known.
    pub fn note_denial(&mut self, route: Route) {
        let Some(auth) = &mut self.auth else { return };
        auth.required = required_right(route, self.table.as_deref());
        let Some(denial) = self.trail.as_ref().and_then(|trail| trail.denial()) else { return };
        if auth.reason == AuthReason::Authenticated {
            auth.reason = denial.reason;
            auth.authorized = false;
        }
    }
}

/// The right that a route needs, as it would be granted (contract 5.5).
fn required_right(route: Route, table: Option<&str>) -> Option<Box<str>> {
    let action = match route {
        Route::Fetch => ".read",
        Route::Insert | Route::Update => ".write",
        Route::Delete => ".delete",
        Route::Query | Route::Sql | Route::Call => return Some("gateway.query".into()),
        Route::Admin => return None,
    };
    let table = table?;
    Some([table.strip_prefix("public.").unwrap_or(table), action].concat().into())
}
