//! Failures of the database → status, code and words (contract 2.3 and 8.5).

use std::time::Duration;

use athena_application::error::Chain;
use athena_application::ports::{Obstacle, PortError, PortErrorKind, Reason, Rejection};
use poem::http::StatusCode;
use serde_json::json;

use super::failure::Text;
use super::{Failure, Route};

const CONSTRAINT: &str = "database_constraint";
const CONNECTION: &str = "database_connection";
const SYNTAX: &str = "query_syntax";
const VALIDATION: &str = "validation";

/// Tells the log what the caller is not told.
pub fn log(error: &PortError, request_id: &str) {
    match &error.kind {
        PortErrorKind::Internal => {
            tracing::error!(request_id, error = %Chain(error), "the database adapter failed");
        }
        PortErrorKind::Unreadable => {
            tracing::warn!(request_id, error = %Chain(error), "the answer of the database's place is no answer");
        }
        PortErrorKind::Unavailable | PortErrorKind::Lost | PortErrorKind::TooManyConnections => {
            tracing::warn!(request_id, error = %Chain(error), "the database cannot be reached");
        }
        PortErrorKind::Rejected(_)
        | PortErrorKind::Conflict
        | PortErrorKind::TimedOut
        | PortErrorKind::Exhausted
        | PortErrorKind::QueueFull
        | PortErrorKind::SlowReaders
        | PortErrorKind::CircuitOpen { .. }
        | PortErrorKind::Throttled { .. } => {
            tracing::debug!(request_id, error = %Chain(error), "the database did not answer a request");
        }
    }
}

/// The failure for an error of a port.
pub fn from_port(error: PortError, route: Route) -> Box<Failure> {
    let hint = match (&error.kind, error.obstacle) {
        (PortErrorKind::Lost, Some(Obstacle::Timeout)) => {
            Some("No answer came in time: it may have been carried out. Check before sending it again.")
        }
        (PortErrorKind::Unavailable, Some(Obstacle::TooFewReplicas)) => Some(
            "Fewer replicas are up than have to agree. Try again; how many have to is said by `consistency` and `serial_consistency` of the client's URI, and by `consistency` of the request.",
        ),
        _ => None,
    };
    let failure = of_kind(error.kind, route);
    let failure = match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    match error.obstacle {
        Some(obstacle) => failure.detail("reason", obstacle.as_str()),
        None => failure,
    }
}

fn of_kind(kind: PortErrorKind, route: Route) -> Box<Failure> {
    match kind {
        PortErrorKind::Rejected(rejection) => from_rejection(*rejection, route),
        PortErrorKind::Conflict => Failure::new(
            StatusCode::CONFLICT,
            "serialization_failure",
            CONSTRAINT,
            "Another transaction changed or holds the same rows",
        )
        .hint("Nothing was changed. Send the request again."),
        PortErrorKind::TimedOut => Failure::new(
            StatusCode::GATEWAY_TIMEOUT,
            "query_canceled",
            CONNECTION,
            "The statement took longer than allowed and was cancelled",
        )
        .hint("Narrow the request, or add an index for its conditions."),
        PortErrorKind::Exhausted => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "pool_timeout",
            CONNECTION,
            "Database connection pool timed out",
        )
        .hint("The system is experiencing high load. Please try again in a moment.")
        .retry_after(1),
        PortErrorKind::QueueFull => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "queue_full",
            CONNECTION,
            "Too many requests of this client are waiting",
        )
        .hint("Nothing was sent to the database. Send the request again later, or fewer at a time.")
        .retry_after(1),
        PortErrorKind::SlowReaders => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "slow_readers",
            CONNECTION,
            "Too many answers are read slowly at present",
        )
        .hint("Nothing was changed. Read answers as they come, fewer at a time, or ask for less at once; send the request again after Retry-After.")
        .retry_after(5),
        PortErrorKind::CircuitOpen { retry_after } => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "circuit_open",
            CONNECTION,
            "The client's database is taken to be away",
        )
        .hint(format!(
            "Nothing was sent to the database. It is tried again in {} s: send the request again then.",
            whole_seconds(retry_after)
        ))
        .detail("retry_after_secs", whole_seconds(retry_after))
        .retry_after(whole_seconds(retry_after)),
        PortErrorKind::Throttled { retry_after } => Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "rate_limiting",
            "The database of this client takes fewer requests at present",
        )
        .hint(format!("Nothing was done. Send the request again in {retry_after} s."))
        .retry_after(retry_after),
        PortErrorKind::TooManyConnections => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_connections",
            CONNECTION,
            "The database refuses further connections",
        )
        .hint("The database is experiencing high load. Please try again in a moment.")
        .retry_after(5),
        PortErrorKind::Unavailable => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_error",
            CONNECTION,
            "Database connection issue",
        )
        .hint("The database is temporarily unavailable. Please try again.")
        .retry_after(5),
        PortErrorKind::Lost => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_error",
            CONNECTION,
            "Database connection issue",
        )
        .hint("The connection broke while the database worked on it: it may have been carried out. Check before sending it again.")
        .retry_after(5),
        PortErrorKind::Unreadable => Failure::new(
            StatusCode::BAD_GATEWAY,
            "upstream_unreadable",
            CONNECTION,
            "What answered in the place of the database gave no such answer",
        )
        .hint("Check the address of the client. A write may have been carried out: check before sending it again."),
        PortErrorKind::Internal => internal(route),
    }
}

