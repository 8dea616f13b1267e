//! Refusals of the domain → status and words.

use athena_domain::RequestError;
use athena_domain::error::{Denied, RequestCode};
use poem::http::StatusCode;
use serde_json::json;

use super::{Failure, Route};

/// The failure for a request that cannot be carried out as it stands.
pub fn from_request(error: RequestError, route: Route) -> Box<Failure> {
    if let Some(lack) = error.denied {
        return match error.hint {
            Some(hint) => denied(error.message, error.field, *lack).hint(hint),
            None => denied(error.message, error.field, *lack),
        };
    }
    let status = match error.limit.as_ref().map(|limit| limit.name) {
        Some("max_body_bytes" | "max_decompressed_bytes") => StatusCode::PAYLOAD_TOO_LARGE,
        None if error.code == RequestCode::UniqueViolation => StatusCode::CONFLICT,
        Some(_) | None => StatusCode::BAD_REQUEST,
    };
    let title = match (route, error.field.as_deref(), error.code) {
        (Route::Query | Route::Sql, Some("query"), RequestCode::InvalidField) => Some("Invalid query"),
        (Route::Sql, Some("driver"), RequestCode::InvalidField) => Some("Invalid driver specified"),
        _ => None,
    };
    let mut failure = Failure::new(status, error.code.as_str(), category(error.code), error.message);
    failure.quotes = error.code == RequestCode::DataException;
    if let Some(title) = title {
        failure.error = Some(std::mem::replace(&mut failure.message, title.into()));
    }
    if error.code == RequestCode::NotSupportedByBackend {
        let reason = failure.message.to_string();
        failure = failure.detail("reason", reason).detail("fix", error.hint.clone());
    }
    if let Some(field) = error.field {
        if error.code == RequestCode::MissingField {
            failure = failure.detail("missing_field", field.as_str());
        }
        if error.code == RequestCode::InvalidPayload {
            let reason = failure.message.rsplit_once(": ").map_or("", |(_, reason)| reason).to_owned();
            failure = failure.detail("validation_error", reason);
        }
        failure = failure.detail("field", field);
    }
    if let Some(limit) = error.limit {
        failure = failure.detail("limit", json!({ "name": limit.name, "value": limit.value }));
    }
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What the caller's key does not reach (contract 5.4, row 12).
fn denied(message: String, field: Option<String>, lack: Denied) -> Box<Failure> {
    let title = "Insufficient API key rights";
    let mut failure =
        Failure::new(StatusCode::FORBIDDEN, lack.reason.name(), "authorization", title).error(message);
    if let Some(field) = field {
        failure = failure.detail("field", field);
    }
    if let Some(right) = lack.missing_right {
        failure = failure.detail("missing_rights", vec![right]);
    }
    failure
}

fn category(code: RequestCode) -> &'static str {
    match code {
        RequestCode::UndefinedTable
        | RequestCode::UndefinedColumn
        | RequestCode::UnsupportedSelect
        | RequestCode::TypeMismatch => "query_syntax",
        RequestCode::Denied => "authorization",
        RequestCode::UniqueViolation => "database_constraint",
        RequestCode::InvalidJson
        | RequestCode::UnknownField
        | RequestCode::InvalidField
        | RequestCode::MissingField
        | RequestCode::InvalidIdentifier
        | RequestCode::InvalidTableName
        | RequestCode::UnknownOperator
        | RequestCode::LimitExceeded
        | RequestCode::InvalidPayload
        | RequestCode::NoColumns
        | RequestCode::DataException
        | RequestCode::TooManyRows
        | RequestCode::NotSupportedByBackend
        | RequestCode::InvalidCursor
        | RequestCode::PostProcessing => "validation",
    }
}
