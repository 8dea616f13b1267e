//! What goes wrong with keys, rights and policy, in the words of contract 5.6.

use athena_application::ports::PortError;
use athena_application::use_cases::keys::AdminError;
use poem::http::StatusCode;
use poem_openapi::param::Path;

use super::{KeysApi, StoreAbsence};
use crate::api::admin::{retitled, store_failure};
use crate::error::Failure;

/// The failure where there is no store.
pub(super) fn absent(absence: &StoreAbsence) -> Box<Failure> {
    unavailable(reason(absence))
        .hint("Name the control database's client in gateway.auth_client or gateway.logging_client.")
        .retry_after(30)
}

fn reason(absence: &StoreAbsence) -> String {
    match absence {
        StoreAbsence::NotConfigured => "No gateway auth client is configured.".to_owned(),
        StoreAbsence::NotConnected(name) => not_connected(name),
    }
}

fn not_connected(name: &str) -> String {
    format!("Gateway auth client '{name}' is not connected.")
}

fn unavailable(error: String) -> Box<Failure> {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "auth_store_unavailable",
        "database_connection",
        "Auth store unavailable",
    )
    .error(error)
}

/// The title that a malformed timestamp has of its own.
pub(super) fn titled(error: athena_domain::RequestError) -> Box<Failure> {
    let timestamp = error.field.as_deref() == Some("expires_at");
    retitled(error, timestamp.then_some("Invalid timestamp"))
}

fn bad_request(code: &'static str, message: &'static str, error: &'static str) -> Box<Failure> {
    Failure::new(StatusCode::BAD_REQUEST, code, "validation", message).error(error)
}

pub(super) fn not_found(message: &'static str, error: String) -> Box<Failure> {
    Failure::new(StatusCode::NOT_FOUND, "not_found", "validation", message).error(error)
}

/// Whether the text is a UUID in the form that stores keep; they know no other.
fn is_uuid(text: &str) -> bool {
    text.len() == uuid::fmt::Hyphenated::LENGTH && uuid::Uuid::try_parse(text).is_ok()
}

pub(super) fn key_id(id: &Path<String>) -> Result<&str, Box<Failure>> {
    is_uuid(id).then_some(id.as_str()).ok_or_else(|| {
        bad_request("invalid_field", "Invalid API key id", "The API key id must be a UUID.")
            .detail("field", "id")
    })
}

pub(super) fn right_id(id: &Path<String>) -> Result<&str, Box<Failure>> {
    is_uuid(id).then_some(id.as_str()).ok_or_else(|| {
        bad_request("invalid_field", "Invalid API key right id", "The right id must be a UUID.")
            .detail("field", "id")
    })
}

impl KeysApi {
    /// The failure of an operation on the key `id`.
    pub(super) fn on_key(&self, id: &str, title: &'static str) -> impl FnOnce(AdminError) -> Box<Failure> {
        move |error| match error {
            AdminError::NotFound => not_found("API key not found", format!("No API key exists for '{id}'.")),
            error => self.failed(title)(error),
        }
    }

    /// The failure of an operation on the right `id`, or on a new one called `name`.
    pub(super) fn on_right(
        &self,
        id: &str,
        name: &str,
        title: &'static str,
    ) -> impl FnOnce(AdminError) -> Box<Failure> {
        move |error| match error {
            AdminError::NotFound => {
                not_found("API key right not found", format!("No right exists for '{id}'."))
            }
            AdminError::Duplicate => Failure::new(
                StatusCode::CONFLICT,
                "unique_violation",
                "validation",
                "API key right already exists",
            )
            .error(format!("A right named '{name}' already exists.")),
            error => self.failed(title)(error),
        }
    }

    /// The failure of an operation with this title.
    pub(super) fn failed(&self, title: &'static str) -> impl FnOnce(AdminError) -> Box<Failure> {
        move |error| match error {
            AdminError::UnknownRights(names) => bad_request("unknown_rights", "Unknown API key rights", "")
                .error(format!("These rights do not exist: {}", names.join(", ")))
                .detail("unknown_rights", names)
                .hint("Create them with POST /admin/api-key-rights first."),
            AdminError::Port(error) => self.store_failed(error, title),
            AdminError::Duplicate => {
                Failure::new(StatusCode::CONFLICT, "unique_violation", "validation", title)
                    .error("Something of that name already exists.")
            }
            AdminError::NotFound => not_found(title, "There is nothing of that id.".to_owned()),
        }
    }

    fn store_failed(&self, error: PortError, title: &'static str) -> Box<Failure> {
        store_failure(error, title, || {
            unavailable(match &self.manage {
                Ok(manage) => not_connected(&manage.client),
                Err(absence) => reason(absence),
            })
            .hint("The control database does not answer; nothing is known to have changed.")
            .retry_after(5)
        })
    }
}