/// Seconds for a header: rounded up, as it would be too early otherwise.
pub fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

fn internal(route: Route) -> Box<Failure> {
    let (code, message) = match route {
        Route::Update => {
            ("update_execution_error", "Failed to update rows due to an internal gateway error.")
        }
        Route::Insert => ("sql_execution", "failed to execute insert: Database query execution failed"),
        Route::Fetch | Route::Delete | Route::Query | Route::Sql | Route::Call | Route::Admin => {
            ("database_error", "Database operation failed: Database query execution failed")
        }
    };
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, code, "internal", message)
}

/// Status, code, category, title and the usual hint of a reason; no title means the database's own words.
type Words = (StatusCode, &'static str, &'static str, Option<Text>, Option<&'static str>);

fn words(rejection: &Rejection) -> Words {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let text = |text: &'static str| Some(Text::Borrowed(text));
    match rejection.reason {
        Reason::Unique => (
            StatusCode::CONFLICT,
            "unique_violation",
            CONSTRAINT,
            text("A record with this value already exists"),
            Some("Please use a different value or update the existing record."),
        ),
        Reason::Exclusion => (
            StatusCode::CONFLICT,
            "exclusion_violation",
            CONSTRAINT,
            text("A record that conflicts with this value already exists"),
            Some("Please use a different value or update the existing record."),
        ),
        Reason::ForeignKey => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "foreign_key_violation",
            CONSTRAINT,
            text("The operation references a non-existent or inaccessible resource"),
            Some("Ensure all referenced resources exist and are accessible."),
        ),
        Reason::NotNull => (
            BAD,
            "not_null_violation",
            VALIDATION,
            text("A required field is missing"),
            Some("Please provide all required fields."),
        ),
        Reason::Check => (
            BAD,
            "check_constraint_violation",
            CONSTRAINT,
            text("The provided value does not meet the required constraints"),
            Some("Please ensure the value meets all validation requirements."),
        ),
        Reason::Encoding => (
            BAD,
            "invalid_text_encoding",
            VALIDATION,
            text("The request contains text that is not valid UTF-8."),
            Some("Remove unsupported characters and ensure text is valid UTF-8."),
        ),
        Reason::UndefinedColumn => (
            BAD,
            "undefined_column",
            SYNTAX,
            text("The specified column does not exist"),
            Some("Please verify the column name and try again."),
        ),
        Reason::UndefinedTable => match &rejection.table {
            Some(name) => (
                BAD,
                "undefined_table",
                SYNTAX,
                Some(format!("The table '{name}' was not found.").into()),
                Some(
                    "It may not exist yet, or you might have a typo. Check your migrations or ensure you're \
                     connected to the correct schema.",
                ),
            ),
            None => (
                BAD,
                "undefined_table",
                SYNTAX,
                text("The specified table does not exist"),
                Some("Please verify the table name and ensure it has been created."),
            ),
        },
        Reason::UndefinedFunction => (
            BAD,
            "undefined_function",
            SYNTAX,
            text("The database has no function of that name that takes these arguments"),
            Some(
                "Check the schema, the name and the names and types of the arguments; the role needs to see it.",
            ),
        ),
        Reason::Syntax => (BAD, "syntax_error", SYNTAX, None, Some("Please check your query syntax.")),
        Reason::Privilege => (
            StatusCode::FORBIDDEN,
            "insufficient_privilege",
            "authorization",
            text("You do not have permission to perform this operation"),
            Some("Please contact an administrator for access."),
        ),
        Reason::BadValue => (BAD, "data_exception", VALIDATION, None, None),
        Reason::TypeMismatch => (BAD, "type_mismatch", SYNTAX, None, None),
        Reason::TextUuid => (
            BAD,
            "text_uuid_operator_mismatch",
            VALIDATION,
            text("A text value was compared to a UUID value without a compatible cast"),
            Some(
                "Cast both sides to the same type. For Athena gateway filters, enable \
                 gateway.auto_cast_uuid_filter_values_to_text.",
            ),
        ),
        Reason::Statement => (BAD, "query_syntax", SYNTAX, None, None),
        Reason::ReadOnly => (BAD, "read_only", VALIDATION, None, None),
        Reason::Unsupported => (BAD, "not_supported_by_backend", VALIDATION, None, None),
        Reason::Raised => (BAD, "raise_exception", VALIDATION, None, None),
        Reason::InUse => (StatusCode::CONFLICT, "object_in_use", CONSTRAINT, None, None),
        Reason::TooManyRows => (BAD, "too_many_rows", VALIDATION, None, None),
        Reason::LimitExceeded => (BAD, "limit_exceeded", VALIDATION, None, None),
        // The use cases plan anew; it comes this far only while the schema changes again and again.
        Reason::Stale => (
            StatusCode::SERVICE_UNAVAILABLE,
            "schema_changed",
            "internal",
            text("The database's schema changed while the request ran"),
            Some("Nothing was changed. Send the request again."),
        ),
        Reason::RowOutOfScope => (
            StatusCode::FORBIDDEN,
            "api_key_row_out_of_scope",
            "authorization",
            text("Insufficient API key rights"),
            Some("Nothing was changed. The row filter of the API key does not allow such a row."),
        ),
        // 401 would ask the caller for another key of the gateway's.
        Reason::Upstream(401) => (StatusCode::FORBIDDEN, "upstream_refused", VALIDATION, None, None),
        Reason::Upstream(status) => {
            let status = StatusCode::from_u16(status).ok().filter(StatusCode::is_client_error);
            (status.unwrap_or(BAD), "upstream_refused", VALIDATION, None, None)
        }
        Reason::Cursor => (BAD, "invalid_cursor", VALIDATION, None, None),
        Reason::OpenTransaction => (BAD, "open_transaction", VALIDATION, None, None),
    }
}

