//! Credentials that are not taken → status and words (contract 5.4 and 29.7).

use athena_application::budgets::BudgetRefusal;
use athena_domain::ClientName;
use athena_domain::access::{AuthReason, Judgement};
use poem::http::StatusCode;

use super::Failure;

/// The refusal that follows from a judgement.
pub fn refused(judgement: &Judgement, client: &ClientName) -> Box<Failure> {
    let code = judgement.reason.name();
    let unauthorized = |message: &'static str, error: &'static str| {
        Failure::new(StatusCode::UNAUTHORIZED, code, "authorization", message).error(error)
    };
    match judgement.reason {
        AuthReason::MissingKey => unauthorized("API key required", "Missing API key. Use X-Athena-Key.")
            .hint("Send the key as X-Athena-Key, apikey, x-api-key or Authorization: Bearer."),
        AuthReason::InvalidFormat => unauthorized("Invalid API key", "The API key format is invalid.")
            .hint("A key looks like ath_<public id>.<secret>."),
        // One text for both: whether an id exists is nobody's business. The log keeps the two apart.
        AuthReason::UnknownKey | AuthReason::InvalidSecret => Failure::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "authorization",
            "Invalid API key",
        )
        .error("The API key is not valid."),
        AuthReason::Inactive => unauthorized("Inactive API key", "The API key has been disabled."),
        AuthReason::Expired => unauthorized("Expired API key", "The API key has expired."),
        AuthReason::ClientMismatch => {
            let bound = judgement.key.as_ref().and_then(|key| key.clients.as_ref());
            let mut names: Vec<&str> = bound.into_iter().flat_map(|names| names.iter()).map(AsRef::as_ref).collect();
            names.sort_unstable();
            Failure::new(StatusCode::FORBIDDEN, code, "authorization", "API key client mismatch").error(format!(
                "The API key is scoped to client '{}', not '{client}'.",
                names.join("', '")
            ))
        }
        AuthReason::PolicyUnavailable => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            "authorization",
            "API key policy unavailable",
        )
        .error("Gateway API key enforcement could not be evaluated.")
        .hint(
            "The control database, the client that gateway.auth_client or gateway.logging_client names, has not \
             answered since the gateway started. Check its address, or remove both to run without API keys.",
        )
        .retry_after(5),
        // The rest is decided elsewhere or is no refusal.
        AuthReason::StoreNotConfigured
        | AuthReason::MissingRights
        | AuthReason::OperationOutOfScope
        | AuthReason::TableOutOfScope
        | AuthReason::ColumnOutOfScope
        | AuthReason::RowOutOfScope
        | AuthReason::ControlDatabase
        | AuthReason::BudgetExceeded
        | AuthReason::Authenticated => {
            Failure::new(StatusCode::FORBIDDEN, code, "authorization", "Insufficient API key rights")
        }
    }
}

/// The refusal of a request for which the key's budget has nothing left.
pub fn over_budget(refusal: &BudgetRefusal) -> Box<Failure> {
    let BudgetRefusal { part, value, after } = *refusal;
    let seconds = u32::try_from(after.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "authorization", "Too Many Requests")
        .error(format!("The budget of the API key is used up: {part} is {value}."))
        .hint(format!("Nothing was done. Send the request again in {seconds} s, or ask for a larger budget."))
        .detail("part", part)
        .detail("value", value)
        .retry_after(seconds)
}