fn from_rejection(rejection: Rejection, route: Route) -> Box<Failure> {
    let (status, code, category, title, usual_hint) = words(&rejection);
    let title = match (route, rejection.reason) {
        (Route::Insert, Reason::Unique) => Some(duplicate(&rejection)),
        (Route::Insert, Reason::ForeignKey) => {
            Some("failed to execute insert: referenced resource missing or constraint violated".into())
        }
        _ => title,
    };
    let quotes = title.is_none();
    let mut failure =
        Failure::new(status, code, category, title.unwrap_or_else(|| rejection.message.clone().into()));
    failure.quotes = quotes;
    if rejection.reason == Reason::Stale {
        failure = failure.retry_after(1);
    }
    if rejection.reason == Reason::Unsupported {
        failure = failure.detail("reason", rejection.message.as_str()).detail("fix", rejection.hint.clone());
    }
    if let Some((name, value)) = rejection.limit {
        failure = failure.detail("limit", json!({ "name": name, "value": value }));
    }
    if let Some(place) = rejection.position {
        failure = failure.detail("position", place);
    }
    let texts = [
        ("sql_state", rejection.sql_state),
        ("constraint", rejection.constraint),
        ("column", rejection.column),
        ("table", rejection.table),
        ("schema", rejection.schema),
        ("detail", rejection.detail),
        ("db_error", (route == Route::Insert).then(|| rejection.message.into())),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            failure = failure.detail(name, text.into_string());
        }
    }
    match (rejection.hint, usual_hint) {
        (Some(hint), _) => failure.hint(hint),
        (None, Some(hint)) => failure.hint(hint),
        (None, None) => failure,
    }
}

fn duplicate(rejection: &Rejection) -> Text {
    let which = match &rejection.constraint {
        Some(name) => format!(" (unique constraint '{name}')"),
        None => String::new(),
    };
    format!(
        "Insert would create a duplicate record{which}. Use /gateway/update to modify the existing record or \
         change the unique field values."
    )
    .into()
}
